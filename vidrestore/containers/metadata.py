"""Titles, places and dates: what the output must be told, and what it has not taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from vidrestore.containers.carry import COVER_TYPES, Carriage
from vidrestore.losses import Loss
from vidrestore.media.atoms import add_tags, set_languages
from vidrestore.media.ffmpeg import media_url
from vidrestore.media.probe import VideoInfo

REWRITTEN_TAGS = frozenset(
    {"encoder", "encoded_by", "encoding_tool", "software", "writing_application"}
    | {"major_brand", "minor_version", "compatible_brands", "handler_name", "vendor_id"}
    | {"duration", "bps", "number_of_frames", "number_of_bytes", "rotate", "alpha_mode"}
    | {"_statistics_tags", "_statistics_writing_app", "_statistics_writing_date_utc"}
)
"""Tags that say who wrote a file and how large it is, in lower case: every container writes its
own. `rotate` is what old ffmpeg made of the display matrix, `alpha_mode` belongs to the codec."""

_OF_MP4 = frozenset(
    {"major_brand", "minor_version", "compatible_brands", "handler_name", "vendor_id", "name"}
)
"""Tags that make sense in MP4 and MOV alone."""

_OF_ALL = ("creation_time", "timecode")
"""Tags of a stream that may as well stand for the whole file, or for another stream."""

_Place = int | None
"""Index of a stream in the source; None for the whole file."""


@dataclass(frozen=True)
class Tags:
    """The metadata of a file, by names in lower case.

    Attributes:
        whole: Of the whole file.
        streams: Of each stream, in order.
        dispositions: Of each stream, such as "default" and "forced".
        spelling: The names of `whole` as the file spells them.
    """

    whole: Mapping[str, str]
    streams: tuple[Mapping[str, str], ...]
    dispositions: tuple[frozenset[str], ...]
    spelling: Mapping[str, str]


def read_tags(url: str, options: Mapping[str, str]) -> Tags:
    """Read the metadata of a file.

    Args:
        url: What to open, as PyAV wants it.
        options: Of the demuxer.

    Returns:
        All tags. The name of a track is its title, whatever the container calls it.
    """
    import av

    with av.open(url, options=dict(options)) as container:
        return Tags(
            _lower(container.metadata),
            tuple(_lower(stream.metadata) for stream in container.streams),
            tuple(
                frozenset(flag.name or "" for flag in stream.disposition)
                for stream in container.streams
            ),
            {key.lower(): key for key in container.metadata},
        )


def _source_tags(info: VideoInfo, told: Mapping[str, str]) -> Tags:
    """Tags of the source, with those of the whole file that it is told beside."""
    tags = Tags({}, ({},), (frozenset(),), {})
    if info.image_pattern is None:
        tags = read_tags(*info.source)
    spelling = {**{key: key for key in told}, **tags.spelling}
    return replace(tags, whole={**tags.whole, **told}, spelling=spelling)


def _lower(tags: Mapping[str, str]) -> dict[str, str]:
    lower = {key.lower(): value for key, value in tags.items()}
    if "name" in lower:
        lower.setdefault("title", lower["name"])
    return lower


def metadata_arguments(
    info: VideoInfo, carried: Carriage, container: str, told: Mapping[str, str] | None = None
) -> list[str]:
    """Tell ffmpeg of the tags that it would not take from the source by itself, or should not.

    Args:
        info: The source.
        carried: What becomes of its streams.
        container: ffmpeg's name of the output's container.
        told: Tags of the whole file, in lower case, that it is to have instead of the source's.

    Returns:
        Arguments for the output.
    """
    tags = _source_tags(info, told or {})
    foreign = container not in {"mp4", "mov"}
    arguments = []
    places: list[tuple[str, _Place]] = [("", None)]
    places += [(f":s:{number}", index) for number, index in enumerate(carried.codecs)]
    for place, index in places:
        found = tags.whole if index is None else tags.streams[index]
        given = {key: "" for key in sorted(_OF_MP4 & found.keys()) if foreign}
        if index is not None and "name" in found:
            given["title"] = found["title"]
        if "creation_time" in found:
            given["creation_time"] = found["creation_time"]
        if index == info.stream_index:
            given["encoder"] = ""  # it names what made the source
        if index is not None and carried.codecs[index] == "attach":
            given = {"mimetype": COVER_TYPES[info.streams[index].codec or ""][1]}
        for key, value in given.items():
            arguments += [f"-metadata{place}", f"{key}={value}"]
    for key, value in (told or {}).items():
        arguments += ["-metadata", f"{key}={value}"]
    return arguments


def complete(
    info: VideoInfo,
    carried: Carriage,
    container: str,
    path: Path,
    told: Mapping[str, str] | None = None,
) -> list[Loss]:
    """Look which tags a finished file lacks, and add those that it can hold.

    Args:
        info: The source.
        carried: What became of its streams.
        container: ffmpeg's name of the file's container.
        path: The file; changed in place.
        told: As for `metadata_arguments`.

    Returns:
        The tags that it cannot hold.
    """
    wanted = _source_tags(info, told or {})
    found = read_tags(media_url(path), {})
    if container in {"mp4", "mov"}:
        absent = {
            wanted.spelling[key]: wanted.whole[key]
            for place, key in _absent(wanted, found, carried)
            if place is None
        }
        if absent:
            add_tags(path, absent, quicktime=container == "mov")
        languages = [wanted.streams[index].get("language") for index in carried.codecs]
        if container == "mov":
            set_languages(path, languages)
        found = read_tags(media_url(path), {})
    losses = []
    for place, key in _absent(wanted, found, carried):
        subject = f"tag:{key}" if place is None else f"stream {place} tag:{key}"
        whose = "" if place is None else f" of stream {place}"
        losses.append(Loss(subject, f"the tag {key}{whose} is lost: {container} cannot hold it"))
    for index, after in zip(carried.codecs, found.dispositions, strict=False):
        losses += [
            Loss(
                f"stream {index} disposition:{flag}",
                f"stream {index} is no longer marked as {flag}: {container} cannot say so",
            )
            for flag in sorted(wanted.dispositions[index] - after)
        ]
    return losses


def _absent(wanted: Tags, found: Tags, carried: Carriage) -> Iterator[tuple[_Place, str]]:
    """Place and key of every tag that the output lacks or has otherwise."""
    everywhere = [*found.streams, found.whole]
    common = {key: tags[key] for key in _OF_ALL for tags in everywhere if key in tags}
    pairs: list[tuple[_Place, Mapping[str, str], Mapping[str, str]]] = [
        (None, wanted.whole, found.whole)
    ]
    pairs += [
        (index, wanted.streams[index], {**common, **after})
        for index, after in zip(carried.codecs, found.streams, strict=False)
    ]
    for place, before, after in pairs:
        for key in sorted(before.keys() - REWRITTEN_TAGS - {"name"}):
            unknown = key == "language" and before[key] == "und"
            if not unknown and not same_text(before[key], after.get(key, "")):
                yield place, key


def same_text(first: str, second: str) -> bool:
    """Whether two tags say the same; times are written with and without fractions."""
    try:
        return datetime.fromisoformat(first) == datetime.fromisoformat(second)
    except (ValueError, TypeError):
        return first.strip() == second.strip()

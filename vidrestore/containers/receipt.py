"""The receipt: what of the source is in the output, stream by stream and tag by tag.

Subjects are named so that the names of losses cover them: "stream 3" covers "stream 3 tag:title".
What the restored video is has no stream number: "rotation", "side data:mastering-display".

Not compared, because every container writes its own:

- the tags in `metadata.REWRITTEN_TAGS`: who wrote the file and how large it is;
- dispositions and tags that are new in the output;
- the time at which a broadcast begins, which is arbitrary;
- timestamps, frame by frame and packet by packet: the check has done that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from vidrestore.containers.metadata import REWRITTEN_TAGS, same_text
from vidrestore.errors import CheckError
from vidrestore.losses import Loss
from vidrestore.media.manifest import Chapter, Manifest, StreamManifest

Status = Literal["kept", "changed as asked", "changed as announced", "lost as announced", "LOST"]

_CONVENTIONS = {
    "colour range": "tv",
    "chroma location": "left",
    "sample aspect ratio": "1:1",
    "tag:language": "und",
}
"""What a file that says nothing means; some codecs and containers cannot say nothing."""

_OF_FILE_TOO = frozenset({"timecode", "creation_time"})
"""Tags of a stream that some containers hold for the whole file only."""

_ANSWERED_FOR = frozenset({"side data:mastering-display", "side data:content-light"})

_TIME_SLACK_S = Fraction(2, 1000)
"""Matroska counts in milliseconds; a time and the first frame's are rounded apart."""

_RATE_SLACK = Fraction(1, 100)
"""Average rates rest on durations, which containers round; the check knows every timestamp."""


@dataclass(frozen=True)
class Entry:
    """One thing that the source holds, or that is new in the output's picture.

    Attributes:
        subject: What it is.
        before: What it is in the source; None if that says nothing.
        after: What it is in the output, likewise.
        status: Whether it was kept, and if not, whether somebody said so. "LOST" also stands for
            a change that nobody asked for or announced.
        note: Why it is not kept.
    """

    subject: str
    before: str | None
    after: str | None
    status: Status
    note: str | None = None


@dataclass(frozen=True)
class Receipt:
    """What became of everything in the source."""

    entries: tuple[Entry, ...]

    @property
    def lost(self) -> tuple[Entry, ...]:
        """What is lost or changed without a word."""
        return tuple(entry for entry in self.entries if entry.status == "LOST")

    def demand(self) -> None:
        """Refuse an output that lost something without a word.

        Raises:
            CheckError: If there is such an entry.
        """
        if self.lost:
            named = "; ".join(
                f"{entry.subject} was {entry.before or 'unknown'}, is {entry.after or 'gone'}"
                for entry in self.lost[:3]
            )
            raise CheckError(
                f"the output lacks what the input has: {named}",
                hint="use an .mkv output, which carries most, and report this as an error",
            )


_BARE_LAYOUTS = {"1 channels": "mono", "2 channels": "stereo"}
"""Layouts that some containers state as a number of channels."""

_Pair = tuple[str, str | None, str | None]
"""A subject, before and after."""


def receipt(
    source: Manifest,
    output: Manifest,
    streams: Sequence[int],
    *,
    asked: Mapping[str, str],
    losses: Sequence[Loss],
    notes: Sequence[str] = (),
) -> Receipt:
    """Compare a finished output with its source.

    Args:
        source: What was in the source.
        output: What is in the output.
        streams: Indices of the source's streams that the output holds, in its order.
        asked: What the user wanted changed: the subject, and how he said so. A subject covers
            all that begins with it.
        losses: What was announced.
        notes: Why the frames need not be those of an uninterrupted run.

    Returns:
        One entry for each thing compared.
    """
    entries = []
    for subject, before, after in _pairs(source, output, _partners(source, output, streams)):
        # The check holds every timestamp. The rate that is made of them differs with what a
        # container states, and what is left of a file that was cut off has none to go by.
        guessed = subject == "frame rate" and subject not in asked
        if (before is None and after is None) or (guessed and not _same(subject, before, after)):
            continue
        if _same(subject, before, after):
            entries.append(Entry(subject, before, after, "kept"))
            continue
        names = {subject, f"stream {source.video} {subject}"}
        wish = next((how for what, how in asked.items() if _covers(what, names)), None)
        loss = next((loss for loss in losses if _covers(loss.subject, names)), None)
        if wish is not None:
            entries.append(Entry(subject, before, after, "changed as asked", wish))
        elif loss is not None:
            status: Status = "lost as announced" if after is None else "changed as announced"
            entries.append(Entry(subject, before, after, status, loss.reason))
        else:
            entries.append(Entry(subject, before, after, "LOST"))
    for note in notes:
        entry = Entry("bit-identity", "claimed", "not claimed", "changed as announced", note)
        entries.append(entry)
    return Receipt(tuple(entries))


def unwritten(source: Manifest, output: Manifest) -> list[Loss]:
    """Name side data of the frames that no encoder was given, such as captions or an ICC profile.

    It may begin after the first frame, so that only the whole file shows it. HDR10's static
    metadata is not meant: whoever encodes answers for that.

    Args:
        source: What was in the source.
        output: What is in the output.

    Returns:
        One loss for each kind.
    """
    before, after = (file.streams[file.video].facts for file in (source, output))
    names = [fact for fact in before if fact.startswith("side data:") and fact not in after]
    return [
        Loss(name, f"the {name.removeprefix('side data:')} data of the frames is dropped")
        for name in names
        if name not in _ANSWERED_FOR
    ]


def _covers(what: str, names: set[str]) -> bool:
    lower = what.lower()
    return any(
        name.lower() == lower or name.lower().startswith((f"{lower} ", f"{lower}:"))
        for name in names
    )


def _partners(
    source: Manifest, output: Manifest, streams: Sequence[int]
) -> dict[int, StreamManifest]:
    """The output's stream for each stream of the source that went in.

    Files are read with their attachments last, whatever the order they were written in.
    """
    went_in = [source.streams[index] for index in streams]
    pairs: dict[int, StreamManifest] = {}
    for last in (False, True):
        befores = [stream for stream in went_in if _comes_last(stream) is last]
        afters = [stream for stream in output.streams if _comes_last(stream) is last]
        pairs |= {before.index: after for before, after in zip(befores, afters, strict=False)}
    return pairs


def _comes_last(stream: StreamManifest) -> bool:
    return stream.kind in {"attachment", "cover"}


def _pairs(
    source: Manifest, output: Manifest, partners: Mapping[int, StreamManifest]
) -> Iterator[_Pair]:
    """Everything to compare."""
    for stream in source.streams:
        after = partners.get(stream.index)
        name = f"stream {stream.index}"
        if stream.index == source.video:
            assert after is not None, "there is no output without the video"
            yield from _facts("", stream, after)
            yield from _labels(name, stream, after, output)
        elif _is_made_anew(stream, source):
            yield from _timecode(name, stream, output)
        elif after is None:
            yield name, stream.kind, None
        else:
            yield name, stream.kind, after.kind
            yield from _facts(f"{name} ", stream, after)
            yield from _content(name, stream, after)
            yield from _labels(name, stream, after, output)
    yield from _tags("", source.tags, output.tags)
    if source.chapters or output.chapters:
        before, found = _listed(source.chapters), _listed(output.chapters)
        yield "chapters", before, before if _agree(source.chapters, output.chapters) else found


def _is_made_anew(stream: StreamManifest, source: Manifest) -> bool:
    """Whether it is a track that containers make of chapters or of a timecode by themselves."""
    if stream.kind != "data" or stream.facts["codec"] is not None:
        return False
    return "timecode" in stream.tags or bool(source.chapters)


def _timecode(name: str, stream: StreamManifest, output: Manifest) -> Iterator[_Pair]:
    """A timecode is kept wherever the output states it, as a track or as a tag."""
    wanted = stream.tags.get("timecode")
    if wanted is not None:
        stated = [output.tags, *(other.tags for other in output.streams)]
        found = [_lower(tags).get("timecode") for tags in stated]
        yield f"{name} timecode", wanted, wanted if wanted in found else None


def _facts(prefix: str, before: StreamManifest, after: StreamManifest) -> Iterator[_Pair]:
    for name in {**before.facts, **after.facts}:
        if name == "styles" and name not in before.facts:
            continue  # of a codec that cannot do without
        yield f"{prefix}{name}", before.facts.get(name), after.facts.get(name)


def _content(name: str, before: StreamManifest, after: StreamManifest) -> Iterator[_Pair]:
    """The bytes of a stream, or its words if it had to be converted, and where they lie."""
    if before.facts["codec"] == after.facts["codec"]:
        if before.payload_sha256 is not None:
            yield f"{name} content", _short(before.payload_sha256), _short(after.payload_sha256)
    elif before.text_sha256 is not None:
        yield f"{name} text", _short(before.text_sha256), _short(after.text_sha256)
    if before.kind in {"subtitle", "data"}:
        yield f"{name} begins", _seconds(before.first_s), _seconds(after.first_s)
        yield f"{name} last packet", _seconds(before.last_s), _seconds(after.last_s)


def _labels(
    name: str, before: StreamManifest, after: StreamManifest, output: Manifest
) -> Iterator[_Pair]:
    """Tags and dispositions of a stream."""
    of_file = {key: value for key, value in _lower(output.tags).items() if key in _OF_FILE_TOO}
    yield from _tags(f"{name} ", before.tags, {**of_file, **_lower(after.tags)})
    for disposition in before.dispositions:
        kept = disposition if disposition in after.dispositions else None
        yield f"{name} disposition:{disposition}", disposition, kept


def _tags(prefix: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[_Pair]:
    found = _lower(after)
    for key, value in _lower(before).items():
        if key not in REWRITTEN_TAGS:
            yield f"{prefix}tag:{key}", value, found.get(key)


def _lower(tags: Mapping[str, str]) -> dict[str, str]:
    """Matroska writes the names of tags in capitals, MP4 calls the title of a track its name."""
    lower = {key.lower(): value for key, value in tags.items()}
    if "name" in lower:
        lower.setdefault("title", lower.pop("name"))
    return lower


def _agree(before: Sequence[Chapter], after: Sequence[Chapter]) -> bool:
    return len(before) == len(after) and all(
        (one.title or "") == (other.title or "")
        and abs(one.start_s - other.start_s) <= _TIME_SLACK_S
        and abs(one.end_s - other.end_s) <= _TIME_SLACK_S
        for one, other in zip(before, after, strict=True)
    )


def _listed(chapters: Sequence[Chapter]) -> str | None:
    if not chapters:
        return None
    return ", ".join(
        f"{float(chapter.start_s):.3f}-{float(chapter.end_s):.3f} {chapter.title or ''}".strip()
        for chapter in chapters
    )


def _short(sha256: str | None) -> str | None:
    return None if sha256 is None else f"sha256 {sha256[:16]}"


def _seconds(time_s: Fraction | None) -> str | None:
    return None if time_s is None else f"{float(time_s):.3f} s"


def _same(subject: str, before: str | None, after: str | None) -> bool:
    """Whether two values mean the same."""
    name = subject.removeprefix("stream ").lstrip("0123456789 ")
    usual = _CONVENTIONS.get(name)
    first, second = before or usual, after or usual
    if first == second:
        return True
    if first is None or second is None:
        return False
    if name in {"begins", "last packet"}:
        apart_s = Fraction(first.removesuffix(" s")) - Fraction(second.removesuffix(" s"))
        return abs(apart_s) <= _TIME_SLACK_S
    if name == "channel layout":
        return _BARE_LAYOUTS.get(first, first) == _BARE_LAYOUTS.get(second, second)
    if name == "frame rate":
        # Multiplied, not divided: damage can make a duration so long that a mean rate is none.
        return abs(Fraction(second) - Fraction(first)) <= _RATE_SLACK * Fraction(first)
    if name.startswith("tag:"):
        return same_text(first, second)
    return False

"""The ffmpeg command that writes the output: joined video and the source's other streams."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import Any

from vidrestore.containers.carry import Carriage, stretching
from vidrestore.containers.join import Joint
from vidrestore.containers.metadata import metadata_arguments
from vidrestore.encoders.encoding import colour_options
from vidrestore.media.ffmpeg import composable, media_url, version
from vidrestore.media.hdr import hdr_input_options
from vidrestore.media.probe import StreamInfo, VideoInfo

ROTATION_SINCE = (6, 0)
"""First ffmpeg that can write a display matrix."""

_TRUE_TICKS_SINCE = (6, 0)
"""Older ffmpeg tells bitstream filters the input's ticks, but gives them the output's packets."""

_ABSOLUTE_CLOCK = frozenset({"mpegts", "mpeg"})
"""Broadcast containers: their first timestamp is an arbitrary moment, not a delay."""

_MATROSKA_TICK = Fraction(1, 1000)

_OFFSET_TICK = Fraction(1, 1_000_000)
"""ffmpeg shifts timestamps by whole microseconds."""

_LARGEST_TIMESCALE = 2**31 - 1

_LARGEST_ASPECT_TERM = 255
"""ffmpeg's -aspect rounds finer ratios; those travel in the bitstream alone."""

_FIELD_ORDERS = {"tff": "tt", "bff": "bb"}

_Interval = tuple[Fraction | None, Fraction]
"""Begin and end in seconds of the source; None is the beginning."""


def shift(joined: Joint, container: str, *, trim: bool, stretched: bool) -> Fraction:
    """Find the seconds to take off every timestamp, a whole number of the output's ticks.

    Timestamps stay what they are, except where the beginning was cut off, for broadcast
    containers, whose arbitrary first time would become a delay elsewhere, and where stretched
    sound would begin before zero.

    Args:
        joined: The video.
        container: ffmpeg's name of the output's container.
        trim: Whether the frames are only a part of the source.
        stretched: Whether sound is slowed down with the picture.

    Returns:
        The seconds, negative if everything comes later.
    """
    info, clock = joined.info, joined.clock
    start_s = max(0, round(info.container_start / info.time_base)) * info.time_base
    cut = trim and joined.kept_s[0] is not None
    if stretched and not cut:
        start_s = clock.output_time(start_s)
    shift_s = start_s if info.format_name in _ABSOLUTE_CLOCK else min(start_s, Fraction(0))
    if trim:
        shift_s += joined.first_s - info.start_pts * info.time_base
    # ffmpeg rounds a timestamp and the offset apart; a whole offset leaves one rounding.
    mp4 = container in {"mp4", "mov"}
    tick = max(clock.time_base, _OFFSET_TICK) if mp4 else _MATROSKA_TICK
    return shift_s // tick * tick


def command(
    joined: Joint,
    carried: Carriage,
    container: str,
    shift_s: Fraction,
    target: Path,
    ffmpeg: str,
    *,
    trim: bool,
    covers: Mapping[int, Path] | None = None,
    told: Mapping[str, str] | None = None,
) -> list[str]:
    """Compose the command, which takes the joined video from its standard input.

    Args:
        joined: The video.
        carried: What becomes of the other streams.
        container: ffmpeg's name of the output's container.
        shift_s: Seconds to take off every timestamp.
        target: File to write.
        ffmpeg: Path of the ffmpeg executable.
        trim: Whether other streams are cut to the frames.
        covers: Pictures to attach, by the index of their stream.
        told: Tags of the whole file that it is to have instead of the source's.

    Returns:
        Executable and arguments.
    """
    import ffmpeg as compose

    info = joined.info
    kept_s = joined.kept_s if trim else None
    options: dict[str, Any] = {"f": container, "c": "copy", "copyts": None}
    options |= {"avoid_negative_ts": "disabled", "max_interleave_delta": "0"}
    if shift_s:
        options["output_ts_offset"] = f"{round(-shift_s / _OFFSET_TICK)}us"
    if container in {"mp4", "mov"}:
        options |= _timescales(joined, carried)
    stated = {**_orientation(info, ffmpeg), **hdr_input_options(info.hdr, ffmpeg)}
    video = compose.input("pipe:0", f="nut", **stated)["v:0"]
    mapped = [video]
    if info.image_pattern is None:
        url, asked = info.source
        source = compose.input(composable(url), **asked, **_reading(info, kept_s))
        mapped = [
            video if index == info.stream_index else source[str(index)]
            for index, codec in carried.codecs.items()
            if codec != "attach"
        ]
        # Matches no stream, but keeps the source among the inputs when there is only video.
        mapped.append(source[f"{len(info.streams)}?"])
        options |= _metadata(joined, carried)
    for position, (index, codec) in enumerate(carried.codecs.items()):
        tick = "tb"
        if version(ffmpeg) < _TRUE_TICKS_SINCE:
            tick = _other_tick(info.streams[index], container)
        options |= _stream_options(joined, position, index, codec, kept_s, tick)
    options[f"bsf:{list(carried.codecs).index(info.stream_index)}"] = joined.retiming(
        None if version(ffmpeg) >= _TRUE_TICKS_SINCE else _tick_s(joined, container)
    )
    place = composable(media_url(target))
    argv: list[str] = compose.output(*mapped, place, **options).compile(cmd=ffmpeg)
    # ffmpeg-python takes an option once; these are given several times.
    repeated = metadata_arguments(info, carried, container, told)
    for path in (covers or {}).values():
        repeated += ["-attach", media_url(path)]
    return [*argv[:-1], *repeated, argv[-1]]


def _reading(info: VideoInfo, kept_s: _Interval | None) -> dict[str, str]:
    """Read roughly the wanted part of the source: no more than needed, but all of that."""
    asked = {}
    if kept_s is not None:
        asked["to"] = str(float(kept_s[1] - info.container_start + 1))
        # Seeking aims at the video: from 0, it would miss sound that begins before.
        if kept_s[0] is not None and kept_s[0] > info.container_start + 1:
            asked["ss"] = str(float(kept_s[0] - info.container_start - 1))
    return asked


def _metadata(joined: Joint, carried: Carriage) -> dict[str, Any]:
    """Take titles, languages and chapters from the source."""
    # ffmpeg-python lists the inputs as they are mapped.
    number = "1" if next(iter(carried.codecs)) == joined.info.stream_index else "0"
    options = {"map_metadata": number, "map_chapters": number if carried.chapters else "-1"}
    for position, (index, codec) in enumerate(carried.codecs.items()):
        if codec != "attach":
            options[f"map_metadata:s:{position}"] = f"{number}:s:{index}"
    if joined.clock.speed != 1:
        options |= {"metadata": "timecode=", "metadata:s": "timecode="}  # MOV makes a track of it
    return options


def _orientation(info: VideoInfo, ffmpeg: str) -> dict[str, str | None]:
    if version(ffmpeg) < ROTATION_SINCE or not (info.rotation_deg or info.mirrored):
        return {}
    mirror: dict[str, str | None] = {"display_hflip": None} if info.mirrored else {}
    return {"display_rotation": str(info.rotation_deg), **mirror}


def _stream_options(
    joined: Joint, position: int, index: int, codec: str, kept_s: _Interval | None, tick: str
) -> dict[str, Any]:
    """What ffmpeg must be told about one stream of the output; `tick` is what its packets count."""
    stream = joined.info.streams[index]
    options: dict[str, Any] = {f"disposition:{position}": "+".join(stream.dispositions) or "0"}
    if codec == "attach":
        return {}
    if codec != "copy":
        options[f"c:{position}"] = codec
    if index == joined.info.stream_index:
        options |= _video_options(joined, position)
    elif stream.kind == "audio" and codec != "copy":
        options[f"filter:{position}"] = stretching(joined.clock, kept_s)
    elif kept_s is not None and "attached_pic" not in stream.dispositions:
        outside = f"gte(pts*{tick},{float(kept_s[1])!r})"
        if kept_s[0] is not None:
            outside += f"+lt(pts*{tick},{float(kept_s[0])!r})"
        options[f"bsf:{position}"] = f"noise=drop='{outside}'"
    return options


def _video_options(joined: Joint, position: int) -> dict[str, Any]:
    """Restate what ffmpeg would not copy by itself."""
    info = joined.info
    options: dict[str, Any] = {
        **{f"{name}:{position}": tag for name, tag in colour_options(info.colour).items()},
    }
    if info.field_order is not None:
        options[f"field_order:{position}"] = _FIELD_ORDERS[info.field_order]
    if info.sar is not None:
        aspect = info.sar * info.width / info.height
        if max(aspect.numerator, aspect.denominator) <= _LARGEST_ASPECT_TERM:
            options[f"aspect:{position}"] = f"{aspect.numerator}:{aspect.denominator}"
    return options


def _tick_s(joined: Joint, container: str) -> Fraction:
    """Seconds per tick of the video in the output."""
    if container in {"mp4", "mov"}:
        return Fraction(1, joined.clock.time_base.denominator)
    return _MATROSKA_TICK


def _other_tick(stream: StreamInfo, container: str) -> str:
    """Seconds per tick of another stream in the output, as an expression of its filters."""
    if container not in {"mp4", "mov"}:
        return f"{float(_MATROSKA_TICK)}"
    return f"1/{stream.sample_rate_hz}" if stream.sample_rate_hz else "tb"


def _timescales(joined: Joint, carried: Carriage) -> dict[str, str]:
    """Count MP4 time in ticks that make every timestamp and, if possible, every offset whole."""
    movie = video = joined.clock.time_base.denominator
    for index in carried.codecs:
        whole = lcm(movie, joined.info.streams[index].sample_rate_hz or 1)
        if whole <= _LARGEST_TIMESCALE:
            movie = whole
    return {"video_track_timescale": str(video), "movie_timescale": str(movie)}

"""Segments and the source's other streams to the output file: packets are joined, not files."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import Any

from vidrestore.carry import Carriage, carriage, check_output
from vidrestore.encode import SegmentFile, colour_options
from vidrestore.errors import CheckError, OutputError, UsageError
from vidrestore.ffmpeg import FfmpegProcess, media_url, version
from vidrestore.join import Joint, joint
from vidrestore.probe import VideoInfo

CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
}
"""ffmpeg's container for each suffix that an output may have."""

_ABSOLUTE_CLOCK = frozenset({"mpegts", "mpeg"})
"""Broadcast containers: their first timestamp is an arbitrary moment, not a delay."""

_MATROSKA_TICK = Fraction(1, 1000)

_LARGEST_TIMESCALE = 2**31 - 1

_LARGEST_ASPECT_TERM = 255
"""ffmpeg's -aspect rounds finer ratios; those travel in the bitstream alone."""

ROTATION_SINCE = (6, 0)
"""First ffmpeg that can write a display matrix."""


@dataclass(frozen=True)
class MuxResult:
    """The checked output under its temporary name.

    Attributes:
        path: Temporary file beside the output, flushed to disk; `publish` gives it its name.
        frames: Number of video frames in it.
        shift_s: Seconds by which every timestamp is earlier than in the source.
        warnings: What the output's container could not carry or had to convert.
    """

    path: Path
    frames: int
    shift_s: Fraction
    warnings: tuple[str, ...]


def output_format(output: Path, codec: str) -> str:
    """Name the container of an output, before any work is done for it.

    Args:
        output: Path of the output; its suffix decides.
        codec: Codec of the video, as in `EncodeSettings`.

    Returns:
        ffmpeg's name of the container.

    Raises:
        UsageError: If the suffix is unknown or that container cannot hold the codec.
    """
    import av

    container = CONTAINERS.get(output.suffix.lower())
    if container is None:
        raise UsageError(
            f"cannot write {output.suffix or 'a file without suffix'}",
            hint=f"let the output end in {', '.join(CONTAINERS)}",
        )
    with av.open(io.BytesIO(), "w", format=container) as trial:
        if codec not in trial.supported_codecs:
            raise UsageError(
                f"{container} cannot hold {codec} video", hint="use an .mkv output instead"
            )
    return container


def mux(
    info: VideoInfo,
    segments: Sequence[SegmentFile],
    pts: Sequence[int],
    output: Path,
    *,
    ffmpeg: str,
    trim: bool = False,
) -> MuxResult:
    """Join the segments and add every other stream of the source, untouched.

    Args:
        info: The source.
        segments: Finished segments in order of time, all with the same encoder settings.
        pts: PTS of every frame in ticks of the source's time base, increasing; one entry for
            each frame of the segments.
        output: The final path; a temporary file is written beside it.
        ffmpeg: Path of the ffmpeg executable.
        trim: Whether the frames are only a part of the source, so that the other streams are
            cut to the same interval and everything moves to the beginning.

    Returns:
        The temporary file, checked, and what could not be kept.

    Raises:
        FfmpegError: If ffmpeg failed.
        OutputError: If the file cannot be written.
        CheckError: If the file does not hold what it must.
    """
    import av

    container = CONTAINERS[output.suffix.lower()]
    carried = carriage(info, container)
    joined = joint(info, segments, pts)
    shift_s = _shift(info, pts[0], container, trim=trim)
    warnings = list(carried.warnings)
    if (info.rotation_deg or info.mirrored) and version(ffmpeg) < ROTATION_SINCE:
        warnings.append("the rotation is lost: this ffmpeg cannot write it, version 6 can")
    temporary = output.with_name(f".{output.stem}.partial{output.suffix}")
    argv = _command(joined, carried, container, shift_s, temporary, ffmpeg, trim=trim)
    try:
        with FfmpegProcess(argv, stdin=True) as process:
            try:
                joined.write(process.stdin)
            except (OSError, av.error.FFmpegError) as error:
                process.finish()  # if ffmpeg died, its own message says why
                raise CheckError(
                    f"the segments cannot be joined: {error}",
                    hint="delete the work folder and run again",
                ) from error
            process.finish()
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        check_output(info, carried, pts, shift_s, temporary, trimmed=trim)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return MuxResult(temporary, len(pts), shift_s, tuple(warnings))


def publish(temporary: Path, output: Path, *, overwrite: bool) -> None:
    """Give a finished file its final name, all or nothing.

    Args:
        temporary: The file, in the same folder as the output.
        output: The final path.
        overwrite: Whether an existing file may be replaced.

    Raises:
        OutputError: If the output exists and may not be replaced, or cannot be written.
    """
    try:
        if overwrite:
            temporary.replace(output)
        else:
            os.link(temporary, output)  # unlike a rename, it never replaces
            temporary.unlink()
        folder = os.open(output.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError as error:
        raise OutputError(f"{output} exists already", hint="use -y to replace it") from error
    except OSError as error:
        raise OutputError(
            f"cannot write {output}: {error.strerror}", hint="choose another output folder"
        ) from error


def _shift(info: VideoInfo, first_pts: int, container: str, *, trim: bool) -> Fraction:
    """Seconds to take off every timestamp, a whole number of the output's ticks.

    Timestamps stay what they are, except where the beginning was cut off, and except for
    broadcast containers, whose arbitrary first time would become a delay elsewhere.
    """
    shift = 0
    if info.format_name in _ABSOLUTE_CLOCK:
        shift += round(info.container_start / info.time_base)
    if trim:
        shift += first_pts - info.start_pts
    # ffmpeg rounds a timestamp and the offset apart; a whole offset leaves one rounding.
    tick = info.time_base if container in {"mp4", "mov"} else _MATROSKA_TICK
    return shift * info.time_base // tick * tick


def _command(
    joined: Joint,
    carried: Carriage,
    container: str,
    shift_s: Fraction,
    temporary: Path,
    ffmpeg: str,
    *,
    trim: bool,
) -> list[str]:
    import ffmpeg as compose

    info = joined.info
    interval_s = joined.interval_s if trim else None
    options: dict[str, Any] = {"f": container, "c": "copy", "copyts": None}
    options |= {"avoid_negative_ts": "disabled", "max_interleave_delta": "0"}
    if shift_s:
        options["output_ts_offset"] = f"{round(-shift_s * 1_000_000)}us"
    if container in {"mp4", "mov"}:
        options |= _timescales(info)
    video = compose.input("pipe:0", f="nut", **_orientation(info, ffmpeg))["v:0"]
    mapped = [video]
    if info.image_pattern is None:
        url, asked = info.source
        if interval_s is not None:  # roughly, to read no more than needed
            first_s, last_s = (float(time - info.container_start) for time in interval_s)
            asked = {**asked, "ss": str(max(0.0, first_s - 1)), "to": str(last_s + 1)}
        source = compose.input(url, **asked)
        mapped = [
            video if index == info.stream_index else source[str(index)] for index in carried.codecs
        ]
        # Matches no stream, but keeps the source among the inputs when there is only video.
        mapped.append(source[f"{len(info.streams)}?"])
        number = _source_number(info, carried)
        options |= {"map_metadata": number, "map_chapters": number}
    for position, (index, codec) in enumerate(carried.codecs.items()):
        options |= _stream_options(info, position, index, codec)
        if info.image_pattern is None:
            options[f"map_metadata:s:{position}"] = f"{_source_number(info, carried)}:s:{index}"
        if index == info.stream_index:
            options[f"bsf:{position}"] = joined.retiming
        elif interval_s is not None and "attached_pic" not in info.streams[index].dispositions:
            outside = f"gte(pts*tb,{float(interval_s[1])!r})"
            if joined.pts[0] > info.start_pts:  # what precedes the first frame stays with it
                outside += f"+lt(pts*tb,{float(interval_s[0])!r})"
            options[f"bsf:{position}"] = f"noise=drop='{outside}'"
    argv: list[str] = compose.output(*mapped, media_url(temporary), **options).compile(cmd=ffmpeg)
    return argv


def _source_number(info: VideoInfo, carried: Carriage) -> str:
    """Number of the source among ffmpeg's inputs, which ffmpeg-python lists as they are mapped."""
    return "1" if next(iter(carried.codecs)) == info.stream_index else "0"


def _orientation(info: VideoInfo, ffmpeg: str) -> dict[str, str | None]:
    if version(ffmpeg) < ROTATION_SINCE or not (info.rotation_deg or info.mirrored):
        return {}
    mirror: dict[str, str | None] = {"display_hflip": None} if info.mirrored else {}
    return {"display_rotation": str(info.rotation_deg), **mirror}


def _stream_options(info: VideoInfo, position: int, index: int, codec: str) -> dict[str, str]:
    """Restate what ffmpeg would not copy by itself for one stream of the output."""
    options = {f"disposition:{position}": "+".join(info.streams[index].dispositions) or "0"}
    if codec != "copy":
        options[f"c:{position}"] = codec
    if index == info.stream_index:
        options[f"metadata:s:{position}"] = "encoder="  # it names what made the source
        options |= {f"{name}:{position}": tag for name, tag in colour_options(info.colour).items()}
        if info.sar is not None:
            aspect = info.sar * info.width / info.height
            if max(aspect.numerator, aspect.denominator) <= _LARGEST_ASPECT_TERM:
                options[f"aspect:{position}"] = f"{aspect.numerator}:{aspect.denominator}"
    return options


def _timescales(info: VideoInfo) -> dict[str, str]:
    """Count MP4 time in ticks that make every timestamp and every offset whole."""
    video = info.time_base.denominator
    movie = lcm(video, *(stream.sample_rate_hz or 1 for stream in info.streams))
    timescales = {"video_track_timescale": str(video)}
    if movie <= _LARGEST_TIMESCALE:
        timescales["movie_timescale"] = str(movie)
    return timescales

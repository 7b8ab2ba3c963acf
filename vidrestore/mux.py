"""Segments and the source's other streams to the output file: packets are joined, not files."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vidrestore.carry import Audio, carriage
from vidrestore.check import OutputCheck, check_output
from vidrestore.clock import Clock
from vidrestore.compose import ROTATION_SINCE, command, shift
from vidrestore.encode import SegmentFile
from vidrestore.errors import CheckError, OutputError, UsageError
from vidrestore.ffmpeg import FfmpegProcess, version
from vidrestore.join import joint
from vidrestore.probe import VideoInfo

CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
}
"""ffmpeg's container for each suffix that an output may have."""


@dataclass(frozen=True)
class MuxResult:
    """The checked output under its temporary name.

    Attributes:
        path: Temporary file beside the output, flushed to disk; `publish` gives it its name.
        frames: Number of video frames in it.
        shift_s: Seconds by which every timestamp is earlier than in the source.
        check: What was found in it, and what was planned.
        warnings: What the output's container could not carry or had to convert.
    """

    path: Path
    frames: int
    shift_s: Fraction
    check: OutputCheck
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
    clock: Clock | None = None,
    audio: Audio = "copy",
) -> MuxResult:
    """Join the segments and add every other stream of the source.

    Args:
        info: The source.
        segments: Finished segments in order of time, all with the same encoder settings.
        pts: PTS of every frame in ticks of the clock, increasing; one entry for each frame of
            the segments.
        output: The final path; a temporary file is written beside it.
        ffmpeg: Path of the ffmpeg executable.
        trim: Whether the frames are only a part of the source, so that the other streams are
            cut to the same interval and everything moves to the beginning.
        clock: Of the output; None for the source's own.
        audio: What happens to the sound; it is stretched only in slow motion.

    Returns:
        The temporary file, checked, and what could not be kept.

    Raises:
        FfmpegError: If ffmpeg failed.
        OutputError: If the file cannot be written.
        CheckError: If the file does not hold what it must.
    """
    import av

    container = CONTAINERS[output.suffix.lower()]
    clock = clock or Clock.of(info)
    carried = carriage(info, container, clock.speed, audio)
    joined = joint(info, clock, segments, pts)
    shift_s = shift(joined, container, trim=trim, stretched=audio == "stretch")
    warnings = list(carried.warnings)
    if (info.rotation_deg or info.mirrored) and version(ffmpeg) < ROTATION_SINCE:
        warnings.append("the rotation is lost: this ffmpeg cannot write it, version 6 can")
    temporary = output.with_name(f".{output.stem}.partial{output.suffix}")
    argv = command(joined, carried, container, shift_s, temporary, ffmpeg, trim=trim)
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
        check = check_output(joined, carried, shift_s, temporary, trim=trim)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return MuxResult(temporary, len(pts), shift_s, check, tuple(warnings))


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

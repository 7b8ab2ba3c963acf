"""Segments and the source's other streams to the output file: packets are joined, not files."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from vidrestore.containers.carry import Audio, carriage
from vidrestore.containers.check import OutputCheck, check_output
from vidrestore.containers.compose import ROTATION_SINCE, command, shift
from vidrestore.containers.covers import extract_covers
from vidrestore.containers.join import Joint, joint
from vidrestore.containers.metadata import complete
from vidrestore.containers.sequence import (
    check_frames,
    demand_constant_rate,
    discard_output,
    frames_command,
    frames_losses,
    holds_frames_only,
    home,
    is_numbered,
    publish_images,
)
from vidrestore.encoders.encode import SegmentFile
from vidrestore.errors import CheckError, OutputError, UsageError
from vidrestore.losses import Loss
from vidrestore.media.clock import Clock
from vidrestore.media.ffmpeg import FfmpegProcess, media_url, version
from vidrestore.media.probe import VideoInfo

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
        losses: What the output's container could not carry or had to convert.
        streams: Indices of the source's streams that it holds, in its order.
    """

    path: Path
    frames: int
    shift_s: Fraction
    check: OutputCheck
    losses: tuple[Loss, ...]
    streams: tuple[int, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line for each loss; what several share is said once."""
        return tuple(dict.fromkeys(map(str, self.losses)))


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

    if holds_frames_only(output):
        return "image2" if is_numbered(output) else "yuv4mpegpipe"
    container = CONTAINERS.get(output.suffix.lower())
    if container is None:
        raise UsageError(
            f"cannot write {output.suffix or 'a file without suffix'}",
            hint=f"let the output end in {', '.join(CONTAINERS)}, .y4m or, numbered, %05d.png",
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
    work: Path | None = None,
    told: Mapping[str, str] | None = None,
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
        work: Folder for temporary files on the output's own disk; None for the output's folder.
        told: Tags of the whole file that it is to have instead of the source's.

    Returns:
        The temporary file, checked, and what could not be kept.

    Raises:
        FfmpegError: If ffmpeg failed.
        OutputError: If the file cannot be written.
        CheckError: If the file does not hold what it must.
    """
    clock = clock or Clock.of(info)
    if holds_frames_only(output):
        return _frames(joint(info, clock, segments, pts), output, ffmpeg, work)
    container = CONTAINERS[output.suffix.lower()]
    carried = carriage(info, container, clock.speed, audio, trim=trim)
    joined = joint(info, clock, segments, pts)
    shift_s = shift(joined, container, trim=trim, stretched=audio == "stretch")
    losses = list(carried.losses)
    if (info.rotation_deg or info.mirrored) and version(ffmpeg) < ROTATION_SINCE:
        reason = "the rotation is lost: this ffmpeg cannot write it, version 6 can"
        losses.append(Loss("rotation", reason))
    temporary = _unfinished(output, work)
    try:
        with tempfile.TemporaryDirectory(prefix="covers-", dir=work) as folder:
            covers = extract_covers(info, carried, Path(folder))
            argv = command(
                joined,
                carried,
                container,
                shift_s,
                temporary,
                ffmpeg,
                trim=trim,
                covers=covers,
                told=told,
            )
            run_with(joined, argv)
        losses += complete(info, carried, container, temporary, told)
        losses += _pixel_shape(info, tuple(carried.codecs).index(info.stream_index), temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        check = check_output(joined, carried, shift_s, temporary, trim=trim)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return MuxResult(temporary, len(pts), shift_s, check, tuple(losses), tuple(carried.codecs))


def _pixel_shape(info: VideoInfo, place: int, path: Path) -> list[Loss]:
    """Matroska rounds the shown width to whole pixels, and not every codec states the ratio."""
    import av

    with av.open(media_url(path)) as container:
        stream: Any = container.streams[place]
        found = stream.sample_aspect_ratio or Fraction(1)
    wanted = info.sar or Fraction(1)
    if found == wanted:
        return []
    reason = f"the pixel aspect ratio becomes {found} instead of {wanted}: this container rounds it"
    return [Loss("sample aspect ratio", reason)]


def _unfinished(output: Path, work: Path | None) -> Path:
    """Temporary name of an output."""
    if work is None:
        return output.with_name(f".{output.stem}.partial{output.suffix}")
    return work / f"partial{output.suffix}"


def _frames(joined: Joint, output: Path, ffmpeg: str, work: Path | None) -> MuxResult:
    """Write images or Y4M, which hold nothing else, under a temporary name."""
    clock, info = joined.clock, joined.info
    times_s = [pts * clock.time_base for pts in joined.pts]
    demand_constant_rate(times_s, clock.frame_rate, max(clock.time_base, info.time_base))
    named = home(output)
    temporary = _unfinished(named, work)
    target = temporary / output.name if is_numbered(output) else temporary
    discard_output(temporary)
    try:
        if is_numbered(output):
            temporary.mkdir()
        run_with(joined, frames_command(joined, target, ffmpeg))
        for path in temporary.iterdir() if temporary.is_dir() else [temporary]:
            with path.open("rb") as file:
                os.fsync(file.fileno())
        check = check_frames(joined, target)
        losses = tuple(frames_losses(info, output))
    except BaseException:
        discard_output(temporary)
        raise
    return MuxResult(temporary, len(joined.pts), times_s[0], check, losses, (info.stream_index,))


def run_with(joined: Joint, argv: list[str]) -> None:
    """Run an ffmpeg command on the joined video.

    Args:
        joined: What its standard input gets.
        argv: Executable and arguments.

    Raises:
        FfmpegError: If ffmpeg failed.
        OutputError: If the disk is full.
        CheckError: If the segments are damaged.
    """
    import av

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


def suggest_output(info: VideoInfo, named: Path) -> tuple[Path, str | None]:
    """Choose a container that carries everything, for a user who did not choose one.

    Args:
        info: The source.
        named: The output that would be written otherwise.

    Returns:
        That output, or the same in Matroska and the reason.
    """
    container = CONTAINERS[named.suffix.lower()]
    fewer = len(carriage(info, container).codecs) < len(carriage(info, "matroska").codecs)
    if container == "matroska" or not fewer:
        return named, None
    roomy = named.with_suffix(".mkv")
    return roomy, f"{roomy.name} is written, since {container} cannot carry every stream"


def publish(temporary: Path, output: Path, *, overwrite: bool) -> None:
    """Give a finished file its final name, all or nothing.

    Args:
        temporary: The file, on the same disk as the output.
        output: The final path.
        overwrite: Whether an existing file may be replaced.

    Raises:
        OutputError: If the output exists and may not be replaced, or cannot be written.
    """
    if temporary.is_dir():
        publish_images(temporary, output, overwrite=overwrite)
        return
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

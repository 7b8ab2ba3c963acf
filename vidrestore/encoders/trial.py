"""What an ffmpeg can do, found by asking it and by letting it encode a few frames."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vidrestore.encoders.encoding import EncodingPlan, encode_command, frame_times
from vidrestore.errors import FfmpegError, InputError
from vidrestore.media.clock import Clock
from vidrestore.media.ffmpeg import FfmpegProcess, media_url
from vidrestore.media.probe import VideoInfo, probe
from vidrestore.media.rawpipe import RawPipe
from vidrestore.media.scratch import scratch

_SUFFIXES = {"nut": ".nut", "matroska": ".mkv"}


@dataclass(frozen=True)
class Trial:
    """What came of encoding a few frames.

    Attributes:
        info: The video that came out.
        times: Timestamps of its frames, the n-th frame that went in being at n ticks.
    """

    info: VideoInfo
    times: list[int]


@lru_cache
def taken_formats(ffmpeg: str, encoder: str) -> tuple[str, ...] | None:
    """Ask an ffmpeg which pixel formats an encoder takes.

    Args:
        ffmpeg: Path of the executable.
        encoder: ffmpeg's name of the encoder.

    Returns:
        The formats, empty if it takes any; None if this ffmpeg has no such encoder.
    """
    with FfmpegProcess([ffmpeg, "-h", f"encoder={encoder}"], stdout=True) as process:
        text = process.stdout.read().decode(errors="replace")
        process.wait()
    if not text.startswith("Encoder "):
        return None
    lines = [line for line in text.splitlines() if "Supported pixel formats:" in line]
    return tuple(lines[0].partition(":")[2].split()) if lines else ()


def attempt(plan: EncodingPlan, frames: int, container: str = "nut") -> Trial:
    """Carry a plan out on a few black frames.

    Args:
        plan: The plan.
        frames: Number of frames.
        container: ffmpeg's name of the container to write.

    Returns:
        What came out.

    Raises:
        FfmpegError: If ffmpeg refuses; the message is its own.
    """
    import av

    source = plan.source
    dtype = np.uint8 if source.bit_depth == 8 else np.dtype("<u2")
    black = [np.zeros(shape, dtype) for shape in source.plane_shapes]
    clock = Clock.of(source)
    with scratch() as folder:
        path = folder / f"trial{_SUFFIXES[container]}"
        argv = encode_command(plan, media_url(path), clock, container)
        with FfmpegProcess(argv, stdin=True) as process:
            try:
                pipe = RawPipe(process.stdin, source, clock)
                for number in range(frames):
                    pipe.write(black, number * clock.step)
                pipe.close()
            except (OSError, ValueError, av.error.FFmpegError):
                process.finish()  # it tells why it stopped reading
            process.finish()
        try:
            info = probe(path)
            times = frame_times(path, source.time_base * clock.step) if container == "nut" else []
        except (InputError, av.error.FFmpegError) as error:
            raise FfmpegError(f"ffmpeg wrote no video: {error}") from error
        return Trial(info, times)

"""VMAF by ffmpeg's libvmaf, where the ffmpeg has it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vidrestore.errors import FfmpegError
from vidrestore.measure.metrics import luma
from vidrestore.media.ffmpeg import FfmpegProcess
from vidrestore.media.scratch import scratch

Clip = npt.NDArray[np.float32]

LEAST_PX = 32
"""libvmaf dies of smaller pictures."""
RATE = 25


@lru_cache
def has_vmaf(ffmpeg: str) -> bool:
    """Whether an ffmpeg was built with libvmaf."""
    with FfmpegProcess([ffmpeg, "-filters"], stdout=True) as process:
        listed = process.stdout.read().decode(errors="replace")
        process.finish()
    return " libvmaf " in listed


def vmaf(reference: Clip, test: Clip, ffmpeg: str) -> list[float] | None:
    """Score a clip by the default model (vmaf_v0.6.1), which sees luma alone.

    Both clips go through one pipe, one above the other, as 8-bit luma in limited range, which is
    what the model was trained on.

    Args:
        reference: (T, H, W, 3) float32 RGB, [0, 1].
        test: The same shape; clamped here.
        ffmpeg: Path of the executable.

    Returns:
        VMAF of each frame, or None if this ffmpeg lacks libvmaf or the frames are too small.

    Raises:
        FfmpegError: ffmpeg failed.
    """
    height, width = (length // 2 * 2 for length in reference.shape[1:3])
    if min(height, width) < LEAST_PX or not has_vmaf(ffmpeg):
        return None
    with scratch() as folder:
        log = folder / "vmaf.json"
        with FfmpegProcess(_command(ffmpeg, width, height, log), stdin=True) as process:
            process.feed(_pictures(reference, test, width, height))
            process.finish()
        frames = json.loads(log.read_text())["frames"]
    if len(frames) != len(reference):
        raise FfmpegError(f"libvmaf scored {len(frames)} of {len(reference)} frames")
    return [float(frame["metrics"]["vmaf"]) for frame in frames]


def _command(ffmpeg: str, width: int, height: int, log: Path) -> list[str]:
    graph = (
        "split[a][b];"
        f"[a]crop={width}:{height}:0:0[reference];[b]crop={width}:{height}:0:{height}[test];"
        f"[test][reference]libvmaf=log_fmt=json:log_path={_escaped(log)}:n_threads=1"
    )
    size = f"{width}x{2 * height}"
    raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", size, "-r", str(RATE)]
    return [ffmpeg, *raw, "-i", "pipe:0", "-filter_complex", graph, "-f", "null", "-"]


def _escaped(path: Path) -> str:
    """A path inside a filter graph: special once for the option, once for the graph."""
    text = str(path)
    for special in "\\':":
        text = text.replace(special, "\\" + special)
    return "".join("\\" + letter if letter in "\\'[],;" else letter for letter in text)


def _pictures(reference: Clip, test: Clip, width: int, height: int) -> Iterator[bytes]:
    """Both clips, one above the other, plane by plane."""
    chroma = bytes([128]) * (width * height)  # two planes of a quarter each, of both pictures
    for pair in zip(reference, test, strict=True):
        for frame in pair:
            yield _codes(frame[:height, :width]).tobytes()
        yield chroma


def _codes(frame: Clip) -> npt.NDArray[np.uint8]:
    codes: npt.NDArray[np.uint8] = np.rint(16 + 219 * luma(frame.clip(0, 1))).astype(np.uint8)
    return codes

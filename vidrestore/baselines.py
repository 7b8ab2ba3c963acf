"""The denoising filters of ffmpeg, run as fairly as they allow, to be measured beside the model.

Every filter gets planes in the best format that it takes, made here in float and handed over as
raw video, so that no scaler of ffmpeg costs it anything: planar RGB for dctdnoiz, which
decorrelates the colours itself, and full-range 4:4:4 YUV for the others, which work plane by plane
and score 1 to 3 dB lower on RGB. More than 8 bits gain none of them anything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vidrestore.errors import FfmpegError
from vidrestore.ffmpeg import FfmpegProcess

Clip = npt.NDArray[np.float32]

# JFIF: BT.601, full range.
_RGB_TO_YUV = np.array(
    [[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5], [0.5, -0.418687589, -0.081312411]]
)
_YUV_OFFSET = np.array([0, 0.5, 0.5])
_GBR = [1, 2, 0]
_RGB_FROM_GBR = [2, 0, 1]


@dataclass(frozen=True)
class FfmpegFilter:
    """One filter of ffmpeg.

    Attributes:
        name: ffmpeg's name of it.
        pix_fmt: What it is given: ``gbrp`` or ``yuv444p``.
        strengths: Strengths to try, in multiples of the noise level.
        options: The filter's options at a strength in 8-bit units.
    """

    name: str
    pix_fmt: str
    strengths: tuple[float, ...]
    options: Callable[[float], dict[str, float]]

    def levels(self, sigma: float) -> dict[float, dict[str, float]]:
        """Options by strength for noise of level sigma; what a cap makes equal is tried once."""
        by_strength: dict[float, dict[str, float]] = {}
        for strength in self.strengths:
            options = self.options(strength * sigma)
            if options not in by_strength.values():
                by_strength[strength] = options
        return by_strength


def _atadenoise(level: float) -> dict[str, float]:
    single, summed = min(level / 255, 0.3), min(9 * level / 255, 5)
    return {f"{plane}a": single for plane in range(3)} | {f"{plane}b": summed for plane in range(3)}


# Ranges found by a sweep at sigma 20 and 50. dctdnoiz keeps its default 8x8 blocks: 16x16 gain
# 0.1 dB at five times the time. group=1 is bm3d without its block matching, which is far slower.
FILTERS = (
    FfmpegFilter("dctdnoiz", "gbrp", (0.8, 0.9, 1.0), lambda v: {"s": v}),
    FfmpegFilter(
        "nlmeans",
        "yuv444p",
        (0.3, 0.35, 0.42),
        lambda v: {"s": max(1, min(v, 30)), "p": 5, "r": 11},
    ),
    FfmpegFilter("bm3d", "yuv444p", (2, 2.5, 3), lambda v: {"sigma": v, "group": 1}),
    FfmpegFilter(
        "hqdn3d",
        "yuv444p",
        (1.3, 1.6, 2),
        lambda v: {"luma_spatial": v, "chroma_spatial": v, "luma_tmp": v, "chroma_tmp": v},
    ),
    FfmpegFilter("atadenoise", "yuv444p", (1, 1.5, 2, 3, 4), _atadenoise),
    FfmpegFilter(
        "vaguedenoiser", "yuv444p", (1.25, 1.5, 2), lambda v: {"threshold": v, "percent": 100}
    ),
    FfmpegFilter(
        "fftdnoiz",
        "yuv444p",
        (1, 1.5, 2, 3, 4, 5),
        lambda v: {"sigma": min(v, 100), "prev": 1, "next": 1},
    ),
)


def run_filter(name: str, options: dict[str, float], pix_fmt: str, clip: Clip, ffmpeg: str) -> Clip:
    """Run a clip through one filter.

    Args:
        name: ffmpeg's name of the filter.
        options: Its options.
        pix_fmt: ``gbrp`` or ``yuv444p``: what the filter works on.
        clip: RGB (T, H, W, 3), float32; clipped and rounded to 8 bits here.
        ffmpeg: Path of the ffmpeg executable.

    Returns:
        The filtered clip, float32, not clamped.

    Raises:
        FfmpegError: ffmpeg lacks the filter, failed, or returned another number of frames.
    """
    planes = _to_planes(clip, pix_fmt)
    command = _command(name, options, pix_fmt, clip, ffmpeg)
    with FfmpegProcess(command, stdin=True, stdout=True) as run:
        feeder = threading.Thread(target=_feed, args=(run, planes), daemon=True)
        feeder.start()
        filtered = run.stdout.read()
        feeder.join()
        run.finish()
    if len(filtered) != planes.size:
        raise FfmpegError(
            f"the filter {name} returned {len(filtered)} bytes instead of {planes.size}",
            hint="use the bundled ffmpeg, or run with --baselines none",
        )
    return _to_rgb(np.frombuffer(filtered, np.uint8).reshape(planes.shape), pix_fmt)


def _command(
    name: str, options: dict[str, float], pix_fmt: str, clip: Clip, ffmpeg: str
) -> list[str]:
    import ffmpeg as composer

    height, width = clip.shape[1:3]
    raw = {"format": "rawvideo", "pix_fmt": pix_fmt}
    video = composer.input("pipe:0", **raw, video_size=(width, height), framerate=25)
    argv: list[str] = (
        video.filter(name, **options).output("pipe:1", **raw, fps_mode="passthrough")
    ).compile(cmd=ffmpeg)
    return argv


def _feed(run: FfmpegProcess, planes: npt.NDArray[np.uint8]) -> None:
    try:
        for frame in planes:
            run.stdin.write(frame.data)
        run.stdin.close()
    except (BrokenPipeError, ValueError):
        return  # ffmpeg died, whose exit status tells why, or the reader was interrupted


def _to_planes(clip: Clip, pix_fmt: str) -> npt.NDArray[np.uint8]:
    """RGB (T, H, W, 3) to 8-bit planes (T, 3, H, W)."""
    rgb = np.rint(clip.clip(0, 1) * 255) / 255
    last = rgb[..., _GBR] if pix_fmt == "gbrp" else rgb @ _RGB_TO_YUV.T + _YUV_OFFSET
    codes = np.rint(last.clip(0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(codes.transpose(0, 3, 1, 2))


def _to_rgb(planes: npt.NDArray[np.uint8], pix_fmt: str) -> Clip:
    """8-bit planes (T, 3, H, W) to RGB (T, H, W, 3)."""
    last = planes.transpose(0, 2, 3, 1) / 255
    if pix_fmt == "gbrp":
        return last[..., _RGB_FROM_GBR].astype(np.float32)
    rgb: Clip = ((last - _YUV_OFFSET) @ np.linalg.inv(_RGB_TO_YUV).T).astype(np.float32)
    return rgb

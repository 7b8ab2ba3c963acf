"""Filters of ffmpeg, run as fairly as they allow, to be measured beside the model.

Every filter gets planes in the best format that it takes, made here in float and handed over as
they are, so that no scaler of ffmpeg costs it anything: planar RGB for dctdnoiz, which
decorrelates the colours itself, and full-range 4:4:4 YUV for the others, which work plane by plane
and score 1 to 3 dB lower on RGB. More than 8 bits gain none of them anything. minterpolate knows no
RGB; 4:2:0, which most files hold, would cost it 0.1 to 0.3 dB.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from vidrestore.errors import FfmpegError
from vidrestore.media.ffmpeg import FfmpegProcess

Clip = npt.NDArray[np.float32]
Planes = npt.NDArray[np.uint8]
Options = Mapping[str, float | str]

RATE = 25
"""Frames per second that the filters are told; a frame takes one tick."""

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


def run_filter(name: str, options: Options, pix_fmt: str, clip: Clip, ffmpeg: str) -> Clip:
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
    given = _Timed(_to_planes(clip, pix_fmt), range(len(clip)), pix_fmt)
    return _to_rgb(_filtered(given, name, options, ffmpeg, len(clip)), pix_fmt)


def minterpolate(clip: Clip, known: npt.NDArray[np.bool_], ffmpeg: str) -> Clip:
    """Predict missing frames by ffmpeg's motion-compensated interpolation.

    The filter is given the known frames and nothing else, each at its own time. The last one is
    given twice: the filter holds a frame back until another one has come. Its scene detection is
    off, as it would repeat frames wherever it takes motion for a cut.

    Args:
        clip: RGB (T, H, W, 3), float32, of which the known frames are read; clipped and rounded to
            8 bits here.
        known: (T,) bool, true for the first frame.
        ffmpeg: Path of the ffmpeg executable.

    Returns:
        The clip with its missing frames filled in, float32, not clamped. Behind the last known
        frame, where the filter stops, that frame is repeated.

    Raises:
        FfmpegError: ffmpeg lacks the filter, failed, or returned another number of frames.
    """
    times = np.flatnonzero(known).tolist()
    planes = _to_planes(clip[[*times, times[-1]]], "yuv444p")
    given = _Timed(planes, [*times, times[-1] + 1], "yuv444p")
    options: Options = {"fps": RATE, "mi_mode": "mci", "scd": "none"}
    every = _filtered(given, "minterpolate", options, ffmpeg, times[-1] + 1)
    filled = np.where(known[:, None, None, None], clip, clip[times[-1]])
    missing = np.flatnonzero(~known[: times[-1]])
    filled[missing] = _to_rgb(every[missing], "yuv444p")
    return filled


@dataclass(frozen=True)
class _Timed:
    """What a filter is given: planes (T, 3, H, W), their times in frames, and their format."""

    planes: Planes
    times: Sequence[int]
    pix_fmt: str


def _filtered(given: _Timed, name: str, options: Options, ffmpeg: str, frames: int) -> Planes:
    """Planes through one filter, which has to return (frames, 3, H, W)."""
    with FfmpegProcess(
        _command(name, options, given.pix_fmt, ffmpeg), stdin=True, stdout=True
    ) as run:
        feeder = threading.Thread(target=_feed, args=(run, given), daemon=True)
        feeder.start()
        filtered = run.stdout.read()
        feeder.join()
        run.finish()
    shape = (frames, *given.planes.shape[1:])
    if len(filtered) != math.prod(shape):
        raise FfmpegError(
            f"the filter {name} returned {len(filtered)} bytes instead of {math.prod(shape)}",
            hint="use the bundled ffmpeg, or run with --baselines none",
        )
    return np.frombuffer(filtered, np.uint8).reshape(shape)


def _command(name: str, options: Options, pix_fmt: str, ffmpeg: str) -> list[str]:
    import ffmpeg as composer

    filtered = composer.input("pipe:0", format="nut").filter(name, **options)
    output = filtered.output("pipe:1", format="rawvideo", pix_fmt=pix_fmt, fps_mode="passthrough")
    argv: list[str] = output.compile(cmd=ffmpeg)
    return argv


def _feed(run: FfmpegProcess, given: _Timed) -> None:
    """Write planes with their timestamps; NUT is the one raw container that carries them."""
    import av

    try:
        with av.open(run.stdin, "w", format="nut") as nut:
            stream = nut.add_stream("rawvideo", rate=RATE)
            stream.height, stream.width = given.planes.shape[2:]
            stream.pix_fmt = given.pix_fmt
            for time, frame in zip(given.times, given.planes, strict=True):
                packet = av.Packet(frame.tobytes())
                packet.pts = packet.dts = time
                packet.time_base = Fraction(1, RATE)
                packet.stream = stream
                packet.is_keyframe = True
                nut.mux(packet)
        run.stdin.close()
    except (OSError, ValueError, av.error.FFmpegError):
        return  # ffmpeg died, whose exit status tells why, or the reader was interrupted


def _to_planes(clip: Clip, pix_fmt: str) -> Planes:
    """RGB (T, H, W, 3) to 8-bit planes (T, 3, H, W)."""
    rgb = np.rint(clip.clip(0, 1) * 255) / 255
    last = rgb[..., _GBR] if pix_fmt == "gbrp" else rgb @ _RGB_TO_YUV.T + _YUV_OFFSET
    codes = np.rint(last.clip(0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(codes.transpose(0, 3, 1, 2))


def _to_rgb(planes: Planes, pix_fmt: str) -> Clip:
    """8-bit planes (T, 3, H, W) to RGB (T, H, W, 3)."""
    last = planes.transpose(0, 2, 3, 1) / 255
    if pix_fmt == "gbrp":
        return last[..., _RGB_FROM_GBR].astype(np.float32)
    rgb: Clip = ((last - _YUV_OFFSET) @ np.linalg.inv(_RGB_TO_YUV).T).astype(np.float32)
    return rgb

"""Filters of ffmpeg, run as fairly as they allow, to be measured beside the model.

Every filter gets planes in the best format that it takes, made here in float and handed over as
they are, so that no scaler of ffmpeg costs it anything. minterpolate knows no RGB; 4:2:0, which
most files hold, would cost it 0.1 to 0.3 dB.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from vidrestore.errors import FfmpegError
from vidrestore.measure.filters import Options, Setting
from vidrestore.media.ffmpeg import FfmpegProcess

Clip = npt.NDArray[np.float32]
Planes = npt.NDArray[np.uint8]

RATE = 25
"""Frames per second that the filters are told; a frame takes one tick."""
LEAST_FRAMES = 5
"""Shorter clips end in repeats of their last frame: on some, ffmpeg 5.1's atadenoise never ends."""

# JFIF: BT.601, full range.
_RGB_TO_YUV = np.array(
    [[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5], [0.5, -0.418687589, -0.081312411]]
)
_YUV_OFFSET = np.array([0, 0.5, 0.5])
_GBR = [1, 2, 0]
_RGB_FROM_GBR = [2, 0, 1]


def run_setting(setting: Setting, clip: Clip, ffmpeg: str) -> Clip:
    """Run a clip through a filter or a chain.

    Args:
        setting: What to run.
        clip: RGB (T, H, W, 3), float32; clipped and rounded to 8 bits here.
        ffmpeg: Path of the ffmpeg executable.

    Returns:
        The filtered clip, float32, not clamped.

    Raises:
        FfmpegError: ffmpeg lacks a filter, failed, or returned another number of frames.
    """
    frames = len(clip)
    if frames < LEAST_FRAMES:
        clip = np.concatenate([clip, *[clip[-1:]] * (LEAST_FRAMES - frames)])
    for pix_fmt, steps in setting.passes:
        given = _Timed(_to_planes(clip, pix_fmt), range(len(clip)), pix_fmt)
        clip = _to_rgb(_filtered(given, steps, ffmpeg, len(clip)), pix_fmt)
    return clip[:frames]


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
    every = _filtered(given, [("minterpolate", options)], ffmpeg, times[-1] + 1)
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


def _filtered(
    given: _Timed, steps: Sequence[tuple[str, Options]], ffmpeg: str, frames: int
) -> Planes:
    """Planes through filters, which have to return (frames, 3, H, W)."""
    with FfmpegProcess(_command(steps, given.pix_fmt, ffmpeg), stdin=True, stdout=True) as run:
        feeder = threading.Thread(target=_feed, args=(run, given), daemon=True)
        feeder.start()
        filtered = run.stdout.read()
        feeder.join()
        run.finish()
    shape = (frames, *given.planes.shape[1:])
    if len(filtered) != math.prod(shape):
        raise FfmpegError(
            f"{', '.join(name for name, _ in steps)} returned {len(filtered)} bytes instead of "
            f"{math.prod(shape)}",
            hint="use the bundled ffmpeg, or run with --baselines none",
        )
    return np.frombuffer(filtered, np.uint8).reshape(shape)


def _command(steps: Sequence[tuple[str, Options]], pix_fmt: str, ffmpeg: str) -> list[str]:
    import ffmpeg as composer

    filtered = composer.input("pipe:0", format="nut")
    for name, options in steps:
        filtered = filtered.filter(name, **options)
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

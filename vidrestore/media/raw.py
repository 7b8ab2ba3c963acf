"""Planes as the bytes of a raw frame, and how a pipe of NUT carries every pixel format.

NUT knows a raw pixel format by a code of four letters, and some formats have none. What is read is
cut by our own knowledge of it. What is written is handed over as a format that has a code, and
ffmpeg puts it together again on the other side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from vidrestore.media.probe import VideoInfo

Plane = NDArray[Any]


def read_format(info: VideoInfo) -> str:
    """Pixel format of the raw frames that `split` takes: old ffmpegs make no exact gbrap."""
    return "rgba" if info.plane_format == "gbrap" else info.plane_format


def split(packet: Any, info: VideoInfo) -> tuple[Plane, ...]:
    """Cut a raw packet of `read_format` into planes.

    Args:
        packet: Anything with a buffer, as ffmpeg writes rawvideo.
        info: The video.

    Returns:
        The planes, (H, W) each, uint8 or little-endian uint16, in memory of their own.
    """
    dtype = np.dtype(np.uint8 if info.bit_depth == 8 else "<u2")
    samples = np.frombuffer(packet, dtype)
    if info.plane_format.startswith("ya"):  # grey and alpha by turns
        pixels = samples.reshape(info.height, info.width, 2)
        return pixels[..., 0].copy(), pixels[..., 1].copy()
    if info.plane_format == "gbrap":
        pixels = samples.reshape(info.height, info.width, 4)
        return tuple(pixels[..., channel].copy() for channel in (1, 2, 0, 3))
    samples = samples.copy()
    planes = []
    offset = 0
    for height, width in info.plane_shapes:
        planes.append(samples[offset : offset + height * width].reshape(height, width))
        offset += height * width
    return tuple(planes)


def pipe_format(info: VideoInfo) -> tuple[str, int]:
    """Pixel format and height of the frames that `join` makes, as NUT is to be told."""
    if _is_stacked(info):
        return f"gray{info.bit_depth}le", sum(height for height, _ in info.plane_shapes)
    return ("yuva444p16le" if info.plane_format == "ya16le" else info.plane_format), info.height


def join(planes: Sequence[Plane], info: VideoInfo) -> bytes:
    """Planes as a raw frame of `pipe_format`."""
    if info.plane_format == "ya8":
        return np.stack(planes, axis=-1).tobytes()
    if info.plane_format == "ya16le":
        grey, alpha = planes
        neutral = np.full_like(grey, 1 << 15)
        planes = (grey, neutral, neutral, alpha)
    return b"".join(plane.tobytes() for plane in planes)


def unpack(video: Any, info: VideoInfo) -> Any:
    """Have ffmpeg turn a stream of `pipe_format` into one of `info.plane_format`.

    Args:
        video: Stream of ffmpeg-python.
        info: The video.

    Returns:
        The stream, filtered where that is needed.
    """
    import ffmpeg

    if info.plane_format == "ya16le":  # grey is full range to the scaler, which is to do nothing
        stated = {None: "unknown", "tv": "limited", "pc": "full"}[info.colour.range]
        video = video.filter("setparams", range="full").filter("format", "ya16le")
        return video.filter("setparams", range=stated)
    if not _is_stacked(info):
        return video
    copies = video.filter_multi_output("split", 3)
    planes, top = [], 0
    for number, (height, width) in enumerate(info.plane_shapes):
        planes.append(copies[number].filter("crop", width, height, 0, top))
        top += height
    return ffmpeg.filter(planes, "mergeplanes", map1s=1, map2s=2, format=info.plane_format)


def _is_stacked(info: VideoInfo) -> bool:
    """Whether the planes, all of one width, are carried one above the other as a grey picture."""
    return info.plane_format in {"yuv440p10le", "yuv440p12le"}

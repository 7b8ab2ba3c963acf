"""Interlaced video: which of its fields comes first, and frames as pairs of fields.

A frame of interlaced video holds two pictures of different times: the *fields*, in its even lines
(top) and its odd ones (bottom). Restored as if it were one picture, motion would be combed. So the
decoder makes frames of the fields, or each field is restored as a picture of its own, half as
high, and goes back to its lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidrestore.errors import UsageError
from vidrestore.media.decode import Frame
from vidrestore.media.ffmpeg import FfmpegProcess, composable
from vidrestore.media.probe import VideoInfo
from vidrestore.picture.convert import FrameConverter

Choice = Literal["auto", "on", "off"]
Source = Literal["flags", "idet"]

IDET_FRAMES = 120
"""Frames in which fields are looked for."""
LEAST_FRAMES = 3
"""Frames that must be clearly of one kind; in a still picture none is."""

_HEIGHTS = {Fraction(25): (576, 1080), Fraction(30000, 1001): (480, 486, 1080)}
"""Of the interlaced standards: PAL, NTSC and HDTV."""
_WITHOUT_FIELDS = frozenset({"vp8", "vp9", "av1", "gif", "apng", "webp", "png", "mjpegb"})
_WITHOUT_BWDIF = frozenset(
    {"gray9le", "gray10le", "gray12le", "gray14le", "ya8", "ya16le", "gbrap10le", "gbrap12le"}
    | {"yuv440p10le", "yuv440p12le", "yuva422p12le", "yuva444p12le"}
)
"""Plane formats that ffmpeg would convert to others first, and not exactly."""


@dataclass(frozen=True)
class FieldReport:
    """What is known of a video's fields, and what becomes of them.

    Attributes:
        found: "tff" or "bff" (top or bottom field first); None if the frames are whole.
        source: Who says so: the file's "flags", or "idet", a look at the picture; None if nobody.
        done: What happens to the frames.
    """

    found: str | None
    source: Source | None
    done: Literal["deinterlaced", "by field", "nothing"]


def reading(
    info: VideoInfo, ffmpeg: str, choice: Choice, *, makes_frames: bool = False
) -> tuple[VideoInfo, FieldReport]:
    """Decide how the frames of a video are to be read.

    Args:
        info: The video, as probed.
        ffmpeg: Path of the ffmpeg executable.
        choice: "auto" makes frames of fields where there are fields and ffmpeg can, "on"
            everywhere, and "off" nowhere: interlaced video is then restored field by field.
        makes_frames: Whether frames will be made that the video has not.

    Returns:
        The video as the decoder is to hand it out, and what was found.

    Raises:
        UsageError: If frames are to be made of interlaced video, or ffmpeg cannot deinterlace it.
    """
    can = info.plane_format not in _WITHOUT_BWDIF
    if choice == "on" and not can:
        raise UsageError(
            f"{info.plane_format} video cannot be deinterlaced",
            hint="use --deinterlace off, which restores each field on its own",
        )
    found: str | None = info.field_order
    source: Source | None = None if found is None else "flags"
    if found is None and (choice == "on" or _may_hide_fields(info)):
        found = _look(info, ffmpeg)
        source = None if found is None else "idet"
    if choice == "on" or (choice == "auto" and can and found is not None):
        whole = replace(info, deinterlace=found or "tff", field_order=None)
        return whole, FieldReport(found, source, "deinterlaced")
    if found is None:
        return info, FieldReport(None, None, "nothing")
    if makes_frames:
        raise UsageError(
            f"{info.path} is interlaced: no new frames can be made between its fields",
            hint="leave out --deinterlace off, or leave out --fps, --fill and --slow",
        )
    return replace(info, field_order=found), FieldReport(found, source, "by field")


def _may_hide_fields(info: VideoInfo) -> bool:
    """Whether the file says nothing and its size and rate are those of an interlaced standard."""
    if info.progressive or info.image_pattern is not None or info.codec in _WITHOUT_FIELDS:
        return False
    return any(
        abs(info.frame_rate / rate - 1) < Fraction(1, 500) and info.height in heights
        for rate, heights in _HEIGHTS.items()
    )


def _look(info: VideoInfo, ffmpeg: str) -> str | None:
    """Ask ffmpeg's idet about the first frames: "tff", "bff", or None for whole frames."""
    import ffmpeg as compose

    url, options = info.source
    asked: dict[str, Any] = {"f": "image2"} if info.image_pattern is not None else {}
    video = compose.input(composable(url), **options, **asked)[str(info.stream_index)]
    video = video.filter("idet").filter("metadata", "print", file="pipe:1", direct=1)
    argv = compose.output(video, "-", **{"f": "null", "frames:v": IDET_FRAMES}).compile(cmd=ffmpeg)
    with FfmpegProcess(argv, stdout=True) as process:
        printed = process.stdout.read().decode(errors="replace")
        process.wait()
    counts = {
        kind: float(number)  # of all frames so far: the last one counts
        for kind, number in re.findall(r"idet\.multiple\.(tff|bff|progressive)=([\d.]+)", printed)
    }
    order = max(("tff", "bff"), key=lambda kind: counts.get(kind, 0.0))
    others = sum(counts.values()) - counts.get(order, 0.0)
    return order if counts.get(order, 0.0) >= max(LEAST_FRAMES, 2 * others) else None


class FieldConverter(FrameConverter):
    """Converts frames that are pairs of fields; every field is a picture of its own.

    Args:
        info: The video; its `field_order` is known.
    """

    def __init__(self, info: VideoInfo) -> None:
        super().__init__(info)  # a missing matrix follows from the size of the frame
        colour = replace(info.colour, matrix=self._planes.matrix)
        super().__init__(replace(info, height=-(-info.height // 2), colour=colour))
        self._height = info.height
        self._parities = (0, 1) if info.field_order == "tff" else (1, 0)

    def window(self, frames: Sequence[Frame]) -> Tensor:
        """Fields in order of time, as (2T, 3, ceil(H / 2), W) float32 RGB; see `FrameConverter`."""
        return super().window([field for frame in frames for field in self._split(frame)])

    def whole(self, fields: Tensor) -> Tensor:
        """Pictures of fields (2T, ...), as `window` has them, on the lines of T frames."""
        count, channels, _, width = fields.shape
        frames = fields.new_empty(count // 2, channels, self._height, width)
        for offset, parity in enumerate(self._parities):
            lines = frames[:, :, parity::2]
            lines.copy_(fields[offset::2, :, : lines.shape[2]])
        return frames

    def rgb(self, frame: Frame) -> NDArray[np.float32]:
        """The first field, as (ceil(H / 2), W, 3) float32 RGB: what is certainly one picture."""
        return super().rgb(self._split(frame)[0])

    def add(self, frame: Frame, residual: Tensor) -> Frame:
        """A frame with an RGB residual (3, H, W) added to its planes, field by field."""
        planes = tuple(np.empty_like(plane) for plane in frame.planes)
        for parity, field in zip(self._parities, self._split(frame), strict=True):
            lines = residual[:, parity::2]
            missing = field.planes[0].shape[0] - lines.shape[1]
            if missing:
                lines = torch.cat((lines, lines[:, -missing:]), dim=1)
            changed = super().add(field, lines.contiguous())
            for plane, part in zip(planes, changed.planes, strict=True):
                plane[parity::2] = part[: plane[parity::2].shape[0]]
        return replace(frame, planes=planes)

    def _split(self, frame: Frame) -> list[Frame]:
        """The fields of a frame, in order of time."""
        return [
            replace(frame, planes=tuple(_lines(plane, parity) for plane in frame.planes))
            for parity in self._parities
        ]


def _lines(plane: NDArray[Any], parity: int) -> NDArray[Any]:
    """Every other line of a plane; the last line of an odd number serves both fields."""
    lines = plane[parity::2]
    if len(lines) < -(-len(plane) // 2):
        lines = np.concatenate((lines, lines[-1:] if len(lines) else plane[-1:]))
    return np.ascontiguousarray(lines)


def converter_of(info: VideoInfo) -> FrameConverter:
    """The converter for the frames of a video: of fields if it has some."""
    return FieldConverter(info) if info.interlaced else FrameConverter(info)

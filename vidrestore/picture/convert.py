"""Decoded frames as RGB, and what RGB changes of them, for the frames of one video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidrestore.media.decode import Frame
from vidrestore.media.probe import VideoInfo
from vidrestore.picture.colour import PlaneConverter, PlaneFormat


class FrameConverter:
    """Converts between the frames of a video and RGB, by the video's own colour tags.

    Args:
        info: The video.
    """

    def __init__(self, info: VideoInfo) -> None:
        self._planes = PlaneConverter(
            PlaneFormat.from_name(info.plane_format),
            info.width,
            info.height,
            matrix=info.colour.matrix,
            colour_range=info.colour.range,
            chroma_location=info.colour.chroma_location,
        )

    def window(self, frames: Sequence[Frame]) -> Tensor:
        """Frames as (T, 3, H, W) float32 RGB, nominal [0, 1], not clamped."""
        planes = zip(*(frame.planes for frame in frames), strict=True)
        return self._planes.to_rgb([torch.from_numpy(np.stack(plane)) for plane in planes])

    def whole(self, pictures: Tensor) -> Tensor:
        """Pictures of `window` as frames; they are frames, unless they are fields."""
        return pictures

    def rgb(self, frame: Frame) -> NDArray[np.float32]:
        """A frame as (H, W, 3) float32 RGB, nominal [0, 1], not clamped."""
        planes = [torch.from_numpy(plane)[None] for plane in frame.planes]
        rgb: NDArray[np.float32] = self._planes.to_rgb(planes)[0].permute(1, 2, 0).numpy()
        return rgb

    def add(self, frame: Frame, residual: Tensor) -> Frame:
        """A frame with an RGB residual (3, H, W) added to its planes."""
        planes = [torch.from_numpy(plane)[None] for plane in frame.planes]
        changed = self._planes.add_residual(planes, residual[None])
        return replace(frame, planes=tuple(plane[0].numpy() for plane in changed))

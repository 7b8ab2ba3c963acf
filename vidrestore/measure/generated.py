"""Clips made from photographs that ship with scikit-image, for when nothing else is at hand.

Each is a camera that moves over a photo, or stands still while something crosses the picture. They
are drawn twice as large and averaged down, so motion is sub-pixel and there is no noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Clip = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]

SUPERSAMPLING = 2


@dataclass(frozen=True)
class Scene:
    """A photo, and how the camera goes over it.

    Attributes:
        photo: Name in `skimage.data`.
        size_px: Width and height of the clip.
        frames: Its length.
        pan_px: Shift for each frame, x and y.
        turn_deg: Swing of the camera about its axis.
        zoom: Change of scale from the first frame to the last.
        ball: Whether a ball crosses the picture.
    """

    photo: str
    size_px: tuple[int, int] = (320, 240)
    frames: int = 20
    pan_px: tuple[float, float] = (0, 0)
    turn_deg: float = 0
    zoom: float = 0
    ball: bool = False

    def clip(self) -> Clip:
        """Draw it, (T, H, W, 3) float32 RGB, [0, 1]."""
        photo = _photo(self.photo)
        return np.stack([self._frame(photo, index) for index in range(self.frames)])

    def _frame(self, photo: Image, index: int) -> Clip:
        width, height = (SUPERSAMPLING * length for length in self.size_px)
        t = index / (self.frames - 1)
        scale = (1 + self.zoom * t) / SUPERSAMPLING
        angle = np.deg2rad(self.turn_deg * np.sin(4 * t))
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        offset = (index - (self.frames - 1) / 2) * np.array(self.pan_px)
        looks_at = np.array([photo.shape[1] / 2, photo.shape[0] / 2]) + offset
        matrix = np.hstack([turn, (looks_at - turn @ [width / 2, height / 2])[:, None]])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        view = cv2.warpAffine(
            photo, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101
        )
        if self.ball:
            centre = (round(width * (0.1 + 0.8 * t)), round(height * (0.7 - 0.4 * np.sin(3 * t))))
            cv2.circle(view, centre, height // 10, (222, 52, 44), -1, cv2.LINE_AA)
        small = cv2.resize(view, self.size_px, interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.float32) / np.float32(255)


TUNING = Scene("coffee", size_px=(256, 192), frames=8, pan_px=(1.6, -0.7), turn_deg=1.0)
"""The clip by which settings of filters are chosen; it is never scored."""

MOVING: Mapping[str, Callable[[], Clip]] = {
    "generated/astronaut": Scene("astronaut", pan_px=(2.7, 0.9), turn_deg=1.5).clip,
    "generated/chelsea": Scene("chelsea", pan_px=(0.4, 0.2), ball=True).clip,
    "generated/motorcycle": Scene("motorcycle", pan_px=(-3.5, 1.2), zoom=-0.15).clip,
}
STILL: Mapping[str, Callable[[], Clip]] = {
    "generated/still": Scene("rocket", size_px=(192, 144), frames=64, ball=True).clip,
}
"""Long enough to see whether windows show, and with much that should not change."""


def _photo(name: str) -> Image:
    from skimage import data

    if name == "motorcycle":
        return np.asarray(data.stereo_motorcycle()[0], np.uint8)  # type: ignore[no-untyped-call]
    return np.asarray(getattr(data, name)(), np.uint8)

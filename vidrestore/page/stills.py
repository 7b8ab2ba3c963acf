"""Single frames as pictures for a page: upright, small enough, and together within a budget."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from vidrestore.media.probe import VideoInfo

Rgb = NDArray[np.float32]

MOST_PX = 1280
"""Longer side of a picture."""

BUDGET_BYTES = 3_500_000
"""Of all pictures together; base64 makes a third more of it."""

LOSSLESS = 101
"""OpenCV's name for a WebP without loss."""

RUNGS = (
    (1280, LOSSLESS),
    (1280, 90),
    (1280, 75),
    (960, 75),
    (960, 60),
    (640, 60),
    (480, 50),
    (320, 40),
)
"""Longer side and WebP quality, best first."""

GAIN = 4
"""Differences are shown this many times as strong, around mid-grey."""


@dataclass(frozen=True)
class Encoded:
    """Pictures that are ready for a page.

    Attributes:
        uris: For each moment its pictures as data URIs, by key.
        sizes_px: For each moment the width and height of its pictures.
        quality: WebP quality, 0 to 100; `LOSSLESS` if nothing was lost.
    """

    uris: tuple[dict[str, str], ...]
    sizes_px: tuple[tuple[int, int], ...]
    quality: int

    @property
    def said(self) -> str:
        """How exact the pictures are, as a sentence."""
        if self.quality == LOSSLESS:
            return "Pictures are stored without loss."
        return (
            f"Pictures are WebP of quality {self.quality}; every figure was calculated from the "
            "decoded frames, none from these pictures."
        )


def upright(rgb: Rgb, info: VideoInfo, size_px: tuple[int, int] | None = None) -> Rgb:
    """A frame as a player shows it, no larger than pictures of a page are.

    Args:
        rgb: Frame (H, W, 3) as decoded, in [0, 1].
        info: Its video.
        size_px: Width and height to fit exactly, to lie beside another one; None for its own.

    Returns:
        RGB (h, w, 3) float32 in [0, 1].
    """
    if info.mirrored:
        rgb = rgb[:, ::-1]
    turned = np.ascontiguousarray(np.rot90(rgb, info.rotation_deg // 90))
    height, width = turned.shape[:2]
    if size_px is None:
        sar = float(info.sar or 1)
        shown = (width * sar, height) if info.rotation_deg % 180 == 0 else (width, height * sar)
        size_px = within((shown[0], shown[1]), MOST_PX)
    return np.asarray(np.clip(resized(turned, size_px), 0, 1), np.float32)


def resized(rgb: Rgb, size_px: tuple[int, int]) -> Rgb:
    """A picture in another size: averaged if it gets smaller, interpolated if larger."""
    import cv2

    width, height = rgb.shape[1], rgb.shape[0]
    if size_px == (width, height):
        return rgb
    smaller = size_px[0] < width or size_px[1] < height
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, size_px, interpolation=how), np.float32)


def difference(of: Rgb, to: Rgb) -> Rgb:
    """What must be added to `to` to get `of`, around mid-grey and `GAIN` times as strong."""
    return np.asarray(np.clip(0.5 + GAIN * (of - to), 0, 1), np.float32)


def encode(moments: Sequence[Mapping[str, Rgb]], budget_bytes: int = BUDGET_BYTES) -> Encoded:
    """Encode pictures at the best quality, and then size, that keeps the budget.

    Args:
        moments: RGB pictures (h, w, 3) in [0, 1] by key, of one size for each moment.
        budget_bytes: For all of them. The last rung is taken even if it is too large.
    """
    for rung in RUNGS:
        found = _encoded(moments, *rung, budget_bytes if rung != RUNGS[-1] else None)
        if found is not None:
            return found
    raise AssertionError("the last rung always fits")


def _encoded(
    moments: Sequence[Mapping[str, Rgb]], most_px: int, quality: int, budget_bytes: int | None
) -> Encoded | None:
    """All pictures on one rung; None as soon as it is clear that they are too large."""
    spent = 0
    uris: list[dict[str, str]] = []
    sizes: list[tuple[int, int]] = []
    for done, moment in enumerate(moments):
        height, width = next(iter(moment.values())).shape[:2]
        size_px = within((width, height), most_px)
        sizes.append(size_px)
        uris.append({})
        for key, rgb in moment.items():
            content = _webp(rgb, size_px, quality)
            spent += len(content)
            # The first moment is taken as a sample of the rest.
            fair = budget_bytes if budget_bytes is None or done else budget_bytes / len(moments)
            if fair is not None and spent > fair:
                return None
            uris[-1][key] = f"data:image/webp;base64,{base64.b64encode(content).decode()}"
    return Encoded(tuple(uris), tuple(sizes), quality)


def _webp(rgb: Rgb, size_px: tuple[int, int], quality: int) -> bytes:
    import cv2

    codes = np.round(rgb * 255).astype(np.uint8)
    if size_px != (rgb.shape[1], rgb.shape[0]):
        codes = np.asarray(cv2.resize(codes, size_px, interpolation=cv2.INTER_AREA), np.uint8)
    stored: Any = cv2.imencode(".webp", codes[..., ::-1], (cv2.IMWRITE_WEBP_QUALITY, quality))[1]
    return bytes(stored)


def within(size: tuple[float, float], most_px: int) -> tuple[int, int]:
    """A size with its shape kept, its longer side bounded."""
    factor = min(1.0, most_px / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))

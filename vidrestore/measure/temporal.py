"""How steady a clip is: motion that it keeps, brightness that flickers, windows that show.

All three are read beside the clean clip, because a clip is never perfectly steady itself: light
changes, and no flow is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from vidrestore.measure.metrics import luma, luma_codes
from vidrestore.network.align import medium_flow, warp

Clip = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

LOST_PX = 1.0
"""Distance by which flow there and back may miss; a pixel beyond it is hidden in one frame."""
BLOCK_PX = 16
STILL_SHARE = 0.1
"""Share of the blocks, those that change least, whose brightness is followed."""
STRIDES = 3
"""A period shows only in a clip of so many of them at least."""


@dataclass(frozen=True)
class Steadiness:
    """Temporal figures of a clip; see `rows.Figures` for what they mean."""

    warping_error: float | None
    warping_ratio: float | None
    flicker: float
    seam: float | None


class CleanMotion:
    """The motion of a clean clip, found once and used for everything that is made of it.

    Args:
        clean: (T, H, W, 3) float32 RGB, [0, 1].
        stride_frames: Distance of the windows that the model works in.
    """

    def __init__(self, clean: Clip, stride_frames: int) -> None:
        self._clean = clean
        self._stride = stride_frames
        planes = luma_codes(clean)
        self._steps = [_visible_flow(now, after) for now, after in pairwise(planes)]
        self._own_error = self._warping_error(clean)
        self._still = _still_blocks(clean)
        self._own_rhythm = self._rhythm(clean)

    def measure(self, restored: Clip) -> Steadiness:
        """Measure what was made of the clip.

        Args:
            restored: (T, H, W, 3) float32, clamped or rounded as it is scored.
        """
        error = self._warping_error(restored)
        own, rhythm = self._own_error, self._rhythm(restored)
        residual = [
            float((luma(a) - luma(b)).mean()) for a, b in zip(restored, self._clean, strict=True)
        ]
        return Steadiness(
            warping_error=error,
            warping_ratio=error / own if error is not None and own else None,
            flicker=float(np.std(residual)) * 255,
            seam=None if rhythm is None or self._own_rhythm is None else rhythm - self._own_rhythm,
        )

    def _warping_error(self, clip: Clip) -> float | None:
        """Mean squared difference along the motion, over the pixels seen in both frames."""
        errors = []
        for (field, visible), now, after in zip(self._steps, clip, clip[1:], strict=False):
            if visible.any():
                difference = (warp(after, field) - now)[visible]
                errors.append(float(np.square(difference, dtype=np.float64).mean()))
        return float(np.mean(errors)) if errors else None

    def _rhythm(self, clip: Clip) -> float | None:
        """Autocorrelation at the stride of how much the still blocks' brightness steps."""
        if len(clip) < STRIDES * self._stride:
            return None
        brightness = np.stack([_block_means(luma(frame))[self._still] for frame in clip])
        steps = np.abs(np.diff(brightness, axis=0))  # (T - 1, blocks)
        return autocorrelation(steps, self._stride)


def autocorrelation(series: Floats, lag: int) -> float:
    """Mean over the columns of (T, N) of their autocorrelation at a lag; a constant one has 0."""
    centred = series - series.mean(axis=0)
    power = np.square(centred).mean(axis=0)
    product = (centred[:-lag] * centred[lag:]).mean(axis=0)
    return float(np.divide(product, power, out=np.zeros_like(power), where=power > 1e-18).mean())


def _visible_flow(
    now: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]
) -> tuple[Clip, npt.NDArray[np.bool_]]:
    """Where each pixel goes, (H, W, 2), and whether it can be seen there, (H, W)."""
    there, back = medium_flow(now, after), medium_flow(after, now)
    missed = np.linalg.norm(there + warp(back, there), axis=-1)
    height, width = now.shape
    rows, columns = np.mgrid[:height, :width]
    x, y = columns + there[..., 0], rows + there[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return there, (missed < LOST_PX) & inside


def _still_blocks(clean: Clip) -> npt.NDArray[np.int64]:
    """Indices of the blocks whose pixels change least over the clip."""
    changes: Sequence[Floats] = [
        _block_means(np.abs(luma(b) - luma(a))) for a, b in pairwise(clean)
    ]
    if not len(changes):
        return np.empty(0, np.int64)
    total = np.sum(changes, axis=0)
    return np.argsort(total, kind="stable")[: max(1, round(STILL_SHARE * len(total)))]


def _block_means(plane: npt.NDArray[np.float32]) -> Floats:
    """Means of a plane's blocks, flattened; smaller planes are one block."""
    height, width = plane.shape
    rows, columns = max(1, height // BLOCK_PX), max(1, width // BLOCK_PX)
    inner = plane[: height // rows * rows, : width // columns * columns]
    blocks = inner.reshape(rows, inner.shape[0] // rows, columns, inner.shape[1] // columns)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float64)).ravel()

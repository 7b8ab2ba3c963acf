"""Small pictures of all frames of a video, to tell by which of them belong to those of another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vidrestore.errors import InputError

Pair = tuple[int, int]
"""Index of a frame in the reference, and in the test."""

LEAST_COST = 2.0
"""What rounding alone may make of a difference, in squared 8-bit units."""

UNLIKE = 8.0
"""Times the usual difference of two frames that belong together: no frame counts for more."""


@dataclass(frozen=True)
class Glimpses:
    """Small pictures of all frames of a video.

    Attributes:
        pixels: (N, K) uint8 luma.
        times_s: (N,) seconds after the first frame.
    """

    pixels: NDArray[np.uint8]
    times_s: NDArray[np.float64]

    @classmethod
    def of(cls, frames: Iterable[tuple[NDArray[np.float32], float]]) -> Self:
        """From thumbnails, nominal [0, 1], and times in seconds.

        Raises:
            InputError: If there is no frame.
        """
        pixels, times_s = [], []
        for thumbnail, time_s in frames:
            pixels.append(np.round(thumbnail.ravel().clip(0, 1) * 255).astype(np.uint8))
            times_s.append(time_s)
        if not pixels:
            raise InputError("one of the clips has no frame", hint="give two clips with frames")
        return cls(np.stack(pixels), np.array(times_s))

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def interval_s(self) -> float:
        """Usual time between two frames."""
        return float(np.median(np.diff(self.times_s))) if len(self) > 1 else 0.0


def most_cost(usual: float) -> float:
    """The most that a frame may count for, given the usual difference of those that fit."""
    return LEAST_COST + UNLIKE * usual


def squares(pairs: Sequence[Pair], reference: Glimpses, test: Glimpses) -> NDArray[np.float64]:
    """Mean squared difference of each pair, 8-bit units."""
    i, j = np.array(pairs).T
    apart = reference.pixels[i].astype(np.float32) - test.pixels[j]
    return np.asarray(np.square(apart).mean(axis=1), np.float64)

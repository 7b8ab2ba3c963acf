"""What a method is given, and what it is scored against."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from vidrestore.degrade import stored

Clip = npt.NDArray[np.float32]
Known = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Given:
    """A damaged clip: all that a method gets to see.

    Attributes:
        clip: (T, H, W, 3) float32 RGB, nominal [0, 1], not clamped; missing frames are black.
        known: (T,) bool; False where the frame is missing.
        told: Noise level that the model may be told, 8-bit units; None where it has to estimate.
    """

    clip: Clip
    known: Known
    told: float | None = None

    @cached_property
    def in_file(self) -> Clip:
        """The clip as a file of 8 bits holds it: clipped and rounded."""
        return stored(self.clip)

    @cached_property
    def digest(self) -> str:
        """Hash of what a file would hold."""
        return _digest(self.in_file) + _digest(self.known)


@dataclass(frozen=True)
class Item:
    """A damaged clip with its truth.

    Attributes:
        name: Of the clip.
        truth: (T, H, W, 3) float32 RGB, [0, 1]: what a perfect restoration gives.
        given: What was made of it.
    """

    name: str
    truth: Clip
    given: Given

    @cached_property
    def truth_id(self) -> str:
        """Hash of the truth in 8 bits."""
        return _digest(stored(self.truth))

    @cached_property
    def level(self) -> float:
        """Root mean square of the damage, 8-bit units, at least 1."""
        difference = (self.given.in_file - self.truth)[self.given.known]
        return max(1.0, 255 * float(np.sqrt(np.square(difference, dtype=np.float64).mean())))


def fingerprint(clip: Clip) -> tuple[float, ...]:
    """Mean and standard deviation of each channel."""
    values = clip.reshape(-1, 3)
    statistics = [*values.mean(axis=0, dtype=np.float64), *values.std(axis=0, dtype=np.float64)]
    return tuple(round(float(value), 6) for value in statistics)


def _digest(array: npt.NDArray[np.float32] | Known) -> str:
    codes = np.ascontiguousarray(np.rint(array * np.float32(255)).astype(np.uint8))
    return hashlib.sha256(repr(array.shape).encode() + codes.tobytes()).hexdigest()

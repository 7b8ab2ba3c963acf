"""What every degradation can do, and the order in which a camera does it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import IntEnum
from typing import ClassVar

import numpy as np
import numpy.typing as npt

Clip = npt.NDArray[np.float32]
Known = npt.NDArray[np.bool_]


class Stage(IntEnum):
    """Where on its way from the scene to the screen a picture suffers, first to last."""

    OPTICS = 1
    LIGHT = 2
    SENSOR = 3
    FILM = 4
    COMPRESSION = 5
    TRANSPORT = 6


class Degradation(ABC):
    """One way in which videos go bad. Its `str` is its spec in normal form.

    Attributes:
        stage: Where it happens; see `Stage`.
    """

    stage: ClassVar[Stage]

    @property
    def context_frames(self) -> int | None:
        """Frames on each side that a window needs to come out as in the whole clip.

        None if it needs all of them.
        """
        return 0

    @abstractmethod
    def apply(self, clip: Clip, seed: int, first_frame: int = 0) -> tuple[Clip, float | None]:
        """Degrade a clip.

        Args:
            clip: Clean frames (T, H, W, 3), float32 RGB, nominal [0, 1]; not modified.
            seed: Non-negative seed; with the absolute frame index it determines all randomness.
            first_frame: Absolute index of ``clip[0]``, for a window of a longer clip.

        Returns:
            The degraded clip, same shape and dtype, and the noise level that the model may be told,
            in 8-bit units, or None where it has to find out.
        """

    def truth(self, clip: Clip) -> Clip:
        """What a perfect restoration of the degraded clip gives, same shape and dtype.

        Args:
            clip: As for `apply`.
        """
        return clip

    def known(self, frames: int, seed: int = 0, first_frame: int = 0) -> Known:
        """Which frames of a clip are kept.

        Args:
            frames: Number of frames.
            seed: As for `apply`.
            first_frame: As for `apply`.

        Returns:
            (frames,) bool.
        """
        return np.ones(frames, bool)


def stored(clip: Clip) -> Clip:
    """A clip (..., 3), float32 RGB, clipped to [0, 1] and rounded to 8 bits: what a file holds."""
    codes = np.rint(clip.clip(0, 1) * np.float32(255))
    return (codes / np.float32(255)).astype(np.float32)


def number(value: float) -> str:
    """A number as specs write it: short, and read back exactly."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))

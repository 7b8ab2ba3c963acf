"""Noise in code values: white, as papers and files have it, and the grain of film."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from vidrestore.degrade.degradation import Clip, Degradation, Stage, number, stored
from vidrestore.measure.metrics import luma

_GRAIN_SALT = 0x67
COMMON_GRAIN = 0.8
"""Share of the grain's amplitude that red, green and blue have in common; 0.6 is each one's own,
and the squares add up to 1."""
GRAIN_FLOOR = 0.25
"""Grain in black and white, relative to that in mid grey."""


@dataclass(frozen=True)
class GaussianNoise(Degradation):
    """Additive white Gaussian noise in RGB.

    Attributes:
        sigma: Standard deviation in 8-bit units.
        eight_bit: Clip and round to 8 bits, which is what files contain, and leave the level
            unknown. False is the papers' protocol: float, unclipped, level known.
    """

    stage: ClassVar[Stage] = Stage.SENSOR
    sigma: float
    eight_bit: bool = False

    def __str__(self) -> str:
        """The spec, as `parse` reads it."""
        return f"{'awgn8' if self.eight_bit else 'awgn'}:{number(self.sigma)}"

    def apply(self, clip: Clip, seed: int, first_frame: int = 0) -> tuple[Clip, float | None]:
        """Add the noise; see `Degradation.apply`."""
        noisy = np.empty_like(clip, dtype=np.float32)
        for index, frame in enumerate(clip):
            generator = np.random.default_rng((seed, first_frame + index))
            noise = generator.standard_normal(frame.shape, dtype=np.float32)
            noisy[index] = frame + np.float32(self.sigma / 255) * noise
        return (stored(noisy), None) if self.eight_bit else (noisy, self.sigma)


@dataclass(frozen=True)
class FilmGrain(Degradation):
    """Grain as film has it: spatially correlated, strongest in the middle tones.

    Its standard deviation at luma Y is the strength times 1/4 + 3/4 * 4 Y (1 - Y). The result is
    clipped to [0, 1].

    Attributes:
        strength: Standard deviation of each channel in mid grey, in 8-bit units.
        size_px: Standard deviation of the Gaussian that white noise is smoothed with; 0 for none.
    """

    stage: ClassVar[Stage] = Stage.FILM
    strength: float
    size_px: float = 1.0

    def __str__(self) -> str:
        """The spec, as `parse` reads it."""
        return f"grain:{number(self.strength)}:size={number(self.size_px)}"

    def apply(self, clip: Clip, seed: int, first_frame: int = 0) -> tuple[Clip, float | None]:
        """Add the grain; see `Degradation.apply`."""
        grainy = np.empty_like(clip, dtype=np.float32)
        for index, frame in enumerate(clip):
            generator = np.random.default_rng((seed, first_frame + index, _GRAIN_SALT))
            bright = luma(frame.clip(0, 1))
            share = GRAIN_FLOOR + (1 - GRAIN_FLOOR) * 4 * bright * (1 - bright)
            grain = self._grain(generator, *frame.shape[:2])
            grainy[index] = frame + np.float32(self.strength / 255) * share[..., None] * grain
        return grainy.clip(0, 1), None

    def _grain(self, generator: np.random.Generator, height: int, width: int) -> Clip:
        """Grain (H, W, 3) of unit variance."""
        import cv2

        reach = int(np.ceil(4 * self.size_px))
        # One layer for all channels and one for each; smoothed beyond the edges, then cut.
        shape = (height + 2 * reach, width + 2 * reach, 4)
        layers: Clip = generator.standard_normal(shape, dtype=np.float32)
        if reach:
            weights = _gaussian(self.size_px, reach)
            layers = np.asarray(cv2.sepFilter2D(layers, -1, weights, weights), np.float32)
            layers = layers[reach:-reach, reach:-reach]
        own = float(np.sqrt(1 - COMMON_GRAIN**2))
        return np.float32(COMMON_GRAIN) * layers[..., :1] + np.float32(own) * layers[..., 1:]


def _gaussian(sigma: float, reach: int) -> npt.NDArray[np.float32]:
    """A Gaussian (2 reach + 1,) that keeps the variance of white noise."""
    x = np.arange(-reach, reach + 1)
    weights = np.exp(-(x**2) / (2 * sigma**2))
    return np.asarray(weights / np.sqrt((weights**2).sum()), np.float32)

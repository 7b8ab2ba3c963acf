"""What is wrong with a video, read from a few frames: which weights fit, and why.

White noise looks the same at every frequency; grain and noise that went through an encoder do not.
The noise of a band is read from the patches that have least below it, as `estimate` does. What the
next frame shows again is texture, however noisy it looks. Noise of few photons is white, but falls
towards white tones. Blocks show where neighbouring pixels differ more across the lines of an 8x8
grid than elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidrestore.network.shelf import has
from vidrestore.picture.estimate import BANDS, band_levels
from vidrestore.picture.levelfunction import LevelFunction
from vidrestore.picture.renewal import renewed_share

Frames = NDArray[np.float32]

CHOICES = ("denoise", "deblock", "mixed")
"""Weights that may be chosen."""

BLOCK_PX = 8
WHITE = 1.2
"""Middle band over fine band, at most, of white noise."""
NOISY_SIGMA = 2.5
"""Weaker noise in the fine band may be the picture's own texture."""
CORRELATED = 1.5
"""Coarse band over fine band, at least, of grain."""
GRAINY_SIGMA = 6.0
"""Weaker noise in the coarse band may be the picture's own texture."""
FALLING = 0.12
"""Share of white noise gone from the darkest tone to the brightest, at least, if light is low. What
is taken for it wrongly costs decibels, what is missed a few tenths."""
RENEWED = 0.5
"""Share of noise that the next frame must have anew."""
DOUBTFUL_SIGMA = 1.5
"""Noise weaker than this is hardly believed, whatever the next frame shows."""
BLOCKY = 1.25
"""Photos that were once stored as JPEG of good quality reach 1.16."""
CERTAIN_SIGMA = 4.0
"""Noise weaker than this is believed only in part: a clean video must stay as it is."""


@dataclass(frozen=True)
class Diagnosis:
    """What should be done.

    Attributes:
        task: Name of the weights that fit.
        sigma: Noise level to tell them, 8-bit units.
        reason: Why, for one line on the screen.
    """

    task: str
    sigma: float
    reason: str


def diagnose(samples: Sequence[Frames], sigma: float, tones: LevelFunction) -> Diagnosis:
    """Choose the weights for a video.

    Args:
        samples: Luma (T, H, W) of consecutive frames from some places, nominal [0, 1].
        sigma: Noise level that `estimate` has found, 8-bit units.
        tones: How it depends on brightness.
    """
    coarse, middle, fine = np.median([band_levels(plane) for plane in samples], axis=0)
    if fine >= NOISY_SIGMA and middle <= WHITE * fine:
        if tones.fall >= FALLING:
            words = f"noise of level {sigma:.1f} that falls by {tones.fall:.0%} in bright tones"
            return Diagnosis("mixed", sigma, f"{words}, as in low light")
        return Diagnosis("denoise", believed(sigma, samples), f"white noise of level {sigma:.1f}")
    grainy = coarse >= GRAINY_SIGMA and coarse >= CORRELATED * fine
    if grainy and _renewed(samples, BANDS[0]) >= RENEWED:
        words = f"coarse noise ({coarse:.1f}, fine {fine:.1f}), as grain is"
        return Diagnosis("mixed", sigma, words)
    blocks = float(np.median([blockiness(plane) for plane in samples]))
    if blocks >= BLOCKY:
        return Diagnosis("deblock", sigma, f"an encoder's blocks ({blocks:.2f})")
    told = believed(sigma, samples)
    return Diagnosis("denoise", told, f"next to no noise ({told:.1f}) and no blocks")


def fitting(
    samples: Sequence[Frames], sigma: float, tones: LevelFunction, weights: Path | None
) -> Diagnosis:
    """Choose among the weights that are there; otherwise as `diagnose`.

    Args:
        samples: As there.
        sigma: As there.
        tones: As there.
        weights: File or folder of weights; None for those of the package.
    """
    found = diagnose(samples, sigma, tones)
    return found if has(found.task, weights) else replace(found, task="denoise")


def believed(sigma: float, samples: Sequence[Frames] = ()) -> float:
    """The part of a noise level that is surely noise and not texture, 8-bit units.

    Args:
        sigma: The level.
        samples: As for `diagnose`; without them, texture is told by its weakness alone.
    """
    if sigma >= DOUBTFUL_SIGMA and samples:
        share = _renewed(samples, BANDS[-1])
        sigma *= share if share < RENEWED else 1.0
    return sigma * min(1.0, sigma / CERTAIN_SIGMA)


def _renewed(samples: Sequence[Frames], band: tuple[int, int]) -> float:
    """Median of `renewed_share` over the places; 0 if the whole video stands still.

    1 if no place has a second frame to compare with.
    """
    found = [renewed_share(plane, band) for plane in samples]
    shares = [share for share in found if share is not None]
    if shares:
        return float(np.median(shares))
    return 0.0 if any(len(plane) > 1 for plane in samples) else 1.0


def blockiness(plane: Frames) -> float:
    """How many times more luma (T, H, W) changes across the lines of an 8x8 grid than elsewhere.

    A picture smaller than two blocks has no lines: 1.
    """
    if min(plane.shape[1:]) < 2 * BLOCK_PX:
        return 1.0
    ratios = []
    for axis in (1, 2):
        steps = np.abs(np.diff(plane, axis=axis)).mean((0, 3 - axis))
        phases = np.array([steps[phase::BLOCK_PX].mean() for phase in range(BLOCK_PX)])
        ratios.append(phases[-1] / max(float(np.median(phases)), 1e-6))
    return float(max(ratios))

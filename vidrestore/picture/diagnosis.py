"""What is wrong with a video, read from the luma of a few frames: which weights fit, and why.

White noise looks the same at every frequency; grain and noise that went through an encoder do not.
The noise of a band is read from the patches that have least below it, as `estimate` does. Blocks
show where neighbouring pixels differ more across the lines of an 8x8 grid than elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidrestore.network.shelf import has
from vidrestore.picture.estimate import band_levels

Frames = NDArray[np.float32]

BLOCK_PX = 8
WHITE = 1.2
"""Middle band over fine band, at most, of white noise."""
NOISY_SIGMA = 2.5
"""Weaker noise in the fine band may be the picture's own texture."""
CORRELATED = 1.5
"""Coarse band over fine band, at least, of grain."""
GRAINY_SIGMA = 6.0
"""Weaker noise in the coarse band may be the picture's own texture."""
BLOCKY = 1.12
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


def diagnose(samples: Sequence[Frames], sigma: float) -> Diagnosis:
    """Choose the weights for a video.

    Args:
        samples: Luma (T, H, W) of frames from some places, nominal [0, 1].
        sigma: Noise level that `estimate` has found, 8-bit units.
    """
    coarse, middle, fine = np.median([band_levels(plane) for plane in samples], axis=0)
    blocks = float(np.median([blockiness(plane) for plane in samples]))
    if fine >= NOISY_SIGMA and middle <= WHITE * fine:
        return Diagnosis("denoise", believed(sigma), f"white noise of level {sigma:.1f}")
    if coarse >= GRAINY_SIGMA and coarse >= CORRELATED * fine:
        words = f"coarse noise ({coarse:.1f}, fine {fine:.1f}), as grain is"
        return Diagnosis("mixed", sigma, words)
    if blocks >= BLOCKY:
        return Diagnosis("mixed", sigma, f"an encoder's blocks ({blocks:.2f})")
    return Diagnosis("denoise", believed(sigma), f"next to no noise ({sigma:.1f}) and no blocks")


def fitting(samples: Sequence[Frames], sigma: float, weights: Path | None) -> Diagnosis:
    """Choose among the weights that are there; otherwise as `diagnose`.

    Args:
        samples: As there.
        sigma: As there.
        weights: File or folder of weights; None for those of the package.
    """
    found = diagnose(samples, sigma)
    return found if has(found.task, weights) else replace(found, task="denoise")


def believed(sigma: float) -> float:
    """The part of a noise level that is surely noise and not texture, 8-bit units."""
    return sigma * min(1.0, sigma / CERTAIN_SIGMA)


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

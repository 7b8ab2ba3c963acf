"""Evidence without a reference: degrade the result again and see whether it comes back."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import numpy as np

from vidrestore.degrade import GaussianNoise
from vidrestore.measure.compare import RgbReader
from vidrestore.measure.metrics import score_clip
from vidrestore.network.diffuse import Restorer

SIGMA = 20.0
FRAMES = 12


@dataclass(frozen=True)
class SelfTest:
    """How well a degraded copy of the result is restored to the result.

    Attributes:
        sigma: Noise that was added, 8-bit units; clipped and rounded to 8 bits.
        frames: Frames tried, from the beginning of the result.
        degraded_psnr_db: Of the degraded copy against the result; None if identical.
        psnr_db: Of the restored copy against the result.
    """

    sigma: float
    frames: int
    degraded_psnr_db: float | None
    psnr_db: float | None


def self_test(restorer: Restorer, result: RgbReader, *, steps: int | None, seed: int) -> SelfTest:
    """Run the test on the first frames of a finished file.

    Args:
        restorer: The model that made it.
        result: The finished file.
        steps: Reverse steps K; None for as many as are worth it.
        seed: Of the noise.
    """
    clip = np.stack([result.rgb(frame) for frame in islice(result.frames(), FRAMES)])
    degraded, _ = GaussianNoise(SIGMA, eight_bit=True).apply(clip, seed)
    restored = restorer.restore_clip(degraded, sigma=None, steps=steps)
    return SelfTest(
        SIGMA,
        len(clip),
        score_clip(clip, degraded, with_ssim=False).psnr_db,
        score_clip(clip, restored, with_ssim=False).psnr_db,
    )

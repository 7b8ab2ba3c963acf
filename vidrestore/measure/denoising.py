"""Noise is added to clean clips and removed again, by the model and by ffmpeg's filters.

The protocol is that of the denoising papers: noise drawn once per clip, every frame scored in RGB,
clamped and not rounded, PSNR averaged over frames.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vidrestore.degrade import GaussianNoise
from vidrestore.measure.baselines import FILTERS, FfmpegFilter, run_filter
from vidrestore.measure.metrics import ClipScores, score_clip
from vidrestore.measure.rows import MODEL, Row
from vidrestore.picture.estimate import noise_sigma

Clip = npt.NDArray[np.float32]
Restore = Callable[[Clip, float], Clip]
"""A denoiser: takes a clip (T, H, W, 3) float32, not clamped, and sigma in 8-bit units."""

ESTIMATE_FRAMES = 8


@dataclass(frozen=True)
class Denoising:
    """Measures a denoiser and ffmpeg's filters on one clip after the other.

    Attributes:
        degradation: The noise.
        restore: The model; None measures the filters alone.
        ffmpeg: Path of the ffmpeg executable.
        seed: Seed of the noise.
        filters: Filters to measure; empty for none.
    """

    degradation: GaussianNoise
    restore: Restore | None
    ffmpeg: str
    seed: int = 0
    filters: Sequence[FfmpegFilter] = FILTERS

    def rows(self, name: str, clean: Clip) -> Iterator[Row]:
        """Measure every method on a clip.

        Args:
            name: Of the clip.
            clean: RGB (T, H, W, 3), float32, [0, 1].

        Raises:
            FfmpegError: A filter failed.
        """
        if self.restore is not None:
            yield self._model(name, clean, self.restore)
        for candidate in self.filters:
            yield self._filter(name, clean, candidate)

    def _model(self, name: str, clean: Clip, restore: Restore) -> Row:
        degraded, sigma = self.degradation.apply(clean, self.seed)
        estimated = None
        begun = time.perf_counter()
        if sigma is None:
            sigma = estimated = noise_sigma(degraded[:: math.ceil(len(degraded) / ESTIMATE_FRAMES)])
        restored = restore(degraded, sigma)
        seconds = time.perf_counter() - begun
        row = _row(name, MODEL, score_clip(clean, restored), seconds, clean, degraded)
        return replace(row, input=str(self.degradation), sigma_estimated=estimated)

    def _filter(self, name: str, clean: Clip, candidate: FfmpegFilter) -> Row:
        """Run a filter at all its strengths and keep the one with the best PSNR on this very clip.

        That is kinder to the filter than any user can be, who has no clean clip to choose by.
        """
        stored = replace(self.degradation, eight_bit=True)  # filters work on what a file can hold
        degraded, _ = stored.apply(clean, self.seed)
        best: tuple[float, float, Clip, float] | None = None
        levels = candidate.levels(self.degradation.sigma)
        for strength, options in levels.items():
            begun = time.perf_counter()
            filtered = run_filter(candidate.name, options, candidate.pix_fmt, degraded, self.ffmpeg)
            seconds = time.perf_counter() - begun
            psnr = score_clip(clean, filtered, with_ssim=False).psnr_db
            score = math.inf if psnr is None else psnr
            if best is None or score > best[0]:
                best = score, strength, filtered, seconds
        assert best is not None, "a filter has strengths"
        _, strength, filtered, seconds = best
        row = _row(name, candidate.name, score_clip(clean, filtered), seconds, clean, degraded)
        tried = ", ".join(f"{strength:g}" for strength in levels)
        return replace(
            row,
            input=str(stored),
            strength=strength,
            note=f"given {stored}; best on this clip of strengths {tried} x sigma",
        )


def _row(
    clip: str, method: str, scores: ClipScores, seconds: float, clean: Clip, degraded: Clip
) -> Row:
    return Row(
        clip=clip,
        method=method,
        psnr_db=scores.psnr_db,
        ssim=scores.ssim,
        psnr_y_db=scores.psnr_y_db,
        seconds_per_frame=seconds / len(clean),
        input_psnr_db=score_clip(clean, degraded, with_ssim=False).psnr_db,
        input="",
        frames=len(clean),
    )

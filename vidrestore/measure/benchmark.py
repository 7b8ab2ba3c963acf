"""Clean clips are degraded, restored by the model and by what else there is, and scored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vidrestore.degrade import GaussianNoise, MissingFrames, parse
from vidrestore.measure.baselines import FILTERS
from vidrestore.measure.clips import load_clips
from vidrestore.measure.denoising import Denoising
from vidrestore.measure.prediction import Prediction
from vidrestore.measure.rows import Benchmark, Row, summarise
from vidrestore.media.ffmpeg import find_ffmpeg

Clip = npt.NDArray[np.float32]


@dataclass(frozen=True)
class BenchmarkSettings:
    """What to measure, and how.

    Attributes:
        degrade: Spec of the degradation, such as ``awgn:25`` or ``drop:2``.
        baselines: Also run ffmpeg's filters.
        frames: How many frames of each clip, from its beginning; None for all.
        steps: Reverse steps K of the model.
        seed: Seed of the noise.
        device: "auto", "cpu", "cuda" or "mps".
        weights: File or folder of weights; None for those of the package.
        ffmpeg: An ffmpeg other than the bundled one.
    """

    degrade: str
    baselines: bool = False
    frames: int | None = None
    steps: int = 1
    seed: int = 0
    device: str = "auto"
    weights: Path | None = None
    ffmpeg: str | None = None


class Measurement(Protocol):
    """Measures all methods on one clip after the other."""

    def rows(self, name: str, clean: Clip) -> Iterator[Row]:
        """One row for every method; `clean` is RGB (T, H, W, 3), float32, [0, 1]."""


def benchmark(
    clips: Sequence[Path], settings: BenchmarkSettings, on_progress: Callable[[str], None]
) -> Benchmark:
    """Load the model and measure it, beside ffmpeg's filters if asked to.

    Args:
        clips: Clean video files or folders of numbered images.
        settings: What to measure.
        on_progress: Called with a line of text after every row.

    Raises:
        UsageError: The degradation is not known.
        InputError: A clip cannot be read, or is too short to take frames out of it.
        WeightsError: The weights are missing or corrupt.
        FfmpegError: ffmpeg is missing or a filter failed.
    """
    degradation = parse(settings.degrade)
    ffmpeg = find_ffmpeg(settings.ffmpeg)
    measurement = (
        _prediction(degradation, settings, ffmpeg)
        if isinstance(degradation, MissingFrames)
        else _denoising(degradation, settings, ffmpeg)
    )
    rows = []
    for row in measure(clips, measurement, ffmpeg, settings.frames):
        rows.append(row)
        on_progress(f"{row.clip}: {row.method}")
    return Benchmark(str(degradation), settings.seed, tuple(rows), summarise(rows))


def measure(
    clips: Iterable[Path], measurement: Measurement, ffmpeg: str, frames: int | None = None
) -> Iterator[Row]:
    """Measure clip by clip; a clip is in memory as a whole.

    Args:
        clips: Clean video files or folders of numbered images.
        measurement: What to do with each.
        ffmpeg: Path of the ffmpeg executable.
        frames: How many frames of each clip, from its beginning; None for all.

    Raises:
        InputError: A clip cannot be read.
    """
    for path in clips:
        for name, clean in load_clips(path, frames, ffmpeg):
            yield from measurement.rows(name, clean)


def _denoising(noise: GaussianNoise, settings: BenchmarkSettings, ffmpeg: str) -> Denoising:
    from vidrestore.network.diffuse import Restorer

    restorer = Restorer("denoise", settings.weights, settings.device)

    def restore(clip: Clip, sigma: float) -> Clip:
        return restorer.restore_clip(clip, sigma, steps=settings.steps)

    filters = FILTERS if settings.baselines else ()
    return Denoising(noise, restore, ffmpeg, settings.seed, filters)


def _prediction(missing: MissingFrames, settings: BenchmarkSettings, ffmpeg: str) -> Prediction:
    from vidrestore.network.diffuse import Restorer

    restorer = Restorer("interpolate", settings.weights, settings.device)
    return Prediction(missing, restorer, settings.steps, ffmpeg if settings.baselines else None)

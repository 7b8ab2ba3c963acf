"""A look at a few frames of a video before it is restored: how noisy is it?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vidrestore.errors import InputError
from vidrestore.measure.compare import RgbReader
from vidrestore.measure.metrics import luma
from vidrestore.picture.estimate import luma_is_clipped, noise_sigma
from vidrestore.picture.fields import converter_of
from vidrestore.picture.levelfunction import LevelFunction, level_function

PLACES = 4
FRAMES_PER_PLACE = 2


@dataclass(frozen=True)
class NoiseSurvey:
    """What the noise of a video is like.

    Attributes:
        sigma: Median level over the places, 8-bit units.
        samples: Luma of the frames of each place, (T, H, W) float32, nominal [0, 1], not clamped.
        tones: How the noise depends on brightness, over all places.
    """

    sigma: float
    samples: tuple[NDArray[np.float32], ...]
    tones: LevelFunction

    @classmethod
    def of(cls, places: Iterable[NDArray[np.float32]]) -> Self:
        """Measure frames of some places, (T, H, W, 3) float32 RGB each, which are not held."""
        sigmas, samples, tones = [], [], []
        for rgb in places:
            sigmas.append(noise_sigma(rgb))
            tones.append(level_function(rgb))
            samples.append(luma(rgb))  # a third of it: frames can be large
        sigma = float(np.median(sigmas)) if sigmas else 0.0
        return cls(sigma, tuple(samples), LevelFunction.joined(tones))

    def is_clipped(self, sigma: float) -> bool:
        """Whether noise of level `sigma`, 8-bit units, was cut off at black and white."""
        return all(luma_is_clipped(sample, sigma) for sample in self.samples)


def survey_noise(reader: RgbReader) -> NoiseSurvey:
    """Look at a few frames at evenly spread places.

    Args:
        reader: The video, or the part of it that matters.

    Raises:
        InputError: If there is no frame to look at.
    """
    survey = NoiseSurvey.of(_pictures(reader))
    if not survey.samples:
        raise InputError(
            f"{reader.info.path}: there is no frame to restore", hint="check --start and --end"
        )
    return survey


def _pictures(reader: RgbReader) -> Iterator[NDArray[np.float32]]:
    """RGB of the first frames of each place."""
    converter = converter_of(reader.info)  # fields are pictures of their own
    for place in _places(reader):
        try:
            frames = list(islice(reader.frames(start=place), FRAMES_PER_PLACE))
        except InputError:  # a place beyond the damage of a truncated file
            continue
        if frames:
            yield np.stack([converter.rgb(frame) for frame in frames])


def _places(reader: RgbReader) -> list[int | Fraction | None]:
    """Where to look: spread over the interval if its bounds are known times, else its start."""
    start, end, duration_s = reader.start, reader.end, reader.info.duration_s
    if isinstance(start, int) or isinstance(end, int) or duration_s is None:
        return [start]
    first = start or Fraction(0)
    whole = Fraction(duration_s).limit_denominator(1000)
    step = (min(end or whole, whole) - first) / PLACES
    return [start, *(first + i * step for i in range(1, PLACES) if step > 0)]

"""How noise depends on brightness: the noise level function of a clip, from its own frames.

The term is that of C. Liu, W. Freeman, R. Szeliski, S. B. Kang, "Noise estimation from a single
image", CVPR 2006. White noise has one level at every brightness. Few photons make noise whose
variance in linear light is a n + b at light n (A. Foi, M. Trimeche, V. Katkovnik, K. Egiazarian,
"Practical Poissonian-Gaussian noise modeling and fitting for single-image raw-data", IEEE TIP 17,
2008); a camera's curve, steep in the dark, turns that into noise that falls towards white.

Patches are sorted by their mean luma into tones, and each tone's level is read as `estimate` does:
from the high frequencies of the patches that have least in the low ones. White noise has as much in
both; where even the quietest patches of a tone have more below, they hold texture, and the tone is
left out. So is what lies near black and white, where clipping weakens all noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from vidrestore.measure.metrics import LUMA_WEIGHTS, luma
from vidrestore.picture.patches import holds_a_patch, mean_colours, places, spectra

Floats = npt.NDArray[np.float64]
Frames = npt.NDArray[np.float32]

TONES = 16
LEAST_PATCHES = 200
"""A tone with fewer, in one place, is not read."""
QUIET_SHARE = 0.1
QUIET_LEAST = 50
STRUCTURE = 1.0
"""Low over high energy, at most, of the quietest patches of a tone; about 0.7 if there is only
white noise, since those with least were chosen."""
CLEAR_OF_BLACK, CLEAR_OF_WHITE = 1.25, 2.5
"""How far all channels must be from there, in units of the noise. Clipping weakens noise: near
black, white noise grows with brightness, which is no fall; near white it would be mistaken for
one."""
LEAST_TONES = 3
LEAST_SPAN = 0.08
"""Brightness that the tones must span."""


@dataclass(frozen=True)
class LevelFunction:
    """Noise level against brightness; empty where no tone could be read.

    Attributes:
        brightness: Luma (N,), nominal [0, 1], ascending.
        sigma: Level there (N,), 8-bit units, of the white RGB noise that luma would have it from.
    """

    brightness: Floats
    sigma: Floats

    @classmethod
    def joined(cls, functions: Sequence[Self]) -> Self:
        """Those of some places of a video, which are taken to have one camera's noise."""
        if not functions:
            return cls(np.empty(0), np.empty(0))
        brightness = np.concatenate([function.brightness for function in functions])
        order = brightness.argsort(kind="stable")
        sigma = np.concatenate([function.sigma for function in functions])
        return cls(brightness[order], sigma[order])

    @property
    def fall(self) -> float:
        """Share of the noise that is gone from the darkest tone to the brightest.

        About 0 for white noise, below for noise that grows; 0 if there are too few tones to tell.
        """
        if len(self.sigma) < LEAST_TONES or np.ptp(self.brightness) < LEAST_SPAN:
            return 0.0
        slope = np.polyfit(self.brightness, np.log(np.maximum(self.sigma, 1e-3)), 1)[0]
        return float(1 - np.exp(slope * np.ptp(self.brightness)))


def level_function(clip: Frames) -> LevelFunction:
    """Read noise against brightness from RGB (T, H, W, 3) float32, nominal [0, 1]."""
    read = sorted(_tones(clip)) if holds_a_patch(clip) else []
    return LevelFunction(*np.array(read, np.float64).reshape(-1, 2).T)


def _tones(clip: Frames) -> list[tuple[float, float]]:
    """Brightness and level of each tone of one place that can be read."""
    plane = luma(clip)
    where = places(plane.shape)
    found = spectra(plane, where)
    low, high = found.low, found.high
    colours = mean_colours(clip, where)[found.inside]
    darkest, brightest = colours.min(axis=1), colours.max(axis=1)
    tone_of = (found.means * TONES).astype(int)
    tones = []
    for tone in range(TONES):
        patches = np.flatnonzero(tone_of == tone)
        if len(patches) < LEAST_PATCHES:
            continue
        count = max(QUIET_LEAST, int(QUIET_SHARE * len(patches)))
        quiet = patches[np.argpartition(low[patches], count - 1)[:count]]
        variance = float(np.median(high[quiet].mean(axis=0)))
        sigma = float(np.sqrt(variance) / np.linalg.norm(LUMA_WEIGHTS))
        above_black = float(np.median(darkest[quiet])) > CLEAR_OF_BLACK * sigma
        below_white = float(np.median(brightest[quiet])) < 1 - CLEAR_OF_WHITE * sigma
        if above_black and below_white and low[quiet].mean() <= STRUCTURE * variance:
            tones.append((float(found.means[quiet].mean()), 255 * sigma))
    return tones

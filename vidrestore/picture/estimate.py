"""Blind noise level of a clip, from its own frames.

The method is that of N. Ponomarenko, V. Lukin, M. Zriakhov, A. Kaarna, J. Astola, "An automatic
approach to lossy compression of AVIRIS images", IGARSS 2007, as analysed by M. Colom and A. Buades,
"Analysis and extension of the Ponomarenko et al. method", IPOL 3 (2013): take the 8x8 luma patches
with the least energy in the low DCT frequencies, where pictures have theirs, and read the noise
from the high frequencies of those patches. In white noise the two sets are independent, so choosing
quiet patches does not bias the reading, as choosing patches by their variance would.

What files contain is clipped, and clipped noise is weaker than the noise that went in: quiet
patches of real clips lose a quarter of sigma 50. Each patch is therefore corrected by the exact
variance of a clipped Gaussian about the patch's own colour, and patches that clipping has all but
silenced are left out.

Luma alone is read: it is what survives chroma subsampling. Noise that is not white reads too low,
because its high frequencies are weaker: a little for what x264 leaves of noise at crf 18, all of it
for smoothed film grain.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from vidrestore.measure.metrics import LUMA_WEIGHTS, luma
from vidrestore.picture.declip import clipped_moments
from vidrestore.picture.patches import (
    Places,
    frequencies,
    holds_a_patch,
    mean_colours,
    places,
    spectra,
)

Floats = npt.NDArray[np.float64]
Frames = npt.NDArray[np.float32]

QUIET_SHARE = 0.1  # of those, read: fewer would be the patches that an encoder has smoothed
QUIET_LEAST = 400
BANDS = (3, 5), (6, 8), (9, 14)  # coarse, middle, fine: row + column index
LEAST_RESPONSE = 0.1  # share of the noise variance that clipping must have left
CLIPPING_MATTERS = 0.5 / 255  # sigma below it, nominal range, is rounding rather than noise
NEAR = 0.5  # of sigma: luma that is as near to black or white as this has come near
MOST_BEYOND = 0.1  # luma beyond the range, as a share of what came near, if noise is clipped
SETTLED = 6  # rounds after which level and clipping correction agree to a thousandth


def noise_sigma(frames: Frames) -> float:
    """Estimate the noise level of a clip.

    Args:
        frames: RGB (T, H, W, 3), float32, nominal [0, 1]; values outside are welcome and tell
            unclipped noise from clipped. Eight frames are plenty.

    Returns:
        Standard deviation in 8-bit units that white RGB noise of the same luma noise would have
        had before any clipping; 0 for frames too small for one patch.
    """
    plane = luma(frames)
    if not holds_a_patch(plane):
        return 0.0
    where = places(plane.shape)
    sigma = _sigma(plane, where, np.empty((0, 3)))
    if not noise_is_clipped(frames, sigma * 255):
        return sigma * 255
    inside = frames.clip(0, 1)  # an encoder's ringing leaves the range, clipped noise does not
    return _sigma(luma(inside), where, mean_colours(inside, where)) * 255


def noise_is_clipped(frames: Frames, sigma: float) -> bool:
    """Whether noise was cut off at black and white, as in files, or reaches beyond.

    Args:
        frames: RGB (T, H, W, 3), float32, nominal [0, 1], not clamped.
        sigma: Noise level in 8-bit units.

    Returns:
        True if luma stops at black and white although it comes near; also if it never does.
    """
    return luma_is_clipped(luma(frames), sigma)


def luma_is_clipped(plane: Frames, sigma: float) -> bool:
    """`noise_is_clipped` for those who have kept luma (T, H, W) alone."""
    reach = NEAR * sigma / 255 * np.linalg.norm(LUMA_WEIGHTS)
    beyond = np.mean((plane < -reach) | (plane > 1 + reach))
    near = np.mean((np.abs(plane) < reach) | (np.abs(plane - 1) < reach))
    return bool(beyond <= MOST_BEYOND * near)


def band_levels(plane: Frames) -> tuple[float, float, float]:
    """Noise of luma (T, H, W) in its coarse, middle and fine frequencies, in 8-bit units.

    Each is what white RGB noise would have that is as strong there: of white noise all are equal.
    """
    if not holds_a_patch(plane):
        return 0.0, 0.0, 0.0
    _, quiet = quiet_spectra(plane)
    coarse, middle, fine = (
        float(np.sqrt(np.median(quiet[:, in_band(band)].mean(axis=1)))) for band in BANDS
    )
    scale = 255 / float(np.linalg.norm(LUMA_WEIGHTS))
    return scale * coarse, scale * middle, scale * fine


def quiet_spectra(plane: Frames) -> tuple[npt.NDArray[np.int64], Frames]:
    """Patches of luma (T, H, W) with the least energy below all bands.

    Returns:
        Frame, row and column of each (3, N), and squared coefficients (N, 64).
    """
    where = places(plane.shape)
    found, order = spectra(plane, where), frequencies()
    below = found.energy[:, (order > 0) & (order < BANDS[0][0])].mean(axis=1)
    quiet = _quiet(below)
    return np.stack(where)[:, found.inside][:, quiet], found.energy[quiet]


def in_band(band: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Coefficients of a band (64,)."""
    return (frequencies() >= band[0]) & (frequencies() <= band[1])


def _sigma(plane: Frames, where: Places, colours: Floats) -> float:
    """Noise level, nominal range, of luma (T, H, W).

    Args:
        plane: Luma, nominal [0, 1].
        where: Frame, row and column of the patches.
        colours: Mean RGB of the patches (N, 3) if the noise is clipped, else empty.
    """
    found = spectra(plane, where)
    low, high = found.low, found.high
    response = np.ones(len(low))
    sigma = 0.0
    for _ in range(SETTLED if len(colours) else 1):
        sigma = _read(low, high, response)
        if len(colours) and sigma > CLIPPING_MATTERS:
            response = _response(colours[found.inside], sigma)
    return sigma


def _quiet(energy: Frames | Floats) -> npt.NDArray[np.int64]:
    """Indices of the patches with the least energy (N,)."""
    count = min(len(energy), max(QUIET_LEAST, int(QUIET_SHARE * len(energy))))
    return np.argpartition(energy, count - 1)[:count]


def _read(low_energy: Frames, high_energy: Frames, response: Floats) -> float:
    """Noise level, nominal range, read from the quietest patches.

    Args:
        low_energy: Mean squared low-frequency coefficient of each patch (N,).
        high_energy: Squared high-frequency coefficients (N, F).
        response: Share of the noise variance that clipping left in each patch (N,).
    """
    usable = np.flatnonzero(response >= LEAST_RESPONSE)
    if not len(usable):  # clipped everywhere: the least clipped patches are all there is
        usable = np.argsort(-response)[:QUIET_LEAST]
    quiet = usable[_quiet(low_energy[usable] / response[usable])]
    variances = np.mean(high_energy[quiet] / response[quiet, None], axis=0)
    return float(np.sqrt(np.median(variances)) / np.linalg.norm(LUMA_WEIGHTS))


def _response(colours: Floats, sigma: float) -> Floats:
    """Share of the luma noise variance left after clipping RGB to [0, 1].

    Args:
        colours: Mean RGB after clipping (N, 3).
        sigma: Standard deviation of the noise before clipping, nominal range.
    """
    near = np.linspace(-4 * sigma, 4 * sigma, 200)  # further in, nothing is clipped
    true_means = np.sort(np.concatenate([near, 1 + near]))
    clipped_means, variances = (
        moment.numpy() for moment in clipped_moments(torch.from_numpy(true_means), sigma)
    )
    shares = np.interp(colours, clipped_means, variances / sigma**2)
    weights = np.square(LUMA_WEIGHTS)
    return np.asarray(shares @ (weights / weights.sum()), np.float64)

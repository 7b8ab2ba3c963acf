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

from functools import cache

import numpy as np
import numpy.typing as npt
import torch

from vidrestore.measure.metrics import LUMA_WEIGHTS, luma
from vidrestore.picture.declip import clipped_moments

Floats = npt.NDArray[np.float64]
Frames = npt.NDArray[np.float32]

PATCH_PX = 8
PATCHES = 20_000  # drawn
QUIET_SHARE = 0.1  # of those, read: fewer would be the patches that an encoder has smoothed
QUIET_LEAST = 400
LOW_FREQUENCIES = 8  # row + column index below this; the mean (0, 0) belongs to neither set
BANDS = (3, 5), (6, 8), (9, 14)  # coarse, middle, fine: row + column index
LEAST_RESPONSE = 0.1  # share of the noise variance that clipping must have left
BARS = 0.01  # luma this near to black or white may be letterbox bars, which carry no noise
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
    if min(frames.shape[1:3]) < PATCH_PX or not len(frames):
        return 0.0
    plane = luma(frames)
    where = _places(plane.shape)
    sigma = _sigma(plane, where, np.empty((0, 3)))
    if not noise_is_clipped(frames, sigma * 255):
        return sigma * 255
    inside = frames.clip(0, 1)  # an encoder's ringing leaves the range, clipped noise does not
    return _sigma(luma(inside), where, _patch_colours(inside, where)) * 255


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
    if min(plane.shape[1:]) < PATCH_PX or not len(plane):
        return 0.0, 0.0, 0.0
    spectrum, _ = _spectrum(plane, _places(plane.shape))
    order = np.add.outer(np.arange(PATCH_PX), np.arange(PATCH_PX)).ravel()
    below = spectrum[:, (order > 0) & (order < BANDS[0][0])].mean(axis=1)
    quiet = spectrum[_quiet(below)]
    coarse, middle, fine = (
        float(np.sqrt(np.median(quiet[:, (order >= first) & (order <= last)].mean(axis=1))))
        for first, last in BANDS
    )
    scale = 255 / float(np.linalg.norm(LUMA_WEIGHTS))
    return scale * coarse, scale * middle, scale * fine


def _sigma(plane: Frames, where: tuple[npt.NDArray[np.int64], ...], colours: Floats) -> float:
    """Noise level, nominal range, of luma (T, H, W).

    Args:
        plane: Luma, nominal [0, 1].
        where: Frame, row and column of the patches.
        colours: Mean RGB of the patches (N, 3) if the noise is clipped, else empty.
    """
    spectrum, inside = _spectrum(plane, where)
    _, low, high = _dct_basis()
    low_energy, high_energy = spectrum[:, low].mean(axis=1), spectrum[:, high]
    response = np.ones(len(spectrum))
    sigma = 0.0
    for _ in range(SETTLED if len(colours) else 1):
        sigma = _read(low_energy, high_energy, response)
        if len(colours) and sigma > CLIPPING_MATTERS:
            response = _response(colours[inside], sigma)
    return sigma


def _spectrum(
    plane: Frames, where: tuple[npt.NDArray[np.int64], ...]
) -> tuple[Frames, npt.NDArray[np.bool_]]:
    """Squared coefficients (M, 64) of patches of luma (T, H, W), and which of them those are (N,).

    Bars are left out, unless there is nothing else.
    """
    patches = np.lib.stride_tricks.sliding_window_view(plane, (PATCH_PX, PATCH_PX), axis=(1, 2))
    chosen = patches[where].reshape(-1, PATCH_PX**2)
    means = chosen.mean(axis=1)
    inside = (means > BARS) & (means < 1 - BARS)
    if not inside.any():
        inside[:] = True
    basis, _, _ = _dct_basis()
    return np.square(chosen[inside] @ basis.T), inside


def _quiet(energy: Frames | Floats) -> npt.NDArray[np.int64]:
    """Indices of the patches with the least energy (N,)."""
    count = min(len(energy), max(QUIET_LEAST, int(QUIET_SHARE * len(energy))))
    return np.argpartition(energy, count - 1)[:count]


def _places(shape: tuple[int, ...]) -> tuple[npt.NDArray[np.int64], ...]:
    """Frame, row and column of the patches, the same for every call on clips of one shape.

    They are drawn, not laid on a grid: a grid would fall in step with an encoder's blocks.
    """
    corners = shape[0], shape[1] - PATCH_PX + 1, shape[2] - PATCH_PX + 1
    total = int(np.prod(corners))
    drawn = np.random.default_rng(0).integers(0, total, min(PATCHES, total))
    return np.unravel_index(np.sort(drawn), corners)


def _patch_colours(frames: Frames, where: tuple[npt.NDArray[np.int64], ...]) -> Floats:
    """Mean RGB of each patch, (N, 3)."""
    patches = np.lib.stride_tricks.sliding_window_view(frames, (PATCH_PX, PATCH_PX), axis=(1, 2))
    return np.asarray(patches[where].mean(axis=(2, 3)), np.float64)


@cache
def _dct_basis() -> tuple[Frames, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Orthonormal 2-D DCT of flattened patches (64, 64), and masks of low and high frequencies."""
    k = np.arange(PATCH_PX)
    rows = np.cos(np.pi * (k[None] + 0.5) * k[:, None] / PATCH_PX) * np.sqrt(2 / PATCH_PX)
    rows[0] /= np.sqrt(2)
    order = np.add.outer(k, k).ravel()
    low = (order > 0) & (order < LOW_FREQUENCIES)
    return np.kron(rows, rows).astype(np.float32), low, order >= LOW_FREQUENCIES


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

"""Patches of a clip and their spectra: what noise is read from, picture by picture.

Pictures have their energy in the low DCT frequencies, noise in all of them. In white noise the two
sets are independent, so the patches with the least low-frequency energy carry as much noise as any.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Frames = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]
Places = tuple[Indices, ...]

PATCH_PX = 8
PATCHES = 20_000  # drawn
LOW_FREQUENCIES = 8  # row + column index below this; the mean (0, 0) belongs to neither set
BARS = 0.01  # luma this near to black or white may be letterbox bars, which carry no noise


@dataclass(frozen=True)
class Spectra:
    """Spectra of some patches of luma.

    Attributes:
        energy: Squared coefficients (M, 64), orthonormal, so white noise has its variance in each.
        means: Mean luma of each patch (M,).
        inside: Which of the places those are (N,): bars are left out, unless there is nothing else.
    """

    energy: Frames
    means: Frames
    inside: Mask

    @property
    def low(self) -> Frames:
        """Mean energy of the low frequencies of each patch (M,)."""
        return np.asarray(self.energy[:, low_frequencies()].mean(axis=1), np.float32)

    @property
    def high(self) -> Frames:
        """Energy of the high frequencies (M, F)."""
        return self.energy[:, high_frequencies()]


def spectra(plane: Frames, where: Places) -> Spectra:
    """Spectra of patches of luma (T, H, W), nominal [0, 1].

    Args:
        plane: Not smaller than a patch.
        where: Frame, row and column of their corners, as `places` gives them.
    """
    patches = np.lib.stride_tricks.sliding_window_view(plane, (PATCH_PX, PATCH_PX), axis=(1, 2))
    chosen = patches[where].reshape(-1, PATCH_PX**2)
    means = chosen.mean(axis=1)
    inside = (means > BARS) & (means < 1 - BARS)
    if not inside.any():
        inside[:] = True
    return Spectra(np.square(chosen[inside] @ dct_basis().T), means[inside], inside)


def mean_colours(frames: Frames, where: Places) -> Floats:
    """Mean RGB (N, 3) of patches of a clip (T, H, W, 3)."""
    patches = np.lib.stride_tricks.sliding_window_view(frames, (PATCH_PX, PATCH_PX), axis=(1, 2))
    return np.asarray(patches[where].mean(axis=(2, 3)), np.float64)


def places(shape: tuple[int, ...]) -> Places:
    """Frame, row and column of the patches of a clip (T, H, W), the same for every call.

    They are drawn, not laid on a grid: a grid would fall in step with an encoder's blocks.
    """
    corners = shape[0], shape[1] - PATCH_PX + 1, shape[2] - PATCH_PX + 1
    total = int(np.prod(corners))
    drawn = np.random.default_rng(0).integers(0, total, min(PATCHES, total))
    return np.unravel_index(np.sort(drawn), corners)


def holds_a_patch(plane: Frames) -> bool:
    """Whether luma (T, H, W) is large enough for one patch."""
    return len(plane) > 0 and min(plane.shape[1:3]) >= PATCH_PX


@cache
def frequencies() -> npt.NDArray[np.int64]:
    """Row + column index of each of the 64 coefficients."""
    index = np.arange(PATCH_PX)
    return np.add.outer(index, index).ravel()


@cache
def low_frequencies() -> Mask:
    """Coefficients that pictures have their energy in (64,)."""
    return (frequencies() > 0) & (frequencies() < LOW_FREQUENCIES)


@cache
def high_frequencies() -> Mask:
    """Coefficients that noise is read from (64,)."""
    return frequencies() >= LOW_FREQUENCIES


@cache
def dct_basis() -> Frames:
    """Orthonormal 2-D DCT of flattened patches (64, 64)."""
    k = np.arange(PATCH_PX)
    rows = np.cos(np.pi * (k[None] + 0.5) * k[:, None] / PATCH_PX) * np.sqrt(2 / PATCH_PX)
    rows[0] /= np.sqrt(2)
    return np.kron(rows, rows).astype(np.float32)

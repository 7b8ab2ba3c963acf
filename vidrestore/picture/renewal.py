"""What is new in the next frame: noise is new, and texture is not.

The spectrum of foliage or of a knitted sleeve is that of grain, and one picture cannot tell them
apart. Two frames can: texture comes along with what it lies on, and grain is drawn anew. So quiet
patches of one frame are looked for in the next, and what they differ by is compared with what they
hold. The whole picture's shift is found by phase correlation first (C. Kuglin, D. Hines, "The phase
correlation image alignment method", 1975).
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from vidrestore.picture.estimate import in_band, quiet_spectra
from vidrestore.picture.patches import PATCH_PX, dct_basis, holds_a_patch

Frames = npt.NDArray[np.float32]
Picture = npt.NDArray[np.float32]

REACH_PX = 5
"""How far from the shift of the whole picture a patch is looked for."""
MOST_PATCHES = 200
SAME = 0.1 / 255
"""Frames that differ by less, on average, are one frame twice."""


def renewed_share(plane: Frames, band: tuple[int, int]) -> float | None:
    """Share of the amplitude in a band of frequencies that the next frame does not have.

    Args:
        plane: Luma (T, H, W), nominal [0, 1], of consecutive frames.
        band: One of `estimate.BANDS`.

    Returns:
        0.7 to 1 for noise, since the patch that fits best is taken; less for texture that moves by
        no more than the reach, 0 if it stands still; None if all frames are the same one, or there
        is no other.
    """
    if len(plane) < 2 or not holds_a_patch(plane):
        return None
    corners, _ = quiet_spectra(plane)
    shares = []
    for index, (first, second) in enumerate(pairwise(plane)):
        chosen = corners[1:, corners[0] == index]
        if np.abs(second - first).mean() >= SAME and chosen.shape[1]:
            shares.append(
                _shares(first, second, chosen[:, :: -(-chosen.shape[1] // MOST_PATCHES)], band)
            )
    return float(np.median(np.concatenate(shares))) if shares else None


def _shares(
    first: Picture, second: Picture, corners: npt.NDArray[np.int64], band: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """The share for each patch (N,), given its row and column (2, N)."""
    (shift_x, shift_y), _ = cv2.phaseCorrelate(first, second)
    most = np.array(first.shape) - PATCH_PX
    here = _patches(first, corners)
    best = np.full(len(here), np.inf)
    nearest = np.empty_like(here)
    for down in range(-REACH_PX, REACH_PX + 1):
        for right in range(-REACH_PX, REACH_PX + 1):
            moved = corners + np.rint([[shift_y + down], [shift_x + right]]).astype(int)
            there = _patches(second, moved.clip(0, most[:, None]))
            error = np.square(there - here).sum(axis=1)
            closer = error < best
            best[closer] = error[closer]
            nearest[closer] = there[closer]
    basis = dct_basis()[in_band(band)]
    held = np.square(here @ basis.T).mean(axis=1)
    differs = np.square((nearest - here) @ basis.T).mean(axis=1) / 2
    return np.asarray(np.sqrt(differs / np.maximum(held, 1e-12)), np.float64)


def _patches(picture: Picture, corners: npt.NDArray[np.int64]) -> Picture:
    """Patches (N, 64) of a picture (H, W) at rows and columns (2, N)."""
    views = np.lib.stride_tricks.sliding_window_view(picture, (PATCH_PX, PATCH_PX))
    return np.asarray(views[corners[0], corners[1]].reshape(-1, PATCH_PX**2), np.float32)

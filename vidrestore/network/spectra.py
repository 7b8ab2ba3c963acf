"""A picture as spectra of tiles that overlap by half, and back."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vidrestore.network.align import Image

TILE_PX = 64
HOP_PX = TILE_PX // 2


def spectra(image: Image) -> Tensor:
    """Spectra (B, C, TILE_PX, TILE_PX / 2 + 1) of a picture (H, W, C), faded half of the way."""
    found: Tensor = torch.fft.rfft2(_tiles(image) * _hann().sqrt())
    return found


def joined(parts: Tensor, size: tuple[int, ...]) -> Image:
    """A picture (H, W, C), clipped to [0, 1], from the spectra of its tiles, faded the rest."""
    tiles = torch.fft.irfft2(parts, s=(TILE_PX, TILE_PX)) * _hann().sqrt()
    left, right, top, bottom = _padding(size)
    whole = (top + size[0] + bottom, left + size[1] + right)
    picture = F.fold(tiles.flatten(1).T[None], whole, TILE_PX, stride=HOP_PX)[0]
    inner = picture[:, top : top + size[0], left : left + size[1]].clamp(0, 1)
    return inner.permute(1, 2, 0).contiguous().numpy()


def means(values: NDArray[np.float32]) -> Tensor:
    """Means (B, C) of (H, W, C) over the tiles, as the window weighs them."""
    window = _hann()
    return (_tiles(values) * window).sum((2, 3)) / window.sum()


def squared_frequency() -> Tensor:
    """(TILE_PX, TILE_PX / 2 + 1), in cycles per pixel."""
    squares: Tensor = (
        torch.fft.fftfreq(TILE_PX)[:, None].square() + torch.fft.rfftfreq(TILE_PX).square()
    )
    return squares


def _hann() -> Tensor:
    window: Tensor = torch.hann_window(TILE_PX, periodic=True)
    return window[:, None] * window


def _padding(size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Left, right, top and bottom, so that every pixel lies in four tiles."""
    return (HOP_PX, HOP_PX + -size[1] % HOP_PX, HOP_PX, HOP_PX + -size[0] % HOP_PX)


def _tiles(values: NDArray[np.float32]) -> Tensor:
    """(H, W, C) in overlapping tiles (B, C, TILE_PX, TILE_PX), mirrored at its edges."""
    left, right, top, bottom = _padding(values.shape)
    padded = cv2.copyMakeBorder(values, top, bottom, left, right, cv2.BORDER_REFLECT_101)
    planes = torch.from_numpy(padded.reshape(*padded.shape[:2], -1))
    return planes.unfold(0, TILE_PX, HOP_PX).unfold(1, TILE_PX, HOP_PX).flatten(0, 1)

"""What a network is shown beside a window: at its first look, and when it looks again.

At another look there is an estimate of the clean window. Motion is found in that, and what follows
from the motion is shown: neighbours that were averaged (`fuse`), blur that was undone
(`deconvolve`), or both.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vidrestore.network import deconvolve, fuse
from vidrestore.network.model import LOOKED_AGAIN

STROKES = len(deconvolve.STROKES)
CANDIDATES = {
    "denoise": fuse.CANDIDATES,
    "deblock": fuse.CANDIDATES,
    "deblur": deconvolve.CANDIDATES,
    "mixed": fuse.CANDIDATES + STROKES,
}
"""Images to choose from at another look, by task."""

FIRST: dict[str, Callable[[Tensor], Tensor]] = {"deblur": deconvolve.first_look}
"""What makes candidates of a window at the first look, for tasks that have some there."""

LEVEL_LEFT = 0.5
"""What is told of the levels of a window that was averaged: the noise of four frames' mean."""


def again(task: str, window: Tensor, estimate: Tensor) -> tuple[Tensor, Tensor]:
    """What is shown at another look.

    Args:
        task: Whose networks look again.
        window: (T, 3, H, W) float32 RGB on the CPU, nominal [0, 1], any size.
        estimate: The same shape: what has been made of it so far.

    Returns:
        What the network begins with, (T, 3, H, W) float32: the window, or its mean along the
        motion; and candidates, (T, 4 * CANDIDATES[task], H, W).
    """
    if task == "deblur":
        return window, deconvolve.second_look(window, estimate)
    mean, images, share = fuse.fuse(window, estimate)
    if task == "mixed":
        undone = deconvolve.first_look(estimate)[:, : 3 * STROKES]
        undone += (estimate - mean).repeat(1, STROKES, 1, 1)
        images = torch.cat((images, undone), dim=1)
    shares = torch.zeros(len(mean), CANDIDATES[task], *mean.shape[2:])
    shares[:, :1] = share
    return mean, torch.cat((images, shares), dim=1)


def told_again(task: str, levels: Tensor) -> Tensor:
    """What is told of levels (..., 4) at another look."""
    return LOOKED_AGAIN.to(levels).expand_as(levels) if task == "deblur" else LEVEL_LEFT * levels

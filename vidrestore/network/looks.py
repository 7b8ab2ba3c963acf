"""What a network is shown beside a window: at its first look, and when it looks again.

At another look there is an estimate of the clean window. Motion is found in that, and what follows
from the motion is shown: neighbours that were averaged (`fuse`), blur that was undone
(`deconvolve`), or both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vidrestore.degrade.curve import to_linear
from vidrestore.measure.metrics import luma_codes
from vidrestore.network import deconvolve, fuse
from vidrestore.network.align import Image
from vidrestore.network.model import LOOKED_AGAIN
from vidrestore.network.neighbours import Neighbours

CANDIDATES = {"denoise": 3, "deblock": 3, "deblur": 5, "mixed": 5}
"""Images to choose from at another look, by task."""

SHOWN_AT_FIRST = frozenset({"deblur"})
"""Tasks that have as many to choose from at the first look; see `first`."""

LEVEL_LEFT = 0.5
"""What is told of the levels of a window that was averaged: the noise of four frames' mean."""

LEAST_CHANGE, LEAST_CHANGE_OF_BLUR = 0.04, 0.08
"""In [0, 1] units: estimates of what was damaged less than that miss each other as much."""


def first(window: Tensor) -> Tensor:
    """Candidates for the first look: the frame deconvolved, those beside it, and itself.

    Args:
        window: (T, 3, H, W) float32 RGB on the CPU, nominal [0, 1], any size.

    Returns:
        (T, 4 * CANDIDATES["deblur"], H, W) float32: the images less the frame, then their shares
        in the frame, as `RestorationNet.residual` takes them.
    """
    frames = _images(window).clip(0, 1)
    light, seen = to_linear(frames), luma_codes(frames)
    shown = []
    for index, frame in enumerate(frames):
        near = Neighbours.of(seen, index, deconvolve.REACH)
        beside = [near.warped(frames, u) for u in (index - 1, index + 1)]
        shown.append(_candidates([*deconvolve.stroked(near, light), *beside, frame], frame))
    return torch.stack(shown)


def again(task: str, window: Tensor, estimate: Tensor) -> tuple[Tensor, Tensor]:
    """What is shown at another look.

    Args:
        task: Whose networks look again.
        window: (T, 3, H, W) float32 RGB on the CPU, nominal [0, 1], any size.
        estimate: The same shape: what has been made of it so far.

    Returns:
        What the network begins with, (T, 3, H, W) float32: the window, or its mean along the
        motion; and candidates, (T, 4 * CANDIDATES[task], H, W), less what it begins with.
    """
    frames, sharp = _images(window), _images(estimate)
    if task == "deblur":
        return window, _deblurred(frames.clip(0, 1), sharp.clip(0, 1))
    return _averaged(frames, sharp, deconvolved=task == "mixed")


def told_again(task: str, levels: Tensor) -> Tensor:
    """What is told of levels (..., 4) at another look."""
    return LOOKED_AGAIN.to(levels).expand_as(levels) if task == "deblur" else LEVEL_LEFT * levels


def _deblurred(frames: Image, sharp: Image) -> Tensor:
    """The frame deconvolved with measured blurs, the mean of the estimates, and its own."""
    light, seen = to_linear(frames), luma_codes(sharp)
    change = max(float(np.square(frames - sharp).mean()), LEAST_CHANGE_OF_BLUR**2)
    shown = []
    for index, (frame, own) in enumerate(zip(frames, sharp, strict=True)):
        near = Neighbours.of(seen, index, fuse.REACH)
        (mean,), _ = fuse.fuse(near, [sharp], sharp, change)
        images = [*deconvolve.measured(near, light, mean), mean, own]
        shown.append(_candidates(images, frame))
    return torch.stack(shown)


def _averaged(frames: Image, sharp: Image, *, deconvolved: bool) -> tuple[Tensor, Tensor]:
    """The mean of the frames; the frame, the estimate, and the mean of the estimates."""
    light, seen = to_linear(sharp.clip(0, 1)), luma_codes(sharp)
    change = max(float(np.square(frames - sharp).mean()), LEAST_CHANGE**2)
    means, shown = [], []
    for index, (frame, own) in enumerate(zip(frames, sharp, strict=True)):
        near = Neighbours.of(seen, index, fuse.REACH)
        (mean, smooth), share = fuse.fuse(near, [frames, sharp], sharp, change)
        images = [frame, own, smooth, *(deconvolve.stroked(near, light) if deconvolved else ())]
        means.append(torch.from_numpy(mean).permute(2, 0, 1))
        shown.append(_candidates(images, mean, share))
    return torch.stack(means), torch.stack(shown)


def _images(window: Tensor) -> Image:
    """(T, 3, H, W) to (T, H, W, 3)."""
    return window.permute(0, 2, 3, 1).contiguous().numpy()


def _candidates(images: Sequence[Image], start: Image, share: Image | float = 0.0) -> Tensor:
    """Images (H, W, 3) less what the network begins with, then the share of the first in that."""
    found = np.zeros((*start.shape[:2], 4 * len(images)), np.float32)
    found[..., : 3 * len(images)] = np.concatenate([image - start for image in images], axis=2)
    found[..., 3 * len(images), None] = share
    return torch.from_numpy(found).permute(2, 0, 1)

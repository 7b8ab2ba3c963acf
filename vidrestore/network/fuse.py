"""The second look: a frame and its neighbours averaged along the motion seen in the first estimate.

Noise hides the motion, so the network's first estimate of a window knows nothing of it. In that
estimate motion can be found; along it the degraded neighbours are warped to a frame and averaged
(motion-compensated temporal filtering; Dubois and Sabri, IEEE Trans. Communications 32, 1984),

    mean = sum_u w_u warp(y_u) / sum_u w_u,     w_u = (1 + d_u / (TOLERANCE^2 c))^-2,

where d_u is the local mean square by which the warped estimate u misses that of the frame, and c
the mean square of what the first look has changed. What is left of the noise, and where nothing
fitted, a second network sees for itself: it begins with the mean and is shown the frame as it was,
its share in the mean, the estimate, and the mean of the estimates.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from vidrestore.measure.metrics import luma_codes
from vidrestore.network.align import Image, medium_flow, warp

CANDIDATES = 3
"""The frame as it was given, the estimate, and the mean of the estimates along the motion."""

REACH = 4
"""Frames on either side that are averaged."""
TOLERANCE = 0.5
"""Estimates that miss each other by this share of what was changed count a quarter."""
COMPARED_SIGMA_PX = 2.0
LEAST_CHANGE = 0.04
"""In [0, 1] units: estimates of what was damaged less than that miss each other as much."""


def fuse(window: Tensor, estimate: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Average a window along its motion.

    Args:
        window: (T, 3, H, W) float32 RGB on the CPU, nominal [0, 1], any size.
        estimate: The same shape: what has been made of it so far.

    Returns:
        The mean, (T, 3, H, W) float32; the images to show beside it, less the mean, (T, 3 *
        CANDIDATES, H, W); and the share that the frame has in it, (T, 1, H, W).
    """
    frames, sharp = _images(window), _images(estimate)
    seen = luma_codes(sharp)
    change = max(float(np.square(frames - sharp).mean()), LEAST_CHANGE**2)
    means, shares = torch.empty(window.shape), torch.empty(window[:, :1].shape)
    beside = torch.empty(len(frames), 3 * CANDIDATES, *window.shape[2:])
    for index, frame in enumerate(frames):
        total, smooth = frame.copy(), sharp[index].copy()
        weights = np.ones_like(frame[..., :1])
        for u in range(max(0, index - REACH), min(len(frames), index + REACH + 1)):
            if u == index:
                continue
            field = medium_flow(seen[index], seen[u])
            warped = warp(sharp[u], field)
            weight = _trust(warped - sharp[index], change)
            total += weight * warp(frames[u], field)
            smooth += weight * warped
            weights += weight
        mean = total / weights
        images = [image - mean for image in (frame, sharp[index], smooth / weights)]
        means[index] = torch.from_numpy(mean).permute(2, 0, 1)
        beside[index] = torch.from_numpy(np.concatenate(images, axis=2)).permute(2, 0, 1)
        shares[index, 0] = torch.from_numpy(1 / weights[..., 0])
    return means, beside, shares


def _images(window: Tensor) -> Image:
    """(T, 3, H, W) to (T, H, W, 3)."""
    return window.permute(0, 2, 3, 1).contiguous().numpy()


def _trust(missed: Image, change: float) -> Image:
    """Weights (H, W, 1) of a neighbour whose estimate is off by (H, W, 3)."""
    square = np.square(missed).mean(2)
    local = cv2.GaussianBlur(square, (0, 0), COMPARED_SIGMA_PX)[..., None]
    trust: Image = np.square(1 / (1 + local / (TOLERANCE**2 * change)))
    return trust

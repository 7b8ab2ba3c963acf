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

from collections.abc import Sequence

import cv2
import numpy as np

from vidrestore.network.align import Image
from vidrestore.network.neighbours import Neighbours

REACH = 4
"""Frames on either side that are averaged."""
TOLERANCE = 0.5
"""Estimates that miss each other by this share of what was changed count a quarter."""
COMPARED_SIGMA_PX = 2.0


def fuse(
    near: Neighbours, clips: Sequence[Image], sharp: Image, change: float
) -> tuple[list[Image], Image]:
    """Average a frame and its neighbours along the motion.

    Args:
        near: The frame.
        clips: What to average, (T, H, W, 3) each.
        sharp: (T, H, W, 3) the estimate of the clean clip, by which neighbours are trusted.
        change: The mean square of what the estimate has changed.

    Returns:
        The mean of each clip, (H, W, 3), and the share that the frame has in it, (H, W, 1).
    """
    means = [clip[near.index].copy() for clip in clips]
    weights = np.ones_like(sharp[0, ..., :1])
    for u in near.fields:
        if u == near.index:
            continue
        estimate = near.warped(sharp, u)
        weight = _trust(estimate - sharp[near.index], change)
        for mean, clip in zip(means, clips, strict=True):
            mean += weight * (estimate if clip is sharp else near.warped(clip, u))
        weights += weight
    return [mean / weights for mean in means], np.reciprocal(weights)


def _trust(missed: Image, change: float) -> Image:
    """Weights (H, W, 1) of a neighbour whose estimate is off by (H, W, 3)."""
    square = np.square(missed).mean(2)
    local = cv2.GaussianBlur(square, (0, 0), COMPARED_SIGMA_PX)[..., None]
    trust: Image = np.square(1 / (1 + local / (TOLERANCE**2 * change)))
    return trust

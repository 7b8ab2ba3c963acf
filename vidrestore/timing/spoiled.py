"""Frames that damage has turned black, green or grey, wholly or in a band."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vidrestore.timing.signs import LONGEST_FRAMES, WHOLE_SHARE, Map, Signs, Spoiled

SAME_SCENE = 0.8
"""Correlation of the frames before and after, at block scale, if they show the same."""
MOST_DRIFT = 8.0
"""Mean luma, 8-bit codes, by which they may differ; what brightens passes through grey."""
STEADY = 0.25
"""A fade has brought the brightness on its way already; damage comes and goes at once. This is the
share of the way that may lie before and after."""
STEADY_FRAMES = 3
LEADING_CONFIDENCE = 0.6
"""One side only tells less. A video that begins or ends with black means it."""


def find_spoiled(signs: Signs) -> Iterator[tuple[int, int, float]]:
    """Runs of spoiled frames.

    Yields:
        First frame, one past the last, and the confidence (as in `damage.Interval`).
    """
    edges = np.flatnonzero(np.diff((signs.spoiled > 0).astype(int), prepend=0, append=0))
    for first, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        confidence = _judge(signs, first, stop)
        if confidence > 0:
            yield first, stop, confidence


def _judge(signs: Signs, first: int, stop: int) -> float:
    """Confidence that a run is damage; 0 if it is not."""
    whole = bool((signs.share[first:stop] >= WHOLE_SHARE).all())
    kinds = set(signs.spoiled[first:stop].tolist())
    if first == 0 or stop == len(signs.pts):
        plausible = whole and Spoiled.BLACK not in kinds and stop - first < len(signs.pts)
        return LEADING_CONFIDENCE if plausible else 0.0
    agreement = float(signs.agreement[stop])
    drift = abs(float(signs.luma[stop] - signs.luma[first - 1]))
    if agreement < SAME_SCENE or drift > MOST_DRIFT or stop - first >= LONGEST_FRAMES:
        return 0.0
    level = float(signs.luma[first:stop].mean())
    if (
        Spoiled.BLACK in kinds
        and whole
        and not (
            _is_steady(signs.luma[max(0, first - STEADY_FRAMES) : first], level)
            and _is_steady(signs.luma[stop : stop + STEADY_FRAMES][::-1], level)
        )
    ):
        return 0.0
    return 0.5 + 0.5 * (agreement - SAME_SCENE) / (1 - SAME_SCENE)


def _is_steady(approach: Map, level: float) -> bool:
    """Whether brightness stays until the last of these frames, before it goes to `level`."""
    way = abs(float(approach[0]) - level)
    return abs(float(approach[0] - approach[-1])) <= STEADY * way

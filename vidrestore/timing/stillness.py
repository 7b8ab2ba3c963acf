"""Frames that stand still where others move, and how far the picture leaps after them.

A still frame has covered none of the way from the frame before it to the one after it: an encoder's
residue and noise, which add to every difference, lie across that way and hardly count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from vidrestore.timing.signs import LONGEST_FRAMES, Map, Mask, Signs

STILL = 0.07
"""A repeat has covered no more than this share of the way from the frame before it to the next."""
CODED = 0.22
CODED_CODES = 2.0
"""Or, where motion is so slow that the residue of an encoder counts, no more than this share, and
it differs from the frame before by no more than so many 8-bit codes."""
SLOWER = 0.7
"""Within a run of still frames, changes are less than this share of what is usual around it,"""
VERY_STILL = 0.2
RESIDUE_CODES = 1.3
"""and no more than this share of that, or than so many codes: the residue of an encoder."""
LEAST_CHANGE = 0.8
"""Usual change, in 8-bit codes, below which nothing can be said: encoders skip such motion."""
MOVING = 0.4
"""Changes of less than this share of the larger ones near by tell nothing of what is usual."""
SIDE_FRAMES = 3
"""Changes that tell what is usual, on either side."""
REACH_FRAMES = 12
"""How far from the run those may lie."""
STRIDE = 1.9
"""Steps that two frames go, where no two moving frames are neighbours."""
TELLING = 1.15
"""A stride of fewer steps does not tell two steps from one: noise, or motion over long ways."""
NEARER = 0.4
"""A leap so far on the way from one step to two counts as two: nothing stops for one frame."""
STEADY = 0.3
"""The changes around a run are steady if they lie so near to their median."""
SAME_SHOT = 0.6
"""Likeness of two frames, below which there is a cut between them."""
NOISY = 0.4
"""Where the quietest parts change by this share of the busiest, the change is that of noise."""


@dataclass(frozen=True)
class Still:
    """A run of still frames, and the leap from before its last frame to the one after it.

    What one frame usually changes around the run is a step, what two do is a stride.

    Attributes:
        first: The first frame that is still.
        stop: The first that is not.
        covered: Share of the leap that the last still frame has covered, as in `Signs`.
        residue_codes: Change to the last still frame, 8-bit codes in the busiest blocks.
        leap_codes: The leap, likewise.
        strides: The leap, in strides.
        enough: So many strides are nearer to two steps than to one.
        edge: Changes just before and after the run, the lesser one as a share of what is usual on
            its side; 0 if too little is known.
        noisy: Whether the changes around are those of noise.
        telling: Whether a stride is clearly more than a step.
        steady: Whether the changes around are alike.
        one_sided: Whether nothing comes before it.
    """

    first: int
    stop: int
    covered: float
    residue_codes: float
    leap_codes: float
    strides: float
    enough: float
    edge: float
    noisy: bool
    telling: bool
    steady: bool
    one_sided: bool

    @property
    def frames(self) -> int:
        """Length."""
        return self.stop - self.first


def find_stills(signs: Signs, usable: Mask) -> list[Still]:
    """Find all runs of still frames that the picture moves on after.

    Args:
        signs: The numbers of all frames.
        usable: (N,) whether the change to a frame is that of motion, and not of some fault.
    """
    stills: list[Still] = []
    for stop in range(2, len(signs.pts)):
        if still := _still(signs, usable, stop):
            while stills and stills[-1].stop > still.first:  # the same run: it did not end there
                stills.pop()
            stills.append(still)
    return stills


def _still(signs: Signs, usable: Mask, stop: int) -> Still | None:
    """The run of still frames that ends before frame `stop`, if there is one."""
    change, covered = signs.change, float(signs.covered[stop])
    if not (usable[stop] and usable[stop - 1]) or signs.likeness[stop] < SAME_SHOT:
        return None
    if covered > STILL and (covered > CODED or change[stop - 1] > CODED_CODES):
        return None
    after = _moving(signs, usable, range(stop + 1, stop + 1 + REACH_FRAMES), change[stop])
    if not after:
        return None
    first = _begin(change, usable, stop, min(float(change[stop]), float(np.median(change[after]))))
    before = _moving(signs, usable, range(first - 1, first - 1 - REACH_FRAMES, -1), change[stop])
    if not before and first > 1 and signs.likeness[first - 1] >= SAME_SHOT:
        return None
    sides = [before, after] if before else [after]
    step = float(np.mean([np.median(change[side]) for side in sides]))
    if min(step, float(change[stop])) < LEAST_CHANGE:
        return None
    stride = _stride(signs, sides) or STRIDE * step
    around = change[before + after]
    return Still(
        first=first,
        stop=stop,
        covered=covered,
        residue_codes=float(change[stop - 1]),
        leap_codes=float(signs.leap[stop]),
        strides=float(signs.leap[stop]) / stride,
        enough=NEARER + (1 - NEARER) * step / stride,
        edge=_edge(change, [(first - 1, before), (stop, after)]),
        noisy=min(float(np.median(signs.quiet[side])) for side in sides) > NOISY * step,
        telling=stride >= TELLING * step,
        steady=float(np.ptp(around)) <= 2 * STEADY * float(np.median(around)),
        one_sided=not before,
    )


def _begin(change: Map, usable: Mask, stop: int, usual: float) -> int:
    """The first frame of the run of still frames that ends before frame `stop`."""
    first = stop - 1
    limit = min(SLOWER * usual, max(VERY_STILL * usual, RESIDUE_CODES))
    while first > 1 and usable[first - 1] and stop - first <= LONGEST_FRAMES:
        # What is usual before the run may be less than what is usual after it.
        typical = float(change[first:stop].mean())
        if change[first - 1] >= min(limit, 2 * max(typical, LEAST_CHANGE)):
            break
        first -= 1
    return first


def _moving(signs: Signs, usable: Mask, places: Iterable[int], jump: float) -> list[int]:
    """The first few of some frames of one shot that are not still themselves."""
    inside = []
    for place in places:
        if not 0 < place < len(signs.pts) or signs.likeness[place] < SAME_SHOT:
            break
        if usable[place]:
            inside.append(place)
    if not inside:
        return []
    # Nearly the largest: neither one jump nor many still frames make a difference.
    typical = float(np.sort(signs.change[inside])[-max(1, len(inside) // 4)])
    return [k for k in inside if signs.change[k] >= MOVING * min(typical, jump)][:SIDE_FRAMES]


def _stride(signs: Signs, sides: Iterable[Sequence[int]]) -> float:
    """What two steps change, as is usual; 0 if nothing tells."""
    pairs = ([k for k in side if k - 1 in side] for side in sides)
    usual = [float(np.median(signs.leap[seconds])) for seconds in pairs if seconds]
    return float(np.mean(usual)) if usual else 0.0


def _edge(change: Map, ends: Sequence[tuple[int, Sequence[int]]]) -> float:
    """The lesser change at the two ends of a run, as a share of what is usual on its side."""
    if any(len(side) < 2 for _, side in ends):
        return 0.0
    usual = [max(float(np.median(change[side])), 1e-6) for _, side in ends]
    return min(float(change[end]) / step for (end, _), step in zip(ends, usual, strict=True))

"""Frames that show the frame before them again, because the right one was lost.

A picture may stand still for good reason: a still shot, a slide, animation drawn on twos, film
brought to a higher rate, a pose that is held. Then nothing was lost, and what follows goes on from
where it stood. After lost frames it has to catch up: across the last of them it goes two steps.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from vidrestore.timing.signs import Signs
from vidrestore.timing.stillness import CODED, RESIDUE_CODES, STILL, Still, find_stills

SURE = 0.9
"""A leap of so many strides is one of several steps even where there is less to judge by."""
LET_LIE_CODES = 5.0
FAR = 1.25
"""An encoder lets a smaller change lie for some frames by itself; then what catches up goes
farther, or it is one frame amid steady motion."""
ABRUPT = 0.5
"""A picture that stops and starts abruptly moves by so much of what is usual before and after."""
HABIT_FRAMES = 12
HABIT_RUNS = 3
"""So many runs without a leap so near: this is how the video is made."""
CADENCE_RUNS = 4
"""And so are so many of any kind, or, this one included, at even distances."""


def find_repeats(signs: Signs, faults: Collection[int]) -> Iterator[tuple[int, int, float]]:
    """Runs of repeated frames.

    Args:
        signs: The numbers of all frames.
        faults: Times of frames with other faults: changes to, from and across them are no motion.

    Yields:
        First frame of the run, one past its last, and the confidence (as in `damage.Interval`).
    """
    passed = np.searchsorted(np.array(sorted(faults), np.int64), signs.pts, side="right")
    good = ~np.isin(signs.pts, list(faults))
    usable = np.concatenate([[False], good[1:] & (np.diff(passed) == 0) & good[:-1]])
    stills = find_stills(signs, usable)
    for index, still in enumerate(stills):
        others = stills[max(0, index - CADENCE_RUNS) : index + CADENCE_RUNS + 1]
        reach = HABIT_FRAMES + still.frames
        lost = _lost(still, [o for o in others if 0 < abs(o.stop - still.stop) <= reach])
        if lost:
            yield still.stop - lost, still.stop, _confidence(still)


def _lost(still: Still, near: Sequence[Still]) -> int:
    """How many frames at the end of a run stand for others that were lost.

    Args:
        still: The run.
        near: Other runs near by.
    """
    even = _is_even([*near, still], still)
    if still.noisy and still.covered < STILL:  # no picture is still under noise by itself
        return 0 if even else still.frames
    idle = [other for other in near if other.strides < other.enough]
    if even or len(idle) >= HABIT_RUNS or len(near) >= CADENCE_RUNS:
        # What is held much longer than usual may have been lost nevertheless.
        held = round(float(np.median([other.frames for other in near])))
        longer = still.frames > 2 * held + 1
        return still.frames - held if longer and _has_lost(still, alone=False) else 0
    others = near if still.one_sided else [other for other in idle if other.covered <= STILL]
    return still.frames if _has_lost(still, alone=not others) else 0


def _has_lost(still: Still, *, alone: bool) -> bool:
    """Whether the picture catches up after a run.

    Args:
        still: The run.
        alone: Whether no other run near by makes it doubtful.
    """
    single = still.frames == 1
    if still.one_sided:
        return alone and still.covered <= STILL and still.strides >= SURE
    if still.covered > STILL or (still.telling and still.leap_codes < LET_LIE_CODES):
        if alone and still.steady and still.strides >= (SURE if single else FAR):
            return True
        return still.covered <= STILL and still.strides >= FAR
    if still.strides >= (still.enough if single else SURE):
        return True
    # Where motion is uneven, nobody knows what a step would have been; but nothing stops at once,
    # wholly, and goes on at once.
    if (still.steady and still.telling) or still.residue_codes > RESIDUE_CODES:
        return False
    seen = still.leap_codes >= LET_LIE_CODES * (1 if single else 2)
    return alone and seen and still.edge >= ABRUPT


def _confidence(still: Still) -> float:
    """0.5 for the least that is asked for, towards 1 for no change and a double step."""
    stillness = 1 - still.covered / CODED
    leap = min(2 * max(still.strides / still.enough - 1, 0.0), 1.0)
    sure = (stillness + (stillness if still.noisy else leap)) / 2
    return 0.5 + sure / (4 if still.one_sided else 2)


def _is_even(runs: Sequence[Still], run: Still) -> bool:
    """Whether some runs, one of them given, follow each other at even distances."""
    stops = sorted(other.stop for other in runs)
    for begin in range(len(stops) - CADENCE_RUNS + 1):
        window = stops[begin : begin + CADENCE_RUNS]
        if window[0] <= run.stop <= window[-1] and np.ptp(np.diff(window)) <= 1:
            return True
    return False

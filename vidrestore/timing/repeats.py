"""Frames that show the frame before them again, because the right one was lost.

A picture may stand still for good reason: a still shot, a slide, animation drawn on twos, film
brought to a higher rate, a pose that is held. Then nothing was lost, and what follows goes on from
where it stood. After lost frames it has to catch up: the next change is larger than those around.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vidrestore.timing.signs import LONGEST_FRAMES, Map, Mask, Signs

VERY_STILL = 0.15
"""A repeat differs from the frame before it by so little of what is usual around it: no more than
an encoder leaves."""
STILL = 0.4
"""Or, after a coarse encoder, by so much."""
SETTLED_FRAMES = 3
SETTLED_CODES = 1.2
"""In a run of so many frames, a coarse encoder has become very still as well, or changes no more
than by so many 8-bit codes."""
SLOWER = 0.7
"""Where motion is slow and steady, even a change that is merely less than this is remarkable."""
MOST_RESIDUAL = 2.5
"""8-bit codes that such a run may change by."""
STEADY = 0.3
"""There the changes around lie so near to their median."""
LEAST_CHANGE = 0.8
"""Usual change, in 8-bit codes, below which nothing can be said: encoders skip such motion."""
LEAST_MOTION_PX = 0.01
SIDE_FRAMES = 3
"""Changes that tell what is usual, on either side."""
REACH_FRAMES = 12
"""How far from the run those may lie."""
JUMP = 1.15
"""The change after a very still run, over what is usual around it."""
CLEAR_JUMP = 1.35
"""The same if the run is not so very still; then the motion around is steady, or jumps as well."""
LARGE_JUMP = 1.55
"""The same if neither is so; or, if both are, after a run that is merely slower."""
FAR_JUMP = 2.0
"""Both, if the motion around is not steady. A run that is very still needs no more than this of
motion: over long ways the change hardly grows any further."""
MOTION_JUMP = 1.2
SLOW_PX = 0.5
"""A shorter jump, on the small picture, must be a large one, or one of motion too: an encoder lets
such motion lie for a frame or two by itself."""
LEAST_LARGEST = 0.75
"""The jump is not small beside what is usual on the busier side."""
SAME_SHOT = 0.6
"""Likeness across the jump, below which it is a cut."""
NOISY = 0.4
"""Where the quietest parts change by this share of the busiest, the change is that of noise."""
HABIT_FRAMES = 12
HABIT_RUNS = 3
"""So many other runs without a jump so near: this is how the video is made. What is held much
longer than usual may have been lost nevertheless."""
CADENCE_RUNS = 4
"""So many runs at even distances: film at a higher rate, or animation."""


@dataclass(frozen=True)
class _Run:
    """Still frames `first` to `stop` - 1, the jump to frame `stop`, and what is usual around.

    `still`, `change` and `motion` are shares of the usual, `largest` is the change as a share of
    what is usual on the busier side, `residual` the change within the run, 8-bit codes, and
    `moved_px` the displacement of the jump on the small picture.
    """

    first: int
    stop: int
    still: float
    change: float
    motion: float
    largest: float
    residual: float
    moved_px: float
    noisy: bool
    steady: bool
    one_sided: bool

    @property
    def frames(self) -> int:
        """Length."""
        return self.stop - self.first

    @property
    def jumps(self) -> bool:
        """Whether the picture catches up after the run."""
        creeps = self.moved_px < SLOW_PX and self.motion < MOTION_JUMP
        unsure = creeps or self.one_sided
        if self.largest < LEAST_LARGEST or (unsure and self.change < LARGE_JUMP):
            return False
        both = min(self.change, self.motion)
        if self.still < VERY_STILL:
            return self.change >= JUMP or (self.change >= 1 and self.motion >= FAR_JUMP)
        if self.still < STILL:
            moves = self.steady or self.motion >= MOTION_JUMP
            return self.change >= (CLEAR_JUMP if moves else LARGE_JUMP)
        coded = self.residual <= MOST_RESIDUAL  # as of motion that an encoder half skipped
        return coded and both >= (LARGE_JUMP if self.steady else FAR_JUMP)

    @property
    def confidence(self) -> float:
        """0.5 for the least that is asked for, towards 1 for no change and a double jump."""
        stillness = 1 - self.still / SLOWER
        jump = min(max(self.change, self.motion, 1.0) - 1, 1.0)
        sure = (stillness + (stillness if self.noisy else jump)) / 2
        return 0.5 + sure / (4 if self.one_sided else 2)


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
    runs = [run for stop in range(2, len(signs.pts)) if (run := _run(signs, usable, stop))]
    for index, run in enumerate(runs):
        others = runs[max(0, index - CADENCE_RUNS) : index + CADENCE_RUNS + 1]
        if run.noisy and run.still < VERY_STILL:  # no picture is still under noise by itself
            lost = 0 if _is_even(others, run) else run.frames
        else:
            lost = _lost(others, run)
        if lost:
            yield run.stop - lost, run.stop, run.confidence


def _run(signs: Signs, usable: Mask, stop: int) -> _Run | None:
    """The run of still frames that ends before frame `stop`, if there is one."""
    change, motion = signs.change, signs.motion
    if not usable[stop] or change[stop - 1] > SLOWER * change[stop]:
        return None
    after = _moving(signs, usable, range(stop + 1, stop + 1 + REACH_FRAMES), change[stop])
    if not after:
        return None
    limit = SLOWER * min(float(change[stop]), float(np.median(change[after])))
    first = _begin(change, usable, stop, limit)
    if first == stop:
        return None
    before = _moving(signs, usable, range(first - 1, first - 1 - REACH_FRAMES, -1), change[stop])
    sides = [before, after] if before else [after]
    if not before and first > 1:
        return None
    usual = [float(np.median(change[side])) for side in sides]
    least = min(*usual, float(change[stop]))
    if least < LEAST_CHANGE or signs.likeness[stop] < SAME_SHOT:
        return None
    still = float(change[first:stop].mean()) / least
    settled = max(VERY_STILL * min(usual), SETTLED_CODES)
    if still >= SLOWER or (
        stop - first >= SETTLED_FRAMES and np.median(change[first:stop]) > settled
    ):
        return None
    around = change[before + after]
    moved = [float(np.median(motion[side])) for side in sides]
    quiet = [float(np.median(signs.quiet[side])) for side in sides]
    return _Run(
        first=first,
        stop=stop,
        still=still,
        change=float(change[stop]) / float(np.mean(usual)),
        motion=float(motion[stop]) / max(float(np.mean(moved)), LEAST_MOTION_PX),
        largest=float(change[stop]) / max(usual),
        residual=float(change[first:stop].mean()),
        moved_px=float(motion[stop]),
        noisy=min(quiet) > NOISY * min(usual),
        steady=float(np.ptp(around)) <= 2 * STEADY * float(np.median(around)),
        one_sided=len(sides) < 2,
    )


def _begin(change: Map, usable: Mask, stop: int, limit: float) -> int:
    """The first frame of the run of still frames that ends before frame `stop`."""
    first = stop
    while first > 1 and usable[first - 1] and stop - first <= LONGEST_FRAMES:
        # What is usual before the run may be less than what is usual after it.
        typical = float(change[first:stop].mean()) if first < stop else limit
        if change[first - 1] >= min(limit, 2 * max(typical, LEAST_CHANGE / 2, limit / 12)):
            break
        first -= 1
    return first


def _moving(signs: Signs, usable: Mask, places: Sequence[int], jump: float) -> list[int]:
    """The first few of some frames that are not still themselves."""
    inside = [k for k in places if 0 < k < len(signs.pts) and usable[k]]
    if not inside:
        return []
    # Nearly the largest: neither one jump nor many still frames make a difference.
    typical = float(np.sort(signs.change[inside])[-max(1, len(inside) // 4)])
    return [k for k in inside if signs.change[k] >= STILL * min(typical, jump)][:SIDE_FRAMES]


def _lost(others: Sequence[_Run], run: _Run) -> int:
    """How many frames at the end of a run stand for others that were lost.

    Args:
        others: The runs around, and this one.
        run: The run.
    """
    as_still = max(VERY_STILL, min(2 * run.still, STILL))
    idle = [other for other in others if other.still < as_still and other.largest < JUMP]
    near = sum(0 < abs(other.stop - run.stop) <= HABIT_FRAMES for other in idle)
    habit = near >= HABIT_RUNS or (_is_even(others, run) and 2 * len(idle) >= len(others))
    if not habit:
        return run.frames if run.jumps else 0
    held = round(float(np.median([other.frames for other in idle])))
    longer = run.frames > 2 * held + 1
    return run.frames - held if longer and run.jumps and run.largest >= JUMP else 0


def _is_even(others: Sequence[_Run], run: _Run) -> bool:
    """Whether the runs around follow each other at even distances."""
    stops = [other.stop for other in others]
    for begin in range(len(stops) - CADENCE_RUNS + 1):
        window = stops[begin : begin + CADENCE_RUNS]
        if window[0] <= run.stop <= window[-1] and np.ptp(np.diff(window)) <= 1:
            return True
    return False

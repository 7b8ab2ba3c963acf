"""Where the frames of the output lie: exact plans from source timestamps to output slots."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil, gcd

from vidrestore.errors import InputError, UsageError

LOWEST_FPS = Fraction(1, 1000)
HIGHEST_FPS = 1000
"""More frames per second than this is a slip of the keyboard."""

MOST_MADE = 64
"""Output frames that are made for one source frame, at most."""

MOST_SLOTS = 2**19
"""Output frames between two frames of the source, at most: hours, at any rate."""

LARGEST_TIMESCALE = 2**31 - 1
"""Ticks in a second that every container and ffmpeg itself can count."""

_FINEST_STEP = 10**6
"""Denominator of the time between two frames, where an odd rate needs a longer one."""


@dataclass(frozen=True)
class Rate:
    """A frame rate: frames per second, or, if `relative`, times the source's rate."""

    value: Fraction
    relative: bool = False

    def of(self, source: Fraction) -> Fraction:
        """Frames per second, for a source of so many frames per second."""
        return self.value * source if self.relative else self.value


@dataclass(frozen=True)
class Retiming:
    """What is asked of the time of a video; the default leaves it alone.

    Attributes:
        fps: Rate of the output; None keeps the source's timestamps.
        slow: Seconds of output for each second of source, 1 or more.
        cfr: Constant frames per second, reached by repeating and dropping alone.
        times: All PTS that the source should have, increasing, in its ticks; None: those it has.
    """

    fps: Rate | None = None
    slow: Fraction = Fraction(1)
    cfr: Fraction | None = None
    times: Sequence[int] | None = None


@dataclass(frozen=True)
class Slot:
    """Place of one output frame.

    Attributes:
        pts: Presentation time in ticks of the timeline's time base.
        phase: 0 is the source frame on the left itself, untouched; between 0 and 1, that share
            of the way to the source frame on the right. With a source frame on one side only,
            source intervals from it: below 0 before the first, above 0 after the last.
    """

    pts: int
    phase: Fraction


class Timeline(ABC):
    """Plan of the output, worked out for one interval between source frames at a time.

    No call depends on an earlier one, so the intervals can be planned in any order, and the
    slots of all intervals together are those of the whole video, strictly increasing.

    Attributes:
        time_base: Seconds per tick of the output.
        frame_rate: Nominal frames per second of the output.
        speed: Seconds of source per second of output.
    """

    time_base: Fraction
    frame_rate: Fraction
    speed: Fraction

    def __init__(self, usual: Fraction, start: int, retiming: Retiming) -> None:
        self._usual = usual  # source ticks from one frame to the next
        self._start = start
        self._times = retiming.times
        self.speed = 1 / retiming.slow

    def leading(self, first_pts: int) -> list[Slot]:
        """Slots before the first good source frame, if frames are missing there.

        Args:
            first_pts: PTS of that frame, in source ticks, as everywhere below.
        """
        return [Slot(pts, (at - first_pts) / self._usual) for pts, at in self._before(first_pts)]

    def between(self, left_pts: int, right_pts: int) -> list[Slot]:
        """Slots from one good source frame up to, not including, the next."""
        span = right_pts - left_pts
        return [
            Slot(pts, (at - left_pts) / span)
            for pts, at in self._from(left_pts, right_pts, last=False)
        ]

    def trailing(self, last_pts: int, end_pts: int) -> list[Slot]:
        """Slots from the last good source frame on.

        Args:
            last_pts: PTS of that frame.
            end_pts: When the source ends: PTS plus duration of its last frame, good or not.
        """
        return [
            Slot(pts, (at - last_pts) / self._usual)
            for pts, at in self._from(last_pts, max(end_pts, last_pts + 1), last=True)
        ]

    @abstractmethod
    def out_pts(self, pts: int) -> int:
        """A time of the source, in the output's ticks, to the nearest."""

    @abstractmethod
    def end(self, end_pts: int) -> int:
        """When the last frame of the output ends, in its ticks, if the source ends at `end_pts`."""

    @abstractmethod
    def _before(self, first: int) -> Iterator[tuple[int, Fraction]]:
        """Output PTS, and the source time they show in source ticks, before the first frame."""

    @abstractmethod
    def _from(self, left: int, right: int, *, last: bool) -> Iterator[tuple[int, Fraction]]:
        """The same from `left` up to `right`, which is the end of the source if `last`."""

    def _pieces(self, left: int, right: int) -> Iterator[tuple[int, int]]:
        """The interval, divided at the PTS at which frames should be."""
        times = self._times or ()
        inside = times[bisect_right(times, left) : bisect_left(times, right)]
        return pairwise((left, *inside, right))


def timeline(
    time_base: Fraction, start_pts: int, frame_rate: Fraction, retiming: Retiming
) -> Timeline:
    """Plan the output of a video.

    Multiples of the source's rate (`2x`) and whole slow motion divide each source interval
    evenly, so that N frames give exactly N times the multiple and variable rates stay variable.
    Every other rate is a regular grid from the first frame on: with D seconds from there to the
    end, ceil(D * rate) slots. Where the source's timestamps are rounded, because its interval
    is no whole number of ticks, a slot less than a tick before the end belongs to the end.
    `cfr` gives D * rate slots, to the nearest. There is always at least one slot.

    Args:
        time_base: Seconds per tick of the source.
        start_pts: PTS of the source's first frame, where grids begin and from where slow motion
            stretches; the first of `times` goes before it.
        frame_rate: Frames per second of the source; the average if it varies.
        retiming: What is asked.

    Returns:
        The plan.

    Raises:
        UsageError: If what is asked is out of range for such a source, or contradicts itself.
    """
    asked = retiming.fps or Rate(Fraction(1), relative=True)
    fps = asked.of(frame_rate) if retiming.cfr is None else retiming.cfr
    _check(frame_rate, fps, retiming)
    usual = 1 / (frame_rate * time_base)
    start = retiming.times[0] if retiming.times else start_pts
    divides = asked.relative and asked.value.denominator == retiming.slow.denominator == 1
    if divides and retiming.cfr is None:
        return _Divided(time_base, start, fps, usual, int(asked.value), retiming)
    return _Grid(time_base, start, fps, usual, retiming)


def _demand_slots(count: int) -> None:
    """Refuse more than anybody wants, as broken or hostile timestamps ask for."""
    if count > MOST_SLOTS:
        raise InputError(
            f"two frames lie so far apart that {count} frames belong between them",
            hint="cut the gap out with --start and --end, or leave the frame rate as it is",
        )


def _check(source: Fraction, fps: Fraction, retiming: Retiming) -> None:
    """Refuse a rate of the output that makes no sense for a source of the rate given."""
    if retiming.fps is not None and retiming.cfr is not None:
        raise UsageError("--fps and --cfr contradict each other", hint="give one of them")
    changed = retiming.fps is not None or retiming.cfr is not None
    if changed and not LOWEST_FPS <= fps <= HIGHEST_FPS:
        raise UsageError(
            f"{float(fps):g} frames per second is out of range",
            hint=f"ask for {float(LOWEST_FPS)} to {HIGHEST_FPS}",
        )
    if retiming.slow < 1:
        raise UsageError(
            f"slow motion of {float(retiming.slow):g}x is out of range", hint="use 2x or more"
        )
    made = fps * retiming.slow / source
    if made > MOST_MADE and retiming.cfr is None:
        raise UsageError(
            f"{float(made):g} frames for each frame of the source is out of range",
            hint=f"ask for at most {MOST_MADE} times the source's {float(source):g} per second",
        )


class _Divided(Timeline):
    """Every source interval in equal parts."""

    def __init__(
        self,
        time_base: Fraction,
        start: int,
        fps: Fraction,
        usual: Fraction,
        multiple: int,
        retiming: Retiming,
    ) -> None:
        super().__init__(usual, start, retiming)
        # A time base too fine for the multiple is divided as far as ticks can be counted.
        self._ticks = multiple
        if (time_base / multiple).denominator > LARGEST_TIMESCALE:
            self._ticks = max(1, LARGEST_TIMESCALE // time_base.denominator)
        self._slow = int(retiming.slow)
        self._parts = multiple * self._slow
        self.time_base = time_base / self._ticks
        self.frame_rate = fps

    def out_pts(self, pts: int) -> int:
        return (self._start + (pts - self._start) * self._slow) * self._ticks

    def end(self, end_pts: int) -> int:
        return self.out_pts(end_pts)

    def _before(self, first: int) -> Iterator[tuple[int, Fraction]]:
        if self._times and self._times[0] < first:
            yield from self._from(self._times[0], first, last=False)

    def _from(self, left: int, right: int, *, last: bool) -> Iterator[tuple[int, Fraction]]:
        previous = None
        for begin, end in self._pieces(left, right):
            origin, length = self.out_pts(begin), (end - begin) * self._slow * self._ticks
            for part in range(self._parts):
                pts = origin + length * part // self._parts
                if pts != previous:  # alike only where ticks ran out
                    yield pts, begin + Fraction((end - begin) * part, self._parts)
                previous = pts


class _Grid(Timeline):
    """Slots at regular times, counted in units that hold every source tick and every slot.

    A slot is the source frame itself if they lie closer than the rounding of source timestamps
    can explain: less than a tick, an eighth of the source's interval and half a step. There is
    no rounding if the interval is a whole number of ticks.

    Under `cfr` each source frame goes to the slot nearest to it, halves to the later;
    there the rounding only keeps halves from going now one way, now the other.
    """

    def __init__(
        self, time_base: Fraction, start: int, fps: Fraction, usual: Fraction, retiming: Retiming
    ) -> None:
        super().__init__(usual, start, retiming)
        step_s = (1 / fps).limit_denominator(_FINEST_STEP)
        self.frame_rate = 1 / step_s
        self.time_base = _gcd(time_base, step_s)
        if self.time_base.denominator > LARGEST_TIMESCALE:
            finest = LARGEST_TIMESCALE // step_s.denominator * step_s.denominator
            self.time_base = Fraction(1, finest)
        self._origin = round(start * time_base / self.time_base)
        self._step_ticks = int(step_s / self.time_base)
        shown_s = step_s * self.speed  # seconds of source from slot to slot
        unit_s = _gcd(time_base, shown_s)
        self._tick = int(time_base / unit_s)
        self._step = int(shown_s / unit_s)
        self._hold = retiming.cfr is not None
        self._reach = self._reach_of(usual)

    def _reach_of(self, usual: Fraction) -> int:
        """How far before a source frame the slots begin that are its own, in units."""
        exact = usual.denominator == 1
        rounding = 0 if exact else min(Fraction(1), usual / 8) * self._tick
        half = Fraction(self._step, 2)
        reach = half - rounding if self._hold else min(rounding, half)
        return max(0, ceil(reach) - 1)  # strictly less

    def out_pts(self, pts: int) -> int:
        steps = Fraction((pts - self._start) * self._tick, self._step)
        return self._origin + round(steps * self._step_ticks)

    def end(self, end_pts: int) -> int:
        return self._origin + self._next(end_pts, last=True) * self._step_ticks

    def _before(self, first: int) -> Iterator[tuple[int, Fraction]]:
        if first > self._start:
            yield from self._from(self._start, first, last=False)

    def _from(self, left: int, right: int, *, last: bool) -> Iterator[tuple[int, Fraction]]:
        _demand_slots(self._next(right) - self._next(left))
        for begin, end in self._pieces(left, right) if self._hold else [(left, right)]:
            for slot in range(self._next(begin), self._next(end, last=last and end == right)):
                shown = Fraction(slot * self._step, self._tick) + self._start
                own = self._hold or abs(shown - begin) * self._tick <= self._reach
                yield self._origin + slot * self._step_ticks, Fraction(begin) if own else shown

    def _next(self, pts: int, *, last: bool = False) -> int:
        """Number of the first slot that is not before a source time, less the reach."""
        slot = -((self._reach - (pts - self._start) * self._tick) // self._step)
        return max(slot, 1) if last else slot


def _gcd(one: Fraction, other: Fraction) -> Fraction:
    """The longest time that goes into both a whole number of times."""
    return Fraction(
        gcd(one.numerator * other.denominator, other.numerator * one.denominator),
        one.denominator * other.denominator,
    )

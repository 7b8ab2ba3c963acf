"""Which frames are restored together: segments, windows in time, tiles in space. Integers only.

A segment is a run of frames that is restored and encoded on its own. What comes out of it depends
on nothing but its frames and `context` frames on either side, so segments can be finished in any
order, in parallel, or after a restart. Inside a segment, windows overlap. Neither a window nor a
context reaches across a cut, and where a segment ends follows from its own frames alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

TILE_PX = 640
"""Longest side of what the network sees at once."""


@dataclass(frozen=True)
class WindowPlan:
    """How a stream is cut.

    Attributes:
        segment_frames: Frames of a segment at least: it ends at the first cut from there on, and
            at the latest when twice as long. The last one of a stream may have fewer.
        context_frames: Frames read on either side of a segment and not output by it.
        window_frames: Frames of a window; fewer where a shot or a segment ends.
        overlap_frames: Frames that consecutive windows of a segment share.
    """

    segment_frames: int = 240
    context_frames: int = 4
    window_frames: int = 24
    overlap_frames: int = 4

    def __post_init__(self) -> None:
        if not 0 <= 2 * self.overlap_frames <= self.window_frames or self.window_frames < 1:
            raise ValueError("windows must be at least twice as long as their overlap")
        if not 0 <= self.context_frames <= self.segment_frames or self.segment_frames < 1:
            raise ValueError("segments must be at least as long as their context")

    @property
    def longest_segment_frames(self) -> int:
        """Frames after which a segment ends even without a cut."""
        return 2 * self.segment_frames


@dataclass(frozen=True)
class Window(Generic[Item]):
    """A window and the frames in it.

    Attributes:
        segment: Index of its segment.
        start: Index in the stream of its first frame.
        items: The frames themselves.
        lead: Frames at its start that the window before, of the same segment, also covers; none
            at a cut.
        tail: Frames at its end that the window after, of the same segment, also covers; none at a
            cut.
        keep_start: First frame in the stream that the segment outputs.
        keep_stop: One past the last frame that the segment outputs; while `ends_segment` is
            False, one past the last that it may output.
        ends_segment: True for the last window of its segment.
    """

    segment: int
    start: int
    items: tuple[Item, ...]
    lead: int
    tail: int
    keep_start: int
    keep_stop: int
    ends_segment: bool

    @property
    def stop(self) -> int:
        """One past the index of the last frame."""
        return self.start + len(self.items)

    @property
    def complete(self) -> list[tuple[Item, bool]]:
        """Frames that no later window covers, and whether they are output or context."""
        frames = self.items[: len(self.items) - self.tail]
        return [
            (frame, self.keep_start <= self.start + offset < self.keep_stop)
            for offset, frame in enumerate(frames)
        ]


def cut(
    stream: Iterable[Item],
    plan: WindowPlan,
    shot_of: Callable[[Item], int] = lambda _: 0,
    *,
    segment: int = 0,
    first: int = 0,
) -> Iterator[Window[Item]]:
    """Cut a stream of frames into windows, looking no further ahead than one window.

    Args:
        stream: Frames in order.
        plan: The lengths.
        shot_of: Shot that a frame belongs to. There is a cut wherever it changes.
        segment: Index of the first segment wanted.
        first: Index of its first frame. The stream begins with the `context_frames` before it,
            or with as many as there are.

    Yields:
        Windows in order, segment by segment. At most a window and two contexts are held.
    """
    buffer = _Buffer(iter(stream), shot_of, max(0, first - plan.context_frames))
    while buffer.reaches(first):
        shortest = first + plan.segment_frames
        longest = first + plan.longest_segment_frames
        limit = longest + plan.context_frames
        start, lead = buffer.shot_start(first, first - plan.context_frames), 0
        while True:
            stop = buffer.shot_stop(start, min(start + plan.window_frames, limit))
            at_end = not buffer.reaches(stop)
            at_cut = at_end or not buffer.same_shot(stop - 1, stop)
            last = at_end or stop == limit or (at_cut and stop >= shortest)
            shared = 0 if at_cut or last else plan.overlap_frames
            keep_stop = min(stop, longest) if last else longest
            yield Window(
                segment, start, buffer.slice(start, stop), lead, shared, first, keep_stop, last
            )
            start, lead = stop - shared, shared
            # A cut ends a segment without context, so only its longest form needs frames kept.
            buffer.drop_before(min(start, longest - plan.context_frames))
            if last:
                break
        segment, first = segment + 1, keep_stop


class _Buffer(Generic[Item]):
    """The part of a stream that is still needed."""

    def __init__(self, source: Iterator[Item], shot_of: Callable[[Item], int], start: int) -> None:
        self._source = source
        self._shot_of = shot_of
        self._items: deque[Item] = deque()
        self._start = start

    @property
    def stop(self) -> int:
        """One past the last frame read so far."""
        return self._start + len(self._items)

    def reaches(self, index: int) -> bool:
        """Read until frame `index` is held; False if the stream ends before it."""
        while self.stop <= index:
            try:
                self._items.append(next(self._source))
            except StopIteration:
                return False
        return True

    def same_shot(self, index: int, other: int) -> bool:
        """Whether two frames that are held belong to one shot."""
        first, second = (self._shot_of(self._items[i - self._start]) for i in (index, other))
        return first == second

    def shot_start(self, index: int, earliest: int) -> int:
        """First frame, from `earliest` on and still held, of the shot that `index` is in."""
        while index > max(earliest, self._start) and self.same_shot(index - 1, index):
            index -= 1
        return index

    def shot_stop(self, index: int, latest: int) -> int:
        """One past the last frame, before `latest`, of the shot that `index` is in."""
        stop = index + 1
        while stop < latest and self.reaches(stop) and self.same_shot(stop - 1, stop):
            stop += 1
        return stop

    def slice(self, start: int, stop: int) -> tuple[Item, ...]:
        return tuple(self._items[i - self._start] for i in range(start, stop))

    def drop_before(self, index: int) -> None:
        while self._start < index and self._items:
            self._items.popleft()
            self._start += 1


def spans(length: int, size: int, overlap: int, multiple: int = 1) -> list[tuple[int, int]]:
    """Cover [0, length) with equally long spans; the last one may be shorter.

    Args:
        length: What to cover.
        size: Longest span allowed; at least three times `overlap`, plus `multiple`, so that no
            position lies in more than two spans.
        overlap: What neighbours share.
        multiple: Starts are multiples of this.

    Returns:
        Half-open spans in order. One, if `length` fits.
    """
    if length <= size:
        return [(0, length)]
    longest_step = (size - overlap) // multiple * multiple
    count = -(-(length - overlap) // longest_step)
    step = -(-(length - overlap) // count)
    step += -step % multiple
    starts = range(0, length - overlap, step)
    return [(start, min(start + step + overlap, length)) for start in starts]

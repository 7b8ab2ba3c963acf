"""Which frames are restored together: segments, windows in time, tiles in space. Integers only.

A segment is a run of frames that is restored and encoded on its own. What comes out of it depends
on nothing but its frames and `context` frames on either side, so segments can be finished in any
order, in parallel, or after a restart. Inside a segment, windows overlap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class WindowPlan:
    """How a stream is cut.

    Attributes:
        segment_frames: Frames of a segment; the last one of a stream may have fewer.
        context_frames: Frames read on either side of a segment and not output by it.
        window_frames: Frames of a window; fewer where a segment ends.
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


@dataclass(frozen=True)
class Window(Generic[Item]):
    """A window and the frames in it.

    Attributes:
        segment: Index of its segment.
        start: Index in the stream of its first frame.
        items: The frames themselves.
        lead: Frames at its start that the window before, of the same segment, also covers.
        tail: Frames at its end that the window after, of the same segment, also covers.
        keep_start: First frame in the stream that the segment outputs.
        keep_stop: One past the last frame that the segment outputs.
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


def cut(stream: Iterable[Item], plan: WindowPlan) -> Iterator[Window[Item]]:
    """Cut a stream of frames into windows, looking no further ahead than one window.

    Args:
        stream: Frames in order; indices count from 0.
        plan: The lengths.

    Yields:
        Windows in order, segment by segment. At most a window and two contexts are held.
    """
    buffer = _Buffer(iter(stream))
    segment = 0
    while buffer.reaches(segment * plan.segment_frames):
        first = segment * plan.segment_frames
        limit = first + plan.segment_frames + plan.context_frames
        start, lead = max(0, first - plan.context_frames), 0
        while True:
            stop = min(start + plan.window_frames, limit)
            if not buffer.reaches(stop - 1):
                stop = buffer.stop
            last = stop == limit or not buffer.reaches(stop)
            next_start = stop - plan.overlap_frames
            yield Window(
                segment,
                start,
                buffer.slice(start, stop),
                lead,
                0 if last else plan.overlap_frames,
                first,
                min(first + plan.segment_frames, buffer.stop if last else limit),
                last,
            )
            if last:
                break
            buffer.drop_before(min(next_start, first + plan.segment_frames - plan.context_frames))
            start, lead = next_start, plan.overlap_frames
        segment += 1
        buffer.drop_before(segment * plan.segment_frames - plan.context_frames)


class _Buffer(Generic[Item]):
    """The part of a stream that is still needed."""

    def __init__(self, source: Iterator[Item]) -> None:
        self._source = source
        self._items: deque[Item] = deque()
        self._start = 0

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

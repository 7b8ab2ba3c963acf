"""Timestamps that do not advance, put in order where the order is plain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from vidrestore.errors import InputError

if TYPE_CHECKING:
    from vidrestore.media.probe import VideoInfo

MOST_DISORDERED = 8
"""Frames in a row that may be timed before those they follow; more is a clock that jumps."""

MPEG_CLOCKS = frozenset({"mpegts", "mpeg"})
"""Containers with a clock that wraps: where it is set back, it seems to leap far forward."""

LONGEST_GAP_S = 3600
"""A longer gap in such a container is a clock that was set anew."""

T = TypeVar("T")


class Stamps(Generic[T]):
    """Makes the timestamps of a stream increase, changing as few of them as one can tell.

    A frame timed no later than the one before it is wrong, unless that one leapt ahead of its
    time; the wrong ones are spread evenly between their good neighbours. It looks one frame
    ahead, and holds back at most `MOST_DISORDERED` more.

    Args:
        info: The video, for its rate, its ticks and its name.

    Attributes:
        repaired: Timestamps changed so far.
    """

    def __init__(self, info: VideoInfo) -> None:
        self.repaired = 0
        self._info = info
        self._step = max(1, round(1 / (info.frame_rate * info.time_base)))
        self._last: int | None = None
        self._wrong: list[tuple[int, T]] = []
        self._good: tuple[int, T] | None = None  # later than all before; awaits the next one

    def repair(self, frames: Iterable[tuple[int, T]]) -> Iterator[tuple[int, T]]:
        """Yield the frames in the order they come in, with strictly increasing timestamps.

        Args:
            frames: Timestamp in ticks, and whatever it is the timestamp of.

        Raises:
            InputError: If the timestamps go back and stay there, or the clock was set anew.
        """
        for pts, frame in frames:
            if self._good is not None and self._leapt(self._good[0], pts):
                self._wrong.append(self._good)
                self._good = None
            elif self._good is not None:
                yield from self._settle()
            if self._last is None or pts > self._last:
                self._good = pts, frame
            else:
                self._wrong.append((pts, frame))
                self._check_return(pts)
        yield from self._settle()

    def _leapt(self, good: int, pts: int) -> bool:
        """Whether the time of the good frame fits worse than that of the frame after it."""
        if self._last is None or not self._last < pts <= good:
            return False
        expected = self._last + self._step * (len(self._wrong) + 1)
        return abs(good - expected) > abs(pts - expected - self._step)

    def _settle(self) -> Iterator[tuple[int, T]]:
        """Give out the wrong frames held back, and the good one that ends them."""
        wrong, good = self._wrong, self._good
        self._wrong, self._good = [], None
        parts = len(wrong) + 1
        start = self._last or 0  # only a good frame can be the first
        room = self._step * parts if good is None else good[0] - start
        for place, (_, frame) in enumerate(wrong, start=1):
            self._last = start + max(place, place * room // parts)
            self.repaired += 1
            yield self._last, frame
        if good is not None:
            pts, frame = good
            self._check_leap(pts)
            if self._last is not None and pts <= self._last:  # the wrong ones took all the room
                pts = self._last + 1
                self.repaired += 1
            self._last = pts
            yield pts, frame

    def _check_leap(self, pts: int) -> None:
        info = self._info
        gap_s = 0 if self._last is None else (pts - self._last) * info.time_base
        if gap_s > LONGEST_GAP_S and info.format_name in MPEG_CLOCKS:
            raise InputError(
                f"{info.path}: its clock is set anew after {self._time(self._last)}",
                hint=f"join its parts first: ffmpeg -i {info.path.name} -c copy -map 0 joined.mkv",
            )

    def _check_return(self, pts: int) -> None:
        info = self._info
        if len(self._wrong) > MOST_DISORDERED:
            rate = f"{info.frame_rate.numerator}/{info.frame_rate.denominator}"
            raise InputError(
                f"{info.path}: its timestamps go back from {self._time(self._last)} to "
                f"{self._time(pts)} and stay there",
                hint=f"time it anew first: ffmpeg -i {info.path.name} -vf 'setpts=N/({rate})/TB' "
                "-c:v ffv1 -c:a copy timed.mkv",
            )

    def _time(self, pts: int | None) -> str:
        return f"{float((pts or 0) * self._info.time_base):.3f} s"

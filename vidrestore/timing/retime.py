"""Restored frames onto the output's timeline: frames that exist pass through, others are made.

A frame that does not exist is guessed along the motion of its neighbours (`align`) and refined by
the network. No frame is made from both sides of a cut: there, what is missing goes on with the
motion of the nearer side.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from vidrestore.media.decode import Frame
from vidrestore.media.probe import VideoInfo
from vidrestore.media.timeline import Slot, Timeline
from vidrestore.network.align import Alignment, Drift, Motion, hold
from vidrestore.picture.convert import FrameConverter
from vidrestore.timing.fill import Filler, Guess

HALF = Fraction(1, 2)

LONGEST_MOTION = 9
"""Usual intervals from one frame to the next beyond which the picture was held, not in motion:
eight frames are the most that are repaired."""


@dataclass(frozen=True)
class Restored:
    """A frame out of the restoring stage.

    Attributes:
        segment: Segment that it was restored in.
        frame: The frame.
        kept: False for context, which the segment beside this one outputs.
    """

    segment: int
    frame: Frame
    kept: bool


@dataclass(frozen=True)
class Resumed:
    """Where a stream goes on that another run has begun.

    Attributes:
        frames: Frames of the output before it.
        cut_after_pts: PTS of the source frame before it, if there is a cut between.
    """

    frames: int
    cut_after_pts: int | None


@dataclass(frozen=True)
class _Made:
    """A frame that waits for the network, and what is known of it."""

    base: Frame
    guess: Guess


class Retimer:
    """Puts a stream of restored frames onto a timeline.

    Args:
        info: The video that the frames are of.
        timeline: Where frames are wanted.
        filler: Refines the guesses; None if the timeline wants no frame that is not there.
        converter: Of the frames' planes.
        end_pts: Where the last frame of the source ends, in source ticks; None if only the frames
            themselves tell.
        repairs: Whether frames before the first one are missing, rather than unwanted.
        resumed: Where the stream goes on; None if it begins at its beginning.

    Attributes:
        made_in: Number of frames made so far, by the index of their segment.
        flow_s: Seconds spent on flow and warping so far.
        model_s: Seconds spent in the network so far.
        end_pts: Where the last frame of the source ends; certain only at the end.
    """

    def __init__(
        self,
        info: VideoInfo,
        timeline: Timeline,
        filler: Filler | None,
        converter: FrameConverter,
        end_pts: int | None,
        *,
        repairs: bool,
        resumed: Resumed | None = None,
    ) -> None:
        self.made_in: Counter[int] = Counter()
        self.flow_s = 0.0
        self.model_s = 0.0
        self.end_pts = end_pts
        self._timeline = timeline
        self._filler = filler
        self._repairs = repairs
        self._converter = converter
        self._usual = max(1, round(1 / (info.frame_rate * info.time_base)))
        self._depth_shift = info.bit_depth - 8
        self._resumed = resumed
        self._count = 0 if resumed is None else resumed.frames
        self._waiting: list[Frame | _Made] = []
        self._seen: deque[tuple[Frame, NDArray[np.float32]]] = deque(maxlen=2)

    def retime(
        self, restored: Iterable[Restored], stop: int | None = None
    ) -> Iterator[tuple[int, Frame]]:
        """Yield (segment index, frame) for every slot of the timeline, in order.

        Args:
            restored: Frames in order, context too.
            stop: Segment to stop before; its first frame only ends the one before it. None for
                none.
        """
        before: Frame | None = None  # of the same shot and segment as `last`
        last: Restored | None = None
        opening: list[Slot] = []  # wanted before `last`, from its own side
        for item in restored:
            if last is None:
                opening = self._first_slots(item.frame)
            elif item.frame.shot != last.frame.shot:
                self._open(opening, last.frame, None)
                slots = self._timeline.between(last.frame.pts, item.frame.pts)
                near = [slot for slot in slots if slot.phase <= HALF]
                self._close(near, before, last.frame)
                yield from self._flush(last.segment)
                opening = _nearer_the_right(slots)
                before = None
            elif item.segment != last.segment:
                if last.kept:  # a plan without context
                    self._between(last.frame, item.frame)
                yield from self._flush(last.segment)
                before = None
            else:
                self._open(opening, last.frame, item.frame)
                opening = []
                if last.kept:
                    self._between(last.frame, item.frame)
                before = last.frame
            if item.segment == stop:
                return
            yield from self._flush(item.segment, full_only=True)
            last = item
        if last is not None:
            self._open(opening, last.frame, None)
            self.end_pts = self._end(last.frame, before)
            slots = self._timeline.trailing(last.frame.pts, self.end_pts)
            self._close(slots, before, last.frame)
            yield from self._flush(last.segment)

    def _first_slots(self, first: Frame) -> list[Slot]:
        """Slots before the first frame of the stream that are made from its side."""
        if self._resumed is not None:
            left = self._resumed.cut_after_pts
            if left is None:
                return []
            return _nearer_the_right(self._timeline.between(left, first.pts))
        return self._timeline.leading(first.pts) if self._repairs else []

    def _end(self, last: Frame, before: Frame | None) -> int:
        if self.end_pts is not None and self.end_pts > last.pts:
            return self.end_pts
        return last.pts + (self._usual if before is None else last.pts - before.pts)

    def _between(self, left: Frame, right: Frame) -> None:
        motion: Motion | None = None
        held = right.pts - left.pts > LONGEST_MOTION * self._usual
        for slot in self._timeline.between(left.pts, right.pts):
            if slot.phase == 0 or held:
                self._pass(slot, left)
                continue
            start_s = time.monotonic()
            motion = motion or Motion(self._luma(left), self._luma(right))
            self._make(slot, motion.at(float(slot.phase)), left, right)
            self.flow_s += time.monotonic() - start_s

    def _open(self, slots: list[Slot], first: Frame, second: Frame | None) -> None:
        """What comes before the first frame of a shot."""
        for slot in slots:
            self._predict(slot, second, first, -slot.phase)

    def _close(self, slots: list[Slot], before: Frame | None, last: Frame) -> None:
        """The last frame of a shot and what comes after it."""
        for slot in slots:
            if slot.phase == 0:
                self._pass(slot, last)
            else:
                self._predict(slot, before, last, slot.phase)

    def _predict(self, slot: Slot, past: Frame | None, last: Frame, phase: Fraction) -> None:
        """Go on from `last` with the motion since `past`; stand still if there is none."""
        start_s = time.monotonic()
        alignment = (
            hold((last.planes[0].shape[0], last.planes[0].shape[1]))
            if past is None
            else Drift(self._luma(past), self._luma(last)).at(float(phase))
        )
        self._make(slot, alignment, last, last)
        self.flow_s += time.monotonic() - start_s

    def _pass(self, slot: Slot, frame: Frame) -> None:
        self._waiting.append(replace(frame, pts=slot.pts))

    def _make(self, slot: Slot, alignment: Alignment, left: Frame, right: Frame) -> None:
        planes = tuple(
            _rounded(
                alignment.guess(a.astype(np.float32), b.astype(np.float32)), a.dtype, self._peak
            )
            for a, b in zip(left.planes, right.planes, strict=True)
        )
        base = Frame(left.index, slot.pts, planes, left.shot)
        left_rgb, right_rgb = self._rgb(left), self._rgb(right)
        paths = alignment.candidates(left_rgb, right_rgb)
        guess = Guess.of(alignment, self._converter.rgb(base), paths, left_rgb, right_rgb)
        self._waiting.append(_Made(base, guess))

    def _flush(self, segment: int, *, full_only: bool = False) -> Iterator[tuple[int, Frame]]:
        """Give what waits, refined; with `full_only`, only if there is nothing to wait for."""
        made = [entry for entry in self._waiting if isinstance(entry, _Made)]
        if made and self._filler is not None:
            if full_only and len(made) < self._filler.window_frames(made[0].guess.size_px):
                return
            start_s = time.monotonic()
            residuals = iter(self._filler.residuals([entry.guess for entry in made]))
            self.model_s += time.monotonic() - start_s
        self.made_in[segment] += len(made)
        for entry in self._waiting:
            if isinstance(entry, Frame):
                frame = entry
            elif self._filler is None:
                frame = entry.base
            else:
                frame = self._converter.add(entry.base, next(residuals))
            yield segment, replace(frame, index=self._count)
            self._count += 1
        self._waiting.clear()

    @property
    def made(self) -> int:
        """Number of frames made so far."""
        return self.made_in.total()

    @property
    def _peak(self) -> int:
        return int((256 << self._depth_shift) - 1)

    def _luma(self, frame: Frame) -> NDArray[np.uint8]:
        """Luma, or green, as 8-bit codes: what motion is seen in."""
        luma = frame.planes[0]
        return luma if luma.dtype == np.uint8 else (luma >> self._depth_shift).astype(np.uint8)

    def _rgb(self, frame: Frame) -> NDArray[np.float32]:
        """RGB of a frame of the source; that of the last two is remembered."""
        for known, rgb in self._seen:
            if known is frame:
                return rgb
        self._seen.append((frame, self._converter.rgb(frame)))
        return self._seen[-1][1]


def _nearer_the_right(slots: list[Slot]) -> list[Slot]:
    """Of slots across a cut, those that belong to what comes after it."""
    return [replace(slot, phase=slot.phase - 1) for slot in slots if slot.phase > HALF]


def _rounded(plane: NDArray[np.float32], dtype: np.dtype, peak: int) -> NDArray[np.generic]:
    return np.rint(plane).clip(0, peak).astype(dtype)

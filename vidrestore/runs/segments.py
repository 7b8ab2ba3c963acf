"""Frames in, finished segment files out: the stages between decoding and muxing, wired."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from vidrestore.encoders.encode import SegmentEncoder, SegmentFile
from vidrestore.encoders.encoding import EncodingPlan
from vidrestore.media.clock import Clock
from vidrestore.media.decode import Frame
from vidrestore.media.probe import VideoInfo
from vidrestore.network.diffuse import Levels, Restorer
from vidrestore.network.stitch import Stitcher
from vidrestore.network.windows import Window, WindowPlan, cut
from vidrestore.picture.drift import DriftGuard
from vidrestore.picture.fields import converter_of
from vidrestore.runs.flow import Prefetch, Sink
from vidrestore.runs.footprint import QUEUE_FRAMES
from vidrestore.runs.journal import Landmark
from vidrestore.runs.resume import Trail
from vidrestore.timing.retime import Restored, Retimer


@dataclass(frozen=True)
class Progress:
    """How far a run is: `done` of `total` frames (None if unknown)."""

    done: int
    total: int | None


class WindowRestorer:
    """Restores a stream of frames, window by window.

    Args:
        info: The video that the frames are of.
        restorers: The networks, applied one after the other; without any, frames pass through.
        levels: What is wrong with the video.
        steps: Reverse steps K; None for as many as are worth it.
        strength: Share of the residual that is applied, 0 to 1.
        plan: How the stream is cut.

    Attributes:
        model_s: Seconds spent in the networks so far.
        steady_fps: Frames per second since the first window was finished; None before.
        warm_up_s: Seconds that the first window took longer than the others, for its frames.
        drift: Where the colours went; see `DriftGuard`.
    """

    def __init__(
        self,
        info: VideoInfo,
        restorers: Sequence[Restorer],
        levels: Levels,
        *,
        steps: int | None,
        strength: float,
        plan: WindowPlan,
    ) -> None:
        self.model_s = 0.0
        self.steady_fps: float | None = None
        self.warm_up_s = 0.0
        self._restorers = restorers
        self._levels = levels
        self._steps = steps
        self._strength = strength
        self._plan = plan
        self._converter = converter_of(info)
        self.drift = DriftGuard(levels)

    def restore(
        self,
        frames: Iterable[Frame],
        trail: Trail | None = None,
        after: Landmark | None = None,
        stop: int | None = None,
    ) -> Iterator[Restored]:
        """Yield restored frames in order, context too, as soon as no window can change them.

        Args:
            frames: Their shots told.
            trail: Told where each segment begins.
            after: Where the frames go on, the context before it first; None if they are all.
            stop: Segment to stop before, at its first frame, which is not restored; None for none.
        """
        stitcher = Stitcher()
        done = seen = 0
        first: tuple[float, int] | None = None
        begin_s, opening_frames = time.monotonic(), 0
        for window in _windows(frames, self._plan, trail, after):
            if window.segment == stop:
                yield Restored(window.segment, window.items[0], kept=False)
                return
            for restored in self._finished(window, stitcher):
                yield restored
                done += restored.kept
            now_s = time.monotonic()
            seen += window.stop - window.start
            if first is None:
                first, opening_frames = (now_s, done), seen
            elif done > first[1]:
                self.steady_fps = (done - first[1]) / (now_s - first[0])
                usual_s = opening_frames * (now_s - first[0]) / (seen - opening_frames)
                self.warm_up_s = max(0.0, first[0] - begin_s - usual_s)

    def _finished(self, window: Window[Frame], stitcher: Stitcher) -> Iterator[Restored]:
        """Restore a window; what is large is gone before the next one is begun."""
        changes = self._changes(window, stitcher) if self._restorers else repeat(None)
        for (frame, kept), change in zip(window.complete, changes, strict=False):
            restored = frame
            if change is not None:
                rgb, residual = change
                segment = window.segment
                with _one_thread():
                    self.drift.hold(rgb, residual, frame.shot, counted=kept, segment=segment)
                    restored = self._converter.add(frame, residual)
            yield Restored(window.segment, restored, kept)

    def _changes(
        self, window: Window[Frame], stitcher: Stitcher
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """RGB (3, H, W) of each complete frame of a window, and what to add to it."""
        with _one_thread():
            degraded = self._converter.window(window.items)
        residual = self._converter.whole(self._residual(degraded))
        return zip(self._converter.whole(degraded), stitcher.add(window, residual), strict=False)

    def _residual(self, degraded: Tensor) -> Tensor:
        """What all networks add to pictures (T, 3, H, W), times the strength; on the CPU."""
        start_s = time.monotonic()
        total: Tensor | None = None
        for restorer in self._restorers:
            window = degraded if total is None else degraded + total
            residual = restorer.residual(window, self._levels, self._steps).cpu()
            total = residual if total is None else total + residual
        self.model_s += time.monotonic() - start_s
        assert total is not None, "there is at least one network"
        return total.mul_(self._strength)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Leave the other cores to ffmpeg.

    On planes, threads of torch wait for each other longer than they work.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _windows(
    frames: Iterable[Frame], plan: WindowPlan, trail: Trail | None, after: Landmark | None
) -> Iterator[Window[Frame]]:
    """Cut a stream, or the rest of one, and leave a mark where each segment begins."""
    segment, first = (0, 0) if after is None else (after.segment, after.position)
    marked = -1
    for window in cut(frames, plan, lambda frame: frame.shot, segment=segment, first=first):
        if trail is not None and window.segment != marked and window.stop > window.keep_start:
            marked = window.segment
            opening = window.items[window.keep_start - window.start]
            trail.begin(marked, window.keep_start, opening.shot)
            del opening  # or it would be held while the network runs
        yield window


def begins(
    frames: Iterable[Frame], plan: WindowPlan, trail: Trail, after: Landmark | None
) -> Iterator[Landmark]:
    """Where each segment begins, found by looking for shots alone; nothing is restored.

    Args:
        frames: Decoded frames, their shots told, which the trail is told of.
        plan: How the stream is cut.
        trail: Told where each segment begins.
        after: Where the frames go on that another run has begun; None if they are all.
    """
    begun = -1
    for window in _windows(frames, plan, trail, after):
        if window.segment != begun and window.stop > window.keep_start:
            begun = window.segment
            yield trail.landmark(begun)


@dataclass(frozen=True)
class Finished:
    """A segment that is encoded, verified and on the disk.

    Attributes:
        segment: Its index.
        pts: Timestamp of every frame, in ticks of the output.
        file: The file.
    """

    segment: int
    pts: tuple[int, ...]
    file: SegmentFile


def write_segments(
    frames: Iterable[Frame],
    restorer: WindowRestorer,
    retimer: Retimer,
    writer: SegmentWriter,
    trail: Trail | None = None,
    *,
    after: Landmark | None = None,
    stop: int | None = None,
    on_frame: Callable[[Frame], None] = lambda _: None,
    queue_frames: int = QUEUE_FRAMES,
) -> None:
    """Decode, restore, retime and encode, all at once, with bounded queues between them.

    Args:
        frames: Decoded frames, their shots told.
        restorer: Restores them.
        retimer: Puts them onto the output's timeline.
        writer: Takes them.
        trail: Told where each segment begins.
        after: Where the frames go on that another run has begun; None if they are all.
        stop: Segment to stop before; None for none.
        on_frame: Called with each finished frame before it is encoded.
        queue_frames: Frames that may wait before the network, and after it.

    Raises:
        VidrestoreError: What any of the stages raised.
    """
    with (
        writer,
        Prefetch(frames, queue_frames) as decoded,
        Sink(writer.write, queue_frames) as sink,
    ):
        for segment, frame in retimer.retime(restorer.restore(decoded, trail, after, stop), stop):
            on_frame(frame)
            sink.put((segment, frame))
        sink.finish()
        writer.finish()


class SegmentWriter:
    """Encodes frames into one file per segment.

    Args:
        plan: How each segment is encoded.
        clock: Of the output.
        name: Called with the index of a segment before its first frame is encoded: the file to
            write.
        on_finished: Called with each finished segment and the index of the next one, or None.
    """

    def __init__(
        self,
        plan: EncodingPlan,
        *,
        clock: Clock,
        name: Callable[[int], Path],
        on_finished: Callable[[Finished, int | None], None],
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._name = name
        self._on_finished = on_finished
        self._encoder: SegmentEncoder | None = None
        self._segment = -1
        self._pts: list[int] = []

    def write(self, item: tuple[int, Frame]) -> None:
        """Encode a frame; a new segment index ends the segment before it."""
        segment, frame = item
        if segment != self._segment:  # a segment may have no frame: then its index is left out
            self.finish(segment)
            self._segment, self._pts = segment, []
            self._encoder = SegmentEncoder(self._plan, self._name(segment), clock=self._clock)
        assert self._encoder is not None, "opened with the segment's first frame"
        self._encoder.write(frame)
        self._pts.append(frame.pts)

    def finish(self, following: int | None = None) -> None:
        """Close and verify the current segment, if there is one.

        Args:
            following: Index of the next segment; None at the end.
        """
        if self._encoder is None:
            return
        file = self._encoder.close()
        self._encoder = None
        self._on_finished(Finished(self._segment, tuple(self._pts), file), following)

    def __enter__(self) -> Self:
        """Return the writer itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the encoder if a segment is unfinished."""
        if self._encoder is not None:
            self._encoder.__exit__(None, None, None)

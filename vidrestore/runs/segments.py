"""Frames in, finished segment files out: the stages between decoding and muxing, wired."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from typing import Self

import torch
from torch import Tensor

from vidrestore.media.clock import Clock
from vidrestore.media.decode import Frame
from vidrestore.network.diffuse import Levels, Restorer
from vidrestore.runs.disk import Space
from vidrestore.picture.drift import DriftGuard
from vidrestore.encoders.encode import SegmentEncoder, SegmentFile
from vidrestore.encoders.encoding import EncodingPlan
from vidrestore.errors import InputError
from vidrestore.picture.fields import converter_of
from vidrestore.runs.flow import Prefetch, Sink
from vidrestore.runs.footprint import QUEUE_FRAMES
from vidrestore.runs.journal import Facts, Journal, Landmark
from vidrestore.media.probe import VideoInfo
from vidrestore.runs.resume import Trail
from vidrestore.timing.retime import Restored, Retimer
from vidrestore.network.stitch import Stitcher
from vidrestore.network.windows import Window, WindowPlan, cut


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
        steps: Reverse steps K.
        strength: Share of the residual that is applied, 0 to 1.
        plan: How the stream is cut.

    Attributes:
        model_s: Seconds spent in the networks so far.
        steady_fps: Frames per second since the first window was finished; None before.
        drift: Where the colours went; see `DriftGuard`.
    """

    def __init__(
        self,
        info: VideoInfo,
        restorers: Sequence[Restorer],
        levels: Levels,
        *,
        steps: int,
        strength: float,
        plan: WindowPlan,
    ) -> None:
        self.model_s = 0.0
        self.steady_fps: float | None = None
        self._restorers = restorers
        self._levels = levels
        self._steps = steps
        self._strength = strength
        self._plan = plan
        self._converter = converter_of(info)
        self.drift = DriftGuard(levels)

    def restore(
        self, frames: Iterable[Frame], trail: Trail | None = None, after: Landmark | None = None
    ) -> Iterator[Restored]:
        """Yield restored frames in order, context too, as soon as no window can change them.

        Args:
            frames: Their shots told.
            trail: Told where each segment begins.
            after: Where the frames go on, the context before it first; None if they are all.
        """
        stitcher = Stitcher()
        done = 0
        first: tuple[float, int] | None = None
        for window in _windows(frames, self._plan, trail, after):
            for restored in self._finished(window, stitcher):
                yield restored
                done += restored.kept
            now_s = time.monotonic()
            first = first or (now_s, done)
            if done > first[1]:
                self.steady_fps = (done - first[1]) / (now_s - first[0])

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


def write_segments(
    frames: Iterable[Frame],
    restorer: WindowRestorer,
    retimer: Retimer,
    writer: SegmentWriter,
    trail: Trail,
    *,
    after: Landmark | None = None,
    total: int | None,
    on_frame: Callable[[Frame], None],
    on_progress: Callable[[Progress], None],
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
        total: Number of frames to expect, if known.
        on_frame: Called with each finished frame before it is encoded.
        on_progress: Called after each finished frame.
        queue_frames: Frames that may wait before the network, and after it.

    Raises:
        VidrestoreError: What any of the stages raised.
    """
    with (
        writer,
        Prefetch(frames, queue_frames) as decoded,
        Sink(writer.write, queue_frames) as sink,
    ):
        finished = retimer.retime(restorer.restore(decoded, trail, after))
        for done, (segment, frame) in enumerate(finished, start=len(writer.pts) + 1):
            on_frame(frame)
            sink.put((segment, frame))
            on_progress(Progress(done, total))
        sink.finish()
        writer.finish()
    if not writer.pts:
        raise InputError("there is no frame to restore", hint="check --start and --end")


class SegmentWriter:
    """Encodes frames into one file per segment and journals each finished file.

    Args:
        plan: How each segment is encoded.
        journal: Of the output; its folder takes the files, its segments come first.
        clock: Of the output.
        space: Told what is about to be written.
        facts: Called with the index of a finished segment and that of the next one, or None:
            what the journal is to say of it. What it raises keeps the segment out of the journal.

    Attributes:
        pts: Timestamps of the frames written, in ticks of the clock.
        segments: Finished files, in order.
    """

    def __init__(
        self,
        plan: EncodingPlan,
        journal: Journal,
        *,
        clock: Clock,
        space: Space,
        facts: Callable[[int, int | None], Facts],
    ) -> None:
        self.pts: list[int] = [pts for record in journal.records for pts in record.pts]
        self.segments: list[SegmentFile] = [
            SegmentFile(journal.folder / one.file, one.frames, one.size_bytes, one.sha256)
            for one in journal.records
        ]
        self._plan = plan
        self._journal = journal
        self._clock = clock
        self._space = space
        self._facts = facts
        self._encoder: SegmentEncoder | None = None
        self._segment = -1
        self._first = 0

    def write(self, item: tuple[int, Frame]) -> None:
        """Encode a frame; a new segment index ends the segment before it."""
        segment, frame = item
        if segment != self._segment:  # a segment may have no frame: then its index is left out
            self.finish(segment)
            self._space.demand_segment(self.segments)
            path = self._journal.folder / f"segment-{segment:06d}.nut"
            self._segment, self._first = segment, len(self.pts)
            self._encoder = SegmentEncoder(self._plan, path, clock=self._clock)
        assert self._encoder is not None, "opened with the segment's first frame"
        self._encoder.write(frame)
        self.pts.append(frame.pts)

    def finish(self, following: int | None = None) -> None:
        """Close, verify and journal the current segment, if there is one.

        Args:
            following: Index of the next segment; None at the end.
        """
        if self._encoder is None:
            return
        file = self._encoder.close()
        self._encoder = None
        facts = self._facts(self._segment, following)
        self._journal.add(self._segment, self._first, self.pts[self._first :], file, facts)
        self.segments.append(file)

    def __enter__(self) -> Self:
        """Return the writer itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the encoder if a segment is unfinished."""
        if self._encoder is not None:
            self._encoder.__exit__(None, None, None)

"""Frames in, finished segment files out: the stages between decoding and muxing, wired."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Self

from torch import Tensor

from vidrestore.clock import Clock
from vidrestore.codecs import EncodeSettings
from vidrestore.convert import FrameConverter
from vidrestore.decode import Frame
from vidrestore.diffuse import Levels, Restorer
from vidrestore.encode import SegmentEncoder, SegmentFile
from vidrestore.errors import InputError
from vidrestore.flow import Prefetch, Sink
from vidrestore.journal import Journal
from vidrestore.probe import VideoInfo
from vidrestore.retime import Restored, Retimer
from vidrestore.stitch import Stitcher
from vidrestore.windows import WindowPlan, cut

QUEUE_FRAMES = 32


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
        self._converter = FrameConverter(info)

    def restore(self, frames: Iterable[Frame]) -> Iterator[Restored]:
        """Yield restored frames in order, context too, as soon as no window can change them."""
        stitcher = Stitcher()
        done = 0
        first: tuple[float, int] | None = None
        for window in cut(frames, self._plan, lambda frame: frame.shot):
            residuals: Iterable[Tensor | None] = repeat(None, len(window.items) - window.tail)
            if self._restorers:
                residuals = stitcher.add(window, self._residual(window.items))
            for (frame, kept), residual in zip(window.complete, residuals, strict=True):
                restored = frame if residual is None else self._converter.add(frame, residual)
                yield Restored(window.segment, restored, kept)
                done += kept
            now_s = time.monotonic()
            first = first or (now_s, done)
            if done > first[1]:
                self.steady_fps = (done - first[1]) / (now_s - first[0])

    def _residual(self, frames: Sequence[Frame]) -> Tensor:
        """(T, 3, H, W) float32 on the CPU: what all networks add, times the strength."""
        degraded = self._converter.window(frames)
        start_s = time.monotonic()
        total: Tensor | None = None
        for restorer in self._restorers:
            window = degraded if total is None else degraded + total
            residual = restorer.residual(window, self._levels, self._steps).cpu()
            total = residual if total is None else total + residual
        self.model_s += time.monotonic() - start_s
        assert total is not None, "there is at least one network"
        return total.mul_(self._strength)


def write_segments(
    frames: Iterable[Frame],
    restorer: WindowRestorer,
    retimer: Retimer,
    writer: SegmentWriter,
    *,
    total: int | None,
    on_frame: Callable[[Frame], None],
    on_progress: Callable[[Progress], None],
) -> None:
    """Decode, restore, retime and encode, all at once, with bounded queues between them.

    Args:
        frames: Decoded frames, their shots told.
        restorer: Restores them.
        retimer: Puts them onto the output's timeline.
        writer: Takes them.
        total: Number of frames to expect, if known.
        on_frame: Called with each finished frame before it is encoded.
        on_progress: Called after each finished frame.

    Raises:
        VidrestoreError: What any of the stages raised.
    """
    with (
        writer,
        Prefetch(frames, QUEUE_FRAMES) as decoded,
        Sink(writer.write, QUEUE_FRAMES) as sink,
    ):
        finished = retimer.retime(restorer.restore(decoded))
        for done, (segment, frame) in enumerate(finished, start=1):
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
        info: The input.
        settings: Codec and quality.
        journal: Of the output; its folder takes the files.
        clock: Of the output.
        ffmpeg: Path of the ffmpeg executable.

    Attributes:
        pts: Timestamps of the frames written, in ticks of the clock.
        segments: Finished files, in order.
    """

    def __init__(
        self,
        info: VideoInfo,
        settings: EncodeSettings,
        journal: Journal,
        *,
        clock: Clock,
        ffmpeg: str,
    ) -> None:
        self.pts: list[int] = []
        self.segments: list[SegmentFile] = []
        self._info = info
        self._settings = settings
        self._journal = journal
        self._clock = clock
        self._ffmpeg = ffmpeg
        self._encoder: SegmentEncoder | None = None
        self._first = 0

    def write(self, item: tuple[int, Frame]) -> None:
        """Encode a frame; a new segment index ends the segment before it."""
        segment, frame = item
        if segment != len(self.segments):
            self.finish()
        if self._encoder is None:
            path = self._journal.folder / f"segment-{segment:06d}.nut"
            self._first = len(self.pts)
            self._encoder = SegmentEncoder(
                self._info, self._settings, path, ffmpeg=self._ffmpeg, clock=self._clock
            )
        self._encoder.write(frame)
        self.pts.append(frame.pts)

    def finish(self) -> None:
        """Close, verify and journal the current segment, if there is one."""
        if self._encoder is None:
            return
        file = self._encoder.close()
        self._encoder = None
        self._journal.add(len(self.segments), self._first, self.pts[self._first :], file)
        self.segments.append(file)

    def __enter__(self) -> Self:
        """Return the writer itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the encoder if a segment is unfinished."""
        if self._encoder is not None:
            self._encoder.__exit__(None, None, None)

"""How far ahead of a frame a stream must be read before that frame can be written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

from vidrestore.media.probe import VideoInfo
from vidrestore.network.windows import WindowPlan
from vidrestore.settings import RestoreSettings
from vidrestore.timing.fill import Filler
from vidrestore.timing.shots import FLASH_FRAMES, REACH_FRAMES

_ENDLESS_FRAMES = 1 << 60

_PROMPT_WINDOWS = WindowPlan(_ENDLESS_FRAMES, 0, 8, 2)
"""Windows of `--latency low`: a third of the usual ones, and a tenth more work."""

_PIPE_FRAMES = 1
"""The filter that times the frames on their way from ffmpeg holds one back."""

_STAMP_FRAMES = 1
"""Timestamps are judged by the one after them."""

_NEXT_FRAMES = 1
"""What lies between two frames is known once the second one is there."""


@dataclass(frozen=True)
class StreamPlan:
    """How a stream is cut, and what waits for what.

    Attributes:
        windows: Of the network; all in one segment.
        shot_frames: Frames after one that decide whether a shot begins there.
        filled_frames: Source frames in which the made frames of one window come together.
        queue_frames: Frames that may wait between two stages that run at different speeds.
        prompt: Whether every frame is to be written as soon as it can be.
        steps: Reverse steps K; None for as many as are worth it.
    """

    windows: WindowPlan
    shot_frames: int
    filled_frames: int
    queue_frames: int
    prompt: bool
    steps: int | None

    @classmethod
    def of(
        cls, settings: RestoreSettings, info: VideoInfo, fps: Fraction, filler: Filler | None
    ) -> StreamPlan:
        """Plan for one stream.

        Args:
            settings: How it is restored; their latency decides.
            info: The source.
            fps: Frames per second of the output.
            filler: Makes frames that the source has not; None if there are none.
        """
        prompt = settings.latency == "low"
        reach = FLASH_FRAMES if prompt else REACH_FRAMES
        windows = _PROMPT_WINDOWS
        if not prompt:
            windows = replace(settings.plan, segment_frames=_ENDLESS_FRAMES)
        filled = 0
        if filler is not None:
            together = 1 if prompt else filler.window_frames(info.width * info.height)
            filled = _source_frames(together, fps / info.frame_rate)
        return cls(
            windows=windows,
            shot_frames=reach if settings.cuts is None else 0,
            filled_frames=filled,
            queue_frames=2 if prompt else 32,
            prompt=prompt,
            steps=settings.steps or (1 if prompt else None),
        )

    @property
    def lookahead_frames(self) -> int:
        """Frames of the source after one that are read before it is written, at most.

        The encoder's own reordering and the buffers of other programs come on top.
        """
        return (
            _PIPE_FRAMES
            + _STAMP_FRAMES
            + self.shot_frames
            + self.windows.window_frames
            + _NEXT_FRAMES
            + self.filled_frames
        )

    def paced(self, filler: Filler | None) -> Filler | None:
        """The filler, made to wait for no more frames than it must."""
        if filler is None or not self.prompt:
            return filler
        return _PromptFiller(filler.restorer, self.steps)


class _PromptFiller(Filler):
    """Refines every frame by itself."""

    def window_frames(self, size_px: int) -> int:
        """One, whatever the size."""
        return 1


def _source_frames(together: int, ratio: Fraction) -> int:
    """Source frames that go by until so many frames have been made, at most.

    Args:
        together: Frames to be made.
        ratio: Output frames per source frame.
    """
    # Of every `numerator` frames of the output, at most one falls on a frame of the source.
    passed = together // max(1, ratio.numerator - 1) + 1
    return ceil((together + passed) / ratio)

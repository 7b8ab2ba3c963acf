"""Motion blur along a clip's own motion: the frames between its frames, made and averaged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from vidrestore.degrade.curve import to_code, to_linear
from vidrestore.degrade.degradation import Clip, Degradation, Stage, number
from vidrestore.measure.metrics import luma_codes
from vidrestore.network.align import Drift, Motion

FEWEST_SUBFRAMES, MOST_SUBFRAMES = 2, 16
"""On each side of a frame."""
SUBFRAMES_PER_PX = 1.0
FAST_PERCENTILE = 98

Luma = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class FlowBlur(Degradation):
    """A shutter that is open while everything moves as it does in the clip.

    Frames between the clip's own are made along their optical flow, as missing frames are, and
    averaged in linear light. The truth is the frame in the middle. The first and the last frame
    are taken to have moved on steadily. A cut is taken for motion.

    Attributes:
        shutter: For how much of a frame's time it is open: 0.5 is what film has (180 degrees); 2 is
            what a camera of half the rate can have.
    """

    stage: ClassVar[Stage] = Stage.OPTICS
    shutter: float

    def __str__(self) -> str:
        """The spec, as `parse` reads it."""
        return f"blur:shutter={number(self.shutter)}"

    @property
    def context_frames(self) -> int:
        """The neighbours."""
        return 1

    def apply(self, clip: Clip, seed: int, first_frame: int = 0) -> tuple[Clip, float | None]:
        """Blur each frame along its motion; see `Degradation.apply`."""
        if len(clip) == 1:
            return clip.copy(), None
        light = to_linear(clip)
        seen = luma_codes(clip)
        motions = [Motion(left, right) for left, right in pairwise(seen)]
        blurred = []
        for index, middle in enumerate(light):
            before = self._before(light, seen, motions, index)
            after = self._after(light, seen, motions, index)
            sides = [frame for side in (before, after) for frame in side]
            # Both ends of the exposure are as far from the middle, so the mean stays in place.
            blurred.append(to_code((middle + sum(sides)) / np.float32(len(sides) + 1)))
        return np.stack(blurred), None

    def _after(
        self, light: Clip, seen: Luma, motions: list[Motion], index: int
    ) -> Iterator[npt.NDArray[np.float32]]:
        """What is seen from the middle of an exposure to its end."""
        times = self._times(motions, index)
        if index == len(light) - 1:
            drift = Drift(seen[index - 1], seen[index])
            for time in times:
                yield drift.at(time).guess(light[index], light[index])
        else:
            for time in times:
                yield motions[index].at(time).guess(light[index], light[index + 1])

    def _before(
        self, light: Clip, seen: Luma, motions: list[Motion], index: int
    ) -> Iterator[npt.NDArray[np.float32]]:
        """What is seen from the beginning of an exposure to its middle."""
        times = self._times(motions, index)
        if index == 0:
            drift = Drift(seen[1], seen[0])
            for time in times:
                yield drift.at(time).guess(light[0], light[0])
        else:
            for time in times:
                yield motions[index - 1].at(1 - time).guess(light[index - 1], light[index])

    def _times(self, motions: list[Motion], index: int) -> list[float]:
        """Times of sub-frames, in frames from the middle; the faster the motion, the more."""
        near = motions[max(0, index - 1) : index + 1]
        speed_px = max(
            float(np.percentile(np.hypot(*motion.forward.T), FAST_PERCENTILE)) for motion in near
        )
        count = int(np.ceil(SUBFRAMES_PER_PX * self.shutter / 2 * speed_px))
        count = min(max(count, FEWEST_SUBFRAMES), MOST_SUBFRAMES)
        return [self.shutter / 2 * (step + 1) / count for step in range(count)]

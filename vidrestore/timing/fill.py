"""Missing frames: guesses made along the motion of what is there, refined by the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidrestore.measure.metrics import luma_codes
from vidrestore.network.align import Alignment, Drift, Motion, Search, hold
from vidrestore.network.diffuse import Restorer

CANDIDATES = 6
"""Images that the network may choose from: each of two paths, read in the left frame and in the
right one, and the two as they are, for what does not move."""

LONGEST_WINDOW_FRAMES = 8
WINDOW_PIXELS = 8 << 20
"""Windows of large frames are shorter: what the network needs grows with the pixels."""

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Guess:
    """A missing frame before the network has seen it.

    Attributes:
        rgb: (H, W, 3) float32, nominal [0, 1].
        candidates: (H, W, 4 * CANDIDATES) float32: the images to choose from, less itself, then
            the share that each has in it.
    """

    rgb: Image
    candidates: Image

    @classmethod
    def along(cls, alignment: Alignment, left: Image, right: Image) -> Self:
        """The guess of an alignment between two frames (H, W, 3)."""
        paths = alignment.candidates(left, right)
        return cls.of(alignment, alignment.guess(left, right, paths), paths, left, right)

    @classmethod
    def of(
        cls, alignment: Alignment, rgb: Image, paths: Sequence[Image], left: Image, right: Image
    ) -> Self:
        """The guess that an alignment made, what its paths say, and the frames beside it."""
        images = (*paths, left, right)
        changes = [image - rgb for image in images]
        return cls(rgb, np.concatenate([*changes, alignment.shares()], axis=-1))

    @property
    def size_px(self) -> int:
        """Pixels of the frame."""
        return int(self.rgb.shape[0] * self.rgb.shape[1])


class Filler:
    """Refines guesses in windows of frames that are all missing.

    What exists beside them reaches the network warped into place, as the candidates.

    Args:
        restorer: With weights for missing frames.
        steps: Reverse steps K; None for as many as are worth it.

    Attributes:
        restorer: As given.
    """

    def __init__(self, restorer: Restorer, steps: int | None = None) -> None:
        self.restorer = restorer
        self._steps = steps

    def window_frames(self, size_px: int) -> int:
        """Frames of that size that are refined together."""
        return max(1, min(LONGEST_WINDOW_FRAMES, WINDOW_PIXELS // size_px))

    def residuals(self, guesses: Sequence[Guess]) -> list[Tensor]:
        """What to add to each of the guesses, in order of time, (3, H, W) float32 on the CPU."""
        found: list[Tensor] = []
        length = self.window_frames(guesses[0].size_px)
        for start in range(0, len(guesses), length):
            window = guesses[start : start + length]
            rgb = _stacked([guess.rgb for guess in window])
            candidates = _stacked([guess.candidates for guess in window])
            found += self.restorer.refinement(rgb, candidates, self._steps).cpu()
        return found


def _stacked(images: Sequence[Image]) -> Tensor:
    """(H, W, C) each to (T, C, H, W)."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def fill_clip(
    clip: Image,
    known: NDArray[np.bool_],
    restorer: Restorer | None,
    steps: int | None = None,
    search: Search | None = None,
) -> Image:
    """Predict the frames of a clip in memory that are not known.

    Args:
        clip: (T, H, W, 3) float32 RGB, nominal [0, 1]; frames that are not known are not read.
        known: (T,) True where the frame is there; one at least.
        restorer: With weights for missing frames; None for the unrefined guess along the flow.
        steps: Reverse steps K; None for as many as are worth it.
        search: How motion between two frames is found; None for `align.flow`.

    Returns:
        (T, H, W, 3) float32, not clamped; known frames unchanged.
    """
    filled = clip.copy()
    for gap in _gaps(known):
        alignments, left, right = _alignments(clip, known, gap, search)
        guesses = [Guess.along(alignment, left, right) for alignment in alignments]
        for index, guess in zip(gap, guesses, strict=True):
            filled[index] = guess.rgb
        if restorer is not None:
            residuals = Filler(restorer, steps).residuals(guesses)
            for index, residual in zip(gap, residuals, strict=True):
                filled[index] += residual.permute(1, 2, 0).numpy()
    return filled


def _gaps(known: NDArray[np.bool_]) -> list[list[int]]:
    """Runs of frames that are not known."""
    gaps: list[list[int]] = []
    for index in map(int, np.flatnonzero(~known)):
        if gaps and gaps[-1][-1] == index - 1:
            gaps[-1].append(index)
        else:
            gaps.append([index])
    return gaps


def _alignments(
    clip: Image, known: NDArray[np.bool_], gap: list[int], search: Search | None
) -> tuple[list[Alignment], Image, Image]:
    """How to make the frames of a gap, and of which two (one of them twice beyond either end)."""
    before = [int(i) for i in np.flatnonzero(known[: gap[0]])[-2:]]
    after = [gap[-1] + 1 + int(i) for i in np.flatnonzero(known[gap[-1] + 1 :])[:2]]
    if before and after:
        left, right = before[-1], after[0]
        motion = Motion(luma_codes(clip[left]), luma_codes(clip[right]), search)
        between = [motion.at((index - left) / (right - left)) for index in gap]
        return between, clip[left], clip[right]
    side = before or after[::-1]  # in order towards the gap
    last = side[-1]
    if len(side) == 1:
        return [hold((clip.shape[1], clip.shape[2]))] * len(gap), clip[last], clip[last]
    drift = Drift(luma_codes(clip[side[0]]), luma_codes(clip[last]))
    beyond = [drift.at((index - last) / (last - side[0])) for index in gap]
    return beyond, clip[last], clip[last]

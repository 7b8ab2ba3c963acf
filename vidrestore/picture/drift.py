"""Keeps the colours of a shot where they are, and says where they went.

What a restorer takes away is noise, which has no mean. Where no noise was cut off, which is further
than `CLEAR_SIGMAS` from black and white, the mean of each channel may therefore not move by more
than `LARGEST_DRIFT` codes. Nearer to them it has to move, because the noise that was cut off there
has lifted black and lowered white; that is only reported.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidrestore.network.diffuse import Levels

CLEAR_SIGMAS = 3
LARGEST_DRIFT = 0.2
"""In codes of 8 bits."""
WIDE_SHARE = 0.01
"""Share of the frame from which on the pixels that are held stand for all of it."""

Means = tuple[float, float, float]


@dataclass(frozen=True)
class ShotDrift:
    """How far the colours of a shot have moved, in 8-bit codes.

    Attributes:
        shot: Index of the shot.
        inside: Mean change of red, green and blue over the pixels further than `CLEAR_SIGMAS` from
            both clipping levels.
        outside: The same over the others.
        held_frames: Frames in which a channel was held back.
    """

    shot: int
    inside: Means
    outside: Means
    held_frames: int


@dataclass
class _Sums:
    """Of one shot: changes and pixel counts (3,), inside and outside."""

    inside: NDArray[np.float64]
    inside_px: NDArray[np.int64]
    total: NDArray[np.float64]
    total_px: int = 0
    held_frames: int = 0

    @classmethod
    def none(cls) -> Self:
        return cls(np.zeros(3), np.zeros(3, np.int64), np.zeros(3))

    def add(self, other: Self) -> None:
        self.inside += other.inside
        self.inside_px += other.inside_px
        self.total += other.total
        self.total_px += other.total_px
        self.held_frames += other.held_frames


class DriftGuard:
    """Holds the mean of every channel, frame by frame.

    Args:
        levels: Of the video: they tell what is near a clipping level.
    """

    def __init__(self, levels: Levels) -> None:
        self._reach = 0.5 - CLEAR_SIGMAS * levels.sigma / 255
        self._sums: dict[tuple[int, int], _Sums] = {}  # by segment and shot
        self._spare: Tensor | None = None  # fresh memory for every plane takes longer than sums

    def hold(
        self, rgb: Tensor, residual: Tensor, shot: int, *, counted: bool = True, segment: int = 0
    ) -> None:
        """Take from a frame's residual what would move the mean of a channel too far.

        A residual of zeros stays as it is. Where too few pixels are clear of black and white to
        stand for the frame, only they are held.

        Args:
            rgb: (3, H, W) float32, nominal [0, 1]: the frame before it is restored.
            residual: (3, H, W) float32 on the same device: what is added to it; changed in place.
            shot: Index of the frame's shot.
            counted: Whether the frame belongs to the output, rather than being seen twice.
            segment: Index of the frame's segment.
        """
        inside, held = torch.zeros(3), False
        inside_px = torch.zeros(3, dtype=torch.int64)
        if self._spare is None or self._spare.shape != rgb[0].shape:
            self._spare = torch.empty_like(rgb[0])
        spare = self._spare
        channels = zip(rgb, residual, strict=True) if residual.any() else ()
        for channel, (level, change) in enumerate(channels):
            clear = torch.add(level, change, out=spare).sub_(0.5).abs_() < self._reach
            count = int(torch.count_nonzero(clear))
            if count == 0:
                continue
            mean = float(torch.mul(change, clear, out=spare).sum()) / count
            excess = mean - min(max(mean, -LARGEST_DRIFT / 255), LARGEST_DRIFT / 255)
            if excess:
                held = True
                where: Tensor | float = 1.0 if count >= WIDE_SHARE * clear.numel() else clear
                change.sub_(torch.as_tensor(where, dtype=change.dtype) * excess)
            inside[channel] = (mean - excess) * count
            inside_px[channel] = count
        if counted:
            self._add((segment, shot), residual, inside, inside_px, held)

    def _add(
        self,
        place: tuple[int, int],
        residual: Tensor,
        inside: Tensor,
        inside_px: Tensor,
        held: bool,
    ) -> None:
        sums = self._sums.setdefault(place, _Sums.none())
        sums.inside += inside.numpy()
        sums.inside_px += inside_px.numpy()
        sums.total += residual.sum(dim=(1, 2)).cpu().numpy()
        sums.total_px += residual[0].numel()
        sums.held_frames += held

    def noted(self, segment: int) -> tuple[object, ...]:
        """What was found in a segment, as plain JSON values that `recall` takes."""
        return tuple(
            {
                "shot": shot,
                "inside": sums.inside.tolist(),
                "inside_px": sums.inside_px.tolist(),
                "total": sums.total.tolist(),
                "total_px": sums.total_px,
                "held_frames": sums.held_frames,
            }
            for (place, shot), sums in list(self._sums.items())
            if place == segment
        )

    def recall(self, segment: int, notes: Iterable[Any]) -> None:
        """Count what another run has found in a segment."""
        for note in notes:
            values = dict(note)
            shot = values.pop("shot")
            self._sums[segment, shot] = _Sums(
                np.array(values.pop("inside")),
                np.array(values.pop("inside_px"), np.int64),
                np.array(values.pop("total")),
                **values,
            )

    @property
    def shots(self) -> list[ShotDrift]:
        """What happened to each shot so far, in order."""
        shots: dict[int, _Sums] = {}
        for (_, shot), sums in sorted(self._sums.items(), key=lambda entry: entry[0]):
            shots.setdefault(shot, _Sums.none()).add(sums)
        return [
            ShotDrift(
                shot,
                _means(sums.inside, sums.inside_px),
                _means(sums.total - sums.inside, sums.total_px - sums.inside_px),
                sums.held_frames,
            )
            for shot, sums in sorted(shots.items())
        ]


def _means(changes: NDArray[np.float64], count: NDArray[np.int64]) -> Means:
    """Sums of changes in [0, 1] units to means in 8-bit codes; 0 where there is no pixel."""
    red, green, blue = 255 * changes / np.maximum(count, 1)
    return float(red), float(green), float(blue)

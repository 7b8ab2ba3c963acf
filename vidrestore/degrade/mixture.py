"""Several degradations in the order in which a camera makes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from vidrestore.degrade.degradation import Clip, Degradation, Known, Stage
from vidrestore.degrade.noise import GaussianNoise

_TOLD_PAST = (Stage.OPTICS, Stage.LIGHT, Stage.TRANSPORT)
"""Stages that leave noise as it is; transport acts on whole frames or slices."""


@dataclass(frozen=True)
class Mixture(Degradation):
    """Degradations that follow each other.

    Attributes:
        parts: At least two, their stages in order; `mixture` makes it so.
    """

    stage: ClassVar[Stage] = Stage.TRANSPORT
    parts: tuple[Degradation, ...]

    def __str__(self) -> str:
        """The spec, as `parse` reads it."""
        return ",".join(map(str, self.parts))

    @property
    def context_frames(self) -> int | None:
        """What all parts need together."""
        total = 0
        for part in self.parts:
            if part.context_frames is None:
                return None
            total += part.context_frames
        return total

    def apply(self, clip: Clip, seed: int, first_frame: int = 0) -> tuple[Clip, float | None]:
        """Apply all parts; see `Degradation.apply`.

        The noise level is told only if there is one, and nothing changes it afterwards.
        """
        for position, part in enumerate(self.parts):
            clip, _ = part.apply(clip, self._seed(seed, position), first_frame)
        return clip, self._told

    def truth(self, clip: Clip) -> Clip:
        """What a perfect restoration gives; see `Degradation.truth`."""
        for part in self.parts:
            clip = part.truth(clip)
        return clip

    def known(self, frames: int, seed: int = 0, first_frame: int = 0) -> Known:
        """The frames that every part keeps; see `Degradation.known`."""
        known = super().known(frames)
        for position, part in enumerate(self.parts):
            known &= part.known(frames, self._seed(seed, position), first_frame)
        return known

    def _seed(self, seed: int, position: int) -> int:
        """Two parts of one kind must not draw the same numbers."""
        kind = type(self.parts[position])
        earlier = sum(isinstance(part, kind) for part in self.parts[:position])
        return seed + (earlier << 64)

    @property
    def _told(self) -> float | None:
        noisy = [part for part in self.parts if part.stage not in _TOLD_PAST]
        if len(noisy) != 1 or not isinstance(noisy[0], GaussianNoise) or noisy[0].eight_bit:
            return None
        return noisy[0].sigma


def mixture(parts: Sequence[Degradation]) -> Degradation:
    """One degradation of one or more, put into the order in which a camera makes them.

    Those of one stage stay in the order given.
    """
    flat = [single for part in parts for single in parts_of(part)]
    if len(flat) == 1:
        return flat[0]
    return Mixture(tuple(sorted(flat, key=lambda part: part.stage)))


def parts_of(degradation: Degradation) -> tuple[Degradation, ...]:
    """The parts of a mixture, or the degradation itself."""
    return degradation.parts if isinstance(degradation, Mixture) else (degradation,)

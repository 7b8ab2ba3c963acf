"""Frames that get lost, shown twice, held or damaged on their way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from vidrestore.degrade.degradation import Clip, Degradation, Known, Stage, number

GAP_PERIOD = 10
LONGEST_GAP = 8
BLOCK_PX = 16
"""Rows of blocks get lost together: a slice of H.264 or MPEG-2."""
_LOSS_SALT, _DAMAGE_SALT = 0x6C, 0x63
_FARTHEST_BLOCKS = 4


@dataclass(frozen=True)
class MissingFrames(Degradation):
    """Frames taken out of a clip, which are then to be predicted.

    Attributes:
        kind: "drop" keeps frames 0, N, 2N, ...: what interpolation by N has to undo. "gap" removes
            N consecutive frames of every ten: from frame 5 on, or the last N if N is above 5.
        count: N.
    """

    stage: ClassVar[Stage] = Stage.TRANSPORT
    kind: Literal["drop", "gap"]
    count: int

    def __str__(self) -> str:
        """The spec, as `parse` reads it."""
        return f"{self.kind}:{self.count}"

    def apply(self, clip: Clip, seed: int, first_frame: int = 0) -> tuple[Clip, float | None]:
        """The clip as it is: `known` tells what is missing."""
        return clip, None

    def known(self, frames: int, seed: int = 0, first_frame: int = 0) -> Known:
        """Which frames of a clip are kept; see `Degradation.known`."""
        index = np.arange(first_frame, first_frame + frames)
        if self.kind == "drop":
            return np.asarray(index % self.count == 0)
        return ~_in_gap(index, self.count)


@dataclass(frozen=True)
class LostFrames(Degradation):
    """Frames that get lost by chance, never the first.

    Attributes:
        percent: Chance of each.
    """

    stage: ClassVar[Stage] = Stage.TRANSPORT
    percent: float

    def __str__(self) -> str:
        """The spec, as `parse` reads it."""
        return f"lose:{number(self.percent)}"

    def apply(self, clip: Clip, seed: int, first_frame: int = 0) -> tuple[Clip, float | None]:
        """The clip as it is: `known` tells what is missing."""
        return clip, None

    def known(self, frames: int, seed: int = 0, first_frame: int = 0) -> Known:
        """Which frames of a clip are kept; see `Degradation.known`."""
        return np.array(
            [
                index == 0
                or np.random.default_rng((seed, index, _LOSS_SALT)).random() >= self.percent / 100
                for index in range(first_frame, first_frame + frames)
            ],
            bool,
        )


@dataclass(frozen=True)
class HeldFrames(Degradation):
    """Frames in whose place the one before is shown again.

    Attributes:
        kind: "repeat" does so for the last of every N frames, "freeze" for N in a row of every ten,
            where `MissingFrames` has its gaps.
        count: N.
    """

    stage: ClassVar[Stage] = Stage.TRANSPORT
    kind: Literal["repeat", "freeze"]
    count: int

    def __str__(self) -> str:
        """The spec, as `parse` reads it."""
        return f"{self.kind}:{self.count}"

    @property
    def context_frames(self) -> int:
        """As far as the frame that is held."""
        return 1 if self.kind == "repeat" else self.count

    def held(self, frame: int) -> bool:
        """Whether a frame, by its absolute index, shows the one before."""
        if self.kind == "repeat":
            return frame % self.count == self.count - 1
        return bool(_in_gap(np.array(frame), self.count))

    def apply(self, clip: Clip, seed: int, first_frame: int = 0) -> tuple[Clip, float | None]:
        """Show frames again; see `Degradation.apply`."""
        shown = list(range(len(clip)))
        for index in range(1, len(clip)):
            if self.held(first_frame + index):
                shown[index] = shown[index - 1]
        return clip[shown], None


@dataclass(frozen=True)
class CorruptFrames(Degradation):
    """Frames of which a slice was damaged, never the first.

    From a random row of blocks on, to the end or to another row, a damaged frame shows what
    decoders make of missing data: the frame before, shifted by whole blocks; grey; or the last good
    row of pixels, smeared downwards.

    Attributes:
        percent: Chance of each frame.
    """

    stage: ClassVar[Stage] = Stage.TRANSPORT
    percent: float

    def __str__(self) -> str:
        """The spec, as `parse` reads it."""
        return f"corrupt:{number(self.percent)}"

    @property
    def context_frames(self) -> int:
        """The frame before."""
        return 1

    def apply(self, clip: Clip, seed: int, first_frame: int = 0) -> tuple[Clip, float | None]:
        """Damage frames; see `Degradation.apply`."""
        damaged = clip.copy()
        for index in range(1, len(clip)):
            generator = np.random.default_rng((seed, first_frame + index, _DAMAGE_SALT))
            if generator.random() < self.percent / 100:
                _damage(damaged[index], clip[index - 1], generator)
        return damaged, None


def _damage(frame: Clip, before: Clip, generator: np.random.Generator) -> None:
    """Damage a frame (H, W, 3) in place."""
    rows = -(-len(frame) // BLOCK_PX)
    first = int(generator.integers(rows))
    last = rows if generator.random() < 0.5 else int(generator.integers(first, rows)) + 1
    top, bottom = first * BLOCK_PX, last * BLOCK_PX
    kind = generator.choice(["before", "grey", "smear"]) if first else "before"
    shift = BLOCK_PX * int(generator.integers(-_FARTHEST_BLOCKS, _FARTHEST_BLOCKS + 1))
    if kind == "before":
        frame[top:bottom] = np.roll(before[top:bottom], shift, axis=1)
    else:
        frame[top:bottom] = 0.5 if kind == "grey" else frame[top - 1]


def _in_gap(index: np.ndarray, count: int) -> Known:
    """Which frames lie in the gaps of N frames of every ten."""
    first = min(GAP_PERIOD // 2, GAP_PERIOD - count)
    place = index % GAP_PERIOD
    return np.asarray((place >= first) & (place < first + count))

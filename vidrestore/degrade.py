"""Synthetic degradations with known truth, for training, the benchmark and tests.

A degradation is a frozen value made from a spec such as ``awgn:25`` or ``drop:2``. Noise is a pure
function of the clip and a seed, and its randomness belongs to the absolute frame index: degrading a
clip whole or window by window gives the same frames, and the noise is drawn once per clip, never
per window. Which frames go missing depends on the frame index alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from vidrestore.errors import UsageError

Clip = npt.NDArray[np.float32]

SPECS = "awgn:SIGMA, awgn8:SIGMA, drop:N, gap:N"

GAP_PERIOD = 10
LONGEST_GAP = 8
LARGEST_DROP = 64


@dataclass(frozen=True)
class GaussianNoise:
    """Additive white Gaussian noise in RGB.

    Attributes:
        sigma: Standard deviation in 8-bit units.
        eight_bit: Clip and round to 8 bits, which is what files contain, and leave the level
            unknown. False is the papers' protocol: float, unclipped, level known.
    """

    sigma: float
    eight_bit: bool = False

    def __str__(self) -> str:
        """The spec, as `parse` reads it."""
        return f"{'awgn8' if self.eight_bit else 'awgn'}:{self.sigma:g}"

    def apply(self, clip: Clip, seed: int, first_frame: int = 0) -> tuple[Clip, float | None]:
        """Add the noise to a clip.

        Args:
            clip: Clean frames (T, H, W, 3), float32 RGB, nominal [0, 1].
            seed: Non-negative seed; with the absolute frame index it determines all randomness.
            first_frame: Absolute index of ``clip[0]``, for a window of a longer clip.

        Returns:
            The noisy clip, same shape and dtype, and the noise level that the model may be told,
            in 8-bit units, or None where it has to estimate it.
        """
        noisy = np.empty_like(clip, dtype=np.float32)
        for index, frame in enumerate(clip):
            generator = np.random.default_rng((seed, first_frame + index))
            noise = generator.standard_normal(frame.shape, dtype=np.float32)
            noisy[index] = frame + np.float32(self.sigma / 255) * noise
        if not self.eight_bit:
            return noisy, self.sigma
        codes = np.rint(noisy.clip(0, 1) * np.float32(255))
        return (codes / np.float32(255)).astype(np.float32), None


@dataclass(frozen=True)
class MissingFrames:
    """Frames taken out of a clip, which are then to be predicted.

    Attributes:
        kind: "drop" keeps frames 0, N, 2N, ...: what interpolation by N has to undo. "gap" removes
            N consecutive frames of every ten: from frame 5 on, or the last N if N is above 5.
        count: N.
    """

    kind: Literal["drop", "gap"]
    count: int

    def __str__(self) -> str:
        """The spec, as `parse` reads it."""
        return f"{self.kind}:{self.count}"

    def known(self, frames: int) -> npt.NDArray[np.bool_]:
        """Which frames of a clip are kept, (frames,) bool."""
        index = np.arange(frames)
        if self.kind == "drop":
            return np.asarray(index % self.count == 0)
        first = min(GAP_PERIOD // 2, GAP_PERIOD - self.count)
        place = index % GAP_PERIOD
        return np.asarray((place < first) | (place >= first + self.count))


Degradation = GaussianNoise | MissingFrames


def parse(spec: str) -> Degradation:
    """Read a degradation spec.

    Args:
        spec: ``awgn:SIGMA`` or ``awgn8:SIGMA``, SIGMA in 8-bit units, 0 to 255; ``drop:N``, N from
            2 to 64; ``gap:N``, N from 1 to 8.

    Returns:
        The degradation; its ``str`` is the spec in normal form.

    Raises:
        UsageError: The spec names no known degradation or its number is not in range.
    """
    kind, _, level = spec.strip().partition(":")
    match kind:
        case "awgn" | "awgn8":
            return GaussianNoise(_sigma(spec, kind, level), eight_bit=kind == "awgn8")
        case "drop":
            return MissingFrames("drop", _whole(spec, level, 2, LARGEST_DROP))
        case "gap":
            return MissingFrames("gap", _whole(spec, level, 1, LONGEST_GAP))
    raise UsageError(f"unknown degradation {spec!r}", hint=f"use one of {SPECS}")


def _sigma(spec: str, kind: str, level: str) -> float:
    try:
        sigma = float(level)
    except ValueError:
        sigma = math.nan
    if not 0 <= sigma <= 255:
        raise UsageError(
            f"noise level {level!r} of {spec!r} is not a number from 0 to 255",
            hint=f"give the standard deviation in 8-bit units, for example {kind}:25",
        )
    return sigma


def _whole(spec: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise UsageError(
            f"number of frames {text!r} of {spec!r} is not a whole number from {least} to {most}",
            hint="drop:2 predicts every second frame, gap:3 three in a row of every ten",
        )
    return int(text)

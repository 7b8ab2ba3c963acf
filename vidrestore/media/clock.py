"""How time runs in the output: its ticks, its nominal rate, its speed beside the source's."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol


class Timed(Protocol):
    """What a clock needs to know of a source."""

    @property
    def time_base(self) -> Fraction:
        """Seconds per tick."""

    @property
    def frame_rate(self) -> Fraction:
        """Nominal frames per second."""

    @property
    def start_pts(self) -> int:
        """PTS of the first frame, in ticks."""


@dataclass(frozen=True)
class Clock:
    """The time of an output.

    Attributes:
        time_base: Seconds per tick of every PTS of the output.
        frame_rate: Nominal frames per second, which encoders plan with.
        speed: Source seconds per output second: 1, or less in slow motion.
        end_pts: Where the last frame ends, in ticks; None if as in the source.
        start: Time in seconds of the first frame, which is where slow motion leaves it.
    """

    time_base: Fraction
    frame_rate: Fraction
    speed: Fraction = Fraction(1)
    end_pts: int | None = None
    start: Fraction = Fraction(0)

    @classmethod
    def of(cls, info: Timed) -> Clock:
        """The source's own clock."""
        return cls(info.time_base, info.frame_rate, start=info.start_pts * info.time_base)

    @property
    def step(self) -> int:
        """Ticks from one frame to the next at the nominal rate, at least 1."""
        return max(1, round(1 / (self.frame_rate * self.time_base)))

    def output_time(self, source_s: Fraction) -> Fraction:
        """When the output shows what the source has at a time, both in seconds."""
        return self.start + (source_s - self.start) / self.speed

    def source_time(self, output_s: Fraction) -> Fraction:
        """When the source has what the output shows at a time, both in seconds."""
        return self.start + (output_s - self.start) * self.speed

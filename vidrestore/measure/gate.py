"""Scores that must be reached."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from vidrestore.errors import QualityError, UsageError, VidrestoreError
from vidrestore.measure.history import Changes, Earlier, changes
from vidrestore.measure.rows import MODEL, Benchmark, MethodSummary

GATES: Mapping[str, str] = {
    "psnr": "psnr_db",
    "psnr_y": "psnr_y_db",
    "ssim": "ssim",
    "vmaf": "vmaf",
    "gain": "gain_db",
    "gain_y": "gain_y_db",
}
"""Figures that can be asked for, by their name on the command line: more is better."""


@dataclass(frozen=True)
class Gate:
    """The least that a figure of the model may be, as mean over the clips of any case."""

    figure: str
    least: float

    @classmethod
    def parse(cls, text: str) -> Gate:
        """Read ``psnr=30``.

        Raises:
            UsageError: It makes no sense.
        """
        figure, _, least = text.partition("=")
        if figure not in GATES:
            near = get_close_matches(figure, GATES, 1, 0)[0]
            raise UsageError(
                f"--fail-under {text}: unknown figure {figure}",
                hint=f"did you mean {near}? use one of {', '.join(GATES)}",
            )
        try:
            value = float(least)
        except ValueError:
            value = math.nan
        if math.isnan(value):
            raise UsageError(f"--fail-under {text}: no number", hint=f"for example {figure}=30")
        return cls(figure, value)

    def failures(self, result: Benchmark) -> list[str]:
        """A line for each case in which the model does not reach it, or has no figure."""
        own = [each for each in result.summary if each.method == MODEL]
        return [line for each in own if (line := self._failure(each)) is not None]

    def _failure(self, summary: MethodSummary) -> str | None:
        value: float | None = getattr(summary, GATES[self.figure])
        if summary.failure is not None:
            return f"{summary.case}: no {self.figure}, {summary.failure}"
        if value is None:
            identical = self.figure.startswith(("psnr", "gain"))
            return None if identical else f"{summary.case}: no {self.figure}"
        if value >= self.least:
            return None
        return f"{summary.case}: {self.figure} {value:.4g} is below {self.least:g}"


@dataclass(frozen=True)
class Conclusion:
    """What a run comes to.

    Attributes:
        changes: What differs from an earlier run; None if it was compared with none.
        failures: What is below what was asked for, a line each.
        error: What to end with, after the figures are shown; None if all is well.
    """

    changes: Changes | None
    failures: tuple[str, ...]
    error: VidrestoreError | None


def conclude(result: Benchmark, gates: Sequence[Gate], earlier: Earlier | None) -> Conclusion:
    """Compare a run with what was asked for, and with an earlier one."""
    failures = tuple(line for gate in gates for line in gate.failures(result))
    error: VidrestoreError | None = None
    if failures:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        error = QualityError(f"{failures[0]}{more}", hint="see the table for the other figures")
    try:
        differences = None if earlier is None else changes(result, earlier)
    except UsageError as refusal:
        return Conclusion(None, failures, refusal)
    return Conclusion(differences, failures, error)

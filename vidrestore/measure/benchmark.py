"""Clips are damaged, restored by the model and by what else there is, and scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vidrestore.errors import FfmpegError, InputError
from vidrestore.measure.cases import Case, Suite
from vidrestore.measure.filters import FfmpegFilter
from vidrestore.measure.item import Item
from vidrestore.measure.judge import Judge, Verdict
from vidrestore.measure.methods import (
    External,
    Filter,
    Method,
    Models,
    Unavailable,
    interpolators,
)
from vidrestore.measure.rows import Benchmark, Row, Sample, summarise
from vidrestore.measure.samples import SampleChoice
from vidrestore.measure.tuning import Tuner
from vidrestore.measure.vmaf import has_vmaf
from vidrestore.media.ffmpeg import find_ffmpeg


@dataclass(frozen=True)
class BenchmarkSettings:
    """How to measure.

    Attributes:
        baselines: Also run ffmpeg's filters.
        steps: Reverse steps K of the model; None for its best.
        device: "auto", "cpu", "cuda" or "mps".
        weights: File or folder of weights; None for those of the package.
        ffmpeg: An ffmpeg other than the bundled one.
        samples: Keep pictures for a report.
    """

    baselines: bool = False
    steps: int | None = None
    device: str = "auto"
    weights: Path | None = None
    ffmpeg: str | None = None
    samples: bool = False


def benchmark(
    suite: Suite, settings: BenchmarkSettings, on_progress: Callable[[str], None]
) -> Benchmark:
    """Measure all methods on all clips of all cases, one clip in memory at a time.

    A method that fails has a row that says why; in a suite of several cases, one whose clips cannot
    be read or are too short is left out with a warning.

    Args:
        suite: What to measure.
        settings: How.
        on_progress: Called with a line of text before every row.

    Raises:
        InputError: No clip could be measured, or one of the only case could not.
        WeightsError: The weights are corrupt, or missing and there is nothing else to measure.
        DeviceError: The device is not there.
        FfmpegError: ffmpeg is missing, or a degradation failed.
    """
    ffmpeg = find_ffmpeg(settings.ffmpeg)
    bench = _Bench(suite, settings, ffmpeg, on_progress)
    rows: list[Row] = []
    samples: list[Sample] = []
    warnings = list(suite.warnings)
    for case in suite.cases:
        bench.check(case)
        choice = SampleChoice()
        try:
            for item in case.source.items():
                verdicts = bench.verdicts(case, item)
                rows += [verdict.row for verdict in verdicts]
                if settings.samples:
                    choice.add(item, verdicts)
        except InputError as error:
            if len(suite.cases) == 1:
                raise
            warnings.append(f"{case.name}: {error}")
        samples += choice.chosen()
    if not rows:
        raise InputError(f"nothing of {suite.name} could be measured: {warnings[-1]}")
    if not has_vmaf(ffmpeg):
        warnings.append(f"{ffmpeg} lacks libvmaf, so there is no VMAF")
    return Benchmark(
        suite.name, suite.seed, tuple(rows), summarise(rows), tuple(warnings), tuple(samples)
    )


class _Bench:
    """Puts together what is measured on a clip, and measures it."""

    def __init__(
        self,
        suite: Suite,
        settings: BenchmarkSettings,
        ffmpeg: str,
        on_progress: Callable[[str], None],
    ) -> None:
        self._suite, self._settings, self._ffmpeg = suite, settings, ffmpeg
        self._on_progress = on_progress
        self._models = Models(settings.weights, settings.device, settings.steps)
        self._judge = Judge(ffmpeg, keeps_clips=settings.samples)
        self._tuner = Tuner(ffmpeg)
        self._tuning: dict[str, Item | None] = {}

    def verdicts(self, case: Case, item: Item) -> list[Verdict]:
        """Every method on one clip."""
        found = []
        for method in self._methods(case, item):
            self._on_progress(f"{case.name}: {item.name}: {method.name}")
            found.append(self._judge.judge(case, item, method))
        return found

    def check(self, case: Case) -> None:
        """Refuse to measure nothing: a single case without a model and anything beside it."""
        model = self._models.get(case.task)
        compared = self._settings.baselines or bool(self._suite.commands)
        if isinstance(model, Unavailable) and len(self._suite.cases) == 1 and not compared:
            raise self._models.missing[case.task]

    def _methods(self, case: Case, item: Item) -> Iterator[Method]:
        """The model, and what is compared with it."""
        yield self._models.get(case.task)
        if not item.given.known.all():
            yield from interpolators(self._ffmpeg if self._settings.baselines else None)
        elif self._settings.baselines:
            for candidate in case.source.filters:
                yield self._tuned(case, item, candidate)
        for command in self._suite.commands:
            yield External(command, self._ffmpeg)

    def _tuned(self, case: Case, item: Item, candidate: FfmpegFilter) -> Method:
        if case.name not in self._tuning:
            self._tuning[case.name] = case.source.tuning()
        other = self._tuning[case.name]
        try:
            setting = self._tuner.best(candidate, other or item)
        except FfmpegError as error:
            return Unavailable(candidate.name, str(error), takes_files=True, inside=False)
        note = "set to what is best on this very clip"
        if other is not None:
            note = f"set to what is best on another clip, {other.name}"
        return Filter(candidate.name, setting, note, self._ffmpeg)

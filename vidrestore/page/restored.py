"""The page of `vidrestore restore`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vidrestore.containers.sequence import home
from vidrestore.measure.compare import RgbReader
from vidrestore.media.ffmpeg import find_ffmpeg
from vidrestore.page import stills
from vidrestore.page.content import Chart, Curves, Moment, PageContent, Series
from vidrestore.page.moments import (
    AFTER,
    BEFORE,
    BY_CHANGE,
    CHANGE,
    ERROR,
    ERROR_BEFORE,
    REFERENCE,
    Choice,
    choose,
    frames_at,
    gallery,
    rule,
    shown_width_px,
    views,
    with_differences,
)
from vidrestore.page.particulars import figures, tables
from vidrestore.page.stills import GAIN, Rgb
from vidrestore.page.words import (
    footer,
    score_curves,
    score_note,
    summary,
)
from vidrestore.picture.estimate import noise_sigma
from vidrestore.report import comparison_warnings
from vidrestore.runs.pipeline import open_reader
from vidrestore.runs.split import paired

if TYPE_CHECKING:
    from pathlib import Path

    from vidrestore.measure.metrics import FrameScores
    from vidrestore.measure.scoring import ReferenceScores
    from vidrestore.runs.pipeline import RestoreResult
    from vidrestore.settings import RestoreSettings

MEASURED_FRAMES = 240
"""Without a reference noise is estimated in this many frames at most, evenly spread."""

NAMES = {
    BEFORE: "Input",
    AFTER: "Restored",
    REFERENCE: "Reference",
    CHANGE: f"Restored minus input, {GAIN} times",
    ERROR_BEFORE: f"Input minus reference, {GAIN} times",
    ERROR: f"Restored minus reference, {GAIN} times",
}


@dataclass(frozen=True)
class _Shown:
    """What the page shows frame by frame.

    Attributes:
        chosen: Frames to show; positions count in `numbers`.
        numbers: Frames of the output.
        times_s: When they are shown.
        notes: Their figures.
        partners: Frame of the reference for each; empty without one.
        curves: Drawn from all of them.
    """

    chosen: tuple[Choice, ...]
    numbers: Sequence[int]
    times_s: Sequence[float]
    notes: Sequence[str]
    partners: Sequence[int]
    curves: Curves


def restoration_page(
    source: Path, output: Path, settings: RestoreSettings, result: RestoreResult
) -> PageContent:
    """What the page of a finished run shows. The input and the output are decoded again.

    Args:
        source: The input.
        output: What was written.
        settings: How.
        result: What was done.
    """
    ffmpeg = find_ffmpeg(settings.ffmpeg)
    before = open_reader(source, settings, ffmpeg)
    rate = result.output.frame_rate
    after = RgbReader(home(output), ffmpeg, framerate=rate, limits=settings.limits)
    sides = _Sides(before, after, settings)
    scores = result.scores
    shown = _measured(sides) if scores is None else _scored(sides, scores)
    reference = None
    if settings.reference is not None and scores is not None:
        if scores.input is None:  # only the result was scored, against the whole of it
            reference = RgbReader(settings.reference, ffmpeg, limits=settings.limits)
        else:
            reference = open_reader(settings.reference, settings, ffmpeg)
    chosen_by = rule("the lowest PSNR")
    if scores is None:
        chosen_by = rule("the largest change", "the one that was changed least")
    warnings = [*result.warnings]
    if scores is not None:
        warnings += comparison_warnings(scores.output)
    pictures = gallery(
        list(_moments(sides, shown, reference)),
        NAMES,
        list(views("Input", "Restored", None if reference is None else "Reference")),
        chosen_by,
        [shown_width_px(after)] * len(shown.chosen),
    )
    return PageContent(
        kind="restoration",
        title=output.name,
        subtitle=f"from {source.name}: {summary(result.output)}",
        figures=figures(result),
        warnings=tuple(warnings),
        pictures=pictures,
        curves=(shown.curves,),
        curves_note=_curves_note(scores is not None, len(shown.numbers), result.frames),
        tables=tuple(tables(settings, result)),
        footer=footer(),
    )


class _Sides:
    """The input and the result, side by side.

    Args:
        before: The input, cut to what was restored.
        after: The finished result.
        settings: How it was made.
    """

    def __init__(self, before: RgbReader, after: RgbReader, settings: RestoreSettings) -> None:
        self.before, self.after = before, after
        self.speed = 1 / settings.wanted.slow
        self.times_s = self._times_s()

    def _times_s(self) -> list[float]:
        """When each frame of the result is shown, in seconds after the first."""
        stamps = [frame.pts for frame in self.after.frames()]
        return [float((pts - stamps[0]) * self.after.info.time_base) for pts in stamps]

    def measure(self, step: int) -> list[tuple[int, float, float, float]]:
        """Every nth frame of the result: number, change, noise before and noise after.

        All in 8-bit units; the change is the root of its mean square.
        """
        found = []
        for index, (old, new) in enumerate(paired(self.before, self.after, self.speed)):
            if index % step:
                continue
            was, now = (
                reader.rgb(frame) for reader, frame in ((self.before, old), (self.after, new))
            )
            small = [stills.upright(rgb, self.after.info) for rgb in (was, now)]
            if small[0].shape != small[1].shape:
                small[0] = stills.upright(was, self.before.info, small[1].shape[1::-1])
            change = float(np.sqrt(np.square(small[1] - small[0]).mean())) * 255
            found.append((index, change, noise_sigma(was[None]), noise_sigma(now[None])))
        return found

    def pictures(self, numbers: Sequence[int]) -> dict[int, dict[str, Rgb]]:
        """Pictures of some frames of the result and of the input at that time, by number."""
        wanted = set(numbers)
        found = {}
        for index, (old, new) in enumerate(paired(self.before, self.after, self.speed)):
            if index in wanted:
                found[index] = {
                    BEFORE: stills.upright(self.before.rgb(old), self.before.info),
                    AFTER: stills.upright(self.after.rgb(new), self.after.info),
                }
        return found


def _scored(sides: _Sides, scores: ReferenceScores) -> _Shown:
    """Frame by frame with a reference."""
    frames = scores.output.scores.per_frame
    pairs = scores.output.matching.pairs[: len(frames)]
    old: dict[int, FrameScores] = {}
    if scores.input is not None:
        old = {frame.index: frame for frame in scores.input.scores.per_frame}
    numbers = [j for _, j in pairs]
    times_s = [sides.times_s[j] for j in numbers]
    chosen = choose([frame.psnr_db for frame in frames], times_s)
    notes = [_note(old.get(frame.index), frame) for frame in frames]
    curves = {"Restored": (1, frames)}
    if old:
        was = [old.get(frame.index) for frame in frames]
        return _Shown(
            chosen,
            numbers,
            times_s,
            notes,
            [i for i, _ in pairs],
            score_curves(numbers, times_s, {"Input": (0, was), **curves}, _marks(chosen, numbers)),
        )
    drawn = score_curves(numbers, times_s, curves, _marks(chosen, numbers))
    return _Shown(chosen, numbers, times_s, notes, [i for i, _ in pairs], drawn)


def _note(before: FrameScores | None, after: FrameScores) -> str:
    if before is None or before.psnr_db is None or after.psnr_db is None:
        return score_note(after)
    ssim = ""
    if before.ssim is not None and after.ssim is not None:
        ssim = f", SSIM {before.ssim:.4f} to {after.ssim:.4f}"
    return f"PSNR {before.psnr_db:.2f} to {after.psnr_db:.2f} dB{ssim}"


def _measured(sides: _Sides) -> _Shown:
    """Frame by frame without a reference."""
    step = -(-len(sides.times_s) // MEASURED_FRAMES)
    rows = sides.measure(step)
    numbers = [row[0] for row in rows]
    times_s = [sides.times_s[j] for j in numbers]
    chosen = choose([-row[1] for row in rows], times_s, BY_CHANGE)
    notes = [
        f"changed by {row[1]:.2f}, noise {row[2]:.1f} to {row[3]:.1f} (8-bit units)" for row in rows
    ]
    noise = tuple(
        Series(name, colour, tuple(row[place] for row in rows))
        for name, colour, place in (("Input", 0, 2), ("Restored", 1, 3))
    )
    change = (Series("Change", 2, tuple(row[1] for row in rows)),)
    charts = (
        Chart("Estimated noise", "8-bit units", 2, noise, main=1, least=0),
        Chart("Change, root mean square", "8-bit units", 2, change, least=0),
    )
    curves = Curves("", tuple(numbers), tuple(times_s), charts, _marks(chosen, numbers))
    return _Shown(chosen, numbers, times_s, notes, (), curves)


def _marks(chosen: Sequence[Choice], numbers: Sequence[int]) -> dict[int, int]:
    return {moment: numbers[each.position] for moment, each in enumerate(chosen)}


def _moments(
    sides: _Sides, shown: _Shown, reference: RgbReader | None
) -> list[tuple[Moment, Mapping[str, Rgb]]]:
    """The chosen frames with their pictures."""
    numbers = [shown.numbers[each.position] for each in shown.chosen]
    moments: list[tuple[Moment, Mapping[str, Rgb]]] = []
    found = sides.pictures(numbers)
    expected: dict[int, Rgb] = {}
    if reference is not None and shown.partners:
        wanted = [shown.partners[each.position] for each in shown.chosen]
        expected = frames_at(reference, wanted)
    for each, frame in zip(shown.chosen, numbers, strict=True):
        pictures = found[frame]
        if expected:
            pictures[REFERENCE] = expected[shown.partners[each.position]]
        place = f"frame {frame}, {shown.times_s[each.position]:.2f} s"
        moment = Moment(each.title, place, shown.notes[each.position])
        moments.append((moment, with_differences(pictures)))
    return moments


def _curves_note(scored: bool, drawn: int, frames: int) -> str:
    if scored:
        return "Against the reference, decoded from the finished file. Rings mark the frames above."
    every = "every frame" if drawn == frames else f"{drawn} of {frames} frames, evenly spread"
    return (
        "Without a reference there is no PSNR, and none is made up. The curves are the estimated "
        f"noise before and after and how much was changed, of {every}. Rings mark the frames above."
    )

"""The page of `vidrestore benchmark`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from vidrestore.measure.rows import MODEL
from vidrestore.page import stills
from vidrestore.page.content import Curves, Figure, Moment, PageContent, Pictures, Table, View
from vidrestore.page.moments import (
    AFTER,
    BEFORE,
    CHANGE,
    ERROR,
    ERROR_BEFORE,
    REFERENCE,
    gallery,
    views,
    with_differences,
)
from vidrestore.page.stills import GAIN, Rgb
from vidrestore.page.words import counted, decibels, footer, number, score_curves

if TYPE_CHECKING:
    from vidrestore.measure.metrics import FrameScores
    from vidrestore.measure.rows import Benchmark, MethodSummary, Picture, Row, Sample

OTHER = "other"

MOST_CURVES = 6
"""Of a chart: more cannot be told apart."""

NAMES = {
    BEFORE: "Input",
    AFTER: MODEL,
    OTHER: "Best of the rest",
    REFERENCE: "Reference",
    CHANGE: f"{MODEL} minus input, {GAIN} times",
    ERROR_BEFORE: f"Input minus reference, {GAIN} times",
    ERROR: f"{MODEL} minus reference, {GAIN} times",
}

AGAINST_OTHER = View(
    "Best of the rest / after",
    (OTHER, AFTER),
    ("Best of the rest", MODEL),
    "What scored best beside the model on this clip.",
)

COLUMNS = (
    ("PSNR", "psnr_db", 2),
    ("Gain", "gain_db", 2),
    ("SSIM", "ssim", 4),
    ("Luma PSNR", "psnr_y_db", 2),
    ("VMAF", "vmaf", 1),
    ("Warping", "warping_ratio", 2),
    ("Flicker", "flicker", 3),
    ("Seconds / frame", "seconds_per_frame", 3),
)


LARGE = (
    ("PSNR, RGB", "psnr_db", 2),
    ("PSNR, luma", "psnr_y_db", 2),
    ("SSIM, RGB", "ssim", 4),
    ("Time for a frame", "seconds_per_frame", 3),
)


def benchmark_page(result: Benchmark) -> PageContent:
    """What the page of a benchmark shows.

    Args:
        result: What was measured; its pictures and its scores by frame are shown if it has any.
    """
    clips = len({(row.case, row.clip) for row in result.rows})
    methods = len({row.method for row in result.rows})
    curves = tuple(_curves(result))
    return PageContent(
        kind="benchmark",
        title=result.name,
        subtitle=f"{counted(clips, 'clip', 'clips')}, {counted(methods, 'method', 'methods')}, "
        f"seed {result.seed}",
        figures=tuple(_figures(result)),
        warnings=result.warnings,
        pictures=_pictures(result),
        no_pictures="No pictures were kept.",
        curves=curves,
        curves_note="Rings mark the frames shown above."
        if curves
        else "There are no scores of single frames.",
        tables=(
            _means(result.summary),
            _clip_by_clip(result.rows),
        ),
        footer=footer(),
    )


def _figures(result: Benchmark) -> Iterator[Figure]:
    """The model's figures, beside those of the best of the rest in PSNR."""
    cases = [list(group) for _, group in groupby(result.summary, key=lambda each: each.case)]
    for methods in cases:
        own = next((each for each in methods if each.method == MODEL and each.clips), None)
        others = [each for each in methods if each.method != MODEL and each.psnr_db is not None]
        if own is None:
            continue
        best = max(others, key=lambda each: each.psnr_db or 0.0, default=None)
        shown = COLUMNS[:1] if len(cases) > 1 else LARGE
        for name, key, digits in shown:
            label = f"{name}, {own.case}" if len(cases) > 1 else name
            yield _figure(label, key, digits, own, best)


def _figure(
    label: str, key: str, digits: int, own: MethodSummary, best: MethodSummary | None
) -> Figure:
    value, other = getattr(own, key), None if best is None else getattr(best, key)
    unit = "dB" if key.endswith("_db") else "s" if key == "seconds_per_frame" else ""
    shown = number(value, digits, "identical" if key == "psnr_db" else "\u2013")
    if best is None or value is None or other is None:
        return Figure(label, shown, unit if value is not None else "")
    lead = value - other
    good = None if round(lead, digits) == 0 else (lead < 0) == (key == "seconds_per_frame")
    change = f"{lead:+.{digits}f}".replace("-", "\u2212")
    return Figure(label, shown, unit, f"against {best.method}", change, good)


def _pictures(result: Benchmark) -> Pictures | None:
    samples = result.samples
    if not samples:
        return None
    several = len({sample.case for sample in samples}) > 1
    moments: list[tuple[Moment, Mapping[str, Rgb]]] = []
    widths = []
    for sample in samples:
        title = f"{sample.case}: {sample.rank}" if several else sample.rank.capitalize()
        named = {"reference": REFERENCE, "input": BEFORE, MODEL: AFTER}
        given = {named.get(name, OTHER): _shown(codes) for name, codes in sample.pictures.items()}
        rest = [name for name in sample.pictures if name not in named]
        scores = _scores(result, sample)
        note = "; ".join(f"{name} {scores[name]}" for name in (MODEL, *rest) if name in scores)
        if AFTER not in given:  # without weights for a task there is nothing of ours to see
            continue
        place = f"{sample.clip}, frame {sample.frame}"
        moments.append((Moment(title, place, note), with_differences(given)))
        widths.append(next(iter(sample.pictures.values())).shape[1])
    if not moments:
        return None
    before, *rest_of_views = views("Input", MODEL, "Reference")
    chosen_by = (
        "Shown is the clip with the median gain of each case: the frame where the model's PSNR is "
        "lowest, the median one and the one where it is highest."
    )
    return gallery(moments, NAMES, (before, AGAINST_OTHER, *rest_of_views), chosen_by, widths)


def _scores(result: Benchmark, sample: Sample) -> dict[str, str]:
    """PSNR of a frame by method."""
    return {
        row.method: f"{decibels(frame.psnr_db)} dB"
        for row in result.rows
        if (row.case, row.clip) == (sample.case, sample.clip)
        for frame in row.per_frame
        if frame.index == sample.frame
    }


def _shown(codes: Picture) -> Rgb:
    """A picture of codes as one of the page."""
    rgb = codes.astype(np.float32) / np.float32(255)
    height, width = rgb.shape[:2]
    return stills.resized(rgb, stills.within((width, height), stills.MOST_PX))


def _curves(result: Benchmark) -> Iterator[Curves]:
    """For each clip that is shown, the scores of all methods by frame."""
    marks: dict[tuple[str, str], dict[int, int]] = {}
    seen = [sample for sample in result.samples if MODEL in sample.pictures]
    for moment, sample in enumerate(seen):
        marks.setdefault((sample.case, sample.clip), {})[moment] = sample.frame
    for case, clip in marks:
        rows = [
            row for row in result.rows if (row.case, row.clip) == (case, clip) and row.per_frame
        ]
        rows.sort(key=lambda row: (row.method != MODEL, -(row.psnr_db or 0)))
        rows = rows[:MOST_CURVES]
        if not rows:
            continue
        numbers = sorted({frame.index for row in rows for frame in row.per_frame})
        scores: dict[str, tuple[int, Sequence[FrameScores | None]]] = {}
        for colour, row in zip((1, 0, 2, 4, 5, 3), rows, strict=False):
            known = {frame.index: frame for frame in row.per_frame}
            scores[row.method] = (colour, [known.get(i) for i in numbers])
        ours_last = dict(reversed(scores.items()))  # drawn on top, and marked
        title = f"{case}: {clip}" if len(marks) > 1 else clip
        yield score_curves(numbers, None, ours_last, marks[case, clip], title)


def _means(summary: Sequence[MethodSummary]) -> Table:
    cells = [(each.case, each.method, str(each.clips), *_cells(each)) for each in summary]
    return _table("Mean over the clips", ("Case", "Method", "Clips"), cells, summary, 2)


def _clip_by_clip(rows: Sequence[Row]) -> Table:
    cells = [(row.case, row.clip, row.method, *_cells(row)) for row in rows]
    return _table("Clip by clip", ("Case", "Clip", "Method"), cells, rows, 3)


def _cells(figures: Row | MethodSummary) -> list[str]:
    """Its figures; a failure in the place of the first."""
    if figures.failure is not None and figures.psnr_db is None:
        return [figures.failure, *[""] * (len(COLUMNS) - 1)]
    missing = ("identical", *["\u2013"] * (len(COLUMNS) - 1))
    return [
        number(getattr(figures, key), digits, none)
        for (_, key, digits), none in zip(COLUMNS, missing, strict=True)
    ]


def _table(
    title: str,
    heads: tuple[str, ...],
    cells: Sequence[tuple[str, ...]],
    figures: Sequence[Row] | Sequence[MethodSummary],
    first_number: int,
) -> Table:
    """A table without the columns in which nobody has a figure."""
    own = [i for i, row in enumerate(cells) if MODEL in row[: len(heads)]]
    known = [any(getattr(each, key) is not None for each in figures) for _, key, _ in COLUMNS]
    kept = [*range(len(heads)), *(len(heads) + i for i, k in enumerate(known) if k or i == 0)]
    columns = (*heads, *(name for name, _, _ in COLUMNS))
    return Table(
        title,
        tuple(columns[i] for i in kept),
        tuple(tuple(row[i] for i in kept) for row in cells),
        numeric=tuple(range(first_number, len(kept))),
        marked=dict.fromkeys(own, "own"),
        wide=True,
    )

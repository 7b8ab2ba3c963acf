"""The page of `vidrestore compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidrestore.page.content import Figure, Moment, PageContent, Table, View
from vidrestore.page.moments import (
    AFTER,
    ERROR,
    REFERENCE,
    choose,
    frames_at,
    gallery,
    rule,
    shown_width_px,
    with_differences,
)
from vidrestore.page.stills import GAIN
from vidrestore.page.words import (
    counted,
    decibels,
    file_table,
    footer,
    number,
    score_curves,
    score_note,
    summary,
)
from vidrestore.report import comparison_warnings

if TYPE_CHECKING:
    from vidrestore.measure.compare import Comparison, RgbReader

NAMES = {REFERENCE: "Reference", AFTER: "Test", ERROR: f"Difference, {GAIN} times"}

VIEWS = (
    View("Reference / test", (REFERENCE, AFTER), ("Reference", "Test"), ""),
    View(
        "Difference",
        (ERROR,),
        ("Test minus reference",),
        f"What the test has more or less than the reference, {GAIN} times as strong. Even grey is "
        "no difference.",
    ),
)


def comparison_page(reference: RgbReader, test: RgbReader, comparison: Comparison) -> PageContent:
    """What the page of a comparison shows.

    Args:
        reference: The reference, to take pictures from.
        test: The video that was scored.
        comparison: How it was scored.
    """
    frames = comparison.scores.per_frame
    pairs = comparison.matching.pairs[: len(frames)]
    times_s = [i / float(reference.info.frame_rate) for i, _ in pairs]
    chosen = choose([frame.psnr_db for frame in frames], times_s)
    expected = frames_at(reference, [pairs[each.position][0] for each in chosen])
    shown = frames_at(test, [pairs[each.position][1] for each in chosen])
    moments = []
    for each in chosen:
        i, j = pairs[each.position]
        if i not in expected or j not in shown:
            continue
        pictures = with_differences({REFERENCE: expected[i], AFTER: shown[j]}, like=REFERENCE)
        place = f"frame {i}, {times_s[each.position]:.2f} s" + ("" if i == j else f" (test: {j})")
        note = score_note(frames[each.position])
        moments.append((Moment(each.title, place, note), pictures))
    widths = [shown_width_px(reference)] * len(moments)
    pictures_shown = gallery(moments, NAMES, VIEWS, rule("the lowest PSNR"), widths)
    return PageContent(
        kind="comparison",
        title=test.info.path.name,
        subtitle=f"against {reference.info.path.name}: {summary(reference.info)}",
        figures=_figures(comparison),
        warnings=tuple(comparison_warnings(comparison)),
        pictures=pictures_shown,
        curves=(
            score_curves(
                [i for i, _ in pairs],
                times_s,
                {"Test": (1, frames)},
                {moment: pairs[each.position][0] for moment, each in enumerate(chosen)},
            ),
        ),
        curves_note="Frames are numbered as in the reference. Rings mark the frames shown above.",
        tables=(
            _score_table(comparison),
            _alignment_table(comparison),
            file_table({"Reference": reference.info, "Test": test.info}),
        ),
        footer=footer(),
    )


def _figures(comparison: Comparison) -> tuple[Figure, ...]:
    scores = comparison.scores
    compared = counted(scores.frames, "frame", "frames")
    if comparison.identical:
        return (
            Figure("Result", "identical", was="every pixel of every frame"),
            Figure("Frames", str(scores.frames)),
        )
    return (
        Figure("PSNR, RGB", decibels(scores.psnr_db), "dB", f"over {compared}"),
        Figure("PSNR, luma", decibels(scores.psnr_y_db), "dB"),
        Figure("SSIM, RGB", number(scores.ssim, 4)),
        Figure("SSIM, luma", number(scores.ssim_y, 4)),
    )


def _alignment_table(comparison: Comparison) -> Table:
    matching, scaled = comparison.matching, comparison.scaled
    offset = matching.offset_frames
    by = "order" if matching.by == "order" else "time, because the rates differ"
    rows = [
        ("Matched by", by),
        ("Offset of the test", f"{offset:+d} frames" if offset else "none"),
        ("Correlation", number(matching.correlation, 3, "the pictures are flat")),
        ("Frames compared", str(comparison.scores.frames)),
        ("Identical frames", str(comparison.scores.identical_frames)),
        ("Missing from the test", str(len(matching.dropped))),
        ("Only in the test", str(len(matching.extra))),
        ("Before the first or after the last pair", str(matching.outside)),
        ("Scaled", "no" if scaled is None else "{}x{} to {}x{}".format(*scaled[0], *scaled[1])),
    ]
    return Table("Alignment", (), tuple(rows))


def _score_table(comparison: Comparison) -> Table:
    scores = comparison.scores
    return Table(
        "Scores",
        ("", "RGB", "Luma"),
        (
            ("PSNR, mean of frames (dB)", decibels(scores.psnr_db), decibels(scores.psnr_y_db)),
            (
                "PSNR of the mean error (dB)",
                decibels(scores.psnr_mse_db),
                decibels(scores.psnr_y_mse_db),
            ),
            ("SSIM", number(scores.ssim, 4), number(scores.ssim_y, 4)),
        ),
        numeric=(1, 2),
        note="Luma is scored on the codes of the files where both store it alike.",
    )

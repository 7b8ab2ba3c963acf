"""Phrases, figures and tables that several pages share."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import vidrestore
from vidrestore.page.content import Chart, Curves, Series, Table

if TYPE_CHECKING:
    from vidrestore.measure.metrics import FrameScores
    from vidrestore.media.probe import VideoInfo

IDENTICAL = "identical"


def number(value: float | None, digits: int, missing: str = "none") -> str:
    """A number as text."""
    return missing if value is None else f"{value:.{digits}f}"


def counted(count: int, one: str, more: str) -> str:
    """A number of things."""
    return f"{count} {one if count == 1 else more}"


def decibels(value: float | None) -> str:
    """A PSNR; identical frames have none."""
    return number(value, 2, IDENTICAL)


def summary(info: VideoInfo) -> str:
    """A video in one line."""
    parts = [f"{info.width} \u00d7 {info.height}", f"{float(info.frame_rate):.4g} fps"]
    if info.frames is not None:
        parts.append(counted(info.frames, "frame", "frames"))
    if info.duration_s is not None:
        parts.append(f"{float(info.duration_s):.2f} s")
    parts.append(f"{info.codec}, {info.pix_fmt}")
    return " \u00b7 ".join(parts)


def score_note(scores: FrameScores) -> str:
    """The figures of one frame against the reference."""
    if scores.identical:
        return "identical to the reference"
    ssim = "" if scores.ssim is None else f", SSIM {scores.ssim:.4f}"
    return f"PSNR {decibels(scores.psnr_db)} dB{ssim}"


def score_curves(
    numbers: Sequence[int],
    times_s: Sequence[float] | None,
    scores: Mapping[str, tuple[int, Sequence[FrameScores | None]]],
    marks: Mapping[int, int],
    title: str = "",
) -> Curves:
    """PSNR and SSIM over the frames.

    Args:
        numbers: Of the frames.
        times_s: When they are shown; None if that means nothing.
        scores: Of each frame, None where it has none, and a colour, by the name of the curve.
        marks: Frame of each moment.
        title: If there are several.
    """
    names = list(scores)

    def chart(label: str, key: str, unit: str, digits: int, most: float | None) -> Chart:
        series = tuple(
            Series(
                name,
                colour,
                tuple(None if one is None else getattr(one, key) for one in each),
            )
            for name, (colour, each) in scores.items()
        )
        missing = IDENTICAL if key == "psnr_db" else "none"
        return Chart(
            label, unit, digits, series, main=len(names) - 1, least=0, most=most, missing=missing
        )

    charts = [chart("PSNR, RGB", "psnr_db", "dB", 2, None), chart("SSIM, RGB", "ssim", "", 4, 1)]
    drawn = tuple(
        each for each in charts if any(v is not None for one in each.series for v in one.values)
    )
    return Curves(
        title, tuple(numbers), None if times_s is None else tuple(times_s), drawn, dict(marks)
    )


def file_table(files: Mapping[str, VideoInfo]) -> Table:
    """What the videos are, side by side."""
    rows = {
        "File": [str(info.path) for info in files.values()],
        "Container": [info.format_name.split(",")[0] for info in files.values()],
        "Video": [f"{info.codec}, {info.pix_fmt}" for info in files.values()],
        "Size": [f"{info.width} \u00d7 {info.height}" for info in files.values()],
        "Rate": [f"{float(info.frame_rate):.5g} fps" for info in files.values()],
        "Frames": ["?" if info.frames is None else str(info.frames) for info in files.values()],
        "Streams": [_streams(info) for info in files.values()],
    }
    return Table(
        "Files",
        ("", *files),
        tuple((name, *cells) for name, cells in rows.items()),
        wide=True,
    )


def _streams(info: VideoInfo) -> str:
    return ", ".join(f"{stream.kind} {stream.codec or '?'}" for stream in info.streams)


def footer() -> tuple[str, ...]:
    """Who wrote the page."""
    return (
        f"vidrestore {vidrestore.__version__}, Python {platform.python_version()}",
        "This page is one file and loads nothing from anywhere.",
    )

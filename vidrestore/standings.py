"""What a benchmark found, as tables for people. Nothing here prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

from vidrestore.measure.rows import MODEL

if TYPE_CHECKING:
    from vidrestore.measure.history import Changes
    from vidrestore.measure.rows import Benchmark, Figures, MethodSummary, Row

_MB = 1 << 20


def _plain(name: str, digits: int) -> Callable[[Figures], str | None]:
    def shown(figures: Figures) -> str | None:
        value = getattr(figures, name)
        return None if value is None else f"{value:.{digits}f}"

    return shown


def _memory(figures: Figures) -> str | None:
    held = figures.peak_memory_bytes
    return None if held is None else f"{held / _MB:.0f}"


_COLUMNS: Sequence[tuple[str, Callable[[Figures], str | None]]] = (
    ("PSNR", _plain("psnr_db", 2)),
    ("gain", _plain("gain_db", 2)),
    ("SSIM", _plain("ssim", 4)),
    ("luma PSNR", _plain("psnr_y_db", 2)),
    ("luma gain", _plain("gain_y_db", 2)),
    ("VMAF", _plain("vmaf", 1)),
    ("warping", _plain("warping_ratio", 2)),
    ("flicker", _plain("flicker", 3)),
    ("seam", _plain("seam", 2)),
    ("one-sided PSNR", _plain("one_sided_psnr_db", 2)),
    ("s/frame", _plain("seconds_per_frame", 3)),
    ("MB", _memory),
)
_ALWAYS = ("PSNR", "SSIM", "s/frame")


def benchmark_tables(result: Benchmark, changes: Changes | None = None) -> list[Table]:
    """All that `benchmark` shows."""
    tables = [benchmark_table(result)]
    if len({each.case for each in result.summary}) > 1:
        tables.append(verdict_table(result))
    if changes is not None:
        tables.append(changes_table(changes))
    return tables


def benchmark_table(result: Benchmark) -> Table:
    """The means over the clips, case by case; of a single case the clips' rows as well.

    A column that has no figure at all is left out.
    """
    cases = list(dict.fromkeys(each.case for each in result.summary))
    single = len(cases) == 1
    title = f"{cases[0] if single else result.name}, seed {result.seed}; PSNR in dB"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for name in ("clip" if single else "case", "method"):
        table.add_column(name, no_wrap=True)
    columns = [
        (name, shown)
        for name, shown in _COLUMNS
        if name in _ALWAYS or any(shown(row) is not None for row in result.rows)
    ]
    for name, _ in columns:
        table.add_column(name, justify="right")

    def add(label: str, row: Row | MethodSummary) -> None:
        cells = [shown(row) for _, shown in columns]
        if row.failure is None and row.psnr_db is None:
            cells[0] = "identical"
        method = row.method if row.failure is None else f"{row.method}: {_short(row.failure)}"
        table.add_row(label, method, *(cell or "-" for cell in cells))

    if single:
        for row in result.rows:
            add(row.clip, row)
        table.add_section()
    for case, means in groupby(result.summary, key=lambda mean: mean.case):
        for position, mean in enumerate(means):
            label = f"mean of {mean.clips}" if single else "" if position else case
            add(label, mean)
        table.add_section()
    return table


def verdict_table(result: Benchmark) -> Table:
    """One row for each case: what was given, the model, and the best of everything else."""
    table = Table(title=f"{result.name}: means over clips", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("case", no_wrap=True)
    for name in ("clips", "input", MODEL, "best of the others", "ahead", "luma gain"):
        table.add_column(name, justify="right")
    for case, grouped in groupby(result.summary, key=lambda mean: mean.case):
        means = list(grouped)
        own = next((mean for mean in means if mean.method == MODEL), None)
        others = [m for m in means if m.method != MODEL and m.psnr_db is not None]
        best = max(others, key=lambda mean: mean.psnr_db or 0, default=None)
        known = own or means[0]
        ahead = (
            f"{own.psnr_db - best.psnr_db:+.2f}"
            if own and best and own.psnr_db is not None and best.psnr_db is not None
            else "-"
        )
        given = next((m.input_psnr_db for m in means if m.input_psnr_db is not None), None)
        table.add_row(
            case,
            str(max(mean.clips for mean in means)),
            _decibels(given),
            "-" if own is None else own.failure or _decibels(own.psnr_db, "identical"),
            "-" if best is None else f"{best.method} {_decibels(best.psnr_db)}",
            ahead,
            "-" if known.gain_y_db is None else f"{known.gain_y_db:+.2f}",
        )
    return table


def changes_table(changes: Changes) -> Table:
    """New less old, row by row."""
    title = f"this run less {changes.against}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for name in ("case", "clip", "method"):
        table.add_column(name, no_wrap=True)
    shown = {
        "psnr_db": ("PSNR", 3),
        "psnr_y_db": ("luma PSNR", 3),
        "ssim": ("SSIM", 4),
        "vmaf": ("VMAF", 2),
        "warping_ratio": ("warping", 3),
        "seconds_per_frame": ("s/frame", 3),
    }
    for name, _ in shown.values():
        table.add_column(name, justify="right")
    for row in changes.rows:
        values = [(row.differences[figure], digits) for figure, (_, digits) in shown.items()]
        cells = ["-" if value is None else f"{value:+.{digits}f}" for value, digits in values]
        table.add_row(row.case, row.clip, row.method, *cells)
    for label, keys in (("only here", changes.added), ("only there", changes.gone)):
        for case, clip, method in keys:
            table.add_row(case, clip, f"{method}: {label}")
    return table


def _decibels(value: float | None, missing: str = "-") -> str:
    return missing if value is None else f"{value:.2f}"


def _short(text: str, longest: int = 60) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."

"""A batch on the terminal: what is going on, and what came of it. Nothing here prints."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from vidrestore.batch.jobs import Item
from vidrestore.batch.overview import Overview, Running

_SHOWN = 8
"""Files shown of those that are finished."""

_STYLES = {"restored": "green", "skipped": "dim", "failed": "red"}


class Board:
    """A live table of a batch, for `rich.live.Live` to show again and again.

    Args:
        overview: What is shown.
    """

    def __init__(self, overview: Overview) -> None:
        self._overview = overview

    def __rich__(self) -> RenderableType:
        """The table as it is now."""
        overview = self._overview
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for item in overview.items[-_SHOWN:]:
            table.add_row(_name(item.source.name), _status(item), "", _took(item))
        for running in overview.running.values():
            bar = ProgressBar(total=1.0, completed=running.share, width=24)
            table.add_row(_name(running.job.source.name), "restoring", bar, _frames(running))
        return Group(table, Text(_whole(overview)))


def summary_table(overview: Overview) -> Table:
    """What became of every file that something was done about."""
    table = Table(box=SIMPLE_HEAD)
    for column in ("file", "", "frames", "noise before", "after", "time (s)"):
        table.add_column(column, justify="left" if column in ("file", "") else "right")
    for item in overview.items:
        if item.status == "skipped":
            continue
        facts = item.facts
        figures = ("", "", "", "")
        if facts is not None:
            noise = f"{facts.noise_before:.1f}", f"{facts.noise_after:.1f}"
            figures = (str(facts.frames), *noise, f"{facts.wall_s:.1f}")
        table.add_row(_plain(str(item.source)), _status(item), *figures)
    table.caption = Text(_whole(overview))
    table.caption_justify = "left"
    return table


def line(item: Item, overview: Overview) -> str:
    """A file in one line, where there is no terminal to draw on."""
    took = f" ({_took(item)})" if item.facts is not None else ""
    return f"{len(overview.items)}/{overview.files} {item.status} {item.source}{took}"


def _whole(overview: Overview) -> str:
    counts = overview.counts
    parts = [f"{len(overview.items)} of {overview.files} files"]
    parts += [f"{counts[status]} {status}" for status in _STYLES if counts[status]]
    if overview.ignored:
        parts.append(f"{overview.ignored} not called like videos")
    parts.append(_clock(overview.wall_s))
    left_s = overview.remaining_s
    if left_s is not None and (overview.running or overview.waiting):
        parts.append(f"about {_clock(left_s)} left")
    return ", ".join(parts)


def _status(item: Item) -> Text:
    return Text(item.status, _STYLES[item.status])


def _took(item: Item) -> str:
    return "" if item.facts is None else f"{item.facts.wall_s:.1f} s"


def _frames(running: Running) -> str:
    return f"{running.done}/{running.total or '?'}" if running.done else ""


def _plain(name: str) -> str:
    """A name on one line; the console takes care of what else it may hold."""
    return name.replace("\n", "?")


def _name(name: str) -> str:
    name = _plain(name)
    return name if len(name) <= 40 else f"{name[:18]}...{name[-19:]}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

"""What a page shows, as plain values. Text is text: escaping is `layout`'s work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Figure:
    """One of the large numbers at the top.

    Attributes:
        label: What it is.
        value: As it is to be read.
        unit: Small, behind it.
        was: What to compare it with, such as "24.65 before"; "" for nothing.
        change: How it differs from that, such as "+8.03 dB".
        good: Whether that is good news; None if neither.
    """

    label: str
    value: str
    unit: str = ""
    was: str = ""
    change: str = ""
    good: bool | None = None


@dataclass(frozen=True)
class Moment:
    """One frame that is shown.

    Attributes:
        title: Why it was chosen, such as "Worst".
        place: Where it is, such as "frame 12, 0.48 s".
        note: Its figures.
        pictures: Data URIs by key.
        width: Of each of its pictures in pixels.
        height: Likewise.
        scale: Pixels of a picture for each pixel of the video, 1 or less.
    """

    title: str
    place: str
    note: str
    pictures: Mapping[str, str] = field(default_factory=dict)
    width: int = 0
    height: int = 0
    scale: float = 1.0


@dataclass(frozen=True)
class View:
    """One way to look at a moment.

    Attributes:
        title: What the button says.
        sides: Keys of one picture, or of the two on either side of the line.
        names: What each of them shows.
        note: A sentence about it.
    """

    title: str
    sides: tuple[str, ...]
    names: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class Pictures:
    """All moments.

    Attributes:
        names: What each picture is, by key, in the order of the printed page.
        moments: In the order in which one steps through them.
        views: Likewise.
        rule: How the moments were chosen and what was done to the pictures.
    """

    names: Mapping[str, str]
    moments: tuple[Moment, ...]
    views: tuple[View, ...]
    rule: str


@dataclass(frozen=True)
class Series:
    """One curve: a value for each frame, None where it has none."""

    name: str
    colour: int
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Chart:
    """Curves of one quantity.

    Attributes:
        title: What it is.
        unit: Of the values; "" for none.
        digits: After the point.
        series: The curves; the colours and names of the first chart are the legend.
        main: Index of the one that the moments are marked on.
        least: The axis never goes below this.
        most: The axis never goes above this.
        missing: What a value that is None means.
    """

    title: str
    unit: str
    digits: int
    series: tuple[Series, ...]
    main: int = 0
    least: float | None = None
    most: float | None = None
    missing: str = "none"


@dataclass(frozen=True)
class Curves:
    """Charts over the frames of one video.

    Attributes:
        title: Of which one, if there are several.
        frames: Number of each frame, ascending.
        times_s: When each is shown; None if that means nothing.
        charts: Each with as many values.
        marks: Frames that `Pictures.moments` shows, by the index of the moment.
    """

    title: str
    frames: tuple[int, ...]
    times_s: tuple[float, ...] | None
    charts: tuple[Chart, ...]
    marks: Mapping[int, int]


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        title: Above it.
        columns: Their titles; () for a list of names and values.
        rows: Cells as text; the first is the row's name.
        numeric: Indices of columns of numbers.
        marked: Rows that stand out, by index: "lost", or "own" for what is ours.
        wide: Over the full width of the page.
        note: Below it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[int, ...] = ()
    marked: Mapping[int, Literal["lost", "own"]] | None = None
    wide: bool = False
    note: str = ""


@dataclass(frozen=True)
class PageContent:
    """Everything on a page.

    Attributes:
        kind: Such as "restoration report".
        title: Usually a file's name.
        subtitle: What it is.
        figures: Large numbers.
        warnings: One line each.
        pictures: None if there are none.
        no_pictures: Why not.
        curves: One for each video; () if there are none.
        curves_note: What they are, or why there are none.
        tables: In order.
        footer: Lines.
    """

    kind: str
    title: str
    subtitle: str
    figures: tuple[Figure, ...] = ()
    warnings: tuple[str, ...] = ()
    pictures: Pictures | None = None
    no_pictures: str = ""
    curves: tuple[Curves, ...] = ()
    curves_note: str = ""
    tables: tuple[Table, ...] = ()
    footer: tuple[str, ...] = ()

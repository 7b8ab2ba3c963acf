"""A page's content as HTML. Everything that a file may have named itself is escaped here.

Two things stand between a hostile name and the reader: text is escaped wherever it goes, and the
page's own policy lets no script run but the one whose hash it names.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.resources import files
from itertools import pairwise

from vidrestore.page.content import (
    Chart,
    Curves,
    Figure,
    Moment,
    PageContent,
    Pictures,
    Series,
    Table,
)

MOST_POINTS = 2000
"""Of a curve. A wide screen has as many columns."""

MOST_BESIDE = 3
"""Tables in one row."""

_MOMENT = ("title", "place", "note", "width", "height", "scale")
"""What the script knows of a moment; its pictures are in the document."""


def build(content: PageContent) -> str:
    """The page as one HTML document, with styles, script and pictures inside.

    Args:
        content: What to show.
    """
    style, script = _template("page.css"), _template("page.js")
    return _fill(
        _template("page.html"),
        {
            "style": style,
            "script": script,
            "style_hash": _hash(style),
            "script_hash": _hash(script),
            "kind": text(content.kind),
            "window_title": text(f"{content.title}: {content.kind}"),
            "title": text(content.title),
            "subtitle": text(content.subtitle),
            "figures": _figures(content.figures),
            "warnings": _warnings(content.warnings),
            "pictures": _pictures(content),
            "curves": _curves(content),
            "tables": _tables(content.tables),
            "footer": "".join(f"<p>{text(line)}</p>" for line in content.footer),
            "data": _data(content),
        },
    )


def text(value: str) -> str:
    """Text as HTML, without what could steer the reader's eye instead of being read.

    Control characters, marks that reverse the direction of writing, and halves of characters (of
    names that are no valid text) are replaced.
    """
    shown = "".join(
        letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in value
    )
    return html.escape(shown, quote=True)


def thinned(curves: Curves, most: int = MOST_POINTS) -> Curves:
    """Curves with no more than about `most` points, which are real frames.

    Of each run of frames the lowest and the highest of every chart's main curve stay, and the
    frames that are shown as pictures.
    """
    count, times_s = len(curves.frames), curves.times_s
    if count <= most:
        return curves
    parts = max(1, most // (2 * max(1, len(curves.charts))))
    edges = [round(i * count / parts) for i in range(parts + 1)]
    shown = set(curves.marks.values())
    kept = {0, count - 1} | {i for i, frame in enumerate(curves.frames) if frame in shown}
    for chart in curves.charts:
        values = chart.series[chart.main].values
        for low, high in pairwise(edges):
            known = [i for i in range(low, high) if values[i] is not None] or [low]
            kept |= {
                min(known, key=lambda i: values[i] or 0),
                max(known, key=lambda i: values[i] or 0),
            }
    order = sorted(kept)

    def picked(chart: Chart) -> Chart:
        series = tuple(
            Series(one.name, one.colour, tuple(one.values[i] for i in order))
            for one in chart.series
        )
        return replace(chart, series=series)

    return Curves(
        title=curves.title,
        frames=tuple(curves.frames[i] for i in order),
        times_s=None if times_s is None else tuple(times_s[i] for i in order),
        charts=tuple(map(picked, curves.charts)),
        marks=curves.marks,
    )


def _fields(chart: Chart) -> dict[str, object]:
    return {name: getattr(chart, name) for name in chart.__dataclass_fields__}


def _template(name: str) -> str:
    return (files("vidrestore.page") / "template" / name).read_text(encoding="utf-8")


def _hash(source: str) -> str:
    return base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


def _fill(template: str, parts: Mapping[str, str]) -> str:
    """Put parts into their places, all at once: what a part says is never a place itself."""
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], template)


def _figures(figures: Sequence[Figure]) -> str:
    if not figures:
        return ""
    return f'<dl class="figures">{"".join(map(_figure, figures))}</dl>'


def _figure(figure: Figure) -> str:
    unit = f"<small>{text(figure.unit)}</small>" if figure.unit else ""
    judged = "" if figure.good is None else f' class="{"good" if figure.good else "bad"}"'
    change = f"<b{judged}>{text(figure.change)}</b>" if figure.change else ""
    was = " ".join(part for part in (change, text(figure.was)) if part)
    below = f'<dd class="was">{was}</dd>' if was else ""
    return f"<div><dt>{text(figure.label)}</dt><dd>{text(figure.value)}{unit}</dd>{below}</div>"


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    lines = "".join(f"<li><b>Note</b> {text(line)}</li>" for line in warnings)
    return f'<ul class="warnings" aria-label="Warnings">{lines}</ul>'


def _pictures(content: PageContent) -> str:
    pictures = content.pictures
    if pictures is None:
        return _remark("Pictures", content.no_pictures)
    gallery = "".join(_moment(moment, pictures) for moment in pictures.moments)
    parts = {"gallery": gallery, "rule": text(pictures.rule)}
    return _fill(_template("pictures.html"), parts)


def _moment(moment: Moment, pictures: Pictures) -> str:
    cells = "".join(
        f'<div><img data-picture="{text(key)}" alt="{text(f"{name}, {moment.place}")}" '
        f'width="{moment.width}" height="{moment.height}" src="{text(moment.pictures[key])}">'
        f"<span>{text(name)}</span></div>"
        for key, name in pictures.names.items()
        if key in moment.pictures
    )
    said = f"<b>{text(moment.title)}</b> {text(moment.place)}. {text(moment.note)}"
    return (
        f'<figure class="moment"><figcaption>{said}</figcaption>'
        f'<div class="row">{cells}</div></figure>\n'
    )


def _curves(content: PageContent) -> str:
    if not content.curves:
        return _remark("Frame by frame", content.curves_note)
    return _fill(_template("curves.html"), {"note": text(content.curves_note)})


def _remark(title: str, note: str) -> str:
    """A section that has nothing to show, and says why."""
    return (
        f'<section><h2>{text(title)}</h2><p class="note">{text(note)}</p></section>' if note else ""
    )


def _tables(tables: Sequence[Table]) -> str:
    """Tables in rows: narrow ones that follow each other stand side by side."""
    rows: list[list[Table]] = []
    for table in tables:
        beside = rows and not table.wide and not rows[-1][-1].wide and len(rows[-1]) < MOST_BESIDE
        if beside:
            rows[-1].append(table)
        else:
            rows.append([table])
    return "".join(
        f'<div class="tables of-{len(row)}">{"".join(map(_table, row))}</div>' for row in rows
    )


def _table(table: Table) -> str:
    marked = table.marked or {}
    head = ""
    if table.columns:
        cells = "".join(
            f'<th scope="col"{_kind(table, i)}>{text(name)}</th>'
            for i, name in enumerate(table.columns)
        )
        head = f"<thead><tr>{cells}</tr></thead>"
    body = ""
    for index, (name, *values) in enumerate(table.rows):
        mark = f' class="{marked[index]}"' if index in marked else ""
        cells = "".join(f"<td{_kind(table, i)}>{text(v)}</td>" for i, v in enumerate(values, 1))
        body += f'<tr{mark}><th scope="row">{text(name)}</th>{cells}</tr>'
    note = f'<p class="note">{text(table.note)}</p>' if table.note else ""
    return (
        f"<section><h2>{text(table.title)}</h2>"
        f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>{note}</section>'
    )


def _kind(table: Table, column: int) -> str:
    return ' class="number"' if column in table.numeric else ""


def _data(content: PageContent) -> str:
    """What the script needs, as JSON that can neither end its element nor begin another."""
    pictures = None
    if content.pictures is not None:
        shown = content.pictures
        pictures = {
            "views": [asdict(view) for view in shown.views],
            "moments": [
                {name: getattr(moment, name) for name in _MOMENT} for moment in shown.moments
            ],
        }
    data = {"pictures": pictures, "curves": [_curve_data(curves) for curves in content.curves]}
    written = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for letter in "<>&":  # JSON is ASCII here; these three mean something to HTML
        written = written.replace(letter, f"\\u{ord(letter):04x}")
    return written


def _curve_data(curves: Curves) -> dict[str, object]:
    few = thinned(curves)
    charts = []
    for chart in few.charts:
        fields = _fields(chart)
        fields["series"] = [
            {"name": one.name, "colour": one.colour, "values": _rounded(one.values, chart.digits)}
            for one in chart.series
        ]
        charts.append(fields)
    return {
        "title": few.title,
        "frames": few.frames,
        "times_s": None if few.times_s is None else _rounded(few.times_s, 3),
        "charts": charts,
        "marks": sorted([frame, moment] for moment, frame in few.marks.items()),
    }


def _rounded(values: Iterable[float | None], digits: int) -> list[float | None]:
    """Numbers as short as what is shown of them; what is not a number is none."""
    return [
        None if value is None or not math.isfinite(value) else round(value, digits)
        for value in values
    ]

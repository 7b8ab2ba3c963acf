"""Which frames a page shows, by a fixed rule, and their pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from vidrestore.page import stills
from vidrestore.page.content import Moment, Pictures, View
from vidrestore.page.stills import GAIN, Rgb

if TYPE_CHECKING:
    from vidrestore.measure.compare import RgbReader

APART_S = 0.5
"""The worst frames are at least this far apart: they would all be neighbours otherwise."""

BY_SCORE = ("Worst", "2nd worst", "3rd worst", "Median", "Best")
BY_CHANGE = ("Most changed", "2nd most", "3rd most", "Median", "Least changed")

BEFORE, AFTER, REFERENCE = "before", "after", "reference"
CHANGE, ERROR, ERROR_BEFORE = "change", "error", "error-before"


@dataclass(frozen=True)
class Choice:
    """A frame to show: why, and its position among the frames that were ranked."""

    title: str
    position: int


def choose(
    values: Sequence[float | None],
    times_s: Sequence[float],
    titles: Sequence[str] = BY_SCORE,
) -> tuple[Choice, ...]:
    """The worst frames, the median and the best one.

    Args:
        values: A figure of each frame, the higher the better; None is better than any. Of equal
            ones the earlier counts as worse.
        times_s: When each is shown.
        titles: Of the worst three, the median and the best.

    Returns:
        Up to five choices of different frames.
    """
    worth = [(value is None, value or 0.0) for value in values]
    order = sorted(range(len(values)), key=lambda i: (worth[i], i))
    worst: list[int] = []
    for i in order[: (len(order) + 1) // 2]:
        if all(abs(times_s[i] - times_s[other]) >= APART_S for other in worst):
            worst.append(i)
        if len(worst) == len(titles) - 2:
            break
    named = [*zip(titles, worst, strict=False)]
    if order:
        named += [(titles[-2], order[(len(order) - 1) // 2]), (titles[-1], order[-1])]
    chosen: dict[int, str] = {}
    for title, i in named:
        chosen.setdefault(i, title)
    return tuple(Choice(title, i) for i, title in chosen.items())


def rule(figure: str, last: str = "the best one") -> str:
    """What `choose` does, for the reader.

    Args:
        figure: What the frames were ranked by, such as "the lowest PSNR".
        last: What the last frame is.
    """
    return (
        f"The frames are chosen by rule: up to three with {figure} that lie at least half a "
        f"second apart, then the median frame and {last}."
    )


def frames_at(reader: RgbReader, wanted: Sequence[int]) -> dict[int, Rgb]:
    """Upright pictures of some frames of a video, by index; decoded once, to the last of them."""
    places = set(wanted)
    coming = islice(reader.frames(), max(places) + 1) if places else ()
    return {
        i: stills.upright(reader.rgb(frame), reader.info)
        for i, frame in enumerate(coming)
        if i in places
    }


def with_differences(pictures: Mapping[str, Rgb], like: str = AFTER) -> dict[str, Rgb]:
    """Pictures of one moment, all of the size of one of them, and what lies between them."""
    height, width = pictures[like].shape[:2]
    same = {key: stills.resized(rgb, (width, height)) for key, rgb in pictures.items()}
    if BEFORE in same:
        same[CHANGE] = stills.difference(same[AFTER], same[BEFORE])
    if REFERENCE in same:
        same[ERROR] = stills.difference(same[AFTER], same[REFERENCE])
        if BEFORE in same:
            same[ERROR_BEFORE] = stills.difference(same[BEFORE], same[REFERENCE])
    return same


def gallery(
    moments: Sequence[tuple[Moment, Mapping[str, Rgb]]],
    names: Mapping[str, str],
    views: Sequence[View],
    chosen_by: str,
    video_px: Sequence[int],
) -> Pictures:
    """Encode what was collected.

    Args:
        moments: Each without its pictures, and those.
        names: What each picture is, by key, in printing order.
        views: Those that lack a picture at some moment are left out.
        chosen_by: A sentence.
        video_px: For each moment the width of its video as it is shown.
    """
    encoded = stills.encode([pictures for _, pictures in moments])
    shown = []
    for (moment, _), uris, (width, height), full_px in zip(
        moments, encoded.uris, encoded.sizes_px, video_px, strict=True
    ):
        scale = min(1.0, width / full_px)
        shown.append(Moment(moment.title, moment.place, moment.note, uris, width, height, scale))
    there = set(names).intersection(*(one.pictures for one in shown))
    kept = [view for view in views if set(view.sides) <= there]
    smaller = [one.scale for one in shown if one.scale < 1]
    reduced = f" They are reduced to {min(smaller):.0%} of the video's size." if smaller else ""
    note = f"{chosen_by} {encoded.said}{reduced}"
    return Pictures(dict(names), tuple(shown), tuple(kept), note)


def shown_width_px(reader: RgbReader) -> int:
    """Width of a video as a player shows it."""
    info = reader.info
    if info.rotation_deg % 180:
        return info.height
    return round(info.width * float(info.sar or 1))


def views(before: str, after: str, reference: str | None) -> Iterator[View]:
    """The ways to look at a moment, by the names of what is there."""
    yield View("Before / after", (BEFORE, AFTER), (before, after), "")
    if reference is not None:
        yield View("Reference / after", (REFERENCE, AFTER), (reference, after), "")
        yield View(
            "Error",
            (ERROR_BEFORE, ERROR),
            (f"{before} minus {reference.lower()}", f"{after} minus {reference.lower()}"),
            f"Differences from the reference, {GAIN} times as strong. Even grey is no error.",
        )
    yield View(
        "Change",
        (CHANGE,),
        (f"{after} minus {before.lower()}",),
        f"What was added to the input, {GAIN} times as strong. Even grey is no change; shapes in "
        "it are detail that was taken away or put in.",
    )

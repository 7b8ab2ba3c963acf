"""Where the timeline of a video is broken: which frames are missing, repeated or spoiled.

One pass over the video (`signs`) gives a few numbers per frame; everything is decided on them and
on the timestamps. What is reported is meant to be made anew from its neighbours, so each rule asks
for evidence that something was lost and not merely that nothing moved.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby

import numpy as np

from vidrestore.media.decode import Decoder
from vidrestore.media.probe import VideoInfo
from vidrestore.timing.holes import find_holes, reported_by_decoder
from vidrestore.timing.repeats import find_repeats
from vidrestore.timing.signs import Signs, Spoiled, read_signs
from vidrestore.timing.spoiled import find_spoiled

MOST_FRAMES = 8
"""Longest run of missing frames that is repaired; what lies in a longer one, nobody can tell."""


@dataclass(frozen=True)
class Interval:
    """A run of frames of one kind of damage.

    Attributes:
        kind: drop or gap (one, several frames are missing in the timestamps), repeat or freeze
            (one, several frames show the frame before them again), corrupt (the decoder says so),
            black, green or grey (all of the picture or a band of it).
        first_pts: Time of the first frame of the run, in ticks of the source.
        last_pts: Time of the last one.
        frames: Their number.
        confidence: How far the evidence goes beyond what the rule asks for: 0.5 is just enough, 1
            leaves no doubt. It is no probability.
        repaired: Whether it is short enough to be repaired.
    """

    kind: str
    first_pts: int
    last_pts: int
    frames: int
    confidence: float
    repaired: bool


@dataclass(frozen=True)
class Damage:
    """What is broken, and the timeline that the repaired video should have.

    Attributes:
        times: Time of every frame of the repaired video, in ticks of the source, ascending.
        bad: Times of the frames that are there, but to be dropped and made anew.
        added: Times at which there is no frame.
        intervals: All that was found, in order of time.
    """

    times: tuple[int, ...]
    bad: frozenset[int]
    added: frozenset[int]
    intervals: tuple[Interval, ...]

    @property
    def missing(self) -> frozenset[int]:
        """Times of all frames to be made anew."""
        return self.bad | self.added


@dataclass(frozen=True)
class _Fault:
    """Why one frame has to be made anew."""

    kind: str
    confidence: float


def find_damage(
    info: VideoInfo,
    ffmpeg: str,
    start: int | Fraction | None = None,
    end: int | Fraction | None = None,
) -> Damage:
    """Look through a video for frames that are missing, repeated or spoiled.

    Args:
        info: The video.
        ffmpeg: Path of the ffmpeg executable.
        start: First frame to look at, as for `Decoder`.
        end: One past the last, likewise.

    Raises:
        InputError: If no frame can be decoded.
    """
    with Decoder(info, ffmpeg=ffmpeg, start=start, end=end) as decoder:
        signs = read_signs(decoder, info)
    if not len(signs.pts):
        return Damage((), frozenset(), frozenset(), ())
    corrupt, lost = reported_by_decoder(info, signs.pts, from_start=start is None)
    return judge(signs, corrupt, lost)


def judge(signs: Signs, corrupt: Iterable[int] = (), lost: Iterable[int] = ()) -> Damage:
    """Decide what is broken.

    Args:
        signs: The numbers of all frames.
        corrupt: Times of the frames that the decoder reports as corrupt.
        lost: Times at which the file has a frame and the decoder gave none.
    """
    faults: dict[int, _Fault] = {pts: _Fault("missing", 1.0) for pts in lost}
    for pts, confidence in find_holes(np.array(sorted({*signs.pts.tolist(), *lost}), np.int64)):
        faults[pts] = _Fault("missing", confidence)
    absent = frozenset(faults)
    for first, stop, confidence in find_spoiled(signs):
        kind = Spoiled(int(signs.spoiled[first])).name.lower()
        faults |= {pts: _Fault(kind, confidence) for pts in signs.pts[first:stop].tolist()}
    faults |= {pts: _Fault("corrupt", 1.0) for pts in corrupt}
    for first, stop, confidence in find_repeats(signs, faults):
        again = signs.pts[first:stop].tolist()
        faults |= {pts: _Fault("still", confidence) for pts in again if pts not in faults}
    return _report(sorted({*signs.pts.tolist(), *absent}), faults, absent)


def _report(times: list[int], faults: dict[int, _Fault], absent: frozenset[int]) -> Damage:
    """Join faults that touch; too many in a row are left as they are."""
    intervals: list[Interval] = []
    repaired: set[int] = set()
    for faulty, run in groupby(times, key=faults.__contains__):
        here = list(run)
        if faulty:
            short = len(here) <= MOST_FRAMES and len(here) < len(times)
            for _, same in groupby(here, key=lambda pts: faults[pts].kind):
                intervals.append(_interval(list(same), faults, repaired=short))
            repaired.update(here if short else ())
    return Damage(
        times=tuple(pts for pts in times if pts in repaired or pts not in absent),
        bad=frozenset(repaired - absent),
        added=frozenset(repaired & absent),
        intervals=tuple(intervals),
    )


def _interval(run: list[int], faults: dict[int, _Fault], *, repaired: bool) -> Interval:
    """Describe a run of frames with one kind of fault."""
    kind = faults[run[0]].kind
    names = {"missing": ("drop", "gap"), "still": ("repeat", "freeze")}
    one, several = names.get(kind, (kind, kind))
    return Interval(
        kind=one if len(run) == 1 else several,
        first_pts=run[0],
        last_pts=run[-1],
        frames=len(run),
        confidence=round(min(faults[pts].confidence for pts in run), 2),
        repaired=repaired,
    )

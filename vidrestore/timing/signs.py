"""What a video looks like from frame to frame: a few numbers each, from small pictures.

The numbers are those by which damage shows: how much a frame differs from the ones before, how far
it has come on the way to the next, and whether parts of it have turned into flat black, green or
grey. All memory is a few small pictures and some bytes per frame.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidrestore.media.decode import Frame
from vidrestore.media.probe import VideoInfo

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]

SMALL_PX = 240
"""Long side of the small pictures, about: enough to see a hand move, and noise averages out."""
BLOCK_PX = 8
BUSY_SHARE = 0.05
"""Change is read where it is strongest: on this share of the blocks."""
QUIET_QUANTILE = 0.1

MOST_SHIFT = 4
"""Blocks that the picture may move by from one frame to another and still be alike."""

LONGEST_FRAMES = 100
"""Longest run of spoiled frames whose end is awaited; what stays longer is the picture."""

FLAT_CODES = 2.0
"""Mean distance from its own mean, in 8-bit codes, up to which a block is flat."""
BLACK_CODES = 22.0
GREY_CODES = 8.0
"""Distance from middle grey, of luma, and of chroma from neutral, that is grey."""
GREEN_CODES = 20.0
"""How far both chroma signals lie below neutral where it is green; an empty buffer is 128."""
SPOILED_CODES = 12.0
"""A block that has turned into a flat colour by damage has changed by more than this."""
SPOILED_SHARE = 0.02
SPOILED_ROW = 0.5
"""Damage runs along rows of macroblocks: so much of at least one row is spoiled."""
WHOLE_SHARE = 0.9
"""From here on the whole frame is spoiled; the rest is the blur of an encoder."""


class Spoiled(IntEnum):
    """What parts of a frame have turned into."""

    NO = 0
    BLACK = 1
    GREEN = 2
    GREY = 3


@dataclass(frozen=True)
class Signs:
    """Numbers of every frame k of a video, each an array (N,).

    Attributes:
        pts: Time, in ticks of the source.
        change: Mean absolute luma difference from frame k-1 in the busiest blocks, 8-bit codes.
        quiet: The same difference in the quietest blocks: that of noise.
        leap: The same difference from frame k-2.
        covered: Share of the way from frame k-2 to frame k that frame k-1 has covered, in the
            blocks that differ most: a half where motion is even, 0 where frame k-1 shows frame k-2
            again. What noise frames k-1 and k-2 do not share counts for neither.
        likeness: Correlation with frame k-1 at block scale, one moved a little if that makes it
            higher; low where a new shot begins.
        luma: Mean luma, 8-bit codes.
        spoiled: A `Spoiled`: what parts of the frame have turned into since the last frame that
            was not spoiled, never more than `LONGEST_FRAMES` ago.
        share: Share of the picture that is spoiled.
        agreement: Of the first frame after spoiled ones: likeness to the last one before them.
    """

    pts: NDArray[np.int64]
    change: Map
    quiet: Map
    leap: Map
    covered: Map
    likeness: Map
    luma: Map
    spoiled: Map
    share: Map
    agreement: Map


@dataclass(frozen=True)
class _Small:
    """One frame, small: luma in pixels, and (3, rows, columns) block means."""

    luma: Map
    colour: Map
    flat: Mask


def read_signs(frames: Iterable[Frame], info: VideoInfo) -> Signs:
    """Look at all frames, once.

    Args:
        frames: The frames, in order.
        info: The video that they belong to.
    """
    times = array("q")
    columns = {field.name: array("f") for field in fields(Signs) if field.name != "pts"}
    watcher = _Watcher()
    for frame in frames:
        times.append(frame.pts)
        for name, value in watcher.look(_shrink(frame, info)).items():
            columns[name].append(value)
    return Signs(
        pts=np.array(times, np.int64),
        **{name: np.array(column, np.float32) for name, column in columns.items()},
    )


class _Watcher:
    """Compares every small picture with the last one, and with the last good one."""

    def __init__(self) -> None:
        self._before: _Small | None = None
        self._last: _Small | None = None
        self._good: _Small | None = None
        self._spoiled_frames = 0

    def look(self, small: _Small) -> dict[str, float]:
        numbers = {
            **{"change": 0.0, "quiet": 0.0, "leap": 0.0, "covered": 0.5},
            **{"likeness": 1.0, "agreement": 1.0},
            **{"luma": float(small.luma.mean()), **self._spoil(small)},
        }
        if self._last is not None:
            numbers |= _step(self._last, small)
        if self._before is not None and self._last is not None:
            numbers |= _leap(self._before, self._last, small)
        if numbers["spoiled"]:
            self._spoiled_frames += 1
        else:
            if self._spoiled_frames and self._good is not None:
                numbers["agreement"] = _likeness(self._good.colour[0], small.colour[0])
            self._good, self._spoiled_frames = small, 0
        self._before, self._last = self._last, small
        return numbers

    def _spoil(self, small: _Small) -> dict[str, float]:
        """What has turned into a flat colour since the last good frame."""
        if self._spoiled_frames >= LONGEST_FRAMES:  # it is how the video looks now
            self._good, self._spoiled_frames = self._last, 0
        for kind, mask in _flat_colours(small).items():
            least = WHOLE_SHARE
            if self._good is not None:
                turned = np.abs(small.colour - self._good.colour).max(axis=0) > SPOILED_CODES
                mask, least = mask & turned, SPOILED_SHARE
            share = float(mask.mean())
            if share >= least and mask.mean(axis=1).max() >= SPOILED_ROW:
                return {"spoiled": float(kind), "share": share}
        return {"spoiled": float(Spoiled.NO), "share": 0.0}


def _flat_colours(small: _Small) -> dict[Spoiled, Mask]:
    """Blocks that are flat and of a colour that damage leaves."""
    luma, blue, red = small.colour
    neutral = (np.abs(blue - 128) < GREY_CODES) & (np.abs(red - 128) < GREY_CODES)
    green = (blue < 128 - GREEN_CODES) & (red < 128 - GREEN_CODES)
    return {
        Spoiled.BLACK: small.flat & neutral & (luma < BLACK_CODES),
        Spoiled.GREEN: small.flat & green,
        Spoiled.GREY: small.flat & neutral & (np.abs(luma - 128) < GREY_CODES),
    }


def _shrink(frame: Frame, info: VideoInfo) -> _Small:
    """Make the small picture of a frame."""
    scale = np.float32(1 / (1 << (info.bit_depth - 8)))
    height, width = frame.planes[0].shape
    factor = max(1, round(max(height, width) / SMALL_PX))
    size = max(1, width // factor), max(1, height // factor)
    whole = frame.planes[0][: size[1] * factor, : size[0] * factor]  # no aliasing
    others = frame.planes[1:-1] if info.alpha else frame.planes[1:]
    planes = [_resize(plane, size) * scale for plane in (whole, *others)]
    if info.plane_format.startswith("gbr"):
        planes = _luma_and_chroma(planes)
    luma = planes[0]
    rows, columns = max(1, size[1] // BLOCK_PX), max(1, size[0] // BLOCK_PX)
    colour = [_resize(plane, (columns, rows)) for plane in planes]
    colour += [np.full_like(colour[0], 128)] * (3 - len(colour))
    spread = np.abs(luma - cv2.resize(colour[0], size, interpolation=cv2.INTER_NEAREST))
    return _Small(
        luma=luma,
        colour=np.stack(colour),
        flat=_resize(spread, (columns, rows)) < FLAT_CODES,
    )


def _luma_and_chroma(planes: list[Map]) -> list[Map]:
    """G, B, R as full-range Y, Cb, Cr of BT.601: near enough to name colours."""
    green, blue, red = planes
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return [luma, 128 + 0.564 * (blue - luma), 128 + 0.713 * (red - luma)]


def _resize(plane: NDArray[Any], size: tuple[int, int]) -> Map:
    """Mean over areas; `size` is width and height."""
    finer = size[0] * 2, size[1] * 2
    if finer[0] * 2 <= plane.shape[1] and finer[1] * 2 <= plane.shape[0]:
        # Whole numbers are faster, and half-way rounding averages out.
        plane = cv2.resize(plane, finer, interpolation=cv2.INTER_AREA)
    floats = plane.astype(np.float32)
    return np.asarray(cv2.resize(floats, size, interpolation=cv2.INTER_AREA), np.float32)


def _blocks(values: Map) -> Map:
    """Mean of every block, flattened."""
    rows, columns = (max(1, length // BLOCK_PX) for length in values.shape)
    return _resize(values, (columns, rows)).ravel()


def _step(last: _Small, small: _Small) -> dict[str, float]:
    """How far it is from one frame to the next."""
    change = _blocks(np.abs(small.luma - last.luma))
    return {
        "change": _busiest(change),
        "quiet": float(np.quantile(change, QUIET_QUANTILE)),
        "likeness": _likeness(last.colour[0], small.colour[0]),
    }


def _leap(before: _Small, between: _Small, after: _Small) -> dict[str, float]:
    """How far it is from one frame to the next but one, and how far that between has come."""
    whole, half = after.luma - before.luma, between.luma - before.luma
    distance = _blocks(np.abs(whole))
    busy = distance >= _least_busy(distance)
    length = float(_blocks(whole * whole)[busy].sum())
    passed = float(np.abs(_blocks(half * whole)[busy]).sum())
    return {
        "leap": float(distance[busy].mean()),
        "covered": passed / length if length else 0.5,
    }


def _busiest(blocks: Map) -> float:
    """Mean of the blocks with the highest values."""
    return float(blocks[blocks >= _least_busy(blocks)].mean())


def _least_busy(blocks: Map) -> float:
    """The value from which on blocks are among the busiest."""
    count = max(1, round(BUSY_SHARE * blocks.size))
    return float(np.partition(blocks, -count)[-count])


def _likeness(first: Map, second: Map) -> float:
    """Correlation of two pictures, moved so that it is highest; a flat one is like none."""
    rows, columns = (min(MOST_SHIFT, length // 4) for length in first.shape)
    inner = first[rows : first.shape[0] - rows, columns : first.shape[1] - columns]
    if inner.std() == 0:
        return 0.0
    scores = (cv2.matchTemplate(second, part, cv2.TM_CCOEFF_NORMED) for part in (first, inner))
    return max(float(score.max()) for score in scores)

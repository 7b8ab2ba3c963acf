"""Where one shot ends and the next begins, seen in small pictures of the frames.

Pictures are so small that noise averages out. Two of them are compared by the angle between them,
which a fade, a flicker or low light leaves as it is, and by what is left after every block was
looked for in the neighbourhood, which motion leaves small. A *cut* is a step that stands out of
the steps around it, and that no frame before and no frame after spans, as a flash would be. A
*fade* is a run of frames without content between two different contents.

A dissolve is not a boundary: each of its frames resembles the next, there is no place to cut.

Whether a shot begins at a frame depends on `REACH_FRAMES` frames on either side and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import cv2
import numpy as np
import numpy.typing as npt

from vidrestore.media.probe import VideoInfo

Picture = npt.NDArray[np.float32]

REACH_FRAMES = 16
"""Frames before and after one that decide whether a shot begins there."""

WIDTH, HEIGHT = 32, 18
BLOCK_WIDTH, BLOCK_HEIGHT = 8, 6
MOTION_X, MOTION_Y = 4, 3
"""How far a block may have moved, in pixels of the picture: an eighth and a sixth of the frame."""

FAINT = 4.0
"""Squared contrast, in 8-bit codes, below which two pictures count as alike."""

LEAST = 1e-3
"""Contrast of a picture that has none, to divide by."""

ALIKE = 0.05
"""Difference up to which motion is not worth looking for."""

CUT_STEP, CUT_RATIO = 0.2, 2.5
"""A cut's step exceeds CUT_STEP by CUT_RATIO times the second-largest step around it ..."""

UNLIKE_STEP = 0.7
"""... or is as large as this and CUT_RATIO times more energy changes than at the second-largest
change around it: where noise hides a dull picture, each of its steps is large."""

STEPS_FRAMES = 6
"""How many steps on either side count as around it."""

FLASH_FRAMES = 4
"""Frames on either side of a cut that all must differ: a flash or a passing object is shorter."""

SHORTEST_SHOT_FRAMES = 3
"""Of cuts that are closer only the strongest counts."""

FLAT_CONTRAST = 1.5
"""Contrast in 8-bit codes of a frame without content, as at the bottom of a fade."""

FADE_FRAMES = 8
"""Longest run of flat frames across which the contents are compared, and where both are sought."""

FADE_DIFFERENCE = 0.35
"""Difference between the contents before and after a short fade."""

FADE_CONTRAST = 3.0
"""Contrast that counts as content beside flat frames."""

SHARP_EDGE = 0.6
"""Share of its full contrast that the content has beside a run of flat frames, if it was cut."""


@dataclass(frozen=True)
class Look:
    """What is remembered of a frame.

    Attributes:
        picture: (channels, HEIGHT, WIDTH): luma less its mean, and colour; 8-bit codes.
        step: Difference to the frame before, 0 to 1; 0 if there is none.
        change: The same in squared 8-bit codes.
        contrast: Root mean square of the picture; 8-bit codes.
        shared: Mean product with the picture before; noise has no part in it.
    """

    picture: Picture
    step: float
    change: float
    contrast: float
    shared: float


def look_at(
    planes: Sequence[npt.NDArray[np.integer]], info: VideoInfo, before: Look | None
) -> Look:
    """Look at a frame.

    Args:
        planes: As decoded.
        info: The video that the frame is of.
        before: The look at the frame before.
    """
    colour = planes[:-1] if info.alpha else planes
    small = [cv2.resize(plane, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for plane in colour]
    picture: Picture = np.stack(small).astype(np.float32) / np.float32(1 << info.bit_depth - 8)
    if info.plane_format.startswith("gbr"):
        picture[1:] = (picture[1:] - picture[0]) / 2
    else:
        picture[1:] -= 128
    picture[0] -= picture[0].mean()
    contrast = math.sqrt(_product(picture, picture))
    if before is None:
        return Look(picture, 0.0, 0.0, contrast, 0.0)
    step = difference(before.picture, picture)
    change = step * (contrast * before.contrast + FAINT)
    return Look(picture, step, change, contrast, _product(before.picture, picture))


def is_boundary(looks: Sequence[Look], at: int) -> bool:
    """Whether a shot begins at a frame.

    Args:
        looks: Of the frame, and of REACH_FRAMES before and after it where the video has so many.
        at: Which of them is the frame's.
    """
    if at == 0:
        return False
    contrasts = _contrasts(looks)
    if min(contrasts[at - 1 : at + 1]) < FLAT_CONTRAST:
        return _is_fade(looks, contrasts, at)
    return _is_cut(looks, at)


def _contrasts(looks: Sequence[Look]) -> list[float]:
    """How much of a neighbour's picture each frame shows: its contrast without its noise."""
    contrasts = [0.0] * len(looks)
    for i, (before, after) in enumerate(pairwise(looks)):
        contrasts[i] = max(contrasts[i], after.shared / max(after.contrast, LEAST))
        contrasts[i + 1] = max(0.0, after.shared / max(before.contrast, LEAST))
    return contrasts


def _is_cut(looks: Sequence[Look], at: int) -> bool:
    step = looks[at].step
    if step < CUT_STEP or not _stands_out(looks, at):
        return False
    rivals = looks[max(1, at - SHORTEST_SHOT_FRAMES + 1) : at + SHORTEST_SHOT_FRAMES]
    if any(rival.step > step for rival in rivals):
        return False
    return all(
        difference(before.picture, after.picture) >= max(CUT_STEP, step / 2)
        for before in looks[max(0, at - FLASH_FRAMES) : at]
        for after in looks[at : at + FLASH_FRAMES]
    )


def _stands_out(looks: Sequence[Look], at: int) -> bool:
    """Whether a step is larger than others around it, of which one may be a cut, too."""
    here = looks[at]
    around = [*looks[max(1, at - STEPS_FRAMES) : at], *looks[at + 1 : at + 1 + STEPS_FRAMES]]
    step = sorted([0.0, 0.0, *(look.step for look in around)])[-2]
    if here.step >= CUT_STEP + CUT_RATIO * step:
        return True
    change = sorted([0.0, 0.0, *(look.change for look in around)])[-2]
    return here.step >= UNLIKE_STEP and here.change >= CUT_RATIO * change


def _is_fade(looks: Sequence[Look], contrasts: list[float], at: int) -> bool:
    """Whether a shot begins at a frame that is flat, or whose neighbour before is."""
    start, stop = _flat_run(contrasts, at)
    before = contrasts[max(0, start - FADE_FRAMES) : start]
    after = contrasts[stop : stop + FADE_FRAMES]
    shows = [max(side, default=0.0) >= FADE_CONTRAST for side in (before, after)]
    is_short = stop - start <= FADE_FRAMES
    if is_short:
        if not all(shows):
            return False
        pairs = product(_telling(before[::-1]), _telling(after))
        differences = [
            difference(looks[start - 1 - i].picture, looks[stop + j].picture) for i, j in pairs
        ]
        if min(differences) < FADE_DIFFERENCE:
            return False
    if stop - start >= FLASH_FRAMES:
        edges = []
        if shows[0] and before[-1] >= SHARP_EDGE * max(before):
            edges.append(start)
        if shows[1] and after[0] >= SHARP_EDGE * max(after):
            edges.append(stop)
        if edges:
            return at in edges
    if is_short:
        return at == contrasts.index(min(contrasts[start:stop]), start, stop)
    return shows[1] and at == stop - FADE_FRAMES


def _telling(contrasts: list[float]) -> set[int]:
    """Which frames show the content best: the nearest and the fullest."""
    nearest = next(i for i, contrast in enumerate(contrasts) if contrast >= FADE_CONTRAST)
    return {nearest, contrasts.index(max(contrasts))}


def _flat_run(contrasts: list[float], at: int) -> tuple[int, int]:
    """First and one past the last of the flat frames around `at`, or just before it."""
    start = stop = at
    while start > 0 and contrasts[start - 1] < FLAT_CONTRAST:
        start -= 1
    while stop < len(contrasts) and contrasts[stop] < FLAT_CONTRAST:
        stop += 1
    return start, stop


def difference(a: Picture, b: Picture) -> float:
    """How much two pictures differ: 0 is the same, also if fainter; 1 is unrelated."""
    scale = math.sqrt(_product(a, a) * _product(b, b)) + FAINT
    turned = 1 - (_product(a, b) + FAINT) / scale
    if turned < ALIKE:
        return turned
    return min(turned, _left_after_motion(a, b) / scale)


def _product(a: Picture, b: Picture) -> float:
    """Mean product of two pictures, over the pixels."""
    return float(np.vdot(a, b)) / (WIDTH * HEIGHT)


def _left_after_motion(a: Picture, b: Picture) -> float:
    """Mean squared difference after every block of `a` was found again in the luma of `b`."""
    wide = cv2.copyMakeBorder(b[0], MOTION_Y, MOTION_Y, MOTION_X, MOTION_X, cv2.BORDER_REPLICATE)
    total = float(np.square(a[1:] - b[1:]).sum())
    for top in range(0, HEIGHT, BLOCK_HEIGHT):
        for left in range(0, WIDTH, BLOCK_WIDTH):
            block = a[0, top : top + BLOCK_HEIGHT, left : left + BLOCK_WIDTH]
            bottom, right = top + BLOCK_HEIGHT + 2 * MOTION_Y, left + BLOCK_WIDTH + 2 * MOTION_X
            found = cv2.matchTemplate(wide[top:bottom, left:right], block, cv2.TM_SQDIFF)
            total += float(found.min())
    return total / (WIDTH * HEIGHT)

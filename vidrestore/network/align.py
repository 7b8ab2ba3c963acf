"""Frames warped along the motion between their neighbours: where missing frames begin.

Motion is dense inverse search flow (DIS, arXiv 1603.03590), in both directions. At a time between
two frames every pixel has two candidate paths, one from either flow; along each it comes from a
place in the left frame and a place in the right one. Paths on which the two flows contradict each
other, or the two frames do, get little weight; where neither path can be trusted, what is left is
the plain blend of the two frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Field = NDArray[np.float32]
"""Displacements (H, W, 2), x then y, in pixels."""
Search = Callable[[NDArray[np.uint8], NDArray[np.uint8]], Field]
"""Finds where each pixel of one luma plane is in another."""

FIXED_POINT_STEPS = 3
MISMATCH_GAIN = 30.0
"""How fast trust falls with the difference of the two frames along a path, per unit of [0, 1]."""
INCONSISTENCY_GAIN = 0.25
"""How fast trust falls with the distance by which the two flows miss each other, per pixel."""
MISMATCH_WINDOW_PX = 5
SMALL_FRAME_PX = 200_000
"""Frames up to this size are searched down to single pixels, larger ones to pairs."""
LEAST_SEARCHED_PX = 12
"""Smaller pictures are none that OpenCV searches."""
COARSE_SCALE = 2
"""Octaves down from full size, where small frames are searched densely first."""
BLEND_TRUST = 1e-3
"""Trust in the plain blend; it takes over where both paths have less."""


@dataclass(frozen=True)
class Path:
    """One way to find every pixel of a frame that does not exist.

    Attributes:
        to_left: Where it is in the left frame, relative to its own place.
        to_right: Where it is in the right frame.
        weight: (H, W) float32 share in the guess, 0 to 1.
    """

    to_left: Field
    to_right: Field
    weight: Image


@dataclass(frozen=True)
class Alignment:
    """All that is needed to make a frame at `phase` out of any plane of its neighbours.

    The weights of the paths and of the plain blend sum to 1 at every pixel.

    Attributes:
        phase: Place in time: 0 is the left frame, 1 the right one.
        paths: Two, in order of the flow they follow: from the left, from the right.
        blend_weight: (H, W) float32 share of the plain blend.
    """

    phase: float
    paths: tuple[Path, ...]
    blend_weight: Image

    def candidates(self, left: Image, right: Image) -> list[Image]:
        """What each path says: from the left frame, from the right one, path by path.

        Args:
            left: (h, w) or (h, w, C) float32: the left frame, or one plane of it; a subsampled
                plane is warped by the scaled field.
            right: The same of the right frame.

        Returns:
            Images of the same shape.
        """
        size = (left.shape[0], left.shape[1])
        return [
            warp(image, scaled(field, size))
            for path in self.paths
            for image, field in ((left, path.to_left), (right, path.to_right))
        ]

    def shares(self) -> Image:
        """Shares of the candidates, and of the two frames as they are, in the guess.

        Returns:
            (H, W, 2 * paths + 2) float32 that sum to 1 along the last axis.
        """
        sides = (1 - self.phase, self.phase)
        weights = (*(path.weight for path in self.paths), self.blend_weight)
        return np.stack([weight * np.float32(side) for weight in weights for side in sides], -1)

    def guess(self, left: Image, right: Image, candidates: list[Image] | None = None) -> Image:
        """The weighted mean of all paths.

        Args:
            left: As for `candidates`.
            right: Likewise.
            candidates: Of the same two, if they are known already.

        Returns:
            The same shape.
        """
        images = self.candidates(left, right) if candidates is None else candidates
        total = _like(self.blend_weight, left) * self._mix(left, right)
        for path, pair in zip(self.paths, zip(images[::2], images[1::2], strict=True), strict=True):
            total += _like(path.weight, left) * self._mix(*pair)
        return total

    def _mix(self, left: Image, right: Image) -> Image:
        mixed = cv2.addWeighted(left, 1 - self.phase, right, self.phase, 0)
        return np.asarray(mixed, np.float32)


class Motion:
    """Flow between two frames in both directions, found once for all phases.

    Args:
        left: (H, W) uint8 luma.
        right: The same of a later frame.
        search: How flow is found; None for `flow`.
    """

    def __init__(
        self, left: NDArray[np.uint8], right: NDArray[np.uint8], search: Search | None = None
    ) -> None:
        search = search or flow
        self._left = np.asarray(left, np.float32) / np.float32(255)
        self._right = np.asarray(right, np.float32) / np.float32(255)
        self.forward: Field = search(left, right)
        self.backward: Field = search(right, left)
        self._missed_forward = _distance(self.forward + _follow(self.backward, self.forward))
        self._missed_backward = _distance(self.backward + _follow(self.forward, self.backward))

    def at(self, phase: float) -> Alignment:
        """Paths through the frame at `phase`, between 0 and 1."""
        forward, backward = -phase, -(1 - phase)
        from_left = _project(self.forward, forward)
        from_right = _project(self.backward, backward)
        fields = (
            (forward * from_left, (1 + forward) * from_left),
            ((1 + backward) * from_right, backward * from_right),
        )
        missed = (
            _follow(self._missed_forward, fields[0][0]),
            _follow(self._missed_backward, fields[1][1]),
        )
        trusts = [
            self._trust(*field, distance) for field, distance in zip(fields, missed, strict=True)
        ]
        total = trusts[0] + trusts[1] + BLEND_TRUST
        paths = tuple(
            Path(*field, trust / total) for field, trust in zip(fields, trusts, strict=True)
        )
        return Alignment(phase, paths, BLEND_TRUST / total)

    def _trust(self, to_left: Field, to_right: Field, missed_px: Image) -> Image:
        difference: Image = np.abs(_follow(self._left, to_left) - _follow(self._right, to_right))
        window = (MISMATCH_WINDOW_PX, MISMATCH_WINDOW_PX)
        mismatch = np.asarray(cv2.blur(difference, window), np.float32)
        trust: Image = np.exp(-INCONSISTENCY_GAIN * missed_px - MISMATCH_GAIN * mismatch)
        return trust


def flow(source: NDArray[np.uint8], target: NDArray[np.uint8]) -> Field:
    """Where each pixel of `source` is in `target`; both are (H, W) uint8 luma."""
    if source.size > SMALL_FRAME_PX or min(source.shape) < LEAST_SEARCHED_PX:
        return medium_flow(source, target)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setCoarsestScale(COARSE_SCALE - 1)
    search.setFinestScale(0)
    search.setPatchStride(4)
    found: Any = _coarse_flow(source, target)
    return np.asarray(search.calc(source, target, found), np.float32)


def medium_flow(source: NDArray[np.uint8], target: NDArray[np.uint8]) -> Field:
    """Flow by OpenCV's medium preset as it comes, down to pairs of pixels."""
    if min(source.shape) < LEAST_SEARCHED_PX:
        return np.zeros((*source.shape, 2), np.float32)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(search.calc(source, target, None), np.float32)  # type: ignore[call-overload]


def _coarse_flow(source: NDArray[np.uint8], target: NDArray[np.uint8]) -> Field:
    """Flow of the coarse scales: a patch at every pixel, and no smoothing.

    Smoothing lets what is small and fast drown in its surroundings.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(COARSE_SCALE)
    search.setPatchStride(1)
    search.setVariationalRefinementIterations(0)
    return np.asarray(search.calc(source, target, None), np.float32)  # type: ignore[call-overload]


class Drift:
    """Motion of the last two frames of a side, which goes on steadily beyond them.

    Args:
        past: (H, W) uint8 luma of the frame before `last`.
        last: The same of the last frame.
    """

    def __init__(self, past: NDArray[np.uint8], last: NDArray[np.uint8]) -> None:
        self._to_past = flow(last, past)

    def at(self, phase: float) -> Alignment:
        """The frame `phase` intervals beyond `last`, which stands for both its neighbours."""
        return _one_sided(np.float32(phase) * _project(self._to_past, phase))


def hold(size: tuple[int, int]) -> Alignment:
    """The frame itself, of size (height, width), where nothing is known of its motion."""
    return _one_sided(np.zeros((*size, 2), np.float32))


def _one_sided(field: Field) -> Alignment:
    half = np.full(field.shape[:2], 0.5, np.float32)
    return Alignment(0.0, (Path(field, field, half),) * 2, np.zeros_like(half))


def _project(field: Field, step: float) -> Field:
    """Flow of the pixel that passes each place: solve u(x) = flow(x + step * u(x))."""
    passing = field
    for _ in range(FIXED_POINT_STEPS):
        passing = _follow(field, step * passing)
    return passing


def warp(image: Image, field: Field) -> Image:
    """An image read at displaced places, cubic, its edge repeated. Same shape and dtype."""
    return _read(image, field, cv2.INTER_CUBIC)


def _follow(values: Image, field: Field) -> Image:
    """Flow and what belongs to it, read at displaced places: smooth, so linear will do."""
    return _read(values, field, cv2.INTER_LINEAR)


def _read(image: Image, field: Field, interpolation: int) -> Image:
    places = field + _grid(field.shape[0], field.shape[1])
    found = cv2.remap(image, places, None, interpolation, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(found, np.float32)


@lru_cache(maxsize=4)
def _grid(height: int, width: int) -> Field:
    """Each pixel's own place, x then y."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.stack((x, y), axis=-1)


def scaled(field: Field, size: tuple[int, int]) -> Field:
    """A field for a plane of another size (height, width)."""
    height, width = field.shape[:2]
    if (height, width) == size:
        return field
    ratio = np.array([size[1] / width, size[0] / height], np.float32)
    resized = cv2.resize(field, size[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.float32) * ratio


def _like(weight: Image, plane: Image) -> Image:
    """A weight map at the size of a plane, with an axis for its channels if it has any."""
    if weight.shape != plane.shape[:2]:
        size = (plane.shape[1], plane.shape[0])
        weight = np.asarray(cv2.resize(weight, size, interpolation=cv2.INTER_AREA), np.float32)
    return weight if plane.ndim == 2 else weight[..., None]


def _distance(field: Field) -> Image:
    distance: Image = np.sqrt(np.square(field).sum(-1))
    return distance

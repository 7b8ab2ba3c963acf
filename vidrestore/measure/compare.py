"""Scores of one video file against another, aligned in time first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidrestore.errors import InputError
from vidrestore.measure.glimpses import Glimpses
from vidrestore.measure.matching import Matching, match
from vidrestore.measure.metrics import (
    Alignment,
    ClipScorer,
    ClipScores,
    LumaPlanes,
    find_offset,
    thumbnail,
)
from vidrestore.media.decode import Decoder, Frame
from vidrestore.media.inspection import inspect
from vidrestore.media.limits import Limits
from vidrestore.media.probe import VideoInfo
from vidrestore.picture.convert import FrameConverter
from vidrestore.picture.fields import Choice, FieldReport, reading

ALIGN_FRAMES = 48
SAME_CONTENT_CORRELATION = 0.5


@dataclass(frozen=True)
class Comparison:
    """How a test video scores against its reference.

    Attributes:
        scores: Of the frames that both show; `FrameScores.index` counts those of the reference.
        alignment: How the two lie in time.
        matching: Which frames belong together.
        scaled: Size of the test and that of the reference which it was brought to, if they differ.
    """

    scores: ClipScores
    alignment: Alignment
    matching: Matching
    scaled: tuple[tuple[int, int], tuple[int, int]] | None = None

    @property
    def unmatched_frames(self) -> int:
        """Frames of either video that the other has no partner for."""
        matching = self.matching
        return len(matching.dropped) + len(matching.extra) + matching.outside

    @property
    def identical(self) -> bool:
        """Whether the two videos have the same frames, and no others."""
        return self.scores.identical and not self.unmatched_frames and self.scaled is None


class RgbReader:
    """The frames of a video with their RGB, for scoring.

    Args:
        path: The video.
        ffmpeg: Path of the ffmpeg executable.
        start: First frame, as for `Decoder`.
        end: One past the last frame, likewise.
        framerate: Frames per second of a folder of images.
        deinterlace: What to do with fields, as for `reading`; None hands out frames as they are.
        makes_frames: As for `reading`.
        limits: What the file may hold; None for the defaults.

    Attributes:
        info: The video as the decoder hands it out.
        fields: What is known of its fields; None if nobody asked.

    Raises:
        UsageError: If frames are to be made of interlaced video.
    """

    def __init__(
        self,
        path: Path,
        ffmpeg: str,
        *,
        start: int | Fraction | None = None,
        end: int | Fraction | None = None,
        framerate: Fraction | None = None,
        deinterlace: Choice | None = None,
        makes_frames: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self.info = inspect(path, framerate, limits)
        self.fields: FieldReport | None = None
        if deinterlace is not None:
            self.info, self.fields = reading(
                self.info, ffmpeg, deinterlace, makes_frames=makes_frames
            )
        self.ffmpeg = ffmpeg
        self.converter = FrameConverter(self.info)
        self.start = start
        self.end = end

    def frames(self, start: int | Fraction | None = None) -> Iterator[Frame]:
        """Decode from the beginning, or from another place inside the interval."""
        start = self.start if start is None else start
        with Decoder(self.info, ffmpeg=self.ffmpeg, start=start, end=self.end) as decoder:
            yield from decoder

    def rgb(self, frame: Frame, *, clamp: bool = True) -> NDArray[np.float32]:
        """A frame as (H, W, 3) float32 RGB, in [0, 1] if clamped as a screen does."""
        rgb = self.converter.rgb(frame)
        return np.clip(rgb, 0, 1) if clamp else rgb

    def thumbnails(self) -> list[NDArray[np.float32]]:
        """Small pictures of the first frames, to align two videos by."""
        return [thumbnail(self.rgb(frame)) for frame in islice(self.frames(), ALIGN_FRAMES)]

    def glimpses(self) -> Glimpses:
        """Small pictures of all frames and their times, to match two videos by.

        Raises:
            InputError: If there is no frame.
        """
        return Glimpses.of(self._glimpsed())

    def _glimpsed(self) -> Iterator[tuple[NDArray[np.float32], float]]:
        info = self.info
        depth = 1 << (info.bit_depth - 8)
        black, white = (0, 255) if info.colour.range == "pc" else (16, 235)
        first = None
        for frame in self.frames():
            first = frame.pts if first is None else first
            if info.plane_format.startswith("gbr"):
                small = thumbnail(self.rgb(frame))
            else:  # luma is enough, and much sooner there
                codes = thumbnail(frame.planes[0]) / np.float32(depth)
                small = ((codes - black) / (white - black)).astype(np.float32)
            yield small, float((frame.pts - first) * info.time_base)


def align(reference: RgbReader, test: RgbReader) -> Alignment:
    """Find how two videos lie in time.

    Raises:
        InputError: If they differ in size or do not show the same content.
    """
    size, test_size = ((r.info.width, r.info.height) for r in (reference, test))
    if size != test_size:
        raise InputError(
            f"{reference.info.path} is {size[0]}x{size[1]}, "
            f"{test.info.path} is {test_size[0]}x{test_size[1]}",
            hint="a reference must have the size of the video that it is compared with",
        )
    alignment = find_offset(reference.thumbnails(), test.thumbnails())
    _demand_same_content(reference, test, alignment.correlation)
    return alignment


def _demand_same_content(reference: RgbReader, test: RgbReader, correlation: float | None) -> None:
    """Refuse to score what was never meant to be alike.

    Raises:
        InputError: If the pictures do not go together.
    """
    if correlation is not None and correlation < SAME_CONTENT_CORRELATION:
        raise InputError(
            f"{test.info.path} does not show what {reference.info.path} shows "
            f"(correlation {correlation:.2f})",
            hint="give the clean version of the same video as the reference",
        )


def compare(reference: RgbReader, test: RgbReader) -> Comparison:
    """Score `test` against `reference`, frame by frame, aligned in time and size.

    A test of another size is brought to that of the reference; luma is then that of the RGB.

    Raises:
        InputError: If they differ in shape or do not show the same content.
    """
    scaled = _scaling(reference, test)
    matching = match(reference.glimpses(), test.glimpses())
    _demand_same_content(reference, test, matching.correlation)
    scorer = ClipScorer()
    for old, new in _matched(reference, test, matching):
        rgb, luma = test.rgb(new), None
        if scaled is None:
            luma = _native_luma(reference, test, (old, new))
        else:
            rgb = _resized(rgb, scaled[1])
        scorer.add(reference.rgb(old), rgb, luma)
    scores = scorer.summary()
    # A file that ends early for one decoder may have fewer frames the second time.
    numbered = zip(scores.per_frame, matching.pairs, strict=False)
    per_frame = tuple(replace(frame, index=pair[0]) for frame, pair in numbered)
    alignment = Alignment(matching.offset_frames, matching.correlation)
    return Comparison(replace(scores, per_frame=per_frame), alignment, matching, scaled)


def _matched(
    reference: RgbReader, test: RgbReader, matching: Matching
) -> Iterator[tuple[Frame, Frame]]:
    """The frames of each pair, both videos decoded once."""
    old, new = enumerate(reference.frames()), enumerate(test.frames())
    for i, j in matching.pairs:
        expected = next((frame for index, frame in old if index == i), None)
        shown = next((frame for index, frame in new if index == j), None)
        if expected is None or shown is None:
            return
        yield expected, shown


def _scaling(
    reference: RgbReader, test: RgbReader
) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Both sizes, if they differ but the shapes are the same.

    Raises:
        InputError: If the shapes differ.
    """
    size, test_size = ((r.info.width, r.info.height) for r in (reference, test))
    if size == test_size:
        return None
    (width, height), (test_width, test_height) = (_shape(r.info) for r in (reference, test))
    # A size is rounded to even numbers as a rule; nothing else may explain the difference.
    if abs(test_width * height / width - test_height) > 2 * max(1, height / width):
        raise InputError(
            f"{reference.info.path} is {size[0]}x{size[1]}, {test.info.path} is "
            f"{test_size[0]}x{test_size[1]}, which is another shape",
            hint="crop or pad one of them, so that both show the same part of the picture",
        )
    return test_size, size


def _shape(info: VideoInfo) -> tuple[float, int]:
    """Width and height in square pixels."""
    return info.width * float(info.sar or 1), info.height


def _resized(rgb: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """A frame in another size: averaged if it gets smaller, interpolated if larger."""
    import cv2

    smaller = size[0] < rgb.shape[1] or size[1] < rgb.shape[0]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.clip(np.asarray(cv2.resize(rgb, size, interpolation=how), np.float32), 0, 1)


def _native_luma(
    reference: RgbReader, test: RgbReader, pair: tuple[Frame, Frame]
) -> LumaPlanes | None:
    """Luma codes, if both videos store luma at the same depth and range."""
    infos = reference.info, test.info
    if any(info.plane_format.startswith("gbr") for info in infos):
        return None
    if infos[0].bit_depth != infos[1].bit_depth:
        return None
    if infos[0].colour.range != infos[1].colour.range:
        return None
    return LumaPlanes(pair[0].planes[0], pair[1].planes[0], infos[0].bit_depth)

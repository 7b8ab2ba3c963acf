"""Scores of one video file against another, aligned in time first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidrestore.errors import InputError
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
from vidrestore.picture.convert import FrameConverter
from vidrestore.picture.fields import Choice, FieldReport, reading

ALIGN_FRAMES = 48
SAME_CONTENT_CORRELATION = 0.5


@dataclass(frozen=True)
class Comparison:
    """How a test video scores against its reference.

    Attributes:
        scores: Of the frames that both show.
        alignment: How the two lie in time.
        unmatched_frames: Frames of either video that the other has no partner for.
    """

    scores: ClipScores
    alignment: Alignment
    unmatched_frames: int


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
    correlation = alignment.correlation
    if correlation is not None and correlation < SAME_CONTENT_CORRELATION:
        raise InputError(
            f"{test.info.path} does not show what {reference.info.path} shows "
            f"(correlation {correlation:.2f})",
            hint="give the clean version of the same video as the reference",
        )
    return alignment


def compare(reference: RgbReader, test: RgbReader) -> Comparison:
    """Score `test` against `reference`, frame by frame, aligned in time.

    Raises:
        InputError: If they differ in size or do not show the same content.
    """
    alignment = align(reference, test)
    scorer = ClipScorer()
    offset = alignment.offset_frames
    expected = islice(reference.frames(), max(0, -offset), None)
    shown = islice(test.frames(), max(0, offset), None)
    unmatched = abs(offset)
    for old, new in zip_longest(expected, shown):
        if old is None or new is None:
            unmatched += 1
            continue
        luma = _native_luma(reference, test, (old, new))
        scorer.add(reference.rgb(old), test.rgb(new), luma)
    return Comparison(scorer.summary(), alignment, unmatched)


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

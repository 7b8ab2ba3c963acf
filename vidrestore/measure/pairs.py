"""Somebody's own damaged clip and its clean twin."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vidrestore.errors import InputError
from vidrestore.measure.clips import load_clips
from vidrestore.measure.compare import SAME_CONTENT_CORRELATION
from vidrestore.measure.item import Clip, Given, Item
from vidrestore.measure.metrics import find_offset, thumbnail
from vidrestore.media.inspection import inspect


def load_pair(degraded: Path, reference: Path, frames: int | None, ffmpeg: str) -> Item:
    """Read a pair whose frames show the same, one by one.

    Args:
        degraded: Video file or folder of numbered images.
        reference: Its clean version, likewise.
        frames: How many frames at most; None for all.
        ffmpeg: Path of the ffmpeg executable.

    Raises:
        InputError: One cannot be read, or they differ in size, rate, length, time or content.
    """
    _same_rate(degraded, reference)
    given, truth = (_one(path, frames, ffmpeg) for path in (degraded, reference))
    hint = "give the clean version of the same video as the reference"
    (height, width), (true_height, true_width) = given.shape[1:3], truth.shape[1:3]
    if (height, width) != (true_height, true_width):
        raise InputError(
            f"{degraded} is {width}x{height}, {reference} is {true_width}x{true_height}", hint=hint
        )
    if len(given) != len(truth):
        raise InputError(
            f"{degraded} has {len(given)} frames, {reference} has {len(truth)}",
            hint="cut both to the same frames, or measure fewer with --frames",
        )
    alignment = find_offset([thumbnail(f) for f in truth], [thumbnail(f) for f in given])
    if alignment.correlation is not None and alignment.correlation < SAME_CONTENT_CORRELATION:
        raise InputError(
            f"{degraded} does not show what {reference} shows "
            f"(correlation {alignment.correlation:.2f})",
            hint=hint,
        )
    if alignment.offset_frames:
        raise InputError(
            f"frame i of {reference} is frame i{alignment.offset_frames:+d} of {degraded}",
            hint="cut both to the same frames",
        )
    return Item(degraded.stem, truth, Given(given, np.ones(len(given), bool)))


def _same_rate(degraded: Path, reference: Path) -> None:
    """A folder of images has no rate."""
    if degraded.is_dir() or reference.is_dir():
        return
    rate, true_rate = (inspect(path).frame_rate for path in (degraded, reference))
    if rate != true_rate:
        raise InputError(
            f"{degraded} has {float(rate):g} frames per second, {reference} {float(true_rate):g}",
            hint="give the clean version of the same video as the reference",
        )


def _one(path: Path, frames: int | None, ffmpeg: str) -> Clip:
    loaded = [clip for _, clip in load_clips(path, frames, ffmpeg)]
    if len(loaded) != 1:
        raise InputError(f"{path} holds {len(loaded)} clips", hint="keep one in each folder")
    return loaded[0]

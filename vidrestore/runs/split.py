"""The before/after video: the input on the left, the result on the right of a thin line."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import torch

from vidrestore.containers.mux import mux, publish
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.encoders.encode import SegmentEncoder
from vidrestore.encoders.planning import plan_encoding
from vidrestore.measure.compare import RgbReader
from vidrestore.media.decode import Frame
from vidrestore.runs.workfolder import WorkFolder

LINE_PX = 2
SPLIT_CODEC = "h264"


def write_split(
    before: RgbReader, after: RgbReader, target: Path, *, speed: Fraction, overwrite: bool
) -> None:
    """Write the split video, with the sound and the timing of the result.

    Args:
        before: The input, cut to the frames that were restored.
        after: The finished result.
        target: File to write; appears whole or not at all.
        speed: Seconds of input per second of the result.
        overwrite: Replace an existing file.

    Raises:
        OutputError: If the target cannot be written.
        FfmpegError: If ffmpeg failed.
    """
    pts = []
    plan = plan_encoding(after.info, EncodeSettings(SPLIT_CODEC), after.ffmpeg)
    with WorkFolder.of(target) as work:
        try:
            with SegmentEncoder(plan, work.path / "segment-split.nut") as encoder:
                for old, new in paired(before, after, speed):
                    encoder.write(_split(before, old, after, new))
                    pts.append(new.pts)
                segment = encoder.close()
            video, ffmpeg = plan.video, after.ffmpeg
            muxed = mux(video, [segment], pts, target, ffmpeg=ffmpeg, work=work.path)
            publish(muxed.path, target, overwrite=overwrite)
        finally:
            work.discard()


def paired(before: RgbReader, after: RgbReader, speed: Fraction) -> Iterator[tuple[Frame, Frame]]:
    """Each frame of the result with the input's that is shown at that time."""
    coming = before.frames()
    shown = next(coming)
    later = next(coming, None)
    first, origin = shown.pts, None
    # A container may round both times; a frame counts from half a usual interval before it.
    slack = 1 / (2 * after.info.frame_rate) * speed
    for new in after.frames():
        origin = new.pts if origin is None else origin
        time_s = (new.pts - origin) * after.info.time_base * speed
        while later is not None and (later.pts - first) * before.info.time_base <= time_s + slack:
            shown, later = later, next(coming, None)
        yield shown, new


def _split(before: RgbReader, old: Frame, after: RgbReader, new: Frame) -> Frame:
    """The result's frame, moved to the input on its left half and to white on the line."""
    result = torch.from_numpy(after.rgb(new))
    change = torch.zeros_like(result)
    middle = result.shape[1] // 2
    left, line = slice(0, middle), slice(middle - LINE_PX // 2, middle + LINE_PX // 2)
    change[:, left] = torch.from_numpy(before.rgb(old))[:, left] - result[:, left]
    change[:, line] = 1 - result[:, line]
    return after.converter.add(new, change.permute(2, 0, 1))

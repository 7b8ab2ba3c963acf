"""Frames that are not there, by the timestamps and by what the decoder says."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vidrestore.media.decode import SEEK_MARGIN_S, SEEKABLE
from vidrestore.media.probe import VideoInfo

Times = NDArray[np.int64]

NEAR_FRAMES = 8
"""Intervals on either side that tell what is usual."""
LEAST_NEAR = 3
WIDE_FRAMES = 48
"""Intervals around that tell whether the rate varies by nature."""
OFTEN = 0.15
"""A video in which so many intervals are long has no constant rate to fall short of."""
LONG = 1.6
"""An interval of so many usual ones is long."""
LONGEST_FRAMES = 1000
"""A longer interval is a jump of the clock, or a pause."""
SPREADS = 5.0
"""Where intervals vary, a long one also exceeds the usual by this many times their spread."""


def find_holes(times: Times) -> Iterator[tuple[int, float]]:
    """Times at which a frame is missing between others.

    Args:
        times: (N,) times of all frames known, ascending.

    Yields:
        A time, and the confidence that a frame belongs there (as in `damage.Interval`).
    """
    steps = np.diff(times).astype(np.float64)
    if len(steps) < 2 * LEAST_NEAR:
        return
    typical = np.median(steps)
    suspects = np.flatnonzero(steps >= LONG * typical)
    suspects = np.union1d(suspects, np.flatnonzero(_ratios(steps) >= LONG))
    for place in suspects.tolist():
        count, confidence = _missing(steps, place)
        for number in range(1, count):
            yield int(times[place]) + round(steps[place] * number / count), confidence


def _ratios(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every interval over the one before it."""
    return np.concatenate([[1.0], steps[1:] / np.maximum(steps[:-1], 1)])


def _missing(steps: NDArray[np.float64], place: int) -> tuple[int, float]:
    """Of how many usual intervals an interval consists (1: it is one), and the confidence."""
    sides = steps[max(0, place - NEAR_FRAMES) : place], steps[place + 1 :][:NEAR_FRAMES]
    near = [float(np.median(side)) for side in sides if len(side) >= LEAST_NEAR]
    if not near:
        return 1, 0.0
    usual = max(near)  # where the rate changes, the interval is usual on one side
    around = steps[max(0, place - WIDE_FRAMES // 2) : place + WIDE_FRAMES // 2] / min(near)
    spread = float(np.std(around[around < LONG]))  # of at least half of those near
    ratio = float(steps[place]) / usual
    others = np.sum(around >= LONG) - 1
    if ratio < max(LONG, 1 + SPREADS * spread) or others > OFTEN * len(around):
        return 1, 0.0
    count = round(ratio)
    if count > LONGEST_FRAMES:
        return 1, 0.0
    rounding = 2 / usual  # of the timestamps, as in Matroska's milliseconds
    off_beat = max(0.0, abs(ratio - count) - rounding) * 2
    return count, 1 - off_beat / 2


def reported_by_decoder(
    info: VideoInfo, times: Times, *, from_start: bool
) -> tuple[frozenset[int], frozenset[int]]:
    """Ask libavcodec which frames are damaged, and which it could not decode at all.

    Args:
        info: The video.
        times: (N,) times of the frames that `Decoder` gave.
        from_start: Whether they begin with the first frame of the file.

    Returns:
        Those of `times` whose frames are corrupt; times of frames that are in the file, but not
        among `times`.
    """
    import av

    corrupt: set[int] = set()
    in_file: set[int] = set()
    first, last = int(times[0]), int(times[-1])
    url, options = info.source
    with av.open(
        url, format="image2" if info.image_pattern else None, options=options
    ) as container:
        stream = next(s for s in container.streams.video if s.index == info.stream_index)
        context = stream.codec_context
        context.flags |= av.codec.context.Flags.output_corrupt
        context.thread_count = 1  # with more, frames may come without their flags
        if context.codec.intra_only:  # then an error belongs to one packet, and to no flag
            context.options = {"err_detect": "explode"}
        margin = round(SEEK_MARGIN_S / info.time_base)
        if not from_start and info.format_name in SEEKABLE:
            container.seek(max(info.start_pts, first - margin), stream=stream)
        for packet in container.demux(stream):
            if packet.size and packet.pts is not None and not packet.is_discard:
                in_file.add(packet.pts)
            try:
                for frame in packet.decode():
                    pts = frame.dts if frame.pts is None else frame.pts
                    if frame.is_corrupt and pts is not None:
                        corrupt.add(pts)
            except av.error.FFmpegError:
                if context.codec.intra_only and packet.pts is not None:
                    corrupt.add(packet.pts)
            if packet.dts is not None and packet.dts > last + margin:
                break  # what the decoder holds back is out by now
    known = frozenset(times.tolist())
    begin = min(in_file | {first}) if from_start else first
    lost = frozenset(pts for pts in in_file - known if begin <= pts < last)
    if len(lost) > OFTEN * len(known):  # packets are no frames here, but fields for instance
        lost = frozenset()
    return frozenset(corrupt) & known, lost

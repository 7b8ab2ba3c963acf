"""Whether the disk has room for what a run writes, before it starts and as it goes."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from vidrestore.errors import OutputError

if TYPE_CHECKING:
    from vidrestore.encoders.encode import SegmentFile
    from vidrestore.encoders.encoding import EncodingPlan

LEAST_FREE_BYTES = 1 << 20
"""What has to stay free: the journal, and what a file system needs for itself."""

BITS_PER_SAMPLE = 0.03
"""A constant quality near visually lossless takes more than this for restored video; less than the
input did is no surprise, since noise is what costs most."""

LOSSLESS_SHARE = 0.25
"""Raw samples that a lossless encoder leaves of restored video, at the least."""

LOSSLESS = frozenset({"ffv1", "huffyuv", "ffvhuff", "utvideo", "magicyuv", "png", "jpeg2000"})


@dataclass(frozen=True)
class DiskNeed:
    """What a run will write at the least, in bytes.

    Attributes:
        video: The finished segments; the output holds them once more.
        others: Every other stream of the output.
    """

    video: int
    others: int

    @property
    def total(self) -> int:
        """At the moment when it is most: the segments and the output that is joined from them."""
        return 2 * self.video + self.others


def disk_need(plan: EncodingPlan, frames: int | None, bitrate_bps: int | None) -> DiskNeed:
    """Estimate from below what a run will write.

    Args:
        plan: How the output is encoded, and what from.
        frames: Number of frames of the output; None if that is not known.
        bitrate_bps: That was asked for; None for a constant quality.

    Returns:
        The need; 0 for what nobody can tell.
    """
    source, video = plan.source, plan.video
    size = source.path.stat().st_size if source.path.is_file() else 0
    seconds = float(frames / source.frame_rate) if frames else 0.0
    samples = sum(height * width for height, width in video.plane_shapes) * (frames or 0)
    if bitrate_bps is not None:
        need = bitrate_bps * seconds / 8
    elif plan.encoder.name == "rawvideo":
        need = samples * -(-video.bit_depth // 8)
    elif plan.encoder.name in LOSSLESS:
        need = LOSSLESS_SHARE * samples * video.bit_depth / 8
    else:
        need = BITS_PER_SAMPLE * samples / 8
        if source.bitrate_bps:
            need = min(need, source.bitrate_bps * seconds / 8)
    of_video = (
        round(source.bitrate_bps * (source.duration_s or 0) / 8) if source.bitrate_bps else size
    )
    share = Fraction(min(frames or 0, source.frames or 0), source.frames or 1)
    return DiskNeed(round(need), round(max(0, size - of_video) * share))


class Space:
    """The free space of the disk that takes an output.

    Args:
        folder: A folder on it.
        need: What the run is expected to write.
    """

    def __init__(self, folder: Path, need: DiskNeed) -> None:
        self._folder = folder
        self._need = need

    @property
    def free_bytes(self) -> int:
        """Bytes that we may write."""
        return shutil.disk_usage(self._folder).free

    def demand_run(self, finished: Sequence[SegmentFile] = ()) -> None:
        """Refuse to start what cannot be finished.

        Args:
            finished: Segments that are there already.

        Raises:
            OutputError: If there is too little room.
        """
        there = sum(segment.size_bytes for segment in finished)
        self._demand(max(0, self._need.total - there), "the video and what it is joined from")

    def demand_segment(self, finished: Sequence[SegmentFile]) -> None:
        """Stop before a segment that will not fit.

        Raises:
            OutputError: If there is too little room.
        """
        largest = max((segment.size_bytes for segment in finished[-8:]), default=0)
        self._demand(largest, "the next part")

    def demand_output(self, finished: Sequence[SegmentFile]) -> None:
        """Stop before an output that will not fit.

        Args:
            finished: All its segments.

        Raises:
            OutputError: If there is too little room.
        """
        self._demand(sum(segment.size_bytes for segment in finished), "the output")

    def _demand(self, need_bytes: int, what: str) -> None:
        free = self.free_bytes
        if free < need_bytes + LEAST_FREE_BYTES:
            raise OutputError(
                f"the disk of {self._folder} is full: {what} takes {_size(need_bytes)} or more, "
                f"{_size(free)} are free",
                hint="free some space, then run again",
            )


def _size(count: int) -> str:
    """A number of bytes for people."""
    value = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"

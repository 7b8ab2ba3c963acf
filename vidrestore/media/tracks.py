"""When the packets of a file lie in time, stream by stream, read without decoding."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

_UNKNOWN = -(2**63)
"""Stands for a missing timestamp, as in ffmpeg itself."""


def _integers() -> array[int]:
    return array("q")


@dataclass
class Track:
    """Packets of one stream, in the file's order.

    Attributes:
        tick: Seconds per tick.
        stated_end_s: When the stream ends, in seconds, by the tag that Matroska has for it.
        pts: Time of every packet, in ticks.
        durations: Length of every packet, in ticks; 0 if unknown.
        sizes: Bytes of every packet.
    """

    tick: Fraction
    stated_end_s: Fraction | None = None
    pts: array[int] = field(default_factory=_integers)
    durations: array[int] = field(default_factory=_integers)
    sizes: array[int] = field(default_factory=_integers)

    def add(self, pts: int | None, duration: int | None, size: int) -> None:
        """Append a packet."""
        self.pts.append(_UNKNOWN if pts is None else pts)
        self.durations.append(duration or 0)
        self.sizes.append(size)

    def within(self, first_s: Fraction | None, end_s: Fraction) -> Track:
        """The packets that begin in an interval, and those without a time."""
        kept = Track(self.tick)
        for pts, duration, size in zip(self.pts, self.durations, self.sizes, strict=True):
            known = pts != _UNKNOWN
            if known and first_s is not None and pts * self.tick < first_s:
                continue
            if not known or pts * self.tick < end_s:
                kept.add(pts, duration, size)
        return kept

    def times_s(self) -> Iterator[Fraction | None]:
        """Time of every packet in seconds, None where the file states none."""
        return (None if pts == _UNKNOWN else pts * self.tick for pts in self.pts)

    def shown(self) -> list[int]:
        """Known times in ticks, in the order of presentation."""
        return sorted(pts for pts in self.pts if pts != _UNKNOWN)

    @property
    def first_s(self) -> Fraction | None:
        """The earliest time in seconds; None without packets."""
        known = self.shown()
        return known[0] * self.tick if known else None

    @property
    def last_s(self) -> Fraction | None:
        """The latest time in seconds; None without packets."""
        known = self.shown()
        return known[-1] * self.tick if known else None

    @property
    def video_end_s(self) -> Fraction | None:
        """When the last frame ends, in seconds; None without packets.

        Matroska states it. MP4 states lengths in the order of decoding, so only that of the
        last packet says something about the order of presentation: how long the end is.
        """
        last_s = self.last_s
        if self.stated_end_s is not None or last_s is None:
            return self.stated_end_s
        return last_s + self.durations[-1] * self.tick

    @property
    def end_s(self) -> Fraction | None:
        """When the latest packet of sound ends, in seconds; None without packets."""
        ends = [
            pts + duration
            for pts, duration in zip(self.pts, self.durations, strict=True)
            if pts != _UNKNOWN
        ]
        return max(ends) * self.tick if ends else None


def read_tracks(url: str, options: Mapping[str, str]) -> list[Track]:
    """Read the times of all packets of a file.

    Args:
        url: What to open, as PyAV wants it.
        options: Of the demuxer.

    Returns:
        One track for each stream, in the file's order.
    """
    import av

    with av.open(url, options=dict(options)) as container:
        tracks = [
            Track(stream.time_base or Fraction(1), _stated_end_s(stream.metadata))
            for stream in container.streams
        ]
        for packet in container.demux():
            if packet.size:
                tracks[packet.stream.index].add(packet.pts, packet.duration, packet.size)
    return tracks


def _stated_end_s(metadata: Mapping[str, str]) -> Fraction | None:
    stated = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", metadata.get("DURATION", ""))
    if stated is None:
        return None
    hours, minutes, seconds = map(Fraction, stated.groups())
    return hours * 3600 + minutes * 60 + seconds

"""What was sent into a file in one pass, and whether the file holds it."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidrestore.errors import CheckError
from vidrestore.media.ffmpeg import media_url
from vidrestore.media.tracks import Track, read_tracks

if TYPE_CHECKING:
    import av

_HINT = "run again; if it happens again, use an .mkv output"

_MOVIE_TICK_S = Fraction(1, 1000)
"""MP4 states in these when its first frame is shown, so all times are off by less than one."""

_MP4 = frozenset({"mp4", "mov"})


@dataclass
class _Sent:
    """Packets of one stream: how many, their bytes, and how they may be compared.

    `kind` is PyAV's; `bare` is sound without packets of its own, which containers cut as they like.
    """

    kind: str
    bare: bool
    packets: int = 0
    size: int = 0
    pts: array[int] = field(default_factory=lambda: array("q"))
    tick: Fraction = Fraction(1)


class Ledger:
    """Keeps count of the packets that go into a file.

    Args:
        container: ffmpeg's name of the file's container.
        picture: Index of the stream whose times are kept.
    """

    def __init__(self, container: str, picture: int) -> None:
        self._container = container
        self._picture = picture
        self._sent: dict[int, _Sent] = {}

    def open(self, index: int, stream: Any) -> None:
        """Note a stream of the file, in the file's order.

        Args:
            index: In the source.
            stream: PyAV's, of the source.
        """
        import av

        cover = bool(stream.disposition & av.stream.Disposition.attached_pic)
        context = getattr(stream, "codec_context", None)
        if stream.type != "attachment" and not cover:  # files list those last, whatever the order
            bare = context is not None and context.name.startswith("pcm_")
            self._sent[index] = _Sent(stream.type, bare)

    def add(self, index: int, packet: av.Packet[Any]) -> None:
        """Note a packet, with the times that it has in the file."""
        sent = self._sent.get(index)
        if sent is None or not packet.size:
            return
        sent.packets += 1
        sent.size += packet.size
        if index == self._picture and packet.pts is not None and packet.time_base is not None:
            sent.pts.append(packet.pts)
            sent.tick = packet.time_base

    def check(self, path: Path) -> None:
        """Compare the finished file with what was sent.

        Args:
            path: The file.

        Raises:
            CheckError: If a stream, a frame or a packet is missing, or a frame's time is another.
        """
        found = read_tracks(media_url(path), {})
        sent = self._sent
        if self._container in _MP4:  # it leaves out tracks without a sample
            sent = {index: one for index, one in sent.items() if one.packets}
        if len(found) < len(sent):
            raise CheckError(f"{len(sent)} streams went in, {len(found)} came out", hint=_HINT)
        for (index, one), track in zip(sent.items(), found, strict=False):
            if index == self._picture:
                self._check_frames(one, track)
            else:
                _check_packets(index, one, track)

    def _check_frames(self, sent: _Sent, track: Track) -> None:
        shown = track.shown()
        if len(shown) != sent.packets:
            raise CheckError(f"{sent.packets} frames went in, {len(shown)} came out", hint=_HINT)
        slack_s = track.tick / 2 + (_MOVIE_TICK_S if self._container in _MP4 else 0)
        for number, (ticks, pts) in enumerate(zip(shown, sorted(sent.pts), strict=True)):
            found_s, wanted_s = ticks * track.tick, pts * sent.tick
            if abs(found_s - wanted_s) > slack_s:
                raise CheckError(
                    f"frame {number} is at {float(found_s):.6f} s in the output instead of "
                    f"{float(wanted_s):.6f} s",
                    hint=_HINT,
                )


def check_count(path: Path, frames: int) -> None:
    """Check a file of frames alone.

    Args:
        path: Y4M file.
        frames: How many it must hold.

    Raises:
        CheckError: If it holds fewer or more.
    """
    found = len(read_tracks(media_url(path), {})[0].pts)
    if found != frames:
        raise CheckError(f"{frames} frames went in, {found} came out", hint=_HINT)


def _check_packets(index: int, sent: _Sent, track: Track) -> None:
    name = f"stream {index} ({sent.kind})"
    if sent.bare:
        if sum(track.sizes) != sent.size:
            raise CheckError(
                f"{name} has {sent.size} bytes, {sum(track.sizes)} came out", hint=_HINT
            )
    elif len(track.pts) < sent.packets or (sent.kind == "audio" and len(track.pts) > sent.packets):
        # Between the lines of subtitles, containers may write empty ones.
        raise CheckError(
            f"{name} has {sent.packets} packets, {len(track.pts)} came out", hint=_HINT
        )

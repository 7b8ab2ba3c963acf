"""Which streams an output's container can carry, and whether it then really holds them."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from vidrestore.errors import CheckError
from vidrestore.ffmpeg import media_url
from vidrestore.probe import StreamInfo, VideoInfo

_TEXT_SUBTITLE = {"mp4": "mov_text", "mov": "mov_text", "matroska": "srt", "webm": "webvtt"}
"""The text subtitle codec of each container, for subtitles that it cannot carry as they are."""

_TEXT_CODECS = frozenset({"srt", "subrip", "ass", "ssa", "webvtt", "mov_text", "text"})
_STYLED_CODECS = frozenset({"ass", "ssa"})


@dataclass(frozen=True)
class Carriage:
    """What becomes of the source's streams.

    Attributes:
        codecs: Index of every stream that is kept, in the source's order, to "copy" or the
            codec that it is converted to. The restored video is among them.
        warnings: One line for each stream that is dropped or changed.
    """

    codecs: dict[int, str]
    warnings: tuple[str, ...]


def carriage(info: VideoInfo, container: str) -> Carriage:
    """Find out which of the source's streams a container can carry, by trying.

    Args:
        info: The source.
        container: ffmpeg's name of the output's container.

    Returns:
        The streams kept and the warnings about the others.
    """
    import av

    if info.image_pattern is not None:
        return Carriage({info.stream_index: "copy"}, ())
    codecs: dict[int, str] = {}
    warnings = []
    url, options = info.source
    with av.open(url, options=options) as source:
        chapters = bool(source.chapters())
        for stream in info.streams:
            codec = _TEXT_SUBTITLE[container] if stream.codec in _TEXT_CODECS else None
            if stream.index == info.stream_index or _fits(source, stream.index, container):
                codecs[stream.index] = "copy"
            elif stream.kind == "subtitle" and codec is not None:
                codecs[stream.index] = codec
                lost = ", without its styling" if stream.codec in _STYLED_CODECS else ""
                warnings.append(f"{_name(stream)} is converted to {codec}{lost}")
            elif not (chapters and stream.kind == "data" and stream.codec is None):
                warnings.append(f"{_name(stream)} is dropped: {container} cannot carry it")
    return Carriage(codecs, tuple(warnings))


def _fits(source: Any, index: int, container: str) -> bool:
    """Whether a container's header can be written with such a stream in it."""
    import av

    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            trial.add_stream_from_template(source.streams[index], opaque=True)
            trial.start_encoding()
    except (ValueError, AttributeError, av.error.FFmpegError):
        return False
    return True


def _name(stream: StreamInfo) -> str:
    language = f" {stream.language}" if stream.language else ""
    return f"stream {stream.index} ({stream.kind} {stream.codec or 'unknown'}{language})"


def check_output(
    info: VideoInfo,
    carried: Carriage,
    pts: Sequence[int],
    shift_s: Fraction,
    path: Path,
    *,
    trimmed: bool,
) -> None:
    """Compare the finished file with what must be in it, packet by packet.

    Args:
        info: The source.
        carried: The streams that the file must hold.
        pts: PTS of every video frame in ticks of the source's time base.
        shift_s: Seconds by which the file's timestamps are earlier.
        path: The file.
        trimmed: Whether only a part of the source was wanted; other streams' packets are not
            counted then.

    Raises:
        CheckError: If streams, frames, timestamps or packets are missing or moved.
    """
    import av

    with av.open(media_url(path)) as output:
        if len(output.streams) < len(carried.codecs):
            raise CheckError(
                f"{len(carried.codecs)} streams went in, {len(output.streams)} came out",
                hint="use an .mkv output, which carries every kind of stream",
            )
        video = output.streams[list(carried.codecs).index(info.stream_index)]
        tick = video.time_base or info.time_base
        times: list[int] = []
        counts: Counter[int] = Counter()
        for packet in output.demux():
            if packet.size:
                counts[packet.stream.index] += 1
                if packet.stream.index == video.index and packet.pts is not None:
                    times.append(packet.pts)
    if len(times) != len(pts):
        raise CheckError(
            f"{len(pts)} frames went in, {len(times)} came out", hint="run again with --debug"
        )
    for number, (found, wanted) in enumerate(zip(sorted(times), pts, strict=True)):
        if abs(found * tick - (wanted * info.time_base - shift_s)) > tick / 2:
            raise CheckError(
                f"frame {number} is at {float(found * tick):.6f} s in the output instead of "
                f"{float(wanted * info.time_base - shift_s):.6f} s",
                hint="use an .mkv output",
            )
    if not trimmed and info.image_pattern is None:
        _check_counts(info, carried, counts)


def _check_counts(info: VideoInfo, carried: Carriage, counts: Counter[int]) -> None:
    import av

    expected: Counter[int] = Counter()
    url, options = info.source
    with av.open(url, options=options) as source:
        for packet in source.demux():
            if packet.size:
                expected[packet.stream.index] += 1
    for position, (index, codec) in enumerate(carried.codecs.items()):
        if index == info.stream_index or codec != "copy":
            continue
        if counts[position] != expected[index]:
            raise CheckError(
                f"{_name(info.streams[index])} has {expected[index]} packets, "
                f"{counts[position]} came out",
                hint="use an .mkv output",
            )

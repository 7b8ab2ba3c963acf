"""What becomes of the source's other streams in the output's container."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from vidrestore.losses import Loss
from vidrestore.media.clock import Clock
from vidrestore.media.probe import StreamInfo, VideoInfo

Audio = Literal["copy", "drop", "stretch"]
"""What happens to the sound: packets untouched, nothing, or slowed down with the picture."""

_TEXT_SUBTITLE = {"mp4": "mov_text", "mov": "mov_text", "matroska": "srt", "webm": "webvtt"}
"""The text subtitle codec of each container, for subtitles that it cannot carry as they are."""

_TEXT_CODECS = frozenset({"srt", "subrip", "ass", "ssa", "webvtt", "mov_text", "text"})
_STYLED_CODECS = frozenset({"ass", "ssa"})

_ATTACHING = frozenset({"matroska"})
"""Containers whose cover is an attachment rather than a stream."""

COVER_TYPES = {
    "png": (".png", "image/png"),
    "mjpeg": (".jpg", "image/jpeg"),
    "bmp": (".bmp", "image/bmp"),
    "gif": (".gif", "image/gif"),
    "webp": (".webp", "image/webp"),
}
"""Suffix and MIME type of the pictures that can be attached, by codec."""

COVERLESS = frozenset({"mov", "webm"})
"""ffmpeg opens these with a cover or an attachment in them, and then writes none."""

_STRETCHED = {"mp4": "aac", "mov": "aac", "matroska": "flac", "webm": "libopus"}
"""The encoder of stretched sound for each container: lossless where players expect that."""

_SLOWEST_TEMPO = Fraction(1, 2)
"""What one atempo filter can do; slower takes a chain of them."""

_ATEMPO_LEAD_S = Fraction(1, 40)
"""How much earlier than it should atempo plays what it slows to half (measured: 20 to 35 ms)."""


@dataclass(frozen=True)
class Carriage:
    """What becomes of the source's streams.

    Attributes:
        codecs: Index of every stream that is kept, in the output's order, to "copy", the encoder
            that it is converted with, or "attach" for a cover that becomes an attachment. The
            restored video is among them.
        chapters: Whether chapters are kept.
        losses: What is dropped or changed.
    """

    codecs: dict[int, str]
    chapters: bool
    losses: tuple[Loss, ...]


def carriage(
    info: VideoInfo,
    container: str,
    speed: Fraction = Fraction(1),
    audio: Audio = "copy",
    *,
    trim: bool = False,
) -> Carriage:
    """Find out which of the source's streams a container can carry, by trying.

    Args:
        info: The source.
        container: ffmpeg's name of the output's container.
        speed: Of the output's clock. Text and data have no place in slow motion.
        audio: What happens to the sound.
        trim: Whether only a part of the source is wanted.

    Returns:
        The streams kept and what becomes of the others.
    """
    import av

    if info.image_pattern is not None:
        return Carriage({info.stream_index: "copy"}, False, ())
    codecs: dict[int, str] = {}
    losses = []
    url, options = info.source
    with av.open(url, options=options) as source:
        chapters = bool(source.chapters())
        for stream in info.streams:
            fits = stream.index == info.stream_index or _fits(source, stream, container)
            if speed != 1 and stream.index != info.stream_index:
                codec, change = _slowed(stream, container, audio, fits=fits)
            else:
                codec, change = _kept(stream, container, audio, fits=fits)
            if codec is not None:
                codecs[stream.index] = codec
            elif _is_made_anew(source.streams[stream.index], chapters=chapters, speed=speed):
                continue
            if change is not None:
                losses.append(Loss(f"stream {stream.index}", f"{name_of(stream)} {change}"))
    if chapters and (speed != 1 or trim):
        why = "of the slow motion" if speed != 1 else "of the part that is kept"
        reason = f"the chapters are dropped: their times are not those {why}"
        losses.append(Loss("chapters", reason))
    attached_last = dict(sorted(codecs.items(), key=lambda item: item[1] == "attach"))
    return Carriage(attached_last, chapters and speed == 1 and not trim, tuple(losses))


def _is_made_anew(stream: Any, *, chapters: bool, speed: Fraction) -> bool:
    """Whether it is a track that ffmpeg makes from the chapters or the tag of a timecode."""
    if stream.type != "data" or getattr(stream, "codec_context", None) is not None:
        return False
    return chapters or (speed == 1 and "timecode" in stream.metadata)


_Fate = tuple[str | None, str | None]
"""The encoder of a stream, "copy", "attach", or None if it is dropped; what the user must know."""


def _kept(stream: StreamInfo, container: str, audio: Audio, *, fits: bool) -> _Fate:
    if stream.kind == "audio" and audio == "drop":
        return None, None
    cover = "attached_pic" in stream.dispositions and stream.codec in COVER_TYPES
    if cover and container in _ATTACHING:
        return "attach", None
    if fits:
        return "copy", None
    if stream.kind == "subtitle" and stream.codec in _TEXT_CODECS:
        codec = _TEXT_SUBTITLE[container]
        lost = ", without its styling" if stream.codec in _STYLED_CODECS else ""
        return codec, f"is converted to {codec}{lost}"
    return None, f"is dropped: {container} cannot carry it"


def _slowed(stream: StreamInfo, container: str, audio: Audio, *, fits: bool) -> _Fate:
    """The fate of a stream beside video in slow motion."""
    timeless = stream.kind == "attachment" or "attached_pic" in stream.dispositions
    if stream.kind != "audio" and not timeless:
        return None, "is dropped: its times are not those of the slow motion"
    if stream.kind == "audio" and audio == "stretch":
        if stream.codec is None:
            return None, "is dropped: there is no decoder for it, so it cannot be stretched"
        encoder = _STRETCHED[container]
        return encoder, f"is stretched and encoded anew with {encoder}"
    codec, change = _kept(stream, container, audio, fits=fits)
    if stream.kind == "audio" and codec is not None:
        change = "keeps its own speed beside the slow motion"
    return codec, change


def stretching(clock: Clock, kept_s: tuple[Fraction | None, Fraction] | None) -> str:
    """Filter that slows sound down with the picture, pitch kept.

    Args:
        clock: Of the output.
        kept_s: Source times of the part that is wanted; None for all.

    Returns:
        A filter chain. Its first sample lies where the clock puts it.
    """
    chain = ["aresample=async=1"]  # atempo counts samples: gaps must be filled before
    if kept_s is not None:
        first = "" if kept_s[0] is None else f"start={float(kept_s[0]):.6f}:"
        chain.append(f"atrim={first}end={float(kept_s[1]):.6f}")
    tempo = clock.speed
    while tempo < _SLOWEST_TEMPO:
        chain.append(f"atempo={float(_SLOWEST_TEMPO)}")
        tempo /= _SLOWEST_TEMPO
    chain.append(f"atempo={float(tempo)!r}")
    origin = float(clock.start - _ATEMPO_LEAD_S)
    delay = f"(STARTPTS*TB-{origin!r})*{float(1 / clock.speed - 1)!r}/TB"
    return ",".join([*chain, f"asetpts='PTS+round({delay})'"])


def _fits(source: Any, stream: StreamInfo, container: str) -> bool:
    """Whether a container can hold such a stream of the source."""
    if container in COVERLESS and (
        stream.kind == "attachment" or "attached_pic" in stream.dispositions
    ):
        return False
    return takes(container, source.streams[stream.index])


def takes(container: str, stream: Any) -> bool:
    """Whether a container's header can be written with such a stream, of PyAV, in it."""
    import av

    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (ValueError, AttributeError, av.error.FFmpegError):
        return False
    return True


def name_of(stream: StreamInfo) -> str:
    """A stream as warnings name it."""
    language = f" {stream.language}" if stream.language else ""
    return f"stream {stream.index} ({stream.kind} {stream.codec or 'unknown'}{language})"

"""What becomes of the source's other streams in the output's container."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from vidrestore.clock import Clock
from vidrestore.probe import StreamInfo, VideoInfo

Audio = Literal["copy", "drop", "stretch"]
"""What happens to the sound: packets untouched, nothing, or slowed down with the picture."""

_TEXT_SUBTITLE = {"mp4": "mov_text", "mov": "mov_text", "matroska": "srt", "webm": "webvtt"}
"""The text subtitle codec of each container, for subtitles that it cannot carry as they are."""

_TEXT_CODECS = frozenset({"srt", "subrip", "ass", "ssa", "webvtt", "mov_text", "text"})
_STYLED_CODECS = frozenset({"ass", "ssa"})

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
        codecs: Index of every stream that is kept, in the source's order, to "copy" or the
            encoder that it is converted with. The restored video is among them.
        chapters: Whether chapters are kept.
        warnings: One line for each stream that is dropped or changed.
    """

    codecs: dict[int, str]
    chapters: bool
    warnings: tuple[str, ...]


def carriage(
    info: VideoInfo, container: str, speed: Fraction = Fraction(1), audio: Audio = "copy"
) -> Carriage:
    """Find out which of the source's streams a container can carry, by trying.

    Args:
        info: The source.
        container: ffmpeg's name of the output's container.
        speed: Of the output's clock. Text and data have no place in slow motion.
        audio: What happens to the sound.

    Returns:
        The streams kept and the warnings about the others.
    """
    import av

    if info.image_pattern is not None:
        return Carriage({info.stream_index: "copy"}, False, ())
    codecs: dict[int, str] = {}
    warnings = []
    url, options = info.source
    with av.open(url, options=options) as source:
        chapters = bool(source.chapters())
        for stream in info.streams:
            fits = stream.index == info.stream_index or _fits(source, stream.index, container)
            if speed != 1 and stream.index != info.stream_index:
                codec, warning = _slowed(stream, container, audio, fits=fits)
            else:
                codec, warning = _kept(stream, container, audio, fits=fits)
            if codec is not None:
                codecs[stream.index] = codec
            of_chapters = chapters and stream.kind == "data" and stream.codec is None
            if warning is not None and not of_chapters:
                warnings.append(f"{name_of(stream)} {warning}")
    if chapters and speed != 1:
        warnings.append("the chapters are dropped: their times are not those of the slow motion")
    return Carriage(codecs, chapters and speed == 1, tuple(warnings))


_Fate = tuple[str | None, str | None]
"""The encoder of a stream, "copy", or None if it is dropped; what the user must know."""


def _kept(stream: StreamInfo, container: str, audio: Audio, *, fits: bool) -> _Fate:
    if stream.kind == "audio" and audio == "drop":
        return None, None
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
    codec, warning = _kept(stream, container, audio, fits=fits)
    if stream.kind == "audio" and codec is not None:
        warning = "keeps its own speed beside the slow motion"
    return codec, warning


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


def name_of(stream: StreamInfo) -> str:
    """A stream as warnings name it."""
    language = f" {stream.language}" if stream.language else ""
    return f"stream {stream.index} ({stream.kind} {stream.codec or 'unknown'}{language})"

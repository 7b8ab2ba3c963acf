"""The finished file against its plan: frames, timestamps and sound, packet by packet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vidrestore.containers.carry import Carriage, name_of
from vidrestore.containers.join import Joint
from vidrestore.errors import CheckError
from vidrestore.media.ffmpeg import media_url
from vidrestore.media.probe import StreamInfo
from vidrestore.media.tracks import Track, read_tracks

_OTHER_CONTAINER = "use an .mkv output, which carries every kind of stream"
_BAD_RUN = "run again with --debug"

_OFFSET_ROUNDING_S = Fraction(1, 1_000_000)
"""ffmpeg counts the offset of a whole file in microseconds."""

_STRETCH_SLACK_S = Fraction(1, 10)
"""How far the ends of stretched sound may lie from the plan, in time of the source: atempo and
encoders work in blocks."""


@dataclass(frozen=True)
class AudioCheck:
    """One audio stream before and after. Times are in seconds, None where there is no packet.

    Attributes:
        name: The stream, as warnings name it.
        stretched: Whether it was slowed down and encoded anew, so that its packets are others.
        packets_in: Packets of the source that belong to the frames of the output.
        packets_out: Packets found in the output.
        first_in_s: Time of the first packet in the source.
        first_out_s: And in the output.
        last_in_s: Time of the last packet in the source.
        last_out_s: And in the output.
        offset_in_s: First packet's time in the source less the first video frame's.
        offset_out_s: And in the output.
    """

    name: str
    stretched: bool
    packets_in: int
    packets_out: int
    first_in_s: Fraction | None
    first_out_s: Fraction | None
    last_in_s: Fraction | None
    last_out_s: Fraction | None
    offset_in_s: Fraction | None
    offset_out_s: Fraction | None


@dataclass(frozen=True)
class OutputCheck:
    """What a file was to hold and what it holds. Times are in seconds of the output.

    Attributes:
        frames_planned: Number of video frames.
        frames_found: Number of video packets.
        first_planned_s: When the first frame is shown.
        first_found_s: Its timestamp.
        last_planned_s: When the last frame is shown.
        last_found_s: Its timestamp.
        duration_planned_s: From the first frame to the end of the last.
        duration_found_s: The same of the file.
        audio: Every audio stream of the output.
    """

    frames_planned: int
    frames_found: int
    first_planned_s: Fraction
    first_found_s: Fraction
    last_planned_s: Fraction
    last_found_s: Fraction
    duration_planned_s: Fraction
    duration_found_s: Fraction
    audio: tuple[AudioCheck, ...]


def check_output(
    joined: Joint, carried: Carriage, shift_s: Fraction, path: Path, *, trim: bool
) -> OutputCheck:
    """Compare a finished file with what must be in it.

    Args:
        joined: The video that went in, and when each frame is shown.
        carried: The streams that the file must hold.
        shift_s: Seconds by which the file's timestamps are earlier than the clock's.
        path: The file.
        trim: Whether only a part of the source was wanted.

    Returns:
        What was planned and what was found, which agree.

    Raises:
        CheckError: If a stream, a frame or a packet is missing, or its time is another.
    """
    info = joined.info
    found = read_tracks(media_url(path), {})
    if len(found) < len(carried.codecs):
        raise CheckError(
            f"{len(carried.codecs)} streams went in, {len(found)} came out", hint=_OTHER_CONTAINER
        )
    kept = {index: found[place] for place, index in enumerate(carried.codecs)}
    video = kept.pop(info.stream_index)
    shown = video.shown()
    _check_frames(joined, shift_s, shown, video.tick)
    first_s = shown[0] * video.tick
    duration_s = joined.end_s - joined.first_s
    found_duration_s = (video.video_end_s or first_s) - first_s
    # Matroska rounds the first time, the last and its length apart; MP4 is exact.
    slack_s = video.tick * (Fraction(1, 2) if video.stated_end_s is None else 2)
    if abs(found_duration_s - duration_s) > slack_s:
        raise CheckError(
            f"the video lasts {float(found_duration_s):.6f} s instead of {float(duration_s):.6f} s",
            hint=_BAD_RUN,
        )
    return OutputCheck(
        frames_planned=len(joined.pts),
        frames_found=len(shown),
        first_planned_s=joined.first_s - shift_s,
        first_found_s=first_s,
        last_planned_s=joined.pts[-1] * joined.clock.time_base - shift_s,
        last_found_s=shown[-1] * video.tick,
        duration_planned_s=duration_s,
        duration_found_s=found_duration_s,
        audio=_check_others(joined, carried, kept, shift_s, first_s, trim=trim),
    )


def _check_frames(joined: Joint, shift_s: Fraction, shown: list[int], tick: Fraction) -> None:
    if len(shown) != len(joined.pts):
        raise CheckError(f"{len(joined.pts)} frames went in, {len(shown)} came out", hint=_BAD_RUN)
    for number, (found, pts) in enumerate(zip(shown, joined.pts, strict=True)):
        wanted_s = pts * joined.clock.time_base - shift_s
        if abs(found * tick - wanted_s) > tick / 2:
            raise CheckError(
                f"frame {number} is at {float(found * tick):.6f} s in the output instead of "
                f"{float(wanted_s):.6f} s",
                hint=_OTHER_CONTAINER,
            )


def _check_others(
    joined: Joint,
    carried: Carriage,
    found: Mapping[int, Track],
    shift_s: Fraction,
    first_s: Fraction,
    *,
    trim: bool,
) -> tuple[AudioCheck, ...]:
    """Compare every stream but the video with the source's packets."""
    if not found:
        return ()
    info = joined.info
    kept_s = joined.kept_s if trim else None
    sources = read_tracks(*info.source)
    audio = []
    for index, track in found.items():
        stream = info.streams[index]
        source = sources[index] if kept_s is None else sources[index].within(*kept_s)
        stretched = stream.kind == "audio" and carried.codecs[index] != "copy"
        if stretched:
            _check_stretched(joined, source, track, shift_s, stream)
        elif carried.codecs[index] == "copy":
            if stream.kind == "audio":
                _check_copied(source, track, shift_s, stream)
            elif not trim:
                _check_count(source, track, stream)
        if stream.kind == "audio":
            origin_s = joined.clock.source_time(joined.first_s)
            audio.append(_audio_check(stream, stretched, source, track, origin_s, first_s))
    return tuple(audio)


def _audio_check(
    stream: StreamInfo,
    stretched: bool,
    source: Track,
    found: Track,
    source_origin_s: Fraction,
    origin_s: Fraction,
) -> AudioCheck:
    first_in_s, first_out_s = source.first_s, found.first_s
    return AudioCheck(
        name=name_of(stream),
        stretched=stretched,
        packets_in=len(source.pts),
        packets_out=len(found.pts),
        first_in_s=first_in_s,
        first_out_s=first_out_s,
        last_in_s=source.last_s,
        last_out_s=found.last_s,
        offset_in_s=None if first_in_s is None else first_in_s - source_origin_s,
        offset_out_s=None if first_out_s is None else first_out_s - origin_s,
    )


def _check_count(source: Track, found: Track, stream: StreamInfo) -> None:
    if len(found.pts) != len(source.pts):
        raise CheckError(
            f"{name_of(stream)} has {len(source.pts)} packets, {len(found.pts)} came out",
            hint=_OTHER_CONTAINER,
        )


def _check_copied(source: Track, found: Track, shift_s: Fraction, stream: StreamInfo) -> None:
    """Every packet of copied sound must be there, where it was."""
    sample_s = Fraction(1, stream.sample_rate_hz or 1)
    slack_s = found.tick / 2 + _OFFSET_ROUNDING_S
    if source.tick != sample_s:  # ffmpeg makes coarse times fall on whole samples
        slack_s += source.tick / 2 + sample_s
    if stream.codec is not None and stream.codec.startswith("pcm_"):
        # Raw samples have no packets of their own: containers cut them as they like.
        if sum(found.sizes) != sum(source.sizes):
            raise CheckError(
                f"{name_of(stream)} has {sum(source.sizes)} bytes, {sum(found.sizes)} came out",
                hint=_OTHER_CONTAINER,
            )
        pairs = iter([(source.first_s, found.first_s), (source.end_s, found.end_s)])
        slack_s += found.tick  # a length is rounded, too
    else:
        _check_count(source, found, stream)
        pairs = zip(source.times_s(), found.times_s(), strict=True)
    for number, (before, after) in enumerate(pairs):
        if before is None or after is None:
            continue
        if abs(after - (before - shift_s)) > slack_s:
            raise CheckError(
                f"packet {number} of {name_of(stream)} is at {float(after):.6f} s in the output "
                f"instead of {float(before - shift_s):.6f} s",
                hint=_OTHER_CONTAINER,
            )


def _check_stretched(
    joined: Joint, source: Track, found: Track, shift_s: Fraction, stream: StreamInfo
) -> None:
    """Stretched sound must begin and end where the clock puts it, but for whole blocks."""
    for name, before, after in (
        ("begins", source.first_s, found.first_s),
        ("ends", source.end_s, found.end_s),
    ):
        if before is None or after is None:
            _check_count(source, found, stream)
            continue
        heard = max(before, joined.info.container_start)  # players skip what lies before
        wanted = joined.clock.output_time(heard) - shift_s
        if abs(after - wanted) * joined.clock.speed > _STRETCH_SLACK_S:
            raise CheckError(
                f"{name_of(stream)}, stretched, {name} at {float(after):.3f} s "
                f"instead of {float(wanted):.3f} s",
                hint=_BAD_RUN,
            )

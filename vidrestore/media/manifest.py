"""Everything in a file that can be compared with another: streams, tags, side data, payloads."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vidrestore.media.hdr import hdr_metadata
from vidrestore.media.probe import VideoInfo
from vidrestore.media.sidedata import side_data

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

_LOOKED_AT_FRAMES = 10
"""Frames whose side data is read: captions and dynamic metadata need not begin with the first."""

_LEFT_OUT = frozenset(
    {"DISPLAYMATRIX", "SEI_UNREGISTERED", "GOP_TIMECODE", "PANSCAN", "SKIP_SAMPLES"}
    | {"VIDEO_ENC_PARAMS", "MOTION_VECTORS", "REGIONS_OF_INTEREST", "DETECTION_BBOXES"}
    | {"MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"}
)
"""Side data that is read elsewhere, or that belongs to the way the source was encoded."""

_SIDE_DATA_NAMES = {
    "DOVI_RPU_BUFFER": "dolby-vision",
    "DOVI_METADATA": "dolby-vision",
    "DYNAMIC_HDR_PLUS": "hdr10+",
    "DYNAMIC_HDR_VIVID": "hdr-vivid",
    "A53_CC": "closed-captions",
    "S12M_TIMECODE": "timecode",
}

_REFRAMED = frozenset({"h264", "hevc", "vvc"})
"""Codecs that containers store with start codes or with lengths: equal pictures, other bytes."""

_ADTS_SYNC = 0xFFF0
_ADTS_MASK = 0xFFF6


@dataclass(frozen=True)
class Chapter:
    """One chapter; times are in seconds."""

    start_s: Fraction
    end_s: Fraction
    title: str | None


@dataclass(frozen=True)
class StreamManifest:
    """One stream.

    Attributes:
        index: Its place in the file.
        kind: video, audio, subtitle, data, attachment, or cover for a picture of the whole file.
        facts: What it is, by names that a reader understands; None where the file says nothing.
        tags: Its metadata.
        dispositions: Such as "default" and "forced".
        packets: Packets that hold something.
        payload_sha256: Hash of all of them in a row, as no container changes it; None for the
            restored video, and where containers store the same in different bytes.
        text_sha256: Hash of the words of a text subtitle, without their markup.
        first_s: Time of the earliest packet, in seconds after the first frame of the video.
        last_s: And of the latest.
    """

    index: int
    kind: str
    facts: Mapping[str, str | None]
    tags: Mapping[str, str]
    dispositions: tuple[str, ...]
    packets: int = 0
    payload_sha256: str | None = None
    text_sha256: str | None = None
    first_s: Fraction | None = None
    last_s: Fraction | None = None


@dataclass(frozen=True)
class Manifest:
    """One file, or one folder of images.

    Attributes:
        container: ffmpeg's name of the format.
        video: Index of the stream that is restored.
        start_s: Time of its first frame.
        duration_s: Length, where the container states it.
        tags: Metadata of the whole file.
        chapters: Chapters in order.
        streams: Every stream.
    """

    container: str
    video: int
    start_s: Fraction
    duration_s: float | None
    tags: Mapping[str, str]
    chapters: tuple[Chapter, ...]
    streams: tuple[StreamManifest, ...]


@dataclass
class _Content:
    """What the packets of one stream add up to, in memory that does not grow."""

    packets: int = 0
    payload: Any = field(default_factory=hashlib.sha256)
    text: Any = field(default_factory=hashlib.sha256)
    has_text: bool = False
    first_s: Fraction | None = None
    last_s: Fraction | None = None

    def see(self, packet: av.Packet[Any], start_s: Fraction) -> None:
        """Count a packet and note its time."""
        self.packets += 1
        if packet.pts is not None and packet.time_base is not None:
            time_s = packet.pts * packet.time_base - start_s
            self.first_s = time_s if self.first_s is None else min(self.first_s, time_s)
            self.last_s = time_s if self.last_s is None else max(self.last_s, time_s)

    @property
    def rate(self) -> str | None:
        """Packets per second, on average; None where times are missing or there is but one."""
        if self.first_s is None or self.last_s is None or self.first_s == self.last_s:
            return None
        return f"{float((self.packets - 1) / (self.last_s - self.first_s)):.3f}"


def manifest(info: VideoInfo) -> Manifest:
    """Read a whole file and write down what is in it.

    Args:
        info: The file, probed. Its main video is the one that is restored.

    Returns:
        Everything comparable.

    Raises:
        FFmpegError: If the file cannot be opened.
    """
    import av

    url, options = info.source
    form = None if info.image_pattern is None else "image2"
    start_s = info.start_pts * info.time_base
    with av.open(url, format=form, options=options) as container:
        contents, of_frames = _read(container, info, start_s)
        streams = tuple(
            _stream(stream, info, contents[stream.index], of_frames) for stream in container.streams
        )
        return Manifest(
            container=info.format_name,
            video=info.stream_index,
            start_s=start_s,
            duration_s=info.duration_s,
            tags=dict(container.metadata),
            chapters=tuple(map(_chapter, container.chapters())),
            streams=streams,
        )


def _read(
    container: InputContainer, info: VideoInfo, start_s: Fraction
) -> tuple[list[_Content], dict[str, str]]:
    """Run through all packets once: what each stream holds, and the side data of the video."""
    import av

    contents = [_Content() for _ in container.streams]
    found: dict[str, str] = {}
    looked_at = 0
    for packet in _packets(container):
        content = contents[packet.stream.index]
        if packet.stream.index == info.stream_index:
            if packet.size:
                content.see(packet, start_s)
            if looked_at < _LOOKED_AT_FRAMES:
                try:
                    frames = packet.decode()
                except av.error.FFmpegError:
                    continue  # the decoder of the run tells about damage
                looked_at += len(frames)
                for frame in frames:
                    found |= _described(frame)
        elif packet.size:
            _add(content, packet, start_s)
    return contents, found


def _packets(container: InputContainer) -> Iterator[av.Packet[Any]]:
    """All packets up to the end, or up to where the file is cut off."""
    import av

    try:
        yield from container.demux()
    except av.error.FFmpegError:
        return


def _add(content: _Content, packet: av.Packet[Any], start_s: Fraction) -> None:
    payload = bytes(packet)
    if packet.stream.type == "subtitle":
        words = _words(packet)
        if words == "":
            return  # MP4 fills the time between two subtitles with packets that say nothing
        if words is not None:
            content.has_text = True
            content.text.update(words.encode() + b"\0")
    content.payload.update(_bare(payload, packet.stream))
    content.see(packet, start_s)


def _words(packet: av.Packet[Any]) -> str | None:
    """What a text subtitle says, without markup; None for pictures and what cannot be decoded."""
    import av

    context: Any = getattr(packet.stream, "codec_context", None)
    if context is None or not context.codec.text_sub:
        return None
    try:
        rects: list[Any] = list(packet.decode())
    except av.error.FFmpegError:
        return None
    lines = [rect.ass.decode(errors="replace").split(",", 8)[-1] for rect in rects]
    plain = re.sub(r"\{[^}]*\}", "", "\n".join(lines))
    return re.sub(r"\\[Nn]", "\n", plain).replace("\\h", " ").strip()


def _bare(payload: bytes, stream: av.stream.Stream) -> bytes:
    """A packet without the header that MPEG-TS puts before each frame of AAC."""
    context: Any = getattr(stream, "codec_context", None)
    if context is None or context.name != "aac" or len(payload) < 7:
        return payload
    if (int.from_bytes(payload[:2]) & _ADTS_MASK) != _ADTS_SYNC:
        return payload
    return payload[7 if payload[1] & 1 else 9 :]


def _stream(
    stream: Any, info: VideoInfo, content: _Content, of_frames: Mapping[str, str]
) -> StreamManifest:
    import av

    dispositions = tuple(flag.name or "" for flag in stream.disposition)
    cover = bool(stream.disposition & av.stream.Disposition.attached_pic)
    context = getattr(stream, "codec_context", None)
    codec = None if context is None else context.codec.canonical_name
    facts: dict[str, str | None] = {"codec": codec}
    payload = content.payload.hexdigest()
    if stream.index == info.stream_index:
        facts |= {"profile": info.profile, **_picture(info), **of_frames}
        facts["frame rate"] = content.rate
    elif stream.type == "video" and context is not None:
        facts |= {"size": f"{context.width}x{context.height}"}
    elif stream.type == "audio" and context is not None:
        facts |= {"sample rate": f"{context.sample_rate} Hz"}
        facts |= {"channel layout": context.layout.name}
    elif stream.type == "subtitle" and context is not None and context.extradata:
        facts["styles"] = hashlib.sha256(context.extradata.strip(b"\0\r\n")).hexdigest()
    elif stream.type == "attachment":
        payload = hashlib.sha256(stream.data or b"").hexdigest()
    no_payload = stream.index == info.stream_index or codec in _REFRAMED
    return StreamManifest(
        index=stream.index,
        kind="cover" if cover else stream.type or "data",
        facts=facts,
        tags=dict(stream.metadata),
        dispositions=dispositions,
        packets=content.packets,
        payload_sha256=None if no_payload else payload,
        text_sha256=content.text.hexdigest() if content.has_text else None,
        first_s=content.first_s,
        last_s=content.last_s,
    )


def _picture(info: VideoInfo) -> dict[str, str | None]:
    """What the restored video is, in words that mean the same in every container."""
    colour, sar = info.colour, info.sar or Fraction(1)
    turned = f"{info.rotation_deg} degrees" + (", mirrored" if info.mirrored else "")
    return {
        "pixel format": info.plane_format,
        "size": f"{info.width}x{info.height}",
        "sample aspect ratio": f"{sar.numerator}:{sar.denominator}",
        "colour range": colour.range,
        "colour matrix": colour.matrix,
        "colour primaries": colour.primaries,
        "colour transfer": colour.transfer,
        "chroma location": colour.chroma_location,
        "rotation": turned if info.rotation_deg or info.mirrored else None,
        "field order": info.field_order or info.deinterlace,
        "alpha": "yes" if info.alpha else None,
    }


def _described(frame: av.VideoFrame) -> dict[str, str]:
    """Side data of a frame by the receipt's names; values where they hold for the whole video."""
    found = {}
    for kind in side_data(frame):
        if kind not in _LEFT_OUT:
            name = _SIDE_DATA_NAMES.get(kind, kind.lower().replace("_", "-"))
            found[f"side data:{name}"] = "present"
    hdr = hdr_metadata(frame)
    if hdr is not None and hdr.mastering is not None:
        found["side data:mastering-display"] = hdr.mastering.decimal
    if hdr is not None and hdr.light is not None:
        found["side data:content-light"] = "max {}, average {} cd/m2".format(*hdr.light)
    return found


def _chapter(chapter: Any) -> Chapter:
    tick = chapter["time_base"]
    title = chapter["metadata"].get("title")
    return Chapter(chapter["start"] * tick, chapter["end"] * tick, title)

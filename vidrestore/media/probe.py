"""What a video file or image folder holds, found with PyAV (no ffprobe needed)."""

from __future__ import annotations

import math
import re
import stat
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from vidrestore.errors import InputError
from vidrestore.media import images
from vidrestore.media.cropping import container_cropping
from vidrestore.media.ffmpeg import SAFE_INPUT, media_url
from vidrestore.media.hdr import HdrMetadata, hdr_metadata, per_frame_data
from vidrestore.media.limits import Limits
from vidrestore.media.tags import (
    ColourTags,
    colour_tags,
    field_order,
    orientation,
    states_progressive,
)

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

DEFAULT_FRAMERATE = Fraction(25)

_SUBSAMPLING = {
    **{(0, 0): "444", (1, 0): "422", (1, 1): "420", (2, 0): "411", (0, 1): "440", (2, 2): "410"}
}


@dataclass(frozen=True)
class StreamInfo:
    """One stream of a container; `kind` is video, audio, subtitle, data or attachment."""

    index: int
    kind: str
    codec: str | None
    language: str | None
    dispositions: tuple[str, ...]
    sample_rate_hz: int | None


@dataclass(frozen=True)
class VideoInfo:
    """A video stream, the planes it decodes to, and the container around it.

    Attributes:
        width: Of the frames that are shown, after `crop`.
        height: Likewise.
        pix_fmt: Pixel format of the stream itself.
        plane_format: Planar little-endian format of equal depth that the decoder hands out.
        bit_depth: Bits of one sample in `plane_format`.
        chroma_shift: log2 of the horizontal and vertical chroma subsampling.
        alpha: Whether the last plane is an alpha channel.
        frame_rate: Average frames per second.
        time_base: Seconds per tick of every PTS.
        start_pts: PTS of the first frame, in ticks.
        duration_pts: Length of the stream in ticks, where the container states it.
        frames: Number of frames, counted or estimated by the container; None if unknown.
        rotation_deg: Counter-clockwise rotation that a player applies, after `mirrored`.
        field_order: "tff" or "bff" if the frames are pairs of fields.
        progressive: Whether the stream states that its frames are whole; False if it says
            nothing, too.
        deinterlace: "tff" or "bff" if the stream has fields that the decoder is to make frames of;
            `field_order` is then None.
        image_pattern: printf pattern of the file names, if `path` is a folder of images.
        image_start: Number of the first image.
        hdr: Static HDR10 metadata; None if there is none.
        bitrate_bps: Of the video, where the container states or implies it.
        per_frame: Side data that belongs to single frames, such as "dolby-vision", "hdr10+" or
            "closed-captions".
        crop: Pixels at the left, right, top and bottom that the container takes off the frames of
            the stream; None if it states nothing.
    """

    path: Path
    format_name: str
    codec: str
    profile: str | None
    width: int
    height: int
    pix_fmt: str
    plane_format: str
    bit_depth: int
    chroma_shift: tuple[int, int]
    alpha: bool
    colour: ColourTags
    frame_rate: Fraction
    time_base: Fraction
    start_pts: int
    duration_pts: int | None
    duration_s: float | None
    frames: int | None
    sar: Fraction | None
    rotation_deg: int
    mirrored: bool
    field_order: str | None
    progressive: bool
    stream_index: int
    streams: tuple[StreamInfo, ...]
    container_start: Fraction
    image_pattern: str | None = None
    image_start: int = 0
    deinterlace: str | None = None
    hdr: HdrMetadata | None = None
    per_frame: tuple[str, ...] = ()
    bitrate_bps: int | None = None
    crop: tuple[int, int, int, int] | None = None

    @property
    def interlaced(self) -> bool:
        """Whether the frames are pairs of fields."""
        return self.field_order is not None

    @property
    def plane_shapes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of every plane: Y, U, V or G, B, R or Y alone, and alpha."""
        luma = (self.height, self.width)
        alpha = (luma,) * self.alpha
        if self.plane_format.startswith(("gray", "ya")):
            return (luma, *alpha)
        across, down = self.chroma_shift
        chroma = (-(-self.height >> down), -(-self.width >> across))
        return (luma, chroma, chroma, *alpha)

    @property
    def source(self) -> tuple[str, dict[str, str]]:
        """URL and options that open the input, the same for ffmpeg and for PyAV."""
        if self.image_pattern is None:
            return media_url(self.path), SAFE_INPUT
        return images.source(self.path, self.image_pattern, self.image_start, self.frame_rate)


def probe(path: Path, framerate: Fraction | None = None, limits: Limits | None = None) -> VideoInfo:
    """Look into a video file or a folder of numbered images, in this process.

    Files from strangers go to `inspection.inspect`, which calls this in another.

    Args:
        path: The file or folder.
        framerate: Frames per second of a folder of images (25 if None). Files know theirs.
        limits: What the file may hold; None if it is one of ours.

    Returns:
        Everything that the later stages need to know.

    Raises:
        InputError: If there is no such file, or it is no video that can be decoded.
        UsageError: If the folder holds videos instead of images.
    """
    kind = _kind(path)
    if stat.S_ISDIR(kind):
        rate = framerate or DEFAULT_FRAMERATE
        pattern, first, count = images.find_sequence(path)
        url, options = images.source(path, pattern, first, rate)
        return _inspect(path, url, options, limits, pattern=pattern, first=first, count=count)
    if not stat.S_ISREG(kind):
        raise InputError(f"{path} is a device or a pipe, not a file", hint="pipe it into -")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (zero bytes)", hint="copy or download the file again")
    return _inspect(path, media_url(path), SAFE_INPUT, limits)


def _kind(path: Path) -> int:
    """What a path leads to, in the system's terms."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path}: no such file or folder", hint="check the path") from error
    except (OSError, ValueError) as error:  # too long, a loop of links, a zero byte
        cause = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be opened: {cause}", hint="check the path") from error


def _inspect(
    path: Path,
    url: str,
    options: dict[str, str],
    limits: Limits | None,
    *,
    pattern: str | None = None,
    first: int = 0,
    count: int | None = None,
) -> VideoInfo:
    import av

    form = "image2" if pattern else None
    if limits is not None:  # decoders are told through the container's options
        options = {**options, **limits.decoder_options}
    try:
        with av.open(url, format=form, options=options) as container:
            stream = _main_video(container, path)
            if limits is not None:
                limits.demand(path, container)
            streams = tuple(map(_stream_info, container.streams))
            frame = _first_frame(container, stream, path, limits)
            assert stream.time_base is not None
            crop = None if pattern else _cropping(stream, frame)
            left, right, top, bottom = crop or (0, 0, 0, 0)
            alpha = _has_alpha(frame)
            plane_format, bit_depth, chroma_shift = _planes(frame.format, alpha, path)
            rotation_deg, mirrored = orientation(frame)
            rate = _frame_rate(stream)
            duration_pts = _duration_pts(stream)
            duration = (
                duration_pts * stream.time_base
                if duration_pts is not None
                else Fraction(container.duration or 0, av.time_base) or None
            )
            return VideoInfo(
                path=path,
                format_name=container.format.name,
                codec=stream.codec_context.codec.canonical_name,
                profile=stream.codec_context.profile,
                width=frame.width - left - right,
                height=frame.height - top - bottom,
                pix_fmt=frame.format.name,
                plane_format=plane_format,
                bit_depth=bit_depth,
                chroma_shift=chroma_shift,
                alpha=alpha,
                colour=colour_tags(frame, stream, subsampled=chroma_shift != (0, 0)),
                frame_rate=rate,
                time_base=stream.time_base,
                # AVI has decode times only: ffmpeg goes by them, PyAV guesses.
                start_pts=(frame.dts if container.format.name == "avi" else frame.pts) or 0,
                duration_pts=duration_pts,
                duration_s=None if duration is None else float(duration),
                frames=count or stream.frames or (round(duration * rate) if duration else None),
                sar=stream.sample_aspect_ratio or None,
                rotation_deg=rotation_deg,
                mirrored=mirrored,
                field_order=_field_order(frame, stream, top),
                progressive=states_progressive(stream),
                stream_index=stream.index,
                streams=streams,
                container_start=Fraction(container.start_time or 0, av.time_base),
                image_pattern=pattern,
                image_start=first,
                hdr=hdr_metadata(frame),
                per_frame=per_frame_data(frame),
                bitrate_bps=None if pattern else _bitrate(container, stream),
                crop=crop,
            )
    except av.error.FFmpegError as error:
        raise InputError(
            f"{path} cannot be read as a video: {error.strerror}", hint=_hint(path)
        ) from error


def _hint(path: Path) -> str:
    """Guess from the first bytes why a file could not be opened."""
    if path.is_file():
        if images.is_pattern(path):
            return "rename it: to ffmpeg, its name stands for many images"
        with path.open("rb") as file:
            head = file.read(4096)
        if head[4:8] in (b"ftyp", b"mdat", b"wide", b"free"):
            return "its index (moov) is missing, as when a recording or download was cut off"
        if head.isascii() and not any(byte < 9 for byte in head):
            return "it is a text file; give a video file or a folder of numbered images"
    return "give a video file that ffmpeg can decode, or a folder of numbered images"


def _main_video(container: InputContainer, path: Path) -> av.VideoStream:
    import av

    videos = [
        stream
        for stream in container.streams.video
        if not stream.disposition & av.stream.Disposition.attached_pic
    ]
    if not videos:
        held = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise InputError(f"{path} has no video stream, only {held}", hint="give a video file")
    default = [video for video in videos if video.disposition & av.stream.Disposition.default]
    return (default or videos)[0]


def _first_frame(
    container: InputContainer, stream: av.VideoStream, path: Path, limits: Limits | None
) -> av.VideoFrame:
    import av

    if stream.codec_context is None:
        raise InputError(f"{path}: no decoder for its video", hint="convert it with another tool")
    if limits is not None:
        stream.codec_context.options = limits.decoder_options
    for packet in container.demux(stream):
        try:
            for frame in packet.decode():
                return frame
        except av.error.InvalidDataError:
            continue  # damaged packets before the first whole frame
        finally:
            if limits is not None:
                limits.demand_pixels(path, stream.width, stream.height)
    raise InputError(f"{path}: no frame of its video can be decoded", hint=_hint(path))


def _cropping(stream: av.VideoStream, frame: av.VideoFrame) -> tuple[int, int, int, int] | None:
    """What the container takes off; nothing if it would leave nothing."""
    crop = container_cropping(stream)
    if crop is None:
        return None
    left, right, top, bottom = crop
    if left + right < frame.width and top + bottom < frame.height:
        return crop
    return (0, 0, 0, 0)


def _field_order(frame: av.VideoFrame, stream: av.VideoStream, top: int) -> str | None:
    """Which field comes first; an odd number of lines taken off the top makes it the other."""
    order = field_order(frame, stream)
    if order is None or top % 2 == 0:
        return order
    return "bff" if order == "tff" else "tff"


def _stream_info(stream: av.stream.Stream) -> StreamInfo:
    context = getattr(stream, "codec_context", None)
    return StreamInfo(
        index=stream.index,
        kind=stream.type,
        codec=None if context is None else context.name,
        language=stream.metadata.get("language"),
        dispositions=tuple(flag.name or "" for flag in stream.disposition),
        sample_rate_hz=getattr(context, "sample_rate", None),
    )


def _frame_rate(stream: av.VideoStream) -> Fraction:
    """The average, or the rate that the stamps were made for if that is near it or below."""
    average, base = stream.average_rate, stream.guessed_rate
    if average and (not base or base > average * Fraction(501, 500)):
        return average
    return base or DEFAULT_FRAMERATE


def _bitrate(container: InputContainer, stream: av.VideoStream) -> int | None:
    """Bits per second of the video: stated, or what the other streams leave of the whole."""
    stated = stream.codec_context.bit_rate or int(stream.metadata.get("BPS") or 0)
    if stated or not container.bit_rate:
        return stated or None
    others = (getattr(other, "bit_rate", None) or 0 for other in container.streams)
    left: int = container.bit_rate - sum(others)
    return left if left > 0 else None


def _duration_pts(stream: av.VideoStream) -> int | None:
    """Length of the stream in ticks; Matroska states it as a tag."""
    if stream.duration is not None:
        return stream.duration
    stated = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if stated is None or stream.time_base is None:
        return None
    hours, minutes, seconds = map(Fraction, stated.groups())
    end = (hours * 3600 + minutes * 60 + seconds) / stream.time_base
    return round(end) - (stream.start_time or 0)


def _has_alpha(frame: av.VideoFrame) -> bool:
    """Whether there is an alpha channel; a palette has one if it is used."""
    if frame.format.has_palette:
        return bool(frame.to_ndarray(format="rgba")[..., 3].min() < 255)
    return any(part.is_alpha for part in frame.format.components)


def _planes(native: av.VideoFormat, alpha: bool, path: Path) -> tuple[str, int, tuple[int, int]]:
    """Name the planar little-endian format that holds a pixel format's samples exactly."""
    colours = [part for part in native.components if not part.is_alpha]
    depth = max([8, *(part.bits for part in colours)])
    suffix = "" if depth == 8 else f"{depth}le"
    shift = (
        int(math.log2(64 / native.chroma_width(64))),
        int(math.log2(64 / native.chroma_height(64))),
    )
    with_alpha = "a" * alpha
    if native.is_rgb or native.has_palette or native.name.startswith("x2"):
        name, shift = f"gbr{with_alpha}p{suffix}", (0, 0)
    elif len(colours) == 1:
        name, shift = (f"ya{suffix or 8}" if alpha else f"gray{suffix}"), (0, 0)
    else:
        name = f"yuv{with_alpha}{_SUBSAMPLING.get(shift)}p{suffix}"
    floating = re.search(r"f(16|32)(le|be)$", native.name)
    if not colours or floating or native.name.startswith(("bayer", "xyz")) or not _exists(name):
        raise InputError(
            f"{path}: pixel format {native.name} is not supported",
            hint="convert the video to yuv420p, yuv422p, yuv444p or rgb24 first",
        )
    return name, depth, shift


def _exists(pix_fmt: str) -> bool:
    import av

    try:
        av.VideoFormat(pix_fmt)
    except ValueError:
        return False
    return True

"""Encoded frames and all other streams into a pipe, or into a file, as they come: one pass."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from vidrestore.containers.carry import COVERLESS, takes
from vidrestore.errors import UsageError
from vidrestore.losses import Loss
from vidrestore.media.clock import Clock
from vidrestore.media.ffmpeg import media_url
from vidrestore.media.ledger import Ledger

if TYPE_CHECKING:
    import av
    from av.container import InputContainer, OutputContainer

    from vidrestore.encoders.pipeencode import PipeEncoder
    from vidrestore.media.backlog import Backlog
    from vidrestore.media.probe import VideoInfo

COPY_BYTES = 1 << 18

_UNSHIFTED = frozenset({"mp4", "mov", "matroska", "webm"})
"""Containers that hold the first decode times as they are, however early."""

_IN_MPEGTS = frozenset(
    {"h264", "hevc", "vvc", "mpeg1video", "mpeg2video", "mpeg4", "aac", "mp2", "mp3", "ac3", "eac3"}
    | {"dts", "opus", "dvb_subtitle", "dvb_teletext"}
)
"""What players know there; ffmpeg writes anything else as data without a name."""

_BARE = frozenset({"nut", "y4m", "mpegts"})
"""Containers without tags of their own for the picture."""

_TAGGED = frozenset({"h264", "hevc", "av1"})
"""Codecs that state colours, and HDR10 metadata, themselves."""


_UNSPECIFIED = 2
"""Of a colour tag."""


def kept_streams(
    source: InputContainer, picture: int, container: str
) -> tuple[list[int], list[Loss]]:
    """Find out which streams a container can take as they are.

    Args:
        source: The input.
        picture: Index of the stream that is restored.
        container: ffmpeg's name of the output's container.

    Returns:
        Indices of the streams that are kept, the picture among them, and what is lost.
    """
    kept, losses = [], []
    for stream in source.streams:
        if stream.index == picture or (container != "y4m" and _fits(stream, container)):
            kept.append(stream.index)
        elif stream.type != "data" or stream.codec_context is not None or not source.chapters():
            losses.append(
                Loss(
                    f"stream {stream.index}",
                    f"stream {stream.index} ({stream.type}) is dropped: {container} cannot carry "
                    "it as it is",
                )
            )
    return kept, losses


def lost_tags(video: VideoInfo, codec: str, container: str) -> list[Loss]:
    """Find out what is lost of the picture's own tags.

    Args:
        video: What the encoder writes.
        codec: As ffmpeg calls it.
        container: ffmpeg's name of the output's container.
    """
    bare = container in _BARE
    colour = video.colour
    tags = {"colour matrix": colour.matrix, "colour primaries": colour.primaries}
    tags["colour transfer"] = colour.transfer
    if container != "y4m":
        tags["colour range"] = colour.range
    losses = [
        Loss(name, f"the {name} is not stated: {container} has no place for it")
        for name, value in tags.items()
        if bare and codec not in _TAGGED and value is not None
    ]
    if bare and (video.rotation_deg or video.mirrored):
        losses.append(Loss("rotation", f"the rotation is lost: {container} has no place for it"))
    if video.hdr is not None and codec not in _TAGGED:
        holder = container if container == "y4m" else codec
        for name, value in (("mastering-display", video.hdr.mastering),
                            ("content-light", video.hdr.light)):  # fmt: skip
            reason = f"the {name} data is dropped: {holder} has no place for it"
            losses += [Loss(f"side data:{name}", reason)] if value is not None else []
    return losses


def check_codec(codec: str, container: str) -> None:
    """Refuse a codec that a container does not hold.

    Args:
        codec: As ffmpeg calls it.
        container: Likewise.

    Raises:
        UsageError: If it cannot.
    """
    import av

    with av.open(io.BytesIO(), "w", format=container) as trial:
        held = _IN_MPEGTS if container == "mpegts" else trial.supported_codecs
        if codec not in held:
            raise UsageError(f"{container} cannot hold {codec} video", hint="--format matroska")


def _fits(stream: av.stream.Stream, container: str) -> bool:
    import av

    if container in COVERLESS and stream.disposition & av.stream.Disposition.attached_pic:
        return False
    if container == "mpegts":
        codec = stream.codec_context
        return codec is not None and codec.codec.canonical_name in _IN_MPEGTS
    return takes(container, stream)


class Outlet:
    """Muxes in a thread, while frames are still encoded.

    Args:
        target: Pipe or file to write into.
        container: ffmpeg's name of the output's container.
        info: The video that the encoder writes.
        source: The source, opened, for its other streams.
        kept: Indices of the streams that the output has.
        others: Their packets.
        clock: Of the output.
        cut: Whether frames were cut off at the beginning, and at the end.
        prompt: Write every frame at once.

    Attributes:
        ledger: What was written, to check a file by; nothing of Y4M, which passes as it is.
    """

    def __init__(
        self,
        target: BinaryIO | Path,
        container: str,
        info: VideoInfo,
        source: InputContainer,
        kept: Sequence[int],
        others: Backlog,
        clock: Clock,
        *,
        cut: tuple[bool, bool],
        prompt: bool,
    ) -> None:
        self._target = target
        self._writer = None if isinstance(target, Path) else _Writer(target)
        self._container = container
        self.ledger = Ledger(container, info.stream_index)
        self._info = info
        self._source = source
        self._kept = kept
        self._others = others
        self._clock = clock
        self._cut = cut
        self._framed: set[int] = set()
        self._next: dict[int, int] = {}
        self._prompt = prompt
        self._times = _Times(clock)
        self._shift_s = Fraction(0)
        self._begins_s: Fraction | None = None

    def expect(self, pts: int) -> None:
        """Announce the next frame before it goes to the encoder.

        Args:
            pts: Its time in ticks of the clock.
        """
        if self._times.first is None:
            self._align(pts * self._clock.time_base)
        self._times.add(pts)

    def run(self, encoder: PipeEncoder) -> None:
        """Write everything, until the encoder and the source have ended.

        Args:
            encoder: Where the picture comes from.

        Raises:
            BrokenPipeError: If the reader is gone.
            VidrestoreError: If the encoder failed, or the disk is full.
        """
        if self._container == "y4m":
            self._copy(encoder.encoded)
            return
        encoder.explain(lambda: self._mux(encoder.encoded))
        if self._writer is not None and self._writer.error is not None:
            raise self._writer.error

    def _copy(self, muxed: IO[bytes]) -> None:
        """Hand on what ffmpeg has muxed itself."""
        with ExitStack() as stack:
            target = self._target
            if isinstance(target, Path):
                target = stack.enter_context(target.open("wb"))
            while chunk := muxed.read(COPY_BYTES):
                write_all(target, chunk)

    def _mux(self, encoded: IO[bytes]) -> None:
        import av

        probing = {"probesize": "32", "analyzeduration": "0"}
        file: Any = self._writer
        if isinstance(self._target, Path):
            file = media_url(self._target)
        with (
            self._blame(),
            av.open(encoded, "r", format="nut", options=probing) as nut,
            av.open(file, "w", self._container, options=self._options) as output,
        ):
            picture = nut.streams.video[0]
            placed = self._place(output, picture)
            self._times.delay = picture.codec_context.reorder_depth
            stream = placed[self._info.stream_index]
            for packet in nut.demux(picture):
                if not packet.size or packet.pts is None:
                    continue
                time_s = self._times.stamp(packet)
                for other in self._others.until(self._clock.source_time(time_s)):
                    self._pass_on(output, placed, other)
                self._put(output, packet, self._info.stream_index, stream)
            ends_s = self._clock.source_time(self._times.end_s)
            for other in self._others.until(ends_s) if self._cut[1] else self._others.rest():
                self._pass_on(output, placed, other)

    @contextmanager
    def _blame(self) -> Iterator[None]:
        """Keep errors of the output's reader apart from those of the encoder."""
        try:
            yield
        except Exception:
            if self._writer is None or self._writer.error is None:
                raise

    @property
    def _options(self) -> dict[str, str]:
        # The packets come in order: nothing is to wait for a stream that is silent for a while.
        options = {"max_interleave_delta": "1", "flush_packets": "1"}
        if self._container in _UNSHIFTED:
            options["avoid_negative_ts"] = "disabled"
        if self._container == "matroska" and self._prompt:
            options["cluster_time_limit"] = "0"
        return options

    def _align(self, first_s: Fraction) -> None:
        """Decide by how much all times are earlier than in the source."""
        info = self._info
        if info.format_name in {"mpegts", "mpeg"} and self._container != "mpegts":
            self._shift_s = info.container_start
        else:
            self._shift_s = min(info.container_start, Fraction(0))
        if self._cut[0]:
            self._begins_s = self._clock.source_time(first_s)
            self._shift_s += first_s - info.start_pts * info.time_base

    def _place(self, output: OutputContainer, picture: Any) -> dict[int, Any]:
        """Make the streams of the output, in the order of the source's."""
        placed: dict[int, Any] = {}
        for index in self._kept:
            source = self._source.streams[index]
            template = picture if index == self._info.stream_index else source
            stream = output.add_stream_from_template(template, opaque=True)
            stream.disposition = source.disposition.value
            stream.metadata.update(_plain(source.metadata))
            if source.type == "audio" and self._container in _UNSHIFTED:
                header = _aac_header(source, self._others.first_of(index))
                if header is not None:
                    stream.codec_context.extradata = header
                    self._framed.add(index)
            placed[index] = stream
            self.ledger.open(index, source)
        stream = placed[self._info.stream_index]
        stream.time_base = self._clock.time_base
        self._tag(stream)
        output.metadata.update(_plain(self._source.metadata))
        chapters = self._source.chapters()
        if chapters and not any(self._cut):
            output.set_chapters(chapters)
        return placed

    def _tag(self, stream: Any) -> None:
        """State what NUT did not carry from the encoder to here."""
        info, context = self._info, stream.codec_context
        before = self._source.streams[info.stream_index].codec_context
        context.framerate = self._clock.frame_rate
        for name in ("color_range", "color_primaries", "color_trc", "colorspace"):
            known = getattr(before, name)
            if getattr(context, name) in {0, _UNSPECIFIED} and info.colour.matrix is not None:
                setattr(context, name, known)
        if info.rotation_deg or info.mirrored:
            stream.set_display_rotation(info.rotation_deg, hflip=info.mirrored)

    def _pass_on(
        self, output: OutputContainer, placed: dict[int, Any], packet: av.Packet[Any]
    ) -> None:
        """Copy a packet of another stream, if it belongs to the part that is wanted."""
        index = packet.stream_index
        if index not in placed or packet.time_base is None:
            return
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None:  # broadcasts time only some packets of sound
            stamp = packet.pts = packet.dts = self._next.get(index)
        if stamp is None:
            return
        sound = self._source.streams[index].codec_context if packet.duration == 0 else None
        length = getattr(sound, "frame_size", 0) / Fraction(getattr(sound, "sample_rate", 0) or 1)
        self._next[index] = stamp + (packet.duration or round(length / packet.time_base))
        if self._begins_s is not None and stamp * packet.time_base < self._begins_s:
            return
        bare = _unframed(packet) if index in self._framed else packet
        self._put(output, bare, index, placed[index])

    def _put(
        self, output: OutputContainer, packet: av.Packet[Any], index: int, stream: Any
    ) -> None:
        shift = round(self._shift_s / packet.time_base)
        if packet.pts is not None:
            packet.pts -= shift
        if packet.dts is not None:
            packet.dts -= shift
        self.ledger.add(index, packet)
        packet.stream = stream
        output.mux(packet)


class _Times:
    """The times of the frames that are being encoded; packets come in another order.

    Args:
        clock: Counts them.

    Attributes:
        first: The first one; None before there is one.
        end_s: When the last frame ends, in seconds of the output.
        delay: Frames that the encoder may hold back to reorder them.
    """

    def __init__(self, clock: Clock) -> None:
        self.first: int | None = None
        self.delay = 0
        self._last: int | None = None
        self._clock = clock
        self._decode: deque[int] = deque()
        self._durations: dict[int, int] = {}
        self._count = 0

    @property
    def end_s(self) -> Fraction:
        """When the last frame ends, in seconds of the output."""
        return ((self._last or 0) + self._clock.step) * self._clock.time_base

    def add(self, pts: int) -> None:
        """Note the next frame."""
        if self.first is None or self._last is None:
            self.first = pts
        else:
            self._durations[self._last] = pts - self._last
        self._last = pts
        self._decode.append(pts)

    def stamp(self, packet: av.Packet[Any]) -> Fraction:
        """Give the encoder's next packet its times; returns that of decoding, in seconds.

        A frame is decoded before it is shown, so decode times are the sorted presentation times,
        `delay` frames early.
        """
        assert self.first is not None
        assert packet.pts is not None
        clock, assigned = self._clock, packet.pts * packet.time_base / self._clock.time_base
        packet.pts = self.first + round(assigned)
        if self._count < self.delay:
            packet.dts = self.first - (self.delay - self._count) * clock.step
        else:
            packet.dts = self._decode.popleft()
        packet.time_base = clock.time_base
        packet.duration = self._durations.pop(packet.pts, clock.step)
        self._count += 1
        return packet.dts * clock.time_base


class _Writer:
    """All that a muxer may know of a pipe: it cannot be sought.

    Attributes:
        error: What the reader's end failed with.
    """

    def __init__(self, target: BinaryIO) -> None:
        self.error: OSError | None = None
        self._target = target

    def write(self, data: bytes) -> int:
        """Write it all, and let it go at once."""
        try:
            write_all(self._target, data)
        except OSError as error:
            self.error = error
            raise
        return len(data)


def _aac_header(source: Any, first: av.Packet[Any] | None) -> bytes | None:
    """What these containers must know of sound before the first packet.

    Broadcasts have it in front of each packet of AAC instead, from where it is taken.
    """
    known = source.codec_context.extradata
    start = b"" if first is None else bytes(first)[:4]
    framed = len(start) == 4 and start[0] == 0xFF and start[1] & 0xF6 == 0xF0
    if known or source.codec_context.codec.canonical_name != "aac" or not framed:
        return None
    profile, rate = (start[2] >> 6) + 1, start[2] >> 2 & 15
    channels = (start[2] & 1) << 2 | start[3] >> 6
    return (profile << 11 | rate << 7 | channels << 3).to_bytes(2)


def _unframed(packet: av.Packet[Any]) -> av.Packet[Any]:
    """A packet of AAC without the header that broadcasts put in front of it."""
    import av

    data = bytes(packet)
    bare = av.Packet(data[7 if data[1] & 1 else 9 :])
    bare.pts, bare.dts, bare.time_base = packet.pts, packet.dts, packet.time_base
    bare.duration, bare.is_keyframe = packet.duration, True
    return bare


def _plain(metadata: dict[str, str]) -> dict[str, str]:
    """Tags that the user would miss; not what named the old file's encoder and its figures."""
    written = ("ENCODER", "DURATION", "_STATISTICS", "MAJOR_BRAND", "MINOR_VERSION", "COMPATIBLE")
    counted = ("BPS", "NUMBER_OF_")
    return {
        key: value
        for key, value in metadata.items()
        if not key.upper().startswith((*written, *counted))
    }


def write_all(target: BinaryIO, data: bytes) -> None:
    """Write to a pipe that may take it in parts, and keep nothing back."""
    left = memoryview(data)
    while left:
        left = left[target.write(left) :]
    target.flush()

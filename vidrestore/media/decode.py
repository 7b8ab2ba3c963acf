"""Frames of a video as native planes with the source's own timestamps."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from vidrestore.errors import FfmpegError, InputError, Stopped
from vidrestore.media.ffmpeg import FfmpegProcess, composable, keep_time_base, version
from vidrestore.media.raw import read_format, split
from vidrestore.media.stamps import Stamps

if TYPE_CHECKING:
    from vidrestore.media.probe import VideoInfo

SEEK_MARGIN_S = 1
"""Seeking aims this long before the first frame wanted; the rest is decoded and dropped."""

SEEKABLE = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"})
"""Containers whose index finds the keyframe before a time; elsewhere seeking is a guess."""

_CROPPING_SINCE = (7, 1)
"""First ffmpeg that takes off by itself what the container says."""

NUT_OFFSET_S = 2**17
"""Added to every time in the pipe, since NUT holds none below 0. It is more than the 26.5 hours
of an MPEG clock: where that wraps, the times before are negative."""

_Decoded = tuple[int, tuple[np.ndarray, ...]]


@dataclass(frozen=True)
class Frame:
    """One decoded frame.

    Attributes:
        index: Position among the frames handed out, from 0.
        pts: Presentation time in ticks of the source's time base.
        planes: Y, U, V, or G, B, R, or Y alone, and alpha if there is one; each (H, W), uint8 or
            little-endian uint16, code values of the plane format's depth, in memory of its own.
        shot: Index of the shot that the frame belongs to.
    """

    index: int
    pts: int
    planes: tuple[np.ndarray, ...]
    shot: int = 0


class Supply(Protocol):
    """Hands ffmpeg an input that cannot be opened by name or read twice."""

    @property
    def options(self) -> dict[str, str]:
        """Input options that the way of feeding needs."""

    def start(self, pipe: IO[bytes]) -> None:
        """Begin to write the input to ffmpeg; returns at once."""


class Decoder:
    """Iterator over the frames of a video, decoded by ffmpeg at the pace of the reader.

    Args:
        info: The probed input.
        ffmpeg: Path of the ffmpeg executable.
        start: First frame wanted: its index, or its time in seconds after the video's first
            frame. None is the beginning.
        end: First frame no longer wanted, given likewise. None is the end.
        supply: Writes the input to ffmpeg; None if ffmpeg can open it.
        threads: Of the decoder, each of which holds frames; None leaves it to ffmpeg.

    Attributes:
        warnings: What went wrong without being fatal; complete once the iteration is over.
    """

    def __init__(
        self,
        info: VideoInfo,
        *,
        ffmpeg: str,
        start: int | Fraction | None = None,
        end: int | Fraction | None = None,
        supply: Supply | None = None,
        threads: int | None = None,
    ) -> None:
        self.warnings: list[str] = []
        self._info = info
        self._ffmpeg = ffmpeg
        self._start = start
        self._end = end
        self._supply = supply
        self._threads = threads
        self._process: FfmpegProcess | None = None
        self._frames = self._select()

    def __iter__(self) -> Iterator[Frame]:
        """Return the iterator itself."""
        return self

    def __next__(self) -> Frame:
        """Return the next frame.

        Raises:
            InputError: If no frame of the input can be decoded.
            FfmpegError: If somebody kills ffmpeg.
        """
        return next(self._frames)

    def close(self) -> None:
        """Stop decoding and end ffmpeg; harmless when called again."""
        self._frames.close()
        if self._process is not None:
            self._process.kill()

    def __enter__(self) -> Self:
        """Return the decoder itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the decoder."""
        self.close()

    def _select(self) -> Generator[Frame, None, None]:
        """Yield the frames inside the interval, numbered from 0."""
        index = 0
        with closing(self._decode_from_start()) as decoded:
            for position, (pts, planes) in enumerate(decoded):
                if self._before(self._start, position, pts):
                    continue
                if self._end is not None and not self._before(self._end, position, pts):
                    return
                yield Frame(index, pts, planes)
                index += 1

    def _before(self, limit: int | Fraction | None, position: int, pts: int) -> bool:
        if limit is None:
            return False
        if isinstance(limit, int):
            return position < limit
        return (pts - self._info.start_pts) * self._info.time_base < limit

    def _decode_from_start(self) -> Generator[_Decoded, None, None]:
        """Decode from a keyframe before the start if seeking finds one, else from the top."""
        known = self._supply is None and self._info.format_name in SEEKABLE
        seekable = known and not isinstance(self._end, int)
        if seekable and isinstance(self._start, Fraction) and self._start > SEEK_MARGIN_S:
            frames = self._decode(seek_s=self._start - SEEK_MARGIN_S)
            first = next(frames, None)
            if first is not None and self._before(self._start, 0, first[0]):
                yield first
                yield from frames
                return
            frames.close()
        yield from self._decode(seek_s=None)

    def _decode(self, seek_s: Fraction | None) -> Generator[_Decoded, None, None]:
        count = 0
        stamps: Stamps[tuple[np.ndarray, ...]] = Stamps(self._info)
        fed = self._supply is not None
        with FfmpegProcess(self._command(seek_s), stdin=fed, stdout=True) as process:
            self._process = process
            if self._supply is not None:
                self._supply.start(process.stdin)
            for decoded in stamps.repair(self._read(process)):
                yield decoded
                count += 1
            status = process.wait()
            if stamps.repaired:
                self.warnings.append(f"{stamps.repaired} frames had timestamps out of order")
            self._judge(count, status, process.errors, whole=seek_s is None)

    def _read(self, process: FfmpegProcess) -> Generator[_Decoded, None, None]:
        """Timestamps, in any order, and planes, as ffmpeg hands them over."""
        import av

        info = self._info
        options = {"probesize": "32", "analyzeduration": "0"}
        # A live stream's frame must not wait until the buffer is full.
        stdout = process.stdout if self._supply is None else process.prompt_stdout
        # PyAV hands on errors from the reads that it does, but not what a signal raises in them.
        try:
            with Stopped.held():
                nut = av.open(stdout, "r", format="nut", options=options, buffer_size=1 << 20)
            with nut:
                packets = nut.demux()
                while True:
                    with Stopped.held():
                        packet = next(packets, None)
                    if packet is None or 0 < packet.size < _frame_bytes(info):
                        break  # the end; or ffmpeg died in the middle of it
                    if packet.size and packet.pts is not None:
                        ticks = round(packet.pts * packet.time_base / info.time_base)
                        yield ticks - _nut_offset(info), split(packet, info)
        except (av.error.EOFError, av.error.InvalidDataError):
            pass  # ffmpeg ended early; what it said is judged at the end

    def _command(self, seek_s: Fraction | None) -> list[str]:
        import ffmpeg

        info = self._info
        url, options = info.source
        asked: dict[str, Any] = {**options, "noautorotate": None, "copyts": None}
        if info.image_pattern is not None:
            asked["f"] = "image2"
        if self._supply is not None:
            url = "pipe:0"
            asked |= self._supply.options
        if self._threads is not None:
            asked["threads"] = self._threads
        if info.crop is not None and version(self._ffmpeg) >= _CROPPING_SINCE:
            asked["apply_cropping"] = "codec"  # the same is left to do for every ffmpeg
        if seek_s is not None:
            asked["ss"] = f"{float(seek_s):.6f}"
            asked["noaccurate_seek"] = None
        video = ffmpeg.input(composable(url), **asked)[str(info.stream_index)]
        pix_fmt = read_format(info)
        if info.pix_fmt != pix_fmt:
            # The same range on both sides: left alone, old ffmpegs make full range limited.
            video = video.filter("scale", in_range="pc", out_range="pc")
            video = video.filter("format", pix_fmt)
        if info.crop is not None:
            left, _, top, _ = info.crop
            video = video.filter("crop", info.width, info.height, left, top, exact=1)
        if info.deinterlace is not None:
            parity = info.deinterlace
            video = video.filter("bwdif", mode="send_frame", parity=parity, deint="all")
        # A filter, since old ffmpeg has made the ticks finer before a bitstream filter sees them.
        video = video.filter("setpts", f"PTS+round({NUT_OFFSET_S}/TB)")
        argv: list[str] = ffmpeg.output(
            video,
            "pipe:1",
            **{"f": "nut", "c:v": "rawvideo", "pix_fmt": pix_fmt},
            **{"fps_mode": "passthrough", "avoid_negative_ts": "disabled"},
            # ffmpeg keeps eight packets between its threads, which here are whole frames.
            **({"thread_queue_size": "1"} if self._sparing else {}),
            # With decode times of its own, a frame is written wherever its timestamp lies. The
            # index is left out: nobody seeks in a pipe, and it wants timestamps in order.
            **{"bsf:v": "setts=pts=PTS:dts=N", "write_index": "0"},
            # Nothing is held back: neither a part of a frame nor a frame for each thread.
            **({} if self._supply is None else {"flush_packets": "1", "threads": "1"}),
            **keep_time_base(self._ffmpeg),
        ).compile(cmd=self._ffmpeg)
        return argv

    @property
    def _sparing(self) -> bool:
        """Whether ffmpeg is to hold few frames, and knows how; version 5 has no such queue."""
        return self._threads is not None and version(self._ffmpeg) >= (6, 1)

    def _judge(self, count: int, status: int, errors: list[str], *, whole: bool) -> None:
        """Turn the end of ffmpeg into an error or into warnings."""
        info = self._info
        reason = f": {errors[0]}" if errors else ""
        if status < 0:  # by nothing in the input: it must not pass for its end
            raise FfmpegError(
                f"ffmpeg was killed by signal {-status} while decoding",
                hint="free some memory if that was the reason, then run again",
            )
        if count == 0 and whole:
            raise InputError(
                f"{info.path}: no frame could be decoded{reason}",
                hint="the file is damaged; copy or download it again",
            )
        damaged = bool(status or errors)
        expected = info.frames
        if whole and expected is not None and _falls_short(count, info, damaged):
            self.warnings.append(f"only {count} of {expected} frames could be decoded{reason}")
        elif damaged:
            self.warnings.append(f"ffmpeg reported damage while decoding{reason}")


def _frame_bytes(info: VideoInfo) -> int:
    """Size of a raw frame."""
    samples = sum(height * width for height, width in info.plane_shapes)
    return samples * (1 if info.bit_depth == 8 else 2)


def _nut_offset(info: VideoInfo) -> int:
    """`NUT_OFFSET_S` in ticks of the source."""
    return round(NUT_OFFSET_S / info.time_base)


def _falls_short(count: int, info: VideoInfo, damaged: bool) -> bool:
    """Whether frames are missing; a healthy file's estimate may be off by a little."""
    expected = info.frames or 0
    if damaged:
        return count < expected
    # Without the video's own duration the estimate rests on the longest stream's.
    return info.duration_pts is not None and count < expected - max(1, expected // 50)

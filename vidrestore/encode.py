"""Frames to segment files: one ffmpeg per segment, fed raw planes through NUT."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from vidrestore.clock import Clock
from vidrestore.codecs import ENCODERS, EncodeSettings, output_pix_fmt
from vidrestore.errors import CheckError, OutputError
from vidrestore.ffmpeg import FfmpegProcess, keep_time_base, media_url

if TYPE_CHECKING:
    from vidrestore.decode import Frame
    from vidrestore.probe import VideoInfo
    from vidrestore.tags import ColourTags

_FASTEST_NOMINAL_RATE = Fraction(240)
"""SVT-AV1 opens for no more. The nominal rate only guides encoders; timestamps tell the time."""


@dataclass(frozen=True)
class SegmentFile:
    """A finished, verified segment on disk.

    Attributes:
        path: NUT file whose timestamps count from the segment's first frame.
        frames: Number of frames in it.
        size_bytes: Size of the file.
        sha256: Hash of the file, hexadecimal.
    """

    path: Path
    frames: int
    size_bytes: int
    sha256: str


class SegmentEncoder:
    """Encodes one segment. Use as a context manager: leaving by an exception ends ffmpeg.

    Args:
        info: The input, whose planes, colour tags and pixel shape are kept.
        settings: Codec and quality.
        path: NUT file to write; overwritten.
        ffmpeg: Path of the ffmpeg executable.
        clock: The output's time base and nominal rate; None for the input's own.

    Raises:
        UsageError: If the codec cannot hold such video.
    """

    def __init__(
        self,
        info: VideoInfo,
        settings: EncodeSettings,
        path: Path,
        *,
        ffmpeg: str,
        clock: Clock | None = None,
    ) -> None:
        import av

        clock = clock or Clock.of(info)
        self._time_base = clock.time_base
        self._path = path
        self._pts: list[int] = []
        self._process = FfmpegProcess(_command(info, settings, path, ffmpeg), stdin=True)
        self._nut = av.open(self._process.stdin, "w", format="nut", buffer_size=1 << 20)
        self._stream = self._nut.add_stream("rawvideo", rate=_nominal(clock.frame_rate))
        self._stream.width = info.width
        self._stream.height = info.height
        self._stream.pix_fmt = info.plane_format
        self._stream.time_base = clock.time_base

    def write(self, frame: Frame) -> None:
        """Encode the next frame.

        Args:
            frame: Planes of the input's shapes and depth, and a PTS in ticks of the output, later
                than the last one's.

        Raises:
            FfmpegError: If the encoder has died.
            OutputError: If the disk is full.
        """
        import av

        packet = av.Packet(b"".join(plane.tobytes() for plane in frame.planes))
        self._pts.append(frame.pts)
        packet.pts = packet.dts = frame.pts - self._pts[0]
        packet.time_base = self._time_base
        packet.stream = self._stream
        packet.is_keyframe = True
        self._guard(lambda: self._nut.mux(packet))

    def close(self) -> SegmentFile:
        """Finish the segment, check that every frame is in it, and flush it to the disk.

        Returns:
            The file, ready for the journal.

        Raises:
            FfmpegError: If the encoder failed.
            OutputError: If the disk is full.
            CheckError: If the file does not hold exactly the frames written.
        """
        self._guard(self._nut.close)
        self._process.finish()
        written = [pts - self._pts[0] for pts in self._pts]
        if _timestamps(self._path, self._time_base) != written:
            raise CheckError(
                f"segment {self._path.name} does not hold the frames written to it",
                hint="run again; if it happens again, try another --codec",
            )
        with self._path.open("rb") as file:
            os.fsync(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return SegmentFile(self._path, len(self._pts), self._path.stat().st_size, digest)

    def __enter__(self) -> Self:
        """Return the encoder itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End ffmpeg if it still runs."""
        self._process.kill()

    def _guard(self, step: Any) -> None:
        """Turn a pipe that broke because ffmpeg died into ffmpeg's own message."""
        import av

        try:
            step()
        except (OSError, ValueError, av.error.FFmpegError) as error:
            self._process.finish()
            raise OutputError(f"cannot write {self._path}: {error}", hint="run again") from error


def _nominal(frame_rate: Fraction) -> Fraction:
    """The nearest rate that every encoder takes."""
    return min(frame_rate, _FASTEST_NOMINAL_RATE).limit_denominator(1_000_000)


def colour_options(colour: ColourTags) -> dict[str, str]:
    """Spell the known colour tags as ffmpeg options."""
    tags = {
        "color_range": colour.range,
        "colorspace": colour.matrix,
        "color_primaries": colour.primaries,
        "color_trc": colour.transfer,
        "chroma_sample_location": colour.chroma_location,
    }
    return {option: tag for option, tag in tags.items() if tag is not None}


def _command(info: VideoInfo, settings: EncodeSettings, path: Path, ffmpeg: str) -> list[str]:
    import ffmpeg as compose

    encoder = ENCODERS[settings.codec]
    pix_fmt = output_pix_fmt(info, settings)
    # Tags given only on the output would make ffmpeg convert the planes to match them.
    video = compose.input("pipe:0", f="nut", **colour_options(info.colour))["v:0"]
    colour_range, matrix = info.colour.range, info.colour.matrix
    if info.sar is not None:
        video = video.filter("setsar", f"{info.sar.numerator}/{info.sar.denominator}")
    if pix_fmt != info.plane_format:
        if info.plane_format.startswith("gbrp"):
            colour_range, matrix = "tv", "bt709"
        video = video.filter(
            "scale",
            flags="bicubic+accurate_rnd+full_chroma_int+full_chroma_inp",
            **{} if matrix is None else {"out_color_matrix": matrix},
            **{} if colour_range is None else {"out_range": colour_range},
        )
    options = {
        "c:v": encoder.name,
        "pix_fmt": pix_fmt,
        "color_range": colour_range,
        "colorspace": matrix,
        "crf": encoder.crf if settings.crf is None else settings.crf,
        "preset": settings.preset or encoder.preset,
        "threads": settings.threads,
        **encoder.options,
    }
    argv: list[str] = compose.output(
        video,
        media_url(path),
        **{"f": "nut", "copyts": None, "fps_mode": "passthrough", "flags": "+cgop"},
        **{"avoid_negative_ts": "disabled"},
        **{name: str(value) for name, value in options.items() if value is not None},
        **keep_time_base(ffmpeg),
    ).compile(cmd=ffmpeg)
    return argv


def _timestamps(segment: Path, time_base: Fraction) -> list[int]:
    """Presentation times in a segment, sorted, in ticks of the time base given."""
    import av

    with av.open(media_url(segment), format="nut") as nut:
        return sorted(
            round(packet.pts * packet.time_base / time_base)
            for packet in nut.demux(video=0)
            if packet.size and packet.pts is not None
        )

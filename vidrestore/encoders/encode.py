"""Frames to segment files: one ffmpeg per segment, fed raw planes through NUT."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from vidrestore.encoders.encoding import EncodingPlan, encode_command, frame_times
from vidrestore.errors import CheckError, OutputError
from vidrestore.media.clock import Clock
from vidrestore.media.ffmpeg import FfmpegProcess, media_url
from vidrestore.media.rawpipe import RawPipe

if TYPE_CHECKING:
    from vidrestore.media.decode import Frame


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
        plan: How, and what the frames are.
        path: NUT file to write; overwritten.
        clock: The output's time base and nominal rate; None for the input's own.
    """

    def __init__(self, plan: EncodingPlan, path: Path, *, clock: Clock | None = None) -> None:
        clock = clock or Clock.of(plan.source)
        self._plan = plan
        self._time_base = clock.time_base
        self._path = path
        self._pts: list[int] = []
        self._process = FfmpegProcess(encode_command(plan, media_url(path), clock), stdin=True)
        self._pipe = RawPipe(self._process.stdin, plan.source, clock)

    def write(self, frame: Frame) -> None:
        """Encode the next frame.

        Args:
            frame: Planes of the input's shapes and depth, and a PTS in ticks of the output, later
                than the last one's.

        Raises:
            FfmpegError: If the encoder has died.
            OutputError: If the disk is full.
        """
        self._pts.append(frame.pts)
        self._guard(lambda: self._pipe.write(frame.planes, frame.pts - self._pts[0]))

    def close(self) -> SegmentFile:
        """Finish the segment, check that every frame is in it, and flush it to the disk.

        Returns:
            The file, ready for the journal.

        Raises:
            FfmpegError: If the encoder failed.
            OutputError: If the disk is full.
            CheckError: If the file does not hold exactly the frames written.
        """
        self._guard(self._pipe.close)
        self._process.finish()
        written = [pts - self._pts[0] for pts in self._pts]
        if frame_times(self._path, self._time_base) != written:
            filters = self._plan.post
            raise CheckError(
                f"segment {self._path.name} does not hold the frames written to it",
                hint="run again; if it happens again, try another --codec"
                if filters is None
                else f"the filters of --post must keep the number of frames: {filters}",
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

"""A video that comes through a pipe: looked into once, then handed on as it is read.

What has been read for the look is kept and handed on first, so nothing is read twice. From then
on every byte goes to ffmpeg, which decodes the picture, and past a demuxer of our own, which
takes out the packets of all other streams. The pace is that of the decoder: while it does not
read, neither do we.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from vidrestore.errors import InputError
from vidrestore.media.backlog import Backlog
from vidrestore.media.ffmpeg import FORMAT_WHITELIST
from vidrestore.media.limits import Limits

if TYPE_CHECKING:
    import av

    from vidrestore.media.probe import VideoInfo

HEAD_BYTES = 64 << 20
"""The most that is read to find out what a stream is: one raw frame of 4K at 16 bits fits in."""

CHUNK_BYTES = 1 << 18

_STREAMABLE = "pipe Matroska, MPEG-TS, NUT, Y4M or fragmented MP4"


class Inlet:
    """A video on its way through a pipe.

    Args:
        source: Where it comes from; only read, never sought.
        frames: Frames to decode for the look, so that the head holds so many if there are.
        limits: What it may hold.

    Attributes:
        container: What has been opened; its streams are templates of those of the output.
        others: Packets of every stream but the picture, from `start` on.

    Raises:
        InputError: If what comes is no video, or none that can be read from front to back.
    """

    def __init__(self, source: BinaryIO, *, frames: int, limits: Limits) -> None:
        self._limits = limits
        self.others = Backlog(waits=False)
        self._tap = _Tap(source)
        self._seen: list[av.Packet[Any]] = []
        self._stopped = False
        self._thread: threading.Thread | None = None
        self._picture = -1
        self._packets = self._look(frames)

    @property
    def options(self) -> dict[str, str]:
        """Input options for the decoder, which is told what has been found already."""
        return {"f": self.container.format.name.split(",")[0], "fpsprobesize": "0"}

    def head(self, folder: Path) -> Path:
        """Write what has been read so far into a file, to be probed."""
        path = folder / "head"
        path.write_bytes(self._tap.head)
        return path

    def keep_others(self, picture: int) -> None:
        """Take all streams but one from the input, not only the picture.

        Args:
            picture: Index of the stream that is restored.
        """
        self._picture = picture

    def start(self, pipe: IO[bytes]) -> None:
        """Begin to hand on the input, as `decode.Supply` has it."""
        self._tap.connect(pipe)
        self._thread = threading.Thread(target=self._run, name="inlet", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let the decoder see the end, even while nothing comes; harmless when called again."""
        self._tap.close()
        self.others.end()

    def _look(self, frames: int) -> Iterator[av.Packet[Any]]:
        import av

        try:
            options = {
                **{"format_whitelist": FORMAT_WHITELIST, "protocol_whitelist": "pipe"},
                **{"fpsprobesize": "0"},
                **self._limits.decoder_options,
            }
            self.container = av.open(self._tap, "r", options=options)
            self._limits.demand("the pipe", self.container)
            if not self.container.streams.video:
                raise InputError("there is no video in the pipe", hint="pipe a video into it")
            packets = self.container.demux()
            self._decode_some(packets, frames)
        except av.error.FFmpegError as error:
            if not self._tap.head:
                raise InputError(
                    "nothing came through the pipe",
                    hint="see whether the command that writes into it failed",
                ) from error
            raise InputError(
                f"what came through the pipe is not readable as a video: {error.strerror}",
                hint=_STREAMABLE,
            ) from error
        return packets

    def _decode_some(self, packets: Iterator[av.Packet[Any]], frames: int) -> None:
        """Read on until so many frames have been seen, or so much that it must be enough."""
        import av

        best = self.container.streams.best("video")
        found = 0
        for packet in packets:
            self._seen.append(packet)
            if packet.stream is best:
                try:
                    found += len(packet.decode())
                except av.error.InvalidDataError:
                    continue  # joined in the middle of a broadcast: wait for a whole frame
            if found >= frames or (found and len(self._tap.head) > HEAD_BYTES // 2):
                return

    def _run(self) -> None:
        """Read to the end; the tap hands every byte on."""
        import av

        try:
            self._tap.hand_on_head()
            if self._picture < 0:
                self._tap.pump()
                return
            for packet in self._seen:
                self._keep(packet)
            self._seen.clear()
            for packet in self._packets:
                self._keep(packet)
            self._tap.pump()  # the demuxer may end before the file does
        except _ClosedError:
            pass  # the decoder wants no more
        except (av.error.FFmpegError, OSError):
            self._drain()
        except BaseException as error:
            self.others.fail(error)
        finally:
            self._tap.close()
            self.others.end()

    def _drain(self) -> None:
        """The demuxer gave up on damage; the decoder may know better."""
        try:
            self._tap.pump()
        except (_ClosedError, OSError):
            return

    def _keep(self, packet: av.Packet[Any]) -> None:
        if packet.size and packet.stream_index != self._picture:
            self.others.put(packet)


class _ClosedError(Exception):
    """The decoder reads no more."""


class _Tap:
    """Reads a pipe for a demuxer, remembers the head, and hands all on once connected."""

    def __init__(self, source: BinaryIO) -> None:
        self.head = bytearray()
        # Unlike read(), which waits until it has all that it was asked for.
        self._some: Any = getattr(source, "read1", source.read)
        self._pipe: IO[bytes] | None = None
        self._closed = False
        self._writing = threading.Lock()

    def read(self, size: int) -> bytes:
        """What comes next, at most `size` bytes; nothing at the end."""
        chunk: bytes = b"" if self._closed else self._some(size) or b""
        if self._pipe is not None:
            self._write(chunk)
            return chunk
        self.head += chunk
        if len(self.head) > HEAD_BYTES:
            raise InputError(
                f"no frame in the first {HEAD_BYTES >> 20} MiB of the pipe", hint=_STREAMABLE
            )
        if _index_is_last(self.head):
            raise InputError(
                "an MP4 whose index (moov) comes last cannot be read from a pipe",
                hint="give the file itself, or write it with -movflags +faststart",
            )
        return chunk

    def connect(self, pipe: IO[bytes]) -> None:
        """From now on, hand on what is read."""
        self._pipe = pipe

    def hand_on_head(self) -> None:
        """Write what was read before, and forget it."""
        head, self.head = self.head, bytearray()
        self._write(bytes(head))

    def pump(self) -> None:
        """Hand on everything to the end."""
        while self.read(CHUNK_BYTES):
            pass

    def close(self) -> None:
        """Show the decoder the end, unless it is being written to; then that does it."""
        self._closed = True
        if self._writing.acquire(blocking=False):
            try:
                self._close_pipe()
            finally:
                self._writing.release()

    def _write(self, chunk: bytes) -> None:
        assert self._pipe is not None
        with self._writing:
            try:
                if chunk and not self._closed:
                    self._pipe.write(chunk)
                    self._pipe.flush()
            except (OSError, ValueError) as error:
                raise _ClosedError from error
            finally:
                if self._closed:
                    self._close_pipe()
        if self._closed:
            raise _ClosedError

    def _close_pipe(self) -> None:
        try:
            if self._pipe is not None:
                self._pipe.close()
        except OSError:
            return  # it closed its end first


def _index_is_last(head: bytearray) -> bool:
    """Whether this begins as an MP4 that has its media before its index."""
    at = 0
    while at + 8 <= len(head):
        size, kind = int.from_bytes(head[at : at + 4]), bytes(head[at + 4 : at + 8])
        if at == 0 and kind != b"ftyp":
            return False
        if kind == b"mdat":
            return True
        if kind == b"moov" or size < 8:
            return False
        at += size
    return False


class Aside:
    """The other streams of a file whose picture is restored into a pipe.

    Args:
        info: The file.

    Attributes:
        container: As of `Inlet`.
        others: As of `Inlet`.
    """

    def __init__(self, info: VideoInfo) -> None:
        import av

        url, options = info.source
        form = None if info.image_pattern is None else "image2"
        self.container = av.open(url, format=form, options=options)
        self.others = Backlog(waits=True)
        self._picture = info.stream_index

    def start(self) -> None:
        """Begin to read, in a thread."""
        if len(self.container.streams) == 1:
            self.others.end()
            return
        threading.Thread(target=self._run, name="aside", daemon=True).start()

    def stop(self) -> None:
        """Read no more."""
        self.others.end()

    def _run(self) -> None:
        import av

        try:
            for packet in self.container.demux():
                other = packet.size and packet.stream_index != self._picture
                if other and not self.others.put(packet):
                    return
        except (av.error.FFmpegError, OSError):
            pass  # damage: what the decoder makes of it counts
        except BaseException as error:
            self.others.fail(error)
        finally:
            self.others.end()

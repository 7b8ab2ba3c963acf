"""Finding ffmpeg and running it."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from vidrestore.errors import FfmpegError, OutputError

HOUSE_OPTIONS = ("-hide_banner", "-nostdin", "-y", "-loglevel", "repeat+level+warning")
"""Options of every call: levels are printed so that errors can be told from warnings."""

FORMAT_WHITELIST = (
    "matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,avi,mpegts,mpeg,mpegvideo,nut,flv,asf,ogg,mxf,gif,apng,"
    "yuv4mpegpipe,dv,h264,hevc,av1,obu,ivf,m4v,mjpeg,rm,png_pipe,jpeg_pipe,tiff_pipe,"
    "bmp_pipe,webp_pipe,ppm_pipe,pgm_pipe,mp3,aac,flac,wav,srt,ass,webvtt"
)
"""Containers that hold their own data. Playlists (concat, HLS, DASH) can name other files and
URLs, so a file that claims to be one is refused."""

SAFE_INPUT = {"protocol_whitelist": "file,pipe", "format_whitelist": FORMAT_WHITELIST}
"""Input options, the same for ffmpeg and PyAV, for every file that we did not write ourselves."""


def find_ffmpeg(explicit: str | None = None) -> str:
    """Find the ffmpeg to use: `explicit`, else `$VIDRESTORE_FFMPEG`, else the bundled one.

    Args:
        explicit: Path or name of an ffmpeg executable, or None.

    Returns:
        The path of the executable.

    Raises:
        FfmpegError: If the executable named does not exist, or none is bundled.
    """
    named = explicit or os.environ.get("VIDRESTORE_FFMPEG")
    if named:
        found = shutil.which(named)
        if found is None:
            raise FfmpegError(
                f"no ffmpeg executable at {named}",
                hint="correct --ffmpeg or $VIDRESTORE_FFMPEG, or unset it to use the bundled one",
            )
        return found
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise FfmpegError(
            "the imageio-ffmpeg package has no ffmpeg for this system",
            hint="install ffmpeg and name it with --ffmpeg or $VIDRESTORE_FFMPEG",
        ) from error


@lru_cache
def version(ffmpeg: str) -> tuple[int, int]:
    """Ask an ffmpeg for its version.

    Args:
        ffmpeg: Path of the executable.

    Returns:
        Major and minor version; (99, 0) for a development build, which carries no number.

    Raises:
        FfmpegError: If the executable does not run or is not ffmpeg.
    """
    with FfmpegProcess([ffmpeg, "-version"], stdout=True) as process:
        banner = process.stdout.read().decode(errors="replace")
        process.finish()
    if not banner.startswith("ffmpeg version"):
        raise FfmpegError(f"{ffmpeg} is not ffmpeg", hint="correct --ffmpeg or $VIDRESTORE_FFMPEG")
    numbered = re.match(r"ffmpeg version n?(\d+)\.(\d+)", banner)
    return (int(numbered[1]), int(numbered[2])) if numbered else (99, 0)


def keep_time_base(ffmpeg: str) -> dict[str, str]:
    """Output option that makes an encoder count time in its input's time base."""
    return {"enc_time_base:v": "demux" if version(ffmpeg) >= (6, 1) else "-1"}


def media_url(path: Path) -> str:
    """Spell a path so that ffmpeg takes it literally, whatever it begins with or holds."""
    return f"file:{path.absolute()}"


_NO_TEXT = {0xDC80 + byte: 0x10FF00 + byte for byte in range(128)}
"""Bytes of a name that are no UTF-8, as Python has them, to letters that nobody uses."""


def composable(url: str) -> str:
    """Spell a URL so that ffmpeg-python takes it, which wants text; `FfmpegProcess` undoes it."""
    return url.translate(_NO_TEXT)


def _with_bytes(word: str) -> str:
    return word.translate({letter: byte for byte, letter in _NO_TEXT.items()})


_BIND = (
    "import ctypes, os, sys\n"
    "ctypes.CDLL(None).prctl(1, 9)\n"  # PR_SET_PDEATHSIG, SIGKILL
    "os.getppid() == int(sys.argv[1]) and os.execv(sys.argv[2], sys.argv[2:])"
)
"""Program that asks to be killed when its parent dies and becomes another one.

It stands in for setpriv. What Python could do between fork and exec takes longer by far: it
copies the page tables of all our memory."""

_spawner: ThreadPoolExecutor | None = None


def spawn(start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Start a process from the one thread that lives as long as we do.

    Linux kills a child when the *thread* that started it ends.
    """
    global _spawner
    if _spawner is None:
        _spawner = ThreadPoolExecutor(1, thread_name_prefix="spawner")
    return _spawner.submit(start).result()


def _forget_spawner() -> None:
    """Threads do not survive a fork, and the parent is another one."""
    global _spawner
    _spawner = None
    binder.cache_clear()


os.register_at_fork(after_in_child=_forget_spawner)


@lru_cache
def binder() -> tuple[str, ...]:
    """Words before a command that have Linux kill it when we die, however we do."""
    if sys.platform != "linux":
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is not None:
        bound = (setpriv, "--pdeathsig", "KILL", "--")
        if subprocess.run([*bound, setpriv, "--version"], capture_output=True).returncode == 0:
            return bound
    return (sys.executable, "-I", "-S", "-c", _BIND, str(os.getpid())) if sys.executable else ()


class FfmpegProcess:
    """One running ffmpeg, its pipes, and a thread that drains its messages.

    Leaving the context kills the process if it still runs, so an exception never leaves an
    ffmpeg behind. If we are killed ourselves, Linux kills ffmpeg too; elsewhere its pipes close.
    Signals of the terminal do not reach it: they are for us to answer.

    Args:
        argv: Executable and arguments; the house options are added.
        stdin: Whether we write to its standard input.
        stdout: Whether we read its standard output.

    Raises:
        FfmpegError: If the executable cannot be started.
    """

    def __init__(self, argv: Sequence[str], *, stdin: bool = False, stdout: bool = False) -> None:
        bound = binder()
        try:
            if shutil.which(argv[0]) is None:  # or the binder would complain of it
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            self._process = spawn(
                lambda: subprocess.Popen(
                    [*bound, argv[0], *HOUSE_OPTIONS, *map(_with_bytes, argv[1:])],
                    stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                    stdout=subprocess.PIPE if stdout else subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    process_group=0,
                )
            )
        except OSError as error:
            raise FfmpegError(
                f"cannot run {argv[0]}: {error.strerror}",
                hint="correct --ffmpeg or $VIDRESTORE_FFMPEG",
            ) from error
        self._messages: deque[str] = deque(maxlen=100)
        self._drain = threading.Thread(target=self._read_messages, daemon=True)
        self._drain.start()

    def _read_messages(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        with stderr:
            for line in stderr:  # an undrained pipe would stall ffmpeg once it is full
                self._messages.append(line.decode(errors="replace").rstrip())

    @property
    def stdin(self) -> IO[bytes]:
        """The pipe into ffmpeg."""
        assert self._process.stdin is not None, "started without stdin"
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        """The pipe out of ffmpeg."""
        assert self._process.stdout is not None, "started without stdout"
        return self._process.stdout

    @property
    def prompt_stdout(self) -> IO[bytes]:
        """The pipe out of ffmpeg, whose reads return what there is instead of waiting for more."""
        return self.stdout.raw  # type: ignore[attr-defined,no-any-return]

    @property
    def errors(self) -> list[str]:
        """The errors that ffmpeg has printed lately, without their origin, oldest first."""
        faults = [line for line in self._messages if re.search(r"\[(error|fatal|panic)\]", line)]
        return [re.sub(r"^(\[[^\]]*\] )*", "", line) for line in faults]

    def feed(self, chunks: Iterable[bytes]) -> None:
        """Write all of its input and end it. If it dies meanwhile, its exit status tells why."""
        try:
            for chunk in chunks:
                self.stdin.write(chunk)
            self.stdin.close()
        except (OSError, ValueError):
            return

    def wait(self) -> int:
        """Close our end of stdin, wait for the end, and return the exit status."""
        self._close_pipes()
        status = self._process.wait()
        self._drain.join()
        return status

    def died(self, grace_s: float) -> bool:
        """Whether it has ended with an error by itself, or does so in a moment."""
        try:
            return self._process.wait(grace_s) != 0
        except subprocess.TimeoutExpired:
            return False

    def finish(self) -> None:
        """Wait for the end of a run that must have succeeded.

        Raises:
            OutputError: If the disk is full.
            FfmpegError: If ffmpeg failed otherwise; the message is its own.
        """
        status = self.wait()
        if status != 0:
            raise self.failure()

    def failure(self) -> FfmpegError | OutputError:
        """The exception that tells why this process ended with an error."""
        errors = self.errors
        if any("No space left on device" in line for line in errors):
            return OutputError("the disk is full", hint="free some space, then run again")
        status = self._process.returncode
        reason = "; ".join(errors[:3]) or f"exit status {status}, no message"
        return FfmpegError(f"ffmpeg failed: {reason}", hint="run again with --debug for details")

    def kill(self) -> None:
        """End the process now, if it still runs, and reap it."""
        if self._process.poll() is None:
            self._process.kill()
        self._close_pipes()
        self._process.wait()
        self._drain.join()

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue  # it died first; its exit status and messages tell more

    def __enter__(self) -> Self:
        """Return the process itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Kill the process if it still runs."""
        self.kill()

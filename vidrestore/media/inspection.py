"""Looking into files from strangers, in a process that they may crash, stall or fill.

One server process waits, with PyAV loaded, and never touches a file itself. For each file it
forks a process that has one look, under limits on time and memory, and whose answer is plain
data. So a look costs milliseconds once the server runs, and nothing that happens in one reaches
the next.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from vidrestore import errors
from vidrestore.errors import InputError, VidrestoreError
from vidrestore.media.hdr import HdrMetadata, MasteringDisplay
from vidrestore.media.limits import Limits
from vidrestore.media.probe import StreamInfo, VideoInfo, probe
from vidrestore.media.tags import ColourTags

_GRACE_S = 30
"""The server may take this long to start on a busy machine, and to say that a look has ended."""

_ANSWER_BYTES = 16 << 20

_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[1:]; from vidrestore.media.inspection import serve; serve()"
)

_GARBLED = (OSError, ValueError, TypeError, KeyError, ArithmeticError)
"""What an answer that is none raises when it is read."""

_PLAIN = {
    kind.__name__: kind
    for kind in (VideoInfo, StreamInfo, ColourTags, HdrMetadata, MasteringDisplay, Limits)
}


def inspect(
    path: Path, framerate: Fraction | None = None, limits: Limits | None = None
) -> VideoInfo:
    """Look into a file or a folder of images as `probe` does, without trusting it.

    Args:
        path: The file or folder.
        framerate: Frames per second of a folder of images (25 if None).
        limits: What it may hold and cost; None for the defaults.

    Returns:
        What `probe` returns.

    Raises:
        InputError: As `probe`; or if the file goes beyond the limits, or crashes the decoder.
        UsageError: If the folder holds videos instead of images.
    """
    limits = limits or Limits()
    try:
        folder = str(Path.cwd())
    except FileNotFoundError:  # it has been deleted; an absolute path still leads somewhere
        folder = "/"
    request = {"path": path, "framerate": framerate, "limits": limits, "folder": folder}
    info = _result(_SERVER.ask(request, limits.seconds), path, limits)
    limits.demand_pixels(path, info.width, info.height)
    return replace(info, path=path)


def prepare() -> None:
    """Start the server now, so that it is there when the first file is to be looked into."""
    _SERVER.start()


def _result(answer: Mapping[str, Any], path: Path, limits: Limits) -> VideoInfo:
    """The answer of a look as a value or an exception."""
    info = answer.get("info")
    if isinstance(info, VideoInfo):
        return info
    kind = getattr(errors, str(answer.get("error")), None)
    if isinstance(kind, type) and issubclass(kind, VidrestoreError):
        raise kind(str(answer["message"]), hint=answer["hint"])
    if answer.get("died") == signal.SIGALRM:
        raise InputError(
            f"{path} could not be looked into within {limits.seconds} s",
            hint=f"--limits seconds={limits.seconds * 10} if you trust the file",
        )
    raise InputError(
        f"{path} made the decoder crash ({answer.get('died')})",
        hint="the file is damaged or malicious; copy or download it again",
    )


class _Server:
    """The process that waits for files to look into; started when first needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the process, and do not wait for it."""
        with self._lock:
            self._running()

    def ask(self, request: object, seconds: float) -> Mapping[str, Any]:
        """Have one look; a server that does not answer is ended, and another started next time."""
        with self._lock:
            try:
                return self._answer(request, seconds + _GRACE_S)
            except BaseException as error:  # a late answer must not be taken for the next one's
                self.close()
                if isinstance(error, _GARBLED):
                    return {"died": "no answer"}
                raise

    def _answer(self, request: object, seconds: float) -> Mapping[str, Any]:
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(_dumps(request))
        answer: Mapping[str, Any] = _loads(_read_line(process.stdout.fileno(), seconds))
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        process = self._process
        if process is not None and self._owner == os.getpid() and process.poll() is None:
            return process
        # Where modules are found is told, so that the current folder does not count. A session of
        # its own keeps Ctrl-C from it; it ends when its standard input does.
        process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-c",
                _PROGRAM,
                *(str(Path(entry).absolute()) for entry in sys.path),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        self._process, self._owner = process, os.getpid()
        return process

    def close(self) -> None:
        """End the server and whatever it looks into."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        if process.poll() is None:
            with suppress(ProcessLookupError):  # it ended just now
                os.killpg(process.pid, signal.SIGKILL)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait()


_SERVER = _Server()
atexit.register(_SERVER.close)


def serve() -> None:
    """Be the server: answer requests until standard input ends. Also returns in each fork."""
    import av  # noqa: F401  # loaded once, for all

    for end in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        signal.signal(end, signal.SIG_DFL)
    while True:
        try:
            request = _read_line(0, None)
        except (OSError, ValueError):
            return
        answers, to_server = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(answers)
            _look(request, to_server)
            return
        os.close(to_server)
        answer = _await(child, answers)
        if answer is None:
            return
        os.write(1, answer)


def _await(child: int, answers: int) -> bytes | None:
    """What the look says, or how it died; None if nobody wants to know any more."""
    said = b""
    while True:
        ready, _, _ = select.select([0, answers], [], [])
        if 0 in ready:  # nobody asks before they have been answered, so this is the end
            os.kill(child, signal.SIGKILL)
            return None
        chunk = os.read(answers, 1 << 16)
        if not chunk or len(said) > _ANSWER_BYTES:
            break
        said += chunk
    os.close(answers)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return _dumps({"died": os.WTERMSIG(status)})
    return said if said.endswith(b"\n") else _dumps({"died": status})


def _look(request: bytes, out: int) -> None:
    """Have the look, under its limits, and write the answer."""
    asked = _loads(request)
    limits, path = asked["limits"], asked["path"]
    answer: dict[str, object]
    try:
        os.chdir(asked["folder"])
        _confine(limits)
        answer = {"info": probe(path, asked["framerate"], limits)}
    except VidrestoreError as error:
        answer = {"error": type(error).__name__, "message": str(error), "hint": error.hint}
    except MemoryError:
        answer = {
            "error": "InputError",
            "message": f"{path} needs more than {limits.memory >> 20} MiB to be looked into",
            "hint": f"--limits memory={limits.memory >> 19}M if you trust the file",
        }
    except Exception as error:  # a library stumbled over what it read
        cause = " ".join(str(error).split()) or type(error).__name__
        answer = {
            "error": "InputError",
            "message": f"{path} cannot be read as a video: {cause}",
            "hint": "the file is damaged; copy or download it again",
        }
    with open(out, "wb") as pipe:
        pipe.write(_dumps(answer))


def _confine(limits: Limits) -> None:
    """Bound what this process can use; the kernel ends it when its time is up."""
    import resource

    signal.setitimer(signal.ITIMER_REAL, limits.seconds)
    for kind, bound in (
        (resource.RLIMIT_AS, limits.memory),
        (resource.RLIMIT_CPU, limits.seconds + 1),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(kind, (bound, bound))
    if hasattr(os, "sched_setaffinity"):  # libraries start a thread, with a stack, for each core
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def _read_line(descriptor: int, seconds: float | None) -> bytes:
    """One line; a ValueError if it does not come in time, or the end comes first."""
    line = bytearray()
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([descriptor], [], [], seconds)
        chunk = os.read(descriptor, 1 << 16) if ready else b""
        if not chunk or len(line) > _ANSWER_BYTES:
            raise ValueError("no line")
        line += chunk
    return bytes(line)


def _dumps(value: object) -> bytes:
    return json.dumps(_plain(value)).encode() + b"\n"


def _loads(line: bytes) -> Any:
    return _valued(json.loads(line))


def _plain(value: object) -> object:
    """A value in JSON's terms; paths keep bytes that are no text."""
    if is_dataclass(value) and not isinstance(value, type):
        held = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        return {"is": type(value).__name__, **held}
    if isinstance(value, Fraction):
        return {"is": "Fraction", "of": [value.numerator, value.denominator]}
    if isinstance(value, Path):
        return {"is": "Path", "of": str(value)}
    if isinstance(value, dict):
        return {key: _plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    return value


def _valued(plain: object) -> Any:
    """Back again; every list was a tuple."""
    if isinstance(plain, list):
        return tuple(map(_valued, plain))
    if not isinstance(plain, dict):
        return plain
    held = {key: _valued(value) for key, value in plain.items() if key != "is"}
    kind = plain.get("is")
    if kind == "Fraction":
        return Fraction(*held["of"])
    if kind == "Path":
        return Path(held["of"])
    return _PLAIN[kind](**held) if kind in _PLAIN else held

"""Any command as a method of the benchmark: a file in, a file out, no shell in between."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from vidrestore.errors import UsageError, VidrestoreError
from vidrestore.measure.compare import RgbReader
from vidrestore.measure.item import Clip, Given
from vidrestore.measure.rows import MODEL
from vidrestore.media.ffmpeg import binder, spawn
from vidrestore.media.scratch import scratch
from vidrestore.runs.processes import MemoryWatch

RATE = 25
TIMEOUT_S = 3600.0
EXAMPLE = '--method "name=command {input} {output}"'
LAST_WORDS = 300


@dataclass(frozen=True)
class Command:
    """A command that turns a file into another.

    Attributes:
        name: What the table calls it.
        words: Executable and arguments, in which ``{input}`` and ``{output}`` stand for paths.
        timeout_s: Time that it has for one clip.
    """

    name: str
    words: tuple[str, ...]
    timeout_s: float = TIMEOUT_S

    @classmethod
    def parse(cls, name: str, text: str, timeout_s: float = TIMEOUT_S) -> Command:
        """Split a command into words, as a shell would, without being one.

        Raises:
            UsageError: It has no name, no words, or nowhere to put the two files.
        """
        try:
            words = tuple(shlex.split(text))
        except ValueError as error:
            raise UsageError(f"method {name}: {error}", hint=f"use {EXAMPLE}") from error
        if not name or name == MODEL:
            raise UsageError(f"method {text!r} needs a name of its own", hint=f"use {EXAMPLE}")
        for place in ("{input}", "{output}"):
            if not any(place in word for word in words[1:]):
                raise UsageError(f"method {name} does not say where {place} goes", hint=EXAMPLE)
        if not timeout_s > 0:
            raise UsageError(
                f"method {name}: timeout of {timeout_s} s", hint="give seconds, above 0"
            )
        return cls(name, words, timeout_s)

    def restore(self, given: Given, ffmpeg: str) -> tuple[Clip, float, int | None]:
        """Let the command restore a clip.

        It is given FFV1 in Matroska, RGB of 8 bits, 25 frames per second: the frames that are
        known, at their own times. It has to write every frame: as many as the clip has, or one at
        the time of each.

        Args:
            given: The clip.
            ffmpeg: Path of the executable that reads the result.

        Returns:
            The restored clip, its wall time in seconds, and the most that its processes held, in
            bytes (None where the system does not tell).

        Raises:
            VidrestoreError: It cannot be started, failed, took too long, or wrote something else.
        """
        with scratch() as folder:
            source, output = folder / "input.mkv", folder / "output.mkv"
            write_clip(source, given)
            places = {"{input}": str(source), "{output}": str(output)}
            words = [_filled(word, places) for word in self.words]
            begun = time.perf_counter()
            peak_bytes = self._run(words, folder / "messages")
            seconds = time.perf_counter() - begun
            if not output.exists():
                raise VidrestoreError(f"{self.words[0]} wrote no output")
            return self._read(output, given, ffmpeg), seconds, peak_bytes

    def _run(self, words: Sequence[str], messages: Path) -> int | None:
        with (
            _started(words, messages) as process,
            MemoryWatch(process.pid) as watch,
        ):
            try:
                status = process.wait(self.timeout_s)
            except subprocess.TimeoutExpired as error:
                raise VidrestoreError(
                    f"{self.words[0]} was stopped after {self.timeout_s:g} s"
                ) from error
        if status:
            said = messages.read_bytes().decode(errors="replace").split("\n")
            last = next((line.strip() for line in reversed(said) if line.strip()), "no message")
            raise VidrestoreError(f"{self.words[0]} ended with {status}: {last[-LAST_WORDS:]}")
        return None if watch.peaks is None else watch.peaks.tree_bytes

    def _read(self, output: Path, given: Given, ffmpeg: str) -> Clip:
        frames, height, width = given.clip.shape[:3]
        reader = RgbReader(output, ffmpeg)
        size_px = reader.info.width, reader.info.height
        if size_px != (width, height):
            raise VidrestoreError(
                f"the output is {size_px[0]}x{size_px[1]} instead of {width}x{height}"
            )
        found: dict[int, Clip] = {}
        tick, count = reader.info.time_base, 0
        for count, frame in enumerate(reader.frames(), 1):
            if count > 2 * frames + 1:
                break  # it makes more than anyone asked for, perhaps without end
            time_s = (frame.pts - reader.info.start_pts) * tick
            found[count - 1 if given.known.all() else round(time_s * RATE)] = reader.rgb(frame)
        if given.known.all() and count != frames:
            raise VidrestoreError(f"the output has {count} frames instead of {frames}")
        lacking = next((index for index in range(frames) if index not in found), None)
        if lacking is not None:
            raise VidrestoreError(
                f"the output has no frame at {float(Fraction(lacking, RATE)):g} s, one of {frames}"
            )
        return np.stack([found[index] for index in range(frames)])


def parse_method(text: str) -> Command:
    """Read ``name=command {input} {output}``.

    Raises:
        UsageError: It makes no sense.
    """
    name, equals, command = text.partition("=")
    if not equals:
        raise UsageError(f"method {text!r} has no name", hint=f"use {EXAMPLE}")
    return Command.parse(name.strip(), command)


def write_clip(path: Path, given: Given) -> None:
    """Write the known frames of a clip, each at its own time, without loss beyond 8 bits."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.height, stream.width = given.clip.shape[1:3]
        stream.pix_fmt = "bgr0"
        stream.time_base = stream.codec_context.time_base = Fraction(1, RATE)
        for index in np.flatnonzero(given.known):
            codes = np.rint(given.in_file[index] * 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(codes, "rgb24").reformat(format="bgr0")
            frame.pts, frame.time_base = int(index), Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _filled(word: str, places: dict[str, str]) -> str:
    for place, path in places.items():
        word = word.replace(place, path)
    return word


@contextmanager
def _started(words: Sequence[str], messages: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, of which nothing is left at the end."""
    bound = binder()
    if shutil.which(words[0]) is None:  # or the binder would complain of it
        raise VidrestoreError(f"cannot run {words[0]}: there is no such command")
    with messages.open("wb") as said:
        try:
            process = spawn(
                lambda: subprocess.Popen(
                    [*bound, *words],
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    process_group=0,
                )
            )
        except OSError as error:
            raise VidrestoreError(f"cannot run {words[0]}: {error.strerror}") from error
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

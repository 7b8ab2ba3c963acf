"""What this process and those that it started hold in memory, watched while they work."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

INTERVAL_S = 0.01


@dataclass(frozen=True)
class Peaks:
    """The most that was seen.

    Attributes:
        tree_bytes: Of all processes together, at one moment.
        own_bytes: Of the process at the root.
        encoder_bytes: Of any process that reads from a pipe, as ffmpeg does to encode.
        other_bytes: Of any other process.
    """

    tree_bytes: int
    own_bytes: int
    encoder_bytes: int
    other_bytes: int


class MemoryWatch:
    """Looks at resident memory at short intervals, in a thread, while its context is open.

    Args:
        process: Whose tree it is, by its number; None for this process.

    Attributes:
        peaks: What was seen; None where the system does not say (it does on Linux).
    """

    def __init__(self, process: int | None = None) -> None:
        self._process = os.getpid() if process is None else process
        self.peaks: Peaks | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        if sys.platform == "linux":
            self._look()
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            self._look()

    def _look(self) -> None:
        command = _command(self._process)
        own = resident_bytes(self._process)
        encoder = other = total = 0
        for child in descendants(self._process):
            words = _command(child)  # before its size, which may be ours until it has a name
            if words == command:
                continue  # forked this moment: its memory is still ours
            size = resident_bytes(child)
            total += size
            if b"pipe:0" in words:
                encoder = max(encoder, size)
            else:
                other = max(other, size)
        before = self.peaks or Peaks(0, 0, 0, 0)
        self.peaks = Peaks(
            max(before.tree_bytes, own + total),
            max(before.own_bytes, own),
            max(before.encoder_bytes, encoder),
            max(before.other_bytes, other),
        )


def resident_bytes(process: int) -> int:
    """Resident memory of a process, as Linux counts it; 0 if it has ended."""
    try:
        pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def age_s() -> float:
    """Seconds since this process was started; 0 where the system does not say."""
    try:
        ticks = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
        up_s = Path("/proc/uptime").read_text().split()[0]
    except (OSError, IndexError):
        return 0.0
    return max(0.0, float(up_s) - int(ticks) / os.sysconf("SC_CLK_TCK"))


def descendants(process: int) -> list[int]:
    """All processes that a process has started, and those that they have."""
    found: list[int] = []
    try:
        for thread in Path(f"/proc/{process}/task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    except OSError:
        return found  # it has ended meanwhile
    return found + [below for child in found for below in descendants(child)]


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""

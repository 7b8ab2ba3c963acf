"""How far a batch has got, and how long the rest will take."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from vidrestore.batch.jobs import Added, Advanced, Event, Item, Job, Looked, Settled, Started


@dataclass
class Running:
    """A file that is being restored.

    Attributes:
        job: The file.
        since_s: When that began, on the monotonic clock.
        done: Frames restored.
        total: Frames expected; None if that is not known.
    """

    job: Job
    since_s: float
    done: int = 0
    total: int | None = None

    @property
    def share(self) -> float:
        """How much of it is done, 0 to 1."""
        return min(1.0, self.done / self.total) if self.total else 0.0


class Overview:
    """What has become of the files of a batch so far.

    Attributes:
        items: Files that are over and done with, in the order in which that happened.
        running: Files that are being restored.
        waiting: Files that wait for their turn.
        ignored: How many files in folders are not called like videos.
    """

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.running: dict[int, Running] = {}
        self.waiting: dict[int, Job] = {}
        self.ignored = 0
        self._found = 0
        self._begun_s = time.monotonic()
        self._first_s: float | None = None
        self._done_bytes = 0

    def add(self, event: Event) -> None:
        """Take note of something that has happened."""
        match event:
            case Looked(files, ignored):
                self._found, self.ignored = files, len(ignored)
            case Added(job):
                self.waiting[job.number] = job
            case Started(job):
                self._first_s = self._first_s or time.monotonic()
                self.waiting.pop(job.number, None)
                self.running[job.number] = Running(job, time.monotonic())
            case Advanced(job, done, total) if job.number in self.running:
                self.running[job.number].done = done
                self.running[job.number].total = total
            case Settled(item, job):
                if job is not None:
                    self.waiting.pop(job.number, None)
                    self.running.pop(job.number, None)
                    self._done_bytes += job.size_bytes
                self.items.append(item)

    @property
    def counts(self) -> Counter[str]:
        """Files by what became of them."""
        return Counter(item.status for item in self.items)

    @property
    def failed(self) -> list[Item]:
        """Files that were not restored."""
        return [item for item in self.items if item.status == "failed"]

    @property
    def files(self) -> int:
        """All files that are known."""
        return max(self._found, len(self.items) + len(self.running) + len(self.waiting))

    @property
    def wall_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._begun_s

    @property
    def remaining_s(self) -> float | None:
        """Seconds that the rest will take if time goes with the size of files; None if unknown."""
        if self._first_s is None:
            return None
        under_way = sum(one.job.size_bytes * one.share for one in self.running.values())
        done = self._done_bytes + under_way
        jobs = [*self.waiting.values(), *(one.job for one in self.running.values())]
        rest = sum(job.size_bytes for job in jobs) - under_way
        return rest * (time.monotonic() - self._first_s) / done if done else None

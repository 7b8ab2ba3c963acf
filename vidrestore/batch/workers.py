"""Processes that restore one file after the other, the model and all libraries loaded once.

A worker reads jobs from one pipe and writes what happens into another. When the first one ends,
for whatever reason, so does the worker: in order, which keeps what is finished of its file. So no
worker outlives us, even if we are killed.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidrestore.batch.jobs import Advanced, Execution, Failure, Finished, Idle, Job, Started
from vidrestore.errors import DeviceError, ExitCode, Stopped, VidrestoreError

if TYPE_CHECKING:
    from vidrestore.runs.recipe import Crew

_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[3:]; from vidrestore.batch.workers import serve; "
    "serve(int(sys.argv[1]), int(sys.argv[2]))"
)

_POLL_S = 0.5
_TOLD_S = 0.2
"""A worker tells of its progress no more often than this."""

_GRACE_S = 20.0
"""A worker that is to end has this long to do so in order."""

_NO_MORE = object()


Enlist = Callable[[], AbstractContextManager["Crew | None"]]
"""Gives, for as long as its context lasts, those who make the segments of a file."""


def run(
    jobs: Iterator[Job | None], *, processes: int = 1, enlist: Enlist | None = None
) -> Generator[Execution, None, None]:
    """Restore files in processes of their own; see `jobs.Execute`.

    Args:
        jobs: The files.
        processes: How many at the same time.
        enlist: Called in each process for others who make the segments; can be pickled. None: the
            processes make them.

    Raises:
        VidrestoreError: What concerns all files, such as corrupt weights.
    """
    crew = _Crew(processes, enlist)
    try:
        yield from crew.work(jobs)
    except Stopped:
        yield from crew.stop()
        raise
    finally:
        crew.dismiss()


class _Worker:
    """One process, as we see it."""

    def __init__(self, threads: int | None, enlist: Enlist | None) -> None:
        theirs, self._jobs = Pipe(duplex=False)
        self.events, told = Pipe(duplex=False)
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as the worker
        environment = dict(os.environ)
        if threads is not None:
            environment.setdefault("OMP_NUM_THREADS", str(threads))
        with theirs, told:
            # Where modules are found is told, so that the current folder does not count. A session
            # of its own keeps Ctrl-C from it.
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-c", _PROGRAM),
                    *(str(theirs.fileno()), str(told.fileno())),
                    *(str(Path(entry).absolute()) for entry in sys.path),
                ],
                stdin=subprocess.DEVNULL,
                stdout=self._stderr,
                stderr=self._stderr,
                pass_fds=(theirs.fileno(), told.fileno()),
                env=environment,
                start_new_session=True,
            )
        self._send(enlist)
        self.job: Job | None = None
        self.is_ready = False

    def give(self, job: Job) -> None:
        """Hand it a file."""
        self.job = job
        self._send(job)

    def _send(self, what: Job | Enlist | None) -> None:
        try:
            self._jobs.send(what)
        except OSError:  # it has died, as the other pipe will tell
            return

    def close(self) -> None:
        """Have it end in order."""
        self._jobs.close()

    def end(self, grace_s: float) -> int:
        """Wait for its end, or end it; returns the status."""
        self.close()
        try:
            status = self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self.events.close()
        return status

    def last_words(self) -> str:
        """What it printed last, in one line."""
        self._stderr.seek(max(0, self._stderr.seek(0, os.SEEK_END) - 2000))
        lines = self._stderr.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "no message")


class _Crew:
    """All workers of a batch."""

    def __init__(self, processes: int, enlist: Enlist | None) -> None:
        self._processes = processes
        self._enlist = enlist
        self._workers: list[_Worker] = []
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
        shared = max(1, (cores or os.cpu_count() or 1) // processes)
        self._threads = shared if processes > 1 and enlist is None else None

    def work(self, jobs: Iterator[Job | None]) -> Iterator[Execution]:
        """Hand out jobs and tell what comes of them, until all are done."""
        is_over = False
        while True:
            while not is_over and self._has_room():
                job = next(jobs, _NO_MORE)
                if job is None:
                    break
                if not isinstance(job, Job):
                    is_over = True
                    break
                self._idle_one().give(job)
                yield Started(job)
            busy = [worker for worker in self._workers if worker.job is not None]
            if is_over and not busy:
                return
            yield from self._heard(_POLL_S) or [Idle()]

    def stop(self) -> Iterator[Execution]:
        """Have all end in order, and tell what they finished meanwhile."""
        for worker in self._workers:
            worker.close()
        until = time.monotonic() + _GRACE_S
        while self._workers and time.monotonic() < until:
            for event in self._heard(_POLL_S, ending=True):
                if isinstance(event, Finished):
                    yield event

    def dismiss(self) -> None:
        """End all that are still there."""
        for worker in self._workers:
            worker.close()
        until = time.monotonic() + _GRACE_S
        for worker in self._workers:
            worker.end(max(0.0, until - time.monotonic()))
        self._workers.clear()

    def _has_room(self) -> bool:
        idle = any(worker.job is None for worker in self._workers)
        return idle or len(self._workers) < self._processes

    def _idle_one(self) -> _Worker:
        for worker in self._workers:
            if worker.job is None:
                return worker
        worker = _Worker(self._threads, self._enlist)
        self._workers.append(worker)
        return worker

    def _heard(self, timeout_s: float, *, ending: bool = False) -> list[Execution]:
        """What the workers tell, after waiting for it a moment."""
        ready = wait([worker.events for worker in self._workers], timeout_s)
        events: list[Execution] = []
        for worker in [one for one in self._workers if one.events in ready]:
            try:
                told = worker.events.recv()
            except (EOFError, OSError):
                self._workers.remove(worker)
                status = worker.end(_GRACE_S)
                if worker.job is not None and not ending:
                    events.append(self._bereft(worker, worker.job, status))
                continue
            if told is True:
                worker.is_ready = True
            elif isinstance(told, VidrestoreError):
                raise told
            else:
                events.append(told)
                if isinstance(told, Finished):
                    worker.job = None
        return events

    @staticmethod
    def _bereft(worker: _Worker, job: Job, status: int) -> Finished:
        """What to say of a file whose worker has died."""
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        if not worker.is_ready:
            raise VidrestoreError(
                f"a worker process ended before it began ({how}): {worker.last_words()}",
                hint="restore one file with --debug",
            )
        if status == -signal.SIGKILL:
            failure = DeviceError(
                "its process was killed, perhaps for want of memory",
                hint="a lower -j, or --max-memory",
            )
            return Finished(job, None, Failure.of(failure))
        message = f"its process died ({how}): {worker.last_words()}"
        hint = "restore the file on its own with --debug, and report it"
        return Finished(job, None, Failure(message, hint, int(ExitCode.UNEXPECTED)))


def serve(jobs_handle: int, events_handle: int) -> None:
    """Be a worker, until there are no more jobs."""
    signal.signal(signal.SIGTERM, _stop)
    jobs: queue.Queue[Any] = queue.Queue()
    heard = threading.Thread(target=_listen, args=(Connection(jobs_handle), jobs), daemon=True)
    events = Connection(events_handle)
    try:
        heard.start()
        with ExitStack() as stack:
            _work(jobs, events, stack)
    except (Stopped, BrokenPipeError):
        return


def _listen(connection: Connection, jobs: queue.Queue[Any]) -> None:
    """Take jobs; when nobody is there any more to give them, end this process."""
    while True:
        try:
            jobs.put(connection.recv())
        except (EOFError, OSError):
            break
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os.kill(os.getpid(), signal.SIGKILL)


def _stop(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
    Stopped.by_signal(ExitCode.TERMINATED)


def _work(jobs: queue.Queue[Any], events: Connection, stack: ExitStack) -> None:
    from vidrestore.media import inspection

    inspection.prepare()  # while the rest is loaded
    from vidrestore.batch.single import restore_one, warm
    from vidrestore.runs.segments import Progress

    enlist: Enlist | None = jobs.get()
    crew: Crew | None = None
    is_warm = False
    while True:
        job: Job = jobs.get()
        told_s = 0.0

        def tell(progress: Progress, job: Job = job) -> None:
            nonlocal told_s
            now_s = time.monotonic()
            if now_s >= told_s + _TOLD_S:
                told_s = now_s
                events.send(Advanced(job, progress.done, progress.total))

        if not is_warm:
            try:
                if enlist is None:
                    warm(job.settings)
                else:
                    crew = stack.enter_context(enlist())
            except VidrestoreError as error:
                events.send(error)
                return
            is_warm = True
            events.send(True)
        try:
            outcome = Finished(job, restore_one(job, tell, crew), None)
        except Exception as error:
            outcome = Finished(job, None, Failure.of(error))
        events.send(outcome)

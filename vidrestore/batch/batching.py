"""run(): many files in, many restored files out, and a word about each."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing

from vidrestore.batch.desk import BatchSettings, Desk
from vidrestore.batch.done import DoneFiles
from vidrestore.batch.jobs import Added, Event, Execute, Failure, Finished, Item, Job, Settled
from vidrestore.errors import OutputError


def run(batch: BatchSettings, execute: Execute) -> Generator[Event, None, None]:
    """Restore many files.

    A file that fails does not keep the others from being restored.

    Args:
        batch: What, and how.
        execute: Restores files, such as `workers.run`.

    Yields:
        What happens: each file is `Settled` once, but for those that an interruption leaves.

    Raises:
        UsageError: If an argument makes no sense.
        InputError: If there is nothing to restore at all.
        OutputError: If the output folder cannot be written.
        VidrestoreError: What concerns all files, such as corrupt weights.
        Stopped: If somebody stops it; what is finished is remembered.
    """
    desk = Desk(batch)
    with DoneFiles(batch.out) as done:
        waiting: deque[Job] = deque()
        late: deque[Settled] = deque()

        def look() -> Iterator[Event]:
            for event in desk.looked(done):
                if isinstance(event, Added):
                    waiting.append(event.job)
                yield event

        def jobs() -> Iterator[Job | None]:
            while waiting or batch.watch:
                job = waiting.popleft() if waiting else None
                problem = None if job is None else _prepared(job)
                if job is None or problem is None:
                    if job is not None:
                        done.begin(job)
                    yield job
                else:
                    late.append(problem)

        yield from look()
        if not waiting and not batch.watch:
            return
        with closing(execute(jobs())) as execution:
            for event in execution:
                yield _settled(event, done) if isinstance(event, Finished) else event
                if batch.watch:
                    yield from look()
        yield from late


def _prepared(job: Job) -> Settled | None:
    """Make the folder of an output; what went wrong, if it did."""
    try:
        job.output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = OutputError(
            f"cannot make the folder {job.output.parent}: {error.strerror}",
            hint="remove what is in its place, or name another -o",
        )
        return Settled(Item(job.source, job.output, "failed", failure=Failure.of(problem)), job)
    return None


def _settled(event: Finished, done: DoneFiles) -> Settled:
    job, facts = event.job, event.facts
    if facts is None:
        done.give_up(job)
        return Settled(Item(job.source, job.output, "failed", failure=event.failure), job)
    done.finish(job, facts)
    return Settled(Item(job.source, job.output, "restored", facts), job)

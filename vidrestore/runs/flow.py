"""Bounded queues between threads, so that decoding, the model and encoding overlap."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")

POLL_S = 0.1


class Prefetch(Generic[Item]):
    """Runs an iterator in a thread, at most `depth` items ahead of the reader.

    Errors of the source are raised in the reader. Leaving the context stops the thread.
    """

    def __init__(self, source: Iterable[Item], depth: int) -> None:
        self._source = source
        self._queue: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prefetch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for item in self._source:
                if not self._put((item, None)):
                    return
            self._put((None, StopIteration()))
        except BaseException as error:
            self._put((None, error))

    def _put(self, entry: tuple[Item | None, BaseException | None]) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(entry, timeout=POLL_S)
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Iterator[Item]:
        """Yield the items of the source."""
        while True:
            item, error = self._queue.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]

    def __enter__(self) -> Self:
        """Return the iterable itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the thread and wait for it."""
        self._stopped.set()
        self._thread.join()


class Sink(Generic[Item]):
    """Hands items to a consumer in a thread, at most `depth` items behind the writer.

    An error of the consumer is raised by the next `put` or by `finish`. Leaving the context by an
    exception drops what is queued.
    """

    def __init__(self, consume: Callable[[Item], None], depth: int) -> None:
        self._consume = consume
        self._queue: queue.Queue[tuple[Item] | None] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._dropping = False
        self._thread = threading.Thread(target=self._run, name="sink", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (entry := self._queue.get()) is not None:
            if self._dropping:
                continue
            try:
                self._consume(entry[0])
            except BaseException as error:
                self._error = error
                self._dropping = True

    def put(self, item: Item) -> None:
        """Queue an item; waits while the queue is full."""
        if self._error is not None:
            raise self._error
        self._queue.put((item,))

    def finish(self) -> None:
        """Wait until every item is consumed."""
        self._queue.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        """Return the sink itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the thread, after what is queued unless an exception is under way."""
        if self._thread.is_alive():
            self._dropping = error is not None
            self._queue.put(None)
            self._thread.join()


class Worker:
    """Runs the last step in a thread that may wait for a reader forever, and need not be joined.

    Args:
        step: What to run.
        on_failure: Called in the thread if it fails, to end what would wait for it.

    Attributes:
        error: What it failed with.
    """

    def __init__(self, step: Callable[[], None], on_failure: Callable[[], None]) -> None:
        self.error: BaseException | None = None
        self._step = step
        self._on_failure = on_failure
        self._thread = threading.Thread(target=self._run, name="outlet", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._step()
        except BaseException as error:
            self.error = error
            self._on_failure()

    def finish(self) -> None:
        """Wait for the end.

        Raises:
            BaseException: What the step failed with.
        """
        self._thread.join()
        if self.error is not None:
            raise self.error

"""Bounded queues between threads."""

import threading
from collections.abc import Iterator

import pytest

from vidrestore.runs.flow import Prefetch, Sink


class BrokenError(Exception):
    pass


def test_prefetch_gives_the_items_in_order() -> None:
    with Prefetch(range(50), depth=3) as items:
        assert list(items) == list(range(50))


def test_prefetch_runs_ahead_no_further_than_its_depth() -> None:
    taken: list[int] = []
    ahead = threading.Semaphore(0)

    def source() -> Iterator[int]:
        for i in range(100):
            taken.append(i)
            ahead.release()
            yield i

    with Prefetch(source(), depth=3) as items:
        stream = iter(items)
        assert next(stream) == 0
        for _ in range(5):  # the one read, three queued, one in hand: all come by themselves
            assert ahead.acquire(timeout=10)
        assert not ahead.acquire(timeout=0.3)
    assert len(taken) == 5


def test_an_error_of_the_source_reaches_the_reader_after_the_items_before_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise BrokenError

    with Prefetch(source(), depth=4) as items:
        stream = iter(items)
        assert next(stream) == 1
        with pytest.raises(BrokenError):
            next(stream)


def test_leaving_a_prefetch_early_ends_its_thread() -> None:
    before = threading.active_count()
    with Prefetch(iter(int, 1), depth=2) as items:  # endless
        next(iter(items))
    assert threading.active_count() == before


def test_a_sink_consumes_everything_in_order() -> None:
    consumed: list[int] = []
    with Sink(consumed.append, depth=2) as sink:
        for i in range(50):
            sink.put(i)
        sink.finish()
        assert consumed == list(range(50))


def test_a_sink_makes_the_writer_wait_when_it_is_full() -> None:
    go_on = threading.Event()
    written = threading.Semaphore(0)

    with Sink(lambda _: (go_on.wait(10), None)[1], depth=2) as sink:

        def write() -> None:
            for i in range(10):
                sink.put(i)
                written.release()

        writer = threading.Thread(target=write)
        writer.start()
        for _ in range(3):  # one with the consumer, two queued
            assert written.acquire(timeout=10)
        assert not written.acquire(timeout=0.3)
        go_on.set()
        writer.join()
        sink.finish()


@pytest.mark.parametrize("items", [1, 20])
def test_an_error_of_the_consumer_reaches_the_writer(items: int) -> None:
    def consume(item: int) -> None:
        raise BrokenError

    def write() -> None:
        with Sink(consume, depth=2) as sink:
            for i in range(items):
                sink.put(i)
            sink.finish()

    with pytest.raises(BrokenError):
        write()


def test_an_error_of_the_writer_drops_what_is_queued() -> None:
    consumed: list[int] = []
    go_on = threading.Event()

    def consume(item: int) -> None:
        assert go_on.wait(10)
        consumed.append(item)

    def write() -> None:
        with Sink(consume, depth=8) as sink:
            for i in range(5):
                sink.put(i)
            threading.Timer(0.2, go_on.set).start()
            raise BrokenError

    before = threading.active_count()
    with pytest.raises(BrokenError):
        write()
    assert consumed in ([], [0])
    assert threading.active_count() <= before + 1  # the timer may not have ended yet


def test_leaving_a_sink_without_finish_still_consumes_what_is_queued() -> None:
    consumed: list[int] = []
    with Sink(consumed.append, depth=8) as sink:
        sink.put(1)
    assert consumed == [1]

"""Broken files by the thousand are looked into: no traceback, no hang."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import Clips
from tests.mutate import SEEDS, mutated, seed, write
from vidrestore.errors import ExitCode, VidrestoreError
from vidrestore.media.inspection import inspect
from vidrestore.media.limits import Limits

LONGEST_S = 120
"""For one file; a run on six small frames takes a few seconds."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Make whatever hangs fail."""

    def give_up(*_: object) -> None:
        raise TimeoutError(f"it took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def looked_into(clips: Clips, folder: Path, count: int, first: int = 0) -> Counter[str]:
    """Probe mutated files; anything but an answer or an error with a remedy fails."""
    found: Counter[str] = Counter()
    for name, content in mutated(clips, count, first=first):
        path = write(folder, name, content)
        error = None
        with at_most(LONGEST_S):
            try:
                info = inspect(path, limits=Limits(seconds=10))
            except VidrestoreError as refusal:
                error = refusal
        if error is None:
            found["read"] += 1
            assert all(height > 0 < width for height, width in info.plane_shapes), name
        else:
            assert error.exit_code == ExitCode.INPUT, name
            assert error.hint, name
            assert "\n" not in f"{error}{error.hint}", name
            ways = {"crash": "crashed", "within": "timed out"}
            found[next((way for word, way in ways.items() if word in str(error)), "refused")] += 1
        path.unlink()
    return found


def test_the_seeds_are_sound(clips: Clips) -> None:
    assert len(SEEDS) >= 20
    for name in SEEDS:
        path = write(clips.folder, f"sound-{name}", seed(clips, name))
        info = inspect(path)
        assert (info.width, info.height) == (64, 48), name


def test_mutations_are_the_same_each_time_and_differ_from_the_seeds(clips: Clips) -> None:
    one, other = (dict(mutated(clips, 30, first=7)) for _ in range(2))
    assert one == other
    whole = {seed(clips, name) for name in SEEDS}
    assert sum(content in whole for content in one.values()) <= 1


def test_1000_broken_files_are_looked_into(clips: Clips, tmp_path: Path) -> None:
    found = looked_into(clips, tmp_path, 1000)
    assert found["timed out"] == 0
    assert min(found["read"], found["refused"]) > 200


@pytest.mark.soak
def test_20000_broken_files_are_looked_into(clips: Clips, tmp_path: Path) -> None:
    found = looked_into(clips, tmp_path, 20_000, first=1000)
    assert found["timed out"] == 0

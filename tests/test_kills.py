"""One run, killed again and again at random moments, ends with the frames of a run that was not."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Clips
from tests.resuming import IRREGULAR, Runs, assert_no_orphan, content, make_film
from vidrestore.runs.journal import JOURNAL_NAME, load
from vidrestore.runs.workfolder import work_folder

NETWORK: dict[str, Any] = {"tasks": ("denoise",), "encode": {"preset": "superfast"}}
"""The package's own weights, told the noise that is found; an encoder that reorders frames."""

JOINING = 3
"""Kills more, once all segments are finished."""


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    server = Runs()
    yield server
    server.close()


@dataclass
class Victim:
    """One run that is killed and goes on.

    Attributes:
        runs: Starts it.
        source: Its input.
        output: Its output.
        values: Its settings.
    """

    runs: Runs
    source: Path
    output: Path
    values: dict[str, Any]

    def start(self) -> None:
        self.runs.start(self.source, self.output, **self.values)

    @property
    def lines(self) -> int:
        """Lines of its journal: one, and one for each finished segment, and one for the end."""
        try:
            return (work_folder(self.output) / JOURNAL_NAME).read_bytes().count(b"\n")
        except OSError:
            return 0

    @property
    def frames(self) -> int:
        """Frames that are finished."""
        former = load(work_folder(self.output), verify=False)
        return 0 if former is None else former.frames

    def wait(self, lines: int, until_s: float = float("inf")) -> None:
        """Until the journal has so many lines, or the time has come, or it has ended."""
        deadline_s = time.monotonic() + 300
        while self.lines < lines and time.monotonic() < until_s and not self.output.exists():
            assert time.monotonic() < deadline_s
            time.sleep(0.003)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.runs.pid, signal.SIGKILL)
        said = self.runs.finish()
        assert said["status"] in (-signal.SIGKILL, 0), said
        assert_no_orphan(self.output)


def killed_again_and_again(victim: Victim, kills: int, ffmpeg: str, seed: int) -> list[int]:
    """Kill a run so many times before it is done; it ends as one that nobody has killed.

    Returns:
        Frames that were finished at each kill.
    """
    moments = random.Random(seed)
    whole = Victim(victim.runs, victim.source, victim.output.with_name("whole.mp4"), victim.values)
    begin_s = time.monotonic()
    whole.start()
    whole.wait(2)
    start_s = time.monotonic() - begin_s
    segments = 0
    while not whole.output.exists() and time.monotonic() < begin_s + 600:
        segments = max(segments, whole.lines - 2)
        time.sleep(0.003)
    segment_s = (time.monotonic() - begin_s - start_s) / segments
    expected = whole.runs.finish()
    assert expected["status"] == 0
    wanted = content(whole.output, ffmpeg)

    finished = []
    for number in range(1, kills + 1):
        most = 1 + segments * number // (kills + 5)  # it may not be done before its last kill
        lines = min(most, max(1, victim.lines) + moments.randint(1, 3))
        by_the_clock = lines <= victim.lines or moments.random() < 0.3
        victim.start()
        if by_the_clock:
            soon_s = time.monotonic() + moments.uniform(0, start_s)
            victim.wait(max(victim.lines, most) + 1, soon_s)
        else:
            victim.wait(lines)
            time.sleep(moments.uniform(0, segment_s))
        victim.kill()
        assert not victim.output.exists()
        finished.append(victim.frames)
    assert finished == sorted(finished), "what is finished stays"
    for _ in range(JOINING):
        if not victim.output.exists():
            victim.start()
            victim.wait(2 + segments)
            time.sleep(moments.uniform(0, 0.3))
            victim.kill()
    if not victim.output.exists():
        victim.start()
        said = victim.runs.finish()
        assert said["status"] == 0, said
        assert said["resumed"] >= finished[-1]
        assert said["warnings"] == expected["warnings"]
    found = content(victim.output, ffmpeg)
    assert [pts for pts, _ in found] == [pts for pts, _ in wanted], "lost or doubled"
    assert found == wanted
    assert not work_folder(victim.output).exists()
    return finished


def test_killed_five_times_the_frames_are_the_same(
    runs: Runs, clips: Clips, tmp_path: Path, ffmpeg: str
) -> None:
    film = make_film(clips, "short.mp4", (19, 22, 12, 19))
    victim = Victim(runs, film, tmp_path / "out.mp4", NETWORK)
    finished = killed_again_and_again(victim, 5, ffmpeg, seed=5)
    assert 0 < finished[-1] < 72
    assert {path.name for path in tmp_path.iterdir()} == {"out.mp4", "whole.mp4"}


FILMS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "variable rate": ("long.mp4", IRREGULAR, {}),
    "damaged broadcast": ("long.ts", "select='not(between(mod(n,97),40,41))'", {"fill": True}),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILMS)
def test_killed_fifty_times_the_frames_are_the_same(
    runs: Runs, clips: Clips, tmp_path: Path, ffmpeg: str, kind: str
) -> None:
    name, times, values = FILMS[kind]
    film = make_film(clips, name, (150, 170, 90, 150), times)
    victim = Victim(runs, film, tmp_path / "out.mp4", {**NETWORK, **values})
    finished = killed_again_and_again(victim, 50, ffmpeg, seed=50)
    assert len(finished) == 50
    assert len(set(finished)) > 15

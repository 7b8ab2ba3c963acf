"""Temporary folders: gone at the end, and after a kill as soon as somebody looks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.conftest import Clips
from tests.test_cli import REPOSITORY, run
from vidrestore.errors import OutputError
from vidrestore.media.scratch import PREFIX, scratch, sweep
from vidrestore.runs.clean import forget_parts


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, instead of where those of others are."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def killed_inside() -> None:
    """A process that is killed while it has a folder."""
    pid = os.fork()
    if pid == 0:
        with scratch() as folder:
            (folder / "head").write_bytes(bytes(1000))
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def test_it_goes_at_the_end_and_after_an_error(place: Path) -> None:
    with scratch() as folder:
        (folder / "x").mkdir()
        assert folder.parent == place
    with pytest.raises(RuntimeError), scratch():
        raise RuntimeError
    assert list(place.iterdir()) == []


def test_what_was_killed_is_swept_up_by_the_next(place: Path) -> None:
    killed_inside()
    (left,) = place.iterdir()
    with scratch() as folder:
        assert list(place.iterdir()) == [folder] != [left]


def test_what_lives_is_left_alone(place: Path) -> None:
    with scratch() as one, scratch() as other:
        assert sweep() == []
        assert one.is_dir()
        assert other.is_dir()
    assert list(place.iterdir()) == []


def test_nothing_else_is_touched(place: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "film").write_text("x")
    (place / f"{PREFIX}link").symlink_to(tmp_path / "mine")
    (place / f"{PREFIX}file").write_text("x")
    (place / "vidrestore-other").mkdir()
    assert sweep() == []
    assert len(list(place.iterdir())) == 3
    assert (tmp_path / "mine" / "film").exists()


def test_clean_sweeps_it_up_and_says_so(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed_inside()
    assert run("clean", tmp_path) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"removed {place}/{PREFIX}")
    assert "0.0 MB" in said
    assert list(place.iterdir()) == []


@pytest.mark.usefixtures("place")
def test_no_room_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with pytest.raises(OutputError, match="No space left") as caught, scratch():
        pass
    assert "TMPDIR" in str(caught.value.hint)


def test_a_pipe_that_is_killed_leaves_nothing_that_the_next_does_not_remove(
    clips: Clips, place: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(place)}
    output = tmp_path / "out.mkv"
    words = [sys.executable, "-m", "vidrestore", "restore", "-", "-o", str(output), "-q"]
    process = subprocess.Popen(words, cwd=REPOSITORY, env=environment, stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(clips.plain.read_bytes()[:100])  # too little: it waits for more
    process.stdin.flush()
    deadline_s = time.monotonic() + 60
    while not list(place.glob(f"{PREFIX}*")) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    process.kill()
    process.wait()
    process.stdin.close()
    assert list(place.glob(f"{PREFIX}*"))
    with scratch():
        pass
    assert list(place.iterdir()) == []
    assert not output.exists()


def test_a_part_of_the_same_output_whose_writer_is_dead_goes(tmp_path: Path) -> None:
    dead = tmp_path / ".out.mkv.4194305.part"  # no process has such a number
    kept = [
        tmp_path / f".out.mkv.{os.getpid()}.part",
        tmp_path / ".other.mkv.4194305.part",
        tmp_path / ".out.mkv.part",
    ]
    for path in (dead, *kept):
        path.write_text("half")
    forget_parts(tmp_path / "out.mkv")
    assert sorted(tmp_path.iterdir()) == sorted(kept)

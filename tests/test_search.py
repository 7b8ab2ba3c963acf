"""The search for damage is done once, however often the run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from tests.conftest import Clips
from tests.resuming import content, here
from vidrestore.errors import ExitCode, Stopped, UsageError
from vidrestore.media.ffmpeg import find_ffmpeg
from vidrestore.media.probe import VideoInfo, probe
from vidrestore.runs import pipeline, search
from vidrestore.runs.journal import unfinished
from vidrestore.runs.search import searched
from vidrestore.runs.workfolder import WorkFolder, work_folder
from vidrestore.timing.damage import Damage


@pytest.fixture(scope="module")
def broken(clips: Clips) -> Path:
    """Two frames are missing, and one is black."""
    black = "drawbox=enable='eq(n,16)':color=black:t=fill"
    graph = f"testsrc2=size=96x64:rate=24,trim=end_frame=26,{black},select='not(between(n,7,8))'"
    video = ("-fps_mode", "passthrough", "-c:v", "libx264", "-qp", "0", "-pix_fmt", "yuv420p")
    return clips.make("broken.mkv", *video, source=["-f", "lavfi", "-i", graph])


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Grows with each search."""
    done: list[Path] = []
    find = search.find_damage

    def found(info: VideoInfo, *rest: Any) -> Damage:
        done.append(info.path)
        return find(info, *rest)

    monkeypatch.setattr(search, "find_damage", found)
    return done


@pytest.fixture
def work(tmp_path: Path) -> Iterator[WorkFolder]:
    with WorkFolder.of(tmp_path / "out.mkv") as folder:
        yield folder


def test_what_was_found_is_found_again_without_a_look(
    broken: Path, work: WorkFolder, searches: list[Path]
) -> None:
    ask: Callable[[], Damage] = lambda: searched(work, probe(broken), find_ffmpeg())  # noqa: E731
    first = ask()
    assert len(first.added) == 2
    assert len(first.bad) == 1
    assert [path.name for path in work.path.iterdir()] == ["damage.json"]
    work.clear()
    assert ask() == first
    assert len(searches) == 1


@pytest.mark.parametrize(
    "change", ["interval", "input", "not json", "cut off", "schema", "unasked"]
)
def test_what_belongs_to_something_else_is_not_used(
    broken: Path, clips: Clips, work: WorkFolder, searches: list[Path], change: str
) -> None:
    ffmpeg = find_ffmpeg()
    searched(work, probe(broken), ffmpeg)
    info, end, resume = probe(broken), None, True
    if change == "interval":
        end = 12
    elif change == "input":
        info = probe(clips.plain)
    elif change == "unasked":
        resume = False
    else:
        text = work.search.read_text()
        changed = {"not json": "{", "cut off": text[:-20], "schema": text.replace("damage/1", "x")}
        work.search.write_text(changed[change])
    searched(work, info, ffmpeg, end=end, resume=resume)
    assert len(searches) == 2
    json.loads(work.search.read_text())


def test_a_run_that_goes_on_does_not_search_again(
    broken: Path, tmp_path: Path, ffmpeg: str, searches: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    output, whole = tmp_path / "out.mkv", tmp_path / "whole.mkv"
    expected = here(broken, whole, fill=True)
    with monkeypatch.context() as patch:
        stop = Stopped(ExitCode.INTERRUPTED)
        patch.setattr(pipeline._Run, "write", Mock(side_effect=stop))
        with pytest.raises(Stopped):
            here(broken, output, fill=True)
    assert "what is damaged is known" in " ".join(stop.__notes__)
    assert [path.name for path in work_folder(output).iterdir()] == ["damage.json"]
    assert len(searches) == 2
    result = here(broken, output, fill=True)
    assert len(searches) == 2
    assert result.damage == expected.damage
    assert result.made_frames == expected.made_frames == 3
    assert content(output, ffmpeg) == content(whole, ffmpeg)
    assert not work_folder(output).exists()


def test_a_wrong_wish_leaves_nothing(broken: Path, tmp_path: Path) -> None:
    def fail() -> None:
        with unfinished(tmp_path / "out.mkv", keep=False) as work:
            searched(work, probe(broken), find_ffmpeg())
            raise UsageError("no", hint="yes")

    with pytest.raises(UsageError):
        fail()
    assert list(tmp_path.iterdir()) == []

"""Runs that are killed and go on: the result is that of a run that was not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Clips
from tests.resuming import REPOSITORY, assert_no_orphan, content, here, make_film, make_networks
from vidrestore.cli import main
from vidrestore.errors import OutputError
from vidrestore.runs.journal import Journal, load
from vidrestore.runs.pipeline import RestoreResult
from vidrestore.runs.workfolder import WorkFolder, work_folder

STEADY = {"plan": {"segment_frames": 12, "context_frames": 2, "window_frames": 6,
                   "overlap_frames": 1}}  # fmt: skip


class KilledError(Exception):
    pass


@pytest.fixture(scope="module")
def film(clips: Clips) -> Path:
    return make_film(clips, "film.mp4", (19, 22, 12, 19))


@pytest.fixture(scope="module")
def avi(clips: Clips, film: Path) -> Path:
    """The same at a constant rate, where seeking is a guess."""
    return clips.make(
        "film.avi", "-r", "24", "-c:v", "mpeg4", "-q:v", "3", "-bf", "0", source=["-i", str(film)]
    )


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small weights that do something, for both tasks."""
    return make_networks(tmp_path_factory.mktemp("weights"))


def interrupt(
    monkeypatch: pytest.MonkeyPatch, segments: int, source: Path, output: Path, **values: Any
) -> None:
    """Run until so many more segments are journaled."""
    left = [segments]
    add = Journal.add

    def add_and_die(self: Journal, *arguments: Any) -> None:
        add(self, *arguments)
        left[0] -= 1
        if left[0] == 0:
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", add_and_die)
        with pytest.raises(KilledError):
            here(source, output, **values)


def facts(result: RestoreResult) -> tuple[object, ...]:
    """What a result says, apart from times."""
    return (
        result.frames, result.made_frames, result.cuts, result.drift, result.sigma,
        result.check.frames_found, result.warnings,
    )  # fmt: skip


MODES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "longer segments": STEADY,
    "no context": {"plan": {"segment_frames": 5, "context_frames": 0, "window_frames": 6,
                            "overlap_frames": 0}},
    "denoised": {"tasks": ("denoise",), "sigma": 12.0},
    "another rate": {"fps": "60", "tasks": ("denoise",), "sigma": 12.0},
    "fewer frames": {"fps": "2"},
    "slow motion": {"slow": 2},
    "repaired": {"fill": True},
    "from a time to a time": {"start": "1/2", "end": "5/2"},
    "from a frame to a frame": {"start": 5, "end": 60},
    "lossless": {"encode": {"codec": "ffv1"}},
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_going_on_changes_nothing(
    film: Path, tmp_path: Path, ffmpeg: str, networks: Path, mode: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    segments = 2 if mode == "longer segments" else 5
    values = {"weights": str(networks), **MODES[mode]}
    suffix = ".mkv" if mode == "lossless" else ".mp4"
    whole, output = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    expected = here(film, whole, **values)
    interrupt(monkeypatch, segments, film, output, **values)
    assert not output.exists()
    result = here(film, output, **values)
    assert 0 < result.resumed_frames < result.frames
    assert content(output, ffmpeg) == content(whole, ffmpeg)
    assert facts(result) == facts(expected)
    assert not work_folder(output).exists()


def test_without_an_index_it_is_decoded_from_the_top(
    avi: Path, tmp_path: Path, ffmpeg: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here(avi, tmp_path / "whole.mkv")
    for _ in range(3):
        interrupt(monkeypatch, 2, avi, tmp_path / "out.mkv")
    assert here(avi, tmp_path / "out.mkv").resumed_frames > 20
    assert content(tmp_path / "out.mkv", ffmpeg) == content(tmp_path / "whole.mkv", ffmpeg)


def test_given_cuts_and_the_list_written_survive(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = []
    for name in ("whole", "out"):
        written = tmp_path / f"{name}.csv"
        values = {"write_cuts": written}
        if name == "out":
            interrupt(monkeypatch, 7, film, tmp_path / "out.mp4", **values)
            assert not written.exists()
        here(film, tmp_path / f"{name}.mp4", **values)
        lists.append(written.read_text())
    assert lists[0] == lists[1]
    assert lists[0].count("\n") > 4


def test_nothing_is_restored_twice(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vidrestore.encoders.encode import SegmentEncoder

    output = tmp_path / "out.mp4"
    interrupt(monkeypatch, 5, film, output)
    done = load(work_folder(output))
    assert done is not None
    written: list[int] = []
    write = SegmentEncoder.write

    def count(self: SegmentEncoder, frame: Any) -> None:
        written.append(frame.index)
        write(self, frame)

    monkeypatch.setattr(SegmentEncoder, "write", count)
    result = here(film, output)
    assert written == list(range(done.frames, result.frames))


def test_a_run_that_only_lacked_its_end_is_joined(
    film: Path, tmp_path: Path, ffmpeg: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vidrestore.runs import pipeline

    output = tmp_path / "out.mp4"
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "mux", _die)
        with pytest.raises(KilledError):
            here(film, output)
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "write_segments", _die)
        result = here(film, output)
    assert result.resumed_frames == result.frames == 72
    expected = here(film, tmp_path / "whole.mp4")
    assert facts(result) == facts(expected)
    assert content(output, ffmpeg) == content(tmp_path / "whole.mp4", ffmpeg)


def test_a_run_that_died_between_its_last_segment_and_its_end_goes_on(
    film: Path, tmp_path: Path, ffmpeg: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.mp4"
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "end", _die)
        with pytest.raises(KilledError):
            here(film, output)
    left = load(work_folder(output))
    assert left is not None
    assert left.frames == 72
    result = here(film, output)
    assert result.resumed_frames == 72 - left.records[-1].frames
    here(film, tmp_path / "whole.mp4")
    assert content(output, ffmpeg) == content(tmp_path / "whole.mp4", ffmpeg)


def _die(*_: object, **__: object) -> None:
    raise KilledError


def test_other_settings_start_anew_and_say_why(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.mp4"
    interrupt(monkeypatch, 3, film, output)
    result = here(film, output, encode={"preset": "ultrafast", "crf": 30})
    assert result.resumed_frames == 0
    assert any("started anew" in warning and "encode" in warning for warning in result.warnings)


def test_another_input_starts_anew(
    film: Path, tmp_path: Path, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, source = tmp_path / "out.mp4", tmp_path / "in.mp4"
    shutil.copy(film, source)
    interrupt(monkeypatch, 3, source, output)
    shutil.copy(clips.plain, source)
    result = here(source, output)
    assert result.frames == 24
    assert result.resumed_frames == 0
    assert any("started anew" in warning for warning in result.warnings)


def test_starting_anew_can_be_asked_for(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.mp4"
    interrupt(monkeypatch, 3, film, output)
    result = here(film, output, resume=False)
    assert result.resumed_frames == 0
    assert result.warnings == ()


def test_work_can_be_kept(film: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    here(film, output, keep_work=True)
    assert work_folder(output).is_dir()
    again = here(film, output, overwrite=True)
    assert again.resumed_frames == again.frames == 72
    assert not work_folder(output).exists()


@pytest.mark.parametrize("damage", ["changed", "gone", "shorter"])
def test_from_a_damaged_segment_on_all_is_made_again(
    film: Path, tmp_path: Path, ffmpeg: str, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.mp4"
    interrupt(monkeypatch, 4, film, output)
    before = load(work_folder(output))
    assert before is not None
    path = work_folder(output) / before.records[2].file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data if damage == "changed" else data[:-1])
    result = here(film, output)
    assert result.resumed_frames == sum(record.frames for record in before.records[:2])
    here(film, tmp_path / "whole.mp4")
    assert content(output, ffmpeg) == content(tmp_path / "whole.mp4", ffmpeg)


def test_threads_and_number_format_of_the_first_run_are_kept(
    film: Path, tmp_path: Path, networks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from vidrestore.network import diffuse

    values = {"tasks": ("denoise",), "weights": str(networks), "sigma": 10.0}
    output = tmp_path / "out.mp4"
    monkeypatch.setattr(diffuse, "choose_body_dtype", lambda *_: torch.bfloat16)
    interrupt(monkeypatch, 2, film, output, **values)
    monkeypatch.setattr(diffuse, "choose_body_dtype", lambda *_: torch.float32)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        result = here(film, output, **values)
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)
    assert result.dtype == "bfloat16"
    assert result.resumed_frames > 0
    assert not any("bit-identical" in warning for warning in result.warnings)


def test_what_cannot_be_kept_ends_the_claim_of_identity(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.mp4"
    interrupt(monkeypatch, 2, film, output)
    path = work_folder(output) / "journal.jsonl"
    text = path.read_text()
    assert '"processor": "' in text
    path.write_text(text.replace('"processor": "', '"processor": "another than '))
    interrupt(monkeypatch, 2, film, output)
    result = here(film, output)
    assert result.resumed_frames > 0
    said = [warning for warning in result.warnings if "bit-identical" in warning]
    assert len(said) == 1
    assert "processor was another than" in said[0]
    (entry,) = [one for one in result.receipt.entries if one.subject == "bit-identity"]
    assert (entry.status, entry.note) == ("changed as announced", said[0])


def test_the_encoders_threads_of_the_first_run_are_kept(
    clips: Clips, tmp_path: Path, ffmpeg: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vidrestore.encoders import encode
    from vidrestore.runs import pipeline

    picture = clips.picture("64x256", frames=24)
    source = clips.make("tall.mkv", "-c:v", "ffv1", "-pix_fmt", "yuv420p", source=picture)
    output = tmp_path / "out.mkv"
    monkeypatch.setattr(pipeline, "cores", lambda: 4)
    interrupt(monkeypatch, 2, source, output)
    monkeypatch.setattr(pipeline, "cores", lambda: 2)
    commands: list[list[str]] = []
    compose = encode.encode_command

    def composed(*arguments: Any) -> list[str]:
        commands.append(compose(*arguments))
        return commands[-1]

    monkeypatch.setattr(encode, "encode_command", composed)
    result = here(source, output)
    assert 0 < result.resumed_frames < 24
    assert not result.warnings
    assert commands
    assert all(line[line.index("-threads") + 1] == "6" for line in commands)


def test_two_runs_do_not_write_one_output(film: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    with WorkFolder.of(output), pytest.raises(OutputError, match="another run"):
        here(film, output)
    assert here(film, output).frames == 72


STOPPED = """
import sys
from dataclasses import replace
from vidrestore import cli
from vidrestore.runs import pipeline
from tests.resuming import PLAN
original = pipeline.restore
def short(source, output, settings, *rest):
    return original(source, output, replace(settings, plan=PLAN), *rest)
pipeline.restore = short
cli.main(sys.argv[1:])
"""


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_what_is_finished_and_says_how_to_go_on(
    film: Path, tmp_path: Path, ffmpeg: str, sent: signal.Signals, code: int
) -> None:
    output = tmp_path / "out.mp4"
    argv = [sys.executable, "-c", STOPPED, "restore", str(film), "-o", str(output), "-q",
            "--preset", "ultrafast", "--steps", "8"]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(
        argv, cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE, text=True
    )
    journal = work_folder(output) / "journal.jsonl"
    deadline_s = time.monotonic() + 120
    while not journal.exists() or journal.read_bytes().count(b"\n") < 3:
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    process.send_signal(sent)
    _, said = process.communicate(timeout=120)
    assert process.returncode == code, said
    assert said.count("\n") == 1
    assert "the same command goes on" in said
    assert_no_orphan(output)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4.vidrestore"]
    left = load(work_folder(output))
    assert left is not None
    names = {"journal.jsonl", *(record.file for record in left.records)}
    assert {path.name for path in work_folder(output).iterdir()} == names
    assert left.frames >= 8


SLOW_TO_END = """
import time
from pathlib import Path
from vidrestore.runs import journal
def leave(work, error):
    Path(work.path, "partial-leaving").touch()
    time.sleep(600)
journal.leave = leave
"""


def test_a_second_signal_does_not_wait(film: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    argv = [sys.executable, "-c", SLOW_TO_END + STOPPED, "restore", str(film), "-o", str(output)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    options = ["-q", "--preset", "ultrafast", "--steps", "8"]
    process = subprocess.Popen([*argv, *options], cwd=REPOSITORY, env=environment)
    try:
        await_that((work_folder(output) / "journal.jsonl").exists)
        process.send_signal(signal.SIGINT)
        await_that((work_folder(output) / "partial-leaving").exists)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 143
    finally:
        process.kill()
    assert_no_orphan(output)
    assert not output.exists()
    assert here(film, output).frames == 72


def await_that(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_clean_removes_what_is_ours_and_says_so(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output, other = tmp_path / "out.mp4", tmp_path / "other.mp4"
    interrupt(monkeypatch, 2, film, output)
    interrupt(monkeypatch, 2, film, other)
    (work_folder(other) / "notes.txt").write_text("mine")
    foreign = tmp_path / "photos.vidrestore"
    foreign.mkdir()
    (foreign / "a.jpg").write_text("x")
    part = tmp_path / ".film.mkv.4194305.part"  # no process has such a number
    part.write_text("half")
    (tmp_path / ".film.part").write_text("not ours")
    with pytest.raises(SystemExit) as ended:
        main(["clean", str(tmp_path)])
    assert not ended.value.code
    said = capsys.readouterr().out.splitlines()
    assert sum(line.startswith(f"removed {tmp_path}") for line in said) == 2
    assert any("finished frames" in line for line in said)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert left == [
        ".film.part", "other.mp4.vidrestore", "other.mp4.vidrestore/notes.txt",
        "photos.vidrestore", "photos.vidrestore/a.jpg",
    ]  # fmt: skip


def test_clean_leaves_a_run_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with WorkFolder.of(tmp_path / "out.mp4") as work:
        with pytest.raises(SystemExit):
            main(["clean", str(tmp_path / "out.mp4")])
        assert work.path.is_dir()
    assert "another run" in capsys.readouterr().out

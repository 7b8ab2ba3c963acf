"""Runs that are killed and go on: the result is that of a run that was not."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Clips
from tests.resuming import REPOSITORY, Runs, content, here
from vidrestore.cli import main
from vidrestore.errors import OutputError
from vidrestore.network import weights
from vidrestore.network.model import ModelSpec, RestorationNet
from vidrestore.runs.journal import Journal, load
from vidrestore.runs.pipeline import RestoreResult
from vidrestore.runs.workfolder import WorkFolder, work_folder
from vidrestore.timing.fill import CANDIDATES

STEADY = {"plan": {"segment_frames": 12, "context_frames": 2, "window_frames": 6,
                   "overlap_frames": 1}}  # fmt: skip


class KilledError(Exception):
    pass


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    server = Runs()
    yield server
    server.close()


@pytest.fixture(scope="module")
def film(clips: Clips) -> Path:
    path = clips.folder / "film.mp4"
    shots = [("testsrc", 19), ("mandelbrot", 22), ("smptebars", 12), ("testsrc2", 19)]
    inputs, graph = [], ""
    for number, (kind, frames) in enumerate(shots):
        inputs += ["-f", "lavfi", "-i", f"{kind}=size=64x48:rate=24,trim=end_frame={frames}"]
        graph += f"[{number}]setsar=1,format=yuv420p[s{number}];"
    graph += "[s0][s1][s2][s3]concat=n=4,noise=alls=8:allf=t:all_seed=3,settb=1/90000,"
    graph += "setpts='N*3750+mod(N,3)*411+if(gt(N,30),1700,0)'[v]"
    timing = ("-fps_mode", "passthrough", "-enc_time_base", "1/90000")
    video = ("-c:v", "libx264", "-bf", "3", "-g", "10", "-c:a", "aac")
    return clips.make(
        path.name, "-filter_complex", graph, "-map", "[v]", "-map", "4:a", *timing, *video,
        source=[*inputs, *clips.tone(3.0)],
    )  # fmt: skip


@pytest.fixture(scope="module")
def avi(clips: Clips, film: Path) -> Path:
    """The same at a constant rate, where seeking is a guess."""
    return clips.make(
        "film.avi", "-r", "24", "-c:v", "mpeg4", "-q:v", "3", "-bf", "0", source=["-i", str(film)]
    )


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small weights that do something, for both tasks."""
    import torch

    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("weights")
    for task, spec in {
        "denoise": ModelSpec(channels=(8, 8, 8)),
        "interpolate": ModelSpec(channels=(8, 8, 8), candidates=CANDIDATES),
    }.items():
        net = RestorationNet(spec)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
        weights.save(net, folder, task=task, size="test", card={})
    return folder


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


def killed_until_done(
    runs: Runs, kills: int, source: Path, folder: Path, ffmpeg: str, seed: int
) -> None:
    output, whole = folder / "out.mp4", folder / "whole.mp4"
    for _ in range(2):  # the second is not slowed down by first times
        whole.unlink(missing_ok=True)
        start_s = time.monotonic()
        runs.start(source, whole)
        assert runs.finish()["status"] == 0
        wall_s = time.monotonic() - start_s
    wanted = content(whole, ffmpeg)
    moments = random.Random(seed)
    for _ in range(kills):
        runs.start(source, output)
        time.sleep(moments.uniform(0.3, 1) * wall_s)
        with suppress(ProcessLookupError):  # it was quicker
            os.kill(runs.pid, signal.SIGKILL)
        said = runs.finish()
        assert said["status"] in (-signal.SIGKILL, 0), said
        assert_no_orphan(output)
        if output.exists():  # killed after the end: it must be whole
            assert content(output, ffmpeg) == wanted
            output.unlink()
    runs.start(source, output)
    said = runs.finish()
    assert said["status"] == 0, said
    assert content(output, ffmpeg) == wanted
    assert sorted(path.name for path in folder.iterdir()) == ["out.mp4", "whole.mp4"]


def assert_no_orphan(output: Path) -> None:
    """No process still has the output's name on its command line."""
    deadline_s = time.monotonic() + 10
    while time.monotonic() < deadline_s:
        lines = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                lines.append(entry.read_bytes())
            except OSError:
                continue
        if not any(str(output).encode() in line for line in lines):
            return
        time.sleep(0.05)
    raise AssertionError("an ffmpeg outlives us")


@pytest.mark.parametrize(
    "kills", [5, pytest.param(50, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_killed_at_random_moments_the_result_is_the_same(
    runs: Runs, film: Path, tmp_path: Path, ffmpeg: str, kills: int
) -> None:
    killed_until_done(runs, kills, film, tmp_path, ffmpeg, seed=kills)


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
    assert '"cores": ' in text
    path.write_text(text.replace('"cores": ', '"cores": 9'))
    interrupt(monkeypatch, 2, film, output)
    result = here(film, output)
    assert result.resumed_frames > 0
    said = [warning for warning in result.warnings if "bit-identical" in warning]
    assert len(said) == 1
    assert "cores" in said[0]


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
def short(source, output, settings, on_progress):
    return original(source, output, replace(settings, plan=PLAN), on_progress)
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
    assert sum(line.startswith("removed") for line in said) == 2
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

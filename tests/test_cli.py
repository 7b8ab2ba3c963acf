"""The command line: exit codes, one-line errors, JSON, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import pytest

from tests.conftest import Clips
from vidrestore.arguments import default_output, parse_time
from vidrestore.cli import main

REPOSITORY = Path(__file__).parent.parent


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main([str(argument) for argument in arguments])
    return int(exit_info.value.code or 0)


BAD = {
    "missing file": (["nowhere.mp4"], 3, "no such file"),
    "empty folder": (["EMPTY"], 3, "no numbered images"),
    "folder of videos": (["VIDEOS"], 2, "batch"),
    "text renamed to mp4": (["TEXT"], 3, "text"),
    "sound only": (["AUDIO"], 3, "no video"),
    "zero bytes": (["ZERO"], 3, "empty"),
    "no index": (["NO_INDEX"], 3, "moov"),
    "output is the input": (["PLAIN", "-o", "PLAIN", "-y"], 2, "output is the input"),
    "no such output folder": (["PLAIN", "-o", "nowhere/out.mp4"], 7, "no such folder"),
    "unknown suffix": (["PLAIN", "-o", "out.xyz"], 2, ".mkv"),
    "unknown codec": (["PLAIN", "--codec", "h262"], 2, "ffv1"),
    "no steps": (["PLAIN", "--steps", "0"], 2, "1"),
    "steps no number": (["PLAIN", "--steps", "many"], 2, "--steps"),
    "sigma no number": (["PLAIN", "--sigma", "banana"], 2, "auto"),
    "negative sigma": (["PLAIN", "--sigma=-3"], 2, "0 to 255"),
    "strength too strong": (["PLAIN", "--strength", "2"], 2, "0 to 1"),
    "no such option": (["PLAIN", "--bogus"], 2, "--bogus"),
    "no such task": (["PLAIN", "--task", "colourise"], 2, "denoise"),
    "start no time": (["PLAIN", "--start", "noon"], 2, "00:01:02.500"),
    "framerate zero": (["PLAIN", "--framerate", "0"], 2, "25"),
    "no such device": (["PLAIN", "--device", "abacus"], 6, "cpu"),
    "no such ffmpeg": (["PLAIN", "--ffmpeg", "/nowhere/ffmpeg"], 4, "bundled"),
    "no such weights": (["PLAIN", "--weights", "EMPTY"], 5, "--weights"),
    "no weights for task": (["PLAIN", "--task", "deblur", "--weights", "."], 5, "deblur"),
    "reference of another size": (["PLAIN", "--reference", "ODD"], 3, "size"),
    "missing reference": (["PLAIN", "--reference", "nowhere.mp4"], 3, "no such file"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gives_one_line_a_remedy_and_its_exit_code(
    case: str, clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    empty, videos = tmp_path / "empty", tmp_path / "videos"
    empty.mkdir()
    videos.mkdir()
    plain = tmp_path / "plain.mp4"
    plain.write_bytes(clips.plain.read_bytes())
    (videos / "a.mp4").write_bytes(plain.read_bytes())
    places = {
        "EMPTY": empty, "VIDEOS": videos, "PLAIN": plain, "TEXT": clips.text,
        "AUDIO": clips.audio_only, "ZERO": clips.empty, "NO_INDEX": clips.without_index,
        "ODD": clips.odd,
    }  # fmt: skip
    before = sorted(tmp_path.rglob("*"))
    arguments, code, said = BAD[case]
    arguments = [str(places.get(argument, argument)) for argument in arguments]
    if "-o" not in arguments:
        arguments += ["-o", "out.mp4"]
    assert run("restore", *arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("error: ")
    assert "(try: " in lines[0]
    assert said in lines[0]
    assert sorted(tmp_path.rglob("*")) == before, "something was left behind"


def test_an_unwritable_folder_is_refused(
    clips: Clips, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if os.geteuid() == 0:
        target = Path("/proc/out.mp4")  # nobody can write there, not even root
    else:
        target = tmp_path / "locked" / "out.mp4"
        target.parent.mkdir(mode=0o500)
    assert run("restore", clips.plain, "-o", target) == 7
    assert "cannot write into" in capsys.readouterr().err


def test_restore_json_is_one_document_with_the_promised_fields(
    clips: Clips, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, report = tmp_path / "out.mp4", tmp_path / "report.json"
    code = run(
        "restore", clips.plain, "-o", output, "--end", "4", "--reference", clips.plain,
        "--json", "--report", report,
    )  # fmt: skip
    assert code == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "vidrestore.restore/1"
    assert {"path", "width", "height", "frames", "fps"} <= document["input"].keys()
    assert document["output"]["frames"] == 4
    assert {"wall_s", "model_s", "fps"} <= document["timing"].keys()
    metrics = document["metrics"]
    promised = {"psnr_db", "ssim", "psnr_y_db", "ssim_y", "input_psnr_db", "input_ssim"}
    assert promised <= metrics.keys()
    assert metrics["input_psnr_db"] is None  # the input is its own reference here
    assert metrics["input_identical"] is True
    assert document["warnings"] == []
    assert json.loads(report.read_text()) == document


def test_without_a_reference_there_is_no_psnr(
    clips: Clips, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("restore", clips.plain, "-o", tmp_path / "o.mp4", "--end", "2", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["metrics"] is None
    assert document["noise"]["before"] >= 0


def test_compare_and_probe_speak_json(clips: Clips, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compare", clips.plain, clips.plain, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["metrics"]["psnr_db"] is None
    assert document["metrics"]["identical"] is True
    assert run("probe", clips.ten_bit, "--json") == 0
    assert json.loads(capsys.readouterr().out)["input"]["bit_depth"] == 10


def test_benchmark_json_has_the_promised_rows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clip = REPOSITORY / "examples" / "clean.mp4"
    code = run("benchmark", clip, "--degrade", "awgn:20", "--frames", "3", "--json")
    assert code == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "vidrestore.benchmark/2"
    row = document["rows"][0]
    assert row["method"] == "vidrestore"
    assert row["psnr_db"] > row["input_psnr_db"]
    promised = {"method", "psnr_db", "ssim", "seconds_per_frame", "input_psnr_db"}
    assert promised <= document["summary"][0].keys()


@pytest.mark.parametrize("command", ["restore", "compare", "probe", "train", "benchmark"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, "--help") == 0
    assert "Usage" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "value"),
    [("120", 120), ("4.5", Fraction(9, 2)), ("4s", 4), ("00:01:02.5", Fraction(125, 2)),
     ("1:30", 90), ("1:00:00", 3600), (None, None)],
)  # fmt: skip
def test_times_are_frames_seconds_or_timecodes(text: str, value: object) -> None:
    parsed = parse_time(text, "--start")
    assert parsed == value
    assert isinstance(parsed, int) == (text == "120")


def test_default_output_names() -> None:
    assert default_output(Path("a/film.MP4")) == Path("a/film.restored.MP4")
    assert default_output(Path("film.avi")) == Path("film.restored.mkv")


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_nothing_half_written(
    sent: signal.Signals, code: int, clips: Clips, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    process = subprocess.Popen(
        [sys.executable, "-m", "vidrestore", "restore", clips.plain, "-o", output, "-q",
         "--steps", "200"],
        cwd=REPOSITORY, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    work = tmp_path / "out.mp4.vidrestore"
    deadline_s = time.monotonic() + 120
    while not work.exists():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline_s, "the run never started"
        time.sleep(0.05)
    process.send_signal(sent)
    _, said = process.communicate(timeout=120)
    assert process.returncode == code, said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []

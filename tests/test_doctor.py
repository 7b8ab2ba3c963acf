"""The doctor: what is there passes, what is missing fails with a remedy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from vidrestore import doctor
from vidrestore.cli import main
from vidrestore.doctor import Check, Subject, examine
from vidrestore.network.shelf import TASKS, packaged_folder


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main([str(argument) for argument in arguments])
    return int(exit_info.value.code or 0)


def only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Look at some things alone."""
    for name in ("python", "libraries", "device", "weights", "ffmpeg", "encoders", "disk"):
        if name not in names:
            monkeypatch.setattr(doctor, f"_{name}", _nothing)


def _nothing(_: Subject) -> list[Check]:
    return []


def test_all_is_well_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--json", "--device", "cpu") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "vidrestore.doctor/1"
    checks = {check["name"]: check for check in document["checks"]}
    assert {"python", "torch", "device", "ffmpeg", "disk"} <= checks.keys()
    assert {check["status"] for check in checks.values()} <= {"pass", "warn"}
    assert "timed" in checks["number format"]["found"]
    for codec in ("h264", "hevc", "av1", "ffv1", "prores"):
        assert checks[f"encoder: {codec}"]["status"] == "pass"
    for task in TASKS:
        assert next(packaged_folder().glob(f"{task}-*")).name in checks[f"weights: {task}"]["found"]


def test_no_ffmpeg_fails_with_its_code_and_a_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    only(monkeypatch, "ffmpeg", "encoders", "python")
    assert run("doctor", "--ffmpeg", "/nowhere/ffmpeg") == 4
    said = capsys.readouterr()
    assert "fail" in said.out
    assert len(said.err.splitlines()) == 1
    assert "not as it must be: ffmpeg, encoders" in said.err
    assert "(try: " in said.err


def test_an_ffmpeg_without_encoders_fails_where_they_are_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ffmpeg: str
) -> None:
    only(monkeypatch, "encoders")
    poor = tmp_path / "ffmpeg"
    # It tells of no H.264 and no ProRes encoder, as a build without them does.
    poor.write_text(
        f'#!/bin/sh\ncase "$*" in *encoder=libx264*|*encoder=prores*) exit 1;; esac\n'
        f'exec {ffmpeg} "$@"\n'
    )
    poor.chmod(0o755)
    checks = {check.name: check for check in examine(Subject(ffmpeg=str(poor)))}
    assert checks["encoder: h264"].status == "fail"
    assert checks["encoder: h264"].exit_code == 4
    assert checks["encoder: prores"].status == "warn"
    assert checks["encoder: ffv1"].status == "pass"
    assert all(check.remedy for check in checks.values() if check.status != "pass")


def test_corrupt_weights_fail_and_missing_ones_of_the_users_own_are_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    only(monkeypatch, "weights")
    whole = next(packaged_folder().glob("denoise-*"))
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / whole.name).write_bytes(whole.read_bytes()[:-1] + b"?")
    monkeypatch.setenv("VIDRESTORE_WEIGHTS", str(folder))
    checks = {check.name: check for check in examine()}
    assert "corrupt" in checks["weights: denoise"].found
    assert checks["weights: denoise"].status == "fail"
    assert checks["weights: denoise"].exit_code == 5
    shutil.copy(whole, folder)
    own = {check.name: check for check in examine(Subject(weights=folder))}
    assert own["weights: denoise"].status == "pass"
    assert own["weights: interpolate"].status == "warn"


@pytest.mark.parametrize(
    ("free", "status"), [(100, "fail"), (1_000_000_000, "warn"), (10**12, "pass")]
)
def test_a_full_disk_is_found_before_it_matters(
    monkeypatch: pytest.MonkeyPatch, free: int, status: str, tmp_path: Path
) -> None:
    only(monkeypatch, "disk")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert {check.status for check in examine(Subject(folder=tmp_path))} == {status}


def test_a_device_that_is_not_there_and_a_broken_library_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only(monkeypatch, "device", "weights")
    checks = {check.name: check for check in examine(Subject(device="abacus"))}
    assert checks["device"].exit_code == 6
    only(monkeypatch, "disk")

    def broken(_: Subject) -> list[Check]:
        raise ImportError("libGL.so.1 is missing")

    broken.__name__ = "_libraries"
    monkeypatch.setattr(doctor, "_libraries", broken)
    failed = [check for check in examine() if check.status == "fail"]
    assert [(check.name, check.found) for check in failed] == [
        ("libraries", "libGL.so.1 is missing")
    ]
    assert failed[0].remedy

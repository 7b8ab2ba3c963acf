from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.test_cli import REPOSITORY
from vidrestore.errors import FfmpegError, OutputError
from vidrestore.media.ffmpeg import FfmpegProcess, find_ffmpeg, keep_time_base, media_url, version
from vidrestore.runs.processes import descendants


def fake_ffmpeg(folder: Path, body: str) -> str:
    path = folder / "ffmpeg"
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_the_bundled_ffmpeg_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIDRESTORE_FFMPEG", raising=False)
    monkeypatch.setenv("PATH", "")
    assert "imageio_ffmpeg" in find_ffmpeg()


def test_explicit_wins_over_environment_wins_over_bundled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    explicit, environment = fake_ffmpeg(tmp_path / "a", ""), fake_ffmpeg(tmp_path / "b", "")
    monkeypatch.setenv("VIDRESTORE_FFMPEG", environment)
    assert find_ffmpeg() == environment
    assert find_ffmpeg(explicit) == explicit


def test_a_missing_ffmpeg_is_named() -> None:
    with pytest.raises(FfmpegError, match="/nowhere/ffmpeg") as raised:
        find_ffmpeg("/nowhere/ffmpeg")
    assert raised.value.hint


@pytest.mark.parametrize(
    ("banner", "expected", "option"),
    [
        ("ffmpeg version 9.0.2-static Copyright", (9, 0), "demux"),
        ("ffmpeg version n6.1 Copyright", (6, 1), "demux"),
        ("ffmpeg version 5.1.9-0+deb12u1 Copyright", (5, 1), "-1"),
        ("ffmpeg version N-118193-g5f38c82536 Copyright", (99, 0), "demux"),
    ],
)
def test_options_follow_the_version(
    banner: str, expected: tuple[int, int], option: str, tmp_path: Path
) -> None:
    path = fake_ffmpeg(tmp_path, f"print({banner!r})")
    assert version(path) == expected
    assert keep_time_base(path) == {"enc_time_base:v": option}


def test_another_program_is_not_taken_for_ffmpeg(tmp_path: Path) -> None:
    with pytest.raises(FfmpegError, match="is not ffmpeg"):
        version(fake_ffmpeg(tmp_path, "print('hello')"))


def test_a_flood_of_messages_does_not_stall(tmp_path: Path) -> None:
    flood = fake_ffmpeg(tmp_path, "sys.stderr.write('[warning] noise\\n' * 200_000)")
    with FfmpegProcess([flood]) as process:
        process.finish()
        assert process.errors == []


def test_a_failure_carries_ffmpegs_own_words(ffmpeg: str) -> None:
    with FfmpegProcess([ffmpeg, "-i", "file:/nowhere.mp4"]) as process:
        with pytest.raises(FfmpegError, match="No such file") as raised:
            process.finish()
        assert "\n" not in str(raised.value)


def test_a_full_disk_is_an_output_error(tmp_path: Path) -> None:
    full = "sys.stderr.write('[out @ 0x1] [error] x: No space left on device\\n'); sys.exit(1)"
    with FfmpegProcess([fake_ffmpeg(tmp_path, full)]) as process, pytest.raises(OutputError):
        process.finish()


def test_an_exception_kills_the_child(tmp_path: Path) -> None:
    sleeper = fake_ffmpeg(tmp_path, "time.sleep(600)")
    with pytest.raises(KeyboardInterrupt), FfmpegProcess([sleeper], stdin=True) as process:
        raise KeyboardInterrupt
    assert process.wait() != 0
    assert not [t for t in threading.enumerate() if "_read_messages" in t.name]


def test_urls_are_taken_literally() -> None:
    assert media_url(Path("/a/-i %d:x.mp4")) == "file:/a/-i %d:x.mp4"
    assert media_url(Path("-y")).startswith("file:/")


OUTLIVED = """
import shutil, sys, time
which = shutil.which
shutil.which = lambda name, *rest: None if name == sys.argv[2] else which(name, *rest)
from vidrestore.media.ffmpeg import FfmpegProcess
FfmpegProcess([sys.argv[1], "-re", "-f", "lavfi", "-i", "testsrc=size=16x16", "-f", "null", "-"])
print("started", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("hidden", ["nothing", "setpriv"])
def test_ffmpeg_dies_with_us_however_we_die(ffmpeg: str, hidden: str) -> None:
    """With setpriv, and with what stands in for it where there is none."""
    words = [sys.executable, "-c", OUTLIVED, ffmpeg, hidden]
    process = subprocess.Popen(words, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    deadline_s = time.monotonic() + 60
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        while not (running := _ffmpegs(process.pid)):  # what comes before it becomes ffmpeg
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
    finally:
        process.kill()
        process.communicate()
    while _is_alive(running[0]) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert not _is_alive(running[0])


def _ffmpegs(process: int) -> list[int]:
    """Processes below another that are ffmpeg and nothing else."""
    lines = {one: Path(f"/proc/{one}/cmdline").read_bytes() for one in descendants(process)}
    return [one for one, line in lines.items() if b"ffmpeg" in line.split(b"\0")[0]]


def _is_alive(process: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False

"""What goes wrong around a run: full disks, inputs that vanish, an ffmpeg that is shot."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Clips, run_ffmpeg
from tests.resuming import content, settings_of
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.encoders.planning import plan_encoding
from vidrestore.errors import ExitCode, FfmpegError, InputError, OutputError, VidrestoreError
from vidrestore.media.probe import probe
from vidrestore.runs.disk import DiskNeed, Space, disk_need
from vidrestore.runs.journal import load
from vidrestore.runs.pipeline import RestoreResult, restore
from vidrestore.runs.segments import Progress
from vidrestore.runs.workfolder import work_folder

LOSSLESS = {"codec": "ffv1"}
RAW_BYTES = 96 * 64 * 3 // 2 * 24
"""Samples of the clip."""


def run(
    source: Path, output: Path, at: Callable[[Progress], None] = lambda _: None, **values: Any
) -> RestoreResult:
    return restore(source, output, settings_of({"encode": LOSSLESS, **values}), at)


def once(output: Path, segments: int, deed: Callable[[], None]) -> Callable[[Progress], None]:
    """Does something as soon as so many segments are finished."""
    done = []

    def at(_: Progress) -> None:
        journal = work_folder(output) / "journal.jsonl"
        if not done and journal.exists() and journal.read_bytes().count(b"\n") > segments:
            done.append(True)
            deed()

    return at


def finished(output: Path) -> int:
    """Frames that a run has left."""
    former = load(work_folder(output))
    return 0 if former is None else former.frames


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits in queues, so that a deed meets the run where it is."""
    from vidrestore.runs import flow, segments

    for kind in ("Prefetch", "Sink"):
        original = getattr(flow, kind)
        monkeypatch.setattr(segments, kind, lambda what, _, made=original: made(what, 1))


def children() -> dict[int, bytes]:
    """Command lines of the processes that we have started."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid():
                found[int(entry.name)] = (entry / "cmdline").read_bytes()
        except (OSError, IndexError, ValueError):
            continue
    return found


def shoot(word: bytes) -> None:
    """Kill our ffmpeg whose command line holds a word."""
    shot = [pid for pid, line in children().items() if word in line]
    assert shot
    for pid in shot:
        os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def long_clip(clips: Clips) -> Path:
    """So large and long that the decoder is not done while the first segments are."""
    video = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", "2", "-c:a", "aac")
    return clips.make(
        "long.mkv", *clips.tone(4.0), *video, source=clips.picture("256x192", frames=96)
    )


@pytest.mark.usefixtures("slowly")
@pytest.mark.parametrize("process", ["decoder", "encoder"])
def test_an_ffmpeg_that_is_shot_is_an_error_and_costs_no_finished_segment(
    long_clip: Path, tmp_path: Path, ffmpeg: str, process: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.mkv"
    word = {"decoder": b"pipe:1", "encoder": b".nut"}[process]
    with pytest.raises((FfmpegError, OutputError)) as caught:
        run(long_clip, output, once(output, 2, lambda: shoot(word)))
    assert "are kept" in str(caught.value.hint)
    assert not output.exists()
    assert not [line for line in children().values() if b"-loglevel" in line]
    assert finished(output) >= 8
    result = run(long_clip, output)
    assert result.resumed_frames >= 8
    run(long_clip, tmp_path / "whole.mkv")
    assert content(output, ffmpeg) == content(tmp_path / "whole.mkv", ffmpeg)


@pytest.mark.usefixtures("slowly")
@pytest.mark.parametrize("deed", ["shrinks", "vanishes", "is replaced"])
def test_an_input_that_changes_under_us_is_an_error_and_can_be_put_back(
    long_clip: Path, clips: Clips, tmp_path: Path, ffmpeg: str, deed: str
) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    shutil.copy(long_clip, source)

    def act() -> None:
        if deed == "shrinks":
            os.truncate(source, source.stat().st_size // 2)
        elif deed == "vanishes":
            source.unlink()
        else:
            shutil.copy(clips.plain, tmp_path / "new.mkv").replace(source)

    with pytest.raises(InputError, match="while it was read") as caught:
        run(source, output, once(output, 1, act))
    assert caught.value.exit_code == ExitCode.INPUT
    assert not output.exists()
    before = finished(output)
    assert before >= 4
    shutil.copy(long_clip, source)
    assert run(source, output).resumed_frames == before
    run(long_clip, tmp_path / "whole.mkv")
    assert content(output, ffmpeg) == content(tmp_path / "whole.mkv", ffmpeg)


@pytest.mark.usefixtures("slowly")
@pytest.mark.parametrize("deed", ["shrinks", "vanishes", "one more"])
def test_a_folder_of_images_that_changes_under_us_is_an_error(
    clips: Clips, tmp_path: Path, deed: str
) -> None:
    source, output = tmp_path / "images", tmp_path / "out.mkv"
    source.mkdir()
    run_ffmpeg(clips.ffmpeg, *clips.picture(frames=24), source / "%03d.png")
    last = max(source.iterdir())

    def act() -> None:
        if deed == "shrinks":
            os.truncate(last, last.stat().st_size // 2)
        elif deed == "vanishes":
            last.unlink()
        else:
            shutil.copy(last, source / "025.png")

    with pytest.raises(InputError, match="while it was read"):
        run(source, output, once(output, 1, act))
    assert not output.exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mounts a tmpfs of the size given."""
    mounted: list[Path] = []

    def mount(size_bytes: int) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        options = ["-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)]
        there = shutil.which("mount")
        done = there and subprocess.run(["mount", *options], capture_output=True, check=False)
        if not done or done.returncode != 0:
            pytest.skip("mounting a small disk needs root")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_stops_cleanly_and_keeps_what_is_finished(
    clips: Clips, small_disk: Callable[[int], Path], ffmpeg: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    run(clips.plain, tmp_path / "whole.mkv")
    size = (tmp_path / "whole.mkv").stat().st_size
    folder = small_disk((size * 6 // 10) // 4096 * 4096)
    output = folder / "out.mkv"
    monkeypatch.setattr(Space, "free_bytes", property(lambda _: 1 << 40))  # no early warning
    with pytest.raises(OutputError, match="disk is full") as caught:
        run(clips.plain, output)
    assert caught.value.exit_code == ExitCode.OUTPUT
    kept = finished(output)
    assert 0 < kept < 24
    assert "are kept" in str(caught.value.hint)
    assert [path.name for path in folder.iterdir()] == ["out.mkv.vidrestore"]
    subprocess.run(["mount", "-o", "remount,size=64M", str(folder)], check=True)
    assert run(clips.plain, output).resumed_frames == kept
    assert content(output, ffmpeg) == content(tmp_path / "whole.mkv", ffmpeg)


def test_a_disk_that_fills_up_while_joining_keeps_all_segments(
    clips: Clips, small_disk: Callable[[int], Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    run(clips.plain, tmp_path / "whole.mkv")
    size = (tmp_path / "whole.mkv").stat().st_size
    folder = small_disk((size * 15 // 10) // 4096 * 4096)
    with monkeypatch.context() as patch:
        patch.setattr(Space, "free_bytes", property(lambda _: 1 << 40))
        with pytest.raises(OutputError, match="disk is full"):
            run(clips.plain, folder / "out.mkv")
    assert finished(folder / "out.mkv") == 24
    with pytest.raises(OutputError, match="the output takes"):  # and the next one sees it coming
        run(clips.plain, folder / "out.mkv")
    assert finished(folder / "out.mkv") == 24


def test_too_small_a_disk_is_refused_before_any_work(
    clips: Clips, small_disk: Callable[[int], Path]
) -> None:
    folder = small_disk(1 << 17)
    with pytest.raises(OutputError, match=r"takes .* or more, .* are free") as caught:
        run(clips.plain, folder / "out.mkv", _never)
    assert caught.value.exit_code == ExitCode.OUTPUT
    assert list(folder.iterdir()) == []


def _never(_: Progress) -> None:
    raise AssertionError("work was done")


def test_a_disk_that_cannot_be_written_is_refused(
    clips: Clips, small_disk: Callable[[int], Path]
) -> None:
    folder = small_disk(1 << 20)
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    with pytest.raises(OutputError, match="cannot write into"):
        run(clips.plain, folder / "out.mkv", _never)


def test_a_disk_that_turns_read_only_is_an_output_error(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vidrestore.runs.journal import Journal

    def refuse(self: Journal, *_: object) -> None:
        raise OSError(30, "Read-only file system")

    output = tmp_path / "out.mkv"
    with monkeypatch.context() as patch:
        original = Journal._write
        calls = []

        def write(self: Journal, *lines: Any) -> None:
            calls.append(lines)
            (original if len(calls) < 3 else refuse)(self, *lines)

        patch.setattr(Journal, "_write", write)
        with pytest.raises(OutputError, match="Read-only"):
            run(clips.plain, output)
    assert finished(output) >= 4


@pytest.mark.usefixtures("slowly")
def test_a_clock_that_jumps_changes_nothing(
    clips: Clips, tmp_path: Path, ffmpeg: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what the clock says nor what it makes of the times of files."""
    source, output = tmp_path / "in.mp4", tmp_path / "out.mkv"
    shutil.copy(clips.plain, source)
    seconds = iter(range(10**9, 0, -(10**5)))
    monkeypatch.setattr(time, "time", lambda: float(next(seconds)))

    def jump() -> None:
        for path in (source, *work_folder(output).iterdir()):
            os.utime(path, (4 * 10**9, 4 * 10**9))

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(source, output, once(output, 2, stop))
    jump()
    assert run(source, output, once(output, 4, jump)).resumed_frames >= 8
    monkeypatch.undo()
    run(clips.plain, tmp_path / "whole.mkv")
    assert content(tmp_path / "out.mkv", ffmpeg) == content(tmp_path / "whole.mkv", ffmpeg)


@pytest.mark.parametrize(
    ("encode", "least", "most"),
    [
        (EncodeSettings("ffv1"), RAW_BYTES // 8, RAW_BYTES),
        (EncodeSettings(bitrate_bps=800_000), 100_000, 100_000),
        (EncodeSettings(), 1, 30_000),
    ],
)
def test_the_estimate_is_a_lower_bound(
    clips: Clips, ffmpeg: str, encode: EncodeSettings, least: int, most: int
) -> None:
    plan = plan_encoding(probe(clips.plain), encode, ffmpeg)
    need = disk_need(plan, 24, encode.bitrate_bps)
    assert least <= need.video <= most
    assert need.others < clips.plain.stat().st_size
    assert need.total == 2 * need.video + need.others


def test_nobody_knows_what_an_unknown_length_takes(clips: Clips, ffmpeg: str) -> None:
    plan = plan_encoding(probe(clips.plain), EncodeSettings("ffv1"), ffmpeg)
    assert disk_need(plan, None, None).video == 0


def test_space_that_runs_out_is_told_in_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = Space(tmp_path, DiskNeed(video=3 << 30, others=1 << 30))
    monkeypatch.setattr(Space, "free_bytes", property(lambda _: 2 << 30))
    with pytest.raises(VidrestoreError, match=r"takes 7\.52 GB or more, 2\.15 GB are free"):
        space.demand_run()
    monkeypatch.setattr(Space, "free_bytes", property(lambda _: 8 << 30))
    space.demand_run()

"""Many files: found, named, restored, remembered, and accounted for."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path, PurePath

import pytest
from rich.console import Console

from tests.conftest import Clips
from vidrestore.batch import workers
from vidrestore.batch.batching import run
from vidrestore.batch.board import Board, summary_table
from vidrestore.batch.desk import BatchSettings
from vidrestore.batch.done import STATE_NAME, DoneFiles, fingerprint
from vidrestore.batch.jobs import (
    Added,
    Advanced,
    Execution,
    Facts,
    Failure,
    Finished,
    Idle,
    Item,
    Job,
    Looked,
    Settled,
    Started,
)
from vidrestore.batch.naming import Template
from vidrestore.batch.overview import Overview
from vidrestore.batch.seals import Seal
from vidrestore.batch.sources import find, read_list
from vidrestore.cli import main
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.errors import InputError, OutputError, UsageError, VidrestoreError, WeightsError
from vidrestore.media.images import VIDEO_SUFFIXES
from vidrestore.settings import RestoreSettings

REPOSITORY = Path(__file__).parent.parent
QUICK = ("--sigma", "10", "--preset", "ultrafast")


def command(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main([str(argument) for argument in arguments])
    return int(exit_info.value.code or 0)


def process(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "vidrestore", *map(str, arguments)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(true: Callable[[], object], seconds: float = 120) -> None:
    deadline_s = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline_s, "it never happened"
        time.sleep(0.05)


def written(*paths: Path) -> None:
    """Files that are called like videos, each with a content of its own."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(path))


def facts(job: Job) -> Facts:
    sealed = Seal.of(job.source), Seal.of(job.output)
    return Facts(10, 0, 0, 5.0, 5.0, 1.0, 2.0, 1.0, "cpu", "float32", ("w",), (), *sealed)


def pretend(jobs: Iterator[Job | None]) -> Generator[Execution, None, None]:
    """An executor that copies; sources with "bad" in their names fail."""
    for job in jobs:
        if job is None:
            time.sleep(0.01)
            yield Idle()
            continue
        yield Started(job)
        yield Advanced(job, 5, 10)
        if "bad" in job.source.name:
            yield Finished(job, None, Failure("it is bad", "do better", 3))
            continue
        assert job.settings.overwrite or not job.output.exists()
        job.output.write_text(f"restored {job.source.read_text()}")
        yield Finished(job, facts(job), None)


def settled(batch: BatchSettings) -> dict[str, Item]:
    events = run(batch, pretend)
    return {one.item.source.name: one.item for one in events if isinstance(one, Settled)}


def statuses(batch: BatchSettings) -> dict[str, str]:
    return {name: item.status for name, item in settled(batch).items()}


# What is found, and how it is called


def test_folders_patterns_lists_and_files_are_found_once_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    films = tmp_path / "films"
    written(films / "b.mp4", films / "a.MKV", films / "deep" / "er" / "c.mov", films / "notes.txt")
    written(films / ".hidden" / "d.mp4", films / "._a.mp4", films / "x.mp4.vidrestore" / "s.nut")
    written(films / "out" / "a.restored.mkv", tmp_path / "odd.bin")
    os.mkfifo(films / "pipe.mp4")
    (films / "loop").symlink_to(films)
    (films / "broken.mp4").symlink_to(tmp_path / "nowhere.mp4")
    monkeypatch.chdir(tmp_path)
    found = find(["films/b.mp4", "films", "films/**/*.mov", "odd.bin"], films / "out")
    names = [source.path.name for source in found.files]
    assert names == ["b.mp4", "a.MKV", "broken.mp4", "c.mov", "odd.bin"]
    assert [source.path.name for source in found.files if source.error] == ["broken.mp4"]
    assert [path.name for path in found.ignored] == ["notes.txt"]
    places = {source.path.name: source.place for source in found.files}
    assert places["c.mov"] == PurePath("deep/er/c.mov")
    assert places["odd.bin"] == PurePath("odd.bin")


def test_a_pattern_that_is_a_name_is_that_name(tmp_path: Path) -> None:
    written(tmp_path / "a[1].mp4", tmp_path / "a1.mp4")
    found = find([str(tmp_path / "a[1].mp4")], tmp_path / "out")
    assert [source.path.name for source in found.files] == ["a[1].mp4"]
    assert find([str(tmp_path / "*.avi")], tmp_path / "out").files[0].error is not None


def test_a_list_names_inputs_one_a_line(tmp_path: Path) -> None:
    given = tmp_path / "list.txt"
    given.write_bytes(b"# films\na b.mp4\r\n\n\xff.mkv\n")
    assert read_list(given) == ["a b.mp4", os.fsdecode(b"\xff.mkv")]
    with pytest.raises(InputError, match="cannot read the list"):
        read_list(tmp_path / "nowhere.txt")


@pytest.mark.parametrize(
    ("template", "codec", "source", "output"),
    [
        ("{stem}.restored{suffix}", "h264", "d/a.b.mp4", "d/a.b.restored.mp4"),
        ("{stem}.restored{suffix}", "h264", "a.avi", "a.restored.mkv"),
        ("{stem}.restored{suffix}", "h264", "a.webm", "a.restored.mkv"),
        ("{stem}.restored{suffix}", "av1", "a.webm", "a.restored.webm"),
        ("{stem}.restored{suffix}", "ffv1", "a.mov", "a.restored.mkv"),
        ("{stem}.restored{suffix}", "like-input", "a.mov", "a.restored.mov"),
        ("{name}.mkv", "h264", "a.mp4", "a.mp4.mkv"),
        ("{stem}/clean{suffix}", "h264", "d/{x}.mp4", "d/{x}/clean.mp4"),
    ],
)
def test_outputs_are_called_as_the_template_says(
    template: str, codec: str, source: str, output: str
) -> None:
    assert Template(template, codec).place(Path(source), PurePath(source)) == PurePath(output)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{stm}{suffix}", "{stem}"),
        ("{stem.__class__}.mkv", "there is no"),
        ("{stem!r}.mkv", "formats"),
        ("{stem", "not understood"),
        ("film{suffix}", "one name"),
        ("../{stem}.mkv", "leads out"),
        ("/tmp/{stem}.mkv", "leads out"),
        ("{stem}.xyz", ".mkv"),
        ("{stem}/%05d.png", "images"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused(template: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        Template(template, "h264")
    assert said in f"{refused.value} {refused.value.hint}"


# What is remembered


def test_what_is_done_is_skipped_and_what_has_changed_since_is_done_again(tmp_path: Path) -> None:
    films, out = tmp_path / "films", tmp_path / "out"
    written(films / "a.mp4", films / "d" / "b.mp4", films / "bad.mp4")
    batch = BatchSettings((str(films),), out)
    assert statuses(batch) == {"a.mp4": "restored", "b.mp4": "restored", "bad.mp4": "failed"}
    assert (out / "d" / "b.restored.mp4").exists(), "the tree is mirrored"
    again = {"a.mp4": "skipped", "b.mp4": "skipped", "bad.mp4": "failed"}
    assert statuses(batch) == again
    os.utime(films / "a.mp4")
    shutil.copytree(out, tmp_path / "moved")
    assert statuses(replace(batch, out=tmp_path / "moved")) == again, "content counts, not dates"
    (films / "a.mp4").write_text("another film")
    assert statuses(batch)["a.mp4"] == "restored"
    (out / "a.restored.mp4").write_text("spoilt")
    assert statuses(batch) == again | {"a.mp4": "restored"}
    (out / "d" / "b.restored.mp4").unlink()
    assert statuses(batch) == again | {"b.mp4": "restored"}
    other = replace(batch, settings=RestoreSettings(strength=0.5))
    assert statuses(other) == again | {"a.mp4": "restored", "b.mp4": "restored"}
    assert statuses(other) == again
    fresh = replace(other, settings=replace(other.settings, resume=False))
    assert statuses(fresh)["a.mp4"] == "restored"


def test_settings_count_if_they_change_the_output() -> None:
    usual = fingerprint(RestoreSettings())
    same = RestoreSettings(overwrite=True, keep_work=True, device="cpu", max_memory_bytes=1 << 30)
    assert fingerprint(same) == usual
    for other in (
        RestoreSettings(sigma=3),
        RestoreSettings(encode=EncodeSettings(crf=30)),
        RestoreSettings(fill=True),
        RestoreSettings(end=4),
    ):
        assert fingerprint(other) != usual
    with pytest.raises(WeightsError):
        fingerprint(RestoreSettings(weights=Path("/nowhere")))


def test_a_memory_that_a_crash_has_cut_off_or_somebody_edited_is_still_read(tmp_path: Path) -> None:
    films, out = tmp_path / "films", tmp_path / "out"
    written(films / "a.mp4", films / "b.mp4")
    batch = BatchSettings((str(films),), out)
    assert statuses(batch) == {"a.mp4": "restored", "b.mp4": "restored"}
    state = out / STATE_NAME
    lines = state.read_bytes().splitlines(keepends=True)
    nonsense = b'{"done": "a.restored.mp4", "settings": 1, "source": {}}\n[1]\n\xff\n'
    state.write_bytes(b"".join(lines[:-1]) + nonsense + lines[-1][:-20])
    assert statuses(batch) == {"a.mp4": "skipped", "b.mp4": "restored"}
    assert statuses(batch) == {"a.mp4": "skipped", "b.mp4": "skipped"}
    state.write_text('{"schema": "vidrestore.batch-state/99"}\n')
    with pytest.raises(OutputError, match="not of this version"):
        statuses(batch)


def test_two_batches_do_not_write_into_one_folder(tmp_path: Path) -> None:
    written(tmp_path / "a.mp4")
    with DoneFiles(tmp_path / "out"), pytest.raises(OutputError, match="another batch"):
        statuses(BatchSettings((str(tmp_path / "a.mp4"),), tmp_path / "out"))


# What must never happen


def test_its_own_outputs_are_never_restored_again(tmp_path: Path) -> None:
    written(tmp_path / "a.mp4", tmp_path / "a.restored.mp4", tmp_path / "b.mp4")
    in_place = BatchSettings((str(tmp_path),), tmp_path)
    found = settled(in_place)
    assert {name: item.status for name, item in found.items()} == {
        "a.mp4": "failed",  # its output was there, and is not the batch's
        "b.mp4": "restored",
    }
    assert "-y" in str(found["a.mp4"].failure)
    replaced = replace(in_place, settings=RestoreSettings(overwrite=True))
    assert statuses(replaced) == {"a.mp4": "restored", "b.mp4": "skipped"}
    inside = replace(in_place, out=tmp_path / "deep" / "out", template="{name}.mkv")
    assert statuses(inside) == {"a.mp4": "restored", "b.mp4": "restored"}
    assert statuses(inside) == {"a.mp4": "skipped", "b.mp4": "skipped"}
    elsewhere = replace(in_place, out=tmp_path.with_name(f"{tmp_path.name}-out"))
    assert statuses(elsewhere) == {"a.mp4": "restored", "b.mp4": "restored"}, "nor another batch's"
    (tmp_path / "b.mp4").unlink()
    only_ours = BatchSettings((str(tmp_path / "b.restored.mp4"),), tmp_path)
    with pytest.raises(InputError, match="has been restored"):
        statuses(only_ours)


def test_no_input_is_ever_replaced(tmp_path: Path) -> None:
    written(tmp_path / "a.avi", tmp_path / "a.mkv", tmp_path / "b.mkv")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    settings = RestoreSettings(overwrite=True)
    batch = BatchSettings((str(tmp_path),), tmp_path, template="{stem}.mkv", settings=settings)
    found = settled(batch)
    assert {item.status for item in found.values()} == {"failed"}
    assert "would replace an input" in str(found["a.avi"].failure)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_two_files_with_one_output_are_not_mixed_up(tmp_path: Path) -> None:
    films, out = tmp_path / "films", tmp_path / "out"
    written(films / "a.avi", films / "a.mkv")
    found = settled(BatchSettings((str(films),), out))
    assert found["a.avi"].status == "restored"
    assert found["a.mkv"].status == "failed"
    assert "a.avi is restored to" in str(found["a.mkv"].failure)
    assert (out / "a.restored.mkv").read_text().endswith("a.avi")
    apart = BatchSettings((str(films),), out, template="{name}.restored{suffix}")
    assert set(statuses(apart).values()) == {"restored"}


def test_an_output_that_was_made_from_another_file_is_not_replaced(tmp_path: Path) -> None:
    written(tmp_path / "x" / "a.mp4", tmp_path / "y" / "a.mp4")
    out = tmp_path / "out"
    first, second = (BatchSettings((str(tmp_path / d / "a.mp4"),), out) for d in "xy")
    both = BatchSettings((*first.inputs, *second.inputs), out)
    found = [one.item for one in run(both, pretend) if isinstance(one, Settled)]
    assert sorted(item.status for item in found) == ["failed", "restored"]
    (clash,) = (item for item in found if item.failure)
    assert "name the folder" in str(clash.failure)
    assert "was made from" in str(settled(second)["a.mp4"].failure)
    assert statuses(first) == {"a.mp4": "skipped"}
    (tmp_path / "x" / "a.mp4").unlink()
    assert statuses(second) == {"a.mp4": "restored"}


def test_a_list_of_odd_names_can_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    films = tmp_path / "films"
    odd = films / os.fsdecode(b"\xff\n\x1b[31m.mp4")
    written(films / "bad.mp4")
    odd.write_text("odd")
    (films / "self.mp4").symlink_to(films / "self.mp4")
    monkeypatch.setattr(workers, "run", lambda jobs, **_: pretend(jobs))
    table = tmp_path / "summary.csv"
    assert command("batch", films, "-o", tmp_path / "out", "--csv", table) == 8
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert len([line for line in said.err.splitlines() if line.startswith("failed")]) == 2
    with table.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        assert {row["source"] for row in csv.DictReader(file)} >= {str(odd)}


@pytest.mark.parametrize(
    ("inputs", "kind", "said"),
    [
        ([], UsageError, "nothing to restore"),
        (["EMPTY"], InputError, "no video in"),
        (["nowhere.mp4"], InputError, "no such file"),
        (["no*.mp4"], InputError, "nothing matches"),
        (["NOTES"], InputError, "1 other file"),
    ],
)
def test_nothing_to_restore_is_one_line_and_leaves_nothing(
    tmp_path: Path, inputs: list[str], kind: type[VidrestoreError], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    written(tmp_path / "notes" / "a.txt")
    places = {"EMPTY": str(tmp_path / "empty"), "NOTES": str(tmp_path / "notes")}
    batch = BatchSettings(tuple(places.get(one, one) for one in inputs), tmp_path / "out")
    with pytest.raises(kind, match=said):
        statuses(batch)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "a.mp4", tmp_path / "file")
    for out in (tmp_path / "file", Path("/proc/out")):
        with pytest.raises(OutputError):
            statuses(BatchSettings((str(tmp_path / "a.mp4"),), out))
    written(tmp_path / "films" / "d" / "b.mp4", tmp_path / "films" / "c.mp4")
    written(tmp_path / "out" / "d")  # a file where a folder is to be
    found = settled(BatchSettings((str(tmp_path / "films"),), tmp_path / "out"))
    assert found["c.mp4"].status == "restored"
    assert "cannot make the folder" in str(found["b.mp4"].failure)


def test_watching_takes_a_file_when_it_has_stopped_growing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vidrestore.batch import desk

    now_s = [0.0]
    monkeypatch.setattr(desk.time, "monotonic", lambda: now_s[0])
    films = tmp_path / "films"
    films.mkdir()
    batch = BatchSettings((str(films),), tmp_path / "out", watch=True)
    seen: dict[str, float] = {}
    events = run(batch, pretend)
    for event in events:
        if isinstance(event, Settled):
            seen[f"{event.item.source.name} {event.item.status}"] = now_s[0]
        if not isinstance(event, Idle):
            continue
        now_s[0] += 1
        if now_s[0] <= 5:
            with (films / "grows.mp4").open("a") as file:
                file.write("more")
        if now_s[0] == 7:
            (films / "empty.mp4").touch()
            written(films / "bad.mp4")
        if now_s[0] == 20:
            events.close()
            break
    assert set(seen) == {"grows.mp4 restored", "bad.mp4 failed"}, "once each"
    assert seen["grows.mp4 restored"] > 5 + desk.SETTLED_S - 1


# How it is told


def test_the_time_left_goes_by_size() -> None:
    overview = Overview()
    jobs = [Job(i, Path(f"{i}.mp4"), Path("o"), RestoreSettings(), 100 * i) for i in (1, 2, 3)]
    assert overview.remaining_s is None
    overview.add(Looked(3, (Path("a.txt"),)))
    for job in jobs:
        overview.add(Added(job))
    overview.add(Started(jobs[0]))
    assert overview.remaining_s is None
    overview.add(Settled(Item(jobs[0].source, None, "restored"), jobs[0]))
    overview.add(Started(jobs[1]))
    overview.add(Advanced(jobs[1], 5, 10))
    overview._first_s = time.monotonic() - 20
    assert overview.remaining_s == pytest.approx(40, rel=0.05), "200 of 600 bytes took 20 s"
    assert (overview.files, overview.ignored) == (3, 1)


def test_the_board_shows_what_runs_what_is_over_and_the_time_left() -> None:
    overview = Overview()
    jobs = [
        Job(i, Path(name), Path("o"), RestoreSettings(), 100)
        for i, name in enumerate(("a.mp4", "two\nlines.mp4", "c.mp4"))
    ]
    for event in (Looked(4, ()), *map(Added, jobs), Started(jobs[0])):
        overview.add(event)
    overview.add(Settled(Item(jobs[0].source, None, "failed", failure=Failure("no", None, 3))))
    overview.add(Settled(Item(jobs[0].source, None, "restored"), jobs[0]))
    overview.add(Started(jobs[1]))
    overview.add(Advanced(jobs[1], 7, 14))
    shown = io.StringIO()
    screen = Console(width=80, file=shown, force_terminal=False)
    screen.print(Board(overview))
    assert "two?lines.mp4" in shown.getvalue()
    assert "7/14" in shown.getvalue()
    assert "2 of 4 files, 1 restored, 1 failed" in shown.getvalue()
    assert "left" in shown.getvalue()
    overview.add(Settled(Item(jobs[1].source, None, "skipped"), jobs[1]))
    screen.print(summary_table(overview))
    assert "1 skipped" in shown.getvalue()


# The real thing


def tiny(clips: Clips, name: str, frames: int = 6) -> Path:
    path = clips.folder / name
    if path.exists():
        return path
    video = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "ultrafast")
    return clips.make(name, *video, source=clips.picture("64x48", frames=frames))


@pytest.fixture
def mixed(clips: Clips, tmp_path: Path) -> Path:
    """A folder of twelve files, four of which are bad."""
    folder = tmp_path / "mixed"
    (folder / "deep" / "er").mkdir(parents=True)
    good = [tiny(clips, f"tiny.{suffix}") for suffix in ("mp4", "mkv", "mov", "avi")]
    for number, place in enumerate((folder, folder / "deep" / "er")):
        for path in good:
            shutil.copy(path, place / f"clip{number}{path.suffix}.{number}{path.suffix}")
    for bad in (clips.text, clips.empty, clips.without_index):
        shutil.copy(bad, folder / "deep" / bad.name)
    (folder / "gone.mkv").symlink_to(tmp_path / "nowhere.mkv")
    return folder


def test_a_folder_of_twelve_with_four_bad_ones_gives_eight_and_is_not_done_twice(
    mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    table, report = tmp_path / "summary.csv", tmp_path / "summary.jsonl"
    arguments = ("batch", mixed, "-o", out, "-j", 2, *QUICK)
    assert command(*arguments, "--json", "--csv", table, "--report", report) == 8
    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert report.read_text().splitlines()[:-1] == said.out.splitlines()[:-1]
    whole = lines.pop()
    assert (whole["restored"], whole["failed"], whole["unfinished"]) == (8, 4, 0)
    assert len(lines) == 12
    outputs = sorted(path for path in out.rglob("*") if path.suffix in VIDEO_SUFFIXES)
    assert outputs == sorted(Path(line["output"]) for line in lines if line["status"] == "restored")
    assert len(outputs) == 8
    assert not list(out.rglob("*.vidrestore"))
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["exit_code"] for row in rows) == [*[""] * 8, *["3"] * 4]
    assert all(row["error"] and row["hint"] for row in rows if row["status"] == "failed")
    failed = [line for line in said.err.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 4
    assert "error: 4 of 12 files failed" in said.err
    before = {path: path.stat().st_mtime_ns for path in outputs}
    assert command(*arguments) == 8
    assert "8 skipped, 4 failed" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in outputs} == before


LONG_FRAMES = 1200
"""Enough that a signal comes before the end, however slow the machine is with signals."""


def films_to_interrupt(clips: Clips, tmp_path: Path, frames: int) -> Path:
    """Two short films, then a longer one."""
    films = tmp_path / "films"
    films.mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(tiny(clips, "tiny.mp4"), films / name)
    shutil.copy(tiny(clips, f"tiny-{frames}.mkv", frames), films / "c.mkv")
    return films


def interrupted(
    films: Path, out: Path, sent: signal.Signals, is_time: Callable[[], bool]
) -> tuple[int, str, str]:
    """Run a batch and send it a signal; when it has gone, so have its children."""
    running = process("batch", films, "-o", out, *QUICK)
    try:
        wait_until(lambda: is_time() or running.poll() is not None)
        children = descendants(running.pid)
        assert children, "there is a worker"
        running.send_signal(sent)
        said, complained = running.communicate(timeout=60)
    finally:
        running.kill()
    wait_until(lambda: not any(map(is_alive, children)), 30)
    return running.returncode, said, complained


def finished_again(films: Path, out: Path) -> dict[str, dict[str, object]]:
    """Run the same batch to its end."""
    again = process("batch", films, "-o", out, *QUICK, "--json")
    said, complained = again.communicate(timeout=300)
    assert again.returncode == 0, complained
    lines = [json.loads(line) for line in said.splitlines()[:-1]]
    return {Path(line["source"]).name: line for line in lines}


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_interrupted_and_run_again_nothing_is_lost(
    clips: Clips, tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    films, out = films_to_interrupt(clips, tmp_path, LONG_FRAMES), tmp_path / "out"
    work = out / "c.restored.mkv.vidrestore"
    status, said, complained = interrupted(films, out, sent, work.exists)
    assert status == code, complained
    if sent == signal.SIGINT:
        assert "2 of 3 files are finished, and the same command goes on" in complained
        assert "2 restored" in said
    before = {path: path.stat().st_mtime_ns for path in out.glob("[ab].*.mp4")}
    assert len(before) == 2
    lines = finished_again(films, out)
    assert [lines[name]["status"] for name in sorted(lines)] == ["skipped", "skipped", "restored"]
    assert lines["c.mkv"]["frames"] == LONG_FRAMES
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert not work.exists()


@pytest.mark.slow
def test_finished_segments_of_an_interrupted_file_are_kept(clips: Clips, tmp_path: Path) -> None:
    films, out = films_to_interrupt(clips, tmp_path, 700), tmp_path / "out"
    journal = out / "c.restored.mkv.vidrestore" / "journal.jsonl"

    def has_segment() -> bool:
        return journal.exists() and journal.read_bytes().count(b"\n") > 1

    status, _, complained = interrupted(films, out, signal.SIGTERM, has_segment)
    assert status == 143, complained
    lines = finished_again(films, out)
    assert lines["c.mkv"]["frames"] == 700
    assert lines["c.mkv"]["resumed_frames"] == 480


def descendants(parent: int) -> list[int]:
    """All processes that descend from one."""
    table: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                after_name = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            table.setdefault(int(after_name[1]), []).append(int(entry.name))
    found = table.get(parent, [])
    return [*found, *(below for child in found for below in descendants(child))]


def is_alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_worker_that_is_killed_costs_its_file_and_no_other(clips: Clips, tmp_path: Path) -> None:
    jobs = []
    for number, frames in enumerate((60, 6)):
        source = tiny(clips, f"tiny-{frames}.mkv", frames)
        settings = RestoreSettings(sigma=10)
        jobs.append(Job(number, source, tmp_path / f"{number}.mkv", settings, 1))
    outcomes = {}
    for event in workers.run(iter(jobs)):
        if isinstance(event, Advanced) and event.job.number == 0:
            for child in descendants(os.getpid()):
                if "batch.workers" in (Path("/proc") / str(child) / "cmdline").read_text():
                    os.kill(child, signal.SIGKILL)
        if isinstance(event, Finished):
            outcomes[event.job.number] = event
    assert "killed" in str(outcomes[0].failure)
    assert outcomes[1].facts is not None
    assert outcomes[1].facts.frames == 6


def test_what_concerns_all_files_ends_the_batch(
    clips: Clips, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "weights").mkdir()
    name = "denoise-tiny-00000000.safetensors"
    (tmp_path / "weights" / name).write_bytes(b"no weights")
    source = tiny(clips, "tiny.mp4")
    code = command("batch", source, "-o", tmp_path / "out", "--weights", tmp_path / "weights")
    assert code == 5
    assert len(capsys.readouterr().err.splitlines()) == 1


BAD = {
    "no output folder": (["PLAIN"], 2, "--output"),
    "no jobs": (["PLAIN", "-o", "out", "-j", "0"], 2, "-j"),
    "bad template": (["PLAIN", "-o", "out", "--template", "{sten}.mkv"], 2, "{stem}"),
    "bad setting": (["PLAIN", "-o", "out", "--strength", "2"], 2, "0 to 1"),
    "no weights": (["PLAIN", "-o", "out", "--task", "deblur", "--weights", "."], 5, "deblur"),
    "csv nowhere": (["PLAIN", "-o", "out", "--csv", "nowhere/x.csv"], 7, "no such folder"),
    "no list": (["--list", "nowhere.txt", "-o", "out"], 3, "cannot read the list"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_command_line_is_one_line_and_its_exit_code(
    case: str, clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    arguments, code, said = BAD[case]
    plain = str(tiny(clips, "tiny.mp4"))
    assert command("batch", *(plain if one == "PLAIN" else one for one in arguments)) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert said in lines[0]

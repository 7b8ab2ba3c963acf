from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from tests.conftest import Clips, decode_all
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.encoders.encode import SegmentEncoder, SegmentFile
from vidrestore.encoders.planning import plan_encoding
from vidrestore.errors import InputError, OutputError
from vidrestore.media.clock import Clock
from vidrestore.media.probe import probe
from vidrestore.runs.identity import Witness, identify
from vidrestore.runs.journal import (
    Ending,
    Facts,
    FormerRun,
    Journal,
    JournalHeader,
    Landmark,
    leave,
    load,
)
from vidrestore.runs.workfolder import WorkFolder, work_folder

HEADER = JournalHeader({"size_bytes": 5}, {"steps": 4, "pair": (1, 2)}, {"av": "18"})


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out.mp4"


def segment(folder: Path, index: int, content: bytes = b"abc") -> SegmentFile:
    import hashlib

    path = folder / f"segment-{index:06d}.nut"
    path.write_bytes(content)
    return SegmentFile(path, 2, len(content), hashlib.sha256(content).hexdigest())


@contextmanager
def started(
    output: Path, header: JournalHeader = HEADER, former: FormerRun | None = None
) -> Iterator[Journal]:
    with WorkFolder.of(output) as work, Journal(work, header, former) as journal:
        yield journal


def write_two(output: Path) -> Path:
    with started(output) as journal:
        journal.add(0, 0, [0, 512], segment(journal.folder, 0))
        journal.add(1, 2, [1024, 1700], segment(journal.folder, 1, b"defg"))
        return journal.folder


def test_what_was_written_is_read_back(output: Path) -> None:
    folder = write_two(output)
    assert folder == work_folder(output) == output.parent / "out.mp4.vidrestore"
    loaded = load(folder)
    assert loaded is not None
    records = loaded.records
    assert loaded.header.mismatch(HEADER) is None
    assert [(record.index, record.first_frame, record.pts) for record in records] == [
        (0, 0, (0, 512)),
        (1, 2, (1024, 1700)),
    ]
    assert records[1].size_bytes == 4


def test_every_line_is_on_disk_before_the_next_segment(output: Path) -> None:
    with started(output) as journal:
        journal.add(0, 0, [0, 512], segment(journal.folder, 0))
        loaded = load(journal.folder)  # as another process would see it after a kill
        assert loaded is not None
        assert len(loaded.records) == 1


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_torn_last_line_is_ignored(output: Path, cut: int) -> None:
    folder = write_two(output)
    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    loaded = load(folder)
    assert loaded is not None
    assert [record.index for record in loaded.records] == [0]


def test_damage_that_no_crash_explains_starts_anew(output: Path) -> None:
    folder = write_two(output)
    path = folder / "journal.jsonl"
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], b"garbage", *lines[2:]]))
    assert load(folder) is None
    path.write_bytes(b"")
    assert load(folder) is None
    assert load(folder / "nowhere") is None


def test_another_schema_is_not_read(output: Path) -> None:
    path = write_two(output) / "journal.jsonl"
    path.write_text(path.read_text().replace("vidrestore.journal/2", "vidrestore.journal/9"))
    assert load(path.parent) is None


def test_segments_that_are_gone_or_changed_are_not_reused(output: Path) -> None:
    folder = write_two(output)
    (folder / "segment-000001.nut").write_bytes(b"DEFG")
    loaded = load(folder)
    assert loaded is not None
    assert [record.index for record in loaded.records] == [0]
    (folder / "segment-000000.nut").unlink()
    loaded = load(folder)
    assert loaded is not None
    assert loaded.records == ()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (JournalHeader({"size_bytes": 6}, HEADER.settings, HEADER.versions), "input size_bytes"),
        (
            JournalHeader(HEADER.input, {"steps": 5, "pair": [1, 2]}, HEADER.versions),
            "settings steps was 4, now it is 5",
        ),
        (JournalHeader(HEADER.input, {**HEADER.settings, "seed": 1}, HEADER.versions), "seed"),
        (JournalHeader(HEADER.input, HEADER.settings, {"av": "19"}), "versions av"),
    ],
)
def test_a_mismatch_is_named(output: Path, changed: JournalHeader, reason: str) -> None:
    loaded = load(write_two(output))
    assert loaded is not None
    assert reason in str(loaded.header.mismatch(changed))


def test_segments_of_another_clock_are_of_no_use(clips: Clips) -> None:
    info = probe(clips.plain)
    clock = Clock(Fraction(1, 60000), Fraction(60), end_pts=60000)
    header = JournalHeader.of(info, {"steps": 1}, clock)
    json.dumps(dict(header.settings))
    assert header.mismatch(JournalHeader.of(info, {"steps": 1}, replace(clock))) is None
    faster = replace(clock, time_base=Fraction(1, 12288))
    reason = header.mismatch(JournalHeader.of(info, {"steps": 1}, faster))
    assert reason is not None
    assert "settings clock" in reason


def test_going_on_keeps_the_segments_and_only_those(output: Path) -> None:
    folder = write_two(output)
    loaded = load(folder)
    assert loaded is not None
    first = replace(loaded, records=loaded.records[:1])
    (folder / "notes.txt").write_text("not ours")
    with started(output, HEADER, first) as journal:
        assert not (folder / "segment-000001.nut").exists()
        journal.note("something was different")
        journal.add(2, 2, [1024, 1700], segment(folder, 2, b"new"))
        journal.end(Ending(2000, (3, 1700, 1), ("damage",)))
    again = load(folder)
    assert again is not None
    assert [record.index for record in again.records] == [0, 2]
    assert again.notes == ("something was different",)
    assert again.ending == Ending(2000, (3, 1700, 1), ("damage",))
    assert again.frames == 4
    assert not list(folder.glob("*.new"))
    with started(output):
        assert not list(folder.glob("*.nut"))
    with WorkFolder.of(output) as work:
        work.discard()
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_what_is_known_of_a_segment_comes_back_as_it_was(output: Path) -> None:
    mark = Landmark(1, 2, 4, True, ((0, 0, 17), (1, 512, 18), (2, 1024, 19)))
    facts = Facts(mark, ((0, 0, 3), (2, 1024, 4)), 1, ({"shot": 3, "inside": [0.1, 0.2, 0.3]},))
    with started(output) as journal:
        journal.add(0, 0, [0, 512], segment(journal.folder, 0), facts)
    loaded = load(journal.folder)
    assert loaded is not None
    assert loaded.records[0].facts == facts
    assert loaded.ending is None


def test_segments_after_a_gap_are_not_used(output: Path) -> None:
    with started(output) as journal:
        for index in range(3):
            journal.add(index, 2 * index, [index, index + 1], segment(journal.folder, index))
        journal.end(Ending(None, None, ()))
    (journal.folder / "segment-000001.nut").unlink()
    loaded = load(journal.folder)
    assert loaded is not None
    assert [record.index for record in loaded.records] == [0]
    assert loaded.ending is None


def test_changed_conditions_are_named_but_keep_the_segments() -> None:
    before = replace(HEADER, conditions={"device": ["cuda"], "cores": 2})
    now = replace(HEADER, conditions={"device": ["cpu"], "cores": 2})
    assert before.mismatch(now) is None
    assert before.changed(now) == ["device was ['cuda'], now it is ['cpu']"]


def test_a_failure_keeps_what_is_finished_and_says_so(output: Path) -> None:
    folder = write_two(output)
    (folder / "segment-000002.nut").write_bytes(b"half")
    (folder / "partial.mp4").write_bytes(b"half")
    error = OutputError("the disk is full", hint="free some space")
    with WorkFolder.of(output) as work:
        leave(work, error)
    names = ["journal.jsonl", "segment-000000.nut", "segment-000001.nut"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert error.hint is not None
    assert error.hint.startswith("free some space; 4 finished frames are kept")


def test_a_failure_with_nothing_finished_leaves_nothing(output: Path) -> None:
    error = OutputError("the disk is full", hint="free some space")
    with WorkFolder.of(output) as work:
        with Journal(work, HEADER):
            pass
        leave(work, error)
    assert list(output.parent.iterdir()) == []
    assert error.hint == "free some space"


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="work folder"):
        WorkFolder.of(tmp_path / "missing" / "out.mp4")


def test_an_input_that_changes_is_noticed(clips: Clips, tmp_path: Path) -> None:
    path = tmp_path / "copy.mp4"
    path.write_bytes(clips.plain.read_bytes())
    witness = Witness(path, identify(path))
    witness.demand_same()
    path.touch()
    witness.demand_same()  # another time, the same content
    path.write_bytes(clips.plain.read_bytes()[:-100])
    with pytest.raises(InputError, match="changed"):
        witness.demand_same()
    path.unlink()
    with pytest.raises(InputError, match="gone"):
        witness.demand_same()


def test_identity_follows_the_content(clips: Clips, tmp_path: Path) -> None:
    path = tmp_path / "copy.mp4"
    content = bytearray(clips.plain.read_bytes())
    path.write_bytes(content)
    assert identify(path) == identify(clips.plain)
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert identify(path) != identify(clips.plain)
    before = identify(clips.images)
    extra = clips.images / "shot_0099.png"
    extra.write_bytes(b"x")
    try:
        assert identify(clips.images) != before
    finally:
        extra.unlink()
    assert identify(clips.images) == before


def test_a_real_segment_survives_the_round_trip(clips: Clips, output: Path) -> None:
    info = probe(clips.plain)
    frames = decode_all(clips.plain, clips.ffmpeg)
    header = JournalHeader.of(info, {"steps": 1})
    json.dumps(dict(header.input))
    with started(output, header) as journal:
        path = journal.folder / "segment-000000.nut"
        with SegmentEncoder(plan_encoding(info, EncodeSettings(), clips.ffmpeg), path) as encoder:
            for frame in frames:
                encoder.write(frame)
            journal.add(0, 0, [frame.pts for frame in frames], encoder.close())
    loaded = load(journal.folder)
    assert loaded is not None
    assert loaded.header.mismatch(JournalHeader.of(info, {"steps": 1})) is None
    assert loaded.records[0].frames == 24

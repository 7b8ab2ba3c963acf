from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from tests.conftest import Clips, decode_all
from vidrestore.clock import Clock
from vidrestore.codecs import EncodeSettings
from vidrestore.encode import SegmentEncoder, SegmentFile
from vidrestore.errors import OutputError
from vidrestore.journal import (
    Journal,
    JournalHeader,
    SegmentRecord,
    discard,
    identify,
    load,
    work_folder,
)
from vidrestore.probe import probe

HEADER = JournalHeader({"size_bytes": 5}, {"steps": 4, "pair": (1, 2)}, {"av": "18"})


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out.mp4"


def segment(folder: Path, index: int, content: bytes = b"abc") -> SegmentFile:
    import hashlib

    path = folder / f"restored-{index:06d}.nut"
    path.write_bytes(content)
    return SegmentFile(path, 2, len(content), hashlib.sha256(content).hexdigest())


def write_two(output: Path) -> Path:
    with Journal.start(output, HEADER) as journal:
        journal.add(0, 0, [0, 512], segment(journal.folder, 0))
        journal.add(1, 2, [1024, 1700], segment(journal.folder, 1, b"defg"))
        return journal.folder


def test_what_was_written_is_read_back(output: Path) -> None:
    folder = write_two(output)
    assert folder == work_folder(output) == output.parent / "out.mp4.vidrestore"
    loaded = load(folder)
    assert loaded is not None
    header, records = loaded
    assert header.mismatch(HEADER) is None
    assert [(record.index, record.first_frame, record.pts) for record in records] == [
        (0, 0, (0, 512)),
        (1, 2, (1024, 1700)),
    ]
    assert records[1].size_bytes == 4


def test_every_line_is_on_disk_before_the_next_segment(output: Path) -> None:
    with Journal.start(output, HEADER) as journal:
        journal.add(0, 0, [0, 512], segment(journal.folder, 0))
        loaded = load(journal.folder)  # as another process would see it after a kill
        assert loaded is not None
        assert len(loaded[1]) == 1


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_torn_last_line_is_ignored(output: Path, cut: int) -> None:
    folder = write_two(output)
    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    loaded = load(folder)
    assert loaded is not None
    assert [record.index for record in loaded[1]] == [0]


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
    path.write_text(path.read_text().replace("vidrestore.journal/1", "vidrestore.journal/9"))
    assert load(path.parent) is None


def test_segments_that_are_gone_or_changed_are_not_reused(output: Path) -> None:
    folder = write_two(output)
    (folder / "restored-000001.nut").write_bytes(b"DEFG")
    loaded = load(folder)
    assert loaded is not None
    assert [record.index for record in loaded[1]] == [0]
    (folder / "restored-000000.nut").unlink()
    loaded = load(folder)
    assert loaded is not None
    assert loaded[1] == []


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
    assert reason in str(loaded[0].mismatch(changed))


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
    kept: list[SegmentRecord] = loaded[1][1:]
    (folder / "notes.txt").write_text("not ours")
    with Journal.start(output, HEADER, kept) as journal:
        journal.add(0, 0, [0, 512], segment(folder, 0, b"new"))
    again = load(folder)
    assert again is not None
    assert [record.index for record in again[1]] == [1, 0]
    assert not list(folder.glob("*.new"))
    with Journal.start(output, HEADER):
        assert not list(folder.glob("*.nut"))
    discard(output)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_removing_leaves_nothing(output: Path) -> None:
    with Journal.start(output, HEADER) as journal:
        journal.add(0, 0, [0, 512], segment(journal.folder, 0))
    discard(output)
    assert list(output.parent.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="work folder"):
        Journal.start(tmp_path / "missing" / "out.mp4", HEADER)


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
    with Journal.start(output, header) as journal:
        path = journal.folder / "restored-000000.nut"
        with SegmentEncoder(info, EncodeSettings(), path, ffmpeg=clips.ffmpeg) as encoder:
            for frame in frames:
                encoder.write(frame)
            journal.add(0, 0, [frame.pts for frame in frames], encoder.close())
    loaded = load(journal.folder)
    assert loaded is not None
    assert loaded[0].mismatch(JournalHeader.of(info, {"steps": 1})) is None
    assert loaded[1][0].frames == 24

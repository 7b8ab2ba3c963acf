"""The receipt: what is missing is found, and what was asked for or announced is told apart."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from tests.conftest import Clips, run_ffmpeg
from vidrestore.containers import carry
from vidrestore.containers.receipt import Receipt, receipt
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.errors import CheckError
from vidrestore.losses import Loss
from vidrestore.media.manifest import Manifest, manifest
from vidrestore.media.probe import StreamInfo, probe
from vidrestore.media.timeline import Retiming
from vidrestore.report import restore_document, to_json
from vidrestore.runs.pipeline import restore
from vidrestore.settings import RestoreSettings
from vidrestore.tables import receipt_table

FAST = EncodeSettings(preset="ultrafast")


def manifest_of(path: Path) -> Manifest:
    return manifest(probe(path))


def compared(
    source: Path,
    output: Path,
    *,
    streams: Sequence[int] | None = None,
    asked: Mapping[str, str] | None = None,
    losses: Sequence[Loss] = (),
) -> Receipt:
    before = manifest_of(source)
    kept = [stream.index for stream in before.streams] if streams is None else streams
    return receipt(before, manifest_of(output), kept, asked=asked or {}, losses=losses)


@pytest.fixture
def remade(clips: Clips, ffmpeg: str, tmp_path: Path) -> Callable[..., Path]:
    """Copies of the rich file with something missing."""

    def remake(*arguments: str, name: str = "copy.mkv") -> Path:
        path = tmp_path / name
        given = ("-map", "0", "-c", "copy", *arguments)
        run_ffmpeg(ffmpeg, "-y", "-i", clips.rich, *given, path)
        return path

    return remake


def test_a_faithful_copy_has_nothing_but_kept_entries(
    clips: Clips, remade: Callable[..., Path]
) -> None:
    found = compared(clips.rich, remade())
    assert {entry.status for entry in found.entries} == {"kept"}
    subjects = {entry.subject for entry in found.entries}
    assert {
        *("chapters", "tag:title", "pixel format", "colour matrix"),
        *("stream 2 content", "stream 2 tag:language", "stream 2 disposition:comment"),
        *("stream 3 begins", "stream 4 content", "stream 4 tag:filename"),
    } <= subjects
    found.demand()


@pytest.mark.parametrize(
    ("arguments", "lost"),
    [
        pytest.param(("-metadata", "title="), {"tag:title"}, id="title"),
        pytest.param(("-map_chapters", "-1"), {"chapters"}, id="chapters"),
        pytest.param(("-metadata:s:a:1", "language=ita"), {"stream 2 tag:language"}, id="language"),
        pytest.param(("-disposition:s:0", "0"), {"stream 3 disposition:forced"}, id="disposition"),
        pytest.param(("-bsf:a:0", "noise=drop='eq(n,20)'"), {"stream 1 content"}, id="packet"),
        pytest.param(("-bsf:a:1", "noise=amount=50"), {"stream 2 content"}, id="bytes"),
        pytest.param(
            ("-bsf:s:0", "setts=ts=TS+20"), {"stream 3 begins", "stream 3 last packet"}, id="time"
        ),
        pytest.param(("-aspect", "4:3"), {"sample aspect ratio"}, id="aspect"),
        pytest.param(
            ("-bsf:v", "h264_metadata=colour_primaries=9"), {"colour primaries"}, id="primaries"
        ),
        pytest.param(
            ("-bsf:v", "h264_metadata=matrix_coefficients=6"), {"colour matrix"}, id="matrix"
        ),
        pytest.param(("-metadata:s:t", "mimetype=x/y"), {"stream 4 tag:mimetype"}, id="mimetype"),
    ],
)
def test_what_is_missing_is_found(
    clips: Clips, remade: Callable[..., Path], arguments: tuple[str, ...], lost: set[str]
) -> None:
    found = compared(clips.rich, remade(*arguments))
    assert {entry.subject for entry in found.lost} == lost
    with pytest.raises(CheckError, match="lacks what the input has"):
        found.demand()


def test_a_stream_that_did_not_go_in_is_lost(clips: Clips, remade: Callable[..., Path]) -> None:
    output = remade("-map", "-0:a:0")
    assert [entry.subject for entry in compared(clips.rich, output, streams=(0, 2, 3, 4)).lost] == [
        "stream 1"
    ]


def test_announced_and_asked_for_is_not_lost(clips: Clips, remade: Callable[..., Path]) -> None:
    output = remade("-map", "-0:a:0", "-metadata:s:a:0", "title=", "-metadata", "title=Other")
    announced = [
        Loss("stream 1", "stream 1 is dropped: there is no room"),
        Loss("stream 2 tag:title", "the title is dropped"),
    ]
    found = compared(
        clips.rich, output, streams=(0, 2, 3, 4), asked={"tag:title": "--title"}, losses=announced
    )
    changed = {e.subject: (e.status, e.note) for e in found.entries if e.status != "kept"}
    assert changed == {
        "stream 1": ("lost as announced", "stream 1 is dropped: there is no room"),
        "stream 2 tag:title": ("lost as announced", "the title is dropped"),
        "tag:title": ("changed as asked", "--title"),
    }
    found.demand()


def test_a_loss_covers_its_own_stream_alone(clips: Clips, remade: Callable[..., Path]) -> None:
    """`stream 1` is not the beginning of `stream 11`, and `tag` not of `tag:title` elsewhere."""
    output = remade("-metadata:s:a:1", "title=")
    found = compared(clips.rich, output, losses=[Loss("stream 20", "gone"), Loss("tag:ti", "gone")])
    assert [entry.subject for entry in found.lost] == ["stream 2 tag:title"]


def test_text_that_another_codec_carries_is_the_same_text(
    clips: Clips, remade: Callable[..., Path], ffmpeg: str, tmp_path: Path
) -> None:
    as_movie = remade("-map", "-0:t", "-c:s", "mov_text", name="copy.mp4")
    announced = [Loss("stream 3 codec", "converted to mov_text"), Loss("stream 4", "dropped")]
    found = compared(clips.rich, as_movie, losses=announced, streams=(0, 1, 2, 3))
    statuses = {entry.subject: entry.status for entry in found.entries}
    assert statuses["stream 3 text"] == "kept"
    assert statuses["stream 3 codec"] == "changed as announced"

    lines = tmp_path / "other.srt"
    lines.write_text(
        "1\n00:00:00,100 --> 00:00:00,400\nfirst lime\n\n"
        "2\n00:00:00,500 --> 00:00:00,900\nsecond line\n"
    )
    misspelt = tmp_path / "misspelt.mp4"
    maps = ("-map", "0", "-map", "-0:s", "-map", "1", "-c", "copy", "-c:s", "mov_text")
    run_ffmpeg(ffmpeg, "-i", as_movie, "-i", lines, *maps, misspelt)
    found = compared(clips.rich, misspelt, losses=announced, streams=(0, 1, 2, 3))
    assert "stream 3 text" in {entry.subject for entry in found.lost}


def test_sound_from_a_broadcast_is_the_same_sound(
    clips: Clips, ffmpeg: str, tmp_path: Path
) -> None:
    """MPEG-TS wraps each packet of AAC in a header that other containers do not have."""
    output = tmp_path / "copy.mp4"
    run_ffmpeg(ffmpeg, "-i", clips.broadcast, "-map", "0", "-c", "copy", output)
    statuses = {e.subject: e.status for e in compared(clips.broadcast, output).entries}
    assert statuses["stream 1 content"] == "kept"


def test_restore_keeps_a_receipt(clips: Clips, tmp_path: Path) -> None:
    settings = RestoreSettings(strength=0, sigma=5, encode=FAST)
    result = restore(clips.rich, tmp_path / "out.mkv", settings)
    statuses = {entry.subject: entry.status for entry in result.receipt.entries}
    assert statuses.pop("profile") in {"changed as asked", "kept"}
    assert set(statuses.values()) == {"kept"}
    document = json.loads(to_json(restore_document(result, settings)))
    assert [e["subject"] for e in document["receipt"]["entries"]] == [
        entry.subject for entry in result.receipt.entries
    ]
    assert receipt_table(result.receipt).row_count == len(result.receipt.entries)


def test_a_loss_that_nobody_announced_stops_the_output(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = carry._kept

    def forgetful(stream: StreamInfo, *rest: str, fits: bool) -> tuple[str | None, str | None]:
        return (None, None) if stream.kind == "subtitle" else kept(stream, *rest, fits=fits)

    monkeypatch.setattr(carry, "_kept", forgetful)
    with pytest.raises(CheckError, match="stream 3 was subtitle, is gone"):
        restore(clips.rich, tmp_path / "out.mkv", RestoreSettings(sigma=5, encode=FAST))
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv.vidrestore"]  # finished work


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        pytest.param(
            RestoreSettings(start=6, end=18), {"stream 1 content", "stream 3 content"}, id="cut"
        ),
        pytest.param(
            RestoreSettings(tasks=(), retiming=Retiming(slow=Fraction(2), cfr=Fraction(24))),
            {"stream 1", "stream 2"},
            id="slow",
        ),
        pytest.param(
            RestoreSettings(tasks=(), retiming=Retiming(cfr=Fraction(12))),
            {"frame rate"}, id="rate",
        ),
        pytest.param(
            RestoreSettings(encode=EncodeSettings(preset="ultrafast", post="scale=48:32")),
            {"size"}, id="post",
        ),
        pytest.param(
            RestoreSettings(encode=EncodeSettings(preset="ultrafast", pix_fmt="yuv444p")),
            {"pixel format"}, id="pix_fmt",
        ),
    ],
)  # fmt: skip
def test_what_the_user_wanted_is_changed_as_asked(
    clips: Clips, tmp_path: Path, settings: RestoreSettings, changed: set[str]
) -> None:
    result = restore(clips.rich, tmp_path / "out.mkv", settings)
    statuses = {entry.subject: entry.status for entry in result.receipt.entries}
    assert {statuses[subject] for subject in changed} == {"changed as asked"}


def test_side_data_that_no_encoder_writes_is_announced(clips: Clips, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    packed = b"screen\0\0" + zlib.compress(bytes(200))
    chunk = b"iCCP" + packed
    for image in clips.images.iterdir():
        png = image.read_bytes()
        end = 8 + 4 + 4 + 13 + 4  # of the header
        profile = struct.pack(">I", len(packed)) + chunk + struct.pack(">I", zlib.crc32(chunk))
        (folder / image.name).write_bytes(png[:end] + profile + png[end:])
    settings = RestoreSettings(sigma=5, encode=EncodeSettings(codec="ffv1"))
    result = restore(folder, tmp_path / "out.mkv", settings)
    (entry,) = (e for e in result.receipt.entries if e.subject == "side data:icc-profile")
    assert entry.status == "lost as announced"
    assert entry.note in result.warnings


@pytest.mark.parametrize("kind", ["truncated", "truncated_mkv", "truncated_ts"])
def test_a_file_that_was_cut_off_still_gets_its_receipt(
    clips: Clips, tmp_path: Path, kind: str
) -> None:
    source = getattr(clips, kind)
    result = restore(source, tmp_path / "out.mkv", RestoreSettings(sigma=5, encode=FAST))
    assert result.receipt.lost == ()
    assert len(result.receipt.entries) > 5


def test_a_mean_rate_of_nothing_is_no_rate(clips: Clips) -> None:
    """As where damage has made a duration enormous."""
    after = manifest_of(clips.plain)
    video = after.streams[after.video]
    still = replace(video, facts={**video.facts, "frame rate": "0"})
    before = replace(after, streams=(still, *after.streams[1:]))
    assert after.video == 0
    found = receipt(before, after, [0, 1], asked={}, losses=[])
    assert "frame rate" not in {entry.subject for entry in found.entries}
    found.demand()

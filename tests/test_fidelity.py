"""Every kind of file through a run that changes nothing: same frames, and nothing lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import fidelity_table, media
from tests.conftest import Clips, chosen_ffmpeg, decode_all
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.errors import CheckError
from vidrestore.media.probe import probe
from vidrestore.runs.pipeline import RestoreResult, restore
from vidrestore.settings import RestoreSettings

NOT_IN_MATROSKA = {"telemetry": {"stream 1"}}
"""What the container of this test cannot carry, and says so."""

NOT_IN_OLD_FFMPEG = {
    "rotated phone": {"rotation"},
    "HDR10": {"side data:mastering-display", "side data:content-light"},
}
"""What ffmpeg 5.1 cannot write into Matroska beside a lossless codec."""

MOVED_BY_OLD_FFMPEG = {"WebM": "packet 0 of stream 1 .audio opus. is at"}
"""What ffmpeg 5.1 copies to another time (Opus, by its pre-skip), so that the check refuses it."""


@pytest.fixture(scope="module", params=["bundled", "Debian's 5.1"])
def binary(request: pytest.FixtureRequest, ffmpeg: str) -> str:
    return chosen_ffmpeg(request.param, ffmpeg)


def unchanged(source: Path, folder: Path, ffmpeg: str) -> RestoreResult:
    """The model runs, and none of what it says is applied."""
    settings = RestoreSettings(
        strength=0, sigma=10, encode=EncodeSettings(codec="ffv1"), deinterlace="off",
        device="cpu", ffmpeg=ffmpeg,
    )  # fmt: skip
    return restore(source, folder / "out.mkv", settings)


def assert_same_frames(source: Path, output: Path, ffmpeg: str) -> None:
    before, after = decode_all(source, ffmpeg), decode_all(output, ffmpeg)
    assert len(before) == len(after) > 3
    for old, new in zip(before, after, strict=True):
        for plane, other in zip(old.planes, new.planes, strict=True):
            np.testing.assert_array_equal(plane, other)


@pytest.mark.parametrize("kind", media.MATRIX)
def test_nothing_changes_and_nothing_is_lost(
    clips: Clips, ffmpeg: str, binary: str, tmp_path: Path, kind: str
) -> None:
    source = media.MATRIX[kind](clips)
    if binary != ffmpeg and kind in MOVED_BY_OLD_FFMPEG:
        with pytest.raises(CheckError, match=MOVED_BY_OLD_FFMPEG[kind]):
            unchanged(source, tmp_path, binary)
        return
    result = unchanged(source, tmp_path, binary)
    assert result.model_s > 0
    # Both are decoded by the same binary: decoders of two versions need not agree on the source.
    assert_same_frames(source, result.output.path, binary)
    lacking = {e.subject: e.status for e in result.receipt.entries if e.status != "kept"}
    named = {lacking.pop("codec", None), lacking.pop("profile", None)}
    assert named <= {"changed as asked", None}
    known = set(NOT_IN_MATROSKA.get(kind, ()))
    if binary != ffmpeg:
        known |= NOT_IN_OLD_FFMPEG.get(kind, set())
    assert lacking == dict.fromkeys(known, "lost as announced")


@pytest.mark.parametrize("kind", ["untagged", "HDR10", "HLG", "BT.601", "full range"])
def test_colours_are_described_as_before(
    clips: Clips, ffmpeg: str, tmp_path: Path, kind: str
) -> None:
    source = media.MATRIX[kind](clips)
    result = unchanged(source, tmp_path, ffmpeg)
    before, after = probe(source), probe(result.output.path)
    assert after.colour == before.colour
    assert after.hdr == before.hdr
    assert (before.hdr is not None) == (kind == "HDR10")


def test_what_is_deinterlaced_is_named(clips: Clips, ffmpeg: str, tmp_path: Path) -> None:
    settings = RestoreSettings(strength=0, sigma=10, encode=EncodeSettings(codec="ffv1"))
    result = restore(media.interlaced(clips), tmp_path / "out.mkv", settings)
    (entry,) = (e for e in result.receipt.entries if e.subject == "field order")
    assert (entry.before, entry.after, entry.status) == ("tff", None, "changed as asked")


def test_the_page_is_what_the_code_does(clips: Clips, tmp_path: Path) -> None:
    """After a change on purpose: python -m tests.fidelity_table."""
    assert fidelity_table.PAGE.read_text() == fidelity_table.page(clips, tmp_path)

"""Limits on memory: sizes follow from them, and a device that runs out of it loses nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from torch import Tensor

from tests.conftest import Clips, decode_all
from vidrestore.arguments import parse_memory
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.errors import DeviceError, ExitCode, Stopped, UsageError
from vidrestore.media.probe import VideoInfo, probe
from vidrestore.network.diffuse import Levels, Restorer
from vidrestore.network.model import RestorationNet
from vidrestore.network.windows import WindowPlan
from vidrestore.report import restore_document
from vidrestore.runs.journal import Journal
from vidrestore.runs.memory import LADDER, applied, peak_bytes, within
from vidrestore.runs.pipeline import restore
from vidrestore.runs.processes import MemoryWatch, resident_bytes
from vidrestore.settings import RestoreSettings

GB = 1 << 30
SEAM_CODES = 1.0
"""What two in a thousand samples may differ by because of tiles, at most; in 8-bit codes."""


@pytest.mark.parametrize(
    ("text", "bytes_"), [("4G", 4 * GB), ("1.5g", 3 * GB // 2), ("800M", 800 << 20)]
)
def test_memory_is_read_as_people_write_it(text: str, bytes_: int) -> None:
    assert parse_memory(text) == bytes_
    assert parse_memory(None) is None


@pytest.mark.parametrize("text", ["4", "", "G", "-4G", "4T", "four"])
def test_memory_that_is_no_memory_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="max-memory"):
        parse_memory(text)


def sized(clips: Clips, width: int, height: int) -> VideoInfo:
    return replace(probe(clips.plain), width=width, height=height)


@pytest.mark.parametrize(
    "size_px", [(96, 64), (640, 360), (1920, 1080), (3840, 2160), (7680, 4320)]
)
def test_every_rung_needs_less_than_the_one_above(clips: Clips, size_px: tuple[int, int]) -> None:
    info = sized(clips, *size_px)
    peaks = [peak_bytes(applied(RestoreSettings(), rung), info) for rung in LADDER]
    assert all(below <= above for above, below in pairwise(peaks))
    assert peaks[-1] < peaks[0]


@pytest.mark.parametrize(
    ("size_px", "limit_gb"), [((1920, 1080), 2), ((3840, 2160), 3), ((7680, 4320), 8)]
)
def test_large_video_fits_into_little_memory(
    clips: Clips, size_px: tuple[int, int], limit_gb: int
) -> None:
    info = sized(clips, *size_px)
    settings = within(RestoreSettings(max_memory_bytes=limit_gb * GB), info)
    assert peak_bytes(settings, info) <= limit_gb * GB
    assert "max-memory" in (settings.footprint.note or "")


def test_nothing_changes_without_a_limit_or_with_plenty(clips: Clips) -> None:
    info = sized(clips, 1920, 1080)
    assert within(RestoreSettings(), info) == RestoreSettings()
    plenty = RestoreSettings(max_memory_bytes=1000 * GB)
    assert within(plenty, info) == plenty


def test_what_cannot_be_kept_is_refused_with_the_least_that_can(clips: Clips) -> None:
    info = sized(clips, 1920, 1080)
    with pytest.raises(UsageError, match="1920x1080") as caught:
        within(RestoreSettings(max_memory_bytes=100 << 20), info)
    (least,) = [word for word in (caught.value.hint or "").split() if word.endswith("M")]
    fitted = within(RestoreSettings(max_memory_bytes=parse_memory(least)), info)
    assert fitted.plan.window_frames == LADDER[-1].window_frames


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(st.integers(2, 16384), st.integers(2, 16384)),
    st.integers(1, 1 << 36),
    st.sampled_from(["h264", "hevc", "av1", "ffv1", "prores"]),
    st.booleans(),
    st.integers(1, 8),
)
def test_any_limit_is_kept_or_refused_with_one_that_is(
    clips: Clips, size_px: tuple[int, int], limit: int, codec: str, fill: bool, steps: int
) -> None:
    info = sized(clips, *size_px)
    encode = EncodeSettings(codec=codec)
    asked = RestoreSettings(max_memory_bytes=limit, encode=encode, fill=fill, steps=steps)
    try:
        kept = within(asked, info)
    except UsageError as error:
        least = parse_memory((error.hint or "").split()[1])
        assert least is not None
        assert least > limit
        kept = within(replace(asked, max_memory_bytes=least), info)
        limit = least
    assert peak_bytes(kept, info) <= limit


def test_what_the_user_asks_for_is_kept_where_it_is_less(clips: Clips) -> None:
    asked = RestoreSettings(
        plan=WindowPlan(30, 2, 5, 2), encode=EncodeSettings(threads=1), max_memory_bytes=2 * GB
    )
    fitted = within(asked, sized(clips, 1920, 1080))
    assert fitted.plan == asked.plan
    assert fitted.encode.threads == 1


def test_a_limit_is_kept_by_the_whole_tree_of_processes(clips: Clips, tmp_path: Path) -> None:
    size = Clips.picture("640x360", frames=8)
    encoded = ("-c:v", "libx264", "-pix_fmt", "yuv420p")
    source = clips.make("640.mkv", *encoded, source=size)
    limit = 700 << 20
    words = ["restore", str(source), "-o", str(tmp_path / "out.mkv"), "--max-memory", "700M"]
    run = subprocess.Popen(
        [sys.executable, "-m", "vidrestore", *words], stderr=subprocess.PIPE, text=True
    )
    with MemoryWatch(run.pid) as watch:
        _, said = run.communicate()
    assert run.returncode == 0, said
    assert "to keep --max-memory" in said
    assert watch.peaks is not None
    assert watch.peaks.encoder_bytes > 0
    assert watch.peaks.tree_bytes <= limit


def test_the_watch_sees_what_comes_and_goes() -> None:
    with MemoryWatch() as watch:
        block = np.ones(100 << 20, np.uint8)
        seen = resident_bytes(1 << 30)
        del block
    assert seen == 0
    assert watch.peaks is not None
    assert watch.peaks.own_bytes >= 100 << 20


# ---- a device that runs out of memory


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, RuntimeError], list[int]]:
    """Let the network fail on anything wider; gives the widths that it was asked for."""

    def limit(most_px: int, error: RuntimeError) -> list[int]:
        seen: list[int] = []
        full = RestorationNet.residual

        def residual(
            net: RestorationNet, x: Tensor, levels: Tensor, candidates: Tensor | None = None
        ) -> Tensor:
            seen.append(x.shape[4])
            if x.shape[4] > most_px:
                raise error
            return full(net, x, levels, candidates)

        monkeypatch.setattr(RestorationNet, "residual", residual)
        return seen

    return limit


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
]


@pytest.mark.parametrize(
    ("steps", "most_codes"),
    [(1, 2), (2, 16)],  # a second look sees the motion of a tile alone
)
def test_tiles_are_halved_until_they_fit_and_nothing_is_lost(
    limited: Callable[[int, RuntimeError], list[int]],
    clips: Clips,
    ffmpeg: str,
    tmp_path: Path,
    steps: int,
    most_codes: int,
) -> None:
    encoded = ("-c:v", "ffv1", "-pix_fmt", "yuv420p")
    source = clips.make("wide-lossless.mkv", *encoded, source=Clips.picture("704x32", frames=7))
    settings = RestoreSettings(
        sigma=12,
        steps=steps,
        encode=EncodeSettings(codec="ffv1"),
        plan=WindowPlan(4, 1, 3, 1),
        overwrite=True,
    )
    restore(source, tmp_path / "whole.mkv", settings)
    seen = limited(320, OUT_OF_MEMORY[1])
    result = restore(source, tmp_path / "tiled.mkv", settings)
    assert sum(width > 320 for width in seen) == 1  # one retreat, for all that follows
    assert sum("ran out of memory" in warning for warning in result.warnings) == 1
    assert "320" in " ".join(result.warnings)
    frames = [decode_all(tmp_path / name, ffmpeg) for name in ("whole.mkv", "tiled.mkv")]
    assert len(frames[0]) == len(frames[1]) == 7
    for one, other in zip(*frames, strict=True):
        assert one.pts == other.pts
        difference = one.planes[0].astype(int) - other.planes[0]
        assert np.abs(difference).max() <= most_codes


def test_tiles_that_were_halved_end_the_claim_of_identity_also_after_a_stop(
    limited: Callable[[int, RuntimeError], list[int]],
    clips: Clips,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoded = ("-c:v", "ffv1", "-pix_fmt", "yuv420p")
    source = clips.make("strip.mkv", *encoded, source=Clips.picture("704x32", frames=18))
    output, plan = tmp_path / "out.mkv", WindowPlan(3, 1, 3, 1)
    settings = RestoreSettings(sigma=12, encode=EncodeSettings(codec="ffv1"), plan=plan)
    add = Journal.add

    def add_and_stop(self: Journal, *arguments: Any) -> None:
        add(self, *arguments)
        if len(self.records) == 2:
            raise Stopped(ExitCode.TERMINATED)

    with monkeypatch.context() as patch:
        limited(320, OUT_OF_MEMORY[0])
        patch.setattr(Journal, "add", add_and_stop)
        with pytest.raises(Stopped):
            restore(source, output, settings)
    monkeypatch.undo()  # memory again
    result = restore(source, output, settings)
    assert 0 < result.resumed_frames < 18
    (said,) = [line for line in result.warnings if "bit-identical" in line]
    assert "ran out of memory" in said
    notes = [entry.note for entry in result.receipt.entries if entry.subject == "bit-identity"]
    assert notes == [said]
    document = restore_document(result, settings)
    assert document["resumed_frames"] == result.resumed_frames
    assert "bit-identity" in [entry["subject"] for entry in document["receipt"]["entries"]]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_below_the_least_tile_it_is_an_error(
    limited: Callable[[int, RuntimeError], list[int]], error: RuntimeError
) -> None:
    seen = limited(128, error)  # which the probe of the number format needs
    restorer = Restorer(device="cpu")
    seen.clear()
    with pytest.raises(DeviceError, match="2 frames of 704x32"):
        restorer.residual(torch.zeros(2, 3, 32, 704), Levels(25, clipped=False), 1)
    assert len(seen) == 3  # tiles of at most 640, 320 and 160
    assert 640 >= seen[0] > 320 >= seen[1] > 160 >= seen[2]


@pytest.mark.parametrize("tile_px", [320, 160])
def test_seams_of_tiles_are_not_seen(tile_px: int) -> None:
    picture = torch.from_numpy(data.astronaut()[:448, :448].copy()).permute(2, 0, 1) / 255
    noise = torch.randn(1, 3, 448, 448, generator=torch.Generator().manual_seed(0))
    window = picture + 25 / 255 * noise
    restorer = Restorer(device="cpu")
    restorer.net.body_dtype = torch.float32
    levels = Levels(25, clipped=False)
    whole = restorer.residual(window, levels, 1)
    restorer.tile_px = tile_px
    difference = 255 * (restorer.residual(window, levels, 1) - whole).abs()
    assert 0 < difference.max() < 8 * SEAM_CODES
    assert difference.mean() < 0.05 * SEAM_CODES
    assert (difference > SEAM_CODES).float().mean() < 0.002

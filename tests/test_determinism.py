"""The same settings give the same frames; what only rounding depends on moves them by one code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import Clips, decode_all
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.media.decode import Frame
from vidrestore.network import precision
from vidrestore.network.diffuse import Levels, Restorer
from vidrestore.network.windows import WindowPlan
from vidrestore.runs.pipeline import restore
from vidrestore.settings import RestoreSettings

SETTINGS = RestoreSettings(
    end=8,
    steps=2,
    encode=EncodeSettings(codec="ffv1"),
    plan=WindowPlan(segment_frames=5, context_frames=2, window_frames=4, overlap_frames=1),
)


def restored(clips: Clips, ffmpeg: str, output: Path) -> list[Frame]:
    restore(clips.plain, output, SETTINGS)
    return decode_all(output, ffmpeg)


def largest_difference(one: list[Frame], other: list[Frame]) -> int:
    return max(
        int(np.abs(a.astype(int) - b).max())
        for left, right in zip(one, other, strict=True)
        for a, b in zip(left.planes, right.planes, strict=True)
    )


def test_the_same_settings_give_identical_frames(clips: Clips, ffmpeg: str, tmp_path: Path) -> None:
    runs = [restored(clips, ffmpeg, tmp_path / f"{run}.mkv") for run in range(3)]
    assert [frame.pts for frame in runs[0]] == [frame.pts for frame in runs[1]]
    assert largest_difference(runs[0], runs[1]) == largest_difference(runs[0], runs[2]) == 0


def test_the_number_of_threads_moves_a_frame_by_one_code_at_most(
    clips: Clips, ffmpeg: str, tmp_path: Path
) -> None:
    threads = torch.get_num_threads()
    runs = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            runs.append(restored(clips, ffmpeg, tmp_path / f"{count}.mkv"))
    finally:
        torch.set_num_threads(threads)
    assert largest_difference(*runs) <= 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_windows_restored_together_move_a_frame_by_one_code_at_most(dtype: torch.dtype) -> None:
    net = Restorer(device="cpu").net
    net.body_dtype = dtype
    windows = torch.rand(3, 4, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    levels = Levels(25, clipped=False).tensor(torch.device("cpu"))
    with torch.no_grad():
        together = net.residual(windows, levels)
        alone = torch.cat([net.residual(window[None], levels) for window in windows])
    assert together.abs().max() > 0.02
    assert 255 * (together - alone).abs().max() <= 1


def test_the_number_format_does_not_follow_from_how_busy_the_machine_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wall() -> float:
        raise AssertionError("other programs have a part in the time on the wall")

    net = Restorer(device="cpu").net
    monkeypatch.setattr(precision.time, "perf_counter", wall)
    chosen = {precision.choose_body_dtype(net, torch.device("cpu")) for _ in range(3)}
    assert len(chosen) == 1

"""The drift guard: colours of a shot stay where they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.conftest import Clips, decode_all
from vidrestore.media.probe import probe
from vidrestore.network.diffuse import Levels, Restorer
from vidrestore.network.windows import WindowPlan
from vidrestore.picture.convert import FrameConverter
from vidrestore.picture.drift import LARGEST_DRIFT, DriftGuard
from vidrestore.runs.segments import WindowRestorer

SIGMA = 10.0
REACH = 3 * SIGMA / 255


def picture(seed: int = 1, low: float = 0.0, high: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(3, 60, 80, generator=generator)


def guard(sigma: float = SIGMA) -> DriftGuard:
    return DriftGuard(Levels(sigma, clipped=True))


def test_zeros_are_never_touched() -> None:
    residual = torch.zeros(3, 60, 80)
    watch = guard()
    watch.hold(picture(), residual, 0)
    assert not residual.any()
    assert watch.shots[0].held_frames == 0


def test_a_small_mean_is_left_alone() -> None:
    residual = torch.full((3, 60, 80), 0.19 / 255)
    expected = residual.clone()
    guard().hold(picture(), residual, 0)
    assert torch.equal(residual, expected)


@pytest.mark.parametrize("drift", [3.0, -3.0])
def test_a_large_mean_is_cut_and_the_detail_stays(drift: float) -> None:
    """Only the channel that drifts, by one number for the whole frame."""
    detail = 0.02 * torch.randn(3, 60, 80, generator=torch.Generator().manual_seed(2))
    detail -= detail.mean(dim=(1, 2), keepdim=True)
    residual = detail.clone()
    residual[1] += drift / 255
    before = residual.clone()
    watch = guard()
    watch.hold(torch.full((3, 60, 80), 0.5), residual, 0)
    assert torch.equal(residual[0], before[0])
    assert torch.equal(residual[2], before[2])
    left = float(residual[1].mean()) * 255
    assert left == pytest.approx(np.sign(drift) * LARGEST_DRIFT, abs=1e-3)
    taken = before[1] - residual[1]
    assert float(taken.max() - taken.min()) < 1e-6
    (shot,) = watch.shots
    assert shot.held_frames == 1
    assert shot.inside[1] == pytest.approx(left, abs=1e-3)


def test_what_is_near_black_may_move_and_is_reported() -> None:
    """Clipped noise has lifted black; taking it away lowers the mean there and nowhere else."""
    rgb = torch.full((3, 60, 80), 0.5)
    rgb[:, :30] = REACH / 2
    residual = torch.zeros(3, 60, 80)
    residual[:, :30] = -4 / 255
    expected = residual.clone()
    watch = guard()
    watch.hold(rgb, residual, 0)
    assert torch.equal(residual, expected)
    (shot,) = watch.shots
    assert shot.inside == (0, 0, 0)
    assert shot.outside == pytest.approx((-4, -4, -4), abs=1e-3)
    assert shot.held_frames == 0


def test_few_clear_pixels_do_not_move_a_dark_frame() -> None:
    rgb = torch.zeros(3, 60, 80)
    rgb[:, 0, :5] = 0.5
    residual = torch.zeros(3, 60, 80)
    residual[:, 0, :5] = 2 / 255
    watch = guard()
    watch.hold(rgb, residual, 0)
    assert not residual[:, 1:].any()
    assert residual[:, 0, :5].numpy() * 255 == pytest.approx(LARGEST_DRIFT, abs=1e-3)


def test_no_noise_leaves_no_way_to_drift_but_the_ends() -> None:
    residual = torch.full((3, 60, 80), 1 / 255)
    watch = guard(sigma=0)
    watch.hold(picture(low=0.1, high=0.9), residual, 0)
    assert residual.mean().item() * 255 == pytest.approx(LARGEST_DRIFT, abs=1e-3)


def test_so_much_noise_that_nothing_is_clear() -> None:
    residual = torch.full((3, 60, 80), 5 / 255)
    watch = guard(sigma=50)
    watch.hold(picture(), residual, 0)
    assert watch.shots[0].inside == (0, 0, 0)
    assert watch.shots[0].outside == pytest.approx((5, 5, 5), abs=1e-3)


def test_shots_are_apart_and_context_does_not_count() -> None:
    watch = guard()
    for shot, change in ((0, 0.1), (0, -0.1), (2, 0.15)):
        watch.hold(torch.full((3, 8, 8), 0.5), torch.full((3, 8, 8), change / 255), shot)
    seen_twice = torch.full((3, 8, 8), 9 / 255)
    watch.hold(torch.full((3, 8, 8), 0.5), seen_twice, 2, counted=False)
    assert seen_twice.mean().item() * 255 == pytest.approx(LARGEST_DRIFT, abs=1e-3)
    first, second = watch.shots
    assert (first.shot, second.shot) == (0, 2)
    assert first.inside == pytest.approx((0, 0, 0), abs=1e-4)
    assert second.inside == pytest.approx((0.15, 0.15, 0.15), abs=1e-4)
    assert second.held_frames == 0


class Tinted(Restorer):
    """A network that paints everything red."""

    def __init__(self) -> None:
        pass

    def residual(self, window: Tensor, levels: Levels, steps: int | None) -> Tensor:
        change = torch.zeros_like(window)
        change[:, 0] = 6 / 255
        return change


@pytest.mark.parametrize("strength", [1.0, 0.0])
def test_a_network_that_repaints_is_held(clips: Clips, ffmpeg: str, strength: float) -> None:
    path = clips.lossless("yuv444p")
    info, frames = probe(path), decode_all(path, ffmpeg)
    plan = WindowPlan(segment_frames=4, context_frames=1, window_frames=4, overlap_frames=1)
    restorer = WindowRestorer(
        info, [Tinted()], Levels(5, clipped=True), steps=1, strength=strength, plan=plan
    )
    restored = [item.frame for item in restorer.restore(frames) if item.kept]
    rgb = [FrameConverter(info).window(some) for some in (frames, restored)]
    clear = (rgb[1] - 0.5).abs() < 0.5 - 3 * 5 / 255
    moved = [float((rgb[1] - rgb[0])[:, c][clear[:, c]].mean()) * 255 for c in range(3)]
    (shot,) = restorer.drift.shots
    if strength == 0:
        assert moved == [0, 0, 0]
        assert shot.held_frames == 0
        return
    assert max(map(abs, moved)) <= LARGEST_DRIFT + 0.1  # whole codes were stored
    assert shot.inside[0] == pytest.approx(LARGEST_DRIFT, abs=1e-3)
    assert shot.held_frames == 6

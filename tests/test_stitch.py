"""Windows put together again."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.test_windows import plans
from vidrestore.stitch import Stitcher, ramp
from vidrestore.windows import WindowPlan, cut


def run(
    clip: Tensor, plan: WindowPlan, network: Callable[[Tensor], Tensor] = torch.clone
) -> tuple[list[int], Tensor]:
    """Indices and residuals in the order in which they are handed out, (T, 3, H, W)."""
    stitcher = Stitcher()
    indices, residuals = [], [clip[:0, 0]]
    for window in cut(range(len(clip)), plan):
        for index, residual in stitcher.add(window, network(clip[window.start : window.stop])):
            indices.append(index)
            residuals.append(residual[None, 0].clone())
    return indices, torch.cat(residuals)


def clip_of(length: int) -> Tensor:
    """(length, 1, 2, 3): small, so that hypothesis can try much."""
    return torch.rand(length, 1, 2, 3, generator=torch.Generator().manual_seed(length))


def neighbour_mean(window: Tensor) -> Tensor:
    """Each frame and what is beside it in its window: depends on where the window ends."""
    padded = torch.cat((window[:1], window, window[-1:]))
    return (padded[:-2] + padded[1:-1] + padded[2:]) / 3


@settings(deadline=None)
@given(st.integers(0, 60), plans())
def test_stitching_what_was_cut_gives_the_clip(length: int, plan: WindowPlan) -> None:
    clip = clip_of(length)
    indices, stitched = run(clip, plan)
    assert indices == list(range(length))
    torch.testing.assert_close(stitched, clip[:, 0], rtol=0, atol=2e-7)


@settings(deadline=None)
@given(st.integers(1, 60), plans())
def test_weights_of_every_frame_sum_to_one(length: int, plan: WindowPlan) -> None:
    _, total = run(torch.ones(length, 1, 1, 1), plan)
    assert (total - 1).abs().max() <= 2e-7


@settings(deadline=None)
@given(st.integers(1, 60), plans())
def test_a_residual_of_zero_stays_exactly_zero(length: int, plan: WindowPlan) -> None:
    _, total = run(torch.zeros(length, 1, 1, 1), plan)
    assert not total.any()


@settings(deadline=None)
@given(st.integers(1, 60), plans())
def test_a_segment_depends_only_on_its_frames_and_their_context(
    length: int, plan: WindowPlan
) -> None:
    clip = clip_of(length)
    _, whole = run(clip, plan, neighbour_mean)
    for first in range(0, length, plan.segment_frames):
        stop = first + plan.segment_frames
        elsewhere = clip.clone()  # other material before and after what the segment may read
        elsewhere[: max(0, first - plan.context_frames)] += 1
        elsewhere[stop + plan.context_frames :] -= 1
        _, changed = run(elsewhere, plan, neighbour_mean)
        assert torch.equal(changed[first:stop], whole[first:stop])


def test_windows_that_disagree_are_blended_not_switched() -> None:
    values = iter([0.0, 1.0])
    _, total = run(
        torch.zeros(12, 1, 1, 1),
        WindowPlan(12, 0, 8, 4),
        lambda window: torch.full_like(window, next(values)),
    )
    expected = torch.tensor([0, 0, 0, 0, 0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1])
    torch.testing.assert_close(total.flatten(), expected)


@pytest.mark.parametrize("overlap", [1, 2, 5])
def test_falling_and_rising_weights_sum_to_one(overlap: int) -> None:
    falling, rising = ramp(10, 0, overlap), ramp(10, overlap, 0)
    torch.testing.assert_close(falling[-overlap:] + rising[:overlap], torch.ones(overlap))
    assert (falling > 0).all()
    assert (falling <= 1).all()

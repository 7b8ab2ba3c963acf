"""Windows put together again."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from tests.test_windows import Item, items_of, plans, segments_of, shots
from vidrestore.network.stitch import Stitcher, ramp
from vidrestore.network.windows import WindowPlan, cut


def run(
    items: list[Item],
    clip: Tensor,
    plan: WindowPlan,
    network: Callable[[Tensor], Tensor] = torch.clone,
) -> tuple[list[int], Tensor]:
    """Indices and residuals in the order in which they are handed out, (T, 3, H, W)."""
    stitcher = Stitcher()
    indices, residuals = [], [clip[:0, 0]]
    for window in cut(items, plan, lambda item: item.shot):
        added = stitcher.add(window, network(clip[window.start : window.stop]))
        for (item, kept), residual in zip(window.complete, added, strict=True):
            if kept:
                indices.append(item.index)
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
@given(shots, plans())
def test_stitching_what_was_cut_gives_the_clip(lengths: list[int], plan: WindowPlan) -> None:
    items = items_of(lengths)
    clip = clip_of(len(items))
    indices, stitched = run(items, clip, plan)
    assert indices == list(range(len(items)))
    torch.testing.assert_close(stitched, clip[:, 0], rtol=0, atol=2e-7)


@settings(deadline=None)
@given(shots, plans())
def test_weights_of_every_frame_sum_to_one(lengths: list[int], plan: WindowPlan) -> None:
    items = items_of(lengths)
    _, total = run(items, torch.ones(len(items), 1, 1, 1), plan)
    assert ((total - 1).abs() <= 2e-7).all()


@settings(deadline=None)
@given(shots, plans())
def test_a_residual_of_zero_stays_exactly_zero(lengths: list[int], plan: WindowPlan) -> None:
    items = items_of(lengths)
    _, total = run(items, torch.zeros(len(items), 1, 1, 1), plan)
    assert not total.any()


@settings(deadline=None)
@given(shots, plans())
def test_a_segment_depends_only_on_its_frames_and_their_context(
    lengths: list[int], plan: WindowPlan
) -> None:
    items = items_of(lengths)
    clip = clip_of(len(items))
    _, whole = run(items, clip, plan, neighbour_mean)
    for first, stop in segments_of(items, plan):
        elsewhere = clip.clone()  # other material before and after what the segment may read
        elsewhere[: max(0, first - plan.context_frames)] += 1
        elsewhere[stop + plan.context_frames :] -= 1
        _, changed = run(items, elsewhere, plan, neighbour_mean)
        assert torch.equal(changed[first:stop], whole[first:stop])


@settings(deadline=None)
@given(shots, plans())
def test_a_frame_depends_on_no_other_shot(lengths: list[int], plan: WindowPlan) -> None:
    items = items_of(lengths)
    clip = clip_of(len(items))
    _, whole = run(items, clip, plan, neighbour_mean)
    for shot in {item.shot for item in items}:
        others = torch.tensor([item.shot != shot for item in items])
        elsewhere = clip + others[:, None, None, None]
        _, changed = run(items, elsewhere, plan, neighbour_mean)
        assert torch.equal(changed[~others], whole[~others])


def test_windows_that_disagree_are_blended_not_switched() -> None:
    values = iter([0.0, 1.0])
    _, total = run(
        items_of([12]),
        torch.zeros(12, 1, 1, 1),
        WindowPlan(12, 0, 8, 4),
        lambda window: torch.full_like(window, next(values)),
    )
    expected = torch.tensor([0, 0, 0, 0, 0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1])
    torch.testing.assert_close(total.flatten(), expected)


def test_windows_of_two_shots_that_disagree_are_switched_not_blended() -> None:
    values = iter([0.0, 1.0])
    _, total = run(
        items_of([5, 7]),
        torch.zeros(12, 1, 1, 1),
        WindowPlan(12, 0, 8, 4),
        lambda window: torch.full_like(window, next(values)),
    )
    torch.testing.assert_close(total.flatten(), torch.tensor([0.0] * 5 + [1.0] * 7))


@pytest.mark.parametrize("overlap", [1, 2, 5])
def test_falling_and_rising_weights_sum_to_one(overlap: int) -> None:
    falling, rising = ramp(10, 0, overlap), ramp(10, overlap, 0)
    torch.testing.assert_close(falling[-overlap:] + rising[:overlap], torch.ones(overlap))
    assert (falling > 0).all()
    assert (falling <= 1).all()

"""Clipping moves the mean of noise; the correction moves it back and touches nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vidrestore.picture.declip import clipped_moments, correction
from vidrestore.picture.estimate import noise_is_clipped


@pytest.mark.parametrize("sigma", [0.02, 0.1, 0.25])
@pytest.mark.parametrize("value", [0.0, 0.05, 0.3, 0.5, 0.9, 1.0])
def test_moments_match_a_million_draws(value: float, sigma: float) -> None:
    noise = torch.randn(1_000_000, generator=torch.Generator().manual_seed(0))
    drawn = (value + sigma * noise).clamp(0, 1)
    mean, variance = clipped_moments(torch.tensor(value, dtype=torch.float64), sigma)
    assert mean.item() == pytest.approx(drawn.mean().item(), abs=4e-4)
    assert variance.item() == pytest.approx(drawn.var().item(), rel=0.01)


@given(sigma=st.floats(0.004, 0.25))
@settings(max_examples=30, deadline=None)
def test_the_correction_undoes_the_mean_of_clipping(sigma: float) -> None:
    value = torch.linspace(0, 1, 201, dtype=torch.float64)
    average = clipped_moments(value, sigma)[0].float()
    restored = average + correction(average, sigma)
    assert (restored - value).abs().max() < 0.15 * sigma + 1e-3
    before = (average - value).square().mean()
    assert (restored - value).square().mean() < 0.1 * before + 1e-7


@given(sigma=st.floats(0.001, 0.12))
@settings(max_examples=30, deadline=None)
def test_far_from_black_and_white_nothing_changes(sigma: float) -> None:
    inside = torch.linspace(4 * sigma + 0.002, 1 - 4 * sigma - 0.002, 101)
    assert not correction(inside, sigma).any()


def test_the_correction_darkens_the_dark_and_brightens_the_bright() -> None:
    average = torch.linspace(-0.5, 1.5, 401)
    change = correction(average, 0.1)
    assert (change[average < 0.5] <= 0).all()
    assert (change[average > 0.5] >= 0).all()


def test_without_noise_there_is_no_correction() -> None:
    assert not correction(torch.linspace(0, 1, 11), 0.0).any()


def test_what_is_outside_the_range_is_left_alone() -> None:
    assert not correction(torch.tensor([-0.3, -0.05, 1.05, 1.3]), 0.1).any()


@pytest.mark.parametrize("sigma", [10.0, 25.0, 50.0])
def test_clipped_noise_is_told_from_unclipped(sigma: float) -> None:
    ramp = np.tile(np.linspace(0, 1, 160, dtype=np.float32)[:, None], (2, 96, 1, 3))
    noise = np.random.default_rng(0).normal(0, sigma / 255, ramp.shape).astype(np.float32)
    assert not noise_is_clipped(ramp + noise, sigma)
    assert noise_is_clipped((ramp + noise).clip(0, 1), sigma)

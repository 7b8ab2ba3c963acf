"""The sampler, with denoisers that are known in closed form.

The model world: x is Gaussian with variance PRIOR, y = x + SIGMA n, so x_t is x at noise level
t SIGMA and the ideal denoiser is a product. The flow that many steps follow then ends at
y sqrt(PRIOR / (PRIOR + SIGMA^2)), which has the variance of x itself.
"""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from vidrestore.network.bridge import interpolate, sample

PRIOR, SIGMA = 0.04, 0.3


def world(size: int = 200_000) -> tuple[Tensor, Tensor]:
    """Clean and degraded."""
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, size, generator=generator, dtype=torch.float64)
    clean *= math.sqrt(PRIOR)
    return clean, clean + SIGMA * noise


def ideal(x_t: Tensor, t: float) -> Tensor:
    """Residual of the posterior mean."""
    return x_t * (PRIOR / (PRIOR + (t * SIGMA) ** 2) - 1)


def psnr_db(clean: Tensor, restored: Tensor) -> float:
    return -10 * math.log10((restored - clean).square().mean())


def test_one_step_is_the_posterior_mean() -> None:
    _, degraded = world()
    restored = degraded + sample(ideal, degraded, 1)
    torch.testing.assert_close(restored, degraded * PRIOR / (PRIOR + SIGMA**2))


def test_many_steps_converge_to_the_flow() -> None:
    degraded = torch.tensor([1.0, -0.3], dtype=torch.float64)
    flow = degraded * math.sqrt(PRIOR / (PRIOR + SIGMA**2))
    errors = [
        float((degraded + sample(ideal, degraded, steps) - flow).abs().max())
        for steps in (8, 16, 32, 64, 512)
    ]
    assert all(after < 0.6 * before for before, after in pairwise(errors))  # first order
    assert errors[-1] < 1e-3


def test_more_steps_give_back_the_variance_and_cost_at_most_3_db() -> None:
    clean, degraded = world()
    restored = {steps: degraded + sample(ideal, degraded, steps) for steps in (1, 2, 4, 16, 256)}
    variance = [float(clip.var()) for clip in restored.values()]
    assert variance == sorted(variance)
    assert variance[0] < 0.4 * PRIOR
    assert variance[-1] == pytest.approx(PRIOR, rel=0.02)
    score = [psnr_db(clean, clip) for clip in restored.values()]
    assert score == sorted(score, reverse=True)
    assert 1 < score[0] - score[-1] < 3.01


@pytest.mark.parametrize("steps", [1, 2, 4, 7])
def test_the_denoiser_is_called_once_per_step_at_equal_distances(steps: int) -> None:
    called = []

    def denoise(x_t: Tensor, t: float) -> Tensor:
        called.append(t)
        return torch.ones_like(x_t)

    sample(denoise, torch.zeros(2), steps)
    assert called == [pytest.approx(1 - k / steps) for k in range(steps)]


def test_the_denoiser_sees_the_state_of_its_own_t() -> None:
    clean, degraded = world(100)

    def oracle(x_t: Tensor, t: float) -> Tensor:
        torch.testing.assert_close(x_t, interpolate(clean, degraded, t))
        return clean - x_t

    torch.testing.assert_close(degraded + sample(oracle, degraded, 5), clean)


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_a_residual_of_zero_stays_exactly_zero(steps: int) -> None:
    degraded = torch.randn(3, 1000, generator=torch.Generator().manual_seed(1))
    seen = []

    def nothing(x_t: Tensor, t: float) -> Tensor:
        seen.append(torch.equal(x_t, degraded))
        return torch.zeros_like(x_t)

    assert not sample(nothing, degraded, steps).any()
    assert seen == [True] * steps


def test_the_input_is_left_alone() -> None:
    _, degraded = world(10)
    before = degraded.clone()
    sample(ideal, degraded, 3).add_(1)
    assert torch.equal(degraded, before)


@pytest.mark.parametrize("steps", [0, -1])
def test_less_than_one_step_is_refused(steps: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        sample(ideal, torch.zeros(1), steps)


def test_the_forward_process_runs_from_clean_to_degraded() -> None:
    clean, degraded = world(100)
    assert torch.equal(interpolate(clean, degraded, 0.0), clean)
    torch.testing.assert_close(interpolate(clean, degraded, 1.0), degraded)
    torch.testing.assert_close(interpolate(clean, degraded, 0.25), 0.75 * clean + 0.25 * degraded)
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)[:, None]
    both = interpolate(clean.expand(2, -1), degraded.expand(2, -1), t)
    torch.testing.assert_close(both, torch.stack((clean, degraded)))


def linear_fit_error(clean: Tensor, *inputs: Tensor) -> float:
    """Mean squared error of the best linear prediction of the clean values."""
    columns = torch.stack(inputs, dim=1)
    weights = torch.linalg.lstsq(columns, clean[:, None]).solution
    return float((columns @ weights - clean[:, None]).square().mean())


def test_x_t_beside_y_would_give_the_answer_away_and_x_t_alone_does_not() -> None:
    # Why the network is never shown y: the weights (1, -t) / (1 - t) undo the forward process, so
    # even a linear model recovers x exactly. From x_t alone no model does better than a denoiser
    # of level t SIGMA, whose error is the posterior variance.
    clean, degraded = world()
    t = 0.5
    x_t = interpolate(clean, degraded, t)
    assert linear_fit_error(clean, x_t, degraded) < 1e-20
    posterior_variance = PRIOR * (t * SIGMA) ** 2 / (PRIOR + (t * SIGMA) ** 2)
    assert linear_fit_error(clean, x_t) == pytest.approx(posterior_variance, rel=0.02)

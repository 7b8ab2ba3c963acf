"""The diffusion bridge between the degraded clip y and the clean one x.

Forward process, t in [0, 1] (InDI, arXiv 2303.11435, eq. 4; the noiseless limit of the Brownian
bridge of arXiv 2302.05872):

    x_t = (1 - t) x + t y

The network sees x_t alone, never y beside it: given both, x = (x_t - t y) / (1 - t) would be handed
to it, and it would learn to invert that line instead of to restore. For Gaussian noise
y = x + sigma n, so x_t = x + t sigma n is the clean clip at noise level t sigma, and the network is
exactly a denoiser conditioned on the noise level. In general every level of degradation (see
`model.LEVELS`) of x_t is t times that of y.

Reverse step from t to t - d (the same paper, eq. 9):

    x_(t-d) = (d / t) F(x_t, t) + ((t - d) / t) x_t

One step from t = 1 returns F(y, 1), the minimum-mean-square estimate. More steps follow the flow
towards a sample of the posterior: sharper, at the price of PSNR.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Denoiser = Callable[[Tensor, float], Tensor]
"""(x_t, t) to the residual F(x_t, t) - x_t, same shape as x_t, float32."""


def interpolate(clean: Tensor, degraded: Tensor, t: Tensor | float) -> Tensor:
    """x_t of the forward process.

    Args:
        clean: Any shape, float32.
        degraded: The same shape.
        t: In [0, 1]; broadcast against the clips.
    """
    return clean + t * (degraded - clean)


def sample(denoise: Denoiser, degraded: Tensor, steps: int) -> Tensor:
    """Run the reverse process from t = 1 to t = 0 in equal steps.

    Args:
        denoise: The network's residual; called exactly `steps` times.
        degraded: y, any shape, float32, not clamped.
        steps: K >= 1.

    Returns:
        The restored residual x_0 - y, the shape of `degraded`. Summing residuals instead of clips
        keeps a residual of zero exactly zero.

    Raises:
        ValueError: If `steps` is below 1.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}")
    total = None
    for k in range(steps, 0, -1):
        x_t = degraded if total is None else degraded + total
        # t = k / steps and d = 1 / steps, so d / t = 1 / k.
        step = denoise(x_t, k / steps)
        if k > 1:
            step = step / k
        total = step if total is None else total + step
    assert total is not None
    return total

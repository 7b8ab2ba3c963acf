"""Degradations for training: batches of windows, on any device, fast.

They do what the degradations of the same names do to clips, with NumPy's numbers replaced by those
of a `torch.Generator`, and each window of a batch may have a strength of its own. What is only
approximate here: a shaking camera's path is rasterised into a kernel (exact for shifts; there is no
roll), and `dct_quantise` is JPEG without its entropy coder; `blockcodec` has what stands in for
H.264.

Throughout, `x` is (B, T, 3, H, W) float32 RGB, nominal [0, 1], not modified; a "per window"
argument is a number or a tensor (B,) on the device of `x`; generators live on that device too.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

PerWindow = float | Tensor

_LUMA = (0.299, 0.587, 0.114)
_COMMON_GRAIN = 0.8
_GRAIN_FLOOR = 0.25
_WAVES = 6
_SLOWEST, _FASTEST = 0.03, 0.4
_VIGOUR = 0.06
_SHORTEST_SHUTTER = 0.3
_SAMPLES_PER_PX = 4
_BLOCK = 8

# Annex K of ITU-T T.81, at quality 50.
_LUMA_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA_CORNER = ((17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99))


def to_linear(x: Tensor) -> Tensor:
    """Code values, any shape, clipped to [0, 1], to linear light."""
    code = x.clamp(0, 1)
    return torch.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055).pow(2.4))


def to_code(light: Tensor) -> Tensor:
    """Linear light, any shape, clipped to [0, 1], to code values."""
    light = light.clamp(0, 1)
    bent = 1.055 * light.clamp(min=0.0031308).pow(1 / 2.4) - 0.055
    return torch.where(light <= 0.0031308, light * 12.92, bent)


def darken(x: Tensor, stops: PerWindow) -> Tensor:
    """Divide the light by 2 to the power of `stops`, per window; the truth of it is as dark."""
    return to_code(to_linear(x) * torch.exp2(-per_window(stops, x)))


def film_grain(
    x: Tensor, strength: PerWindow, size_px: PerWindow, generator: torch.Generator
) -> Tensor:
    """Add correlated grain; see `FilmGrain`.

    Args:
        x: Windows.
        strength: Standard deviation in mid grey, in 8-bit units, per window.
        size_px: Standard deviation of the Gaussian that smooths it, in pixels, per window.
        generator: Draws the grain.

    Returns:
        Windows of the same shape, clipped to [0, 1].
    """
    batch, frames, _, height, width = x.shape
    size = per_window(size_px, x).flatten().expand(batch)
    reach = math.ceil(3 * float(size.max()))
    layers = torch.randn(
        (batch, frames * 4, height + 2 * reach, width + 2 * reach),
        generator=generator,
        device=x.device,
    )
    if reach:
        place = torch.arange(-reach, reach + 1, device=x.device)
        weights = torch.exp(-place.square() / (2 * size[:, None].clamp(min=0.05).square()))
        weights = weights / weights.square().sum(1, keepdim=True).sqrt()
        taps = weights.repeat_interleave(frames * 4, 0)
        flat = layers.flatten(0, 1)[None]
        flat = F.conv2d(flat, taps[:, None, None], groups=len(taps))
        flat = F.conv2d(flat, taps[:, None, :, None], groups=len(taps))
        layers = flat[0]
    layers = layers.reshape(batch, frames, 4, height, width)
    own = math.sqrt(1 - _COMMON_GRAIN**2)
    grain = _COMMON_GRAIN * layers[:, :, :1] + own * layers[:, :, 1:]
    bright = _luma(x.clamp(0, 1))
    share = _GRAIN_FLOOR + (1 - _GRAIN_FLOOR) * 4 * bright * (1 - bright)
    return (x + per_window(strength, x) / 255 * share * grain).clamp(0, 1)


def poisson_gaussian(
    x: Tensor,
    gain: PerWindow,
    read: PerWindow,
    generator: torch.Generator,
    balance: tuple[float, float, float] = (2.0, 1.0, 1.5),
) -> Tensor:
    """Expose windows on a sensor; see `SensorNoise`.

    Args:
        x: Windows.
        gain: Linear light for each photo-electron in green, above 0, per window.
        read: Standard deviation of the read noise in green, linear light, per window.
        generator: Draws the noise.
        balance: What red, green and blue are amplified by, noise and all.

    Returns:
        Windows of the same shape, clipped to [0, 1].
    """
    amplified = torch.tensor(balance, device=x.device)[:, None, None]
    step = per_window(gain, x) * amplified
    electrons = torch.poisson(to_linear(x) / step, generator=generator)
    noise = torch.randn(x.shape, generator=generator, device=x.device)
    return to_code(step * electrons + per_window(read, x) * amplified * noise)


def shake_kernels(
    batch: int,
    frames: int,
    least_px: PerWindow,
    most_px: PerWindow,
    generator: torch.Generator,
    *,
    size_px: int,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Draw blur kernels of a shaking camera, smooth in time; see `ShakeBlur`.

    Args:
        batch: B.
        frames: T.
        least_px: Shortest path of an exposure, in pixels, per window.
        most_px: Longest path, per window.
        generator: Draws the shake.
        size_px: K, odd; a path is at home in it if it is shorter than K - 2.
        device: Of the generator and the result.

    Returns:
        (B, T, K, K) float32, each of sum 1.
    """

    def uniform(*size: int) -> Tensor:
        return torch.rand(size, generator=generator, device=device)

    least = torch.as_tensor(least_px, device=device).expand(batch)
    most = torch.as_tensor(most_px, device=device).expand(batch)
    samples = 2 + math.ceil(_SAMPLES_PER_PX * float(most.max()))
    frequency = _SLOWEST * (_FASTEST / _SLOWEST) ** uniform(batch, 2, _WAVES)
    amplitude = (0.5 + uniform(batch, 2, _WAVES)) / frequency.pow(1.5)
    phase = uniform(batch, 2, _WAVES)
    shutter = _SHORTEST_SHUTTER + (1 - _SHORTEST_SHUTTER) * uniform(batch, 1, 1)
    frame = torch.arange(frames, device=device, dtype=torch.float32)
    open_for = torch.linspace(-0.5, 0.5, samples, device=device)
    times = frame[None, :, None] + shutter * open_for  # (B, T, N)
    turns = frequency[:, None, None] * times[..., None, None] + phase[:, None, None]
    path = (amplitude[:, None, None] * torch.sin(2 * math.pi * turns)).sum(-1)  # (B, T, N, 2)
    vigour = 0.5 + 0.5 * torch.sin(2 * math.pi * (_VIGOUR * frame + uniform(batch, 1)))
    length = least[:, None] + (most - least)[:, None] * vigour
    travelled = path.diff(dim=2).norm(dim=-1).sum(2).clamp(min=1e-12)
    path = (path - path.mean(2, keepdim=True)) * (length / travelled)[..., None, None]
    return _rasterised(path.flatten(0, 1), size_px).reshape(batch, frames, size_px, size_px)


def _rasterised(path: Tensor, size_px: int) -> Tensor:
    """Paths (P, N, 2) of x and y as kernels (P, K, K)."""
    place = (path + size_px // 2).clamp(0, size_px - 1.001)
    corner = place.floor()
    share, corner = place - corner, corner.long()
    kernels = torch.zeros(len(path), size_px * size_px, device=path.device)
    for step_x in (0, 1):
        for step_y in (0, 1):
            across = share[..., 0] if step_x else 1 - share[..., 0]
            along = share[..., 1] if step_y else 1 - share[..., 1]
            index = (corner[..., 1] + step_y) * size_px + corner[..., 0] + step_x
            kernels.scatter_add_(1, index, across * along)
    return (kernels / path.shape[1]).reshape(-1, size_px, size_px)


def disc_kernels(radius_px: Tensor, size_px: int) -> Tensor:
    """Kernels of lenses out of focus.

    Args:
        radius_px: (B,) radius of each disc, at most K / 2.
        size_px: K, odd.

    Returns:
        (B, K, K) float32, each of sum 1; a disc below a quarter of a pixel changes nothing.
    """
    fine = 8
    place = torch.arange(size_px * fine, device=radius_px.device, dtype=torch.float32)
    place = (place + 0.5) / fine - size_px / 2
    inside = place[:, None].square() + place[None].square()
    discs = (inside[None] <= radius_px.clamp(min=0.25).square()[:, None, None]).float()
    kernels = F.avg_pool2d(discs[:, None], fine)[:, 0]
    return kernels / kernels.sum((1, 2), keepdim=True)


def blur(x: Tensor, kernels: Tensor) -> Tensor:
    """Blur in linear light, mirrored at the edges.

    Args:
        x: Windows, higher and wider than half a kernel.
        kernels: (B, T, K, K), or (B, K, K) for all frames of a window alike; K odd.

    Returns:
        Windows of the same shape, in [0, 1].
    """
    batch, frames, channels, height, width = x.shape
    if kernels.dim() == 3:
        kernels = kernels[:, None].expand(-1, frames, -1, -1)
    reach = kernels.shape[-1] // 2
    planes = to_linear(x).reshape(1, -1, height, width)
    padded = F.pad(planes, (reach,) * 4, mode="reflect")
    taps = kernels.flip(-1, -2).reshape(batch * frames, 1, *kernels.shape[-2:])
    taps = taps.repeat_interleave(channels, 0)
    return to_code(F.conv2d(padded, taps, groups=len(taps)).reshape(x.shape))


def frame_blur(x: Tensor, frames: int) -> Tensor:
    """Blur by real motion: the mean of neighbouring frames in linear light.

    Args:
        x: Windows of T frames.
        frames: How many frames make one.

    Returns:
        (B, T - frames + 1, 3, H, W); for an odd number, frame i is the blurred i + frames // 2.
    """
    return to_code(to_linear(x).unfold(1, frames, 1).mean(-1))


def dct_quantise(
    x: Tensor,
    quality: PerWindow,
    generator: torch.Generator,
    *,
    chroma_halved: bool = True,
) -> Tensor:
    """Compress in blocks of 8x8: round the cosine transform with JPEG's tables.

    Args:
        x: Windows, at least 16 pixels high and wide.
        quality: As libjpeg counts it, 1 to 100, per window.
        generator: Draws where the grid of blocks begins, for all windows alike.
        chroma_halved: Whether chroma is halved both ways first (4:2:0).

    Returns:
        Windows of the same shape, in [0, 1].
    """
    height, width = x.shape[-2:]
    begin = torch.randint(_BLOCK, (2,), generator=generator, device=x.device) * 2
    top, left = (int(offset) for offset in begin)
    # Whole blocks of both luma and halved chroma, beginning anywhere.
    below, right = -(height + top) % (2 * _BLOCK), -(width + left) % (2 * _BLOCK)
    ycc = to_ycc(x.clamp(0, 1)).flatten(0, 1)
    ycc = F.pad(ycc, (left, right, top, below), mode="replicate")
    step = _table_scale(quality, x).flatten().expand(len(x)).repeat_interleave(x.shape[1])
    bright = _rounded(ycc[:, :1], _LUMA_TABLE, step)
    tint = F.avg_pool2d(ycc[:, 1:], 2) if chroma_halved else ycc[:, 1:]
    tint = _rounded(tint, _chroma_table(), step)
    if chroma_halved:
        tint = F.interpolate(tint, scale_factor=2, mode="bilinear", align_corners=False)
    kept = torch.cat((bright, tint), 1)[..., top : top + height, left : left + width]
    return from_ycc(kept.reshape(x.shape)).clamp(0, 1)


def _rounded(planes: Tensor, table: tuple[tuple[int, ...], ...], scale: Tensor) -> Tensor:
    """Planes (N, C, H, W), whole blocks, with their coefficients rounded."""
    count, channels, height, width = planes.shape
    basis = cosines(planes.device)
    blocks = planes.reshape(count, channels, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    coefficients = torch.einsum("ki,nchiwj,lj->nchwkl", basis, blocks - 0.5, basis)
    steps = torch.tensor(table, device=planes.device) * scale[:, None, None]
    steps = steps.round().clamp(1, 255)[:, None, None, None] / 255
    coefficients = (coefficients / steps).round() * steps
    blocks = torch.einsum("ki,nchwkl,lj->nchiwj", basis, coefficients, basis) + 0.5
    return blocks.reshape(planes.shape)


def cosines(device: torch.device) -> Tensor:
    """The orthonormal cosine transform of 8 samples, (8, 8), one basis vector per row."""
    place = torch.arange(_BLOCK, device=device, dtype=torch.float32)
    basis = torch.cos(math.pi / _BLOCK * (place + 0.5)[None] * place[:, None])
    basis[0] /= math.sqrt(2)
    return basis * math.sqrt(2 / _BLOCK)


def _table_scale(quality: PerWindow, x: Tensor) -> Tensor:
    """What libjpeg multiplies its tables by, (B, 1, 1, 1, 1)."""
    quality = per_window(quality, x).clamp(1, 100)
    coarse = 50 / quality
    return torch.where(quality < 50, coarse, 2 - quality / 50)


def _chroma_table() -> tuple[tuple[int, ...], ...]:
    corner = [(*row, 99, 99, 99, 99) for row in _CHROMA_CORNER]
    return (*corner, *((99,) * _BLOCK for _ in range(4)))


def to_ycc(x: Tensor) -> Tensor:
    """RGB (B, T, 3, H, W) to Y, Cb + 0.5, Cr + 0.5, all in [0, 1] (JFIF)."""
    red, _, blue = x.unbind(2)
    luma = _luma(x)[:, :, 0]
    return torch.stack((luma, (blue - luma) / 1.772 + 0.5, (red - luma) / 1.402 + 0.5), 2)


def from_ycc(ycc: Tensor) -> Tensor:
    """What `to_ycc` was given."""
    luma, blue, red = ycc.unbind(2)
    red, blue = luma + 1.402 * (red - 0.5), luma + 1.772 * (blue - 0.5)
    green = (luma - _LUMA[0] * red - _LUMA[2] * blue) / _LUMA[1]
    return torch.stack((red, green, blue), 2)


def _luma(x: Tensor) -> Tensor:
    """(B, T, 3, H, W) to (B, T, 1, H, W)."""
    weights = torch.tensor(_LUMA, device=x.device)[:, None, None]
    return (x * weights).sum(2, keepdim=True)


def per_window(value: PerWindow, x: Tensor) -> Tensor:
    """A number or (B,) as something that broadcasts against windows."""
    return torch.as_tensor(value, device=x.device, dtype=x.dtype).reshape(-1, 1, 1, 1, 1)

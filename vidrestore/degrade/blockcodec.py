"""What stands in for H.264 in training: prediction from the frame before, blocks, a dead zone.

Real encoders run outside torch and need whole clips; training needs thousands of windows a minute.
This has what makes their artefacts look as they do: every frame but the first is predicted block by
block along its motion, so that what stands still keeps the errors of the first frame; the rest is
rounded in 8x8 cosine transforms with one step and a dead zone that swallows faint texture; chroma
is halved; and edges of blocks are smoothed. It has no entropy coder, no choice of modes, no
B-frames and no rate control.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from vidrestore.degrade.tensors import PerWindow, cosines, from_ycc, per_window, to_ycc

BLOCK = 16
TRANSFORM = 8
INTRA_ROUNDING, INTER_ROUNDING = 1 / 3, 1 / 6
"""How much of a step a coefficient needs less than one to survive."""
FINER_INTRA = 2.0
"""Steps of the quantiser by which the first frame is finer."""
COARSER = 5.5
"""Quantisers above the crf that cost what x264 costs at that crf, mean of three clips at crf 20 to
42: it saves where we do not, in modes, B-frames and its choice of coefficients."""
STAY = 0.002
"""By how much the error must fall, in units of [0, 1], for a block to move."""


def video_quantise(x: Tensor, crf: PerWindow, *, search_px: int = 4) -> Tensor:
    """Compress windows as H.264 would.

    Args:
        x: (B, T, 3, H, W) float32 RGB, nominal [0, 1], not modified.
        crf: About that of x264, 0 to 51, per window: a number or (B,) on the device of `x`.
        search_px: How far motion is looked for; what moves further is coded anew.

    Returns:
        Windows of the same shape, in [0, 1].
    """
    height, width = x.shape[-2:]
    ycc = to_ycc(x.clamp(0, 1))
    padded = F.pad(
        ycc.flatten(0, 1), (0, -width % BLOCK, 0, -height % BLOCK), mode="replicate"
    ).reshape(*ycc.shape[:3], height + -height % BLOCK, width + -width % BLOCK)
    quantiser = per_window(crf, x).expand(len(x), 1, 1, 1, 1)[:, 0] + COARSER
    shown: list[Tensor] = []
    for frame in padded.unbind(1):
        if shown:
            expected = _predicted(frame, shown[-1], search_px)
            decoded = _coded(frame, expected, quantiser, INTER_ROUNDING)
        else:
            expected = torch.full_like(frame, 0.5)
            decoded = _coded(frame, expected, quantiser - FINER_INTRA, INTRA_ROUNDING)
        shown.append(_smoothed(decoded, quantiser))
    return from_ycc(torch.stack(shown, 1)[..., :height, :width]).clamp(0, 1)


def _predicted(frame: Tensor, before: Tensor, search_px: int) -> Tensor:
    """The frame before (B, 3, H, W), moved block by block to be like this one."""
    batch, _, height, width = frame.shape
    reach = (search_px,) * 4
    bright = F.pad(before[:, :1], reach, mode="replicate")
    least = torch.full((batch, 1, height // BLOCK, width // BLOCK), torch.inf, device=frame.device)
    best_x, best_y = torch.zeros_like(least), torch.zeros_like(least)
    for y in range(-search_px, search_px + 1):
        for x in range(-search_px, search_px + 1):
            top, left = search_px + y, search_px + x
            moved = bright[..., top : top + height, left : left + width]
            error = F.avg_pool2d((moved - frame[:, :1]).abs(), BLOCK)
            error = error + STAY * bool(x or y)
            better = error < least
            least = torch.where(better, error, least)
            best_x = best_x.masked_fill(better, x)
            best_y = best_y.masked_fill(better, y)
    place_y = torch.arange(height, device=frame.device)[:, None]
    place_x = torch.arange(width, device=frame.device)[None]
    from_y = (place_y + _spread(best_y)).clamp(0, height - 1).long()
    from_x = (place_x + _spread(best_x)).clamp(0, width - 1).long()
    index = (from_y * width + from_x).flatten(2).expand(-1, 3, -1)
    return before.flatten(2).gather(2, index).reshape(before.shape)


def _spread(blocks: Tensor) -> Tensor:
    """Values of blocks, one for each of their pixels."""
    return blocks.repeat_interleave(BLOCK, 2).repeat_interleave(BLOCK, 3)


def _coded(frame: Tensor, expected: Tensor, quantiser: Tensor, rounding: float) -> Tensor:
    """What a decoder has of a frame (B, 3, H, W): what was expected, and the rounded rest."""
    rest = frame - expected
    bright = _rounded(rest[:, :1], _step(quantiser), rounding)
    tint = _rounded(F.avg_pool2d(rest[:, 1:], 2), _step(_of_chroma(quantiser)), rounding)
    tint = F.interpolate(tint, scale_factor=2, mode="bilinear", align_corners=False)
    return expected + torch.cat((bright, tint), 1)


def _step(quantiser: Tensor) -> Tensor:
    """Step of an orthonormal transform, in units of [0, 1]: it doubles every six quantisers."""
    return torch.exp2((quantiser - 4) / 6) / 255


def _of_chroma(quantiser: Tensor) -> Tensor:
    """Chroma is coded more finely where luma is coarse."""
    return torch.where(quantiser < 30, quantiser, 30 + 0.5 * (quantiser - 30))


def _rounded(planes: Tensor, step: Tensor, rounding: float) -> Tensor:
    """Planes (B, C, H, W) with their cosine coefficients rounded to steps, below which a dead zone.

    Halved planes may end in half a block; it is filled up with zeros.
    """
    height, width = planes.shape[-2:]
    planes = F.pad(planes, (0, -width % TRANSFORM, 0, -height % TRANSFORM))
    batch, channels, rows, columns = planes.shape
    basis = cosines(planes.device)
    shape = (batch, channels, rows // TRANSFORM, TRANSFORM, columns // TRANSFORM, TRANSFORM)
    coefficients = torch.einsum("ki,nchiwj,lj->nchwkl", basis, planes.reshape(shape), basis)
    levels = (coefficients.abs() / step[..., None, None] + rounding).floor()
    kept = coefficients.sign() * levels * step[..., None, None]
    blocks = torch.einsum("ki,nchwkl,lj->nchiwj", basis, kept, basis)
    return blocks.reshape(planes.shape)[..., :height, :width]


def _smoothed(frame: Tensor, quantiser: Tensor) -> Tensor:
    """Luma of a frame (B, 3, H, W) with the edges of its blocks smoothed where they look false."""
    bright = _smoothed_across(frame[:, :1], quantiser)
    bright = _smoothed_across(bright.transpose(-1, -2), quantiser).transpose(-1, -2)
    return torch.cat((bright, frame[:, 1:]), 1)


def _smoothed_across(plane: Tensor, quantiser: Tensor) -> Tensor:
    """A plane (B, 1, H, W) with its vertical block edges smoothed.

    The limits are curves through the tables of ITU-T H.264, section 8.7.
    """
    edge_limit = 0.8 * (torch.exp2(quantiser / 6) - 1) / 255
    slope_limit = (0.5 * quantiser - 7).clamp(min=0) / 255
    change_limit = 0.07 * edge_limit + 1 / 255
    edges = torch.arange(TRANSFORM, plane.shape[-1], TRANSFORM, device=plane.device)
    outer_left, left, right, outer_right = (plane[..., edges + at] for at in (-2, -1, 0, 1))
    false = ((right - left).abs() < edge_limit) & ((outer_left - left).abs() < slope_limit)
    false = false & ((outer_right - right).abs() < slope_limit)
    change = (4 * (right - left) + outer_left - outer_right) / 8
    change = change.clamp(-change_limit, change_limit) * false
    smoothed = plane.clone()
    smoothed[..., edges - 1] += change
    smoothed[..., edges] -= change
    return smoothed

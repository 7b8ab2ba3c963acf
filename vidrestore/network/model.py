"""The network: a temporal U-Net that predicts the clean window as the input plus a residual.

One architecture serves denoising, deblurring and missing frames: what is wrong with each frame is
told by its levels (see `LEVELS`), never by the shape of the network.

Per-frame plain 3x3 convolutions on pixel-unshuffled input; frames exchange a slice of channels
with their neighbours in every block (temporal shift, arXiv 1811.08383; for denoising arXiv
2207.10875) and attend to each other at the coarsest scale. No normalisation layers: they would make
a pixel depend on the tile it is in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEVELS = ("noise", "blur", "compression", "missing")
"""What may be wrong with a frame, in the order of the last axis of `levels`. Each is 0 for a clean
frame: noise is the standard deviation in [0, 1] units, blur and compression run from 0 to 1, and
missing is 1 where the frame does not exist and the input is a guess."""

UNKNOWN = torch.tensor([0, 1 / 8, 1 / 8, 0])
"""What a network is told that has to see for itself what is wrong."""

LOOKED_AGAIN = torch.tensor([0, 1 / 16, 1 / 8, 0])
"""The same, where the candidates have been made with the help of an estimate."""

LEVEL_GAIN = 8.0
"""Brings the usual levels to about one before they are embedded."""

CANDIDATE_GAIN = 8.0
"""The same for the differences between a guess and what it was made of."""

DOUBTFUL_SPREAD = 0.015
"""Candidates that lie this far from their guess, in [0, 1] units, leave it open to any repair."""

MULTIPLE_PX = 8
"""Height and width that the network takes are multiples of this."""


@dataclass(frozen=True)
class ModelSpec:
    """Everything that is needed to rebuild the network that a set of weights belongs to.

    Attributes:
        channels: Feature channels at 1/2, 1/4 and 1/8 of the input resolution.
        middle_blocks: Residual blocks at 1/8; the other scales have one before and one after.
        shift_divisor: One part in this many of the channels comes from each neighbour.
        attention_heads: Heads of the temporal attention at 1/8.
        attention_radius: Frames on either side that a frame attends to.
        candidates: Images that come with every missing frame: its neighbours, warped to it or as
            they are. 0 if the network knows no missing frames.
    """

    channels: tuple[int, int, int] = (64, 96, 128)
    middle_blocks: int = 2
    shift_divisor: int = 4
    attention_heads: int = 4
    attention_radius: int = 5
    candidates: int = 0

    @property
    def macs_per_pixel(self) -> float:
        """Multiply-accumulates for one pixel of one frame, convolutions only."""
        half, quarter, eighth = self.channels
        block = 2 * 9
        macs_half = 2 * block * half**2 + 9 * half * (12 + 12 + (16 + 4) * self.candidates)
        macs_quarter = 2 * block * quarter**2 + 4 * half * quarter + 4 * half * quarter
        macs_eighth = self.middle_blocks * block * eighth**2 + 8 * quarter * eighth + 4 * eighth**2
        return macs_half / 4 + macs_quarter / 16 + macs_eighth / 64


def shift(x: Tensor, frames: int, divisor: int) -> Tensor:
    """Replace two slices of channels by those of the previous and of the next frame.

    Args:
        x: (B * frames, C, H, W) features. The window's first and last frame stand in for the
            neighbours they lack.
        frames: Window length T.
        divisor: C / divisor channels come from each side.

    Returns:
        (B * frames, C, H, W) features in the same memory format.
    """
    _, channels, height, width_px = x.shape
    width = channels // divisor
    clip = x.permute(0, 2, 3, 1).reshape(-1, frames, height, width_px, channels)  # memory order
    past, future, present = clip[..., :width], clip[..., width : 2 * width], clip[..., 2 * width :]
    past = torch.cat((past[:, :1], past[:, :-1]), dim=1)
    future = torch.cat((future[:, 1:], future[:, -1:]), dim=1)
    return torch.cat((past, future, present), dim=-1).flatten(0, 1).permute(0, 3, 1, 2)


class Block(nn.Module):
    """Residual block: shift, 3x3, level embedding, ReLU, 3x3."""

    def __init__(self, channels: int, shift_divisor: int) -> None:
        super().__init__()
        self.shift_divisor = shift_divisor
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        with torch.no_grad():
            self.conv2.weight.mul_(0.2)

    def forward(self, x: Tensor, level_bias: Tensor, frames: int) -> Tensor:
        """(B*T, C, H, W) features and (B*T, C) or (1, C) bias to (B*T, C, H, W) features."""
        shifted = shift(x, frames, self.shift_divisor)
        if len(level_bias) == 1:  # the same for all: the convolution adds it in passing
            assert self.conv1.bias is not None
            bias = self.conv1.bias + level_bias[0]
            h = F.relu_(F.conv2d(shifted, self.conv1.weight, bias, padding=1))
        else:
            h = F.relu_(self.conv1(shifted).add_(level_bias[:, :, None, None]))
        return self.conv2(h).add_(x)  # type: ignore[no-any-return]


class TemporalAttention(nn.Module):
    """Self-attention along time at each position, with a learned bias per distance in frames."""

    def __init__(self, channels: int, heads: int, radius: int) -> None:
        super().__init__()
        self.heads = heads
        self.radius = radius
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.project = nn.Conv2d(channels, channels, 1)
        self.bias = nn.Parameter(torch.zeros(heads, 2 * radius + 1))
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """(B*T, C, H, W) features to the same shape. Frames beyond the radius are not seen."""
        batch, channels, height, width = x.shape
        qkv = self.qkv(x).permute(0, 2, 3, 1)
        qkv = qkv.reshape(batch // frames, frames, height * width, 3, self.heads, -1)
        q, k, v = qkv.permute(3, 0, 2, 4, 1, 5).flatten(1, 2)  # (3, B*H*W, heads, T, C/heads)
        time = torch.arange(frames, device=x.device)
        distance = time[None, :] - time[:, None]
        bias = self.bias[:, distance.clamp(-self.radius, self.radius) + self.radius]
        bias = bias.masked_fill(distance.abs() > self.radius, float("-inf"))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        y = y.reshape(batch // frames, height, width, self.heads, frames, -1)
        y = y.permute(0, 4, 1, 2, 3, 5).reshape(batch, height, width, channels)
        return self.project(y.permute(0, 3, 1, 2)).add_(x)  # type: ignore[no-any-return]


class RestorationNet(nn.Module):
    """F(x_t, levels): the clean window from a degraded one.

    Untrained, it is the identity. The body may run in bfloat16; the first and the last convolution
    and the sum with the input always run in float32, so that 10-bit video is not quantised.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.body_dtype = torch.float32
        half, quarter, eighth = spec.channels

        def block(channels: int) -> Block:
            return Block(channels, spec.shift_divisor)

        self.stem = nn.Conv2d(4 * 3, half, 3, padding=1)
        if spec.candidates:
            self.candidate_stem = nn.Conv2d(4 * 4 * spec.candidates, half, 3, padding=1, bias=False)
        self.encode_half = block(half)
        self.down_quarter = nn.Conv2d(half, quarter, 2, stride=2)
        self.encode_quarter = block(quarter)
        self.down_eighth = nn.Conv2d(quarter, eighth, 2, stride=2)
        self.middle = nn.ModuleList(block(eighth) for _ in range(spec.middle_blocks))
        self.attention = TemporalAttention(eighth, spec.attention_heads, spec.attention_radius)
        self.up_quarter = nn.ConvTranspose2d(eighth, quarter, 2, stride=2)
        self.decode_quarter = block(quarter)
        self.up_half = nn.ConvTranspose2d(quarter, half, 2, stride=2)
        self.decode_half = block(half)
        self.head = nn.Conv2d(half, 4 * 3, 3, padding=1)
        if spec.candidates:
            self.candidate_head = nn.Conv2d(half, 4 * spec.candidates, 3, padding=1)
            nn.init.zeros_(self.candidate_head.weight)
            nn.init.zeros_(self.candidate_head.bias)  # type: ignore[arg-type]
        # One bias per frame and block, in the order in which the body uses them.
        self.bias_widths = [half, quarter, *[eighth] * spec.middle_blocks, quarter, half]
        self.embed = nn.Sequential(
            nn.Linear(len(LEVELS), 64),
            nn.SiLU(),
            nn.Linear(64, 64),
            nn.SiLU(),
            nn.Linear(64, sum(self.bias_widths)),
        )
        for parameter in (*self.head.parameters(), *self.embed[-1].parameters()):
            nn.init.zeros_(parameter)

    def residual(self, x: Tensor, levels: Tensor, candidates: Tensor | None = None) -> Tensor:
        """What to add to the degraded window.

        Args:
            x: (B, T, 3, H, W) float32 degraded window, nominal [0, 1], not clamped; H and W are
                multiples of `MULTIPLE_PX`.
            levels: (B, T, 4) float32, see `LEVELS`; or (1, 1, 4), the same for all frames.
            candidates: (B, T, 4 * spec.candidates, H, W) float32: for a missing frame the images
                to choose from, less the guess, then the share that each has in the guess; None or
                0 where they are withheld.

        Returns:
            (B, T, 3, H, W) float32.
        """
        biases = self.embed(LEVEL_GAIN * levels.flatten(0, 1)).split(self.bias_widths, dim=1)
        h = self.stem(_unshuffle(x).sub_(0.5))
        if candidates is not None:
            colours = 3 * self.spec.candidates
            images, shares = candidates[:, :, :colours], candidates[:, :, colours:]
            told = torch.cat((CANDIDATE_GAIN * images, shares), dim=2)
            h = h + self.candidate_stem(_unshuffle(told))
        h = h.to(self.body_dtype)  # the float32 one is large, and nobody needs it any more
        with torch.autocast(x.device.type, self.body_dtype, self.body_dtype != torch.float32):
            h = self.body(h, [b.to(self.body_dtype) for b in biases], x.shape[1])
        h = h.float()
        residual = F.pixel_shuffle(self.head(h), 2).reshape(x.shape)
        if candidates is not None:
            # How much more of each candidate, pixel by pixel: choosing is easier than painting.
            more = F.pixel_shuffle(self.candidate_head(h), 2)
            more = more.reshape(*x.shape[:2], -1, 1, *x.shape[3:])
            chosen = (more * images.reshape(*x.shape[:2], -1, *x.shape[2:])).sum(2)
            residual = _doubt(images, shares) * residual + chosen
        return residual

    def body(self, half: Tensor, biases: list[Tensor], frames: int) -> Tensor:
        """(B*T, C, H/2, W/2) features through the U-Net, to the same shape."""
        bias = iter(biases)
        half = self.encode_half(half, next(bias), frames)
        quarter = self.encode_quarter(self.down_quarter(half), next(bias), frames)
        x = self.down_eighth(quarter)
        for block in self.middle:
            x = block(x, next(bias), frames)
        x = self.attention(x, frames)
        x = self.decode_quarter(self.up_quarter(x).add_(quarter), next(bias), frames)
        half = self.decode_half(self.up_half(x).add_(half), next(bias), frames)
        return half

    def on(self, device: torch.device) -> Self:
        """Move to a device, in the memory layout that convolutions are fastest in."""
        return self.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def forward(self, x: Tensor, levels: Tensor, candidates: Tensor | None = None) -> Tensor:
        """The clean window, (B, T, 3, H, W) float32: the input plus its residual."""
        return x + self.residual(x, levels, candidates)


def _unshuffle(x: Tensor) -> Tensor:
    """(B, T, C, H, W) to (B*T, 4*C, H/2, W/2), channels last."""
    h = F.pixel_unshuffle(x.flatten(0, 1), 2)
    return h.contiguous(memory_format=torch.channels_last)


def _doubt(images: Tensor, shares: Tensor) -> Tensor:
    """How freely a guess may be painted over.

    Args:
        images: (B, T, 3 N, H, W) candidates less the guess. Where all agree, all is well.
        shares: (B, T, N, H, W) of them in the guess. Where it has none of them, all is doubtful.

    Returns:
        (B, T, 1, H, W), 0 to 1.
    """
    square = images.square().mean(2).flatten(0, 1)[:, None]
    local = F.avg_pool2d(square, 9, stride=1, padding=4, count_include_pad=False)
    withheld = 1 - shares.sum(2, keepdim=True)
    spread = (local.sqrt() / DOUBTFUL_SPREAD).reshape(withheld.shape)
    return (withheld + spread).clamp(max=1)

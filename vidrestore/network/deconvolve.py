"""Motion blur undone along the motion: images that the network for deblurring may choose from.

A frame is blurred along the way that everything takes while the shutter is open, and optical flow
tells that way. Neighbouring frames are blurred in other directions, so what one of them has lost
another has kept: warped to a frame, they are deconvolved together, tile by tile,

    X = sum_u w_u conj(K_u) Y_u / (sum_u w_u |K_u|^2 + S),

the Wiener filter for several observations (Yaroslavsky and Caulfield, Applied Optics 33, 1994).
Y_u is the spectrum of the warped frame u, K_u that of its blur, w_u how well it fits, and S how
much noise there is for the signal, which falls off with the square of the frequency. All in linear
light, where blur is a mean.

At the first look the blur is a stroke along the flow. How long the shutter was open is not known:
the image is made for two shares of a frame's time, and it is not much worse for a wrong one. At the
second look there is an estimate X of the sharp clip. Flow is found in it, and the blur is measured,

    K_u = (conj(X) Y_u f^2 + a K'_u) / (|X|^2 f^2 + a),

least squares over the gradients (f is the frequency) that hold to the stroke K'_u where the picture
tells nothing; then what is negative, faint or far from the stroke is cut off (much as Cho and Lee
do, SIGGRAPH Asia 2009).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vidrestore.degrade.curve import to_code, to_linear
from vidrestore.measure.metrics import luma_codes
from vidrestore.network.align import Image, medium_flow, warp

STROKES = ((0.5, 0.002), (0.9, 0.01))
"""Shares of a frame's time for which the shutter may be open, and the noise reckoned with."""
LIKELY_SHUTTER = 0.7
MEASURED = (0.002, 0.01)
"""The noise reckoned with at the second look."""
CANDIDATES = 5
"""Two deconvolved images; the frames before and after, warped; and the estimate."""

REACH = 2
"""Frames on either side that are deconvolved together."""
TILE_PX = 64
HOP_PX = TILE_PX // 2
SAMPLES = 9
"""Points of a path; a blur of 12 pixels has one for every pixel and a half."""
SIGNAL_FALL = 200.0
LEAST_NOISE = 1e-3
"""S is `noise * (SIGNAL_FALL * f^2 + LEAST_NOISE)`, f in cycles per pixel."""
COMPARED_SIGMA_PX = 3.0
"""Frames are compared after such a blur, which makes theirs alike."""
MISFIT = 0.01
"""A warped frame that is off by this in linear light counts half."""
HOLD = 0.4
"""a, in units of the mean of |X|^2 f^2 in a tile."""
LONGEST_SHUTTER = 1.3
STRAY_PX = 2.5
"""How far a measured blur may stray from a stroke of that length: what a Gaussian of this deviation
makes of the stroke, down to `FAR` of its highest."""
FAR = 0.1
FAINTEST = 0.02
"""Weights of a blur below this share of its largest one are cut off."""


def first_look(window: Tensor) -> Tensor:
    """Images to choose from for each frame of a window.

    Args:
        window: (T, 3, H, W) float32 RGB on the CPU, nominal [0, 1], any size.

    Returns:
        (T, 4 * CANDIDATES, H, W) float32: the images, less the frame, then zeros, their shares in
        the frame, as `RestorationNet.residual` takes them. The estimate is the frame itself.
    """
    frames = _images(window)
    light, seen = to_linear(frames), luma_codes(frames)
    found = torch.zeros(len(frames), 4 * CANDIDATES, *window.shape[2:])
    for index in range(len(frames)):
        near = _Near.of(light, seen, index)
        deconvolved = [near.deconvolved(near.strokes(shutter), noise) for shutter, noise in STROKES]
        images = [*deconvolved, *near.beside(frames), frames[index]]
        _put(found[index], images, frames[index])
    return found


def second_look(window: Tensor, estimate: Tensor) -> Tensor:
    """The same, once there is an estimate of the sharp clip.

    Args:
        window: (T, 3, H, W) float32 RGB on the CPU, nominal [0, 1], any size.
        estimate: The same shape: what has been made of it so far.
    """
    frames, sharp = _images(window), _images(estimate)
    light, sharp_light, seen = to_linear(frames), to_linear(sharp), luma_codes(sharp)
    found = torch.zeros(len(frames), 4 * CANDIDATES, *window.shape[2:])
    for index in range(len(frames)):
        near = _Near.of(light, seen, index)
        blurs = near.measured(sharp_light[index])
        deconvolved = [near.deconvolved(blurs, noise) for noise in MEASURED]
        images = [*deconvolved, *near.beside(sharp), sharp[index]]
        _put(found[index], images, frames[index])
    return found


@dataclass(frozen=True)
class _Near:
    """A frame and its neighbours, warped to it.

    Attributes:
        index: The frame.
        order: Numbers of all of them.
        fields: Where the frame's pixels are in each of them, (H, W, 2).
        places: (B, frames, 2) where its tiles are in each of them, in pixels.
        spectra: (B, 3, TILE_PX, TILE_PX / 2 + 1) of each, in linear light.
        fits: (B,) how well each fits, 0 to 1.
    """

    index: int
    order: Sequence[int]
    fields: Sequence[Image]
    places: Tensor
    spectra: Sequence[Tensor]
    fits: Sequence[Tensor]

    @classmethod
    def of(cls, light: Image, seen: NDArray[np.uint8], index: int) -> _Near:
        """Find the motion and warp.

        Args:
            light: (T, H, W, 3) blurred frames in linear light.
            seen: (T, H, W) luma in which motion is found.
            index: The frame.
        """
        order = range(max(0, index - REACH), min(len(light), index + REACH + 1))
        still = np.zeros((*seen.shape[1:], 2), np.float32)
        fields = [medium_flow(seen[index], seen[u]) if u != index else still for u in order]
        warped = [
            warp(light[u], field) if u != index else light[u]
            for u, field in zip(order, fields, strict=True)
        ]
        return cls(
            index,
            order,
            fields,
            torch.stack([_means(field) for field in fields], 1),
            [_spectra(image) for image in warped],
            _fits(light[index], warped),
        )

    def beside(self, frames: Image) -> list[Image]:
        """The frames (T, H, W, 3) before and after, warped; where there is none, the frame."""
        there = dict(zip(self.order, self.fields, strict=True))
        return [
            warp(frames[u], there[u]) if u in there else frames[self.index]
            for u in (self.index - 1, self.index + 1)
        ]

    def strokes(self, shutter: float) -> list[Tensor]:
        """Spectra of the blur of each frame, if the shutter is open for a share of its time."""
        return [_blurs(self._path(at, shutter)) for at in range(len(self.order))]

    def measured(self, sharp: Image) -> list[Tensor]:
        """Spectra of the blur of each frame, from a sharp estimate (H, W, 3) in linear light."""
        estimate = _spectra(sharp)
        square = _squared_frequency()
        power = estimate.abs().square().sum(1) * square
        hold = HOLD * power.mean((1, 2), keepdim=True) + 1e-6
        blurs = []
        likely, longest = self.strokes(LIKELY_SHUTTER), self.strokes(LONGEST_SHUTTER)
        for stroke, reach, spectrum in zip(likely, longest, self.spectra, strict=True):
            common = (estimate.conj() * spectrum).sum(1) * square
            blurs.append(_plausible((common + hold * stroke) / (power + hold), reach))
        return blurs

    def deconvolved(self, blurs: Sequence[Tensor], noise: float) -> Image:
        """All frames deconvolved together, (H, W, 3) code values."""
        above = torch.zeros_like(self.spectra[0])
        below = noise * (SIGNAL_FALL * _squared_frequency() + LEAST_NOISE)
        for blur, spectrum, fit in zip(blurs, self.spectra, self.fits, strict=True):
            weight = fit[:, None, None]
            above += (weight * blur.conj())[:, None] * spectrum
            below = below + weight * blur.abs().square()
        return to_code(_joined(above / below[:, None], self.fields[0].shape))

    def _path(self, at: int, shutter: float) -> Tensor:
        """The way during the exposure of a frame, (B, SAMPLES, 2), from where its middle is.

        A parabola through the frame and the two beside it; a line where there is only one.
        """
        last = len(self.order) - 1
        here, before, after = (self.places[:, min(max(u, 0), last)] for u in (at, at - 1, at + 1))
        inside = 0 < at < last
        velocity = (after - before) / (2 if inside else 1)
        bend = (after - 2 * here + before) / 2 if inside else torch.zeros_like(here)
        time = shutter * torch.linspace(-0.5, 0.5, SAMPLES)[:, None]
        return time * velocity[:, None] + time.square() * bend[:, None]


def _images(window: Tensor) -> Image:
    """(T, 3, H, W) to (T, H, W, 3), clipped to [0, 1]."""
    return window.permute(0, 2, 3, 1).contiguous().numpy().clip(0, 1)


def _put(found: Tensor, images: Sequence[Image], frame: Image) -> None:
    changes = np.concatenate([image - frame for image in images], axis=2)
    found[: changes.shape[2]] = torch.from_numpy(changes).permute(2, 0, 1)


def _blurs(path: Tensor) -> Tensor:
    """Spectra (B, TILE_PX, TILE_PX / 2 + 1) of blurs along paths (B, SAMPLES, 2), x then y."""

    def waves(offsets: Tensor, frequencies: Tensor) -> Tensor:
        angle = -2 * math.pi * offsets[..., None] * frequencies
        return torch.polar(torch.ones_like(angle), angle)

    across = waves(path[..., 0], torch.fft.rfftfreq(TILE_PX))
    down = waves(path[..., 1], torch.fft.fftfreq(TILE_PX))
    return torch.matmul(down.transpose(1, 2), across) / path.shape[1]


def _plausible(blurs: Tensor, strokes: Tensor) -> Tensor:
    """Blurs without what no shutter makes: negative and faint weights, and those off the stroke."""
    widening = torch.exp(-2 * (math.pi * STRAY_PX) ** 2 * _squared_frequency())
    wide = torch.fft.irfft2(strokes * widening, s=(TILE_PX, TILE_PX))
    blur = torch.fft.irfft2(blurs, s=(TILE_PX, TILE_PX))
    blur = blur * (wide > FAR * wide.amax((1, 2), keepdim=True))
    blur = blur * (blur > FAINTEST * blur.amax((1, 2), keepdim=True))
    plausible: Tensor = torch.fft.rfft2(blur / blur.sum((1, 2), keepdim=True).clamp(min=1e-9))
    return plausible


def _squared_frequency() -> Tensor:
    """(TILE_PX, TILE_PX / 2 + 1), in cycles per pixel."""
    squares: Tensor = (
        torch.fft.fftfreq(TILE_PX)[:, None].square() + torch.fft.rfftfreq(TILE_PX).square()
    )
    return squares


def _fits(here: Image, warped: Sequence[Image]) -> list[Tensor]:
    """How well each warped frame fits, tile by tile, (B,) 0 to 1."""
    blurred = cv2.GaussianBlur(here, (0, 0), COMPARED_SIGMA_PX)
    fits = []
    for image in warped:
        change = blurred - cv2.GaussianBlur(image, (0, 0), COMPARED_SIGMA_PX)
        missed = np.square(change).mean(2, keepdims=True)
        fits.append(1 / (1 + _means(missed)[:, 0] / MISFIT**2))
    return fits


def _means(values: NDArray[np.float32]) -> Tensor:
    """Means (B, C) of (H, W, C) over the tiles, as the window weighs them."""
    window = _hann()
    return (_tiles(values) * window).sum((2, 3)) / window.sum()


def _spectra(image: Image) -> Tensor:
    """Spectra of a picture (H, W, 3) by tiles, faded in and out half of the way."""
    spectra: Tensor = torch.fft.rfft2(_tiles(image) * _hann().sqrt())
    return spectra


def _hann() -> Tensor:
    window: Tensor = torch.hann_window(TILE_PX, periodic=True)
    return window[:, None] * window


def _padding(size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Left, right, top and bottom, so that every pixel lies in four tiles."""
    return (HOP_PX, HOP_PX + -size[1] % HOP_PX, HOP_PX, HOP_PX + -size[0] % HOP_PX)


def _tiles(values: NDArray[np.float32]) -> Tensor:
    """(H, W, C) in overlapping tiles (B, C, TILE_PX, TILE_PX), mirrored at its edges."""
    left, right, top, bottom = _padding(values.shape)
    padded = cv2.copyMakeBorder(values, top, bottom, left, right, cv2.BORDER_REFLECT_101)
    planes = torch.from_numpy(padded.reshape(*padded.shape[:2], -1))
    return planes.unfold(0, TILE_PX, HOP_PX).unfold(1, TILE_PX, HOP_PX).flatten(0, 1)


def _joined(spectra: Tensor, size: tuple[int, ...]) -> Image:
    """A picture (H, W, 3), clipped to [0, 1], from the spectra of its tiles, faded the rest."""
    tiles = torch.fft.irfft2(spectra, s=(TILE_PX, TILE_PX)) * _hann().sqrt()
    left, right, top, bottom = _padding(size)
    whole = (top + size[0] + bottom, left + size[1] + right)
    picture = F.fold(tiles.flatten(1).T[None], whole, TILE_PX, stride=HOP_PX)[0]
    inner = picture[:, top : top + size[0], left : left + size[1]].clamp(0, 1)
    return inner.permute(1, 2, 0).contiguous().numpy()

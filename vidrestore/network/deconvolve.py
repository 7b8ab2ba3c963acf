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
second look there is an estimate E of the sharp clip. Flow is found in it, and the blur is measured,

    K_u = (sum conj(E) Y_u f^2 + a K'_u) / (sum |E|^2 f^2 + a),

least squares over the gradients (f is the frequency) of all tiles that move alike, which hold to
the stroke K'_u where the picture tells nothing; then what is negative, faint or far from the stroke
is cut off (much as Cho and Lee do, SIGGRAPH Asia 2009). What E does not explain is noise, of mean
square N_u in a tile, and what P, the estimate or nothing, has missed falls off as A c / f^2:

    X = P + sum_u conj(K_u) (Y_u - K_u P) / N_u / (sum_u |K_u|^2 / N_u + f^2 / (A c)).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from vidrestore.degrade.curve import to_code, to_linear
from vidrestore.network.align import Image
from vidrestore.network.neighbours import Neighbours
from vidrestore.network.spectra import TILE_PX, joined, means, spectra, squared_frequency

STROKES = ((0.5, 0.002), (0.9, 0.01))
"""Shares of a frame's time for which the shutter may be open, and the noise reckoned with."""
LIKELY_SHUTTER = 0.7
MEASURED = ((1.0, False), (0.1, False), (0.3, True))
"""c, and whether P is the estimate."""
REACH = 2
"""Frames on either side that are deconvolved together as long as their blur is not measured."""
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
"""a, in units of the mean of |E|^2 f^2."""
ALIKE_PX = 3.0
"""Tiles whose ways differ by this tell each other a third of what they know of the blur."""
LEAST_LEFT = 1e-7
"""N_u is at least this."""
LONGEST_SHUTTER = 1.3
STRAY_PX = 2.5
"""How far a measured blur may stray from a stroke of that length: what a Gaussian of this deviation
makes of the stroke, down to `FAR` of its highest."""
FAR = 0.1
FAINTEST = 0.02
"""Weights of a blur below this share of its largest one are cut off."""


def stroked(near: Neighbours, light: Image) -> list[Image]:
    """A frame deconvolved as if it was blurred by strokes along the motion.

    Args:
        near: The frame.
        light: (T, H, W, 3) blurred frames in linear light.

    Returns:
        One image for each of `STROKES`, (H, W, 3) code values in [0, 1].
    """
    blurred = _Blurred.of(near.within(REACH), light)
    parts = [spectra(image) for image in blurred.warped]
    return [blurred.stroked(parts, shutter, noise) for shutter, noise in STROKES]


def measured(near: Neighbours, light: Image, estimate: Image) -> list[Image]:
    """A frame deconvolved with blurs that are measured.

    Args:
        near: The frame.
        light: (T, H, W, 3) blurred frames in linear light.
        estimate: (H, W, 3) what the sharp frame may be, code values.

    Returns:
        One image for each of `MEASURED`, (H, W, 3) code values in [0, 1].
    """
    return _Blurred.of(near, light).measured(to_linear(estimate.clip(0, 1)))


@dataclass(frozen=True)
class _Blurred:
    """A blurred frame and its neighbours, warped to it.

    Attributes:
        warped: All of them, (H, W, 3) in linear light.
        places: (B, frames, 2) where the frame's tiles are in each of them, in pixels.
        fits: (B,) how well each fits, 0 to 1.
    """

    warped: Sequence[Image]
    places: Tensor
    fits: Sequence[Tensor]

    @classmethod
    def of(cls, near: Neighbours, light: Image) -> _Blurred:
        """Warp them."""
        warped = [near.warped(light, u) for u in near.fields]
        places = torch.stack([means(field) for field in near.fields.values()], 1)
        return cls(warped, places, _fits(light[near.index], warped))

    def stroked(self, parts: Sequence[Tensor], shutter: float, noise: float) -> Image:
        """All, given as spectra, deconvolved as if the shutter was open for a share of the time."""
        above = torch.zeros(())
        below = noise * (SIGNAL_FALL * squared_frequency() + LEAST_NOISE)
        for at, (part, fit) in enumerate(zip(parts, self.fits, strict=True)):
            blur, weight = _blurs(self._path(at, shutter)), fit[:, None, None]
            above = above + (weight * blur.conj())[:, None] * part
            below = below + weight * blur.abs().square()
        return to_code(joined(above / below[:, None], self.warped[0].shape))

    def measured(self, sharp: Image) -> list[Image]:
        """All deconvolved together, their blur measured by a sharp estimate in linear light."""
        estimate, square = spectra(sharp), squared_frequency()
        power = estimate.abs().square().sum(1) * square
        missed, told = torch.zeros_like(estimate), torch.zeros_like(power)
        for at, image in enumerate(self.warped):
            left = spectra(image)
            blur = self._blur(at, (estimate.conj() * left).sum(1) * square, power)
            left -= blur[:, None] * estimate
            weight = 1 / (left.abs().square().mean((1, 2, 3)) + LEAST_LEFT)[:, None, None]
            missed += (weight * blur.conj())[:, None] * left
            told += weight * blur.abs().square()
        signal = power.mean((1, 2), keepdim=True) / estimate.shape[1] + 1e-9
        images = []
        for share, has_estimate in MEASURED:
            prior = (square + LEAST_NOISE) / (share * signal)
            known = told + prior if has_estimate else told
            whole = (missed + known[:, None] * estimate) / (told + prior)[:, None]
            images.append(to_code(joined(whole, sharp.shape)))
        return images

    def _blur(self, at: int, common: Tensor, power: Tensor) -> Tensor:
        """Spectra of the blurs of a frame, from what tiles that move alike tell together."""
        ways = self._path(at, 1.0)[:, :: SAMPLES // 2].flatten(1)
        alike = torch.exp(-(torch.cdist(ways, ways) / ALIKE_PX).square()) * self.fits[at].square()
        planes = torch.view_as_real(common)
        common = torch.view_as_complex((alike @ planes.flatten(1)).view_as(planes))
        power = (alike @ power.flatten(1)).view_as(power)
        hold = HOLD * power.mean((1, 2), keepdim=True) + 1e-6
        likely, longest = (_blurs(self._path(at, s)) for s in (LIKELY_SHUTTER, LONGEST_SHUTTER))
        return _plausible((common + hold * likely) / (power + hold), longest)

    def _path(self, at: int, shutter: float) -> Tensor:
        """The way during the exposure of a frame, (B, SAMPLES, 2), from where its middle is.

        A parabola through the frame and the two beside it; a line where there is only one.
        """
        last = len(self.warped) - 1
        here, before, after = (self.places[:, min(max(u, 0), last)] for u in (at, at - 1, at + 1))
        inside = 0 < at < last
        velocity = (after - before) / (2 if inside else 1)
        bend = (after - 2 * here + before) / 2 if inside else torch.zeros_like(here)
        time = shutter * torch.linspace(-0.5, 0.5, SAMPLES)[:, None]
        return time * velocity[:, None] + time.square() * bend[:, None]


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
    widening = torch.exp(-2 * (math.pi * STRAY_PX) ** 2 * squared_frequency())
    wide = torch.fft.irfft2(strokes * widening, s=(TILE_PX, TILE_PX))
    blur = torch.fft.irfft2(blurs, s=(TILE_PX, TILE_PX))
    blur = blur * (wide > FAR * wide.amax((1, 2), keepdim=True))
    blur = blur * (blur > FAINTEST * blur.amax((1, 2), keepdim=True))
    plausible: Tensor = torch.fft.rfft2(blur / blur.sum((1, 2), keepdim=True).clamp(min=1e-9))
    return plausible


def _fits(here: Image, warped: Sequence[Image]) -> list[Tensor]:
    """How well each warped frame fits, tile by tile, (B,) 0 to 1."""
    blurred = cv2.GaussianBlur(here, (0, 0), COMPARED_SIGMA_PX)
    fits = []
    for image in warped:
        change = blurred - cv2.GaussianBlur(image, (0, 0), COMPARED_SIGMA_PX)
        missed = np.square(change).mean(2, keepdims=True)
        fits.append(1 / (1 + means(missed)[:, 0] / MISFIT**2))
    return fits

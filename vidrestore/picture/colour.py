"""Native planes to float RGB, and the model's RGB residual home to the native planes.

No frame is ever rebuilt from RGB: only the residual goes back, through the forward matrix, and is
added to the planes that were decoded. What the model leaves alone stays bit-identical, whatever
the matrix, range or bit depth.

Conventions for missing tags (ITU-T H.273 names, ffmpeg's spellings):

- matrix: BT.601 below 1280 samples wide and up to 576 high, else BT.709, as players do. Matrices
  that are not a fixed linear map of R'G'B' (constant luminance, ICtCp) are approximated by
  BT.2020's, and spellings not known here count as missing: an error in the matrix is second order.
- range: full for yuvj, gray and GBR (as ffmpeg's own scaler has it), else limited.
- chroma location: topleft with BT.2020's matrix, else left.

Alpha is no colour: it stays as it is.

Everything is element-wise arithmetic in float32: no convolution or matrix product, which some
devices would run in TF32, and the result for a frame does not depend on the frames beside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from vidrestore.errors import InputError

_SUBSAMPLING = {
    **{"444": (0, 0), "440": (0, 1), "422": (1, 0)},
    **{"420": (1, 1), "411": (2, 0), "410": (2, 2)},
}
_PIX_FMT = re.compile(
    r"(?:yuv(?:j|(?P<yuva>a))?(?P<ratio>444|440|422|420|411|410)p"
    r"|(?P<rgb>gbr(?P<gbra>a?)p)|(?P<gray>gray|ya(?=16)|ya8(?!1)))"
    r"(?:(?P<depth>9|10|12|14|16)le)?"
)

_MISSING = (None, "unknown", "unspecified")

_Rows = tuple[tuple[float, ...], ...]

# Luma weights (red, blue) of each matrix; green has the rest.
_LUMA_WEIGHTS = {
    "bt709": (0.2126, 0.0722),
    "smpte170m": (0.299, 0.114),
    "bt470bg": (0.299, 0.114),
    "fcc": (0.30, 0.11),
    "smpte240m": (0.212, 0.087),
    "bt2020nc": (0.2627, 0.0593),
    "bt2020c": (0.2627, 0.0593),
    "ictcp": (0.2627, 0.0593),
}


@dataclass(frozen=True)
class PlaneFormat:
    """How a planar pixel format stores its samples.

    Attributes:
        name: ffmpeg's name, such as ``yuv420p10le``.
        bit_depth: Significant bits of a code, 8 to 16; more than 8 are stored in 16-bit words.
        log2_chroma_w: Chroma planes are 2 ** this times narrower than luma, rounded up.
        log2_chroma_h: Chroma planes are 2 ** this times lower than luma, rounded up.
        is_rgb: Planes are green, blue, red.
        is_gray: Of colour there is a luma plane only.
        has_alpha: The last plane is alpha, of luma's size.
    """

    name: str
    bit_depth: int
    log2_chroma_w: int
    log2_chroma_h: int
    is_rgb: bool
    is_gray: bool
    has_alpha: bool

    @classmethod
    def from_name(cls, name: str) -> PlaneFormat:
        """Describe the pixel format that ffmpeg calls `name`.

        Raises:
            InputError: The format is not 8 to 16 bit planar YUV or GBR, or gray, with or without
                alpha, little-endian.
        """
        match = _PIX_FMT.fullmatch(name)
        if match is None:
            raise InputError(
                f"pixel format {name} is not supported",
                hint="convert the video to yuv420p, yuv422p or yuv444p (8 to 16 bit) first",
            )
        log2_w, log2_h = _SUBSAMPLING[match["ratio"] or "444"]
        depth = int(match["depth"] or 8)
        return cls(
            name,
            depth,
            log2_w,
            log2_h,
            is_rgb=match["rgb"] is not None,
            is_gray=match["gray"] is not None,
            has_alpha=bool(match["yuva"] or match["gbra"] or name.startswith("ya")),
        )

    def plane_shapes_px(self, width: int, height: int) -> tuple[tuple[int, int], ...]:
        """Return (height, width) of each plane of a `width` x `height` frame."""
        luma = (height, width)
        alpha = (luma,) * self.has_alpha
        if self.is_gray:
            return (luma, *alpha)
        chroma = (-(-height >> self.log2_chroma_h), -(-width >> self.log2_chroma_w))
        return (luma, chroma, chroma, *alpha)


class PlaneConverter:
    """Converts the frames of one stream; works on any device that its tensors are on.

    Args:
        plane_format: Layout of the planes.
        width: Frame width in luma samples.
        height: Frame height in luma samples.
        matrix: ffmpeg's ``colorspace``, such as ``bt709``; None if unknown.
        colour_range: ``tv`` (also ``limited``, ``mpeg``) or ``pc`` (also ``full``, ``jpeg``);
            None if unknown.
        chroma_location: ``left``, ``center``, ``topleft``, ``top``, ``bottomleft`` or ``bottom``;
            None if unknown.

    Attributes:
        matrix: The matrix in use after the module's conventions filled in a missing one.
        is_full_range: Whether codes span the whole bit depth.
        chroma_location: The chroma location in use.
    """

    def __init__(
        self,
        plane_format: PlaneFormat,
        width: int,
        height: int,
        *,
        matrix: str | None = None,
        colour_range: str | None = None,
        chroma_location: str | None = None,
    ) -> None:
        self.format = plane_format
        self.shapes_px = plane_format.plane_shapes_px(width, height)
        self.matrix = matrix or ""
        if self.matrix not in (*_LUMA_WEIGHTS, "ycgco"):
            self.matrix = "smpte170m" if width < 1280 and height <= 576 else "bt709"
        full_by_nature = (
            plane_format.is_rgb or plane_format.is_gray or plane_format.name[:4] == "yuvj"
        )
        is_known = colour_range not in _MISSING
        self.is_full_range = colour_range in ("pc", "full", "jpeg") if is_known else full_by_nature
        if chroma_location is None or chroma_location in _MISSING:
            chroma_location = "topleft" if self.matrix.startswith("bt2020") else "left"
        self.chroma_location = chroma_location

        depth = plane_format.bit_depth
        self._largest = (1 << depth) - 1
        self._black, self._luma_span, self._chroma_span = (
            (0, self._largest, self._largest)
            if self.is_full_range
            else (16 << depth - 8, 219 << depth - 8, 224 << depth - 8)
        )
        self._chroma_zero = 1 << depth - 1
        self._to_rgb, self._from_rgb = _matrices(self.matrix)
        self._sampling_x = _sampling(plane_format.log2_chroma_w, chroma_location, "left", "right")
        self._sampling_y = _sampling(plane_format.log2_chroma_h, chroma_location, "top", "bottom")

    def to_rgb(self, planes: Sequence[Tensor]) -> Tensor:
        """Convert planes to RGB, chroma interpolated linearly from where its samples sit.

        Args:
            planes: One (T, h, w) tensor per plane, uint8, uint16 or int32 (where a device
                lacks uint16), codes in [0, 2 ** bit_depth - 1].

        Returns:
            (T, 3, H, W) float32, nominal [0, 1] and never clamped: foot- and headroom survive.

        Raises:
            ValueError: The planes do not have this format's shapes.
        """
        self._check(planes)
        rgb = torch.empty(
            (len(planes[0]), 3, *self.shapes_px[0]), dtype=torch.float32, device=planes[0].device
        )
        # Frame by frame, so that temporaries stay small enough for the cache and the allocator.
        for frame, out in zip(zip(*self._colour(planes), strict=True), rgb, strict=True):
            self._fill_rgb([plane.to(torch.float32) for plane in frame], out)
        return rgb

    def _fill_rgb(self, levels: list[Tensor], out: Tensor) -> None:
        """Convert one frame's `levels`, float32 (h, w) and used up, into `out` (3, H, W)."""
        if self.format.is_rgb:
            green, blue, red = levels
            torch.stack((red, green, blue), out=out).sub_(self._black).div_(self._luma_span)
            return
        luma = levels[0].sub_(self._black).div_(self._luma_span)
        if self.format.is_gray:
            out.copy_(luma)
            return
        cb, cr = (level.sub_(self._chroma_zero).div_(self._chroma_span) for level in levels[1:])
        # R - Y, G - Y and B - Y, formed where samples are fewest: interpolation is linear too.
        tint = torch.stack([torch.add(cb * b, cr, alpha=r) for b, r in self._to_rgb])
        height, width = self.shapes_px[0]
        tint = _interpolate(tint, -1, width, *self._sampling_x)
        tint = _interpolate(tint, -2, height, *self._sampling_y, into=out)
        torch.add(tint, luma, out=out)

    def add_residual(self, planes: Sequence[Tensor], residual_rgb: Tensor) -> list[Tensor]:
        """Add an RGB residual to the planes it belongs to.

        The sum is formed in float32, rounded once (halves to even) and clipped to the bit depth. A
        chroma sample takes the mean of the residual over its footprint, centred on its site.

        Args:
            planes: As for `to_rgb`; not modified.
            residual_rgb: (T, 3, H, W) float32, finite, on the scale of `to_rgb`; not modified.

        Returns:
            New planes, of the shapes and dtypes of the old, but an alpha plane is the old one. A
            zero residual changes no code.

        Raises:
            ValueError: The planes do not have this format's shapes.
        """
        self._check(planes)
        colour = self._colour(planes)
        restored = [torch.empty_like(plane) for plane in colour]
        frames = zip(
            zip(*colour, strict=True), residual_rgb, zip(*restored, strict=True), strict=True
        )
        for frame, residual, outs in frames:
            for plane, delta, out in zip(frame, self._deltas(residual), outs, strict=True):
                level = delta.add_(plane.to(torch.float32))
                out.copy_(level.round_().clamp_(0, self._largest))
        return [*restored, *planes[len(restored) :]]

    def _colour(self, planes: Sequence[Tensor]) -> Sequence[Tensor]:
        """The planes without alpha."""
        return planes[:-1] if self.format.has_alpha else planes

    def _deltas(self, rgb: Tensor) -> list[Tensor]:
        """Return what one frame's residual (3, H, W) adds to each plane, in code values."""
        if self.format.is_rgb:
            return [rgb[channel] * self._luma_span for channel in (1, 2, 0)]
        luma_row, *chroma_rows = self._from_rgb
        luma = _weigh(rgb, luma_row, self._luma_span)
        if self.format.is_gray:
            return [luma]
        height, width = self.shapes_px[1]
        rgb = _average(rgb, -2, height, *self._sampling_y)
        rgb = _average(rgb, -1, width, *self._sampling_x)
        return [luma, *(_weigh(rgb, row, self._chroma_span) for row in chroma_rows)]

    def _check(self, planes: Sequence[Tensor]) -> None:
        shapes = tuple(tuple(plane.shape[1:]) for plane in planes)
        if shapes != self.shapes_px:
            raise ValueError(f"{self.format.name} planes must be {self.shapes_px}, got {shapes}")


def _matrices(matrix: str) -> tuple[_Rows, _Rows]:
    """Return (what Cb and Cr add to R, G, B) and (the rows of R, G, B that make Y, Cb, Cr)."""
    if matrix == "ycgco":
        return (
            ((-1, 1), (1, 0), (-1, -1)),
            ((0.25, 0.5, 0.25), (-0.25, 0.5, -0.25), (0.5, 0, -0.5)),
        )
    red, blue = _LUMA_WEIGHTS[matrix]
    green = 1 - red - blue
    cb, cr = 2 * (1 - blue), 2 * (1 - red)  # what full-scale B - Y and R - Y are divided by
    return (
        ((0, cr), (-cb * blue / green, -cr * red / green), (cb, 0)),
        (
            (red, green, blue),
            (-red / cb, -green / cb, (1 - blue) / cb),
            ((1 - red) / cr, -green / cr, -blue / cr),
        ),
    )


def _weigh(rgb: Tensor, row: tuple[float, ...], scale: float) -> Tensor:
    """Return the weighted sum of the channels of `rgb` (3, h, w) as (h, w)."""
    red, green, blue = (weight * scale for weight in row)
    return (rgb[0] * red).add_(rgb[1], alpha=green).add_(rgb[2], alpha=blue)


def _sampling(log2_factor: int, location: str, first: str, last: str) -> tuple[int, float]:
    """Return (luma samples per chroma sample, offset of chroma site 0 from luma sample 0)."""
    factor = 1 << log2_factor
    if first in location:
        return factor, 0.0
    return factor, factor - 1.0 if last in location else (factor - 1) / 2


def _interpolate(
    x: Tensor, dim: int, size: int, factor: int, site: float, into: Tensor | None = None
) -> Tensor:
    """Interpolate linearly along `dim`: sample i of `x` sits at factor * i + site of the result.

    The result is in `into`, if that is given and there is anything to do.
    """
    if factor == 1:
        return x
    shape = list(x.shape)
    shape[dim] = size
    result = x.new_empty(shape) if into is None else into
    x = _replicate(x, dim, 1, 1)
    for phase in range(factor):
        target = _every(result, dim, phase, size, factor)
        count = target.shape[dim]
        left, fraction = divmod((phase - site) / factor, 1)
        start = 1 + int(left)
        near, far = x.narrow(dim, start, count), x.narrow(dim, start + 1, count)
        torch.lerp(near, far, fraction, out=target)
    return result


def _average(x: Tensor, dim: int, size: int, factor: int, site: float) -> Tensor:
    """Average along `dim` over `size` footprints, `factor` wide, centred on factor * i + site.

    A sample that is half inside a footprint has half the weight: [1 2 1] / 4 for a co-sited
    factor of 2, [1 1] / 2 for a centred one.
    """
    if factor == 1:
        return x
    low, high = site - factor / 2, site + factor / 2
    overlaps = {
        tap: min(tap + 0.5, high) - max(tap - 0.5, low) for tap in range(-factor, 2 * factor)
    }
    weights = {tap: overlap / factor for tap, overlap in overlaps.items() if overlap > 0}
    before, reach = -min(weights), factor * (size - 1) + 1
    x = _replicate(x, dim, before, max(0, reach + max(weights) - x.shape[dim]))
    (first, weight), *others = weights.items()
    total = _every(x, dim, first + before, reach, factor) * weight
    for tap, weight in others:
        total.add_(_every(x, dim, tap + before, reach, factor), alpha=weight)
    return total


def _every(x: Tensor, dim: int, start: int, reach: int, step: int) -> Tensor:
    """Return a view of each `step`-th sample of x[start : start + reach] along `dim` (-1 or -2)."""
    stop = start + reach
    return x[..., start:stop:step] if dim == -1 else x[..., start:stop:step, :]


def _replicate(x: Tensor, dim: int, before: int, after: int) -> Tensor:
    """Repeat the edges of a (C, h, w) tensor along `dim` (-1 or -2)."""
    if before == after == 0:
        return x
    pad = (before, after, 0, 0) if dim == -1 else (0, 0, before, after)
    return functional.pad(x, pad, mode="replicate")

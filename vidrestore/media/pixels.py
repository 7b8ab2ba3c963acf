"""Pixel formats: which of those that an encoder takes holds a video with nothing lost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

_NOT_SAMPLES = ("bayer", "xyz", "pal", "mono")
"""Formats whose components are no samples of a picture's colours."""


@dataclass(frozen=True)
class PixelFormat:
    """What a pixel format can hold.

    Attributes:
        name: ffmpeg's name.
        rgb: Whether it stores red, green and blue.
        gray: Whether it has no colour at all.
        alpha: Whether it has transparency.
        depth: Bits of a sample.
        shift: log2 of the horizontal and vertical chroma subsampling.
        full: Whether the name alone means full range, as yuvj420p does.
    """

    name: str
    rgb: bool
    gray: bool
    alpha: bool
    depth: int
    shift: tuple[int, int]
    full: bool

    def holds(self, other: PixelFormat) -> bool:
        """Whether every sample of the other format has a place here, but for its alpha."""
        kind = (other.gray and not self.rgb) or self.rgb == other.rgb
        fine = self.shift[0] <= other.shift[0] and self.shift[1] <= other.shift[1]
        colour = other.gray or not self.gray
        return kind and colour and self.depth >= other.depth and (fine or other.gray)

    def fits(self, width: int, height: int) -> bool:
        """Whether chroma samples cover a picture of that size without remainder."""
        return not (width % (1 << self.shift[0]) or height % (1 << self.shift[1]))


@lru_cache
def pixel_format(name: str) -> PixelFormat | None:
    """Look a pixel format up.

    Args:
        name: ffmpeg's name.

    Returns:
        What it can hold; None if there is no such format, or it holds no integer samples.
    """
    import av

    try:
        native = av.VideoFormat(name)
    except ValueError:
        return None
    colours = [part for part in native.components if not part.is_alpha]
    if not colours or name.startswith(_NOT_SAMPLES) or "f16" in name or "f32" in name:
        return None
    gray = len(colours) == 1
    across, down = (64 // native.chroma_width(64), 64 // native.chroma_height(64))
    return PixelFormat(
        name,
        native.is_rgb,
        gray,
        any(part.is_alpha for part in native.components),
        min(part.bits for part in colours),
        (0, 0) if gray else (across.bit_length() - 1, down.bit_length() - 1),
        name.startswith("yuvj"),
    )


def known_format(name: str) -> PixelFormat:
    """Look up a pixel format that was chosen or decoded, hence exists; see `pixel_format`."""
    known = pixel_format(name)
    assert known is not None, name
    return known


def same_samples(one: PixelFormat, other: PixelFormat) -> bool:
    """Whether two formats differ in the order of their samples alone."""
    return replace(one, name="", full=False) == replace(other, name="", full=False)


def nearest(
    native: str, takes: Iterable[str], size: tuple[int, int], *, even: bool
) -> PixelFormat | None:
    """Find the format that holds all of a video and is most like its own.

    Alpha is kept where there is a format for it, else given up. RGB becomes YUV of the same depth
    with chroma for every pixel where an encoder knows no RGB.

    Args:
        native: Plane format of the video.
        takes: Formats to choose from.
        size: Width and height of the video in pixels.
        even: Whether sizes must be whole numbers of chroma samples.

    Returns:
        The format; None if each would lose something else.
    """
    own = pixel_format(native)
    found = [known for name in takes if (known := pixel_format(name)) is not None]
    if even:
        found = [known for known in found if known.fits(*size)]
    if own is None:
        return None
    held = [known for known in found if known.holds(own)]
    if own.rgb and not held:
        held = [
            known
            for known in found
            if not known.gray and known.shift == (0, 0) and known.depth >= own.depth
        ]
    return min(held, key=lambda known: _distance(own, known), default=None)


def _distance(own: PixelFormat, other: PixelFormat) -> tuple[bool, bool, int, int, bool, bool]:
    """How unlike two formats are, the gravest first."""
    return (
        own.alpha and not other.alpha,
        own.gray != other.gray,
        other.depth - own.depth,
        sum(own.shift) - sum(other.shift),
        other.alpha and not own.alpha,
        own.name != other.name,
    )


def closest_below(
    native: str, takes: Iterable[str], size: tuple[int, int], *, even: bool
) -> str | None:
    """Find the format that loses least where none holds all of a video; see `nearest`."""
    own = pixel_format(native)
    found = [known for name in takes if (known := pixel_format(name)) is not None]
    if even:
        found = [known for known in found if known.fits(*size)]
    if own is None or not found:
        return None
    return min(
        found,
        key=lambda known: (
            known.gray and not own.gray,
            known.shift[0] > own.shift[0] or known.shift[1] > own.shift[1],
            abs(known.depth - own.depth),
            own.rgb != known.rgb,
            own.gray != known.gray,
            own.alpha and not known.alpha,
            abs(sum(known.shift) - sum(own.shift)),
            known.alpha,
            known.full,
        ),
    ).name

"""What a stream says about the screen that it was graded on, read from a decoded frame."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from vidrestore.media.ffmpeg import FfmpegProcess
from vidrestore.media.sidedata import side_data

if TYPE_CHECKING:
    import av

_Point = tuple[int, int]

_CHROMATICITY = 50_000
_LUMINANCE = 10_000

_PER_FRAME = {
    "DOVI_RPU_BUFFER": "dolby-vision",
    "DOVI_METADATA": "dolby-vision",
    "DYNAMIC_HDR_PLUS": "hdr10+",
    "DYNAMIC_HDR_VIVID": "hdr-vivid",
    "A53_CC": "closed-captions",
}


@dataclass(frozen=True)
class MasteringDisplay:
    """SMPTE ST 2086: the screen that the video was graded on.

    Attributes:
        red: x and y of its red, in steps of 0.00002.
        green: Of its green, likewise.
        blue: Of its blue, likewise.
        white: Of its white point, likewise.
        luminance: Highest and lowest luminance, in steps of 0.0001 cd/m2.
    """

    red: _Point
    green: _Point
    blue: _Point
    white: _Point
    luminance: _Point

    @property
    def coded(self) -> str:
        """As x264, x265 and ffmpeg spell it: whole steps."""
        points = [self.green, self.blue, self.red, self.white, self.luminance]
        return _spell([tuple(map(str, point)) for point in points])

    @property
    def decimal(self) -> str:
        """As SVT-AV1 spells it: coordinates and cd/m2."""
        points = [self.green, self.blue, self.red, self.white]
        decimal = [tuple(f"{value / _CHROMATICITY:.5f}" for value in point) for point in points]
        return _spell([*decimal, tuple(f"{value / _LUMINANCE:.4f}" for value in self.luminance)])


@dataclass(frozen=True)
class HdrMetadata:
    """HDR10's static metadata.

    Attributes:
        mastering: The screen; None if the file does not say.
        light: Brightest pixel and brightest frame average (MaxCLL, MaxFALL) in cd/m2; None if the
            file does not say.
    """

    mastering: MasteringDisplay | None = None
    light: _Point | None = None


def hdr_metadata(frame: av.VideoFrame) -> HdrMetadata | None:
    """Read HDR10's static metadata off a decoded frame.

    Args:
        frame: A frame with its side data.

    Returns:
        What it states; None if that is nothing.
    """
    held = side_data(frame)
    mastering = _mastering(held.get("MASTERING_DISPLAY_METADATA"))
    light = held.get("CONTENT_LIGHT_LEVEL")
    if mastering is None and light is None:
        return None
    return HdrMetadata(mastering, None if light is None else struct.unpack("<2I", light[:8]))


def per_frame_data(frame: av.VideoFrame) -> tuple[str, ...]:
    """Name the side data of a frame that belongs to that frame alone, such as "dolby-vision"."""
    return tuple(sorted({_PER_FRAME[name] for name in side_data(frame) if name in _PER_FRAME}))


@lru_cache
def states_hdr(ffmpeg: str) -> bool:
    """Whether an ffmpeg can be told the static metadata of an input that has none."""
    with FfmpegProcess([ffmpeg, "-h", "long"], stdout=True) as process:
        known = process.stdout.read().decode(errors="replace")
        process.finish()
    return "-mastering_display" in known and "-content_light" in known


def hdr_input_options(hdr: HdrMetadata | None, ffmpeg: str) -> dict[str, str]:
    """Options that give an ffmpeg's input the static metadata, which raw frames cannot carry.

    Args:
        hdr: The metadata; None for no options.
        ffmpeg: Path of the executable.

    Returns:
        Options to place before `-i`; none if this ffmpeg knows no such options.
    """
    if hdr is None or not states_hdr(ffmpeg):
        return {}
    options = {}
    if hdr.mastering is not None:
        options["mastering_display"] = hdr.mastering.coded
    if hdr.light is not None:
        options["content_light"] = f"{hdr.light[0]},{hdr.light[1]}"
    return options


def hdr_encoder_options(hdr: HdrMetadata | None, encoder: str) -> dict[str, str]:
    """The same through an encoder's own options, for an ffmpeg without those above.

    Args:
        hdr: The metadata; None for no options.
        encoder: ffmpeg's name of the encoder.

    Returns:
        The options; none if the encoder has none for it.
    """
    spelled = {
        "libx264": ("x264-params", "mastering-display", "cll", ()),
        "libx265": ("x265-params", "master-display", "max-cll", ("hdr10=1", "repeat-headers=1")),
        "libsvtav1": ("svtav1-params", "mastering-display", "content-light", ()),
    }.get(encoder)
    if hdr is None or spelled is None:
        return {}
    option, display, light, more = spelled
    parts = list(more)
    if hdr.mastering is not None:
        decimal = encoder == "libsvtav1"
        screen = hdr.mastering.decimal if decimal else hdr.mastering.coded
        parts.append(f"{display}={screen}")
    if hdr.light is not None:
        parts.append(f"{light}={hdr.light[0]},{hdr.light[1]}")
    return {option: ":".join(parts)}


def _mastering(data: bytes | None) -> MasteringDisplay | None:
    """Unpack ffmpeg's structure: ten fractions, then which of them are there."""
    if data is None or len(data) < 88:
        return None
    numbers = struct.unpack("<22i", data[:88])
    if not (numbers[20] and numbers[21]):
        return None
    values = [a / b if b else 0.0 for a, b in zip(numbers[:20:2], numbers[1:20:2], strict=True)]
    steps = [round(value * _CHROMATICITY) for value in values[:8]]
    low, high = (round(value * _LUMINANCE) for value in values[8:])
    red, green, blue, white = zip(steps[::2], steps[1::2], strict=True)
    return MasteringDisplay(red, green, blue, white, (high, low))


def _spell(points: list[tuple[str, ...]]) -> str:
    names = ("G", "B", "R", "WP", "L")
    return "".join(f"{name}({','.join(p)})" for name, p in zip(names, points, strict=True))

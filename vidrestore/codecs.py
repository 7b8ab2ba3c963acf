"""Which encoder and which pixel format the output's video gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vidrestore.errors import UsageError

if TYPE_CHECKING:
    from vidrestore.probe import VideoInfo


@dataclass(frozen=True)
class Encoder:
    """An ffmpeg encoder, the pixel formats it takes, and its visually lossless defaults."""

    name: str
    pix_fmts: frozenset[str]
    crf: int | None = None
    preset: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)


def _formats(*names: str, depths: tuple[int, ...]) -> frozenset[str]:
    return frozenset(
        name if depth == 8 else f"{name}{depth}le" for name in names for depth in depths
    )


_YUV = ("yuv420p", "yuv422p", "yuv444p", "gray")
ENCODERS = {
    "h264": Encoder("libx264", _formats(*_YUV, depths=(8, 10)), 16, "medium"),
    "hevc": Encoder(
        "libx265",
        _formats(*_YUV, "gbrp", depths=(8, 10, 12)),
        18,
        "medium",
        {"x265-params": "open-gop=0:log-level=error"},
    ),
    "av1": Encoder("libsvtav1", _formats("yuv420p", depths=(8, 10)), 20, "6"),
    "ffv1": Encoder(
        "ffv1",
        _formats("yuv420p", "yuv422p", "yuv444p", "gray", "gbrp", depths=(8, 9, 10, 12, 14, 16))
        - {"gbrp", "gray14le"}
        | {"yuv410p", "yuv411p", "yuv440p", "gbrp"},
        options={"level": "3", "slicecrc": "1", "g": "1"},
    ),
    "prores": Encoder(
        "prores_ks",
        frozenset({"yuv422p10le", "yuv444p10le"}),
        options={"vendor": "apl0", "profile:v": "auto"},
    ),
}


@dataclass(frozen=True)
class EncodeSettings:
    """How the output's video is encoded.

    Attributes:
        codec: h264, hevc, av1, ffv1 or prores.
        crf: Constant rate factor, lower is better; None is the codec's default, close to
            visually lossless. ffv1 (lossless) and prores have none.
        preset: The encoder's speed preset; None is the codec's default.
        threads: Encoder threads; None leaves it to the encoder. The same frames encoded with
            another number of threads may decode differently.
    """

    codec: str = "h264"
    crf: int | None = None
    preset: str | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no encoder knows.

        Raises:
            UsageError: If the codec is unknown or has no such option.
        """
        if self.codec not in ENCODERS:
            raise UsageError(
                f"unknown codec {self.codec}", hint=f"use one of {', '.join(ENCODERS)}"
            )
        encoder = ENCODERS[self.codec]
        for option in ("crf", "preset"):
            if getattr(self, option) is not None and getattr(encoder, option) is None:
                raise UsageError(f"{self.codec} has no {option}", hint=f"leave out --{option}")


def output_pix_fmt(info: VideoInfo, settings: EncodeSettings) -> str:
    """Choose the pixel format of the output: the input's own wherever the encoder takes it.

    h264 and av1 know no RGB, and x264 no odd sizes in 4:2:0 or 4:2:2: such input is stored as
    4:4:4 of the same depth, which keeps its size and all its detail.

    Args:
        info: The input.
        settings: The codec wanted.

    Returns:
        The pixel format to encode.

    Raises:
        UsageError: If the codec cannot hold such video.
    """
    formats = ENCODERS[settings.codec].pix_fmts
    native = info.plane_format
    full = "yuv444p" + ("" if info.bit_depth == 8 else f"{info.bit_depth}le")
    across, down = info.chroma_shift
    odd = bool(info.width % (1 << across) or info.height % (1 << down))
    must_be_even = settings.codec in {"h264", "hevc"}
    if native in formats and not (odd and must_be_even):
        return native
    if (native.startswith("gbrp") or odd) and full in formats:
        return full
    raise UsageError(
        f"{settings.codec} cannot hold {native} video of {info.width}x{info.height}",
        hint="use --codec ffv1, which is lossless and takes every pixel format",
    )

"""The encoders that the output's video can get, and what a user can ask of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vidrestore.errors import UsageError

LIKE_INPUT = "like-input"

_CLOSED = {"sc_threshold": "1000000000"}
"""These encoders close their groups of pictures only if cuts do not begin new ones."""

_INTERLACED = {"flags": "+cgop+ilme+ildct"}
_INTERLACED_INTRA = {"flags": "+cgop+ildct"}


@dataclass(frozen=True)
class Encoder:
    """An ffmpeg encoder and its visually lossless defaults.

    Attributes:
        name: ffmpeg's name of it.
        codec: ffmpeg's name of what it writes.
        crf: Default quality; None if there is no such choice.
        preset: Default speed; None if there is no such choice.
        options: What it always gets.
        quality: Options that take the quality.
        speed: Option that takes the preset.
        constant: More options where the quality is to be constant.
        rate: Whether it can be given a bitrate.
        counts_frames: Whether its stream states one frame rate and no other times.
        even: Whether chroma samples must cover the picture without remainder.
        alpha: Whether its bare packets hold an alpha channel.
        fields: Options for interlaced frames; None if it knows only whole ones.
        profiles: Options by the name of a profile.
        device: Options that open a graphics card for it.
        ahead: Options that bound the frames it looks ahead, "{}" standing for their number.
        uploads: Formats that it takes from memory, if it takes none directly.
    """

    name: str
    codec: str
    crf: int | None = None
    preset: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    quality: tuple[str, ...] = ("crf",)
    speed: str = "preset"
    constant: Mapping[str, str] = field(default_factory=dict)
    rate: bool = True
    counts_frames: bool = False
    even: bool = False
    alpha: bool = False
    fields: Mapping[str, str] | None = None
    profiles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    device: Mapping[str, str] = field(default_factory=dict)
    ahead: Mapping[str, str] = field(default_factory=dict)
    uploads: tuple[str, ...] = ()


_H264_PROFILES = {
    "Constrained Baseline": {"profile:v": "baseline"},
    "Baseline": {"profile:v": "baseline"},
    "Main": {"profile:v": "main"},
    "High": {"profile:v": "high"},
    "High 10": {"profile:v": "high10"},
    "High 10 Intra": {"profile:v": "high10", "g": "1"},
    "High 4:2:2": {"profile:v": "high422"},
    "High 4:2:2 Intra": {"profile:v": "high422", "g": "1"},
    "High 4:4:4 Predictive": {"profile:v": "high444"},
}
_PRORES_PROFILES = {
    **{"Proxy": {"profile:v": "proxy"}, "LT": {"profile:v": "lt"}, "HQ": {"profile:v": "hq"}},
    **{"Standard": {"profile:v": "standard"}, "4444": {"profile:v": "4444"}},
    **{"XQ": {"profile:v": "4444xq"}},
}
_MPEG2_PROFILES = {
    **{"Main": {"profile:v": "main"}, "4:2:2": {"profile:v": "422"}},
    **{"Simple": {"profile:v": "simple", "bf": "0"}},
}

ENCODERS = {
    "h264": (
        Encoder(
            *("libx264", "h264", 16, "medium"),
            even=True,
            ahead={"rc-lookahead": "{}"},
            fields=_INTERLACED,
            profiles=_H264_PROFILES,
        ),
    ),
    "hevc": (
        Encoder(
            *("libx265", "hevc", 18, "medium"),
            options={"x265-params": "open-gop=0:log-level=error"},
            even=True,
            ahead={"x265-params": "rc-lookahead={}:frame-threads=1"},
        ),
    ),
    "av1": (
        Encoder(
            *("libsvtav1", "av1", 20, "6"),
            ahead={"svtav1-params": "lookahead={}:lp=1"},
        ),
        Encoder(
            *("libaom-av1", "av1", 18, "6"),
            options={"row-mt": "1"},
            speed="cpu-used",
            constant={"b:v": "0"},
            ahead={"lag-in-frames": "{}"},
        ),
    ),
    "ffv1": (
        Encoder(
            *("ffv1", "ffv1"),
            options={"level": "3", "slicecrc": "1", "g": "1"},
            rate=False,
            alpha=True,
            fields={},
        ),
    ),
    "prores": (
        Encoder(
            *("prores_ks", "prores"),
            options={"vendor": "apl0", "profile:v": "auto"},
            rate=False,
            alpha=True,
            fields=_INTERLACED_INTRA,
            profiles=_PRORES_PROFILES,
        ),
    ),
}
"""What can be asked for by name; the first encoder that suits the video is used."""


def _scaled(name: str, codec: str, **more: object) -> Encoder:
    """An encoder whose quality is a quantiser scale, 2 being close to visually lossless."""
    return Encoder(name, codec, 2, None, quality=("q:v",), **more)  # type: ignore[arg-type]


def _lossless(name: str, codec: str, *, alpha: bool = False) -> Encoder:
    return Encoder(name, codec, rate=False, alpha=alpha)


LIKE_ENCODERS = ENCODERS | {
    encoder.codec: (encoder,)
    for encoder in (
        _scaled("mpeg1video", "mpeg1video", options=_CLOSED, counts_frames=True),
        _scaled(
            *("mpeg2video", "mpeg2video"),
            options=_CLOSED,
            counts_frames=True,
            fields=_INTERLACED,
            profiles=_MPEG2_PROFILES,
        ),
        _scaled("mpeg4", "mpeg4", options=_CLOSED, counts_frames=True, fields=_INTERLACED),
        _scaled("mjpeg", "mjpeg", options={"strict": "unofficial", "flags": "-cgop"}),
        Encoder("libvpx", "vp8", 4, None, constant={"b:v": "100M"}, options={"cpu-used": "2"}),
        Encoder(
            *("libvpx-vp9", "vp9", 15, None),
            options={"row-mt": "1", "cpu-used": "2"},
            constant={"b:v": "0"},
            ahead={"lag-in-frames": "{}"},
        ),
        Encoder("dvvideo", "dvvideo", rate=False, counts_frames=True, fields=_INTERLACED_INTRA),
        Encoder("cfhd", "cfhd", rate=False, options={"quality": "film3+"}),
        _scaled("jpeg2000", "jpeg2000"),
        _lossless("huffyuv", "huffyuv"),
        _lossless("ffvhuff", "ffvhuff", alpha=True),
        _lossless("utvideo", "utvideo", alpha=True),
        _lossless("magicyuv", "magicyuv", alpha=True),
        _lossless("v210", "v210"),
        _lossless("rawvideo", "rawvideo", alpha=True),
        _lossless("png", "png", alpha=True),
        Encoder("libvvenc", "vvc", 20, "medium", quality=("qp",)),
    )
}
"""What can be asked for as the codec of the input, too."""


@dataclass(frozen=True)
class EncodeSettings:
    """How the output's video is encoded.

    Attributes:
        codec: h264, hevc, av1, ffv1, prores, or like-input.
        crf: Constant rate factor, lower is better; None is the codec's default, close to
            visually lossless. ffv1 (lossless) and prores have none.
        preset: The encoder's speed preset; None is the codec's default.
        bitrate_bps: Bits per second instead of a constant quality; None for the latter.
        pix_fmt: Pixel format of the output; None is the input's own.
        hardware: Encode on the graphics card, where an encoder of it opens.
        post: ffmpeg filters that follow restoration, such as "eq=contrast=1.1".
        extra: More options for the encoder, as ffmpeg spells them.
        threads: Encoder threads; None leaves it to the encoder. The same frames encoded with
            another number of threads may decode differently.
        ahead_frames: Frames that the encoder looks ahead at most; None leaves it to the encoder.
    """

    codec: str = "h264"
    crf: int | None = None
    preset: str | None = None
    bitrate_bps: int | None = None
    pix_fmt: str | None = None
    hardware: bool = False
    post: str | None = None
    extra: tuple[str, ...] = ()
    threads: int | None = None
    ahead_frames: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no encoder knows.

        Raises:
            UsageError: If the codec is unknown or has no such option.
        """
        if self.codec not in {*ENCODERS, LIKE_INPUT}:
            raise UsageError(
                f"unknown codec {self.codec}",
                hint=f"use one of {', '.join([*ENCODERS, LIKE_INPUT])}",
            )
        if self.crf is not None and self.bitrate_bps is not None:
            raise UsageError("--crf and --bitrate contradict each other", hint="give one of them")
        if self.codec != LIKE_INPUT:
            self.check(ENCODERS[self.codec][0])

    def check(self, encoder: Encoder) -> None:
        """Refuse what an encoder has no option for.

        Raises:
            UsageError: If it has none for something that is asked for.
        """
        asked = {
            "--crf": self.crf is not None and encoder.crf is None,
            "--preset": self.preset is not None and encoder.preset is None,
            "--bitrate": self.bitrate_bps is not None and not encoder.rate,
        }
        for option, refused in asked.items():
            if refused:
                raise UsageError(
                    f"{encoder.codec} has no {option.removeprefix('--')}",
                    hint=f"leave out {option}",
                )

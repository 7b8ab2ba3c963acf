"""Filters of ffmpeg that are measured beside the model, and the strengths to choose from.

Every filter is given planes in the best format that it takes: planar RGB for dctdnoiz, which
decorrelates the colours itself, and full-range 4:4:4 YUV for most others, which work plane by plane
and score 1 to 3 dB lower on RGB. More than 8 bits gain none of them anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Options = Mapping[str, float | str]


@dataclass(frozen=True)
class Setting:
    """One filter, or a chain of them, with its options.

    Attributes:
        passes: Runs of ffmpeg, one after the other, each a pixel format (``gbrp`` or ``yuv444p``)
            and the filters to run in it. A chain has several where no one format suits all.
    """

    passes: tuple[tuple[str, tuple[tuple[str, Options], ...]], ...]

    def __str__(self) -> str:
        """As ffmpeg spells it, without the pixel formats."""
        steps = [step for _, steps in self.passes for step in steps]
        return ",".join(
            "=".join([name, ":".join(f"{key}={_plain(value)}" for key, value in options.items())])
            for name, options in steps
        )


@dataclass(frozen=True)
class FfmpegFilter:
    """One filter of ffmpeg, or a chain of them, and what it can be set to.

    Attributes:
        name: What the table calls it.
        settings: Settings to choose from for damage of a level in 8-bit units.
        ordered: They go from weak to strong, so what is best is found by walking uphill.
    """

    name: str
    settings: Callable[[float], tuple[Setting, ...]]
    ordered: bool = False


def _one(name: str, pix_fmt: str, options: Options) -> Setting:
    return Setting(((pix_fmt, ((name, options),)),))


def _scaled(
    name: str, pix_fmt: str, strengths: Sequence[float], options: Callable[[float], Options]
) -> FfmpegFilter:
    """A filter with a strength in multiples of the level; what a cap makes equal is tried once."""

    def settings(level: float) -> tuple[Setting, ...]:
        distinct: list[Options] = []
        for strength in strengths:
            candidate = options(round(strength * level, 3))
            if candidate not in distinct:
                distinct.append(candidate)
        return tuple(_one(name, pix_fmt, each) for each in distinct)

    return FfmpegFilter(name, settings, ordered=True)


def _fixed(
    name: str, pix_fmt: str, choices: Sequence[Options], *, ordered: bool = False
) -> FfmpegFilter:
    """A filter whose strengths do not go with any level."""
    settings = tuple(_one(name, pix_fmt, options) for options in choices)
    return FfmpegFilter(name, lambda _: settings, ordered)


def _atadenoise(level: float) -> Options:
    single, summed = min(level / 255, 0.3), min(9 * level / 255, 5)
    return {f"{plane}a": single for plane in range(3)} | {f"{plane}b": summed for plane in range(3)}


# dctdnoiz keeps its default 8x8 blocks: 16x16 gain 0.1 dB at five times the time. group=1 is bm3d
# without its block matching, which is far slower.
DCTDNOIZ = _scaled(
    "dctdnoiz", "gbrp", (0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 1, 1.3, 1.7, 2.3), lambda v: {"s": v}
)
NLMEANS = _scaled(
    "nlmeans",
    "yuv444p",
    (0.15, 0.22, 0.3, 0.35, 0.42, 0.6, 0.9),
    lambda v: {"s": max(1, min(v, 30)), "p": 5, "r": 11},
)
BM3D = _scaled("bm3d", "yuv444p", (0.8, 1.4, 2, 2.5, 3, 4.2), lambda v: {"sigma": v, "group": 1})
HQDN3D = _scaled(
    "hqdn3d",
    "yuv444p",
    (0.3, 0.6, 1, 1.3, 1.6, 2, 2.6),
    lambda v: {"luma_spatial": v, "chroma_spatial": v, "luma_tmp": v, "chroma_tmp": v},
)
ATADENOISE = _scaled("atadenoise", "yuv444p", (0.5, 1, 1.5, 2, 3, 4), _atadenoise)
VAGUEDENOISER = _scaled(
    "vaguedenoiser",
    "yuv444p",
    (0.4, 0.8, 1.25, 1.5, 2, 2.8),
    lambda v: {"threshold": v, "percent": 100},
)
FFTDNOIZ = _scaled(
    "fftdnoiz",
    "yuv444p",
    (0.5, 1, 1.5, 2, 3, 4, 5),
    lambda v: {"sigma": min(v, 100), "prev": 1, "next": 1},
)
DENOISERS = (DCTDNOIZ, NLMEANS, BM3D, HQDN3D, ATADENOISE, VAGUEDENOISER, FFTDNOIZ)

DEBLOCK = _fixed(
    "deblock",
    "yuv444p",
    [
        {"filter": kind, "alpha": alpha, "beta": alpha / 2, "gamma": alpha / 2, "delta": alpha / 2}
        for kind in ("weak", "strong")
        for alpha in (0.02, 0.05, 0.1, 0.2)
    ],
)
SPP = _fixed(
    "spp", "yuv444p", [{"quality": 4, "qp": qp} for qp in (4, 8, 12, 16, 20, 25, 31)], ordered=True
)
DEBLOCKERS = (DEBLOCK, SPP, DCTDNOIZ, NLMEANS, HQDN3D)

_SHARPER = (0.2, 0.4, 0.7, 1.0, 1.4, 1.9, 2.5)


def _unsharp(amount: float, size_px: int) -> Options:
    sizes = {f"{plane}{axis}": size_px for plane in "lc" for axis in "xy"}
    return {**sizes, "la": amount, "ca": amount}


UNSHARP = _fixed(
    "unsharp", "yuv444p", [_unsharp(a, size_px) for size_px in (3, 5, 9) for a in _SHARPER]
)
CAS = _fixed(
    "cas", "gbrp", [{"strength": strength} for strength in (0, 0.2, 0.4, 0.6, 0.8, 1)], ordered=True
)
SHARPENERS = (UNSHARP, CAS)


def _chain(level: float) -> tuple[Setting, ...]:
    deblocking: list[tuple[tuple[str, Options], ...]] = [(), (("deblock", {"filter": "weak"}),)]
    denoising: list[tuple[tuple[str, Options], ...]] = [
        ((("dctdnoiz", {"s": round(strength * level, 3)}),) if strength else ())
        for strength in (0, 0.25, 0.5, 0.8, 1.1)
    ]
    sharpening: list[tuple[tuple[str, Options], ...]] = [
        ((("unsharp", _unsharp(amount, 5)),) if amount else ()) for amount in (0, 0.4, 0.8, 1.4)
    ]
    return tuple(
        Setting((*((("gbrp", (*a, *b)),) if a or b else ()), *((("yuv444p", c),) if c else ())))
        for a in deblocking
        for b in denoising
        for c in sharpening
        if a or b or c
    )


CHAIN = FfmpegFilter("chain", _chain)
"""deblock, dctdnoiz and unsharp, one after the other, each of which may be left out."""


def _plain(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"

"""Specs such as ``blur:motion=6,awgn8:20,x264:32`` to degradations."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from functools import partial

from vidrestore.degrade.blur import Defocus, FrameMean, ShakeBlur
from vidrestore.degrade.coding import Jpeg, VideoCodec
from vidrestore.degrade.degradation import Degradation
from vidrestore.degrade.flowblur import FlowBlur
from vidrestore.degrade.light import Darkening, SensorNoise
from vidrestore.degrade.mixture import mixture
from vidrestore.degrade.noise import FilmGrain, GaussianNoise
from vidrestore.degrade.transport import (
    LONGEST_GAP,
    CorruptFrames,
    HeldFrames,
    LostFrames,
    MissingFrames,
)
from vidrestore.errors import UsageError

SPECS = (
    "blur:motion=PX, blur:defocus=PX, blur:frames=N, blur:shutter=SHARE, dark:STOPS, "
    "lowlight:STOPS, poisson:GAIN, awgn:SIGMA, awgn8:SIGMA, grain:STD, jpeg:QUALITY, x264:CRF, "
    "x265:CRF, mpeg2:QSCALE, drop:N, gap:N, lose:PERCENT, repeat:N, freeze:N, corrupt:PERCENT"
)
"""Every degradation there is; those of one spec are joined by commas."""

LARGEST_DROP = 64
LONGEST_MEAN = 31
LONGEST_SHAKE_PX = 64.0
USUAL_SHAKE_PX = (3.0, 12.0)
LARGEST_DISC_PX = 32.0
LOWLIGHT_GAIN, LOWLIGHT_READ = 0.01, 0.005

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_KINDS = tuple(sorted({spec.split(":")[0] for spec in SPECS.split(", ")}))


def parse(spec: str, ffmpeg: str | None = None) -> Degradation:
    """Read a degradation spec.

    Args:
        spec: One of `SPECS`, or several joined by commas, in any order: they are applied in the
            order in which a camera makes them.
        ffmpeg: Path of the ffmpeg executable that x264, x265 and mpeg2 run; None for the one that
            `find_ffmpeg` finds.

    Returns:
        The degradation; its ``str`` is the spec in normal form, in that order and with every
        default filled in.

    Raises:
        UsageError: The spec names no known degradation or a number is not in range.
    """
    return mixture([_part(part.strip(), ffmpeg) for part in spec.split(",")])


def _part(spec: str, ffmpeg: str | None) -> Degradation:
    kind, _, value = spec.partition(":")
    whole: Callable[[int, int], int] = partial(_whole, spec, value)
    percent: Callable[[float], float] = partial(_number, spec, value, "percentage", 0)
    match kind:
        case "awgn" | "awgn8":
            return GaussianNoise(_sigma(spec, kind, value), eight_bit=kind == "awgn8")
        case "drop":
            return MissingFrames("drop", whole(2, LARGEST_DROP))
        case "gap":
            return MissingFrames("gap", whole(1, LONGEST_GAP))
        case "repeat":
            return HeldFrames("repeat", whole(2, LARGEST_DROP))
        case "freeze":
            return HeldFrames("freeze", whole(1, LONGEST_GAP))
        case "lose":
            return LostFrames(percent(90))
        case "corrupt":
            return CorruptFrames(percent(100))
        case "blur":
            return _blur(spec, value)
        case "dark":
            return Darkening(_number(spec, value, "number of stops", 0, 10))
        case "lowlight":
            stops = _number(spec, value, "number of stops", 0, 10)
            return mixture([Darkening(stops), SensorNoise(LOWLIGHT_GAIN, LOWLIGHT_READ)])
        case "poisson":
            return _sensor(spec, value)
        case "grain":
            strength, more = _options(spec, value, ("size",))
            size = _number(spec, more.get("size", "1"), "grain size in pixels", 0, 8)
            return FilmGrain(_number(spec, strength, "strength in 8-bit units", 0, 100), size)
        case "jpeg":
            return Jpeg(int(_number(spec, value, "quality", 1, 100, whole=True)))
        case "x264" | "x265":
            quality = int(_number(spec, value, "crf", 0, 51, whole=True))
            return VideoCodec("x264" if kind == "x264" else "x265", quality, ffmpeg)
        case "mpeg2":
            return VideoCodec(
                "mpeg2", int(_number(spec, value, "qscale", 1, 31, whole=True)), ffmpeg
            )
    raise _unknown(spec, kind)


def _unknown(spec: str, kind: str) -> UsageError:
    near = difflib.get_close_matches(kind.lower(), _KINDS, n=1)
    forms = [form for form in SPECS.split(", ") if near and form.split(":")[0] == near[0]]
    hint = f"did you mean {' or '.join(forms)}?" if forms else f"use one of {SPECS}"
    return UsageError(f"unknown degradation {spec!r}", hint=hint)


def _blur(spec: str, value: str) -> Degradation:
    name, _, size = value.partition("=")
    if name == "motion":
        least, most = _interval(spec, size) if size else USUAL_SHAKE_PX
        return ShakeBlur(least, most)
    if name == "defocus":
        return Defocus(_number(spec, size or "2", "radius in pixels", 0, LARGEST_DISC_PX))
    if name == "frames":
        frames = _whole(spec, size, 3, LONGEST_MEAN)
        if frames % 2 == 0:
            raise UsageError(
                f"{spec!r} has no middle frame to be the truth",
                hint=f"use blur:frames={frames + 1}",
            )
        return FrameMean(frames)
    if name == "shutter":
        return FlowBlur(_number(spec, size or "0.5", "share of a frame", 0.05, 2))
    near = difflib.get_close_matches(name, ("motion", "defocus", "frames", "shutter"), n=1)
    raise UsageError(
        f"unknown degradation {spec!r}",
        hint=f"did you mean blur:{near[0]}?"
        if near
        else "use blur:motion=3-12, blur:defocus=2, blur:frames=5 or blur:shutter=0.5",
    )


def _interval(spec: str, text: str) -> tuple[float, float]:
    """A length, or a shortest and a longest."""
    found = re.fullmatch(rf"({_NUMBER})(?:-({_NUMBER}))?", text, re.ASCII)
    least, most = (float(found[1]), float(found[2] or found[1])) if found else (1.0, 0.0)
    if not 0 <= least <= most <= LONGEST_SHAKE_PX:
        raise UsageError(
            f"length {text!r} of {spec!r} is not in pixels from 0 to {LONGEST_SHAKE_PX:g}",
            hint="write blur:motion=6, or blur:motion=3-12 for a length that wanders",
        )
    return least, most


def _sensor(spec: str, value: str) -> Degradation:
    gain, more = _options(spec, value, ("read", "balance"))
    usual = SensorNoise(1)
    read = _number(spec, more.get("read", str(usual.read)), "read noise", 0, 1)
    balance = more.get("balance", f"{usual.red}/{usual.blue}").partition("/")
    red, blue = (_number(spec, text, "white balance", 0.1, 10) for text in balance[::2])
    return SensorNoise(_number(spec, gain, "gain", 1e-6, 1), read, red, blue)


def _options(spec: str, text: str, names: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """A value and the options behind it, each after a colon."""
    value, *words = text.split(":")
    options = {}
    for word in words:
        name, _, setting = word.partition("=")
        if name not in names:
            raise UsageError(
                f"{word!r} of {spec!r} is not understood", hint=f"use {'=, '.join(names)}="
            )
        options[name] = setting
    return value, options


def _number(
    spec: str, text: str, what: str, least: float, most: float, *, whole: bool = False
) -> float:
    form = r"\d+" if whole else _NUMBER
    value = float(text) if re.fullmatch(form, text, re.ASCII) else math.nan
    if not least <= value <= most:
        kind = "a whole number" if whole else "a number"
        raise UsageError(
            f"{what} {text!r} of {spec!r} is not {kind} from {least:g} to {most:g}",
            hint=f"write {_example(spec)}",
        )
    return value


def _example(spec: str) -> str:
    examples = {
        "grain": "grain:8 or grain:8:size=1.5",
        "poisson": "poisson:0.01 or poisson:0.01:read=0.005:balance=2/1.5",
        "blur": "blur:defocus=2 or blur:shutter=0.5",
        "dark": "dark:2",
        "lowlight": "lowlight:2",
        "jpeg": "jpeg:30",
        "mpeg2": "mpeg2:8",
        "lose": "lose:5",
        "corrupt": "corrupt:10",
    }
    kind = spec.partition(":")[0]
    return examples.get(kind, f"{kind}:32")


def _sigma(spec: str, kind: str, level: str) -> float:
    try:
        sigma = float(level)
    except ValueError:
        sigma = math.nan
    if not 0 <= sigma <= 255:
        raise UsageError(
            f"noise level {level!r} of {spec!r} is not a number from 0 to 255",
            hint=f"give the standard deviation in 8-bit units, for example {kind}:25",
        )
    return sigma


def _whole(spec: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise UsageError(
            f"number of frames {text!r} of {spec!r} is not a whole number from {least} to {most}",
            hint="drop:2 predicts every second frame, gap:3 three in a row of every ten",
        )
    return int(text)

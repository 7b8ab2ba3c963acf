"""The text of command-line arguments to values, each error with its remedy."""

from __future__ import annotations

import re
import shlex
from fractions import Fraction
from pathlib import Path
from typing import Literal, cast, get_args

from vidrestore.errors import UsageError
from vidrestore.media.limits import Limits
from vidrestore.media.timeline import HIGHEST_FPS, LOWEST_FPS, MOST_MADE, Rate
from vidrestore.network import shelf

Deinterlace = Literal["auto", "on", "off"]
Latency = Literal["normal", "low"]
TASKS = ("auto", *shelf.TASKS)
PIPED = ("matroska", "mpegts", "nut", "y4m")
"""Containers that can be written into a pipe."""
PIPE = Path("-")
"""How the command line names standard input and standard output."""
_NTSC_SLACK = Fraction(7, 1000)
"""23.97 and 23.98 both mean 24000/1001."""

WRITABLE_SUFFIXES = {".mp4", ".m4v", ".mov", ".mkv", ".webm"}


def default_output(source: Path) -> Path:
    """INPUT.restored.EXT; an extension that cannot be written becomes .mkv, a folder .mp4."""
    if source.is_dir():
        return source.with_name(f"{source.resolve().name}.restored.mp4")
    suffix = source.suffix if source.suffix.lower() in WRITABLE_SUFFIXES else ".mkv"
    return source.with_name(f"{source.stem}.restored{suffix}")


def parse_tasks(names: list[str] | None, *, timed: bool = False) -> tuple[str, ...]:
    """Names of tasks. If there are none: "auto", or nothing but what is asked of time."""
    tasks = tuple(names or ([] if timed else ["auto"]))
    for name in tasks:
        if name not in TASKS:
            raise UsageError(f"unknown task {name}", hint=f"use one of {', '.join(TASKS)}")
    return tasks


def parse_sigma(text: str) -> float | None:
    """A noise level in 8-bit units, or None for "auto"."""
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError:
        raise UsageError(
            f"--sigma {text} is not a number", hint="use auto, or a level in 8-bit units such as 25"
        ) from None


def parse_time(text: str | None, option: str) -> int | Fraction | None:
    """Frames (120), seconds (4.5 or 4s) or a timecode (00:01:02.5)."""
    if text is None:
        return None
    if re.fullmatch(r"\d{1,15}", text, re.ASCII):
        return int(text)
    timecode = re.fullmatch(r"(?:(\d{1,9}):)?(\d{1,9}):(\d{1,9}(?:\.\d{0,15})?)", text, re.ASCII)
    if timecode:
        hours, minutes, seconds = timecode.groups()
        return int(hours or 0) * 3600 + int(minutes) * 60 + Fraction(seconds)
    seconds_only = re.fullmatch(r"(\d{1,9}\.?\d{0,15}|\.\d{1,15})s?", text, re.ASCII)
    if seconds_only:
        return Fraction(seconds_only[1])
    raise UsageError(
        f"{option} {text} is no time", hint="use frames (120), seconds (4.5s) or 00:01:02.500"
    )


def parse_framerate(text: str | None) -> Fraction | None:
    """Frames per second of a folder of images, as `parse_fps` reads them."""
    return None if text is None else parse_fps(text, "--framerate")


def parse_fps(text: str, option: str) -> Fraction:
    """Frames per second: 60, 12.5, 30000/1001, or 59.94 for 60000/1001, as in every NTSC rate."""
    number = re.fullmatch(r"(\d{1,9})/(\d{1,9})|(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})", text, re.ASCII)
    rate = Fraction(0)
    if number is not None and number[3] is not None:
        rate = _ntsc(Fraction(number[3]))
    elif number is not None and int(number[2]):
        rate = Fraction(int(number[1]), int(number[2]))
    if not LOWEST_FPS <= rate <= HIGHEST_FPS:
        raise UsageError(
            f"{option} {text} is no frame rate",
            hint=f"use frames per second up to {HIGHEST_FPS}, such as 25, 59.94 or 30000/1001",
        )
    return rate


def _ntsc(rate: Fraction) -> Fraction:
    """A decimal fraction that stands for a multiple of 12 or 15, slowed by 1000/1001."""
    full = round(rate * 1001 / 1000)
    slowed = Fraction(full * 1000, 1001)
    meant = rate.denominator > 1 and (full % 12 == 0 or full % 15 == 0)
    return slowed if full and meant and abs(rate - slowed) < _NTSC_SLACK else rate


def parse_rate(text: str | None, option: str) -> Rate | None:
    """A rate as `parse_fps` reads it, or times the source's: 2x, 2.5x."""
    if text is None:
        return None
    if text.endswith(("x", "X")):
        return Rate(_factor(text[:-1], text, option, above=Fraction(0)), relative=True)
    return Rate(parse_fps(text, option))


def parse_slow(text: str | None) -> Fraction:
    """How many times as long the output takes: 4x, 4 or 2.5x; 1 if not given."""
    if text is None:
        return Fraction(1)
    return _factor(text.removesuffix("x").removesuffix("X"), text, "--slow", above=Fraction(1))


def parse_cfr(text: str | None) -> Fraction | None:
    """A constant rate as `parse_fps` reads it."""
    return None if text is None else parse_fps(text, "--cfr")


def _factor(number: str, text: str, option: str, *, above: Fraction) -> Fraction:
    factor = Fraction(0)
    if re.fullmatch(r"\d{1,9}(\.\d{0,9})?|\.\d{1,9}", number, re.ASCII):
        factor = Fraction(number)
    if not above < factor <= MOST_MADE:
        raise UsageError(
            f"{option} {text} is out of range",
            hint=f"use more than {above} and at most {MOST_MADE} times, such as 2x or 2.5x",
        )
    return factor


def parse_slow_audio(text: str) -> Literal["drop", "stretch"]:
    """What becomes of the sound in slow motion."""
    if text == "drop":
        return "drop"
    if text == "stretch":
        return "stretch"
    raise UsageError(f"--slow-audio {text} is not known", hint="use drop or stretch")


def parse_channels(text: str) -> tuple[int, int, int]:
    """Three channel counts, such as 64,96,128."""
    parts = text.split(",")
    known = [re.fullmatch(r"\d{1,5}", part, re.ASCII) is not None for part in parts]
    if len(parts) != 3 or not all(known) or any(int(part) % 8 for part in parts):
        raise UsageError(
            f"--channels {text} is not understood", hint="three multiples of 8, such as 64,96,128"
        )
    half, quarter, eighth = (int(part) for part in parts)
    return half, quarter, eighth


def parse_bitrate(text: str | None) -> int | None:
    """Bits per second: 8000000, 8000k or 8M."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)([kKmM]?)", text, re.ASCII)
    bits = (
        round(float(match[1]) * {"": 1, "k": 1000, "m": 1_000_000}[match[2].lower()])
        if match
        else 0
    )
    if bits < 1000:
        raise UsageError(f"--bitrate {text} is not understood", hint="8M, 8000k or 8000000")
    return bits


def parse_ffmpeg_args(text: str | None) -> tuple[str, ...]:
    """Options for the encoder, quoted as in a shell."""
    try:
        return tuple(shlex.split(text or ""))
    except ValueError as error:
        raise UsageError(
            f"--ffmpeg-args is not understood: {error}", hint="quote it as in a shell"
        ) from error


def parse_memory(text: str | None) -> int | None:
    """Bytes of memory: 4G, 1.5G, 800M."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)([kKmMgG])(?:i?B)?", text, re.ASCII)
    if match is None:
        raise UsageError(f"--max-memory {text} is not understood", hint="4G, 1.5G or 800M")
    return int(Fraction(match[1]) * 1024 ** (1 + "kmg".index(match[2].lower())))


def parse_limits(text: str | None) -> Limits:
    """Limits on an input, such as pixels=200M,memory=4G; those not named keep their defaults."""
    named = {}
    for part in (text or "").split(",") if text else []:
        match = re.fullmatch(r"(pixels|streams|seconds|memory)=(\d{1,15})([kKMG]?)", part, re.ASCII)
        if match is None:
            raise UsageError(
                f"--limits {part} is not understood",
                hint="pixels=200M,streams=1000,seconds=60,memory=4G",
            )
        name, number, unit = match.groups()
        step = 1024 if name == "memory" else 1000
        named[name] = int(number) * step ** " kMG".index(unit.replace("K", "k") or " ")
    return Limits(**named)


def parse_deinterlace(text: str) -> Deinterlace:
    """Whether fields become frames."""
    if text in get_args(Deinterlace):
        return cast(Deinterlace, text)
    raise UsageError(f"--deinterlace {text} is not known", hint="use auto, on or off")


def check_pipes(
    source: Path, output: Path | None, *, as_json: bool, piped: str | None, latency: Latency
) -> bool:
    """Whether the input or the output is a pipe.

    Raises:
        UsageError: If what else is asked for makes no sense then, or only then.
    """
    if piped is not None and output != PIPE:
        raise UsageError(
            "--format is for -o -", hint="the name of a file says what its container is"
        )
    if latency == "low" and PIPE not in (source, output):
        raise UsageError(
            "--latency low is for pipes: between files it would only cost quality",
            hint="leave it out",
        )
    if piped is not None and piped not in PIPED:
        raise UsageError(f"cannot pipe {piped}", hint=f"use one of {', '.join(PIPED)}")
    if source == PIPE and output is None:
        raise UsageError("nothing says where the result goes", hint="-o FILE, or -o - for a pipe")
    if output == PIPE and as_json:
        raise UsageError(
            "--json would mix with the video on standard output", hint="--report FILE instead"
        )
    return PIPE in (source, output)


def parse_latency(text: str) -> Latency:
    """How far a pipe looks ahead."""
    if text in get_args(Latency):
        return cast(Latency, text)
    raise UsageError(f"--latency {text} is not known", hint="use normal or low")

"""The text of command-line arguments to values, each error with its remedy."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

from vidrestore.errors import UsageError

TASKS = ("auto", "denoise", "deblur", "interpolate")
WRITABLE_SUFFIXES = {".mp4", ".m4v", ".mov", ".mkv", ".webm"}


def default_output(source: Path) -> Path:
    """INPUT.restored.EXT; an extension that cannot be written becomes .mkv, a folder .mp4."""
    if source.is_dir():
        return source.with_name(f"{source.resolve().name}.restored.mp4")
    suffix = source.suffix if source.suffix.lower() in WRITABLE_SUFFIXES else ".mkv"
    return source.with_name(f"{source.stem}.restored{suffix}")


def parse_tasks(names: list[str] | None) -> tuple[str, ...]:
    """Names of tasks; "auto" if there are none."""
    tasks = tuple(names or ["auto"])
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
    if text.isascii() and text.isdigit():
        return int(text)
    timecode = re.fullmatch(r"(?:(\d+):)?(\d+):(\d+(?:\.\d*)?)", text, re.ASCII)
    if timecode:
        hours, minutes, seconds = timecode.groups()
        return int(hours or 0) * 3600 + int(minutes) * 60 + Fraction(seconds)
    seconds_only = re.fullmatch(r"(\d+\.?\d*|\.\d+)s?", text, re.ASCII)
    if seconds_only:
        return Fraction(seconds_only[1])
    raise UsageError(
        f"{option} {text} is no time", hint="use frames (120), seconds (4.5s) or 00:01:02.500"
    )


def parse_framerate(text: str | None) -> Fraction | None:
    """Frames per second, such as 25 or 24000/1001."""
    if text is None:
        return None
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise UsageError(f"--framerate {text} is no frame rate", hint="use 25 or 24000/1001")
    return rate


def parse_channels(text: str) -> tuple[int, int, int]:
    """Three channel counts, such as 64,96,128."""
    parts = text.split(",")
    if len(parts) != 3 or not all(part.isdigit() and int(part) % 8 == 0 for part in parts):
        raise UsageError(
            f"--channels {text} is not understood", hint="three multiples of 8, such as 64,96,128"
        )
    half, quarter, eighth = (int(part) for part in parts)
    return half, quarter, eighth

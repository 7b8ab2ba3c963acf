"""Folders of numbered images, read as a clip."""

from __future__ import annotations

import re
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

from vidrestore.errors import InputError, UsageError
from vidrestore.media.ffmpeg import media_url

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".ppm", ".pgm", ".dpx"}
)
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg"}
    | {".wmv", ".flv", ".gif", ".y4m", ".mxf", ".3gp"}
)


def find_sequence(folder: Path) -> tuple[str, int, int]:
    """Find the one run of numbered images in a folder.

    Args:
        folder: The folder; other files in it are ignored.

    Returns:
        printf pattern of the file names, number of the first image, number of images.

    Raises:
        UsageError: If the folder holds videos and no images.
        InputError: If it holds neither, several sequences, or a sequence with a gap.
    """
    sequences = find_sequences(folder)
    if len(sequences) > 1:
        examples = ", ".join(pattern % first for pattern, first, _ in sequences[:3])
        raise InputError(
            f"{folder} holds several image sequences ({examples})",
            hint="keep one sequence in each folder",
        )
    return sequences[0]


def find_sequences(folder: Path) -> list[tuple[str, int, int]]:
    """Find every run of numbered images in a folder; names that differ before the number are apart.

    Args:
        folder: The folder; other files in it are ignored.

    Returns:
        At least one run, by name, each as `find_sequence` gives it.

    Raises:
        UsageError: If the folder holds videos and no images.
        InputError: If it holds neither, or a sequence with a gap.
    """
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    sequences: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in names:
        numbered = re.fullmatch(r"(.*?)(\d+)(\.\w+)", name)
        if numbered and numbered[3].lower() in IMAGE_SUFFIXES:
            sequences[numbered[1], numbered[3]].append(numbered[2])
    if not sequences:
        if any(Path(name).suffix.lower() in VIDEO_SUFFIXES for name in names):
            raise UsageError(
                f"{folder} is a folder of videos, not of numbered images",
                hint="name one of the videos, or use `vidrestore batch` for all of them",
            )
        raise InputError(
            f"{folder} holds no numbered images", hint="name them frame0001.png and so on"
        )
    return [_run(folder, *key, digits) for key, digits in sorted(sequences.items())]


def _run(folder: Path, prefix: str, suffix: str, digits: list[str]) -> tuple[str, int, int]:
    """The pattern, first number and count of one sequence, of which no image may be missing."""
    numbers = sorted(map(int, digits))
    first, count = numbers[0], len(numbers)
    width = min(map(len, digits))
    padded = any(text.startswith("0") and len(text) > 1 for text in digits)
    field = f"%0{width}d" if padded else "%d"
    pattern = f"{prefix.replace('%', '%%')}{field}{suffix.replace('%', '%%')}"
    for number in range(first, first + count):
        if not (folder / (pattern % number)).is_file():
            missing = pattern % number
            raise InputError(f"{folder} lacks {missing}", hint="number the images without gaps")
    return pattern, first, count


def is_pattern(path: Path) -> bool:
    """Whether ffmpeg would take the path of one image for the pattern of many."""
    fields = re.findall(r"%(%|\d*d|.?)", str(path.absolute()))
    return [field[-1:] for field in fields if field != "%"] == ["d"]


def source(folder: Path, pattern: str, first: int, rate: Fraction) -> tuple[str, dict[str, str]]:
    """Spell an image sequence as URL and input options for ffmpeg and PyAV."""
    url = f"{media_url(folder).replace('%', '%%')}/{pattern}"
    return url, {
        "framerate": f"{rate.numerator}/{rate.denominator}",
        "start_number": str(first),
        "protocol_whitelist": "file,pipe",
        "format_whitelist": "image2",
    }

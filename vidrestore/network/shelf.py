"""Where weights lie, found in a fixed order."""

from __future__ import annotations

import os
from pathlib import Path

from vidrestore.errors import WeightsError

TASKS = ("denoise", "deblock", "deblur", "mixed", "interpolate")
"""What there are weights for."""
BLIND_TASKS = ("deblock", "deblur", "mixed")
"""Their networks are not told what is wrong: they have learned from pairs of clips."""
SECOND_LOOKS = {"denoise": "denoise2", "deblock": "deblock2", "mixed": "mixed2"}
"""Weights that look again, where there are some, at what those of a task have made; see `fuse`."""
TRAINED = (*TASKS, *SECOND_LOOKS.values())
SUFFIX = ".safetensors"
ENVIRONMENT = "VIDRESTORE_WEIGHTS"


def first_task(task: str) -> str:
    """The task whose weights have the first look."""
    return next((first for first, second in SECOND_LOOKS.items() if second == task), task)


def find(task: str, explicit: Path | None = None) -> Path:
    """The weights for a task: `explicit`, `$VIDRESTORE_WEIGHTS`, or those of the package.

    Args:
        task: Such as "denoise".
        explicit: A file, or a folder that holds one for the task.

    Raises:
        WeightsError: If there are none, or several.
    """
    place = explicit or (Path(env) if (env := os.environ.get(ENVIRONMENT)) else packaged_folder())
    if place.is_file():
        return place
    found = sorted(place.glob(f"{task}-*{SUFFIX}"))
    if len(found) == 1:
        return found[0]
    if not found:
        have = sorted({p.name.split("-")[0] for p in place.glob(f"*{SUFFIX}")})
        raise WeightsError(
            f"no weights for {task} in {place}",
            hint=f"there are weights for: {', '.join(have) or 'nothing'}; "
            f"--weights or ${ENVIRONMENT} names a file or a folder",
        )
    raise WeightsError(
        f"{len(found)} sets of weights for {task} in {place}", hint="name one file with --weights"
    )


def has(task: str, explicit: Path | None = None) -> bool:
    """Whether there are weights for a task, going by their names."""
    try:
        return find(task, explicit).name.startswith(f"{task}-")
    except WeightsError:
        return False


def packaged_folder() -> Path:
    """Where the package keeps its weights: inside a wheel, or beside the package in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "weights"
    return inside if inside.is_dir() else package.parent / "weights"

"""What runs that were killed have left behind, found and removed; never what is not ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidrestore.errors import OutputError, UsageError
from vidrestore.media.scratch import sweep
from vidrestore.runs.journal import load
from vidrestore.runs.workfolder import WORK_SUFFIX, WorkFolder, work_folder

_UNFINISHED = re.compile(r"\..+\.\d+\.part")
"""Name of a file that a run from or into a pipe has not finished."""


@dataclass(frozen=True)
class Leftover:
    """Something that a run has left.

    Attributes:
        path: Folder or file.
        size_bytes: Of all that is ours in it.
        frames: Finished frames that are lost with it.
        kept: Why it is still there; None if it is gone.
    """

    path: Path
    size_bytes: int
    frames: int
    kept: str | None = None


def clean(places: Sequence[Path]) -> list[Leftover]:
    """Remove unfinished work, and temporary files of runs that are dead.

    Args:
        places: Outputs, work folders, or folders with outputs in them.

    Returns:
        What there was.

    Raises:
        UsageError: If a place is nowhere.
        OutputError: If something cannot be removed.
    """
    found: dict[Path, None] = {}
    for place in places:
        found |= dict.fromkeys(_leftovers(place))
    removed = [_remove_folder(path) if path.is_dir() else _remove_file(path) for path in found]
    return [*removed, *(Leftover(path, size, 0) for path, size in sweep())]


def forget_parts(output: Path) -> None:
    """Remove what runs into a file that were killed have left of it."""
    for path in output.parent.iterdir():
        if _UNFINISHED.fullmatch(path.name) and path.name.startswith(f".{output.name}."):
            _remove_file(path)


def _leftovers(place: Path) -> Iterator[Path]:
    beside = work_folder(place)
    if place.name.endswith(WORK_SUFFIX) and place.is_dir():
        yield place
    elif beside.is_dir():
        yield beside
    elif place.is_dir():
        for path in sorted(place.iterdir()):
            is_work = path.suffix == WORK_SUFFIX and path.is_dir() and not path.is_symlink()
            if is_work or (path.is_file() and _UNFINISHED.fullmatch(path.name)):
                yield path
    elif not place.exists():
        raise UsageError(
            f"{place}: there is no unfinished work", hint="name an output or the folder it is in"
        )


def _remove_folder(path: Path) -> Leftover:
    try:
        with WorkFolder(path) as work:
            former = load(path, verify=False)
            ours = work.contents
            size = sum(file.stat().st_size for file in ours if file.is_file())
            frames = 0 if former is None else former.frames
            if not ours and any(path.iterdir()):
                return Leftover(path, 0, 0, kept="nothing in it is ours")
            work.discard()
    except OutputError as error:
        return Leftover(path, 0, 0, kept=str(error))
    except OSError as error:
        raise OutputError(
            f"cannot remove {path}: {error.strerror}", hint="remove it by other means"
        ) from error
    return Leftover(path, size, frames, "other files are in it" if path.exists() else None)


def _remove_file(path: Path) -> Leftover:
    pid = int(path.name.split(".")[-2])
    if Path(f"/proc/{pid}").exists():
        return Leftover(path, 0, 0, kept=f"process {pid} is still running")
    size = path.stat().st_size
    path.unlink()
    return Leftover(path, size, 0)

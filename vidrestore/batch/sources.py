"""The files that a batch is about: folders, patterns, lists and files, looked through."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from vidrestore.batch.done import STATE_NAME, outputs_in
from vidrestore.errors import InputError, VidrestoreError
from vidrestore.media.images import VIDEO_SUFFIXES
from vidrestore.runs.workfolder import WORK_SUFFIX

STDIN = "-"


@dataclass(frozen=True)
class Source:
    """A file that was found.

    Attributes:
        path: The file.
        place: Where it lies in the folder that is mirrored, or just its name.
        error: Why it cannot even be tried; None if it can.
    """

    path: Path
    place: PurePath
    error: VidrestoreError | None = None


@dataclass(frozen=True)
class Sources:
    """What was found.

    Attributes:
        files: Every file once, in order.
        ignored: Files in folders that are not called like videos.
    """

    files: tuple[Source, ...]
    ignored: tuple[Path, ...]


def read_list(path: Path) -> list[str]:
    """Read a list of inputs, one a line; empty lines and those that begin with # are left out.

    Args:
        path: The list; - for standard input.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        data = sys.stdin.buffer.read() if str(path) == STDIN else path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read the list {path}: {error.strerror}", hint="name a file of one path a line"
        ) from error
    lines = (os.fsdecode(line.rstrip(b"\r")) for line in data.split(b"\n"))
    return [line for line in lines if line.strip() and not line.startswith("#")]


def find(inputs: Sequence[str], out: Path) -> Sources:
    """Look for the files of a batch.

    Folders are searched to their depths for files that are called like videos; hidden files and
    folders are left out, links to folders are not followed, and neither what is inside the output
    folder nor what any batch has written counts. A pattern (*, ?, [], **) stands for all that it
    matches. A file that is named is taken whatever it is called.

    Args:
        inputs: Files, folders and patterns.
        out: The output folder.

    Returns:
        What was found.
    """
    found: dict[Path, Source] = {}
    ignored: dict[Path, None] = {}
    for given in inputs:
        for path in _expanded(given):
            if not _is(path.is_dir):
                _add(found, _named(path))
                continue
            for source in _walked(path, out):
                if source.error is None and source.path.suffix.lower() not in VIDEO_SUFFIXES:
                    ignored[source.path] = None
                else:
                    _add(found, source)
    return Sources(tuple(found.values()), tuple(path for path in ignored if path not in found))


def _add(found: dict[Path, Source], source: Source) -> None:
    found.setdefault(real(source.path), source)


def real(path: Path) -> Path:
    """A path without links, as far as they lead anywhere; unlike `Path.resolve`, never an error."""
    return Path(os.path.realpath(path))


def _is(question: Callable[[], bool]) -> bool:
    """Whether a path is something; what cannot be reached is nothing."""
    try:
        return question()
    except OSError:
        return False


def _expanded(given: str) -> list[Path]:
    """The paths that an input stands for: itself, if there is such a path or it is no pattern."""
    if os.path.lexists(given) or not glob.has_magic(given):
        return [Path(given)]
    matches = glob.glob(given, recursive=True)  # noqa: PTH207  # Path's takes nothing absolute
    return [Path(path) for path in sorted(matches)] or [Path(given)]


def _named(path: Path) -> Source:
    """A file that the user has named."""
    error = None
    if not _is(path.exists):
        what = "nothing matches" if glob.has_magic(str(path)) else "no such file or folder:"
        error = InputError(f"{what} {path}", hint="check the spelling")
    elif not _is(path.is_file):
        error = InputError(f"{path} is neither a file nor a folder", hint="name a video file")
    return Source(path, PurePath(path.name), error)


def _walked(folder: Path, out: Path) -> Iterator[Source]:
    """All files of a folder and the folders in it, in order of their names."""
    refused: list[OSError] = []
    written: set[Path] = set()
    target = real(out)
    for root, folders, names in os.walk(folder, onerror=refused.append):
        here = Path(root)
        if STATE_NAME in names:
            written |= {real(path) for path in outputs_in(here)}
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and not name.endswith(WORK_SUFFIX)
            and real(here / name) != target
        )
        for name in sorted(names):
            path = here / name
            if name.startswith(".") or not (_is(path.is_file) or path.is_symlink()):
                continue
            if written and real(path) in written:
                continue
            place = path.relative_to(folder)
            if _is(path.is_file):
                yield Source(path, place)
            elif path.suffix.lower() in VIDEO_SUFFIXES and not _is(path.exists):
                hint = "remove the link, or put its target back"
                yield Source(path, place, InputError(f"{path} is a broken link", hint=hint))
    for problem in refused:
        path = Path(problem.filename)
        error = InputError(
            f"cannot look into {path}: {problem.strerror}", hint="let us read the folder"
        )
        yield Source(path, PurePath(path.name), error)

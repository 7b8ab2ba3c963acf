"""Folders for temporary files, which nothing outlives: what was killed is swept up by the next.

A folder is locked as long as its owner lives, however that ends, so what a killed run has left is
told from what another one is using.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vidrestore.errors import OutputError

PREFIX = "vidrestore-scratch-"


@contextmanager
def scratch() -> Iterator[Path]:
    """A new empty folder, which goes at the end; those whose owners are dead go at once.

    Raises:
        OutputError: If there is no room for it.
    """
    sweep()
    try:
        path, handle = _made()
    except OSError as error:
        raise OutputError(
            f"cannot make a temporary folder: {error.strerror}",
            hint="free some space, or let TMPDIR name another place",
        ) from error
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(handle)


def sweep() -> list[tuple[Path, int]]:
    """Delete the folders whose owners are dead.

    Returns:
        Each, and the bytes that were in it.
    """
    swept = []
    for path in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")):
        with suppress(OSError):  # of another user, locked by another process, or gone just now
            if path.lstat().st_uid != os.geteuid():
                continue
            handle = hold(path)
            if handle is None:
                continue
            try:
                size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
                shutil.rmtree(path)
                swept.append((path, size))
            finally:
                os.close(handle)
    return swept


def hold(path: Path) -> int | None:
    """Lock a folder for as long as the handle is open and we live.

    Args:
        path: The folder; no symbolic link.

    Returns:
        The handle; None if the folder was deleted just now, or another one has its place.

    Raises:
        BlockingIOError: If another holds it.
        OSError: If there is no such folder.
    """
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
            return handle
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _made() -> tuple[Path, int]:
    """A new folder and the handle that holds it."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX))
        with suppress(BlockingIOError, FileNotFoundError):  # swept before it was held
            handle = hold(path)
            if handle is not None:
                return path, handle

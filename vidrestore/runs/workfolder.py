"""The folder beside an output that holds its unfinished work, and who may touch it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Self

from vidrestore.errors import OutputError
from vidrestore.media.scratch import hold

WORK_SUFFIX = ".vidrestore"
"""Added to an output's name, it names the folder of its unfinished work."""

SEARCH_NAME = "damage.json"

_OURS = ("journal.jsonl*", "segment-*.nut", f"{SEARCH_NAME}*", "token-*", "partial*", "covers-*")
"""All that we ever write into such a folder."""


def work_folder(output: Path) -> Path:
    """Path of the folder that holds an output's unfinished work."""
    return output.with_name(output.name + WORK_SUFFIX)


class WorkFolder:
    """The work folder of one output, made if missing, and locked while it is in use.

    The lock ends with the process that holds it, however that ends.

    Args:
        path: The folder.

    Raises:
        OutputError: If it cannot be made, or another run uses it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._handle = _locked(path)
        except BlockingIOError as error:
            raise OutputError(
                f"another run is writing {path.name.removesuffix(WORK_SUFFIX)}",
                hint="wait until it has ended, or name another output",
            ) from error
        except OSError as error:
            raise OutputError(
                f"cannot write the work folder {path}: {error.strerror}",
                hint="free some space or choose another output folder",
            ) from error

    @classmethod
    def of(cls, output: Path) -> WorkFolder:
        """The work folder of an output."""
        return cls(work_folder(output))

    @property
    def contents(self) -> list[Path]:
        """What is ours in it."""
        return _ours(self.path)

    @property
    def search(self) -> Path:
        """What a search for damage has found, once that is finished."""
        return self.path / SEARCH_NAME

    def clear(self, keep: Collection[str] = ()) -> None:
        """Delete what we have written into it, except records and the files to keep."""
        for path in _ours(self.path):
            if path.name not in {*keep, SEARCH_NAME} and not path.name.startswith("journal"):
                _delete(path)

    def discard(self) -> None:
        """Delete the folder, whatever state it is in; never what is not ours."""
        for path in _ours(self.path):
            _delete(path)
        if not any(self.path.iterdir()):
            self.path.rmdir()

    def release(self) -> None:
        """Let others use the folder."""
        os.close(self._handle)

    def __enter__(self) -> Self:
        """Return the folder itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let others use the folder."""
        self.release()


def _ours(folder: Path) -> list[Path]:
    return [path for pattern in _OURS for path in sorted(folder.glob(pattern))]


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _locked(path: Path) -> int:
    """A handle on the folder that holds its lock."""
    while True:
        path.mkdir(exist_ok=True)
        handle = hold(path)
        if handle is not None:
            return handle

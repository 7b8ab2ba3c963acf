"""The file that a report goes into: refused before the work if it cannot be, whole or not there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from vidrestore.errors import OutputError, UsageError

PAGE_SUFFIXES = frozenset({".html", ".htm"})
"""Names of pages; a report with any other name is the JSON document."""


class ReportFile:
    """A report that is asked for with `--report`.

    Args:
        path: File to write.
        overwrite: Whether an existing file may be replaced.
        others: Files that are read or written, which it must not be.

    Attributes:
        is_page: Whether it is an HTML page, by its name.

    Raises:
        UsageError: If it is one of the others.
        OutputError: If it exists and may not be replaced, or its folder cannot be written.
    """

    def __init__(self, path: Path, *, overwrite: bool, others: Iterable[Path | None] = ()) -> None:
        self.path = path
        self.is_page = path.suffix.lower() in PAGE_SUFFIXES
        self._overwrite = overwrite
        for other in others:
            if other is not None and _same(path, other):
                raise UsageError(
                    f"the report cannot be {other} itself", hint="name another --report"
                )
        if path.is_dir():
            raise OutputError(f"{path} is a folder", hint="name a file with --report")
        if path.exists() and not overwrite:
            raise _exists(path)
        if not path.parent.is_dir():
            raise OutputError(f"no such folder: {path.parent}", hint="make it, or name another")
        self._temporary().unlink()

    @classmethod
    def of(
        cls, path: Path | None, *, overwrite: bool, others: Iterable[Path | None] = ()
    ) -> Self | None:
        """The file, if one is asked for; as for the class."""
        return None if path is None else cls(path, overwrite=overwrite, others=others)

    def write(self, content: str) -> None:
        """Write the file, all or nothing.

        Raises:
            OutputError: If it has come into being meanwhile, or the disk is full.
        """
        temporary = self._temporary()
        try:
            with temporary.open("w", encoding="utf-8", errors="replace") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if self._overwrite:
                temporary.replace(self.path)
            else:
                os.link(temporary, self.path)  # unlike a rename, it never replaces
        except FileExistsError as error:
            raise _exists(self.path) from error
        except OSError as error:
            raise _unwritable(self.path, error) from error
        finally:
            temporary.unlink(missing_ok=True)

    def _temporary(self) -> Path:
        """A new empty file beside the report."""
        try:
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=".vidrestore-report-")
            os.fchmod(handle, 0o666 & ~_umask())
            os.close(handle)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        return Path(name)


def demand_no_page(path: Path | None, what: str) -> None:
    """Refuse a page of something that there is no page for.

    Args:
        path: The report that is asked for.
        what: Such as "a plan".

    Raises:
        UsageError: If it is a page by its name.
    """
    if path is not None and path.suffix.lower() in PAGE_SUFFIXES:
        raise UsageError(f"there is no page for {what}: {path}", hint="--report FILE.json")


def _same(path: Path, other: Path) -> bool:
    if path.exists() and other.exists():
        return path.samefile(other)
    return path.resolve() == other.resolve()


def _umask() -> int:
    """What the user wants new files not to allow; there is no way to ask but to set it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _exists(path: Path) -> OutputError:
    return OutputError(f"{path} exists already", hint="use -y to replace it")


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot write {path}: {error.strerror}", hint="name another --report")

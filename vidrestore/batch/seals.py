"""Whether a file still holds what it held, told by its state or, if that has changed, its hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Seal:
    """What a file held at some time.

    Attributes:
        size_bytes: Its size.
        mtime_ns: When it was last written.
        ctime_ns: When anything about it last changed; nobody can set that.
        sha256: Of all of it, hexadecimal.
    """

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Seal:
        """Read a file.

        Raises:
            OSError: If that is not possible.
        """
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        state = path.stat()
        return cls(state.st_size, state.st_mtime_ns, state.st_ctime_ns, sha256)

    def holds(self, path: Path) -> bool:
        """Whether a file is there and holds the same; it is read only if it was touched."""
        try:
            state = path.stat()
            if state.st_size != self.size_bytes:
                return False
            if (state.st_mtime_ns, state.st_ctime_ns) == (self.mtime_ns, self.ctime_ns):
                return True
            return Seal.of(path).sha256 == self.sha256
        except OSError:
            return False

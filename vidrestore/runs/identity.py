"""Whether an input is the one that it was, told without reading all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vidrestore.errors import InputError

_SAMPLES = 16
_SAMPLE_BYTES = 1 << 16


def identify(path: Path) -> dict[str, Any]:
    """Tell an input from every other without reading all of it.

    Args:
        path: A file, or a folder of images.

    Returns:
        Its size and a hash of its size and of samples spread over it; for a folder, of the
        names, sizes and samples of all files.
    """
    files = [path]
    if path.is_dir():
        files = sorted(entry for entry in path.iterdir() if entry.is_file())
    digest = hashlib.sha256()
    total = 0
    for number, file in enumerate(files):
        size = file.stat().st_size
        total += size
        digest.update(f"{number if file == path else file.name}:{size}\n".encode(errors="replace"))
        with file.open("rb") as content:
            last = max(0, size - _SAMPLE_BYTES)
            for sample in range(_SAMPLES):
                content.seek(last * sample // (_SAMPLES - 1))
                digest.update(content.read(_SAMPLE_BYTES))
                if last == 0:
                    break
    return {"size_bytes": total, "sampled_sha256": digest.hexdigest()}


class Witness:
    """Sees to it that an input stays what it was while a run reads it.

    Args:
        path: A file, or a folder of images.
        identity: Of the input at the start, from `identify`.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self._path = path
        self._identity = {key: identity[key] for key in ("size_bytes", "sampled_sha256")}
        self._seen = _glance(path)

    def demand_same(self) -> None:
        """Look again; cheap as long as nothing has changed.

        Raises:
            InputError: If the input is gone, or another one now.
        """
        hint = "put it back as it was, then run again"
        try:
            now = _glance(self._path)
            if now != self._seen and identify(self._path) != self._identity:
                raise InputError(f"{self._path} has changed while it was read", hint=hint)
            self._seen = now
        except OSError as error:
            raise InputError(
                f"{self._path} has gone while it was read: {error.strerror}", hint=hint
            ) from error


def _glance(path: Path) -> tuple[tuple[int, int, int], ...]:
    """What changes when a file does; of a folder, that of all files in it."""
    found = [path.stat()]
    if path.is_dir():
        found += [entry.stat() for entry in sorted(path.iterdir())]
    return tuple((one.st_ino, one.st_size, one.st_mtime_ns) for one in found)

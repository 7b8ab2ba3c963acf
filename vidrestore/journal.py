"""The record of finished segments beside the output, written so that it survives a crash."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from vidrestore import __version__
from vidrestore.errors import OutputError

if TYPE_CHECKING:
    from vidrestore.clock import Clock
    from vidrestore.encode import SegmentFile
    from vidrestore.probe import VideoInfo

SCHEMA = "vidrestore.journal/1"
WORK_SUFFIX = ".vidrestore"
"""Added to an output's name, it names the folder of its unfinished work."""

_FILE_NAME = "journal.jsonl"
_SAMPLES = 16
_SAMPLE_BYTES = 1 << 16


@dataclass(frozen=True)
class JournalHeader:
    """What a journal's segments were made from and how; they are of no use to anything else.

    Attributes:
        input: Identity of the source, from `identify`.
        settings: Every setting that changes the segments, as plain JSON values.
        versions: Version of every program and library that changes them.
    """

    input: Mapping[str, Any]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]

    @classmethod
    def of(
        cls, info: VideoInfo, settings: Mapping[str, Any], clock: Clock | None = None
    ) -> JournalHeader:
        """Make the header of a run.

        Args:
            info: The source.
            settings: Every setting that changes the segments, as plain JSON values.
            clock: Of the output; None for the source's own.

        Returns:
            The header.
        """
        import av

        source = {**identify(info.path), "frame_rate": str(info.frame_rate)}
        versions = {"vidrestore": __version__, "av": av.__version__}
        if clock is not None:
            settings = {**settings, "clock": {k: str(v) for k, v in asdict(clock).items()}}
        return cls(source, settings, versions)

    def mismatch(self, wanted: JournalHeader) -> str | None:
        """Say why segments recorded under this header cannot serve another run.

        Args:
            wanted: The header of that run.

        Returns:
            One line that names the first difference, or None if there is none.
        """
        for kind in ("input", "settings", "versions"):
            found, asked = getattr(self, kind), getattr(wanted, kind)
            for key in sorted({*found, *asked}):
                # Through JSON, because that is how the recorded one came: tuples are lists there.
                if json.dumps(found.get(key)) != json.dumps(asked.get(key)):
                    return f"{kind} {key} was {found.get(key)}, now it is {asked.get(key)}"
        return None


@dataclass(frozen=True)
class SegmentRecord:
    """One finished segment.

    Attributes:
        index: Number of the segment, from 0.
        first_frame: Index of its first frame among the frames restored.
        frames: Number of its frames.
        pts: PTS of every frame, in ticks of the output.
        file: Name of its file in the work folder.
        size_bytes: Size of that file.
        sha256: Hash of that file, hexadecimal.
    """

    index: int
    first_frame: int
    frames: int
    pts: tuple[int, ...]
    file: str
    size_bytes: int
    sha256: str


def discard(output: Path) -> None:
    """Delete the work folder of an output, whatever state it is in; never what is not ours."""
    folder = work_folder(output)
    for path in (*folder.glob("*.nut"), *folder.glob(f"{_FILE_NAME}*")):
        path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def work_folder(output: Path) -> Path:
    """Path of the folder that holds an output's unfinished work."""
    return output.with_name(output.name + WORK_SUFFIX)


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


def load(folder: Path) -> tuple[JournalHeader, list[SegmentRecord]] | None:
    """Read a journal back.

    A last line that was cut off by a crash or a power loss is ignored: its segment was not
    finished. So are segments whose file is missing or not what was recorded.

    Args:
        folder: The work folder.

    Returns:
        The header and the segments that can be reused, or None if there is no journal that
        this version can read.
    """
    try:
        lines = (folder / _FILE_NAME).read_bytes().split(b"\n")[:-1]
        first = json.loads(lines[0])
        if first.get("schema") != SCHEMA:
            return None
        header = JournalHeader(first["input"], first["settings"], first["versions"])
        records = [_record(line) for line in lines[1:]]
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None
    return header, [record for record in records if _is_intact(folder, record)]


def _record(line: bytes) -> SegmentRecord:
    values = json.loads(line)
    return SegmentRecord(**{**values, "pts": tuple(values["pts"])})


def _is_intact(folder: Path, record: SegmentRecord) -> bool:
    path = folder / record.file
    if not path.is_file() or path.stat().st_size != record.size_bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == record.sha256


class Journal:
    """A journal being written, one line per finished segment, each on disk before it counts.

    Args:
        folder: The work folder; made if missing. What a former run left in it is removed,
            except the segments in `keep`.
        header: What the segments are made from.
        keep: Segments of a former run to go on from, as `load` returned them.

    Raises:
        OutputError: If the folder cannot be written.
    """

    def __init__(
        self, folder: Path, header: JournalHeader, keep: Sequence[SegmentRecord] = ()
    ) -> None:
        self.folder = folder
        self.records = list(keep)
        kept = {record.file for record in self.records}
        temporary = folder / f"{_FILE_NAME}.new"
        try:
            folder.mkdir(exist_ok=True)
            for stale in folder.glob("*.nut"):
                if stale.name not in kept:
                    stale.unlink()
            # A new file that replaces the old one whole: a crash leaves the one or the other.
            self._file = temporary.open("wb")
            self._write({"schema": SCHEMA, **asdict(header)})
            for record in self.records:
                self._write(asdict(record))
            temporary.replace(folder / _FILE_NAME)
            _sync_folder(folder)
        except OSError as error:
            raise _cannot_write(folder, error) from error

    @classmethod
    def start(
        cls, output: Path, header: JournalHeader, keep: Sequence[SegmentRecord] = ()
    ) -> Journal:
        """Start the journal of an output, in the work folder beside it.

        Args:
            output: Path of the output.
            header: What the segments are made from.
            keep: Segments of a former run to go on from, as `load` returned them.

        Returns:
            The journal.

        Raises:
            OutputError: If the folder cannot be written.
        """
        return cls(work_folder(output), header, keep)

    def add(self, index: int, first_frame: int, pts: Sequence[int], file: SegmentFile) -> None:
        """Record a segment whose file is already on the disk.

        Args:
            index: Number of the segment, from 0.
            first_frame: Index of its first frame among the frames restored.
            pts: PTS of every frame, in ticks of the output.
            file: The finished file, in the work folder.

        Raises:
            OutputError: If the journal cannot be written.
        """
        record = SegmentRecord(
            index=index,
            first_frame=first_frame,
            frames=file.frames,
            pts=tuple(pts),
            file=file.path.name,
            size_bytes=file.size_bytes,
            sha256=file.sha256,
        )
        try:
            _sync_folder(self.folder)
            self._write(asdict(record))
        except OSError as error:
            raise _cannot_write(self.folder, error) from error
        self.records.append(record)

    def close(self) -> None:
        """Close the file; the journal stays, for a later run."""
        self._file.close()

    def __enter__(self) -> Self:
        """Return the journal itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def _write(self, values: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(values, allow_nan=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def _cannot_write(folder: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot write the work folder {folder}: {error.strerror}",
        hint="free some space or choose another output folder",
    )


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

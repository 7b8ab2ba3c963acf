"""The record of finished segments beside the output, written so that it survives a crash."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from vidrestore import __version__
from vidrestore.errors import OutputError, UsageError, VidrestoreError
from vidrestore.runs.identity import identify
from vidrestore.runs.workfolder import WorkFolder

if TYPE_CHECKING:
    from vidrestore.encoders.encode import SegmentFile
    from vidrestore.media.clock import Clock
    from vidrestore.media.probe import VideoInfo

SCHEMA = "vidrestore.journal/2"

JOURNAL_NAME = "journal.jsonl"


@dataclass(frozen=True)
class JournalHeader:
    """What a journal's segments were made from and how; they are of no use to anything else.

    Attributes:
        input: Identity of the source, from `identify`.
        settings: Every setting that changes the segments, as plain JSON values.
        versions: Version of every program and library that changes them.
        conditions: What only rounding depends on, such as the device and numbers of threads: a
            later run takes them over where it can, and says so where it cannot.
    """

    input: Mapping[str, Any]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    conditions: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        info: VideoInfo,
        settings: Mapping[str, Any],
        clock: Clock | None = None,
        conditions: Mapping[str, Any] | None = None,
    ) -> JournalHeader:
        """Make the header of a run.

        Args:
            info: The source.
            settings: Every setting that changes the segments, as plain JSON values.
            clock: Of the output; None for the source's own.
            conditions: What only rounding depends on, likewise.

        Returns:
            The header.
        """
        import av

        source = {**identify(info.path), "frame_rate": str(info.frame_rate)}
        versions = {"vidrestore": __version__, "av": av.__version__}
        if clock is not None:
            settings = {**settings, "clock": {k: str(v) for k, v in asdict(clock).items()}}
        return cls(source, settings, versions, conditions or {})

    def mismatch(self, wanted: JournalHeader) -> str | None:
        """Say why segments recorded under this header cannot serve another run.

        Args:
            wanted: The header of that run.

        Returns:
            One line that names the first difference, or None if there is none.
        """
        for kind in ("input", "settings", "versions"):
            for line in _differences(getattr(self, kind), getattr(wanted, kind)):
                return f"{kind} {line}"
        return None

    def changed(self, now: JournalHeader) -> list[str]:
        """Name the conditions that are others now, one line for each."""
        return list(_differences(self.conditions, now.conditions))


def _differences(found: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterable[str]:
    for key in sorted({*found, *asked}):
        # Through JSON, because that is how the recorded one came: tuples are lists there.
        if json.dumps(found.get(key)) != json.dumps(asked.get(key)):
            before, now = _short(found.get(key)), _short(asked.get(key))
            yield f"{key} was {before}, now it is {now}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


@dataclass(frozen=True)
class Landmark:
    """Where in the source a segment begins, and what it takes to find that place again.

    Attributes:
        segment: Index of the segment.
        position: How many frames are restored before it.
        shot: Shot of its first frame.
        opens_shot: Whether there is a cut right before it.
        frames: Index, PTS and fingerprint of its first frame, last, and of those before it that
            decide where shots begin, or that it is restored with.
    """

    segment: int
    position: int
    shot: int
    opens_shot: bool
    frames: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Facts:
    """What a later run needs to know of a segment that it does not restore again.

    Attributes:
        next: Where the next one begins; None after the last.
        shots: Index, PTS and number of the first frame of each shot that begins before that.
        made_frames: Frames of the segment that the source has not.
        drift: Where the colours went, as `DriftGuard` notes it.
    """

    next: Landmark | None = None
    shots: tuple[tuple[int, int, int], ...] = ()
    made_frames: int = 0
    drift: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Ending:
    """What is known once the last segment is finished.

    Attributes:
        end_pts: Where the last frame of the source ends, in its ticks.
        last_frame: Index and PTS of that frame, and its shot.
        warnings: What went wrong while decoding without being fatal.
    """

    end_pts: int | None
    last_frame: tuple[int, int, int] | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class FormerRun:
    """What an earlier run has left.

    Attributes:
        header: What its segments were made from.
        records: The finished segments from the first one on without a gap.
        notes: What the user should know of them.
        ending: If all are finished.
    """

    header: JournalHeader
    records: tuple[SegmentRecord, ...]
    notes: tuple[str, ...] = ()
    ending: Ending | None = None

    @property
    def frames(self) -> int:
        """Frames of the output that are finished."""
        return sum(record.frames for record in self.records)


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
        facts: What else is known of it.
    """

    index: int
    first_frame: int
    frames: int
    pts: tuple[int, ...]
    file: str
    size_bytes: int
    sha256: str
    facts: Facts = field(default_factory=Facts)


def load(folder: Path, *, verify: bool = True) -> FormerRun | None:
    """Read a journal back.

    A last line that was cut off by a crash or a power loss is ignored: its segment was not
    finished. So are segments whose file is missing or not what was recorded, and those after
    them.

    Args:
        folder: The work folder.
        verify: Whether to read the segments, too, and see that they are what was recorded.

    Returns:
        What can be used again, or None if there is no journal that this version can read.
    """
    records: list[SegmentRecord] = []
    notes: list[str] = []
    ending: Ending | None = None
    try:
        lines = (folder / JOURNAL_NAME).read_bytes().split(b"\n")[:-1]
        first = json.loads(lines[0])
        if first.pop("schema", None) != SCHEMA:
            return None
        header = JournalHeader(**first)
        for line in lines[1:]:
            values = json.loads(line)
            if "note" in values:
                notes.append(values["note"])
            elif "end_pts" in values:
                ending = _ending(values)
            else:
                records.append(_record(values))
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None
    usable: list[SegmentRecord] = []
    for record in records:
        frames = sum(one.frames for one in usable)
        if record.first_frame != frames or (verify and not _is_intact(folder, record)):
            break
        usable.append(record)
    whole = len(usable) == len(records)
    return FormerRun(header, tuple(usable), tuple(notes), ending if whole else None)


def _record(values: dict[str, Any]) -> SegmentRecord:
    facts = dict(values.pop("facts"))
    mark = facts.pop("next")
    if mark is not None:
        mark = Landmark(**{**mark, "frames": tuple(map(tuple, mark["frames"]))})
    shots, drift = tuple(map(tuple, facts.pop("shots"))), tuple(facts.pop("drift"))
    known = Facts(next=mark, shots=shots, drift=drift, **facts)
    return SegmentRecord(**{**values, "pts": tuple(values["pts"]), "facts": known})


def _ending(values: dict[str, Any]) -> Ending:
    last = values["last_frame"]
    return Ending(
        values["end_pts"], None if last is None else tuple(last), tuple(values["warnings"])
    )


def _is_intact(folder: Path, record: SegmentRecord) -> bool:
    path = folder / record.file
    if not path.is_file() or path.stat().st_size != record.size_bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == record.sha256


class Journal:
    """A journal being written, one line per finished segment, each on disk before it counts.

    Args:
        work: The work folder, locked. What a former run left in it is removed, except what is
            to be gone on from.
        header: What the segments are made from.
        former: What to go on from, as `load` returned it.

    Attributes:
        records: The finished segments, in order.

    Raises:
        OutputError: If the folder cannot be written.
    """

    def __init__(
        self, work: WorkFolder, header: JournalHeader, former: FormerRun | None = None
    ) -> None:
        self.folder = work.path
        self.records = [] if former is None else list(former.records)
        self.notes = [] if former is None else list(former.notes)
        lines: list[Mapping[str, Any]] = [{"schema": SCHEMA, **asdict(header)}]
        lines += [{"note": note} for note in self.notes]
        lines += [asdict(record) for record in self.records]
        if former is not None and former.ending is not None:
            lines.append(asdict(former.ending))
        temporary = self.folder / f"{JOURNAL_NAME}.new"
        try:
            work.clear(keep={record.file for record in self.records})
            # A new file that replaces the old one whole: a crash leaves the one or the other.
            self._file = temporary.open("wb")
            self._write(*lines)
            temporary.replace(self.folder / JOURNAL_NAME)
            _sync_folder(self.folder)
        except OSError as error:
            raise cannot_write(self.folder, error) from error

    def add(
        self,
        index: int,
        first_frame: int,
        pts: Sequence[int],
        file: SegmentFile,
        facts: Facts | None = None,
    ) -> None:
        """Record a segment whose file is already on the disk.

        Args:
            index: Number of the segment, from 0.
            first_frame: Index of its first frame among the frames of the output.
            pts: PTS of every frame, in ticks of the output.
            file: The finished file, in the work folder.
            facts: What else a later run needs to know.

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
            facts=facts or Facts(),
        )
        self._append(asdict(record))
        self.records.append(record)

    def note(self, text: str) -> None:
        """Record what the user should know of the finished segments.

        Raises:
            OutputError: If the journal cannot be written.
        """
        self._append({"note": text})
        self.notes.append(text)

    def end(self, ending: Ending) -> None:
        """Record that all segments are finished.

        Raises:
            OutputError: If the journal cannot be written.
        """
        self._append(asdict(ending))

    @property
    def frames(self) -> int:
        """Frames of the output that are finished."""
        return sum(record.frames for record in self.records)

    @property
    def pts(self) -> list[int]:
        """Timestamps of those frames, in ticks of the output."""
        return [pts for record in self.records for pts in record.pts]

    @property
    def files(self) -> list[SegmentFile]:
        """The files that hold them, in order."""
        from vidrestore.encoders.encode import SegmentFile

        return [
            SegmentFile(self.folder / one.file, one.frames, one.size_bytes, one.sha256)
            for one in self.records
        ]

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

    def _append(self, values: Mapping[str, Any]) -> None:
        try:
            _sync_folder(self.folder)
            self._write(values)
        except OSError as error:
            raise cannot_write(self.folder, error) from error

    def _write(self, *lines: Mapping[str, Any]) -> None:
        self._file.writelines(json.dumps(line, allow_nan=False).encode() + b"\n" for line in lines)
        self._file.flush()
        os.fsync(self._file.fileno())


def former_run(
    folder: Path, header: JournalHeader, *, resume: bool
) -> tuple[FormerRun | None, str | None]:
    """Find what a run can go on from.

    Args:
        folder: The work folder, locked.
        header: Of the run.
        resume: Whether the user wants to go on.

    Returns:
        What is there, or None; and if there is something that is of no use, why.
    """
    if not (folder / JOURNAL_NAME).exists():
        return None, None
    if not resume:
        return None, None
    former = load(folder)
    if former is None:
        return None, f"started anew: the journal in {folder.name} cannot be read"
    reason = former.header.mismatch(header)
    if reason is not None:
        return None, f"started anew: the unfinished work is of another kind, {reason}"
    if former.ending is None and former.records and former.records[-1].facts.next is None:
        # The last segment is there, and how the source ended is not: that is seen once more.
        former = replace(former, records=former.records[:-1])
    if not former.records:
        return None, None
    return former, None


@contextmanager
def unfinished(output: Path, *, keep: bool) -> Iterator[WorkFolder]:
    """The work folder of an output, while that is being made.

    It goes when that succeeds, or fails before anything was finished.

    Args:
        output: The file, or folder of images.
        keep: Whether it stays after success, too.

    Raises:
        OutputError: If the folder cannot be made, or another run uses it.
    """
    with WorkFolder.of(output) as work:
        try:
            yield work
        except BaseException as error:
            leave(work, error)
            raise
        if not keep:
            work.discard()


def leave(work: WorkFolder, error: BaseException) -> None:
    """Tidy up after a run that failed: finished segments stay, and the error says so.

    Args:
        work: The work folder, still locked.
        error: What the run failed with.
    """
    former = load(work.path, verify=False)
    if former is not None and former.records:
        work.clear(keep={record.file for record in former.records})
        kept = f"{former.frames} finished frames are kept, and the same command goes on after them"
    elif work.search.exists() and not isinstance(error, UsageError):
        work.clear()
        kept = "what is damaged is known now, and the same command goes on from there"
    else:
        work.discard()
        return
    if isinstance(error, VidrestoreError):
        error.hint = f"{error.hint}; {kept}" if error.hint else kept
    else:
        error.add_note(kept)


def cannot_write(path: Path, error: OSError) -> OutputError:
    """The exception for an output folder that takes no more."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError("the disk is full", hint="free some space, then run again")
    return OutputError(
        f"cannot write {path}: {error.strerror}",
        hint="free some space or choose another output folder",
    )


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""What a batch has finished, remembered in its output folder, so that it is not done again."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vidrestore.batch.jobs import Facts, Job
from vidrestore.batch.seals import Seal
from vidrestore.errors import OutputError
from vidrestore.network.shelf import find, has
from vidrestore.picture.diagnosis import CHOICES
from vidrestore.settings import RestoreSettings

STATE_NAME = ".vidrestore-batch.jsonl"
SCHEMA = "vidrestore.batch-state/1"

_IRRELEVANT = frozenset(
    {"overwrite", "resume", "keep_work", "ffmpeg", "limits", "device", "max_memory_bytes"}
    | {"footprint", "plan", "weights"}
)
"""Settings that do not change what is asked for; weights count by what they are."""


def fingerprint(settings: RestoreSettings) -> str:
    """Tell settings from others that would make another output.

    Only what differs from the defaults counts, so that an option that a later version adds changes
    nothing as long as nobody uses it.

    Raises:
        WeightsError: If there are no weights for what is asked for.
    """
    tasks = [*settings.networks]
    if "auto" in settings.tasks:  # any of them may be chosen
        tasks += [task for task in CHOICES[1:] if has(task, settings.weights)]
    wanted = {
        name: value
        for name, value in _changed(settings, RestoreSettings()).items()
        if name not in _IRRELEVANT
    }
    wanted["weights"] = [find(task, settings.weights).name for task in tasks]
    return hashlib.sha256(json.dumps(wanted, default=str, sort_keys=True).encode()).hexdigest()


def _changed(value: Any, default: Any) -> dict[str, Any]:
    changed = {}
    for field in fields(value):
        mine, usual = getattr(value, field.name), getattr(default, field.name)
        if mine != usual:
            nested = is_dataclass(mine) and type(mine) is type(usual)
            changed[field.name] = _changed(mine, usual) if nested else mine
    return changed


@dataclass(frozen=True)
class _Done:
    settings: str
    source: Seal
    result: Seal


class DoneFiles:
    """The memory of an output folder, locked while it is in use, made with it if missing.

    Each line is on disk before it counts. A last line that a crash has cut off is ignored.

    Args:
        folder: The output folder.

    Raises:
        OutputError: If it cannot be written, or another batch is writing into it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._begun: dict[str, str] = {}
        self._done: dict[str, _Done] = {}
        path = folder / STATE_NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
        except OSError as error:
            raise OutputError(
                f"cannot write into {folder}: {error.strerror}", hint="name another -o"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._read()
        except BlockingIOError as error:
            self._file.close()
            raise OutputError(
                f"another batch is writing into {folder}",
                hint="wait until it has ended, or name another -o",
            ) from error
        except BaseException:
            self._file.close()
            raise

    @property
    def outputs(self) -> list[Path]:
        """Every output that was ever begun here."""
        return [self._folder / name for name in self._begun]

    def origin(self, output: Path) -> Path | None:
        """The source of an output that comes from here; None if it does not."""
        begun = self._begun.get(self._name(output))
        return None if begun is None else Path(begun)

    def is_done(self, job: Job) -> bool:
        """Whether a file has been restored as is wanted now, and nothing has changed since."""
        done = self._done.get(self._name(job.output))
        if done is None or done.settings != fingerprint(job.settings):
            return False
        return done.source.holds(job.source) and done.result.holds(job.output)

    def begin(self, job: Job) -> None:
        """Remember that an output is ours, before there is one.

        Raises:
            OutputError: If nothing can be written.
        """
        origin = str(job.source.absolute())
        self._append({"begun": self._name(job.output), "from": origin})
        self._begun[self._name(job.output)] = origin

    def give_up(self, job: Job) -> None:
        """Forget an output that there is none of: what may once have its name is not ours.

        Raises:
            OutputError: If nothing can be written.
        """
        if not job.output.exists():
            self._append({"failed": self._name(job.output)})
            self._begun.pop(self._name(job.output), None)

    def finish(self, job: Job, facts: Facts) -> None:
        """Remember that a file is restored.

        Raises:
            OutputError: If nothing can be written.
        """
        done = _Done(fingerprint(job.settings), facts.source, facts.output)
        self._append({"done": self._name(job.output), **asdict(done)})
        self._done[self._name(job.output)] = done

    def __enter__(self) -> Self:
        """Return the memory itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let others use the folder."""
        self._file.close()

    def _name(self, output: Path) -> str:
        return str(output.relative_to(self._folder))

    def _read(self) -> None:
        self._file.seek(0)
        content = self._file.read()
        lines = content.split(b"\n")
        first = _parsed(lines[0])
        if not content:
            self._append({"schema": SCHEMA})
        elif first.get("schema") != SCHEMA:
            raise OutputError(
                f"{self._folder / STATE_NAME} is not of this version",
                hint="remove it to start anew, or name another -o",
            )
        elif lines[-1]:  # cut off: what follows begins on a line of its own
            self._file.write(b"\n")
        for line in map(_parsed, lines[1:]):
            if isinstance(line.get("begun"), str):
                self._begun[line["begun"]] = str(line.get("from"))
            elif isinstance(line.get("failed"), str):
                self._begun.pop(line["failed"], None)
            elif isinstance(line.get("done"), str):
                with suppress(TypeError, KeyError):  # somebody has edited it
                    source, result = Seal(**line["source"]), Seal(**line["result"])
                    self._done[line["done"]] = _Done(line["settings"], source, result)

    def _append(self, line: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(line).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OutputError(
                f"cannot write {self._folder / STATE_NAME}: {error.strerror}",
                hint="free some space, then run again",
            ) from error


def outputs_in(folder: Path) -> set[Path]:
    """What batches have written into a folder and the folders in it, as far as they remember."""
    try:
        lines = (folder / STATE_NAME).read_bytes().split(b"\n")
    except OSError:
        return set()
    begun = (_parsed(line).get("begun") for line in lines)
    return {folder / name for name in begun if isinstance(name, str)}


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}

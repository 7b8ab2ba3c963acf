"""What a batch is made of, and what is told of it as it goes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vidrestore.batch.seals import Seal
from vidrestore.errors import ExitCode, VidrestoreError
from vidrestore.settings import RestoreSettings


@dataclass(frozen=True)
class Job:
    """One file to restore.

    Attributes:
        number: Tells it from the others of its batch.
        source: The file.
        output: What to write; its folder exists.
        settings: How.
        size_bytes: Of the source: its share in the time that the batch takes.
    """

    number: int
    source: Path
    output: Path
    settings: RestoreSettings
    size_bytes: int


@dataclass(frozen=True)
class Failure:
    """Why a file was not restored, as plain data.

    Attributes:
        message: One line that names the cause.
        hint: One line that names the remedy; None if there is none.
        exit_code: That of `vidrestore restore` for this file.
    """

    message: str
    hint: str | None
    exit_code: int

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """What an exception says."""
        message = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, VidrestoreError):
            return cls(message, error.hint, int(error.exit_code))
        hint = f"restore the file on its own with --debug, and report it ({type(error).__name__})"
        return cls(f"unexpected: {message}", hint, int(ExitCode.UNEXPECTED))

    def __str__(self) -> str:
        return self.message + (f" (try: {self.hint})" if self.hint else "")


@dataclass(frozen=True)
class Facts:
    """What is told of a restored file.

    Attributes:
        frames: Frames of the output.
        resumed_frames: Those of them that an earlier run had finished.
        made_frames: Those of them that the source has not.
        sigma: Noise level that the model was told, 8-bit units; None if nothing was denoised.
        noise_before: Estimated noise of the input, 8-bit units.
        noise_after: Estimated noise of the output, likewise.
        wall_s: Seconds for the file.
        model_s: Seconds of it in the model.
        device: Device that the model ran on.
        dtype: Number format of the model's body.
        weights: Names of the weights used.
        warnings: Everything that the user should know.
        source: What the source held when it was restored.
        output: What was written.
    """

    frames: int
    resumed_frames: int
    made_frames: int
    sigma: float | None
    noise_before: float
    noise_after: float
    wall_s: float
    model_s: float
    device: str
    dtype: str
    weights: tuple[str, ...]
    warnings: tuple[str, ...]
    source: Seal
    output: Seal


@dataclass(frozen=True)
class Started:
    """A file is being restored."""

    job: Job


@dataclass(frozen=True)
class Advanced:
    """A file has got on.

    Attributes:
        job: The file.
        done: Frames restored.
        total: Frames expected; None if that is not known.
    """

    job: Job
    done: int
    total: int | None


@dataclass(frozen=True)
class Finished:
    """A file is done, for better or worse: `facts` or `failure` is set, never both."""

    job: Job
    facts: Facts | None
    failure: Failure | None


@dataclass(frozen=True)
class Idle:
    """Nothing has happened for a moment."""


Execution = Started | Advanced | Finished | Idle

Execute = Callable[[Iterator[Job | None]], Generator[Execution, None, None]]
"""Restores jobs and tells of it.

It takes a job only when it can start one. None means that there is nothing for now. A file that
fails is told as `Finished`; what concerns all files is raised. `Idle` is told about once a second.
Where `Stopped` is raised in it, it stops in order, tells what finished meanwhile, and raises it
again. Closing it stops it, too.
"""


@dataclass(frozen=True)
class Looked:
    """The inputs have been looked through.

    Attributes:
        files: How many there are to decide about.
        ignored: Files in folders that are not called like videos.
    """

    files: int
    ignored: tuple[Path, ...]


@dataclass(frozen=True)
class Added:
    """A file is to be restored, in its turn."""

    job: Job


@dataclass(frozen=True)
class Item:
    """A file that was looked at, and what became of it.

    Attributes:
        source: The file.
        output: Where its result is or would be; None if it cannot have a name.
        status: What became of it.
        facts: Set if it was restored.
        failure: Set if it failed.
    """

    source: Path
    output: Path | None
    status: Literal["restored", "skipped", "failed"]
    facts: Facts | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class Settled:
    """A file is over and done with."""

    item: Item
    job: Job | None = None


Event = Looked | Added | Started | Advanced | Settled | Idle

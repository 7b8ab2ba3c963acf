"""Exit codes and the exceptions that carry them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """Every exit code of the command line. Codes keep their meaning between releases."""

    SUCCESS = 0
    UNEXPECTED = 1
    USAGE = 2
    INPUT = 3
    FFMPEG = 4
    WEIGHTS = 5
    DEVICE = 6
    OUTPUT = 7
    BATCH = 8
    CHECK = 9
    QUALITY_GATE = 10
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


class Stopped(BaseException):
    """A signal asks us to end. It is no error, so nothing that handles errors holds it up.

    Args:
        exit_code: That of the process.

    Attributes:
        asked: What a signal asks for.
    """

    asked: ClassVar[Stopped | None] = None
    _thread: ClassVar[threading.local] = threading.local()

    def __init__(self, exit_code: ExitCode) -> None:
        super().__init__(exit_code.name.lower())
        self.exit_code = exit_code

    @classmethod
    def by_signal(cls, exit_code: ExitCode) -> None:
        """Raise it, in the handler of a signal, unless it is held back."""
        cls.asked = cls(exit_code)
        if not getattr(cls._thread, "holds", False):
            raise cls.asked

    @classmethod
    @contextmanager
    def held(cls) -> Iterator[None]:
        """Hold it back until the end of the context: it would be lost in what is done there."""
        cls._thread.holds = True
        try:
            yield
        finally:
            cls._thread.holds = False
            if cls.asked is not None:
                raise cls.asked


class VidrestoreError(Exception):
    """Anything that went wrong and that the user can act on.

    Args:
        message: One line that names the cause, without a full stop.
        hint: One line that names the remedy.
    """

    exit_code: ExitCode = ExitCode.UNEXPECTED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(VidrestoreError):
    """The command line or an argument makes no sense."""

    exit_code = ExitCode.USAGE


class InputError(VidrestoreError):
    """The input is missing, unreadable or not a video."""

    exit_code = ExitCode.INPUT


class FfmpegError(VidrestoreError):
    """ffmpeg is missing, cannot do what was asked, or failed."""

    exit_code = ExitCode.FFMPEG


class WeightsError(VidrestoreError):
    """Model weights are missing, corrupt or do not fit."""

    exit_code = ExitCode.WEIGHTS


class DeviceError(VidrestoreError):
    """The compute device is unavailable or ran out of memory."""

    exit_code = ExitCode.DEVICE


class OutputError(VidrestoreError):
    """The output exists already, cannot be written, or the disk is full."""

    exit_code = ExitCode.OUTPUT


class BatchError(VidrestoreError):
    """Some files of a batch were not restored."""

    exit_code = ExitCode.BATCH


class CheckError(VidrestoreError):
    """The finished output failed its check against the plan."""

    exit_code = ExitCode.CHECK


class QualityError(VidrestoreError):
    """A score is below what was asked for."""

    exit_code = ExitCode.QUALITY_GATE

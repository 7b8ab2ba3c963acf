"""Which files a batch is about, and what is to be done about each."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from vidrestore.arguments import default_output
from vidrestore.batch.done import DoneFiles
from vidrestore.batch.jobs import Added, Failure, Item, Job, Looked, Settled
from vidrestore.batch.naming import DEFAULT_TEMPLATE, Template
from vidrestore.batch.sources import Source, Sources, find, read_list, real
from vidrestore.errors import InputError, OutputError, UsageError
from vidrestore.settings import RestoreSettings

LOOK_S = 1.0
"""How often folders are looked through that are watched."""

SETTLED_S = 2.0
"""A file that has stayed the same for this long is taken to be whole."""


@dataclass(frozen=True)
class BatchSettings:
    """What a batch is about.

    Attributes:
        inputs: Files, folders and patterns.
        out: Folder of the outputs; the tree of each input folder is mirrored in it.
        lists: Files that name more inputs, one a line.
        template: How outputs are called; see `naming.Template`.
        settings: How each file is restored. `overwrite` lets outputs be replaced that do not come
            from a batch; without `resume`, files that are done are done again.
        watch: Wait for more files, until somebody stops it.
    """

    inputs: tuple[str, ...]
    out: Path
    lists: tuple[Path, ...] = ()
    template: str = DEFAULT_TEMPLATE
    settings: RestoreSettings = field(default_factory=RestoreSettings)
    watch: bool = False


class Desk:
    """Decides about each file that is found, once, or again when it has changed.

    Args:
        batch: What it is about.

    Raises:
        UsageError: If an argument makes no sense.
        InputError: If there is nothing to restore at all.
        OutputError: If the output folder is none.
    """

    def __init__(self, batch: BatchSettings) -> None:
        self._batch = batch
        self._template = Template(batch.template, batch.settings.encode.codec)
        listed = [line for path in batch.lists for line in read_list(path)]
        self._inputs = [*batch.inputs, *listed]
        if not self._inputs:
            raise UsageError("there is nothing to restore", hint="name files, folders or --list")
        if batch.out.exists() and not batch.out.is_dir():
            raise OutputError(f"{batch.out} is no folder", hint="name a folder with -o")
        self._first: Sources | None = self._found()
        self._number = 0
        self._next_look_s = 0.0
        self._claims: dict[Path, Path] = {}
        self._originals: set[Path] = set()
        self._states: dict[Path, tuple[int, int]] = {}
        self._since_s: dict[Path, float] = {}
        self._decided: dict[Path, tuple[int, int]] = {}

    def looked(self, done: DoneFiles) -> Iterator[Looked | Added | Settled]:
        """Look through all inputs, if it is time, and decide about what is new."""
        now_s = time.monotonic()
        if now_s < self._next_look_s:
            return
        found, self._first = self._first or self._found(), None
        placed = [(source, self._output(source)) for source in found.files]
        ours = {real(path) for path in done.outputs}
        ours |= {real(default_output(source.path)) for source in found.files}
        fresh = [(s, o) for s, o in placed if real(s.path) not in ours]
        self._originals = {real(source.path) for source, _ in fresh}
        yield Looked(len(fresh), found.ignored)
        if not fresh and placed and not self._batch.watch:
            raise InputError(
                "there is nothing to restore but what has been restored", hint="name other files"
            )
        for source, output in fresh:
            if not self._batch.watch or self._has_settled(source.path, now_s):
                yield self._decide(source, output, done)
        self._next_look_s = time.monotonic() + LOOK_S

    def _found(self) -> Sources:
        """What there is; if it is nothing, that is an error, unless more may come."""
        found = find(self._inputs, self._batch.out)
        if self._batch.watch:
            return found
        if not found.files:
            raise _nothing(self._inputs, found)
        problems = [source.error for source in found.files if source.error is not None]
        if len(problems) == len(found.files):
            raise problems[0]
        return found

    def _output(self, source: Source) -> Path:
        return self._batch.out / self._template.place(source.path, source.place)

    def _has_settled(self, path: Path, now_s: float) -> bool:
        """Whether a file is whole, as far as one can tell, and has not been decided about."""
        try:
            state = path.stat().st_size, path.stat().st_mtime_ns
        except OSError:
            state = -1, 0
        if self._states.get(path) != state:
            self._states[path] = state
            self._since_s[path] = now_s
        if self._decided.get(path) == state or state[0] == 0:
            return False
        if now_s - self._since_s[path] < SETTLED_S:
            return False
        self._decided[path] = state
        return True

    def _decide(self, source: Source, output: Path, done: DoneFiles) -> Added | Settled:
        settings = self._batch.settings
        if source.error is not None:
            return _failed(source, None, source.error)
        try:
            size_bytes = source.path.stat().st_size
        except OSError as error:
            lost = InputError(f"{source.path} has gone: {error.strerror}", hint="put it back")
            return _failed(source, None, lost)
        if real(output) in self._originals:
            hint = "another -o, or a --template that gives another name"
            danger = UsageError(f"{output} would replace an input", hint=hint)
            return _failed(source, output, danger)
        first = self._claims.setdefault(output, source.path)
        if first != source.path:
            taken = UsageError(
                f"{first} is restored to {output} already", hint=_apart(first, source)
            )
            return _failed(source, output, taken)
        origin = done.origin(output)
        gone = origin is not None and not os.path.lexists(origin)
        ours = gone or origin == source.path.absolute()
        settings = replace(settings, overwrite=settings.overwrite or ours)
        job = Job(self._number, source.path, output, settings, size_bytes)
        if settings.resume and done.is_done(job):
            return Settled(Item(source.path, output, "skipped"))
        if output.exists() and not settings.overwrite:
            whose = "no batch wrote it" if origin is None else f"was made from {origin}"
            there = OutputError(
                f"{output} exists, and {whose}", hint="-y replaces it; --template names another"
            )
            return _failed(source, output, there)
        self._number += 1
        return Added(job)


def _apart(first: Path, source: Source) -> str:
    """How two files with one output can be told apart."""
    if first.name == source.path.name:
        return "name the folder that both are in, whose tree is then mirrored, or another -o"
    return "--template '{name}.restored{suffix}'"


def _failed(source: Source, output: Path | None, error: Exception) -> Settled:
    return Settled(Item(source.path, output, "failed", failure=Failure.of(error)))


def _nothing(inputs: list[str], found: Sources) -> InputError:
    named = inputs[0] if len(inputs) == 1 else f"{len(inputs)} inputs"
    others = f", only {len(found.ignored)} other files" if found.ignored else ""
    return InputError(
        f"there is no video in {named}{others}", hint="name a file to have it tried all the same"
    )

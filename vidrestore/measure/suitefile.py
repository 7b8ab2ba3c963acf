"""Suites of the user's own, as TOML files.

    frames = 20                        # of each clip at most
    seed = 0
    tune = "clips/other.mp4"           # settings of filters are chosen on it

    [[case]]
    degrade = "awgn8:20"
    clips = ["clips/a.mp4", "clips/frames"]
    task = "denoise"                   # or one of the other tasks; usually clear from degrade
    name = "night"
    score_frames = [2, 5, 8]

    [[pair]]
    degraded = "tape.mp4"
    reference = "master.mp4"
    task = "denoise"

    [[method]]
    name = "hqdn3d"
    command = "ffmpeg -i {input} -vf hqdn3d -c:v ffv1 {output}"
    timeout_s = 600

Paths are relative to the file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from vidrestore.degrade import Degradation, MissingFrames, Stage, parse, parts_of
from vidrestore.errors import InputError, UsageError
from vidrestore.measure.cases import Case, CleanClips, Degraded, Pairs, Suite
from vidrestore.measure.external import TIMEOUT_S, Command
from vidrestore.network.shelf import TASKS

KEYS: Mapping[str, Mapping[str, type | tuple[type, ...]]] = {
    "": {"frames": int, "seed": int, "tune": str, "case": list, "pair": list, "method": list},
    "case": {"name": str, "task": str, "degrade": str, "clips": list, "score_frames": list},
    "pair": {"degraded": str, "reference": str, "task": str},
    "method": {"name": str, "command": str, "timeout_s": (int, float)},
}
NEEDED: Mapping[str, tuple[str, ...]] = {
    "": (),
    "case": ("degrade", "clips"),
    "pair": ("degraded", "reference"),
    "method": ("name", "command"),
}
PAIR_TASKS = tuple(task for task in TASKS if task != "interpolate")

Table = Mapping[str, Any]


def read_suite(path: Path, ffmpeg: str, frames: int | None, seed: int | None) -> Suite:
    """Read a suite file.

    Args:
        path: The file.
        ffmpeg: Path of the ffmpeg executable.
        frames: How many frames of each clip at most, whatever the file says.
        seed: Of all randomness, likewise.

    Raises:
        InputError: It cannot be read.
        UsageError: It is no TOML, or says something that nobody understands.
    """
    document = _checked("", _parsed(path), path)
    seed = document.get("seed", 0) if seed is None else seed
    limits = [limit for limit in (frames, document.get("frames")) if limit is not None]
    if any(limit < 1 for limit in limits):
        raise UsageError(f"{path}: frames below 1", hint="give how many frames to measure")
    reader = _Reader(path, ffmpeg, min(limits, default=None), seed, document.get("tune"))
    cases = [reader.case(_checked("case", each, path)) for each in document.get("case", [])]
    cases += reader.pairs([_checked("pair", each, path) for each in document.get("pair", [])])
    if not cases:
        raise UsageError(f"{path} has nothing to measure", hint="give it a [[case]] or a [[pair]]")
    twice = next(
        (case.name for case in cases if [c.name for c in cases].count(case.name) > 1), None
    )
    if twice is not None:
        raise UsageError(f"{path} has two cases called {twice}", hint="give one a name of its own")
    commands = tuple(
        Command.parse(each["name"], each["command"], float(each.get("timeout_s", TIMEOUT_S)))
        for each in (_checked("method", one, path) for one in document.get("method", []))
    )
    return Suite(path.stem, tuple(cases), seed, commands)


def task_of(degradation: Degradation) -> str:
    """What a degradation usually calls for."""
    stages = {part.stage for part in parts_of(degradation)}
    if isinstance(degradation, MissingFrames) or not degradation.known(1000).all():
        return "interpolate"
    if stages == {Stage.COMPRESSION}:
        return "deblock"
    if Stage.OPTICS not in stages:
        return "denoise"
    return "deblur" if stages == {Stage.OPTICS} else "mixed+deblur"


class _Reader:
    """Tables of one file to cases."""

    def __init__(
        self, path: Path, ffmpeg: str, frames: int | None, seed: int, tune: str | None
    ) -> None:
        self._path, self._ffmpeg, self._frames, self._seed = path, ffmpeg, frames, seed
        self._tune = None if tune is None else path.parent / tune

    def case(self, table: Table) -> Case:
        degradation = parse(table["degrade"], self._ffmpeg)
        if not table["clips"] or not all(isinstance(clip, str) for clip in table["clips"]):
            raise UsageError(
                f"{self._path}: clips must be names of files", hint='clips = ["a.mp4"]'
            )
        scored = table.get("score_frames", [])
        if not all(type(place) is int and place >= 0 for place in scored):
            raise UsageError(
                f"{self._path}: score_frames must be positions from 0", hint="[2, 5, 8]"
            )
        paths = tuple(self._path.parent / clip for clip in table["clips"])
        clean = CleanClips(paths, self._ffmpeg, self._frames)
        return Case(
            table.get("name", str(degradation)),
            self._task(table, TASKS) or task_of(degradation),
            Degraded(degradation, clean, self._seed, self._tune),
            tuple(scored),
        )

    def pairs(self, tables: Sequence[Table]) -> list[Case]:
        by_task: dict[str, list[tuple[Path, Path]]] = {}
        for table in tables:
            pair = tuple(self._path.parent / table[key] for key in ("degraded", "reference"))
            task = self._task(table, PAIR_TASKS) or "denoise"
            by_task.setdefault(task, []).append((pair[0], pair[1]))
        return [
            Case(f"pairs, {task}", task, Pairs(tuple(pairs), task, self._ffmpeg, self._frames))
            for task, pairs in by_task.items()
        ]

    def _task(self, table: Table, allowed: Sequence[str]) -> str | None:
        task: str | None = table.get("task")
        if task is not None and task not in allowed:
            raise UsageError(
                f"{self._path}: unknown task {task}", hint=f"use one of {', '.join(allowed)}"
            )
        return task


def _parsed(path: Path) -> Table:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"cannot read {path}: {cause}", hint="name a TOML file") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is no TOML: {error}", hint="see docs/benchmark.md") from error


def _checked(kind: str, table: object, path: Path) -> Table:
    """A table all of whose keys are known and of the right type, and which lacks none."""
    where = f"{path}: [[{kind}]]" if kind else str(path)
    if not isinstance(table, dict):
        raise UsageError(f"{where} must be a table", hint="see docs/benchmark.md")
    known = KEYS[kind]
    for key, value in table.items():
        if key not in known:
            near = get_close_matches(key, known, 1, 0)[0]
            raise UsageError(f"{where}: unknown key {key}", hint=f"did you mean {near}?")
        if not isinstance(value, known[key]) or isinstance(value, bool):
            raise UsageError(
                f"{where}: {key} = {value!r} is of the wrong type", hint="see docs/benchmark.md"
            )
    lacking = [key for key in NEEDED[kind] if key not in table]
    if lacking:
        raise UsageError(f"{where} lacks {lacking[0]}", hint="see docs/benchmark.md")
    return table

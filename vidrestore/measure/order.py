"""What a command line asks to be measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vidrestore.degrade import parse
from vidrestore.errors import UsageError
from vidrestore.measure.cases import Case, CleanClips, Degraded, Pairs, Suite
from vidrestore.measure.external import parse_method
from vidrestore.measure.suitefile import PAIR_TASKS, read_suite, task_of
from vidrestore.measure.suites import SUITES, Material, suite
from vidrestore.media.ffmpeg import find_ffmpeg
from vidrestore.network.shelf import TASKS


@dataclass(frozen=True)
class Order:
    """The arguments of `vidrestore benchmark` that say what to measure.

    Attributes:
        clips: Videos and folders; with `pairs` damaged clip and reference in turns.
        degrade: Spec of a degradation to do to them.
        suite: Name of a suite or of a TOML file.
        data: Folder for a suite.
        pairs: Whether the clips are pairs.
        task: What the model is asked for; None for what the damage calls for.
        methods: ``name=command`` of each.
        frames: How many frames of each clip at most.
        seed: Of all randomness; None for 0, or what a suite file says.
        ffmpeg: An ffmpeg other than the bundled one.
    """

    clips: tuple[Path, ...] = ()
    degrade: str | None = None
    suite: str | None = None
    data: Path | None = None
    pairs: bool = False
    task: str | None = None
    methods: tuple[str, ...] = ()
    frames: int | None = None
    seed: int | None = None
    ffmpeg: str | None = None


def ordered(order: Order) -> Suite:
    """The suite that a command line describes.

    Raises:
        UsageError: It asks for nothing, or for things that do not go together.
        InputError: A suite file or a folder of data cannot be read.
        FfmpegError: ffmpeg is missing.
    """
    if order.frames is not None and order.frames < 1:
        raise UsageError(f"--frames {order.frames}: no frame", hint="give 1 or more")
    asked = [order.degrade is not None, order.suite is not None, order.pairs]
    if sum(asked) != 1:
        raise UsageError(
            "say what to measure"
            if not any(asked)
            else "--degrade, --suite and --pairs exclude each other",
            hint="CLIPS --degrade SPEC, --suite NAME, or --pairs DEGRADED REFERENCE",
        )
    ffmpeg = find_ffmpeg(order.ffmpeg)
    commands = [parse_method(text) for text in order.methods]
    found = _suite(order, ffmpeg) if order.suite is not None else _single(order, ffmpeg)
    commands = [*found.commands, *commands]
    names = [command.name for command in commands]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two methods are called {twice}", hint="give each a name of its own")
    return replace(found, commands=tuple(commands))


def _suite(order: Order, ffmpeg: str) -> Suite:
    assert order.suite is not None
    if order.clips:
        raise UsageError(
            "a suite has clips of its own", hint="give --data DIR, or name clips in a suite file"
        )
    if order.task is not None:
        raise UsageError("a suite says itself what its tasks are", hint="leave --task out")
    if order.suite in (*SUITES, "all") or not order.suite.endswith(".toml"):
        return suite(order.suite, Material(ffmpeg, order.data, order.frames, order.seed or 0))
    if order.data is not None:
        raise UsageError("a suite file names its clips itself", hint="leave --data out")
    return read_suite(Path(order.suite), ffmpeg, order.frames, order.seed)


def _single(order: Order, ffmpeg: str) -> Suite:
    if order.data is not None:
        raise UsageError("--data is for a suite", hint="add --suite, or name the clips themselves")
    if not order.clips:
        raise UsageError("there are no clips to measure", hint="name videos or folders of images")
    seed = order.seed or 0
    case = _pairs(order, ffmpeg) if order.pairs else _degraded(order, seed, ffmpeg)
    return Suite(case.name, (case,), seed)


def _degraded(order: Order, seed: int, ffmpeg: str) -> Case:
    assert order.degrade is not None
    degradation = parse(order.degrade, ffmpeg)
    clean = CleanClips(order.clips, ffmpeg, order.frames)
    task = _task(order, TASKS) or task_of(degradation)
    return Case(str(degradation), task, Degraded(degradation, clean, seed))


def _pairs(order: Order, ffmpeg: str) -> Case:
    if len(order.clips) % 2:
        raise UsageError(
            f"--pairs with {len(order.clips)} files",
            hint="name each damaged clip and its reference: --pairs DEGRADED REFERENCE",
        )
    task = _task(order, PAIR_TASKS) or "denoise"
    pairs = tuple(zip(order.clips[::2], order.clips[1::2], strict=True))
    return Case("pairs", task, Pairs(pairs, task, ffmpeg, order.frames))


def _task(order: Order, allowed: Sequence[str]) -> str | None:
    if order.task is not None and order.task not in allowed:
        raise UsageError(f"unknown task {order.task}", hint=f"use one of {', '.join(allowed)}")
    return order.task

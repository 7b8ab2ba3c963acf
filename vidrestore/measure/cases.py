"""What is measured: clips, what was done to them, and what is fair to compare on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

from vidrestore.degrade import Degradation, Stage, parts_of, stored
from vidrestore.errors import InputError
from vidrestore.measure.clips import load_clips
from vidrestore.measure.external import Command
from vidrestore.measure.filters import (
    CHAIN,
    DCTDNOIZ,
    DEBLOCK,
    DEBLOCKERS,
    DENOISERS,
    SHARPENERS,
    UNSHARP,
    FfmpegFilter,
)
from vidrestore.measure.generated import TUNING
from vidrestore.measure.item import Clip, Given, Item
from vidrestore.measure.pairs import load_pair

TUNING_FRAMES = 8
LONG_FRAMES = 1000


@dataclass(frozen=True)
class CleanClips:
    """Clips without damage, read or drawn one after the other.

    Attributes:
        paths: Videos and folders of numbered images.
        scenes: Clips to draw, by name.
        frames: How many frames of each at most; None for all.
        ffmpeg: Path of the ffmpeg executable.
    """

    paths: tuple[Path, ...]
    ffmpeg: str
    frames: int | None = None
    scenes: Mapping[str, Callable[[], Clip]] = field(default_factory=dict)

    def load(self) -> Iterator[tuple[str, Clip]]:
        """Name and (T, H, W, 3) float32 RGB, [0, 1], of each.

        Raises:
            InputError: One cannot be read.
        """
        for path in self.paths:
            yield from load_clips(path, self.frames, self.ffmpeg)
        for name, draw in self.scenes.items():
            yield name, draw()[: self.frames]


class Source(Protocol):
    """Where damaged clips and their truth come from."""

    @property
    def filters(self) -> tuple[FfmpegFilter, ...]:
        """What of ffmpeg is meant for such damage; empty where frames are missing."""

    def items(self) -> Iterator[Item]:
        """The clips to score."""

    def tuning(self) -> Item | None:
        """Another clip, by which settings are chosen; None if there is none to be had."""


@dataclass(frozen=True)
class Case:
    """One line of a suite.

    Attributes:
        name: Tells it from the others.
        task: One of `shelf.TASKS`: what the model is asked for; several are joined by "+".
        source: Of its clips.
        scored: Positions of the frames to score, from 0; empty for all.
    """

    name: str
    task: str
    source: Source
    scored: tuple[int, ...] = ()


@dataclass(frozen=True)
class Suite:
    """All that one command measures.

    Attributes:
        name: What was asked for.
        cases: In order.
        seed: Of all randomness.
        commands: Methods beside the model and ffmpeg's filters.
        warnings: What to know before the figures are quoted.
    """

    name: str
    cases: tuple[Case, ...]
    seed: int = 0
    commands: tuple[Command, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Degraded:
    """Clean clips to which a degradation is done.

    Where the level is not told, the clip is clipped and rounded to 8 bits, as a file would hold it.

    Attributes:
        degradation: What is done.
        clean: To which clips.
        seed: Of its randomness.
        tune: Clip by which settings are chosen; None for a generated one.
    """

    degradation: Degradation
    clean: CleanClips
    seed: int = 0
    tune: Path | None = None

    @property
    def filters(self) -> tuple[FfmpegFilter, ...]:
        """See `Source`."""
        return filters_for(self.degradation)

    def items(self) -> Iterator[Item]:
        """See `Source`.

        Raises:
            InputError: A clip cannot be read, or no frame is missing between two others.
        """
        for name, clean in self.clean.load():
            yield self._degraded(name, clean)

    def tuning(self) -> Item:
        """See `Source`."""
        if self.tune is None:
            return self._degraded("generated/coffee", TUNING.clip())
        name, clean = next(load_clips(self.tune, TUNING_FRAMES, self.clean.ffmpeg))
        return self._degraded(name, clean)

    @property
    def _removes(self) -> bool:
        """Whether it takes frames out of a clip that is long enough."""
        return not self.degradation.known(LONG_FRAMES, self.seed).all()

    def _degraded(self, name: str, clean: Clip) -> Item:
        known = self.degradation.known(len(clean), self.seed)
        places = np.flatnonzero(known)
        if self._removes and known[: places[-1] + 1].all():
            raise InputError(
                f"{name} has {len(clean)} frames, too few for {self.degradation}: "
                "none is missing between two others",
                hint="give a longer clip",
            )
        degraded, told = self.degradation.apply(clean, self.seed)
        given = degraded if told is not None or not known.all() else stored(degraded)
        given = given * known[:, None, None, None]
        return Item(name, self.degradation.truth(clean), Given(given, known, told))


def filters_for(degradation: Degradation) -> tuple[FfmpegFilter, ...]:
    """What of ffmpeg is meant for a kind of damage."""
    stages = {part.stage for part in parts_of(degradation)}
    if Stage.TRANSPORT in stages:
        return ()
    noisy = bool(stages & {Stage.SENSOR, Stage.FILM})
    if Stage.OPTICS in stages:
        mixed = noisy or Stage.COMPRESSION in stages
        return (CHAIN, UNSHARP, DCTDNOIZ) if mixed else SHARPENERS
    if noisy:
        return (*DENOISERS, DEBLOCK) if Stage.COMPRESSION in stages else DENOISERS
    return DEBLOCKERS if Stage.COMPRESSION in stages else ()


class BlurredPhotos(Protocol):
    """A generator of blurred clips; see `degrade.photos.PhotoBlur`."""

    def clips(self, folder: Path | None = None, seed: int = 0) -> Iterator[tuple[str, Clip, Clip]]:
        """Name, sharp and blurred clip of each photo."""


@dataclass(frozen=True)
class Photos:
    """Photos to which camera and objects were moved while the shutter was open.

    Attributes:
        blur: The generator.
        folder: Of photos; None for those that ship with scikit-image.
        seed: Of all motion.
        count: How many photos at most; None for all.
    """

    blur: BlurredPhotos
    folder: Path | None = None
    seed: int = 0
    count: int | None = None

    @property
    def filters(self) -> tuple[FfmpegFilter, ...]:
        """See `Source`."""
        return (*SHARPENERS, CHAIN)

    def items(self) -> Iterator[Item]:
        """See `Source`."""
        for drawn in islice(self.blur.clips(self.folder, self.seed), self.count):
            yield _drawn(*drawn)

    def tuning(self) -> Item:
        """See `Source`: other motion over a photo of the generator's own."""
        return _drawn(*next(self.blur.clips(None, self.seed + 1)))


def _drawn(name: str, clean: Clip, blurred: Clip) -> Item:
    return Item(name, clean, Given(stored(blurred), np.ones(len(clean), bool)))


@dataclass(frozen=True)
class Pairs:
    """Somebody's damaged clips with their references.

    Attributes:
        pairs: Damaged clip and reference of each.
        task: What they need.
        ffmpeg: Path of the ffmpeg executable.
        frames: How many frames of each at most; None for all.
    """

    pairs: tuple[tuple[Path, Path], ...]
    task: str
    ffmpeg: str
    frames: int | None = None

    @property
    def filters(self) -> tuple[FfmpegFilter, ...]:
        """See `Source`."""
        sharpening = {"deblur": (*SHARPENERS, CHAIN), "mixed": (CHAIN, UNSHARP, DCTDNOIZ)}
        return sharpening.get(self.task, (*DENOISERS, DEBLOCK))

    def items(self) -> Iterator[Item]:
        """See `Source`.

        Raises:
            InputError: Two do not belong together.
        """
        for degraded, reference in self.pairs:
            yield load_pair(degraded, reference, self.frames, self.ffmpeg)

    def tuning(self) -> None:
        """See `Source`: nobody knows what was done to them."""

"""The suites that come with it, and how a folder of data is laid out for them.

DIR/denoise/       clean clips: folders of numbered images, or videos
DIR/interpolate/   sets of triplets: folders of 01_0.png, 01_1.png, 01_2.png, 02_0.png, ...
DIR/deblur/        sharp photos; without it those that ship with scikit-image
DIR/tune/          a clip by which settings of ffmpeg's filters are chosen; else a generated one
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vidrestore.degrade import parse
from vidrestore.errors import InputError, UsageError
from vidrestore.measure import generated
from vidrestore.measure.cases import Case, CleanClips, Degraded, Photos, Suite
from vidrestore.media.images import VIDEO_SUFFIXES

FRAMES = 10
PREDICTED_FRAMES = 20
PAPER_FRAMES = (2, 5, 8)
"""Frames of the first ten that figures of other denoisers are known for."""

OTHER_NOISE = {"x264:35": "deblock", "grain:20": "mixed", "lowlight:2": "mixed"}
"""What is not white, and the weights that are for it."""
LEVELS = (10, 20, 30, 40, 50)
GAPS = ("drop:2", "gap:1", "gap:2", "gap:3")
MIXTURE = "blur:motion=3-12,awgn8:20,x264:32"


@dataclass(frozen=True)
class Material:
    """What a suite is measured on.

    Attributes:
        ffmpeg: Path of the ffmpeg executable.
        data: Folder laid out as above; None for the example and generated clips.
        frames: How many frames of a clip at most; None for what each case is meant for.
        seed: Of all randomness.
    """

    ffmpeg: str
    data: Path | None = None
    frames: int | None = None
    seed: int = 0

    def clean(self, frames: int | None) -> CleanClips:
        """Clean clips, that many frames of each."""
        limits = [limit for limit in (frames, self.frames) if limit is not None]
        limit = min(limits, default=None)
        if self.data is None:
            return CleanClips(_example(), self.ffmpeg, limit, generated.MOVING)
        return CleanClips(_entries(self.data / "denoise"), self.ffmpeg, limit)

    def degraded(self, spec: str, frames: int | None) -> Degraded:
        """Clean clips with something done to them."""
        tune = None
        if self.data is not None and (self.data / "tune").is_dir():
            tune = _entries(self.data / "tune")[0]
        return Degraded(parse(spec, self.ffmpeg), self.clean(frames), self.seed, tune)


def suite(name: str, material: Material) -> Suite:
    """One of the suites that come with it, or all of them.

    Raises:
        UsageError: There is no such suite.
        InputError: The folder of data lacks what it needs.
    """
    if name != "all" and name not in SUITES:
        names = ", ".join([*SUITES, "all"])
        raise UsageError(f"unknown suite {name}", hint=f"use {names}, or a TOML file")
    chosen = SUITES if name == "all" else {name: SUITES[name]}
    cases = tuple(case for make in chosen.values() for case in make(material))
    warnings = []
    if material.data is None:
        clips = [path.stem for path in _example()] + list(generated.MOVING)
        warnings.append(
            f"without --data this is measured on {', '.join(clips)}: drawn clips, "
            "whose figures tell little about real ones"
        )
    return Suite(name, cases, material.seed, warnings=tuple(warnings))


def _denoise(material: Material) -> list[Case]:
    cases = [
        Case(
            f"{kind}:{level}", "denoise", material.degraded(f"{kind}:{level}", FRAMES), PAPER_FRAMES
        )
        for level in LEVELS
        for kind in ("awgn", "awgn8")
    ]
    cases += [
        Case(spec, task, material.degraded(spec, FRAMES)) for spec, task in OTHER_NOISE.items()
    ]
    still = CleanClips((), material.ffmpeg, material.frames, generated.STILL)
    seams = Degraded(parse("awgn:20", material.ffmpeg), still, material.seed)
    return [*cases, Case("awgn:20, windows", "denoise", seams)]


def _deblur(material: Material) -> list[Case]:
    from vidrestore.degrade.photos import DEBLUR, DEBLUR_CLEAN

    folder = None if material.data is None else material.data / "deblur"
    folder = folder if folder is not None and folder.is_dir() else None
    return [
        Case("blur 3-12 px, awgn8:2, x264:20", "deblur", Photos(DEBLUR, folder, material.seed)),
        Case("blur 1-6 px", "deblur", Photos(DEBLUR_CLEAN, folder, material.seed)),
    ]


def _interpolate(material: Material) -> list[Case]:
    cases = [Case(spec, "interpolate", material.degraded(spec, PREDICTED_FRAMES)) for spec in GAPS]
    if material.data is None:
        return cases
    triplets = Degraded(
        parse("drop:2", material.ffmpeg),
        CleanClips(_entries(material.data / "interpolate"), material.ffmpeg),
        material.seed,
    )
    return [Case("triplets, drop:2", "interpolate", triplets), *cases]


def _mixed(material: Material) -> list[Case]:
    return [Case(MIXTURE, "mixed+deblur", material.degraded(MIXTURE, FRAMES))]


SUITES: Mapping[str, Callable[[Material], list[Case]]] = {
    "denoise": _denoise,
    "deblur": _deblur,
    "interpolate": _interpolate,
    "mixed": _mixed,
}


def _entries(folder: Path) -> tuple[Path, ...]:
    """Folders and videos in a folder, by name."""
    if not folder.is_dir():
        raise InputError(
            f"there is no folder {folder}", hint="docs/benchmark.md says how --data is laid out"
        )
    found = [
        path
        for path in sorted(folder.iterdir())
        if path.is_dir() or path.suffix.lower() in VIDEO_SUFFIXES
    ]
    if not found:
        raise InputError(
            f"{folder} holds no clips", hint="put videos or folders of numbered images there"
        )
    return tuple(found)


def _example() -> tuple[Path, ...]:
    """The clean example, which is there in a checkout."""
    path = Path(__file__).parents[2] / "examples" / "clean.mp4"
    return (path,) if path.exists() else ()

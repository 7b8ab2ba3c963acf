"""Strips of pictures for docs/model.md: degraded, ffmpeg's best filter, ours, the truth.

    python benchmarks/strips.py [TASK ...] [--out docs] [--weights FOLDER]

What is shown is chosen by rule. Clips are drawn from photos that ship with scikit-image (public
domain or CC0), degraded and restored as `vidrestore benchmark` does. The filter beside the model is
the one with the best mean PSNR on these clips, set to what is best on another clip. Of all frames
of all clips, one strip shows the frame whose gain over that filter is the median, another the one
where it is least; each shows the square of the truth that has the most detail. For a missing frame
the degraded picture is the frame before. Prints the Markdown that goes with them.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from vidrestore.degrade import parse, stored
from vidrestore.degrade.photos import DEBLUR
from vidrestore.measure.cases import Case, CleanClips, Degraded, Photos
from vidrestore.measure.generated import Scene
from vidrestore.measure.item import Item
from vidrestore.measure.methods import Filter, Method, Models, Unavailable, interpolators
from vidrestore.measure.metrics import luma, mse, psnr_db
from vidrestore.measure.prediction import repeat
from vidrestore.measure.tuning import Tuner
from vidrestore.media.ffmpeg import find_ffmpeg

FRAMES = 9
CROP_PX = 96
STRIDE_PX = 8
SCALE = 2
GAP_PX = 6
BEST_QUALITY, LEAST_QUALITY = 85, 40
MOST_BYTES = 40_000

SCENES = {
    "astronaut": Scene("astronaut", pan_px=(2.7, 0.9), turn_deg=1.5),
    "chelsea": Scene("chelsea", pan_px=(0.4, 0.2), ball=True),
    "rocket": Scene("rocket", pan_px=(-3.5, 1.2), zoom=-0.15),
}
"""Not the coffee cup: filters are set on it."""

BLURRED = ("astronaut", "chelsea", "coffee", "rocket")
DEGRADED = {
    "noise": ("denoise", "awgn8:30"),
    "grain": ("mixed", "grain:12"),
    "lowlight": ("mixed", "lowlight:2"),
    "compression": ("deblock", "x264:35"),
    "interpolate": ("interpolate", "drop:2"),
    "mixture": ("mixed+deblur", "blur:motion=3-12,awgn8:20,x264:32"),
}
TASKS = (*DEGRADED, "deblur")

Picture = NDArray[np.float32]
"""(H, W, 3) RGB in [0, 1]."""


@dataclass(frozen=True)
class Frame:
    """A frame of a clip, and by name what was made of it."""

    clip: str
    number: int
    truth: Picture
    pictures: dict[str, Picture]

    @cached_property
    def psnr_db(self) -> dict[str, float]:
        """RGB PSNR of each picture."""
        errors = {name: mse(self.truth, picture) for name, picture in self.pictures.items()}
        return {name: psnr_db(error, 1.0) or math.inf for name, error in errors.items()}

    def gain_db(self, rival: str) -> float:
        """By how much ours is better."""
        return self.psnr_db["ours"] - self.psnr_db[rival]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs")
    parser.add_argument("--weights", type=Path, help="folder of weights; default: the package's")
    options = parser.parse_args()
    if unknown := set(options.tasks) - set(TASKS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(TASKS)}")
    ffmpeg = find_ffmpeg()
    models = Models(options.weights, "cpu", steps=None)
    with tempfile.TemporaryDirectory() as photos:
        for task in options.tasks or TASKS:
            case = made(task, ffmpeg, Path(photos))
            model = models.get(case.task)
            if isinstance(model, Unavailable):
                print(f"### {task}\n\n{model.reason}\n", flush=True)
            else:
                show(task, case, model, ffmpeg, options.out)


def made(task: str, ffmpeg: str, photos: Path) -> Case:
    """The clips of a task, and what is done to them."""
    if task == "deblur":
        for photo in BLURRED:
            cv2.imwrite(str(photos / f"{photo}.png"), getattr(data, photo)()[..., ::-1])
        return Case(str(DEBLUR), task, Photos(DEBLUR, photos))
    asked, spec = DEGRADED[task]
    scenes = {name: scene.clip for name, scene in SCENES.items()}
    clean = CleanClips((), ffmpeg, FRAMES, scenes)
    return Case(spec, asked, Degraded(parse(spec, ffmpeg), clean))


def show(task: str, case: Case, model: Method, ffmpeg: str, out: Path) -> None:
    """Measure a case, write its two strips, and print what they show."""
    rivals = {rival.name: rival for rival in filters(case, ffmpeg)}
    frames = [frame for item in case.source.items() for frame in scored(item, model, rivals)]
    best = max(rivals, key=lambda rival: mean(frame.psnr_db[rival] for frame in frames))
    frames.sort(key=lambda frame: frame.gain_db(best))
    settings = rivals[best].settings
    print(f"### {task}: `{case.name}`\n" + (f"\nFilter: `{settings}`\n" if settings else ""))
    chosen = {"": ("median", frames[(len(frames) - 1) // 2]), "-worst": ("worst", frames[0])}
    for suffix, (rank, frame) in chosen.items():
        path = out / f"strip-{task}{suffix}.webp"
        path.write_bytes(
            strip([frame.pictures[name] for name in ("degraded", best, "ours")], frame)
        )
        scores = frame.psnr_db
        print(
            f"![{task}, {rank} of {len(frames)} frames: degraded, {best}, ours, truth]"
            f"({path.name})\n\n"
            f"The {rank} of {len(frames)} frames, {frame.clip} {frame.number}: degraded "
            f"{scores['degraded']:.2f} dB, {best} {scores[best]:.2f}, ours {scores['ours']:.2f} "
            f"({frame.gain_db(best):+.2f}).\n",
            flush=True,
        )


def filters(case: Case, ffmpeg: str) -> list[Method]:
    """What of ffmpeg is meant for a case, set as the benchmark sets it."""
    candidates = case.source.filters
    tuning = case.source.tuning()
    if not candidates or tuning is None:
        return [each for each in interpolators(ffmpeg) if each.name == "minterpolate"]
    tuner = Tuner(ffmpeg)
    return [Filter(each.name, tuner.best(each, tuning), None, ffmpeg) for each in candidates]


def scored(item: Item, model: Method, rivals: dict[str, Method]) -> list[Frame]:
    """Every frame that the benchmark would score."""
    known = item.given.known
    made = {"ours": model.restore(item.given).clip}
    made |= {name: rival.restore(item.given).clip for name, rival in rivals.items()}
    places = np.arange(len(known))
    given = item.given.clip
    if not known.all():
        places = np.setdiff1d(places[: np.flatnonzero(known)[-1]], np.flatnonzero(known))
        made = {name: stored(clip) for name, clip in made.items()}
        given = repeat(given, known)
    versions = {"degraded": given, **made}
    return [
        Frame(
            item.name,
            int(place),
            item.truth[place],
            {name: clip[place].clip(0, 1) for name, clip in versions.items()},
        )
        for place in places
    ]


def strip(pictures: list[Picture], frame: Frame) -> bytes:
    """Pictures and the truth side by side, as WebP; only as much of them as has most detail."""
    rows, columns = busiest(frame.truth)
    parts: list[NDArray[np.uint8]] = []
    for picture in (*pictures, frame.truth):
        codes = np.rint(picture[rows, columns, ::-1] * 255).astype(np.uint8)
        parts.append(codes.repeat(SCALE, 0).repeat(SCALE, 1))
        parts.append(np.full((SCALE * CROP_PX, GAP_PX, 3), 255, np.uint8))
    joined = np.hstack(parts[:-1])
    for quality in range(BEST_QUALITY, LEAST_QUALITY, -5):
        _, content = cv2.imencode(".webp", joined, (cv2.IMWRITE_WEBP_QUALITY, quality))
        if len(content) <= MOST_BYTES:
            break
    return content.tobytes()


def busiest(truth: Picture) -> tuple[slice, slice]:
    """Rows and columns of the square with the most gradient energy."""
    down, across = np.gradient(luma(truth))
    energy = cv2.integral(np.square(down) + np.square(across))
    side, stride = CROP_PX, STRIDE_PX
    sums = energy[side:, side:] - energy[:-side, side:] - energy[side:, :-side]
    sums = (sums + energy[:-side, :-side])[::stride, ::stride]
    top, left = (stride * int(place) for place in np.unravel_index(sums.argmax(), sums.shape))
    return slice(top, top + side), slice(left, left + side)


if __name__ == "__main__":
    main()

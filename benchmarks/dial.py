"""The step dial: what more reverse steps do to each task, as a table for the model card.

    python benchmarks/dial.py CLIPS... [--frames 8] [--crop 384x288] [--steps 1 2 4 8] [--task T]

Each case is a kind of damage to the middle of the clips; deblurring is measured on photos that ship
with scikit-image, as in the suite. PSNR and SSIM are of RGB, VMAF of luma. Warping is the squared
difference of successive frames along the clean clip's motion over that of the clean clip: below 1
is smoothed, above 1 unsteady. The best PSNR, SSIM and VMAF of a case, and the warping that is
nearest to 1, are bold. A task without weights is left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidrestore.degrade import parse
from vidrestore.degrade.photos import DEBLUR
from vidrestore.errors import WeightsError
from vidrestore.measure.cases import Case, CleanClips, Degraded, Photos
from vidrestore.measure.item import Clip, Known
from vidrestore.measure.judge import Judge
from vidrestore.measure.methods import Predictor
from vidrestore.measure.rows import Figures, Row, summarise
from vidrestore.media.ffmpeg import find_ffmpeg
from vidrestore.network.diffuse import Restorer
from vidrestore.timing.fill import fill_clip

SPECS = {
    "denoise": ("awgn8:20", "awgn8:40"),
    "deblock": ("x264:35",),
    "mixed": ("grain:12", "lowlight:2"),
    "interpolate": ("drop:2",),
}
TASKS = (*SPECS, "deblur")
PHOTOS = 3
INPUT = "input"
COLUMNS: dict[str, tuple[str, Callable[[float], float]]] = {  # figure: format, what is best
    "psnr_db": ("{:.2f}", lambda db: db),
    "ssim": ("{:.4f}", lambda share: share),
    "vmaf": ("{:.1f}", lambda score: score),
    "warping_ratio": ("{:.2f}", lambda ratio: -abs(ratio - 1)),
}


@dataclass(frozen=True)
class Cropped(CleanClips):
    """Clean clips of which only the middle is used; None for all of it."""

    size_px: tuple[int, int] | None = None

    def load(self) -> Iterator[tuple[str, Clip]]:
        """See `CleanClips`."""
        for name, clip in super().load():
            across, down = self.size_px or (clip.shape[2], clip.shape[1])
            left, top = max(0, clip.shape[2] - across) // 2, max(0, clip.shape[1] - down) // 2
            yield name, np.ascontiguousarray(clip[:, top : top + down, left : left + across])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path, help="videos or folders of images")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--crop", default="384x288", metavar="WxH", help="or none")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--task", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    size_px = None
    if given.crop != "none":
        width, height = given.crop.split("x")
        size_px = int(width), int(height)
    ffmpeg = find_ffmpeg()
    clips = Cropped(tuple(given.clips), ffmpeg, given.frames, size_px=size_px)
    print("| task | on | steps | PSNR | SSIM | VMAF | warping |\n|---|---|---|---|---|---|---|")
    for task in given.task:
        try:
            restorer = Restorer(task, given.weights, given.device)
        except WeightsError as error:
            print(f"\n{task} is left out: {error}\n")
            continue
        for case in cases(task, clips, ffmpeg):
            measure(case, restorer, given.steps, Judge(ffmpeg))


def cases(task: str, clips: CleanClips, ffmpeg: str) -> list[Case]:
    if task == "deblur":
        return [Case(str(DEBLUR), task, Photos(DEBLUR, count=PHOTOS))]
    return [Case(spec, task, Degraded(parse(spec, ffmpeg), clips)) for spec in SPECS[task]]


def measure(case: Case, restorer: Restorer, steps: Sequence[int], judge: Judge) -> None:
    """Print the rows of a case: what was given, then each number of steps."""
    rows: list[Row] = []
    methods = [Predictor(str(count), dialled(restorer, count)) for count in steps]
    if case.task != "interpolate":  # of frames that are missing there is nothing to score
        methods.insert(0, Predictor(INPUT, lambda clip, known: clip))
    for item in case.source.items():
        rows += [judge.judge(case, item, method).row for method in methods]
    found = {summary.method: summary for summary in summarise(rows)}
    dial = [found[str(count)] for count in steps]
    for name in [method.name for method in methods]:
        cells = [cell(found[name], figure, dial) for figure in COLUMNS]
        print(f"| {case.task} | {case.name} | {name} | " + " | ".join(cells) + " |", flush=True)


def dialled(restorer: Restorer, steps: int) -> Callable[[Clip, Known], Clip]:
    """The network at a number of steps; it finds the noise level by itself."""

    def restore(clip: Clip, known: Known) -> Clip:
        if known.all():
            return restorer.restore_clip(clip, steps=steps)
        return np.asarray(fill_clip(clip, known, restorer, steps), np.float32)

    return restore


def cell(row: Figures, figure: str, dial: Sequence[Figures]) -> str:
    """A figure, bold if none on the dial is better once rounded."""
    form, worth = COLUMNS[figure]
    value = getattr(row, figure)
    if value is None:
        return ""
    rivals = [float(form.format(getattr(other, figure))) for other in dial]
    text = form.format(value)
    best = row in dial and worth(float(text)) >= max(map(worth, rivals))
    return f"**{text}**" if best else text


if __name__ == "__main__":
    main()

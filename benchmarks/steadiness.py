"""How steady denoised video is, and whether the joins of windows show: tables for the model card.

    python benchmarks/steadiness.py CLIPS... [--frames 64] [--shrink 2] [--crop 320x240]

Two generated clips with a still camera come before those given. Each is restored with noise of
sigma 20 (float, level told), with the same noise clipped to 8 bits (level estimated), and as it is,
which must change next to nothing.

Own: root of the clean clip's squared difference of successive frames along its motion, 8-bit units.
Warping: the restored clip's over the clean one's, squared; wanted 0.9 to 1.2. Where "own" is small,
as where nothing moves, what is left of the noise is compared with next to nothing. Seam: how much
more the brightness of still blocks repeats at the stride of the windows than in the clean clip;
wanted at most 0.1. It is an estimate from few strides, so the same figure of the clip restored in
one window, which has no joins, stands beside it. Join: the largest root mean square of a frame's
difference between the two, in 8-bit units: all that the joins can show.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from vidrestore.degrade import GaussianNoise
from vidrestore.measure.clips import load_clips
from vidrestore.measure.generated import Scene
from vidrestore.measure.item import Clip
from vidrestore.measure.metrics import score_clip
from vidrestore.measure.rows import mean
from vidrestore.measure.temporal import CleanMotion, Steadiness
from vidrestore.media.ffmpeg import find_ffmpeg
from vidrestore.network.diffuse import Restorer
from vidrestore.network.windows import WindowPlan
from vidrestore.picture.diagnosis import fitting
from vidrestore.picture.survey import FRAMES_PER_PLACE, PLACES, NoiseSurvey

STILL = {
    "generated/rocket": Scene("rocket", size_px=(192, 144), ball=True),
    "generated/astronaut": Scene("astronaut", size_px=(192, 144), ball=True),
}
Figures = tuple[float | None, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", nargs="*", type=Path, help="videos or folders of images")
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--shrink", type=int, default=2, help="source clips are compressed")
    parser.add_argument("--crop", default="320x240", metavar="WxH")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--overlap", type=int, default=WindowPlan().overlap_frames)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    plan = replace(WindowPlan(), overlap_frames=given.overlap)
    restorer = Restorer("denoise", given.weights, given.device)
    found: dict[str, list[Figures]] = {}
    print(f"windows of {plan.window_frames} frames that share {plan.overlap_frames}\n")
    print("| on | clip | own | PSNR | warping | seam | in one window | join |")
    print("|---|---|---|---|---|---|---|---|")
    for name, clip in clips(given):
        motion = CleanMotion(clip, plan.window_frames - plan.overlap_frames)
        for case, (noisy, told) in damaged(clip).items():
            sigma = level(noisy, given.weights) if told is None else told
            figures = measure(clip, motion, noisy, sigma, restorer, plan, given.steps)
            found.setdefault(case, []).append(figures)
            show(case, name, figures)
    for case, rows in found.items():
        show(case, "**mean**", tuple(mean(column) for column in zip(*rows, strict=True)))


def clips(given: argparse.Namespace) -> Iterator[tuple[str, Clip]]:
    """Still scenes, then the clips given, shrunk and cut to their middle."""
    for name, scene in STILL.items():
        yield name, replace(scene, frames=given.frames).clip()
    width, height = map(int, given.crop.split("x"))
    for path in given.clips:
        for name, clip in load_clips(path, given.frames, find_ffmpeg()):
            size = clip.shape[2] // given.shrink, clip.shape[1] // given.shrink
            small = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in clip]
            left, top = max(0, size[0] - width) // 2, max(0, size[1] - height) // 2
            yield name, np.stack(small)[:, top : top + height, left : left + width].clip(0, 1)


def damaged(clip: Clip) -> dict[str, tuple[Clip, float | None]]:
    """The clip with noise, and as it is; noise levels that may be told."""
    noise, noise8 = GaussianNoise(20), GaussianNoise(20, eight_bit=True)
    return {
        str(noise): noise.apply(clip, 0),
        str(noise8): noise8.apply(clip, 0),
        "clean": (clip, None),
    }


def level(clip: Clip, weights: Path | None) -> float:
    """The noise level that `--task auto` would tell the network."""
    starts = np.linspace(0, max(0, len(clip) - FRAMES_PER_PLACE), PLACES).astype(int)
    survey = NoiseSurvey.of(clip[start : start + FRAMES_PER_PLACE] for start in starts)
    return fitting(survey.samples, survey.sigma, survey.tones, weights).sigma


def measure(
    clean: Clip,
    motion: CleanMotion,
    noisy: Clip,
    sigma: float,
    restorer: Restorer,
    plan: WindowPlan,
    steps: int | None,
) -> Figures:
    """Root of the clean clip's own warping error, and the figures of the other columns."""
    joined = alone = restorer.restore_clip(noisy, sigma, steps, plan).clip(0, 1)
    if len(clean) > plan.window_frames:
        one = replace(plan, window_frames=len(clean))
        alone = restorer.restore_clip(noisy, sigma, steps, one).clip(0, 1)
    figures: Steadiness = motion.measure(joined)
    apart = 255 * np.sqrt(np.square(joined - alone).mean((1, 2, 3)))
    own = None
    if figures.warping_error is not None and figures.warping_ratio:
        own = 255 * float(np.sqrt(figures.warping_error / figures.warping_ratio))
    psnr_db = score_clip(clean, joined, with_ssim=False).psnr_db
    seam = motion.measure(alone).seam
    return own, psnr_db, figures.warping_ratio, figures.seam, seam, float(apart.max())


def show(case: str, name: str, figures: Figures) -> None:
    forms = ("{:.2f}", "{:.2f}", "{:.2f}", "{:+.3f}", "{:+.3f}", "{:.3f}")
    cells = ["" if v is None else f.format(v) for f, v in zip(forms, figures, strict=True)]
    print(f"| {case} | {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()

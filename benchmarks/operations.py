"""Quality per operation: PSNR against multiply-accumulates for a pixel, and what others reach.

    python benchmarks/operations.py CLIPS... [--sigma 20 30 50] [--steps 1 2]

The papers' protocol (noise in float, not clipped, level told; RGB, mean over clips of frames 2, 5
and 8 of the first ten). The others' figures were measured on bus and giant-slalom (DAVIS) and
tennis (derf), so that ours stand beside them only if those are the clips given. Their operations
are counted from the layers in their papers.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean

from vidrestore.degrade import GaussianNoise
from vidrestore.measure.clips import load_clips
from vidrestore.measure.item import Clip
from vidrestore.measure.metrics import score_clip
from vidrestore.measure.suites import FRAMES, PAPER_FRAMES
from vidrestore.media.ffmpeg import find_ffmpeg
from vidrestore.network.diffuse import Restorer

OTHERS: tuple[tuple[str, str, dict[int, float]], ...] = (
    # FFDNet (arXiv 1710.04026): 12 layers of 96 channels at half the resolution, 15 planes in.
    ("FFDNet colour, one frame", "213", {20: 33.69, 30: 31.83, 50: 29.67}),
    # DVDnet (arXiv 1906.11890): such a network for each frame, another of 6 layers for five frames.
    ("DVDnet, frame 3 alone", "313 and optical flow", {20: 35.01, 50: 30.97}),
    # FastDVDnet (arXiv 1907.01361): four U-Nets of 159, three of whose results can be kept. Its
    # paper has it level with DVDnet; it was not measured here.
    ("FastDVDnet, not measured", "636; 318 if results are kept", {}),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path, help="videos or folders of images")
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--sigma", type=int, nargs="+", default=[20, 30, 50])
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    restorer = Restorer("denoise", given.weights, given.device)
    ffmpeg = find_ffmpeg()
    clips = [clip for path in given.clips for _, clip in load_clips(path, given.frames, ffmpeg)]
    print(f"| | kMAC for a pixel | {' | '.join(f'sigma {s}' for s in given.sigma)} |")
    print("|---|---|" + "---|" * len(given.sigma))
    for name, operations, known in OTHERS:
        cells = [f"{known[sigma]:.2f}" if sigma in known else "" for sigma in given.sigma]
        print(f"| {name} | {operations} | {' | '.join(cells)} |")
    for steps in given.steps:
        later = (restorer.second or restorer.weights).net.spec.macs_per_pixel
        operations = f"{(restorer.net.spec.macs_per_pixel + (steps - 1) * later) / 1000:.0f}"
        cells = [f"{psnr_db(clips, sigma, steps, restorer):.2f}" for sigma in given.sigma]
        print(f"| **vidrestore**, steps {steps} | {operations} | {' | '.join(cells)} |", flush=True)


def psnr_db(clips: list[Clip], sigma: float, steps: int, restorer: Restorer) -> float:
    """Mean over clips of the frames that papers' figures are known for."""
    found = []
    for clip in clips:
        noisy, told = GaussianNoise(sigma).apply(clip, 0)
        restored = restorer.restore_clip(noisy, told, steps)
        places = [place for place in PAPER_FRAMES if place < len(clip)]
        scores = score_clip(clip[places], restored[places], with_ssim=False)
        found.append(scores.psnr_db or 0.0)
    return mean(found)


if __name__ == "__main__":
    main()

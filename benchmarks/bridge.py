"""The step dial and the leak, measured on clean clips.

    python benchmarks/bridge.py CLIPS... [--frames 10] [--sigma 20 50] [--steps 1 2 4 8]

The dial: PSNR, SSIM and gradient energy (1 is the truth's own) after K steps of the bridge, noise
as in the papers (float, not clipped, level known). The leak: PSNR of the network at t = 0.5 on an
x_t made from the truth, against that of the same network on a fresh clip at the noise level that
this x_t has. More than 0.3 dB above would mean that x_t gives away more than its noise level.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from numpy.typing import NDArray

from vidrestore.degrade import GaussianNoise
from vidrestore.measure.clips import load_clips
from vidrestore.measure.metrics import score_clip
from vidrestore.media.ffmpeg import find_ffmpeg
from vidrestore.network.bridge import interpolate
from vidrestore.network.diffuse import Levels, Restorer
from vidrestore.network.shelf import find

Clip = NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path, help="videos or folders of images")
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--sigma", type=float, nargs="+", default=[20.0, 50.0])
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    # A file by itself has no second look: its steps are along the bridge.
    restorer = Restorer("denoise", find("denoise", options.weights), options.device)
    ffmpeg = find_ffmpeg()
    clips = [clip for path in options.clips for _, clip in load_clips(path, options.frames, ffmpeg)]
    for sigma in options.sigma:
        for steps in options.steps:
            dial(restorer, clips, sigma, steps)
        leak(restorer, clips, sigma)


def dial(restorer: Restorer, clips: list[Clip], sigma: float, steps: int) -> None:
    scores = []
    for clip in clips:
        noisy, level = GaussianNoise(sigma).apply(clip, seed=0)
        scores.append(score_clip(clip, restorer.restore_clip(noisy, level, steps)))
    print(
        f"sigma {sigma:g}  steps {steps}: "
        f"PSNR {mean(s.psnr_db or 0 for s in scores):.2f} dB  "
        f"SSIM {mean(s.ssim or 0 for s in scores):.4f}  gradient energy "
        f"{mean(s.gradient_energy_ratio or 0 for s in scores):.3f}",
        flush=True,
    )


def leak(restorer: Restorer, clips: list[Clip], sigma: float) -> None:
    at_half, fresh = [], []
    for clip in clips:
        noisy, _ = GaussianNoise(sigma).apply(clip, seed=0)
        x_t = interpolate(torch.from_numpy(clip), torch.from_numpy(noisy), 0.5).numpy()
        levels = Levels(sigma, clipped=False).tensor(restorer.device)
        at_half.append(psnr_db(restorer, clip, x_t, 0.5 * levels))
        observed, _ = GaussianNoise(sigma / 2).apply(clip, seed=1)
        levels = Levels(sigma / 2, clipped=False).tensor(restorer.device)
        fresh.append(psnr_db(restorer, clip, observed, levels))
    print(
        f"sigma {sigma:g}  leak: {mean(at_half):.2f} dB on x_t at t = 0.5, {mean(fresh):.2f} dB "
        f"on a fresh clip at sigma {sigma / 2:g}: {mean(at_half) - mean(fresh):+.3f} dB "
        "(at most +0.3)",
        flush=True,
    )


def psnr_db(restorer: Restorer, clip: Clip, observed: Clip, levels: torch.Tensor) -> float:
    """PSNR of one call of the network, with the levels as given."""
    window = torch.from_numpy(observed).permute(0, 3, 1, 2)[None].to(restorer.device)
    height, width = (size // 8 * 8 for size in clip.shape[1:3])
    with torch.no_grad():
        restored = restorer.net(window[..., :height, :width], levels)[0].permute(0, 2, 3, 1).cpu()
    scores = score_clip(clip[:, :height, :width], restored.numpy(), with_ssim=False)
    return scores.psnr_db or 0.0


if __name__ == "__main__":
    main()

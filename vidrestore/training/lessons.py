"""What is trained, task by task: how windows become examples, and how progress is measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vidrestore.network import looks
from vidrestore.network.model import LEVELS, LOOKED_AGAIN, UNKNOWN, RestorationNet
from vidrestore.network.shelf import first_task
from vidrestore.timing.fill import CANDIDATES
from vidrestore.training.dataset import Batches, add_noise, change, detail
from vidrestore.training.missing import CLEAN_FRAMES, MARGIN_PX, hide_frames

VALIDATION_SIGMAS = (10, 20, 30, 50)
VALIDATION_WINDOWS = 8
VALIDATION_SIZE_PX = 128
PREDICTION_WINDOWS = 16
LEAST_MSE = 1e-7
"""Below what 8 bits can show; 70 dB."""

SMALLEST_ERROR = 0.004
"""A guess better than this, in [0, 1] units, needs no refinement."""

LEAST_BLUR_ERROR = 0.01
"""What is sharper than this, in [0, 1] units, has little to teach."""


@dataclass(frozen=True)
class Examples:
    """A batch of examples.

    Attributes:
        target: (B, T, 3, H, W) what the network is to say.
        degraded: The same shape, what it is given at t = 1.
        levels: (B, T, 4) what is wrong with it.
        candidates: (B, T, 4 N, H, W) what comes with missing frames; None without any.
        scale: (B,) error that counts as 1 in the loss of each window.
    """

    target: Tensor
    degraded: Tensor
    levels: Tensor
    candidates: Tensor | None
    scale: Tensor


class Lesson(ABC):
    """One task.

    Attributes:
        candidates: As in `ModelSpec`.
        margin_px: By how much clean windows are larger than the crop, on every side.
        clean_frames: Frames of a clean window; None if the user decides.
        photo_share: Share of windows cut from photos.
        full_share: Share of windows at t = 1, the deployed single step; the rest is uniform in t.
    """

    candidates = 0
    margin_px = 0
    clean_frames: int | None = None
    photo_share = 0.4
    full_share = 0.75

    @staticmethod
    def busy(window: Tensor) -> float:
        """How much a clean window (T, 3, H, W) has to teach."""
        return detail(window)

    @abstractmethod
    def examples(self, clean: Tensor, seed: int) -> Examples:
        """Make examples of clean windows, (B, T, 3, S, S) float32 in [0, 1]."""

    @abstractmethod
    def validate(self, net: RestorationNet, batches: Batches) -> dict[str, float]:
        """Mean PSNR in dB on held-out windows, by kind of example; one step."""


@dataclass(frozen=True)
class Denoising(Lesson):
    """Noise of every level up to `max_sigma`, in 8-bit units."""

    max_sigma: float

    def examples(self, clean: Tensor, seed: int) -> Examples:
        """Add noise; see `dataset.add_noise`."""
        generator = torch.Generator(clean.device).manual_seed(seed)
        target, degraded, levels = add_noise(clean, generator, self.max_sigma / 255)
        return Examples(target, degraded, levels, None, torch.ones_like(levels[:, 0, 0]))

    def held_out(self, batches: Batches) -> Iterator[tuple[str, Examples]]:
        """Windows at some noise levels."""
        clean = batches.held_out(VALIDATION_WINDOWS, _largest_px(batches))
        for sigma in VALIDATION_SIGMAS:
            generator = torch.Generator(clean.device).manual_seed(sigma)
            noise = torch.randn(clean.shape, generator=generator, device=clean.device)
            levels = torch.zeros(*clean.shape[:2], len(LEVELS), device=clean.device)
            levels[..., 0] = sigma / 255
            degraded = clean + noise * sigma / 255
            yield f"sigma {sigma}", Examples(clean, degraded, levels, None, levels[:, 0, 0])

    def validate(self, net: RestorationNet, batches: Batches) -> dict[str, float]:
        """PSNR by noise level."""
        scores: dict[str, float] = {}
        for kind, examples in self.held_out(batches):
            with torch.inference_mode():
                restored = net(examples.degraded, examples.levels)
            scores[kind] = _psnr_db(restored, examples.target)
        return scores


class Prediction(Lesson):
    """Missing frames, between two that are there or beyond the last."""

    candidates = CANDIDATES
    margin_px = MARGIN_PX
    clean_frames = CLEAN_FRAMES
    photo_share = 0.2  # a camera that moves over a photo uncovers nothing
    full_share = 0.9

    @staticmethod
    def busy(window: Tensor) -> float:
        """What stands still needs no prediction."""
        return change(window)

    def examples(self, clean: Tensor, seed: int) -> Examples:
        """Hide frames; see `missing.hide_frames`."""
        target, guess, levels, candidates = hide_frames(clean, np.random.default_rng(seed))
        # What cannot be predicted would drown what can: each window counts by how much better
        # than its guess it becomes.
        error = (guess - target).square().mean((1, 2, 3, 4)).sqrt()
        return Examples(target, guess, levels, candidates, error.clamp(min=SMALLEST_ERROR))

    def validate(self, net: RestorationNet, batches: Batches) -> dict[str, float]:
        """PSNR before and after refinement."""
        clean = batches.held_out(PREDICTION_WINDOWS, _largest_px(batches))
        examples = self.examples(clean, seed=0)
        with torch.inference_mode():
            restored = net(examples.degraded, examples.levels, examples.candidates)
        return {
            "guess": _psnr_db(examples.degraded, examples.target),
            "refined": _psnr_db(restored, examples.target),
        }


class Mixed(Lesson):
    """Blur, compression, grain, noise of low light, and their mixtures: whatever it may be.

    The network is not told what is wrong with a window, but how much of it is left on the way (t).
    """

    @staticmethod
    def busy(window: Tensor) -> float:
        """How much of the clean half there is to see."""
        return detail(window[:, :3])

    def examples(self, clean: Tensor, seed: int) -> Examples:
        """Take pairs apart, (B, T, 6, S, S)."""
        target, degraded = clean[:, :, :3], clean[:, :, 3:]
        levels = UNKNOWN.to(clean.device).expand(*clean.shape[:2], -1)
        return Examples(target, degraded, levels, None, torch.ones_like(levels[:, 0, 0]))

    def held_out(self, batches: Batches) -> Iterator[tuple[str, Examples]]:
        """Pairs by kind of damage."""
        for kind, pair in batches.held_out_pairs(VALIDATION_SIZE_PX):
            yield kind, self.examples(pair, seed=0)

    def validate(self, net: RestorationNet, batches: Batches) -> dict[str, float]:
        """Mean gain of PSNR over the input, by kind of damage."""
        found = self.held_out(batches)
        return _gains(net, ((kind, examples, examples.degraded) for kind, examples in found))


class Deblurring(Mixed):
    """Motion blur, and what a camera adds to it, beside what deconvolution makes of it."""

    candidates = looks.CANDIDATES["deblur"]
    full_share = 0.9

    def examples(self, clean: Tensor, seed: int) -> Examples:
        """Take apart what `blurs` has made, (B, T, 3 (2 + N), S, S)."""
        target, degraded, images = clean[:, :, :3], clean[:, :, 3:6], clean[:, :, 6:]
        # Without an estimate yet, the last image is the degraded window itself.
        first = (images[:, :, -3:] == degraded).flatten(1).all(1)[:, None, None]
        levels = torch.where(first, UNKNOWN.to(clean.device), LOOKED_AGAIN.to(clean.device))
        levels = levels.expand(*clean.shape[:2], -1)
        changes = images - degraded.repeat(1, 1, self.candidates, 1, 1)
        shares = torch.zeros_like(clean[:, :, : self.candidates])
        # A sharp window that was blurred a little counts as much as one that is lost.
        error = (degraded - target).square().mean((1, 2, 3, 4)).sqrt()
        told = torch.cat((changes, shares), dim=2)
        return Examples(target, degraded, levels, told, error.clamp(min=LEAST_BLUR_ERROR))


class LookingAgain(Lesson):
    """What a first look has made of the examples of another lesson, and what motion says to it.

    Args:
        task: Of the first look.
        lesson: Likewise.
        first: Its network.
    """

    full_share = 1.0  # what is shown follows from the degraded window; see `bridge`

    def __init__(self, task: str, lesson: Denoising | Mixed, first: RestorationNet) -> None:
        self._task = task
        self.candidates = looks.CANDIDATES[task]
        self._lesson = lesson
        self._first = first
        self.photo_share = lesson.photo_share
        self.busy = lesson.busy  # type: ignore[method-assign]

    def examples(self, clean: Tensor, seed: int) -> Examples:
        """Look at the other lesson's examples."""
        examples, _ = self._seen(self._lesson.examples(clean, seed))
        return examples

    def validate(self, net: RestorationNet, batches: Batches) -> dict[str, float]:
        """Mean gain of PSNR over the first look, by kind."""
        found = self._lesson.held_out(batches)
        return _gains(net, ((kind, *self._seen(given)) for kind, given in found))

    def _seen(self, given: Examples) -> tuple[Examples, Tensor]:
        """What is to be learned, and what the first look has made."""
        with torch.no_grad():
            estimate = self._first(given.degraded, given.levels)
        shown = [
            looks.again(self._task, window.cpu(), sharp.cpu())
            for window, sharp in zip(given.degraded, estimate, strict=True)
        ]
        starts, beside = (torch.stack(part).to(given.target) for part in zip(*shown, strict=True))
        levels = looks.told_again(self._task, given.levels)
        return Examples(given.target, starts, levels, beside, given.scale), estimate


def lesson(task: str, max_sigma: float, first: RestorationNet | None = None) -> Lesson:
    """The lesson for a task.

    Args:
        task: Such as "denoise".
        max_sigma: Strongest noise to denoise, 8-bit units.
        first: The network of the first look, for a task that looks again.
    """
    if task == "deblur":
        return Deblurring()
    if task == "interpolate":
        return Prediction()
    alone = Denoising(max_sigma) if first_task(task) == "denoise" else Mixed()
    return alone if first is None else LookingAgain(first_task(task), alone, first)


def _gains(net: RestorationNet, found: Iterable[tuple[str, Examples, Tensor]]) -> dict[str, float]:
    """Mean gain of PSNR by kind, over what there is already of each of some examples."""
    gains: dict[str, list[float]] = {}
    for kind, examples, already in found:
        with torch.inference_mode():
            restored = net(examples.degraded, examples.levels, examples.candidates)
        before = _psnr_db(already, examples.target)
        gains.setdefault(kind, []).append(_psnr_db(restored, examples.target) - before)
    return {kind: round(sum(gain) / len(gain), 3) for kind, gain in sorted(gains.items())}


def _largest_px(batches: Batches) -> int:
    smallest = min(min(clip.shape[1:3]) for clip in batches.material.videos)
    return min(VALIDATION_SIZE_PX, smallest // 8 * 8)


def _psnr_db(restored: Tensor, clean: Tensor) -> float:
    mse = (restored.clamp(0, 1) - clean).square().mean((2, 3, 4)).clamp(min=LEAST_MSE)
    return round(float(-10 * mse.log10().mean()), 3)

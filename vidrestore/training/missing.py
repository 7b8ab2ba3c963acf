"""Training windows of missing frames: guesses along the flow, as `fill` makes them, and the truth.

Clean windows of `CLEAN_FRAMES` frames are cut larger than the crop, so that motion can be found
beyond its edge. Frames are hidden, guessed from what is left, and cropped.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from vidrestore.measure.metrics import luma_codes
from vidrestore.network.align import Drift, Motion
from vidrestore.network.model import LEVELS
from vidrestore.timing.fill import Guess, Image

CLEAN_FRAMES = 5
MISSING_FRAMES = 2
MARGIN_PX = 16
"""Seen by the flow on every side of the crop."""

# (left, missing, right) of the frames hidden from a window, and how often each pattern is drawn.
_PATTERNS: tuple[tuple[float, tuple[tuple[int, int, int], ...]], ...] = (
    (0.5, ((0, 1, 2), (2, 3, 4))),
    (0.1, ((0, 1, 4), (0, 2, 4))),
    (0.1, ((0, 2, 4), (0, 3, 4))),
    (0.2, ((0, 1, 3), (0, 2, 3))),
)
"""What is left of the probability are frames beyond the last: 2 and 3, predicted from 0 and 1."""


def hide_frames(
    clean: Tensor, random: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hide frames of clean windows and guess them.

    Args:
        clean: (B, CLEAN_FRAMES, 3, S, S) float32 in [0, 1].
        random: Decides which frames, and how the others are degraded: half of the windows keep
            their neighbours clean, the others have a little noise or compression, as restored
            video does.

    Returns:
        Target and guesses, both (B, MISSING_FRAMES, 3, crop, crop) with crop = S - 2 MARGIN_PX;
        levels (B, MISSING_FRAMES, 4); candidates (B, MISSING_FRAMES, 4 * CANDIDATES, crop, crop).
    """
    target, guessed, candidates = [], [], []
    inner = slice(MARGIN_PX, clean.shape[-1] - MARGIN_PX)
    for window in clean.cpu():
        truth = window.permute(0, 2, 3, 1).contiguous().numpy()
        chosen, guesses = _guesses(_used(truth, random), random)
        target.append(window[chosen])
        guessed.append(_stacked([guess.rgb for guess in guesses]))
        candidates.append(_stacked([guess.candidates for guess in guesses]))
    levels = torch.zeros(len(clean), MISSING_FRAMES, len(LEVELS))
    levels[..., LEVELS.index("missing")] = 1
    cropped = (torch.stack(part)[..., inner, inner] for part in (target, guessed, candidates))
    first, second, third = (part.to(clean.device) for part in cropped)
    return first, second, levels.to(clean.device), third


def _guesses(window: Image, random: np.random.Generator) -> tuple[list[int], list[Guess]]:
    lumas = [luma_codes(frame) for frame in window]
    shares = [share for share, _ in _PATTERNS]
    drawn = int(np.searchsorted(np.cumsum(shares), random.random(), side="right"))
    pattern: tuple[tuple[int, int, int], ...] = ()
    if drawn < len(_PATTERNS):
        pattern = _PATTERNS[drawn][1]
    guesses = []
    motions: dict[tuple[int, int], Motion] = {}
    for left, missing, right in pattern:
        if (left, right) not in motions:
            motions[left, right] = Motion(lumas[left], lumas[right])
        alignment = motions[left, right].at((missing - left) / (right - left))
        guesses.append(Guess.along(alignment, window[left], window[right]))
    if pattern:
        return [missing for _, missing, _ in pattern], guesses
    drift, beyond = Drift(lumas[0], lumas[1]), [2, 3]
    return beyond, [Guess.along(drift.at(index - 1), window[1], window[1]) for index in beyond]


def _used(truth: Image, random: np.random.Generator) -> Image:
    """The window as its neighbours are: clean, a little noisy, or compressed."""
    kind = random.random()
    if kind < 0.25:
        sigma = random.uniform(0, 6) / 255
        noise: Image = random.normal(0, sigma, truth.shape).astype(np.float32)
        return truth + noise
    if kind < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(30, 96))]
        return np.stack([_compressed(frame, quality) for frame in truth])
    return truth


def _compressed(frame: Image, quality: Sequence[int]) -> Image:
    codes = np.rint(frame * 255).astype(np.uint8)
    stored = cv2.imdecode(cv2.imencode(".jpg", codes, quality)[1], cv2.IMREAD_UNCHANGED)
    assert stored is not None
    return np.asarray(stored, np.float32) / np.float32(255)


def _stacked(images: Sequence[Image]) -> Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)

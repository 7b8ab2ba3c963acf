"""Clean clips and what becomes of them, made once and kept as files: encoders are slow.

What is done to a clip is drawn from `KINDS` as a spec of `degrade`, so that a pair follows from its
number, the seed and the material.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidrestore.degrade import parse
from vidrestore.training.dataset import Batches, Material

FRAMES = 16
SIZE_PX = 192
PHOTO_SHARE = 0.4
_SALT = 0x7072

Draw = np.random.Generator
Codes = NDArray[np.uint8]


def make_pairs(
    material: Material, folder: Path, count: int, seed: int, kinds: Sequence[str]
) -> None:
    """Write pairs into a folder, as `NUMBER-KIND.npy`, (2, 16, 192, 192, 3) uint8 RGB each.

    Those that are there already are kept.

    Args:
        material: What to cut the clean clips from.
        folder: Made if missing.
        count: How many pairs the folder shall hold.
        seed: Decides everything.
        kinds: Of damage, names in `KINDS`.

    Raises:
        InputError: If a clip is smaller than a pair.
        FfmpegError: If an encoder failed.
    """
    windows = Batches(
        material, batch=1, frames=FRAMES, crop_px=SIZE_PX, seed=seed, photo_share=PHOTO_SHARE
    )
    for number in range(count):
        kind, spec = drawn(np.random.default_rng((seed, number, _SALT)), kinds)

        def made(number: int = number, spec: str = spec) -> Codes:
            degradation = parse(spec)
            clean = windows.clean(number)[0].permute(0, 2, 3, 1).numpy()
            degraded, _ = degradation.apply(clean, number)
            return np.stack((codes(degradation.truth(clean)), codes(degraded)))

        write_once(folder, number, kind, made)


def write_once(folder: Path, number: int, kind: str, make: Callable[[], Codes]) -> Path:
    """Write `NUMBER-KIND.npy` into a folder, made if missing, unless it is there already."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{number:05d}-{kind}.npy"
    if path.exists():
        return path
    temporary = folder / "unfinished"
    with temporary.open("wb") as file:
        np.save(file, make())
    temporary.replace(path)
    return path


def drawn(random: Draw, kinds: Sequence[str]) -> tuple[str, str]:
    """One of some kinds of damage, and its spec."""
    shares = np.array([KINDS[kind][0] for kind in kinds])
    kind = str(random.choice(list(kinds), p=shares / shares.sum()))
    return kind, KINDS[kind][1](random)


def _compression(random: Draw) -> str:
    if random.random() < 0.17:
        return f"mpeg2:{random.integers(5, 20)}"
    return f"{'x265' if random.random() < 0.2 else 'x264'}:{random.integers(24, 43)}"


def _grain(random: Draw) -> str:
    grain = f"grain:{random.uniform(3, 25):.1f}:size={random.uniform(0.3, 1.6):.2f}"
    return _perhaps_encoded(random, grain, 0.5, 12, 27)


def _low_light(random: Draw) -> str:
    gain, read = 10 ** random.uniform(-3.3, -1.6), 10 ** random.uniform(-3.5, -2)
    balance = f"{random.uniform(1.4, 2.2):.2f}/{random.uniform(1.2, 2):.2f}"
    noise = f"poisson:{gain:.5f}:read={read:.5f}:balance={balance}"
    return _perhaps_encoded(random, f"dark:{random.uniform(0, 4.5):.2f},{noise}", 0.4, 14, 28)


def _encoded_noise(random: Draw) -> str:
    return _perhaps_encoded(random, f"awgn8:{random.uniform(4, 30):.1f}", 1, 18, 37)


def _mixture(random: Draw) -> str:
    least_px, most_px = sorted(random.uniform(1, 13, 2))
    blur = f"blur:motion={least_px:.1f}-{most_px:.1f}"
    if random.random() < 0.3:
        blur = f"blur:shutter={random.uniform(0.4, 1.4):.2f}"
    return _perhaps_encoded(random, f"{blur},awgn8:{random.uniform(5, 30):.1f}", 0.9, 24, 36)


def _nothing(random: Draw) -> str:
    """Almost nothing: what is clean must stay so."""
    return f"x264:{random.integers(4, 15)}"


def _perhaps_encoded(random: Draw, spec: str, share: float, best: int, worst: int) -> str:
    encoded = random.random() < share
    return f"{spec},x264:{random.integers(best, worst + 1)}" if encoded else spec


KINDS: dict[str, tuple[float, Callable[[Draw], str]]] = {
    "compression": (0.25, _compression),
    "grain": (0.15, _grain),
    "lowlight": (0.2, _low_light),
    "noise": (0.1, _encoded_noise),
    "mixture": (0.2, _mixture),
    "clean": (0.1, _nothing),
}
"""Share and spec of each kind of damage."""

LESSONS: dict[str, Sequence[str]] = {"deblock": ("compression",), "mixed": tuple(KINDS)}
"""What is learned from for each task."""


def codes(clip: NDArray[np.float32]) -> Codes:
    """Values of any shape, nominal [0, 1], as 8 bits."""
    return np.asarray(np.rint(clip.clip(0, 1) * 255), np.uint8)

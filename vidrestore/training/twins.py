"""Clean clips and what becomes of them, made once and kept as files: encoders are slow.

What is done to a clip is drawn from `KINDS` as a spec of `degrade`, so that a pair follows from its
number, the seed and the material.
"""

from __future__ import annotations

from collections.abc import Callable
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


def make_pairs(material: Material, folder: Path, count: int, seed: int) -> None:
    """Write pairs into a folder, as `NUMBER-KIND.npy`, (2, 16, 192, 192, 3) uint8 RGB each.

    Those that are there already are kept.

    Args:
        material: What to cut the clean clips from.
        folder: Made if missing.
        count: How many pairs the folder shall hold.
        seed: Decides everything.

    Raises:
        InputError: If a clip is smaller than a pair.
        FfmpegError: If an encoder failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    there = {path.name.partition("-")[0] for path in folder.glob("*-*.npy")}
    windows = Batches(
        material, batch=1, frames=FRAMES, crop_px=SIZE_PX, seed=seed, photo_share=PHOTO_SHARE
    )
    for number in range(count):
        name = f"{number:05d}"
        if name in there:
            continue
        kind, spec = drawn(np.random.default_rng((seed, number, _SALT)))
        degradation = parse(spec)
        clean = windows.clean(number)[0].permute(0, 2, 3, 1).numpy()
        degraded, _ = degradation.apply(clean, number)
        temporary = folder / "unfinished"
        with temporary.open("wb") as file:
            np.save(file, np.stack((_codes(degradation.truth(clean)), _codes(degraded))))
        temporary.replace(folder / f"{name}-{kind}.npy")


def drawn(random: Draw) -> tuple[str, str]:
    """A kind of damage, and its spec."""
    shares = np.array([share for share, _ in KINDS.values()])
    kind = str(random.choice(list(KINDS), p=shares / shares.sum()))
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


def _nothing(random: Draw) -> str:
    """Almost nothing: what is clean must stay so."""
    return f"x264:{random.integers(4, 15)}"


def _perhaps_encoded(random: Draw, spec: str, share: float, best: int, worst: int) -> str:
    encoded = random.random() < share
    return f"{spec},x264:{random.integers(best, worst + 1)}" if encoded else spec


KINDS: dict[str, tuple[float, Callable[[Draw], str]]] = {
    "compression": (0.5, _compression),
    "grain": (0.14, _grain),
    "lowlight": (0.12, _low_light),
    "noise": (0.12, _encoded_noise),
    "clean": (0.12, _nothing),
}
"""Share and spec of each kind of damage."""


def _codes(clip: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(np.rint(clip.clip(0, 1) * 255), np.uint8)

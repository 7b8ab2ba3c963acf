"""Clips blurred by motion, what they were, and what deconvolution makes of them; made once.

Two in three are photos before which a camera shakes and something moves, the others real clips
whose own motion blurs them. Then comes what a camera adds: little noise, or much, and an encoder.
The images are those of a first look, and, as soon as there is a network, those of a second.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vidrestore.degrade import Degradation, parse
from vidrestore.degrade.degradation import Clip
from vidrestore.degrade.photos import FRAMES, PhotoBlur
from vidrestore.network import looks
from vidrestore.network.model import UNKNOWN, RestorationNet
from vidrestore.training.dataset import Batches, Material
from vidrestore.training.twins import Codes, codes, write_once

TASK = "deblur"
CANDIDATES = looks.CANDIDATES[TASK]
FILM_SHARE = 1 / 3
LARGEST_SIDE_PX = 1600
"""Photos are halved until their longer side is at most this: then they are sharp."""
PHOTO_PX = 448
"""Side of the part of a photo that a camera moves over."""
FILM_PX = 192
BLURS_PX = ((0, 3), (1, 6), (1, 6), (3, 12), (3, 12), (3, 12), (2, 8), (6, 16))
"""Shortest and longest path in one exposure, as `PhotoBlur` takes them."""
WANDER = (0.1, 0.5, 1.0, 1.0)
_SALT = 0x6462

Draw = np.random.Generator
Make = Callable[[int, Draw, Degradation | None], tuple[Clip, Clip]]


def make_blurred(
    material: Material, folder: Path, count: int, seed: int, net: RestorationNet | None = None
) -> None:
    """Write them into a folder, as `NUMBER-KIND.npy`, (2 + N, T, S, S, 3) uint8 RGB each.

    First the sharp clip, then the blurred one, then the N images of `looks.first`, or of
    `looks.again` in kinds that end in "again". Those that are there already are kept.

    Args:
        material: What to make them of: photos and videos, or either.
        folder: Made if missing.
        count: How many the folder shall hold.
        seed: Decides everything.
        net: For deblurring; None for first looks alone.

    Raises:
        InputError: If a clip is too small.
        FfmpegError: If an encoder failed.
    """
    films = None
    if material.videos:
        clips = Material(material.videos, [])
        films = Batches(clips, batch=1, frames=FRAMES, crop_px=FILM_PX, seed=seed)
    for number in range(count):
        random = np.random.default_rng((seed, number, _SALT))
        after = _after(random)
        is_film = films is not None and (random.random() < FILM_SHARE or not material.photos)
        make = partial(_film, films) if films and is_film else partial(_photo, material)
        kind = "film" if is_film else "photo"
        path = write_once(folder, number, kind, partial(_looked_at, make, number, random, after))
        if net is not None:
            write_once(folder, number, f"{kind}again", partial(_looked_at_again, path, net))


def _looked_at(make: Make, number: int, random: Draw, after: Degradation | None) -> Codes:
    pair = np.stack([codes(clip) for clip in make(number, random, after)])
    return _with_images(pair, looks.first(_window(pair[1])))


def _looked_at_again(path: Path, net: RestorationNet) -> Codes:
    clip: Codes = np.load(path)
    window, *images = (_window(part) for part in clip[1:])
    changes = [image - window for image in images]
    shares = torch.zeros_like(window[:, :1]).expand(-1, CANDIDATES, -1, -1)
    with torch.inference_mode():
        first = torch.cat((*changes, shares), dim=1)
        estimate = net(window[None], UNKNOWN[None, None], first[None])[0]
    return _with_images(clip[:2], looks.again(TASK, window, estimate)[1])


def _with_images(pair: Codes, looked: Tensor) -> Codes:
    """A pair, and the images less its blurred clip, (T, 4 N, S, S), added to it."""
    changes = looked[:, : 3 * CANDIDATES].unfold(1, 3, 3)  # (T, N, S, S, 3)
    images = changes.transpose(0, 1).numpy() + pair[1] / np.float32(255)
    return np.concatenate((pair, codes(images)))


def _window(clip: Codes) -> Tensor:
    """(T, S, S, 3) codes to (T, 3, S, S) float32."""
    return torch.from_numpy(clip).permute(0, 3, 1, 2).float() / 255


def _film(
    films: Batches, number: int, random: Draw, after: Degradation | None
) -> tuple[Clip, Clip]:
    sharp = films.clean(number)[0].permute(0, 2, 3, 1).contiguous().numpy()
    blurred, _ = parse(f"blur:shutter={random.uniform(0.4, 1.6):.2f}").apply(sharp, number)
    if after is not None:
        blurred, _ = after.apply(blurred, number)
    return sharp, blurred


def _photo(
    material: Material, number: int, random: Draw, after: Degradation | None
) -> tuple[Clip, Clip]:
    least_px, most_px = BLURS_PX[int(random.integers(len(BLURS_PX)))]
    wander = WANDER[int(random.integers(len(WANDER)))]
    blur = PhotoBlur(least_px, most_px, after, wander)
    photo, other = (_part(material, random) for _ in range(2))
    return blur.pair(photo, other, random, number)


def _part(material: Material, random: Draw) -> Clip:
    """A part of a photo, (PHOTO_PX, PHOTO_PX, 3), or less if the photo is smaller."""
    photo = material.photos[int(random.integers(len(material.photos)))]
    plane = photo.permute(2, 0, 1)[None].float() / 255
    while max(plane.shape[2:]) > LARGEST_SIDE_PX:
        plane = F.avg_pool2d(plane, 2)
    top, left = (int(random.integers(max(1, side - PHOTO_PX + 1))) for side in plane.shape[2:])
    part = plane[0, :, top : top + PHOTO_PX, left : left + PHOTO_PX]
    return part.permute(1, 2, 0).contiguous().numpy()


def _after(random: Draw) -> Degradation | None:
    """What a camera adds."""
    drawn = random.random()
    if drawn < 0.25:
        return None
    if drawn < 0.7:
        return parse(f"awgn8:{random.uniform(0.5, 4):.1f},x264:{random.integers(15, 25)}")
    return parse(f"awgn8:{random.uniform(4, 25):.1f},x264:{random.integers(20, 36)}")

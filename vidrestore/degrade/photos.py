"""Blurred clips with known truth, made of photos: the camera shakes, and something moves in front.

The scene is rendered many times while the shutter is open, and the pictures are averaged in linear
light. The truth is the picture in the middle of that time. Everything is drawn from the seed and
the number of the photo, so the clips are the same wherever they are made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vidrestore.degrade.coding import VideoCodec
from vidrestore.degrade.curve import to_code, to_linear
from vidrestore.degrade.degradation import Clip, Degradation
from vidrestore.degrade.mixture import mixture
from vidrestore.degrade.noise import GaussianNoise
from vidrestore.errors import InputError

Picture = npt.NDArray[np.float32]
Path2 = npt.NDArray[np.float64]

PHOTOS = ("astronaut", "camera", "chelsea", "coffee", "rocket", "stereo_motorcycle")
"""What scikit-image carries of ordinary photos."""
FRAMES = 9
SIZE_PX = 256
SHARP_SIDE_PX = 768
"""Photos whose shorter side has at least so many pixels are halved: then they are sharp, and what a
JPEG has done to them is gone."""
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff"})
STEPS_PER_FRAME = 120
SUBFRAMES_PER_PX = 2
FEWEST_SUBFRAMES = 9
SHORTEST_SHUTTER = 0.5
PATCHES = 8
"""Places of a photo that an object may be cut from; the busiest is."""
ROLL_RAD = 0.01
"""How far a camera rolls to either side, with a blur of `ROLL_AT_PX`."""
ROLL_AT_PX = 12.0
_SALT = 0x7068


@dataclass(frozen=True)
class PhotoBlur:
    """A set of blurred clips.

    Attributes:
        least_px: Shortest path of the camera in one exposure, in pixels at the middle of the
            picture; that of the object is of the same kind, on top of the camera's.
        most_px: Longest path; the length wanders between the two.
        after: What is done to the blurred clip; None for nothing.
        wander: How much the motion changes its direction: 0 goes straight, 1 turns as a hand does
            that cannot hold still.
    """

    least_px: float
    most_px: float
    after: Degradation | None = None
    wander: float = 1.0

    def __str__(self) -> str:
        """What is done, for tables."""
        blur = f"shake and object motion {self.least_px:g}-{self.most_px:g} px"
        return blur if self.after is None else f"{blur}, {self.after}"

    def clips(self, folder: Path | None = None, seed: int = 0) -> Iterator[tuple[str, Clip, Clip]]:
        """Make the clips, one for each photo.

        Args:
            folder: Photos to use, by name; None for the six of `PHOTOS`.
            seed: Non-negative; decides all motion and noise.

        Yields:
            Name of the photo; the sharp clip and the blurred one, (9, 256, 256, 3) float32 RGB in
            [0, 1].

        Raises:
            InputError: The folder holds no photo, or one that is too small or cannot be read.
            FfmpegError: The encoder of `after` failed.
        """
        photos = _photos(folder)
        for number, (name, photo) in enumerate(photos):
            generator = np.random.default_rng((seed, number, _SALT))
            _, other = photos[(number + 1) % len(photos)]
            yield name, *self.pair(photo, other, generator, seed)

    def pair(
        self, photo: Picture, other: Picture, generator: np.random.Generator, seed: int
    ) -> tuple[Clip, Clip]:
        """Make one clip.

        Args:
            photo: (H, W, 3) float32 RGB in [0, 1].
            other: Another one, that an object is cut out of.
            generator: Of the motion.
            seed: Of what is done after.

        Returns:
            The sharp clip and the blurred one, as in `clips`.

        Raises:
            FfmpegError: The encoder of `after` failed.
        """
        clean, blurred = self._exposed(to_linear(photo), to_linear(other), generator)
        if self.after is not None:
            blurred, _ = self.after.apply(blurred, seed)
        return clean, blurred

    def _exposed(
        self, photo: Picture, other: Picture, generator: np.random.Generator
    ) -> tuple[Clip, Clip]:
        """A photo in linear light as a sharp clip and a blurred one, in code values."""
        shutter = generator.uniform(SHORTEST_SHUTTER, 1)
        scene = _Scene(photo, _Object.cut(other, generator))
        camera = self._motion(generator, shutter)
        thing = self._motion(generator, shutter)
        roll_phase, roll_speed = generator.uniform(0, 1), generator.uniform(0.1, 0.25)
        reach = int(np.ceil(SUBFRAMES_PER_PX * self.most_px / 2))
        half = max(FEWEST_SUBFRAMES // 2, reach)
        clean, blurred = [], []
        for frame in range(FRAMES):
            times = frame + shutter * np.linspace(-0.5, 0.5, 2 * half + 1)
            turns = np.sin(2 * np.pi * (roll_speed * times + roll_phase))
            roll = ROLL_RAD * self.most_px / ROLL_AT_PX * turns
            light = [
                scene.seen(*place)
                for place in zip(camera.at(times), roll, thing.at(times), strict=True)
            ]
            clean.append(to_code(light[half]))
            blurred.append(to_code(np.mean(light, axis=0, dtype=np.float32)))
        return np.stack(clean), np.stack(blurred)

    def _motion(self, generator: np.random.Generator, shutter: float) -> _Motion:
        return _Motion.draw(generator, self.least_px, self.most_px, shutter, self.wander)


DEBLUR = PhotoBlur(3, 12, mixture([GaussianNoise(2, eight_bit=True), VideoCodec("x264", 20)]))
"""As a camera makes them: blur, a little noise, and compression."""

DEBLUR_CLEAN = PhotoBlur(1, 6)
"""Blur alone."""


@dataclass(frozen=True)
class _Motion:
    """A path whose speed and direction change smoothly.

    Attributes:
        times: (N,) in frames.
        places: (N, 2) x and y in pixels at those times.
    """

    times: Path2
    places: Path2

    @classmethod
    def draw(
        cls,
        generator: np.random.Generator,
        least_px: float,
        most_px: float,
        shutter: float,
        wander: float,
    ) -> _Motion:
        """Draw a path of which each exposure takes a length between two."""
        times = np.linspace(-1, FRAMES, (FRAMES + 1) * STEPS_PER_FRAME + 1)
        slow, quick = generator.uniform(0.05, 0.15), generator.uniform(0.15, 0.45, 2)
        phases = generator.uniform(0, 1, 4)
        vigour = 0.5 + 0.5 * np.sin(2 * np.pi * (slow * times + phases[0]))
        speed = (least_px + (most_px - least_px) * vigour) / shutter
        waves = np.sin(2 * np.pi * (quick * times[:, None] + phases[1:3])).sum(1)
        heading = 2 * np.pi * phases[3] + wander * np.pi / 2 * waves
        steps = speed[:, None] * np.stack((np.cos(heading), np.sin(heading)), 1) / STEPS_PER_FRAME
        places = np.cumsum(steps, axis=0)
        return cls(times, places - places[len(places) // 2])

    def at(self, times: Path2) -> Path2:
        """Places (T, 2) at times (T,)."""
        return np.stack([np.interp(times, self.times, axis) for axis in self.places.T], 1)


@dataclass(frozen=True)
class _Object:
    """Something that moves: an ellipse cut out of another photo.

    Attributes:
        light: (h, w, 4) linear light times coverage, and coverage.
        place: Where its middle is at rest, x and y from the middle of the picture.
    """

    light: Picture
    place: Path2

    @classmethod
    def cut(cls, photo: Picture, generator: np.random.Generator) -> _Object:
        """Cut one out."""
        radii = generator.uniform(0.1, 0.2, 2) * SIZE_PX
        half = np.ceil(radii).astype(int) + 2
        rows, columns = 2 * half[1] + 1, 2 * half[0] + 1
        corners = generator.integers(0, np.array(photo.shape[:2]) - (rows, columns), (PATCHES, 2))
        patches = [photo[top : top + rows, left : left + columns] for top, left in corners]
        patch = max(patches, key=lambda patch: float(patch.std()))  # flat ones show no blur
        y, x = np.mgrid[-half[1] : half[1] + 1, -half[0] : half[0] + 1]
        away = np.hypot(x / radii[0], y / radii[1])
        cover = np.clip((1 - away) * radii.min() + 0.5, 0, 1).astype(np.float32)[..., None]
        place = generator.uniform(-0.15, 0.15, 2) * SIZE_PX
        return cls(np.concatenate((patch * cover, cover), 2), place)


@dataclass(frozen=True)
class _Scene:
    """A photo (H, W, 3) in linear light, and something in front of it."""

    photo: Picture
    thing: _Object

    def seen(self, camera: Path2, roll: float, thing: Path2) -> Picture:
        """The picture (256, 256, 3) from where the camera is, with the object where it is."""
        import cv2

        cos, sin = np.cos(roll), np.sin(roll)
        turned = np.array([[cos, -sin], [sin, cos]])
        middle = np.full(2, (SIZE_PX - 1) / 2)

        def looked(picture: Picture, at: Path2, border: int) -> Picture:
            origin = (np.array(picture.shape[1::-1]) - 1) / 2 + at
            # From a place in the result to one in the source, as WARP_INVERSE_MAP wants it.
            matrix = np.concatenate((turned, (origin - turned @ middle)[:, None]), 1)
            flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
            size = (SIZE_PX, SIZE_PX)
            warped = cv2.warpAffine(picture, matrix, size, flags=flags, borderMode=border)
            return np.asarray(warped.clip(0, 1), np.float32)

        behind = looked(self.photo, camera, cv2.BORDER_REFLECT_101)
        before = looked(self.thing.light, camera - self.thing.place - thing, cv2.BORDER_CONSTANT)
        return np.asarray(before[..., :3] + (1 - before[..., 3:]) * behind, np.float32)


def _photos(folder: Path | None) -> list[tuple[str, Picture]]:
    """Names and photos (H, W, 3), float32 RGB in [0, 1]."""
    if folder is None:
        return [(name, _shipped(name)) for name in PHOTOS]
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise InputError(f"{folder} holds no photos", hint="name a folder of PNG or JPEG files")
    return [(path.stem, _read(path)) for path in files]


def _shipped(name: str) -> Picture:
    import skimage.data

    loaded = getattr(skimage.data, name)()
    photo = loaded[0] if isinstance(loaded, tuple) else loaded
    if photo.ndim == 2:
        photo = np.repeat(photo[..., None], 3, axis=2)
    return np.ascontiguousarray(photo[..., :3] / np.float32(255), np.float32)


def _read(path: Path) -> Picture:
    import cv2

    loaded = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if loaded is None:
        raise InputError(f"{path} cannot be read", hint="give PNG, JPEG or TIFF")
    photo = np.ascontiguousarray(loaded[..., ::-1] / np.float32(255), np.float32)
    while min(photo.shape[:2]) >= SHARP_SIDE_PX:
        half = (photo.shape[1] // 2, photo.shape[0] // 2)
        photo = np.asarray(cv2.resize(photo, half, interpolation=cv2.INTER_AREA), np.float32)
    if min(photo.shape[:2]) < SIZE_PX:
        raise InputError(f"{path} is smaller than {SIZE_PX} px", hint="leave it out of the folder")
    return photo

"""Blur in linear light: a shaking camera, real motion while the shutter is open, and defocus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from vidrestore.degrade.curve import to_code, to_linear
from vidrestore.degrade.degradation import Clip, Degradation, Stage, number

Kernel = npt.NDArray[np.float32]
Path = npt.NDArray[np.float64]

_SHAKE_SALT = 0x73
WAVES = 6
SLOWEST, FASTEST = 0.03, 0.4
"""Of a hand, in cycles per frame: 1 to 12 Hz at 30 frames a second."""
VIGOUR = 0.06
"""How often the length of the path goes up and down, in cycles per frame."""
SHORTEST_SHUTTER = 0.3
"""Shutters are open for between this share of a frame's time and all of it."""
SAMPLES_PER_PX = 4


@dataclass(frozen=True)
class ShakeBlur(Degradation):
    """What a hand-held camera does while its shutter is open.

    The camera moves along a sum of sine waves, drawn once from the seed, so that the blur of one
    frame resembles that of the next. The mean of the path stays where the sharp frame is.

    Attributes:
        least_px: Shortest path of one exposure in pixels.
        most_px: Longest path; the length wanders between the two.
    """

    stage: ClassVar[Stage] = Stage.OPTICS
    least_px: float
    most_px: float

    def __str__(self) -> str:
        """The spec, as `parse` reads it."""
        least, most = number(self.least_px), number(self.most_px)
        return f"blur:motion={least}" if least == most else f"blur:motion={least}-{most}"

    def apply(self, clip: Clip, seed: int, first_frame: int = 0) -> tuple[Clip, float | None]:
        """Blur each frame along its path; see `Degradation.apply`."""
        shake = Shake.draw(seed)
        blurred = [
            convolve(frame, path_kernel(self.path(shake, first_frame + index)))
            for index, frame in enumerate(clip)
        ]
        return np.stack(blurred), None

    def path(self, shake: Shake, frame: int) -> Path:
        """Positions (N, 2) as x and y in pixels during one exposure; their mean is zero."""
        length_px = self.least_px + (self.most_px - self.least_px) * shake.vigour(frame)
        samples = 2 + int(np.ceil(SAMPLES_PER_PX * length_px))
        return scaled_path(shake.positions(shake.exposure(frame, samples)), length_px)


@dataclass(frozen=True)
class Shake:
    """A smooth random motion over time.

    Attributes:
        amplitude: (axes, WAVES) of each sine wave.
        frequency: (axes, WAVES) in cycles per frame.
        phase: (axes, WAVES) in turns.
        shutter: Share of a frame's time for which the shutter is open.
    """

    amplitude: Path
    frequency: Path
    phase: Path
    shutter: float

    @classmethod
    def draw(cls, seed: int, axes: int = 2) -> Shake:
        """Draw a motion; the last wave of the first axis tells how vigorous it is."""
        generator = np.random.default_rng((seed, _SHAKE_SALT))
        octaves = generator.uniform(np.log(SLOWEST), np.log(FASTEST), (axes, WAVES))
        frequency = np.exp(octaves)
        amplitude = generator.uniform(0.5, 1.5, (axes, WAVES)) / frequency**1.5  # mostly slow
        phase = generator.uniform(0, 1, (axes, WAVES))
        return cls(amplitude, frequency, phase, generator.uniform(SHORTEST_SHUTTER, 1))

    def exposure(self, frame: float, samples: int) -> Path:
        """Times (samples,) at which the shutter of a frame is open, in frames."""
        return frame + self.shutter * np.linspace(-0.5, 0.5, samples)

    def positions(self, times: Path) -> Path:
        """Positions (T, axes) at times (T,), in an unit of their own."""
        turns = self.frequency[None] * times[:, None, None] + self.phase[None]
        return np.asarray((self.amplitude[None] * np.sin(2 * np.pi * turns)).sum(2))

    def vigour(self, frame: float) -> float:
        """How long the path of a frame is between the shortest (0) and the longest (1)."""
        turns = VIGOUR * frame + self.phase[0, -1]
        return float(0.5 + 0.5 * np.sin(2 * np.pi * turns))


@dataclass(frozen=True)
class Defocus(Degradation):
    """A lens out of focus: every point becomes a disc.

    Attributes:
        radius_px: Of the disc.
    """

    stage: ClassVar[Stage] = Stage.OPTICS
    radius_px: float

    def __str__(self) -> str:
        """The spec, as `parse` reads it."""
        return f"blur:defocus={number(self.radius_px)}"

    def apply(self, clip: Clip, seed: int, first_frame: int = 0) -> tuple[Clip, float | None]:
        """Blur every frame alike; see `Degradation.apply`."""
        kernel = disc_kernel(self.radius_px)
        return np.stack([convolve(frame, kernel) for frame in clip]), None


@dataclass(frozen=True)
class FrameMean(Degradation):
    """A long exposure made of short ones: each frame becomes the mean of its neighbours.

    Real motion, such as that of clips with 60 frames a second, blurs as it would in a camera. The
    truth is the middle frame. At the ends of the clip the mean is taken over what is there.

    Attributes:
        frames: How many, an odd number.
    """

    stage: ClassVar[Stage] = Stage.OPTICS
    frames: int

    def __str__(self) -> str:
        """The spec, as `parse` reads it."""
        return f"blur:frames={self.frames}"

    @property
    def context_frames(self) -> int:
        """Half of the others."""
        return self.frames // 2

    def apply(self, clip: Clip, seed: int, first_frame: int = 0) -> tuple[Clip, float | None]:
        """Average neighbours; see `Degradation.apply`."""
        light = to_linear(clip)
        reach = self.context_frames
        means = [
            light[max(0, index - reach) : index + reach + 1].mean(0) for index in range(len(light))
        ]
        return to_code(np.stack(means)), None


def scaled_path(positions: Path, length_px: float) -> Path:
    """Positions (N, 2) stretched to a length, their mean moved to zero."""
    steps = np.hypot(*np.diff(positions, axis=0).T)
    stretch = length_px / max(float(steps.sum()), 1e-12)
    return np.asarray((positions - positions.mean(0)) * stretch)


def path_kernel(path: Path) -> Kernel:
    """Kernel (K, K), K odd, of sum 1: a point that moves along a path (N, 2) of x and y."""
    reach = int(np.ceil(np.abs(path).max())) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    corner = np.floor(path).astype(int)
    right, down = (path - corner).T
    x, y = (corner + reach).T
    for step_x, step_y in ((0, 0), (1, 0), (0, 1), (1, 1)):
        share = (right if step_x else 1 - right) * (down if step_y else 1 - down)
        np.add.at(kernel, (y + step_y, x + step_x), share)
    return np.asarray(kernel / len(path), np.float32)


def disc_kernel(radius_px: float) -> Kernel:
    """Kernel (K, K), K odd, of sum 1: a disc, its edge smoothed by oversampling."""
    fine = 8
    reach = int(np.ceil(radius_px))
    place = (np.arange((2 * reach + 1) * fine) + 0.5) / fine - reach - 0.5
    inside = place[:, None] ** 2 + place[None] ** 2 <= max(radius_px, 0.5 / fine * 2) ** 2
    size = 2 * reach + 1
    kernel = inside.reshape(size, fine, size, fine).mean((1, 3))
    return np.asarray(kernel / kernel.sum(), np.float32)


def convolve(frame: Clip, kernel: Kernel) -> Clip:
    """A frame (H, W, 3) blurred in linear light, mirrored at its edges."""
    import cv2

    turned = np.ascontiguousarray(kernel[::-1, ::-1])  # OpenCV correlates
    light = cv2.filter2D(to_linear(frame), -1, turned, borderType=cv2.BORDER_REFLECT_101)
    return to_code(np.asarray(light, np.float32))

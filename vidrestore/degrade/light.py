"""Too little light: darkening, and what a sensor makes of few photons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from vidrestore.degrade.curve import to_code, to_linear
from vidrestore.degrade.degradation import Clip, Degradation, Stage, number

_SENSOR_SALT = 0x70


@dataclass(frozen=True)
class Darkening(Degradation):
    """Less light. It is no fault to be mended: the truth is as dark.

    Attributes:
        stops: Linear light is divided by 2 to this power.
    """

    stage: ClassVar[Stage] = Stage.LIGHT
    stops: float

    def __str__(self) -> str:
        """The spec, as `parse` reads it."""
        return f"dark:{number(self.stops)}"

    def apply(self, clip: Clip, seed: int, first_frame: int = 0) -> tuple[Clip, float | None]:
        """Darken; see `Degradation.apply`."""
        return self.truth(clip), None

    def truth(self, clip: Clip) -> Clip:
        """The clip, as dark."""
        share = np.float32(2.0**-self.stops)
        return np.stack([to_code(to_linear(frame) * share) for frame in clip])


@dataclass(frozen=True)
class SensorNoise(Degradation):
    """Shot noise and read noise in linear light, then the camera's clipping and its curve.

    A channel of light x in [0, 1] becomes g P(x / g) + w r n, with P Poisson and n standard normal.
    Its gain g is w times the sensor's: raw red and blue are amplified by the white balance w, and
    their noise with them.

    Attributes:
        gain: Linear light, white being 1, for each photo-electron in green: 0.01 is 100 electrons
            in white.
        read: Standard deviation of the read noise in green, linear light.
        red: White balance of red against green.
        blue: White balance of blue.
    """

    stage: ClassVar[Stage] = Stage.SENSOR
    gain: float
    read: float = 0.002
    red: float = 2.0
    blue: float = 1.5

    def __str__(self) -> str:
        """The spec, as `parse` reads it."""
        balance = f"{number(self.red)}/{number(self.blue)}"
        return f"poisson:{number(self.gain)}:read={number(self.read)}:balance={balance}"

    def apply(self, clip: Clip, seed: int, first_frame: int = 0) -> tuple[Clip, float | None]:
        """Expose the clip; see `Degradation.apply`."""
        balance = np.array([self.red, 1, self.blue])
        gain, read = self.gain * balance, self.read * balance
        noisy = np.empty_like(clip, dtype=np.float32)
        for index, frame in enumerate(clip):
            generator = np.random.default_rng((seed, first_frame + index, _SENSOR_SALT))
            electrons = generator.poisson(to_linear(frame) / gain)
            noise = generator.standard_normal(frame.shape, dtype=np.float32)
            noisy[index] = to_code((gain * electrons + read * noise).astype(np.float32))
        return noisy, None

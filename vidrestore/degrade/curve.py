"""The sRGB curve between code values and linear light, in NumPy.

Light adds up in linear light, not in code values: blur and shot noise are formed there. Files do
not tell what curve their camera had; that of sRGB (IEC 61966-2-1) is what screens undo.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def to_linear(code: Floats) -> Floats:
    """Code values, any shape, clipped to [0, 1], to linear light in [0, 1]."""
    code = np.clip(code, 0, 1, dtype=np.float32)
    bent = ((code + np.float32(0.055)) / np.float32(1.055)) ** np.float32(2.4)
    return np.where(code <= 0.04045, code / np.float32(12.92), bent).astype(np.float32)


def to_code(light: Floats) -> Floats:
    """Linear light, any shape, clipped to [0, 1] as a camera does, to code values in [0, 1]."""
    light = np.clip(light, 0, 1, dtype=np.float32)
    bent = np.float32(1.055) * light ** np.float32(1 / 2.4) - np.float32(0.055)
    return np.where(light <= 0.0031308, light * np.float32(12.92), bent).astype(np.float32)

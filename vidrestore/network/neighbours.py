"""A frame and its neighbours, and where its pixels are in each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidrestore.network.align import Image, medium_flow, warp


@dataclass(frozen=True)
class Neighbours:
    """Frames around one of a window.

    Attributes:
        index: The frame.
        fields: Where its pixels are in each of them, (H, W, 2), by number in order; in itself
            they are where they are.
    """

    index: int
    fields: Mapping[int, Image]

    @classmethod
    def of(cls, seen: NDArray[np.uint8], index: int, reach: int) -> Neighbours:
        """Find the motion.

        Args:
            seen: (T, H, W) luma in which motion is found.
            index: The frame.
            reach: Frames on either side.
        """
        still = np.zeros((*seen.shape[1:], 2), np.float32)
        order = range(max(0, index - reach), min(len(seen), index + reach + 1))
        return cls(
            index, {u: medium_flow(seen[index], seen[u]) if u != index else still for u in order}
        )

    def within(self, reach: int) -> Neighbours:
        """Those that are not farther away."""
        near = {u: field for u, field in self.fields.items() if abs(u - self.index) <= reach}
        return Neighbours(self.index, near)

    def warped(self, frames: Image, u: int) -> Image:
        """One of some frames (T, H, W, C), warped to the frame; the frame, where there is none."""
        here: Image = frames[self.index]
        return here if u == self.index or u not in self.fields else warp(frames[u], self.fields[u])

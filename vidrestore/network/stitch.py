"""Weighted overlap-add of what overlapping windows and tiles say about the same pixel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import Tensor

from vidrestore.network.windows import Window

Item = TypeVar("Item")


def ramp(length: int, lead: int, tail: int) -> Tensor:
    """Weights of one window: 1 inside, rising over `lead` and falling over `tail`.

    The falling weights of a window and the rising ones of the next, over the same frames, sum to 1.

    Returns:
        (length,) float32 in (0, 1].
    """
    weights = torch.ones(length)
    if lead:
        weights[:lead] = (torch.arange(lead) + 1) / (lead + 1)
    if tail:
        weights[length - tail :] *= 1 - (torch.arange(tail) + 1) / (tail + 1)
    return weights


class Stitcher:
    """Adds up the residuals of a shot's windows and hands out frames that are complete."""

    def __init__(self) -> None:
        self._pending: Tensor | None = None  # what the windows so far say of the coming overlap

    def add(self, window: Window[Item], residual: Tensor) -> Iterator[Tensor]:
        """Take a window's residual; give those that no later window of the segment changes.

        Args:
            window: The next window of the stream.
            residual: (T, 3, H, W) float32; written to.

        Yields:
            (3, H, W) for each of `window.complete`, in order.
        """
        length, lead, tail = len(window.items), window.lead, window.tail
        weights = ramp(length, lead, tail).to(residual.device)[:, None, None, None]
        residual[:lead] *= weights[:lead]
        residual[length - tail :] *= weights[length - tail :]
        if lead and self._pending is not None:
            residual[:lead] += self._pending
        complete = length - tail
        self._pending = residual[complete:].clone() if tail else None
        yield from residual[:complete]

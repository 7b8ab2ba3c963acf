"""How much is held in memory at once: the sizes that a limit changes."""

from __future__ import annotations

import os
from dataclasses import dataclass

from vidrestore.network.windows import TILE_PX

QUEUE_FRAMES = 32


@dataclass(frozen=True)
class Footprint:
    """What may wait, and how much of the picture the network sees at once.

    Attributes:
        tile_px: Longest side of what the network sees at once.
        queue_frames: Frames that may wait before the network, and after it.
        decoder_threads: Threads of the decoder, each of which holds frames; None leaves it to
            ffmpeg.
        note: What a limit has changed, in a line; None if nothing.
    """

    tile_px: int = TILE_PX
    queue_frames: int = QUEUE_FRAMES
    decoder_threads: int | None = None
    note: str | None = None


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

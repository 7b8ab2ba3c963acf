"""Simple ways to make missing frames out of those that are left.

The protocol is that of the interpolation papers: RGB, rounded to 8 bits as files hold it, only the
predicted frames scored, PSNR averaged over them. Frames behind the last one that is left have a
neighbour on one side only, which is another problem: they are scored apart.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from vidrestore.measure.baselines import minterpolate

Clip = npt.NDArray[np.float32]
Known = npt.NDArray[np.bool_]
Predict = Callable[[Clip, Known], Clip]
"""Takes a clip (T, H, W, 3) in which missing frames are black, and which frames are not missing."""

PROTOCOL = "missing frames only, RGB rounded to 8 bits"
MINTERPOLATE_NOTE = (
    "mci, scd=none, given the other frames as 4:4:4; its time includes a search between all of "
    "them; behind the last one that one is repeated"
)


def predictors(ffmpeg: str | None) -> dict[str, Predict]:
    """Unlearned ways, by name.

    ``guess`` is what the model starts from, made along optical flow, ``dis`` the same along flow of
    OpenCV's medium preset as it comes, ``blend`` the mean of the neighbours by distance, ``repeat``
    the frame before.

    Args:
        ffmpeg: Path of the ffmpeg whose minterpolate is another one; None for not.
    """
    from vidrestore.network.align import medium_flow
    from vidrestore.timing.fill import fill_clip

    methods: dict[str, Predict] = {
        "guess": partial(fill_clip, restorer=None),
        "dis": partial(fill_clip, restorer=None, search=medium_flow),
        "blend": blend,
        "repeat": repeat,
    }
    if ffmpeg is not None:
        methods["minterpolate"] = partial(minterpolate, ffmpeg=ffmpeg)
    return methods


def blend(clip: Clip, known: Known) -> Clip:
    """Fill in the mean of the two neighbours, weighted by distance; at the end the last frame."""
    times = np.flatnonzero(known)
    filled = clip.copy()
    for index in np.flatnonzero(~known):
        after = int(np.searchsorted(times, index))
        left, right = int(times[after - 1]), int(times[min(after, len(times) - 1)])
        phase = np.float32((index - left) / (right - left) if right > left else 0)
        filled[index] = (1 - phase) * clip[left] + phase * clip[right]
    return filled


def repeat(clip: Clip, known: Known) -> Clip:
    """Fill in the frame before."""
    return clip[np.maximum.accumulate(np.where(known, np.arange(len(clip)), 0))]

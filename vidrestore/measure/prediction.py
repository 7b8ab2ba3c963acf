"""Frames are taken out of clean clips and predicted from what is left, and the prediction scored.

The protocol is that of the interpolation papers: RGB, rounded to 8 bits as files hold it, only the
predicted frames scored, PSNR averaged over them. Frames behind the last one that is left have a
neighbour on one side only, which is another problem: they are scored apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vidrestore.degrade import MissingFrames
from vidrestore.errors import InputError
from vidrestore.measure.baselines import minterpolate
from vidrestore.measure.metrics import score_clip
from vidrestore.measure.rows import MODEL, Row

if TYPE_CHECKING:
    from vidrestore.network.diffuse import Restorer

Clip = npt.NDArray[np.float32]
Known = npt.NDArray[np.bool_]
Predict = Callable[[Clip, Known], Clip]
"""Takes a clip (T, H, W, 3) in which missing frames are black, and which frames are not missing."""

PROTOCOL = "missing frames only, RGB rounded to 8 bits"
MINTERPOLATE_NOTE = (
    f"{PROTOCOL}; mci, scd=none, given the other frames as 4:4:4; its time includes a search "
    "between all of them; behind the last one that one is repeated"
)


@dataclass(frozen=True)
class Prediction:
    """Measures ways to predict missing frames on one clip after the other.

    The unlearned ones come with it: ``guess`` is what the model starts from, made along optical
    flow, ``dis`` the same along flow of OpenCV's medium preset as it comes, ``blend`` the mean of
    the neighbours by distance, ``repeat`` the frame before.

    Attributes:
        degradation: Which frames are taken out.
        restorer: The model; None measures the others alone.
        steps: Reverse steps K of the model.
        ffmpeg: Path of the ffmpeg executable whose minterpolate is measured too; None for not.
    """

    degradation: MissingFrames
    restorer: Restorer | None
    steps: int = 1
    ffmpeg: str | None = None

    def rows(self, name: str, clean: Clip) -> Iterator[Row]:
        """Measure every method on a clip.

        Args:
            name: Of the clip.
            clean: RGB (T, H, W, 3), float32, [0, 1].

        Raises:
            InputError: The clip has no missing frame between two others.
            FfmpegError: minterpolate failed.
        """
        known = self.degradation.known(len(clean))
        last = int(np.flatnonzero(known)[-1])
        if known[: last + 1].all():
            raise InputError(
                f"{name} has {len(clean)} frames, too few for {self.degradation}: "
                "none is missing between two others",
                hint="give a longer clip",
            )
        for method, predict in self._methods().items():
            yield self._row(name, method, predict, clean, known)

    def _methods(self) -> dict[str, Predict]:
        from vidrestore.network.align import medium_flow
        from vidrestore.timing.fill import fill_clip

        methods: dict[str, Predict] = {
            "guess": partial(fill_clip, restorer=None),
            "dis": partial(fill_clip, restorer=None, search=medium_flow),
            "blend": blend,
            "repeat": repeat,
        }
        if self.restorer is not None:
            model = partial(fill_clip, restorer=self.restorer, steps=self.steps)
            methods = {MODEL: model, **methods}
        if self.ffmpeg is not None:
            methods["minterpolate"] = partial(minterpolate, ffmpeg=self.ffmpeg)
        return methods

    def _row(self, name: str, method: str, predict: Predict, clean: Clip, known: Known) -> Row:
        given = clean * known[:, None, None, None]
        begun = time.perf_counter()
        predicted = predict(given, known)
        seconds = time.perf_counter() - begun
        missing = np.flatnonzero(~known)
        between = missing < np.flatnonzero(known)[-1]
        rounded = np.rint(predicted[missing].clip(0, 1) * np.float32(255)) / np.float32(255)
        truth = clean[missing]
        scores = score_clip(truth[between], rounded[between])
        beyond = ~between
        one_sided = (
            score_clip(truth[beyond], rounded[beyond], with_ssim=False) if beyond.any() else None
        )
        return Row(
            clip=name,
            method=method,
            psnr_db=scores.psnr_db,
            ssim=scores.ssim,
            psnr_y_db=scores.psnr_y_db,
            seconds_per_frame=seconds / len(missing),
            input_psnr_db=None,
            input=str(self.degradation),
            frames=scores.frames,
            note=MINTERPOLATE_NOTE if method == "minterpolate" else PROTOCOL,
            one_sided_frames=int(beyond.sum()),
            one_sided_psnr_db=None if one_sided is None else one_sided.psnr_db,
        )


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

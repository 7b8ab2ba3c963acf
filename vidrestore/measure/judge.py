"""One method on one clip: run, timed, watched and scored.

Clips that have all their frames are scored as in the denoising papers: every frame, RGB, clamped
and not rounded, PSNR averaged over frames. Where frames are missing it is the interpolation papers'
protocol, see `prediction`. What flickers is looked for in the whole clip either way.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vidrestore.degrade import stored
from vidrestore.errors import VidrestoreError
from vidrestore.measure.cases import Case
from vidrestore.measure.item import Clip, Item, fingerprint
from vidrestore.measure.methods import Method, Result
from vidrestore.measure.metrics import ClipScores, FrameScores, score_clip
from vidrestore.measure.prediction import PROTOCOL
from vidrestore.measure.rows import Row, mean
from vidrestore.measure.temporal import CleanMotion
from vidrestore.measure.vmaf import vmaf
from vidrestore.network.windows import WindowPlan
from vidrestore.runs.processes import MemoryWatch, resident_bytes

REMEMBERED_CLIPS = 4


@dataclass(frozen=True)
class Verdict:
    """A row, and the clip that it is about; None if the method failed or was not run again."""

    row: Row
    clip: Clip | None


class Judge:
    """Scores methods; remembers what it has found about clips and about equal questions.

    Args:
        ffmpeg: Path of the ffmpeg executable, which scores VMAF.
        keeps_clips: Methods are run again on what they have had before, because their clips are
            wanted.
    """

    def __init__(self, ffmpeg: str, *, keeps_clips: bool = False) -> None:
        self._ffmpeg = ffmpeg
        self._keeps_clips = keeps_clips
        self._motions: OrderedDict[str, CleanMotion] = OrderedDict()
        self._rows: dict[tuple[object, ...], Row] = {}

    def judge(self, case: Case, item: Item, method: Method) -> Verdict:
        """Run a method on a clip and score the result.

        What filters are given for noise of one level is the same whether its level is told or
        not, so such rows are measured once.
        """
        question = (item.truth_id, item.given.digest, method.name, method.settings, case.scored)
        if method.takes_files and not self._keeps_clips and question in self._rows:
            row = replace(self._rows[question], case=case.name, task=case.task, clip=item.name)
            return Verdict(row, None)
        empty = Row(
            case=case.name,
            task=case.task,
            clip=item.name,
            truth_print=fingerprint(item.truth),
            given_print=fingerprint(item.given.clip),
            method=method.name,
            settings=method.settings,
            note=method.note,
        )
        try:
            result, seconds, peak_bytes = _run(method, item)
            row, clip = self._scored(empty, case, item, method, result)
        except VidrestoreError as error:
            row, clip = replace(empty, failure=str(error)), None
        else:
            made = int((~item.given.known).sum()) or len(item.truth)
            row = replace(row, seconds_per_frame=seconds / made, peak_memory_bytes=peak_bytes)
        self._rows[question] = row
        return Verdict(row, clip)

    def _scored(
        self, row: Row, case: Case, item: Item, method: Method, result: Result
    ) -> tuple[Row, Clip]:
        truth, known = item.truth, item.given.known
        if result.clip.shape != truth.shape:
            raise VidrestoreError(f"{method.name} made {result.clip.shape} of {truth.shape}")
        clip = result.clip.clip(0, 1)
        missing = np.flatnonzero(~known)
        beyond = missing[missing > np.flatnonzero(known)[-1]]
        places = _places(case, known)
        if len(missing):
            clip = np.where(known[:, None, None, None], item.given.clip.clip(0, 1), stored(clip))
            row = replace(row, note="; ".join(filter(None, (PROTOCOL, row.note))))
            if len(beyond):
                apart = score_clip(truth[beyond], clip[beyond], with_ssim=False)
                row = replace(row, one_sided_frames=len(beyond), one_sided_psnr_db=apart.psnr_db)
        else:
            given = item.given.in_file if method.takes_files else item.given.clip
            before = score_clip(truth[places], given[places], with_ssim=False)
            row = replace(row, input_psnr_db=before.psnr_db, input_psnr_y_db=before.psnr_y_db)
        scores = score_clip(truth[places], clip[places])
        steadiness = self._motion(item).measure(clip)
        seen = vmaf(truth, clip, self._ffmpeg)
        return (
            replace(
                row,
                frames=len(places),
                sigma_estimated=result.sigma_estimated,
                psnr_db=scores.psnr_db,
                ssim=scores.ssim,
                psnr_y_db=scores.psnr_y_db,
                vmaf=None if seen is None else mean([seen[place] for place in places]),
                warping_error=steadiness.warping_error,
                warping_ratio=steadiness.warping_ratio,
                flicker=steadiness.flicker,
                seam=steadiness.seam,
                per_frame=_placed(scores, places),
            ),
            clip,
        )

    def _motion(self, item: Item) -> CleanMotion:
        if item.truth_id not in self._motions:
            plan = WindowPlan()
            stride_frames = plan.window_frames - plan.overlap_frames
            self._motions[item.truth_id] = CleanMotion(item.truth, stride_frames)
            while len(self._motions) > REMEMBERED_CLIPS:
                self._motions.popitem(last=False)
        return self._motions[item.truth_id]


def _run(method: Method, item: Item) -> tuple[Result, float, int | None]:
    """Result, seconds, and the most memory that it held, as `rows.Figures` has it."""
    before_bytes = resident_bytes(os.getpid())
    with MemoryWatch() as watch:
        begun = time.perf_counter()
        result = method.restore(item.given)
        seconds = time.perf_counter() - begun
    if result.seconds is not None:
        seconds = result.seconds
    peaks, peak_bytes = watch.peaks, result.peak_memory_bytes
    if peaks is not None and peak_bytes is None:
        grown_bytes = max(0, peaks.own_bytes - before_bytes)
        peak_bytes = grown_bytes if method.inside else peaks.encoder_bytes
    return result, seconds, peak_bytes


def _places(case: Case, known: npt.NDArray[np.bool_]) -> list[int]:
    """Positions of the frames to score: the missing ones between others, or those of the case."""
    if not known.all():
        last = np.flatnonzero(known)[-1]
        return [int(place) for place in np.flatnonzero(~known) if place < last]
    return [place for place in case.scored if place < len(known)] or list(range(len(known)))


def _placed(scores: ClipScores, places: list[int]) -> tuple[FrameScores, ...]:
    """Scores by frame, with the frames' places in the clip."""
    return tuple(
        replace(frame, index=place) for frame, place in zip(scores.per_frame, places, strict=True)
    )

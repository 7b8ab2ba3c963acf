"""What the benchmark finds: a row per clip and method, and the means over the clips of a case."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from vidrestore.measure.metrics import FrameScores

Picture = npt.NDArray[np.uint8]

MODEL = "vidrestore"

NO_WEIGHTS = "no weights for this task"


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What is measured of one method, on one clip or as means over several.

    A figure is None where there is none: a PSNR where everything is identical, an SSIM of frames
    that are too small for it, VMAF where the ffmpeg lacks it, a seam score of a clip that is too
    short for it, memory where the system does not tell.

    Attributes:
        psnr_db: Mean of per-frame RGB PSNR.
        ssim: Mean RGB SSIM.
        psnr_y_db: Mean of per-frame luma PSNR.
        vmaf: Mean VMAF, 0 to 100.
        warping_error: Mean squared RGB difference of successive frames along the clean clip's
            motion, where that is visible in both; peak 1.
        warping_ratio: The same over the clean clip's own: below 1 is smoothed, above 1 unsteady.
        flicker: Standard deviation over time of a frame's mean error, luma, 8-bit units.
        seam: How much more brightness repeats at the stride of the windows than in the clean clip.
        seconds_per_frame: Wall time of the method for each frame that it made; that of ffmpeg's
            filters and of commands includes their start.
        peak_memory_bytes: The most that the method's processes held; what runs inside this
            process: the most by which it grew.
        input_psnr_db: RGB PSNR of what this method was given, clamped like its result; None for
            frames that were not there at all.
        input_psnr_y_db: Its luma PSNR.
        one_sided_psnr_db: RGB PSNR of predicted frames without a known frame on their right; they
            are in no other figure.
    """

    psnr_db: float | None = None
    ssim: float | None = None
    psnr_y_db: float | None = None
    vmaf: float | None = None
    warping_error: float | None = None
    warping_ratio: float | None = None
    flicker: float | None = None
    seam: float | None = None
    seconds_per_frame: float | None = None
    peak_memory_bytes: float | None = None
    input_psnr_db: float | None = None
    input_psnr_y_db: float | None = None
    one_sided_psnr_db: float | None = None

    @property
    def gain_db(self) -> float | None:
        """RGB PSNR above that of what was given."""
        return _difference(self.psnr_db, self.input_psnr_db)

    @property
    def gain_y_db(self) -> float | None:
        """Luma PSNR above that of what was given."""
        return _difference(self.psnr_y_db, self.input_psnr_y_db)


@dataclass(frozen=True, kw_only=True)
class Row(Figures):
    """One method on one clip.

    Attributes:
        case: Name of what was measured, such as ``awgn:20``; see `cases.Case`.
        task: What the model was asked for.
        clip: Name of the clip.
        truth_print: What tells the clip from others: mean and standard deviation of each channel of
            the truth. A hash would not do: machines round the colours of a video differently.
        given_print: The same of what the damage left of it.
        method: ``vidrestore`` or the name of what it is compared with.
        frames: Number of frames scored.
        sigma_estimated: Noise level that the model found; None where it was told.
        settings: What a filter was set to.
        note: What else to know about the figures, such as how settings were chosen.
        failure: Why there are no figures; None if there are.
        one_sided_frames: Number of frames behind ``one_sided_psnr_db``.
        per_frame: Scores of the frames scored, each with its index in the clip.
    """

    case: str
    task: str
    clip: str
    truth_print: tuple[float, ...]
    given_print: tuple[float, ...]
    method: str
    frames: int = 0
    sigma_estimated: float | None = None
    settings: str | None = None
    note: str | None = None
    failure: str | None = None
    one_sided_frames: int = 0
    per_frame: tuple[FrameScores, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MethodSummary(Figures):
    """Means over all clips of one method's rows in one case.

    Attributes:
        case: As in the rows.
        task: Likewise.
        method: Likewise.
        clips: How many gave figures.
        failure: Why a clip gave none; None if all did.
        one_sided_frames: Of all clips.
    """

    case: str
    task: str
    method: str
    clips: int
    failure: str | None = None
    one_sided_frames: int = 0


@dataclass(frozen=True)
class Sample:
    """Pictures of one frame, chosen by rule.

    Attributes:
        case: As in the rows.
        clip: Likewise: the one with the median gain of all clips of the case.
        frame: Index in the clip, from 0.
        rank: "worst", "median" or "best" by the model's PSNR on this clip.
        pictures: RGB (H, W, 3) by name: ``reference``, ``input``, the model, and what was best of
            everything else.
    """

    case: str
    clip: str
    frame: int
    rank: str
    pictures: Mapping[str, Picture]


@dataclass(frozen=True)
class Benchmark:
    """All that was measured.

    Attributes:
        name: Of the suite, or of the degradation.
        seed: Of all randomness.
        rows: Case by case, clip by clip.
        summary: Means, case by case, best method first.
        warnings: What to know before the figures are quoted.
        samples: Pictures, if they were asked for.
    """

    name: str
    seed: int
    rows: tuple[Row, ...]
    summary: tuple[MethodSummary, ...]
    warnings: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = ()


def summarise(rows: Sequence[Row]) -> tuple[MethodSummary, ...]:
    """Average each method's rows over the clips of a case; the best mean PSNR comes first."""
    cases: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        cases.setdefault(row.case, {}).setdefault(row.method, []).append(row)
    found: list[MethodSummary] = []
    for by_method in cases.values():
        found += sorted(map(_summary, by_method.values()), key=_rank)
    return tuple(found)


def _summary(rows: Sequence[Row]) -> MethodSummary:
    scored = [row for row in rows if row.failure is None]
    return MethodSummary(
        case=rows[0].case,
        task=rows[0].task,
        method=rows[0].method,
        clips=len(scored),
        failure=next((row.failure for row in rows if row.failure is not None), None),
        one_sided_frames=sum(row.one_sided_frames for row in scored),
        **{
            each.name: mean([getattr(row, each.name) for row in scored]) for each in fields(Figures)
        },
    )


def _rank(summary: MethodSummary) -> tuple[bool, float]:
    """Failures last; what has no PSNR because it is identical first."""
    return not summary.clips, -math.inf if summary.psnr_db is None else -summary.psnr_db


def mean(values: Sequence[float | None]) -> float | None:
    """Mean of the values that exist."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _difference(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before

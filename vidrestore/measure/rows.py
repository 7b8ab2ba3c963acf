"""What the benchmark finds: a row per clip and method, and the means over the clips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MODEL = "vidrestore"


@dataclass(frozen=True)
class Row:
    """One method on one clip.

    Attributes:
        clip: Name of the clip.
        method: ``vidrestore`` or the name of what it is compared with.
        psnr_db: Mean of per-frame RGB PSNR.
        ssim: Mean RGB SSIM; None for frames too small for it.
        psnr_y_db: Mean of per-frame luma PSNR.
        seconds_per_frame: Wall time of the method for each frame that it made; that of ffmpeg's
            filters includes its start.
        input_psnr_db: RGB PSNR of what this method was given, clamped like its result; None where
            it was identical, and for frames that were not there at all.
        input: Spec of the degradation that this method was given.
        frames: Number of frames scored.
        sigma_estimated: Noise level that the model found; None where it was told.
        strength: Strength of a filter in multiples of sigma.
        note: What else to know about the figures, such as how a strength was chosen.
        one_sided_frames: Number of predicted frames without a known frame on their right; no other
            field counts them.
        one_sided_psnr_db: Mean of their RGB PSNR.
    """

    clip: str
    method: str
    psnr_db: float | None
    ssim: float | None
    psnr_y_db: float | None
    seconds_per_frame: float
    input_psnr_db: float | None
    input: str
    frames: int
    sigma_estimated: float | None = None
    strength: float | None = None
    note: str | None = None
    one_sided_frames: int = 0
    one_sided_psnr_db: float | None = None


@dataclass(frozen=True)
class MethodSummary:
    """Means over all clips of one method's rows."""

    method: str
    psnr_db: float | None
    ssim: float | None
    psnr_y_db: float | None
    seconds_per_frame: float | None
    input_psnr_db: float | None
    input: str
    clips: int
    one_sided_frames: int
    one_sided_psnr_db: float | None


@dataclass(frozen=True)
class Benchmark:
    """All rows, clip by clip, and their summary, best method first."""

    degradation: str
    seed: int
    rows: tuple[Row, ...]
    summary: tuple[MethodSummary, ...]


def summarise(rows: Sequence[Row]) -> tuple[MethodSummary, ...]:
    """Average each method's rows over the clips; the best mean PSNR comes first."""
    by_method: dict[str, list[Row]] = {}
    for row in rows:
        by_method.setdefault(row.method, []).append(row)
    summary = [
        MethodSummary(
            method=method,
            psnr_db=_mean([row.psnr_db for row in own]),
            ssim=_mean([row.ssim for row in own]),
            psnr_y_db=_mean([row.psnr_y_db for row in own]),
            seconds_per_frame=_mean([row.seconds_per_frame for row in own]),
            input_psnr_db=_mean([row.input_psnr_db for row in own]),
            input=own[0].input,
            clips=len(own),
            one_sided_frames=sum(row.one_sided_frames for row in own),
            one_sided_psnr_db=_mean([row.one_sided_psnr_db for row in own]),
        )
        for method, own in by_method.items()
    ]
    return tuple(sorted(summary, key=lambda s: -math.inf if s.psnr_db is None else -s.psnr_db))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None

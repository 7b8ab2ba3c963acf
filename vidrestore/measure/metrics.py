"""Full-reference scores of frames and clips. Arrays in, numbers out.

Conventions, the same wherever a figure is printed: a clip's PSNR is the mean of its frames' PSNR
(the field's habit), with the PSNR of the mean squared error beside it; identical frames have no
PSNR (None and a flag, never infinity); SSIM is that of Wang et al. (2004) with the Gaussian window
of the paper. Native luma planes are scored on their codes with peak ``2 ** bits - 1``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vidrestore.errors import InputError

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

LUMA_WEIGHTS: tuple[float, float, float] = (0.299, 0.587, 0.114)  # BT.601

# The window of the SSIM paper reaches 5 pixels to each side: scikit-image refuses smaller frames.
SSIM_WINDOW_PX = 11


def luma(rgb: Array) -> npt.NDArray[np.float32]:
    """BT.601 luma of RGB (..., H, W, 3), same range, as float32 (..., H, W)."""
    return np.asarray(rgb @ np.asarray(LUMA_WEIGHTS, np.float32), np.float32)


def luma_codes(rgb: Array) -> npt.NDArray[np.uint8]:
    """Luma (..., H, W) of RGB (..., H, W, 3), nominal [0, 1], in 8 bits: what motion is seen in."""
    return np.rint(luma(rgb.clip(0, 1)) * 255).astype(np.uint8)


def check_same_size(reference: Array, test: Array) -> None:
    """Refuse to score frames of different sizes.

    Raises:
        InputError: The shapes differ.
    """
    if reference.shape != test.shape:
        raise InputError(
            f"frames of different shapes cannot be scored: reference {reference.shape}, "
            f"test {test.shape} (height, width, channels)",
            hint="give a reference of the same width and height as the video",
        )


def mse(reference: Array, test: Array) -> float:
    """Mean squared error of two arrays of equal shape, in squared units of their own."""
    check_same_size(reference, test)
    difference = np.subtract(test, reference, dtype=np.float64)
    return float(np.mean(np.square(difference, out=difference)))


def psnr_db(mean_squared_error: float, data_range: float) -> float | None:
    """PSNR in dB of a mean squared error; None where it is zero: identical frames have none."""
    if mean_squared_error == 0:
        return None
    return 10 * math.log10(data_range**2 / mean_squared_error)


def ssim(reference: Array, test: Array, data_range: float) -> float | None:
    """SSIM of two frames.

    Args:
        reference: Frame (H, W, 3) or plane (H, W), any real dtype.
        test: Frame of the same shape.
        data_range: Peak value, for example 1.0, or 255 for 8-bit codes.

    Returns:
        Mean SSIM over pixels and channels, or None for frames smaller than the window (11 pixels).

    Raises:
        InputError: The shapes differ.
    """
    from skimage.metrics import structural_similarity

    check_same_size(reference, test)
    if min(reference.shape[:2]) < SSIM_WINDOW_PX:
        return None
    return float(
        structural_similarity(  # type: ignore[no-untyped-call]
            np.asarray(reference, np.float32),
            np.asarray(test, np.float32),
            data_range=data_range,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            channel_axis=2 if reference.ndim == 3 else None,
        )
    )


def gradient_energy(plane: Array) -> float:
    """Mean squared forward difference of a plane (H, W), both directions added.

    The ratio of a restored to a clean frame falls below 1 where detail was smoothed away and
    rises above 1 where noise was left or texture invented.
    """
    plane = np.asarray(plane, np.float64)
    across, down = np.diff(plane, axis=1), np.diff(plane, axis=0)
    return float((np.square(across).sum() + np.square(down).sum()) / plane.size)


@dataclass(frozen=True)
class LumaPlanes:
    """Native luma of a frame pair.

    Attributes:
        reference: Codes (H, W), uint8 or uint16.
        test: Codes (H, W), of the same depth.
        bits: Bit depth; the peak is ``2 ** bits - 1`` whatever the nominal range.
    """

    reference: Array
    test: Array
    bits: int


@dataclass(frozen=True)
class FrameScores:
    """Scores of one frame; a PSNR is None where the two are identical.

    Attributes:
        index: Position in the reference, from 0.
        identical: RGB is equal in every pixel.
    """

    index: int
    psnr_db: float | None
    ssim: float | None
    psnr_y_db: float | None
    ssim_y: float | None
    identical: bool


@dataclass(frozen=True)
class ClipScores:
    """Scores of a clip.

    Attributes:
        frames: Number of frames scored.
        psnr_db: Mean RGB PSNR over the frames that differ; None if all are identical.
        psnr_mse_db: RGB PSNR of the mean squared error over all frames.
        ssim: Mean RGB SSIM; None if the frames are too small for it.
        psnr_y_db: Mean luma PSNR over the frames whose luma differs.
        psnr_y_mse_db: Luma PSNR of the mean squared error.
        ssim_y: Mean luma SSIM.
        gradient_energy_ratio: Luma gradient energy of test over reference; None if the reference
            is flat.
        identical: Every frame is identical in RGB.
        identical_frames: How many are.
        per_frame: Scores frame by frame, in order.
    """

    frames: int
    psnr_db: float | None
    psnr_mse_db: float | None
    ssim: float | None
    psnr_y_db: float | None
    psnr_y_mse_db: float | None
    ssim_y: float | None
    gradient_energy_ratio: float | None
    identical: bool
    identical_frames: int
    per_frame: tuple[FrameScores, ...]


@dataclass
class ClipScorer:
    """Collects scores pair by pair; memory holds numbers, never frames.

    Attributes:
        with_ssim: False skips SSIM, by far the slowest figure.
    """

    with_ssim: bool = True
    _frames: list[FrameScores] = field(default_factory=list)
    # Per frame: RGB error, luma error (peak 1), gradient energy of reference and test.
    _sums: list[tuple[float, float, float, float]] = field(default_factory=list)

    def add(self, reference: Array, test: Array, planes: LumaPlanes | None = None) -> FrameScores:
        """Score the next pair.

        Args:
            reference: RGB (H, W, 3), float, [0, 1].
            test: RGB, same shape; clamp it to [0, 1] first if the protocol says so.
            planes: Native luma; without it luma is computed from RGB, BT.601, peak 1.

        Raises:
            InputError: The shapes differ.
        """
        error = mse(reference, test)
        if planes is None:
            planes, peak = LumaPlanes(luma(reference), luma(test), bits=0), 1
        else:
            peak = 2**planes.bits - 1
        error_y = mse(planes.reference, planes.test) / peak**2
        scores = FrameScores(
            index=len(self._frames),
            psnr_db=psnr_db(error, 1),
            ssim=ssim(reference, test, 1) if self.with_ssim else None,
            psnr_y_db=psnr_db(error_y, 1),
            ssim_y=ssim(planes.reference, planes.test, peak) if self.with_ssim else None,
            identical=error == 0,
        )
        self._frames.append(scores)
        energies = gradient_energy(planes.reference), gradient_energy(planes.test)
        self._sums.append((error, error_y, *energies))
        return scores

    def summary(self) -> ClipScores:
        """Scores of all pairs added so far.

        Raises:
            InputError: No pair was added.
        """
        if not self._frames:
            raise InputError(
                "there is no frame to score", hint="give clips that overlap by at least one frame"
            )
        error, error_y, energy_reference, energy_test = np.mean(self._sums, axis=0).tolist()
        return ClipScores(
            frames=len(self._frames),
            psnr_db=_mean([f.psnr_db for f in self._frames]),
            psnr_mse_db=psnr_db(error, 1),
            ssim=_mean([f.ssim for f in self._frames]),
            psnr_y_db=_mean([f.psnr_y_db for f in self._frames]),
            psnr_y_mse_db=psnr_db(error_y, 1),
            ssim_y=_mean([f.ssim_y for f in self._frames]),
            gradient_energy_ratio=energy_test / energy_reference if energy_reference else None,
            identical=all(f.identical for f in self._frames),
            identical_frames=sum(f.identical for f in self._frames),
            per_frame=tuple(self._frames),
        )


def score_clip(reference: Array, test: Array, *, with_ssim: bool = True) -> ClipScores:
    """Score a whole clip held in memory.

    Args:
        reference: RGB (T, H, W, 3), float, [0, 1].
        test: RGB of the same shape, clamped here to [0, 1] and not rounded.
        with_ssim: False leaves SSIM out.

    Raises:
        InputError: The shapes differ, or there is no frame.
    """
    check_same_size(reference, test)
    scorer = ClipScorer(with_ssim)
    for expected, got in zip(reference, test, strict=True):
        scorer.add(expected, np.clip(got, 0, 1))
    return scorer.summary()


@dataclass(frozen=True)
class Alignment:
    """How two clips lie in time.

    Attributes:
        offset_frames: Frame i of the reference shows what frame i + offset of the test shows.
        correlation: Mean spatial correlation of the aligned thumbnails, -1 to 1; a low value means
            different content. None where a thumbnail is flat.
    """

    offset_frames: int
    correlation: float | None


def thumbnail(rgb: Array) -> npt.NDArray[np.float32]:
    """A small luma picture (24, 32) of a frame (H, W, 3) or luma plane (H, W), area averaged."""
    import cv2

    plane = luma(rgb) if rgb.ndim == 3 else np.asarray(rgb, np.float32)
    return np.asarray(cv2.resize(plane, (32, 24), interpolation=cv2.INTER_AREA), np.float32)


def find_offset(reference: Sequence[Array], test: Sequence[Array], max_lag: int = 25) -> Alignment:
    """Find the frame offset between two clips from their thumbnails.

    The lag with the smallest mean squared difference wins, and displaces 0 only if the gain is
    consistent over the frames that both lags cover: on a static scene every lag fits, and noise
    must not pick one.

    Args:
        reference: Thumbnails of the first frames of the reference, see `thumbnail`.
        test: Thumbnails of the first frames of the test.
        max_lag: Largest offset tried, in frames; lags that leave fewer than half of the shorter
            clip in common are not tried.

    Raises:
        InputError: One of the two is empty.
    """
    if not len(reference) or not len(test):
        raise InputError("one of the clips has no frame", hint="give two clips that have frames")
    shorter = min(len(reference), len(test))
    common = max(1, min(4, shorter), (shorter + 1) // 2)
    lags = [
        lag
        for lag in sorted(range(-max_lag, max_lag + 1), key=abs)
        if min(len(reference), len(test) - lag) - max(0, -lag) >= common
    ]
    errors = {lag: _lag_errors(reference, test, lag) for lag in lags}
    best = min(lags, key=lambda lag: float(np.nanmean(errors[lag])))
    if not _consistently_smaller(errors[best], errors[0]):
        best = 0
    pairs = [
        (reference[i], test[i + best])
        for i in range(max(0, -best), min(len(reference), len(test) - best))
    ]
    return Alignment(best, _mean([_correlation(a, b) for a, b in pairs]))


def _lag_errors(reference: Sequence[Array], test: Sequence[Array], lag: int) -> Floats:
    """Squared difference per reference frame at a lag, NaN where the test has no such frame."""
    errors = np.full(len(reference), np.nan)
    for i in range(max(0, -lag), min(len(reference), len(test) - lag)):
        errors[i] = mse(reference[i], test[i + lag])
    return errors


def _consistently_smaller(errors: Floats, than: Floats) -> bool:
    """Whether the mean of paired differences is at least 4 standard errors below zero."""
    gain = than - errors
    gain = gain[~np.isnan(gain)]
    if len(gain) < 3:
        return False
    return bool(gain.mean() > 4 * gain.std(ddof=1) / math.sqrt(len(gain)))


def _correlation(a: Array, b: Array) -> float | None:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    return float(np.vdot(a, b)) / norm if norm else None


def _mean(values: Sequence[float | None]) -> float | None:
    """Mean of the values that exist."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None

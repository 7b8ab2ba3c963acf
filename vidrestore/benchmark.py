"""Clean clips are degraded, restored by the model and by ffmpeg's filters, and scored.

The protocol is that of the denoising papers: noise drawn once per clip, every frame scored in RGB,
clamped and not rounded, PSNR averaged over frames and then over clips.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vidrestore import images
from vidrestore.baselines import FILTERS, FfmpegFilter, run_filter
from vidrestore.degrade import GaussianNoise, parse
from vidrestore.errors import InputError
from vidrestore.estimate import noise_sigma
from vidrestore.ffmpeg import find_ffmpeg
from vidrestore.metrics import ClipScores, score_clip

Clip = npt.NDArray[np.float32]
Restore = Callable[[Clip, float], Clip]
"""A denoiser: takes a clip (T, H, W, 3) float32, not clamped, and sigma in 8-bit units."""

MODEL = "vidrestore"
ESTIMATE_FRAMES = 8


@dataclass(frozen=True)
class Row:
    """One method on one clip.

    Attributes:
        clip: Name of the clip.
        method: ``vidrestore`` or the name of an ffmpeg filter.
        psnr_db: Mean of per-frame RGB PSNR.
        ssim: Mean RGB SSIM; None for frames too small for it.
        psnr_y_db: Mean of per-frame luma PSNR.
        seconds_per_frame: Wall time of the method; a filter's includes the start of ffmpeg.
        input_psnr_db: RGB PSNR of what this method was given, clamped like its result.
        input: Spec of the degradation that this method was given.
        frames: Number of frames, all of them scored.
        sigma_estimated: Noise level that the model found; None where it was told.
        strength: Strength of a filter in multiples of sigma.
        note: How the strength was chosen.
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


@dataclass(frozen=True)
class Benchmark:
    """All rows, clip by clip, and their summary, best method first."""

    degradation: str
    seed: int
    rows: tuple[Row, ...]
    summary: tuple[MethodSummary, ...]


@dataclass(frozen=True)
class BenchmarkSettings:
    """What to measure, and how.

    Attributes:
        degrade: Spec of the degradation, such as ``awgn:25``.
        baselines: Also run ffmpeg's filters.
        frames: How many frames of each clip, from its beginning; None for all.
        steps: Reverse steps K of the model.
        seed: Seed of the noise.
        device: "auto", "cpu", "cuda" or "mps".
        weights: File or folder of weights; None for those of the package.
        ffmpeg: An ffmpeg other than the bundled one.
    """

    degrade: str
    baselines: bool = False
    frames: int | None = None
    steps: int = 1
    seed: int = 0
    device: str = "auto"
    weights: Path | None = None
    ffmpeg: str | None = None


def benchmark(
    clips: Sequence[Path], settings: BenchmarkSettings, on_progress: Callable[[str], None]
) -> Benchmark:
    """Load the model and measure it, beside ffmpeg's filters if asked to.

    Args:
        clips: Clean video files or folders of numbered images.
        settings: What to measure.
        on_progress: Called with a line of text after every row.

    Raises:
        UsageError: The degradation is not known.
        InputError: A clip cannot be read.
        WeightsError: The weights are missing or corrupt.
        FfmpegError: ffmpeg is missing or a filter failed.
    """
    degradation = parse(settings.degrade)
    ffmpeg = find_ffmpeg(settings.ffmpeg)
    from vidrestore.diffuse import Restorer

    restorer = Restorer("denoise", settings.weights, settings.device)

    def restore(clip: Clip, sigma: float) -> Clip:
        return restorer.restore_clip(clip, sigma, steps=settings.steps)

    return run_benchmark(
        clips,
        degradation,
        restore,
        ffmpeg=ffmpeg,
        frames=settings.frames,
        seed=settings.seed,
        filters=FILTERS if settings.baselines else (),
        on_row=lambda row: on_progress(f"{row.clip}: {row.method}"),
    )


def run_benchmark(
    clips: Iterable[Path],
    degradation: GaussianNoise,
    restore: Restore | None,
    *,
    ffmpeg: str,
    frames: int | None = None,
    seed: int = 0,
    filters: Sequence[FfmpegFilter] = FILTERS,
    on_row: Callable[[Row], None] = lambda row: None,
) -> Benchmark:
    """Measure a model and ffmpeg's filters, clip by clip.

    Args:
        clips: Clean video files or folders of numbered images.
        degradation: What is done to them.
        restore: The model; None measures the filters alone.
        ffmpeg: Path of the ffmpeg executable.
        frames: How many frames of each clip, from its beginning; None for all. A clip is in
            memory as a whole.
        seed: Seed of the noise.
        filters: Filters to measure; empty for none.
        on_row: Called with every row as soon as it is there.

    Raises:
        InputError: A clip cannot be read.
        FfmpegError: A filter failed.
    """
    rows: list[Row] = []

    def report(row: Row) -> None:
        rows.append(row)
        on_row(row)

    for path in clips:
        clean = load_clip(path, frames, ffmpeg)
        name = path.resolve().name if path.is_dir() else path.stem
        if restore is not None:
            report(_measure_model(name, clean, degradation, restore, seed))
        for candidate in filters:
            report(_measure_filter(name, clean, degradation, candidate, seed, ffmpeg))
    return Benchmark(str(degradation), seed, tuple(rows), summarise(rows))


def load_clip(path: Path, frames: int | None, ffmpeg: str) -> Clip:
    """Read the first frames of a clip.

    Args:
        path: Video file or folder of numbered images.
        frames: How many frames at most; None for all.
        ffmpeg: Path of the ffmpeg executable.

    Returns:
        RGB (T, H, W, 3), float32, [0, 1].

    Raises:
        InputError: The clip is missing or cannot be read.
    """
    if path.is_dir():
        return _load_images(path, frames)
    from vidrestore.compare import RgbReader

    reader = RgbReader(path, ffmpeg)
    return np.stack([reader.rgb(frame) for frame in islice(reader.frames(), frames)])


def _load_images(folder: Path, frames: int | None) -> Clip:
    """Read numbered images with the decoder that the papers' data sets are read with.

    ffmpeg would hand over a JPEG's own YUV, and upsample its chroma a little differently.
    """
    import cv2

    pattern, first, count = images.find_sequence(folder)
    loaded: list[Clip] = []
    for number in range(first, first + count)[:frames]:
        path = folder / (pattern % number)
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        if picture is None or picture.dtype not in (np.uint8, np.uint16):
            raise InputError(f"{path} cannot be read", hint="give 8 or 16-bit PNG, JPEG or TIFF")
        peak = np.float32(255 if picture.dtype == np.uint8 else 65535)
        loaded.append(picture[..., ::-1].astype(np.float32) / peak)
        if loaded[-1].shape != loaded[0].shape:
            raise InputError(f"{path} differs in size from the first image", hint="give one clip")
    return np.stack(loaded)


def _measure_model(
    name: str, clean: Clip, degradation: GaussianNoise, restore: Restore, seed: int
) -> Row:
    degraded, sigma = degradation.apply(clean, seed)
    estimated = None
    begun = time.perf_counter()
    if sigma is None:
        sigma = estimated = noise_sigma(degraded[:: math.ceil(len(degraded) / ESTIMATE_FRAMES)])
    restored = restore(degraded, sigma)
    seconds = time.perf_counter() - begun
    row = _row(name, MODEL, score_clip(clean, restored), seconds, clean, degraded)
    return replace(row, input=str(degradation), sigma_estimated=estimated)


def _measure_filter(
    name: str,
    clean: Clip,
    degradation: GaussianNoise,
    candidate: FfmpegFilter,
    seed: int,
    ffmpeg: str,
) -> Row:
    """Run a filter at all its strengths and keep the one with the best PSNR on this very clip.

    That is kinder to the filter than any user can be, who has no clean clip to choose by.
    """
    stored = replace(degradation, eight_bit=True)  # filters work on what a file can hold
    degraded, _ = stored.apply(clean, seed)
    best: tuple[float, float, Clip, float] | None = None
    levels = candidate.levels(degradation.sigma)
    for strength, options in levels.items():
        begun = time.perf_counter()
        filtered = run_filter(candidate.name, options, candidate.pix_fmt, degraded, ffmpeg)
        seconds = time.perf_counter() - begun
        psnr = score_clip(clean, filtered, with_ssim=False).psnr_db
        score = math.inf if psnr is None else psnr
        if best is None or score > best[0]:
            best = score, strength, filtered, seconds
    assert best is not None, "a filter has strengths"
    _, strength, filtered, seconds = best
    row = _row(name, candidate.name, score_clip(clean, filtered), seconds, clean, degraded)
    tried = ", ".join(f"{strength:g}" for strength in levels)
    return replace(
        row,
        input=str(stored),
        strength=strength,
        note=f"given {stored}; best on this clip of strengths {tried} x sigma",
    )


def _row(
    clip: str, method: str, scores: ClipScores, seconds: float, clean: Clip, degraded: Clip
) -> Row:
    return Row(
        clip=clip,
        method=method,
        psnr_db=scores.psnr_db,
        ssim=scores.ssim,
        psnr_y_db=scores.psnr_y_db,
        seconds_per_frame=seconds / len(clean),
        input_psnr_db=score_clip(clean, degraded, with_ssim=False).psnr_db,
        input="",
        frames=len(clean),
    )


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
        )
        for method, own in by_method.items()
    ]
    return tuple(sorted(summary, key=lambda s: -math.inf if s.psnr_db is None else -s.psnr_db))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None

"""What Python programs call, as docs/python.md describes it; `import vidrestore` offers it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vidrestore.arguments import default_output
from vidrestore.batch import workers
from vidrestore.batch.batching import run as run_batch
from vidrestore.batch.desk import BatchSettings
from vidrestore.batch.jobs import Item, Settled
from vidrestore.batch.naming import DEFAULT_TEMPLATE
from vidrestore.errors import UsageError
from vidrestore.measure.compare import Comparison, RgbReader
from vidrestore.measure.compare import compare as compare_readers
from vidrestore.measure.metrics import ClipScores, score_clip
from vidrestore.media.ffmpeg import find_ffmpeg
from vidrestore.media.inspection import inspect
from vidrestore.media.probe import VideoInfo
from vidrestore.network.diffuse import Restorer
from vidrestore.picture.estimate import noise_sigma
from vidrestore.runs import pipeline
from vidrestore.runs.pipeline import RestoreResult
from vidrestore.runs.plan import Prediction, predict
from vidrestore.runs.segments import Progress
from vidrestore.settings import RestoreSettings

AnyPath = str | os.PathLike[str]
Values = TypeVar("Values", np.uint8, np.uint16, np.float32)

_WHITE = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0, np.dtype(np.float32): 1.0}


def restore(
    source: AnyPath,
    output: AnyPath | None = None,
    settings: RestoreSettings | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> RestoreResult:
    """Restore a video file or folder of numbered images into a new file.

    Args:
        source: The video.
        output: File to write; None for INPUT.restored.EXT beside it.
        settings: How; None for the defaults.
        on_progress: Called as frames get finished.

    Returns:
        What was done.

    Raises:
        VidrestoreError: One of its subclasses; there is then no output.
    """
    target = default_output(Path(source)) if output is None else Path(output)
    return pipeline.restore(Path(source), target, settings, on_progress)


def restore_many(
    inputs: AnyPath | Sequence[AnyPath],
    out: AnyPath,
    settings: RestoreSettings | None = None,
    *,
    processes: int = 1,
    template: str = DEFAULT_TEMPLATE,
) -> Iterator[Item]:
    """Restore many files, as `vidrestore batch` does.

    Args:
        inputs: Files, folders and patterns.
        out: Folder of the outputs, in which trees are mirrored.
        settings: How each is restored; None for the defaults.
        processes: Files restored at the same time.
        template: How outputs are called.

    Yields:
        What became of each file, as it is finished. One that fails is told of, not raised.

    Raises:
        VidrestoreError: What concerns all files.
    """
    given = [inputs] if isinstance(inputs, str | os.PathLike) else inputs
    wanted = BatchSettings(
        inputs=tuple(os.fspath(one) for one in given),
        out=Path(out),
        template=template,
        settings=settings or RestoreSettings(),
    )
    with closing(run_batch(wanted, partial(workers.run, processes=processes))) as events:
        for event in events:
            if isinstance(event, Settled):
                yield event.item


def restore_frames(
    frames: NDArray[Values],
    *,
    sigma: float | None = None,
    strength: float = 1.0,
    steps: int | None = None,
    device: str = "auto",
    weights: AnyPath | None = None,
) -> NDArray[Values]:
    """Denoise consecutive frames that are in memory.

    The network is loaded with the first call and kept.

    Args:
        frames: RGB (T, H, W, 3), of one shot. uint8 and uint16 in their full range, or float32,
            nominal [0, 1], which need not be clamped.
        sigma: Noise level in 8-bit units at every dtype; None to estimate it.
        strength: Share of the correction to apply, 0 to 1.
        steps: Diffusion steps; None for as many as are worth it.
        device: "auto", "cpu", "cuda" or "mps".
        weights: File or folder of weights; None for those of the package.

    Returns:
        The restored frames, of the same shape and dtype; float32 is not clamped.

    Raises:
        UsageError: If shape, dtype or an argument is none of these.
        WeightsError: If the weights are missing or corrupt.
        DeviceError: If the device is unavailable or out of memory.
    """
    clip = _nominal(frames)
    RestoreSettings(sigma=sigma, strength=strength, steps=steps)  # refuses what makes no sense
    restorer = Restorer("denoise", None if weights is None else Path(weights), device)
    restored = restorer.restore_clip(clip, sigma, steps)
    restored = clip + np.float32(strength) * (restored - clip)
    white = _WHITE[frames.dtype]
    if frames.dtype == np.float32:
        return restored.astype(frames.dtype)
    return np.rint(restored.clip(0, 1) * white).astype(frames.dtype)


def read_frames(
    path: AnyPath,
    start: int | Fraction | None = None,
    end: int | Fraction | None = None,
    *,
    most: int = 1000,
) -> NDArray[np.float32]:
    """Decode frames of a video into memory.

    Args:
        path: Video file, or folder of numbered images.
        start: First frame, as an index or in seconds; None for the beginning.
        end: One past the last frame, likewise; None for the end.
        most: Frames to stop after: a minute of 1080p takes 36 GB.

    Returns:
        RGB (T, H, W, 3), float32, nominal [0, 1], not clamped.

    Raises:
        InputError: If it cannot be read, or there is no such frame.
    """
    reader = RgbReader(Path(path), find_ffmpeg(), start=start, end=end)
    return np.stack([reader.rgb(frame, clamp=False) for frame in islice(reader.frames(), most)])


def probe(path: AnyPath) -> VideoInfo:
    """Say what is in a video file or folder of numbered images, without trusting it.

    Raises:
        InputError: If it is none, or claims more than `Limits` allow.
    """
    return inspect(Path(path))


def plan(
    source: AnyPath, output: AnyPath | None = None, settings: RestoreSettings | None = None
) -> Prediction:
    """Predict time, memory and disk of a restoration, from a trial on the first few frames.

    Args:
        source: The video.
        output: File that it would be written to; only its suffix matters.
        settings: How; None for the defaults.

    Raises:
        VidrestoreError: What the run itself would raise on the first frames.
    """
    target = default_output(Path(source)) if output is None else Path(output)
    return predict(Path(source), target, settings)


def compare(reference: AnyPath, test: AnyPath) -> Comparison:
    """Score one video file against another, aligned in time first.

    Raises:
        InputError: If one cannot be read, or they do not show the same.
    """
    ffmpeg = find_ffmpeg()
    return compare_readers(*(RgbReader(Path(path), ffmpeg) for path in (reference, test)))


def score(reference: NDArray[Any], test: NDArray[Any]) -> ClipScores:
    """Score frames that are in memory: PSNR and SSIM, of RGB and of luma.

    Args:
        reference: Clean RGB (T, H, W, 3), dtypes as for `restore_frames`.
        test: The same frames as they are to be scored, of the same shape; clamped, not rounded.

    Raises:
        UsageError: If a shape or dtype is none of these.
        InputError: If the shapes differ.
    """
    return score_clip(_nominal(reference).clip(0, 1), _nominal(test))


def estimate_noise(frames: NDArray[Any]) -> float:
    """Estimate the level of white noise.

    Args:
        frames: RGB (T, H, W, 3), dtypes as for `restore_frames`; eight frames are plenty.

    Returns:
        Its standard deviation in 8-bit units, whatever the dtype.

    Raises:
        UsageError: If shape or dtype is none of these.
    """
    return noise_sigma(_nominal(frames))


def _nominal(frames: NDArray[Any]) -> NDArray[np.float32]:
    """Frames as float32, nominal [0, 1]."""
    shape = getattr(frames, "shape", None)
    if not isinstance(frames, np.ndarray) or frames.ndim != 4 or frames.shape[3] != 3:
        raise UsageError(
            f"frames of shape {shape} are no clip", hint="an array (T, H, W, 3) of RGB"
        )
    if frames.dtype not in _WHITE:
        raise UsageError(
            f"frames of {frames.dtype} are not understood",
            hint="uint8, uint16, or float32 with 1.0 for white",
        )
    if 0 in frames.shape:
        raise UsageError(f"frames of shape {shape} hold nothing", hint="at least one frame")
    if frames.dtype == np.float32:
        if not np.isfinite(frames).all():
            raise UsageError("frames hold NaN or infinity", hint="replace them first")
        return frames
    return frames.astype(np.float32) / np.float32(_WHITE[frames.dtype])

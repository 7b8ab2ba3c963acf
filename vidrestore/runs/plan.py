"""predict(): how long a run takes and what it needs, from a trial on the first few frames.

The trial is a real run, into a folder that is deleted. What grows with the length of the video is
carried on from there; what fills up only later (queues, the encoder's look-ahead) is added by the
arithmetic of `memory`.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from vidrestore.containers.sequence import LOSSLESS_CODEC, holds_frames_only
from vidrestore.errors import UsageError
from vidrestore.media.ffmpeg import find_ffmpeg
from vidrestore.media.inspection import inspect
from vidrestore.media.probe import VideoInfo
from vidrestore.media.scratch import scratch
from vidrestore.network.windows import WindowPlan
from vidrestore.picture.fields import reading
from vidrestore.runs.memory import decoder_bytes, encoder_bytes, own_bytes, peak_bytes, within
from vidrestore.runs.pipeline import restore
from vidrestore.runs.processes import MemoryWatch, Peaks
from vidrestore.settings import RestoreSettings

TRIAL_PX = 32_000_000
"""Pixels of all frames of a trial together: twenty seconds of one slow core."""

LEAST_TRIAL_FRAMES, MOST_TRIAL_FRAMES = 7, 72
LEAST_WINDOW_FRAMES = 3
TRIAL_WINDOWS = 3
"""The first one is not timed: it waits for the decoder and for kernels to be compiled."""


@dataclass(frozen=True)
class Prediction:
    """What a run will take.

    Attributes:
        info: The video.
        frames: Frames of it that will be restored.
        trial_frames: Frames that were restored to know.
        wall_s: Seconds of the whole run; scoring and comparing come on top.
        fps: Frames restored per second, once the run is under way.
        peak_bytes: The most main memory that it and its ffmpegs will hold together.
        work_bytes: Disk space of the finished parts, next to the output until the end.
        output_bytes: Disk space of the output.
        free_bytes: Free space where the output goes; None if there is no such place.
        device: Where the model runs.
        dtype: Number format of the model's body.
        settings: What will be used, with the sizes that a limit on memory leads to.
        trial_s: Seconds that the trial took.
    """

    info: VideoInfo
    frames: int
    trial_frames: int
    wall_s: float
    fps: float
    peak_bytes: int
    work_bytes: int
    output_bytes: int
    free_bytes: int | None
    device: str
    dtype: str
    settings: RestoreSettings
    trial_s: float

    @property
    def disk_bytes(self) -> int:
        """Free space that the run needs."""
        return self.work_bytes + self.output_bytes


def predict(
    source: Path, output: Path, settings: RestoreSettings | None = None, *, before_s: float = 0.0
) -> Prediction:
    """Predict what restoring a video will take.

    Args:
        source: Video file, or folder of numbered images.
        output: File that it would be written to; only its suffix matters.
        settings: How; None for the defaults.
        before_s: Seconds that a run's program takes before it begins.

    Returns:
        The prediction.

    Raises:
        VidrestoreError: What the run itself would raise on the first frames.
    """
    settings = settings or RestoreSettings()
    if holds_frames_only(output):
        settings = replace(settings, encode=replace(settings.encode, codec=LOSSLESS_CODEC))
    info = inspect(source, settings.framerate, settings.limits)
    info, _ = reading(
        info,
        find_ffmpeg(settings.ffmpeg),
        settings.deinterlace,
        makes_frames=settings.makes_frames,
    )
    settings = within(settings, info)
    frames = _frames(info, settings)
    trial = _trial_settings(info, settings, frames)
    with scratch() as folder:
        start_s = time.monotonic()
        with MemoryWatch() as watch:
            result = restore(source, folder / f"trial{_suffix(output)}", trial)
        trial_s = time.monotonic() - start_s
        written = result.output.path
        size_bytes = written.stat().st_size if written.is_file() else 0
    done = min(frames, _trial_frames(info, frames))
    share = frames / done
    # Stages compete for the same cores: what the encoder did after the network's last frame of
    # the trial is what slows the network down in a longer run. A graphics card works beside them.
    work_s = result.pace.work_s - result.pace.warm_up_s
    if result.device != "cpu" and result.steady_fps is not None:
        work_s = min(work_s, done / result.steady_fps)
    grown = _overhead(settings.plan, frames) / _overhead(trial.plan, done)
    longer_s = min(result.model_s, work_s) * (grown - 1)
    per_frame_s = (work_s + longer_s + result.pace.search_s) / done
    fixed_s = trial_s - work_s - result.pace.search_s + before_s
    video_bytes = round(size_bytes * share)
    others_bytes = _other_streams_bytes(info, source)
    return Prediction(
        info=info,
        frames=frames,
        trial_frames=done,
        wall_s=before_s + trial_s if frames == done else fixed_s + frames * per_frame_s,
        fps=1 / per_frame_s,
        peak_bytes=_peak(settings, trial, info, (frames, done), watch.peaks, result.dtype),
        work_bytes=video_bytes,
        output_bytes=video_bytes + others_bytes,
        free_bytes=shutil.disk_usage(output.parent).free if output.parent.is_dir() else None,
        device=result.device,
        dtype=result.dtype,
        settings=settings,
        trial_s=trial_s,
    )


def _suffix(output: Path) -> str:
    return output.suffix if output.suffix.lower() in {".mp4", ".m4v", ".mov", ".webm"} else ".mkv"


def _frames(info: VideoInfo, settings: RestoreSettings) -> int:
    """Frames between start and end.

    Raises:
        UsageError: If nobody knows.
    """
    if info.frames is None:
        raise UsageError(
            f"{info.path} does not say how long it is, so nothing can be predicted",
            hint="give --start and --end, or copy it into Matroska first",
        )
    start, end = (
        bound if isinstance(bound, int) else round(bound * info.frame_rate)
        for bound in (settings.start or 0, info.frames if settings.end is None else settings.end)
    )
    return max(1, min(end, info.frames) - start)


def _trial_frames(info: VideoInfo, frames: int) -> int:
    """Frames to try."""
    fitting = TRIAL_PX // (info.width * info.height)
    return min(frames, max(LEAST_TRIAL_FRAMES, min(MOST_TRIAL_FRAMES, fitting)))


def _trial_settings(info: VideoInfo, settings: RestoreSettings, frames: int) -> RestoreSettings:
    """The same run on the first frames, in windows of which there are a few."""
    count = _trial_frames(info, frames)
    plan = settings.plan
    fitting = max(LEAST_WINDOW_FRAMES, count // TRIAL_WINDOWS)
    if frames > count and fitting < plan.window_frames:
        plan = replace(plan, window_frames=fitting, overlap_frames=min(1, plan.overlap_frames))
    settings = replace(
        settings,
        plan=plan,
        overwrite=True,
        resume=False,
        keep_work=False,
        max_memory_bytes=None,
        reference=None,
        compare=None,
        self_test=False,
        write_cuts=None,
    )
    if frames == count:
        return settings
    if isinstance(settings.start, int):
        return replace(settings, end=settings.start + count)
    start = settings.start or Fraction(0)
    # In seconds, since times can be sought: the noise is looked at in as many places as ever.
    return replace(settings, end=start + (count - Fraction(1, 2)) / info.frame_rate)


def _overhead(plan: WindowPlan, frames: int) -> float:
    """Frames that the network sees for each that is restored."""
    length, overlap = plan.window_frames, plan.overlap_frames
    twice = length / (length - overlap) if frames > length else 1.0
    long = frames > plan.longest_segment_frames
    return twice * (1 + (2 * plan.context_frames / plan.longest_segment_frames if long else 0))


def _peak(
    settings: RestoreSettings,
    trial: RestoreSettings,
    info: VideoInfo,
    frames: tuple[int, int],
    peaks: Peaks | None,
    dtype: str,
) -> int:
    """The peak of the trial, and what a longer run adds to it."""
    if peaks is None:
        return peak_bytes(settings, info, frames[0], dtype)
    grown = [
        part(settings, info, frames[0], dtype) - part(trial, info, frames[1], dtype)
        for part in (own_bytes, encoder_bytes, decoder_bytes)
    ]
    seen = peaks.own_bytes + peaks.encoder_bytes + peaks.other_bytes
    return max(peaks.tree_bytes, seen + sum(grown))


def _other_streams_bytes(info: VideoInfo, source: Path) -> int:
    """Size of everything that is not the video, if the video's bitrate is known."""
    if not source.is_file() or len(info.streams) < 2 or info.bitrate_bps is None:
        return 0
    if info.duration_s is None:
        return 0
    return max(0, source.stat().st_size - round(info.bitrate_bps * info.duration_s / 8))

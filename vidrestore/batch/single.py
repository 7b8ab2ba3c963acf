"""One file of a batch, restored in a process that stays loaded."""

from __future__ import annotations

from collections.abc import Callable

from vidrestore.batch.jobs import Facts, Job
from vidrestore.batch.seals import Seal
from vidrestore.errors import InputError
from vidrestore.media import inspection
from vidrestore.media.ffmpeg import find_ffmpeg, version
from vidrestore.network.diffuse import Restorer
from vidrestore.runs.pipeline import RestoreResult, restore
from vidrestore.runs.recipe import Crew
from vidrestore.runs.segments import Progress
from vidrestore.settings import RestoreSettings


def warm(settings: RestoreSettings) -> None:
    """Load what all files of a batch need, and find out whether it is there.

    Raises:
        VidrestoreError: If weights, device or ffmpeg are not as they must be.
    """
    inspection.prepare()
    version(find_ffmpeg(settings.ffmpeg))
    for task in dict.fromkeys(settings.networks):
        Restorer(task, settings.weights, settings.device, settings.footprint.tile_px)


def restore_one(
    job: Job,
    on_progress: Callable[[Progress], None] = lambda _: None,
    crew: Crew | None = None,
) -> Facts:
    """Restore a file of a batch.

    Args:
        job: The file.
        on_progress: As for `pipeline.restore`.
        crew: Likewise.

    Returns:
        What is told of it.

    Raises:
        VidrestoreError: As `pipeline.restore`.
    """
    try:
        source = Seal.of(job.source)
    except OSError as error:
        raise InputError(
            f"cannot read {job.source}: {error.strerror}", hint="check its name and permissions"
        ) from error
    return facts(job, restore(job.source, job.output, job.settings, on_progress, crew), source)


def facts(job: Job, result: RestoreResult, source: Seal) -> Facts:
    """What is told of a file that has been restored.

    Args:
        job: The file.
        result: What the run did.
        source: What the source held before it.
    """
    return Facts(
        frames=result.frames,
        resumed_frames=result.resumed_frames,
        made_frames=result.made_frames,
        sigma=result.sigma,
        noise_before=result.noise_before,
        noise_after=result.noise_after,
        wall_s=result.wall_s,
        model_s=result.model_s,
        device=result.device,
        dtype=result.dtype,
        weights=result.weights,
        warnings=result.warnings,
        source=source,
        output=Seal.of(job.output),
    )

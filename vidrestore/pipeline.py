"""restore(): a video in, a restored video out, whole and checked, or nothing at all."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path

import torch

from vidrestore.codecs import EncodeSettings, output_pix_fmt
from vidrestore.compare import RgbReader
from vidrestore.decode import Decoder
from vidrestore.diffuse import Levels, Restorer
from vidrestore.errors import OutputError, UsageError
from vidrestore.ffmpeg import find_ffmpeg, version
from vidrestore.journal import Journal, JournalHeader
from vidrestore.mux import mux, output_format, publish
from vidrestore.probe import VideoInfo
from vidrestore.scoring import ReferenceScores, Scoring
from vidrestore.segments import Progress, SegmentWriter, WindowRestorer, write_segments
from vidrestore.selftest import SelfTest, self_test
from vidrestore.split import write_split
from vidrestore.survey import survey_noise
from vidrestore.windows import WindowPlan


@dataclass(frozen=True)
class RestoreSettings:
    """How a video is restored.

    Attributes:
        tasks: What to do, in order; each needs weights. "auto" chooses.
        sigma: Noise level in 8-bit units; None to estimate it.
        strength: Share of the model's residual that is applied, 0 to 1.
        steps: Reverse diffusion steps K; 1 gives the best PSNR.
        seed: Seeds every random draw.
        device: "auto", "cpu", "cuda" or "mps".
        weights: File or folder of weights; None for those of the package.
        encode: Codec and quality of the output.
        start: First frame, as an index or in seconds; None for the beginning.
        end: One past the last frame, likewise; None for the end.
        framerate: Frames per second of a folder of images.
        overwrite: Replace an existing output.
        ffmpeg: Path of the ffmpeg executable; None for the default.
        reference: The clean version of the video, to score against.
        compare: Also write a video with the input on the left and the result on the right.
        self_test: Degrade the result again, restore that, and score it against the result.
        plan: How the stream is cut into segments and windows.
    """

    tasks: tuple[str, ...] = ("auto",)
    sigma: float | None = None
    strength: float = 1.0
    steps: int = 1
    seed: int = 0
    device: str = "auto"
    weights: Path | None = None
    encode: EncodeSettings = field(default_factory=EncodeSettings)
    start: int | Fraction | None = None
    end: int | Fraction | None = None
    framerate: Fraction | None = None
    overwrite: bool = False
    ffmpeg: str | None = None
    reference: Path | None = None
    compare: Path | None = None
    self_test: bool = False
    plan: WindowPlan = field(default_factory=WindowPlan)

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            UsageError: If one is out of range.
        """
        if self.steps < 1:
            raise UsageError(f"--steps {self.steps} is too few", hint="use 1 (best PSNR) or more")
        if not 0 <= self.strength <= 1:
            raise UsageError(f"--strength {self.strength} is out of range", hint="use 0 to 1")
        if self.sigma is not None and not 0 <= self.sigma <= 255:
            raise UsageError(
                f"--sigma {self.sigma:g} is out of range",
                hint="use auto, or 0 to 255 in 8-bit units",
            )


@dataclass(frozen=True)
class RestoreResult:
    """What a run did.

    Attributes:
        info: The input.
        output: The finished file.
        frames: Frames in it.
        sigma: Noise level that the model was told, 8-bit units.
        noise_before: Estimated noise of the input, 8-bit units.
        noise_after: Estimated noise of the output, likewise.
        scores: Against the reference; None without one.
        self_test: Score of restoring the degraded result; None if not asked for.
        device: Device that the model ran on.
        dtype: Number format of the model's body.
        weights: Names of the weights used.
        wall_s: Seconds for the whole run.
        model_s: Seconds of it in the model.
        steady_fps: Output frames per second from the first finished window on; None if there was
            only one.
        warnings: Everything that the user should know.
    """

    info: VideoInfo
    output: VideoInfo
    frames: int
    sigma: float
    noise_before: float
    noise_after: float
    scores: ReferenceScores | None
    self_test: SelfTest | None
    device: str
    dtype: str
    weights: tuple[str, ...]
    wall_s: float
    model_s: float
    steady_fps: float | None
    warnings: tuple[str, ...]


def restore(
    source: Path,
    output: Path,
    settings: RestoreSettings | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> RestoreResult:
    """Restore a video file or folder of images into a new file.

    The output appears under its name whole and checked, or not at all.

    Args:
        source: Video file, or folder of numbered images.
        output: File to write; its suffix names the container.
        settings: How; None for the defaults.
        on_progress: Called after each window.

    Returns:
        What was done.

    Raises:
        VidrestoreError: One of its subclasses, each with a remedy.
    """
    settings = settings or RestoreSettings()
    start_s = time.monotonic()
    ffmpeg = find_ffmpeg(settings.ffmpeg)
    degraded = _reader(source, settings, ffmpeg)
    for target in (output, settings.compare):
        if target is not None:
            check_target(degraded.info, target, settings)
    restorers = [
        Restorer("denoise" if task == "auto" else task, settings.weights, settings.device)
        for task in settings.tasks
    ]
    survey = survey_noise(degraded)
    sigma = survey.sigma if settings.sigma is None else settings.sigma
    levels = Levels(sigma, clipped=survey.is_clipped(sigma))
    scoring = None
    if settings.reference is not None:
        scoring = Scoring(_reader(settings.reference, settings, ffmpeg), degraded)
    run = _run(degraded.info, output, settings, ffmpeg, restorers, levels, scoring, on_progress)
    wall_s = time.monotonic() - start_s
    result = RgbReader(output, ffmpeg)
    if settings.compare is not None:
        write_split(degraded, result, settings.compare, settings.overwrite)
    tested = None
    if settings.self_test:
        tested = self_test(restorers[0], result, steps=settings.steps, seed=settings.seed)
    return RestoreResult(
        info=degraded.info,
        output=result.info,
        frames=run.frames,
        sigma=sigma,
        noise_before=survey.sigma,
        noise_after=survey_noise(result).sigma,
        scores=None if scoring is None else scoring.finish(result),
        self_test=tested,
        device=str(restorers[0].device),
        dtype=restorers[0].dtype,
        weights=tuple(restorer.weights.path.name for restorer in restorers),
        wall_s=wall_s,
        model_s=run.model_s,
        steady_fps=run.steady_fps,
        warnings=run.warnings,
    )


@dataclass(frozen=True)
class _Finished:
    frames: int
    model_s: float
    steady_fps: float | None
    warnings: tuple[str, ...]


def _run(
    info: VideoInfo,
    output: Path,
    settings: RestoreSettings,
    ffmpeg: str,
    restorers: list[Restorer],
    levels: Levels,
    scoring: Scoring | None,
    on_progress: Callable[[Progress], None],
) -> _Finished:
    """Decode to publish. Whatever happens, no work folder stays behind."""
    trim = settings.start is not None or settings.end is not None
    restorer = WindowRestorer(
        info,
        restorers,
        levels,
        steps=settings.steps,
        strength=settings.strength,
        plan=settings.plan,
    )
    header = JournalHeader.of(info, _settings_that_matter(settings, restorers, levels, ffmpeg))
    journal = Journal.start(output, header)
    try:
        writer = SegmentWriter(info, settings.encode, journal, ffmpeg)
        with Decoder(info, ffmpeg=ffmpeg, start=settings.start, end=settings.end) as decoder:
            write_segments(
                decoder,
                restorer,
                writer,
                total=None if trim else info.frames,
                on_frame=(lambda _: None) if scoring is None else scoring.add,
                on_progress=on_progress,
            )
        muxed = mux(info, writer.segments, writer.pts, output, ffmpeg=ffmpeg, trim=trim)
        publish(muxed.path, output, overwrite=settings.overwrite)
    finally:
        journal.remove()
    warnings = [*decoder.warnings, *muxed.warnings]
    if info.interlaced:
        warnings.append("interlaced video was restored as if progressive: deinterlace it first")
    return _Finished(len(writer.pts), restorer.model_s, restorer.steady_fps, tuple(warnings))


def _settings_that_matter(
    settings: RestoreSettings, restorers: list[Restorer], levels: Levels, ffmpeg: str
) -> dict[str, object]:
    """Everything that changes a decoded frame of the output."""
    return {
        "weights": [restorer.weights.sha256 for restorer in restorers],
        "device": str(restorers[0].device),
        "dtype": restorers[0].dtype,
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
        "ffmpeg": version(ffmpeg),
        "levels": asdict(levels),
        "strength": settings.strength,
        "steps": settings.steps,
        "seed": settings.seed,
        "start": str(settings.start),
        "end": str(settings.end),
        "encode": asdict(settings.encode),
        "plan": asdict(settings.plan),
    }


def _reader(path: Path, settings: RestoreSettings, ffmpeg: str) -> RgbReader:
    """A video cut and timed like the input."""
    return RgbReader(
        path, ffmpeg, start=settings.start, end=settings.end, framerate=settings.framerate
    )


def check_target(info: VideoInfo, target: Path, settings: RestoreSettings) -> None:
    """Refuse a target that cannot or must not be written, before any work is done for it.

    Raises:
        UsageError: If it is the input, or its container cannot hold the codec.
        OutputError: If it exists and may not be replaced, or its folder cannot be written.
    """
    if target.exists() and target.samefile(info.path):
        raise UsageError(f"the output is the input: {target}", hint="name another output with -o")
    output_format(target, settings.encode.codec)
    output_pix_fmt(info, settings.encode)
    if target.exists() and not settings.overwrite:
        raise OutputError(f"{target} exists already", hint="-y replaces it")
    if not target.parent.is_dir():
        raise OutputError(f"no such folder: {target.parent}", hint="make it, or name another -o")
    try:
        probe_file = target.parent / f".{target.name}.writable"
        probe_file.touch()
        probe_file.unlink()
    except OSError as error:
        raise OutputError(
            f"cannot write into {target.parent}: {error.strerror}", hint="name another -o"
        ) from error

"""restore(): a video in, a restored video out, whole and checked, or nothing at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path

import torch

from vidrestore.check import OutputCheck
from vidrestore.clock import Clock
from vidrestore.codecs import output_pix_fmt
from vidrestore.compare import RgbReader, compare
from vidrestore.cuts import ShotLog, label_shots, read_cuts, write_cuts
from vidrestore.damage import Damage, find_damage
from vidrestore.decode import Decoder, Frame
from vidrestore.diffuse import Levels, Restorer
from vidrestore.errors import OutputError, UsageError
from vidrestore.ffmpeg import find_ffmpeg, version
from vidrestore.fill import Filler
from vidrestore.journal import Journal, JournalHeader, discard
from vidrestore.mux import MuxResult, mux, output_format, publish
from vidrestore.probe import VideoInfo
from vidrestore.retime import Retimer
from vidrestore.scoring import ReferenceScores, Scoring
from vidrestore.segments import Progress, SegmentWriter, WindowRestorer, write_segments
from vidrestore.selftest import SelfTest, self_test
from vidrestore.settings import RestoreSettings
from vidrestore.split import write_split
from vidrestore.survey import survey_noise
from vidrestore.timeline import Retiming, timeline


@dataclass(frozen=True)
class RestoreResult:
    """What a run did.

    Attributes:
        info: The input.
        output: The finished file.
        frames: Frames in it.
        made_frames: Those of them that the source has not.
        sigma: Noise level that the model was told, 8-bit units; None if nothing was denoised.
        noise_before: Estimated noise of the input, 8-bit units.
        noise_after: Estimated noise of the output, likewise.
        cuts: Times of the cuts found or given, in seconds of the source.
        damage: What was broken in time; None if nobody looked.
        check: The finished file against its plan.
        scores: Against the reference; None without one.
        self_test: Score of restoring the degraded result; None if not asked for.
        device: Device that the model ran on.
        dtype: Number format of the model's body.
        weights: Names of the weights used.
        wall_s: Seconds for the whole run.
        model_s: Seconds of it in the model.
        flow_s: Seconds of it in optical flow and warping.
        steady_fps: Restored frames per second from the first finished window on; None if there
            was only one.
        warnings: Everything that the user should know.
    """

    info: VideoInfo
    output: VideoInfo
    frames: int
    made_frames: int
    sigma: float | None
    noise_before: float
    noise_after: float
    cuts: tuple[Fraction, ...]
    damage: Damage | None
    check: OutputCheck
    scores: ReferenceScores | None
    self_test: SelfTest | None
    device: str
    dtype: str
    weights: tuple[str, ...]
    wall_s: float
    model_s: float
    flow_s: float
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
    run = _Run(degraded, output, settings)
    survey = survey_noise(degraded)
    sigma = survey.sigma if settings.sigma is None else settings.sigma
    scoring = None
    if settings.reference is not None and not run.retimed:
        scoring = Scoring(_reader(settings.reference, settings, ffmpeg), degraded)
    run.write(Levels(sigma, clipped=survey.is_clipped(sigma)), scoring, on_progress)
    wall_s = time.monotonic() - start_s
    result = RgbReader(output, ffmpeg)
    if settings.compare is not None:
        speed = run.timeline.speed
        write_split(degraded, result, settings.compare, speed=speed, overwrite=settings.overwrite)
    tested = None
    if settings.self_test:
        tested = self_test(run.restorers[0], result, steps=settings.steps, seed=settings.seed)
    network = run.networks[0] if run.networks else None
    return RestoreResult(
        info=degraded.info,
        output=result.info,
        frames=run.check.frames_found,
        made_frames=run.retimer.made,
        sigma=sigma if run.restorers else None,
        noise_before=survey.sigma,
        noise_after=survey_noise(result).sigma,
        cuts=tuple(shot.start_s for shot in run.log.shots[1:]),
        damage=run.damage,
        check=run.check,
        scores=_scores(scoring, result, settings, ffmpeg),
        self_test=tested,
        device="cpu" if network is None else str(network.device),
        dtype="float32" if network is None else network.dtype,
        weights=tuple(network.weights.path.name for network in run.networks),
        wall_s=wall_s,
        model_s=run.model_s,
        flow_s=run.retimer.flow_s,
        steady_fps=run.restorer.steady_fps,
        warnings=tuple(run.warnings),
    )


def _scores(
    scoring: Scoring | None, result: RgbReader, settings: RestoreSettings, ffmpeg: str
) -> ReferenceScores | None:
    if scoring is not None:
        return scoring.finish(result)
    if settings.reference is None:
        return None
    # Other frames than the input's: only the result can be scored.
    return ReferenceScores(compare(RgbReader(settings.reference, ffmpeg), result), None, None)


class _Run:
    """Probe to publish, for one video.

    Args:
        degraded: The video, or the part of it that is wanted.
        output: File to write.
        settings: How.
    """

    def __init__(self, degraded: RgbReader, output: Path, settings: RestoreSettings) -> None:
        self.info = degraded.info
        self.ffmpeg = degraded.ffmpeg
        self.output = output
        self.settings = settings
        self.warnings: list[str] = []
        self.log = ShotLog(self.info)
        self.given_cuts = None if settings.cuts is None else read_cuts(settings.cuts)
        self.trim = settings.start is not None or settings.end is not None

        def network(task: str) -> Restorer:
            return Restorer(task, settings.weights, settings.device)

        self.restorers = [network(task) for task in settings.restoring]
        self.filler = (
            Filler(network("interpolate"), settings.steps) if settings.makes_frames else None
        )
        self.networks = [*self.restorers, *([self.filler.restorer] if self.filler else [])]
        self.damage: Damage | None = None
        if settings.fill:
            self.damage = find_damage(self.info, self.ffmpeg, settings.start, settings.end)
        asked = replace(settings.wanted, times=None if self.damage is None else self.damage.times)
        self.retimed = asked != Retiming()
        self.timeline = timeline(
            self.info.time_base, self.info.start_pts, self.info.frame_rate, asked
        )
        self.retimer = Retimer(
            self.info,
            self.timeline,
            self.filler,
            degraded.converter,
            self._stated_end(),
            repairs=settings.fill,
        )

    def write(
        self, levels: Levels, scoring: Scoring | None, on_progress: Callable[[Progress], None]
    ) -> None:
        """Decode to publish. Whatever happens, no work folder stays behind."""
        info, settings = self.info, self.settings
        self.restorer = WindowRestorer(
            info,
            self.restorers,
            levels,
            steps=settings.steps,
            strength=settings.strength,
            plan=settings.plan,
        )
        header = JournalHeader.of(info, self._settings_that_matter(levels), self._clock(None))
        try:
            with Journal.start(self.output, header) as journal:
                muxed, decoder = self._work(journal, scoring, on_progress)
                publish(muxed.path, self.output, overwrite=settings.overwrite)
        finally:
            discard(self.output)
        self.check = muxed.check
        self.warnings += [*decoder.warnings, *muxed.warnings]
        if info.interlaced:
            self.warnings.append(
                "interlaced video was restored as if progressive: deinterlace it first"
            )
        if settings.write_cuts is not None:
            write_cuts(settings.write_cuts, self.log.shots)

    def _work(
        self, journal: Journal, scoring: Scoring | None, on_progress: Callable[[Progress], None]
    ) -> tuple[MuxResult, Decoder]:
        """Decode to mux; the file is not yet under its name."""
        info, settings, ffmpeg = self.info, self.settings, self.ffmpeg
        clock = self._clock(None)
        writer = SegmentWriter(info, settings.encode, journal, clock=clock, ffmpeg=ffmpeg)
        with Decoder(info, ffmpeg=ffmpeg, start=settings.start, end=settings.end) as decoder:
            write_segments(
                self._shots(decoder),
                self.restorer,
                self.retimer,
                writer,
                total=self._total(),
                on_frame=(lambda _: None) if scoring is None else scoring.add,
                on_progress=on_progress,
            )
        muxed = mux(
            info,
            writer.segments,
            writer.pts,
            self.output,
            ffmpeg=ffmpeg,
            trim=self.trim,
            clock=self._clock(self.retimer.end_pts),
            audio=settings.slow_audio if clock.speed != 1 else "copy",
        )
        return muxed, decoder

    @property
    def model_s(self) -> float:
        """Seconds spent in the networks."""
        return self.restorer.model_s + self.retimer.model_s

    def _shots(self, decoder: Decoder) -> Iterator[Frame]:
        """The good frames of the source, their shots told."""
        bad = frozenset() if self.damage is None else self.damage.bad
        good = (frame for frame in decoder if frame.pts not in bad)
        for frame in label_shots(good, self.info, self.given_cuts):
            self.log.add(frame)
            yield frame

    def _stated_end(self) -> int | None:
        """Where the video ends, if its container says so."""
        if self.trim or self.info.duration_pts is None:
            return None
        return self.info.start_pts + self.info.duration_pts

    def _clock(self, end_pts: int | None) -> Clock:
        """The output's clock; `end_pts` is where the source ends, once that is known."""
        if not self.retimed:
            return Clock.of(self.info)
        return Clock(
            self.timeline.time_base,
            self.timeline.frame_rate,
            self.timeline.speed,
            None if end_pts is None else self.timeline.end(end_pts),
            self.info.start_pts * self.info.time_base,
        )

    def _total(self) -> int | None:
        """Frames to expect."""
        if self.trim or self.info.frames is None:
            return None
        more = self.timeline.frame_rate / self.info.frame_rate / self.timeline.speed
        return round(self.info.frames * more)

    def _settings_that_matter(self, levels: Levels) -> dict[str, object]:
        """Everything that changes a decoded frame of the output."""
        settings = self.settings
        return {
            "weights": [network.weights.sha256 for network in self.networks],
            "device": [str(network.device) for network in self.networks],
            "dtype": [network.dtype for network in self.networks],
            "torch": torch.__version__,
            "torch_threads": torch.get_num_threads(),
            "ffmpeg": version(self.ffmpeg),
            "levels": asdict(levels),
            "strength": settings.strength,
            "steps": settings.steps,
            "seed": settings.seed,
            "start": str(settings.start),
            "end": str(settings.end),
            "retiming": str(settings.wanted),
            "missing": [] if self.damage is None else sorted(self.damage.missing),
            "cuts": None if self.given_cuts is None else [str(cut) for cut in self.given_cuts],
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

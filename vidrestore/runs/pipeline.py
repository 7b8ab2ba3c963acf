"""restore(): a video in, a restored video out, whole and checked, or nothing at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from itertools import count
from pathlib import Path

import torch

from vidrestore.containers.check import OutputCheck
from vidrestore.containers.mux import MuxResult, mux, output_format, publish
from vidrestore.containers.receipt import Receipt, receipt, unwritten
from vidrestore.containers.sequence import (
    LOSSLESS_CODEC,
    check_numbered,
    demand_constant_rate,
    discard_output,
    holds_frames_only,
    home,
    is_numbered,
    source_times,
)
from vidrestore.containers.wishes import wishes
from vidrestore.encoders.encoding import EncodingPlan
from vidrestore.encoders.planning import plan_encoding
from vidrestore.errors import InputError, OutputError, UsageError
from vidrestore.measure.compare import RgbReader, compare
from vidrestore.measure.scoring import ReferenceScores, Scoring
from vidrestore.measure.selftest import SelfTest, self_test
from vidrestore.media.clock import Clock
from vidrestore.media.decode import Frame
from vidrestore.media.ffmpeg import find_ffmpeg, version
from vidrestore.media.manifest import manifest
from vidrestore.media.probe import VideoInfo, probe
from vidrestore.media.timeline import Retiming, timeline
from vidrestore.network.diffuse import Levels
from vidrestore.picture.drift import ShotDrift
from vidrestore.picture.fields import FieldReport
from vidrestore.picture.survey import survey_noise
from vidrestore.runs.choice import Choice
from vidrestore.runs.disk import Space, disk_need
from vidrestore.runs.footprint import cores
from vidrestore.runs.identity import Witness
from vidrestore.runs.journal import (
    Ending,
    Facts,
    FormerRun,
    Journal,
    JournalHeader,
    former_run,
    unfinished,
)
from vidrestore.runs.memory import within
from vidrestore.runs.recipe import Crew, Networks, Recipe, adopted, segment_name, settled
from vidrestore.runs.resume import Trail
from vidrestore.runs.search import searched
from vidrestore.runs.segments import Finished, Progress, SegmentWriter, begins, write_segments
from vidrestore.runs.split import SPLIT_CODEC, write_split
from vidrestore.runs.workfolder import WorkFolder
from vidrestore.settings import RestoreSettings
from vidrestore.timing.cuts import ShotLog, read_cuts, write_cuts
from vidrestore.timing.damage import Damage


@dataclass(frozen=True)
class Pace:
    """What the time of a run went into; the rest of it does not grow with the video's length.

    Attributes:
        search_s: Seconds spent looking for damage.
        work_s: Seconds from the first frame that was wanted to the last segment on the disk.
        warm_up_s: Of these, what its beginning took longer than what followed.
    """

    search_s: float
    work_s: float
    warm_up_s: float


@dataclass(frozen=True)
class RestoreResult:
    """What a run did.

    Attributes:
        info: The input.
        output: The finished file.
        frames: Frames in it.
        resumed_frames: Those of them that an earlier run had finished.
        made_frames: Those of them that the source has not.
        sigma: Noise level that the model was told, 8-bit units; None if nothing was denoised.
        chosen: Task that `--task auto` chose, and why; None if the user did.
        noise_before: Estimated noise of the input, 8-bit units.
        noise_after: Estimated noise of the output, likewise.
        cuts: Times of the cuts found or given, in seconds of the source.
        damage: What was broken in time; None if nobody looked.
        check: The finished file against its plan.
        receipt: What became of everything that the input held.
        fields: What is known of the input's fields, and what became of them.
        drift: Where the colours of each shot went; empty if nothing was restored.
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
        pace: What the time went into.
        warnings: Everything that the user should know.
    """

    info: VideoInfo
    output: VideoInfo
    frames: int
    resumed_frames: int
    made_frames: int
    sigma: float | None
    chosen: str | None
    noise_before: float
    noise_after: float
    cuts: tuple[Fraction, ...]
    damage: Damage | None
    check: OutputCheck
    receipt: Receipt
    fields: FieldReport | None
    drift: tuple[ShotDrift, ...]
    scores: ReferenceScores | None
    self_test: SelfTest | None
    device: str
    dtype: str
    weights: tuple[str, ...]
    wall_s: float
    model_s: float
    flow_s: float
    steady_fps: float | None
    pace: Pace
    warnings: tuple[str, ...]


def restore(
    source: Path,
    output: Path,
    settings: RestoreSettings | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    crew: Crew | None = None,
) -> RestoreResult:
    """Restore a video file or folder of images into a new file.

    The output appears under its name whole and checked, or not at all.

    Args:
        source: Video file, or folder of numbered images.
        output: File to write; its suffix names the container.
        settings: How; None for the defaults.
        on_progress: Called after each frame, or with a crew, now and then.
        crew: Makes the segments; None to make them here.

    Returns:
        What was done.

    Raises:
        VidrestoreError: One of its subclasses, each with a remedy.
    """
    settings = settings or RestoreSettings()
    start_s = time.monotonic()
    ffmpeg = find_ffmpeg(settings.ffmpeg)
    degraded = open_reader(source, settings, ffmpeg)
    if holds_frames_only(output):
        encode = replace(settings.encode, codec=LOSSLESS_CODEC)  # decoded again, into frames
        settings = replace(settings, encode=encode)
    settings = within(settings, degraded.info)
    plan = plan_encoding(degraded.info, settings.encode, ffmpeg)
    _check_size(plan, settings)
    for target, codec in ((output, plan.codec), (settings.compare, SPLIT_CODEC)):
        if target is not None:
            check_target(degraded.info, target, codec, settings)
    with unfinished(home(output), keep=settings.keep_work) as work:
        survey = survey_noise(degraded)
        choice = Choice.of(settings, survey)
        settings, noise_before = choice.settings, survey.sigma
        del survey  # it holds frames
        run = _Run(degraded, output, settings, plan, work, crew)
        if holds_frames_only(output) and not (run.retimed or run.trim):
            times_s, tick_s = source_times(degraded.info), degraded.info.time_base
            demand_constant_rate(times_s, degraded.info.frame_rate, tick_s)
        scoring = None
        if settings.reference is not None and not run.retimed:
            scoring = Scoring(open_reader(settings.reference, settings, ffmpeg), degraded)
        run.write(choice.levels, scoring, on_progress)
    wall_s = time.monotonic() - start_s
    rate = run.timeline.frame_rate
    result = RgbReader(home(output), ffmpeg, framerate=rate, limits=settings.limits)
    if settings.compare is not None:
        speed = run.timeline.speed
        write_split(degraded, result, settings.compare, speed=speed, overwrite=settings.overwrite)
    tested = None
    if settings.self_test:
        network = run.networks.restorers[0]
        tested = self_test(network, result, steps=settings.steps, seed=settings.seed)
    return RestoreResult(
        info=degraded.info,
        output=result.info,
        frames=run.check.frames_found,
        resumed_frames=run.resumed_frames,
        made_frames=run.retimer.made,
        sigma=choice.levels.sigma if run.networks.restorers else None,
        chosen=choice.reason,
        noise_before=noise_before,
        noise_after=survey_noise(result).sigma,
        cuts=tuple(shot.start_s for shot in run.log.shots[1:]),
        damage=run.damage,
        check=run.check,
        receipt=run.receipt,
        fields=degraded.fields,
        drift=tuple(run.restorer.drift.shots),
        scores=_scores(scoring, result, settings, ffmpeg),
        self_test=tested,
        device=next(iter(run.conditions["device"]), "cpu"),
        dtype=next(iter(run.conditions["dtype"]), "float32"),
        weights=run.networks.names,
        wall_s=wall_s,
        model_s=run.model_s,
        flow_s=run.retimer.flow_s,
        steady_fps=run.restorer.steady_fps,
        pace=Pace(run.search_s, run.work_s, run.restorer.warm_up_s),
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
    reference = RgbReader(settings.reference, ffmpeg, limits=settings.limits)
    return ReferenceScores(compare(reference, result), None, None)


class _Run:
    """Probe to publish, for one video.

    Args:
        degraded: The video, or the part of it that is wanted.
        output: File to write.
        settings: How.
        plan: How the output's video is encoded.
        work: Takes what is finished until all is; locked.
        crew: Makes the segments; None to make them here.
    """

    def __init__(
        self,
        degraded: RgbReader,
        output: Path,
        settings: RestoreSettings,
        plan: EncodingPlan,
        work: WorkFolder,
        crew: Crew | None = None,
    ) -> None:
        self.info = degraded.info
        self.plan = plan
        self.ffmpeg = degraded.ffmpeg
        self.output = output
        self.settings = settings
        self.work = work
        self.warnings: list[str] = [*plan.warnings, *dict.fromkeys(map(str, plan.losses))]
        if settings.footprint.note is not None:
            self.warnings.append(settings.footprint.note)
        self.log = ShotLog(self.info)
        self.given_cuts = None if settings.cuts is None else read_cuts(settings.cuts)
        self.trim = settings.start is not None or settings.end is not None
        # What others make, they make on their devices.
        self.networks = Networks(settings if crew is None else replace(settings, device="cpu"))
        self.crew = crew
        self.damage: Damage | None = None
        self.search_s = self.work_s = 0.0
        if settings.fill:
            start_s, interval = time.monotonic(), (settings.start, settings.end)
            self.damage = searched(work, self.info, self.ffmpeg, *interval, resume=settings.resume)
            self.search_s = time.monotonic() - start_s
        asked = replace(settings.wanted, times=None if self.damage is None else self.damage.times)
        self.retimed = asked != Retiming()
        self.timeline = timeline(
            self.info.time_base, self.info.start_pts, self.info.frame_rate, asked
        )
        self.resumed_frames = 0

    def write(
        self,
        levels: Levels,
        scoring: Scoring | None,
        on_progress: Callable[[Progress], None],
    ) -> None:
        """Decode to publish."""
        settings = self.settings
        self.recipe = Recipe(
            info=self.info,
            settings=settings,
            encoding=self.plan,
            levels=levels,
            timeline=self.timeline,
            clock=self._clock(None),
            bad=frozenset() if self.damage is None else self.damage.bad,
            cuts=self.given_cuts,
            end_pts=self._stated_end(),
        )
        self.restorer = self.recipe.restorer(self.networks)
        threads = torch.get_num_threads()
        try:
            with self._journal(levels) as journal:
                muxed = self._work(journal, scoring, on_progress)
            self.receipt = self._receipt(muxed, journal.notes)
            publish(muxed.path, self.output, overwrite=settings.overwrite)
        finally:
            torch.set_num_threads(threads)
        self.check = muxed.check
        self.warnings += muxed.warnings
        self.warnings += self.networks.warnings
        if settings.write_cuts is not None:
            write_cuts(settings.write_cuts, self.log.shots)

    def _journal(self, levels: Levels) -> Journal:
        """Start a journal, or go on with the one that is there."""
        settings = self._settings_that_matter(levels)
        self.conditions = (
            self.networks.conditions()
            if self.crew is None
            else self.crew.conditions(self.recipe, self.networks, self.work.path)
        )
        threads = self.plan.threads(cores())
        if threads is not None:
            self.conditions["encoder_threads"] = threads
        header = JournalHeader.of(self.info, settings, self._clock(None), self.conditions)
        self.witness = Witness(self.info.path, header.input)
        former, reason = former_run(self.work.path, header, resume=self.settings.resume)
        self.warnings += [reason] if reason else []
        if former is not None:
            self.conditions = adopted(self.conditions, former.header.conditions)
            header = replace(header, conditions=self.conditions)
            changes = former.header.changed(header)
            if changes:
                note = f"not bit-identical to an uninterrupted run: {'; '.join(changes)}"
                former = replace(
                    former, notes=(*former.notes, f"{note} after frame {former.frames}")
                )
        threads = self.conditions.get("encoder_threads")
        if threads:  # said outright, whoever encodes
            self.plan = self.plan.with_threads(threads)
            self.recipe = replace(self.recipe, encoding=self.plan)
        if self.crew is None:
            self.networks.adopt(self.conditions)
        self.journal = journal = Journal(self.work, header, former)
        self._recall(former)
        self.warnings += journal.notes
        return journal

    def _recall(self, former: FormerRun | None) -> None:
        """Take up what an earlier run knew, if there was one."""
        self.ending = None if former is None else former.ending
        records = () if former is None else former.records
        self.landmark = records[-1].facts.next if records else None
        if former is not None and (self.landmark is not None or self.ending is not None):
            self.resumed_frames = former.frames
        self.retimer = self.recipe.retimer(self.networks, self.landmark, self.resumed_frames)
        for record in records:
            self.retimer.made_in[record.index] = record.facts.made_frames
            self.restorer.drift.recall(record.index, record.facts.drift)
            for shot in record.facts.shots:
                self.log.note(*shot)
        self.trail = Trail(self.settings.plan.context_frames, self.landmark)

    def _work(
        self,
        journal: Journal,
        scoring: Scoring | None,
        on_progress: Callable[[Progress], None],
    ) -> MuxResult:
        """Decode to mux; the file is not yet under its name."""
        settings, clock = self.settings, self._clock(None)
        need = disk_need(self.plan, self._total(), settings.encode.bitrate_bps)
        self.space = Space(journal.folder, need)
        if self.ending is None:
            self.space.demand_run(journal.files)
            start_s = time.monotonic()
            with closing(self._shots()) as frames:
                if self.crew is None:
                    self._make_here(frames, scoring, on_progress)
                else:
                    self._have_made(self.crew, frames, on_progress)
            self.work_s = time.monotonic() - start_s
            if not journal.frames:
                raise InputError("there is no frame to restore", hint="check --start and --end")
            self.witness.demand_same()
            warnings = tuple(self.decoder_warnings)
            self.ending = Ending(self.retimer.end_pts, self.trail.last, warnings)
            journal.end(self.ending)
        elif self.ending.last_frame is not None:
            self.log.note(*self.ending.last_frame)
        self.warnings += self.ending.warnings
        self.space.demand_output(journal.files)
        return mux(
            self.plan.video,
            journal.files,
            journal.pts,
            self.output,
            ffmpeg=self.ffmpeg,
            trim=self.trim,
            clock=self._clock(self.ending.end_pts),
            audio=settings.slow_audio if clock.speed != 1 else "copy",
            work=journal.folder,
        )

    def _make_here(
        self,
        frames: Iterator[Frame],
        scoring: Scoring | None,
        on_progress: Callable[[Progress], None],
    ) -> None:
        """Make all segments that are missing."""
        total, score = self._total(), scoring is not None and not self.landmark
        counter = count(self.journal.frames + 1)

        def seen(frame: Frame) -> None:
            if scoring is not None and score:
                scoring.add(frame)
            on_progress(Progress(next(counter), total))

        def name(segment: int) -> Path:
            self.space.demand_segment(self.journal.files)
            return self.journal.folder / segment_name(segment)

        write_segments(
            frames,
            self.restorer,
            self.retimer,
            SegmentWriter(self.plan, clock=self.recipe.clock, name=name, on_finished=self._record),
            self.trail,
            after=self.landmark,
            on_frame=seen,
            queue_frames=self.settings.footprint.queue_frames,
        )

    def _have_made(
        self, crew: Crew, frames: Iterator[Frame], on_progress: Callable[[Progress], None]
    ) -> None:
        """Have others make them, and know of each what we would if we had made it."""
        folder = self.journal.folder
        starts = begins(frames, self.settings.plan, self.trail, self.landmark)
        furthest = self.journal.frames

        def tell(ahead_frames: int) -> None:
            nonlocal furthest  # what is begun again does not take it back
            furthest = max(furthest, self.journal.frames + ahead_frames)
            on_progress(Progress(furthest, self._total()))

        for made, following in crew.make(self.recipe, self.conditions, folder, starts, tell):
            self.retimer.made_in[made.segment] = made.made_frames
            self.retimer.end_pts = made.end_pts
            self.retimer.flow_s += made.flow_s
            self.restorer.model_s += made.model_s
            self.restorer.drift.recall(made.segment, made.drift)
            for cause in made.notes:
                self._note(cause)
            finished = settled(made, folder)
            if finished is not None:
                self._record(finished, following)
                self.space.demand_segment(self.journal.files)
            tell(0)
        self.warnings += [note for note in self.journal.notes if note not in self.warnings]

    def _record(self, one: Finished, following: int | None) -> None:
        """Journal a finished segment."""
        facts = self._facts(one.segment, following)
        self.journal.add(one.segment, self.journal.frames, one.pts, one.file, facts)

    def _note(self, cause: str) -> None:
        """Journal why the result is not what an uninterrupted run on one machine gives."""
        note = f"not bit-identical to an uninterrupted run: {cause}"
        if note not in self.journal.notes:
            self.journal.note(note)

    def _facts(self, segment: int, following: int | None) -> Facts:
        """What the journal is to say of a segment that is finished."""
        self.witness.demand_same()
        for line in self.networks.warnings:  # before the first segment that it may be about
            self._note(line)
        landmark, shots = self.trail.take(following)
        made = self.retimer.made_in[segment]
        return Facts(landmark, shots, made, self.restorer.drift.noted(segment))

    def _receipt(self, muxed: MuxResult, notes: Sequence[str]) -> Receipt:
        """Compare the file with the input before it gets its name."""
        try:
            before = manifest(self.info)
            after = manifest(probe(muxed.path, self._clock(None).frame_rate))
            losses = [*self.plan.losses, *muxed.losses]
            named = {loss.subject for loss in losses}
            late = [loss for loss in unwritten(before, after) if loss.subject not in named]
            self.warnings += map(str, late)
            compared = receipt(
                before,
                after,
                muxed.streams,
                asked=wishes(self.settings, self.info, self.output),
                losses=[*losses, *late],
                notes=notes,
            )
            compared.demand()
        except BaseException:
            discard_output(muxed.path)
            raise
        return compared

    @property
    def model_s(self) -> float:
        """Seconds spent in the networks."""
        return self.restorer.model_s + self.retimer.model_s

    def _shots(self) -> Generator[Frame, None, None]:
        """The good frames of the source, their shots told, from where they are needed on."""
        self.decoder_warnings: list[str] = []
        known = 0
        if self.landmark is not None:
            known = min(self.settings.plan.context_frames, self.landmark.position)
        frames = self.recipe.frames(self.landmark, self.decoder_warnings.extend)
        for number, frame in enumerate(frames):
            if number >= known:
                self.log.add(frame)
                self.trail.add(frame)
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
            "weights": self.networks.sha256,
            "torch": torch.__version__,
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
            "fields": [self.info.deinterlace, self.info.field_order],
            "encode": self.plan.identity,
            "plan": asdict(settings.plan),
            "tile_px": settings.footprint.tile_px,
        }


def open_reader(path: Path, settings: RestoreSettings, ffmpeg: str) -> RgbReader:
    """A video cut and timed like the input."""
    return RgbReader(
        path,
        ffmpeg,
        start=settings.start,
        end=settings.end,
        framerate=settings.framerate,
        deinterlace=settings.deinterlace,
        makes_frames=settings.makes_frames,
        limits=settings.limits,
    )


def _check_size(plan: EncodingPlan, settings: RestoreSettings) -> None:
    """Refuse to compare pictures of different sizes."""
    before, after = plan.source, plan.video
    wanted = settings.reference or settings.compare or settings.self_test
    if wanted and (before.width, before.height) != (after.width, after.height):
        raise UsageError(
            f"--post makes {after.width}x{after.height} of {before.width}x{before.height}, which "
            "cannot be compared",
            hint="leave out --reference, --compare and --self-test, or keep the size",
        )


def check_target(info: VideoInfo, target: Path, codec: str, settings: RestoreSettings) -> None:
    """Refuse a target that cannot or must not be written, before any work is done for it.

    Raises:
        UsageError: If it is the input, or its container cannot hold the codec.
        OutputError: If it exists and may not be replaced, or its folder cannot be written.
    """
    place = home(target)
    if place.exists() and place.samefile(info.path):
        raise UsageError(f"the output is the input: {target}", hint="name another output with -o")
    output_format(target, codec)
    if is_numbered(target):
        check_numbered(target, overwrite=settings.overwrite)
        target = place
    elif target.exists() and not settings.overwrite:
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

"""restore_stream(): a video from or into a pipe, in one pass, a bounded number of frames behind.

There are no segments and there is no journal, since nothing can be read again. The picture goes
through the same stages as in a file; the other streams wait in memory until it has passed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from vidrestore.containers.mux import output_format, publish
from vidrestore.containers.outlet import Outlet, check_codec, kept_streams, lost_tags
from vidrestore.containers.sequence import is_numbered
from vidrestore.encoders.encoding import EncodingPlan
from vidrestore.encoders.pipeencode import PipeEncoder, plan_for_pipe
from vidrestore.errors import InputError, UsageError
from vidrestore.losses import Loss
from vidrestore.media.clock import Clock
from vidrestore.media.decode import Decoder, Frame
from vidrestore.media.ffmpeg import find_ffmpeg
from vidrestore.media.inlet import Aside, Inlet
from vidrestore.media.inspection import inspect
from vidrestore.media.ledger import check_count
from vidrestore.media.probe import VideoInfo
from vidrestore.media.scratch import scratch
from vidrestore.media.timeline import Retiming, timeline
from vidrestore.picture.convert import FrameConverter
from vidrestore.picture.fields import reading
from vidrestore.picture.survey import FRAMES_PER_PLACE, PLACES, NoiseSurvey, survey_noise
from vidrestore.runs.choice import Choice
from vidrestore.runs.clean import forget_parts
from vidrestore.runs.flow import Prefetch, Sink, Worker
from vidrestore.runs.lookahead import StreamPlan
from vidrestore.runs.pipeline import check_target, open_reader
from vidrestore.runs.recipe import Networks
from vidrestore.runs.segments import Progress, WindowRestorer
from vidrestore.settings import RestoreSettings
from vidrestore.timing.cuts import ShotLog, label_shots, read_cuts, write_cuts
from vidrestore.timing.retime import Retimer

HEAD_FRAMES = {"normal": 24, "low": FRAMES_PER_PLACE}
"""Frames at the beginning of a pipe that the noise is estimated from."""


@dataclass(frozen=True)
class StreamResult:
    """What a run did.

    Attributes:
        info: The input.
        frames: Frames written.
        made_frames: Those of them that the source has not.
        sigma: Noise level that the model was told, 8-bit units; None if nothing was denoised.
        chosen: Task that `--task auto` chose, and why; None if the user did.
        noise_before: Estimated noise of the input, 8-bit units.
        cuts: Times of the cuts found or given, in seconds of the source.
        lookahead_frames: Frames of the source after one that were read before it was written.
        device: Device that the model ran on.
        dtype: Number format of the model's body.
        weights: Names of the weights used.
        wall_s: Seconds for the whole run.
        model_s: Seconds of it in the model.
        losses: What the output does not hold.
        warnings: Everything else that the user should know.
    """

    info: VideoInfo
    frames: int
    made_frames: int
    sigma: float | None
    chosen: str | None
    noise_before: float
    cuts: tuple[Fraction, ...]
    lookahead_frames: int
    device: str
    dtype: str
    weights: tuple[str, ...]
    wall_s: float
    model_s: float
    losses: tuple[Loss, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Opened:
    """The input, looked into.

    Attributes:
        info: What is known of it.
        survey: Its noise.
        streams: Its other streams.
        supply: Feeds the decoder; None if that can open the input.
    """

    info: VideoInfo
    survey: NoiseSurvey
    streams: Inlet | Aside
    supply: Inlet | None


def restore_stream(
    source: Path | BinaryIO,
    output: Path | BinaryIO,
    settings: RestoreSettings | None = None,
    *,
    container: str = "matroska",
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> StreamResult:
    """Restore a video that comes from a pipe, goes into a pipe, or both.

    Args:
        source: The pipe, or a video file or folder of images.
        output: The pipe, or a file, which appears under its name when it is whole.
        settings: How; None for the defaults.
        container: What to write into a pipe: "matroska", "mpegts", "nut" or "y4m".
        on_progress: Called after each frame.

    Returns:
        What was done.

    Raises:
        BrokenPipeError: If the reader of the output is gone.
        VidrestoreError: One of its subclasses, each with a remedy.
    """
    settings = settings or RestoreSettings()
    start_s = time.monotonic()
    _refuse_second_looks(settings)
    if isinstance(output, Path) and is_numbered(output):
        raise UsageError(
            "images cannot be written from a pipe",
            hint="write -o out.y4m, or let the input be a file",
        )
    ffmpeg = find_ffmpeg(settings.ffmpeg)
    with scratch() as folder:
        opened = (
            _open_file(source, settings, ffmpeg)
            if isinstance(source, Path)
            else _open_pipe(source, folder, settings, ffmpeg)
        )
        if isinstance(output, Path):
            container = "y4m" if output.suffix.lower() == ".y4m" else output.suffix
        prompt = settings.latency == "low"
        plan = plan_for_pipe(opened.info, settings.encode, container, ffmpeg, prompt=prompt)
        if isinstance(output, Path):
            itself = source if isinstance(source, Path) else folder
            check_target(replace(opened.info, path=itself), output, plan.codec, settings)
            container = container if container == "y4m" else output_format(output, plan.codec)
        elif container != "y4m":
            check_codec(plan.codec, container)
    run = _Run(opened, plan, container, settings, ffmpeg)
    if isinstance(output, Path):
        _write_file(run, output, settings, on_progress)
    else:
        run.write(output, on_progress)
    if settings.write_cuts is not None:
        write_cuts(settings.write_cuts, run.log.shots)
    return run.result(time.monotonic() - start_s)


def _refuse_second_looks(settings: RestoreSettings) -> None:
    """A pipe goes by once."""
    twice = {
        "--fill": settings.fill,
        "--reference": settings.reference is not None,
        "--self-test": settings.self_test,
        "--compare": settings.compare is not None,
        "--slow": settings.retiming.slow != 1,
    }
    for option, asked in twice.items():
        if asked:
            raise UsageError(
                f"{option} cannot work on a pipe, which goes by only once",
                hint="let both the input and -o be files",
            )


def _open_pipe(source: BinaryIO, folder: Path, settings: RestoreSettings, ffmpeg: str) -> _Opened:
    """Read as much as it takes to know what comes."""
    frames = HEAD_FRAMES[settings.latency]
    inlet = Inlet(source, frames=frames, limits=settings.limits)
    head = inlet.head(folder)
    try:
        info, _ = reading(
            inspect(head, limits=settings.limits),
            ffmpeg,
            settings.deinterlace,
            makes_frames=settings.makes_frames,
        )
        survey = _survey_head(info, ffmpeg, frames)
    except InputError as error:
        said = str(error).replace(str(head), "the pipe")
        raise InputError(said, hint=error.hint) from error
    info = replace(info, path=Path("-"), frames=None, duration_pts=None, duration_s=None)
    if len(info.streams) > 1:
        inlet.keep_others(info.stream_index)
    return _Opened(info, survey, inlet, inlet)


def _survey_head(info: VideoInfo, ffmpeg: str, frames: int) -> NoiseSurvey:
    """Look at the noise of the first frames, at evenly spread places."""
    converter = FrameConverter(info)  # fields hold the same noise as the frames they make
    held: list[NDArray[np.float32]] = []
    with Decoder(info, ffmpeg=ffmpeg, end=frames) as decoder:
        every = max(FRAMES_PER_PLACE, frames // PLACES)
        for frame in decoder:
            if frame.index % every < FRAMES_PER_PLACE:
                held.append(converter.rgb(frame))
    places = range(0, len(held), FRAMES_PER_PLACE)
    return NoiseSurvey.of(np.stack(held[at : at + FRAMES_PER_PLACE]) for at in places)


def _open_file(path: Path, settings: RestoreSettings, ffmpeg: str) -> _Opened:
    reader = open_reader(path, settings, ffmpeg)
    return _Opened(reader.info, survey_noise(reader), Aside(reader.info), None)


def _write_file(
    run: _Run, output: Path, settings: RestoreSettings, on_progress: Callable[[Progress], None]
) -> None:
    """Write under a temporary name; the final name means that it is whole."""
    temporary = output.with_name(f".{output.name}.{os.getpid()}.part")
    forget_parts(output)
    try:
        run.write(temporary, on_progress)
        run.check(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        publish(temporary, output, overwrite=settings.overwrite)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


class _Run:
    """Decode to mux, for one stream.

    Args:
        opened: The input.
        encoding: How the output's video is encoded.
        container: ffmpeg's name of the output's container, or "y4m".
        settings: How to restore.
        ffmpeg: Path of the ffmpeg executable.
    """

    def __init__(
        self,
        opened: _Opened,
        encoding: EncodingPlan,
        container: str,
        settings: RestoreSettings,
        ffmpeg: str,
    ) -> None:
        self.info = info = opened.info
        self._opened = opened
        self._encoding = encoding
        self._container = container
        self._settings = settings
        self._ffmpeg = ffmpeg
        self.log = ShotLog(info)
        self._given_cuts = None if settings.cuts is None else read_cuts(settings.cuts)
        self._frames = 0
        self._outlet: Outlet | None = None
        self._warnings: list[str] = list(encoding.warnings)

        self._choice = Choice.of(settings, opened.survey)
        self._settings = settings = self._choice.settings

        networks = Networks(settings)
        self._networks = networks.all
        lines = timeline(info.time_base, info.start_pts, info.frame_rate, settings.wanted)
        self._clock = Clock.of(info)
        if settings.wanted != Retiming():
            start = info.start_pts * info.time_base
            self._clock = Clock(lines.time_base, lines.frame_rate, start=start)
        self.plan = StreamPlan.of(settings, info, lines.frame_rate, networks.filler)
        self._retimer = Retimer(
            info, lines, self.plan.paced(networks.filler), FrameConverter(info), None, repairs=False
        )
        self._restorer = WindowRestorer(
            info,
            networks.restorers,
            self._choice.levels,
            steps=self.plan.steps,
            strength=settings.strength,
            plan=self.plan.windows,
        )
        self._kept, losses = kept_streams(opened.streams.container, info.stream_index, container)
        codec = "wrapped_avframe" if container == "y4m" else encoding.codec
        lost = lost_tags(encoding.video, codec, container)
        self._losses = [*encoding.losses, *losses, *lost]
        cut = settings.start is not None or settings.end is not None
        if cut and container != "y4m" and opened.streams.container.chapters():
            reason = "the chapters are dropped: their times are not those of the part that is kept"
            self._losses.append(Loss("chapters", reason))

    def write(self, target: BinaryIO | Path, on_progress: Callable[[Progress], None]) -> None:
        """Run all stages at once, with bounded queues between them."""
        streams, settings = self._opened.streams, self._settings
        encoder = PipeEncoder(self._encoding, self._clock, self._container)
        self._outlet = outlet = Outlet(
            target,
            self._container,
            self._encoding.video,
            streams.container,
            self._kept,
            streams.others,
            self._clock,
            cut=(settings.start is not None, settings.end is not None),
            prompt=self.plan.prompt,
        )

        def step() -> None:
            outlet.run(encoder)
            encoder.finish()

        def stop() -> None:
            streams.stop()
            encoder.kill()

        with ExitStack() as stack:
            stack.callback(stop)
            decoder = stack.enter_context(
                Decoder(
                    self.info,
                    ffmpeg=self._ffmpeg,
                    start=settings.start,
                    end=settings.end,
                    supply=self._opened.supply,
                )
            )
            worker = Worker(step, stop)
            if isinstance(streams, Aside):
                streams.start()
            queue_frames = self.plan.queue_frames
            decoded = stack.enter_context(Prefetch(self._shots(decoder), queue_frames))
            sink = stack.enter_context(Sink(encoder.write, queue_frames))
            try:
                for frame in self.restored(decoded):
                    outlet.expect(frame.pts)
                    sink.put(frame)
                    self._frames += 1
                    on_progress(Progress(self._frames, None))
                sink.finish()
                if not self._frames:
                    raise InputError("there is no frame to restore", hint="check --start, --end")
                encoder.end()
                worker.finish()
            except BaseException as error:
                stop()  # first, or the queues would wait for what will not come
                if worker.error is not None and isinstance(error, Exception):
                    raise worker.error from error
                raise
        self._warnings += decoder.warnings

    def check(self, path: Path) -> None:
        """Compare the file that was written with what went into it."""
        if self._container == "y4m":
            check_count(path, self._frames)
        elif self._outlet is not None:
            self._outlet.ledger.check(path)

    def restored(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Frames whose shots are told, restored and put onto the output's timeline."""
        for _, frame in self._retimer.retime(self._restorer.restore(frames)):
            yield frame

    def _shots(self, decoder: Iterable[Frame]) -> Iterator[Frame]:
        ahead_frames = self.plan.shot_frames
        for frame in label_shots(decoder, self.info, self._given_cuts, ahead_frames=ahead_frames):
            self.log.add(frame)
            yield frame

    def result(self, wall_s: float) -> StreamResult:
        """What was done."""
        first = self._networks[0] if self._networks else None
        return StreamResult(
            info=self.info,
            frames=self._frames,
            made_frames=self._retimer.made,
            sigma=self._choice.levels.sigma if self._settings.restoring else None,
            chosen=self._choice.reason,
            noise_before=self._opened.survey.sigma,
            cuts=tuple(shot.start_s for shot in self.log.shots[1:]),
            lookahead_frames=self.plan.lookahead_frames,
            device="cpu" if first is None else str(first.device),
            dtype="float32" if first is None else first.dtype,
            weights=tuple(found.path.name for network in self._networks for found in network.sets),
            wall_s=wall_s,
            model_s=self._restorer.model_s + self._retimer.model_s,
            losses=tuple(self._losses),
            warnings=tuple(self._warnings),
        )

"""The command line: parse, call, show. The only module that prints or chooses an exit code.

Heavy libraries are imported inside the commands, so that `--help` is instant.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

import vidrestore
from vidrestore import options
from vidrestore.arguments import (
    PIPE,
    check_pipes,
    default_output,
    parse_bitrate,
    parse_cfr,
    parse_channels,
    parse_deinterlace,
    parse_ffmpeg_args,
    parse_framerate,
    parse_latency,
    parse_limits,
    parse_memory,
    parse_rate,
    parse_sigma,
    parse_slow,
    parse_slow_audio,
    parse_tasks,
    parse_time,
)
from vidrestore.errors import ExitCode, Stopped, UsageError, VidrestoreError

if TYPE_CHECKING:
    from rich.table import Table

    from vidrestore.runs.segments import Progress
    from vidrestore.settings import RestoreSettings

app = typer.Typer(
    name="vidrestore",
    help="Restore video: denoise, deblur and repair with a small temporal diffusion model.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class _Console(Console):
    """Shows names and tags of files as they are: they neither style nor steer a terminal."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(_printable(text), **options)


stdout = _Console()
stderr = _Console(stderr=True)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        stdout.print(vidrestore.__version__, highlight=False)
    elif context.invoked_subcommand is None:
        stdout.print(context.get_help())


@app.command()
def restore(
    source: options.Input,
    output: options.Output = None,
    task: options.Task = None,
    sigma: options.Sigma = "auto",
    strength: options.Strength = 1.0,
    steps: options.Steps = 1,
    seed: options.Seed = 0,
    reference: options.Reference = None,
    self_test: options.SelfTest = False,
    compare: options.Split = None,
    deinterlace: options.Deinterlace = "auto",
    latency: options.Latency = "normal",
    piped: options.PipeFormat = None,
    fps: options.Fps = None,
    fill: options.Fill = False,
    slow: options.Slow = None,
    slow_audio: options.SlowAudio = "drop",
    cfr: options.Cfr = None,
    cuts: options.Cuts = None,
    write_cuts: options.WriteCuts = None,
    device: options.Device = "auto",
    weights: options.WeightsPath = None,
    codec: options.Codec = "h264",
    crf: options.Crf = None,
    preset: options.Preset = None,
    bitrate: options.Bitrate = None,
    pix_fmt: options.PixFmt = None,
    hardware: options.Hardware = False,
    post: options.Post = None,
    ffmpeg_args: options.FfmpegArgs = None,
    start: options.Start = None,
    end: options.End = None,
    framerate: options.Framerate = None,
    limits: options.Limits = None,
    max_memory: options.MaxMemory = None,
    dry_run: options.DryRun = False,
    overwrite: options.Overwrite = False,
    resume: options.Resume = True,
    keep_work: options.KeepWork = False,
    ffmpeg: options.Ffmpeg = None,
    report: options.Report = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Restore one video file or folder of images."""
    from vidrestore.media import inspection

    inspection.prepare()  # while the rest is loaded
    from vidrestore.containers.mux import suggest_output
    from vidrestore.encoders.codecs import EncodeSettings
    from vidrestore.media.timeline import Retiming
    from vidrestore.report import restore_document, to_json
    from vidrestore.runs.pipeline import restore as run
    from vidrestore.settings import RestoreSettings
    from vidrestore.tables import receipt_table, restore_table

    through_pipe = check_pipes(
        source, output, as_json=as_json, piped=piped, latency=parse_latency(latency)
    )
    retiming = Retiming(fps=parse_rate(fps, "--fps"), slow=parse_slow(slow), cfr=parse_cfr(cfr))
    settings = RestoreSettings(
        tasks=parse_tasks(task, timed=fill or retiming != Retiming()),
        sigma=parse_sigma(sigma),
        strength=strength,
        steps=steps,
        seed=seed,
        device=device,
        weights=weights,
        encode=EncodeSettings(
            codec=codec,
            crf=crf,
            preset=preset,
            bitrate_bps=parse_bitrate(bitrate),
            pix_fmt=pix_fmt,
            hardware=hardware,
            post=post,
            extra=parse_ffmpeg_args(ffmpeg_args),
        ),
        start=parse_time(start, "--start"),
        end=parse_time(end, "--end"),
        framerate=parse_framerate(framerate),
        overwrite=overwrite,
        resume=resume,
        keep_work=keep_work,
        ffmpeg=ffmpeg,
        reference=reference,
        compare=compare,
        self_test=self_test,
        retiming=retiming,
        fill=fill,
        cuts=cuts,
        write_cuts=write_cuts,
        slow_audio=parse_slow_audio(slow_audio),
        deinterlace=parse_deinterlace(deinterlace),
        latency=parse_latency(latency),
        limits=parse_limits(limits),
        max_memory_bytes=parse_memory(max_memory),
    )
    if through_pipe and (dry_run or max_memory is not None):
        asked = "--dry-run" if dry_run else "--max-memory"
        raise UsageError(f"{asked} is for files, not for pipes", hint=f"leave out {asked}")
    if through_pipe and output is not None:
        _restore_stream(source, output, settings, piped, report, quiet=quiet, as_json=as_json)
        return
    target, note = output, None
    if target is None:
        info = inspection.inspect(source, settings.framerate, settings.limits)
        target, note = suggest_output(info, default_output(source))
    if dry_run:
        _show_plan(source, target, settings, report, as_json=as_json)
        return
    with _Bar(quiet=quiet) as bar:
        result = run(source, target, settings, bar.update)
    if note is not None:
        result = replace(result, warnings=(note, *result.warnings))
    document = restore_document(result, settings)
    if report is not None:
        report.write_text(to_json(document) + "\n")
    if as_json:
        _print_json(to_json(document))
    elif not quiet:
        if result.sigma is not None:
            found = "estimated" if settings.sigma is None else "given"
            stderr.print(f"noise level {result.sigma:.1f} ({found})")
        if verbose:
            stderr.print(
                f"weights {', '.join(result.weights)} on {result.device}, {result.dtype}; "
                f"model {result.model_s:.1f} s, flow {result.flow_s:.1f} s"
            )
            stdout.print(receipt_table(result.receipt))
        _print_table(restore_table(result), document["warnings"])


def _show_plan(
    source: Path,
    target: Path,
    settings: RestoreSettings,
    report: Path | None = None,
    *,
    as_json: bool,
) -> None:
    """Predict what a run takes."""
    from vidrestore.report import plan_document, to_json
    from vidrestore.runs.plan import predict
    from vidrestore.tables import plan_table

    prediction = predict(source, target, settings)
    document = plan_document(prediction)
    if report is not None:
        report.write_text(to_json(document) + "\n")
    if as_json:
        _print_json(to_json(document))
    else:
        _print_table(plan_table(prediction), document["warnings"])


@app.command()
def plan(
    source: options.Input,
    output: options.Output = None,
    task: options.Task = None,
    steps: options.Steps = 1,
    fps: options.Fps = None,
    device: options.Device = "auto",
    weights: options.WeightsPath = None,
    codec: options.Codec = "h264",
    crf: options.Crf = None,
    preset: options.Preset = None,
    start: options.Start = None,
    end: options.End = None,
    framerate: options.Framerate = None,
    limits: options.Limits = None,
    max_memory: options.MaxMemory = None,
    ffmpeg: options.Ffmpeg = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Predict what restoring a video takes: time, memory, disk. `restore --dry-run` is the same."""
    restore(
        source=source,
        output=output,
        task=task,
        steps=steps,
        fps=fps,
        device=device,
        weights=weights,
        codec=codec,
        crf=crf,
        preset=preset,
        start=start,
        end=end,
        framerate=framerate,
        limits=limits,
        max_memory=max_memory,
        ffmpeg=ffmpeg,
        as_json=as_json,
        dry_run=True,
    )


def _restore_stream(
    source: Path,
    output: Path,
    settings: RestoreSettings,
    container: str | None,
    report: Path | None,
    *,
    quiet: bool,
    as_json: bool,
) -> None:
    """From or into a pipe. Standard output is the video's alone."""
    from vidrestore.report import stream_document, to_json
    from vidrestore.runs.stream import restore_stream

    if output == PIPE and sys.stdout.isatty():
        raise UsageError("a terminal cannot show the video", hint="-o - | ffplay -, or -o FILE")
    try:
        with (
            open(0, "rb", buffering=0, closefd=False) as stdin,
            open(1, "wb", buffering=0, closefd=False) as video,
            _Bar(quiet=quiet) as bar,
        ):
            result = restore_stream(
                stdin if source == PIPE else source,
                video if output == PIPE else output,
                settings,
                container=container or "matroska",
                on_progress=bar.update,
            )
    except BrokenPipeError as error:  # the parser would make another code of it
        raise typer.Exit(int(ExitCode.BROKEN_PIPE)) from error
    document = stream_document(result, output, settings)
    if report is not None:
        report.write_text(to_json(document) + "\n")
    if as_json:
        _print_json(to_json(document))
    elif not quiet:
        stderr.print(
            f"{result.frames} frames, {result.frames / result.wall_s:.2f} fps, read "
            f"{result.lookahead_frames} frames ahead"
        )
        _print_warnings(document["warnings"])


@app.command(name="compare")
def compare_command(
    reference: Annotated[Path, typer.Argument(help="The clean video.")],
    test: Annotated[Path, typer.Argument(help="The video to score.")],
    framerate: options.Framerate = None,
    limits: options.Limits = None,
    ffmpeg: options.Ffmpeg = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Score one video against another: PSNR and SSIM, aligned in time."""
    from vidrestore.measure.compare import RgbReader, compare
    from vidrestore.media.ffmpeg import find_ffmpeg
    from vidrestore.report import compare_document, comparison_warnings, to_json
    from vidrestore.tables import compare_table

    executable, rate, bounds = find_ffmpeg(ffmpeg), parse_framerate(framerate), parse_limits(limits)
    comparison = compare(
        RgbReader(reference, executable, framerate=rate, limits=bounds),
        RgbReader(test, executable, framerate=rate, limits=bounds),
    )
    if as_json:
        _print_json(to_json(compare_document(reference, test, comparison)))
    else:
        _print_table(compare_table(comparison), comparison_warnings(comparison))


@app.command()
def probe(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="Video file or image folder.")],
    framerate: options.Framerate = None,
    limits: options.Limits = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show what a video file holds."""
    from vidrestore.media.inspection import inspect
    from vidrestore.report import probe_document, to_json
    from vidrestore.tables import probe_table

    info = inspect(source, parse_framerate(framerate), parse_limits(limits))
    if as_json:
        _print_json(to_json(probe_document(info)))
    else:
        _print_table(probe_table(info))


@app.command()
def clean(
    places: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", help="Outputs, or folders with outputs in them."),
    ],
    debug: options.Debug = False,
) -> None:
    """Remove what runs that were killed have left, and say what it was."""
    from vidrestore.runs.clean import clean as run

    found = run(places)
    for left in found:
        if left.kept is not None:
            stdout.print(f"kept {left.path}: {left.kept}", highlight=False, soft_wrap=True)
            continue
        work = f", {left.frames} finished frames" if left.frames else ""
        size = f"{left.size_bytes / 1e6:.1f} MB{work}"
        stdout.print(f"removed {left.path} ({size})", highlight=False, soft_wrap=True)
    if not found:
        stdout.print("there is no unfinished work", highlight=False)


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, learning curve and weights.")],
    videos: Annotated[Path | None, typer.Option(help="Folder of clean clips.")] = None,
    photos: Annotated[Path | None, typer.Option(help="Folder of clean photos.")] = None,
    task: Annotated[
        str, typer.Option(metavar="denoise|interpolate", help="What the weights are for.")
    ] = "denoise",
    init: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Weights to start from.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
    max_minutes: Annotated[float, typer.Option(help="Bound on this sitting.")] = 60.0,
    max_steps: Annotated[int | None, typer.Option(help="Bound on the number of steps.")] = None,
    decay_fraction: Annotated[
        float, typer.Option(help="Share of the sitting for the final decay; 0: only extend.")
    ] = 0.2,
    batch: Annotated[int, typer.Option(help="Windows per step.")] = 3,
    frames: Annotated[int, typer.Option(help="Frames of a window.")] = 6,
    crop_px: Annotated[int, typer.Option("--crop", help="Size of a window in pixels.")] = 80,
    learning_rate: Annotated[float, typer.Option(help="Of the stable phase.")] = 1e-3,
    channels: Annotated[str, typer.Option(help="Channels at 1/2, 1/4, 1/8.")] = "64,96,128",
    data_note: Annotated[
        str, typer.Option(help="What the material is and its licence, for the weights' header.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Seeds batches, noise and initialisation.")] = 0,
    device: options.Device = "auto",
    debug: options.Debug = False,
) -> None:
    """Train weights on folders of clips and photos."""
    if task not in ("denoise", "interpolate"):
        raise UsageError(f"cannot train for {task}", hint="use denoise or interpolate")
    from vidrestore.network.diffuse import pick_device
    from vidrestore.network.model import ModelSpec
    from vidrestore.training.train import TrainReport, TrainSettings
    from vidrestore.training.train import train as run

    settings = TrainSettings(
        videos=videos,
        photos=photos,
        out=out,
        task=task,
        init=init,
        resume=resume,
        max_minutes=max_minutes,
        max_steps=max_steps,
        decay_fraction=decay_fraction,
        batch=batch,
        frames=frames,
        crop_px=crop_px,
        learning_rate=learning_rate,
        seed=seed,
        data_note=data_note,
        device=str(pick_device(device)),
        spec=ModelSpec(channels=parse_channels(channels)),
    )

    def show(line: TrainReport) -> None:
        scores = "  ".join(f"{kind}: {db:.2f} dB" for kind, db in line.psnr_db.items())
        stderr.print(
            f"{line.minutes:7.1f} min  step {line.step:6d}  {line.phase:6}  "
            f"loss {line.loss:.5f}  {scores}",
            highlight=False,
        )

    weights = run(settings, show)
    stdout.print(f"{weights or out / 'stable.pt'}", highlight=False, soft_wrap=True)


@app.command()
def benchmark(
    clips: Annotated[
        list[Path],
        typer.Argument(
            metavar="CLIPS...",
            help="Videos or folders of numbered images; each run of images in a folder is a clip.",
        ),
    ],
    degrade: Annotated[
        str,
        typer.Option(
            metavar="awgn:SIGMA|awgn8:SIGMA|drop:N|gap:N",
            help="Add noise; keep every Nth frame; or take N frames out of every ten.",
        ),
    ],
    baselines: Annotated[
        str, typer.Option(metavar="none|ffmpeg", help="What else to run on them.")
    ] = "none",
    frames: Annotated[int | None, typer.Option(help="Only the first frames of each clip.")] = None,
    steps: Annotated[int, typer.Option(help="Diffusion steps.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
    device: options.Device = "auto",
    weights: options.WeightsPath = None,
    ffmpeg: options.Ffmpeg = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Degrade clean clips, restore them, and score the result beside what else there is."""
    from vidrestore.measure.benchmark import BenchmarkSettings
    from vidrestore.measure.benchmark import benchmark as run
    from vidrestore.report import benchmark_document, to_json
    from vidrestore.tables import benchmark_table

    if baselines not in ("none", "ffmpeg"):
        raise UsageError(f"unknown baselines {baselines}", hint="use none or ffmpeg")
    settings = BenchmarkSettings(
        degrade=degrade,
        baselines=baselines == "ffmpeg",
        frames=frames,
        steps=steps,
        seed=seed,
        device=device,
        weights=weights,
        ffmpeg=ffmpeg,
    )
    with stderr.status("benchmark") as status:
        result = run(clips, settings, lambda text: status.update(text))
    if as_json:
        _print_json(to_json(benchmark_document(result)))
    else:
        _print_table(benchmark_table(result))


class _Bar:
    """Progress on stderr: a bar with fps and time left on a terminal, else a line now and then."""

    def __init__(self, *, quiet: bool) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("restoring"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[fps]}"),
            TimeRemainingColumn(),
            console=stderr,
            disable=quiet or not stderr.is_terminal,
            speed_estimate_period=30,
        )
        self._task = self._bar.add_task("restore", total=None, fps="")

    def update(self, progress: Progress) -> None:
        speed = self._bar.tasks[self._task].speed
        self._bar.update(
            self._task,
            completed=progress.done,
            total=progress.total,
            fps=f"{speed:.1f} fps" if speed else "",
        )

    def __enter__(self) -> _Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _print_json(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _print_table(table: Table, warnings: list[str] | None = None) -> None:
    stdout.print(table)
    _print_warnings(warnings or [])


def _print_warnings(warnings: list[str]) -> None:
    for warning in warnings:
        stderr.print(Text("warning:", "yellow"), _one_line(warning), soft_wrap=True)


def _one_line(text: str) -> str:
    """Text that may hold names of files and of streams, without what a terminal would obey."""
    return " ".join(_printable(text).split())


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def _fail(message: str, hint: str | None, code: ExitCode) -> NoReturn:
    said = f"error: {message}" + (f" (try: {hint})" if hint else "")
    sys.stderr.write(_one_line(said) + "\n")
    raise SystemExit(int(code))


_CODES = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}


def _stop(number: int, _: object) -> NoReturn:
    """End in order: what is finished is kept. A second signal does not wait for that."""
    for each in _CODES:
        signal.signal(each, _stop_at_once)
    raise Stopped(_CODES[signal.Signals(number)])


def _stop_at_once(number: int, _: object) -> NoReturn:
    os._exit(int(_CODES[signal.Signals(number)]))  # what we have started ends with us


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with the code documented in the README."""
    arguments = sys.argv[1:] if arguments is None else arguments
    before = {number: signal.signal(number, _stop) for number in _CODES}
    try:
        raise SystemExit(_guarded(lambda: app(args=arguments, standalone_mode=False), arguments))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _guarded(command: Callable[[], object], arguments: list[str]) -> int:
    """Run a command; the only place where exceptions become messages and exit codes."""
    try:
        code = command()
        return code if isinstance(code, int) else int(ExitCode.SUCCESS)
    except Exception as error:
        if "--debug" in arguments:
            raise
        if isinstance(error, VidrestoreError):
            _fail(str(error), error.hint, error.exit_code)
        if isinstance(error, typer.Abort):
            _fail("interrupted; nothing was written", None, ExitCode.INTERRUPTED)
        if hasattr(error, "format_message"):  # the parser's own errors
            _fail(error.format_message().rstrip("."), "vidrestore --help", ExitCode.USAGE)
        if isinstance(error, BrokenPipeError):
            return int(ExitCode.BROKEN_PIPE)
        cause = " ".join(str(error).split()) or type(error).__name__
        hint = "; ".join(["run again with --debug and report it", *_notes(error)])
        _fail(f"unexpected: {cause}", hint, ExitCode.UNEXPECTED)
    except Stopped as stopped:
        what = "; ".join(_notes(stopped)) or "nothing was written"
        _fail(f"{stopped}; {what}", None, stopped.exit_code)


def _notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])

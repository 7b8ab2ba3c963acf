"""The command line: parse, call, show. The only module that prints or chooses an exit code.

Heavy libraries are imported inside the commands, so that `--help` is instant.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
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
    parse_channels,
    parse_framerate,
    parse_latency,
    parse_limits,
)
from vidrestore.asked import RestoreOptions, spread
from vidrestore.errors import (
    BatchError,
    ExitCode,
    OutputError,
    Stopped,
    UsageError,
    VidrestoreError,
)
from vidrestore.network import shelf

if TYPE_CHECKING:
    from rich.table import Table

    from vidrestore.batch.jobs import Event
    from vidrestore.batch.overview import Overview
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

WIDEST = 300
"""Columns of text for a table that goes into a file."""


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
@spread
def restore(
    source: options.Input,
    *,
    output: options.Output = None,
    asked: RestoreOptions,
    reference: options.Reference = None,
    self_test: options.SelfTest = False,
    compare: options.Split = None,
    latency: options.Latency = "normal",
    piped: options.PipeFormat = None,
    cuts: options.Cuts = None,
    write_cuts: options.WriteCuts = None,
    framerate: options.Framerate = None,
    ray: options.Ray = None,
    dry_run: options.DryRun = False,
    overwrite: options.Overwrite = False,
    resume: options.Resume = True,
    keep_work: options.KeepWork = False,
    report: options.Report = None,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Restore one video file or folder of images."""
    from vidrestore.media import inspection

    inspection.prepare()  # while the rest is loaded
    from vidrestore.cluster.connection import connect
    from vidrestore.page.reportfile import ReportFile, demand_no_page
    from vidrestore.report import restore_document, to_json
    from vidrestore.runs.pipeline import restore as run
    from vidrestore.tables import receipt_table, restore_table

    through_pipe = check_pipes(
        source, output, as_json=as_json, piped=piped, latency=parse_latency(latency)
    )
    settings = asked.settings(
        framerate=parse_framerate(framerate),
        overwrite=overwrite,
        resume=resume,
        keep_work=keep_work,
        reference=reference,
        compare=compare,
        self_test=self_test,
        cuts=cuts,
        write_cuts=write_cuts,
        latency=parse_latency(latency),
    )
    if through_pipe and (dry_run or settings.max_memory_bytes is not None):
        refused = "--dry-run" if dry_run else "--max-memory"
        raise UsageError(f"{refused} is for files, not for pipes", hint=f"leave out {refused}")
    if ray is not None and (dry_run or through_pipe):
        raise UsageError("--ray is for runs from file to file", hint="leave out --ray")
    if through_pipe:
        demand_no_page(report, "a pipe")
    if through_pipe and output is not None:
        _restore_stream(source, output, settings, piped, report, quiet=quiet, as_json=as_json)
        return
    target, note = _target(source, output, settings)
    if dry_run:
        _show_plan(source, target, settings, report, as_json=as_json)
        return
    others = (source, target, reference, compare)
    written = ReportFile.of(report, overwrite=overwrite, others=others)
    with connect(ray) as crew, _Bar(quiet=quiet) as bar:
        result = run(source, target, settings, bar.update, crew)
    if note is not None:
        result = replace(result, warnings=(note, *result.warnings))
    document = restore_document(result, settings)
    if written is not None and written.is_page:
        from vidrestore.page.layout import build
        from vidrestore.page.restored import restoration_page

        written.write(build(restoration_page(source, target, settings, result)))
    elif written is not None:
        written.write(to_json(document) + "\n")
    if as_json:
        _print_json(to_json(document))
    elif not quiet:
        if result.chosen is not None:
            stderr.print(f"task {result.chosen}", highlight=False)
        elif result.sigma is not None:
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
    from vidrestore.page.reportfile import demand_no_page
    from vidrestore.report import plan_document, to_json
    from vidrestore.runs.plan import predict
    from vidrestore.runs.processes import age_s
    from vidrestore.tables import plan_table

    demand_no_page(report, "a plan")
    prediction = predict(source, target, settings, before_s=age_s())
    document = plan_document(prediction)
    if report is not None:
        report.write_text(to_json(document) + "\n")
    if as_json:
        _print_json(to_json(document))
    else:
        _print_table(plan_table(prediction), document["warnings"])


@app.command()
@spread
def plan(
    source: options.Source,
    *,
    output: options.Output = None,
    asked: RestoreOptions,
    framerate: options.Framerate = None,
    report: options.Document = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Predict what restoring a video takes: time, memory, disk. `restore --dry-run` is the same."""
    if PIPE in (source, output):
        raise UsageError("plan is for files, not for pipes", hint="name a file")
    settings = asked.settings(framerate=parse_framerate(framerate))
    target, _ = _target(source, output, settings)
    _show_plan(source, target, settings, report, as_json=as_json)


def _target(
    source: Path, output: Path | None, settings: RestoreSettings
) -> tuple[Path, str | None]:
    """The file to write, and a note if another was chosen than the input's name suggests."""
    if output is not None:
        return output, None
    from vidrestore.containers.mux import suggest_output
    from vidrestore.media.inspection import inspect

    info = inspect(source, settings.framerate, settings.limits)
    return suggest_output(info, default_output(source))


@app.command()
@spread
def batch(
    inputs: options.Inputs = None,
    *,
    out: options.OutputFolder,
    lists: options.Lists = None,
    template: options.NameTemplate = "{stem}.restored{suffix}",
    jobs: options.Jobs = 1,
    ray: options.Ray = None,
    watch: options.Watch = False,
    asked: RestoreOptions,
    overwrite: options.Overwrite = False,
    resume: options.Resume = True,
    keep_work: options.KeepWork = False,
    report: options.LinesReport = None,
    csv: options.Csv = None,
    quiet: options.Quiet = False,
    as_json: options.JsonLines = False,
    debug: options.Debug = False,
) -> None:
    """Restore many files: folders, patterns, lists. What is done already is skipped."""
    from vidrestore.batch import account, workers
    from vidrestore.batch.batching import run
    from vidrestore.batch.desk import BatchSettings
    from vidrestore.batch.jobs import Settled
    from vidrestore.batch.overview import Overview
    from vidrestore.cluster.connection import connect

    settings = asked.settings(overwrite=overwrite, resume=resume, keep_work=keep_work)
    if settings.max_memory_bytes is not None:  # it is for all processes together
        settings = replace(settings, max_memory_bytes=settings.max_memory_bytes // jobs)
    _check_folders(report, csv)
    wanted = BatchSettings(tuple(inputs or ()), out, tuple(lists or ()), template, settings, watch)
    enlist = None if ray is None else partial(connect, ray)
    overview = Overview()
    try:
        with (
            closing(run(wanted, partial(workers.run, processes=jobs, enlist=enlist))) as events,
            _Board(overview, quiet=quiet) as board,
        ):
            for event in events:
                overview.add(event)
                board.update(event)
                if as_json and isinstance(event, Settled):
                    _print_json(account.to_line(account.item_document(event.item)))
    except Stopped as stopped:
        finished = f"{len(overview.items)} of {overview.files} files are finished"
        stopped.add_note(f"{finished}, and the same command goes on after them")
        _show_batch(overview, report, csv, quiet=quiet, as_json=as_json)
        raise
    _show_batch(overview, report, csv, quiet=quiet, as_json=as_json)
    if overview.failed:
        raise BatchError(
            f"{len(overview.failed)} of {overview.files} files failed",
            hint="the same command again, once they are mended: what is finished is skipped",
        )


def _show_batch(
    overview: Overview, report: Path | None, csv: Path | None, *, quiet: bool, as_json: bool
) -> None:
    """The summary, in every form that is asked for."""
    from vidrestore.batch import account
    from vidrestore.batch.board import summary_table

    if report is not None:
        report.write_text(account.to_lines(overview))
    if csv is not None:
        csv.write_text(account.to_csv(overview), encoding="utf-8", errors="surrogateescape")
    if as_json:
        _print_json(account.to_line(account.batch_document(overview)))
    elif not quiet:
        stdout.print(summary_table(overview))
    for item in overview.failed:
        said = str(item.failure)
        named = said if str(item.source) in said else f"{item.source}: {said}"
        stderr.print(Text("failed:", "red"), _one_line(named), soft_wrap=True)


def _check_folders(*files: Path | None) -> None:
    """Refuse at the beginning what could not be written at the end."""
    for file in files:
        if file is not None and not file.absolute().parent.is_dir():
            raise OutputError(f"no such folder: {file.parent}", hint="make it, or name another")


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
    report: options.Report = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Score one video against another: PSNR and SSIM, aligned in time and size."""
    from vidrestore.measure.compare import RgbReader, compare
    from vidrestore.media.ffmpeg import find_ffmpeg
    from vidrestore.page.reportfile import ReportFile
    from vidrestore.report import compare_document, comparison_warnings, to_json
    from vidrestore.tables import compare_table

    written = ReportFile.of(report, overwrite=overwrite, others=(reference, test))
    executable, rate, bounds = find_ffmpeg(ffmpeg), parse_framerate(framerate), parse_limits(limits)
    expected, shown = (
        RgbReader(path, executable, framerate=rate, limits=bounds) for path in (reference, test)
    )
    comparison = compare(expected, shown)
    document = to_json(compare_document(reference, test, comparison))
    if written is not None and written.is_page:
        from vidrestore.page.compared import comparison_page
        from vidrestore.page.layout import build

        written.write(build(comparison_page(expected, shown, comparison)))
    elif written is not None:
        written.write(document + "\n")
    if as_json:
        _print_json(document)
    else:
        _print_table(compare_table(comparison), comparison_warnings(comparison))


@app.command()
def probe(
    source: options.Source,
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
def doctor(
    device: options.Device = "auto",
    weights: options.WeightsPath = None,
    ffmpeg: options.Ffmpeg = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Check that all that a restoration needs is there and works, and say what to do if not."""
    from vidrestore.doctor import Subject, examine
    from vidrestore.report import doctor_document, to_json
    from vidrestore.tables import doctor_table

    checks = list(examine(Subject(ffmpeg, weights, device)))
    if as_json:
        _print_json(to_json(doctor_document(checks)))
    else:
        stdout.print(doctor_table(checks))
    failed = [check for check in checks if check.status == "fail"]
    if failed:
        names = ", ".join(check.name for check in failed)
        _fail(f"not as it must be: {names}", failed[0].remedy, failed[0].exit_code)


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
        str, typer.Option(metavar="|".join(shelf.TRAINED), help="What the weights are for.")
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
    pairs: Annotated[
        int,
        typer.Option(help="Degraded clips to make once, for deblock, deblur and mixed."),
    ] = 1600,
    channels: Annotated[str, typer.Option(help="Channels at 1/2, 1/4, 1/8.")] = "64,96,128",
    data_note: Annotated[
        str, typer.Option(help="What the material is and its licence, for the weights' header.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Seeds batches, noise and initialisation.")] = 0,
    device: options.Device = "auto",
    debug: options.Debug = False,
) -> None:
    """Train weights on folders of clips and photos."""
    if task not in shelf.TRAINED:
        raise UsageError(f"cannot train for {task}", hint=f"use one of {', '.join(shelf.TRAINED)}")
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
        pairs=pairs,
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


@app.command(name="degrade")
def degrade_command(
    source: options.Source,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="File to write, or folder/name%05d.png.")
    ],
    spec: Annotated[
        str,
        typer.Option(
            "--with", metavar="SPEC,...", help="What to do to it, such as awgn:25,blur:motion."
        ),
    ],
    seed: options.Seed = 0,
    codec: Annotated[
        str | None,
        typer.Option(metavar="h264|hevc|av1|ffv1|prores", help="Lossless if not given."),
    ] = None,
    crf: options.Crf = None,
    framerate: options.Framerate = None,
    limits: options.Limits = None,
    overwrite: options.Overwrite = False,
    ffmpeg: options.Ffmpeg = None,
    report: options.Document = None,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Make a test clip: degrade a video on purpose, and keep all else that it holds."""
    from vidrestore.degrade import parse
    from vidrestore.page.reportfile import demand_no_page
    from vidrestore.report import degrade_document, to_json
    from vidrestore.runs.testclip import DegradeSettings, degrade_video
    from vidrestore.tables import degrade_table

    demand_no_page(report, "a test clip")
    settings = DegradeSettings(
        degradation=parse(spec),
        seed=seed,
        codec=codec,
        crf=crf,
        overwrite=overwrite,
        framerate=parse_framerate(framerate),
        limits=parse_limits(limits),
        ffmpeg=ffmpeg,
    )
    with _Bar("degrading", quiet=quiet) as bar:
        result = degrade_video(source, output, settings, bar.update)
    document = degrade_document(result)
    if report is not None:
        report.write_text(to_json(document) + "\n")
    if as_json:
        _print_json(to_json(document))
    elif not quiet:
        _print_table(degrade_table(result), document["warnings"])


@app.command()
def benchmark(
    clips: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[CLIPS]...",
            help="Videos or folders of numbered images; each run of images in a folder is a clip.",
        ),
    ] = None,
    degrade: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="What to do to clean clips, such as awgn8:20 or drop:2; see docs/benchmark.md.",
        ),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            metavar="denoise|deblur|interpolate|mixed|all|FILE.toml", help="Measure all of these."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Clips for a suite; generated ones if not.")
    ] = None,
    pairs: Annotated[
        bool,
        typer.Option("--pairs", help="The clips are DEGRADED REFERENCE DEGRADED REFERENCE ..."),
    ] = False,
    task: Annotated[
        str | None,
        typer.Option(metavar="TASK", help="What the model is for."),
    ] = None,
    baselines: Annotated[
        str | None,
        typer.Option(
            metavar="none|ffmpeg", help="What else to run; ffmpeg's filters if it is a suite."
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=COMMAND", help="A command with {input} and {output}; repeatable."
        ),
    ] = None,
    fail_under: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIGURE=N", help="Exit 10 if the model is below, as psnr=30; repeatable."
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="OLD.json", help="Show what differs from an earlier --json."),
    ] = None,
    frames: Annotated[int | None, typer.Option(help="Only the first frames of each clip.")] = None,
    steps: options.Steps = None,
    seed: Annotated[int | None, typer.Option(help="Of all that is random; 0 if not said.")] = None,
    device: options.Device = "auto",
    weights: options.WeightsPath = None,
    ffmpeg: options.Ffmpeg = None,
    report: options.Report = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Damage clean clips, restore them, and score the result beside what else there is."""
    from vidrestore.measure.benchmark import BenchmarkSettings
    from vidrestore.measure.benchmark import benchmark as run
    from vidrestore.measure.gate import Gate, conclude
    from vidrestore.measure.history import Earlier
    from vidrestore.measure.order import Order, ordered
    from vidrestore.page.reportfile import ReportFile
    from vidrestore.report import benchmark_document, to_json
    from vidrestore.standings import benchmark_tables

    if baselines not in (None, "none", "ffmpeg"):
        raise UsageError(f"unknown baselines {baselines}", hint="use none or ffmpeg")
    written = ReportFile.of(report, overwrite=overwrite, others=(data, against))
    gates = [Gate.parse(text) for text in fail_under or ()]
    earlier = None if against is None else Earlier.read(against)
    asked = ordered(
        Order(
            tuple(clips or ()),
            degrade=degrade,
            suite=suite,
            data=data,
            pairs=pairs,
            task=task,
            methods=tuple(method or ()),
            frames=frames,
            seed=seed,
            ffmpeg=ffmpeg,
        )
    )
    settings = BenchmarkSettings(
        baselines=baselines == "ffmpeg" or (baselines is None and suite is not None),
        steps=steps,
        device=device,
        weights=weights,
        ffmpeg=ffmpeg,
        samples=written is not None and written.is_page,
    )
    with stderr.status("benchmark") as status:
        result = run(asked, settings, lambda text: status.update(text))
    conclusion = conclude(result, gates, earlier)
    if written is not None and written.is_page:
        from vidrestore.page.benchmarked import benchmark_page
        from vidrestore.page.layout import build

        written.write(build(benchmark_page(result)))
    elif written is not None:
        written.write(to_json(benchmark_document(result, conclusion)) + "\n")
    if as_json:
        _print_json(to_json(benchmark_document(result, conclusion)))
    else:
        if not stdout.is_terminal:
            stdout.width = WIDEST
        for table in benchmark_tables(result, conclusion.changes):
            stdout.print(table)
        _print_warnings(list(result.warnings))
    if conclusion.error is not None:  # the figures come first: they took a while
        raise conclusion.error


class _Bar:
    """Progress on stderr: a bar with fps and time left on a terminal, else a line now and then."""

    def __init__(self, doing: str = "restoring", *, quiet: bool) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn(doing),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[fps]}"),
            TimeRemainingColumn(),
            console=stderr,
            disable=quiet or not stderr.is_terminal,
            speed_estimate_period=30,
        )
        self._task = self._bar.add_task(doing, total=None, fps="")

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


class _Board:
    """A batch on stderr: a live table on a terminal, else a line for each file."""

    def __init__(self, overview: Overview, *, quiet: bool) -> None:
        from rich.live import Live

        from vidrestore.batch.board import Board

        self._overview = overview
        self._live: Live | None = None
        self._lines = not quiet
        if stderr.is_terminal and not quiet:
            self._live = Live(Board(overview), console=stderr, transient=True)

    def update(self, event: Event) -> None:
        from vidrestore.batch.board import line
        from vidrestore.batch.jobs import Settled

        if self._live is None and self._lines and isinstance(event, Settled):
            said = _one_line(line(event.item, self._overview))
            stderr.print(said, highlight=False, soft_wrap=True)

    def __enter__(self) -> _Board:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()


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


def _stop(number: int, _: object) -> None:
    """End in order: what is finished is kept. A second signal does not wait for that."""
    for each in _CODES:
        signal.signal(each, _stop_at_once)
    Stopped.by_signal(_CODES[signal.Signals(number)])


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
        Stopped.asked = None


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

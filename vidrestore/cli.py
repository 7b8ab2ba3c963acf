"""The command line: parse, call, show. The only module that prints or chooses an exit code.

Heavy libraries are imported inside the commands, so that `--help` is instant.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console

import vidrestore
from vidrestore.arguments import (
    TASKS,
    default_output,
    parse_cfr,
    parse_channels,
    parse_framerate,
    parse_rate,
    parse_sigma,
    parse_slow,
    parse_slow_audio,
    parse_tasks,
    parse_time,
)
from vidrestore.errors import ExitCode, UsageError, VidrestoreError

if TYPE_CHECKING:
    from rich.table import Table

    from vidrestore.segments import Progress

app = typer.Typer(
    name="vidrestore",
    help="Restore video: denoise, deblur and repair with a small temporal diffusion model.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
stdout = Console()
stderr = Console(stderr=True)

Debug = Annotated[
    bool, typer.Option("--debug", help="Show tracebacks.", rich_help_panel="Diagnostics")
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")
]
Ffmpeg = Annotated[
    str | None,
    typer.Option(
        metavar="PATH", envvar="VIDRESTORE_FFMPEG", help="Another ffmpeg than the bundled one."
    ),
]
Framerate = Annotated[
    str | None, typer.Option(metavar="FPS", help="Frames per second of a folder of images (25).")
]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda|mps", help="Where the model runs.")]
WeightsPath = Annotated[
    Path | None,
    typer.Option(metavar="FILE|DIR", help="Weights to use instead of the package's."),
]


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
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="Video file, or folder of numbered images.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write.", show_default="INPUT.restored.EXT"),
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option(metavar="|".join(TASKS), help="What to do; repeatable.")
    ] = None,
    sigma: Annotated[
        str, typer.Option(metavar="auto|N", help="Noise level in 8-bit units at any bit depth.")
    ] = "auto",
    strength: Annotated[
        float, typer.Option(help="Share of the correction to apply, 0 to 1.")
    ] = 1.0,
    steps: Annotated[
        int, typer.Option(help="Diffusion steps: 1 has the best PSNR, 4 to 8 are sharper.")
    ] = 1,
    seed: Annotated[int, typer.Option(help="Seeds everything that is drawn at random.")] = 0,
    reference: Annotated[
        Path | None, typer.Option(help="Clean version of the video, to score against.")
    ] = None,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Degrade the result, restore it again, score that.")
    ] = False,
    compare: Annotated[
        Path | None, typer.Option(help="Also write a split video: input left, result right.")
    ] = None,
    fps: Annotated[
        str | None,
        typer.Option(
            metavar="N|Nx",
            help="Frame rate to reach with new frames: 60, 59.94, 2x, 2.5x.",
            rich_help_panel="Time",
        ),
    ] = None,
    fill: Annotated[
        bool,
        typer.Option(
            "--fill",
            help="Find and make anew lost, frozen and corrupt frames.",
            rich_help_panel="Time",
        ),
    ] = False,
    slow: Annotated[
        str | None,
        typer.Option(metavar="Nx", help="Slow motion: 4x.", rich_help_panel="Time"),
    ] = None,
    slow_audio: Annotated[
        str,
        typer.Option(metavar="drop|stretch", help="Sound in slow motion.", rich_help_panel="Time"),
    ] = "drop",
    cfr: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Constant frame rate by repeating and dropping frames.",
            rich_help_panel="Time",
        ),
    ] = None,
    cuts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Cuts to respect, as PySceneDetect lists them (CSV).",
            rich_help_panel="Time",
        ),
    ] = None,
    write_cuts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the cuts found.", rich_help_panel="Time"),
    ] = None,
    device: Device = "auto",
    weights: WeightsPath = None,
    codec: Annotated[
        str, typer.Option(metavar="h264|hevc|av1|ffv1|prores", help="Codec of the output.")
    ] = "h264",
    crf: Annotated[
        int | None, typer.Option(help="Quality of the encoder, lower is better.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Speed preset of the encoder.")] = None,
    start: Annotated[
        str | None, typer.Option(metavar="T", help="First frame: 120, 4.5s or 00:01:02.5.")
    ] = None,
    end: Annotated[str | None, typer.Option(metavar="T", help="One past the last frame.")] = None,
    framerate: Framerate = None,
    overwrite: Annotated[
        bool, typer.Option("-y", "--overwrite", help="Replace the output.")
    ] = False,
    ffmpeg: Ffmpeg = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the JSON document to a file.")
    ] = None,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say more.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only errors.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Restore one video file or folder of images."""
    from vidrestore.codecs import EncodeSettings
    from vidrestore.pipeline import restore as run
    from vidrestore.report import restore_document, to_json
    from vidrestore.settings import RestoreSettings
    from vidrestore.tables import restore_table
    from vidrestore.timeline import Retiming

    retiming = Retiming(fps=parse_rate(fps, "--fps"), slow=parse_slow(slow), cfr=parse_cfr(cfr))
    settings = RestoreSettings(
        tasks=parse_tasks(task, timed=fill or retiming != Retiming()),
        sigma=parse_sigma(sigma),
        strength=strength,
        steps=steps,
        seed=seed,
        device=device,
        weights=weights,
        encode=EncodeSettings(codec=codec, crf=crf, preset=preset),
        start=parse_time(start, "--start"),
        end=parse_time(end, "--end"),
        framerate=parse_framerate(framerate),
        overwrite=overwrite,
        ffmpeg=ffmpeg,
        reference=reference,
        compare=compare,
        self_test=self_test,
        retiming=retiming,
        fill=fill,
        cuts=cuts,
        write_cuts=write_cuts,
        slow_audio=parse_slow_audio(slow_audio),
    )
    target = output or default_output(source)
    with _Bar(quiet=quiet) as bar:
        result = run(source, target, settings, bar.update)
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
        _print_table(restore_table(result), document["warnings"])


@app.command(name="compare")
def compare_command(
    reference: Annotated[Path, typer.Argument(help="The clean video.")],
    test: Annotated[Path, typer.Argument(help="The video to score.")],
    framerate: Framerate = None,
    ffmpeg: Ffmpeg = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Score one video against another: PSNR and SSIM, aligned in time."""
    from vidrestore.compare import RgbReader, compare
    from vidrestore.ffmpeg import find_ffmpeg
    from vidrestore.report import compare_document, comparison_warnings, to_json
    from vidrestore.tables import compare_table

    executable, rate = find_ffmpeg(ffmpeg), parse_framerate(framerate)
    comparison = compare(
        RgbReader(reference, executable, framerate=rate),
        RgbReader(test, executable, framerate=rate),
    )
    if as_json:
        _print_json(to_json(compare_document(reference, test, comparison)))
    else:
        _print_table(compare_table(comparison), comparison_warnings(comparison))


@app.command()
def probe(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="Video file or image folder.")],
    framerate: Framerate = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what a video file holds."""
    from vidrestore.probe import probe as look
    from vidrestore.report import probe_document, to_json
    from vidrestore.tables import probe_table

    info = look(source, parse_framerate(framerate))
    if as_json:
        _print_json(to_json(probe_document(info)))
    else:
        _print_table(probe_table(info))


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
    device: Device = "auto",
    debug: Debug = False,
) -> None:
    """Train weights on folders of clips and photos."""
    if task not in ("denoise", "interpolate"):
        raise UsageError(f"cannot train for {task}", hint="use denoise or interpolate")
    from vidrestore.diffuse import pick_device
    from vidrestore.model import ModelSpec
    from vidrestore.train import TrainReport, TrainSettings
    from vidrestore.train import train as run

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
    device: Device = "auto",
    weights: WeightsPath = None,
    ffmpeg: Ffmpeg = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Degrade clean clips, restore them, and score the result beside what else there is."""
    from vidrestore.benchmark import BenchmarkSettings
    from vidrestore.benchmark import benchmark as run
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
    for warning in warnings or []:
        stderr.print(f"[yellow]warning:[/] {warning}", soft_wrap=True)


def _fail(message: str, hint: str | None, code: ExitCode) -> NoReturn:
    sys.stderr.write(f"error: {message}" + (f" (try: {hint})" if hint else "") + "\n")
    raise SystemExit(int(code))


def _on_sigterm(*_: Any) -> NoReturn:
    raise SystemExit(int(ExitCode.TERMINATED))


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with the code documented in the README."""
    signal.signal(signal.SIGTERM, _on_sigterm)
    arguments = sys.argv[1:] if arguments is None else arguments
    raise SystemExit(_guarded(lambda: app(args=arguments, standalone_mode=False), arguments))


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
        _fail(f"unexpected: {cause}", "run again with --debug and report it", ExitCode.UNEXPECTED)
    except KeyboardInterrupt:
        _fail("interrupted; nothing was written", None, ExitCode.INTERRUPTED)

"""The options of `restore`, by subject. Nothing here parses or prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidrestore.arguments import PIPED, TASKS

_TIME = "Time"
_VIDEO = "The output's video"


def _flag(*names: str, help: str, panel: str | None = None) -> typer.models.OptionInfo:
    """An option without a value."""
    option: typer.models.OptionInfo = typer.Option(*names, help=help, rich_help_panel=panel)
    return option


Debug = Annotated[bool, _flag("--debug", help="Show tracebacks.", panel="Diagnostics")]
Json = Annotated[bool, _flag("--json", help="Print one JSON document on stdout and nothing else.")]
Ffmpeg = Annotated[
    str | None,
    typer.Option(
        metavar="PATH", envvar="VIDRESTORE_FFMPEG", help="Another ffmpeg than the bundled one."
    ),
]
Limits = Annotated[
    str | None,
    typer.Option(
        metavar="NAME=N,...",
        help="Let a file you trust ask for more: pixels, streams, seconds, memory.",
    ),
]
MaxMemory = Annotated[
    str | None,
    typer.Option(
        metavar="N[M|G]", help="The most memory to take, such as 4G, that of ffmpeg included."
    ),
]
DryRun = Annotated[
    bool, _flag("--dry-run", help="Only predict time, memory and disk, from a few frames.")
]
Framerate = Annotated[
    str | None, typer.Option(metavar="FPS", help="Frames per second of a folder of images (25).")
]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda|mps", help="Where the model runs.")]
Ray = Annotated[
    str | None,
    typer.Option(metavar="auto|HOST:PORT", help="Send the work to the machines of a Ray cluster."),
]
WeightsPath = Annotated[
    Path | None,
    typer.Option(metavar="FILE|DIR", help="Weights to use instead of the package's."),
]
Input = Annotated[
    Path,
    typer.Argument(metavar="INPUT", help="Video file, folder of numbered images, or -."),
]
Source = Annotated[
    Path, typer.Argument(metavar="INPUT", help="Video file or folder of numbered images.")
]
Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        help="File to write, folder/name%05d.png for images, or - (pipe).",
        show_default="INPUT.restored.EXT",
    ),
]
Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="INPUT...", help="Files, folders (all in them), and patterns such as '*.mkv'."
    ),
]
OutputFolder = Annotated[
    Path,
    typer.Option(
        "-o", "--output", metavar="DIR", help="Folder to write into; trees are mirrored in it."
    ),
]
Lists = Annotated[
    list[Path] | None,
    typer.Option(
        "--list", metavar="FILE", help="File that names inputs, one a line, - is stdin; repeatable."
    ),
]
NameTemplate = Annotated[
    str,
    typer.Option(
        "--template", metavar="TEXT", help="Names of the outputs, of {stem}, {suffix} and {name}."
    ),
]
Jobs = Annotated[
    int, typer.Option("-j", "--jobs", metavar="N", min=1, help="Files restored at the same time.")
]
Watch = Annotated[
    bool, _flag("--watch", help="Go on and take up new files as they arrive, until interrupted.")
]
JsonLines = Annotated[
    bool, _flag("--json", help="Print a line of JSON for each file and one for all, nothing else.")
]
LinesReport = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="Also write the lines of --json.")
]
Csv = Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the summary as CSV.")]
Task = Annotated[
    list[str] | None, typer.Option(metavar="|".join(TASKS), help="What to do; repeatable.")
]
Sigma = Annotated[
    str, typer.Option(metavar="auto|N", help="Noise level in 8-bit units at any bit depth.")
]
Strength = Annotated[float, typer.Option(help="Share of the correction to apply, 0 to 1.")]
Steps = Annotated[
    int | None,
    typer.Option(
        help="Looks at the video, each with what the last one made; by default two, or what suits."
    ),
]
Seed = Annotated[int, typer.Option(help="Seeds everything that is drawn at random.")]
Reference = Annotated[
    Path | None, typer.Option(help="Clean version of the video, to score against.")
]
SelfTest = Annotated[
    bool, _flag("--self-test", help="Degrade the result, restore it again, score that.")
]
Split = Annotated[
    Path | None, typer.Option(help="Also write a split video: input left, result right.")
]
Deinterlace = Annotated[
    str,
    typer.Option(
        metavar="auto|on|off",
        help="Turn fields into frames; with off, interlaced video is restored field by field.",
    ),
]
PipeFormat = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="|".join(PIPED),
        help="Container of -o -.",
        show_default=PIPED[0],
    ),
]
Latency = Annotated[
    str,
    typer.Option(
        metavar="normal|low", help="Of a pipe: low looks fewer frames ahead, for live streams."
    ),
]
Fps = Annotated[
    str | None,
    typer.Option(
        metavar="N|Nx",
        help="Frame rate to reach with new frames: 60, 59.94, 2x, 2.5x.",
        rich_help_panel=_TIME,
    ),
]
Fill = Annotated[
    bool, _flag("--fill", help="Find and make anew lost, frozen and corrupt frames.", panel=_TIME)
]
Slow = Annotated[
    str | None, typer.Option(metavar="Nx", help="Slow motion: 4x.", rich_help_panel=_TIME)
]
SlowAudio = Annotated[
    str,
    typer.Option(metavar="drop|stretch", help="Sound in slow motion.", rich_help_panel=_TIME),
]
Cfr = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Constant frame rate by repeating and dropping frames.",
        rich_help_panel=_TIME,
    ),
]
Cuts = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Cuts to respect, as PySceneDetect lists them (CSV).",
        rich_help_panel=_TIME,
    ),
]
WriteCuts = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write the cuts found.", rich_help_panel=_TIME),
]
Codec = Annotated[
    str,
    typer.Option(
        metavar="h264|hevc|av1|ffv1|prores|like-input",
        help="Codec; like-input keeps the input's codec, profile, pixel format and bitrate class.",
        rich_help_panel=_VIDEO,
    ),
]
Crf = Annotated[
    int | None,
    typer.Option(help="Quality of the encoder, lower is better.", rich_help_panel=_VIDEO),
]
Preset = Annotated[
    str | None, typer.Option(help="Speed preset of the encoder.", rich_help_panel=_VIDEO)
]
Bitrate = Annotated[
    str | None,
    typer.Option(metavar="N[k|M]", help="Bits per second, such as 8M.", rich_help_panel=_VIDEO),
]
PixFmt = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Pixel format, such as yuv420p10le; the input's own if not given.",
        rich_help_panel=_VIDEO,
    ),
]
Hardware = Annotated[
    bool,
    _flag("--hardware", help="Encode on the graphics card if it can, else say so.", panel=_VIDEO),
]
Post = Annotated[
    str | None,
    typer.Option(
        metavar="FILTERS",
        help="ffmpeg filters after restoration, such as eq=contrast=1.1.",
        rich_help_panel=_VIDEO,
    ),
]
FfmpegArgs = Annotated[
    str | None,
    typer.Option(
        metavar="ARGS",
        help="More options for the encoder, as ffmpeg spells them.",
        rich_help_panel=_VIDEO,
    ),
]
Start = Annotated[
    str | None, typer.Option(metavar="T", help="First frame: 120, 4.5s or 00:01:02.5.")
]
End = Annotated[str | None, typer.Option(metavar="T", help="One past the last frame.")]
Overwrite = Annotated[bool, _flag("-y", "--overwrite", help="Replace what is there already.")]
Resume = Annotated[
    bool,
    typer.Option("--resume/--no-resume", help="Go on with an unfinished run, or start anew."),
]
KeepWork = Annotated[
    bool, _flag("--keep-work", help="Keep the finished parts, OUTPUT.vidrestore, after success.")
]
Report = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Also write a report: FILE.html is a page to look at, else the JSON document.",
    ),
]
Document = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="Also write the JSON document.")
]
Verbose = Annotated[bool, _flag("-v", "--verbose", help="Say more.")]
Quiet = Annotated[bool, _flag("-q", "--quiet", help="Only errors.")]

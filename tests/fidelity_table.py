"""Writes docs/fidelity.md, which says what each container keeps, by trying.

    python -m tests.fidelity_table

Two files that hold a bit of everything, and a few of the others, go through `restore` into every
container; the page is what the receipts say.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tests import media
from tests.conftest import Clips, decode_all, run_ffmpeg
from vidrestore.containers.receipt import Entry
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.errors import UsageError
from vidrestore.media.decode import Frame
from vidrestore.media.ffmpeg import find_ffmpeg
from vidrestore.runs.pipeline import restore
from vidrestore.settings import RestoreSettings

PAGE = Path(__file__).parent.parent / "docs" / "fidelity.md"

PASSING = RestoreSettings(tasks=(), device="cpu", deinterlace="off", overwrite=True)

LOSSLESS = EncodeSettings(codec="ffv1")
COLUMNS = {
    "MP4": ("out.mp4", EncodeSettings(codec="hevc", preset="ultrafast")),
    "MOV": ("out.mov", EncodeSettings(codec="hevc", preset="ultrafast")),
    "MKV": ("out.mkv", LOSSLESS),
    "WebM": ("out.webm", EncodeSettings(codec="av1", preset="10")),
    "Y4M": ("out.y4m", LOSSLESS),
    "images": ("frame%05d.png", LOSSLESS),
}
"""Name of the output, and how its video is encoded where the container leaves a choice."""


@dataclass(frozen=True)
class Row:
    """One line of the table: what is looked for, and in which file's receipt."""

    label: str
    source: str
    subjects: tuple[str, ...]


ROWS = (
    Row("variable timestamps", "variable rate", ("codec",)),
    Row("colour matrix, primaries, transfer", "everything", ("colour matrix", "colour primaries")),
    Row("colour range", "everything", ("colour range",)),
    Row("chroma location", "HDR10", ("chroma location",)),
    Row("mastering display, content light", "HDR10", ("side data",)),
    Row("pixel aspect ratio", "everything", ("sample aspect ratio",)),
    Row("rotation", "rotated phone", ("rotation",)),
    Row("sound: AC-3 and AAC", "tracks", ("stream 1 content", "stream 2 content")),
    Row("sound: Opus", "WebM", ("stream 1 content",)),
    Row("languages and titles of tracks", "tracks", ("stream 2 tag",)),
    Row("marks such as commentary", "tracks", ("stream 2 disposition",)),
    Row("SubRip subtitles", "everything", ("stream 3",)),
    Row("ASS subtitles", "everything", ("stream 4",)),
    Row("PGS subtitles", "everything", ("stream 5",)),
    Row("DVB subtitles", "everything", ("stream 6",)),
    Row("attached fonts", "everything", ("stream 7",)),
    Row("cover", "cover", ("stream 1",)),
    Row("chapters", "everything", ("chapters",)),
    Row("title, artist and the like", "cover", ("tag",)),
    Row("time and place of recording", "rotated phone", ("tag",)),
    Row("timecode", "timecode", ("stream 2", "stream 0 tag:timecode")),
    Row("telemetry (gpmd)", "telemetry", ("stream 1",)),
)


def everything(clips: Clips) -> Path:
    """Matroska with every kind of stream that it can hold."""
    path = clips.folder / "everything.mkv"
    if not path.exists():
        parts = [
            media.anamorphic(clips), media.surround(clips), media.plain_subtitles(clips),
            media.styled_subtitles(clips), media.pgs_subtitles(clips), media.dvb_subtitles(clips),
            media.chapters(clips),
        ]  # fmt: skip
        inputs = [word for part in parts for word in ("-i", str(part))]
        maps = ["0:v", "1:a", "2:s:0", "3:s", "4:s", "5:s", "3:t"]
        mapped = [word for stream in maps for word in ("-map", stream)]
        run_ffmpeg(clips.ffmpeg, *inputs, *mapped, "-map_chapters", "6", "-c", "copy", path)
    return path


def _concerns(entry: Entry, subject: str) -> bool:
    """Whether an entry is a part of what is looked for, or all of it, now gone."""
    part = f"{entry.subject} ".startswith((f"{subject} ", f"{subject}:"))
    return part or (entry.after is None and subject.startswith(f"{entry.subject} "))


def _within(entry: Entry, subjects: tuple[str, ...]) -> bool:
    return any(entry.subject.startswith((f"{name} ", f"{name}:")) for name in subjects)


@dataclass
class Outcome:
    """What became of one file in one container."""

    entries: tuple[Entry, ...] = ()
    refusal: str | None = None
    notes: dict[str, None] = field(default_factory=dict)

    def cell(self, subjects: tuple[str, ...]) -> tuple[str, list[str]]:
        """One word for some subjects, and why it is not "kept"."""
        if self.refusal is not None:
            return "refused", [self.refusal]
        found = [
            entry
            for entry in self.entries
            if any(_concerns(entry, subject) for subject in subjects)
            and entry.subject not in {"codec", "profile"}
        ]
        statuses = {entry.status for entry in found} - {"kept"}
        notes = list(dict.fromkeys(entry.note or "" for entry in found if entry.status != "kept"))
        if not statuses:
            return "kept", []
        gone = [entry for entry in found if entry.after is None]
        if any(entry.after is None and not _within(entry, subjects) for entry in found) or (
            len(gone) == len(found)
        ):
            return "no", notes
        return ("partly" if gone else "changed"), notes


def outcomes(clips: Clips, folder: Path) -> dict[tuple[str, str], Outcome]:
    """Every file that a row needs, through `restore` into every container."""
    sources = {row.source for row in ROWS}
    made = {"everything": everything, "tracks": media.surround}
    results = {}
    for source in sorted(sources):
        path = {**media.MATRIX, **made}[source](clips)
        for column, (name, encode) in COLUMNS.items():
            target = folder / f"{source}-{column}" / name
            target.parent.mkdir()
            try:
                result = restore(path, target, replace(PASSING, encode=encode))
                results[source, column] = Outcome(result.receipt.entries)
            except UsageError as error:
                results[source, column] = Outcome(refusal=f"{error}: {error.hint}")
    return results


def table(results: dict[tuple[str, str], Outcome]) -> Iterator[str]:
    """The table in Markdown, and below it a line for each reason."""
    yield "| | " + " | ".join(COLUMNS) + " |"
    yield "|---|" + "---|" * len(COLUMNS)
    reasons: dict[str, list[str]] = {}
    for row in ROWS:
        cells = []
        for column in COLUMNS:
            word, notes = results[row.source, column].cell(row.subjects)
            cells.append(word)
            for note in notes:
                reasons.setdefault(note, []).append(f"{row.label} ({column})")
        yield f"| {row.label} | " + " | ".join(cells) + " |"
    yield ""
    yield "Y4M and images hold frames only. What vidrestore says of all else that is not kept:"
    yield ""
    for note, places in reasons.items():
        if not note.endswith("holds frames only"):
            yield f"- {', '.join(places)}: {note}"


def round_trips(clips: Clips, folder: Path) -> Iterator[str]:
    """Luma after a trip through rgb24, as most tools pipe it, and after ours."""
    yield "| clip | rgb24 and back | vidrestore, zero residual |"
    yield "|---|---|---|"
    for label, pix_fmt in (("8-bit 4:2:0", "yuv420p"), ("10-bit 4:2:0", "yuv420p10le")):
        source = clips.lossless(pix_fmt)
        old, ours = folder / f"old-{pix_fmt}.mkv", folder / f"ours-{pix_fmt}.mkv"
        there = ("-vf", f"format=rgb24,format={pix_fmt}", "-c:v", "ffv1")
        run_ffmpeg(clips.ffmpeg, "-i", source, *there, old)
        strength_0 = RestoreSettings(strength=0, sigma=10, encode=LOSSLESS, device="cpu")
        restore(source, ours, strength_0)
        frames = [decode_all(path, clips.ffmpeg) for path in (source, old, ours)]
        depth = 10 if pix_fmt.endswith("10le") else 8
        figures = [_luma_db(frames[0], other, depth) for other in frames[1:]]
        yield f"| {label} | {figures[0]} | {figures[1]} |"


def _luma_db(before: list[Frame], after: list[Frame], depth: int) -> str:
    errors = [
        np.square(one.planes[0].astype(float) - other.planes[0]).mean()
        for one, other in zip(before, after, strict=True)
    ]
    mean = float(np.mean(errors))
    return "identical" if mean == 0 else f"{10 * np.log10((2**depth - 1) ** 2 / mean):.0f} dB"


def page(clips: Clips, folder: Path) -> str:
    """The whole document."""
    lines = [
        "# Fidelity: what is kept of a file",
        "",
        "Written by `python -m tests.fidelity_table` from the receipts of real runs; a test holds",
        "this page to what the command prints. Nothing is lost without a warning: the receipt",
        "(`-v`, and `receipt` in the JSON) compares input and output stream by stream and tag by",
        "tag, and a run that lost something it did not announce ends with exit code 9 and no file.",
        "",
        *table(outcomes(clips, folder)),
        "",
        "kept: the same bytes, or the same meaning. changed: there, in another form. partly: some",
        "of it is gone. no: gone. refused: the run stops before any work is done.",
        "",
        "## The way through RGB",
        "",
        "Most tools pipe frames as rgb24. The luma of a clip that nothing was done to, against the",
        "original; here only what the model changes leaves the planes that were decoded:",
        "",
        *round_trips(clips, folder),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "clips").mkdir()
        (folder / "out").mkdir()
        PAGE.write_text(page(Clips(folder / "clips", find_ffmpeg()), folder / "out"))


if __name__ == "__main__":
    main()

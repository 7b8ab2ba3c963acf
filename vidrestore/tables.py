"""Results as tables for people. Nothing here prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from vidrestore.report import video_document

if TYPE_CHECKING:
    from vidrestore.containers.check import OutputCheck
    from vidrestore.containers.receipt import Receipt
    from vidrestore.doctor import Check
    from vidrestore.measure.compare import Comparison
    from vidrestore.measure.scoring import ReferenceScores
    from vidrestore.media.probe import VideoInfo
    from vidrestore.runs.pipeline import RestoreResult
    from vidrestore.runs.plan import Prediction
    from vidrestore.runs.testclip import DegradeResult


def figure(value: float | None, digits: int = 2, missing: str = "identical") -> str:
    """A number for a table."""
    return missing if value is None else f"{value:.{digits}f}"


def doctor_table(checks: Sequence[Check]) -> Table:
    """What `doctor` shows."""
    table = Table(box=SIMPLE_HEAD, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    styles = {"pass": "green", "warn": "yellow", "fail": "red"}
    for check in checks:
        remedy = "" if check.remedy is None else f"\ntry: {check.remedy}"
        table.add_row(Text(check.status, styles[check.status]), check.name, check.found + remedy)
    return table


def restore_table(result: RestoreResult) -> Table:
    """What `restore` shows at the end."""
    table = Table(title=str(result.output.path), title_justify="left")
    for column in ("", "before", "after"):
        table.add_column(column, justify="left" if not column else "right")
    if result.scores is not None:
        _add_scores(table, result.scores)
    table.add_row(
        "estimated noise (8-bit units)",
        figure(result.noise_before, 1),
        figure(result.noise_after, 1),
    )
    if result.self_test is not None:
        table.add_row(
            f"self-test, noise {result.self_test.sigma:g} (dB)",
            figure(result.self_test.degraded_psnr_db),
            figure(result.self_test.psnr_db),
        )
    if result.scores is None:
        table.caption = "no reference was given, so there is no PSNR"
    table.add_section()
    table.add_row("frames", str(result.info.frames or "?"), str(result.frames))
    if result.made_frames:
        table.add_row("of them made", "", str(result.made_frames))
    if result.cuts:
        table.add_row("cuts", str(len(result.cuts)), "")
    if result.fields is not None and result.fields.found:
        table.add_row(
            "fields", f"{result.fields.found} ({result.fields.source})", result.fields.done
        )
    if result.drift:
        inside = max((max(map(abs, shot.inside)) for shot in result.drift), default=0.0)
        table.add_row("largest colour drift of a shot (8-bit units)", "", figure(inside))
    if result.damage is not None:
        _add_damage(table, result)
    _add_check(table, result.check)
    fps = result.frames / result.wall_s
    table.add_row("time", "", f"{result.wall_s:.1f} s, {fps:.2f} fps")
    return table


def _add_scores(table: Table, scores: ReferenceScores) -> None:
    after = scores.output.scores
    before = None if scores.input is None else scores.input.scores
    for name, key, digits in (
        ("PSNR, RGB (dB)", "psnr_db", 2),
        ("PSNR, luma (dB)", "psnr_y_db", 2),
        ("SSIM, RGB", "ssim", 4),
        ("SSIM, luma", "ssim_y", 4),
    ):
        missing = "identical" if digits == 2 else "-"
        old = "" if before is None else figure(getattr(before, key), digits, missing)
        table.add_row(name, old, figure(getattr(after, key), digits, missing))
    if scores.before_encoding_psnr_db is not None:
        table.add_row("PSNR before encoding (dB)", "", figure(scores.before_encoding_psnr_db))


def _add_damage(table: Table, result: RestoreResult) -> None:
    """One row for each broken place: what, when, how many frames, how sure."""
    assert result.damage is not None
    tick, start = result.info.time_base, result.info.start_pts
    for interval in result.damage.intervals:
        at_s = float((interval.first_pts - start) * tick)
        done = "made anew" if interval.repaired else "too long to repair"
        table.add_row(
            f"{interval.kind} at {at_s:.3f} s",
            f"{interval.frames} frames",
            f"{done} (confidence {interval.confidence:.2f})",
        )
    if not result.damage.intervals:
        table.add_row("broken places", "0", "")


def _add_check(table: Table, check: OutputCheck) -> None:
    """The audio/video check, which the file has passed."""
    table.add_row(
        "first and last frame (s)",
        "",
        f"{float(check.first_found_s):.3f}, {float(check.last_found_s):.3f}",
    )
    table.add_row("duration of the video (s)", "", f"{float(check.duration_found_s):.3f}")
    for audio in check.audio:
        table.add_row(f"{audio.name}: packets", str(audio.packets_in), str(audio.packets_out))
        if audio.offset_in_s is not None and audio.offset_out_s is not None:
            table.add_row(
                "its offset to the video (s)",
                f"{float(audio.offset_in_s):.4f}",
                f"{float(audio.offset_out_s):.4f}",
            )


def receipt_table(receipt: Receipt) -> Table:
    """What `restore -v` shows: everything that the input held, and what became of it."""
    table = Table(title="receipt", title_justify="left", box=SIMPLE_HEAD)
    for column in ("", "before", "after", "status"):
        table.add_column(column, overflow="fold")
    for entry in receipt.entries:
        note = f" ({entry.note})" if entry.note else ""
        table.add_row(
            entry.subject, entry.before or "-", entry.after or "-", f"{entry.status}{note}"
        )
    return table


def plan_table(prediction: Prediction) -> Table:
    """What `plan` shows."""
    table = Table(title=str(prediction.info.path), title_justify="left", show_header=False)
    minutes, seconds = divmod(round(prediction.wall_s), 60)
    hours, minutes = divmod(minutes, 60)
    mb = 1 << 20
    table.add_row("frames", str(prediction.frames))
    table.add_row("time", f"{hours}:{minutes:02}:{seconds:02} at {prediction.fps:.2f} fps")
    table.add_row("memory", f"{prediction.peak_bytes / mb:.0f} MB, ffmpeg included")
    table.add_row(
        "disk",
        f"{prediction.output_bytes / mb:.0f} MB, and {prediction.work_bytes / mb:.0f} MB until "
        "the end",
    )
    if prediction.free_bytes is not None:
        table.add_row("free on the disk", f"{prediction.free_bytes / mb:.0f} MB")
    table.add_row("device", f"{prediction.device}, {prediction.dtype}")
    table.caption = f"measured on {prediction.trial_frames} frames, {prediction.trial_s:.0f} s"
    return table


def degrade_table(result: DegradeResult) -> Table:
    """What `degrade` shows."""
    table = Table(title=str(result.output), title_justify="left", show_header=False)
    table.add_row("degraded by", f"{result.degradation}; seed {result.seed}")
    table.add_row("frames", f"{result.frames_in}, of which {result.check.frames_found} are written")
    if result.held:
        table.add_row("shown again", f"{len(result.held)} times the frame before")
    lossless = "without loss" if result.lossless else "with the loss that belongs to it"
    table.add_row("encoder", f"{result.encoder}, {lossless}")
    table.add_row("time", f"{result.wall_s:.1f} s")
    return table


def probe_table(info: VideoInfo) -> Table:
    """What `probe` shows."""
    table = Table(title=str(info.path), title_justify="left", show_header=False)
    for name, value in video_document(info).items():
        if name in {"path", "streams"} or value is None:
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{key} {tag}" for key, tag in value.items() if tag) or "no tags"
        table.add_row(name, str(value))
    for stream in info.streams:
        details = " ".join([stream.codec or "?", stream.language or "", *stream.dispositions])
        table.add_row(f"stream {stream.index}", f"{stream.kind}: {details.strip()}")
    return table


def compare_table(comparison: Comparison) -> Table:
    """What `compare` shows."""
    table = Table()
    for column in ("frames", "PSNR RGB", "PSNR luma", "SSIM RGB", "SSIM luma"):
        table.add_column(column, justify="right")
    scores = comparison.scores
    table.add_row(
        str(scores.frames),
        figure(scores.psnr_db),
        figure(scores.psnr_y_db),
        figure(scores.ssim, 4, "-"),
        figure(scores.ssim_y, 4, "-"),
    )
    return table

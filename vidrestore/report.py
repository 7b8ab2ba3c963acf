"""Results as JSON documents and as tables. Nothing here prints."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

import vidrestore

if TYPE_CHECKING:
    from vidrestore.benchmark import Benchmark, MethodSummary, Row
    from vidrestore.compare import Comparison
    from vidrestore.pipeline import RestoreResult, RestoreSettings
    from vidrestore.probe import VideoInfo
    from vidrestore.scoring import ReferenceScores

Document = dict[str, Any]


def to_json(document: Document) -> str:
    """A document as JSON text; refuses NaN and Infinity, which are not JSON."""
    return json.dumps(document, indent=2, allow_nan=False, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return list(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


def _document(kind: str, **fields: object) -> Document:
    tool = {
        "name": "vidrestore",
        "version": vidrestore.__version__,
        "python": platform.python_version(),
    }
    return {"schema": f"vidrestore.{kind}/1", "tool": tool, **fields}


def video_document(info: VideoInfo) -> Document:
    """What is known about a video, as in "input" of a restore document."""
    return {
        "path": str(info.path),
        "format": info.format_name,
        "codec": info.codec,
        "profile": info.profile,
        "width": info.width,
        "height": info.height,
        "pix_fmt": info.pix_fmt,
        "bit_depth": info.bit_depth,
        "colour": asdict(info.colour),
        "frames": info.frames,
        "fps": float(info.frame_rate),
        "frame_rate": info.frame_rate,
        "time_base": info.time_base,
        "start_pts": info.start_pts,
        "duration_s": info.duration_s,
        "sample_aspect_ratio": info.sar,
        "rotation_deg": info.rotation_deg,
        "field_order": info.field_order,
        "streams": [
            {
                "index": stream.index,
                "kind": stream.kind,
                "codec": stream.codec,
                "language": stream.language,
                "dispositions": list(stream.dispositions),
            }
            for stream in info.streams
        ],
    }


def probe_document(info: VideoInfo) -> Document:
    """The document of `vidrestore probe`."""
    return _document("probe", input=video_document(info))


def scores_document(comparison: Comparison, prefix: str = "") -> Document:
    """Clip scores with each name prefixed; frames and alignment left out."""
    scores = comparison.scores
    return {
        f"{prefix}{name}": getattr(scores, name)
        for name in (
            "psnr_db",
            "psnr_mse_db",
            "ssim",
            "psnr_y_db",
            "psnr_y_mse_db",
            "ssim_y",
            "identical",
        )
    }


def compare_document(reference: Path, test: Path, comparison: Comparison) -> Document:
    """The document of `vidrestore compare`."""
    return _document(
        "compare",
        reference=str(reference),
        test=str(test),
        metrics=scores_document(comparison),
        alignment={**asdict(comparison.alignment), "unmatched_frames": comparison.unmatched_frames},
        frames=[asdict(frame) for frame in comparison.scores.per_frame],
        warnings=comparison_warnings(comparison),
    )


def comparison_warnings(comparison: Comparison) -> list[str]:
    """What a reader of the scores must know about the alignment."""
    warnings = []
    if comparison.alignment.offset_frames:
        offset = comparison.alignment.offset_frames
        warnings.append(
            f"aligned in time: frame i of the reference is frame i{offset:+d} of the test"
        )
    if comparison.unmatched_frames:
        warnings.append(f"{comparison.unmatched_frames} frames have no partner and are not scored")
    return warnings


def restore_document(result: RestoreResult, settings: RestoreSettings) -> Document:
    """The document of `vidrestore restore`."""
    warnings = list(result.warnings)
    if result.scores is not None:
        warnings += comparison_warnings(result.scores.output)
    return _document(
        "restore",
        input=video_document(result.info),
        output={**video_document(result.output), "frames": result.frames},
        settings={
            "tasks": list(settings.tasks),
            "sigma": result.sigma,
            "sigma_estimated": settings.sigma is None,
            "strength": settings.strength,
            "steps": settings.steps,
            "seed": settings.seed,
            "device": result.device,
            "dtype": result.dtype,
            "weights": list(result.weights),
            "encode": asdict(settings.encode),
            "plan": asdict(settings.plan),
        },
        timing={
            "wall_s": result.wall_s,
            "model_s": result.model_s,
            "fps": result.frames / result.wall_s,
            "steady_fps": result.steady_fps,
        },
        noise={"before": result.noise_before, "after": result.noise_after},
        metrics=None if result.scores is None else _metrics_document(result.scores),
        self_test=None if result.self_test is None else asdict(result.self_test),
        warnings=warnings,
    )


def _metrics_document(scores: ReferenceScores) -> Document:
    return {
        **scores_document(scores.output),
        **scores_document(scores.input, "input_"),
        "before_encoding_psnr_db": scores.before_encoding_psnr_db,
        "alignment": asdict(scores.output.alignment),
        "per_frame": [asdict(frame) for frame in scores.output.scores.per_frame],
        "input_per_frame": [asdict(frame) for frame in scores.input.scores.per_frame],
    }


def figure(value: float | None, digits: int = 2, missing: str = "identical") -> str:
    """A number for a table."""
    return missing if value is None else f"{value:.{digits}f}"


def restore_table(result: RestoreResult) -> Table:
    """What `restore` shows at the end."""
    table = Table(title=str(result.output.path), title_justify="left")
    for column in ("", "before", "after"):
        table.add_column(column, justify="left" if not column else "right")
    if result.scores is not None:
        before, after = result.scores.input.scores, result.scores.output.scores
        table.add_row("PSNR, RGB (dB)", figure(before.psnr_db), figure(after.psnr_db))
        table.add_row("PSNR, luma (dB)", figure(before.psnr_y_db), figure(after.psnr_y_db))
        table.add_row("SSIM, RGB", figure(before.ssim, 4, "-"), figure(after.ssim, 4, "-"))
        table.add_row("SSIM, luma", figure(before.ssim_y, 4, "-"), figure(after.ssim_y, 4, "-"))
        unencoded = figure(result.scores.before_encoding_psnr_db)
        table.add_row("PSNR before encoding (dB)", "", unencoded)
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
    fps = result.frames / result.wall_s
    table.add_row("time", "", f"{result.wall_s:.1f} s, {fps:.2f} fps")
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


def benchmark_document(result: Benchmark) -> Document:
    """The document of `vidrestore benchmark`."""
    return _document("benchmark", **asdict(result))


def benchmark_table(result: Benchmark) -> Table:
    """What `benchmark` shows: a row per clip and method, then the means over the clips."""
    title = f"{result.degradation}, seed {result.seed}; PSNR in dB"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for column in ("clip", "method"):
        table.add_column(column, no_wrap=True)
    for column in ("PSNR", "SSIM", "luma PSNR", "s/frame", "input PSNR"):
        table.add_column(column, justify="right")
    for row in result.rows:
        table.add_row(row.clip, row.method, *_benchmark_figures(row))
    table.add_section()
    for mean in result.summary:
        table.add_row(f"mean of {mean.clips}", mean.method, *_benchmark_figures(mean))
    return table


def _benchmark_figures(row: Row | MethodSummary) -> tuple[str, ...]:
    return (
        figure(row.psnr_db),
        figure(row.ssim, 4, "-"),
        figure(row.psnr_y_db),
        figure(row.seconds_per_frame, 3, "-"),
        figure(row.input_psnr_db),
    )

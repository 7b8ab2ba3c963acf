"""Results as JSON documents. Nothing here prints."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vidrestore

if TYPE_CHECKING:
    from vidrestore.doctor import Check
    from vidrestore.measure.compare import Comparison
    from vidrestore.measure.gate import Conclusion
    from vidrestore.measure.rows import Benchmark
    from vidrestore.measure.scoring import ReferenceScores
    from vidrestore.media.probe import VideoInfo
    from vidrestore.media.timeline import Rate
    from vidrestore.runs.pipeline import RestoreResult
    from vidrestore.runs.plan import Prediction
    from vidrestore.runs.stream import StreamResult
    from vidrestore.runs.testclip import DegradeResult
    from vidrestore.settings import RestoreSettings

Document = dict[str, Any]

BENCHMARK_SCHEMA = "vidrestore.benchmark/2"


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


def plan_document(prediction: Prediction) -> Document:
    """The document of `vidrestore plan`."""
    settings = prediction.settings
    free_bytes = prediction.free_bytes
    short = free_bytes is not None and free_bytes < prediction.disk_bytes
    return _document(
        "plan",
        input=video_document(prediction.info),
        frames=prediction.frames,
        trial_frames=prediction.trial_frames,
        trial_s=prediction.trial_s,
        wall_s=prediction.wall_s,
        fps=prediction.fps,
        peak_memory_bytes=prediction.peak_bytes,
        max_memory_bytes=settings.max_memory_bytes,
        work_bytes=prediction.work_bytes,
        output_bytes=prediction.output_bytes,
        free_bytes=free_bytes,
        device=prediction.device,
        dtype=prediction.dtype,
        windows=asdict(settings.plan),
        tile_px=settings.footprint.tile_px,
        warnings=[
            *([settings.footprint.note] if settings.footprint.note else []),
            *(["there is not enough free space on the disk"] if short else []),
        ],
    )


def degrade_document(result: DegradeResult) -> Document:
    """The document of `vidrestore degrade`."""
    return _document(
        "degrade",
        input=video_document(result.info),
        output={
            "path": result.output,
            "frames": result.check.frames_found,
            "encoder": result.encoder,
            "options": result.options,
            "lossless": result.lossless,
            "comment": result.comment,
        },
        degradation=result.degradation,
        seed=result.seed,
        frames=result.frames_in,
        missing_frames=list(result.missing),
        held_frames=list(result.held),
        wall_s=result.wall_s,
        warnings=list(result.warnings),
    )


def doctor_document(checks: Sequence[Check]) -> Document:
    """The document of `vidrestore doctor`."""
    return _document("doctor", checks=[asdict(check) for check in checks])


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
    matching, scaled = comparison.matching, comparison.scaled
    pairs = zip(comparison.scores.per_frame, matching.pairs, strict=False)
    return _document(
        "compare",
        reference=str(reference),
        test=str(test),
        identical=comparison.identical,
        metrics=scores_document(comparison),
        alignment={
            **asdict(comparison.alignment),
            "matched_by": matching.by,
            "unmatched_frames": comparison.unmatched_frames,
            "dropped_frames": list(matching.dropped),
            "extra_frames": list(matching.extra),
            "scaled_from": None if scaled is None else list(scaled[0]),
            "scaled_to": None if scaled is None else list(scaled[1]),
        },
        frames=[{**asdict(frame), "test_index": pair[1]} for frame, pair in pairs],
        warnings=comparison_warnings(comparison),
    )


def comparison_warnings(comparison: Comparison) -> list[str]:
    """What a reader of the scores must know about the alignment."""
    warnings = []
    matching, offset = comparison.matching, comparison.alignment.offset_frames
    if comparison.scaled is not None:
        (width, height), (to_width, to_height) = comparison.scaled
        warnings.append(
            f"the test is {width}x{height} and was scaled to the reference's {to_width}x{to_height}"
        )
    if matching.by == "time":
        warnings.append("the rates differ: frames that are shown at the same time were compared")
    elif offset:
        warnings.append(
            f"aligned in time: frame i of the reference is frame i{offset:+d} of the test"
        )
    if matching.by == "order":
        for indices, said in (
            (matching.dropped, "frames of the reference that the test lacks"),
            (matching.extra, "frames of the test that the reference lacks"),
        ):
            if indices:
                warnings.append(f"{said}: {len(indices)}, at {_runs(indices)}")
    if comparison.unmatched_frames:
        warnings.append(f"frames without a partner, not scored: {comparison.unmatched_frames}")
    return warnings


def _runs(indices: Sequence[int], most: int = 5) -> str:
    """Numbers as runs, such as "12-14, 30", the first few of them."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    named = [str(low) if low == high else f"{low}-{high}" for low, high in runs[:most]]
    return ", ".join([*named, *(["..."] if len(runs) > most else [])])


def restore_document(result: RestoreResult, settings: RestoreSettings) -> Document:
    """The document of `vidrestore restore`."""
    warnings = list(result.warnings)
    if result.scores is not None:
        warnings += comparison_warnings(result.scores.output)
    return _document(
        "restore",
        input=video_document(result.info),
        output={**video_document(result.output), "frames": result.frames},
        resumed_frames=result.resumed_frames,
        settings={
            "tasks": list(settings.tasks),
            "chosen": result.chosen,
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
            "fps": _rate(settings.wanted.fps),
            "slow": settings.wanted.slow,
            "cfr": settings.wanted.cfr,
            "fill": settings.fill,
        },
        timing={
            "wall_s": result.wall_s,
            "model_s": result.model_s,
            "flow_s": result.flow_s,
            "fps": result.frames / result.wall_s,
            "steady_fps": result.steady_fps,
        },
        timeline=_timeline_document(result),
        check=_seconds(asdict(result.check)),
        receipt=asdict(result.receipt),
        fields=None if result.fields is None else asdict(result.fields),
        drift=[asdict(shot) for shot in result.drift],
        noise={"before": result.noise_before, "after": result.noise_after},
        metrics=None if result.scores is None else _metrics_document(result.scores),
        self_test=None if result.self_test is None else asdict(result.self_test),
        warnings=warnings,
    )


def stream_document(result: StreamResult, output: Path, settings: RestoreSettings) -> Document:
    """The document of `vidrestore restore` from or into a pipe."""
    return _document(
        "stream",
        input=video_document(result.info),
        output={"path": str(output), "frames": result.frames},
        settings={
            "tasks": list(settings.tasks),
            "chosen": result.chosen,
            "sigma": result.sigma,
            "sigma_estimated": settings.sigma is None,
            "strength": settings.strength,
            "steps": settings.steps,
            "device": result.device,
            "dtype": result.dtype,
            "weights": list(result.weights),
            "encode": asdict(settings.encode),
            "latency": settings.latency,
            "lookahead_frames": result.lookahead_frames,
        },
        timing={
            "wall_s": result.wall_s,
            "model_s": result.model_s,
            "fps": result.frames / result.wall_s,
        },
        timeline={
            "made_frames": result.made_frames,
            "cuts_s": [float(cut) for cut in result.cuts],
        },
        noise={"before": result.noise_before},
        losses=[asdict(loss) for loss in result.losses],
        warnings=[*map(str, result.losses), *result.warnings],
    )


def _rate(rate: Rate | None) -> str | None:
    """A frame rate as it was asked for: 2/1 frames a second is not 2/1x."""
    return None if rate is None else f"{_plain(rate.value)}{'x' if rate.relative else ''}"


def _seconds(value: Any) -> Any:
    """Exact times as plain numbers, at every depth."""
    if isinstance(value, dict):
        return {key: _seconds(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_seconds(item) for item in value]
    return float(value) if isinstance(value, Fraction) else value


def _timeline_document(result: RestoreResult) -> Document:
    """Frames made, cuts in seconds of the source, and what was broken in time."""
    document: Document = {
        "made_frames": result.made_frames,
        "cuts_s": [float(cut) for cut in result.cuts],
        "damage": None,
    }
    if result.damage is not None:
        tick, start = result.info.time_base, result.info.start_pts
        document["damage"] = [
            {
                **asdict(interval),
                "first_s": float((interval.first_pts - start) * tick),
                "last_s": float((interval.last_pts - start) * tick),
            }
            for interval in result.damage.intervals
        ]
    return document


def _metrics_document(scores: ReferenceScores) -> Document:
    return {
        **scores_document(scores.output),
        **({} if scores.input is None else scores_document(scores.input, "input_")),
        "before_encoding_psnr_db": scores.before_encoding_psnr_db,
        "alignment": asdict(scores.output.alignment),
        "per_frame": [asdict(frame) for frame in scores.output.scores.per_frame],
        "input_per_frame": []
        if scores.input is None
        else [asdict(frame) for frame in scores.input.scores.per_frame],
    }


def benchmark_document(result: Benchmark, conclusion: Conclusion | None = None) -> Document:
    """The document of `vidrestore benchmark`, without its pictures.

    Args:
        result: What was measured.
        conclusion: How it compares with what was asked for, and with an earlier run.
    """
    found = asdict(replace(result, samples=()))
    del found["samples"]
    document = _document("benchmark", **found)
    if conclusion is not None:
        document["failures"] = list(conclusion.failures)
        document["against"] = None if conclusion.changes is None else asdict(conclusion.changes)
    return {**document, "schema": BENCHMARK_SCHEMA}

"""The figures and tables of a finished run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidrestore.page.content import Figure, Table
from vidrestore.page.words import decibels, file_table, number

if TYPE_CHECKING:
    from vidrestore.measure.scoring import ReferenceScores
    from vidrestore.runs.pipeline import RestoreResult
    from vidrestore.settings import RestoreSettings


def figures(result: RestoreResult) -> tuple[Figure, ...]:
    """The large numbers: scores if there is a reference, and the noise."""
    found: list[Figure] = []
    if result.scores is not None:
        after = result.scores.output.scores
        before = None if result.scores.input is None else result.scores.input.scores
        for label, key, digits, unit in (
            ("PSNR, RGB", "psnr_db", 2, "dB"),
            ("PSNR, luma", "psnr_y_db", 2, "dB"),
            ("SSIM, RGB", "ssim", 4, ""),
        ):
            now, was = getattr(after, key), None if before is None else getattr(before, key)
            missing = "identical" if key != "ssim" else "none"
            found.append(_compared(label, was, now, digits, unit, missing))
    noise = _compared(
        "Estimated noise", result.noise_before, result.noise_after, 1, "/ 255", lower=True
    )
    found.append(noise)
    if result.scores is None:
        fps = result.frames / result.wall_s
        found.append(Figure("Frames", str(result.frames), was=f"{result.made_frames} of them made"))
        found.append(Figure("Speed", f"{fps:.2f}", "fps", f"{result.wall_s:.1f} s in all"))
    return tuple(found)


def _compared(
    label: str,
    before: float | None,
    after: float | None,
    digits: int,
    unit: str,
    missing: str = "none",
    *,
    lower: bool = False,
) -> Figure:
    """A figure with the one of the input; `lower` is better, or higher."""
    value = number(after, digits, missing)
    if before is None:
        return Figure(label, value, unit)
    was = f"from {before:.{digits}f}"
    if after is None:
        return Figure(label, value, "", was)
    change = after - before
    good = None if round(change, digits) == 0 else (change < 0) == lower
    return Figure(label, value, unit, was, f"{change:+.{digits}f}".replace("-", "\u2212"), good)


def tables(settings: RestoreSettings, result: RestoreResult) -> list[Table]:
    """How the result was made, what it is, and what became of the input."""
    found = []
    if result.scores is not None:
        found.append(_score_table(result.scores))
    found += [_settings_table(settings, result), _run_table(result)]
    found.append(file_table({"Input": result.info, "Restored": result.output}))
    rows = [
        (
            entry.subject,
            entry.before or "\u2013",
            entry.after or "\u2013",
            f"{entry.status}{f' ({entry.note})' if entry.note else ''}",
        )
        for entry in result.receipt.entries
    ]
    receipt = Table(
        "Receipt",
        ("", "Before", "After", "Status"),
        tuple(rows),
        marked={
            i: "lost" for i, entry in enumerate(result.receipt.entries) if "lost" in entry.status
        },
        wide=True,
        note="Everything that the input held, and what became of it.",
    )
    return [*found, receipt]


def _score_table(scores: ReferenceScores) -> Table:
    after = scores.output.scores
    before = None if scores.input is None else scores.input.scores
    rows = []
    for label, key, digits in (
        ("PSNR, RGB (dB)", "psnr_db", 2),
        ("PSNR, luma (dB)", "psnr_y_db", 2),
        ("PSNR of the mean error, RGB (dB)", "psnr_mse_db", 2),
        ("SSIM, RGB", "ssim", 4),
        ("SSIM, luma", "ssim_y", 4),
    ):
        missing = "identical" if digits == 2 else "none"
        old = "\u2013" if before is None else number(getattr(before, key), digits, missing)
        rows.append((label, old, number(getattr(after, key), digits, missing)))
    if scores.before_encoding_psnr_db is not None:
        rows.append(("PSNR before encoding (dB)", "", decibels(scores.before_encoding_psnr_db)))
    return Table("Scores", ("", "Input", "Restored"), tuple(rows), numeric=(1, 2))


def _settings_table(settings: RestoreSettings, result: RestoreResult) -> Table:
    encode, asked = settings.encode, settings.wanted
    sigma = "nothing was denoised"
    if result.sigma is not None:
        found = "estimated" if settings.sigma is None else "given"
        sigma = f"{result.sigma:.1f} of 255 ({found})"
    quality = "default" if encode.crf is None else f"crf {encode.crf}"
    if encode.bitrate_bps is not None:
        quality = f"{encode.bitrate_bps / 1e6:g} Mbit/s"
    rows = [
        ("Tasks", ", ".join(settings.tasks)),
        ("Noise level", sigma),
        ("Strength", f"{settings.strength:g}"),
        ("Steps", "best" if settings.steps is None else str(settings.steps)),
        ("Seed", str(settings.seed)),
        ("Codec", encode.codec),
        ("Quality", quality),
        ("Preset", encode.preset or "default"),
    ]
    if asked.fps is not None:
        rows.append(("Rate", f"{float(asked.fps.value):g}{'x' if asked.fps.relative else ' fps'}"))
    if asked.slow != 1:
        rows.append(("Slow motion", f"{float(asked.slow):g}x"))
    if asked.cfr is not None:
        rows.append(("Constant rate", f"{float(asked.cfr):g} fps"))
    if settings.fill:
        rows.append(("Repair of broken time", "on"))
    return Table("Settings", (), tuple(rows))


def _run_table(result: RestoreResult) -> Table:
    check = result.check
    rows = [
        ("Weights", ", ".join(result.weights) or "none"),
        ("Device", f"{result.device}, {result.dtype}"),
        ("Time", f"{result.wall_s:.1f} s, {result.frames / result.wall_s:.2f} fps"),
        ("Of it, model", f"{result.model_s:.1f} s"),
        ("Frames", f"{result.info.frames or '?'} in, {result.frames} out"),
        ("Frames made", str(result.made_frames)),
        ("Cuts", ", ".join(f"{float(cut):.2f} s" for cut in result.cuts[:12]) or "none"),
        (
            "First and last frame",
            f"{float(check.first_found_s):.3f} s, {float(check.last_found_s):.3f} s",
        ),
    ]
    if result.drift:
        largest = max(max(map(abs, shot.inside)) for shot in result.drift)
        rows.append(("Largest colour drift of a shot", f"{largest:.2f} of 255"))
    if result.damage is not None:
        rows.append(("Broken places", str(len(result.damage.intervals))))
    if result.self_test is not None:
        rows.append(("Self-test", f"{decibels(result.self_test.psnr_db)} dB"))
    return Table("Run", (), tuple(rows))

"""Predictions: from a trial on the first frames, by plain arithmetic."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.conftest import Clips
from vidrestore.cli import app
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.errors import UsageError
from vidrestore.media.probe import VideoInfo, probe
from vidrestore.network.windows import WindowPlan
from vidrestore.runs import plan as planning
from vidrestore.runs.memory import decoder_bytes, encoder_bytes, own_bytes
from vidrestore.runs.pipeline import Pace
from vidrestore.runs.plan import predict
from vidrestore.runs.processes import Peaks
from vidrestore.settings import RestoreSettings

GB = 1 << 30


def test_a_video_that_is_shorter_than_a_trial_is_simply_run(clips: Clips, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    settings = RestoreSettings(encode=EncodeSettings(preset="ultrafast"))
    prediction = predict(clips.plain, output, settings)
    assert prediction.frames == prediction.trial_frames == 24
    assert prediction.wall_s == pytest.approx(prediction.trial_s)
    assert prediction.peak_bytes > 100 << 20
    assert 0 < prediction.work_bytes <= prediction.output_bytes < 1 << 20
    assert prediction.free_bytes is not None
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch) -> list[RestoreSettings]:
    """Stands in for the run: 2 s, 4 frames per second, 3 GB; keeps what it was asked for."""
    asked: list[RestoreSettings] = []
    now_s = [0.0]

    def restore(source: Path, output: Path, settings: RestoreSettings) -> SimpleNamespace:
        asked.append(settings)
        output.write_bytes(bytes(1000))
        now_s[0] += 5.0
        shown = SimpleNamespace(path=output)
        return SimpleNamespace(
            output=shown,
            steady_fps=4.0,
            pace=Pace(search_s=0.25, work_s=4.0, warm_up_s=0.5),
            model_s=3.5,
            device="cpu",
            dtype="float32",
        )

    class Watch:
        peaks = Peaks(2 * GB, 1 * GB, GB // 2, GB // 4)

        def __enter__(self) -> Watch:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(planning, "restore", restore)
    monkeypatch.setattr(planning, "MemoryWatch", Watch)
    monkeypatch.setattr(planning, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    return asked


def long(clips: Clips, monkeypatch: pytest.MonkeyPatch, frames: int) -> VideoInfo:
    """A video of 1080p that claims to be longer than it is."""
    info = replace(probe(clips.plain), frames=frames, width=1920, height=1080)
    monkeypatch.setattr(planning, "inspect", lambda *_: info)
    return info


def test_time_and_disk_grow_with_the_frames(
    clips: Clips, trial: list[RestoreSettings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    info = long(clips, monkeypatch, 1500)
    plan = WindowPlan(240, 0, 4, 0)
    prediction = predict(
        clips.plain, tmp_path / "out.mp4", RestoreSettings(plan=plan), before_s=2.0
    )
    tried = planning.TRIAL_PX // (1920 * 1080)
    assert prediction.trial_frames == tried == 15
    assert prediction.fps == pytest.approx(4)
    # 5 s for 15 frames at 4 per second leave 1.25 s for what happens once; the program takes 2.
    assert prediction.wall_s == pytest.approx(1500 / 4 + 1.25 + 2)
    assert prediction.work_bytes == 1000 * 1500 // 15
    (settings,) = trial
    # In seconds, half a frame short: 15 frames.
    assert settings.end == (15 - Fraction(1, 2)) / info.frame_rate
    assert settings.plan == plan


def test_what_overlaps_in_long_windows_is_counted(
    clips: Clips, trial: list[RestoreSettings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    long(clips, monkeypatch, 1500)
    plan = WindowPlan(10_000, 0, 24, 12)
    prediction = predict(clips.plain, tmp_path / "out.mp4", RestoreSettings(plan=plan))
    (settings,) = trial
    assert (settings.plan.window_frames, settings.plan.overlap_frames) == (5, 1)
    longer = (24 / 12) / (5 / 4)
    assert 1 / prediction.fps == pytest.approx((3.75 + 3.5 * (longer - 1)) / 15)


@pytest.mark.parametrize(("device", "fps"), [("cpu", 15 / 3.75), ("cuda", 15 / 2.75)])
def test_only_a_graphics_card_works_beside_the_encoder(
    clips: Clips, trial: list[RestoreSettings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    device: str, fps: float,
) -> None:  # fmt: skip
    long(clips, monkeypatch, 1500)
    run = planning.restore

    def restore(*arguments: Any) -> SimpleNamespace:
        result = run(*arguments)
        return SimpleNamespace(**{**vars(result), "device": device, "steady_fps": 6.0})

    monkeypatch.setattr(planning, "restore", restore)
    plan = WindowPlan(240, 0, 4, 0)
    prediction = predict(clips.plain, tmp_path / "out.mp4", RestoreSettings(plan=plan))
    assert prediction.fps == pytest.approx(fps)


def test_what_fills_up_later_is_added_to_the_peak(
    clips: Clips, trial: list[RestoreSettings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    info = long(clips, monkeypatch, 1500)
    prediction = predict(clips.plain, tmp_path / "out.mp4")
    (tried,) = trial
    more = sum(
        part(RestoreSettings(), info, 1500) - part(tried, info, 15)
        for part in (own_bytes, encoder_bytes, decoder_bytes)
    )
    assert more > GB  # windows of 24 frames instead of 5
    assert prediction.peak_bytes == GB + GB // 2 + GB // 4 + more


def test_a_limit_on_memory_holds_for_the_trial_as_well(
    clips: Clips, trial: list[RestoreSettings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    long(clips, monkeypatch, 1500)
    asked = RestoreSettings(max_memory_bytes=2 * GB)
    prediction = predict(clips.plain, tmp_path / "out.mp4", asked)
    (tried,) = trial
    assert tried.footprint == prediction.settings.footprint != asked.footprint
    assert tried.encode == prediction.settings.encode


def test_without_a_length_nothing_is_predicted(
    clips: Clips, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    info = replace(probe(clips.plain), frames=None)
    monkeypatch.setattr(planning, "inspect", lambda *_: info)
    with pytest.raises(UsageError, match="how long"):
        predict(clips.plain, tmp_path / "out.mp4")


@pytest.mark.parametrize("command", [["plan"], ["restore", "--dry-run"]])
def test_both_commands_predict_and_write_nothing(
    clips: Clips, tmp_path: Path, command: list[str]
) -> None:
    name, *options = command
    output = tmp_path / "out.mkv"
    words = [name, str(clips.plain), *options, "-o", str(output), "--end", "6", "--json"]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    document = json.loads(shown.stdout)
    assert document["schema"] == "vidrestore.plan/1"
    assert document["frames"] == 6
    assert document["wall_s"] > 0
    assert document["peak_memory_bytes"] > 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", [["--dry-run"], ["--max-memory", "4G"]])
def test_a_pipe_is_refused(tmp_path: Path, option: list[str]) -> None:
    output = str(tmp_path / "out.mkv")
    shown = CliRunner().invoke(app, ["restore", "-", "-o", output, *option])
    assert isinstance(shown.exception, UsageError)

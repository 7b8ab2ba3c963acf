"""The trainer: tiny networks, a few steps, and a clock that the test turns."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from skimage import data
from skimage.io import imsave

import vidrestore.training.train as training
from vidrestore.errors import InputError
from vidrestore.network import weights
from vidrestore.network.model import ModelSpec
from vidrestore.training.lessons import VALIDATION_SIGMAS
from vidrestore.training.train import TrainReport, TrainSettings, train

SPEC = ModelSpec((8, 8, 16), middle_blocks=1, attention_heads=2, attention_radius=2)


class KilledError(Exception):
    pass


@dataclass
class Clock:
    """Every look at it costs `tick_s`."""

    now_s: float = 0.0
    tick_s: float = 0.0

    def monotonic(self) -> float:
        self.now_s += self.tick_s
        return self.now_s


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """Time stands still unless told; numbers are added in the same order on every machine."""
    clock = Clock()
    monkeypatch.setattr(training, "time", clock)
    monkeypatch.setattr(training, "choose_body_dtype", lambda net, device: torch.float32)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield clock
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip and one with a photo."""
    folder = tmp_path_factory.mktemp("material")
    (folder / "videos").mkdir()
    (folder / "photos").mkdir()
    picture = data.coffee()
    np.save(
        folder / "videos" / "pan.npy",
        np.stack([picture[t : t + 24, 2 * t : 2 * t + 32] for t in range(16)]),
    )
    imsave(folder / "photos" / "face.png", data.astronaut()[:96, 180:276])
    return folder


def settings_for(material: Path, out: Path) -> TrainSettings:
    return TrainSettings(
        material / "videos",
        material / "photos",
        out,
        max_minutes=1e9,
        max_steps=8,
        decay_fraction=0.25,
        batch=2,
        frames=3,
        crop_px=16,
        warmup_steps=3,
        size="tiny",
        spec=SPEC,
    )


@pytest.fixture
def settings(material: Path, tmp_path: Path) -> TrainSettings:
    return settings_for(material, tmp_path / "run")


def on_step(monkeypatch: pytest.MonkeyPatch, look: Callable[[Any, TrainSettings], None]) -> None:
    """Call `look` before each step."""
    step = training._step

    def looked_at(state: Any, batches: Any, settings: TrainSettings) -> float:
        look(state, settings)
        return step(state, batches, settings)

    monkeypatch.setattr(training, "_step", looked_at)


def checkpoint(out: Path) -> dict[str, Any]:
    return torch.load(out / "last.pt", weights_only=True)


def assert_same_end(run: TrainSettings, other: TrainSettings) -> None:
    """Same weights, averages and optimiser state, bit for bit."""
    one, two = checkpoint(run.out), checkpoint(other.out)
    for part in ("net", "ema"):
        assert all(torch.equal(one[part][name], two[part][name]) for name in two[part])
    for index, moments in two["optimizer"]["state"].items():
        for name, value in moments.items():
            assert torch.equal(one["optimizer"]["state"][index][name], value)
    assert one["progress"]["step"] == two["progress"]["step"]


def interrupted(settings: TrainSettings, at_step: int) -> None:
    """Run until a step that never begins."""

    def fail(state: Any, _: TrainSettings) -> None:
        if state.step == at_step:
            raise KilledError

    with pytest.MonkeyPatch.context() as patch:
        on_step(patch, fail)
        with pytest.raises(KilledError):
            train(settings)


@pytest.mark.parametrize("at_step", [2, 4, 7])
@pytest.mark.parametrize("tick_s", [30, 61])
def test_a_run_that_died_and_was_resumed_ends_like_one_that_did_not(
    settings: TrainSettings, clock: Clock, tmp_path: Path, at_step: int, tick_s: float
) -> None:
    whole = replace(settings, out=tmp_path / "whole")
    whole_weights = train(whole)
    clock.tick_s = tick_s  # a checkpoint after every step, or after every other
    interrupted(settings, at_step)
    resumed_weights = train(replace(settings, resume=True))
    assert_same_end(settings, whole)
    assert resumed_weights is not None
    assert whole_weights is not None
    resumed, expected = (weights.load(p).net for p in (resumed_weights, whole_weights))
    for name, tensor in expected.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor)


def run_until_killed(material: str, out: str) -> None:
    """In a process of its own: save after each step, and be killed before the fifth."""
    torch.set_num_threads(1)
    training.time = Clock(tick_s=61)
    training.choose_body_dtype = lambda net, device: torch.float32
    step = training._step

    def fatal(state: Any, batches: Any, settings: TrainSettings) -> float:
        if state.step == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(state, batches, settings)

    training._step = fatal
    train(settings_for(Path(material), Path(out)))


def test_a_process_that_was_killed_is_resumed_to_the_same_weights(
    settings: TrainSettings, material: Path, tmp_path: Path
) -> None:
    call = "import sys; from tests import test_train as t; t.run_until_killed(*sys.argv[1:])"
    killed = subprocess.run(
        [sys.executable, "-c", call, material, settings.out],
        cwd=Path(__file__).parent.parent,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert checkpoint(settings.out)["progress"]["step"] == 4
    train(replace(settings, resume=True))
    whole = replace(settings, out=tmp_path / "whole")
    train(whole)
    assert_same_end(settings, whole)


def test_dying_while_a_checkpoint_is_written_keeps_the_one_before(
    settings: TrainSettings, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = torch.save

    def half_saved(content: dict[str, Any], path: Path) -> None:
        save(content, path)
        if content["progress"]["step"] == 5:
            path.write_bytes(path.read_bytes()[:1000])
            raise KilledError

    clock.tick_s = 61
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", half_saved)
        with pytest.raises(KilledError):
            train(settings)
    assert checkpoint(settings.out)["progress"]["step"] == 4
    train(replace(settings, resume=True))
    whole = replace(settings, out=tmp_path / "whole")
    train(whole)
    assert_same_end(settings, whole)


def test_the_rate_warms_up_holds_and_decays_to_zero(
    settings: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates, states = [], []

    def note(state: Any, settings: TrainSettings) -> None:
        rates.append(training._rate(state, settings) / settings.learning_rate)
        states.append(state)

    on_step(monkeypatch, note)
    train(replace(settings, max_steps=12, decay_fraction=1 / 3))
    assert rates == pytest.approx([1 / 3, 2 / 3, *[1] * 6, 1, 3 / 4, 2 / 4, 1 / 4])
    assert states[-1].step == 12
    assert training._rate(states[-1], settings) == 0


def test_a_decayed_run_releases_its_averaged_weights_with_their_recipe(
    settings: TrainSettings,
) -> None:
    path = train(settings)
    assert path is not None
    assert path.parent == settings.out
    released = weights.load(path)
    content = checkpoint(settings.out)
    for name, tensor in released.net.state_dict().items():
        assert torch.equal(tensor, content["ema"][name].half().float())
        assert not torch.equal(content["ema"][name], content["net"][name])
    assert released.net.spec == SPEC
    assert json.loads(released.card["training"]) == {"steps": 8, "minutes": 0.0, "decay_steps": 2}
    recipe = json.loads(released.card["recipe"])
    assert (recipe["batch"], recipe["task"], recipe["init"]) == (2, "denoise", None)
    assert json.loads(released.card["material"]) == {"videos": 1, "photos": 1, "pairs": {}}
    curve = json.loads(released.card["curve"])
    lines = (settings.out / "curve.jsonl").read_text().splitlines()
    assert curve == [json.loads(line) for line in lines]
    assert json.loads(released.card["held_out_psnr_db"]) == curve[-1]["psnr_db"]


def test_a_card_is_enough_to_run_the_same_steps_again(
    settings: TrainSettings, tmp_path: Path
) -> None:
    """Whatever decides the path of the weights is a field of the recipe."""
    settings = replace(settings, max_sigma=30.0, ema_decay=0.9, seed=3, decay_fraction=0.5)
    first = train(settings)
    assert first is not None
    released = weights.load(first)
    recipe = json.loads(released.card["recipe"])
    recipe.pop("init")
    again = TrainSettings(
        settings.videos,
        settings.photos,
        tmp_path / "again",
        max_steps=settings.max_steps,
        size="tiny",
        spec=released.net.spec,
        **recipe,
    )
    train(again)
    assert_same_end(again, settings)


def test_powers_of_two_are_reported_once_so_that_curves_have_steps_in_common(
    settings: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "FIRST_REPORTED_STEP", 2)
    reports: list[TrainReport] = []
    train(settings, reports.append)
    assert [report.step for report in reports] == [2, 4, 8]


def test_the_curve_of_a_card_is_that_of_its_own_weights(
    settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither steps that a killed run did in vain, nor a decay that was left behind."""
    monkeypatch.setattr(training, "FIRST_REPORTED_STEP", 1)
    train(replace(settings, max_steps=6, decay_fraction=0.5))  # its decay begins at step 3
    longer = replace(settings, max_steps=16, decay_fraction=0.25, resume=True)
    interrupted(longer, at_step=9)
    path = train(longer)
    assert path is not None
    curve = json.loads(weights.load(path).card["curve"])
    assert [line["step"] for line in curve] == [1, 2, 4, 8, 16]
    assert [line["phase"] for line in curve] == ["stable"] * 4 + ["decay"]


def test_a_run_can_start_from_weights(settings: TrainSettings, tmp_path: Path) -> None:
    first = train(settings)
    assert first is not None
    standing = replace(
        settings, init=first, out=tmp_path / "on", learning_rate=0.0, max_steps=2, spec=ModelSpec()
    )
    second = train(standing)
    assert second is not None
    assert json.loads(weights.load(second).card["recipe"])["init"] == first.name
    before, after = weights.load(first).net, weights.load(second).net
    assert after.spec == before.spec == SPEC
    for name, tensor in after.state_dict().items():
        assert torch.equal(tensor, before.state_dict()[name])


def test_without_a_decay_only_the_stable_checkpoint_is_extended(settings: TrainSettings) -> None:
    assert train(replace(settings, decay_fraction=0, max_steps=4)) is None
    assert not list(settings.out.glob("*.safetensors"))
    stable = torch.load(settings.out / "stable.pt", weights_only=True)
    assert stable["progress"] == {"step": 4, "minutes": 0.0, "decay_start": None, "decay_steps": 0}


def test_a_finished_run_goes_on_from_where_its_decay_began(
    settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(replace(settings, max_steps=5, decay_fraction=0.4))
    walked = []
    on_step(monkeypatch, lambda state, _: walked.append((state.step, state.phase)))
    longer = replace(settings, max_steps=10, decay_fraction=0.4, resume=True)
    train(longer)
    stable = [(step, "stable") for step in (3, 4, 5)]
    assert walked == stable + [(step, "decay") for step in (6, 7, 8, 9)]
    whole = replace(longer, out=tmp_path / "whole", resume=False)
    train(whole)
    assert_same_end(longer, whole)


def test_minutes_bound_the_sitting_with_its_decay(
    settings: TrainSettings, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    walked = []

    def take_six_seconds(state: Any, _: TrainSettings) -> None:
        clock.now_s += 6
        walked.append(state.phase)

    on_step(monkeypatch, take_six_seconds)
    bounded = replace(settings, max_steps=None, max_minutes=1.0, decay_fraction=0.2)
    assert train(bounded) is not None
    assert walked == ["stable"] * 8 + ["decay"] * 2
    assert checkpoint(settings.out)["progress"]["minutes"] == pytest.approx(1)
    walked.clear()
    train(replace(bounded, resume=True, max_minutes=0.5))  # the bound is of each sitting
    assert walked == ["stable"] * 4 + ["decay"] * 1


def strict(line: str) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(line, parse_constant=refuse)


def test_the_learning_curve_is_json_lines_and_is_reported_as_it_grows(
    settings: TrainSettings, clock: Clock
) -> None:
    clock.tick_s = 61
    reports: list[TrainReport] = []
    train(settings, reports.append)
    lines = (settings.out / "curve.jsonl").read_text().splitlines()
    assert len(lines) == len(reports) > 2
    for line, report in zip(map(strict, lines), reports, strict=True):
        assert set(line) == {"step", "phase", "minutes", "loss", "psnr_db"}
        assert line["step"] == report.step
        assert set(line["psnr_db"]) == {f"sigma {s}" for s in VALIDATION_SIGMAS}
        assert line["psnr_db"]["sigma 10"] > line["psnr_db"]["sigma 50"] > 5
    assert [report.step for report in reports] == sorted(report.step for report in reports)
    assert (reports[-1].step, reports[-1].phase) == (8, "decay")


def test_flat_grey_clips_are_learned_in_a_few_steps(
    settings: TrainSettings, tmp_path: Path
) -> None:
    folder = tmp_path / "flat"
    folder.mkdir()
    np.save(folder / "grey.npy", np.full((16, 24, 32, 3), 128, np.uint8))
    flat = replace(settings, videos=folder, photos=None, batch=4, learning_rate=5e-3)
    reports: list[TrainReport] = []
    for steps in (1, 100):
        train(replace(flat, max_steps=steps), reports.append)
    first, last = reports
    assert first.psnr_db["sigma 50"] == pytest.approx(14.2, abs=0.5)  # nearly the identity still
    assert all(last.psnr_db[kind] > score + 3 for kind, score in first.psnr_db.items())


def test_photos_alone_are_enough(settings: TrainSettings) -> None:
    reports: list[TrainReport] = []
    assert train(replace(settings, videos=None, max_steps=4), reports.append) is not None
    assert reports[-1].psnr_db == {}  # nothing is held out, nothing is claimed


def test_resuming_nothing_is_refused(settings: TrainSettings) -> None:
    with pytest.raises(InputError, match="nothing to resume") as caught:
        train(replace(settings, resume=True))
    assert "without --resume" in (caught.value.hint or "")


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_same_settings_run_on_cuda(settings: TrainSettings) -> None:
    path = train(replace(settings, device="cuda"))
    assert path is not None
    assert SimpleNamespace(**weights.load(path).card).size == "tiny"

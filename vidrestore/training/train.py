"""Training: warm up, hold the rate (the stable checkpoint), then decay a branch for release.

The stable checkpoint is kept and can be extended by any later run; a release is a short decay that
starts from it. Everything that a step does follows from (seed, step) and the checkpoint, so a run
that is killed and resumed takes the same path as one that is not.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidrestore import __version__
from vidrestore.errors import InputError
from vidrestore.network import weights
from vidrestore.network.bridge import interpolate
from vidrestore.network.model import ModelSpec, RestorationNet
from vidrestore.network.precision import choose_body_dtype
from vidrestore.network.shelf import BLIND_TASKS, SECOND_LOOKS, find, first_task
from vidrestore.training.blurs import make_blurred
from vidrestore.training.dataset import Batches, Material, load_material, load_pairs
from vidrestore.training.lessons import Lesson, lesson
from vidrestore.training.twins import LESSONS, make_pairs

ERROR_FLOOR = 1e-3
RATE_STEPS = 3
CURVE = "curve.jsonl"
REPORT_S = 180
FIRST_REPORTED_STEP = 256
"""From here on powers of two are reported, so that curves of all machines have steps in common."""


@dataclass(frozen=True)
class TrainSettings:
    """What a training run is made of.

    Attributes:
        videos: Folder of clips (or of .npy files, (N, H, W, 3) uint8), or None.
        photos: Folder of pictures, or None.
        pairs: How many pairs of clips to make, once, for blind tasks.
        out: Folder for checkpoints, the learning curve and the weights.
        task: "denoise", "deblock" (compression), "deblur", "interpolate" (missing frames) or
            "mixed" (whatever it may be); or the second look at one of them, see `shelf`.
        init: Weights to start from; None for nothing, or those of the first look. Their network
            replaces `spec`. Of weights for another task the features are kept; what they paint is
            learned anew.
        resume: Go on from the checkpoint in `out`.
        max_minutes: Wall-clock bound of this sitting, decay included.
        max_steps: Bound on the step count, decay included; None for no bound.
        decay_fraction: Share of the sitting spent on the decay; 0 only extends the stable phase.
        batch: Windows per step.
        frames: Window length T.
        crop_px: Height and width of a window.
        learning_rate: Of the stable phase.
        warmup_steps: Steps of linear warm-up.
        ema_decay: Of the weight average that is released.
        max_sigma: Strongest noise to denoise, 8-bit units.
        seed: Of batches, noise and initialisation.
        device: "cpu", "cuda" or "mps".
        data_note: What the material is and its licence, for the weights' header.
        size: Name of the network's size in the weights' file name.
        spec: The network.
    """

    videos: Path | None
    photos: Path | None
    out: Path
    pairs: int = 1600
    task: str = "denoise"
    init: Path | None = None
    resume: bool = False
    max_minutes: float = 60.0
    max_steps: int | None = None
    decay_fraction: float = 0.2
    batch: int = 3
    frames: int = 6
    crop_px: int = 80
    learning_rate: float = 1e-3
    warmup_steps: int = 200
    ema_decay: float = 0.999
    max_sigma: float = 55.0
    seed: int = 0
    device: str = "cpu"
    data_note: str = ""
    size: str = "base"
    spec: ModelSpec = field(default_factory=ModelSpec)

    @cached_property
    def lesson(self) -> Lesson:
        """How examples are made and progress is measured."""
        net = None if self.first is None else self.first.net.on(torch.device(self.device))
        if net is not None:
            net.body_dtype = choose_body_dtype(net, torch.device(self.device))
        return lesson(self.task, self.max_sigma, net)

    @cached_property
    def first(self) -> weights.Weights | None:
        """The weights of the first look, for a task that looks again."""
        return weights.load(find(first_task(self.task))) if self.looks_again else None

    @property
    def looks_again(self) -> bool:
        """Whether what another task has made is looked at again."""
        return self.task in SECOND_LOOKS.values()


@dataclass(frozen=True)
class TrainReport:
    """One line of the learning curve. PSNR in dB on held-out windows, EMA weights, one step."""

    step: int
    phase: str
    minutes: float
    loss: float
    psnr_db: dict[str, float]


@dataclass
class _State:
    net: RestorationNet
    ema: RestorationNet
    optimizer: torch.optim.Optimizer
    step: int = 0
    minutes: float = 0.0
    decay_start: int | None = None
    decay_steps: int = 0

    @property
    def phase(self) -> str:
        return "stable" if self.decay_start is None else "decay"


def train(
    settings: TrainSettings, on_report: Callable[[TrainReport], None] = lambda _: None
) -> Path | None:
    """Train until the bounds of `settings` are reached.

    Args:
        settings: See there.
        on_report: Called for each line of the learning curve.

    Returns:
        The released weights, or None if `decay_fraction` is 0.

    Raises:
        InputError: If there is nothing to train on, or nothing to resume.
    """
    device = torch.device(settings.device)
    settings.out.mkdir(parents=True, exist_ok=True)
    material = _material(settings)
    batches = Batches(
        material,
        batch=settings.batch,
        frames=settings.lesson.clean_frames or settings.frames,
        crop_px=settings.crop_px + 2 * settings.lesson.margin_px,
        seed=settings.seed,
        photo_share=settings.lesson.photo_share,
        busy=settings.lesson.busy,
    )
    state = _initial_state(settings, device)
    state.net.body_dtype = choose_body_dtype(state.net, device)
    if settings.resume:
        _restore(state, settings, device)
    else:
        (settings.out / CURVE).unlink(missing_ok=True)
    state.ema.body_dtype = state.net.body_dtype
    _run(state, batches, settings, on_report)
    if state.phase == "stable":
        return None
    card = _card(state, settings, batches.material)
    return weights.save(state.ema, settings.out, task=settings.task, size=settings.size, card=card)


def _material(settings: TrainSettings) -> Material:
    cache, folder = settings.out / "cache", settings.out / "pairs"
    task = first_task(settings.task)
    if task not in BLIND_TASKS:
        return load_material(settings.videos, settings.photos, cache, settings.device)
    if settings.videos is not None or settings.photos is not None:
        material = load_material(settings.videos, settings.photos, cache, "cpu")
        if task == "deblur":
            make_blurred(material, folder, settings.pairs, settings.seed, _estimator(settings))
        else:
            make_pairs(material, folder, settings.pairs, settings.seed, LESSONS[task])
    return load_pairs(folder, settings.device)


def _estimator(settings: TrainSettings) -> RestorationNet | None:
    """What estimates the sharp clip for second looks: weights for deblurring to start from."""
    start = None if settings.init is None else weights.load(settings.init)
    if start is None or start.task != "deblur":
        return None
    net = start.net.on(torch.device("cpu"))
    net.body_dtype = choose_body_dtype(net, torch.device("cpu"))
    return net


def _run(
    state: _State,
    batches: Batches,
    settings: TrainSettings,
    on_report: Callable[[TrainReport], None],
) -> None:
    start_s = saved_s = reported_s = time.monotonic()
    start_step, start_minutes, reported_step = state.step, state.minutes, -1
    budget_s = settings.max_minutes * 60
    losses: list[float] = []
    while not _finished(state, settings):
        elapsed_s = time.monotonic() - start_s
        steps = state.step - start_step
        if state.decay_start is None and _stable_over(state, settings, elapsed_s, steps):
            if settings.decay_fraction == 0:
                break
            _save(state, settings.out / "stable.pt")
            state.decay_start = state.step
            rate = steps / max(elapsed_s, 1e-6)
            state.decay_steps = (
                settings.max_steps - state.step
                if settings.max_steps is not None
                else max(1, int(rate * (budget_s - elapsed_s)))
            )
        losses.append(_step(state, batches, settings))
        now_s = time.monotonic()
        state.minutes = start_minutes + (now_s - start_s) / 60
        if now_s - saved_s > 60:
            _save(state, settings.out / "last.pt")
            saved_s = now_s
        if now_s - reported_s > REPORT_S or _is_milestone(state.step):
            _report(state, batches, settings, losses, on_report)
            losses.clear()
            reported_s, reported_step = time.monotonic(), state.step
    _save(state, settings.out / "last.pt")
    if state.phase == "stable":
        _save(state, settings.out / "stable.pt")
    if reported_step != state.step:
        _report(state, batches, settings, losses, on_report)


def _is_milestone(step: int) -> bool:
    return step >= FIRST_REPORTED_STEP and step.bit_count() == 1


def _finished(state: _State, settings: TrainSettings) -> bool:
    if state.decay_start is not None:
        return state.step >= state.decay_start + state.decay_steps
    return settings.max_steps is not None and state.step >= settings.max_steps


def _stable_over(
    state: _State, settings: TrainSettings, elapsed_s: float, steps_this_sitting: int
) -> bool:
    if settings.max_steps is not None:
        decay_steps = math.ceil(settings.decay_fraction * settings.max_steps)
        if state.step >= settings.max_steps - decay_steps:
            return True
    if steps_this_sitting < RATE_STEPS:  # how long a step takes is not known yet
        return False
    return elapsed_s >= (1 - settings.decay_fraction) * settings.max_minutes * 60


def _rate(state: _State, settings: TrainSettings) -> float:
    """Learning rate of the coming step: linear warm-up, constant, linear decay to zero."""
    rate = settings.learning_rate * min(1.0, (state.step + 1) / settings.warmup_steps)
    if state.decay_start is not None:
        rate *= 1 - (state.step - state.decay_start) / state.decay_steps
    return rate


def _step(state: _State, batches: Batches, settings: TrainSettings) -> float:
    clean = batches.clean(state.step)
    seed = settings.seed * 1_000_003 + state.step
    examples = settings.lesson.examples(clean, seed)
    generator = torch.Generator(clean.device).manual_seed(seed + 1)
    t = torch.rand((len(clean), 1, 1), generator=generator, device=clean.device)
    t = torch.where(t < settings.lesson.full_share, torch.ones_like(t), _uniform_like(t, generator))
    x_t = interpolate(examples.target, examples.degraded, t[..., None, None])
    candidates = examples.candidates
    if candidates is not None:  # withheld where t < 1: they would tell what the guess was
        candidates = candidates * (t == 1)[..., None, None]
    for group in state.optimizer.param_groups:
        group["lr"] = _rate(state, settings)
    error = state.net(x_t, t * examples.levels, candidates) - examples.target
    # The root per window: the mean square would let the noisiest windows decide alone, and an
    # absolute error would aim at the median, which has less texture than the mean.
    root = (error.square().mean((1, 2, 3, 4)) + ERROR_FLOOR**2).sqrt()
    loss = (root / examples.scale).mean()
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.net.parameters(), 1.0)
    state.optimizer.step()
    state.step += 1
    decay = min(settings.ema_decay, state.step / (state.step + 10))
    with torch.no_grad():
        torch._foreach_lerp_(list(state.ema.parameters()), list(state.net.parameters()), 1 - decay)
    return float(loss.item())


def _uniform_like(t: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(t.shape, generator=generator, device=t.device)


def _report(
    state: _State,
    batches: Batches,
    settings: TrainSettings,
    losses: list[float],
    on_report: Callable[[TrainReport], None],
) -> None:
    report = TrainReport(
        state.step,
        state.phase,
        round(state.minutes, 2),
        sum(losses) / max(len(losses), 1),
        _validate(state.ema, batches, settings),
    )
    with (settings.out / CURVE).open("a") as file:
        file.write(json.dumps(report.__dict__) + "\n")
    on_report(report)


def _validate(net: RestorationNet, batches: Batches, settings: TrainSettings) -> dict[str, float]:
    known = batches.material.videos or batches.pairs
    return settings.lesson.validate(net, batches) if known else {}


def _initial_state(settings: TrainSettings, device: torch.device) -> _State:
    torch.manual_seed(settings.seed)
    spec = replace(settings.spec, candidates=settings.lesson.candidates)
    start = settings.first if settings.init is None else weights.load(settings.init)
    net = RestorationNet(spec) if start is None else _started_from(start, settings)
    net = net.on(device)
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99), weight_decay=0.0
    )
    return _State(net, copy.deepcopy(net).requires_grad_(requires_grad=False), optimizer)


def _started_from(start: weights.Weights, settings: TrainSettings) -> RestorationNet:
    if start.task == settings.task:
        return start.net.train().requires_grad_()
    net = RestorationNet(replace(start.net.spec, candidates=settings.lesson.candidates))
    own = net.state_dict()
    if settings.looks_again:  # begins as the first look, at what is shown to the second
        anew = {name: torch.zeros_like(own[name]) for name in own if name.startswith("candidate")}
    else:
        anew = {name: own[name] for name in own if name.startswith("head")}
    net.load_state_dict({**start.net.state_dict(), **anew}, strict=False)
    return net


def _save(state: _State, path: Path) -> None:
    content = {
        "net": state.net.state_dict(),
        "ema": state.ema.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "device": next(state.net.parameters()).device.type,
        "dtype": state.net.body_dtype,
        "progress": {
            name: getattr(state, name) for name in ("step", "minutes", "decay_start", "decay_steps")
        },
    }
    temporary = path.with_suffix(".partial")
    torch.save(content, temporary)
    temporary.replace(path)


def _restore(state: _State, settings: TrainSettings, device: torch.device) -> None:
    """Continue an unfinished run; after a finished decay, extend the stable checkpoint."""
    last, stable = settings.out / "last.pt", settings.out / "stable.pt"
    if not last.exists() and not stable.exists():
        raise InputError(f"nothing to resume in {settings.out}", hint="start without --resume")
    content = _read(last if last.exists() else stable, device)
    progress = content["progress"]
    start = progress["decay_start"]
    if start is not None and progress["step"] >= start + progress["decay_steps"]:
        content = _read(stable, device)
    state.net.load_state_dict(content["net"])
    state.ema.load_state_dict(content["ema"])
    state.optimizer.load_state_dict(content["optimizer"])
    if device.type == content["device"]:  # another number format would leave the trajectory
        state.net.body_dtype = content["dtype"]
    for name, value in content["progress"].items():
        setattr(state, name, value)


def _read(path: Path, device: torch.device) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return content


def _card(state: _State, settings: TrainSettings, material: Material) -> dict[str, str]:
    recipe = {
        name: getattr(settings, name)
        for name in (
            "task",
            "pairs",
            "batch",
            "frames",
            "crop_px",
            "learning_rate",
            "warmup_steps",
            "ema_decay",
            "max_sigma",
            "seed",
            "decay_fraction",
        )
    }
    recipe["init"] = None if settings.init is None else settings.init.name
    progress = {
        "steps": state.step,
        "minutes": round(state.minutes, 1),
        "decay_steps": state.decay_steps,
    }
    curve = _curve(settings.out)
    counts = {
        "videos": len(material.videos),
        "photos": len(material.photos),
        "pairs": {kind: len(pairs) for kind, pairs in sorted(material.pairs.items())},
    }
    start = {} if settings.init is None else weights.load(settings.init).card
    return {
        "version": __version__,
        "started_from": json.dumps(start),
        "recipe": json.dumps(recipe),
        "training": json.dumps(progress),
        "curve": json.dumps(curve),
        "held_out_psnr_db": json.dumps(curve[-1]["psnr_db"]),
        "data": settings.data_note,
        "material": json.dumps(counts),
    }


def _curve(out: Path) -> list[dict[str, Any]]:
    """The lines of the learning curve that led here, without those that resuming has undone.

    A run that was killed does some steps again; one that goes on after a decay leaves it behind.
    """
    lines: list[dict[str, Any]] = []
    for line in reversed((out / CURVE).read_text().splitlines()):
        report = json.loads(line)
        left_behind = lines and (report["phase"], lines[-1]["phase"]) == ("decay", "stable")
        if not lines or (report["step"] < lines[-1]["step"] and not left_behind):
            lines.append(report)
    return lines[::-1]

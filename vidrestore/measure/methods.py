"""Ways to restore a clip: the model, ffmpeg's filters, what is simple, and commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from vidrestore.errors import VidrestoreError, WeightsError
from vidrestore.measure.baselines import run_setting
from vidrestore.measure.external import Command
from vidrestore.measure.filters import Setting
from vidrestore.measure.item import Clip, Given, Known
from vidrestore.measure.prediction import MINTERPOLATE_NOTE, predictors
from vidrestore.measure.rows import MODEL, NO_WEIGHTS
from vidrestore.network.diffuse import Restorer
from vidrestore.picture.diagnosis import fitting
from vidrestore.picture.survey import FRAMES_PER_PLACE, PLACES, NoiseSurvey


@dataclass(frozen=True)
class Result:
    """What a method made.

    Attributes:
        clip: (T, H, W, 3) float32, not clamped.
        sigma_estimated: Noise level that it found.
        seconds: Its own time, where that is not all that was waited for.
        peak_memory_bytes: What its processes held, where it knows.
    """

    clip: Clip
    sigma_estimated: float | None = None
    seconds: float | None = None
    peak_memory_bytes: int | None = None


class Method(Protocol):
    """A way to restore a clip."""

    @property
    def name(self) -> str:
        """What the table calls it."""

    @property
    def takes_files(self) -> bool:
        """Whether it is given what a file of 8 bits holds."""

    @property
    def inside(self) -> bool:
        """Whether it works in this process."""

    @property
    def settings(self) -> str | None:
        """What it is set to, in words."""

    @property
    def note(self) -> str | None:
        """What to know about its figures."""

    def restore(self, given: Given) -> Result:
        """Restore a clip.

        Raises:
            VidrestoreError: It failed.
        """


@dataclass(frozen=True)
class Unavailable:
    """A method that cannot run, and why."""

    name: str
    reason: str
    takes_files: bool = False
    inside: bool = True
    settings: str | None = None
    note: str | None = None

    def restore(self, given: Given) -> Result:
        """Say why not."""
        raise VidrestoreError(self.reason)


@dataclass(frozen=True)
class Model:
    """The network, on clips that have all their frames.

    Attributes:
        task: As the user of `restore` would name it; several are joined by "+", in their order.
        weights: File or folder of weights; None for those of the package.
        device: As for `Restorer`.
        steps: Reverse steps K.
    """

    task: str
    weights: Path | None
    device: str
    steps: int | None
    name: str = MODEL
    takes_files: bool = False
    inside: bool = True
    settings: str | None = None
    note: str | None = None

    def restore(self, given: Given) -> Result:
        """Restore, with the noise level told, or as `--task auto` does."""
        clip, task, sigma, estimated = given.clip, self.task, given.told, None
        if sigma is None:
            survey = NoiseSurvey.of(_places(clip))
            found = fitting(survey.samples, survey.sigma, survey.tones, self.weights)
            sigma, estimated = found.sigma, survey.sigma
            task = found.task if task == "denoise" else task
        for name in task.split("+"):
            restorer = Restorer(name, self.weights, self.device)  # loaded once
            clip = restorer.restore_clip(clip, sigma, steps=self.steps)
        return Result(clip, estimated)


def _places(clip: Clip) -> Iterator[Clip]:
    """Where a run would look at a clip before it restores it."""
    last = max(0, len(clip) - FRAMES_PER_PLACE)
    for start in np.unique(np.linspace(0, last, PLACES).astype(int)):
        yield clip[start : start + FRAMES_PER_PLACE]


@dataclass(frozen=True)
class Filter:
    """A filter of ffmpeg at a chosen setting."""

    name: str
    setting: Setting
    note: str | None
    ffmpeg: str
    takes_files: bool = True
    inside: bool = False

    @property
    def settings(self) -> str:
        """As ffmpeg spells them."""
        return str(self.setting)

    def restore(self, given: Given) -> Result:
        """Filter what a file would hold."""
        return Result(run_setting(self.setting, given.in_file, self.ffmpeg))


@dataclass(frozen=True)
class Predictor:
    """A way to make missing frames."""

    name: str
    predict: Callable[[Clip, Known], Clip]
    note: str | None = None
    takes_files: bool = False
    inside: bool = True
    settings: str | None = None

    def restore(self, given: Given) -> Result:
        """Fill in what is missing."""
        return Result(self.predict(given.clip, given.known))


@dataclass(frozen=True)
class External:
    """A command."""

    command: Command
    ffmpeg: str
    note: str | None = "given FFV1 of 8 bits; its time and memory are those of its processes"
    takes_files: bool = True
    inside: bool = False
    settings: str | None = None

    @property
    def name(self) -> str:
        """As it was called."""
        return self.command.name

    def restore(self, given: Given) -> Result:
        """Run it."""
        clip, seconds, peak_bytes = self.command.restore(given, self.ffmpeg)
        return Result(clip, seconds=seconds, peak_memory_bytes=peak_bytes)


def interpolators(ffmpeg: str | None) -> list[Method]:
    """Ways to make missing frames without learning.

    Args:
        ffmpeg: Path of the ffmpeg whose minterpolate is one of them; None for not.
    """
    notes = {"minterpolate": MINTERPOLATE_NOTE}
    return [
        Predictor(name, predict, notes.get(name), inside=name != "minterpolate")
        for name, predict in predictors(ffmpeg).items()
    ]


class Models:
    """The model for each task, loaded once.

    Args:
        weights: File or folder; None for those of the package.
        device: "auto", "cpu", "cuda" or "mps".
        steps: Reverse steps K.

    Attributes:
        missing: Why there is no model, for each task that lacks one.
    """

    def __init__(self, weights: Path | None, device: str, steps: int | None) -> None:
        self._weights, self._device, self._steps = weights, device, steps
        self._loaded: dict[str, Method] = {}
        self.missing: dict[str, WeightsError] = {}

    def get(self, task: str) -> Method:
        """The model for a task or several, or one that says what there are no weights for.

        Raises:
            WeightsError: The weights are corrupt.
            DeviceError: The device is not there.
        """
        if task not in self._loaded:
            self._loaded[task] = self._load(task)
        return self._loaded[task]

    def _load(self, task: str) -> Method:
        from vidrestore.network import weights
        from vidrestore.network.shelf import find

        if "+" in task:
            for name in task.split("+"):
                part = self.get(name)
                if isinstance(part, Unavailable):
                    self.missing[task] = self.missing[name]
                    return part
            return Model(task, self._weights, self._device, self._steps)
        try:
            path = find(task, self._weights)
        except WeightsError as error:
            return self._without(task, error)
        trained_for = weights.load(path).task
        if trained_for != task:
            reason = WeightsError(
                f"{path} is for {trained_for}, not for {task}",
                hint="let --weights name a folder that holds both",
            )
            return self._without(task, reason)
        restorer = Restorer(task, self._weights, self._device)
        if task != "interpolate":
            return Model(task, self._weights, self._device, self._steps)
        from vidrestore.timing.fill import fill_clip

        def predict(clip: Clip, known: Known) -> Clip:
            return np.asarray(fill_clip(clip, known, restorer, self._steps), np.float32)

        return Predictor(MODEL, predict)

    def _without(self, task: str, reason: WeightsError) -> Method:
        self.missing[task] = reason
        return Unavailable(MODEL, NO_WEIGHTS)

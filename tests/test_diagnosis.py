"""What is wrong with a clip, and the weights chosen for it."""

from pathlib import Path

import numpy as np
import pytest
from skimage import data

from vidrestore.degrade import parse
from vidrestore.measure.metrics import luma
from vidrestore.network.shelf import packaged_folder
from vidrestore.picture.diagnosis import Diagnosis, believed, blockiness, diagnose
from vidrestore.picture.estimate import band_levels, noise_sigma
from vidrestore.picture.survey import NoiseSurvey
from vidrestore.runs.choice import Choice
from vidrestore.settings import RestoreSettings

Clip = np.ndarray


def travelling(photo: np.ndarray, frames: int = 6) -> Clip:
    """A camera travels over a photo, halved: (T, 176, 256, 3)."""
    picture = photo[: photo.shape[0] // 2 * 2, : photo.shape[1] // 2 * 2] / np.float32(255)
    half = (picture[::2, ::2] + picture[1::2, ::2] + picture[::2, 1::2] + picture[1::2, 1::2]) / 4
    return np.stack([half[t : t + 176, 2 * t : 2 * t + 240] for t in range(frames)])


CLIPS = {"coffee": travelling(data.coffee()), "astronaut": travelling(data.astronaut())}


def diagnosed(spec: str, clip: Clip) -> Diagnosis:
    degraded, _ = parse(spec).apply(clip, seed=0)
    return diagnose([luma(degraded)], noise_sigma(degraded))


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize(
    ("spec", "task", "word"),
    [
        ("awgn8:10", "denoise", "white noise"),
        ("awgn8:30", "denoise", "white noise"),
        ("lowlight:2", "denoise", "white noise"),
        ("grain:15", "mixed", "grain"),
        ("grain:25:size=0.6", "mixed", "grain"),
        ("mpeg2:20", "mixed", "blocks"),
        ("x264:4", "denoise", "next to no noise"),
    ],
)
def test_damage_is_recognised(name: str, spec: str, task: str, word: str) -> None:
    found = diagnosed(spec, CLIPS[name])
    assert (found.task, word in found.reason) == (task, True), found


@pytest.mark.parametrize("sigma", [8, 20, 40])
def test_white_noise_has_one_level_in_every_band(sigma: float) -> None:
    grey = np.full((4, 96, 96, 3), 0.5, np.float32)
    noisy = grey + np.random.default_rng(0).normal(0, sigma / 255, grey.shape).astype(np.float32)
    assert band_levels(luma(noisy)) == pytest.approx([sigma] * 3, rel=0.1)


def test_little_noise_is_believed_in_part() -> None:
    assert [believed(sigma) for sigma in (0, 1, 2, 4, 9)] == [0, 0.25, 1, 4, 9]


def test_tiny_pictures_are_no_trouble() -> None:
    tiny = np.zeros((2, 4, 4), np.float32)
    assert blockiness(tiny) == 1
    assert diagnose([tiny], 0.0).task == "denoise"


class TestChoice:
    grainy = NoiseSurvey.of([parse("grain:20").apply(CLIPS["coffee"], seed=0)[0]])

    def test_auto_names_the_weights_and_says_why(self) -> None:
        choice = Choice.of(RestoreSettings(), self.grainy)
        assert choice.settings.tasks == ("mixed",)
        assert choice.reason is not None
        assert choice.reason.startswith("mixed: coarse noise")

    def test_a_named_task_stays(self) -> None:
        settings = RestoreSettings(tasks=("denoise",))
        choice = Choice.of(settings, self.grainy)
        assert (choice.settings, choice.reason) == (settings, None)
        assert choice.levels.sigma == self.grainy.sigma

    def test_a_named_level_is_for_the_denoiser(self) -> None:
        choice = Choice.of(RestoreSettings(sigma=12), self.grainy)
        assert choice.settings.tasks == ("denoise",)
        assert choice.levels.sigma == 12
        assert choice.reason is None

    def test_weights_that_are_not_there_are_not_chosen(self) -> None:
        [denoise] = packaged_folder().glob("denoise-*")
        choice = Choice.of(RestoreSettings(weights=Path(denoise)), self.grainy)
        assert choice.settings.tasks == ("denoise",)

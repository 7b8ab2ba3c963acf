"""What is wrong with a clip, and the weights chosen for it."""

from collections.abc import Callable
from functools import partial
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from tests.conftest import run_ffmpeg
from vidrestore import api
from vidrestore.degrade import parse
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.measure.generated import Scene
from vidrestore.measure.metrics import luma
from vidrestore.network.shelf import packaged_folder
from vidrestore.picture.diagnosis import Diagnosis, believed, blockiness, diagnose
from vidrestore.picture.estimate import BANDS, band_levels
from vidrestore.picture.levelfunction import LevelFunction
from vidrestore.picture.renewal import renewed_share
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
    return diagnosis_of(degraded)


def diagnosis_of(clip: Clip) -> Diagnosis:
    survey = NoiseSurvey.of([clip[:2], clip[-2:]])
    return diagnose(survey.samples, survey.sigma, survey.tones)


def gravel(step_px: int) -> Clip:
    """Texture with the spectrum of grain, over which a camera moves: (T, 160, 224, 3)."""
    white = np.random.default_rng(3).standard_normal((200, 300))
    grains = cv2.GaussianBlur(white, (0, 0), 1.0)
    picture = 0.5 + 0.08 * grains / grains.std()
    moved = [picture[t : t + 160, step_px * t : step_px * t + 224] for t in range(6)]
    return np.stack(moved)[..., None].repeat(3, axis=-1).astype(np.float32)


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize(
    ("spec", "task", "word"),
    [
        ("awgn8:10", "denoise", "white noise"),
        ("awgn8:30", "denoise", "white noise"),
        ("grain:15", "mixed", "grain"),
        ("grain:25:size=0.6", "mixed", "grain"),
        ("mpeg2:20", "deblock", "blocks"),
        ("x264:4", "denoise", "next to no noise"),
    ],
)
def test_damage_is_recognised(name: str, spec: str, task: str, word: str) -> None:
    found = diagnosed(spec, CLIPS[name])
    assert (found.task, word in found.reason) == (task, True), found


@pytest.mark.parametrize("stops", [1, 2])
def test_noise_of_few_photons_is_told_from_white_noise(stops: int) -> None:
    found = diagnosed(f"lowlight:{stops}", CLIPS["coffee"])
    assert found.task == "mixed"
    assert "low light" in found.reason


def test_where_no_tone_is_flat_noise_counts_as_white() -> None:
    """What is taken for low light wrongly costs more than what is missed."""
    rng = np.random.default_rng(0)
    busy = cv2.resize(rng.random((44, 60, 3), np.float32), (240, 176))
    noisy, _ = parse("lowlight:2").apply(np.stack([busy] * 4), seed=0)
    assert NoiseSurvey.of([noisy]).tones.fall == 0


@pytest.mark.parametrize("step_px", [0, 1, 9])
def test_texture_that_the_next_frame_shows_again_is_no_grain(step_px: int) -> None:
    found = diagnosis_of(gravel(step_px))
    assert found.task == "denoise"
    assert found.sigma < 0.5
    grainy, _ = parse("grain:20").apply(gravel(step_px), seed=0)
    assert diagnosis_of(grainy).task == "mixed"


def test_a_frame_shown_twice_hides_no_grain() -> None:
    grainy, _ = parse("grain:20").apply(CLIPS["coffee"], seed=0)
    survey = NoiseSurvey.of([grainy[[0, 0]], grainy[[1, 2]], grainy[[3, 3]]])
    assert diagnose(survey.samples, survey.sigma, survey.tones).task == "mixed"


@pytest.mark.parametrize("band", BANDS)
def test_noise_is_new_in_every_frame(band: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).normal(0.5, 0.05, (2, 96, 128)).astype(np.float32)
    fresh = renewed_share(noise, band)
    moved = renewed_share(np.stack([noise[0], np.roll(noise[0], 3, 1)]), band)
    assert fresh is not None
    assert moved is not None
    assert 0.65 < fresh <= 1
    assert moved < 0.1
    assert renewed_share(noise[:1], band) is None
    assert renewed_share(noise[[0, 0]], band) is None


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
    assert renewed_share(tiny, BANDS[0]) is None
    assert diagnose([tiny], 0.0, LevelFunction.joined([])).task == "denoise"


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


def drawn(frames: int = 8) -> Clip:
    """Letters, lines and discs with hard edges that move over a gradient: (T, 192, 256, 3)."""
    clip = []
    for t in range(frames):
        shade = np.linspace(40, 220, 512, dtype=np.float32)[None, :, None]
        picture = np.broadcast_to(shade, (384, 512, 3)).astype(np.uint8).copy()
        cv2.putText(picture, "Sharp 1234", (20 + 3 * t, 120), 0, 2.4, (250, 250, 245), 5)
        cv2.circle(picture, (120 + 5 * t, 260), 70, (30, 60, 200), -1, cv2.LINE_AA)
        for angle in np.arange(0, np.pi, np.pi / 24):
            end = np.array([np.cos(angle), np.sin(angle)]) * 90
            ends = [tuple(map(int, [370, 260] + sign * end)) for sign in (-1, 1)]
            cv2.line(picture, *ends, (10, 10, 10), 3, cv2.LINE_AA)
        clip.append(cv2.resize(picture, (256, 192), interpolation=cv2.INTER_AREA))
    return np.stack(clip).astype(np.float32) / 255


def filmed(name: str, pan_px: tuple[float, float], turn_deg: float = 0) -> Clip:
    """A camera moves over a photo, grey or in colour: (T, 192, 256, 3)."""
    scene = Scene(name, size_px=(256, 192), frames=8, pan_px=pan_px, turn_deg=turn_deg)
    clip = scene.clip()
    return clip if clip.ndim == 4 else clip[..., None].repeat(3, axis=-1)


SHARP: dict[str, Callable[[], Clip]] = {
    "astronaut": partial(filmed, "astronaut", (2.7, 0.9), 1.5),
    "coffee": partial(filmed, "coffee", (-1.3, 0.6), 0.5),
    "gravel": partial(filmed, "gravel", (1.7, 1.1)),
    "motorcycle": partial(filmed, "motorcycle", (3.5, -0.4)),
    "rocket": partial(filmed, "rocket", (0, 0)),
    "drawn": drawn,
}


@pytest.mark.parametrize(("name", "codec"), [*zip(SHARP, cycle(["ffv1", "libx264"]), strict=False)])
def test_sharp_clean_clips_pass_through_auto(
    name: str, codec: str, ffmpeg: str, tmp_path: Path
) -> None:
    """At 45 dB or better to the input, decoded from the file that a run has written."""
    source, raw = tmp_path / "clean.mkv", tmp_path / "clean.rgb"
    raw.write_bytes(np.rint(SHARP[name]() * 255).astype(np.uint8).tobytes())
    given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "256x192", "-r", "24", "-i", raw]
    lossless = ["-pix_fmt", "yuv420p", "-c:v", codec, *(["-qp", "0"] if codec != "ffv1" else [])]
    run_ffmpeg(ffmpeg, *given, *lossless, source)
    output = tmp_path / "restored.mkv"
    result = api.restore(source, output, RestoreSettings(encode=EncodeSettings(codec="ffv1")))
    assert result.chosen is not None, "auto has chosen"
    scores = api.compare(source, output).scores
    assert scores.frames == 8
    assert scores.psnr_db >= 45, result.chosen

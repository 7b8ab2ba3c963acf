"""The noise level found in clips whose noise is known."""

import numpy as np
import pytest
from skimage import data

from vidrestore.degrade import parse
from vidrestore.picture.estimate import noise_sigma
from vidrestore.picture.levelfunction import LevelFunction, level_function


def half_size(picture: np.ndarray) -> np.ndarray:
    """Averaging 2x2 pixels removes most of the noise that the picture has of its own."""
    height, width = (side // 2 * 2 for side in picture.shape[:2])
    blocks = picture[:height, :width].reshape(height // 2, 2, width // 2, 2, 3)
    return (blocks.mean(axis=(1, 3)) / 255).astype(np.float32)


def moving(picture: np.ndarray) -> np.ndarray:
    return np.stack([picture[:128, 4 * t : 4 * t + 176] for t in range(4)])


CLIPS = {
    "portrait": moving(half_size(data.astronaut())),
    "coffee": moving(half_size(data.coffee())),
    "snow": moving(np.float32(0.7) + half_size(data.astronaut()) * np.float32(0.3)),
    "night": moving(half_size(data.coffee()) * np.float32(0.2)),
}


def as_yuv420p(clip: np.ndarray) -> np.ndarray:
    """Through 8-bit limited-range YUV with halved chroma and back, not clamped."""
    matrix = np.array([[0.299, 0.587, 0.114], [-0.1687, -0.3313, 0.5], [0.5, -0.4187, -0.0813]])
    luma, *chroma = np.moveaxis(clip @ matrix.T, -1, 0)
    luma = np.rint(luma * 219) / 219
    frames, height, width = luma.shape
    halved = [c.reshape(frames, height // 2, 2, width // 2, 2).mean((2, 4)) for c in chroma]
    planes = [np.repeat(np.repeat(np.rint(c * 224) / 224, 2, 1), 2, 2) for c in halved]
    return (np.stack([luma, *planes], -1) @ np.linalg.inv(matrix).T).astype(np.float32)


@pytest.mark.parametrize("sigma", [5, 20, 50])
@pytest.mark.parametrize("kind", ["awgn", "awgn8", "yuv420p"])
@pytest.mark.parametrize("name", CLIPS)
def test_known_noise_is_found(name: str, kind: str, sigma: float) -> None:
    spec = f"{'awgn' if kind == 'awgn' else 'awgn8'}:{sigma}"
    noisy, _ = parse(spec).apply(CLIPS[name], seed=5)
    if kind == "yuv420p":
        noisy = as_yuv420p(noisy)
    assert noise_sigma(noisy) == pytest.approx(sigma, rel=0.1, abs=1)


@pytest.mark.parametrize("name", CLIPS)
def test_clean_clips_read_near_zero(name: str) -> None:
    assert noise_sigma(CLIPS[name]) < 1.5


def test_letterbox_bars_do_not_hide_the_noise() -> None:
    noisy, _ = parse("awgn8:20").apply(CLIPS["portrait"], seed=0)
    noisy[:, :32] = 0
    noisy[:, -32:] = 0
    assert noise_sigma(noisy) == pytest.approx(20, rel=0.1)


def test_luma_noise_counts_as_the_white_rgb_noise_that_makes_it() -> None:
    noise = np.random.default_rng(0).standard_normal((4, 96, 96, 1)) * 10 / 255
    grey = (0.5 + noise * np.ones(3)).astype(np.float32)
    norm = np.linalg.norm([0.299, 0.587, 0.114])
    assert noise_sigma(grey) == pytest.approx(10 / norm, rel=0.05)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_flat_clips_have_no_noise(level: float) -> None:
    assert noise_sigma(np.full((2, 32, 32, 3), level, np.float32)) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("shape", [(1, 8, 8, 3), (1, 9, 31, 3), (1, 7, 64, 3), (0, 64, 64, 3)])
def test_small_clips_give_a_number(shape: tuple[int, ...]) -> None:
    clip = np.random.default_rng(0).random(shape, np.float32)
    assert np.isfinite(noise_sigma(clip))


def test_the_same_clip_gives_the_same_level() -> None:
    noisy, _ = parse("awgn8:20").apply(CLIPS["coffee"], seed=0)
    assert noise_sigma(noisy) == noise_sigma(noisy)


TONES = (np.arange(16, dtype=np.float32) + np.float32(0.5)) / 16


def wedge() -> np.ndarray:
    """Sixteen flat tones from black to white, 16 pixels wide each: (T, 192, 256, 3)."""
    columns = TONES.repeat(16)
    return np.broadcast_to(columns[None, None, :, None], (2, 192, 256, 3)).copy()


@pytest.mark.parametrize("sigma", [4, 10, 25])
def test_white_noise_has_one_level_at_every_brightness(sigma: float) -> None:
    noisy, _ = parse(f"awgn8:{sigma}").apply(wedge(), seed=0)
    found = level_function(noisy)
    middle = (found.brightness > 0.3) & (found.brightness < 0.7)
    assert np.count_nonzero(middle) >= 5
    assert found.sigma[middle] == pytest.approx(sigma, rel=0.08)
    assert found.fall < 0.05


@pytest.mark.parametrize("spec", ["poisson:0.01:read=0.005:balance=1/1", "poisson:0.02:read=0.001"])
def test_noise_of_few_photons_is_found_where_it_is(spec: str) -> None:
    """Against the deviation from the truth, tone by tone; weak channels are noisier."""
    noisy, _ = parse(spec).apply(wedge(), seed=0)
    weights = np.array([0.299, 0.587, 0.114])
    noise = ((noisy - wedge()) @ weights).reshape(2, 192, 16, 16)
    truth = noise.std(axis=(0, 1, 3)) * 255 / np.linalg.norm(weights)
    found = level_function(noisy)
    assert len(found.sigma) >= 6
    true_sigma = np.interp(found.brightness, TONES, truth)
    assert found.sigma == pytest.approx(true_sigma, rel=0.15)
    assert found.fall > 0.2


def test_texture_is_no_tone() -> None:
    assert len(level_function(CLIPS["portrait"]).sigma) == 0


def test_tones_of_several_places_are_joined() -> None:
    dark = LevelFunction(np.array([0.1, 0.3]), np.array([9.0, 8.0]))
    bright = LevelFunction(np.array([0.2, 0.6]), np.array([8.5, 6.0]))
    joined = LevelFunction.joined([dark, bright])
    assert joined.brightness.tolist() == [0.1, 0.2, 0.3, 0.6]
    assert joined.sigma.tolist() == [9.0, 8.5, 8.0, 6.0]
    assert joined.fall == pytest.approx(1 / 3, abs=0.03)
    assert dark.fall == 0  # two tones tell nothing
    assert LevelFunction.joined([]).fall == 0

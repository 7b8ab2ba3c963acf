"""Scores against independent formulas, and the alignment of clips in time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from skimage import metrics as reference_metrics

from vidrestore.errors import InputError
from vidrestore.measure.metrics import (
    ClipScorer,
    LumaPlanes,
    find_offset,
    gradient_energy,
    luma,
    score_clip,
    ssim,
    thumbnail,
)


def picture(height: int = 48, width: int = 64) -> np.ndarray:
    return (data.astronaut()[40 : 40 + height, 200 : 200 + width] / np.float32(255)).astype("f4")


def noisy(clip: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(clip.shape)
    return (clip + sigma / 255 * noise).astype(np.float32)


def panning(frames: int, start: int = 0) -> np.ndarray:
    wide = data.astronaut() / np.float32(255)
    return np.stack([wide[100:196, 3 * t : 3 * t + 128] for t in range(start, start + frames)])


def test_psnr_agrees_with_scikit_image_and_averages_over_frames() -> None:
    clean = np.stack([picture(), picture()])
    test = np.stack([noisy(clean[0], 5), noisy(clean[1], 25, seed=1)]).clip(0, 1)
    scores = score_clip(clean, test)
    psnr = [
        reference_metrics.peak_signal_noise_ratio(a, b, data_range=1)
        for a, b in zip(clean, test, strict=True)
    ]
    assert scores.psnr_db == pytest.approx(np.mean(psnr), abs=1e-3)
    mean_squared_error = np.mean((clean.astype("f8") - test) ** 2)
    assert scores.psnr_mse_db == pytest.approx(-10 * np.log10(mean_squared_error), abs=1e-3)
    assert scores.psnr_mse_db < scores.psnr_db - 2
    assert [frame.index for frame in scores.per_frame] == [0, 1]


def test_luma_of_rgb_has_the_bt601_weights() -> None:
    reddish = np.full((1, 16, 16, 3), np.array([0.1, 0, 0], np.float32))
    scores = score_clip(np.zeros_like(reddish), reddish)
    assert scores.psnr_y_db == pytest.approx(-20 * np.log10(0.0299), abs=1e-3)


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (10, np.uint16)])
def test_native_luma_is_scored_on_codes_with_the_full_peak(bits: int, dtype: type) -> None:
    codes = np.full((32, 32), 100, dtype)
    scorer = ClipScorer()
    frame = scorer.add(picture(), picture(), LumaPlanes(codes, codes - 3, bits))
    assert frame.psnr_y_db == pytest.approx(20 * np.log10((2**bits - 1) / 3))
    assert frame.psnr_db is None


def test_identical_clips_have_no_psnr() -> None:
    clip = np.stack([picture()] * 2)
    scores = score_clip(clip, clip)
    assert (scores.psnr_db, scores.psnr_mse_db, scores.psnr_y_db) == (None, None, None)
    assert scores.identical
    assert scores.identical_frames == 2
    assert scores.ssim == pytest.approx(1)


def test_one_identical_frame_does_not_hide_the_other() -> None:
    clean = np.stack([picture()] * 2)
    test = np.stack([clean[0], noisy(clean[1], 10).clip(0, 1)])
    scores = score_clip(clean, test)
    assert not scores.identical
    assert scores.identical_frames == 1
    assert scores.psnr_db == scores.per_frame[1].psnr_db
    assert scores.psnr_mse_db == pytest.approx(scores.psnr_db + 10 * np.log10(2))


def test_ssim_has_the_window_of_the_paper() -> None:
    """One pixel of the map, computed by hand with the 11x11 Gaussian of sigma 1.5."""
    rng = np.random.default_rng(0)
    a, b = rng.random((11, 11)), rng.random((11, 11))
    x = np.arange(-5, 6)
    window = np.exp(-np.add.outer(x**2, x**2) / (2 * 1.5**2))
    window /= window.sum()
    mean_a, mean_b = (window * a).sum(), (window * b).sum()
    var_a, var_b = (window * a * a).sum() - mean_a**2, (window * b * b).sum() - mean_b**2
    cov = (window * a * b).sum() - mean_a * mean_b
    by_hand = (2 * mean_a * mean_b + 1e-4) * (2 * cov + 9e-4)
    by_hand /= (mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4)
    assert ssim(a, b, 1) == pytest.approx(by_hand, abs=1e-5)


def test_frames_smaller_than_the_window_have_no_ssim() -> None:
    scores = score_clip(np.zeros((1, 10, 20, 3)), np.ones((1, 10, 20, 3)))
    assert scores.ssim is None
    assert scores.psnr_db == pytest.approx(0)


def test_results_are_clamped_not_rounded() -> None:
    clean = np.full((1, 16, 16, 3), 0.999, np.float32)
    assert score_clip(clean, clean + 0.5).psnr_db == pytest.approx(60, abs=0.01)


def test_gradient_energy_falls_with_smoothing_and_rises_with_noise() -> None:
    ramp = np.tile(np.arange(8.0), (4, 1))
    assert gradient_energy(ramp) == pytest.approx(7 / 8)
    clean = picture()[None]
    smooth = (clean + np.roll(clean, 1, axis=2)) / 2
    assert score_clip(clean, smooth).gradient_energy_ratio < 0.9
    assert score_clip(clean, noisy(clean, 20)).gradient_energy_ratio > 1.5
    assert score_clip(np.zeros_like(clean), clean).gradient_energy_ratio is None


def test_scores_do_not_depend_on_how_pairs_arrive() -> None:
    clean = panning(3)
    test = noisy(clean, 15).clip(0, 1)
    scorer = ClipScorer()
    for pair in zip(clean, test, strict=True):
        scorer.add(*pair)
    assert scorer.summary() == score_clip(clean, test)


def test_different_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="different shapes"):
        ClipScorer().add(picture(48, 64), picture(48, 62))


def test_nothing_to_score_is_an_error() -> None:
    with pytest.raises(InputError, match="no frame"):
        ClipScorer().summary()


@settings(max_examples=15, deadline=None)
@given(offset=st.integers(-8, 8), sigma=st.sampled_from([0, 5, 50]), seed=st.integers(0, 99))
def test_offset_is_found_under_noise(offset: int, sigma: float, seed: int) -> None:
    clip = panning(32)
    reference = clip[max(0, -offset) :][:24]
    test = noisy(clip[max(0, offset) :][:24], sigma, seed)
    found = find_offset([thumbnail(f) for f in reference], [thumbnail(f) for f in test])
    assert found.offset_frames == -offset
    assert found.correlation is not None
    assert found.correlation > 0.9


@pytest.mark.parametrize("seed", range(5))
def test_noise_does_not_shift_a_static_scene(seed: int) -> None:
    still = np.stack([panning(1)[0]] * 20)
    thumbnails = [thumbnail(frame) for frame in noisy(still, 40, seed)]
    found = find_offset([thumbnail(frame) for frame in still], thumbnails)
    assert found.offset_frames == 0


def test_other_content_has_a_low_correlation() -> None:
    other = data.chelsea()[:96, :128] / np.float32(255)
    found = find_offset([thumbnail(f) for f in panning(8)], [thumbnail(other)] * 8)
    assert found.correlation is not None
    assert found.correlation < 0.5


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_very_short_clips_align_at_zero(frames: int) -> None:
    thumbnails = [thumbnail(frame) for frame in panning(frames)]
    assert find_offset(thumbnails, thumbnails).offset_frames == 0


def test_a_clip_without_frames_cannot_be_aligned() -> None:
    with pytest.raises(InputError, match="no frame"):
        find_offset([], [thumbnail(picture())])


def test_luma_keeps_leading_axes() -> None:
    assert luma(panning(2)).shape == (2, 96, 128)

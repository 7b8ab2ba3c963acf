"""What is done to clean clips: as strong as stated, the same in every window, and in order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import chosen_ffmpeg
from vidrestore.degrade import (
    CorruptFrames,
    Darkening,
    Defocus,
    Degradation,
    FilmGrain,
    FlowBlur,
    FrameMean,
    GaussianNoise,
    HeldFrames,
    Jpeg,
    LostFrames,
    MissingFrames,
    Mixture,
    SensorNoise,
    ShakeBlur,
    Stage,
    VideoCodec,
    parse,
    parts_of,
    stored,
)
from vidrestore.degrade.blur import Shake, convolve, disc_kernel, path_kernel
from vidrestore.degrade.curve import to_code, to_linear
from vidrestore.degrade.mixture import mixture
from vidrestore.degrade.photos import DEBLUR_CLEAN, FRAMES, PHOTOS, SIZE_PX, PhotoBlur
from vidrestore.errors import FfmpegError, InputError, UsageError

GREY = np.full((6, 48, 64, 3), 0.5, np.float32)


def test_specs_are_read_and_written_back() -> None:
    assert parse("awgn:25") == GaussianNoise(25)
    assert parse(" awgn8:12.5 ") == GaussianNoise(12.5, eight_bit=True)
    assert parse("drop:2") == MissingFrames("drop", 2)
    assert parse("gap:3") == MissingFrames("gap", 3)
    specs = ["awgn:25", "awgn8:12.5", "drop:2", "gap:3"]
    assert [str(parse(spec)) for spec in specs] == specs


@pytest.mark.parametrize("spec", ["", "banana", "awgn", "awgn:", "awgn:x", "awgn:-1", "awgn:nan",
                                  "awgn:inf", "awgn8:256", "AWGN10:3", "drop", "drop:1", "drop:65",
                                  "drop:2.5", "gap:0", "gap:9", "gap:-1", "gap:²",
                                  "awgn:3,", "awgn:3,drop:0"])  # fmt: skip
def test_bad_specs_name_cause_and_remedy(spec: str) -> None:
    with pytest.raises(UsageError, match=r"degradation|noise level|number of frames") as caught:
        parse(spec)
    assert "\n" not in str(caught.value)
    assert caught.value.hint is not None
    assert "awgn" in caught.value.hint or "drop:2" in caught.value.hint


def test_papers_protocol_is_float_unclipped_and_known() -> None:
    noisy, sigma = parse("awgn:50").apply(GREY * 2 - 0.5, seed=3)
    assert sigma == 50
    assert noisy.dtype == np.float32
    noise = (noisy - (GREY * 2 - 0.5)) * 255
    assert noise.std() == pytest.approx(50, rel=0.01)
    assert abs(noise.mean()) < 0.5
    assert noisy.max() > 1.1


def test_eight_bit_protocol_is_what_a_file_holds() -> None:
    noisy, sigma = parse("awgn8:50").apply(GREY * 2 - 0.5, seed=3)
    assert sigma is None
    assert noisy.dtype == np.float32
    assert noisy.min() == 0
    assert noisy.max() <= 1
    np.testing.assert_array_equal(np.rint(noisy * 255) / np.float32(255), noisy)


def test_both_protocols_draw_the_same_noise() -> None:
    unclipped, _ = parse("awgn:20").apply(GREY, seed=1)
    stored, _ = parse("awgn8:20").apply(GREY, seed=1)
    assert np.abs(unclipped.clip(0, 1) - stored).max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("spec", ["awgn:30", "awgn8:30"])
def test_windows_agree_with_the_whole_clip(spec: str) -> None:
    whole, _ = parse(spec).apply(GREY, seed=7)
    window, _ = parse(spec).apply(GREY[2:5], seed=7, first_frame=2)
    np.testing.assert_array_equal(window, whole[2:5])


def test_noise_differs_between_frames_and_seeds_and_repeats_for_one() -> None:
    first, _ = parse("awgn:30").apply(GREY, seed=0)
    again, _ = parse("awgn:30").apply(GREY, seed=0)
    other, _ = parse("awgn:30").apply(GREY, seed=1)
    np.testing.assert_array_equal(first, again)
    for a, b in ((first[0], first[1]), (first[0], other[0])):
        assert abs(np.corrcoef((a - 0.5).ravel(), (b - 0.5).ravel())[0, 1]) < 0.05


def test_no_noise_leaves_the_clip_alone() -> None:
    np.testing.assert_array_equal(parse("awgn:0").apply(GREY, seed=0)[0], GREY)


@pytest.mark.parametrize(
    ("spec", "frames", "missing"),
    [
        ("drop:2", 3, [1]),
        ("drop:2", 8, [1, 3, 5, 7]),
        ("drop:3", 8, [1, 2, 4, 5, 7]),
        ("gap:1", 20, [5, 15]),
        ("gap:3", 27, [5, 6, 7, 15, 16, 17, 25, 26]),
        ("gap:5", 11, [5, 6, 7, 8, 9]),
        ("gap:8", 11, [2, 3, 4, 5, 6, 7, 8, 9]),
    ],
)
def test_the_stated_frames_go_missing(spec: str, frames: int, missing: list[int]) -> None:
    degradation = parse(spec)
    assert isinstance(degradation, MissingFrames)
    assert np.flatnonzero(~degradation.known(frames)).tolist() == missing


def textured(frames: int = 6, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """Smooth colours that move, (T, H, W, 3) in [0, 1]."""
    random = np.random.default_rng(5)
    wide = cv2.GaussianBlur(random.random((size[0], size[1] + frames, 3)), (0, 0), 1.5)
    wide = (wide - wide.min()) / (wide.max() - wide.min())
    return np.stack([wide[:, t : t + size[1]] for t in range(frames)]).astype(np.float32)


def psnr_db(first: np.ndarray, second: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((first - second) ** 2)))


# Specs


@pytest.mark.parametrize(
    ("spec", "form"),
    [
        ("blur:motion", "blur:motion=3-12"),
        ("blur:motion=6", "blur:motion=6"),
        ("blur:defocus", "blur:defocus=2"),
        ("blur:frames=5", "blur:frames=5"),
        ("blur:shutter", "blur:shutter=0.5"),
        ("grain:8", "grain:8:size=1"),
        ("poisson:0.01:balance=1/1", "poisson:0.01:read=0.002:balance=1/1"),
        ("lowlight:2", "dark:2,poisson:0.01:read=0.005:balance=2/1.5"),
        ("awgn:25,blur:motion", "blur:motion=3-12,awgn:25"),
        ("drop:2,x265:30,grain:4,x264:20", "grain:4:size=1,x265:30,x264:20,drop:2"),
        ("mpeg2:8, jpeg:30 ,lose:5", "mpeg2:8,jpeg:30,lose:5"),
    ],
)
def test_normal_form_fills_in_defaults_and_orders_as_a_camera_does(spec: str, form: str) -> None:
    assert str(parse(spec)) == form
    assert parse(form) == parse(spec)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("agwn:25", "awgn:SIGMA"),
        ("gran:5", "grain:STD"),
        ("blur:motoin=5", "blur:motion"),
        ("blur:frames=4", "blur:frames=5"),
        ("x264:52", "x264:32"),
        ("x264:20.5", "x264:32"),
        ("jpeg:0", "jpeg:30"),
        ("blur:motion=9-3", "blur:motion=3-12"),
        ("blur:motion=-3", "blur:motion=3-12"),
        ("grain:5:tall=2", "size="),
        ("poisson:0", "poisson:0.01"),
        ("poisson:0.1:balance=2", "poisson:0.01"),
        ("corrupt:101", "corrupt:10"),
        ("freeze:9", "gap:3"),
    ],
)
def test_a_bad_spec_is_one_line_that_says_what_to_write(spec: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(f"awgn:5,{spec}")
    assert caught.value.hint is not None
    assert said in caught.value.hint
    assert spec in str(caught.value)
    assert "\n" not in f"{caught.value}{caught.value.hint}"


def _amount(least: float, most: float) -> st.SearchStrategy[float]:
    return st.floats(least, most, allow_nan=False)


_PAIR = st.tuples(_amount(0, 64), _amount(0, 64)).map(sorted)
SINGLE = st.one_of(
    st.builds(GaussianNoise, _amount(0, 255), st.booleans()),
    st.builds(FilmGrain, _amount(0, 100), _amount(0, 8)),
    st.builds(Darkening, _amount(0, 10)),
    st.builds(SensorNoise, _amount(1e-5, 1), _amount(0, 1), _amount(0.125, 10), _amount(0.125, 10)),
    _PAIR.map(lambda pair: ShakeBlur(*pair)),
    st.builds(Defocus, _amount(0, 32)),
    st.integers(1, 15).map(lambda half: FrameMean(2 * half + 1)),
    st.builds(FlowBlur, _amount(0.05, 2)),
    st.builds(Jpeg, st.integers(1, 100)),
    st.builds(VideoCodec, st.sampled_from(["x264", "x265"]), st.integers(0, 51)),
    st.builds(VideoCodec, st.just("mpeg2"), st.integers(1, 31)),
    st.builds(MissingFrames, st.just("drop"), st.integers(2, 64)),
    st.builds(MissingFrames, st.just("gap"), st.integers(1, 8)),
    st.builds(HeldFrames, st.just("freeze"), st.integers(1, 8)),
    st.builds(HeldFrames, st.just("repeat"), st.integers(2, 64)),
    st.builds(LostFrames, _amount(0, 90)),
    st.builds(CorruptFrames, _amount(0, 100)),
)


@given(st.lists(SINGLE, min_size=1, max_size=5))
@settings(deadline=None)
def test_any_mixture_is_read_back_from_its_spec(parts: list[Degradation]) -> None:
    made = mixture(parts)
    assert parse(str(made)) == made
    stages = [part.stage for part in parts_of(made)]
    assert stages == sorted(stages)
    assert len(stages) == len(parts)


# What all have in common

OF_FRAMES = [
    *("awgn8:20", "grain:12", "poisson:0.02", "dark:2", "blur:motion=2-6", "blur:defocus=2"),
    *("jpeg:40", "blur:frames=3", "blur:shutter=1", "repeat:3", "freeze:2", "corrupt:60"),
    "blur:frames=3,blur:motion=4,dark:1,poisson:0.01,grain:5,jpeg:50,corrupt:50",
]


@pytest.mark.parametrize("spec", OF_FRAMES)
def test_a_window_is_a_part_of_the_whole(spec: str) -> None:
    clip, degradation = textured(12), parse(spec)
    whole, _ = degradation.apply(clip, seed=3)
    reach = degradation.context_frames
    assert reach is not None
    window, _ = degradation.apply(clip[5 - reach : 8 + reach], seed=3, first_frame=5 - reach)
    np.testing.assert_array_equal(window[reach : reach + 3], whole[5:8])


@pytest.mark.parametrize("spec", [*OF_FRAMES, "x264:30"])
def test_the_same_seed_gives_the_same_and_the_clip_stays_as_it_was(spec: str) -> None:
    clip, degradation = textured(), parse(spec)
    before = clip.copy()
    first, _ = degradation.apply(clip, seed=1)
    again, _ = degradation.apply(clip, seed=1)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(clip, before)
    assert first.shape == clip.shape
    assert first.dtype == np.float32
    assert not np.array_equal(first, clip)


@pytest.mark.parametrize("spec", ["grain:12", "poisson:0.02", "blur:motion=6", "corrupt:60"])
def test_another_seed_gives_another_result(spec: str) -> None:
    clip = textured()
    first, other = (parse(spec).apply(clip, seed)[0] for seed in (1, 2))
    assert not np.array_equal(first, other)


def test_two_grains_of_a_mixture_are_two() -> None:
    once = parse("grain:10").apply(GREY, seed=1)[0] - GREY
    twice = parse("grain:10,grain:10").apply(GREY, seed=1)[0] - GREY
    assert twice.std() / once.std() == pytest.approx(2**0.5, rel=0.05)


def test_noises_of_a_mixture_are_independent() -> None:
    white, grain = (parse(spec).apply(GREY, seed=1)[0] - GREY for spec in ("awgn:10", "grain:10"))
    assert abs(np.corrcoef(white.ravel(), grain.ravel())[0, 1]) < 0.05


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("awgn:20", 20),
        ("awgn:20,blur:motion", 20),
        ("dark:1,awgn:20,drop:2", 20),
        ("awgn8:20", None),
        ("awgn:20,grain:4", None),
        ("awgn:20,awgn:10", None),
        ("awgn:20,jpeg:90", None),
        ("grain:3", None),
        ("blur:defocus", None),
    ],
)
def test_a_level_is_told_only_if_it_is_that_of_the_result(spec: str, told: float | None) -> None:
    assert parse(spec).apply(textured(2), seed=0)[1] == told


def test_what_is_dark_is_not_to_be_made_bright() -> None:
    clip, mixed = textured(2), parse("lowlight:2,blur:defocus=2")
    np.testing.assert_array_equal(mixed.truth(clip), Darkening(2).truth(clip))
    np.testing.assert_array_equal(parse("blur:defocus=2,awgn:5").truth(clip), clip)


def test_stored_is_what_a_file_holds() -> None:
    given = np.array([[-0.2, 0.5001, 1.7]], np.float32)
    np.testing.assert_array_equal(stored(given) * 255, [[0, 128, 255]])


# Light and noise


def test_linear_light_is_that_of_srgb_and_comes_back() -> None:
    code = np.linspace(0, 1, 1001, dtype=np.float32)
    np.testing.assert_allclose(to_code(to_linear(code)), code, atol=2e-6)
    assert to_linear(np.float32([0.5]))[0] == pytest.approx(0.21404, abs=1e-4)


def test_a_stop_is_half_the_light() -> None:
    clip = textured(1)
    np.testing.assert_allclose(to_linear(Darkening(1).truth(clip)), to_linear(clip) / 2, atol=1e-5)


@pytest.mark.parametrize("read", [0.0, 0.02])
def test_shot_noise_has_the_stated_gain_and_read_noise(read: float) -> None:
    gain, level = 0.004, 0.4
    flat = np.full((2, 128, 128, 3), to_code(np.float32([level]))[0], np.float32)
    noisy, _ = SensorNoise(gain, read, red=1.5, blue=2).apply(flat, seed=1)
    light = to_linear(noisy)
    for channel, balance in enumerate((1.5, 1, 2)):
        expected = gain * balance * level + (read * balance) ** 2
        assert light[..., channel].mean() == pytest.approx(level, rel=0.01)
        assert light[..., channel].var() == pytest.approx(expected, rel=0.05)


def test_a_sensor_clips_before_its_curve() -> None:
    noisy, _ = SensorNoise(0.2, 0.1).apply(textured(1), seed=0)
    assert noisy.min() == 0
    assert noisy.max() == pytest.approx(1)


@pytest.mark.parametrize("size_px", [0.0, 0.7, 2.0])
def test_grain_is_as_strong_as_stated_whatever_its_size(size_px: float) -> None:
    grey = np.full((4, 128, 128, 3), 0.5, np.float32)
    grain = FilmGrain(8, size_px).apply(grey, seed=2)[0] - grey
    tolerance = 0.02 * (1 + size_px)  # what is smooth has fewer independent samples
    np.testing.assert_allclose(grain.std((0, 1, 2)) * 255, 8, rtol=tolerance)
    edge = grain[:, :4].std() * 255
    assert edge == pytest.approx(8, rel=2 * tolerance)  # no weaker at the edges
    beside = np.corrcoef(grain[:, :, 1:].ravel(), grain[:, :, :-1].ravel())[0, 1]
    expected = np.exp(-1 / (4 * size_px**2)) if size_px else 0  # of a Gaussian with itself
    assert beside == pytest.approx(expected, abs=0.05)
    colours = np.corrcoef(grain[..., 0].ravel(), grain[..., 1].ravel())[0, 1]
    assert colours == pytest.approx(0.64, abs=0.05)
    frames = np.corrcoef(grain[0].ravel(), grain[1].ravel())[0, 1]
    assert abs(frames) < 0.06


def test_grain_is_strongest_in_the_middle_tones() -> None:
    strengths = []
    for value in (0.08, 0.5, 0.92):
        flat = np.full((2, 96, 96, 3), value, np.float32)
        strengths.append((FilmGrain(5).apply(flat, seed=0)[0] - flat).std() * 255)
    share = 0.25 + 0.75 * 4 * 0.08 * 0.92
    np.testing.assert_allclose(strengths, [5 * share, 5, 5 * share], rtol=0.04)


# Blur


@pytest.mark.parametrize("spec", ["blur:motion=8", "blur:defocus=3.3"])
def test_blur_keeps_light_and_flat_areas(spec: str) -> None:
    flat = np.full((2, 40, 40, 3), 0.7, np.float32)
    np.testing.assert_allclose(parse(spec).apply(flat, seed=0)[0], flat, atol=1e-5)
    point = np.zeros((1, 41, 41, 3), np.float32)
    point[0, 20, 20] = 1
    blurred, _ = parse(spec).apply(point, seed=0)
    assert to_linear(blurred)[..., 0].sum() == pytest.approx(1, abs=1e-3)
    assert blurred.max() < 0.6


def test_blur_is_a_mean_in_linear_light_not_of_codes() -> None:
    stripes = np.zeros((1, 32, 32, 3), np.float32)
    stripes[:, :, ::2] = 1
    blurred, _ = parse("blur:defocus=8").apply(stripes, seed=0)
    assert blurred[0, 16, 16, 0] == pytest.approx(0.735, abs=0.02)  # half the light, not 0.5


@given(st.integers(0, 2**32), st.integers(0, 500), _PAIR)
@settings(deadline=None, max_examples=50)
def test_the_path_of_an_exposure_has_the_stated_length(
    seed: int, frame: int, bounds: list[float]
) -> None:
    shake = ShakeBlur(*bounds)
    path = shake.path(Shake.draw(seed), frame)
    length_px = np.hypot(*np.diff(path, axis=0).T).sum()
    assert bounds[0] - 1e-6 <= length_px <= bounds[1] + 1e-6
    np.testing.assert_allclose(path.mean(0), 0, atol=1e-9)
    kernel = path_kernel(path)
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    middle = len(kernel) // 2
    y, x = np.mgrid[-middle : middle + 1, -middle : middle + 1]
    assert (kernel * x).sum() == pytest.approx(0, abs=1e-4)  # nothing moves as a whole
    assert (kernel * y).sum() == pytest.approx(0, abs=1e-4)


def test_a_shake_is_smooth_over_time_and_its_length_wanders() -> None:
    shake, motion = ShakeBlur(3, 12), Shake.draw(4)
    lengths = [np.hypot(*np.diff(shake.path(motion, frame), axis=0).T).sum() for frame in range(60)]
    assert min(lengths) < 4
    assert max(lengths) > 11
    assert np.abs(np.diff(lengths)).max() < 2


def test_a_path_to_the_right_blurs_to_the_right() -> None:
    kernel = path_kernel(np.array([[-2.0, 0], [-1, 0], [0, 0], [3, 0]]))
    assert kernel[len(kernel) // 2].argmax() in range(len(kernel))
    assert kernel.sum(1)[len(kernel) // 2] == pytest.approx(1)
    assert np.flatnonzero(kernel.sum(0))[[0, -1]].tolist() == [len(kernel) // 2 - 2,
                                                               len(kernel) // 2 + 3]  # fmt: skip


def test_a_disc_has_its_radius() -> None:
    kernel = disc_kernel(4.5)
    assert kernel.sum() == pytest.approx(1)
    assert (kernel > 0.5 * kernel.max()).sum() == pytest.approx(np.pi * 4.5**2, rel=0.05)
    np.testing.assert_array_equal(disc_kernel(0), [[1]])


def test_no_blur_changes_nothing() -> None:
    clip = textured(2)
    for spec in ("blur:motion=0", "blur:defocus=0"):
        np.testing.assert_allclose(parse(spec).apply(clip, seed=0)[0], clip, atol=1e-5)


def test_the_mean_of_frames_is_their_light() -> None:
    clip = textured(5)
    blurred, _ = FrameMean(3).apply(clip, seed=0)
    light = to_linear(clip)
    np.testing.assert_allclose(to_linear(blurred[2]), light[1:4].mean(0), atol=1e-5)
    np.testing.assert_allclose(to_linear(blurred[0]), light[:2].mean(0), atol=1e-5)


def test_a_shutter_blurs_along_the_motion_of_the_clip() -> None:
    random = np.random.default_rng(1)
    scene = cv2.GaussianBlur(random.random((96, 160, 3)).astype(np.float32), (0, 0), 2)
    scene = (scene - scene.min()) / np.ptp(scene)
    clip = np.stack([scene[:, 6 * t : 6 * t + 128] for t in range(4)])  # 6 px a frame to the left
    blurred, _ = FlowBlur(0.5).apply(clip, seed=0)
    kernel = path_kernel(np.stack((np.linspace(-1.5, 1.5, 25), np.zeros(25)), 1))
    inside = slice(16, -16)
    for frame, result in zip(clip, blurred, strict=True):
        expected = convolve(frame, kernel)[inside, inside]
        assert psnr_db(result[inside, inside], expected) > 45
        assert psnr_db(frame[inside, inside], expected) < 42


def test_what_stands_still_stays_sharp_however_long_the_shutter() -> None:
    clip = np.repeat(textured(1), 3, axis=0)
    np.testing.assert_allclose(FlowBlur(2).apply(clip, seed=0)[0], clip, atol=1e-4)
    np.testing.assert_array_equal(FlowBlur(2).apply(clip[:1], seed=0)[0], clip[:1])


# Encoders


@pytest.mark.parametrize(
    ("better", "worse"), [("jpeg:90", "jpeg:20"), ("x264:18", "x264:40"), ("mpeg2:2", "mpeg2:20")]
)
def test_an_encoder_costs_what_it_is_told_to(better: str, worse: str) -> None:
    clip = textured(6, (64, 96))
    scores = [psnr_db(parse(spec).apply(clip, seed=0)[0], clip) for spec in (better, worse)]
    assert scores[0] > scores[1] + 3
    assert scores[1] > 20


def test_hevc_of_odd_size_comes_back_whole() -> None:
    clip = textured(3, (65, 67))
    coded, told = parse("x265:28").apply(clip, seed=0)
    assert coded.shape == clip.shape
    assert told is None
    assert 25 < psnr_db(coded, clip) < 50
    assert parse("x265:28").context_frames is None
    assert parse("awgn:5,x265:28").context_frames is None


def test_what_an_encoder_gets_is_not_shifted_in_colour() -> None:
    clip = np.broadcast_to(np.float32([0.8, 0.3, 0.1]), (3, 32, 32, 3))
    coded, _ = parse("x264:1").apply(clip, seed=0)
    np.testing.assert_allclose(coded, clip, atol=2.5 / 255)


@pytest.mark.parametrize("spec", ["x264:30", "x265:30", "mpeg2:8"])
def test_the_older_ffmpeg_will_do(spec: str, ffmpeg: str) -> None:
    clip = textured(3)
    coded, _ = parse(spec, chosen_ffmpeg("old", ffmpeg)).apply(clip, seed=0)
    new, _ = parse(spec, ffmpeg).apply(clip, seed=0)
    assert psnr_db(coded, clip) == pytest.approx(psnr_db(new, clip), abs=1)


def test_a_missing_ffmpeg_is_named() -> None:
    with pytest.raises(FfmpegError, match="nowhere"):
        parse("x264:30", ffmpeg="/nowhere").apply(textured(2), seed=0)


# Transport


def test_lost_frames_are_as_many_as_stated_and_belong_to_the_index() -> None:
    lost = parse("lose:20")
    known = lost.known(2000, seed=1)
    assert known[0]
    assert 1 - known.mean() == pytest.approx(0.2, abs=0.03)
    np.testing.assert_array_equal(lost.known(50, seed=1, first_frame=700), known[700:750])
    both = parse("drop:2,lose:20").known(2000, seed=1)
    np.testing.assert_array_equal(both, known & (np.arange(2000) % 2 == 0))


def test_missing_frames_of_a_window_are_those_of_the_whole() -> None:
    gap = parse("gap:3")
    np.testing.assert_array_equal(gap.known(9, first_frame=13), gap.known(30)[13:22])


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        ("repeat:3", [0, 1, 1, 3, 4, 4, 6, 7, 7, 9, 10, 10]),
        ("freeze:3", [0, 1, 2, 3, 4, 4, 4, 4, 8, 9, 10, 11]),
    ],
)
def test_held_frames_show_the_one_before(spec: str, shown: list[int]) -> None:
    clip = textured(12)
    held, _ = parse(spec).apply(clip, seed=0)
    np.testing.assert_array_equal(held, clip[shown])


def test_corrupt_frames_are_damaged_in_whole_rows_of_blocks() -> None:
    clip = textured(40, (80, 64))
    damaged, _ = parse("corrupt:50").apply(clip, seed=0)
    hit = (damaged != clip).any((2, 3))  # (T, H)
    assert not hit[0].any()
    assert hit.any(1).mean() == pytest.approx(0.5, abs=0.2)
    rows = hit.reshape(40, 5, 16)
    assert (rows.mean(2) > 0.9).sum() == (rows.any(2)).sum()


# Photos


def test_photos_become_blurred_clips_with_their_truth() -> None:
    made = {name: (clean, blurred) for name, clean, blurred in PhotoBlur(1, 6).clips()}
    assert tuple(made) == PHOTOS
    scores = []
    # What others measure on these clips is worth nothing if the clips change.
    fixed = (26.05, 26.80, 29.62, 29.59, 29.89, 25.35)
    for clean, blurred in made.values():
        assert clean.shape == blurred.shape == (FRAMES, SIZE_PX, SIZE_PX, 3)
        assert clean.dtype == blurred.dtype == np.float32
        assert psnr_db(clean[0], clean[8]) < 35  # the camera moves
        scores.append(psnr_db(clean, blurred))
    np.testing.assert_allclose(scores, fixed, atol=0.05)
    _, clean, blurred = next(DEBLUR_CLEAN.clips())
    np.testing.assert_array_equal(clean, made["astronaut"][0])
    np.testing.assert_array_equal(blurred, made["astronaut"][1])


def test_a_folder_of_photos_is_used_by_name(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name, size in (("b", (300, 400)), ("a", (900, 800))):
        picture = cv2.GaussianBlur(random.integers(0, 256, (*size, 3)).astype(np.uint8), (0, 0), 2)
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
    still = replace(DEBLUR_CLEAN, least_px=0, most_px=0, after=parse("awgn8:2"))
    names = []
    for name, clean, blurred in still.clips(tmp_path):
        names.append(name)
        assert (blurred - clean).std() * 255 == pytest.approx(2, rel=0.1)
    assert names == ["a", "b"]
    cv2.imwrite(str(tmp_path / "c.png"), np.zeros((100, 300, 3), np.uint8))
    with pytest.raises(InputError, match="smaller"):
        next(DEBLUR_CLEAN.clips(tmp_path))


def test_the_stages_are_those_of_a_camera() -> None:
    every = parse(
        "drop:2,jpeg:50,grain:3,awgn:5,dark:1,blur:motion,corrupt:1,x264:20,poisson:0.1,blur:defocus"
    )
    assert isinstance(every, Mixture)
    assert sorted({part.stage for part in every.parts}) == list(Stage)

"""Noise with the stated level, the same in every window; and the stated frames missing."""

import numpy as np
import pytest

from vidrestore.degrade import GaussianNoise, MissingFrames, parse
from vidrestore.errors import UsageError

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
                                  "drop:2.5", "gap:0", "gap:9", "gap:-1", "gap:²"])  # fmt: skip
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

"""Guesses along the flow, on pictures whose motion is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage import data

from vidrestore.network.align import Drift, Motion, hold, medium_flow

Image = NDArray[np.float32]


def moved(shift_px: float, picture: NDArray[np.uint8] | None = None) -> Image:
    """A window of 128x160 of a picture that moves to the right, (H, W) float32 luma codes."""
    luma = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY) if picture is None else picture
    affine = np.array([[1, 0, shift_px - 150], [0, 1, -60]], np.float32)
    return cv2.warpAffine(luma.astype(np.float32), affine, (160, 128), flags=cv2.INTER_CUBIC)


def codes(image: Image) -> NDArray[np.uint8]:
    return np.rint(image.clip(0, 255)).astype(np.uint8)


def psnr_db(image: Image, truth: Image) -> float:
    inner = (slice(16, -16), slice(16, -16))
    return float(10 * np.log10(255**2 / np.square(image[inner] - truth[inner]).mean()))


@pytest.mark.parametrize("phase", [0.25, 0.5, 2 / 3])
def test_a_moving_picture_is_guessed_far_better_than_by_blending(phase: float) -> None:
    left, right, truth = moved(0), moved(8), moved(8 * phase)
    guess = Motion(codes(left), codes(right)).at(phase).guess(left, right)
    assert psnr_db(guess, truth) > psnr_db((1 - phase) * left + phase * right, truth) + 10


def test_a_still_picture_stays_what_it_is() -> None:
    left = moved(0)
    guess = Motion(codes(left), codes(left)).at(0.5).guess(left, left)
    assert np.abs(guess - left).max() < 0.5


def test_a_subsampled_plane_follows_the_same_motion() -> None:
    left, right, truth = (
        cv2.resize(moved(s), (80, 64), interpolation=cv2.INTER_AREA) for s in (0, 8, 4)
    )
    alignment = Motion(codes(moved(0)), codes(moved(8))).at(0.5)
    assert psnr_db(alignment.guess(left, right), truth) > psnr_db((left + right) / 2, truth) + 8


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**31), st.floats(0.05, 0.95))
def test_weights_sum_to_one(seed: int, phase: float) -> None:
    random = np.random.default_rng(seed)
    left, right = (random.integers(0, 256, (40, 48), np.uint8) for _ in range(2))
    alignment = Motion(left, right).at(phase)
    total = alignment.blend_weight + sum(path.weight for path in alignment.paths)
    np.testing.assert_allclose(total, 1, atol=1e-5)
    constant = np.full((40, 48), 7, np.float32)
    np.testing.assert_allclose(alignment.guess(constant, constant), constant, atol=1e-3)


def test_where_flow_fails_the_guess_is_no_worse_than_the_blend() -> None:
    """Two unrelated pictures with a third in the truth: nothing to follow."""
    left = moved(0)
    right = moved(0, data.camera())
    truth = (left + right) / 2
    alignment = Motion(codes(left), codes(right)).at(0.5)
    given_up = alignment.blend_weight > 0.5
    assert given_up.mean() > 0.3
    guess = alignment.guess(left, right)
    error, blend_error = (
        np.square(image - truth)[given_up].mean() for image in (guess, (left + right) / 2)
    )
    assert error <= blend_error + 0.25 * np.square(left - right)[given_up].mean()
    assert error < np.square(left - truth)[given_up].mean()


def test_motion_goes_on_beyond_the_last_frame() -> None:
    past, last, truth = moved(0), moved(4), moved(8)
    guess = Drift(codes(past), codes(last)).at(1.0).guess(last, last)
    assert psnr_db(guess, truth) > psnr_db(last, truth) + 8


def test_holding_gives_the_frame_itself() -> None:
    left = moved(0)
    np.testing.assert_allclose(hold((128, 160)).guess(left, left), left, atol=1e-3)


@pytest.mark.parametrize("size_px", [12, 16])
def test_a_small_thing_is_followed_better_than_by_the_plain_preset(size_px: int) -> None:
    def scene(place_px: int) -> Image:
        background = moved(0, codes(cv2.cvtColor(data.coffee(), cv2.COLOR_RGB2GRAY)))
        thing = moved(0)[20 : 20 + size_px, 60 : 60 + size_px]
        background[50 : 50 + size_px, place_px : place_px + size_px] = thing
        return background

    left, right, truth = scene(50), scene(62), scene(56)
    found = Motion(codes(left), codes(right)).at(0.5).guess(left, right)
    plain = Motion(codes(left), codes(right), medium_flow).at(0.5).guess(left, right)
    assert psnr_db(found, truth) > psnr_db(plain, truth) + 2


def test_shares_are_those_that_the_guess_is_made_with() -> None:
    left, right = moved(0), moved(8)
    alignment = Motion(codes(left), codes(right)).at(0.25)
    images = np.stack([*alignment.candidates(left, right), left, right], axis=-1)
    made = (images * alignment.shares()).sum(-1)
    np.testing.assert_allclose(made, alignment.guess(left, right), atol=1e-2)


@pytest.mark.parametrize("size", [(8, 8), (6, 30), (2, 2)])
def test_what_is_too_small_to_search_stands_still(size: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    left, right = (random.integers(0, 256, size, np.uint8) for _ in range(2))
    alignment = Motion(left, right).at(0.5)
    left, right = left.astype(np.float32), right.astype(np.float32)
    assert np.allclose(alignment.guess(left, right), (left + right) / 2, atol=1e-3)
    assert not medium_flow(codes(left), codes(right)).any()

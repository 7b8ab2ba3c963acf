"""Missing frames of clips in memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import data

from vidrestore.network.align import hold
from vidrestore.timing.fill import CANDIDATES, Filler, Guess, Image, fill_clip


def panning(frames: int) -> Image:
    picture = data.astronaut().astype(np.float32) / 255
    return np.stack([picture[100:164, 100 + 4 * i : 196 + 4 * i] for i in range(frames)])


def psnr_db(image: Image, truth: Image) -> float:
    inner = (slice(12, -12), slice(24, -24))
    return float(-10 * np.log10(np.square(image[inner] - truth[inner]).mean()))


@pytest.mark.parametrize("missing", [[1], [2, 3], [1, 2, 3], [1, 4]])
def test_gaps_are_filled_along_the_motion(missing: list[int]) -> None:
    clip = panning(6)
    known = ~np.isin(np.arange(6), missing)
    damaged = np.where(known[:, None, None, None], clip, np.nan).astype(np.float32)
    filled = fill_clip(damaged, known, None)
    assert np.array_equal(filled[known], clip[known])
    for index in missing:
        assert psnr_db(filled[index], clip[index]) > 30


def test_ends_are_predicted_from_one_side() -> None:
    clip = panning(6)
    known = np.array([False, True, True, True, True, False])
    filled = fill_clip(clip * known[:, None, None, None], known, None)
    for index, neighbour in ((0, 1), (5, 4)):
        held = psnr_db(clip[neighbour], clip[index])
        assert psnr_db(filled[index], clip[index]) > held + 5


def test_a_single_known_frame_is_held() -> None:
    clip = panning(3)
    filled = fill_clip(clip, np.array([False, True, False]), None)
    np.testing.assert_allclose(filled[0], clip[1], atol=1e-4)
    np.testing.assert_allclose(filled[2], clip[1], atol=1e-4)


class CountingRestorer:
    """Stands in for the network: adds a constant, and notes the windows it was given."""

    def __init__(self) -> None:
        self.windows: list[tuple[int, ...]] = []

    def refinement(
        self, guesses: torch.Tensor, candidates: torch.Tensor, steps: int | None
    ) -> torch.Tensor:
        assert candidates.shape[1] == 4 * CANDIDATES
        self.windows.append(tuple(guesses.shape))
        return torch.full_like(guesses, 0.25)


def test_every_guess_is_refined_once_in_bounded_windows() -> None:
    image = np.zeros((8, 8, 3), np.float32)
    guesses = [Guess.of(hold((8, 8)), image, [image] * 4, image, image)] * 19
    restorer = CountingRestorer()
    residuals = Filler(restorer).residuals(guesses)  # type: ignore[arg-type]
    assert len(residuals) == 19
    assert sum(shape[0] for shape in restorer.windows) == 19
    assert max(shape[0] for shape in restorer.windows) <= 8


def test_windows_of_large_frames_are_short() -> None:
    filler = Filler(CountingRestorer())  # type: ignore[arg-type]
    assert filler.window_frames(640 * 360) == 8
    assert filler.window_frames(3840 * 2160) == 1

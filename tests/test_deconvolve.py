"""Deconvolution along the motion sharpens what moves and leaves alone what stands still."""

import cv2
import numpy as np
import pytest
import torch
from skimage import data

from vidrestore.degrade.curve import to_code, to_linear
from vidrestore.network import looks
from vidrestore.network.looks import first as first_look

SIZE = (96, 120)
FRAMES = 5
CANDIDATES = looks.CANDIDATES["deblur"]


def second_look(given: torch.Tensor, estimate: torch.Tensor) -> torch.Tensor:
    start, candidates = looks.again("deblur", given, estimate)
    assert start is given  # and no mean: neighbours are blurred in other ways
    return candidates


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    return float(-10 * np.log10(np.square(image - truth).mean() + 1e-9))


def window(frames: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous()


def picture(shift: tuple[float, float]) -> np.ndarray:
    """A part of a photo in linear light, seen from a camera that has moved."""
    light = to_linear((data.coffee() / 255).astype(np.float32))
    matrix = np.array([[1, 0, 200 + shift[0]], [0, 1, 120 + shift[1]]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(light, matrix, SIZE[::-1], flags=flags).clip(0, 1)


@pytest.fixture(scope="module")
def panned() -> tuple[torch.Tensor, torch.Tensor]:
    """A camera that turns while it pans, its shutter open for 0.7 of the time: sharp, blurred."""
    sharp, blurred = [], []
    for index in range(FRAMES):
        times = index + 0.7 * np.linspace(-0.5, 0.5, 29)
        seen = [picture((7 * time, 4 * np.sin(1.3 * time))) for time in times]
        sharp.append(to_code(seen[14]))
        blurred.append(to_code(np.mean(seen, axis=0)))
    return window(sharp), window(blurred)


def images(looked: torch.Tensor, given: torch.Tensor) -> list[np.ndarray]:
    """The images of the middle frame, (H, W, 3)."""
    changes = looked[FRAMES // 2, : 3 * CANDIDATES].reshape(CANDIDATES, 3, *given.shape[2:])
    return [(given[FRAMES // 2] + change).permute(1, 2, 0).numpy() for change in changes]


def gains(looked: torch.Tensor, given: torch.Tensor, sharp: torch.Tensor) -> list[float]:
    """By how much each image of the middle frame is nearer to the sharp one, in dB."""
    truth = sharp[FRAMES // 2].permute(1, 2, 0).numpy()
    before = psnr(given[FRAMES // 2].permute(1, 2, 0).numpy(), truth)
    return [psnr(image, truth) - before for image in images(looked, given)]


def test_what_moves_becomes_sharper(panned: tuple[torch.Tensor, torch.Tensor]) -> None:
    sharp, blurred = panned
    first = gains(first_look(blurred), blurred, sharp)
    assert max(first[:2]) > 2
    assert first[4] == pytest.approx(0, abs=1e-3)  # the estimate is the frame itself


def test_a_blur_that_is_measured_is_undone(panned: tuple[torch.Tensor, torch.Tensor]) -> None:
    sharp, blurred = panned
    second = gains(second_look(blurred, sharp), blurred, sharp)
    assert min(second[:3]) > 1
    assert second[4] > 30  # the estimate is handed on as it is


def test_noise_is_reckoned_with(panned: tuple[torch.Tensor, torch.Tensor]) -> None:
    sharp, blurred = panned
    noise = torch.randn(blurred.shape, generator=torch.Generator().manual_seed(2))
    noisy = blurred + 12 / 255 * noise
    assert min(gains(second_look(noisy, sharp), noisy, sharp)[:3]) > 1


def test_the_frames_beside_lie_on_the_frame(panned: tuple[torch.Tensor, torch.Tensor]) -> None:
    sharp, _ = panned
    middle = FRAMES // 2
    here = sharp[middle].permute(1, 2, 0).numpy()
    warped = images(first_look(sharp), sharp)[2:4]
    for image, unwarped in zip(warped, (sharp[middle - 1], sharp[middle + 1]), strict=True):
        assert psnr(image, here) > psnr(unwarped.permute(1, 2, 0).numpy(), here) + 6


def test_estimates_are_averaged_along_the_motion(panned: tuple[torch.Tensor, torch.Tensor]) -> None:
    sharp, blurred = panned
    errors = 0.03 * torch.randn(sharp.shape, generator=torch.Generator().manual_seed(3))
    second = gains(second_look(blurred, sharp + errors), blurred, sharp)
    assert second[3] > second[4] + 2


def test_what_stands_still_stays_as_it_is() -> None:
    still = window([to_code(picture((0.0, 0.0)))] * FRAMES)
    for image in images(first_look(still), still):
        assert psnr(image, still[0].permute(1, 2, 0).numpy()) > 40


@pytest.mark.parametrize(("frames", "size"), [(1, (40, 56)), (2, (33, 71)), (3, (20, 24))])
def test_windows_of_any_size_and_length(frames: int, size: tuple[int, int]) -> None:
    given = torch.rand((frames, 3, *size), generator=torch.Generator().manual_seed(1))
    for looked in (first_look(given), second_look(given, given)):
        assert looked.shape == (frames, 4 * CANDIDATES, *size)
        assert looked.isfinite().all()


def test_black_frames_have_nothing_to_undo() -> None:
    black = torch.zeros(3, 3, 64, 64)
    for looked in (first_look(black), second_look(black, black)):
        assert looked.abs().max() < 1e-3

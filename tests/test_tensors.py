"""The degradations of training do what those of clips do, for a batch at once."""

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from vidrestore.degrade import Clip, Degradation, Jpeg, curve, parse, tensors
from vidrestore.degrade.blockcodec import video_quantise
from vidrestore.degrade.blur import disc_kernel

GREY = torch.full((2, 3, 3, 64, 80), 0.5)


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def textured(batch: int = 2, frames: int = 3, size: int = 48) -> Tensor:
    noise = torch.rand(batch * frames, 3, size // 4, size // 4, generator=draw(9))
    smooth = torch.nn.functional.interpolate(noise, size=(size, size), mode="bicubic")
    return smooth.clamp(0, 1).reshape(batch, frames, 3, size, size)


def as_clip(window: Tensor) -> Clip:
    return window.permute(0, 2, 3, 1).contiguous().numpy()


def psnr_db(first: Tensor, second: Tensor) -> float:
    return float(-10 * (first - second).square().mean().log10())


def applied(degradation: Degradation, window: Tensor) -> Tensor:
    return torch.from_numpy(degradation.apply(as_clip(window), seed=0)[0]).permute(0, 3, 1, 2)


def test_the_curve_is_that_of_clips() -> None:
    code = torch.linspace(-0.1, 1.1, 500)
    for ours, theirs in (
        (tensors.to_linear, curve.to_linear),
        (tensors.to_code, curve.to_code),
    ):
        np.testing.assert_allclose(ours(code), theirs(code.numpy()), atol=2e-6)


def test_light_can_be_taken_window_by_window() -> None:
    x = textured()
    dark = tensors.darken(x, torch.tensor([0.0, 2.0]))
    torch.testing.assert_close(dark[0], x[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(dark[1], applied(parse("dark:2"), x[1]), atol=1e-5, rtol=0)


def test_grain_has_its_strength_and_size_in_every_window() -> None:
    wide = torch.full((3, 4, 3, 96, 96), 0.5)
    strength, size = torch.tensor([4.0, 10.0, 10.0]), torch.tensor([0.0, 0.8, 2.0])
    grain = (tensors.film_grain(wide, strength, size, draw()) - wide) * 255
    torch.testing.assert_close(grain.std((1, 2, 3, 4)), strength, rtol=0.06, atol=0)
    for window, size_px in zip(grain, size.tolist(), strict=True):
        beside = np.corrcoef(window[..., 1:].flatten(), window[..., :-1].flatten())[0, 1]
        expected = np.exp(-1 / (4 * size_px**2)) if size_px else 0
        assert beside == pytest.approx(expected, abs=0.05)
    dark = tensors.film_grain(wide * 0.1, 10.0, 1.0, draw()) - wide * 0.1
    assert float(dark.std()) * 255 == pytest.approx(10 * (0.25 + 0.75 * 4 * 0.05 * 0.95), rel=0.05)


def test_a_sensor_has_the_stated_gain() -> None:
    level, gain = 0.3, torch.tensor([0.002, 0.01])
    flat = torch.full((2, 2, 3, 96, 96), float(tensors.to_code(torch.tensor(level))))
    noisy = tensors.poisson_gaussian(flat, gain, 0.01, draw(), balance=(2.0, 1.0, 1.5))
    light = tensors.to_linear(noisy)
    for window, step in enumerate(gain.tolist()):
        for channel, balance in enumerate((2.0, 1.0, 1.5)):
            seen = light[window, :, channel]
            expected = step * balance * level + (0.01 * balance) ** 2
            assert float(seen.mean()) == pytest.approx(level, rel=0.02)
            assert float(seen.var()) == pytest.approx(expected, rel=0.06)


def test_kernels_of_a_shake_keep_light_and_place() -> None:
    kernels = tensors.shake_kernels(3, 5, torch.tensor([0.0, 3, 12]), 12.0, draw(), size_px=21)
    assert kernels.shape == (3, 5, 21, 21)
    torch.testing.assert_close(kernels.sum((2, 3)), torch.ones(3, 5))
    place = torch.arange(21.0) - 10
    torch.testing.assert_close((kernels * place).sum((2, 3)), torch.zeros(3, 5), atol=1e-3, rtol=0)
    still = tensors.shake_kernels(1, 2, 0.0, 0.0, draw(), size_px=5)
    assert (still[:, :, 2, 2] == 1).all()
    spread = (kernels * (place**2 + place[:, None] ** 2)).sum((2, 3)).sqrt()
    assert spread[2].min() > 1.2  # twelve pixels long, however bent


def test_consecutive_frames_are_blurred_in_similar_directions() -> None:
    kernels = tensors.shake_kernels(120, 4, 6.0, 8.0, draw(), size_px=15)
    x = torch.arange(15.0) - 7
    wide = (kernels * (x**2 - x[:, None] ** 2)).sum((2, 3))
    slanted = (kernels * 2 * x * x[:, None]).sum((2, 3))
    direction = torch.nn.functional.normalize(torch.stack((wide, slanted), 2), dim=2)
    following = (direction[:, 1:] * direction[:, :-1]).sum(2).mean()  # 1: the same, 0: any
    others = (direction[1:] * direction[:-1]).sum(2).mean()
    assert following > others + 0.2
    assert abs(others) < 0.3


def test_blur_is_that_of_clips() -> None:
    x = textured()
    kernels = tensors.disc_kernels(torch.tensor([0.0, 2.5]), 7)
    np.testing.assert_allclose(kernels[1, 0:7], np.pad(disc_kernel(2.5), 0), atol=1e-6)
    blurred = tensors.blur(x, kernels)
    torch.testing.assert_close(blurred[0], x[0], atol=1e-5, rtol=0)
    expected = applied(parse("blur:defocus=2.5"), x[1])
    torch.testing.assert_close(blurred[1], expected, atol=1e-4, rtol=0)
    shaken = tensors.blur(x, tensors.shake_kernels(2, 3, 4.0, 8.0, draw(), size_px=11))
    assert 15 < psnr_db(shaken, x) < 45


def test_an_asymmetric_kernel_blurs_the_way_it_points() -> None:
    point = torch.zeros(1, 1, 3, 15, 15)
    point[..., 7, 7] = 1
    kernel = torch.zeros(1, 5, 5)
    kernel[0, 2, 4] = 1
    assert tensors.blur(point, kernel)[0, 0, 0].argmax() == 7 * 15 + 9


def test_the_mean_of_frames_is_that_of_clips() -> None:
    x = textured(frames=5)
    expected = applied(parse("blur:frames=3"), x[0])[1:-1]
    torch.testing.assert_close(tensors.frame_blur(x, 3)[0], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("quality", [10, 40, 85])
def test_quantisation_costs_as_much_as_jpeg(quality: int) -> None:
    x = textured(1, 2, 96)
    ours = tensors.dct_quantise(x, float(quality), draw())
    theirs = applied(Jpeg(quality), x[0])
    assert psnr_db(ours, x) == pytest.approx(psnr_db(theirs, x[0]), abs=1.2)


def test_quality_and_grid_belong_to_a_window_and_a_draw() -> None:
    x = textured(2, 2, 61 // 4 * 4 + 4)[..., :61, :59]
    ours = tensors.dct_quantise(x, torch.tensor([10.0, 95.0]), draw(1))
    assert ours.shape == x.shape
    assert psnr_db(ours[1], x[1]) > psnr_db(ours[0], x[0]) + 5
    assert not torch.equal(ours, tensors.dct_quantise(x, torch.tensor([10.0, 95.0]), draw(2)))
    flat = tensors.dct_quantise(GREY, 50.0, draw())
    torch.testing.assert_close(flat, GREY, atol=1e-5, rtol=0)
    full = tensors.dct_quantise(x, 100.0, draw(), chroma_halved=False)
    assert psnr_db(full, x) > 45


def panned(frames: int = 6, noise: float = 0.02) -> Tensor:
    """One window (1, T, 3, 96, 128) of a camera that moves over a texture of many scales."""
    random = np.random.default_rng(3)
    scene = sum(
        cv2.resize(random.standard_normal((size, size * 3 // 2, 3)), (192, 128)) / size**0.7
        for size in (4, 8, 16, 32, 64)
    )
    scene = 0.5 + 0.35 * scene / np.abs(scene).max()
    clip = np.stack([scene[t : t + 96, 2 * t : 2 * t + 128] for t in range(frames)])
    clip = clip + noise * random.standard_normal(clip.shape)
    return torch.from_numpy(clip.clip(0, 1).astype(np.float32)).permute(0, 3, 1, 2)[None]


@pytest.mark.parametrize("crf", [22, 30, 38])
def test_the_stand_in_for_h264_costs_what_x264_costs_and_errs_alike(crf: int) -> None:
    x = panned()
    ours, theirs = video_quantise(x, float(crf))[0], applied(parse(f"x264:{crf}"), x[0])
    assert psnr_db(ours, x[0]) == pytest.approx(psnr_db(theirs, x[0]), abs=1.5)
    errors = [
        tensors.to_ycc((result - x[0] + 0.5)[None])[0, :, 0] - 0.5 for result in (ours, theirs)
    ]
    beside = [np.corrcoef(e[..., 1:].flatten(), e[..., :-1].flatten())[0, 1] for e in errors]
    assert beside[0] == pytest.approx(beside[1], abs=0.15)


def test_errors_of_what_stands_still_stay_as_they_are() -> None:
    x = panned(1, noise=0).expand(-1, 4, -1, -1, -1)
    shown = video_quantise(x, 36.0)
    assert psnr_db(shown[:, 1:], shown[:, :-1]) > psnr_db(shown, x) + 8


def test_motion_is_followed() -> None:
    x = panned(4, noise=0)
    followed, not_followed = (video_quantise(x, 40.0, search_px=reach) for reach in (4, 0))
    assert psnr_db(followed[:, 1:], x[:, 1:]) > psnr_db(not_followed[:, 1:], x[:, 1:]) + 0.3


def test_every_window_has_its_crf_and_any_size() -> None:
    x = torch.cat((panned(2), panned(2)))[..., :83, :70]
    shown = video_quantise(x, torch.tensor([15.0, 45.0]))
    assert shown.shape == x.shape
    assert psnr_db(shown[0], x[0]) > psnr_db(shown[1], x[1]) + 5
    torch.testing.assert_close(shown[:1], video_quantise(x[:1], 15.0))
    torch.testing.assert_close(video_quantise(GREY, 30.0), GREY, atol=0.01, rtol=0)


def test_one_generator_gives_the_same_and_windows_stay_as_they_were() -> None:
    x = textured()
    before = x.clone()

    def everything(seed: int) -> Tensor:
        generator = draw(seed)
        y = tensors.blur(x, tensors.shake_kernels(2, 3, 1.0, 4.0, generator, size_px=7))
        y = tensors.poisson_gaussian(y, 0.01, 0.003, generator)
        y = tensors.film_grain(y, 5.0, 1.0, generator)
        return tensors.dct_quantise(y, 40.0, generator)

    assert torch.equal(everything(3), everything(3))
    assert not torch.equal(everything(3), everything(4))
    assert torch.equal(x, before)

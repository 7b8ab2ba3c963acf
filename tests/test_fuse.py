"""The second look: neighbours averaged along the motion, and what a network makes of them."""

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage import data

from vidrestore.measure.metrics import score_clip
from vidrestore.network import looks, shelf, weights
from vidrestore.network.diffuse import Levels, Restorer
from vidrestore.network.fuse import REACH
from vidrestore.network.looks import LEVEL_LEFT
from vidrestore.network.model import UNKNOWN, ModelSpec, RestorationNet
from vidrestore.network.windows import WindowPlan
from vidrestore.training.lessons import lesson
from vidrestore.training.train import TrainSettings, train

SIZE = (96, 128)
FRAMES = 9
SIGMA = 30.0
CANDIDATES = looks.CANDIDATES["denoise"]


def psnr(image: torch.Tensor, truth: torch.Tensor) -> float:
    return float(-10 * (image - truth).square().mean().log10())


def film(speed_px: float, frames: int = FRAMES) -> torch.Tensor:
    """A camera that pans over a photo, (T, 3, H, W)."""
    picture = (data.coffee() / 255).astype(np.float32)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    seen = [
        cv2.warpAffine(
            picture,
            np.array([[1, 0, 150 + speed_px * t], [0, 1, 120 + 0.4 * speed_px * t]]),
            SIZE[::-1],
            flags=flags,
        )
        for t in range(frames)
    ]
    return torch.from_numpy(np.stack(seen).clip(0, 1)).permute(0, 3, 1, 2).contiguous()


def noisy(clip: torch.Tensor, sigma: float = SIGMA) -> torch.Tensor:
    noise = torch.randn(clip.shape, generator=torch.Generator().manual_seed(4))
    return clip + noise * sigma / 255


def fuse(window: torch.Tensor, estimate: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The mean, the images less the mean, and the share that the frame has in the mean."""
    mean, candidates = looks.again("denoise", window, estimate)
    return mean, candidates[:, : 3 * CANDIDATES], candidates[:, 3 * CANDIDATES, None]


@pytest.mark.parametrize(("speed_px", "gain_db"), [(0.0, 9.0), (2.5, 8.0)])
def test_the_mean_has_the_noise_of_all_frames_that_fit(speed_px: float, gain_db: float) -> None:
    clean = film(speed_px)
    given_ = noisy(clean)
    mean, _, shares = fuse(given_, clean)
    middle = FRAMES // 2
    inner = (..., slice(16, -16), slice(24, -24))  # the border of a pan is in no other frame
    gain = psnr(mean[middle][inner], clean[middle][inner]) - psnr(given_, clean)
    assert gain > gain_db
    share = shares[middle][inner].mean()
    assert 1 / (2 * REACH + 1) <= share < 1.2 / (2 * REACH + 1)


def test_a_frame_that_does_not_fit_has_no_part_in_the_mean() -> None:
    clean = film(0.0)
    stranger = clean.clone()
    stranger[3] = film(0.0).flip(-1)[3]
    mean, _, shares = fuse(stranger, stranger)
    for index in (2, 4):
        assert psnr(mean[index], clean[index]) > 38
    assert shares[3].mean() > 0.7


@given(st.integers(1, 4), st.sampled_from([(8, 8), (16, 24), (40, 56)]), st.integers(0, 99))
def test_what_is_shown_adds_up(frames: int, size: tuple[int, int], seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    window, estimate = (torch.rand((frames, 3, *size), generator=random) for _ in range(2))
    mean, beside, share = fuse(window, estimate)
    assert beside.shape == (frames, 3 * CANDIDATES, *size)
    assert torch.allclose(mean + beside[:, :3], window, atol=1e-5)
    assert torch.allclose(mean + beside[:, 3:6], estimate, atol=1e-5)
    assert (share <= 1).all()
    assert (share >= 0.999 / min(frames, 2 * REACH + 1)).all()
    if frames == 1:
        assert torch.equal(mean, window)


def test_values_beyond_black_and_white_are_kept() -> None:
    window = noisy(film(0.0), 80)
    mean, _, _ = fuse(window[:1], window[:1])
    assert torch.equal(mean, window[:1])


@pytest.mark.parametrize("sigma", [10.0, SIGMA])
def test_the_second_look_sees_more_than_the_first(sigma: float) -> None:
    clean = film(2.5)
    given_ = noisy(clean, sigma).permute(0, 2, 3, 1).numpy()
    truth = clean.permute(0, 2, 3, 1).numpy()
    restorer = Restorer("denoise", device="cpu")
    once, twice, usual = (
        score_clip(truth, restorer.restore_clip(given_, sigma, steps=steps)).psnr_db
        for steps in (1, 2, None)
    )
    assert twice > once + 0.5
    assert usual == twice


def test_windows_are_looked_at_again_one_by_one() -> None:
    given_ = noisy(film(1.0, frames=14)).permute(0, 2, 3, 1).numpy()
    restorer = Restorer("denoise", device="cpu")
    whole = restorer.restore_clip(given_, SIGMA)
    parts = restorer.restore_clip(given_, SIGMA, plan=WindowPlan(8, 2))
    assert parts.shape == whole.shape
    assert np.abs(parts - whole).mean() < 0.01


@pytest.mark.parametrize(("task", "made"), [("deblur", 0.03), ("mixed", 0.04)])
def test_later_looks_at_blur_are_averaged(
    task: str, made: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    restorer = Restorer(task, device="cpu")
    each = iter((0.01, 0.02, 0.03, 0.04))
    monkeypatch.setattr(
        restorer, "_sample", lambda net, window, *_: torch.full_like(window, next(each))
    )
    window = film(1.0, frames=2)
    residual = restorer.residual(window, Levels(0.0, clipped=False), steps=4)
    assert torch.allclose(residual, torch.full_like(window, made))


def test_a_file_of_weights_alone_looks_once(tmp_path: Path) -> None:
    first = shelf.find("denoise")
    clip = noisy(film(0.0, frames=3)).permute(0, 2, 3, 1).numpy()
    alone = Restorer("denoise", Path(shutil.copy(first, tmp_path)), "cpu")
    assert alone.second is None
    both = Restorer("denoise", device="cpu")
    assert both.second is not None
    assert np.array_equal(alone.restore_clip(clip, SIGMA), both.restore_clip(clip, SIGMA, steps=1))
    assert not np.array_equal(  # a step of its own is one along the bridge
        alone.restore_clip(clip, SIGMA, steps=2), both.restore_clip(clip, SIGMA, steps=2)
    )


def test_weights_for_the_second_look_begin_as_those_of_the_first(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    clip = (film(1.5, frames=24) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    np.save(videos / "pan.npy", clip)
    settings = TrainSettings(
        videos,
        None,
        tmp_path / "out",
        task="denoise2",
        max_steps=2,
        max_minutes=1e9,
        batch=1,
        frames=5,
        crop_px=64,
        ema_decay=0.5,
        learning_rate=1e-6,
        spec=ModelSpec((8, 8, 16)),
    )
    gains: list[float] = []
    released = train(settings, lambda report: gains.append(report.psnr_db["sigma 20"]))
    assert released is not None
    assert gains[-1] > 0  # what motion says is worth something even before anything is learned
    made, first = weights.load(released), weights.load(shelf.find("denoise"))
    assert made.task == "denoise2"
    assert made.net.spec == replace(first.net.spec, candidates=CANDIDATES)


@pytest.mark.parametrize("task", looks.CANDIDATES)
def test_every_task_is_shown_its_images(task: str) -> None:
    clean = film(1.0, frames=3)
    window = noisy(clean, 10).clamp(0, 1)
    start, candidates = looks.again(task, window, clean)
    count = looks.CANDIDATES[task]
    assert start.shape == window.shape
    assert candidates.shape == (3, 4 * count, *SIZE)
    images = [start + candidates[:, 3 * n : 3 * n + 3] for n in range(count)]
    assert any(torch.allclose(image, clean, atol=1e-5) for image in images)
    shares = candidates[:, 3 * count :].sum(1)
    assert (shares <= 1).all()
    assert (shares.max() > 0) == (task != "deblur")


def test_what_is_learned_is_what_will_be_seen() -> None:
    pair = torch.cat((film(1.0, frames=3), noisy(film(1.0, frames=3))), dim=1)[None]
    first = RestorationNet(ModelSpec((8, 8, 16)))  # untrained: it changes nothing
    taught = lesson("mixed2", 55, first).examples(pair, seed=0)
    assert taught.candidates is not None
    start, candidates = looks.again("mixed", pair[0, :, 3:], pair[0, :, 3:])
    assert torch.equal(taught.degraded[0], start)
    assert torch.equal(taught.candidates[0], candidates)
    assert torch.equal(taught.levels, LEVEL_LEFT * UNKNOWN.expand_as(taught.levels))

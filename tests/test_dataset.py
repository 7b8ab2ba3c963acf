"""Training material: where batches come from, and what noise they get."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data
from skimage.io import imsave
from torch import Tensor

from tests.conftest import Clips
from vidrestore.errors import InputError
from vidrestore.measure.metrics import LUMA_WEIGHTS
from vidrestore.network.model import LEVELS
from vidrestore.training.dataset import HELD_OUT_FRAMES, Batches, Material, add_noise, load_material


def indexed_clip(frames: int) -> Tensor:
    """(frames, 24, 32, 3) uint8: every pixel of frame i has the value 4 i."""
    return (4 * torch.arange(frames, dtype=torch.uint8))[:, None, None, None].repeat(1, 24, 32, 3)


def photo() -> Tensor:
    return torch.from_numpy(data.astronaut()[:256, 100:420].copy())


def batches(material: Material, *, frames: int = 5, seed: int = 3, size: int = 16) -> Batches:
    return Batches(material, batch=4, frames=frames, crop_px=size, seed=seed)


def real_material() -> Material:
    picture = data.coffee()
    clip = np.stack([picture[t : t + 48, 2 * t : 2 * t + 64] for t in range(20)])
    return Material([torch.from_numpy(clip), indexed_clip(30)], [photo()])


def test_a_batch_is_a_pure_function_of_seed_and_step() -> None:
    first, second = batches(real_material()), batches(real_material())
    forward = [first.clean(step) for step in range(5)]
    backward = [second.clean(step) for step in reversed(range(5))]
    assert all(torch.equal(a, b) for a, b in zip(forward, reversed(backward), strict=True))
    assert not torch.equal(forward[0], forward[1])
    assert not torch.equal(forward[0], batches(real_material(), seed=4).clean(0))


def test_batches_have_the_shape_and_range_they_state() -> None:
    source = batches(real_material())
    for step in range(10):
        clean = source.clean(step)
        assert (clean.shape, clean.dtype) == ((4, 5, 3, 16, 16), torch.float32)
        assert clean.min() >= 0
        assert clean.max() <= 1
        assert clean.max() > 0.1


@pytest.mark.parametrize(("length", "frames"), [(40, 5), (14, 5), (9, 5), (60, 12)])
def test_held_out_frames_are_never_sampled(length: int, frames: int) -> None:
    source = batches(Material([indexed_clip(length)], []), frames=frames)
    sampled = torch.cat([source.clean(step).flatten() for step in range(60)])
    indices = (sampled * 255 / 4).round().int().unique().tolist()
    assert max(indices) == length - HELD_OUT_FRAMES - 1
    held_out = (source.held_out(windows=3, size_px=16) * 255 / 4).round().int().unique().tolist()
    assert set(held_out).isdisjoint(indices)
    assert held_out[-1] == length - 1


def test_frames_of_a_window_are_neighbours_in_order_or_reversed() -> None:
    source = batches(Material([indexed_clip(60)], []))
    strides = set()
    for step in range(20):
        first_pixels = (source.clean(step)[:, :, 0, 0, 0] * 255 / 4).round().int()
        for stride in first_pixels.diff(dim=1):
            assert stride.unique().numel() == 1
            strides.add(int(stride[0]))
    assert strides == {-2, -1, 1, 2}


def test_windows_from_a_photo_move_and_keep_what_they_show() -> None:
    source = batches(Material([], [photo()]), size=32)
    windows = torch.cat([source.clean(step) for step in range(8)])
    change = (windows[:, 1:] - windows[:, :-1]).abs().mean((1, 2, 3, 4))
    assert (change > 1e-3).sum() > 0.8 * len(windows)
    other = (windows[:, 0] - windows[:, 0].roll(1, 0)).abs().mean((1, 2, 3))
    assert change.mean() < 0.5 * other.mean()  # neighbours look alike, other windows do not


def test_photos_smaller_than_a_window_are_continued_not_refused() -> None:
    source = batches(Material([], [photo()[:20, :25]]), size=32)
    assert source.clean(0).isfinite().all()


def test_a_clip_smaller_than_a_window_is_refused() -> None:
    with pytest.raises(InputError, match="24 px is too small for windows of 32 px"):
        batches(Material([indexed_clip(20)], []), size=32)


def noisy(
    value: float = 0.5, max_sigma: float = 0.1, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Grey windows, their noise, and the level told for each."""
    clean = torch.full((300, 2, 3, 16, 16), value)
    _, degraded, levels = add_noise(clean, torch.Generator().manual_seed(seed), max_sigma)
    assert levels.shape == (300, 2, len(LEVELS))
    assert torch.equal(levels[:, 0], levels[:, 1])
    assert not levels[..., 1:].any()
    return degraded, degraded - clean, levels[:, 0, 0]


def is_eight_bit(degraded: Tensor) -> Tensor:
    codes = degraded * 255
    return ((codes - codes.round()).abs() < 1e-3).flatten(1).all(1)


def test_noise_is_a_pure_function_of_the_generator() -> None:
    assert torch.equal(noisy()[0], noisy()[0])
    assert not torch.equal(noisy()[0], noisy(seed=1)[0])


def test_levels_are_uniform_up_to_the_strongest() -> None:
    told = noisy()[2]
    assert told.min() >= 0
    assert told.max() < 0.1 * math.exp(0.4)
    assert told.mean().item() == pytest.approx(0.05, abs=0.006)


def test_the_told_level_is_exact_for_most_windows_and_close_for_all() -> None:
    _, noise, told = noisy()
    luma = (noise * torch.tensor(LUMA_WEIGHTS)[:, None, None]).sum(2)
    found = luma.std((1, 2, 3)) / torch.tensor(LUMA_WEIGHTS).norm()
    ratio = (found / told)[told > 0.02]  # below, rounding to 8 bits shows
    assert ratio.median().item() == pytest.approx(1, abs=0.02)
    assert ((ratio - 1).abs() < 0.12).float().mean() > 0.75
    assert ((ratio - 1).abs() < 0.5).all()


def test_one_in_three_windows_is_unclipped_float_and_the_others_are_8_bit() -> None:
    degraded, _, _ = noisy(value=0.02)
    stored = is_eight_bit(degraded)
    assert stored.float().mean().item() == pytest.approx(0.65, abs=0.08)
    assert degraded[~stored].min() < -0.1


@pytest.mark.parametrize("value", [0.0, 0.1, 0.5, 1.0])
def test_noise_has_mean_zero_about_the_target(value: float) -> None:
    clean = torch.full((200, 2, 3, 32, 32), value)
    target, degraded, levels = add_noise(clean, torch.Generator().manual_seed(0), 0.2)
    error = (degraded - target).mean((1, 2, 3, 4))
    assert error.abs().max() < 0.03
    assert abs(error.mean()) < 1e-3
    if value in (0.0, 1.0):  # half of the windows are clipped there, and their mean has moved
        moved = (target - clean).abs().mean((1, 2, 3, 4)) > 0.2 * levels[:, 0, 0]
        assert moved.float().mean().item() == pytest.approx(0.5, abs=0.1)


def test_three_in_ten_windows_have_noise_with_smooth_chroma() -> None:
    degraded, noise, told = noisy()
    strong = told > 0.02
    chroma = (noise[:, :, 0] - noise[:, :, 1])[strong]
    step = chroma.diff(dim=-1).square().mean((1, 2, 3))
    smooth = step < chroma.square().mean((1, 2, 3))  # white noise: twice as much
    assert smooth.float().mean().item() == pytest.approx(0.3, abs=0.08)
    assert is_eight_bit(degraded)[strong][smooth].all()


def test_clean_windows_are_left_alone() -> None:
    clean = torch.full((2, 2, 3, 16, 16), 0.5)
    add_noise(clean, torch.Generator().manual_seed(0), 0.1)
    assert (clean == 0.5).all()


def test_videos_are_halved_cached_and_cut_to_what_has_frames_to_spare(
    clips: Clips, tmp_path: Path
) -> None:
    folder = tmp_path / "videos" / "deep"
    folder.mkdir(parents=True)
    (folder / "a.mp4").write_bytes(clips.plain.read_bytes())
    np.save(folder / "b.npy", indexed_clip(20).numpy())
    np.save(folder / "too_short.npy", indexed_clip(HELD_OUT_FRAMES).numpy())
    (folder / "notes.txt").write_text("not a clip")
    material = load_material(folder.parent, None, tmp_path / "cache", "cpu")
    assert [tuple(clip.shape) for clip in material.videos] == [(24, 32, 48, 3), (20, 24, 32, 3)]
    assert {clip.dtype for clip in material.videos} == {torch.uint8}
    (cached,) = (tmp_path / "cache").iterdir()
    changed = np.load(cached) // 2
    np.save(cached, changed)
    again = load_material(folder.parent, None, tmp_path / "cache", "cpu")
    assert np.array_equal(again.videos[0].numpy(), changed)


def test_photos_are_read_as_rgb_whatever_their_channels(tmp_path: Path) -> None:
    picture = data.astronaut()[:20, :30]
    imsave(tmp_path / "a.png", picture)
    imsave(tmp_path / "b.png", picture[..., 0])
    alpha = np.full((20, 30, 1), 255, np.uint8)
    imsave(tmp_path / "c.png", np.concatenate((picture, alpha), axis=2))
    material = load_material(None, tmp_path, tmp_path / "cache", "cpu")
    assert [tuple(photo.shape) for photo in material.photos] == [(20, 30, 3)] * 3
    assert np.array_equal(material.photos[0].numpy(), picture)
    assert np.array_equal(material.photos[2].numpy(), picture)
    assert np.array_equal(material.photos[1].numpy(), np.repeat(picture[..., :1], 3, axis=2))


def test_nothing_to_train_on_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="nothing to train on"):
        load_material(tmp_path / "empty", tmp_path / "empty", tmp_path / "cache", "cpu")
    with pytest.raises(InputError, match="nothing to train on"):
        load_material(None, None, tmp_path / "cache", "cpu")
    with pytest.raises(InputError, match="no such folder"):
        load_material(tmp_path / "nowhere", None, tmp_path / "cache", "cpu")

"""Pairs of clips: what they are drawn from, that they can be made again, and learned from."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

from vidrestore.degrade import parse
from vidrestore.errors import InputError
from vidrestore.network.model import ModelSpec
from vidrestore.training.dataset import Material, load_pairs
from vidrestore.training.train import TrainSettings, train
from vidrestore.training.twins import FRAMES, KINDS, LESSONS, SIZE_PX, drawn, make_pairs

ALL = LESSONS["mixed"]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip of a camera that pans."""
    folder = tmp_path_factory.mktemp("videos")
    picture = data.coffee()
    size = SIZE_PX + 8
    clip = [picture[t : t + size, 2 * t : 2 * t + size] for t in range(2 * FRAMES)]
    np.save(folder / "pan.npy", np.stack(clip))
    return folder


@pytest.fixture(scope="module")
def material(videos: Path) -> Material:
    return Material([torch.from_numpy(np.load(videos / "pan.npy"))], [])


def hashes(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def test_every_kind_is_drawn_and_can_be_applied() -> None:
    draws = [drawn(np.random.default_rng(seed), ALL) for seed in range(200)]
    assert {kind for kind, _ in draws} == set(KINDS)
    for _, spec in draws:
        parse(spec)


def test_pairs_follow_from_seed_and_number(material: Material, tmp_path: Path) -> None:
    make_pairs(material, tmp_path / "one", 4, seed=3, kinds=ALL)
    make_pairs(material, tmp_path / "two", 2, seed=3, kinds=ALL)
    make_pairs(material, tmp_path / "two", 4, seed=3, kinds=ALL)  # goes on where it stopped
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")
    assert len(hashes(tmp_path / "one")) == 4
    make_pairs(material, tmp_path / "other", 4, seed=4, kinds=ALL)
    assert hashes(tmp_path / "other") != hashes(tmp_path / "one")


def test_a_pair_is_a_clip_and_the_same_clip_degraded(material: Material, tmp_path: Path) -> None:
    make_pairs(material, tmp_path, 6, seed=0, kinds=ALL)
    loaded = load_pairs(tmp_path, "cpu")
    for kind, pairs in loaded.pairs.items():
        for clean, degraded in pairs:
            assert clean.shape == degraded.shape == (FRAMES, SIZE_PX, SIZE_PX, 3)
            error = (clean.float() - degraded.float()).square().mean()
            other = (clean.float() - degraded.flip(2).float()).square().mean()
            assert error < other, f"{kind} shows something else"
            assert error > 0, f"{kind} is not degraded"


def test_training_learns_from_pairs(videos: Path, tmp_path: Path) -> None:
    settings = TrainSettings(
        videos,
        None,
        tmp_path,
        task="mixed",
        pairs=20,
        max_steps=60,
        max_minutes=1e9,
        batch=2,
        frames=3,
        crop_px=48,
        ema_decay=0.9,
        warmup_steps=5,
        spec=ModelSpec((16, 16, 16), middle_blocks=1, attention_heads=2),
    )
    losses: list[float] = []
    train(replace(settings, max_steps=5), lambda report: losses.append(report.loss))
    released = train(replace(settings, resume=True), lambda report: losses.append(report.loss))
    assert released is not None
    assert released.name.startswith("mixed-base-")
    assert losses[-1] < losses[0]


def test_without_pairs_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pairs"):
        train(TrainSettings(None, None, tmp_path / "run", task="mixed"))

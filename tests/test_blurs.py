"""Blurred clips to learn from: first and second looks, made again alike, and learned from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

from vidrestore.network.model import LOOKED_AGAIN, UNKNOWN, ModelSpec, RestorationNet
from vidrestore.training import blurs
from vidrestore.training.blurs import CANDIDATES, make_blurred
from vidrestore.training.dataset import Material, load_pairs
from vidrestore.training.lessons import lesson
from vidrestore.training.train import TrainSettings, train
from vidrestore.training.twins import Codes

SPEC = ModelSpec((16, 16, 16), middle_blocks=1, attention_heads=2)
COUNT = 3


@pytest.fixture(scope="module")
def material() -> Material:
    """A photo, and a clip of a camera that pans."""
    picture = data.coffee()
    size = blurs.FILM_PX + 8
    clip = [picture[t : t + size, 2 * t : 2 * t + size] for t in range(30)]
    return Material([torch.from_numpy(np.stack(clip))], [torch.from_numpy(picture)])


@pytest.fixture(scope="module")
def folder(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips with both looks, by a network that changes nothing yet."""
    made = tmp_path_factory.mktemp("blurs")
    net = RestorationNet(replace(SPEC, candidates=CANDIDATES))
    make_blurred(material, made, COUNT, seed=2, net=net)
    return made


def contents(folder: Path) -> dict[str, Codes]:
    return {path.name: np.load(path) for path in sorted(folder.iterdir())}


def test_every_clip_is_looked_at_twice(folder: Path) -> None:
    names = [name.removesuffix(".npy").partition("-") for name in contents(folder)]
    for number in range(COUNT):
        kinds = sorted(kind for found, _, kind in names if int(found) == number)
        assert kinds in (["film", "filmagain"], ["photo", "photoagain"])


def test_they_hold_the_sharp_clip_the_blurred_one_and_images(folder: Path) -> None:
    for name, clip in contents(folder).items():
        assert len(clip) == 2 + CANDIDATES
        sharp, blurred, *images = clip.astype(float)
        error = np.square(sharp - blurred).mean()
        assert 0 < error < np.square(sharp - blurred[:, ::-1]).mean(), f"{name} shows another thing"
        for image in images:
            assert np.square(sharp - image).mean() < 4 * error + 4, f"an image of {name} is off"


def test_the_second_look_is_another_one(folder: Path) -> None:
    made = contents(folder)
    for name, clip in made.items():
        if name.endswith("again.npy"):
            first = made[name.replace("again", "")]
            assert (clip[:2] == first[:2]).all()
            assert (clip[2] != first[2]).any()


def test_first_looks_do_not_depend_on_the_network(
    material: Material, folder: Path, tmp_path: Path
) -> None:
    make_blurred(material, tmp_path, 1, seed=2)
    make_blurred(material, tmp_path, COUNT, seed=2)  # goes on where it stopped
    before = contents(folder)
    for name, clip in contents(tmp_path).items():
        assert (clip == before[name]).all()


def test_the_network_is_told_which_look_it_is() -> None:
    taught = lesson("deblur", 55)
    degraded = torch.rand(2, 3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images = degraded.repeat(1, 1, CANDIDATES, 1, 1)
    images[1, :, -3:] += 0.1  # an estimate
    window = torch.cat((degraded, degraded, images), dim=2)
    examples = taught.examples(window, seed=0)
    assert (examples.levels[0] == UNKNOWN).all()
    assert (examples.levels[1] == LOOKED_AGAIN).all()
    assert examples.candidates is not None
    assert examples.candidates.shape[2] == 4 * CANDIDATES


def test_training_learns_from_them(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs").symlink_to(folder)
    assert load_pairs(folder, "cpu").pairs
    settings = TrainSettings(
        None,
        None,
        tmp_path,
        task="deblur",
        max_steps=40,
        max_minutes=1e9,
        batch=2,
        frames=3,
        crop_px=48,
        ema_decay=0.9,
        warmup_steps=5,
        spec=SPEC,
    )
    losses: list[float] = []
    train(replace(settings, max_steps=5), lambda report: losses.append(report.loss))
    released = train(replace(settings, resume=True), lambda report: losses.append(report.loss))
    assert released is not None
    assert released.name.startswith("deblur-base-")
    assert losses[-1] < losses[0]

"""Weights on disk: found, verified, rebuilt."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from vidrestore.errors import ExitCode, WeightsError
from vidrestore.network import shelf, weights
from vidrestore.network.model import LEVELS, ModelSpec, RestorationNet

SPEC = ModelSpec((8, 8, 16), middle_blocks=1, attention_heads=2, attention_radius=2)


@pytest.fixture(autouse=True)
def _no_weights_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(shelf.ENVIRONMENT, raising=False)


def network() -> RestorationNet:
    torch.manual_seed(0)
    net = RestorationNet(SPEC)
    torch.nn.init.normal_(net.head.weight, std=0.1)
    return net


def saved(folder: Path, task: str = "denoise", size: str = "tiny") -> Path:
    return weights.save(network(), folder, task=task, size=size, card={"licence": "CC0"})


def test_what_is_saved_loads_as_the_same_network_in_float16(tmp_path: Path) -> None:
    net = network()
    loaded = weights.load(saved(tmp_path / "new" / "folder"))
    assert loaded.net.spec == SPEC
    assert (loaded.task, loaded.card) == ("denoise", {"licence": "CC0", "size": "tiny"})
    for name, tensor in net.state_dict().items():
        assert torch.equal(loaded.net.state_dict()[name], tensor.half().float())
    x, levels = torch.rand(1, 2, 3, 16, 16), torch.rand(1, 2, len(LEVELS))
    torch.testing.assert_close(loaded.net(x, levels), net(x, levels), rtol=0, atol=2e-3)


def test_a_loaded_network_is_ready_to_run_not_to_train(tmp_path: Path) -> None:
    net = weights.load(saved(tmp_path)).net
    assert not net.training
    assert not any(p.requires_grad for p in net.parameters())
    assert {p.dtype for p in net.parameters()} == {torch.float32}


def test_the_file_is_small_and_named_by_its_content(tmp_path: Path) -> None:
    path = saved(tmp_path)
    content = path.read_bytes()
    assert path.name == f"denoise-tiny-{hashlib.sha256(content).hexdigest()[:8]}.safetensors"
    parameters = sum(p.numel() for p in network().parameters())
    assert len(content) < 2 * parameters + 8000
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_saving_the_same_network_again_gives_the_same_file(tmp_path: Path) -> None:
    assert saved(tmp_path) == saved(tmp_path)


def refusal(path: Path) -> WeightsError:
    with pytest.raises(WeightsError) as caught:
        weights.load(path)
    assert caught.value.exit_code == ExitCode.WEIGHTS == 5
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    return caught.value


def test_one_flipped_bit_is_found(tmp_path: Path) -> None:
    path = saved(tmp_path)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    assert "corrupt" in str(refusal(path))


def test_a_truncated_file_is_refused_whatever_its_name(tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:-1000])
    assert "corrupt" in str(refusal(path))
    assert "holds no weights of ours" in str(refusal(path.rename(tmp_path / "mine.safetensors")))


@pytest.mark.parametrize("content", [b"", b"Dear diary", b"\0" * 64])
def test_a_file_that_is_not_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(content)
    assert "holds no weights of ours" in str(refusal(path))


def spec(**changes: object) -> dict[str, str]:
    fields = {"channels": [8, 8, 16], "middle_blocks": 1, "attention_heads": 2}
    return {"spec": json.dumps({**fields, "attention_radius": 2, **changes})}


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"spec": "banana"},
        {"spec": "[]"},
        spec(channels=[8, 8]),
        spec(channels=[8, 8, 32]),
        spec(middle_blocks=2),
        spec(depth=3),
    ],
)
def test_a_header_that_does_not_fit_the_tensors_is_refused(
    tmp_path: Path, header: dict[str, str]
) -> None:
    path = tmp_path / "mine.safetensors"
    save_file(network().state_dict(), path, metadata=header)
    assert "holds no weights of ours" in str(refusal(path))


def test_a_missing_file_or_a_folder_is_refused(tmp_path: Path) -> None:
    assert "cannot read" in str(refusal(tmp_path / "nowhere.safetensors"))
    assert "cannot read" in str(refusal(tmp_path))


def test_a_renamed_file_still_loads(tmp_path: Path) -> None:
    assert weights.load(saved(tmp_path).rename(tmp_path / "mine.safetensors")).task == "denoise"


def test_an_explicit_file_or_folder_goes_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = saved(tmp_path / "a"), saved(tmp_path / "b")
    monkeypatch.setenv(shelf.ENVIRONMENT, str(second))
    assert shelf.find("denoise", first) == first
    assert shelf.find("denoise", first.parent) == first


def test_the_environment_names_a_file_or_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path)
    for place in (path, tmp_path):
        monkeypatch.setenv(shelf.ENVIRONMENT, str(place))
        assert shelf.find("denoise") == path


def test_the_package_brings_weights_that_verify() -> None:
    loaded = weights.load(shelf.find("denoise"))
    assert loaded.path.parent == shelf.packaged_folder()
    assert loaded.task == "denoise"
    assert loaded.path.stem.endswith(loaded.sha256[:8])
    assert {"recipe", "training"} <= set(loaded.card)


def search_refusal(task: str, place: Path) -> WeightsError:
    with pytest.raises(WeightsError) as caught:
        shelf.find(task, place)
    assert caught.value.hint
    return caught.value


def test_two_candidates_are_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    saved(tmp_path, size="small")
    error = search_refusal("denoise", tmp_path)
    assert "2 sets of weights" in str(error)
    assert "--weights" in error.hint


def test_weights_for_another_task_are_listed_not_taken(tmp_path: Path) -> None:
    saved(tmp_path)
    saved(tmp_path, task="deblur")
    error = search_refusal("interpolate", tmp_path)
    assert str(tmp_path) in str(error)
    assert "deblur, denoise" in error.hint


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_an_empty_or_missing_folder_holds_nothing(tmp_path: Path, name: str) -> None:
    assert "weights for: nothing" in search_refusal("denoise", tmp_path / name).hint

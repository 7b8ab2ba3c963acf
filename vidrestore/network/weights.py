"""Weights on disk: safetensors, float16, named by content; `shelf` finds them.

A file is called `<task>-<size>-<first 8 hex of the SHA-256 of its content>.safetensors`. Its header
holds the model spec, so that the network is rebuilt from the file alone, and the recipe, training
data, licence and measured figures.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise

from vidrestore.errors import WeightsError
from vidrestore.network.model import ModelSpec, RestorationNet
from vidrestore.network.shelf import SUFFIX


@dataclass(frozen=True)
class Weights:
    """A verified file of weights.

    Attributes:
        path: Where it was found.
        sha256: Of the whole file.
        task: What it was trained for.
        net: The network, float32, in evaluation mode, on the CPU.
        card: The header's other fields: recipe, data, licence, figures.
    """

    path: Path
    sha256: str
    task: str
    net: RestorationNet
    card: dict[str, str]


def save(net: RestorationNet, folder: Path, *, task: str, size: str, card: dict[str, str]) -> Path:
    """Write a network as float16 and name the file by its content.

    Args:
        net: The network.
        folder: Made if missing.
        task: Such as "denoise".
        size: Such as "base".
        card: Strings for the header.

    Returns:
        The file's path.
    """
    tensors = {
        name: tensor.detach().to("cpu", torch.float16).contiguous()
        for name, tensor in net.state_dict().items()
    }
    header = {**card, "task": task, "size": size, "spec": json.dumps(asdict(net.spec))}
    content = _sorted(serialise(tensors, metadata=header))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{task}-{size}-{hashlib.sha256(content).hexdigest()[:8]}{SUFFIX}"
    temporary = path.with_suffix(".partial")
    temporary.write_bytes(content)
    temporary.replace(path)
    return path


def _sorted(content: bytes) -> bytes:
    """The same file with its header's fields in order; the library's own order is random."""
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)  # tensors stay aligned
    return len(header).to_bytes(8, "little") + header + content[end:]


def load(path: Path) -> Weights:
    """Read, verify and rebuild.

    Raises:
        WeightsError: If the file is missing, is no safetensors file, does not match the hash in its
            name, or does not fit the network that its header describes.
    """
    hint = "get the file again, or name another with --weights"
    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        cause = error.strerror
        raise WeightsError(f"cannot read the weights {path}: {cause}", hint=hint) from error
    stated = path.stem.rsplit("-", 1)[-1]
    if len(stated) == 8 and stated != sha256[:8]:
        raise WeightsError(f"the weights {path} are corrupt (SHA-256 {sha256[:8]})", hint=hint)
    try:
        with safe_open(path, framework="pt") as file:
            card = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        fields = json.loads(card.pop("spec"))
        net = RestorationNet(ModelSpec(**{**fields, "channels": tuple(fields["channels"])}))
        net.load_state_dict(tensors)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        cause = str(error).splitlines()[0]
        raise WeightsError(f"{path} holds no weights of ours: {cause}", hint=hint) from error
    net.eval().requires_grad_(requires_grad=False)
    return Weights(path, sha256, card.pop("task", "unknown"), net, card)

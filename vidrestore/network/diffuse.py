"""The restoring stage: weights on a device, in the fastest dtype, over windows of any size."""

from __future__ import annotations

import copy
import ctypes
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import EllipsisType

# Windows are large and short-lived. Huge pages spare a page fault per 4 KB of each of them, which
# is a third of the time on a CPU. Read by torch at its first allocation.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vidrestore.errors import DeviceError, WeightsError
from vidrestore.network import looks, weights
from vidrestore.network.bridge import sample
from vidrestore.network.model import LEVELS, MULTIPLE_PX, UNKNOWN, RestorationNet
from vidrestore.network.precision import choose_body_dtype
from vidrestore.network.shelf import BLIND_TASKS, SECOND_LOOKS, find, has
from vidrestore.network.stitch import Stitcher, ramp
from vidrestore.network.windows import TILE_PX, WindowPlan, cut, spans
from vidrestore.picture.declip import correction
from vidrestore.picture.estimate import noise_is_clipped, noise_sigma

TILE_OVERLAP_PX = 64
LEAST_TILE_PX = 160
"""Smaller ones would be little more than what they share with their neighbours."""

USUAL_STEPS = {"denoise": 2, "deblock": 2, "deblur": 5, "mixed": 2}
"""Steps that are worth their time, where that is not one; see docs/model.md."""

AVERAGED_FROM = {"deblur": 2}
"""The look from which on their mean is the result: they err in different ways."""

NOISY_SIGMA = 5.0
"""Weaker noise, in 8-bit units, is not looked at again: the frame is sharper than any mean."""

CORRECTED_VALUES = 1 << 20
"""Values whose clipping is undone at once: the arithmetic needs ten times their memory."""

Tile = tuple[EllipsisType | slice, ...]
Look = Callable[[Tensor, Tile], tuple[Tensor, Tensor | None]]
"""What is shown of a tile of a window, from its pixels (1, T, 3, h, w) and its place: what the
network begins with, the same shape, and candidates or None."""

M_MMAP_THRESHOLD = -3  # of malloc.h
LARGE_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Levels:
    """What is wrong with a clip; see `model.LEVELS`.

    Attributes:
        sigma: Noise level in 8-bit units.
        clipped: The noise was cut off at black and white, as in every file of 8 bits.
    """

    sigma: float
    clipped: bool

    def tensor(self, device: torch.device) -> Tensor:
        """(1, 1, 4) float32, as the network takes it: the same for all frames."""
        values = {"noise": self.sigma / 255}
        return torch.tensor([values.get(name, 0.0) for name in LEVELS], device=device)[None, None]


def pick_device(name: str) -> torch.device:
    """The device for "auto", "cpu", "cuda" or "mps".

    Raises:
        DeviceError: If it is not there.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(device for device, there in available.items() if there))
    if not available.get(name, False):
        have = ", ".join(device for device, there in available.items() if there)
        raise DeviceError(
            f"device {name} is not available", hint=f"--device auto, or one of {have}"
        )
    return torch.device(name)


class Restorer:
    """The network of one task, ready to run.

    Args:
        task: Such as "denoise".
        weights_path: File or folder of weights; None for those of the package.
        device: "auto", "cpu", "cuda" or "mps".
        tile_px: Longest side of what the network sees at once.

    Attributes:
        weights: Of the task.
        second: Those that look again at what has been made; None without any.
        tile_px: The same; less once the device has run out of memory.

    Raises:
        WeightsError: If the weights are missing or corrupt.
        DeviceError: If the device is unavailable.
    """

    def __init__(
        self,
        task: str = "denoise",
        weights_path: Path | None = None,
        device: str = "auto",
        tile_px: int = TILE_PX,
    ) -> None:
        _give_back_freed_memory()
        self.device = pick_device(device)
        self.weights, self.net = _ready(task, weights_path, self.device)
        self.second, self._again = None, self.net
        again = SECOND_LOOKS.get(task)
        if again is not None and has(again, weights_path):
            self.second, self._again = _ready(again, weights_path, self.device)
        self.tile_px = tile_px
        self._retreated = False

    @property
    def warnings(self) -> list[str]:
        """What the user should know: one line if the device has run out of memory."""
        if not self._retreated:
            return []
        return [
            f"{self.device} ran out of memory: the picture goes on in tiles of {self.tile_px} "
            "pixels, so frames may differ in the last bit from those of another run"
        ]

    @property
    def sets(self) -> list[weights.Weights]:
        """All weights that it works with."""
        return [self.weights, *([self.second] if self.second else [])]

    @property
    def looks(self) -> bool:
        """Whether a step is another look at the window, with what has been made of it."""
        return self.second is not None or self.weights.task == "deblur"

    @property
    def blind(self) -> bool:
        """Whether the network sees for itself what is wrong."""
        return self.weights.task in BLIND_TASKS

    @property
    def dtype(self) -> str:
        """Name of the body's number format, such as "bfloat16"."""
        return str(self.net.body_dtype).removeprefix("torch.")

    def adopt(self, dtype: torch.dtype) -> None:
        """Compute in a number format from now on."""
        self.net.body_dtype = self._again.body_dtype = dtype

    def residual(self, window: Tensor, levels: Levels, steps: int | None) -> Tensor:
        """What to add to a degraded window to restore it.

        Args:
            window: (T, 3, H, W) float32 RGB, nominal [0, 1], not clamped, any size.
            levels: What is wrong with it.
            steps: Reverse steps K; None for as many as are worth it.

        Returns:
            (T, 3, H, W) float32 on the restorer's device, or in main memory.

        Raises:
            DeviceError: If the device runs out of memory, however small the tiles.
        """
        steps = steps or self._usual_steps(levels)

        def run() -> Tensor:
            told = UNKNOWN.to(self.device)[None, None] if self.blind else levels.tensor(self.device)
            if self.looks:
                restored = self._looked_at(window, told, steps)
            else:
                restored = self._sample(self.net, window, told, steps)
            if levels.clipped and not self.blind:
                rows = max(1, CORRECTED_VALUES // (3 * window.shape[3]))
                for frame, change in zip(window.to(restored.device), restored, strict=True):
                    for part, of in zip(change.split(rows, 1), frame.split(rows, 1), strict=True):
                        part += correction(of + part, levels.sigma / 255)
            return restored

        return self._within_memory(window, run)

    def _usual_steps(self, levels: Levels) -> int:
        needless = not self.blind and levels.sigma < NOISY_SIGMA
        return 1 if needless or not self.looks else USUAL_STEPS[self.weights.task]

    def refinement(self, guesses: Tensor, candidates: Tensor, steps: int | None) -> Tensor:
        """What to add to guesses of missing frames.

        Args:
            guesses: (T, 3, H, W) float32 RGB, nominal [0, 1], any size.
            candidates: (T, 4 * N, H, W) float32: the N images to choose from for each guess, less
                the guess, then the share that each has in it.
            steps: Reverse steps K; None for one, which has the best PSNR.

        Returns:
            (T, 3, H, W) float32 on the restorer's device, or in main memory.

        Raises:
            DeviceError: If the device runs out of memory, however small the tiles.
        """
        missing = torch.tensor([float(name == "missing") for name in LEVELS], device=self.device)
        padding = _padding(guesses)
        padded = F.pad(candidates, padding, mode="replicate") if any(padding) else candidates

        def run() -> Tensor:
            beside = padded[None].to(self._home)
            told = missing[None, None]

            def look(guess: Tensor, tile: Tile) -> tuple[Tensor, Tensor | None]:
                return guess, beside[tile]

            return self._sample(self.net, guesses, told, steps or 1, look)

        return self._within_memory(guesses, run)

    def _sample(
        self,
        net: RestorationNet,
        window: Tensor,
        levels: Tensor,
        steps: int,
        look: Look | None = None,
    ) -> Tensor:
        height, width = window.shape[2:]
        whole = self._whole(window)

        def denoise(x_t: Tensor, t: float) -> Tensor:
            # What is shown beside y follows from y, so it is withheld where t < 1; see `bridge`.
            return self._tiled(net, x_t, t * levels, look if t == 1 else None)

        with torch.no_grad():  # the residual is changed in place later
            return sample(denoise, whole, steps)[0, :, :, :height, :width]

    def _whole(self, window: Tensor) -> Tensor:
        """A window at home, with sides that the network takes, (1, T, 3, H, W)."""
        padding = _padding(window)
        whole = window.to(self._home)
        return (F.pad(whole, padding, mode="replicate") if any(padding) else whole)[None]

    @property
    def _home(self) -> torch.device:
        """Where windows wait: a device that has run out of memory is given one tile at a time."""
        return torch.device("cpu") if self._retreated else self.device

    def _looked_at(self, window: Tensor, told: Tensor, steps: int) -> Tensor:
        """A look for each step: what is shown follows from what the one before has made.

        It also follows from the window as it was given, so every look is at t = 1.
        """
        task = self.weights.task

        def first(part: Tensor, _: Tile) -> tuple[Tensor, Tensor | None]:
            return part, looks.first(part[0].cpu())[None]

        see = first if task in looks.SHOWN_AT_FIRST else None
        restored = self._sample(self.net, window, told, 1, see)
        settled, kept = AVERAGED_FROM.get(task, steps), None
        for number in range(2, steps + 1):
            estimate = self._whole(window.to(restored.device) + restored)
            del restored  # for what comes in its place

            def again(
                part: Tensor, tile: Tile, estimate: Tensor = estimate
            ) -> tuple[Tensor, Tensor | None]:
                start, candidates = looks.again(task, part[0].cpu(), estimate[tile][0].cpu())
                return start[None], candidates[None]

            restored = self._sample(self._again, window, looks.told_again(task, told), 1, again)
            if number == settled < steps:
                kept = restored.clone()
            elif kept is not None:
                kept += restored
        return restored if kept is None else kept / (steps + 1 - settled)

    def _within_memory(self, window: Tensor, run: Callable[[], Tensor]) -> Tensor:
        """Run; if the device runs out of memory, run again in tiles of half the size."""
        while True:
            try:
                return run()
            except RuntimeError as error:
                if _is_out_of_memory(error):
                    self._retreat(window, error)
                elif self.device.type == "cpu":
                    raise
                else:  # a card that is lost says so in words of its own
                    raise DeviceError(
                        f"{self.device} failed: {' '.join(str(error).split())[:200]}",
                        hint="run again, with --device cpu if the card does not come back",
                    ) from error
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _retreat(self, window: Tensor, error: RuntimeError) -> None:
        frames, _, height, width = window.shape
        seen_px = min(self.tile_px, max(height, width))
        half_px = seen_px // 2 // MULTIPLE_PX * MULTIPLE_PX
        if half_px < LEAST_TILE_PX:
            raise DeviceError(
                f"{self.device} ran out of memory on {frames} frames of {width}x{height}",
                hint="close other programs" if self.device.type == "cpu" else "--device cpu",
            ) from error
        self.tile_px = half_px
        self._retreated = True

    def _tiled(self, net: RestorationNet, x_t: Tensor, levels: Tensor, look: Look | None) -> Tensor:
        rows, columns = (tile_spans(length, self.tile_px) for length in x_t.shape[3:])

        def residual_of(part: Tensor, tile: Tile) -> Tensor:
            part = part.contiguous()
            start, candidates = (part, None) if look is None else look(part, tile)
            if candidates is not None:
                candidates = candidates.contiguous().to(self.device)
            residual = net.residual(start.to(self.device), levels, candidates)
            return residual if start is part else residual.add_((start - part).to(self.device))

        if len(rows) == len(columns) == 1:
            return residual_of(x_t, (...,))
        total = torch.zeros_like(x_t)
        row_weights = _span_weights(rows)
        column_weights = _span_weights(columns)
        for (top, bottom), down in zip(rows, row_weights, strict=True):
            for (left, right), across in zip(columns, column_weights, strict=True):
                tile = (..., slice(top, bottom), slice(left, right))
                residual = residual_of(x_t[tile], tile)
                weight = (down[:, None] * across[None, :]).to(self.device)
                total[tile] += residual.mul_(weight).to(total.device)
        return total

    def restore_clip(
        self,
        clip: NDArray[np.float32],
        sigma: float | None = None,
        steps: int | None = None,
        plan: WindowPlan | None = None,
    ) -> NDArray[np.float32]:
        """Restore a clip that is in memory.

        Args:
            clip: (T, H, W, 3) float32 RGB, nominal [0, 1], not clamped.
            sigma: Noise level in 8-bit units; None to estimate it.
            steps: Reverse steps K; None for as many as are worth it.
            plan: How the clip is cut into windows; None for the default.

        Returns:
            The restored clip, (T, H, W, 3) float32, not clamped.
        """
        if sigma is None:
            sigma = noise_sigma(clip)
        levels = Levels(sigma, clipped=noise_is_clipped(clip, sigma))
        frames = torch.from_numpy(np.ascontiguousarray(clip)).permute(0, 3, 1, 2)
        restored = torch.empty_like(frames)
        stitcher = Stitcher()
        for window in cut(range(len(frames)), plan or WindowPlan()):
            batch = frames[window.start : window.stop]
            residuals = stitcher.add(window, self.residual(batch, levels, steps))
            for (index, kept), residual in zip(window.complete, residuals, strict=True):
                if kept:
                    restored[index] = frames[index] + residual.cpu()
        return restored.permute(0, 2, 3, 1).contiguous().numpy()


def _ready(
    task: str, path: Path | None, device: torch.device
) -> tuple[weights.Weights, RestorationNet]:
    """The weights for a task, and their network in its number format on a device."""
    found, chosen = _loaded(find(task, path), device)
    if found.task != task:
        raise WeightsError(
            f"{found.path} is for {found.task}, not for {task}",
            hint="let --weights name a folder that holds both",
        )
    net = copy.copy(found.net)  # the parameters are shared, the format is its own
    net.body_dtype = chosen
    return found, net


def _loaded(path: Path, device: torch.device) -> tuple[weights.Weights, torch.dtype]:
    """Verified weights on a device and their number format, found once in the life of a process."""
    state = path.stat() if path.exists() else None  # `load` says what is wrong with it
    seen = None if state is None else (state.st_ino, state.st_size, state.st_mtime_ns)
    return _load(path, seen, device, choose_body_dtype)


@lru_cache(maxsize=8)
def _load(
    path: Path,
    seen: tuple[int, int, int] | None,
    device: torch.device,
    choose: Callable[[RestorationNet, torch.device], torch.dtype],
) -> tuple[weights.Weights, torch.dtype]:
    found = weights.load(path)
    return found, choose(found.net.on(device), device)


def tile_spans(length_px: int, tile_px: int) -> list[tuple[int, int]]:
    """Where the tiles of a picture lie along one axis, half-open.

    Args:
        length_px: The picture, a multiple of `MULTIPLE_PX`.
        tile_px: Longest tile.
    """
    overlap_px = (tile_px - MULTIPLE_PX) // 3 // MULTIPLE_PX * MULTIPLE_PX
    return spans(length_px, tile_px, min(TILE_OVERLAP_PX, overlap_px), MULTIPLE_PX)


def _give_back_freed_memory() -> None:
    """Keep large blocks out of glibc's heap, whose fragments would grow with the clip's length.

    By default glibc raises the size from which a block is mapped on its own to 32 MB as it goes.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):  # musl has none, and does not need it
            libc.mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Only CUDA has a class for it; a CPU and MPS say it in words."""
    words = ("can't allocate memory", "out of memory")
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in words)


def _padding(window: Tensor) -> tuple[int, int, int, int]:
    """What a window (..., H, W) lacks to sides that the network takes, as `F.pad` wants it."""
    height, width = window.shape[-2:]
    return (0, -width % MULTIPLE_PX, 0, -height % MULTIPLE_PX)


def _span_weights(covering: list[tuple[int, int]]) -> list[Tensor]:
    """Blending weights of overlapping spans: they sum to 1 at every position."""
    weights_of = []
    for i, (start, stop) in enumerate(covering):
        lead = covering[i - 1][1] - start if i else 0
        tail = stop - covering[i + 1][0] if i + 1 < len(covering) else 0
        weights_of.append(ramp(stop - start, lead, tail))
    return weights_of

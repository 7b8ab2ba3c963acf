"""Training material: clips in memory, and batches that depend on nothing but (seed, step).

A batch never depends on what was drawn before it, so a run that was killed and resumed sees the
same batches as one that was not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vidrestore.errors import InputError
from vidrestore.measure.metrics import LUMA_WEIGHTS
from vidrestore.media.ffmpeg import SAFE_INPUT, media_url
from vidrestore.network.model import LEVELS
from vidrestore.picture.declip import clipped_moments

VIDEO_SUFFIXES = {".mp4", ".mkv", ".mov", ".avi", ".webm", ".mpg", ".m4v", ".npy"}
PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png"}
HELD_OUT_FRAMES = 8
HELD_OUT_PAIRS = 16
"""One pair in this many is never trained on."""
MAX_FRAMES = 600
PAIR_CHANNELS = 6


@dataclass(frozen=True)
class Material:
    """Everything that batches are cut from.

    Attributes:
        videos: (N, H, W, 3) uint8 RGB each, at half the size of the file: sources are compressed,
            and their artefacts must not become the truth.
        photos: (H, W, 3) uint8 RGB each, full size; halved when a crop is warped out of them.
        pairs: By kind of damage, (2, N, H, W, 3) uint8 RGB each: a clean clip, and what became of
            it. More than 2 where there are images to choose from.
    """

    videos: list[Tensor]
    photos: list[Tensor]
    pairs: dict[str, list[Tensor]] = field(default_factory=dict)


def load_pairs(folder: Path, device: str) -> Material:
    """Read a folder of `NUMBER-KIND.npy` files, as `pairs` writes them.

    Raises:
        InputError: If there are none.
    """
    pairs: dict[str, list[Tensor]] = {}
    for path in _files(folder if folder.is_dir() else None, {".npy"}):
        pair = torch.from_numpy(np.load(path, mmap_mode="c")).to(device)
        pairs.setdefault(path.stem.rpartition("-")[2], []).append(pair)
    if not pairs:
        raise InputError(
            f"no pairs in {folder}", hint="--videos and --photos name what to make them of"
        )
    return Material([], [], pairs)


def load_material(videos: Path | None, photos: Path | None, cache: Path, device: str) -> Material:
    """Read folders of videos and photos, decoded once and cached as .npy files.

    Raises:
        InputError: If nothing could be found to train on.
    """
    cache.mkdir(parents=True, exist_ok=True)
    video_files = _files(videos, VIDEO_SUFFIXES)
    photo_files = _files(photos, PHOTO_SUFFIXES)
    clips = [torch.from_numpy(_cached_clip(path, cache)).to(device) for path in video_files]
    clips = [clip for clip in clips if len(clip) > HELD_OUT_FRAMES]
    pictures = [torch.from_numpy(_read_photo(path)).to(device) for path in photo_files]
    if not clips and not pictures:
        raise InputError(
            "nothing to train on", hint="--videos and --photos name folders of clips and pictures"
        )
    return Material(clips, pictures)


def _files(folder: Path | None, suffixes: set[str]) -> list[Path]:
    if folder is None:
        return []
    if not folder.is_dir():
        raise InputError(f"no such folder: {folder}", hint="name a folder of clips or pictures")
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in suffixes)


def _cached_clip(path: Path, cache: Path) -> NDArray[np.uint8]:
    if path.suffix == ".npy":
        clip: NDArray[np.uint8] = np.load(path, mmap_mode="c")
        return clip
    stat = path.stat()
    key = hashlib.sha256(f"{path.name} {stat.st_size} {MAX_FRAMES}".encode()).hexdigest()[:16]
    cached = cache / f"{path.stem}-{key}.npy"
    if not cached.exists():
        frames = np.stack(list(_halved_frames(path)))
        temporary = cached.with_suffix(".partial.npy")
        np.save(temporary, frames)
        temporary.replace(cached)
    clip = np.load(cached, mmap_mode="c")
    return clip


def _halved_frames(path: Path) -> Iterator[NDArray[np.uint8]]:
    import av

    with av.open(media_url(path), options=SAFE_INPUT) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index == MAX_FRAMES:
                return
            small = frame.reformat(
                width=frame.width // 4 * 2,
                height=frame.height // 4 * 2,
                format="rgb24",
                interpolation="AREA",
            )
            yield np.asarray(small.to_ndarray(), np.uint8)


def _read_photo(path: Path) -> NDArray[np.uint8]:
    from skimage.io import imread

    picture: NDArray[np.uint8] = imread(path)
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    return np.ascontiguousarray(picture[..., :3])


def detail(window: Tensor) -> float:
    """Mean absolute horizontal difference of a window's first frame."""
    return window[0].diff(dim=-1).abs().mean().item()


def change(window: Tensor) -> float:
    """Mean absolute difference of a window's first and third frame."""
    return (window[2] - window[0]).abs().mean().item()


class Batches:
    """Clean windows, cut and augmented at random.

    Args:
        material: What to cut from.
        batch: Windows per batch B.
        frames: Window length T.
        crop_px: Height and width of a window.
        seed: Together with the step it decides everything.
        photo_share: Share of windows cut from photos by a moving camera.
        busy: How much a window (T, 3, H, W) has to teach; often the better of two is taken.

    Raises:
        InputError: If a clip is smaller than a window.
    """

    def __init__(
        self,
        material: Material,
        *,
        batch: int,
        frames: int,
        crop_px: int,
        seed: int,
        photo_share: float = 0.4,
        busy: Callable[[Tensor], float] = detail,
    ) -> None:
        # The first of each kind are held out.
        self.pairs = [kind[_held_out_count(kind) :] for kind in material.pairs.values()]
        self.pairs = [kind for kind in self.pairs if kind]
        clips = [*material.videos, *(pair for kind in self.pairs for pair in kind)]
        smallest_px = min((min(clip.shape[-3:-1]) for clip in clips), default=crop_px)
        if smallest_px < crop_px:
            raise InputError(
                f"a clip of {smallest_px} px is too small for windows of {crop_px} px",
                hint=f"clips are used at half their size: leave it out, or --crop {smallest_px}",
            )
        self.material = material
        self.batch = batch
        self.frames = frames
        self.crop_px = crop_px
        self.seed = seed
        self.busy = busy
        self.photo_share = photo_share if material.videos else 1.0
        if not material.photos:
            self.photo_share = 0.0
        # Long clips repeat themselves, so their weight grows with the square root of their length;
        # and what there are many pairs of may not crowd out the rest.
        self.weights = _square_roots(material.videos)
        self.kind_weights = _square_roots(self.pairs)

    def clean(self, step: int) -> Tensor:
        """The windows of a step, (B, T, 3, crop, crop) float32 in [0, 1].

        Windows of pairs have 6 channels or more: clean RGB, degraded RGB, and images beside it.
        """
        random = np.random.default_rng((self.seed, step))
        return torch.stack([self._window(random) for _ in range(self.batch)])

    def _window(self, random: np.random.Generator) -> Tensor:
        cut = self._photo_window if random.random() < self.photo_share else self._video_window
        cut = self._pair_window if self.pairs else cut
        window = cut(random)
        if random.random() < 0.5:  # flat sky teaches little: often take the busier of two
            window = max(window, cut(random), key=self.busy)
        if random.random() < 0.5 and window.shape[1] <= PAIR_CHANNELS:  # images know their time
            window = window.flip(0)
        if random.random() < 0.5:
            window = window.flip(-1)
        if random.random() < 0.5:
            window = window.flip(-2)
        if random.random() < 0.5:
            window = window.transpose(-1, -2)
        return window

    def _video_window(self, random: np.random.Generator) -> Tensor:
        clip = self.material.videos[int(random.choice(len(self.weights), p=self.weights))]
        usable = len(clip) - HELD_OUT_FRAMES
        stride = 2 if random.random() < 0.25 and usable >= 2 * self.frames else 1
        start = int(random.integers(0, max(1, usable - (self.frames - 1) * stride)))
        index = [min(start + i * stride, usable - 1) for i in range(self.frames)]
        height, width = clip.shape[1:3]
        size = self.crop_px
        top = int(random.integers(0, height - size + 1))
        left = int(random.integers(0, width - size + 1))
        window = clip[index, top : top + size, left : left + size]
        return window.permute(0, 3, 1, 2).float() / 255

    def _pair_window(self, random: np.random.Generator) -> Tensor:
        kind = self.pairs[int(random.choice(len(self.kind_weights), p=self.kind_weights))]
        pair = kind[int(random.integers(len(kind)))]
        start, top, left = (
            int(random.integers(0, length - size + 1))
            for length, size in zip(
                pair.shape[1:4], (self.frames, self.crop_px, self.crop_px), strict=True
            )
        )
        size = self.crop_px
        window = pair[:, start : start + self.frames, top : top + size, left : left + size]
        return window.permute(1, 0, 4, 2, 3).flatten(1, 2).float() / 255

    def _photo_window(self, random: np.random.Generator) -> Tensor:
        """A camera moves over a photo: steady pan, zoom and roll, plus a little shake."""
        picture = self.material.photos[int(random.integers(len(self.material.photos)))]
        height, width = picture.shape[:2]
        # Half of the windows keep every pixel of the photo, half are shrunk by two: fine texture
        # in the one, no trace of the camera's own processing in the other.
        shrink = 1 + int(random.integers(2))
        size = shrink * self.crop_px
        reach = 2 * self.crop_px  # how far from the centre of the window the source is read
        y = random.uniform(min(reach, height / 2), max(height - reach, height / 2))
        x = random.uniform(min(reach, width / 2), max(width - reach, width / 2))
        speed = random.normal(0, 2 * shrink, 2) * (random.random() < 0.8)
        time = np.arange(self.frames) - (self.frames - 1) / 2
        shake = random.normal(0, random.exponential(0.7), (self.frames, 2))
        centre = np.array([x, y]) + speed * time[:, None] + shake
        scale = 1 + random.normal(0, 0.004) * time
        angle = random.normal(0, 0.006) * time
        top, left = int(max(0, y - reach)), int(max(0, x - reach))
        patch = picture[top : int(y + reach), left : int(x + reach)]
        patch_h, patch_w = patch.shape[:2]
        cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
        affine = np.empty((self.frames, 2, 3), np.float32)
        affine[:, 0] = np.stack(
            (cos * size / patch_w, -sin * size / patch_w, 2 * (centre[:, 0] - left) / patch_w - 1),
            axis=1,
        )
        affine[:, 1] = np.stack(
            (sin * size / patch_h, cos * size / patch_h, 2 * (centre[:, 1] - top) / patch_h - 1),
            axis=1,
        )
        grid = F.affine_grid(
            torch.from_numpy(affine).to(patch.device),
            [self.frames, 3, size, size],
            align_corners=False,
        )
        source = (patch.permute(2, 0, 1).float() / 255).expand(self.frames, -1, -1, -1)
        warped = F.grid_sample(
            source, grid, mode="bicubic", padding_mode="reflection", align_corners=False
        )
        return F.avg_pool2d(warped, shrink).clamp_(0, 1)

    def held_out(self, windows: int, size_px: int) -> Tensor:
        """Clean windows that no step ever sees, (windows, T, 3, size, size) float32.

        T is the window length, or `HELD_OUT_FRAMES` if that is less.
        """
        frames = min(self.frames, HELD_OUT_FRAMES)
        chosen = np.linspace(0, len(self.material.videos) - 1, windows).astype(int)
        cut = []
        for clip in (self.material.videos[i] for i in chosen):
            top, left = (clip.shape[1] - size_px) // 2, (clip.shape[2] - size_px) // 2
            cut.append(clip[-frames:, top : top + size_px, left : left + size_px])
        return torch.stack(cut).permute(0, 1, 4, 2, 3).float() / 255

    def held_out_pairs(self, size_px: int) -> Iterator[tuple[str, Tensor]]:
        """Kinds of damage and windows that no step ever sees, (1, T, 6, size, size) float32."""
        for kind, pairs in self.material.pairs.items():
            for pair in pairs[: _held_out_count(pairs)]:
                top, left = ((length - size_px) // 2 for length in pair.shape[2:4])
                cut = pair[:, : self.frames, top : top + size_px, left : left + size_px]
                yield kind, cut.permute(1, 0, 4, 2, 3).flatten(1, 2)[None].float() / 255


def _square_roots(groups: Sequence[Sized]) -> NDArray[np.float64]:
    """Square roots of lengths, their sum 1."""
    weights = np.sqrt([len(group) for group in groups])
    return weights / max(float(weights.sum()), 1.0)


def _held_out_count(pairs: list[Tensor]) -> int:
    return -(-len(pairs) // HELD_OUT_PAIRS)


def add_noise(
    clean: Tensor, generator: torch.Generator, max_sigma: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Degrade clean windows with noise as it is found in files.

    Sigma is uniform up to `max_sigma`. Of the windows 35 % get the papers' white noise, 35 % the
    same clipped and rounded to 8 bits, 15 % clipped noise that went through 4:2:0 chroma, and 15 %
    noise that was added to the luma and the 4:2:0 chroma planes.

    Args:
        clean: (B, T, 3, H, W) float32 in [0, 1].
        generator: On the device of `clean`.
        max_sigma: In [0, 1] units.

    Returns:
        The target, the degraded windows, and the levels (B, T, 4) told to the network. Noise has
        mean zero about the target: where it is clipped, that is not the clean window but
        its mean after clipping, see `declip`.
    """
    batch, frames, _, height, width = clean.shape
    device = clean.device

    def uniform(*size: int) -> Tensor:
        return torch.rand(size, generator=generator, device=device)

    def is_kind(low: float, high: float) -> Tensor:
        return ((kind >= low) & (kind < high))[:, None, None, None, None]

    kind = uniform(batch)
    sigma = max_sigma * uniform(batch, 1, 1, 1, 1).clamp_(min=1e-4)
    noise = sigma * torch.randn(clean.shape, generator=generator, device=device)
    clipped = (clean + noise).clamp(0, 1) - clean
    planes = _luma(noise) + (0.2 + uniform(batch, 1, 1, 1, 1)) * _half_resolution(
        sigma * torch.randn(
            (batch, frames, 3, -(-height // 2), -(-width // 2)), generator=generator, device=device
        ),
        height, width,
    )  # fmt: skip
    subsampled = _luma(clipped) + _half_resolution(
        F.avg_pool3d(clipped - _luma(clipped), (1, 2, 2), ceil_mode=True),
        height, width,
    )  # fmt: skip
    change = torch.where(is_kind(0.35, 0.7), clipped, noise)
    change = torch.where(is_kind(0.7, 0.85), subsampled, change)
    change = torch.where(is_kind(0.85, 1.01), planes, change)
    degraded = clean + change
    degraded = torch.where(is_kind(0.35, 1.01), (degraded * 255).round() / 255, degraded)
    target = torch.where(is_kind(0.35, 0.85), clipped_moments(clean, sigma)[0], clean)
    levels = torch.zeros(batch, frames, len(LEVELS), device=device)
    # Estimates are never exact, so some windows are told a level that is a little off.
    jitter = torch.exp(0.1 * torch.randn((batch, 1), generator=generator, device=device))
    told = torch.where(uniform(batch, 1) < 0.3, jitter, torch.ones_like(jitter))
    levels[..., 0] = sigma[:, :, 0, 0, 0] * told
    return target, degraded, levels


def _luma(rgb: Tensor) -> Tensor:
    """(B, T, 3, H, W) to (B, T, 1, H, W)."""
    weights = torch.tensor(LUMA_WEIGHTS, device=rgb.device)[:, None, None]
    return (rgb * weights).sum(2, keepdim=True)


def _half_resolution(chroma: Tensor, height: int, width: int) -> Tensor:
    """Colour without luma, (B, T, 3, H/2, W/2), interpolated to full resolution."""
    chroma = chroma - _luma(chroma)
    size = (height, width)
    full = F.interpolate(chroma.flatten(0, 1), size=size, mode="bilinear", align_corners=False)
    return full.reshape(*chroma.shape[:3], height, width)

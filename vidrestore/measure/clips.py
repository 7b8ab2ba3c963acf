"""Clean clips for the benchmark, in memory: videos and folders of numbered images."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vidrestore.errors import InputError
from vidrestore.media import images

Clip = npt.NDArray[np.float32]


def load_clips(path: Path, frames: int | None, ffmpeg: str) -> Iterator[tuple[str, Clip]]:
    """Read the first frames of every clip at a path, one clip after the other.

    Args:
        path: Video file, or folder of numbered images. A folder that holds several runs of images,
            such as triplets ``01_0.png``, ``01_1.png``, ``01_2.png``, is as many clips.
        frames: How many frames of each at most; None for all.
        ffmpeg: Path of the ffmpeg executable.

    Yields:
        Name of the file or folder, followed by that of the first image where a folder holds several
        clips; and RGB (T, H, W, 3), float32, [0, 1].

    Raises:
        InputError: A clip is missing or cannot be read.
    """
    if not path.is_dir():
        yield path.stem, _load_video(path, frames, ffmpeg)
        return
    folder = path.resolve().name
    sequences = images.find_sequences(path)
    for pattern, first, count in sequences:
        numbers = range(first, first + count)[:frames]
        clip = _load_images([path / (pattern % number) for number in numbers])
        yield (folder if len(sequences) == 1 else f"{folder}/{pattern % first}"), clip


def _load_video(path: Path, frames: int | None, ffmpeg: str) -> Clip:
    from vidrestore.measure.compare import RgbReader

    reader = RgbReader(path, ffmpeg)
    return np.stack([reader.rgb(frame) for frame in islice(reader.frames(), frames)])


def _load_images(paths: list[Path]) -> Clip:
    """Read numbered images with the decoder that the papers' data sets are read with.

    ffmpeg would hand over a JPEG's own YUV, and upsample its chroma a little differently.
    """
    import cv2

    loaded: list[Clip] = []
    for path in paths:
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        if picture is None or picture.dtype not in (np.uint8, np.uint16):
            raise InputError(f"{path} cannot be read", hint="give 8 or 16-bit PNG, JPEG or TIFF")
        peak = np.float32(255 if picture.dtype == np.uint8 else 65535)
        loaded.append(picture[..., ::-1].astype(np.float32) / peak)
        if loaded[-1].shape != loaded[0].shape:
            raise InputError(f"{path} differs in size from the first image", hint="give one clip")
    return np.stack(loaded)

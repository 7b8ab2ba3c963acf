"""Ten bits stay ten bits: a smooth ramp comes out of a real restoration without bands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import decode_all
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.media.ffmpeg import FfmpegProcess, media_url
from vidrestore.runs.pipeline import restore
from vidrestore.settings import RestoreSettings

NOISE_CODES = 1.7  # half a code of 8 bits
CODES = np.repeat(np.arange(400, 600), 2)


def stored(path: Path, ffmpeg: str, luma: NDArray[np.uint16]) -> None:
    """Grey video (T, H, W) of ten bits, in FFV1."""
    height, width = luma.shape[1:]
    tags = ["-color_range", "tv", "-colorspace", "bt709"]
    raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p10le", "-s", f"{width}x{height}", *tags]
    argv = [ffmpeg, *raw, "-i", "pipe:0", "-c:v", "ffv1", *tags, media_url(path)]
    grey = np.full(height * width // 2, 512, np.uint16).tobytes()
    with FfmpegProcess(argv, stdin=True) as process:
        process.feed(frame.tobytes() + grey for frame in luma)
        process.finish()


def bands(columns: NDArray[np.float64]) -> tuple[float, float]:
    """Largest step between columns, and the most that they are off a straight line: in codes."""
    line = np.polyval(np.polyfit(np.arange(len(columns)), columns, 1), np.arange(len(columns)))
    return float(np.abs(np.diff(columns)).max()), float(np.abs(columns - line).max())


@pytest.mark.parametrize("sigma", [None, 0.5])
def test_a_ramp_of_ten_bits_gains_no_bands(
    tmp_path: Path, ffmpeg: str, sigma: float | None
) -> None:
    clean = np.broadcast_to(CODES, (5, 64, len(CODES)))
    noise = np.random.default_rng(0).normal(0, NOISE_CODES, clean.shape)
    noisy = np.rint(clean + noise).astype(np.uint16)
    stored(tmp_path / "ramp.mkv", ffmpeg, noisy)
    settings = RestoreSettings(("denoise",), sigma=sigma, encode=EncodeSettings(codec="ffv1"))
    restore(tmp_path / "ramp.mkv", tmp_path / "out.mkv", settings)
    restored = np.stack([frame.planes[0] for frame in decode_all(tmp_path / "out.mkv", ffmpeg)])
    assert restored.std(0).mean() < noisy.std(0).mean()  # the network has done something
    columns = restored[:, 8:-8, 8:-8].mean((0, 1), dtype=np.float64)
    assert len(np.unique(restored)) >= len(np.unique(CODES))
    step, off = bands(columns)
    assert step < 1.5
    assert off < 1.5
    # Eight bits would have steps of 4 codes and lie up to 2 off the line.
    assert bands(4.0 * np.rint(CODES / 4))[0] > 2 * step

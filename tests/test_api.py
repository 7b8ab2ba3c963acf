"""What `import vidrestore` offers: light to import, documented, and working on arrays and files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import vidrestore
from tests.conftest import Clips
from vidrestore.errors import UsageError

REPOSITORY = Path(__file__).parent.parent


def test_importing_loads_nothing_until_it_is_used() -> None:
    program = (
        "import sys, vidrestore\nbefore = set(sys.modules)\n"
        "assert not {'torch', 'numpy', 'typer', 'av', 'cv2'} & before\n"
        "vidrestore.RestoreSettings(sigma=3)\n"
        "assert not {'torch', 'numpy', 'av', 'cv2'} & set(sys.modules)\n"
        "assert vidrestore.VidrestoreError is vidrestore.errors.VidrestoreError\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=REPOSITORY)


def test_every_name_is_there_documented_and_known_to_type_checkers() -> None:
    for name in vidrestore.__all__:
        assert getattr(vidrestore, name) is not None
    assert set(vidrestore.__all__) <= set(dir(vidrestore))
    guide = (REPOSITORY / "docs" / "python.md").read_text()
    stub = (REPOSITORY / "vidrestore" / "__init__.pyi").read_text()
    for name in vidrestore.__all__:
        assert re.search(rf"`{name}\b", guide), f"docs/python.md lacks {name}"
        assert re.search(rf"\b{name}(:|$)", stub, re.M), f"the stub lacks {name}"
    with pytest.raises(AttributeError, match="no attribute enhance"):
        vidrestore.enhance  # noqa: B018


@pytest.fixture(scope="module")
def noisy() -> tuple[np.ndarray, np.ndarray]:
    """A smooth moving picture and its noisy twin, (5, 48, 64, 3) float32."""
    y, x = np.mgrid[:48, :64].astype(np.float32)
    clean = np.stack(
        [
            np.stack([0.5 + 0.3 * np.sin((x + t + 9 * c) / 7) * np.cos(y / 9) for c in range(3)], 2)
            for t in range(5)
        ]
    ).astype(np.float32)
    noise = np.random.default_rng(1).normal(0, 20 / 255, clean.shape).astype(np.float32)
    return clean, clean + noise


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
def test_frames_come_back_cleaner_in_their_shape_and_dtype(
    noisy: tuple[np.ndarray, np.ndarray], dtype: type, white: int
) -> None:
    clean, degraded = noisy
    frames = degraded if white == 1 else np.rint(degraded.clip(0, 1) * white).astype(dtype)
    restored = vidrestore.restore_frames(frames, sigma=20, device="cpu")
    assert (restored.shape, restored.dtype) == (frames.shape, np.dtype(dtype))
    before = vidrestore.score(clean, frames).psnr_db
    after = vidrestore.score(clean, restored).psnr_db
    assert before is not None
    assert after is not None
    assert after > before + 4
    kept = vidrestore.restore_frames(frames, sigma=20, strength=0, device="cpu")
    np.testing.assert_array_equal(kept, frames)


def test_noise_is_read_in_8_bit_units_at_every_dtype(
    noisy: tuple[np.ndarray, np.ndarray],
) -> None:
    _, degraded = noisy
    deep = np.rint(degraded.clip(0, 1) * 65535).astype(np.uint16)
    assert vidrestore.estimate_noise(degraded) == pytest.approx(20, rel=0.25)
    assert vidrestore.estimate_noise(deep) == pytest.approx(20, rel=0.25)


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        (np.zeros((48, 64, 3), np.uint8), "no clip"),
        (np.zeros((2, 48, 64, 4), np.uint8), "no clip"),
        (np.zeros((2, 48, 64, 3)), "float64"),
        (np.zeros((0, 48, 64, 3), np.uint8), "hold nothing"),
        (np.full((2, 48, 64, 3), np.nan, np.float32), "NaN"),
        ([1, 2], "no clip"),
    ],
)
def test_what_is_no_clip_is_refused(frames: np.ndarray, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        vidrestore.restore_frames(frames)
    assert refused.value.hint
    with pytest.raises(vidrestore.VidrestoreError):
        vidrestore.restore_frames(np.zeros((1, 8, 8, 3), np.uint8), strength=2)


def test_files_are_probed_read_and_compared(clips: Clips) -> None:
    info = vidrestore.probe(str(clips.plain))
    assert (info.width, info.height, info.frames) == (96, 64, 24)
    frames = vidrestore.read_frames(clips.plain, 2, 6)
    assert frames.shape == (4, 64, 96, 3)
    assert frames.dtype == np.float32
    assert len(vidrestore.read_frames(clips.plain, most=3)) == 3
    assert vidrestore.compare(clips.plain, str(clips.plain)).scores.identical
    with pytest.raises(vidrestore.VidrestoreError):
        vidrestore.probe("nowhere.mp4")


def test_the_example_runs(tmp_path: Path) -> None:
    example = REPOSITORY / "examples" / "api.py"
    said = subprocess.run(
        [sys.executable, example, tmp_path, "4"],
        check=True,
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
    ).stdout
    assert "dB" in said
    assert (tmp_path / "restored.mp4").exists()
    assert "restored" in said.splitlines()[-1]

"""vidrestore from Python: a file, frames in memory, and a folder.

    python examples/api.py [FOLDER [FRAMES]]

Restores the noisy example three ways, and says how much better it got.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import vidrestore

HERE = Path(__file__).parent


def main(folder: Path, frames: int) -> None:
    # A file, with its sound and everything else that is in it.
    settings = vidrestore.RestoreSettings(end=frames, overwrite=True)
    result = vidrestore.restore(HERE / "noisy.mp4", folder / "restored.mp4", settings)
    print(f"noise {result.noise_before:.1f} before, {result.noise_after:.1f} after")
    comparison = vidrestore.compare(HERE / "clean.mp4", folder / "restored.mp4")
    print(f"the file: {comparison.scores.psnr_db:.2f} dB")

    # Frames in memory: arrays in, arrays of the same shape and dtype out.
    clean = vidrestore.read_frames(HERE / "clean.mp4", 0, frames)
    noisy = vidrestore.read_frames(HERE / "noisy.mp4", 0, frames)
    restored = vidrestore.restore_frames(noisy, sigma=vidrestore.estimate_noise(noisy))
    for name, clip in (("noisy", noisy), ("restored", restored)):
        print(f"{name} frames: {vidrestore.score(clean, clip).psnr_db:.2f} dB")

    # Many files: what fails is told of, not raised, and what is done is not done again.
    (folder / "films").mkdir(exist_ok=True)
    (folder / "films" / "noisy.mp4").write_bytes((HERE / "noisy.mp4").read_bytes())
    (folder / "films" / "empty.mp4").touch()
    for item in vidrestore.restore_many(folder / "films", folder / "out", settings):
        print(f"{item.source.name}: {item.failure or item.status}")


if __name__ == "__main__":
    given = sys.argv[1:]
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(given[0] if given else temporary), int(given[1]) if given[1:] else 24)

"""Broken files looked into by the thousand, what a look costs, and a very long run's memory.

python -m benchmarks.hostile look 1000 | restore 1000 | cost | soak 100000
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from contextlib import redirect_stderr
from pathlib import Path
from statistics import median

import torch

from tests.conftest import Clips
from tests.test_broken_runs import restored
from tests.test_mutations import looked_into
from tests.test_soak import soaked
from vidrestore.media.ffmpeg import find_ffmpeg
from vidrestore.media.inspection import inspect
from vidrestore.media.probe import probe
from vidrestore.network import weights
from vidrestore.network.model import ModelSpec, RestorationNet

EXAMPLE = Path(__file__).parent.parent / "examples" / "noisy.mp4"


def main(task: str, count: int, folder: Path) -> None:
    clips = Clips(folder, find_ffmpeg())
    start_s = time.perf_counter()
    if task == "look":
        print(dict(looked_into(clips, folder, count)))
    elif task == "restore":
        said = io.StringIO()

        def words() -> str:
            text = said.getvalue()
            said.seek(0)
            said.truncate()
            return text

        with redirect_stderr(said):
            found = restored(clips, folder, words, range(count))
        print({f"exit code {int(code)}": files for code, files in sorted(found.items())})
    elif task == "soak":
        net = RestorationNet(ModelSpec(channels=(8, 8, 8), middle_blocks=1))
        saved = weights.save(net, folder, task="denoise", size="tiny", card={"licence": "CC0"})
        for tenth, held in enumerate(soaked(clips, folder, saved, count), start=1):
            print(f"{tenth * 10} %: {held.rss_mib:.0f} MiB, {held.descriptors} descriptors")
    else:
        cost(count)
    print(f"{time.perf_counter() - start_s:.0f} s")


def cost(rounds: int) -> None:
    """Seconds of a look in another process and in this one, the first and the median."""
    for name, look in (("in another process", inspect), ("in this one", probe)):
        taken = []
        for _ in range(rounds):
            start_s = time.perf_counter()
            look(EXAMPLE)
            taken.append(time.perf_counter() - start_s)
        print(f"{name}: the first {taken[0]:.3f} s, then {median(taken[1:]):.3f} s")


if __name__ == "__main__":
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as place:
        main(sys.argv[1], int((*sys.argv, "20")[2]), Path(place))

"""What a batch costs on top of restoring, and how long the command line takes to start.

    python benchmarks/batch.py                # 50 clips of two seconds, and --help
    python benchmarks/batch.py --clips 10     # fewer

The same clips are restored by `vidrestore batch` and by a loop in one process that has the model
and all libraries loaded. The overhead is the difference, the start of the batch's process and
of its worker included, divided by the number of clips. On a machine that others use, too, the
processor's time tells more than the time on the wall, so both are printed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

from vidrestore.batch.single import warm
from vidrestore.media.ffmpeg import FfmpegProcess, find_ffmpeg, media_url
from vidrestore.runs.pipeline import restore
from vidrestore.settings import RestoreSettings

CLIPS, FRAMES = 50, 48
SIZE = "64x48"
WANTED_S = {"overhead": 0.3, "help": 0.3}
HELP_RUNS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=CLIPS)
    given = parser.parse_args()
    print_help_time()
    with tempfile.TemporaryDirectory() as temporary:
        films = Path(temporary) / "films"
        films.mkdir()
        first = make_clip(films)
        for number in range(1, given.clips):
            (films / f"clip{number:03d}.mp4").write_bytes(first.read_bytes())
        looped = loop(films, Path(temporary) / "loop")
        batched = batch(films, Path(temporary) / "batch")
        again = batch(films, Path(temporary) / "batch")
    overhead = Taken(
        (batched.wall_s - looped.wall_s) / given.clips,
        (batched.processor_s - looped.processor_s) / given.clips,
    )
    print(f"{given.clips} clips of {FRAMES} frames, {SIZE}")
    print(f"  in a loop, everything loaded: {looped}")
    print(f"  vidrestore batch: {batched}")
    print(f"  overhead per file: {overhead} (wanted: below {WANTED_S['overhead']} s)")
    print(f"  run again, nothing to do: {again}")


@dataclass(frozen=True)
class Taken:
    """Time on the wall, and of the processor with all child processes."""

    wall_s: float
    processor_s: float

    @classmethod
    def now(cls) -> Taken:
        """What clocks show; only differences mean something."""
        times = [getrusage(who) for who in (RUSAGE_SELF, RUSAGE_CHILDREN)]
        return cls(time.monotonic(), sum(one.ru_utime + one.ru_stime for one in times))

    def __sub__(self, before: Taken) -> Taken:
        return Taken(self.wall_s - before.wall_s, self.processor_s - before.processor_s)

    def __str__(self) -> str:
        return f"{self.wall_s:.3f} s on the wall, {self.processor_s:.3f} s of processor"


def print_help_time() -> None:
    """The fastest of a few runs: the others waited for the machine."""
    words = [sys.executable, "-m", "vidrestore", "--help"]
    taken = []
    for _ in range(HELP_RUNS):
        start = Taken.now()
        subprocess.run(words, check=True, capture_output=True)
        taken.append(Taken.now() - start)
    least = Taken(min(one.wall_s for one in taken), min(one.processor_s for one in taken))
    print(f"vidrestore --help: {least} (wanted: below {WANTED_S['help']} s)", flush=True)


def make_clip(folder: Path) -> Path:
    """A noisy moving test picture."""
    path = folder / "clip000.mp4"
    picture = f"testsrc2=size={SIZE}:rate=24,noise=alls=12:allf=t:all_seed=7"
    arguments = ["-f", "lavfi", "-i", picture, "-frames:v", str(FRAMES)]
    arguments += ["-pix_fmt", "yuv420p", "-c:v", "libx264", "-crf", "12", media_url(path)]
    with FfmpegProcess([find_ffmpeg(), *arguments]) as process:
        process.finish()
    return path


def loop(films: Path, out: Path) -> Taken:
    """Restore all clips, one after the other, in this process."""
    out.mkdir()
    settings = RestoreSettings()
    warm(settings)
    first = next(films.iterdir())
    restore(first, out / "first.mp4", settings)  # kernels, encoders, filters: once for all
    start = Taken.now()
    for clip in sorted(films.iterdir()):
        restore(clip, out / clip.name, settings)
    return Taken.now() - start


def batch(films: Path, out: Path) -> Taken:
    """Run the whole command."""
    words = [sys.executable, "-m", "vidrestore", "batch", str(films), "-o", str(out), "--json"]
    start = Taken.now()
    run = subprocess.run(words, check=True, capture_output=True, text=True)
    taken = Taken.now() - start
    whole = json.loads(run.stdout.splitlines()[-1])
    assert whole["failed"] == 0
    assert whole["restored"] + whole["skipped"] == len(list(films.iterdir()))
    return taken


if __name__ == "__main__":
    main()

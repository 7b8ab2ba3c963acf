"""Predictions against what happens: time and memory of whole runs, and limits on memory kept.

    python benchmarks/plan.py           # predicted and real, three clips of several sizes
    python benchmarks/plan.py memory    # 1080p under 2G, 4K under 3G

Every run is a process of its own; its memory is that of the whole tree of processes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vidrestore.media.ffmpeg import FfmpegProcess, find_ffmpeg, media_url
from vidrestore.runs.processes import MemoryWatch

EXAMPLE = Path(__file__).parent.parent / "examples" / "noisy.mp4"
CLIPS = (("320x180", 600), ("640x360", 250), ("1280x720", 80))
LIMITS = (("1920x1080", 60, "2G"), ("3840x2160", 20, "3G"))
MB = 1 << 20
WANTED = {"time": 0.25, "memory": 0.20}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=("predictions", "memory"), default="predictions")
    parser.add_argument("--sizes", nargs="+", help="Only these sizes.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if given.what == "memory":
            for size, frames, limit in LIMITS:
                if not given.sizes or size in given.sizes:
                    keep(make_clip(folder, size, frames), limit)
            return
        for size, frames in CLIPS:
            if not given.sizes or size in given.sizes:
                compare(make_clip(folder, size, frames))


def compare(clip: Path) -> None:
    """Predict, run, and print both."""
    words = [sys.executable, "-m", "vidrestore", "plan", str(clip), "--json"]
    plan = json.loads(subprocess.run(words, capture_output=True, check=True, text=True).stdout)
    wall_s, peak_bytes = restored(clip)
    pairs = {
        "time": (plan["wall_s"], wall_s, "s", 1),
        "memory": (plan["peak_memory_bytes"], peak_bytes, "MB", MB),
    }
    print(f"{clip.stem}, {plan['frames']} frames, tried {plan['trial_frames']}")
    for name, (predicted, real, unit, scale) in pairs.items():
        print(
            f"  {name}: predicted {predicted / scale:.0f} {unit}, real {real / scale:.0f} {unit}, "
            f"off by {predicted / real - 1:+.0%} (wanted: within {WANTED[name]:.0%})",
            flush=True,
        )


def keep(clip: Path, limit: str) -> None:
    """Run with a limit on memory, and print what was held."""
    wall_s, peak_bytes = restored(clip, "--max-memory", limit)
    allowed = int(limit.rstrip("G")) << 30
    print(
        f"{clip.stem} under {limit}: peak {peak_bytes / MB:.0f} MB of {allowed / MB:.0f} MB, "
        f"{'kept' if peak_bytes <= allowed else 'EXCEEDED'}, {wall_s:.0f} s",
        flush=True,
    )


def restored(clip: Path, *options: str) -> tuple[float, int]:
    """Seconds and bytes of a whole run."""
    output = clip.with_name(f"restored-{clip.name}")
    words = [sys.executable, "-m", "vidrestore", "restore", str(clip), "-o", str(output), "-y"]
    start_s = time.monotonic()
    run = subprocess.Popen([*words, "-q", *options], stderr=subprocess.PIPE, text=True)
    with MemoryWatch(run.pid) as watch:
        _, said = run.communicate()
    wall_s = time.monotonic() - start_s
    if run.returncode != 0 or watch.peaks is None:
        sys.exit(f"{clip.stem}: {said}")
    return wall_s, watch.peaks.tree_bytes


def make_clip(folder: Path, size: str, frames: int) -> Path:
    """The noisy example, repeated and resized."""
    path = folder / f"{size}.mp4"
    arguments = ["-stream_loop", "-1", "-i", media_url(EXAMPLE), "-an"]
    arguments += ["-vf", f"scale={size.replace('x', ':')}", "-frames:v", str(frames)]
    arguments += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "18", media_url(path)]
    with FfmpegProcess([find_ffmpeg(), *arguments]) as process:
        process.finish()
    return path


if __name__ == "__main__":
    main()

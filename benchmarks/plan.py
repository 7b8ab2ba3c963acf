"""Predictions against what happens: time and memory of whole runs, and limits on memory kept.

    python benchmarks/plan.py             # both of the following, in about five minutes
    python benchmarks/plan.py predictions # predicted and real, three clips of several sizes
    python benchmarks/plan.py memory      # 1080p under 2G, 4K under 3G
    python benchmarks/plan.py more        # predictions with --fps, --fill and other encoders
    python benchmarks/plan.py 8k          # a few frames of 8K under 8G: slow

Every run is a process of its own, as a user starts it, with all networks; its memory is that of the
whole tree of processes. Times mean something on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vidrestore.media.ffmpeg import FfmpegProcess, find_ffmpeg, media_url
from vidrestore.runs.processes import MemoryWatch

EXAMPLE = Path(__file__).parent.parent / "examples" / "noisy.mp4"
CLIPS = (("320x180", 600), ("640x360", 250), ("1280x720", 80))
LIMITS = (("1920x1080", 60, "2G"), ("3840x2160", 24, "3G"))
HUGE = (("7680x4320", 5, "8G"),)
MORE = (
    ("640x360", 60, "--fps", "2x"),
    ("640x360", 120, "--fill"),
    ("640x360", 120, "--codec", "av1"),
    ("640x360", 120, "--codec", "hevc"),
)
MB = 1 << 20
WANTED = {"time": 0.25, "memory": 0.20}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = ("all", "predictions", "memory", "more", "8k")
    parser.add_argument("what", nargs="?", choices=kinds, default="all")
    parser.add_argument("--sizes", nargs="+", help="Only these sizes.")
    given = parser.parse_args()
    start_s, load = time.monotonic(), os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load before {load:.1f}", flush=True)
    kept = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)

        def wanted(size: str) -> bool:
            return not given.sizes or size in given.sizes

        if given.what in ("all", "predictions"):
            kept += [compare(make_clip(folder, *one)) for one in CLIPS if wanted(one[0])]
        if given.what == "more":
            clips = [(make_clip(folder, *one[:2]), one[2:]) for one in MORE if wanted(one[0])]
            kept += [compare(clip, *options) for clip, options in clips]
        limits = HUGE if given.what == "8k" else LIMITS
        if given.what in ("all", "memory", "8k"):
            for size, frames, limit in limits:
                if wanted(size):
                    kept.append(keep(make_clip(folder, size, frames), limit))
    print(f"{sum(kept)} of {len(kept)} as wanted, {time.monotonic() - start_s:.0f} s in all")


def compare(clip: Path, *options: str) -> bool:
    """Predict, run, and print both; whether the one is near enough to the other."""
    words = [sys.executable, "-m", "vidrestore", "restore", str(clip), "--dry-run", "--json"]
    said = subprocess.run([*words, *options], capture_output=True, check=True, text=True).stdout
    plan = json.loads(said)
    wall_s, peak_bytes = restored(clip, *options)
    pairs = {
        "time": (plan["wall_s"], wall_s, "s", 1),
        "memory": (plan["peak_memory_bytes"], peak_bytes, "MB", MB),
    }
    how = " ".join(("", *options))
    print(f"{clip.stem}{how}, tried {plan['trial_frames']} frames in {plan['trial_s']:.0f} s")
    near = True
    for name, (predicted, real, unit, scale) in pairs.items():
        off = predicted / real - 1
        near = near and abs(off) <= WANTED[name]
        print(
            f"  {name}: predicted {predicted / scale:.0f} {unit}, real {real / scale:.0f} {unit}, "
            f"off by {off:+.0%} (wanted: within {WANTED[name]:.0%})",
            flush=True,
        )
    return near


def keep(clip: Path, limit: str) -> bool:
    """Run with a limit on memory, print what was held, and tell whether it was kept."""
    wall_s, peak_bytes = restored(clip, "--max-memory", limit)
    allowed = int(limit.rstrip("G")) << 30
    kept = peak_bytes <= allowed
    print(
        f"{clip.stem} under {limit}: peak {peak_bytes / MB:.0f} MB of {allowed / MB:.0f} MB, "
        f"{'kept' if kept else 'EXCEEDED'}, {wall_s:.0f} s",
        flush=True,
    )
    return kept


def restored(clip: Path, *options: str) -> tuple[float, int]:
    """Seconds and bytes of a whole run."""
    output = clip.with_name(f"restored-{clip.name}")
    words = [sys.executable, "-m", "vidrestore", "restore", str(clip), "-o", str(output), "-y"]
    start_s = time.monotonic()
    run = subprocess.Popen([*words, "-q", *options], stderr=subprocess.PIPE, text=True)
    with MemoryWatch(run.pid) as watch:
        _, said = run.communicate()
    wall_s = time.monotonic() - start_s
    output.unlink(missing_ok=True)
    if run.returncode != 0 or watch.peaks is None:
        sys.exit(f"{clip.stem}: {said}")
    return wall_s, watch.peaks.tree_bytes


def make_clip(folder: Path, size: str, frames: int) -> Path:
    """The noisy example, repeated and resized."""
    path = folder / f"{size}-{frames}.mp4"
    if path.exists():
        return path
    arguments = ["-stream_loop", "-1", "-i", media_url(EXAMPLE), "-an"]
    arguments += ["-vf", f"scale={size.replace('x', ':')}", "-frames:v", str(frames)]
    arguments += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "18", media_url(path)]
    with FfmpegProcess([find_ffmpeg(), *arguments]) as process:
        process.finish()
    return path


if __name__ == "__main__":
    main()

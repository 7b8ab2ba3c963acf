"""Speed and memory of doubling the frame rate, beside ffmpeg's minterpolate, by one command.

    python benchmarks/interpolation.py           # everything, some minutes
    python benchmarks/interpolation.py memory    # one part

Run it on a machine that does nothing else. What is compared runs in turns, in alternating order. A
figure is the median of all rounds with the range beside it, and a ratio is formed within a round: a
wide range says that the machine was not quiet. The quality of the same two is what
`vidrestore benchmark --degrade drop:2 --baselines ffmpeg` prints.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, pi, sin
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from skimage import data
from speed import SAMPLE_INTERVAL_S, cpu_name, interleave, pss_kb, ratios, spread, tree

from vidrestore.media.ffmpeg import FfmpegProcess, find_ffmpeg, media_url

PARTS = ("speed", "memory")
RATE = 25
START_FRAMES = 10
MEMORY_FRAMES = (30, 240)
MEMORY_FACTORS = (2, 8)
ENCODER = ("-c:v", "libx264", "-preset", "veryfast")


@dataclass(frozen=True)
class Options:
    """What to measure.

    Attributes:
        parts: Some of `PARTS`.
        weights: File or folder; None for those of the package. Speed does not depend on them.
        size_px: Width and height of the clips.
        frames: Length of the clip whose rate is doubled.
        rounds: How often each measurement is repeated.
    """

    parts: list[str]
    weights: Path | None
    size_px: tuple[int, int]
    frames: int
    rounds: int


def main() -> None:
    options = parse_options()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {cpu_name()}")
    width, height = options.size_px
    print(f"clips: {width}x{height}, {RATE} frames/s, a picture under a moving camera")
    for part in options.parts:
        print(f"\n== {part}", flush=True)
        {"speed": speed, "memory": memory}[part](options)


def parse_options() -> Options:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (all)")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--size", default="640x360", metavar="WxH")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    unknown = set(given.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown part {', '.join(sorted(unknown))}")
    width, height = (int(part) for part in given.size.split("x"))
    parts = given.parts or list(PARTS)
    return Options(parts, given.weights, (width, height), given.frames, given.rounds)


# ---------------------------------------------------------------------------------------- speed


@dataclass(frozen=True)
class Times:
    """Seconds of one run of `restore`: until the file is finished, and in flow and warping."""

    whole_s: float
    flow_s: float


def speed(options: Options) -> None:
    """Both tools from file to file, x264 veryfast, with and without their start."""
    short, long = START_FRAMES, START_FRAMES + options.frames
    times: dict[int, list[Times]] = {short: [], long: []}
    with tempfile.TemporaryDirectory() as temporary:
        clips = {frames: make_clip(Path(temporary), frames, options.size_px) for frames in times}
        their_short_s, short_s, their_long_s, long_s = interleave(
            options.rounds,
            lambda: minterpolate(clips[short]),
            lambda: times[short].append(double(clips[short], options)),
            lambda: minterpolate(clips[long]),
            lambda: times[long].append(double(clips[long], options)),
        )
    # A clip of N frames gets N new ones; the difference of two clips is free of the start.
    ours = [s / options.frames for s in differences(long_s, short_s)]
    theirs = [s / options.frames for s in differences(their_long_s, their_short_s)]
    print(f"vidrestore: {spread(ours, 3)} s for a new frame")
    print(f"minterpolate (mci, scd=none): {spread(theirs, 3)} s for a new frame")
    print(f"{spread(ratios(ours, theirs))} of minterpolate's time (aim: below 1)")
    print(
        f"start included, on {long} frames: {spread([s / long for s in long_s], 3)} s, "
        f"minterpolate {spread([s / long for s in their_long_s], 3)} s for a new frame"
    )
    counted = {frames: runs[1:] for frames, runs in times.items()}
    flow_s = differences(*([run.flow_s for run in counted[n]] for n in (long, short)))
    whole_s = differences(*([run.whole_s for run in counted[n]] for n in (long, short)))
    share = ratios(flow_s, whole_s)
    print(f"flow and warping: {spread(share)} of vidrestore's time (wanted: at most 0.33)")


def differences(above: list[float], below: list[float]) -> list[float]:
    """One difference for each round."""
    return [a - b for a, b in zip(above, below, strict=True)]


def restore_command(clip: Path, factor: int, options: Options) -> list[str]:
    return [
        *(sys.executable, "-m", "vidrestore", "restore", str(clip), "-y", "-q"),
        *("--task", "interpolate", "--fps", f"{factor}x", "--device", "cpu"),
        *("-o", str(clip.with_name("more.mp4")), "--preset", "veryfast"),
        *(["--weights", str(options.weights)] if options.weights else []),
    ]


def double(clip: Path, options: Options) -> Times:
    command = [*restore_command(clip, 2, options), "--json"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    timing = json.loads(printed)["timing"]
    return Times(timing["wall_s"], timing["flow_s"])


def minterpolate(clip: Path) -> None:
    graph = f"minterpolate=fps={2 * RATE}:mi_mode=mci:scd=none"
    output = media_url(clip.with_name("theirs.mp4"))
    argv = [find_ffmpeg(), "-y", "-i", media_url(clip), "-vf", graph, *ENCODER, output]
    with FfmpegProcess(argv) as process:
        process.finish()


# --------------------------------------------------------------------------------------- memory


def memory(options: Options) -> None:
    """Peak memory of the whole process tree, by length of the clip and by factor."""
    short, long = MEMORY_FRAMES
    cases = [(short, MEMORY_FACTORS[0]), (long, MEMORY_FACTORS[0]), (short, MEMORY_FACTORS[1])]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clips = {frames: make_clip(folder, frames, options.size_px) for frames in MEMORY_FRAMES}
        peaks: list[list[float]] = [[] for _ in cases]
        for _ in range(options.rounds):
            for (frames, factor), seen in zip(cases, peaks, strict=True):
                seen.append(peak_memory_mb(restore_command(clips[frames], factor, options)))
    print(f"peak of summed PSS, sampled every {1000 * SAMPLE_INTERVAL_S:.0f} ms:")
    for (frames, factor), seen in zip(cases, peaks, strict=True):
        print(f"  {frames:4d} frames, x{factor}: {spread(seen, 0)} MB")
    for name, index in (("length", 1), ("factor", 2)):
        growth = [100 * (ratio - 1) for ratio in ratios(peaks[index], peaks[0])]
        print(f"growth with the {name}: {spread(growth, 1)} % (wanted: within 5 %)")


def peak_memory_mb(command: list[str]) -> float:
    peak_kb = 0
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            peak_kb = max(peak_kb, sum(pss_kb(pid) for pid in tree(process.pid)))
            time.sleep(SAMPLE_INTERVAL_S)
    if process.returncode:
        raise SystemExit(f"restore ended with {process.returncode}")
    return peak_kb / 1000


# ---------------------------------------------------------------------------------------- clips


def make_clip(folder: Path, frames: int, size_px: tuple[int, int]) -> Path:
    """Encode the moving picture."""
    width, height = size_px
    path = folder / f"clip-{frames}.mp4"
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(RATE)]
    coded = [*ENCODER, "-crf", "18", "-pix_fmt", "yuv420p"]
    argv = [find_ffmpeg(), *raw, "-i", "pipe:0", *coded, media_url(path)]
    with FfmpegProcess(argv, stdin=True) as process:
        for picture in pictures(frames, size_px):
            process.stdin.write(picture.tobytes())
        process.stdin.close()
        process.finish()
    return path


def pictures(frames: int, size_px: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """A still under a camera that pans up to 5 px a frame, turns and zooms; (H, W, 3) each."""
    width, height = size_px
    still = data.coffee()  # type: ignore[no-untyped-call]
    base = max(width / still.shape[1], height / still.shape[0]) * 1.6
    for t in range(frames):
        angle = 2 * pi * t / (4 * RATE)
        x = still.shape[1] / 2 + 0.12 * width / base * sin(angle)
        y = still.shape[0] / 2 + 0.12 * height / base * cos(angle)
        matrix = cv2.getRotationMatrix2D((x, y), 2 * sin(angle), base * (1 + 0.05 * cos(angle)))
        matrix[:, 2] += width / 2 - x, height / 2 - y
        picture = cv2.warpAffine(still, matrix, size_px, flags=cv2.INTER_CUBIC)
        yield np.asarray(picture, np.uint8)


if __name__ == "__main__":
    main()

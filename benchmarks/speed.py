"""Speed and memory, every figure that the README states about them, printed by one command.

    python benchmarks/speed.py                  # everything, about a quarter of an hour
    python benchmarks/speed.py model restore    # some parts

Run it on a machine that does nothing else. What is compared runs in turns, in alternating order. A
figure is the median of all rounds with the range beside it, and a ratio is formed within a round: a
wide range says that the machine was not quiet.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from torch import nn

from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.media.ffmpeg import FfmpegProcess, find_ffmpeg, media_url
from vidrestore.network.diffuse import Levels, Restorer
from vidrestore.network.model import RestorationNet
from vidrestore.network.precision import choose_body_dtype
from vidrestore.network.windows import WindowPlan, cut
from vidrestore.runs.pipeline import restore
from vidrestore.settings import RestoreSettings

PARTS = ("model", "avx2", "restore", "memory", "frame")
STACK_CHANNELS = 64
SAMPLE_INTERVAL_S = 0.05
LEVELS = Levels(sigma=20.0, clipped=True)


@dataclass(frozen=True)
class Options:
    """What to measure.

    Attributes:
        parts: Some of `PARTS`.
        weights: File or folder; None for those of the package. Speed does not depend on them.
        size_px: Width and height of the clips.
        frames: Length of the clip that is restored; the memory part takes 0.3 and 3 times as many.
        rounds: How often each measurement is repeated.
        device: Where the 1080p frame is restored.
    """

    parts: list[str]
    weights: Path | None
    size_px: tuple[int, int]
    frames: int
    rounds: int
    device: str


def main() -> None:
    options = parse_options()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {cpu_name()}")
    for part in options.parts:
        print(f"\n== {part}", flush=True)
        {"model": model, "avx2": avx2, "restore": end_to_end, "memory": memory, "frame": frame}[
            part
        ](options)


def parse_options() -> Options:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (all)")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--size", default="640x360", metavar="WxH")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    unknown = set(given.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown part {', '.join(sorted(unknown))}")
    width, height = (int(part) for part in given.size.split("x"))
    return Options(
        given.parts or list(PARTS),
        given.weights,
        (width, height),
        given.frames,
        given.rounds,
        given.device,
    )


def cpu_name() -> str:
    info = Path("/proc/cpuinfo").read_text()
    return next(
        (line.split(":")[1].strip() for line in info.splitlines() if "model name" in line),
        "unknown processor",
    )


# ---------------------------------------------------------------------------------- measuring


def interleave(rounds: int, *runs: Callable[[], object]) -> list[list[float]]:
    """Seconds of each run in each round, [run][round], after one round that does not count."""
    seconds: list[list[float]] = [[] for _ in runs]
    for number in range(rounds + 1):
        order = range(len(runs)) if number % 2 else reversed(range(len(runs)))
        for index in order:
            start_s = time.perf_counter()
            runs[index]()
            if number:
                seconds[index].append(time.perf_counter() - start_s)
    return seconds


def spread(values: list[float], digits: int = 2) -> str:
    """The median and the range."""
    low, high = min(values), max(values)
    return f"{median(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def ratios(above: list[float], below: list[float]) -> list[float]:
    """One ratio for each round."""
    return [a / b for a, b in zip(above, below, strict=True)]


# -------------------------------------------------------------------- the model against a stack


def model(options: Options, frames: int = 8) -> None:
    """The network against 3x3 64-to-64 convolutions of equal arithmetic, fp32 and bf16."""
    restorer = Restorer("denoise", options.weights, "cpu")
    net = restorer.net
    width, height = options.size_px
    window = torch.rand(1, frames, 3, height // 8 * 8, width // 8 * 8)
    levels = LEVELS.tensor(torch.device("cpu"))
    pixels = window.numel() / 3
    # One convolution at half resolution, for one pixel at full resolution.
    convolution_macs = 9 * STACK_CHANNELS**2 / 4
    layers = round(net.spec.macs_per_pixel / convolution_macs)
    equal_work = net.spec.macs_per_pixel / (layers * convolution_macs)  # as layers are whole
    print(f"window {tuple(window.shape)}; {net.spec.macs_per_pixel / 1e3:.1f} kMAC for a pixel")
    print(f"stack: {layers} convolutions, {equal_work:.3f} of whose time is equal arithmetic's")

    def network(dtype: torch.dtype) -> Callable[[], object]:
        def run() -> None:
            net.body_dtype = dtype
            net.residual(window, levels)

        return run

    def stack(dtype: torch.dtype) -> Callable[[], object]:
        convolutions = nn.Sequential(
            *(nn.Conv2d(STACK_CHANNELS, STACK_CHANNELS, 3, padding=1) for _ in range(layers))
        )
        convolutions.to(dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        features = torch.rand(frames, STACK_CHANNELS, window.shape[3] // 2, window.shape[4] // 2)
        features = features.to(dtype).contiguous(memory_format=torch.channels_last)
        return lambda: convolutions(features)

    dtypes = (torch.float32, torch.bfloat16)
    with torch.inference_mode(), freed_memory_kept():
        times = interleave(options.rounds, *(make(d) for d in dtypes for make in (network, stack)))
    for dtype, net_s, stack_s in zip(dtypes, times[::2], times[1::2], strict=True):
        rate = [pixels / s / 1e6 for s in net_s]
        share = [r * equal_work for r in ratios(stack_s, net_s)]
        print(
            f"{dtype}: {spread(rate)} Mpixel/s, "
            f"{spread(share)} of the stack's rate (wanted: at least 0.6)"
        )
    report_choice(net, {torch.float32: times[0], torch.bfloat16: times[2]})


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Let glibc use freed memory again, for the network and for the stack alike.

    It is their arithmetic that is compared. Fresh pages for every tensor, which a restore needs for
    its memory not to grow, take a third of the time on some machines and next to none on others.
    """
    trim_threshold, mmap_max = -1, -4  # of malloc.h, with glibc's defaults below
    libc = ctypes.CDLL(None)
    libc.mallopt(trim_threshold, 2**31 - 1)
    libc.mallopt(mmap_max, 0)
    try:
        yield
    finally:
        libc.mallopt(mmap_max, 65536)
        libc.mallopt(trim_threshold, 128 << 10)
        libc.malloc_trim(0)


def report_choice(net: RestorationNet, seconds: dict[torch.dtype, list[float]]) -> None:
    """Ask the probe several times; its choice must never be slower than fp32."""
    choices = [choose_body_dtype(net, torch.device("cpu")) for _ in range(5)]
    for dtype in dict.fromkeys(choices):
        gain = ratios(seconds[torch.float32], seconds[dtype])
        print(
            f"the probe chose {dtype} {choices.count(dtype)} times of {len(choices)}: "
            f"{spread(gain)} times the speed of fp32 (wanted: at least 1)"
        )


def avx2(options: Options) -> None:
    """The model part where oneDNN may use no more than AVX2; it reads its limit once, at start."""
    command = [
        sys.executable,
        __file__,
        "model",
        "--size",
        "x".join(str(px) for px in options.size_px),
        "--rounds",
        str(options.rounds),
        *(["--weights", str(options.weights)] if options.weights else []),
    ]
    subprocess.run(command, check=True, env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"})


# --------------------------------------------------------------------------------- end to end


def end_to_end(options: Options) -> None:
    """`restore` against the model alone on the windows of the same clip."""
    restorer = Restorer("denoise", options.weights, "cpu")
    plan = WindowPlan()
    lengths = [len(window.items) for window in cut(range(options.frames), plan)]
    width, height = options.size_px
    batches = {length: torch.rand(length, 3, height, width) for length in set(lengths)}

    def model_alone() -> None:
        for length in lengths:
            restorer.residual(batches[length], LEVELS, steps=1)

    with tempfile.TemporaryDirectory() as temporary:
        clip = make_clip(Path(temporary), options.frames, options.size_px)
        runs: list[Timeline] = []

        def whole() -> None:
            runs.append(timed_restore(clip, options))

        alone_s, _ = interleave(options.rounds, model_alone, whole)
    runs = runs[1:]
    alone_fps = [options.frames / s for s in alone_s]
    steady_fps = [run.steady_fps for run in runs]
    steady = ratios(steady_fps, alone_fps)
    drained = ratios([run.drained_fps for run in runs], alone_fps)
    clip_overlap = sum(lengths) / options.frames - 1
    print(f"model alone, windows of {sorted(set(lengths))} frames: {spread(alone_fps)} frames/s")
    print(
        f"restore, x264 veryfast, steady state: {spread(steady_fps)} frames/s, "
        f"{spread(steady)} of the model alone (wanted: at least 0.85)"
    )
    print(f"the same until the file is finished: {spread(drained)} of the model alone")
    print(
        f"overlap: {100 * clip_overlap:.1f} % more frames than the clip has, "
        f"{100 * overlap(plan):.1f} % in an endless one (wanted: at most 25 %)"
    )
    print(
        f"start-up: {spread([run.startup_s for run in runs])} s for probe, weights, dtype, "
        f"noise level and first frames; {spread(import_times_s())} s for imports before that"
    )


@dataclass(frozen=True)
class Timeline:
    """When what happened in one run.

    Attributes:
        startup_s: Until the first window was restored, less the time of that window.
        steady_fps: Frames per second from the first window to the last one.
        drained_fps: Frames per second from the first window to the finished file.
    """

    startup_s: float
    steady_fps: float
    drained_fps: float


def timed_restore(clip: Path, options: Options) -> Timeline:
    restored_s: list[float] = []
    settings = RestoreSettings(
        device="cpu",
        weights=options.weights,
        overwrite=True,
        plan=WindowPlan(),
        encode=EncodeSettings(preset="veryfast"),
    )
    start_s = time.monotonic()
    result = restore(
        clip,
        clip.with_name("restored.mp4"),
        settings,
        lambda _: restored_s.append(time.monotonic()),
    )
    finished_s = start_s + result.wall_s
    if result.steady_fps is None:
        raise SystemExit("the clip is too short: two windows are needed for a steady state")
    plan = settings.plan
    first_frames = plan.window_frames - plan.overlap_frames  # what the first window gives
    first_s = restored_s[0]
    window_s = first_frames / result.steady_fps
    return Timeline(
        first_s - start_s - window_s,
        result.steady_fps,
        (result.frames - first_frames) / (finished_s - first_s),
    )


def overlap(plan: WindowPlan) -> float:
    """Share of frames that the model sees more than once in an endless clip."""
    frames = 20 * plan.segment_frames
    return sum(len(window.items) for window in cut(range(frames), plan)) / frames - 1


def import_times_s() -> list[float]:
    command = [sys.executable, "-c", "import vidrestore.runs.pipeline"]
    return interleave(3, lambda: subprocess.run(command, check=True))[0]


def make_clip(folder: Path, frames: int, size_px: tuple[int, int]) -> Path:
    """A moving test picture with noise."""
    width, height = size_px
    path = folder / f"clip-{frames}.mp4"
    source = f"testsrc2=size={width}x{height}:rate=25,noise=alls=20:allf=t,format=yuv420p"
    argv = [
        find_ffmpeg(),
        "-f",
        "lavfi",
        "-i",
        source,
        "-frames:v",
        str(frames),
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-crf",
        "20",
        media_url(path),
    ]
    with FfmpegProcess(argv) as process:
        process.finish()
    return path


# ------------------------------------------------------------------------------------- memory


def memory(options: Options) -> None:
    """Peak memory of the whole process tree on a short and on a ten times longer clip."""
    short, long = round(0.3 * options.frames), 3 * options.frames
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clips = [make_clip(folder, frames, options.size_px) for frames in (short, long)]
        peaks: list[list[float]] = [[], []]
        for _ in range(min(options.rounds, 3)):
            for clip, seen in zip(clips, peaks, strict=True):
                seen.append(peak_memory_mb(clip, options))
    print(
        f"peak of summed PSS, sampled every {1000 * SAMPLE_INTERVAL_S:.0f} ms: "
        f"{spread(peaks[0], 0)} MB on {short} frames, {spread(peaks[1], 0)} on {long}"
    )
    growth = [100 * (ratio - 1) for ratio in ratios(peaks[1], peaks[0])]
    print(f"growth: {spread(growth, 1)} % (wanted: within 5 %)")


def peak_memory_mb(clip: Path, options: Options) -> float:
    command = [
        sys.executable,
        "-m",
        "vidrestore",
        "restore",
        str(clip),
        "-y",
        "-q",
        "--device",
        "cpu",
        "-o",
        str(clip.with_name("restored.mp4")),
        "--preset",
        "veryfast",
        *(["--weights", str(options.weights)] if options.weights else []),
    ]
    peak_kb = 0
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            peak_kb = max(peak_kb, sum(pss_kb(pid) for pid in tree(process.pid)))
            time.sleep(SAMPLE_INTERVAL_S)
    if process.returncode:
        raise SystemExit(f"restore ended with {process.returncode}")
    return peak_kb / 1000


def tree(pid: int) -> Iterator[int]:
    """A process and all its descendants."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            below = children.read_text().split()
        except OSError:
            continue  # it ended meanwhile
        for child in below:
            yield from tree(int(child))


def pss_kb(pid: int) -> int:
    """Memory of a process, pages shared with others counted in part, in kB."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0  # it ended meanwhile
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


# ------------------------------------------------------------------------------------ a frame


def frame(options: Options, frames: int = 8) -> None:
    """What to expect for one 1080p frame, the model alone."""
    restorer = Restorer("denoise", options.weights, options.device)
    window = torch.rand(frames, 3, 1080, 1920)
    times = interleave(min(options.rounds, 3), lambda: restorer.residual(window, LEVELS, 1).cpu())
    per_frame_s = [seconds / frames for seconds in times[0]]
    print(f"{restorer.device}, {restorer.dtype}: {spread(per_frame_s, 3)} s for a 1920x1080 frame")


if __name__ == "__main__":
    main()

"""What carrying frames through costs: restoring with a model that does nothing, against ffmpeg.

    python benchmarks/fidelity.py                       # about three minutes
    python benchmarks/fidelity.py --presets medium      # one preset of x264

`restore` runs whole: decoding, planes to RGB, windows, a residual of zeros blended and added to the
planes, encoding, joining, checking and the receipt. Only the network is replaced by the identity.
ffmpeg transcodes the same clip to the same codec, preset and quality with one command. Both run in
turns, in alternating order; a ratio is formed within a round, and the figure is the median of all
rounds with the range beside it. Wanted: at least 0.5. The same ratio of processor time says what
the work is; it depends less on what else the machine does.

`--profile` prints the functions that the time goes to instead.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import resource
import tempfile
import time
from pathlib import Path
from statistics import median
from unittest import mock

import torch
from torch import Tensor

from vidrestore.encoders.codecs import ENCODERS, EncodeSettings
from vidrestore.media.ffmpeg import FfmpegProcess, find_ffmpeg, media_url
from vidrestore.network.diffuse import Levels, Restorer
from vidrestore.runs import pipeline
from vidrestore.settings import RestoreSettings

WANTED = 0.5
EXAMPLE = Path(__file__).parent.parent / "examples" / "noisy.mp4"


class Identity(Restorer):
    """A network that leaves every frame as it is, in no time: the zeros are made once."""

    zeros: Tensor | None = None

    def residual(self, window: Tensor, levels: Levels, steps: int | None) -> Tensor:
        """Zeros, (T, 3, H, W) float32; the pipeline writes to them, but nothing else than 0."""
        if self.zeros is None or self.zeros.shape != window.shape:
            self.zeros = torch.zeros_like(window)
        return self.zeros


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="640x480", metavar="WxH")
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--presets", nargs="+", default=["medium", "veryfast"])
    parser.add_argument("--profile", action="store_true", help="Show where the time goes.")
    given = parser.parse_args()
    width, height = (int(part) for part in given.size.split("x"))
    with (
        mock.patch.object(pipeline, "Restorer", Identity),
        tempfile.TemporaryDirectory() as temporary,
    ):
        clip = make_clip(Path(temporary), width, height, given.frames)
        if given.profile:
            profile(clip, given.presets[0])
            return
        print(f"{width}x{height}, {given.frames} frames, torch threads {torch.get_num_threads()}")
        for preset in given.presets:
            measure(clip, preset, given.frames, given.rounds)


def make_clip(folder: Path, width: int, height: int, frames: int) -> Path:
    """The noisy example, repeated and enlarged; its noise is the encoder's usual work."""
    path = folder / "clip.mp4"
    run(
        *("-stream_loop", "-1", "-i", media_url(EXAMPLE), "-an"),
        *("-vf", f"scale={width}:{height}", "-frames:v", str(frames)),
        *("-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-y", media_url(path)),
    )
    return path


def measure(clip: Path, preset: str, frames: int, rounds: int) -> None:
    """Print the rates of both and their ratio."""
    runs: dict[str, list[tuple[float, float]]] = {"ours": [], "plain": []}
    for number in range(rounds + 1):
        for name in ("ours", "plain") if number % 2 else ("plain", "ours"):
            start_s, start_cpu_s = time.perf_counter(), cpu_s()
            (restored if name == "ours" else transcode)(clip, preset)
            if number:  # the first round warms up
                runs[name].append((time.perf_counter() - start_s, cpu_s() - start_cpu_s))
    pairs = list(zip(runs["ours"], runs["plain"], strict=True))
    ours, plain = ([frames / wall_s for wall_s, _ in runs[name]] for name in ("ours", "plain"))
    print(
        f"x264 {preset}: vidrestore {spread(ours, 0)} fps, ffmpeg {spread(plain, 0)} fps, "
        f"ratio {spread([theirs[0] / mine[0] for mine, theirs in pairs])} "
        f"(wanted: at least {WANTED}); of processor time "
        f"{spread([theirs[1] / mine[1] for mine, theirs in pairs])}",
        flush=True,
    )


def cpu_s() -> float:
    """Processor time of this process and of all that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def restored(clip: Path, preset: str) -> None:
    """Everything that `restore` does by default, but for the network."""
    settings = RestoreSettings(encode=EncodeSettings(preset=preset), overwrite=True, device="cpu")
    pipeline.restore(clip, clip.with_name("restored.mp4"), settings)


def transcode(clip: Path, preset: str) -> None:
    """The same by ffmpeg alone."""
    encoder = ENCODERS["h264"][0]
    run(
        *("-i", media_url(clip), "-c:v", encoder.name, "-preset", preset),
        *("-crf", str(encoder.crf), "-y", media_url(clip.with_name("plain.mp4"))),
    )


def profile(clip: Path, preset: str) -> None:
    """Print the functions of the main thread that take most of the time."""
    restored(clip, preset)
    profiler = cProfile.Profile()
    profiler.runcall(restored, clip, preset)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(20)


def run(*arguments: str) -> None:
    with FfmpegProcess([find_ffmpeg(), *arguments]) as process:
        process.finish()


def spread(values: list[float], digits: int = 2) -> str:
    """The median and the range."""
    low, high = min(values), max(values)
    return f"{median(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


if __name__ == "__main__":
    main()

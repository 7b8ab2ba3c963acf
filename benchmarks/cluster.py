"""What a second worker of a Ray cluster is worth: one film by one worker, by two, and here.

    python benchmarks/cluster.py [--segments 8] [--frames 160] [--size 320x192]

A local cluster with one worker has one core for everything, one with two workers has two. Every
cluster is started before the clock; the clock runs from the film to the finished output, the start
of the workers' libraries included. Wanted: two take at most 1/1.8 of the time of one, and the same
frames come out of both as out of a run without a cluster.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vidrestore.cluster.connection import connect
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.media.decode import Decoder
from vidrestore.media.ffmpeg import FfmpegProcess, find_ffmpeg
from vidrestore.media.probe import probe
from vidrestore.network.windows import WindowPlan
from vidrestore.runs.pipeline import restore
from vidrestore.settings import RestoreSettings

WANTED = 1.8

CLUSTER = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
}


def settings(frames: int) -> RestoreSettings:
    """One segment is `frames` long: the film has no cuts, so each is as long as it may be."""
    return RestoreSettings(
        sigma=15.0,
        encode=EncodeSettings(preset="veryfast", threads=1),
        plan=WindowPlan(segment_frames=frames // 2),
    )


def make_film(path: Path, size: str, frames: int) -> None:
    graph = f"testsrc2=size={size}:rate=24,noise=alls=15:allf=t:all_seed=1,format=yuv420p"
    source = ["-f", "lavfi", "-i", graph, "-frames:v", str(frames)]
    with FfmpegProcess([find_ffmpeg(), *source, "-c:v", "libx264", str(path)]) as process:
        process.finish()


def frames_of(path: Path) -> str:
    """A hash of the time and the samples of every decoded frame."""
    digest = hashlib.sha256()
    with Decoder(probe(path), ffmpeg=find_ffmpeg()) as decoder:
        for frame in decoder:
            digest.update(str(frame.pts).encode())
            for plane in frame.planes:
                digest.update(plane.tobytes())
    return digest.hexdigest()


def run(film: Path, output: Path, frames: int, workers: int) -> dict[str, float]:
    """Restore here, or by a cluster of so many workers, each with one core."""
    cores = sorted(os.sched_getaffinity(0))[: max(1, workers)]
    os.sched_setaffinity(0, cores)
    if len(cores) < workers:
        raise SystemExit(f"{workers} workers need {workers} cores")
    if not workers:
        start_s = time.monotonic()
        restore(film, output, settings(frames))
        return {"wall_s": time.monotonic() - start_s}
    import ray

    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        ray.init(
            num_cpus=workers,
            include_dashboard=False,
            object_store_memory=80 << 20,
            _temp_dir=folder,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        try:
            with connect() as crew:
                start_s = time.monotonic()
                result = restore(film, output, settings(frames), crew=crew)
                wall_s = time.monotonic() - start_s
        finally:
            ray.shutdown()
    return {"wall_s": wall_s, "model_s": result.model_s}


def measured(film: Path, output: Path, frames: int, workers: int) -> dict[str, float]:
    """The same in a process of its own, whose threads and cores are chosen before it starts."""
    command = [sys.executable, __file__, "--run", str(film), str(output), str(frames), str(workers)]
    environment = {**os.environ, **CLUSTER, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--segments", type=int, default=8)
    parser.add_argument("--frames", type=int, default=160, help="Frames of a segment.")
    parser.add_argument("--size", default="320x192")
    parser.add_argument("--run", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        film, output, frames, workers = options.run
        print(json.dumps(run(Path(film), Path(output), int(frames), int(workers))))
        return
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        make_film(film, options.size, options.segments * options.frames)
        found, wall_s = {}, {}
        for workers in (0, 1, 2):
            output = Path(folder) / f"by-{workers}.mp4"
            figures = measured(film, output, options.frames, workers)
            found[workers], wall_s[workers] = frames_of(output), figures["wall_s"]
            by = f"{workers} worker{'s' * (workers > 1)}" if workers else "here, one core"
            print(f"{by}: {figures['wall_s']:.1f} s", flush=True)
    same = "identical" if len(set(found.values())) == 1 else "NOT IDENTICAL"
    ratio = wall_s[1] / wall_s[2]
    print(f"{options.segments} segments of {options.frames} frames: the frames are {same}")
    held = "holds" if ratio >= WANTED else "DOES NOT HOLD"
    print(f"two workers are {ratio:.2f} times as fast as one: {WANTED} is wanted: {held}")


if __name__ == "__main__":
    main()

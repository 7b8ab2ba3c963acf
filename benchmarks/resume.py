"""What it costs to be killed: a run that is killed once and goes on, against one that is not.

    python benchmarks/resume.py [CLIP] [--rounds 3] [--segment 12]

Prints, for each round, the seconds of an undisturbed run and of one that is killed (kill -9) half
way, but not before a segment is finished, and started again. Wanted: at most the time of one
segment plus 10 s; that time is the undisturbed run's by the share of its frames.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.media.probe import probe
from vidrestore.network.windows import WindowPlan
from vidrestore.runs.journal import load
from vidrestore.runs.pipeline import restore
from vidrestore.runs.workfolder import work_folder
from vidrestore.settings import RestoreSettings

EXAMPLE = Path(__file__).parent.parent / "examples" / "noisy.mp4"


def start(source: Path, output: Path, segment_frames: int) -> int:
    """Run in a process of its own, forked before torch has any thread."""
    pid = os.fork()
    if pid == 0:
        _run(source, output, segment_frames)
    return pid


def _run(source: Path, output: Path, segment_frames: int) -> NoReturn:
    settings = RestoreSettings(
        sigma=15.0,
        encode=EncodeSettings(preset="veryfast"),
        plan=WindowPlan(segment_frames=segment_frames),
    )
    try:
        restore(source, output, settings)
    except BaseException as error:
        print(f"the run failed: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def undisturbed(source: Path, output: Path, segment_frames: int) -> float:
    start_s = time.monotonic()
    demand(start(source, output, segment_frames))
    return time.monotonic() - start_s


def demand(pid: int) -> None:
    if os.waitpid(pid, 0)[1] != 0:
        raise SystemExit("a run failed")


def killed_once(
    source: Path, output: Path, segment_frames: int, after_s: float
) -> tuple[float, int]:
    """Seconds of both runs together, and the frames that the first had finished."""
    start_s = time.monotonic()
    pid = start(source, output, segment_frames)
    time.sleep(after_s)
    while not (work := load(work_folder(output), verify=False)) or not work.frames:
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    former = load(work_folder(output), verify=False)
    demand(start(source, output, segment_frames))
    return time.monotonic() - start_s, 0 if former is None else former.frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path, nargs="?", default=EXAMPLE)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--segment", type=int, default=12, help="Frames of a segment.")
    options = parser.parse_args()
    extra = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            plain, killed = (Path(folder) / f"{kind}{number}.mp4" for kind in ("plain", "killed"))
            whole_s = undisturbed(options.clip, plain, options.segment)
            both_s, kept = killed_once(options.clip, killed, options.segment, 0.55 * whole_s)
            extra.append(both_s - whole_s)
            print(
                f"round {number + 1}: undisturbed {whole_s:.1f} s, killed once {both_s:.1f} s, "
                f"{extra[-1]:+.1f} s; {kept} frames were kept"
            )
    segment_s = whole_s * options.segment / (probe(options.clip).frames or options.segment)
    print(f"median of {options.rounds}: {statistics.median(extra):+.1f} s")
    most_s = segment_s + 10
    held = "holds" if max(extra) <= most_s else "DOES NOT HOLD"
    print(f"a segment takes about {segment_s:.1f} s: at most {most_s:+.1f} s is wanted: {held}")


if __name__ == "__main__":
    main()

"""Runs of restore() in processes of their own, which tests kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from tests.conftest import Clips, decode_all
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.errors import VidrestoreError
from vidrestore.media.timeline import Rate, Retiming
from vidrestore.network import weights
from vidrestore.network.model import ModelSpec, RestorationNet
from vidrestore.network.windows import WindowPlan
from vidrestore.runs.pipeline import RestoreResult, restore
from vidrestore.settings import RestoreSettings
from vidrestore.timing.fill import CANDIDATES

REPOSITORY = Path(__file__).parent.parent

PLAN = WindowPlan(segment_frames=4, context_frames=2, window_frames=6, overlap_frames=1)


def settings_of(values: dict[str, Any]) -> RestoreSettings:
    """Settings from plain JSON values, with segments as short as can be."""
    values = dict(values)
    plan = WindowPlan(**values.pop("plan")) if "plan" in values else PLAN
    encode = EncodeSettings(**values.pop("encode", {"preset": "ultrafast"}))
    fps, slow = values.pop("fps", None), values.pop("slow", None)
    retiming = Retiming(fps=None if fps is None else Rate(Fraction(fps)), slow=Fraction(slow or 1))
    for name in ("weights", "cuts"):
        if name in values:
            values[name] = Path(values[name])
    for name in ("start", "end"):
        if isinstance(values.get(name), str):
            values[name] = Fraction(values[name])
    values["tasks"] = tuple(values.get("tasks", ()))
    return RestoreSettings(plan=plan, encode=encode, retiming=retiming, **values)


class Runs:
    """Runs in processes that are forked from one that has imported everything.

    Attributes:
        pid: Of the run that was started last.
    """

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.resuming"],
            cwd=REPOSITORY,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = 0

    def start(self, source: Path, output: Path, **values: Any) -> None:
        assert self._server.stdin is not None
        request = {"source": str(source), "output": str(output), "values": values}
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        self.pid = int(self._line()["pid"])

    def finish(self) -> dict[str, Any]:
        """Wait for the end: the exit status, negative for a signal, and what was said."""
        return self._line()

    def _line(self) -> dict[str, Any]:
        assert self._server.stdout is not None
        answer: dict[str, Any] = json.loads(self._server.stdout.readline())
        return answer

    def close(self) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()


def serve() -> None:
    """Answer requests from standard input; a run's exit status is that of the command line."""
    for line in sys.stdin:
        request = json.loads(line)
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            answer = attempt(request)
            with os.fdopen(write, "w") as said:
                said.write(json.dumps(answer))
            os._exit(answer["status"])
        os.close(write)
        _answer({"pid": pid})
        with os.fdopen(read) as said:
            text = said.read()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        _answer({"said": "", **json.loads(text or "{}"), "status": status})


def _answer(values: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def attempt(request: dict[str, Any]) -> dict[str, Any]:
    try:
        result = here(Path(request["source"]), Path(request["output"]), **request["values"])
    except VidrestoreError as error:
        return {"status": int(error.exit_code), "said": f"{error} (try: {error.hint})"}
    except BaseException:
        return {"status": 1, "said": traceback.format_exc()}
    return {"status": 0, "resumed": result.resumed_frames, "warnings": list(result.warnings)}


def here(source: Path, output: Path, **values: Any) -> RestoreResult:
    """The same run in this process."""
    return restore(source, output, settings_of(values))


IRREGULAR = "settb=1/90000,setpts='N*3750+mod(N,3)*411+if(gt(N,30),1700,0)'"


def make_film(clips: Clips, name: str, frames: Sequence[int], times: str = IRREGULAR) -> Path:
    """Four shots, so many frames each, with B-frames and sound; a filter says when frames come."""
    inputs, graph = [], ""
    kinds = ("testsrc", "mandelbrot", "smptebars", "testsrc2")
    for number, (kind, count) in enumerate(zip(kinds, frames, strict=True)):
        inputs += ["-f", "lavfi", "-i", f"{kind}=size=64x48:rate=24,trim=end_frame={count}"]
        graph += f"[{number}]setsar=1,format=yuv420p[s{number}];"
    graph += f"[s0][s1][s2][s3]concat=n=4,noise=alls=8:allf=t:all_seed=3,{times}[v]"
    timing = ("-fps_mode", "passthrough", "-enc_time_base", "1/90000")
    video = ("-c:v", "libx264", "-bf", "3", "-g", "10", "-c:a", "aac")
    return clips.make(
        name, "-filter_complex", graph, "-map", "[v]", "-map", "4:a", *timing, *video,
        source=[*inputs, *clips.tone(sum(frames) / 24)],
    )  # fmt: skip


def make_networks(folder: Path) -> Path:
    """Small weights that do something, for both tasks; returns the folder."""
    import torch

    torch.manual_seed(1)
    for task, spec in {
        "denoise": ModelSpec(channels=(8, 8, 8)),
        "interpolate": ModelSpec(channels=(8, 8, 8), candidates=CANDIDATES),
    }.items():
        net = RestorationNet(spec)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
        weights.save(net, folder, task=task, size="test", card={})
    return folder


def content(path: Path, ffmpeg: str) -> list[tuple[int, tuple[bytes, ...]]]:
    """Time and samples of every decoded frame."""
    return [(f.pts, tuple(p.tobytes() for p in f.planes)) for f in decode_all(path, ffmpeg)]


def assert_no_orphan(output: Path) -> None:
    """No process still has the output's name on its command line."""
    deadline_s = time.monotonic() + 10
    while time.monotonic() < deadline_s:
        lines = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                lines.append(entry.read_bytes())
            except OSError:
                continue
        if not any(str(output).encode() in line for line in lines):
            return
        time.sleep(0.05)
    raise AssertionError("an ffmpeg outlives us")


if __name__ == "__main__":
    serve()

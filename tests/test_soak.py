"""A very long video: neither memory nor open files grow with it."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest
import torch

from tests.conftest import Clips, run_ffmpeg
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.network import weights
from vidrestore.network.model import ModelSpec, RestorationNet
from vidrestore.network.windows import WindowPlan
from vidrestore.runs.pipeline import restore
from vidrestore.runs.segments import Progress
from vidrestore.settings import RestoreSettings


@pytest.fixture(scope="module")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a network that costs next to nothing, so that everything else shows."""
    torch.manual_seed(0)
    net = RestorationNet(ModelSpec(channels=(8, 8, 8), middle_blocks=1))
    folder = tmp_path_factory.mktemp("weights")
    return weights.save(net, folder, task="denoise", size="tiny", card={"licence": "CC0"})


@dataclass(frozen=True)
class Held:
    """What our process holds at one moment: MiB of memory in use, open file descriptors."""

    rss_mib: float
    descriptors: int

    @classmethod
    def now(cls) -> Held:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(pages * os.sysconf("SC_PAGESIZE") / 2**20, len(os.listdir("/proc/self/fd")))  # noqa: PTH208


def soaked(clips: Clips, folder: Path, small_weights: Path, frames: int) -> list[Held]:
    """What is held at every tenth of a long run, from the second on."""
    source = clips.folder / f"long-{frames}.mkv"
    picture = f"testsrc2=size=64x64:rate=25,trim=end_frame={frames}"
    video = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-pix_fmt", "yuv420p")
    run_ffmpeg(clips.ffmpeg, "-f", "lavfi", "-i", picture, *video, source)
    held: dict[int, list[Held]] = defaultdict(list)
    settings = RestoreSettings(
        sigma=10,
        weights=small_weights,
        encode=EncodeSettings(preset="ultrafast"),
        plan=WindowPlan(segment_frames=max(48, frames // 200), window_frames=24),
    )

    def look(progress: Progress) -> None:
        if progress.done % (frames // 200) == 0:  # else these notes are what grows
            held[progress.done * 10 // frames].append(Held.now())

    result = restore(source, folder / "out.mkv", settings, look)
    assert result.frames == frames
    source.unlink()
    return [
        Held(median(h.rss_mib for h in some), max(h.descriptors for h in some))
        for tenth, some in sorted(held.items())
        if 0 < tenth < 10
    ]


def flat(held: list[Held], grown_mib: float) -> None:
    assert held[-1].rss_mib - held[1].rss_mib < grown_mib
    assert held[-1].descriptors <= held[1].descriptors + 6, "a few belong to what just runs"


def test_a_long_video_holds_no_more_at_its_end(
    clips: Clips, tmp_path: Path, small_weights: Path
) -> None:
    flat(soaked(clips, tmp_path, small_weights, 3000), grown_mib=12)


@pytest.mark.soak
def test_a_hundred_thousand_frames_hold_no_more_at_the_end(
    clips: Clips, tmp_path: Path, small_weights: Path
) -> None:
    flat(soaked(clips, tmp_path, small_weights, 100_000), grown_mib=24)

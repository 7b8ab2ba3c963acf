"""Segments made on their own, by others than the run that asks for them, are the run's own."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Clips
from tests.resuming import content, make_film, make_networks, settings_of
from vidrestore.runs.journal import Landmark
from vidrestore.runs.pipeline import RestoreResult, restore
from vidrestore.runs.recipe import Made, Networks, Recipe, adopted, make_segment


class Backwards:
    """A crew of one who starts from the last segment, with nothing but what can be sent."""

    def __init__(self, *notes: str) -> None:
        self.notes = notes

    def conditions(self, recipe: Recipe, networks: Networks, folder: Path) -> dict[str, Any]:
        return networks.conditions()

    def make(
        self,
        recipe: Recipe,
        conditions: Mapping[str, Any],
        folder: Path,
        begins: Iterator[Landmark],
        on_progress: Callable[[int], None],
    ) -> Iterator[tuple[Made, int | None]]:
        sent: Recipe = pickle.loads(pickle.dumps(recipe))
        networks = Networks(sent.settings)
        networks.adopt(conditions)
        starts = list(begins)
        made = {
            start.segment: make_segment(sent, networks, start, folder / f"segment-x{number}.nut")
            for number, start in reversed(list(enumerate(starts)))
        }
        following = [*(start.segment for start in starts[1:]), None]
        for start, after in zip(starts, following, strict=True):
            yield replace(made[start.segment], notes=self.notes), after


@pytest.fixture(scope="module")
def film(clips: Clips) -> Path:
    return make_film(clips, "made.mp4", (9, 8, 5, 6))


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_networks(tmp_path_factory.mktemp("weights"))


CASES: dict[str, dict[str, Any]] = {
    "denoised": {"tasks": ("denoise",), "sigma": 12.0},
    "more frames": {"tasks": (), "fps": "50"},
    "fewer frames than segments": {"tasks": (), "fps": "3"},
    "slow": {"tasks": ("denoise",), "sigma": 12.0, "slow": "2"},
    "repaired": {"tasks": (), "fill": True},
    "a part": {"tasks": ("denoise",), "sigma": 12.0, "start": 3, "end": 22},
}


def told(result: RestoreResult) -> tuple[object, ...]:
    return result.frames, result.made_frames, result.cuts, result.drift, result.warnings


@pytest.mark.parametrize("asked", CASES.values(), ids=CASES.keys())
def test_segments_made_in_any_order_are_those_of_a_run(
    film: Path, networks: Path, tmp_path: Path, clips: Clips, asked: dict[str, Any]
) -> None:
    settings = settings_of({**asked, "weights": str(networks)})
    here = restore(film, tmp_path / "here.mp4", settings)
    sent = restore(film, tmp_path / "sent.mp4", settings, crew=Backwards())
    assert content(tmp_path / "sent.mp4", clips.ffmpeg) == content(
        tmp_path / "here.mp4", clips.ffmpeg
    )
    assert told(sent) == told(here)


def test_where_seeking_is_a_guess(film: Path, networks: Path, tmp_path: Path, clips: Clips) -> None:
    encode = ("-r", "24", "-c:v", "mpeg4", "-q:v", "3", "-bf", "0")
    avi = clips.make("made.avi", *encode, source=["-i", str(film)])
    settings = settings_of({**CASES["denoised"], "weights": str(networks)})
    restore(avi, tmp_path / "here.mkv", settings)
    restore(avi, tmp_path / "sent.mkv", settings, crew=Backwards())
    assert content(tmp_path / "sent.mkv", clips.ffmpeg) == content(
        tmp_path / "here.mkv", clips.ffmpeg
    )


def test_what_a_crew_notes_is_told_once(film: Path, networks: Path, tmp_path: Path) -> None:
    settings = settings_of({**CASES["denoised"], "weights": str(networks)})
    crew = Backwards("node7 has another kind of processor")
    result = restore(film, tmp_path / "out.mp4", settings, crew=crew)
    said = [line for line in result.warnings if "node7" in line]
    assert len(said) == 1
    assert said[0].startswith("not bit-identical")


def test_an_earlier_run_decides_what_can_be_chosen() -> None:
    now = {"device": ["cpu", "cuda"], "dtype": ["bfloat16"] * 2, "torch_threads": 8, "cores": 8}
    former = {"device": ["cpu", "cpu"], "dtype": ["float32"] * 2, "torch_threads": 2, "cores": 2}
    chosen = adopted(now, former)
    assert chosen["dtype"] == ["float32", "bfloat16"]  # the second was on another device
    assert chosen["torch_threads"] == 2
    assert chosen["cores"] == 8

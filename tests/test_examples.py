"""The examples run as a user would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import vidrestore
from tests.browsing import browser
from tests.test_house import ROOT

EXAMPLES = ROOT / "examples"


def run(script: str, *arguments: str | Path) -> str:
    """What a script prints."""
    return subprocess.run(
        [sys.executable, EXAMPLES / script, *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ).stdout


def test_readme_names_every_file_and_tests_run_every_script() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    for path in EXAMPLES.iterdir():
        if path.is_file() and path.name != "README.md":
            assert f"| `{path.name}` |" in listed
        if path.suffix == ".py":
            assert f'"{path.name}"' in tests


@pytest.mark.parametrize("frames", [6, pytest.param(70, marks=pytest.mark.slow)])
def test_clips_are_those_that_the_script_makes(frames: int, tmp_path: Path) -> None:
    said = run("make_clip.py", tmp_path, str(frames))
    assert len(said.splitlines()) == 2
    for name, most in (("clean.mp4", 1e-4), ("noisy.mp4", 3e-3)):
        made, kept = (vidrestore.probe(folder / name) for folder in (tmp_path, EXAMPLES))
        assert (made.width, made.height, made.frames) == (kept.width, kept.height, frames)
        assert [each.kind for each in made.streams] == [each.kind for each in kept.streams]
        ours, theirs = (
            vidrestore.read_frames(folder / name, frames // 2, frames // 2 + 3)
            for folder in (tmp_path, EXAMPLES)
        )
        assert np.square(ours - theirs).mean() < most  # it would be 1.2e-2 for other noise


@pytest.mark.slow
def test_screenshots_are_made(tmp_path: Path) -> None:
    with browser():
        pass  # or it is skipped
    assert len(run("make_screenshots.py", tmp_path).splitlines()) >= 2
    for scheme in ("light", "dark"):
        assert (tmp_path / f"report-{scheme}.webp").stat().st_size > 20_000

"""Broken files restored from end to end: whole, or refused with a documented exit code."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.conftest import Clips, decode_all
from tests.mutate import mutated, write
from tests.test_cli import run
from tests.test_mutations import LONGEST_S, at_most
from vidrestore.errors import ExitCode
from vidrestore.media.ffmpeg import SAFE_INPUT, media_url
from vidrestore.media.inspection import inspect
from vidrestore.media.tracks import read_tracks

EXPECTED = {ExitCode.SUCCESS, ExitCode.INPUT, ExitCode.FFMPEG, ExitCode.OUTPUT, ExitCode.CHECK}
EXPECTED |= {ExitCode.USAGE}
"""What may come of a broken file; USAGE: what it claims does not go with what was asked."""


def restored(
    clips: Clips, folder: Path, words: Callable[[], str], numbers: Iterable[int]
) -> Counter[ExitCode]:
    """Restore mutated files through the command line and judge what is left of each run.

    Args:
        clips: Makes the seeds.
        folder: For the files.
        words: What was said on standard error since it was asked last.
        numbers: Of the files.
    """
    found: Counter[ExitCode] = Counter()
    for number in numbers:
        ((name, content),) = mutated(clips, 1, first=number)
        place = folder / str(number)
        place.mkdir()
        path, output = write(place, name, content), place / "out.mkv"
        report = place / "report.json"
        few = ("--sigma", "10", "--codec", "ffv1", "-q", "--no-resume", "--report", report)
        with at_most(LONGEST_S):
            code = ExitCode(run("restore", path, "-o", output, *few))
        said = words()
        assert code in EXPECTED, f"{name}: {said}"
        assert "Traceback" not in said, name
        assert output.exists() == (code == ExitCode.SUCCESS), name
        if output.exists():  # then it is whole
            frames = json.loads(report.read_text())["output"]["frames"]
            tracks = read_tracks(media_url(output), SAFE_INPUT)
            packets = tracks[inspect(output).stream_index].pts
            assert frames == len(packets) == len(decode_all(output, clips.ffmpeg)) > 0, name
        else:
            errors = [line for line in said.splitlines() if line.startswith("error: ")]
            assert len(errors) == 1, f"{name}: {said}"
            assert "(try: " in errors[0], name
        kept = {path.name, output.name, report.name, f"{output.name}.vidrestore"}
        assert {entry.name for entry in place.iterdir()} <= kept, name
        found[code] += 1
        shutil.rmtree(place)
    return found


def test_60_broken_files_are_restored_or_refused(
    clips: Clips, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = list(range(0, 60 * 23, 23))  # each another seed and another kind of damage
    found = restored(clips, tmp_path, lambda: capsys.readouterr().err, numbers)
    assert found[ExitCode.SUCCESS] > 10 < found[ExitCode.INPUT]


@pytest.mark.slow
def test_1000_broken_files_are_restored_or_refused(
    clips: Clips, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = restored(clips, tmp_path, lambda: capsys.readouterr().err, range(1000))
    assert found[ExitCode.SUCCESS] > 200


@pytest.mark.soak
def test_20000_broken_files_are_restored_or_refused(
    clips: Clips, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = restored(clips, tmp_path, lambda: capsys.readouterr().err, range(1000, 21_000))
    assert found[ExitCode.SUCCESS] > 4000

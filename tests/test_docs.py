"""The guides run, and the reference of the command line is what the program says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests import cli_reference
from tests.cli_reference import Command
from tests.conftest import run_ffmpeg
from tests.test_house import COMMAND, ROOT, blocks, commands
from vidrestore.cli import app, main

COMMANDS = cli_reference.commands()
EACH = pytest.mark.parametrize("command", [pytest.param(each, id=each.name) for each in COMMANDS])


def test_reference_is_what_the_program_says() -> None:
    """After a change on purpose: python -m tests.cli_reference."""
    assert cli_reference.PAGE.read_text() == cli_reference.page()


def test_reference_depends_on_no_terminal_and_no_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = "from tests.cli_reference import page; import sys; sys.stdout.write(page())"
    monkeypatch.chdir(tmp_path)
    strange = {"COLUMNS": "20", "TERM": "dumb", "VIDRESTORE_FFMPEG": "/nowhere"}
    said = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        env={**os.environ, **strange, "PYTHONPATH": str(ROOT)},
    ).stdout
    assert said == cli_reference.PAGE.read_bytes()


@EACH
def test_every_option_says_what_it_does(command: Command) -> None:
    for parameter in command.parameters:
        assert re.fullmatch(r"[A-Za-z].*[.)]", parameter.help), parameter.names
        if parameter.repeatable and not parameter.positional:
            assert "repeatable" in parameter.help, parameter.names


@EACH
def test_help_and_reference_name_the_same_options(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERMINAL_WIDTH", "250")
    help_text = CliRunner().invoke(app, [command.name, "--help"], terminal_width=250).output
    shown = set(re.findall(r"--[a-z][a-z-]+", help_text))
    told = {
        word
        for parameter in command.parameters
        for word in "/".join(parameter.names).split("/")
        if word.startswith("--")
    }
    known = COMMAND.commands[command.name].params
    assert told == {
        word for each in known for word in (*each.opts, *each.secondary_opts) if word[:2] == "--"
    }
    assert told <= shown


def test_readme_leads_to_every_guide() -> None:
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)\)", (ROOT / "README.md").read_text()))
    assert linked == {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}


@pytest.fixture
def in_a_checkout(tmp_path: Path, ffmpeg: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the examples in it, smaller and shorter, and nothing else."""
    (tmp_path / "examples").mkdir()
    for name in ("clean.mp4", "noisy.mp4"):
        small = ("-vf", "scale=96:72", "-c:v", "libx264", "-crf", "12", "-c:a", "copy", "-t", "1")
        whole, part = ROOT / "examples" / name, tmp_path / "examples" / name
        run_ffmpeg(ffmpeg, "-i", whole, *small, "-movflags", "+faststart", part)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("in_a_checkout")
@pytest.mark.parametrize("first", [2, pytest.param(None, marks=pytest.mark.slow)])
def test_commands_about_one_file_run(first: int | None) -> None:
    for words in list(commands(ROOT / "docs" / "file.md"))[:first]:
        with pytest.raises(SystemExit) as ended:
            main([*words, "-q"] if words[0] == "restore" else words)
        assert ended.value.code == 0, f"vidrestore {shlex.join(words)}"
        for name in words[words.index("-o") + 1 :][:1] if "-o" in words else []:
            assert Path(name.replace("%05d", "00001")).exists()


@pytest.mark.parametrize("first", [1, pytest.param(None, marks=pytest.mark.slow)])
def test_commands_about_pipes_run(first: int | None, in_a_checkout: Path, ffmpeg: str) -> None:
    programs = in_a_checkout / "bin"
    programs.mkdir()
    (programs / "ffmpeg").symlink_to(ffmpeg)
    (programs / "vidrestore").write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m vidrestore "$@"\n'
    )
    (programs / "ffplay").write_text("#!/bin/sh\nexec ffmpeg -v error -i - -f null -\n")
    for program in programs.iterdir():
        program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    lines = [line for block in blocks(ROOT / "docs" / "pipe.md") for line in block.splitlines()]
    for line in lines[:first]:
        script = ["bash", "-e", "-o", "pipefail", "-c", line]
        ended = subprocess.run(
            script, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        assert ended.returncode == 0, f"{line}\n{ended.stderr}"
        for written in re.findall(r"\S+\.(?:mkv|ts|mp4)$", line):
            assert Path(written).stat().st_size > 1000

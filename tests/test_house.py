"""Keeps the documents and the rules of the house true."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import vidrestore
import vidrestore.degrade.noise
from vidrestore.cli import app
from vidrestore.errors import ExitCode

ROOT = Path(__file__).parent.parent
MODULES = {
    path.stem: path for path in (ROOT / "vidrestore").rglob("*.py") if path.stem != "__init__"
}
DOCUMENTS = sorted({*ROOT.glob("*.md"), *ROOT.glob("[dew]*/*.md")})  # docs, examples, weights
COMMAND = typer.main.get_command(app)


def blocks(document: Path, language: str = "") -> list[str]:
    """The code blocks of a document that are marked with a language."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", document.read_text(), re.M | re.S)
    return [text for name, text in fenced if name == language]


def commands(document: Path) -> Iterator[list[str]]:
    """Every `vidrestore ...` command line in the code blocks of a document."""
    for block in blocks(document):
        for line in block.splitlines():
            for command in re.split(r" && | \| ", line):
                if command.startswith("vidrestore "):
                    plain = re.split(r" [<>] ", command)[0]  # without what a shell redirects
                    yield shlex.split(plain, comments=True)[1:]


def layers() -> list[list[str]]:
    """The layers that import-linter holds, top first."""
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contract = configuration["tool"]["importlinter"]["contracts"][0]
    return [re.findall(r"\.(\w+)(?= |$)", layer) for layer in contract["layers"]]


def called_names(tree: ast.AST) -> set[str]:
    """Dotted names of everything that is called, such as `sys.exit`."""
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def names_in(tree: ast.AST) -> set[str]:
    """Plain names and the names of imported modules."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


@pytest.mark.parametrize(
    ("document", "arguments"),
    [
        pytest.param(path, words, id=f"{path.name}: {shlex.join(words)[:60]}")
        for path in DOCUMENTS
        for words in commands(path)
    ],
)
def test_documented_command_parses(document: Path, arguments: list[str]) -> None:
    if arguments[0] in {"--help", "--version"}:
        return
    name, *rest = arguments
    assert name in COMMAND.commands, f"{document.name} names a command that does not exist"
    COMMAND.commands[name].make_context(name, rest)  # raises on an unknown or missing argument


def test_readme_shows_every_command() -> None:
    shown = {words[0] for words in commands(ROOT / "README.md")}
    assert set(COMMAND.commands) <= shown


def test_files_in_documented_commands_exist() -> None:
    words = {word for path in DOCUMENTS for line in commands(path) for word in line}
    named = {word for word in words if word.startswith("examples/")}
    assert named
    assert {word for word in named if not (ROOT / word).exists()} == set()


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{path.name}: {target}"
        for path in DOCUMENTS
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())
        if not (path.parent / target).exists()
    ]
    assert broken == []


def test_readme_lists_every_exit_code() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+?) \|$", (ROOT / "README.md").read_text(), re.M)
    assert [int(code) for code, _ in rows] == [int(code) for code in ExitCode]


def test_changelog_knows_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert f"## [{vidrestore.__version__}]" in changelog


def test_every_module_has_its_layer() -> None:
    placed = [name for layer in layers() for name in layer]
    assert len(placed) == len(set(placed))
    assert set(placed) == set(MODULES)


def test_no_two_modules_have_one_name() -> None:
    names = [path.stem for path in (ROOT / "vidrestore").rglob("*.py") if path.stem != "__init__"]
    assert len(names) == len(set(names))


def test_architecture_shows_the_layers_that_are_enforced() -> None:
    (diagram,) = blocks(ROOT / "docs" / "architecture.md", "text")
    lines = diagram.replace("\n  ", " | ").splitlines()  # indented lines continue their layer
    drawn = [
        [name for part in line.split(" | ") for name in part.split("  ")[0].split()]
        for line in lines
    ]
    assert [sorted(layer) for layer in drawn] == [sorted(layer) for layer in layers()]


def test_cli_imports_nothing_heavy() -> None:
    probe = (
        "import sys, vidrestore.cli\nprint(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", probe], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "typer" in loaded
    assert {"torch", "numpy", "cv2", "av", "skimage", "scipy"} & set(loaded) == set()


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"cli"}))
def test_library_neither_prints_nor_exits(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text())
    assert called_names(tree) & {"sys.exit", "os._exit", "os.abort"} == set()
    assert names_in(tree) & {"print", "exit", "quit", "SystemExit"} == set()


@pytest.mark.parametrize(
    "name", sorted(set(MODULES) - {"ffmpeg", "inspection", "external", "workers"})
)
def test_only_four_modules_start_processes(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text())
    starters = {"subprocess", "multiprocessing", "asyncio"}
    assert names_in(tree) & starters == set()
    assert called_names(tree) & {"os.system", "os.popen", "os.execv", "os.fork"} == set()


def test_example_is_small() -> None:
    clips = [ROOT / "examples" / name for name in ("clean.mp4", "noisy.mp4")]
    assert sum(clip.stat().st_size for clip in clips) <= 2_000_000


def test_documents_are_finished() -> None:
    unfinished = [path.name for path in DOCUMENTS if "<!-- FIGURE" in path.read_text()]
    assert unfinished == [], "a figure is still to be measured"


def test_worked_example_of_contributing_works() -> None:
    names = dict(vars(vidrestore.degrade.noise))
    for block in blocks(ROOT / "CONTRIBUTING.md", "python"):
        exec(compile(block, "CONTRIBUTING.md", "exec", dont_inherit=True), names)
    tests = [name for name in names if name.startswith("test_")]
    assert tests
    for name in tests:
        names[name]()

"""Writes docs/cli.md, the reference of the command line, from the program itself.

    python -m tests.cli_reference

Names, defaults and texts are those that `--help` shows; exit codes are those of the README.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import typer

from vidrestore.asked import RestoreOptions
from vidrestore.cli import app
from vidrestore.network.shelf import ENVIRONMENT

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "cli.md"

KINDS = {int: "INTEGER", float: "FLOAT", Path: "PATH", str: "TEXT"}
"""How a value is called that has no name of its own, as in `--help`."""

SHARED = frozenset(field.name for field in fields(RestoreOptions))
SHARED_BY = ("restore", "plan", "batch")
SHARED_TITLE = "How a video is restored"
SHARED_LINK = f"[options of the next section](#{SHARED_TITLE.lower().replace(' ', '-')})"


@dataclass(frozen=True)
class Parameter:
    """An argument or an option.

    Attributes:
        name: Of the function's parameter.
        names: As one types them; one word in capitals for an argument.
        value: What stands after it; None for an option that takes nothing.
        help: What it does.
        default: As one types it; None if there is none.
        least: The smallest number that it takes; None if that is said nowhere.
        environment: Variable that gives a value in its stead.
        panel: Heading above it; None for the general ones.
        positional: Whether it is an argument.
        required: Whether the command needs it.
        repeatable: Whether it may be given more than once.
    """

    name: str
    names: tuple[str, ...]
    value: str | None
    help: str
    default: str | None
    least: float | None
    environment: str | None
    panel: str | None
    positional: bool
    required: bool
    repeatable: bool

    def __str__(self) -> str:
        *others, last = self.names
        written = [f"`{name}`" for name in others]
        written.append(f"`{last} {self.value}`" if self.value else f"`{last}`")
        said = [f"- {', '.join(written)}: {self.help}"]
        if self.required and not self.positional:
            said.append("Required.")
        if self.least is not None:
            said.append(f"At least {self.least:g}.")
        if self.default is not None:
            said.append(f"Default: `{self.default}`.")
        if self.environment is not None:
            said.append(f"Or `${self.environment}`.")
        return " ".join(said)


@dataclass(frozen=True)
class Command:
    """One of the program's commands.

    Attributes:
        name: As one types it.
        help: What it does.
        parameters: Arguments and options, in the order of `--help`.
    """

    name: str
    help: str
    parameters: tuple[Parameter, ...]

    @property
    def usage(self) -> str:
        """The shape of its command line."""
        needed = [
            f"{p.names[-1]} {p.value}" for p in self.parameters if p.required and not p.positional
        ]
        words = [p.names[0] for p in self.parameters if p.positional]
        return " ".join(["vidrestore", self.name, *needed, "[OPTIONS]", *words])


def commands() -> tuple[Command, ...]:
    """All of them, in the order of `--help`."""
    group: Any = typer.main.get_command(app)
    functions = [registered.callback for registered in app.registered_commands]
    return tuple(
        Command(name, " ".join(command.help.split()), tuple(_parameters(command, function)))
        for (name, command), function in zip(group.commands.items(), functions, strict=True)
    )


def options_of_all() -> tuple[Parameter, ...]:
    """Options of the program itself."""
    group: Any = typer.main.get_command(app)
    assert app.registered_callback is not None
    return tuple(_parameters(group, app.registered_callback.callback))


def _parameters(command: Any, function: Any) -> Iterator[Parameter]:
    hints = get_type_hints(function, include_extras=True)
    for parameter in command.params:
        if parameter.name in hints:
            yield _parameter(parameter, hints[parameter.name])


def _parameter(parameter: Any, annotation: Any) -> Parameter:
    kind, declared = get_args(annotation)
    repeatable = False
    while get_args(kind):  # X | None, list[X]
        repeatable |= get_origin(kind) is list
        kind = get_args(kind)[0]
    positional = parameter.param_type_name == "argument"
    value = None if kind is bool or positional else declared.metavar or KINDS[kind]
    names = tuple(parameter.opts)
    if positional:
        word = re.sub(r"\W", "", declared.metavar or parameter.name.upper())
        word += "..." if repeatable else ""
        names = (word if parameter.required else f"[{word}]",)
    elif parameter.secondary_opts:
        names = (f"{names[-1]}/{parameter.secondary_opts[-1]}",)
    return Parameter(
        name=parameter.name,
        names=names,
        value=value,
        help=" ".join((declared.help or "").split()),
        default=_default(parameter, declared),
        least=declared.min,
        environment=declared.envvar,
        panel=declared.rich_help_panel,
        positional=positional,
        required=bool(parameter.required),
        repeatable=repeatable,
    )


def _default(parameter: Any, declared: Any) -> str | None:
    """What happens if it is not given, where that is a value."""
    if isinstance(declared.show_default, str):
        return declared.show_default
    given = parameter.default
    if given is True:
        return str(parameter.opts[-1])
    if parameter.required or given is None or given is False or given == "":
        return None
    return f"{given:g}" if isinstance(given, float) else str(given)


def exit_codes() -> list[str]:
    """The lines of the README's table."""
    return re.findall(r"^\|.*\|$", (ROOT / "README.md").read_text().split("## Exit codes")[1], re.M)


def section(command: Command) -> Iterator[str]:
    """What the page says about a command."""
    yield from (f"## {command.name}", "", command.help, "", "```text", command.usage, "```", "")
    own = [p for p in command.parameters if command.name not in SHARED_BY or p.name not in SHARED]
    yield from _panels(own)
    if command.name in SHARED_BY:
        yield from (f"And all {SHARED_LINK}.", "")


def _panels(parameters: list[Parameter]) -> Iterator[str]:
    """Lists, the general one first, each below its heading."""
    for panel in dict.fromkeys([None, *(parameter.panel for parameter in parameters)]):
        if panel is not None:
            yield from (f"{panel}:", "")
        yield from (str(parameter) for parameter in parameters if parameter.panel == panel)
        yield ""


def page() -> str:
    """The whole document."""
    every = commands()
    shared = next(command for command in every if command.name == SHARED_BY[0])
    ordered = [*(c for c in every if c.name in SHARED_BY), None]
    ordered += [c for c in every if c.name not in SHARED_BY]
    lines = [
        "# The command line",
        "",
        "Written by `python -m tests.cli_reference` from the program itself; a test holds this",
        "page to it. `vidrestore COMMAND --help` (or `-h`) shows the same. The",
        "[guides](../README.md#use) say what it is good for.",
        "",
        *(f"- [`{command.name}`](#{command.name}): {command.help}" for command in every),
        "",
        "Before a command there can be:",
        "",
        *(str(parameter) for parameter in options_of_all()),
        "- `--install-completion`, `--show-completion`: Completion of words by the shell.",
        "",
    ]
    for command in ordered:
        if command is not None:
            lines += section(command)
            continue
        named = ", ".join(f"`{name}`" for name in SHARED_BY)
        lines += [f"## {SHARED_TITLE}", "", f"Options of {named}:", ""]
        lines += _panels([p for p in shared.parameters if p.name in SHARED])
    lines += [
        "## Environment",
        "",
        "- `VIDRESTORE_FFMPEG`: Another ffmpeg than the bundled one; `--ffmpeg` goes before it.",
        f"- `{ENVIRONMENT}`: A file or folder of weights; `--weights` goes before it.",
        "- `OMP_NUM_THREADS`: Threads that the model takes; all cores if it is not set.",
        "",
        "## Exit codes",
        "",
        *exit_codes(),
        "",
        "An error is one line on standard error that names the cause and the remedy.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


if __name__ == "__main__":
    main()

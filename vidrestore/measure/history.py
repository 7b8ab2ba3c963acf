"""A run against an earlier one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidrestore.errors import InputError, UsageError
from vidrestore.measure.rows import Benchmark, Row

COMPARED = ("psnr_db", "ssim", "psnr_y_db", "vmaf", "warping_ratio", "seconds_per_frame")
SCHEMA = "vidrestore.benchmark/2"
SAME_WITHIN = 2e-4
"""A twentieth of an 8-bit code: what rounding may do to the mean of a clip."""


@dataclass(frozen=True)
class Earlier:
    """The JSON document of an earlier run, and its file."""

    path: Path
    document: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Earlier:
        """Read it.

        Raises:
            InputError: It cannot be read, or is something else.
        """
        hint = "give the JSON that `vidrestore benchmark --json` printed"
        try:
            document = json.loads(path.read_text())
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}", hint=hint) from error
        except ValueError as error:
            raise InputError(f"{path} is no JSON", hint=hint) from error
        schema = document.get("schema") if isinstance(document, dict) else None
        if schema != SCHEMA:
            raise InputError(f"{path} is {schema or 'something else'}, not {SCHEMA}", hint=hint)
        return cls(path, document)


@dataclass(frozen=True)
class Change:
    """A row against the same one of an earlier run.

    Attributes:
        case: As in the rows.
        clip: Likewise.
        method: Likewise.
        differences: New less old, by figure; None where either has none.
    """

    case: str
    clip: str
    method: str
    differences: Mapping[str, float | None]


@dataclass(frozen=True)
class Changes:
    """A run against an earlier one.

    Attributes:
        against: File of the earlier run.
        rows: Rows that both have.
        added: Case, clip and method of rows that only this one has.
        gone: Those that only the earlier one has.
    """

    against: str
    rows: tuple[Change, ...]
    added: tuple[tuple[str, str, str], ...]
    gone: tuple[tuple[str, str, str], ...]


def changes(result: Benchmark, earlier: Earlier) -> Changes:
    """Compare a run with an earlier one, row by row.

    Raises:
        UsageError: Rows of one name were measured on other clips, frames or noise, or there is
            none that both have.
    """
    path, document = earlier.path, earlier.document
    if document["seed"] != result.seed:
        raise _incomparable(path, f"its seed is {document['seed']}, this one's {result.seed}")
    old = {(row["case"], row["clip"], row["method"]): row for row in document["rows"]}
    new = {(row.case, row.clip, row.method): row for row in result.rows}
    both = [key for key in new if key in old]
    if not both:
        raise _incomparable(path, "they have no row in common")
    for key in both:
        _same_measure(key, new[key], old[key], path)
    return Changes(
        str(path),
        tuple(Change(*key, _differences(new[key], old[key])) for key in both),
        tuple(key for key in new if key not in old),
        tuple(key for key in old if key not in new),
    )


def _same_measure(key: Sequence[str], new: Row, old: Mapping[str, Any], path: Path) -> None:
    """Refuse rows whose figures mean different things; one that failed means nothing."""
    if new.failure is not None or old["failure"] is not None:
        return
    name = f"{key[0]}, {key[1]}"
    if not _alike(new.truth_print, old["truth_print"]):
        raise _incomparable(path, f"{name} is another clip there")
    if not _alike(new.given_print, old["given_print"]):
        raise _incomparable(path, f"{name} had other damage done to it there")
    scored = [frame.index for frame in new.per_frame]
    if scored != [frame["index"] for frame in old["per_frame"]]:
        raise _incomparable(path, f"{name} has other frames scored there")


def _alike(new: Sequence[float], old: Sequence[float]) -> bool:
    return len(new) == len(old) and all(
        abs(a - b) <= SAME_WITHIN for a, b in zip(new, old, strict=True)
    )


def _differences(new: Row, old: Mapping[str, Any]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for figure in COMPARED:
        after, before = getattr(new, figure), old.get(figure)
        found[figure] = None if after is None or before is None else after - before
    return found


def _incomparable(path: Path, why: str) -> UsageError:
    return UsageError(
        f"{path} cannot be compared with this run: {why}",
        hint="measure the same suite on the same clips with the same --frames and --seed",
    )

"""The search for damage, kept beside the output: a run that goes on does not search again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from vidrestore import __version__
from vidrestore.media.ffmpeg import version
from vidrestore.media.probe import VideoInfo
from vidrestore.runs.identity import Witness, identify
from vidrestore.runs.journal import cannot_write
from vidrestore.runs.workfolder import WorkFolder
from vidrestore.timing.damage import Damage, Interval, find_damage

SCHEMA = "vidrestore.damage/1"


def searched(
    work: WorkFolder,
    info: VideoInfo,
    ffmpeg: str,
    start: int | Fraction | None = None,
    end: int | Fraction | None = None,
    *,
    resume: bool = True,
) -> Damage:
    """Look through a video as `find_damage` does, unless an earlier run has done so.

    Args:
        work: The work folder, locked, which takes what is found.
        info: The video.
        ffmpeg: Path of the ffmpeg executable.
        start: First frame to look at, as for `Decoder`.
        end: One past the last, likewise.
        resume: Whether what an earlier run has found may be used.

    Raises:
        InputError: If no frame can be decoded, or the video changes meanwhile.
        OutputError: If what was found cannot be written.
    """
    import av

    identity = identify(info.path)
    of: dict[str, Any] = {
        "schema": SCHEMA,
        "input": identity,
        "interval": [str(start), str(end)],
        "fields": [info.deinterlace, info.field_order],
        "versions": {
            "vidrestore": __version__,
            "av": av.__version__,
            "ffmpeg": list(version(ffmpeg)),
        },
    }
    known = _read(work.search, of) if resume else None
    if known is not None:
        return known
    witness = Witness(info.path, identity)
    damage = find_damage(info, ffmpeg, start, end)
    witness.demand_same()
    _write(work.search, {**of, **asdict(damage)})
    return damage


def _read(path: Path, of: Mapping[str, Any]) -> Damage | None:
    """What was found in this very input; None if that is not there."""
    try:
        document = json.loads(path.read_bytes())
        if any(document[key] != value for key, value in of.items()):
            return None
        return Damage(
            times=tuple(map(int, document["times"])),
            bad=frozenset(map(int, document["bad"])),
            added=frozenset(map(int, document["added"])),
            intervals=tuple(Interval(**interval) for interval in document["intervals"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, document: Mapping[str, Any]) -> None:
    """Write a record whole or not at all, whatever happens."""
    temporary = path.with_name(f"{path.name}.new")
    try:
        with temporary.open("w") as file:
            json.dump(document, file, allow_nan=False, default=sorted)  # sets
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error

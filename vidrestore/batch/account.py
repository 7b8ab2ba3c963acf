"""What became of the files of a batch, as JSON documents and as CSV. Nothing here prints."""

from __future__ import annotations

import csv
import io
import json

from vidrestore.batch.jobs import Item
from vidrestore.batch.overview import Overview
from vidrestore.report import Document

_COLUMNS = (
    *("source", "output", "status", "frames", "resumed_frames", "made_frames", "sigma"),
    *("noise_before", "noise_after", "wall_s", "model_s", "fps", "device", "dtype", "weights"),
    *("warnings", "error", "hint", "exit_code"),
)
"""Columns of the CSV. They keep their names between releases; new ones come last."""


def item_document(item: Item) -> Document:
    """A file of a batch."""
    facts, failure = item.facts, item.failure
    document: Document = {
        "schema": "vidrestore.batch-item/1",
        "source": str(item.source),
        "output": None if item.output is None else str(item.output),
        "status": item.status,
    }
    if facts is not None:
        document |= {
            "frames": facts.frames,
            "resumed_frames": facts.resumed_frames,
            "made_frames": facts.made_frames,
            "sigma": facts.sigma,
            "noise_before": facts.noise_before,
            "noise_after": facts.noise_after,
            "wall_s": facts.wall_s,
            "model_s": facts.model_s,
            "fps": facts.frames / facts.wall_s,
            "device": facts.device,
            "dtype": facts.dtype,
            "weights": list(facts.weights),
            "source_sha256": facts.source.sha256,
            "output_sha256": facts.output.sha256,
            "warnings": list(facts.warnings),
        }
    if failure is not None:
        document["error"] = {
            "message": failure.message,
            "hint": failure.hint,
            "exit_code": failure.exit_code,
        }
    return document


def batch_document(overview: Overview) -> Document:
    """The whole of a batch, without its files."""
    counts = overview.counts
    frames = [item.facts.frames for item in overview.items if item.facts is not None]
    return {
        "schema": "vidrestore.batch/1",
        "files": overview.files,
        "restored": counts["restored"],
        "skipped": counts["skipped"],
        "failed": counts["failed"],
        "unfinished": overview.files - len(overview.items),
        "ignored": overview.ignored,
        "frames": sum(frames),
        "wall_s": overview.wall_s,
    }


def to_line(document: Document) -> str:
    """A document as one line of JSON."""
    return json.dumps(document, allow_nan=False)


def to_lines(overview: Overview) -> str:
    """JSON Lines: a line for each file, and one for the whole."""
    documents = [*map(item_document, overview.items), batch_document(overview)]
    return "".join(to_line(document) + "\n" for document in documents)


def to_csv(overview: Overview) -> str:
    """A table with a row for each file, as spreadsheets read it."""
    text = io.StringIO()
    table = csv.DictWriter(text, _COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    for item in overview.items:
        row = item_document(item)
        error = row.pop("error", None) or {}
        for name in ("weights", "warnings"):
            row[name] = "; ".join(row.get(name, ()))
        table.writerow(row | error | {"error": error.get("message", "")})
    return text.getvalue()

"""Pictures for a report, chosen by rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vidrestore.measure.item import Clip, Item
from vidrestore.measure.judge import Verdict
from vidrestore.measure.rows import MODEL, Picture, Row, Sample


@dataclass
class SampleChoice:
    """Collects pictures of the clips of one case; the clip with the median gain is shown."""

    _seen: list[tuple[float, tuple[Sample, ...]]] = field(default_factory=list)

    def add(self, item: Item, verdicts: Sequence[Verdict]) -> None:
        """Take the worst, the median and the best frame of a clip."""
        scored = [(v.row, v.clip) for v in verdicts if v.clip is not None and v.row.per_frame]
        if not scored:
            return
        scored.sort(key=lambda pair: (pair[0].method != MODEL, -_psnr_db(pair[0])))
        row, clip = scored[0]
        shown = {"reference": item.truth, "input": item.given.clip, row.method: clip}
        if len(scored) > 1:
            shown[scored[1][0].method] = scored[1][1]
        order = sorted(row.per_frame, key=lambda f: np.inf if f.psnr_db is None else f.psnr_db)
        ranks = {"worst": order[0], "median": order[(len(order) - 1) // 2], "best": order[-1]}
        gain_db = _psnr_db(row) - (row.input_psnr_db or 0)
        samples = tuple(
            Sample(
                case=row.case,
                clip=row.clip,
                frame=frame.index,
                rank=rank,
                pictures={name: _picture(clip, frame.index) for name, clip in shown.items()},
            )
            for rank, frame in ranks.items()
        )
        self._seen.append((gain_db, samples))

    def chosen(self) -> tuple[Sample, ...]:
        """Those of the clip whose gain is the median, the lower one of two."""
        if not self._seen:
            return ()
        ordered = sorted(self._seen, key=lambda pair: pair[0])
        return ordered[(len(ordered) - 1) // 2][1]


def _psnr_db(row: Row) -> float:
    return np.inf if row.psnr_db is None else row.psnr_db


def _picture(clip: Clip, index: int) -> Picture:
    picture: Picture = np.rint(clip[index].clip(0, 1) * 255).astype(np.uint8)
    return picture

"""Which frame of one video shows what a frame of another shows.

Two ways are tried on small pictures of all frames: by their order, and by the time at which they
are shown, which is right for videos of different rates. The one whose pictures are more alike wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vidrestore.errors import InputError
from vidrestore.measure.glimpses import LEAST_COST, Glimpses, Pair, most_cost, squares
from vidrestore.measure.lags import by_order

STEPS_IN_TIME = 25
"""Frames by which clocks may be apart, each way."""

SAMPLE_PAIRS = 500
"""Enough to compare two ways by."""


@dataclass(frozen=True)
class Matching:
    """How the frames of a reference and of a test belong together.

    Attributes:
        pairs: Index in the reference and in the test, both ascending.
        by: What the frames were matched by.
        dropped: Frames of the reference, between the first pair and the last, that the test lacks.
        extra: Frames of the test there that the reference lacks.
        outside: Frames of either before the first pair and after the last.
        correlation: Mean correlation of the pictures of pairs, -1 to 1; None if all are flat.
    """

    pairs: tuple[Pair, ...]
    by: Literal["order", "time"]
    dropped: tuple[int, ...]
    extra: tuple[int, ...]
    outside: int
    correlation: float | None

    @property
    def offset_frames(self) -> int:
        """Position of the first pair in the test, less that in the reference."""
        return self.pairs[0][1] - self.pairs[0][0]


def match(reference: Glimpses, test: Glimpses) -> Matching:
    """Find the pairs.

    Raises:
        InputError: If no frame of one has a partner in the other.
    """
    order, time = by_order(reference, test), _by_time(reference, test)
    by_time = time and _is_better(time, order, reference, test)
    pairs = time if by_time else order
    if not pairs:
        raise InputError(
            "the two videos have no frame in common", hint="give two versions of the same video"
        )
    (first, first_test), (last, last_test) = pairs[0], pairs[-1]
    known, shown = {i for i, _ in pairs}, {j for _, j in pairs}
    total = len(reference) + len(test)
    inside = (last - first + 1) + (last_test - first_test + 1)
    return Matching(
        pairs=tuple(pairs),
        by="time" if by_time else "order",
        dropped=tuple(i for i in range(first, last) if i not in known),
        extra=tuple(j for j in range(first_test, last_test) if j not in shown),
        outside=total - inside,
        correlation=_correlation(pairs, reference, test),
    )


def _is_better(time: list[Pair], order: list[Pair], reference: Glimpses, test: Glimpses) -> bool:
    """Whether matching by time explains the pictures better than matching by order."""
    if not order:
        return True
    error, other = _errors(time, order, reference, test)
    slack = LEAST_COST / SAMPLE_PAIRS
    rates = sorted((reference.interval_s, test.interval_s))
    if rates[1] > 1.01 * rates[0]:
        return error <= 1.1 * other + slack
    return error < 0.8 * other - slack or (error <= other + slack and len(time) > len(order))


def _by_time(reference: Glimpses, test: Glimpses) -> list[Pair]:
    """Pairs of frames that are shown at the same time, after the best shift of the clocks."""
    step_s = min(reference.interval_s, test.interval_s)
    if step_s <= 0:
        return []
    least = (min(len(reference), len(test)) + 1) // 2
    best: list[Pair] = []
    for steps in sorted(range(-STEPS_IN_TIME, STEPS_IN_TIME + 1), key=abs):
        pairs = _simultaneous(reference.times_s + steps * step_s, test.times_s, 0.1 * step_s)
        if len(pairs) < least:
            continue
        error, other = _errors(pairs, best or pairs, reference, test)
        if not best or error < 0.8 * other - LEAST_COST / SAMPLE_PAIRS:
            best = pairs
    return best


def _simultaneous(
    times_s: NDArray[np.float64], others_s: NDArray[np.float64], slack_s: float
) -> list[Pair]:
    """For each time the nearest of the others, if it is near enough and nobody else's."""
    after = np.searchsorted(others_s, times_s).clip(1, max(1, len(others_s) - 1))
    before = after - 1
    after = np.minimum(after, len(others_s) - 1)
    nearer = np.abs(others_s[after] - times_s) < np.abs(others_s[before] - times_s)
    nearest = np.where(nearer, after, before)
    slack_s = max(slack_s, 0.0015)  # Matroska counts in milliseconds
    pairs: list[Pair] = []
    for i in np.flatnonzero(np.abs(others_s[nearest] - times_s) <= slack_s).tolist():
        if not pairs or nearest[i] > pairs[-1][1]:
            pairs.append((i, int(nearest[i])))
    return pairs


def _sample(pairs: list[Pair]) -> list[Pair]:
    step = -(-len(pairs) // SAMPLE_PAIRS)
    return pairs[::step]


def _errors(
    pairs: list[Pair], others: list[Pair], reference: Glimpses, test: Glimpses
) -> tuple[float, float]:
    """Mean difference of the pairs of two ways to match; as before, no frame counts for more."""
    found = [squares(_sample(each), reference, test) for each in (pairs, others)]
    most = most_cost(min(float(np.percentile(each, 25)) for each in found))
    first, second = (float(np.minimum(each, most).mean()) for each in found)
    return first, second


def _correlation(pairs: list[Pair], reference: Glimpses, test: Glimpses) -> float | None:
    """Mean correlation of the pictures of some pairs, without those that are flat."""
    known = list(_correlations(_sample(pairs), reference, test))
    return sum(known) / len(known) if known else None


def _correlations(pairs: list[Pair], reference: Glimpses, test: Glimpses) -> Iterator[float]:
    for i, j in pairs:
        a, b = reference.pixels[i].astype(float), test.pixels[j].astype(float)
        a, b = a - a.mean(), b - b.mean()
        norm = float(np.linalg.norm(a) * np.linalg.norm(b))
        if norm:
            yield float(np.vdot(a, b)) / norm

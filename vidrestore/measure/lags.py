"""Frames of two videos matched by order: frame i of one belongs to frame i + lag of the other.

The lag changes where frames were lost or put in. Of all ways through the lags the cheapest is
taken; every change has a price, so that noise makes none.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vidrestore.measure.glimpses import LEAST_COST, Glimpses, Pair, most_cost, squares

Floats = NDArray[np.float32]

SEARCH_FRAMES = 1500
"""How far into both videos an offset is looked for, and how many frames are aligned at once."""

BAND = 50
"""Frames that may be lost or put in at one place, at most."""

CERTAINTY = 6.0
"""Standard errors by which another lag must be better than the one that holds."""


def by_order(reference: Glimpses, test: Glimpses) -> list[Pair]:
    """Pairs along lags that change where frames were lost or put in."""
    lags: list[int] = []
    lag = _first_lag(reference, test)
    while len(lags) < len(reference):
        start = len(lags)
        stop = min(len(reference), start + SEARCH_FRAMES)
        costs = _lag_costs(reference, test, range(start, stop), lag)
        path = lag - BAND + _path(costs, BAND, fixed=start > 0)
        settled = stop if stop == len(reference) else start + SEARCH_FRAMES * 2 // 3
        lags += path[: settled - start].tolist()
        lag = lags[-1]
    return _pairs_along(lags, reference, test)


def _distances(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> Floats:
    """Mean squared difference of each picture of one set to each of another, 8-bit units."""
    # About one centre the sums are small enough for single precision.
    x, y = a.astype(np.float32) - 128, b.astype(np.float32) - 128
    squares = np.square(x).sum(1)[:, None] + np.square(y).sum(1)[None]
    apart = np.maximum(squares - 2 * (x @ y.T), 0) / a.shape[1]
    return np.asarray(apart, np.float32)


def _first_lag(reference: Glimpses, test: Glimpses) -> int:
    """The one lag that fits the beginnings best; 0 unless another is clearly better.

    On a static scene every lag fits, and noise must not pick one.
    """
    apart = _distances(reference.pixels[:SEARCH_FRAMES], test.pixels[:SEARCH_FRAMES])
    rows, columns = apart.shape
    shorter = min(rows, columns)
    common = max(1, min(4, shorter), (shorter + 1) // 2)
    lags = sorted(range(common - rows, columns - common + 1), key=abs)
    best = min(lags, key=lambda lag: float(np.diagonal(apart, lag).mean()))
    overlap = range(max(0, -best), min(rows, columns, columns - best))
    gains = np.array([apart[i, i] - apart[i, i + best] for i in overlap], np.float64)
    if len(gains) < 3 or gains.mean() <= 4 * gains.std(ddof=1) / np.sqrt(len(gains)):
        return 0
    return best


def _lag_costs(reference: Glimpses, test: Glimpses, rows: range, lag: int) -> Floats:
    """Distances (rows, lags) at lags around one; NaN where the test has no such frame."""
    costs = np.full((len(rows), 2 * BAND + 1), np.nan, np.float32)
    low = max(0, rows.start + lag - BAND)
    high = min(len(test), rows.stop + lag + BAND)
    if low >= high:
        return costs
    apart = _distances(reference.pixels[rows.start : rows.stop], test.pixels[low:high])
    for row in range(len(rows)):
        first = rows.start + row + lag - BAND
        begin, end = max(first, low), min(first + 2 * BAND + 1, high)
        if begin < end:
            costs[row, begin - first : end - first] = apart[row, begin - low : end - low]
    return costs


def _path(costs: Floats, start: int, *, fixed: bool) -> NDArray[np.int64]:
    """The cheapest way through the lags, each change of which has a price.

    Args:
        costs: Distances (rows, lags), NaN where there is no frame.
        start: Column of the lag that is expected.
        fixed: Whether the way begins there.
    """
    missing = np.isnan(costs)
    if missing.all():
        return np.full(len(costs), start)
    price, most = _prices(costs)
    # A ruined frame and one of another scene cost the same as one that the test does not have, so
    # none of them is a reason to look for a better place.
    filled = np.where(missing, most, np.minimum(costs, most)).astype(np.float64)
    spent = np.full(costs.shape[1], np.inf if fixed else price)
    spent[start] = 0.0
    came = np.empty(costs.shape, np.int64)
    columns = np.arange(costs.shape[1])
    for row, cost in enumerate(filled):
        cheapest = int(np.argmin(spent))
        # Nobody may leave a bad frame for a place where there is none.
        moved = np.where(missing[row], np.inf, spent[cheapest] + price)
        came[row] = np.where(moved < spent, cheapest, columns) if row else columns
        spent = (np.minimum(spent, moved) if row else spent) + cost
    path = np.empty(len(costs), np.int64)
    path[-1] = np.argmin(spent)
    for row in range(len(costs) - 1, 0, -1):
        path[row - 1] = came[row, path[row]]
    return path


def _prices(costs: Floats) -> tuple[float, float]:
    """What a change of lag must gain for noise not to make one; the most that a frame may cost."""
    least = np.nanmin(np.where(np.isnan(costs), np.inf, costs), axis=1)
    least = least[np.isfinite(least)]
    jumps = np.abs(np.diff(least))
    spread = float(np.median(jumps)) if len(jumps) else 0.0
    price = LEAST_COST + CERTAINTY * spread * float(np.sqrt(len(costs)))
    most = most_cost(float(np.percentile(least, 25)))
    return max(price, most), most


def _pairs_along(lags: list[int], reference: Glimpses, test: Glimpses) -> list[Pair]:
    """Pairs, with the frames left out that the test lacks where the lag falls."""
    bounds = [0, *(i for i in range(1, len(lags)) if lags[i] != lags[i - 1]), len(lags)]
    runs = [(low, high, lags[low]) for low, high in pairwise(bounds)]
    pairs: list[Pair] = []
    begin = 0
    for index, (low, high, lag) in enumerate(runs):
        low, next_begin = max(low, begin), high
        if index + 1 < len(runs) and runs[index + 1][2] < lag:
            _, next_high, next_lag = runs[index + 1]
            lost = lag - next_lag
            places = range(max(low, high - lost), min(high, next_high - lost) + 1)
            high = min(
                places or [high],
                key=lambda cut: _switch_cost(cut, lost, (places, lag, next_lag), reference, test),
            )
            next_begin = high + lost
        pairs += [(i, i + lag) for i in range(low, high) if 0 <= i + lag < len(test)]
        begin = next_begin
    return pairs


def _switch_cost(
    cut: int, lost: int, around: tuple[range, int, int], reference: Glimpses, test: Glimpses
) -> float:
    """What the frames about a loss cost if the frames from `cut` on are those that were lost."""
    places, lag, next_lag = around
    pairs = [(i, i + lag) for i in range(places.start, cut)]
    pairs += [(i, i + next_lag) for i in range(cut + lost, places.stop - 1 + lost)]
    pairs = [(i, j) for i, j in pairs if i < len(reference) and 0 <= j < len(test)]
    return sum(squares(pairs, reference, test).tolist()) if pairs else 0.0

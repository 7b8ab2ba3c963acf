"""Frames of two videos that belong together, found in small pictures of known truth."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from vidrestore.errors import InputError
from vidrestore.measure.glimpses import Glimpses
from vidrestore.measure.matching import Matching, match

FRAMES = 120
SHAPE = (24, 32)


def scene(frames: int = FRAMES, speed_px: float = 0.3, seed: int = 0) -> NDArray[np.float32]:
    """A picture that slides, (T, 24, 32), by less than a pixel of it for each frame."""
    generator = np.random.default_rng(seed)
    wave, phase = generator.uniform(0.05, 0.6, (6, 2)), generator.uniform(0, 6.3, 6)
    y, x = np.mgrid[:24, :32]
    shifts = np.arange(frames) * speed_px
    pictures = [
        sum(np.sin(a * (x + shift) + b * y + p) for (a, b), p in zip(wave, phase, strict=True))
        for shift in shifts
    ]
    return (0.5 + np.stack(pictures) / 14).astype(np.float32)


def noisy(pictures: NDArray[np.float32], level: float, seed: int = 1) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).normal(0, level, pictures.shape)
    return (pictures + noise).astype(np.float32)


def glimpses(pictures: NDArray[np.float32], times_s: list[float] | None = None) -> Glimpses:
    return Glimpses.of(
        zip(pictures, times_s or [i / 25 for i in range(len(pictures))], strict=True)
    )


def matched(
    reference: NDArray[np.float32], test: NDArray[np.float32], level: float = 0.01
) -> Matching:
    return match(glimpses(reference), glimpses(noisy(test, level)))


@pytest.mark.parametrize("level", [0, 0.004, 0.02])
@pytest.mark.parametrize("lost", [(40,), (40, 41, 42), (20, 60, 61, 100)])
def test_dropped_frames_are_found_where_they_are(lost: tuple[int, ...], level: float) -> None:
    whole = scene()
    found = matched(whole, np.delete(whole, lost, axis=0), level)
    assert (found.by, found.dropped, found.extra) == ("order", lost, ())
    assert len(found.pairs) == FRAMES - len(lost)


def test_repeated_frames_are_found() -> None:
    whole = scene()
    found = matched(whole, np.insert(whole, [30, 30, 80], whole[[30, 30, 80]], axis=0), 0.004)
    assert len(found.extra) == 3
    assert found.dropped == ()
    assert {abs(i - 30) <= 2 or abs(i - 82) <= 2 for i in found.extra} == {True}


@pytest.mark.parametrize("offset", [1, 7, 30, 55])
def test_an_offset_either_way(offset: int) -> None:
    whole = scene()
    found = matched(whole, whole[offset:])
    assert (found.offset_frames, found.outside, len(found.pairs)) == (
        -offset,
        offset,
        FRAMES - offset,
    )
    found = matched(whole[offset:], whole)
    assert (found.offset_frames, found.outside) == (offset, offset)


def test_an_offset_and_a_loss_together() -> None:
    whole = scene()
    found = matched(whole, np.delete(whole, [70, 71], axis=0)[9:])
    assert (found.offset_frames, found.dropped, found.outside) == (-9, (70, 71), 9)


def test_a_loss_that_a_repeated_frame_makes_up_for_is_scored_as_it_is() -> None:
    whole = scene()
    frozen = whole.copy()
    frozen[50] = frozen[49]
    found = matched(whole, frozen)
    assert found.pairs == tuple((i, i) for i in range(FRAMES))


@pytest.mark.parametrize("level", [0.004, 0.05])
def test_noise_on_a_scene_that_stands_still_moves_nothing(level: float) -> None:
    still = np.repeat(scene(1), FRAMES, axis=0)
    found = match(glimpses(noisy(still, level, seed=2)), glimpses(noisy(still, level, seed=3)))
    assert found.pairs == tuple((i, i) for i in range(FRAMES))


def test_a_few_ruined_frames_move_nothing() -> None:
    whole = scene()
    ruined = whole.copy()
    ruined[:3] = ruined[-3:] = 0
    ruined[60:64] = 1
    assert matched(whole, ruined).pairs == tuple((i, i) for i in range(FRAMES))


def test_twice_the_rate_is_matched_by_time() -> None:
    fast = scene(speed_px=0.15)
    found = match(
        glimpses(fast[::2], [i / 25 for i in range(60)]),
        glimpses(noisy(fast, 0.01), [i / 50 for i in range(120)]),
    )
    assert found.by == "time"
    assert found.pairs == tuple((i, 2 * i) for i in range(60))


def test_a_variable_rate_is_matched_by_time() -> None:
    whole = scene()
    kept = sorted(np.random.default_rng(4).choice(FRAMES, 80, replace=False).tolist())
    found = match(
        glimpses(whole),
        glimpses(noisy(whole[kept], 0.01), [(i - kept[0]) / 25 + 0.0004 for i in kept]),
    )
    assert [pair[0] for pair in found.pairs] == kept


def test_long_videos_are_aligned_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidrestore.measure.lags.SEARCH_FRAMES", 90)
    monkeypatch.setattr("vidrestore.measure.lags.BAND", 8)
    whole = scene(400)
    lost = tuple(range(20, 400, 25))  # more in all than one band holds
    found = matched(whole, np.delete(whole, lost, axis=0))
    assert found.dropped == lost


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_very_short_videos(frames: int) -> None:
    whole = scene(frames)
    assert matched(whole, whole).pairs == tuple((i, i) for i in range(frames))


def test_nothing_cannot_be_matched() -> None:
    with pytest.raises(InputError, match="no frame"):
        Glimpses.of([])

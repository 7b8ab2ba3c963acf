"""Plans: exact counts, no drift, and the same slots whatever is asked for in which order."""

from __future__ import annotations

import itertools
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vidrestore.errors import UsageError
from vidrestore.media.timeline import Rate, Retiming, Slot, Timeline, timeline

FILM = Fraction(24000, 1001)
MS = Fraction(1, 1000)


def plan(line: Timeline, good: list[int], end: int) -> list[Slot]:
    slots = line.leading(good[0])
    for left, right in pairwise(good):
        slots += line.between(left, right)
    return slots + line.trailing(good[-1], end)


def constant(rate: Fraction, tick: Fraction, frames: int, start: int = 0) -> list[int]:
    """PTS of every frame and the end, rounded as a muxer rounds them."""
    return [start + round(number / rate / tick) for number in range(frames + 1)]


def retimed(
    rate: Fraction, tick: Fraction, frames: int, retiming: Retiming, start: int = 0
) -> tuple[Timeline, list[Slot]]:
    *pts, end = constant(rate, tick, frames, start)
    line = timeline(tick, start, rate, retiming)
    return line, plan(line, pts, end)


def times(line: Timeline, slots: list[Slot]) -> list[Fraction]:
    return [slot.pts * line.time_base for slot in slots]


def fps(text: str) -> Retiming:
    return Retiming(fps=Rate(Fraction(text)))


def multiple(text: str) -> Retiming:
    return Retiming(fps=Rate(Fraction(text), relative=True))


rates = st.sampled_from(
    [Fraction(text) for text in ("24000/1001", "24", "25", "30000/1001", "12", "60", "9999/500")]
)
ticks = st.sampled_from(
    [Fraction(1, den) for den in (1000, 24000, 90000, 12800, 600, 25, 10**9)]
    + [Fraction(1001, 24000), Fraction(1, 1)]
)
fractions = st.builds(Fraction, st.integers(1, 5000), st.integers(1, 40))
retimings = st.one_of(
    st.just(Retiming()),
    st.builds(lambda rate: Retiming(fps=Rate(rate)), fractions),
    st.builds(lambda rate: Retiming(cfr=rate), fractions),
    st.builds(
        lambda factor: Retiming(fps=Rate(Fraction(factor), relative=True)), st.integers(1, 8)
    ),
    st.builds(
        lambda slow, fps: Retiming(slow=slow, fps=fps),
        st.builds(Fraction, st.integers(10, 80), st.sampled_from([1, 2, 10])),
        st.none() | st.builds(Rate, fractions) | st.just(Rate(Fraction(5, 2), relative=True)),
    ),
)


@st.composite
def videos(draw: st.DrawFn) -> tuple[Timeline, list[int], int, Retiming]:
    """A timeline, the PTS of the frames that are there, and the end."""
    steps = draw(st.lists(st.integers(1, 2000), max_size=12))
    start = draw(st.sampled_from([0, 7, -500, 2**31 + 1, 2**40, 126000]))
    pts = list(itertools.accumulate(steps, initial=start))
    end = pts[-1] + draw(st.integers(1, 2000))
    retiming = draw(retimings)
    tick = draw(ticks)
    if draw(st.booleans()):  # some frames are missing
        retiming = Retiming(retiming.fps, retiming.slow, retiming.cfr, times=tuple(pts))
        good = draw(st.sets(st.sampled_from(pts), min_size=1))
        pts = sorted(good)
    rate = draw(rates)
    out = 1000 if retiming.cfr is None else float(retiming.cfr)
    if retiming.fps is not None:
        out = float(retiming.fps.of(rate))
    # Keep the number of slots within what a test can look at.
    if float((end - start) * tick * retiming.slow) * min(out, 1000) > 5000:
        tick = MS / 100
    while True:
        try:
            return timeline(tick, start, rate, retiming), pts, end, retiming
        except UsageError:
            retiming = Retiming(times=retiming.times)


@settings(max_examples=600, deadline=None)
@given(videos())
def test_any_timestamps_and_any_target_give_a_monotone_plan_that_covers_the_duration(
    video: tuple[Timeline, list[int], int, Retiming],
) -> None:
    line, good, end, retiming = video
    slots = plan(line, good, end)
    found = [slot.pts for slot in slots]
    assert all(one < other for one, other in pairwise(found))
    start = retiming.times[0] if retiming.times else good[0]
    step = 1 / (line.frame_rate * line.time_base)
    assert abs(found[0] - line.out_pts(start)) <= 1
    assert line.end(end) > found[-1]
    assert abs(line.end(end) - line.out_pts(end)) <= max(step, 1)


@settings(max_examples=300, deadline=None)
@given(videos())
def test_phases_say_where_a_slot_lies(
    video: tuple[Timeline, list[int], int, Retiming],
) -> None:
    line, good, end, _ = video
    assert all(slot.phase < 0 for slot in line.leading(good[0]))
    for left, right in pairwise(good):
        slots = line.between(left, right)
        assert all(0 <= slot.phase < 1 for slot in slots)
        assert [slot.phase for slot in slots] == sorted(slot.phase for slot in slots)
    assert all(slot.phase >= 0 for slot in line.trailing(good[-1], end))


@settings(max_examples=300, deadline=None)
@given(videos(), st.randoms())
def test_the_plan_is_the_same_in_any_order(
    video: tuple[Timeline, list[int], int, Retiming], random: object
) -> None:
    line, good, end, _ = video
    expected = plan(line, good, end)
    pieces = {good[-1]: line.trailing(good[-1], end)}
    order = list(pairwise(good))
    random.shuffle(order)  # type: ignore[attr-defined]
    for left, right in order:
        pieces[left] = line.between(left, right)
    joined = [slot for left in sorted(pieces) for slot in pieces[left]]
    assert line.leading(good[0]) + joined == expected


@settings(max_examples=150, deadline=None)
@given(
    rates,
    st.sampled_from([Fraction(1, 24000), Fraction(1, 1200), Fraction(1, 25), Fraction(1, 12)]),
    fractions,
    st.integers(1, 50),
)
def test_exact_timestamps_give_exactly_the_ceiling_of_duration_times_rate(
    rate: Fraction, tick: Fraction, target: Fraction, frames: int
) -> None:
    assume((1 / (rate * tick)).denominator == 1 and target <= min(64 * rate, 1000))
    line, slots = retimed(rate, tick, frames, Retiming(fps=Rate(target)))
    assert len(slots) == ceil(frames / rate * target)
    assert times(line, slots) == [slot / target for slot in range(len(slots))]
    _, held = retimed(rate, tick, frames, Retiming(cfr=target))
    assert len(held) == max(1, floor(frames / rate * target + Fraction(1, 2)))


@pytest.mark.parametrize(
    "tick", [Fraction(1, 24000), Fraction(1001, 24000), Fraction(1, 90000), MS]
)
@pytest.mark.parametrize(
    ("retiming", "rate", "slots"),
    [
        (multiple("2"), FILM, 240),
        (fps("48000/1001"), FILM, 240),
        (multiple("5/2"), FILM, 300),
        (fps("60"), FILM, 301),
        (fps("24"), Fraction(25), 116),
        (fps("25"), Fraction(25), 120),
        (fps("60000/1001"), Fraction(30000, 1001), 240),
        (fps("12000/1001"), FILM, 60),
    ],
)
def test_counts_of_a_clip_of_120_frames(
    retiming: Retiming, rate: Fraction, slots: int, tick: Fraction
) -> None:
    if rate == 25 and tick.numerator > 1:
        tick = Fraction(1, 25)
    line, found = retimed(rate, tick, 120, retiming, start=17)
    assert len(found) == slots
    asked = retiming.fps.of(rate) if retiming.fps else rate
    assert line.frame_rate == asked
    assert line.time_base.denominator < 2**31
    assert found[0] == Slot(line.out_pts(17), Fraction(0))
    if tick != MS and tick.denominator != 90000:
        expected = [17 * tick + number / asked for number in range(slots)]
        assert times(line, found) == expected


@pytest.mark.parametrize("tick", [Fraction(1, 24000), MS])
def test_source_frames_at_output_times_pass_untouched(tick: Fraction) -> None:
    _, film = retimed(FILM, tick, 1001, fps("60"))
    untouched = [number for number, slot in enumerate(film) if slot.phase == 0]
    assert set(range(0, len(film), 1001)) <= set(untouched)
    if tick != MS:
        assert untouched == [0, 1001, 2002]
    for retiming, every in [(multiple("5/2"), 5), (fps("48000/1001"), 2), (multiple("4"), 4)]:
        _, slots = retimed(FILM, tick, 1001, retiming)
        untouched = [number for number, slot in enumerate(slots) if slot.phase == 0]
        assert untouched == list(range(0, len(slots), every))


def test_a_frame_rounded_to_a_millisecond_is_still_the_frame() -> None:
    line = timeline(MS, 0, Fraction(30000, 1001), fps("60000/1001"))
    assert [slot.phase for slot in line.between(33, 67)] == [0, line.between(33, 67)[1].phase]
    assert line.between(33, 67)[1].phase == Fraction(Fraction(3 * 1001, 60) - 33, 34)


def test_how_near_is_the_frame_itself() -> None:
    line = timeline(MS, 0, FILM, fps("60000/1001"))  # slot 41 is at 684.0166 ms
    assert line.between(685, 720)[0] == Slot(41 * 1001, Fraction(0))
    assert line.between(683, 720)[0] == Slot(41 * 1001, Fraction(61, 60 * 37))
    coarse = timeline(Fraction(1, 30), 0, Fraction(24), fps("25"))
    assert coarse.between(0, 1)[0] == Slot(0, Fraction(0))
    assert [slot.phase for slot in coarse.between(1, 3)] == [Fraction(1, 10), Fraction(7, 10)]


@pytest.mark.parametrize("tick", [Fraction(1, 24000), MS, Fraction(1, 90000), Fraction(1, 10**9)])
@pytest.mark.parametrize("target", ["60", "60000/1001", "25", "120000/1001"])
def test_three_hours_do_not_drift(tick: Fraction, target: str) -> None:
    frames = 258_942
    start = 2**31 + 5  # and beyond what 32 bits hold
    line = timeline(tick, start, FILM, fps(target))
    pts = [start + round(number / FILM / tick) for number in (frames - 1, frames)]
    end = pts.pop()
    last = line.trailing(pts[-1], end)[-1]
    true_end_s = start * tick + frames / FILM
    step_s = 1 / Fraction(target)
    assert abs(last.pts * line.time_base + step_s - true_end_s) <= step_s
    count = ceil(frames / FILM * Fraction(target))
    assert abs(last.pts * line.time_base - (start * tick + (count - 1) * step_s)) <= tick / 2
    assert abs(line.out_pts(pts[-1]) * line.time_base - pts[-1] * tick) <= line.time_base
    assert line.time_base.denominator < 2**31


@pytest.mark.parametrize("tick", [Fraction(1, 24000), MS])
@pytest.mark.parametrize("retiming", [multiple("2"), fps("48000/1001")])
def test_twice_three_hours_is_exactly_twice_as_many_frames(
    retiming: Retiming, tick: Fraction
) -> None:
    line = timeline(tick, 0, FILM, retiming)
    pts = constant(FILM, tick, 258_942)
    for number in (*range(2000), *range(129_000, 131_000), *range(256_900, 258_941)):
        own, made = line.between(pts[number], pts[number + 1])
        assert own.phase == 0 < made.phase
        for offset, slot in enumerate((own, made)):
            true_s = (2 * number + offset) / FILM / 2
            assert abs(slot.pts * line.time_base - true_s) <= tick / 2
    slots = line.trailing(*pts[-2:])
    assert len(slots) == 2
    assert abs(slots[1].pts * line.time_base - (2 * 258_942 - 1) / FILM / 2) <= tick / 2
    assert abs(line.end(pts[-1]) * line.time_base - 258_942 / FILM) <= tick / 2


def test_multiples_keep_a_variable_rate() -> None:
    line = timeline(MS, 100, Fraction(24), multiple("3"))
    slots = plan(line, [100, 130, 250], 300)
    assert line.time_base == Fraction(1, 3000)
    assert [slot.pts for slot in slots] == [300, 330, 360, 390, 510, 630, 750, 800, 850]
    assert [slot.phase for slot in slots[:6]] == [0, Fraction(1, 3), Fraction(2, 3)] * 2
    assert line.end(300) == 900


def test_unchanged_is_unchanged() -> None:
    line = timeline(MS, 100, Fraction(24), Retiming())
    assert plan(line, [100, 130, 250], 300) == [Slot(pts, Fraction(0)) for pts in (100, 130, 250)]
    assert (line.time_base, line.frame_rate, line.speed, line.end(300)) == (MS, 24, 1, 300)


def test_missing_frames_become_slots_between_good_ones() -> None:
    listed = Retiming(times=(0, 40, 80, 120, 160, 200))
    line = timeline(MS, 40, Fraction(25), listed)
    slots = plan(line, [40, 160], 240)
    assert [slot.pts for slot in slots] == [0, 40, 80, 120, 160, 200]
    third = Fraction(1, 3)
    assert [slot.phase for slot in slots] == [-1, 0, third, 2 * third, 0, 1]


def test_missing_frames_are_made_for_multiples_and_constant_rates_too() -> None:
    listed = (0, 40, 80)
    twice = timeline(MS, 0, Fraction(25), Retiming(fps=Rate(Fraction(2), True), times=listed))
    assert [slot.phase * 4 for slot in twice.between(0, 80)] == [0, 1, 2, 3]
    held = timeline(MS, 0, Fraction(25), Retiming(cfr=Fraction(50), times=listed))
    assert [slot.phase * 2 for slot in held.between(0, 80)] == [0, 0, 1, 1]


def test_slow_motion_stretches_and_keeps_the_rate() -> None:
    line = timeline(MS, 500, Fraction(25), Retiming(slow=Fraction(4)))
    slots = plan(line, [500, 540], 580)
    assert (line.time_base, line.frame_rate, line.speed) == (MS, 25, Fraction(1, 4))
    assert [slot.pts for slot in slots] == list(range(500, 820, 40))
    assert [slot.phase for slot in slots[:4]] == [0, Fraction(1, 4), Fraction(1, 2), Fraction(3, 4)]
    assert line.end(580) == 820


def test_slow_motion_by_a_fraction_or_to_another_rate_is_a_grid() -> None:
    line, slots = retimed(Fraction(25), MS, 10, Retiming(slow=Fraction(5, 2)))
    assert len(slots) == 25
    assert [slot.phase for slot in slots[:3]] == [0, Fraction(2, 5), Fraction(4, 5)]
    assert times(line, slots) == [Fraction(number, 25) for number in range(25)]
    line, slots = retimed(Fraction(25), MS, 10, Retiming(slow=Fraction(4), fps=Rate(Fraction(60))))
    assert len(slots) == 96
    assert times(line, slots)[-1] == Fraction(95, 60)
    assert line.out_pts(400) * line.time_base == Fraction(16, 10)
    line, slots = retimed(FILM, MS, 10, Retiming(slow=Fraction(4), fps=Rate(Fraction(2), True)))
    assert len(slots) == 80
    assert line.time_base == Fraction(1, 2000)


def shown(line: Timeline, pts: list[int], end: int) -> list[int]:
    """Number of the source frame that each slot of a constant rate shows."""
    numbers = []
    for number, (left, right) in enumerate(pairwise([*pts, end])):
        last = number == len(pts) - 1
        slots = line.trailing(left, end) if last else line.between(left, right)
        assert all(slot.phase == 0 for slot in slots)
        numbers += [number] * len(slots)
    return numbers


@pytest.mark.parametrize("tick", [Fraction(1, 24000), MS])
def test_a_constant_rate_repeats_and_drops_evenly(tick: Fraction) -> None:
    def numbers(rate: Fraction, target: Fraction, frames: int) -> list[int]:
        *pts, end = constant(rate, tick, frames)
        return shown(timeline(tick, 0, rate, Retiming(cfr=target)), pts, end)

    assert numbers(Fraction(60), Fraction(30), 600) == list(range(0, 600, 2))
    assert numbers(Fraction(24), Fraction(48), 50) == sorted([*range(50), *range(50)])
    assert numbers(FILM, FILM, 500) == list(range(500))
    pulled = numbers(Fraction(24), Fraction(60), 40)
    assert [pulled.count(number) for number in range(39)] == [3, 2] * 19 + [3]


def test_a_constant_rate_forgives_jitter() -> None:
    pts = [number * 100 // 3 + (number * 7919) % 13 - 6 for number in range(1, 200)]
    line = timeline(MS, pts[0], Fraction(2997, 100), Retiming(cfr=Fraction(30)))
    assert shown(line, pts, pts[-1] + 33) == list(range(len(pts)))


@pytest.mark.parametrize(
    "retiming", [fps("60"), multiple("2"), multiple("5/2"), Retiming(), fps("1")]
)
def test_one_and_two_frames(retiming: Retiming) -> None:
    counts = {
        Fraction(60): (3, 5),
        Fraction(2): (2, 4),
        Fraction(5, 2): (3, 5),
        Fraction(1): (1, 1),
    }
    one, two = counts[retiming.fps.value if retiming.fps else Fraction(1)]
    if retiming == Retiming():
        two = 2
    _, slots = retimed(Fraction(24), MS, 1, retiming, start=-3)
    assert len(slots) == one
    assert slots[0].phase == 0
    assert [slot.phase for slot in slots] == sorted({slot.phase for slot in slots})
    _, slots = retimed(Fraction(24), MS, 2, retiming, start=-3)
    assert len(slots) == two


def test_even_the_shortest_video_has_a_frame() -> None:
    for retiming in (fps("1"), Retiming(cfr=Fraction(1)), fps("60000/1001")):
        line = timeline(Fraction(1, 90000), 5, FILM, retiming)
        assert [slot.phase for slot in line.trailing(5, 5)] == [0]
        assert line.end(5) > line.out_pts(5)


def test_a_time_base_too_fine_to_divide_still_gives_a_monotone_plan() -> None:
    nano = Fraction(1, 10**9)
    line = timeline(nano, 0, Fraction(12), multiple("64"))
    assert line.time_base == nano / 2
    slots = line.between(0, 83_333_333)
    assert len(slots) == 64
    assert abs(slots[63].pts * line.time_base - Fraction(63, 64 * 12)) <= nano
    assert [slot.pts for slot in line.between(10, 11)] == [20, 21]


@pytest.mark.parametrize(
    ("retiming", "said"),
    [
        (fps("0"), "out of range"),
        (fps("-60"), "out of range"),
        (fps("1000000"), "out of range"),
        (multiple("50"), "1250 frames per second"),
        (Retiming(slow=Fraction(65)), "65 frames for each"),
        (Retiming(slow=Fraction(1, 2)), "slow motion of 0.5x"),
        (Retiming(slow=Fraction(40), fps=Rate(Fraction(60))), "96 frames for each"),
        (Retiming(cfr=Fraction(0)), "out of range"),
        (Retiming(cfr=Fraction(25), fps=Rate(Fraction(25))), "--cfr contradict"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_remedy(retiming: Retiming, said: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        timeline(MS, 0, Fraction(25), retiming)
    assert raised.value.hint


def test_a_slide_show_may_be_held_at_any_rate() -> None:
    line = timeline(MS, 0, Fraction(1, 10), Retiming(cfr=Fraction(25)))
    assert len(line.trailing(0, 10_000)) == 250
    with pytest.raises(UsageError, match="250 frames for each"):
        timeline(MS, 0, Fraction(1, 10), fps("25"))

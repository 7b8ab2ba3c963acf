"""How streams are cut in time and pictures in space."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vidrestore.network.windows import Window, WindowPlan, cut, spans


@st.composite
def plans(draw: st.DrawFn) -> WindowPlan:
    segment, window = draw(st.integers(1, 30)), draw(st.integers(1, 12))
    context, overlap = draw(st.integers(0, min(6, segment))), draw(st.integers(0, window // 2))
    return WindowPlan(segment, context, window, overlap)


@dataclass(frozen=True)
class Item:
    index: int
    shot: int


def items_of(lengths: list[int]) -> list[Item]:
    """Frames of shots that are so long."""
    shots = [shot for shot, length in enumerate(lengths) for _ in range(length)]
    return [Item(index, shot) for index, shot in enumerate(shots)]


# One long shot, many of a single frame, and everything between.
shots = st.one_of(
    st.lists(st.integers(1, 120), max_size=3),
    st.lists(st.integers(1, 3), max_size=40),
    st.lists(st.integers(1, 30), max_size=12),
)


def windows_of(items: list[Item], plan: WindowPlan) -> list[Window[Item]]:
    return list(cut(items, plan, lambda item: item.shot))


def segments_of(items: list[Item], plan: WindowPlan) -> list[tuple[int, int]]:
    """Where segments begin and end, by the rule as it is written down."""
    cuts = [after.index for before, after in pairwise(items) if before.shot != after.shot]
    found, first = [], 0
    while first < len(items):
        shortest = first + plan.segment_frames
        stop = min([c for c in cuts if c >= shortest] + [2 * shortest - first, len(items)])
        found.append((first, stop))
        first = stop
    return found


@settings(deadline=None)
@given(shots, plans())
def test_every_frame_is_kept_by_exactly_one_segment_in_order(
    lengths: list[int], plan: WindowPlan
) -> None:
    items = items_of(lengths)
    kept: list[tuple[int, Item]] = []
    for window in windows_of(items, plan):
        for index in range(window.start, window.stop - window.tail):
            if window.keep_start <= index < window.keep_stop:
                kept.append((window.segment, window.items[index - window.start]))
    assert [item for _, item in kept] == items
    bounds = segments_of(items, plan)
    numbers = [number for number, (first, stop) in enumerate(bounds) for _ in range(first, stop)]
    assert [segment for segment, _ in kept] == numbers


@settings(deadline=None)
@given(shots, plans())
def test_a_window_holds_the_frames_that_its_start_says(
    lengths: list[int], plan: WindowPlan
) -> None:
    items = items_of(lengths)
    for window in windows_of(items, plan):
        assert window.items == tuple(items[window.start : window.stop])
        assert 1 <= len(window.items) <= plan.window_frames
        assert window.lead + window.tail <= len(window.items)


@settings(deadline=None)
@given(shots, plans())
def test_no_window_holds_frames_of_two_shots(lengths: list[int], plan: WindowPlan) -> None:
    for window in windows_of(items_of(lengths), plan):
        assert len({item.shot for item in window.items}) == 1


@settings(deadline=None)
@given(shots, plans())
def test_a_segment_reads_the_context_that_its_shots_have_and_no_more(
    lengths: list[int], plan: WindowPlan
) -> None:
    items = items_of(lengths)
    windows = windows_of(items, plan)
    for number, (first, stop) in enumerate(segments_of(items, plan)):
        read = {item for window in windows if window.segment == number for item in window.items}
        before = items[max(0, first - plan.context_frames) : first]
        after = items[stop : stop + plan.context_frames]
        context = [item for item in before if item.shot == items[first].shot]
        context += [item for item in after if item.shot == items[stop - 1].shot]
        assert read == {*items[first:stop], *context}
        ends = [(w.keep_start, w.keep_stop) for w in windows if w.segment == number]
        assert ends[-1] == (first, stop)


@settings(deadline=None)
@given(shots, plans())
def test_windows_overlap_as_planned_and_not_at_all_at_a_cut(
    lengths: list[int], plan: WindowPlan
) -> None:
    windows = windows_of(items_of(lengths), plan)
    for before, after in pairwise(windows):
        if before.ends_segment:
            assert (before.tail, after.lead) == (0, 0)
            assert after.segment == before.segment + 1
            continue
        assert after.segment == before.segment
        same_shot = before.items[-1].shot == after.items[-1].shot
        shared = plan.overlap_frames if same_shot else 0
        assert before.tail == after.lead == shared == before.stop - after.start
    if windows:
        assert (windows[0].segment, windows[0].lead, windows[-1].tail) == (0, 0, 0)
        assert windows[-1].ends_segment


@settings(deadline=None)
@given(shots, plans(), st.integers(0, 3))
def test_a_segment_can_be_cut_on_its_own(lengths: list[int], plan: WindowPlan, number: int) -> None:
    items = items_of(lengths)
    bounds = segments_of(items, plan)
    assume(number < len(bounds))
    first, stop = bounds[number]
    resumed = [w.keep_stop for w in windows_of(items[first:], plan) if w.ends_segment]
    assert resumed[0] == stop - first


@settings(deadline=None)
@given(shots, plans())
def test_no_more_than_a_window_and_two_contexts_are_held(
    lengths: list[int], plan: WindowPlan
) -> None:
    class Counted:
        alive = 0

        def __init__(self, shot: int) -> None:
            Counted.alive += 1
            self.shot = shot

        def __del__(self) -> None:
            Counted.alive -= 1

    held = 0
    stream = (Counted(item.shot) for item in items_of(lengths))
    for window in cut(stream, plan, lambda item: item.shot):
        held = max(held, Counted.alive)
        del window
    assert held <= plan.window_frames + 2 * plan.context_frames + 2
    assert Counted.alive == 0


def test_a_segment_ends_at_the_first_cut_from_its_shortest_length_on() -> None:
    plan = WindowPlan(segment_frames=10, context_frames=2, window_frames=6, overlap_frames=2)
    items = items_of([9, 4, 30, 5])
    ends = [(w.keep_start, w.keep_stop) for w in windows_of(items, plan) if w.ends_segment]
    assert ends == [(0, 13), (13, 33), (33, 43), (43, 48)]


def test_without_shots_the_stream_is_one() -> None:
    ends = [w.keep_stop for w in cut(range(100), WindowPlan(20, 2, 8, 2)) if w.ends_segment]
    assert ends == [40, 80, 100]


def test_a_window_is_given_before_the_stream_is_read_further() -> None:
    read = []

    def stream() -> Iterator[int]:
        for i in range(100):
            read.append(i)
            yield i

    next(cut(stream(), WindowPlan(50, 2, 8, 2)))
    assert len(read) == 9  # one more tells whether the stream goes on


@pytest.mark.parametrize(
    "lengths", [(10, 2, 3, 2), (10, 2, 0, 0), (10, 2, 4, -1), (3, 4, 8, 2), (0, 0, 8, 2)]
)
def test_plans_that_make_no_sense_are_refused(lengths: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="must be at least"):
        WindowPlan(*lengths)


@st.composite
def coverings(draw: st.DrawFn) -> tuple[int, int, int, int]:
    overlap, multiple = draw(st.integers(0, 64)), draw(st.sampled_from([1, 2, 8, 16]))
    size = 3 * overlap + multiple + draw(st.integers(0, 600))
    return draw(st.integers(1, 5000)), size, overlap, multiple


@settings(deadline=None)
@given(coverings())
def test_spans_cover_everything_with_the_overlap_and_multiple_asked_for(
    covering: tuple[int, int, int, int],
) -> None:
    length, size, overlap, multiple = covering
    found = spans(*covering)
    assert (found[0][0], found[-1][1]) == (0, length)
    for (start, stop), (next_start, next_stop) in pairwise(found):
        assert stop - next_start == overlap
        assert next_start > start
        assert next_stop > stop
    assert all(0 < stop - start <= size and start % multiple == 0 for start, stop in found)


@settings(deadline=None)
@given(coverings())
def test_no_position_lies_in_more_than_two_spans(covering: tuple[int, int, int, int]) -> None:
    found = spans(*covering)
    assert all(first[1] <= third[0] for first, third in zip(found, found[2:], strict=False))


def test_what_fits_is_one_span() -> None:
    assert spans(640, 640, 64, 8) == [(0, 640)]
    assert len(spans(648, 640, 64, 8)) == 2

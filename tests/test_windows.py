"""How streams are cut in time and pictures in space."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidrestore.windows import Window, WindowPlan, cut, spans


@st.composite
def plans(draw: st.DrawFn) -> WindowPlan:
    segment, window = draw(st.integers(1, 30)), draw(st.integers(1, 12))
    context, overlap = draw(st.integers(0, min(6, segment))), draw(st.integers(0, window // 2))
    return WindowPlan(segment, context, window, overlap)


def windows_of(length: int, plan: WindowPlan) -> list[Window[int]]:
    return list(cut(range(length), plan))


@settings(deadline=None)
@given(st.integers(0, 120), plans())
def test_every_frame_is_kept_by_exactly_one_segment_in_order(length: int, plan: WindowPlan) -> None:
    kept = []
    for window in windows_of(length, plan):
        inside = window.items[: len(window.items) - window.tail]
        kept += [i for i in inside if window.keep_start <= i < window.keep_stop]
    assert kept == list(range(length))


@settings(deadline=None)
@given(st.integers(1, 120), plans())
def test_a_window_holds_the_frames_that_its_start_says(length: int, plan: WindowPlan) -> None:
    for window in windows_of(length, plan):
        assert window.items == tuple(range(window.start, window.stop))
        assert 1 <= len(window.items) <= plan.window_frames
        assert window.lead + window.tail <= len(window.items)


@settings(deadline=None)
@given(st.integers(1, 120), plans())
def test_a_segment_reads_its_context_and_no_more(length: int, plan: WindowPlan) -> None:
    for window in windows_of(length, plan):
        first = window.segment * plan.segment_frames
        assert window.keep_start == first
        assert window.start >= max(0, first - plan.context_frames)
        stop = min(first + plan.segment_frames + plan.context_frames, length)
        assert window.stop == stop if window.ends_segment else window.stop < stop


@settings(deadline=None)
@given(st.integers(1, 120), plans())
def test_windows_of_a_segment_overlap_as_planned(length: int, plan: WindowPlan) -> None:
    windows = windows_of(length, plan)
    for before, after in pairwise(windows):
        if before.ends_segment:
            assert (before.tail, after.lead) == (0, 0)
            assert after.segment == before.segment + 1
        else:
            assert before.tail == after.lead == plan.overlap_frames == before.stop - after.start
            assert after.segment == before.segment
    assert (windows[0].lead, windows[-1].tail) == (0, 0)
    assert windows[-1].ends_segment


@settings(deadline=None)
@given(st.integers(0, 200), plans())
def test_no_more_than_a_window_and_two_contexts_are_held(length: int, plan: WindowPlan) -> None:
    class Item:
        alive = 0

        def __init__(self) -> None:
            Item.alive += 1

        def __del__(self) -> None:
            Item.alive -= 1

    held = 0
    for window in cut((Item() for _ in range(length)), plan):
        held = max(held, Item.alive)
        del window
    assert held <= plan.window_frames + 2 * plan.context_frames + 2
    assert Item.alive == 0


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

"""Restored frames onto a timeline: what passes, what is made, and never across a cut."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import Clips
from vidrestore.media.decode import Frame
from vidrestore.media.probe import VideoInfo, probe
from vidrestore.media.timeline import Rate, Retiming, timeline
from vidrestore.network.windows import WindowPlan, cut
from vidrestore.picture.convert import FrameConverter
from vidrestore.timing.retime import Restored, Retimer

TWICE = Retiming(fps=Rate(Fraction(2), relative=True))


@pytest.fixture(scope="module")
def info(clips: Clips) -> VideoInfo:
    return probe(clips.plain)


def frames_of(info: VideoInfo, shots: list[int]) -> list[Frame]:
    """Frames of shots of the lengths given: a pattern that moves, darker in every other shot."""
    frames = []
    step = round(1 / (info.frame_rate * info.time_base))
    height, width = info.plane_shapes[0]
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    for shot, length in enumerate(shots):
        for _ in range(length):
            index = len(frames)
            wave = 12 * np.sin((x - 2 * index) / 5) + 8 * np.cos(y / 6)
            luma = (wave + (60 if shot % 2 else 180)).astype(np.uint8)
            chroma = [np.full(shape, 128, np.uint8) for shape in info.plane_shapes[1:]]
            pts = info.start_pts + index * step
            frames.append(Frame(index, pts, (luma, *chroma), shot))
    return frames


def restored(frames: list[Frame], plan: WindowPlan) -> Iterator[Restored]:
    for window in cut(frames, plan, lambda frame: frame.shot):
        for frame, kept in window.complete:
            yield Restored(window.segment, frame, kept)


def run(
    info: VideoInfo, frames: list[Frame], retiming: Retiming, plan: WindowPlan | None = None
) -> list[tuple[int, Frame]]:
    line = timeline(info.time_base, info.start_pts, info.frame_rate, retiming)
    step = round(1 / (info.frame_rate * info.time_base))
    end_pts = (retiming.times or [frame.pts for frame in frames])[-1] + step
    retimer = Retimer(
        info, line, None, FrameConverter(info), end_pts, repairs=retiming.times is not None
    )
    return list(retimer.retime(restored(frames, plan or WindowPlan())))


def test_an_unchanged_timeline_passes_every_frame_untouched(info: VideoInfo) -> None:
    frames = frames_of(info, [5, 1, 7])
    out = run(info, frames, Retiming())
    assert [frame.pts for _, frame in out] == [frame.pts for frame in frames]
    assert all(new.planes is old.planes for (_, new), old in zip(out, frames, strict=True))


def test_twice_the_frames(info: VideoInfo) -> None:
    frames = frames_of(info, [6])
    out = run(info, frames, TWICE)
    assert len(out) == 12
    assert [frame.index for _, frame in out] == list(range(12))
    pts = [frame.pts for _, frame in out]
    assert pts == sorted(set(pts))
    for source, (_, frame) in zip(frames, out[::2], strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(frame.planes, source.planes, strict=True))
    for number in range(1, 10, 2):  # half way between their neighbours
        wave = out[number][1].planes[0].astype(float)
        left, right = (out[number + i][1].planes[0].astype(float) for i in (-1, 1))
        assert np.abs(wave - (left + right) / 2)[8:-8, 8:-8].mean() < 4


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=5),
    st.sampled_from([TWICE, Retiming(fps=Rate(Fraction(60))), Retiming(slow=Fraction(3))]),
)
def test_no_frame_mixes_two_shots(info: VideoInfo, shots: list[int], retiming: Retiming) -> None:
    for _, frame in run(info, frames_of(info, shots), retiming):
        expected = 60 if frame.shot % 2 else 180
        assert np.abs(frame.planes[0].astype(float) - expected).max() < 45


def test_at_a_cut_each_side_goes_on_with_its_own_motion(info: VideoInfo) -> None:
    frames = frames_of(info, [5, 5])
    out = [frame for _, frame in run(info, frames, Retiming(fps=Rate(Fraction(4), relative=True)))]
    between = out[17:20]
    assert [frame.shot for frame in between] == [0, 0, 1]
    for frame in between:  # neither frozen nor held
        same = [np.array_equal(frame.planes[0], f.planes[0]) for f in frames]
        assert not any(same)


@settings(deadline=None, max_examples=20)
@given(st.integers(3, 30), st.integers(3, 9), st.booleans())
def test_a_segment_is_the_same_whatever_the_segmentation_before_it(
    info: VideoInfo, length: int, segment_frames: int, late: bool
) -> None:
    frames = frames_of(info, [length, 3] if late else [3, length])
    plan = WindowPlan(segment_frames, 2, 6, 1)
    whole = run(info, frames, TWICE)
    cut_up = run(info, frames, TWICE, plan)
    assert [f.pts for _, f in whole] == [f.pts for _, f in cut_up]
    for (_, one), (_, other) in zip(whole, cut_up, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one.planes, other.planes, strict=True))


@pytest.mark.parametrize("length", [1, 2])
def test_very_short_clips(info: VideoInfo, length: int) -> None:
    out = run(info, frames_of(info, [length]), TWICE)
    assert len(out) == 2 * length


def test_missing_frames_are_made_where_they_should_be(info: VideoInfo) -> None:
    frames = frames_of(info, [12])
    times = tuple(frame.pts for frame in frames)
    good = [frame for frame in frames if frame.index not in (0, 4, 5, 11)]
    out = run(info, good, Retiming(times=times))
    assert [frame.pts for _, frame in out] == list(times)
    for number in (4, 5):
        error = np.abs(out[number][1].planes[0].astype(float) - frames[number].planes[0])
        assert error[8:-8, 8:-8].mean() < 4


def test_constant_rate_repeats_and_drops_but_makes_nothing(info: VideoInfo, tmp_path: Path) -> None:
    frames = frames_of(info, [8])
    for rate in (10, 50):
        out = run(info, frames, Retiming(cfr=Fraction(rate)))
        lumas = [frame.planes[0].tobytes() for frame in frames]
        assert all(frame.planes[0].tobytes() in lumas for _, frame in out)


def test_a_picture_that_was_held_is_not_morphed(info: VideoInfo) -> None:
    frames = frames_of(info, [40])
    out = run(info, [frames[0], frames[1], frames[39]], TWICE)
    assert len(out) == 6
    assert out[3][1].planes is frames[1].planes

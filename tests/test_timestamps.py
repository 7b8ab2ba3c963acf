"""Bad timestamps: a defined result or a clear error, on media that really have them."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import Clips, decode_all, run_ffmpeg
from vidrestore.errors import InputError
from vidrestore.media.decode import Decoder
from vidrestore.media.probe import VideoInfo, probe
from vidrestore.media.stamps import MOST_DISORDERED, Stamps

LOSSLESS = ("-c:v", "ffv1", "-g", "1", "-pix_fmt", "yuv420p")

CLOCK_S = Fraction(2**33, 90000)
"""When the clock of an MPEG stream wraps."""


@pytest.fixture(scope="module")
def info(clips: Clips) -> VideoInfo:
    """24 frames a second in ticks of 1/12288 s: 512 from frame to frame."""
    return probe(clips.plain)


def decoded(path: Path, ffmpeg: str) -> tuple[list[int], list[str]]:
    """Timestamps in ticks and warnings."""
    with Decoder(probe(path), ffmpeg=ffmpeg) as decoder:
        return [frame.pts for frame in decoder], decoder.warnings


def restamped(clips: Clips, path: Path, pts: str, frames: int = 24) -> Path:
    """A clip whose packets carry any timestamps: an expression of N, in frames."""
    stamps = f"setts=pts='{pts}':dts='N-100000'"
    picture = clips.picture(frames=frames)
    run_ffmpeg(clips.ffmpeg, *picture, *LOSSLESS, "-bsf:v", stamps, path)
    return path


def repaired(info: VideoInfo, stamps: list[int]) -> tuple[list[int], int]:
    stream: Stamps[int] = Stamps(info)
    pairs = list(stream.repair((pts, number) for number, pts in enumerate(stamps)))
    assert [number for _, number in pairs] == list(range(len(stamps)))
    return [pts for pts, _ in pairs], stream.repaired


def test_good_timestamps_stay_however_irregular(info: VideoInfo) -> None:
    stamps = [-7, 0, 1, 512, 5120, 2**31 + 1, 2**31 + 2, 2**40]
    assert repaired(info, stamps) == (stamps, 0)
    assert repaired(info, [5]) == ([5], 0)
    assert repaired(info, []) == ([], 0)


@pytest.mark.parametrize(
    ("wrong", "stamp"), [(4, 0), (4, 1536), (4, -9000), (3, 99_999), (5, 3072), (9, 100), (1, 0)]
)
def test_a_lone_wrong_timestamp_gets_its_own_back(info: VideoInfo, wrong: int, stamp: int) -> None:
    right = [number * 512 for number in range(10)]
    stamps = [stamp if number == wrong else pts for number, pts in enumerate(right)]
    assert repaired(info, stamps) == (right, 1)


def test_a_run_of_wrong_ones_is_spread_between_its_neighbours(info: VideoInfo) -> None:
    assert repaired(info, [0, 512, 300, 300, 2000, 2512]) == ([0, 512, 1008, 1504, 2000, 2512], 2)
    assert repaired(info, [0, 0, 0]) == ([0, 512, 1024], 2)


def test_without_room_those_that_follow_move_up(info: VideoInfo) -> None:
    assert repaired(info, [0, 1, 1, 2, 3, 700]) == ([0, 1, 2, 3, 351, 700], 3)


@settings(max_examples=500, deadline=None)
@given(stamps=st.lists(st.integers(-3000, 3000), max_size=MOST_DISORDERED))
def test_any_timestamps_come_out_increasing(info: VideoInfo, stamps: list[int]) -> None:
    found, count = repaired(info, stamps)
    assert all(one < other for one, other in pairwise(found))
    assert count == sum(one != other for one, other in zip(stamps, found, strict=True))
    if sorted(set(stamps)) == stamps:
        assert found == stamps


def test_a_clock_that_goes_back_for_good_is_refused(info: VideoInfo) -> None:
    stamps = [*range(0, 51200, 512), *range(0, 51200, 512)]
    with pytest.raises(InputError, match=r"go back from 4\.125 s to 0\.333 s") as raised:
        repaired(info, stamps)
    assert "setpts=N/(24/1)/TB" in str(raised.value.hint)


@pytest.mark.parametrize("wrong", ["N-3", "N-1", "N+300"])
def test_a_lone_wrong_timestamp_in_a_file(clips: Clips, tmp_path: Path, wrong: str) -> None:
    path = restamped(clips, tmp_path / "lone.mkv", f"if(eq(N,12),{wrong},N)")
    pts, warnings = decoded(path, clips.ffmpeg)
    wanted = [number * Fraction(1000, 24) for number in range(24)]
    assert all(abs(found - true) <= 1 for found, true in zip(pts, wanted, strict=True))
    assert warnings[0] == "1 frames had timestamps out of order"


def test_repair_changes_no_picture(clips: Clips, tmp_path: Path) -> None:
    good = restamped(clips, tmp_path / "good.mkv", "N")
    bad = restamped(clips, tmp_path / "bad.mkv", "if(eq(mod(N,5),4),N-2,N)")
    frames = zip(decode_all(good, clips.ffmpeg), decode_all(bad, clips.ffmpeg), strict=True)
    for one, other in frames:
        np.testing.assert_array_equal(one.planes[0], other.planes[0])


def test_a_file_whose_clock_goes_back_is_refused_and_the_remedy_works(
    clips: Clips, tmp_path: Path
) -> None:
    path = restamped(clips, tmp_path / "back.mkv", "if(gt(N,29),N-28,N)", frames=48)
    with pytest.raises(InputError, match="and stay there") as raised:
        decode_all(path, clips.ffmpeg)
    assert "setpts=N/(24/1)/TB" in str(raised.value.hint)
    timed = tmp_path / "timed.mkv"
    run_ffmpeg(clips.ffmpeg, "-i", path, "-vf", "setpts=N/(24/1)/TB", "-c:v", "ffv1", timed)
    pts, warnings = decoded(timed, clips.ffmpeg)
    assert pts == [round(number * 1000 / 24 + 1e-6) for number in range(48)]
    assert warnings == []


def test_an_elementary_stream_has_no_timestamps_at_all(clips: Clips, tmp_path: Path) -> None:
    path = tmp_path / "bare.h264"
    run_ffmpeg(clips.ffmpeg, "-i", clips.plain, "-an", "-c", "copy", path)
    pts, warnings = decoded(path, clips.ffmpeg)
    steps = np.diff(pts) * float(probe(path).time_base)
    np.testing.assert_allclose(steps, 1 / 24)
    assert (len(pts), warnings) == (24, [])


@pytest.mark.parametrize(("codec", "raw"), [("libx264", "h264"), ("mpeg4", "m4v")])
def test_avi_has_no_presentation_times(clips: Clips, tmp_path: Path, codec: str, raw: str) -> None:
    bare, path = tmp_path / f"bare.{raw}", tmp_path / "bare.avi"
    run_ffmpeg(clips.ffmpeg, *clips.tagged(), "-c:v", codec, "-bf", "2", "-f", raw, bare)
    run_ffmpeg(clips.ffmpeg, "-r", "24", "-f", raw, "-i", bare, "-c", "copy", path)
    info = probe(path)
    pts, warnings = decoded(path, clips.ffmpeg)
    assert len(pts) == 24
    assert set(np.diff(pts) * info.time_base) == {Fraction(1, 24)}
    assert warnings == []


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_video_that_starts_after_its_sound(clips: Clips, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"late{suffix}"
    silent = tmp_path / "silent.mp4"
    run_ffmpeg(clips.ffmpeg, "-i", clips.plain, "-an", "-c", "copy", silent)
    sound = ("-i", clips.plain, "-map", "0:a", "-map", "1:v", "-c", "copy")
    run_ffmpeg(clips.ffmpeg, *sound[:2], "-itsoffset", "0.5", "-i", silent, *sound[2:], path)
    info = probe(path)
    pts, warnings = decoded(path, clips.ffmpeg)
    assert (len(pts), pts[0], warnings) == (24, info.start_pts, [])
    late_s = pts[0] * info.time_base - info.container_start
    assert abs(late_s - Fraction(1, 2)) < Fraction(1, 20)


@pytest.mark.parametrize("suffix", [".ts", ".mpg"])
@pytest.mark.parametrize("before_s", [Fraction(1, 2), Fraction(70)])
def test_a_clock_that_wraps_in_the_middle(
    clips: Clips, tmp_path: Path, suffix: str, before_s: Fraction
) -> None:
    """Within a minute of the start, ffmpeg counts from below 0; later, beyond the wrap."""
    frames = 24 if before_s < 60 else 24 * 72
    path = tmp_path / f"wrapping{suffix}"
    late = ("-output_ts_offset", f"{float(CLOCK_S - before_s):.6f}", "-muxdelay", "0")
    video = ("-c:v", "mpeg2video", "-b:v", "2M", "-bf", "2", "-muxpreload", "0")
    run_ffmpeg(clips.ffmpeg, *clips.picture(frames=frames), *video, *late, path)
    info = probe(path)
    pts, warnings = decoded(path, clips.ffmpeg)
    assert warnings == []
    assert (len(pts), pts[0]) == (frames, info.start_pts)
    steps = np.diff(pts)
    assert (steps.min(), steps.max()) == (3750, 3750)
    wrap = 0 if before_s < 60 else 2**33
    assert pts[0] < wrap < pts[-1]


def test_negative_timestamps_are_kept(clips: Clips, tmp_path: Path) -> None:
    path = tmp_path / "wrapping.ts"
    late = ("-output_ts_offset", f"{float(CLOCK_S - Fraction(3, 2)):.6f}", "-muxdelay", "0")
    run_ffmpeg(clips.ffmpeg, "-i", clips.plain, "-map", "0", "-c", "copy", *late, path)
    info = probe(path)
    assert info.start_pts < 0
    with Decoder(info, ffmpeg=clips.ffmpeg, start=Fraction(5, 24)) as decoder:
        frames = list(decoder)
    assert frames[0].pts == info.start_pts + 5 * 3750
    assert len(frames) == 19


def test_timestamps_beyond_32_bits(clips: Clips, tmp_path: Path) -> None:
    path = tmp_path / "old.mkv"
    late = ("-output_ts_offset", "3000000", "-c", "copy")
    run_ffmpeg(clips.ffmpeg, "-i", clips.plain, *late, path)
    pts, warnings = decoded(path, clips.ffmpeg)
    assert pts == [3 * 10**9 + round(number * 1000 / 24 + 1e-6) for number in range(24)]
    assert warnings == []


def test_recordings_glued_together_are_refused_and_the_remedy_works(
    clips: Clips, tmp_path: Path
) -> None:
    parts = []
    for start_s in ("5000", "100"):
        parts.append(tmp_path / f"{start_s}.ts")
        copy = ("-c", "copy", "-output_ts_offset", start_s)
        run_ffmpeg(clips.ffmpeg, "-i", clips.plain, *copy, parts[-1])
    glued = tmp_path / "glued.ts"
    glued.write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(InputError, match="its clock is set anew after") as raised:
        decode_all(glued, clips.ffmpeg)
    assert "-c copy -map 0 joined.mkv" in str(raised.value.hint)
    joined = tmp_path / "joined.mkv"
    run_ffmpeg(clips.ffmpeg, "-i", glued, "-c", "copy", "-map", "0", joined)
    pts, _ = decoded(joined, clips.ffmpeg)
    assert len(pts) == 48
    assert max(np.diff(pts)) < 200


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts", ".png"])
def test_one_and_two_frames(clips: Clips, tmp_path: Path, suffix: str, frames: int) -> None:
    path = tmp_path / f"short{suffix}"
    if suffix == ".png":
        path = tmp_path / "pictures"
        path.mkdir()
        run_ffmpeg(clips.ffmpeg, *clips.picture(frames=frames), path / "%03d.png")
    else:
        codec = "mpeg4" if suffix == ".avi" else "libx264"
        run_ffmpeg(clips.ffmpeg, *clips.picture(frames=frames), "-c:v", codec, path)
    info = probe(path)
    pts, warnings = decoded(path, clips.ffmpeg)
    assert (len(pts), pts[0], warnings) == (frames, info.start_pts, [])
    if frames == 2:
        rate = 25 if suffix == ".png" else 24
        assert abs((pts[1] - pts[0]) * info.time_base - Fraction(1, rate)) <= info.time_base

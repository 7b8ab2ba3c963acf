"""Scores of one real file against another, and of the self-test."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Clips, decode_all, run_ffmpeg
from vidrestore.errors import InputError
from vidrestore.measure.compare import Comparison, RgbReader, compare
from vidrestore.measure.selftest import FRAMES, SIGMA, self_test
from vidrestore.network.diffuse import Restorer
from vidrestore.report import compare_document, comparison_warnings


def filtered(clips: Clips, path: Path, graph: str = "null", *options: str) -> Path:
    """The plain clip through a filter, encoded without loss."""
    lossless = ("-map", "0:v", "-vf", graph, "-c:v", "ffv1", *options)
    run_ffmpeg(clips.ffmpeg, "-i", clips.plain, *lossless, path)
    return path


def scored(clips: Clips, reference: Path, test: Path) -> Comparison:
    return compare(RgbReader(reference, clips.ffmpeg), RgbReader(test, clips.ffmpeg))


def test_a_lossless_copy_is_identical_and_scores_no_psnr(clips: Clips, tmp_path: Path) -> None:
    found = scored(clips, clips.plain, filtered(clips, tmp_path / "copy.mkv"))
    assert found.scores.identical
    assert (found.scores.frames, found.scores.psnr_db, found.scores.ssim) == (24, None, 1)
    assert (found.alignment.offset_frames, found.unmatched_frames) == (0, 0)


def test_luma_is_scored_on_the_codes_of_the_file(clips: Clips, tmp_path: Path) -> None:
    brighter = filtered(clips, tmp_path / "brighter.mkv", "lutyuv=y=val+8")
    found = scored(clips, clips.plain, brighter)
    assert found.scores.psnr_y_db == pytest.approx(20 * math.log10(255 / 8), abs=0.01)
    # In RGB the same step is 8 / 219, and none where a saturated colour is clamped.
    assert 0 < found.scores.psnr_db - 20 * math.log10(219 / 8) < 4


@pytest.mark.parametrize(
    ("graph", "offset", "unmatched"),
    [
        ("trim=start_frame=4,setpts=PTS-STARTPTS", -4, 4),
        ("trim=end_frame=21", 0, 3),
        ("tpad=start=3:start_mode=clone", 3, 3),
        ("trim=start_frame=2:end_frame=20,setpts=PTS-STARTPTS", -2, 6),
    ],
)
def test_clips_are_aligned_before_they_are_scored(
    clips: Clips, tmp_path: Path, graph: str, offset: int, unmatched: int
) -> None:
    moving = filtered(clips, tmp_path / "moving.mkv", "scroll=h=0.04")
    run_ffmpeg(clips.ffmpeg, "-i", moving, "-vf", graph, "-c:v", "ffv1", tmp_path / "other.mkv")
    found = scored(clips, moving, tmp_path / "other.mkv")
    assert (found.alignment.offset_frames, found.unmatched_frames) == (offset, unmatched)
    assert found.scores.identical


def test_a_shift_is_found_the_other_way_round_as_well(clips: Clips, tmp_path: Path) -> None:
    moving = filtered(clips, tmp_path / "moving.mkv", "scroll=h=0.04")
    late = filtered(clips, tmp_path / "late.mkv", "scroll=h=0.04,trim=start_frame=5")
    found = scored(clips, late, moving)
    assert (found.alignment.offset_frames, found.unmatched_frames) == (5, 5)
    assert found.scores.identical


def moving(clips: Clips, path: Path, graph: str = "null", *options: str) -> Path:
    """A clip in which every frame differs, through a filter, without loss."""
    if not (clips.folder / "moving.mkv").exists():
        filtered(clips, clips.folder / "moving.mkv", "scroll=h=0.013,noise=alls=0")
    lossless = ("-vf", graph, "-c:v", "ffv1", *options)
    run_ffmpeg(clips.ffmpeg, "-i", clips.folder / "moving.mkv", *lossless, path)
    return path


def test_frames_dropped_in_the_middle_are_found(clips: Clips, tmp_path: Path) -> None:
    whole = moving(clips, tmp_path / "whole.mkv")
    lost = "select='not(between(n,9,10))',setpts=N/24/TB"
    found = scored(clips, whole, moving(clips, tmp_path / "lossy.mkv", lost))
    assert (found.matching.by, found.matching.dropped) == ("order", (9, 10))
    assert found.scores.identical
    assert not found.identical
    assert [frame.index for frame in found.scores.per_frame] == [*range(9), *range(11, 24)]
    warnings = comparison_warnings(found)
    assert "frames of the reference that the test lacks: 2, at 9-10" in warnings


def test_frames_put_in_are_found(clips: Clips, tmp_path: Path) -> None:
    whole = moving(clips, tmp_path / "whole.mkv")
    twice = "loop=loop=2:size=1:start=12,setpts=N/24/TB"
    found = scored(clips, whole, moving(clips, tmp_path / "longer.mkv", twice))
    assert found.scores.identical
    assert len(found.matching.extra) == 2
    assert {j in range(11, 16) for j in found.matching.extra} == {True}


def test_an_offset_and_a_loss_under_compression(clips: Clips, tmp_path: Path) -> None:
    whole = moving(clips, tmp_path / "whole.mkv")
    graph = "select='gte(n,3)*not(eq(n,14))',setpts=N/24/TB"
    lossy = moving(clips, tmp_path / "lossy.mp4", graph, "-c:v", "libx264", "-crf", "30")
    found = scored(clips, whole, lossy)
    assert (found.alignment.offset_frames, found.matching.dropped) == (-3, (14,))


def test_variable_against_constant_rate(clips: Clips, tmp_path: Path) -> None:
    whole = moving(clips, tmp_path / "whole.mkv")
    some = ("-fps_mode", "passthrough")
    kept = moving(clips, tmp_path / "vfr.mkv", "select='mod(n,5)*mod(n,7)+eq(n,0)'", *some)
    for old, new in ((whole, kept), (kept, whole)):
        found = scored(clips, old, new)
        assert found.scores.identical
        assert found.scores.frames == 17


def test_another_rate_is_compared_at_the_times_that_both_have(clips: Clips, tmp_path: Path) -> None:
    whole = moving(clips, tmp_path / "whole.mkv")
    half = moving(clips, tmp_path / "half.mkv", "select='not(mod(n,2))',setpts=N/12/TB", "-r", "12")
    found = scored(clips, whole, half)
    assert found.matching.by == "time"
    assert (found.scores.frames, found.scores.identical) == (12, True)
    assert any("the rates differ" in warning for warning in comparison_warnings(found))


@pytest.mark.parametrize("size", ["48:32", "192:128"])
def test_another_size_is_scaled_to_the_reference(clips: Clips, tmp_path: Path, size: str) -> None:
    other = filtered(clips, tmp_path / "other.mkv", f"scale={size}:flags=area")
    found = scored(clips, clips.plain, other)
    assert found.scaled is not None
    assert found.scaled[1] == (96, 64)
    assert not found.identical
    assert found.scores.psnr_db is not None
    assert found.scores.psnr_db > 18
    assert any("was scaled" in warning for warning in comparison_warnings(found))


def test_another_shape_is_refused(clips: Clips, tmp_path: Path) -> None:
    cropped = filtered(clips, tmp_path / "cropped.mkv", "crop=96:56")
    with pytest.raises(InputError, match=r"is 96x64.* is 96x56, which is another shape") as caught:
        scored(clips, clips.plain, cropped)
    assert caught.value.hint


def test_the_document_says_identical_only_of_the_same_frames(clips: Clips, tmp_path: Path) -> None:
    whole = moving(clips, tmp_path / "whole.mkv")
    shorter = moving(clips, tmp_path / "shorter.mkv", "trim=end_frame=20")
    same = compare_document(whole, whole, scored(clips, whole, whole))
    assert same["identical"] is True
    assert same["metrics"]["psnr_db"] is None
    part = compare_document(whole, shorter, scored(clips, whole, shorter))
    assert (part["identical"], part["metrics"]["identical"]) == (False, True)
    assert part["alignment"]["unmatched_frames"] == 4
    assert part["frames"][19]["test_index"] == 19


def test_videos_of_different_content_are_refused(clips: Clips, tmp_path: Path) -> None:
    other = tmp_path / "other.mkv"
    source = "mandelbrot=size=96x64:rate=24,trim=end_frame=24,format=yuv420p"
    run_ffmpeg(clips.ffmpeg, "-f", "lavfi", "-i", source, "-c:v", "ffv1", other)
    with pytest.raises(InputError, match="does not show what") as caught:
        scored(clips, clips.plain, other)
    assert caught.value.hint


def test_different_depths_are_scored_in_rgb(clips: Clips, tmp_path: Path) -> None:
    deep = filtered(clips, tmp_path / "deep.mkv", "null", "-pix_fmt", "yuv420p10le")
    found = scored(clips, clips.plain, deep)
    assert found.scores.psnr_y_db is None or found.scores.psnr_y_db > 50
    assert found.scores.psnr_db is None or found.scores.psnr_db > 50


def test_a_folder_of_images_can_be_the_reference(clips: Clips) -> None:
    found = scored(clips, clips.images, clips.images)
    assert (found.scores.frames, found.scores.identical) == (8, True)


def test_a_reader_gives_clamped_rgb_of_the_frames_asked_for(clips: Clips) -> None:
    reader = RgbReader(clips.plain, clips.ffmpeg, start=3, end=Fraction(1, 2))
    frames = list(reader.frames())
    all_pts = [frame.pts for frame in decode_all(clips.plain, clips.ffmpeg)]
    assert [frame.pts for frame in frames] == all_pts[3:12]
    rgb = reader.rgb(frames[0])
    assert (rgb.shape, rgb.dtype) == ((64, 96, 3), np.float32)
    assert (rgb.min(), rgb.max()) == (0, 1)
    assert [frame.pts for frame in reader.frames()] == all_pts[3:12]  # once more


def test_the_self_test_restores_a_degraded_copy_of_the_result(clips: Clips) -> None:
    restorer = Restorer(device="cpu")
    found = self_test(restorer, RgbReader(clips.plain, clips.ffmpeg), steps=1, seed=0)
    assert (found.sigma, found.frames) == (SIGMA, FRAMES)
    assert found.degraded_psnr_db is not None
    assert found.psnr_db is not None
    # Clipping at black and white takes part of the noise away.
    assert 22 < found.degraded_psnr_db < 25
    assert found.psnr_db > found.degraded_psnr_db + 3


def test_the_self_test_takes_results_shorter_than_it_would_like(clips: Clips) -> None:
    restorer = Restorer(device="cpu")
    found = self_test(restorer, RgbReader(clips.odd, clips.ffmpeg), steps=1, seed=0)
    assert found.frames == 6

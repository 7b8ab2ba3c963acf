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


def test_videos_of_different_sizes_are_refused(clips: Clips, tmp_path: Path) -> None:
    small = filtered(clips, tmp_path / "small.mkv", "scale=48:32")
    with pytest.raises(InputError, match=r"is 96x64.* is 48x32") as caught:
        scored(clips, clips.plain, small)
    assert caught.value.hint


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

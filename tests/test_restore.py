"""restore() on real files: what comes out is whole, in time, and what was asked for."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from tests.conftest import Clips, decode_all
from vidrestore.encoders.codecs import EncodeSettings
from vidrestore.errors import InputError, OutputError, WeightsError
from vidrestore.network.shelf import find
from vidrestore.network.windows import WindowPlan
from vidrestore.runs import segments
from vidrestore.runs.pipeline import restore
from vidrestore.settings import RestoreSettings

LOSSLESS = EncodeSettings(codec="ffv1")
SMALL_WINDOWS = WindowPlan(segment_frames=10, context_frames=2, window_frames=6, overlap_frames=2)
EXAMPLES = Path(__file__).parent.parent / "examples"


def audio_packets(path: Path) -> list[tuple[int | None, bytes]]:
    with av.open(str(path)) as container:
        return [(p.pts, bytes(p)) for p in container.demux(audio=0) if p.size]


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"])
def test_strength_0_through_a_lossless_codec_is_bit_exact(
    clips: Clips, ffmpeg: str, tmp_path: Path, pix_fmt: str
) -> None:
    source, output = clips.lossless(pix_fmt), tmp_path / "out.mkv"
    settings = RestoreSettings(strength=0, encode=LOSSLESS, plan=SMALL_WINDOWS, sigma=25)
    result = restore(source, output, settings)
    before, after = decode_all(source, ffmpeg), decode_all(output, ffmpeg)
    assert result.model_s > 0
    assert result.output.plane_format == pix_fmt
    assert [f.pts for f in after] == [f.pts for f in before]
    for old, new in zip(before, after, strict=True):
        for plane, other in zip(old.planes, new.planes, strict=True):
            np.testing.assert_array_equal(plane, other)


def test_full_strength_changes_the_picture_and_strength_scales_it(
    clips: Clips, ffmpeg: str, tmp_path: Path
) -> None:
    source = clips.lossless("yuv420p")
    changes = []
    for strength in (0.5, 1.0):
        output = tmp_path / f"{strength}.mkv"
        restore(source, output, RestoreSettings(strength=strength, encode=LOSSLESS, sigma=20))
        pairs = zip(decode_all(source, ffmpeg), decode_all(output, ffmpeg), strict=True)
        changes.append(
            np.mean([np.abs(a.planes[0].astype(int) - b.planes[0]).mean() for a, b in pairs])
        )
    assert changes[1] > 0.2
    assert changes[0] == pytest.approx(changes[1] / 2, rel=0.25)


def test_the_example_gains_decibels_and_keeps_its_sound(tmp_path: Path) -> None:
    source, clean = EXAMPLES / "noisy.mp4", EXAMPLES / "clean.mp4"
    output, split = tmp_path / "out.mp4", tmp_path / "split.mp4"
    settings = RestoreSettings(
        end=12, reference=clean, compare=split, self_test=True,
        encode=EncodeSettings(preset="veryfast"),
    )  # fmt: skip
    result = restore(source, output, settings)
    scores, tested = result.scores, result.self_test
    assert scores is not None
    assert tested is not None
    gain_db = scores.output.scores.psnr_db - scores.input.scores.psnr_db
    assert gain_db > 4
    assert scores.before_encoding_psnr_db == pytest.approx(scores.output.scores.psnr_db, abs=1)
    assert result.noise_after < 0.4 * result.noise_before
    assert tested.psnr_db > tested.degraded_psnr_db + 4
    kept = audio_packets(output)
    assert kept == audio_packets(source)[: len(kept)]
    assert len(kept) > 10
    assert result.frames == 12
    with av.open(str(split)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 12


def test_every_frame_and_timestamp_survives_variable_rate_and_segments(
    clips: Clips, ffmpeg: str, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    restore(clips.vfr, output, RestoreSettings(plan=SMALL_WINDOWS, sigma=5))
    before, after = decode_all(clips.vfr, ffmpeg), decode_all(output, ffmpeg)
    assert len({b.pts - a.pts for a, b in pairwise(before)}) > 1
    assert [f.pts for f in after] == [f.pts for f in before]


def test_where_segments_end_does_not_show(clips: Clips, ffmpeg: str, tmp_path: Path) -> None:
    """Frames far from a segment's end are the same however the stream is cut."""
    source = clips.lossless("yuv420p")
    frames = []
    for segment_frames in (12, 240):
        output = tmp_path / f"{segment_frames}.mkv"
        plan = WindowPlan(segment_frames, 4, 24, 4)
        restore(source, output, RestoreSettings(encode=LOSSLESS, plan=plan, sigma=20))
        frames.append(decode_all(output, ffmpeg))
    for one, other in zip(*frames, strict=True):
        assert np.abs(one.planes[0].astype(int) - other.planes[0]).mean() < 1


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_frames_are_enough(
    clips: Clips, ffmpeg: str, tmp_path: Path, count: int
) -> None:
    output = tmp_path / "out.mkv"
    result = restore(clips.plain, output, RestoreSettings(end=count))
    assert result.frames == count == len(decode_all(output, ffmpeg))


def test_odd_sizes_keep_their_size(clips: Clips, tmp_path: Path) -> None:
    result = restore(clips.odd, tmp_path / "out.mkv", RestoreSettings(end=3))
    assert (result.output.width, result.output.height) == (result.info.width, result.info.height)
    assert result.info.width % 2 or result.info.height % 2


def test_a_folder_of_images_becomes_a_video(clips: Clips, tmp_path: Path) -> None:
    settings = RestoreSettings(framerate=Fraction(12))
    result = restore(clips.images, tmp_path / "out.mp4", settings)
    assert result.output.frame_rate == 12
    assert result.frames == result.info.frames


def test_a_truncated_file_is_restored_as_far_as_it_goes(
    clips: Clips, ffmpeg: str, tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    result = restore(clips.truncated, output, RestoreSettings(sigma=5))
    assert 0 < result.frames < result.info.frames
    assert len(decode_all(output, ffmpeg)) == result.frames
    assert any(str(result.frames) in w and str(result.info.frames) in w for w in result.warnings)


def test_start_and_end_cut_by_time(clips: Clips, tmp_path: Path) -> None:
    settings = RestoreSettings(start=Fraction(1, 4), end=Fraction(3, 4), sigma=5)
    result = restore(clips.plain, tmp_path / "out.mp4", settings)
    assert result.frames == 12  # half a second at 24 fps


def test_an_existing_output_is_kept_unless_told(clips: Clips, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    output.write_text("precious")
    with pytest.raises(OutputError, match="exists already"):
        restore(clips.plain, output)
    assert output.read_text() == "precious"
    restore(clips.plain, output, RestoreSettings(overwrite=True, end=2))
    assert output.stat().st_size > 1000


def test_a_failure_midway_leaves_nothing_behind(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: segments.SegmentWriter, item: object) -> None:
        raise OutputError("the disk is full", hint="free some space")

    monkeypatch.setattr(segments.SegmentWriter, "write", fail)
    with pytest.raises(OutputError, match="disk is full"):
        restore(clips.plain, tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_finished_run_leaves_only_the_output(clips: Clips, tmp_path: Path) -> None:
    restore(clips.plain, tmp_path / "out.mp4", RestoreSettings(end=3))
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_a_start_beyond_the_end_says_so(clips: Clips, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no frame"):
        restore(clips.plain, tmp_path / "out.mp4", RestoreSettings(start=10_000))
    assert list(tmp_path.iterdir()) == []


def test_a_task_without_weights_says_which_there_are(clips: Clips, tmp_path: Path) -> None:
    denoise = find("denoise")
    (tmp_path / denoise.name).symlink_to(denoise)
    with pytest.raises(WeightsError, match="deblur") as caught:
        restore(
            clips.plain, tmp_path / "o.mp4", RestoreSettings(tasks=("deblur",), weights=tmp_path)
        )
    assert "denoise" in str(caught.value.hint)


def test_the_same_run_twice_gives_the_same_frames(
    clips: Clips, ffmpeg: str, tmp_path: Path
) -> None:
    runs = []
    for name in ("a.mkv", "b.mkv"):
        restore(clips.plain, tmp_path / name, RestoreSettings(end=8, steps=2, encode=LOSSLESS))
        runs.append(decode_all(tmp_path / name, ffmpeg))
    for one, other in zip(*runs, strict=True):
        np.testing.assert_array_equal(one.planes[0], other.planes[0])

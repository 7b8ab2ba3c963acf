"""The benchmark on real clips and real filters, with a stand-in for the network."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from vidrestore.degrade import parse
from vidrestore.errors import FfmpegError, InputError
from vidrestore.measure.baselines import FILTERS, FfmpegFilter, run_filter
from vidrestore.measure.benchmark import measure
from vidrestore.measure.clips import load_clips
from vidrestore.measure.denoising import Denoising
from vidrestore.measure.metrics import score_clip
from vidrestore.measure.rows import Benchmark, Row, summarise
from vidrestore.media.ffmpeg import FfmpegProcess, find_ffmpeg
from vidrestore.report import benchmark_document
from vidrestore.tables import benchmark_table

FFMPEG = find_ffmpeg()
FRAMES = 4


def clean_clip() -> np.ndarray:
    wide = cv2.resize(data.astronaut(), (256, 256), interpolation=cv2.INTER_AREA)
    return np.stack([wide[60:156, 20 + 2 * t : 148 + 2 * t] for t in range(FRAMES)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "walk"
    path.mkdir()
    for index, frame in enumerate(clean_clip()):
        cv2.imwrite(str(path / f"{index + 7:04d}.png"), frame[..., ::-1])
    return path


@pytest.fixture(scope="module")
def video(folder: Path) -> Path:
    path = folder.parent / "walk.mkv"
    pattern = str(folder / "%04d.png")
    argv = [FFMPEG, "-start_number", "7", "-i", pattern, "-c:v", "ffv1", "-pix_fmt", "gbrp"]
    with FfmpegProcess([*argv, str(path)]) as process:
        process.finish()
    return path


def load_clip(path: Path, frames: int | None = None) -> np.ndarray:
    [(_, clip)] = load_clips(path, frames, FFMPEG)
    return clip


def rows_of(paths: list[Path], denoising: Denoising) -> list[Row]:
    return list(measure(paths, denoising, FFMPEG, FRAMES))


def blur(clip: np.ndarray, sigma: float) -> np.ndarray:
    return np.stack([cv2.GaussianBlur(frame, (3, 3), 0) for frame in clip])


def test_folders_and_videos_load_as_the_same_clip(folder: Path, video: Path) -> None:
    expected = clean_clip() / np.float32(255)
    for path in (folder, video):
        np.testing.assert_allclose(load_clip(path, FRAMES), expected, atol=1e-6)
    assert len(load_clip(folder, 2)) == len(load_clip(video, 2)) == 2
    assert len(load_clip(folder)) == FRAMES


def test_a_folder_of_triplets_is_as_many_clips(tmp_path: Path) -> None:
    clean = clean_clip()
    for number in (1, 2):
        for index in range(3):
            name = f"{number:02d}_{index}.png"
            cv2.imwrite(str(tmp_path / name), clean[index + number - 1, :, :, ::-1])
    clips = dict(load_clips(tmp_path, None, FFMPEG))
    assert list(clips) == [f"{tmp_path.name}/01_0.png", f"{tmp_path.name}/02_0.png"]
    for start, clip in enumerate(clips.values()):
        np.testing.assert_array_equal(np.rint(clip * 255), clean[start : start + 3])


def test_missing_clip_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        load_clip(tmp_path / "none.mp4", 2)


def test_unreadable_image_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "0001.png").write_text("not a picture")
    with pytest.raises(InputError, match=r"0001\.png"):
        load_clip(tmp_path, 2)


def test_rows_and_summary_have_the_fields_others_rely_on(folder: Path, video: Path) -> None:
    rows = rows_of([folder, video], Denoising(parse("awgn:30"), blur, FFMPEG, 0, FILTERS[:1]))
    result = Benchmark("awgn:30", 0, tuple(rows), summarise(rows))
    assert benchmark_table(result).row_count == len(rows) + len(result.summary)
    document = json.loads(json.dumps(benchmark_document(result), allow_nan=False))
    assert document["schema"] == "vidrestore.benchmark/1"
    summary_fields = ["method", "psnr_db", "ssim", "seconds_per_frame", "input_psnr_db"]
    row_fields = ["clip", "psnr_y_db", *summary_fields]
    assert len(document["rows"]) == 4
    assert all(set(row_fields) <= row.keys() for row in document["rows"])
    assert all(set(summary_fields) <= row.keys() for row in document["summary"])
    assert {row["method"] for row in document["summary"]} == {"vidrestore", "dctdnoiz"}
    means = [np.mean([r["psnr_db"] for r in document["rows"] if r["method"] == s["method"]])
             for s in document["summary"]]  # fmt: skip
    assert [s["psnr_db"] for s in document["summary"]] == pytest.approx(means)
    assert means == sorted(means, reverse=True)


def test_the_model_is_scored_on_the_papers_protocol(folder: Path) -> None:
    given: list[float] = []

    def restore(clip: np.ndarray, sigma: float) -> np.ndarray:
        given.append(sigma)
        return blur(clip, sigma)

    [row] = rows_of([folder], Denoising(parse("awgn:30"), restore, FFMPEG, 5, ()))
    clean = load_clip(folder)
    noisy, _ = parse("awgn:30").apply(clean, seed=5)
    assert row.psnr_db == score_clip(clean, blur(noisy, 30)).psnr_db
    assert (row.frames, row.input, row.sigma_estimated, given) == (FRAMES, "awgn:30", None, [30])
    [row] = rows_of([folder], Denoising(parse("awgn8:30"), restore, FFMPEG, 5, ()))
    assert row.sigma_estimated == given[1] == pytest.approx(30, rel=0.1)
    assert row.input == "awgn8:30"


def test_filters_are_given_what_a_file_can_hold_and_say_so(folder: Path) -> None:
    [row] = rows_of([folder], Denoising(parse("awgn:30"), None, FFMPEG, 0, FILTERS[:1]))
    clean = load_clip(folder)
    stored, _ = parse("awgn8:30").apply(clean, seed=0)
    assert row.input == "awgn8:30"
    assert row.note is not None
    assert "awgn8:30" in row.note
    assert row.input_psnr_db == score_clip(clean, stored).psnr_db
    by_strength = {
        strength: score_clip(clean, run_filter("dctdnoiz", {"s": strength * 30}, "gbrp", stored,
                                               FFMPEG)).psnr_db
        for strength in (0.8, 0.9, 1.0)
    }  # fmt: skip
    assert row.psnr_db == max(by_strength.values())
    assert row.strength == max(by_strength, key=lambda s: by_strength[s] or 0)


@pytest.mark.parametrize("candidate", FILTERS, ids=lambda candidate: candidate.name)
def test_every_filter_runs_returns_all_frames_and_removes_noise(candidate: FfmpegFilter) -> None:
    clean = clean_clip() / np.float32(255)
    noisy, _ = parse("awgn8:20").apply(clean, seed=0)
    strength, options = list(candidate.levels(20).items())[2]
    filtered = run_filter(candidate.name, options, candidate.pix_fmt, noisy, FFMPEG)
    assert filtered.shape == noisy.shape
    gain = score_clip(clean, filtered).psnr_db - score_clip(clean, noisy).psnr_db
    assert gain > 0.3, f"strength {strength}"


@pytest.mark.parametrize("pix_fmt", ["gbrp", "yuv444p"])
def test_formats_cost_the_filters_next_to_nothing(pix_fmt: str) -> None:
    clean = clean_clip() / np.float32(255)
    through = run_filter("null", {}, pix_fmt, clean, FFMPEG)
    scores = score_clip(clean, through)
    assert scores.identical if pix_fmt == "gbrp" else scores.psnr_db > 50


@pytest.mark.parametrize("sigma", [5, 20, 50])
def test_every_filter_is_tried_at_three_strengths_at_least(sigma: float) -> None:
    assert {candidate.name for candidate in FILTERS} == {
        "dctdnoiz",
        "nlmeans",
        "bm3d",
        "hqdn3d",
        "atadenoise",
        "vaguedenoiser",
        "fftdnoiz",
    }
    assert all(len(candidate.levels(sigma)) >= 3 for candidate in FILTERS)


def test_a_filter_that_ffmpeg_lacks_is_an_ffmpeg_error() -> None:
    clip = np.zeros((40, 240, 320, 3), np.float32)  # more than a pipe holds
    with pytest.raises(FfmpegError):
        run_filter("no_such_filter", {}, "gbrp", clip, FFMPEG)


def test_summary_leaves_out_what_has_no_psnr(folder: Path) -> None:
    rows = rows_of([folder], Denoising(parse("awgn:0"), lambda clip, sigma: clip, FFMPEG, 0, ()))
    summary = summarise(rows)
    assert rows[0].psnr_db is None
    assert summary[0].psnr_db is None
    json.dumps(benchmark_document(Benchmark("awgn:0", 0, tuple(rows), summary)), allow_nan=False)

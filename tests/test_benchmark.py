"""The benchmark on real clips and real filters, with a stand-in for the network."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from tests.conftest import chosen_ffmpeg
from vidrestore.degrade import parse, stored
from vidrestore.errors import FfmpegError, InputError
from vidrestore.measure import filters
from vidrestore.measure.baselines import run_setting
from vidrestore.measure.benchmark import BenchmarkSettings, benchmark
from vidrestore.measure.cases import Case, CleanClips, Degraded, Suite, filters_for
from vidrestore.measure.clips import load_clips
from vidrestore.measure.filters import CHAIN, DCTDNOIZ, FfmpegFilter, Setting
from vidrestore.measure.generated import TUNING
from vidrestore.measure.item import Given, Item
from vidrestore.measure.judge import Judge
from vidrestore.measure.methods import Filter, Method, Models, Result, Unavailable
from vidrestore.measure.metrics import score_clip
from vidrestore.measure.rows import Benchmark, Row, summarise
from vidrestore.measure.temporal import CleanMotion, autocorrelation
from vidrestore.measure.tuning import Tuner
from vidrestore.measure.vmaf import vmaf
from vidrestore.media.ffmpeg import FfmpegProcess, find_ffmpeg
from vidrestore.report import benchmark_document, to_json
from vidrestore.standings import benchmark_tables

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


@dataclass(frozen=True)
class Blurring:
    """Stands in for the network."""

    name: str = "vidrestore"
    takes_files: bool = False
    inside: bool = True
    settings: str | None = None
    note: str | None = None

    def restore(self, given: Given) -> Result:
        blurred = [cv2.GaussianBlur(frame, (3, 3), 0) for frame in given.clip]
        return Result(np.stack(blurred), sigma_estimated=None if given.told else 12.0)


def case_of(spec: str, *paths: Path, scored: tuple[int, ...] = (), seed: int = 0) -> Case:
    clean = CleanClips(paths, FFMPEG, FRAMES)
    return Case(spec, "denoise", Degraded(parse(spec), clean, seed), scored)


def row_of(case: Case, method: Method) -> Row:
    [item] = case.source.items()
    return Judge(FFMPEG).judge(case, item, method).row


def moving(frames: int = 8) -> np.ndarray:
    picture = cv2.resize(data.astronaut(), (256, 256), interpolation=cv2.INTER_AREA)
    clip = np.stack([picture[60:156, 20 + t : 148 + t] for t in range(frames)])
    return clip.astype(np.float32) / 255


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


def test_the_model_is_scored_on_the_papers_protocol(folder: Path) -> None:
    row = row_of(case_of("awgn:30", folder, seed=5), Blurring())
    clean = load_clip(folder)
    noisy, _ = parse("awgn:30").apply(clean, seed=5)
    blurred = np.stack([cv2.GaussianBlur(frame, (3, 3), 0) for frame in noisy])
    assert row.psnr_db == score_clip(clean, blurred).psnr_db
    assert row.input_psnr_db == score_clip(clean, noisy).psnr_db
    assert (row.frames, row.sigma_estimated, row.failure) == (FRAMES, None, None)
    assert row.gain_db == pytest.approx(row.psnr_db - row.input_psnr_db)


def test_what_files_contain_is_what_is_given_where_the_level_is_not_told(folder: Path) -> None:
    for spec in ("awgn8:30", "grain:20"):
        [item] = case_of(spec, folder).source.items()
        np.testing.assert_array_equal(item.given.clip, stored(item.given.clip))
        assert item.given.told is None
        assert row_of(case_of(spec, folder), Blurring()).sigma_estimated == 12


def test_a_darkened_clip_is_scored_against_the_darkened_truth(folder: Path) -> None:
    [item] = case_of("lowlight:2", folder).source.items()
    assert item.truth.mean() < 0.7 * load_clip(folder).mean()
    assert abs(item.given.clip.mean() - item.truth.mean()) < 0.02


def test_only_the_frames_of_the_case_are_scored(folder: Path) -> None:
    row = row_of(case_of("awgn:30", folder, scored=(1, 3, 99)), Blurring())
    every = row_of(case_of("awgn:30", folder), Blurring())
    assert [frame.index for frame in row.per_frame] == [1, 3]
    assert row.psnr_db == np.mean([every.per_frame[index].psnr_db for index in (1, 3)])


def test_filters_are_given_what_a_file_can_hold(folder: Path) -> None:
    case = case_of("awgn:30", folder)
    [item] = case.source.items()
    setting = DCTDNOIZ.settings(30)[5]
    row = row_of(case, Filter("dctdnoiz", setting, None, FFMPEG))
    noisy, _ = parse("awgn8:30").apply(load_clip(folder), seed=0)
    assert row.input_psnr_db == score_clip(item.truth, noisy).psnr_db
    assert row.psnr_db == score_clip(item.truth, run_setting(setting, noisy, FFMPEG)).psnr_db
    assert row.settings == "dctdnoiz=s=27"
    assert row.peak_memory_bytes > 5e6


def test_rows_of_equal_questions_are_measured_once(folder: Path) -> None:
    judge, calls = Judge(FFMPEG), []

    class Counting(Blurring):
        def restore(self, given: Given) -> Result:
            calls.append(given)
            return super().restore(given)

    told, blind = case_of("awgn:30", folder), case_of("awgn8:30", folder)
    for takes_files in (True, False):
        rows = []
        for case in (told, blind):
            [item] = case.source.items()
            rows.append(judge.judge(case, item, Counting(takes_files=takes_files)).row)
        assert [row.case for row in rows] == ["awgn:30", "awgn8:30"]
        if takes_files:
            assert rows[0] == replace(rows[1], case="awgn:30")
    assert len(calls) == 3


def test_a_method_that_fails_is_a_row_that_says_so(folder: Path) -> None:
    row = row_of(case_of("awgn:30", folder), Unavailable("vidrestore", "no weights for this task"))
    assert row.failure == "no weights for this task"
    assert row.psnr_db is None
    [mean] = summarise([row])
    assert (mean.clips, mean.failure) == (0, row.failure)


def test_a_method_that_loses_frames_fails(folder: Path) -> None:
    class Losing(Blurring):
        def restore(self, given: Given) -> Result:
            return Result(given.clip[1:])

    assert "made (3, 96, 128, 3)" in (row_of(case_of("awgn:30", folder), Losing()).failure or "")


def test_settings_are_chosen_on_another_clip(folder: Path) -> None:
    case = case_of("awgn:30", folder)
    tuning = case.source.tuning()
    assert tuning.name == "generated/coffee"
    narrow = FfmpegFilter("dctdnoiz", lambda level: DCTDNOIZ.settings(level)[3:8:2])
    best = Tuner(FFMPEG).best(narrow, tuning)
    errors = {
        str(setting): np.square(
            run_setting(setting, tuning.given.in_file, FFMPEG).clip(0, 1) - tuning.truth
        ).mean()
        for setting in narrow.settings(tuning.level)
    }
    assert str(best) == min(errors, key=lambda name: errors[name])
    assert len(errors) == 3


def test_a_filter_that_ffmpeg_lacks_costs_one_row(folder: Path) -> None:
    absent = FfmpegFilter("absent", lambda _: (Setting((("gbrp", (("no_such_filter", {}),)),)),))

    @dataclass(frozen=True)
    class Lacking(Degraded):
        @property
        def filters(self) -> tuple[FfmpegFilter, ...]:
            return (absent,)

    source = Lacking(parse("awgn:30"), CleanClips((folder,), FFMPEG, FRAMES))
    suite = Suite("lacking", (Case("awgn:30", "mixed", source),))
    result = benchmark(suite, BenchmarkSettings(baselines=True, device="cpu"), lambda text: None)
    assert [row.method for row in result.rows] == ["vidrestore", "absent"]
    assert "no_such_filter" in (result.rows[1].failure or "").lower()


@pytest.mark.parametrize(
    "candidate",
    [*filters.DENOISERS, filters.DEBLOCK, filters.SPP],
    ids=lambda candidate: candidate.name,
)
def test_every_filter_runs_returns_all_frames_and_repairs(candidate: FfmpegFilter) -> None:
    clean = clean_clip() / np.float32(255)
    compressing = candidate in (filters.DEBLOCK, filters.SPP)
    spoiled, _ = parse("jpeg:6" if compressing else "awgn8:20").apply(clean, seed=0)
    settings = candidate.settings(20)
    assert len(settings) >= 3
    gains = []
    for setting in (settings[2], settings[len(settings) // 2]):
        filtered = run_setting(setting, spoiled, FFMPEG)
        assert filtered.shape == spoiled.shape
        gains.append(
            score_clip(clean, filtered, with_ssim=False).psnr_db
            - score_clip(clean, spoiled, with_ssim=False).psnr_db
        )
    assert max(gains) > (0.05 if compressing else 0.3)


@pytest.mark.parametrize("candidate", filters.SHARPENERS, ids=lambda each: each.name)
def test_sharpeners_undo_some_of_a_blur(candidate: FfmpegFilter) -> None:
    clean = clean_clip() / np.float32(255)
    blurred = np.stack([cv2.GaussianBlur(frame, (0, 0), 0.8) for frame in clean])
    tuned = Tuner(FFMPEG)._search(candidate, Item("walk", clean, given(blurred)))
    filtered = run_setting(tuned, blurred, FFMPEG)
    gain = score_clip(clean, filtered).psnr_db - score_clip(clean, blurred).psnr_db
    assert gain > 0.5


def given(clip: np.ndarray) -> Given:
    return Given(clip, np.ones(len(clip), bool))


def test_a_chain_runs_each_filter_in_the_format_that_suits_it() -> None:
    clean = clean_clip() / np.float32(255)
    full = max(CHAIN.settings(10), key=lambda setting: len(str(setting)))
    assert [step.split("=")[0] for step in str(full).split(",")] == [
        "deblock",
        "dctdnoiz",
        "unsharp",
    ]
    assert [pix_fmt for pix_fmt, _ in full.passes] == ["gbrp", "yuv444p"]
    assert run_setting(full, clean, FFMPEG).shape == clean.shape
    assert len({str(setting) for setting in CHAIN.settings(10)}) == len(CHAIN.settings(10))


@pytest.mark.parametrize("pix_fmt", ["gbrp", "yuv444p"])
def test_formats_cost_the_filters_next_to_nothing(pix_fmt: str) -> None:
    clean = clean_clip() / np.float32(255)
    through = run_setting(Setting(((pix_fmt, (("null", {}),)),)), clean, FFMPEG)
    scores = score_clip(clean, through)
    assert scores.identical if pix_fmt == "gbrp" else scores.psnr_db > 50


@pytest.mark.parametrize(
    ("spec", "first"),
    [
        ("awgn8:20", "dctdnoiz"),
        ("grain:20", "dctdnoiz"),
        ("x264:35", "deblock"),
        ("blur:motion=4", "unsharp"),
        ("blur:motion=4,awgn8:20,x264:32", "chain"),
        ("drop:2", None),
    ],
)
def test_filters_suit_the_damage(spec: str, first: str | None) -> None:
    names = [candidate.name for candidate in filters_for(parse(spec))]
    assert next(iter(names), None) == first
    assert "unsharp" in names or "blur" not in spec


def test_a_filter_that_fails_is_an_ffmpeg_error() -> None:
    clip = np.zeros((40, 240, 320, 3), np.float32)  # more than a pipe holds
    with pytest.raises(FfmpegError):
        run_setting(Setting((("gbrp", (("no_such_filter", {}),)),)), clip, FFMPEG)


def test_rows_and_summary_have_the_fields_others_rely_on(folder: Path, video: Path) -> None:
    case = case_of("awgn:30", folder, video)
    judge = Judge(FFMPEG)
    methods = [Blurring(), Blurring("other")]
    rows = [judge.judge(case, item, m).row for item in case.source.items() for m in methods]
    result = Benchmark("awgn:30", 0, tuple(rows), summarise(rows))
    [table] = benchmark_tables(result)
    assert table.row_count == len(rows) + len(result.summary)
    document = json.loads(to_json(benchmark_document(result)))
    assert document["schema"] == "vidrestore.benchmark/2"
    summary_fields = ["case", "method", "psnr_db", "ssim", "vmaf", "seconds_per_frame"]
    row_fields = ["clip", "psnr_y_db", "input_psnr_db", "per_frame", *summary_fields]
    assert len(document["rows"]) == 4
    assert all(set(row_fields) <= row.keys() for row in document["rows"])
    assert all(set(summary_fields) <= row.keys() for row in document["summary"])
    assert "samples" not in document
    means = [
        np.mean([r["psnr_db"] for r in document["rows"] if r["method"] == s["method"]])
        for s in document["summary"]
    ]
    assert [s["psnr_db"] for s in document["summary"]] == pytest.approx(means)
    assert means == sorted(means, reverse=True)


def test_summary_leaves_out_what_has_no_psnr(folder: Path) -> None:
    case = case_of("awgn:0", folder)
    row = row_of(case, replace_restore(lambda given: Result(given.clip)))
    assert row.psnr_db is None
    assert row.failure is None
    [mean] = summarise([row])
    assert mean.psnr_db is None
    to_json(benchmark_document(Benchmark("awgn:0", 0, (row,), (mean,))))


def replace_restore(restore: object) -> Method:
    class Custom(Blurring):
        pass

    Custom.restore = lambda self, given: restore(given)
    return Custom()


def test_warping_error_tells_noise_from_smoothing_and_leaves_clean_clips_at_one() -> None:
    clean = TUNING.clip()
    motion = CleanMotion(clean, stride_frames=20)
    noisy, _ = parse("awgn:10").apply(clean, seed=0)
    smooth = np.stack([cv2.GaussianBlur(frame, (0, 0), 2) for frame in clean])
    assert motion.measure(clean).warping_ratio == 1
    assert motion.measure(noisy).warping_ratio > 3
    assert motion.measure(smooth).warping_ratio < 0.9
    # white noise in both frames: twice its variance, less what cubic reading averages away
    error = motion.measure(noisy).warping_error - motion.measure(clean).warping_error
    assert 0.8 < error / (10 / 255) ** 2 < 2.1


def test_flicker_is_the_spread_of_the_mean_error() -> None:
    clean = moving()
    motion = CleanMotion(clean, stride_frames=20)
    brighter = clean + np.float32(4 / 255)
    pulsing = clean + np.where(np.arange(8) % 2, 4 / 255, 0).astype(np.float32)[:, None, None, None]
    assert motion.measure(brighter).flicker < 0.01
    assert motion.measure(pulsing).flicker == pytest.approx(2, abs=0.01)


def test_windows_that_show_have_a_seam_score() -> None:
    still = np.repeat(moving(1), 60, axis=0)
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1 / 255, (60, *still.shape[1:])).astype(np.float32)
    joins = (np.arange(60) % 20 < 1)[:, None, None, None] * np.float32(3 / 255)
    motion = CleanMotion(still, stride_frames=20)
    assert abs(motion.measure(still + noise).seam) < 0.1
    assert motion.measure(still + noise + joins).seam > 0.5
    assert CleanMotion(still[:59], stride_frames=20).measure(still[:59]).seam is None


def test_autocorrelation_of_a_period_is_one() -> None:
    series = np.tile(np.sin(2 * np.pi * np.arange(60) / 20), (3, 1)).T
    assert autocorrelation(series, 20) == pytest.approx(1, abs=0.01)
    assert autocorrelation(series, 10) == pytest.approx(-1, abs=0.01)
    assert autocorrelation(np.ones((60, 3)), 20) == 0


def test_vmaf_scores_every_frame_and_falls_with_damage(tmp_path: Path) -> None:
    clean = moving(4)[:, :95, :127]  # odd sizes lose a row
    noisy, _ = parse("awgn8:40").apply(clean, seed=0)
    identical, damaged = (vmaf(clean, clip, FFMPEG) for clip in (clean, noisy))
    assert len(identical) == len(damaged) == 4
    assert min(identical) > 90
    assert max(damaged) < 85
    assert vmaf(clean[:, :16], clean[:, :16], FFMPEG) is None  # libvmaf would die of it


def test_without_libvmaf_there_is_no_vmaf_and_it_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("vmaf", "benchmark"):
        monkeypatch.setattr(f"vidrestore.measure.{module}.has_vmaf", lambda ffmpeg: False)
    suite = Suite("awgn:30", (case_of("awgn:30", folder),))
    monkeypatch.setattr(Models, "get", lambda self, task: Blurring())
    result = benchmark(suite, BenchmarkSettings(), lambda text: None)
    assert result.rows[0].vmaf is None
    assert result.rows[0].psnr_db is not None
    assert any("libvmaf" in warning for warning in result.warnings)


def test_pictures_are_of_the_clip_with_the_median_gain(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Models, "get", lambda self, task: Blurring())
    rough = np.random.default_rng(0).random((4, 64, 64, 3), np.float32)
    flat = np.full((4, 64, 64, 3), 0.5, np.float32)
    clips = {"flat": flat, "walk": load_clip(folder), "rough": rough}
    scenes = {name: lambda clip=clip: clip for name, clip in clips.items()}
    source = Degraded(parse("awgn:30"), CleanClips((), FFMPEG, scenes=scenes))
    suite = Suite("awgn:30", (Case("awgn:30", "denoise", source),))
    result = benchmark(suite, BenchmarkSettings(samples=True), lambda text: None)
    assert [(s.clip, s.rank) for s in result.samples] == [
        ("walk", rank) for rank in ("worst", "median", "best")
    ]
    [row] = [row for row in result.rows if row.clip == "walk"]
    psnr = {frame.index: frame.psnr_db for frame in row.per_frame}
    by_rank = {sample.rank: psnr[sample.frame] for sample in result.samples}
    assert by_rank["worst"] == min(psnr.values())
    assert by_rank["best"] == max(psnr.values())
    pictures = result.samples[0].pictures
    assert list(pictures) == ["reference", "input", "vidrestore"]
    assert all(p.dtype == np.uint8 and p.shape == (96, 128, 3) for p in pictures.values())


def test_the_older_ffmpeg_runs_all_filters_and_lacks_vmaf() -> None:
    older = chosen_ffmpeg("system", FFMPEG)
    clean = moving(2)
    noisy, _ = parse("awgn8:20").apply(clean, seed=0)
    for candidate in {*filters.DENOISERS, *filters.DEBLOCKERS, *filters.SHARPENERS, CHAIN}:
        assert run_setting(candidate.settings(20)[-1], noisy, older).shape == clean.shape
    assert vmaf(clean, noisy, older) is None

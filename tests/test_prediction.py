"""Missing frames: what the methods are given, where ffmpeg's frames lie in time, what is scored."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from vidrestore.degrade import MissingFrames, parse
from vidrestore.errors import InputError, WeightsError
from vidrestore.measure.baselines import minterpolate
from vidrestore.measure.benchmark import BenchmarkSettings, benchmark
from vidrestore.measure.cases import Case, CleanClips, Degraded, Suite
from vidrestore.measure.judge import Judge
from vidrestore.measure.methods import Predictor, interpolators
from vidrestore.measure.metrics import score_clip
from vidrestore.measure.prediction import blend, repeat
from vidrestore.measure.rows import Benchmark, Row, summarise
from vidrestore.media.ffmpeg import find_ffmpeg
from vidrestore.report import benchmark_document
from vidrestore.standings import benchmark_table

FFMPEG = find_ffmpeg()


def moving(frames: int) -> np.ndarray:
    """A picture that moves by 3 pixels per frame, (frames, 96, 128, 3) float32."""
    picture = cv2.resize(data.astronaut(), (256, 256), interpolation=cv2.INTER_AREA)
    clip = np.stack([picture[60:156, 20 + 3 * t : 148 + 3 * t] for t in range(frames)])
    return clip.astype(np.float32) / 255


def greys(frames: int) -> np.ndarray:
    """Flat frames, (frames, 64, 96, 3) float32; frame k has the grey 20 + 5 k of 255."""
    levels = np.arange(frames, dtype=np.float32) * 5 + 20
    return np.broadcast_to(levels[:, None, None, None] / 255, (frames, 64, 96, 3)).copy()


def missing_frames(spec: str) -> MissingFrames:
    degradation = parse(spec)
    assert isinstance(degradation, MissingFrames)
    return degradation


def without(clip: np.ndarray, spec: str) -> tuple[np.ndarray, np.ndarray]:
    known = missing_frames(spec).known(len(clip))
    return clip * known[:, None, None, None], known


def case_of(clip: np.ndarray, spec: str) -> Case:
    clean = CleanClips((), FFMPEG, scenes={"walk": lambda: clip})
    return Case(spec, "interpolate", Degraded(parse(spec), clean))


def rows_of(clip: np.ndarray, spec: str, ffmpeg: str | None = None) -> dict[str, Row]:
    case, judge = case_of(clip, spec), Judge(FFMPEG)
    [item] = case.source.items()
    return {method.name: judge.judge(case, item, method).row for method in interpolators(ffmpeg)}


@pytest.mark.parametrize("spec", ["drop:2", "drop:3", "drop:5", "gap:1", "gap:3", "gap:8"])
def test_ffmpegs_frames_are_put_where_they_belong_in_time(spec: str) -> None:
    clip = greys(31)  # the brightness of a frame is its time
    given, known = without(clip, spec)
    filled = minterpolate(given, known, FFMPEG)
    assert np.abs(filled - clip).max() * 255 <= 1
    assert known[0]
    assert known[30]
    np.testing.assert_array_equal(filled[known], clip[known])


def test_ffmpeg_follows_motion() -> None:
    clip = moving(9)
    given, known = without(clip, "drop:2")
    gain = (
        score_clip(clip[~known], minterpolate(given, known, FFMPEG)[~known]).psnr_db
        - score_clip(clip[~known], blend(given, known)[~known]).psnr_db
    )
    assert gain > 5


def test_long_clips_are_described_to_ffmpeg_too() -> None:
    clip = np.zeros((1501, 32, 32, 3), np.float32)
    given, known = without(clip, "drop:2")
    assert minterpolate(given, known, FFMPEG).shape == clip.shape


def test_ffmpegs_last_frame_is_repeated_where_nothing_follows() -> None:
    clip = greys(9)
    given, known = without(clip, "gap:3")  # 5, 6, 7 missing
    known[8] = False
    filled = minterpolate(given, known, FFMPEG)
    np.testing.assert_array_equal(filled[5:], clip[[4, 4, 4, 4]])


def test_blending_weights_by_distance_and_repeating_holds() -> None:
    clip = greys(10)
    given, known = without(clip, "drop:4")  # 0, 4, 8 are kept
    np.testing.assert_allclose(blend(given, known)[:9], clip[:9], atol=1e-6)
    np.testing.assert_array_equal(blend(given, known)[9], clip[8])
    np.testing.assert_array_equal(repeat(given, known), clip[[0, 0, 0, 0, 4, 4, 4, 4, 8, 8]])


def test_only_predicted_frames_are_scored_in_eight_bits() -> None:
    clip = moving(3)
    row = rows_of(clip, "drop:2")["blend"]
    rounded = np.rint((clip[0] + clip[2]) / 2 * 255) / 255
    assert row.psnr_db == pytest.approx(score_clip(clip[1:2], rounded[None]).psnr_db, abs=1e-4)
    assert (row.frames, row.case, row.input_psnr_db) == (1, "drop:2", None)
    assert [frame.index for frame in row.per_frame] == [1]
    assert "8 bits" in (row.note or "")


def test_frames_without_a_right_neighbour_are_reported_apart() -> None:
    clip = moving(8)  # 7 has none
    rows, shorter = rows_of(clip, "drop:2"), rows_of(clip[:7], "drop:2")
    for method in ("guess", "dis", "blend", "repeat"):
        assert (rows[method].frames, rows[method].one_sided_frames) == (3, 1)
        assert rows[method].psnr_db == pytest.approx(shorter[method].psnr_db, abs=1e-6)
        assert (shorter[method].one_sided_frames, shorter[method].one_sided_psnr_db) == (0, None)
    held = score_clip(clip[7:], clip[6:7]).psnr_db
    assert rows["repeat"].one_sided_psnr_db == pytest.approx(held, abs=1e-4)


def test_methods_never_see_the_missing_frames() -> None:
    clip = moving(6)
    spoiled = clip.copy()
    spoiled[1::2] = 1 - spoiled[1::2]
    seen: list[np.ndarray] = []

    def watch(given: np.ndarray, known: np.ndarray) -> np.ndarray:
        seen.append(given.copy())
        return blend(given, known)

    for version in (clip, spoiled):
        case = case_of(version, "drop:2")
        [item] = case.source.items()
        Judge(FFMPEG).judge(case, item, Predictor("watch", watch))
    np.testing.assert_array_equal(seen[0], seen[1])


def test_every_method_has_a_row_and_flow_beats_blending() -> None:
    rows = rows_of(moving(11), "gap:3", FFMPEG)
    assert set(rows) == {"guess", "dis", "blend", "repeat", "minterpolate"}
    assert rows["dis"].psnr_db > rows["blend"].psnr_db + 3
    result = Benchmark("gap:3", 0, tuple(rows.values()), summarise(list(rows.values())))
    json.dumps(benchmark_document(result), allow_nan=False)
    headers = [str(column.header) for column in benchmark_table(result).columns]
    assert "gain" not in headers
    assert "one-sided PSNR" not in headers


def test_a_clip_too_short_to_take_frames_out_of_says_so() -> None:
    with pytest.raises(InputError, match="too few for drop:2") as caught:
        rows_of(moving(2), "drop:2")
    assert caught.value.hint is not None


def test_predicting_without_weights_for_it_is_a_weights_error(tmp_path: Path) -> None:
    settings = BenchmarkSettings(weights=tmp_path, device="cpu")
    suite = Suite("drop:2", (case_of(moving(3), "drop:2"),))
    with pytest.raises(WeightsError, match="interpolate"):
        benchmark(suite, settings, lambda text: None)

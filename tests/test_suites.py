"""Suites, suite files, pairs, commands as methods, gates and earlier runs."""

import io
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console
from skimage import data

from vidrestore.cli import main
from vidrestore.degrade import parse
from vidrestore.errors import InputError, QualityError, UsageError, VidrestoreError
from vidrestore.measure import suites
from vidrestore.measure.benchmark import BenchmarkSettings, benchmark
from vidrestore.measure.cases import Pairs, Suite
from vidrestore.measure.external import Command, parse_method, write_clip
from vidrestore.measure.gate import Gate, conclude
from vidrestore.measure.history import Earlier
from vidrestore.measure.item import Given
from vidrestore.measure.order import Order, ordered
from vidrestore.measure.pairs import load_pair
from vidrestore.measure.rows import Benchmark, Row, summarise
from vidrestore.measure.suitefile import read_suite, task_of
from vidrestore.media.ffmpeg import FfmpegProcess, find_ffmpeg
from vidrestore.network import shelf
from vidrestore.report import benchmark_document, to_json
from vidrestore.standings import benchmark_tables

FFMPEG = find_ffmpeg()
CODED = ("-c:v", "ffv1", "-pix_fmt", "gbrp")


def clip(frames: int = 4, first: int = 0) -> np.ndarray:
    """A picture that moves, (frames, 48, 64, 3) uint8."""
    wide = cv2.resize(data.astronaut(), (160, 160), interpolation=cv2.INTER_AREA)
    places = range(first, first + frames)
    return np.stack([wide[30:78, 20 + 2 * t : 84 + 2 * t] for t in places])


def write_images(folder: Path, frames: np.ndarray, pattern: str = "{:04d}.png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index, frame in enumerate(frames):
        cv2.imwrite(str(folder / pattern.format(index)), frame[..., ::-1])
    return folder


def write_video(path: Path, frames: np.ndarray, rate: int = 25) -> Path:
    height, width = frames.shape[1:3]
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(rate)]
    with FfmpegProcess([FFMPEG, *raw, "-i", "pipe:0", *CODED, str(path)], stdin=True) as process:
        process.stdin.write(frames.tobytes())
        process.finish()
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data with a clip, two triplets and a clip for tuning."""
    root = tmp_path_factory.mktemp("data")
    write_images(root / "denoise" / "walk", clip(9))
    for number in (1, 2):
        write_images(root / "interpolate" / "small", clip(3, number), f"{number:02d}_{{}}.png")
    write_images(root / "tune" / "other", clip(3, 9))
    return root


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A noisy video and its reference."""
    root = tmp_path_factory.mktemp("pair")
    noisy, _ = parse("awgn8:15").apply(clip() / np.float32(255), seed=0)
    codes = np.rint(noisy * 255).astype(np.uint8)
    return write_video(root / "noisy.mkv", codes), write_video(root / "clean.mkv", clip())


def measured(suite: Suite, **settings: bool) -> Benchmark:
    return benchmark(suite, BenchmarkSettings(device="cpu", **settings), lambda text: None)


# ------------------------------------------------------------------------------------------ suites


def test_all_is_every_suite_and_its_cases_have_names_of_their_own(folder: Path) -> None:
    material = suites.Material(FFMPEG, folder)
    whole = suites.suite("all", material)
    parts = [case for name in suites.SUITES for case in suites.suite(name, material).cases]
    assert [case.name for case in whole.cases] == [case.name for case in parts]
    assert len({case.name for case in whole.cases}) == len(whole.cases)
    tasks = {task for case in whole.cases for task in case.task.split("+")}
    assert tasks == set(shelf.TASKS)
    assert whole.warnings == ()
    wanted = {"awgn:50", "awgn8:50", "x264:35", "triplets, drop:2", "gap:3", suites.MIXTURE}
    assert wanted <= {case.name for case in whole.cases}


def test_papers_frames_are_scored_where_papers_figures_are_known(folder: Path) -> None:
    cases = suites.suite("denoise", suites.Material(FFMPEG, folder)).cases
    scored = {case.name: case.scored for case in cases}
    assert scored["awgn:20"] == scored["awgn8:20"] == (2, 5, 8)
    assert scored["x264:35"] == ()


def test_settings_are_tuned_on_the_folders_own_clip(folder: Path) -> None:
    [case] = suites.suite("mixed", suites.Material(FFMPEG, folder)).cases
    assert case.source.tuning().name == "other"
    [item] = case.source.items()
    assert item.name == "walk"
    assert item.given.told is None


def test_without_data_it_says_what_it_is_measured_on() -> None:
    found = suites.suite("mixed", suites.Material(FFMPEG))
    [warning] = found.warnings
    assert "without --data" in warning
    assert "generated/astronaut" in warning
    names = [name for name, _ in found.cases[0].source.clean.load()]
    assert names == ["clean", *suites.generated.MOVING]


def test_a_suite_without_weights_prints_the_rest(folder: Path, tmp_path: Path) -> None:
    suite = suites.suite("interpolate", suites.Material(FFMPEG, folder))
    settings = BenchmarkSettings(device="cpu", weights=tmp_path)
    result = benchmark(suite, settings, lambda text: None)
    own = [row for row in result.rows if row.method == "vidrestore"]
    assert {row.failure for row in own} == {"no weights for this task"}
    blended = [row for row in result.rows if row.method == "blend"]
    assert all(row.psnr_db is not None for row in blended)
    tables = benchmark_tables(result)
    assert len(tables) == 2
    assert tables[1].row_count == len(suite.cases)


def test_a_case_that_cannot_be_measured_does_not_cost_the_others(
    folder: Path, tmp_path: Path
) -> None:
    suite = suites.suite("interpolate", suites.Material(FFMPEG, folder, frames=3))
    settings = BenchmarkSettings(device="cpu", weights=tmp_path)
    result = benchmark(suite, settings, lambda text: None)
    assert {row.case for row in result.rows} == {"triplets, drop:2", "drop:2"}
    assert [warning.split(":")[:2] for warning in result.warnings] == [
        ["gap", str(count)] for count in (1, 2, 3)
    ]


def test_data_without_what_a_suite_needs_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder") as caught:
        suites.suite("mixed", suites.Material(FFMPEG, tmp_path))
    assert "docs/benchmark.md" in str(caught.value.hint)
    (tmp_path / "denoise").mkdir()
    with pytest.raises(InputError, match="holds no clips"):
        suites.suite("mixed", suites.Material(FFMPEG, tmp_path))


@pytest.mark.parametrize(
    ("spec", "task"),
    [
        ("awgn8:20", "denoise"),
        ("awgn8:20,x264:30", "denoise"),
        ("x264:30", "deblock"),
        ("blur:motion=4", "deblur"),
        ("blur:motion=4,awgn8:2", "mixed+deblur"),
        ("gap:2", "interpolate"),
        ("lose:10", "interpolate"),
    ],
)
def test_damage_says_what_it_calls_for(spec: str, task: str) -> None:
    assert task_of(parse(spec)) == task


# ------------------------------------------------------------------------------------- suite files


def suite_file(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


CASE = '[[case]]\ndegrade = "awgn8:20"\nclips = ["denoise/walk"]\n'


def test_a_suite_file_says_everything(folder: Path, pair: tuple[Path, Path]) -> None:
    text = f"""
    frames = 3
    seed = 4
    tune = "tune/other"
    {CASE}
    name = "night"
    score_frames = [0, 2]
    [[pair]]
    degraded = "{pair[0]}"
    reference = "{pair[1]}"
    [[method]]
    name = "copy"
    command = "{FFMPEG} -i {{input}} -c copy {{output}}"
    timeout_s = 60
    """
    suite = read_suite(suite_file(folder, text), FFMPEG, None, None)
    night, pairs = suite.cases
    assert (suite.name, suite.seed, night.name, night.scored) == ("mine", 4, "night", (0, 2))
    [item] = night.source.items()
    assert len(item.truth) == 3
    assert night.source.tuning().name == "other"
    assert isinstance(pairs.source, Pairs)
    assert suite.commands[0].timeout_s == 60
    assert read_suite(suite_file(folder, text), FFMPEG, 2, 7).seed == 7


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("frame = 3\n" + CASE, "unknown key frame", "frames"),
        (CASE + 'clip = "x"', "[[case]]: unknown key clip", "clips"),
        (CASE + "taks = 'denoise'", "unknown key taks", "task"),
        ('[[pair]]\ndegradet = "a"\nreference = "b"', "unknown key degradet", "degraded"),
        ("[[methods]]\nname = 'x'", "unknown key methods", "method"),
        ('[[case]]\nclips = ["a"]', "lacks degrade", "docs"),
        (CASE + "task = 'mend'", "unknown task mend", "denoise"),
        (CASE + "score_frames = ['a']", "score_frames", "[2, 5, 8]"),
        ("frames = 'many'\n" + CASE, "wrong type", "docs"),
        ("frames = 0\n" + CASE, "frames below 1", "1|how many"),
        (CASE + CASE, "two cases called awgn8:20", "name"),
        ("seed = 1", "nothing to measure", "case"),
        ("seed = ", "no TOML", "docs"),
        ("case = 3", "wrong type", "docs"),
        ("case = [3]", "must be a table", "docs"),
        (CASE.replace("awgn8", "awgm8"), "awgm8", "awgn8"),
    ],
)
def test_suite_files_that_make_no_sense_say_where(
    folder: Path, text: str, said: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read_suite(suite_file(folder, text), FFMPEG, None, None)
    assert said in str(caught.value)
    assert any(word in f"{caught.value.hint} {caught.value}" for word in hint.split("|"))


def test_a_suite_file_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_suite(tmp_path / "none.toml", FFMPEG, None, None)


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (Order(), "say what to measure"),
        (Order((Path("a"),), degrade="awgn:20", pairs=True), "exclude each other"),
        (Order((Path("a"),), suite="all"), "clips of its own"),
        (Order(suite="everything"), "unknown suite"),
        (Order(suite="all", task="denoise"), "what its tasks are"),
        (Order(degrade="awgn:20"), "no clips"),
        (Order((Path("a"),), pairs=True), "--pairs with 1 files"),
        (Order((Path("a"),), degrade="awgn:20", data=Path()), "--data is for a suite"),
        (Order((Path("a"),), degrade="awgn:20", frames=0), "no frame"),
        (Order((Path("a"),), degrade="awgn:20", task="x"), "unknown task x"),
        (Order((Path("a"),), degrade="awgn:20", methods=("x",)), "has no name"),
        (Order((Path("a"),), degrade="awgn:20", methods=("x=c {input} {output}",) * 2), "two met"),
    ],
)
def test_orders_that_make_no_sense_are_refused(order: Order, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        ordered(order)
    assert caught.value.hint


# ------------------------------------------------------------------------------------------- pairs


def test_a_pair_is_scored_against_its_reference(pair: tuple[Path, Path]) -> None:
    item = load_pair(*pair, None, FFMPEG)
    np.testing.assert_allclose(item.truth * 255, clip(), atol=1e-3)
    assert 12 < item.level < 15.5
    result = measured(ordered(Order(pair, pairs=True)))
    [row] = result.rows
    assert (row.case, row.clip, row.method, row.frames) == ("pairs", "noisy", "vidrestore", 4)
    assert row.gain_db > 1


def test_a_pair_may_be_folders_of_images(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    reference = write_images(tmp_path / "clean", clip())
    assert len(load_pair(pair[0], reference, 3, FFMPEG).truth) == 3


@pytest.mark.parametrize(
    ("reference", "rate", "said"),
    [
        (clip()[:, :40], 25, "is 64x48, .* is 64x40"),
        (clip(), 30, "has 25 frames per second, .* 30"),
        (clip(3), 25, "has 4 frames, .* has 3"),
        (255 - clip(), 25, "does not show what"),
    ],
)
def test_a_pair_that_does_not_belong_together_says_why(
    tmp_path: Path, pair: tuple[Path, Path], reference: np.ndarray, rate: int, said: str
) -> None:
    other = write_video(tmp_path / "other.mkv", reference, rate)
    with pytest.raises(InputError, match=said) as caught:
        load_pair(pair[0], other, None, FFMPEG)
    assert caught.value.hint


def test_a_pair_that_is_shifted_in_time_says_by_how_much(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = np.repeat(np.repeat(rng.integers(0, 255, (16, 6, 8, 3), np.uint8), 8, 1), 8, 2)
    early, late = (write_video(tmp_path / f"{s}.mkv", frames[s : s + 12]) for s in (0, 3))
    with pytest.raises(InputError, match=r"i\+3 of .*0\.mkv"):
        load_pair(early, late, None, FFMPEG)


# ---------------------------------------------------------------------------------------- commands


def given(frames: np.ndarray, known: list[bool] | None = None) -> Given:
    return Given(frames / np.float32(255), np.array(known or [True] * len(frames)))


def command(text: str, timeout_s: float = 60) -> Command:
    return Command.parse("mine", text, timeout_s)


def test_a_command_is_given_the_exact_frames_and_its_own_are_taken() -> None:
    copying = command(f"{FFMPEG} -i {{input}} -vf negate -c:v ffv1 {{output}}")
    made, seconds, peak_bytes = copying.restore(given(clip()), FFMPEG)
    np.testing.assert_allclose(made * 255, 255.0 - clip(), atol=1e-3)
    assert seconds > 0
    assert peak_bytes > 1e6


def test_a_command_makes_missing_frames_by_their_times() -> None:
    grey = np.broadcast_to(np.arange(5, dtype=np.uint8)[:, None, None, None] * 20, (5, 48, 64, 3))
    filling = f"{FFMPEG} -i {{input}} -vf minterpolate=fps=25:mi_mode=blend:scd=none "
    filling += "-c:v ffv1 {output}"
    known = [True, False, True, False, True]
    with pytest.raises(VidrestoreError, match=r"no frame at 0\.12 s"):  # it stops too early
        command(filling).restore(given(grey, known), FFMPEG)
    held = filling.replace("-vf ", "-vf tpad=stop=2:stop_mode=clone,")
    made, *_ = command(held).restore(given(grey, known), FFMPEG)
    np.testing.assert_allclose(made.mean((1, 2, 3)) * 255, [0, 20, 40, 60, 80], atol=1.5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("no-such-command {input} {output}", "no such command"),
        (f"{FFMPEG} -i {{input}} -frames:v 3 -c:v ffv1 {{output}}", "3 frames instead of 4"),
        (f"{FFMPEG} -i {{input}} -vf scale=32:24 -c:v ffv1 {{output}}", "32x24 instead of 64x48"),
        (f"{FFMPEG} -i {{input}} -c:v no_such_encoder {{output}}", "ended with"),
        (f"{sys.executable} -c pass {{input}} {{output}}", "wrote no output"),
        (
            f"{sys.executable} -c \"print('out of luck');exit(3)\" {{input}} {{output}}",
            "3: out of l",
        ),
        (f"{sys.executable} -c \"open('{{output}}','w').write('x')\" {{input}}", "output.mkv"),
    ],
)
def test_a_command_that_fails_says_how(words: str, said: str) -> None:
    with pytest.raises(VidrestoreError, match=said):
        command(words).restore(given(clip()), FFMPEG)


def test_a_command_that_takes_too_long_is_stopped_with_all_it_started(tmp_path: Path) -> None:
    child = "import subprocess,sys,os;open(sys.argv[1],'w').write(str(os.getpid()));"
    child += "subprocess.run([sys.executable,'-c','import time;time.sleep(60)'])"
    words = f'{sys.executable} -c "{child}" {tmp_path / "pid"} {{input}} {{output}}'
    begun = time.monotonic()
    with pytest.raises(VidrestoreError, match="stopped after 3 s"):
        command(words, timeout_s=3).restore(given(clip()), FFMPEG)
    assert time.monotonic() - begun < 50
    group = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if not _in_group(group):
            return
        time.sleep(0.05)
    raise AssertionError("something was left running")


def _in_group(group: int) -> list[int]:
    """Living processes of a group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, pgrp = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:3]
            except OSError:
                continue
            if int(pgrp) == group and state != "Z":
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ffmpeg -i {input} {output}", "has no name|needs a name"),
        ("x=ffmpeg -i {input}", "where {output} goes"),
        ("x=ffmpeg {output}", "where {input} goes"),
        ("vidrestore=ffmpeg {input} {output}", "name of its own"),
        ("x=ffmpeg '{input} {output}", "No closing quotation"),
    ],
)
def test_methods_that_make_no_sense_are_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_method(text.replace("ffmpeg -i {input} {output}", "run {input} {output}"))


def test_no_shell_reads_a_command(tmp_path: Path) -> None:
    words = f"{sys.executable} -c pass {{input}} {{output}} ; touch {tmp_path / 'x'} $(id) | cat"
    with pytest.raises(VidrestoreError, match="wrote no output"):
        command(words).restore(given(clip()), FFMPEG)
    assert not (tmp_path / "x").exists()


def test_what_a_command_is_given_is_lossless_and_keeps_its_times(tmp_path: Path) -> None:
    from vidrestore.media.decode import Decoder
    from vidrestore.media.probe import probe

    path = tmp_path / "given.mkv"
    write_clip(path, given(clip(5), [True, False, True, True, True]))
    info = probe(path)
    with Decoder(info, ffmpeg=FFMPEG) as decoder:
        times = [float((frame.pts - info.start_pts) * info.time_base) for frame in decoder]
    assert times == pytest.approx([0, 0.08, 0.12, 0.16], abs=1e-3)


# ------------------------------------------------------------------------- gates and earlier runs


def result_of(folder: Path, psnr_db: float | None = 31.0, **changes: object) -> Benchmark:
    fields = {
        "case": "awgn8:20",
        "task": "denoise",
        "clip": "walk",
        "truth_print": (0.5,),
        "given_print": (0.4,),
    }
    own = Row(**fields, method="vidrestore", frames=1, psnr_db=psnr_db, ssim=0.9, **changes)
    other = Row(**fields, method="dctdnoiz", frames=1, psnr_db=20.0, ssim=0.5)
    return Benchmark("mine", 0, (own, other), summarise([own, other]))


def earlier(folder: Path, result: Benchmark) -> Earlier:
    path = folder / "old.json"
    path.write_text(to_json(benchmark_document(result)))
    return Earlier.read(path)


def test_a_gate_is_about_the_model_alone(tmp_path: Path) -> None:
    result = result_of(tmp_path)
    assert conclude(result, [Gate.parse("psnr=30"), Gate.parse("ssim=0.8")], None).error is None
    ended = conclude(result, [Gate.parse("psnr=31.5"), Gate.parse("ssim=0.95")], None)
    assert isinstance(ended.error, QualityError)
    assert ended.error.exit_code == 10
    assert "awgn8:20: psnr 31 is below 31.5 (and 1 more)" in str(ended.error)
    assert len(ended.failures) == 2


def test_a_gate_does_not_open_where_there_is_no_figure(tmp_path: Path) -> None:
    failed = result_of(tmp_path, None, failure="no weights for this task")
    assert "no weights" in str(conclude(failed, [Gate.parse("psnr=1")], None).error)
    identical = result_of(tmp_path, None)
    assert conclude(identical, [Gate.parse("psnr=99")], None).error is None
    assert "no vmaf" in str(conclude(result_of(tmp_path), [Gate.parse("vmaf=1")], None).error)


def test_the_verdict_is_the_model_against_the_best_of_the_rest(tmp_path: Path) -> None:
    whole, failed = result_of(tmp_path), result_of(tmp_path, None, failure="no weights for it")
    rows = [*whole.rows, *(replace(row, case="x264:35") for row in failed.rows)]
    result = Benchmark("mine", 0, tuple(rows), summarise(rows))
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(benchmark_tables(result)[1])
    lines = [" ".join(line.split()) for line in console.export_text().splitlines()]
    assert "awgn8:20 1 - 31.00 dctdnoiz 20.00 +11.00 -" in lines
    assert "x264:35 1 - no weights for it dctdnoiz 20.00 - -" in lines


@pytest.mark.parametrize(
    ("text", "said"), [("psmr=3", "psnr"), ("psnr", "psnr=30"), ("psnr=x", "no number"), ("=1", "")]
)
def test_gates_that_make_no_sense_are_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Gate.parse(text)
    assert said in f"{caught.value} {caught.value.hint}"


def test_differences_from_an_earlier_run(tmp_path: Path) -> None:
    old = earlier(tmp_path, result_of(tmp_path, 30.5))
    ended = conclude(result_of(tmp_path, 31.0), [], old)
    assert ended.error is None
    own, other = ended.changes.rows
    assert own.differences["psnr_db"] == pytest.approx(0.5)
    assert other.differences["psnr_db"] == 0
    assert own.differences["vmaf"] is None
    assert benchmark_tables(result_of(tmp_path), ended.changes)[-1].row_count == 2
    document = json.loads(to_json(benchmark_document(result_of(tmp_path), ended)))
    assert document["against"]["rows"][0]["differences"]["psnr_db"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(seed=1), "its seed is 1"),
        (lambda d: d["rows"][0].update(truth_print=[0.501]), "another clip"),
        (lambda d: d["rows"][0].update(given_print=[0.401]), "other damage"),
        (lambda d: d["rows"][0].update(per_frame=[{"index": 3}]), "other frames"),
        (lambda d: d.update(rows=[]), "no row in common"),
    ],
)
def test_runs_that_cannot_be_compared_say_why(
    tmp_path: Path, change: Callable[[dict], None], said: str
) -> None:
    document = json.loads(to_json(benchmark_document(result_of(tmp_path))))
    change(document)
    path = tmp_path / "old.json"
    path.write_text(json.dumps(document))
    ended = conclude(result_of(tmp_path), [Gate.parse("psnr=99")], Earlier.read(path))
    assert isinstance(ended.error, UsageError)
    assert said in str(ended.error)
    assert ended.failures


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": "vidrestore.benchmark/1"}', None])
def test_an_earlier_run_that_is_something_else_is_refused(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "old.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=r"old\.json"):
        Earlier.read(path)


# ------------------------------------------------------------------------------------ command line


def run(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


def test_one_command_measures_pairs_with_a_command_beside(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = f"mine={FFMPEG} -i {{input}} -vf hqdn3d=6 -c:v ffv1 {{output}}"
    words = ["benchmark", "--pairs", *pair, "--method", mine, "--device", "cpu"]
    assert run(*words, "--json") == 0
    printed = capsys.readouterr().out
    document = json.loads(printed)
    assert [row["method"] for row in document["rows"]] == ["vidrestore", "mine"]
    assert all(row["psnr_db"] > row["input_psnr_db"] for row in document["rows"])
    old = tmp_path / "old.json"
    old.write_text(printed)
    assert run(*words, "--against", old, "--fail-under", "psnr=60") == 10
    shown = capsys.readouterr()
    assert "this run less" in shown.out
    assert "psnr" in shown.err
    assert "is below 60" in shown.err
    assert os.linesep not in shown.err.strip()


@pytest.mark.slow
def test_one_command_prints_everything(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    shutil.copytree(folder, root)
    photo = cv2.resize(data.astronaut(), (384, 384), interpolation=cv2.INTER_AREA)
    write_images(root / "deblur", photo[None])
    printed = tmp_path / "all.json"
    words = ["benchmark", "--suite", "all", "--data", root, "--device", "cpu"]
    assert run(*words, "--json") == 0
    printed.write_text(capsys.readouterr().out)
    document = json.loads(printed.read_text())
    cases = {case.name for case in suites.suite("all", suites.Material(FFMPEG, root)).cases}
    assert {row["case"] for row in document["rows"]} == cases
    best = {}
    for row in document["rows"]:
        if row["method"] != "vidrestore":
            assert row["failure"] is None
            best.setdefault(row["case"], []).append(row["psnr_db"])
    assert set(best) == cases
    seams = [row["seam"] for row in document["rows"] if row["case"] == "awgn:20, windows"]
    assert all(seam is not None for seam in seams)

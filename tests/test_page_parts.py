"""What a page is made of: the rule that chooses frames, pictures, text, the file, the commands."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from tests.conftest import Clips, run_ffmpeg
from vidrestore.cli import main
from vidrestore.errors import OutputError, UsageError
from vidrestore.measure.metrics import FrameScores
from vidrestore.measure.rows import Benchmark, Row, Sample, summarise
from vidrestore.page import stills
from vidrestore.page.benchmarked import benchmark_page
from vidrestore.page.content import Chart, Curves, PageContent, Series
from vidrestore.page.layout import build, text, thinned
from vidrestore.page.moments import BY_CHANGE, choose
from vidrestore.page.reportfile import ReportFile


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return int(caught.value.code or 0)


def data_of(page: str) -> dict[str, Any]:
    """What the page hands its script."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_frames_are_chosen_by_rule() -> None:
    values = [30.0] * 100
    values[10:13] = [20.0, 19.0, 21.0]  # neighbours: one of them is enough
    values[40], values[70], values[90] = 22.0, 25.0, 35.0
    chosen = choose(values, [i / 25 for i in range(100)])
    assert [(each.title, each.position) for each in chosen] == [
        ("Worst", 11),
        ("2nd worst", 40),
        ("3rd worst", 70),
        ("Median", 48),
        ("Best", 90),
    ]


def test_identical_frames_are_the_best() -> None:
    chosen = choose([30.0, None, 31.0], [0.0, 1.0, 2.0])
    assert [(each.title, each.position) for each in chosen] == [
        ("Worst", 0),
        ("2nd worst", 2),
        ("Best", 1),
    ]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_frames_are_shown_once_each(count: int) -> None:
    chosen = choose([1.0] * count, [float(i) for i in range(count)], BY_CHANGE)
    assert sorted(each.position for each in chosen) == list(range(count))


def info(**fields: object) -> Any:
    return SimpleNamespace(**{"mirrored": False, "rotation_deg": 0, "sar": None, **fields})


def test_pictures_are_upright_and_in_square_pixels() -> None:
    frame = np.zeros((40, 60, 3), np.float32)
    frame[:10, :10] = (1, 0, 0)  # a red corner, top left
    turned = stills.upright(frame, info(rotation_deg=90))
    assert turned.shape == (60, 40, 3)
    assert turned[-1, 0].tolist() == [1, 0, 0]  # counter-clockwise: now at the bottom left
    assert stills.upright(frame, info(mirrored=True))[0, -1].tolist() == [1, 0, 0]
    assert stills.upright(frame, info(sar=2)).shape == (40, 120, 3)
    large = np.zeros((1080, 1920, 3), np.float32)
    assert stills.upright(large, info()).shape == (720, 1280, 3)


def decoded(uri: str) -> np.ndarray:
    head, content = uri.split(",")
    assert head == "data:image/webp;base64"
    codes = np.frombuffer(base64.b64decode(content), np.uint8)
    return np.asarray(cv2.imdecode(codes, cv2.IMREAD_COLOR)[..., ::-1])


def test_small_pictures_are_stored_exactly() -> None:
    rgb = np.random.default_rng(0).random((30, 50, 3)).astype(np.float32)
    encoded = stills.encode([{"before": rgb}])
    assert np.array_equal(decoded(encoded.uris[0]["before"]), np.round(rgb * 255))
    assert "without loss" in encoded.said


def test_pictures_keep_their_budget() -> None:
    noise = np.random.default_rng(0).random((300, 400, 3)).astype(np.float32)
    encoded = stills.encode([{"before": noise, "after": noise}] * 3, budget_bytes=400_000)
    spent = sum(len(uri) * 3 / 4 for moment in encoded.uris for uri in moment.values())
    assert spent < 400_000
    assert f"quality {encoded.quality}" in encoded.said
    assert decoded(encoded.uris[2]["after"]).shape[1::-1] == encoded.sizes_px[2]


def curves(count: int) -> Curves:
    values = tuple(30 + (i * 7919 % 101) / 50 for i in range(count))
    low = count // 3
    dented = (*values[:low], 12.0, *values[low + 1 :])
    chart = Chart("PSNR", "dB", 2, (Series("Restored", 1, dented),))
    return Curves("", tuple(range(count)), tuple(i / 25 for i in range(count)), (chart,), {0: 17})


def test_long_curves_keep_their_extremes_and_marks() -> None:
    few = thinned(curves(200_000))
    assert len(few.frames) < 2100
    assert list(few.frames) == sorted(set(few.frames))
    assert {0, 17, 200_000 // 3, 199_999} <= set(few.frames)
    assert min(v for v in few.charts[0].series[0].values if v is not None) == 12
    assert thinned(curves(1000)) == curves(1000)


def test_a_page_of_a_thousand_frames_is_small() -> None:
    page = build(PageContent("test", "t", "s", curves=(curves(1000),)))
    assert len(page) < 100_000
    assert len(data_of(page)["curves"][0]["frames"]) == 1000


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>", "a&b<c>\"d'e", "{{style}} {{data}}", "</script>", "\u2028\u202e"],
)
def test_names_are_escaped_everywhere(name: str) -> None:
    series = (Series(name, 0, (1.0, 2.0)),)
    drawn = Curves(name, (0, 1), None, (Chart(name, name, 1, series),), {})
    page = build(PageContent(name, name, name, warnings=(name,), curves=(drawn,), footer=(name,)))
    plain = build(PageContent("x", "x", "x", warnings=("x",), curves=(curves(2),), footer=("x",)))
    tags = [re.findall(r"</?[a-zA-Z!][^\s>]*", each) for each in (page, plain)]
    assert tags[0] == tags[1]
    assert data_of(page)["curves"][0]["title"] == name


def test_what_is_no_text_is_replaced() -> None:
    assert text("a\u202eb\x07c\udcffd") == "a\ufffdb\ufffdc\ufffdd"
    build(PageContent("test", "bad \udcff name", "")).encode()


def test_the_report_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    report = ReportFile(path, overwrite=False)
    assert not path.exists()
    path.write_text("mine")  # somebody was faster
    with pytest.raises(OutputError, match="exists already"):
        report.write("theirs")
    assert path.read_text() == "mine"
    ReportFile(path, overwrite=True).write("new")
    assert path.read_text() == "new"
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]


def test_a_report_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    existing = tmp_path / "there.html"
    existing.touch()
    for path in (existing, tmp_path / "missing" / "report.html", tmp_path):
        with pytest.raises(OutputError) as caught:
            ReportFile(path, overwrite=False)
        assert caught.value.hint
    with pytest.raises(UsageError, match="cannot be"):
        ReportFile(existing, overwrite=True, others=(None, existing))
    with pytest.raises(UsageError, match="cannot be"):
        ReportFile(tmp_path / "new.html", overwrite=True, others=(tmp_path / "." / "new.html",))


def test_compare_writes_a_page(clips: Clips, tmp_path: Path) -> None:
    noisy, page = tmp_path / "<i>noisy.mkv", tmp_path / "page.html"
    graph = "noise=alls=20:allf=t:all_seed=3,select='not(eq(n,12))',setpts=N/24/TB"
    run_ffmpeg(clips.ffmpeg, "-i", clips.plain, "-an", "-vf", graph, "-c:v", "ffv1", noisy)
    assert run("compare", clips.plain, noisy, "--report", page) == 0
    shown = page.read_text()
    assert "&lt;i&gt;noisy.mkv" in shown
    assert "<i>noisy" not in shown
    assert "frames of the reference that the test lacks: 1, at 12" in shown
    data = data_of(shown)
    assert len(data["curves"][0]["frames"]) == 23
    assert [view["title"] for view in data["pictures"]["views"]] == [
        "Reference / test",
        "Difference",
    ]
    assert run("compare", clips.plain, noisy, "--report", page) == 7
    assert run("compare", clips.plain, noisy, "--report", noisy, "-y") == 2
    assert run("compare", clips.plain, noisy, "--report", page, "-y") == 0


def test_compare_of_identical_files_says_so(
    clips: Clips, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert run("compare", clips.plain, clips.plain, "--report", page, "--json") == 0
    assert json.loads(capsys.readouterr().out)["identical"] is True
    assert "every pixel of every frame" in page.read_text()


def test_restore_writes_a_page_with_a_reference(clips: Clips, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    arguments = ("restore", clips.plain, "-o", tmp_path / "out.mkv", "--reference", clips.plain)
    assert run(*arguments, "--end", 12, "--report", page, "-q") == 0
    data = data_of(page.read_text())
    (drawn,) = data["curves"]
    assert [each["title"] for each in drawn["charts"]] == ["PSNR, RGB", "SSIM, RGB"]
    assert [each["name"] for each in drawn["charts"][0]["series"]] == ["Input", "Restored"]
    assert drawn["charts"][0]["series"][0]["values"] == [None] * 12  # it is its own reference
    assert len(data["pictures"]["views"]) == 4
    assert "stream 1 codec" in page.read_text()  # of the receipt


def test_restore_without_a_reference_makes_no_score_up(clips: Clips, tmp_path: Path) -> None:
    page, output = tmp_path / "page.html", tmp_path / "out.mkv"
    faster = ("--task", "denoise", "--fps", "2x", "--end", 6)
    assert run("restore", clips.plain, "-o", output, *faster, "--report", page, "-q") == 0
    shown = page.read_text()
    (drawn,) = data_of(shown)["curves"]
    assert [each["title"] for each in drawn["charts"]] == [
        "Estimated noise",
        "Change, root mean square",
    ]
    assert drawn["frames"] == list(range(12))
    assert "none is made up" in shown
    assert "PSNR, RGB" not in shown


def test_restore_refuses_a_report_before_it_works(clips: Clips, tmp_path: Path) -> None:
    output = tmp_path / "out.html"
    page = tmp_path / "page.html"
    page.touch()
    common = ("restore", clips.plain, "-o", tmp_path / "out.mkv")
    assert run(*common, "--report", page) == 7
    assert run(*common, "--report", tmp_path / "out.mkv") == 2
    assert run(*common, "--report", output, "--dry-run") == 2
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]


def benchmark(clip: str, failure: str | None = None) -> Benchmark:
    generator = np.random.default_rng(0)
    rows = []
    for method, start in (("vidrestore", 33.0), ("nlmeans", 30.0)):
        scores = tuple(
            FrameScores(i, start + i / 10, 0.9, start, 0.9, identical=False) for i in range(10)
        )
        common: dict[str, Any] = {"case": "awgn:20", "task": "denoise", "method": method}
        ids = {"clip": clip, "truth_print": (0.5,), "given_print": (0.4,)}
        if failure is not None and method == "vidrestore":
            rows.append(Row(**common, **ids, failure=failure))
            continue
        figures = {"psnr_db": start, "ssim": 0.9, "seconds_per_frame": 0.1}
        rows.append(Row(**common, **ids, **figures, frames=10, per_frame=scores))
    names = ("reference", "input", "nlmeans", *(() if failure else ("vidrestore",)))
    samples = [
        Sample(
            "awgn:20",
            clip,
            frame,
            rank,
            {name: generator.integers(0, 255, (24, 32, 3), np.uint8) for name in names},
        )
        for rank, frame in (("worst", 0), ("median", 5), ("best", 9))
    ]
    return Benchmark("awgn:20", 0, tuple(rows), summarise(rows), ("look",), tuple(samples))


def test_a_benchmark_has_its_page() -> None:
    page = build(benchmark_page(benchmark("<b>clip")))
    assert "&lt;b&gt;clip" in page
    assert "<b>clip" not in page
    data = data_of(page)
    assert [view["title"] for view in data["pictures"]["views"]] == [
        "Before / after",
        "Best of the rest / after",
        "Reference / after",
        "Error",
        "Change",
    ]
    (drawn,) = data["curves"]
    assert drawn["marks"] == [[0, 0], [5, 1], [9, 2]]
    series = drawn["charts"][0]["series"]
    assert series[drawn["charts"][0]["main"]]["name"] == "vidrestore"


def test_a_benchmark_without_the_model_has_a_page_too() -> None:
    page = build(benchmark_page(benchmark("clip", failure="there are no weights for this")))
    assert "there are no weights for this" in page
    assert "No pictures were kept" in page

"""The HTML report in a real browser."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browsing import Visit, browser, visit
from vidrestore.page import moments
from vidrestore.page.content import (
    Chart,
    Curves,
    Figure,
    Moment,
    PageContent,
    Pictures,
    Series,
    Table,
)
from vidrestore.page.layout import build

FRAMES = 1000
SHOWN = {0: 120, 1: 500, 2: 900}
HOSTILE = (
    "<script>window.hacked = 1</script>"
    '"><img src=http://example.org/x.png onerror="window.hacked = 2">'
    "</script><script>window.hacked = 3</script>{{style}}\u202egpj.4pm"
)


def psnr_db(frame: int) -> float:
    return 30 + 3 * math.sin(frame / 40)


def pictures(title: str = "") -> Pictures:
    """Three moments whose pictures are told apart by their brightness."""
    ramp = np.linspace(0, 0.2, 96, dtype=np.float32)[None, :, None]
    shown = []
    for moment, frame in SHOWN.items():
        plain = np.broadcast_to(ramp + 0.2 * moment, (64, 96, 3))
        given = {
            moments.BEFORE: plain,
            moments.AFTER: np.clip(plain + 0.1, 0, 1),
            moments.REFERENCE: np.clip(plain + 0.12, 0, 1),
        }
        place = f"frame {frame}, {frame / 25:.2f} s"
        note = f"PSNR {psnr_db(frame):.2f} dB"
        one = Moment(f"{moments.BY_SCORE[moment]}{title}", place, note)
        shown.append((one, moments.with_differences(given)))
    names = {"before": f"Input{title}", "after": "Restored", "reference": "Reference"}
    names |= {"change": "Change", "error-before": "Error before", "error": "Error"}
    views = list(moments.views("Input", "Restored", "Reference"))
    return moments.gallery(shown, names, views, moments.rule("the lowest PSNR"), [96] * 3)


def content(name: str = "film.mp4") -> PageContent:
    hostile = "" if name == "film.mp4" else name
    old = tuple(psnr_db(i) - 6 for i in range(FRAMES))
    new = tuple(None if i == 700 else psnr_db(i) for i in range(FRAMES))
    series = (Series(f"Input{hostile}", 0, old), Series("Restored", 1, new))
    ssim = tuple(Series(s.name, s.colour, tuple((v or 0) / 40 for v in s.values)) for s in series)
    charts = (
        Chart("PSNR", "dB", 2, series, main=1, least=0, missing="identical"),
        Chart("SSIM", "", 4, ssim, main=1, least=0, most=1),
    )
    numbers = tuple(range(FRAMES))
    return PageContent(
        kind="restoration",
        title=name,
        subtitle=f"from {name}",
        figures=(Figure("PSNR", "32.68", "dB", f"from 24.65{hostile}", "+8.03", True),),
        warnings=(f"stream 3 of {name} was dropped",),
        pictures=pictures(hostile),
        curves=(Curves("", numbers, tuple(i / 25 for i in numbers), charts, SHOWN),),
        curves_note=f"Of {name}.",
        tables=(
            Table("Settings", (), (("File", name), ("Steps", "1"))),
            Table("Receipt", ("", "Before", name), ((name, "kept", name),), wide=True),
        ),
        footer=("vidrestore",),
    )


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(build(content()))
    return path


@pytest.fixture
def open_page(chromium: Any, file: Path) -> Iterator[Visit]:
    with visit(chromium, file) as seen:
        yield seen
        seen.demand_quiet()


def line_at(page: Any) -> int:
    return int(page.get_attribute("#divider", "aria-valuenow"))


def clipped(page: Any) -> str:
    style: str = page.evaluate("getComputedStyle(document.querySelector('#right')).clipPath")
    return style


def test_the_line_follows_the_mouse(open_page: Visit) -> None:
    page = open_page.page
    assert line_at(page) == 50
    stage = page.locator("#stage").bounding_box()
    middle = stage["y"] + stage["height"] / 2
    page.mouse.move(stage["x"] + stage["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(stage["x"] + stage["width"] * 0.3, middle, steps=4)
    page.mouse.up()
    assert line_at(page) == 30
    assert "30%" in clipped(page)
    page.mouse.click(stage["x"] + stage["width"] * 0.8, middle)  # anywhere, not on the line alone
    assert line_at(page) == 80
    page.mouse.move(stage["x"], middle)
    assert line_at(page) == 80


def test_the_line_follows_the_keyboard(open_page: Visit) -> None:
    page = open_page.page
    page.focus("#divider")
    for key, place in (("ArrowRight", 52), ("ArrowLeft", 50), ("PageUp", 60), ("Home", 0)):
        page.keyboard.press(key)
        assert line_at(page) == place
    page.keyboard.press("End")
    assert line_at(page) == 100
    said = page.get_attribute("#divider", "aria-valuetext")
    assert said == "100 % Input, the rest Restored"


def test_frames_are_stepped_through(open_page: Visit) -> None:
    page = open_page.page
    seen = [page.get_attribute("#left img", "src")]
    assert "frame 120" in page.inner_text("#caption")
    page.locator("#moments input").first.focus()
    page.keyboard.press("ArrowRight")
    seen.append(page.get_attribute("#left img", "src"))
    assert "frame 500" in page.inner_text("#caption")
    page.keyboard.press("]")
    seen.append(page.get_attribute("#left img", "src"))
    assert "frame 900" in page.inner_text("#caption")
    assert page.locator("#moments input").nth(2).is_checked()
    page.keyboard.press("]")
    assert "frame 120" in page.inner_text("#caption")
    assert len(set(seen)) == 3


def test_views_show_what_they_say(open_page: Visit) -> None:
    page = open_page.page
    shown = {}
    for view in ("Before / after", "Reference / after", "Error", "Change"):
        page.get_by_label(view, exact=True).check()
        shown[view] = (
            page.inner_text("#left-name"),
            page.locator("#divider").is_visible(),
            page.get_attribute("#left img", "src"),
        )
    assert [names for names, _, _ in shown.values()] == [
        "Input",
        "Reference",
        "Input minus reference",
        "Restored minus input",
    ]
    assert [visible for _, visible, _ in shown.values()] == [True, True, True, False]
    assert len({source for _, _, source in shown.values()}) == 4


def brightness(page: Any) -> list[int]:
    """Of the middle of the picture on the left, as the browser has decoded it."""
    codes: list[int] = page.evaluate(
        """() => {
          const image = document.querySelector("#left img");
          const canvas = document.createElement("canvas");
          canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
          const context = canvas.getContext("2d");
          context.drawImage(image, 0, 0);
          return [...context.getImageData(48, 32, 1, 1).data].slice(0, 3);
        }"""
    )
    return codes


def test_differences_are_four_times_as_strong_around_grey(open_page: Visit) -> None:
    page = open_page.page
    page.get_by_label("Change", exact=True).check()
    page.wait_for_function("document.querySelector('#left img').complete")
    assert brightness(page) == pytest.approx([255 * (0.5 + 4 * 0.1)] * 3, abs=3)


def test_zoom_and_moving_about(open_page: Visit) -> None:
    page = open_page.page
    whole = page.inner_text("#scale")
    page.click("#in")
    page.focus("#divider")
    page.keyboard.press("+")
    assert int(page.inner_text("#scale")[:-2]) == pytest.approx(4 * int(whole[:-2]), abs=4)
    place = "document.querySelector('#left img').style.transform"
    before = page.evaluate(place)
    page.locator("#stage").scroll_into_view_if_needed()
    stage = page.locator("#stage").bounding_box()
    page.mouse.move(stage["x"] + 200, stage["y"] + 200)
    page.mouse.down()
    page.mouse.move(stage["x"] + 150, stage["y"] + 180, steps=5)
    page.mouse.up()
    page.wait_for_function(f"before => {place} !== before", arg=before)  # drawn a moment later
    assert line_at(page) == 50  # the picture moved, not the line
    before = page.evaluate(place)
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_function(f"before => {place} !== before", arg=before)
    page.keyboard.press("0")
    assert page.inner_text("#scale") == whole


def test_curves_are_drawn_with_all_their_points(open_page: Visit) -> None:
    page = open_page.page
    paths = [each.get_attribute("d") for each in page.locator("#chart-0-0 .curve").all()]
    assert [path.count("L") + path.count("M") for path in paths] == [FRAMES, FRAMES - 1]
    assert paths[1].count("M") == 2  # the frame without a PSNR is a gap
    assert "NaN" not in "".join(paths)
    assert page.locator("#chart-0-0 .shown").count() == 3
    assert page.locator("#chart-0-1 .curve").count() == 2


def test_hovering_reads_both_charts(open_page: Visit) -> None:
    page = open_page.page
    chart = page.locator("#chart-0-0")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    inner = box["width"] - 52 - 14
    page.mouse.move(box["x"] + 52 + inner * 250 / (FRAMES - 1), box["y"] + 80)
    first, second = (each.inner_text() for each in page.locator(".readout").all())
    assert first.startswith("frame 250, 10.00 s")
    assert f"{psnr_db(250):.2f}" in first
    assert f"{psnr_db(250) / 40:.4f}" in second
    assert page.locator("#chart-0-0 .cursor circle").count() == 2
    page.mouse.move(5, 5)
    assert page.locator(".readout").first.inner_text() == ""


def test_curves_by_keyboard(open_page: Visit) -> None:
    page = open_page.page
    page.locator("#fit").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "chart-0-0"
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    chart = page.locator("#chart-0-0")
    assert chart.get_attribute("aria-valuenow") == str(FRAMES - 2)
    assert f"Restored {psnr_db(FRAMES - 2):.2f} dB" in chart.get_attribute("aria-valuetext")
    page.keyboard.press("Enter")
    assert "frame 900" in page.inner_text("#caption")  # the nearest that there is a picture of


def test_a_click_on_a_curve_shows_the_nearest_picture(open_page: Visit) -> None:
    page = open_page.page
    chart = page.locator("#chart-0-1")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.55, box["y"] + 60)
    assert "frame 500" in page.inner_text("#caption")
    assert page.locator("#moments input").nth(1).is_checked()


def test_everything_is_reached_by_tab_and_is_seen_to_be(open_page: Visit) -> None:
    page = open_page.page
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                """() => {
                  const e = document.activeElement;
                  const marked = [e, e.nextElementSibling, e.firstElementChild]
                    .some((x) => x && getComputedStyle(x).outlineStyle === "solid");
                  return [e.id || e.name || e.className, marked || e.className === "skip"];
                }"""
            )
        )
    names = [name for name, _ in reached]
    expected = ["skip", "theme", "moments", "views", "divider", "out", "in", "fit", "chart-0-0"]
    assert names[: len(expected)] == expected
    assert [name for name, marked in reached[: len(expected)] if not marked] == []


def paper(page: Any) -> str:
    colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return colour


def test_light_and_dark(chromium: Any, file: Path) -> None:
    colours = {}
    for scheme in ("light", "dark"):
        with visit(chromium, file, color_scheme=scheme) as seen:
            colours[scheme] = paper(seen.page)
            other = {"light": "dark", "dark": "light"}[scheme]
            seen.page.get_by_label(other.capitalize(), exact=True).check()
            colours[f"{other} by choice"] = paper(seen.page)
            seen.page.get_by_label("Auto", exact=True).check()
            assert paper(seen.page) == colours[scheme]
            seen.demand_quiet()
    assert colours["light"] != colours["dark"]
    assert colours["light by choice"] == colours["light"]
    assert colours["dark by choice"] == colours["dark"]


def test_printing_shows_all_pictures_on_white(chromium: Any, file: Path) -> None:
    with visit(chromium, file, color_scheme="dark") as seen:
        page = seen.page
        page.emulate_media(media="print", color_scheme="dark")
        assert paper(page) == "rgb(255, 255, 255)"
        assert not page.locator("#viewer").is_visible()
        assert not page.locator("#theme").is_visible()
        assert page.locator(".moment img").count() == 18
        assert all(each.is_visible() for each in page.locator(".moment img").all())
        assert len(page.pdf(prefer_css_page_size=True)) > 20_000
        seen.demand_quiet()


def test_without_a_script_the_pictures_are_there(chromium: Any, file: Path) -> None:
    with visit(chromium, file, java_script_enabled=False) as seen:
        assert seen.page.locator(".moment img").first.is_visible()
        assert not seen.page.locator("#viewer").is_visible()
        assert "drawn by a script" in seen.page.inner_text("#charts")
        assert seen.page.locator("table").count() == 2


def test_a_phone_need_not_scroll_sideways(chromium: Any, file: Path) -> None:
    with visit(chromium, file, viewport={"width": 390, "height": 800}) as seen:
        wide = "document.documentElement.scrollWidth"
        assert seen.page.evaluate(wide) == 390
        seen.demand_quiet()


def test_hostile_names_are_only_text(chromium: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(build(content(HOSTILE)))
    with visit(chromium, path) as seen:
        page = seen.page
        page.get_by_label("Change", exact=True).check()
        page.keyboard.press("]")
        page.locator("#chart-0-0").focus()
        page.keyboard.press("End")
        assert page.evaluate("window.hacked") is None
        shown = HOSTILE.replace("\u202e", "\ufffd")
        assert page.inner_text("h1") == shown
        assert shown in page.inner_text(".warnings")
        assert page.locator("script").count() == 2
        assert page.locator("img:not([data-picture]):not(.layer img)").count() == 0
        seen.demand_quiet()


def test_the_policy_stops_what_escaping_might_let_through(chromium: Any, tmp_path: Path) -> None:
    bad = "<script>window.hacked = 1</script><img src='https://example.org/x.png'>"
    path = tmp_path / "report.html"
    path.write_text(build(content()).replace("<h1>", f"{bad}<h1>"))
    with visit(chromium, path) as seen:
        assert seen.page.evaluate("window.hacked") is None
        assert any("Content Security Policy" in line for line in seen.complaints)
        assert seen.sent == []

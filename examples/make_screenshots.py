"""Makes the pictures of docs/report.md: the page of the example, restored, in a browser.

    python examples/make_screenshots.py [FOLDER]

It needs Chromium and Playwright (`pip install playwright`), and takes a minute.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"

WIDTH_PX, WINDOW_PX, HEIGHT_PX = 1180, 820, 1330
QUALITY = 82
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def make_page(folder: Path) -> Path:
    """Restore the example with a report."""
    page = folder / "report.html"
    command = [sys.executable, "-m", "vidrestore", "restore", "noisy.mp4", "-q"]
    command += ["-o", str(folder / "restored.mp4"), "--reference", "clean.mp4"]
    subprocess.run([*command, "--report", str(page)], cwd=HERE, check=True)
    return page


def save(page: Any, path: Path, top_px: float) -> None:
    """A part of the page, more than the window shows, as WebP."""
    part = {"x": 0, "y": top_px, "width": WIDTH_PX, "height": HEIGHT_PX}
    shot = np.frombuffer(page.screenshot(full_page=True, clip=part), np.uint8)
    picture = np.asarray(cv2.imdecode(shot, cv2.IMREAD_COLOR))
    cv2.imwrite(str(path), picture, (cv2.IMWRITE_WEBP_QUALITY, QUALITY))
    print(path, path.stat().st_size)


def light(page: Any) -> float:
    """The page as it opens, the second worst frame chosen; from the top."""
    page.locator("#moments input").nth(1).check()
    return 0


def dark(page: Any) -> float:
    """The errors, and a value read off the curves; from the pictures on."""
    page.locator("#moments input").nth(1).check()
    page.get_by_label("Error", exact=True).check()
    box = page.locator("#chart-0-0").bounding_box()
    page.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
    page.evaluate(f"window.scrollTo(0, {box['y'] - 300})")
    box = page.locator("#chart-0-0").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.62, box["y"] + box["height"] / 2)
    top: float = page.evaluate("document.querySelector('#pictures').offsetTop")
    return top


def main() -> None:
    """Open the page twice."""
    pictures = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS
    browser_path = next(filter(None, map(shutil.which, BROWSERS)), None)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        address = make_page(Path(folder)).as_uri()
        chromium = driver.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        for scheme, prepare in (("light", light), ("dark", dark)):
            page = chromium.new_page(
                viewport={"width": WIDTH_PX, "height": WINDOW_PX},
                color_scheme="light" if scheme == "light" else "dark",
            )
            page.goto(address)
            top_px = prepare(page)
            page.wait_for_timeout(300)
            save(page, pictures / f"report-{scheme}.webp", top_px)
        chromium.close()


if __name__ == "__main__":
    main()

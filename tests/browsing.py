"""A real browser for pages: the system's Chromium, driven by Playwright; skipped without one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def browser() -> Iterator[Any]:
    """The browser, headless."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("there is no Chromium here")
    with playwright.sync_playwright() as driver:
        # As root, as in a container, Chromium runs without its sandbox only.
        chromium = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        try:
            yield chromium
        finally:
            chromium.close()


@dataclass
class Visit:
    """A page that is open, and what it has done so far.

    Attributes:
        page: Playwright's page.
        requests: Every address that was asked for, by the page's policy or against it.
        sent: Those that would have gone out, had they not been stopped here.
        complaints: Lines on the console, and errors.
    """

    page: Any
    requests: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def demand_quiet(self) -> None:
        """Nothing was said, and nothing was asked for but the page and what it holds."""
        assert (self.complaints, self.sent) == ([], [])
        own = ("data:", self.page.url)
        assert [address for address in self.requests if not address.startswith(own)] == []


@contextmanager
def visit(chromium: Any, path: Path, **options: Any) -> Iterator[Visit]:
    """Open a file in a window of its own; every request is seen and none may leave.

    Args:
        chromium: From `browser`.
        path: The page.
        options: Of the window, as Playwright calls them.
    """
    context = chromium.new_context(**{"viewport": {"width": 1100, "height": 900}, **options})
    page = context.new_page()
    seen = Visit(page)

    def intercept(route: Any) -> None:
        address = route.request.url
        if address.startswith("file:"):
            route.continue_()
        else:
            seen.sent.append(address)
            route.abort()

    context.route("**/*", intercept)
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("console", lambda line: seen.complaints.append(line.text))
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.goto(path.as_uri())
    try:
        yield seen
    finally:
        context.close()

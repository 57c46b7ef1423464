"""One chromium for all browser tests, driven by Playwright."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import ARGUMENTS, CHROMIUM, PATIENCE_MS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

collect_ignore_glob = [] if importlib.util.find_spec("playwright") else ["test_*.py"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import expect, sync_playwright

    if not os.path.exists(CHROMIUM) and os.environ.get("PAL_REQUIRE_BROWSER") != "1":
        pytest.skip(
            "chromium is not installed (apt-get install chromium); PAL_REQUIRE_BROWSER=1 makes this fail"
        )
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens an address; fails the test when the page raised an error or asked another machine."""
    opened, errors, foreign = [], [], []

    def start(url: str, width: int = 1400, scheme: str = "light") -> Page:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        opened.append(page)
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: errors.append(str(error)))
        own = ("/".join(url.split("/")[:3]), "data:", "blob:")
        page.on("request", lambda asked: None if asked.url.startswith(own) else foreign.append(asked.url))
        page.goto(url)
        return page

    yield start
    for page in opened:
        page.close()
    assert not errors
    assert not foreign

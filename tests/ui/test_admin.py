"""The host's page: only with a password, a few tries, nothing before it."""

from __future__ import annotations

import httpx
import pytest

from pal.errors import PalError
from pal.ui.admin import Door
from pal.ui.pages import Attempts, TooManyAttempts
from tests.ui.rating import Annotator, host
from tests.ui.visitor import Visitor

PASSWORD = "correct horse battery"


def test_without_a_password_there_is_no_such_page(serve, tmp_path):
    url = serve(rating=host(tmp_path))
    assert httpx.get(url + "admin").status_code == 404
    assert "pal-admin" not in httpx.get(url + "config").text


def test_the_right_password_shows_progress_and_files(serve, tmp_path):
    url = serve(rating=host(tmp_path), admin_password=PASSWORD)
    annotator = Annotator(url, "annotator").start()
    annotator.vote(comment="=1+1")
    page = Visitor(url, "host")
    for button in ("pal-admin-refresh", "pal-admin-export"):
        page.fire(button)
        assert "Enter the password first" in page.shown("pal-admin-notice")
        assert page.shown("pal-admin-progress") == ""
    page.values[page.component("pal-admin-word")] = PASSWORD
    page.fire("pal-admin-enter")
    assert "1 vote · 1 turn · 1 annotator" in page.shown("pal-admin-progress")
    assert "item-2" in page.shown("pal-admin-progress")
    page.fire("pal-admin-export")
    files = {one["orig_name"]: one["url"] for one in page.shown("pal-admin-files")}
    assert set(files) == {"votes.csv", "records.jsonl", "votes.parquet", "pairs.jsonl"}
    assert "'=1+1" in httpx.get(files["votes.csv"]).text
    assert PASSWORD not in httpx.get(url + "config").text


def test_a_wrong_password_shows_nothing(serve, tmp_path):
    page = Visitor(serve(rating=host(tmp_path), admin_password=PASSWORD), "guest")
    page.values[page.component("pal-admin-word")] = "guess"
    page.fire("pal-admin-enter")
    assert "not the password" in page.shown("pal-admin-notice") and page.shown("pal-admin-progress") == ""
    page.fire("pal-admin-refresh")
    assert page.shown("pal-admin-progress") == ""


@pytest.mark.parametrize("typed", ["", None, "correct horse", PASSWORD + " ", 7, "Ä" * 1000])
def test_only_the_password_opens(typed):
    with pytest.raises(PalError, match="not the password"):
        Door(PASSWORD).open(typed, "guest")


def test_guessing_is_stopped_even_for_the_right_one():
    door = Door(PASSWORD, Attempts(each=2, together=50))
    for _ in range(2):
        with pytest.raises(PalError, match="not the password"):
            door.open("guess", "guest")
    with pytest.raises(TooManyAttempts):
        door.open(PASSWORD, "guest")
    door.open(PASSWORD, "somebody else")

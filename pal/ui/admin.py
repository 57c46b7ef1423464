"""The host's page, behind a password: progress and exports. Without a password in
the settings there is no such page.
"""

from __future__ import annotations

import hashlib
import hmac
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from pal.errors import PalError
from pal.ratings import export
from pal.ratings.desk import RatingDesk
from pal.ratings.queue import AdminProgress
from pal.ui import pages
from pal.ui.pages import QUIET, Attempts, address, notice_html
from pal.ui.templates import render

FORMATS = ("csv", "jsonl", "parquet", "pairs")
ASK = "Enter the password first."


def progress_html(seen: AdminProgress, status: str) -> str:
    """The campaign in numbers, then a row for each annotator and each item."""
    return render("results.html", "progress", seen, status)


def add_page(desk: RatingDesk, password: str) -> None:
    """Put the host's page into the page that is being built."""
    pages.add_banner("admin", "For the host: progress of the ratings, and exports.")
    door = Door(password)
    granted = gr.State(False)  # held by the server
    notice = gr.HTML("", elem_id="pal-admin-notice")
    with gr.Column(elem_id="pal-admin-door", elem_classes="pal-panel", min_width=0) as outside:
        word = gr.Textbox(label="Password", type="password", elem_id="pal-admin-word")
        enter = gr.Button("Enter", variant="primary", elem_id="pal-admin-enter")
    with gr.Column(visible=False, elem_id="pal-admin", elem_classes="pal-panel", min_width=0) as inside:
        progress = gr.HTML("", elem_id="pal-admin-progress")
        with gr.Row():
            refresh = gr.Button("Refresh", elem_id="pal-admin-refresh")
            write = gr.Button("Write exports", elem_id="pal-admin-export")
        files = gr.Files(label="Exports", interactive=False, visible=False, elem_id="pal-admin-files")

    def let_in(typed: str, request: gr.Request) -> dict[Any, Any]:
        try:
            door.open(typed, address(request))
        except PalError as error:
            return {notice: notice_html(str(error)), word: ""}
        return {
            granted: True,
            notice: "",
            word: "",
            outside: gr.update(visible=False),
            inside: gr.update(visible=True),
            progress: progress_html(desk.admin_progress(), desk.status()),
        }

    def show(allowed: bool) -> dict[Any, Any]:
        if not allowed:
            return {notice: notice_html(ASK)}
        return {notice: "", progress: progress_html(desk.admin_progress(), desk.status())}

    def export_all(allowed: bool) -> Iterator[dict[Any, Any]]:
        if not allowed:
            yield {notice: notice_html(ASK)}
            return
        with tempfile.TemporaryDirectory() as folder:
            try:
                written = export.write(desk.records(), Path(folder), FORMATS, desk.campaign)
            except PalError as error:
                yield {notice: notice_html(str(error))}
                return
            paths = [str(path) for path in written]
            yield {notice: "", files: gr.update(value=paths, visible=True)}  # Gradio copies them now

    outputs = [granted, notice, word, outside, inside, progress, files]
    gr.on([enter.click, word.submit], let_in, inputs=word, outputs=outputs, queue=False, **QUIET)
    refresh.click(show, inputs=granted, outputs=outputs, queue=False, **QUIET)
    write.click(export_all, inputs=granted, outputs=outputs, **QUIET)


class Door:
    """Compares passwords in constant time, a few times only."""

    def __init__(self, password: str, attempts: Attempts | None = None):
        self._digest = hashlib.sha256(password.encode()).digest()
        self._attempts = attempts or Attempts(each=5, together=50)

    def open(self, typed: str | None, visitor: str) -> None:
        """Raises:
        PalError: wrong, or too many wrong ones before.
        """
        self._attempts.check(visitor)
        given = hashlib.sha256((typed if isinstance(typed, str) else "").encode()).digest()
        if not hmac.compare_digest(given, self._digest):
            self._attempts.count(visitor)
            raise PalError("That is not the password.")

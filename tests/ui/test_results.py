"""The Results page: the report from its folder, and the leaderboard above a threshold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pal.chat.variants import shipped
from pal.ratings.statistics import summary
from pal.ui import results
from pal.ui.results import Leaderboard
from tests.ratings import scene
from tests.ui.rating import host
from tests.ui.visitor import Visitor

PNG = b"\x89PNG and so on"


def test_the_report_shows_its_tables_and_pictures(tmp_path):
    (tmp_path / "README.md").write_text(
        "# Results\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n![A plot](one.png)\n"
    )
    for name in ("one.png", "two-more.png"):
        (tmp_path / name).write_bytes(PNG)
    html = results.report_html(tmp_path)
    assert "<h1>Results</h1>" in html and "<td>1</td>" in html
    assert html.count("data:image/png;base64,") == 2
    assert '<img alt="A plot"' in html and "<figcaption>two more</figcaption>" in html


@pytest.mark.parametrize("address", ["http://example.org/a.png", "../secret.png", "/etc/passwd", "gone.png"])
def test_the_report_shows_no_picture_from_elsewhere(tmp_path, address):
    folder = tmp_path / "results"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(PNG)
    (folder / "README.md").write_text(f"![x]({address}) <script>alert(1)</script>")
    html = results.report_html(folder)
    assert "<img" not in html and "<script" not in html and "data:" not in html


def test_new_results_show_without_a_restart(tmp_path):
    assert "No results have been written yet" in results.report_html(tmp_path)
    (tmp_path / "README.md").write_text("Here they are.")
    assert "Here they are." in results.report_html(tmp_path)


def voted(folder, annotators: int, items: int = 4):
    """A desk on which everybody prefers aligned over stage1 over baseline."""
    rating = host(folder, items, overlap=99)
    order = ("aligned", "stage1", "baseline")
    for _ in range(annotators):
        who = scene.annotator(rating.desk)
        for _ in range(items):
            task = rating.desk.next_task(who)
            shown = task.turn or rating.desk.add_turn(who, scene.turn(task.item))
            turn = next(one for one in rating.desk.records() if getattr(one, "id", None) == shown.turn_id)
            text = {turn.reply(variant).text: variant for variant in order}
            ranks = [order.index(text[reply]) + 1 for reply in shown.replies]
            rating.desk.submit(who, scene.vote(shown.turn_id, ranks, flags=(("uses_persona",), (), ())))
    return rating.desk


def test_below_the_threshold_only_the_number_of_votes_is_told(tmp_path):
    html = Leaderboard(voted(tmp_path, 1), threshold=30, variants=shipped()).html()
    assert "4 of 30 votes so far" in html and "26 more" in html
    assert "Aligned" not in html and "win rate" not in html


def test_above_it_the_models_stand_in_order_with_intervals(tmp_path):
    html = Leaderboard(voted(tmp_path, 2), threshold=8, variants=shipped()).html()
    assert html.index(">Aligned</b>") < html.index(">Stage 1</b>") < html.index(">Baseline</b>")
    assert "100 % (51 %–100 %)" in html and "8 blind votes; 2 annotators, 4 turns" in html
    assert "Baseline against Stage 1" in html and "uses the persona" in html
    assert "Krippendorff" in html and "first places by column" in html


def test_a_new_vote_shows_at_the_next_visit(tmp_path):
    desk = voted(tmp_path, 1)
    board = Leaderboard(desk, threshold=30, variants=shipped())
    assert "4 of 30" in board.html()
    voted(tmp_path, 1)
    assert "8 of 30" in board.html()


def test_a_variant_of_any_name_is_only_text(tmp_path):
    seen = summary(voted(tmp_path, 1).records(), 1)
    variant = "<img src=x onerror=alert(1)>"
    rows = tuple(type(row)(variant, *list(vars(row).values())[1:]) for row in seen.results.variants)
    assert "<img" not in results.leaderboard_html(
        replace(seen, results=replace(seen.results, variants=rows)), shipped()
    )


def test_the_page_shows_both_parts(serve, tmp_path):
    visitor = Visitor(serve(rating=host(tmp_path)), "one")
    dependency = next(
        one
        for one in visitor.config["dependencies"]
        if visitor.component("pal-leaderboard") in one["outputs"]
    )
    body = {"data": [], "fn_index": dependency["id"], "session_hash": "one"}
    told = visitor.http.post("/gradio_api/run/predict", json=body).json()["data"]
    assert "0 of 30 votes so far" in told[0] and "<table>" in told[1]
    assert visitor.http.get("/results").status_code == 200

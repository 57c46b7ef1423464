"""The page in a real browser: Debian's chromium, driven by Playwright."""

from __future__ import annotations

import threading

import pytest
from playwright.sync_api import Page, expect

from pal.settings import Settings
from pal.ui import site
from tests.browser.chromium import CONTRAST, HOSTILE, WIDTHS
from tests.fakes import FakeEngine, fake_responder


@pytest.fixture
def visit(open_page):
    """Opens the page over an engine."""
    served, opened = [], []

    def start(engine: FakeEngine | None = None, width: int = 1400, scheme: str = "light") -> Page:
        served.append(site.launch(fake_responder(engine), Settings(port=0), quiet=True))
        opened.append(open_page(served[-1].local_url, width, scheme))
        opened[-1].locator("#pal-send").wait_for()
        return opened[-1]

    yield start
    for page in (*opened, *served):
        page.close()


def say(page: Page, text: str) -> None:
    """Type a message, send it with Enter, and wait for all replies."""
    number = page.locator(".pal-turn").count() + 1
    page.get_by_label("Your message").fill(text)
    page.get_by_label("Your message").press("Enter")
    expect(page.locator(".pal-turn")).to_have_count(number)
    finished(page)


def finished(page: Page) -> None:
    """Wait until no reply is being written."""
    expect(page.locator("#pal-live .is-continued")).to_have_count(1)
    expect(page.locator("#pal-send")).to_be_visible()


def card(page: Page, name: str, where: str = "#pal-live"):
    """One model's reply."""
    return page.locator(f"{where} article[aria-label='{name}']")


def sentence(page: Page, number: int):
    """One row of the persona editor."""
    return page.get_by_label(f"Persona sentence {number}")


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_overflows_sideways_at_any_width(visit, width):
    page = visit(FakeEngine(replies=["word " * 60 + "x" * 300]), width)
    page.get_by_role("button", name="example personas").click()
    page.get_by_role("button", name="Seed and decoding").click()
    say(page, "y" * 500)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#pal-send").scroll_into_view_if_needed()
    for part in ("#pal-persona", "#pal-chat", "#pal-composer", "#pal-live article >> nth=2"):
        box = page.locator(part).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width


@pytest.mark.parametrize(("width", "abreast"), [(1400, True), (900, True), (420, False)])
def test_the_three_columns_are_equal_and_stack_only_on_a_phone(visit, width, abreast):
    page = visit(None, width)
    say(page, "Hi")
    boxes = [card(page, name).bounding_box() for name in ("Baseline", "Stage 1", "Aligned")]
    assert len({round(box["width"]) for box in boxes}) == 1
    assert (len({round(box["y"]) for box in boxes}) == 1) is abreast
    assert boxes[0]["x"] <= boxes[1]["x"] <= boxes[2]["x"]


def test_a_suggestion_runs_a_whole_turn_with_selections_and_probabilities(visit):
    page = visit(FakeEngine(replies=["a long night"], picks=[2, 0]))
    suggestion = page.locator("#pal-suggestions button").first
    text = suggestion.inner_text()
    page.get_by_label("Your message").fill("still typing")
    suggestion.click()
    finished(page)
    expect(page.locator("#pal-live .pal-user")).to_contain_text(text)
    expect(card(page, "Baseline")).to_contain_text("baseline: a long night")
    second = sentence(page, 2).input_value()
    expect(card(page, "Stage 1")).to_contain_text(f"Selected: {second} · 80 %")
    expect(card(page, "Aligned")).to_contain_text("Selected: none · 80 %")
    expect(page.locator("#pal-persona .pal-row .pal-bars").nth(1)).to_contain_text("80 %")
    expect(page.locator("#pal-none-row")).to_contain_text("80 %")
    expect(page.get_by_label("Your message")).to_have_value("still typing")


def test_the_persona_can_be_edited_and_the_next_turn_uses_it(visit):
    engine = FakeEngine()
    page = visit(engine)
    rows = page.locator("#pal-persona .pal-row:visible")
    before = rows.count()
    page.get_by_role("button", name="Add sentence").click()
    expect(rows).to_have_count(before + 1)
    expect(sentence(page, before + 1)).to_be_focused()
    page.keyboard.type("I keep a parrot.")
    page.get_by_role("button", name="Remove sentence 1").click()
    expect(rows).to_have_count(before)
    expect(sentence(page, before)).to_have_value("I keep a parrot.")
    page.get_by_role("button", name=f"Move sentence {before} up").click()
    expect(sentence(page, before - 1)).to_have_value("I keep a parrot.")
    say(page, "Hi")
    system = "".join(map(chr, engine.reply_requests[0].tokens)).split("<|im_end|>")[0]
    assert system.endswith(f"[{before}]") and f"I keep a parrot. [{before - 1}]" in system


def test_an_edited_sentence_loses_its_bars_and_the_others_keep_theirs(visit):
    page = visit()
    say(page, "Hi")
    bars = page.locator("#pal-persona .pal-row .pal-bars")
    count = bars.count()
    sentence(page, 1).fill("I am somebody else.")
    expect(bars).to_have_count(count - 1)


def test_a_persona_that_breaks_a_limit_is_explained_and_kept(visit):
    engine = FakeEngine()
    page = visit(engine)
    sentence(page, 1).fill("x" * 250)
    expect(page.locator("#pal-status")).to_contain_text("has 250 characters")
    page.get_by_label("Your message").fill("Hello?")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("at most 200")
    expect(page.get_by_label("Your message")).to_have_value("Hello?")
    expect(sentence(page, 1)).to_have_value("x" * 250)
    assert engine.turns == 0


def test_an_example_persona_fills_the_rows_and_suggestions(visit):
    page = visit(width=420)
    page.get_by_role("button", name="example personas").click()
    page.get_by_text("Dev · game programmer").click()
    expect(sentence(page, 1)).to_have_value("I write video games for a small studio.")
    expect(page.locator("#pal-suggestions")).to_contain_text("Do you have a dog?")
    page.get_by_role("button", name="Random persona").click()
    expect(sentence(page, 1)).not_to_have_value("I write video games for a small studio.")


def test_another_reply_continues_the_chat_and_the_rest_stays_visible(visit):
    engine = FakeEngine(replies=["one", "two"])
    page = visit(engine)
    say(page, "First")
    page.get_by_role("button", name="Continue with the reply of Baseline").click()
    expect(card(page, "Baseline")).to_contain_text("Continues the chat")
    expect(card(page, "Aligned")).to_contain_text("Not continued")
    expect(page.get_by_role("radio", name="Baseline")).to_be_checked()
    say(page, "Second")
    prompts = ["".join(map(chr, request.tokens)) for request in engine.reply_requests[-3:]]
    assert all("baseline: one" in prompt and "aligned: one" not in prompt for prompt in prompts)
    expect(card(page, "Aligned", "#pal-past")).to_contain_text("aligned: one")


def test_undo_clear_and_retry_act_on_all_columns(visit):
    page = visit(FakeEngine(replies=["one", "two", "three"]))
    say(page, "First")
    say(page, "Second")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_label("Your message")).to_have_value("Second")
    expect(page.locator(".pal-turn")).to_have_count(1)
    page.get_by_role("button", name="Retry").click()
    expect(card(page, "Stage 1")).to_contain_text("stage1: three")
    finished(page)
    expect(page.locator(".pal-made")).not_to_contain_text("seed 1 ·")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".pal-turn")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(card(page, "Aligned")).to_contain_text("aligned: three")


def test_stop_keeps_what_was_written_and_frees_the_page(visit):
    engine = FakeEngine(replies=["not to be seen"], gate=threading.Event())
    page = visit(engine)
    page.get_by_label("Your message").fill("Hi")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Stop", exact=True).click()
    finished(page)
    expect(card(page, "Aligned")).to_contain_text("aligned:")
    assert "not to be seen" not in page.locator("#pal-live").inner_text()
    assert engine.cancelled.is_set()


def test_reloading_the_page_cancels_the_turn(visit):
    engine = FakeEngine(gate=threading.Event())
    page = visit(engine)
    page.get_by_label("Your message").fill("Hi")
    page.keyboard.press("Enter")
    assert engine.waiting.wait(60)
    page.reload()
    assert engine.cancelled.wait(60)


def test_hostile_text_is_shown_and_never_runs(visit):
    page = visit(FakeEngine(replies=[HOSTILE]))
    sentence(page, 1).fill(HOSTILE)
    say(page, HOSTILE)
    expect(page.locator("#pal-live .pal-user .pal-text")).to_have_text(HOSTILE)
    expect(card(page, "Aligned").locator(".pal-text")).to_contain_text(HOSTILE)
    expect(card(page, "Stage 1").locator(".pal-selected")).to_contain_text(HOSTILE)
    say(page, "Again")
    assert page.title() == "PAL"
    assert page.locator("#pal-chat img").count() == 0


def test_a_turn_works_with_the_keyboard_alone(visit):
    page = visit()
    page.get_by_label("Your message").focus()
    page.keyboard.type("Hello")
    page.keyboard.press("Tab")
    expect(page.locator("#pal-send")).to_be_focused()
    page.keyboard.press("Enter")
    finished(page)
    page.get_by_role("button", name="Continue with the reply of Stage 1").focus()
    page.keyboard.press("Enter")
    expect(card(page, "Stage 1")).to_contain_text("Continues the chat")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(visit, scheme):
    page = visit(None, 1400, scheme)
    say(page, "Hi")
    for part in (
        "#pal-live .pal-user .pal-text",
        ".is-aside .pal-text",
        ".is-continued .pal-text",
        ".pal-head p",
        ".pal-made",
        ".is-continued .pal-sentence",
        "#pal-status p",
        "#pal-send",
    ):
        ratio = page.locator(part).first.evaluate(CONTRAST)
        assert ratio >= 4.5, (part, ratio)

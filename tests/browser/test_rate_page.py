"""Rating in a real browser: keyboard and mouse, drafts, blindness, widths and colours."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from pal.ratings.records import Rating
from pal.settings import Settings
from pal.ui import site
from tests.browser.chromium import CONTRAST, HOSTILE, WIDTHS
from tests.fakes import fake_responder
from tests.ui.rating import TEXTS, Maker, host

LISTEN = """
window.heard = [];
const {fetch: ask, EventSource: Stream} = window;
window.fetch = async (...asked) => {
  const answer = await ask(...asked);
  if (String(asked[0].url ?? asked[0]).includes('gradio_api')) {
    const reader = answer.clone().body.getReader(), decoder = new TextDecoder();
    const read = () => reader.read().then(({done, value}) => {
      if (value) heard.push(decoder.decode(value));
      if (!done) read();
    }, () => {});
    read();
  }
  return answer;
};
window.EventSource = class extends Stream {
  constructor(...asked) { super(...asked); this.addEventListener('message', (one) => heard.push(one.data)); }
};
"""
NAMES = re.compile("baseline|stage ?1|aligned", re.IGNORECASE)


@pytest.fixture
def rate(open_page, tmp_path):
    """Serves a Rate page and opens it; gives the page and the desk."""
    served, opened = [], []

    def start(width: int = 1400, scheme: str = "light", make: Maker | None = None, items: int = 3):
        if not served:
            rating = host(tmp_path, items, make, overlap=9)
            served.append((site.launch(fake_responder(), Settings(port=0), rating, quiet=True), rating))
        opened.append(open_page(served[0][0].local_url + "rate", width, scheme))
        return opened[-1], served[0][1].desk

    yield start
    for page in opened:
        page.close()
    for page, _ in served:
        page.close()


def agree(page: Page) -> None:
    page.get_by_label("I have read this and agree").check()
    page.get_by_role("button", name="Start").click()
    phase(page, "rate")


def phase(page: Page, name: str) -> None:
    expect(page.locator(".rate")).to_have_attribute("data-phase", name)


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def pressed(page: Page) -> list[str]:
    """What is marked, as read out."""
    return page.locator("[data-column] [aria-pressed=true]").all_inner_texts()


def ratings(desk) -> list[Rating]:
    return [record for record in desk.records() if isinstance(record, Rating)]


def test_keyboard_and_mouse_write_the_same_rows(rate):
    keys, desk = rate(items=2)
    keys.get_by_label("I have read this and agree").focus()
    press(keys, " ", "Enter")
    phase(keys, "rate")
    press(keys, "x", "p", "2", "u", "1", "ArrowLeft", "ArrowLeft", "p", "c", "1")
    press(keys, "m")
    keys.keyboard.type("1 b Enter?")
    press(keys, "Escape", "Enter")
    phase(keys, "revealed")
    press(keys, "Enter")
    phase(keys, "rate")
    press(keys, "k", "b", "0", "Enter")
    phase(keys, "revealed")

    mouse, _ = rate()
    agree(mouse)
    column = [mouse.get_by_label(f"Reply {letter}", exact=True) for letter in "ABC"]
    for number, name in ((0, "contradicts it"), (0, "parrots it"), (0, "second"), (1, "uses persona")):
        column[number].get_by_role("button", name=name).click()
    for number, name in ((1, "best"), (0, "parrots it"), (2, "best")):
        column[number].get_by_role("button", name=name).click()
    mouse.get_by_role("button", name="comment").click()
    mouse.get_by_label("Comment").fill("1 b Enter?")
    mouse.get_by_role("button", name="Save").click()
    phase(mouse, "revealed")
    mouse.get_by_role("button", name="Next").click()
    phase(mouse, "rate")
    column[0].get_by_role("button", name="broken").click()
    mouse.get_by_role("button", name="all bad").click()
    mouse.get_by_role("button", name="Save").click()
    phase(mouse, "revealed")

    rows = [(one.ranks, one.flags, one.all_bad, one.skip, one.comment) for one in ratings(desk)]
    assert rows[0] == ((2, 1, 1), (("contradicts",), ("uses_persona",), ()), False, False, "1 b Enter?")
    assert rows[1] == ((1, 1, 1), (("broken",), (), ()), True, False, "")
    assert rows[:2] == rows[2:]


def test_a_draft_survives_a_reload_and_holds_no_names(rate):
    page, desk = rate()
    agree(page)
    press(page, "x", "3", "u", "1", "m")
    page.keyboard.type("half a thought")
    before = pressed(page)
    kept = page.evaluate("JSON.stringify({...localStorage})")
    assert not NAMES.search(kept) and not any(text in kept for text in TEXTS.values())
    page.reload()
    phase(page, "rate")
    assert pressed(page) == before and len(before) == 4
    expect(page.get_by_label("Comment")).to_have_value("half a thought")
    press(page, "2", "Enter")
    phase(page, "revealed")
    assert ratings(desk)[0].ranks == (3, 1, 2)
    page.reload()
    phase(page, "rate")
    assert pressed(page) == []


def test_a_corrected_answer_is_one_active_rating_with_its_history(rate):
    page, desk = rate()
    agree(page)
    press(page, "1", "2", "3", "Enter")
    phase(page, "revealed")
    press(page, "Enter")
    phase(page, "rate")
    press(page, "z")
    expect(page.get_by_text("You correct an earlier vote")).to_be_visible()
    assert len(pressed(page)) == 3
    press(page, "a", "3", "3")
    page.reload()
    expect(page.get_by_text("You correct an earlier vote")).to_be_visible()
    press(page, "c", "1", "Enter")
    phase(page, "revealed")
    first, second = ratings(desk)
    assert (first.ranks, second.ranks, second.supersedes) == ((1, 2, 3), (3, 2, 1), first.id)
    assert desk.votes(first.annotator) == [second]
    assert desk.trail(first.annotator, first.turn_id) == [first, second]


def test_nothing_in_the_browser_names_a_model_before_the_vote(rate):
    page, _ = rate()
    page.add_init_script(LISTEN)
    page.reload()
    agree(page)
    assert not NAMES.search(page.locator("#pal-rate").evaluate("(element) => element.outerHTML"))
    assert not NAMES.search(page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})"))
    page.wait_for_function("(text) => heard.some((one) => one.includes(text))", arg=TEXTS["aligned"])
    assert not NAMES.search(page.evaluate("heard.join()"))
    heights = {round(box["height"]) for box in boxes(page)}
    assert len(heights) == 1
    press(page, "1", "1", "1", "Enter")
    phase(page, "revealed")
    assert NAMES.search(page.locator("#pal-rate").inner_text())


def boxes(page: Page) -> list[dict]:
    return [box.bounding_box() for box in page.locator(".rate-reply").all()]


def test_save_says_what_is_missing_and_skip_goes_on(rate):
    page, desk = rate()
    agree(page)
    first = page.locator(".rate").get_attribute("data-turn")
    press(page, "1", "Enter")
    expect(page.get_by_role("alert").filter(has_text="Place B and C first")).to_be_visible()
    press(page, "s")
    expect(page.locator(".rate")).not_to_have_attribute("data-turn", first)
    phase(page, "rate")
    assert ratings(desk)[0].skip and pressed(page) == []


def test_a_vote_that_does_not_arrive_is_kept_and_can_be_sent_again(rate):
    page, desk = rate()
    agree(page)
    press(page, "2", "1", "3")
    page.route("**/run/predict*", lambda route: route.abort())
    press(page, "Enter")
    expect(page.get_by_text("Your last vote did not arrive")).to_be_visible()  # the page has reloaded
    expect(page.locator(".rate-saved")).to_have_text("not saved")
    assert len(pressed(page)) == 3 and ratings(desk) == []
    page.unroute("**/run/predict*")
    press(page, "Enter")
    phase(page, "revealed")
    expect(page.locator(".rate-saved")).to_contain_text("saved")
    assert [one.ranks for one in ratings(desk)] == [(2, 1, 3)]


def test_an_own_chat_with_the_keyboard(rate):
    make = Maker()
    page, desk = rate(make=make)
    agree(page)
    page.get_by_role("button", name="Own chat").click()
    expect(page.get_by_label("Your message")).to_be_focused()
    page.keyboard.type("Where do you live?")
    press(page, "Enter")
    expect(page.locator(".rate-talk")).to_contain_text("Where do you live?")
    chosen = page.locator(".rate-reply .pal-text").nth(1).inner_text()
    press(page, "2", "1", "2", "Enter")
    phase(page, "revealed")
    expect(page.get_by_role("radio", name="B")).to_be_checked()
    page.keyboard.type("And before?")
    press(page, "Enter")
    expect(page.locator(".rate-earlier")).to_contain_text(chosen)
    phase(page, "rate")
    assert [text.user for text in make.requests if text.user.endswith("?")][-1] == "And before?"


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_overflows_sideways_at_any_width(rate, width):
    long = {variant: f"{variant[0]} " * 60 + "x" * 200 for variant in TEXTS}
    page, _ = rate(width, make=Maker(long))
    agree(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert len({round(box["width"]) for box in boxes(page)}) == 1
    assert (len({round(box["y"]) for box in boxes(page)}) == 1) is (width >= 760)
    for button in page.locator(".rate-places button").all():
        assert button.evaluate("(one) => one.scrollWidth <= one.clientWidth + 1")
    press(page, "1", "2", "3", "Enter")
    phase(page, "revealed")
    for section in ("own", "answers", "account"):
        page.locator(f".rate-bar [data-do={section}]").click()
        phase(page, section)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(rate, scheme):
    page, _ = rate(1400, scheme)
    agree(page)
    press(page, "u", "1", "2", "3")
    for part in (
        ".rate-reply .pal-text",
        ".rate-earlier .pal-text",
        "[aria-pressed=true]",
        "[aria-pressed=false]",
        "[data-mark=save]",
        ".rate-progress span",
        ".rate-saved",
        ".rate-keys",
    ):
        assert page.locator(part).first.evaluate(CONTRAST) >= 4.5, part
    press(page, "Enter")
    phase(page, "revealed")
    for part in (*(f".pal-{name} h3" for name in TEXTS), ".rate-consistency li", ".pal-selected"):
        assert page.locator(part).first.evaluate(CONTRAST) >= 4.5, part


def test_hostile_text_is_shown_and_never_runs(rate):
    page, _ = rate(make=Maker({variant: HOSTILE for variant in TEXTS}))
    agree(page)
    expect(page.locator(".rate-reply .pal-text").first).to_contain_text("<img src=x")
    press(page, "1", "1", "1", "m")
    page.keyboard.type(HOSTILE)
    press(page, "Escape", "Enter")
    phase(page, "revealed")
    press(page, "e")
    phase(page, "rate")
    expect(page.get_by_label("Comment")).to_have_value(HOSTILE)
    assert page.title() == "PAL" and page.locator("#pal-rate img").count() == 0

"""The Rate page's views after the vote and beside the queue, as HTML."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from pal.chat.variants import Variants
from pal.dialogue.persona import Example
from pal.ratings.blind import BlindTurn, Revealed
from pal.ratings.records import Rating, ReplyRecord
from pal.ui.rate_render import (
    COLUMNS,
    FLAG_LABELS,
    PLACES,
    Head,
    action,
    persona_panel,
    section_of,
    talk,
    view,
)
from pal.ui.render import escape, percent

CONSISTENCY = ("contradicts", "", "agrees with")  # in the order of the labels; neutral is not shown

FILE = "pal-my-ratings.json"


def name(variant: str, variants: Variants) -> str:
    """A model as named after the vote; gold replies come from no model."""
    return variants[variant].title if variant in variants else "Written by hand"


def revealed(head: Head, turn: BlindTurn, names: Revealed, rating: Rating, variants: Variants) -> str:
    """The same columns with names, selections, consistency and the vote just given."""
    columns = "".join(
        _column(number, turn, reply, rating, variants) for number, reply in enumerate(names.columns)
    )
    correct = action("correct", "correct", "E", turn=turn.turn_id)
    if turn.own:
        body = _continue(turn, rating) + f'<div class="rate-foot">{correct}{action("own", "New chat")}</div>'
    else:
        body = f'<div class="rate-foot">{correct}{action("next", "Next", "Enter", "primary")}</div>'
    return view(
        "revealed",
        f'<div class="rate-frame">{persona_panel(turn.persona)}<section class="pal-panel rate-main">'
        f'{talk(turn.history, turn.user)}<div class="pal-columns">{columns}</div>{body}</section></div>',
        head,
        section_of(turn),
        rated=turn.turn_id,
    )


def _column(number: int, turn: BlindTurn, reply: ReplyRecord, rating: Rating, variants: Variants) -> str:
    flags = rating.flags[number] if rating.flags else ()
    marks = [verdict(rating, number), *(FLAG_LABELS[flag] for flag in flags)]
    title = f"{COLUMNS[number]} · {escape(name(reply.variant, variants))}"
    style = reply.variant if reply.variant in variants else "baseline"
    return (
        f'<article class="rate-reply pal-{style}" aria-label="{title}"><h3>{title}</h3>'
        f'<p class="pal-text">{escape(turn.replies[number])}</p>'
        f'<p class="rate-given">Your vote: <b>{" · ".join(marks)}</b></p>'
        f"{_selected(reply, turn.persona, variants)}{_consistency(reply, turn.persona)}</article>"
    )


def verdict(rating: Rating, column: int) -> str:
    """What a vote says of one column."""
    if rating.skip:
        return "skipped"
    if rating.all_bad:
        return "all bad"
    rank = rating.ranks[column]
    tie = " (tie)" if rating.ranks.count(rank) > 1 else ""
    return PLACES[rank - 1] + tie


def _selected(reply: ReplyRecord, persona: Sequence[str], variants: Variants) -> str:
    if reply.probabilities is None:
        return '<p class="pal-selected">Reads the whole persona</p>' if reply.variant in variants else ""
    sure = percent(reply.probabilities[0 if reply.selected is None else reply.selected + 1])
    chosen = "none" if reply.selected is None else persona[reply.selected]
    style = "pal-none" if reply.selected is None else "pal-sentence"
    return (
        f'<p class="pal-selected">Selected: <span class="{style}">{escape(chosen)}</span>'
        f' <span class="pal-sure">· {sure}</span></p>'
    )


def _consistency(reply: ReplyRecord, persona: Sequence[str]) -> str:
    if reply.consistency is None:
        return ""
    found = []
    for sentence, probabilities in zip(persona, reply.consistency, strict=True):
        label = max(range(len(probabilities)), key=lambda one: probabilities[one])
        if CONSISTENCY[label]:
            style = "rate-against" if label == 0 else "rate-for"
            said = f"{CONSISTENCY[label]} “{sentence}” · {percent(probabilities[label])}"
            found.append(f'<li class="{style}">{escape(said)}</li>')
    return f'<ul class="rate-consistency">{"".join(found)}</ul>' if found else ""


def _continue(turn: BlindTurn, rating: Rating) -> str:
    """Own chat: which reply goes on, and the next message."""
    best = min(range(len(turn.replies)), key=lambda one: rating.ranks[one] if rating.ranks else 0)
    choices = "".join(
        f'<label><input type="radio" name="rate-go" value="{number}"{" checked" if number == best else ""}>'
        f"{COLUMNS[number]}</label>"
        for number in range(len(turn.replies))
    )
    return (
        f'<fieldset class="rate-go"><legend>The chat continues with</legend>{choices}</fieldset>'
        f"{_composer(turn.turn_id)}"
    )


def _composer(turn_id: str = "") -> str:
    return (
        '<div class="rate-composer"><textarea id="rate-message" rows="1" aria-label="Your message" '
        f'placeholder="Say something …"></textarea>{action("say", "Send", "", "primary", turn=turn_id)}</div>'
    )


def skipped(head: Head, turn_id: str) -> str:
    """A skip is saved; the script asks for the next item."""
    note = '<section class="pal-panel rate-note" role="status"><h2>Skipped</h2></section>'
    return view("skipped", note, head, "next", rated=turn_id, auto="next")


def own_start(head: Head, examples: Sequence[Example]) -> str:
    """Choose or write a persona, and say the first message."""
    options = "".join(
        f'<option value="{escape(chr(10).join(one.persona.sentences))}">{escape(one.title)}</option>'
        for one in examples
    )
    first = escape("\n".join(examples[0].persona.sentences))
    return view(
        "own",
        '<section class="pal-panel rate-own"><h2>A chat of your own</h2>'
        "<p>You rate every turn, then one of the replies continues the chat.</p>"
        f'<label>Example persona<select id="rate-example">{options}</select></label>'
        '<label>Persona, one sentence a line<textarea id="rate-own-persona" rows="6" spellcheck="true">'
        f"{first}</textarea></label>"
        f"{_composer()}</section>",
        head,
        "own",
    )


def done(head: Head) -> str:
    """The queue is empty."""
    count = head.progress.total
    return view(
        "done",
        '<section class="pal-panel rate-note" role="status"><h2>All done – thank you!</h2>'
        f"<p>You have rated all {count} items. You can still correct any answer, or rate a chat of your "
        "own.</p>"
        f"<p>{action('answers', 'My answers')} {action('own', 'Own chat')}</p></section>",
        head,
        "next",
    )


def answers(head: Head, shown: Sequence[tuple[Rating, BlindTurn]], page: int, pages: int) -> str:
    """Earlier votes, newest first, each with a way to correct it."""
    rows = "".join(
        f"<tr><td>{escape(turn.user)}</td><td>{escape(_summary(rating))}</td>"
        f"<td>{action('correct', 'correct', turn=turn.turn_id)}</td></tr>"
        for rating, turn in shown
    )
    body = (
        f"<table><tr><th>Message</th><th>Your vote</th><th></th></tr>{rows}</table>"
        if rows
        else ("<p>Nothing yet. Your votes appear here as soon as they are saved.</p>")
    )
    steps = [
        action("answers", label, page=str(to))
        for label, to in (("newer", page - 1), ("older", page + 1))
        if 0 <= to < pages
    ]
    return view(
        "answers",
        f'<section class="pal-panel rate-answers"><h2>My answers</h2>{body}'
        f'<div class="rate-foot">{"".join(steps)}</div></section>',
        head,
        "answers",
    )


def _summary(rating: Rating) -> str:
    if rating.skip or rating.all_bad:
        said = [verdict(rating, 0)]
    else:
        said = [f"{COLUMNS[number]} {verdict(rating, number)}" for number in range(len(rating.ranks))]
    return " · ".join([*said, "corrected"] if rating.correction else said)


def account(head: Head, data: str = "") -> str:
    """The annotator's id, and their data to take or delete. ``data``: JSON text, once asked for."""
    link = ""
    if data:
        encoded = base64.b64encode(data.encode()).decode()
        link = (
            f'<p><a download="{FILE}" href="data:application/json;base64,{encoded}">'
            f"Save {FILE} ({len(data) // 1024 + 1} kB)</a></p>"
        )
    erase = action("erase", "Delete everything", "", "danger")
    return view(
        "account",
        '<section class="pal-panel rate-account"><h2>My data</h2>'
        f'<p>Your annotator id: <code id="rate-my-code">{escape(head.code)}</code></p>'
        "<p>Keep it: with it you go on on any device, and whoever has it can see and change your votes. "
        "This browser remembers it until you leave.</p>"
        f"<p>{action('data', 'Download my data')} {action('leave', 'Leave on this device')}</p>{link}"
        "<h3>Delete my data</h3><p>Every vote, comment, chat and the consent are deleted; the id cannot be "
        "used again. This cannot be undone.</p>"
        '<p class="rate-confirm"><label>Type your id to confirm <input type="text" id="rate-confirm" '
        f'autocomplete="off" spellcheck="false"></label>{erase}</p></section>',
        head,
        "account",
    )


def erased(count: int) -> str:
    """After deletion."""
    return view(
        "erased",
        '<section class="pal-panel rate-note" role="status"><h2>Your data is deleted</h2>'
        f"<p>{count} records were deleted.</p><p>{action('restart', 'Start again')}</p></section>",
    )

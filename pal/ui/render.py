"""The chat as HTML. Everything a person or a model wrote passes ``escape``."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from pal.chat.conversation import ChatTurn, Reply
from pal.chat.selection import SelectionSettings
from pal.chat.variants import Variants
from pal.chat.wording import MARKS, Badge, badges, describe_decoding, percent, setting_names

_TEMPLATE_CHARACTERS = str.maketrans({"{": "&#123;", "}": "&#125;", "$": "&#36;", "`": "&#96;"})
WELCOME = (
    '<div class="pal-welcome"><p><b>Every message goes to all three models.</b></p>'
    "<p>Pick a suggestion below or write your own. You choose which reply the chat continues with.</p></div>"
)
INTRODUCTION = (
    "One small language model at three stages of training. Edit who it is, say something, "
    "and compare the three replies and the persona sentence each was built on."
)


def escape(text: str) -> str:
    """Text as literal HTML, also inert inside a client-side template."""
    return html.escape(text).translate(_TEMPLATE_CHARACTERS)


def notice(text: str, kind: str = "problem") -> str:
    """A message to the visitor; read out at once when it is a problem."""
    if not text:
        return ""
    role = "alert" if kind == "problem" else "status"
    return f'<div class="pal-notice pal-{kind}" role="{role}">{escape(text)}</div>'


def _body(reply: Reply, stopped: bool) -> str:
    parts = []
    if reply.text.strip():
        caret = "" if reply.done else '<span class="pal-caret" aria-hidden="true"></span>'
        parts.append(f'<p class="pal-text">{escape(reply.text.strip())}{caret}</p>')
    elif not reply.done:
        parts.append('<p class="pal-wait"><span></span><span></span><span></span><b>writing</b></p>')
    elif reply.error is None:
        parts.append(
            f'<p class="pal-empty">{"Stopped before a reply." if stopped else "An empty reply."}</p>'
        )
    if reply.error is not None:
        parts.append(f'<p class="pal-error" role="alert">{escape(reply.error)}</p>')
    return "".join(parts)


def _selected(reply: Reply, turn: ChatTurn) -> str:
    if not turn.variants[reply.variant].selects:
        return '<p class="pal-selected pal-muted">Reads the whole persona</p>'
    if reply.selection is None:
        return f'<p class="pal-selected pal-muted">{"No selection" if reply.done else "Selecting …"}</p>'
    sentences = turn.persona.sentences
    chosen = "none" if reply.selection.selected is None else sentences[reply.selection.selected]
    style = "pal-none" if reply.selection.selected is None else "pal-sentence"
    return (
        f'<p class="pal-selected">Selected: <span class="{style}">{escape(chosen)}</span>'
        f' <span class="pal-sure">· {percent(reply.selection.confidence)}</span></p>'
    )


def _foot(reply: Reply, turn: ChatTurn, last: bool) -> str:
    continuing = turn.continuing
    if not turn.done or continuing is None:
        return ""
    if reply is continuing:
        return '<p class="pal-fate pal-continues">Continues the chat</p>'
    if last and reply.usable:
        title = escape(turn.variants.title(reply.variant))
        return (
            '<p class="pal-fate"><span>Not continued</span>'
            f'<button type="button" data-continue="{reply.variant}"'
            f' aria-label="Continue with the reply of {title}">Continue with this</button></p>'
        )
    return '<p class="pal-fate"><span>Not continued</span></p>'


def _reply(reply: Reply, turn: ChatTurn, last: bool) -> str:
    continuing = turn.continuing
    fate = ""
    if turn.done and continuing is not None:
        fate = " is-continued" if reply is continuing else " is-aside"
    name = escape(turn.variants.title(reply.variant))
    return (
        f'<article class="pal-reply pal-{reply.variant}{fate}" aria-label="{name}">'
        f'<h3 class="pal-name">{name}</h3>{_selected(reply, turn)}'
        f"{_body(reply, turn.stopped)}{reply_badges(reply, turn.persona.sentences)}"
        f"{_foot(reply, turn, last)}</article>"
    )


def turn(number: int, turn: ChatTurn, *, last: bool) -> str:
    """One turn: the message, three replies side by side, and how they were made."""
    replies = "".join(_reply(reply, turn, last) for reply in turn.replies)
    made = escape(describe_decoding(turn.seed, turn.decoding)) + (" · stopped" if turn.stopped else "")
    return (
        f'<section class="pal-turn" aria-label="Turn {number}">'
        '<div class="pal-user"><h3 class="pal-name">You</h3>'
        f'<p class="pal-text">{escape(turn.user)}</p></div>'
        f'<div class="pal-columns">{replies}</div><p class="pal-made">{made}</p></section>'
    )


def transcript(turns: Sequence[ChatTurn], *, first: int = 1, last: bool = False) -> str:
    """Several turns, numbered from ``first``; ``last`` marks the newest one."""
    return "".join(
        turn(first + index, one, last=last and index == len(turns) - 1) for index, one in enumerate(turns)
    )


def column_heads(variants: Variants) -> str:
    """What the columns are."""
    heads = "".join(
        f'<div class="pal-head pal-{variant.name}"><h2>{escape(variant.title)}</h2>'
        f"<p>{escape(variant.caption)}</p></div>"
        for variant in variants
    )
    return f'<div class="pal-columns pal-heads">{heads}</div>'


def legend(last: ChatTurn | None) -> str:
    """What the bars below the sentences mean."""
    if last is None:
        return '<p class="pal-hint">Bars will show how likely each model found each sentence, and none.</p>'
    keys = "".join(
        f'<b class="pal-key pal-{name}">{escape(last.variants.title(name))}</b>'
        for name in last.variants.selecting
    )
    return f'<p class="pal-hint">How likely, for the last message</p><p class="pal-keys">{keys}</p>'


def setting_line(settings: Mapping[str, SelectionSettings], variants: Variants) -> str:
    """How a sentence is selected, by name."""
    return f'<p class="pal-setting">Selected by: {escape(setting_names(settings, variants))}</p>'


def probability_bars(last: ChatTurn | None, option: int | None) -> str:
    """One option's probability for each selecting variant in the last turn
    (0 none, then each sentence), and a sentence's badge; nothing when it was
    no option then."""
    if last is None or option is None:
        return ""
    cells = "".join(
        _bar(last.reply(name), option, last.variants.title(name)) for name in last.variants.selecting
    )
    return f'<div class="pal-bars">{cells}</div>{_panel_badge(last, option)}'


def _panel_badge(last: ChatTurn, option: int) -> str:
    """What the reply that continues the chat says about the sentence."""
    reply = last.continuing
    if option == 0 or reply is None:
        return ""
    return sentence_badge(reply, last.persona.sentences, option - 1, last.variants.title(reply.variant))


def _bar(reply: Reply, option: int, title: str) -> str:
    if reply.selection is None:
        return f'<span class="pal-bar pal-{reply.variant}"><i></i><em>–</em></span>'
    probability = reply.selection.probabilities[option]
    chosen = option == (0 if reply.selection.selected is None else reply.selection.selected + 1)
    said = f'<span class="pal-visually-hidden">{escape(title)}{", selected" if chosen else ""}: </span>'
    return (
        f'<span class="pal-bar pal-{reply.variant}{" is-chosen" if chosen else ""}">'
        f'<i><u style="width:{probability * 100:.1f}%"></u></i><em>{said}{percent(probability)}</em></span>'
    )


def announcement(turn: ChatTurn | None) -> str:
    """For screen readers, once a turn has ended: the reply that continues."""
    if turn is None or not turn.done:
        return ""
    reply = turn.continuing
    said = (
        "No model replied."
        if reply is None
        else f"{turn.variants.title(reply.variant)} replied: {reply.text.strip()}"
    )
    return f'<span class="pal-visually-hidden">{escape(said)}</span>'


def reply_badges(reply: Reply, sentences: Sequence[str]) -> str:
    """A reply's badges: those that say something in words, a dot for each neutral one."""
    if reply.unjudged is not None:
        return f'<p class="pal-badges pal-unjudged">No badges: {escape(reply.unjudged)}</p>'
    found = badges(reply, sentences)
    if not found:
        return ""
    items = [_chip(badge) for badge in found if badge.said]
    neutral = [badge for badge in found if not badge.said]
    items += [
        f'<li class="pal-dot" title="{escape(badge.text)}">'
        f'<span class="pal-visually-hidden">neutral: {escape(badge.sentence)}</span></li>'
        for badge in neutral
    ]
    if neutral:
        items.append('<li class="pal-dots-end" aria-hidden="true">neutral</li>')
    return f'<ul class="pal-badges" aria-label="What this reply says about the persona">{"".join(items)}</ul>'


def _chip(badge: Badge) -> str:
    return (
        f'<li class="pal-badge is-{badge.label}"><b>{_mark(badge)}{badge.word}</b> '
        f"{escape(badge.sentence)} <em>{escape(badge.reason)}</em></li>"
    )


def sentence_badge(reply: Reply, sentences: Sequence[str], index: int, name: str) -> str:
    """One sentence's badge for the persona panel; ``name`` is who replied."""
    found = badges(reply, sentences)
    if not found:
        return ""
    badge = found[index]
    said = "neutral" if badge.word == "neutral" else f"{badge.word} this"
    return (
        f'<p class="pal-badges pal-panel-badge"><span class="pal-badge is-{badge.label}">'
        f"{_mark(badge)}{escape(name)}: {said} <em>{escape(badge.reason)}</em></span></p>"
    )


def _mark(badge: Badge) -> str:
    return f'<span aria-hidden="true">{MARKS[badge.label]} </span>'

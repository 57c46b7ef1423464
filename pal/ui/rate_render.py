"""The Rate page as HTML, with its fixed texts. Before the vote it sees a BlindTurn and nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pal.dialogue.turns import Exchange
from pal.ratings.blind import BlindTurn
from pal.ratings.desk import Progress
from pal.ratings.records import FLAGS, MAX_COMMENT_CHARS, Rating
from pal.ui.render import escape

INTRODUCTION = (
    "Compare three replies without knowing which model wrote them. Your votes can retrain the model."
)
COLUMNS = ("A", "B", "C")
PLACES = ("best", "second", "third")
FLAG_KEYS = dict(zip(FLAGS, "uxpik", strict=True))
FLAG_LABELS = {
    "uses_persona": "uses persona",
    "contradicts": "contradicts it",
    "parrots": "parrots it",
    "ignores_user": "ignores user",
    "broken": "broken",
}
CORRECTING = "You correct an earlier vote. Both stay on record; the new one counts."

NOTICE = """
<h2>Before you start</h2>
<p>You will see a persona, a short conversation and three replies, <b>A</b>, <b>B</b> and <b>C</b>, in an
order that changes every time. You rank them. After each vote you see which model wrote which reply.</p>
<h3>What is stored</h3>
<ul>
<li>your rankings, marks and comments, and when you made them</li>
<li>the messages you write in a chat of your own, and the replies to them</li>
<li>your annotator id and your address only as salted hashes; no name, no e-mail</li>
</ul>
<h3>What for</h3>
<p>To compare the three models and to train them further. Votes may be published as a data set, without
the hashes of addresses. Please write nothing private.</p>
<h3>What you can do</h3>
<p>Stop at any time. With your id you can go on later, download everything stored about you, correct any
vote, and delete it all. Nothing is stored before you agree.</p>
"""

GUIDE = """
<p>Rank the replies as if <b>you</b> were the one chatting. Ties are fine: two replies may both be best.</p>
<table>
<tr><th>Better</th><td>It answers the last message, fits what was said before, and sounds like this
persona would talk.</td></tr>
<tr><th>Worse</th><td>It ignores the message, goes against a persona sentence, lists the persona unasked,
or is not proper language.</td></tr>
<tr><th>All bad</th><td>You would accept none of the three. Nothing needs to be ranked then.</td></tr>
<tr><th>Skip</th><td>You cannot judge it.</td></tr>
</table>
<p>Example. Persona: <i>I keep bees. I am allergic to nuts.</i> Message: <i>Fancy a slice of almond
cake?</i></p>
<table>
<tr><td><q>Oh, I would love to, but nuts and I don't get along. Do you have anything with honey?</q></td>
<td>best · <b>uses persona</b></td></tr>
<tr><td><q>Cake sounds nice, thanks!</q></td>
<td>second · <b>contradicts it</b>: almonds are nuts</td></tr>
<tr><td><q>I keep bees. I am allergic to nuts.</q></td>
<td>third · <b>parrots it</b>: copied, and no answer</td></tr>
</table>
<p><b>ignores user</b>: it does not react to the last message. <b>broken</b>: garbled, cut off, endless
repetition, or empty. A reply that does not need the persona is not wrong because it leaves it out.</p>
"""

SECTIONS = {"next": "Queue", "own": "Own chat", "answers": "My answers", "account": "My data"}

UNPRESSED = 'aria-pressed="false"'
CLOSED = 'aria-expanded="false"'


@dataclass(frozen=True)
class Head:
    """What stands above every view. ``status``: “saved · backed up 3 min ago”.
    ``new``: the annotator has just got the id and should note it down."""

    progress: Progress
    status: str
    code: str
    new: bool = False


def view(phase: str, body: str, head: Head | None = None, section: str = "", **data: str) -> str:
    """One view of the page. ``data`` becomes ``data-*`` attributes for the script."""
    if head:
        data["code"] = head.code
    attributes = "".join(f' data-{name}="{escape(value)}"' for name, value in data.items())
    bar = _bar(head, section) if head else ""
    return f'<div class="rate" data-phase="{phase}"{attributes}>{bar}{body}</div>'


def key(name: str) -> str:
    """A key as shown on a button."""
    return f"<kbd>{name}</kbd>"


def action(name: str, label: str, shortcut: str = "", style: str = "", **data: str) -> str:
    """A button that the script turns into the event ``name``."""
    attributes = "".join(f' data-{one}="{escape(value)}"' for one, value in data.items())
    if shortcut:
        attributes += f' data-key="{shortcut.lower()}" aria-keyshortcuts="{shortcut}"'
    cap = key("⏎" if shortcut == "Enter" else shortcut) if shortcut else ""
    return f'<button type="button" class="{style}" data-do="{name}"{attributes}>{cap}{escape(label)}</button>'


def section_of(turn: BlindTurn) -> str:
    """Where a turn belongs: the queue or an own chat."""
    return "own" if turn.own else "next"


def _bar(head: Head, section: str) -> str:
    tabs = "".join(_tab(name, label, name == section) for name, label in SECTIONS.items())
    done, total, percent = head.progress.done, head.progress.total, head.progress.percent
    return (
        f'<div class="rate-bar"><nav aria-label="Rate">{tabs}</nav>'
        f'<div class="rate-progress" role="progressbar" aria-label="Items rated" aria-valuemin="0" '
        f'aria-valuemax="{total}" aria-valuenow="{done}"><span>{done} of {total} · {percent} %</span>'
        f'<i><u style="width:{percent}%"></u></i></div>'
        f'<p class="rate-saved" role="status">{escape(head.status)}</p></div>{_new_id(head)}'
    )


def _new_id(head: Head) -> str:
    if not head.new:
        return ""
    return (
        '<p class="rate-new pal-notice pal-info" role="status">'
        f"Your annotator id: <code>{escape(head.code)}</code> <span>Note it down to go on elsewhere. "
        "“My data” shows it again.</span></p>"
    )


def _tab(name: str, label: str, current: bool) -> str:
    here = ' aria-current="true"' if current else ""
    return f'<button type="button" data-do="{name}"{here}>{label}</button>'


def welcome() -> str:
    """Notice and consent, and the way back in for those who have an id."""
    return view(
        "welcome",
        f'<div class="rate-welcome"><section class="pal-panel">{NOTICE}'
        '<label class="rate-agree"><input type="checkbox" id="rate-agree"> I have read this and agree.'
        "</label>"
        f"<p>{action('begin', 'Start', 'Enter', 'primary')}</p></section>"
        '<section class="pal-panel"><h2>Go on with your id</h2>'
        '<label>Annotator id<input type="text" id="rate-code" autocomplete="off" spellcheck="false"></label>'
        f"<p>{action('resume', 'Go on')}</p></section></div>",
    )


def closed(reason: str) -> str:
    """Rating is not possible now."""
    return view(
        "closed",
        '<section class="pal-panel rate-note" role="alert"><h2>Rating is closed at the moment</h2>'
        f"<p>{escape(reason)}</p><p>Explore and Results work as always.</p></section>",
    )


def writing(head: Head, section: str, user: str) -> str:
    """Replies are being made. Says nothing of how far any one is."""
    return view(
        "writing",
        '<section class="pal-panel rate-note" role="status"><h2>Three replies are being written</h2>'
        f"<p>to “{escape(user)}”. They appear together.</p>"
        '<p class="pal-wait"><span></span><span></span><span></span></p></section>',
        head,
        section,
    )


def interrupted() -> str:
    """The replies could not be made; the script keeps what was asked."""
    return view(
        "interrupted",
        '<section class="pal-panel rate-note"><h2>No replies this time</h2>'
        f"<p>Nothing is lost.</p><p>{action('again', 'Try again', 'Enter', 'primary')}</p></section>",
    )


def persona_panel(persona: Sequence[str]) -> str:
    """Who is answering, and the guidelines."""
    sentences = "".join(f"<li>{escape(sentence)}</li>" for sentence in persona)
    return (
        '<aside class="pal-panel rate-persona"><h2>Persona</h2><p>Who A, B and C are meant to be.</p>'
        f'<ul>{sentences}</ul><details class="rate-guide"><summary data-key="?">{key("?")}How to rate'
        f"</summary>{GUIDE}</details></aside>"
    )


def talk(history: Sequence[Exchange], user: str) -> str:
    """The conversation so far and the message that the replies answer."""
    said = []
    for exchange in history:
        if exchange.user is not None:
            said.append(_said("You", "is-you", exchange.user))
        said.append(_said("Persona", "is-persona", exchange.reply))
    earlier = f'<div class="rate-earlier">{"".join(said)}</div>' if said else ""
    return f'<div class="rate-talk" tabindex="-1">{earlier}{_said("You", "is-you is-last", user)}</div>'


def _said(who: str, style: str, text: str) -> str:
    return f'<div class="rate-said {style}"><b>{who}</b><p class="pal-text">{escape(text)}</p></div>'


def board(head: Head, turn: BlindTurn, earlier: Rating | None = None) -> str:
    """Three unnamed replies to rank; ``earlier`` is the vote to correct, if one is."""
    columns = "".join(_column(number, text) for number, text in enumerate(turn.replies))
    note = f'<p class="pal-notice pal-info">{CORRECTING}</p>' if earlier else ""
    marks = {"marks": json.dumps(_marks(earlier))} if earlier else {}
    return view(
        "rate",
        f'<div class="rate-frame">{persona_panel(turn.persona)}<section class="pal-panel rate-main">{note}'
        f'{talk(turn.history, turn.user)}<div class="pal-columns">{columns}</div>{_foot()}</section></div>',
        head,
        section_of(turn),
        turn=turn.turn_id,
        **marks,
    )


def _marks(rating: Rating) -> dict[str, object]:
    """A vote as the script holds it."""
    ranks = [] if rating.all_bad else list(rating.ranks)
    flags = [list(flags) for flags in rating.flags]
    return {"ranks": ranks, "flags": flags, "bad": rating.all_bad, "comment": rating.comment}


def _mark(name: str, label: str, shortcut: str, style: str = "", state: str = "") -> str:
    cap = key("⏎" if shortcut == "Enter" else shortcut)
    return (
        f'<button type="button" class="{style}" data-mark="{name}" data-key="{shortcut.lower()}" '
        f'aria-keyshortcuts="{shortcut}" {state}>{cap}{label}</button>'
    )


def _foot() -> str:
    """Comment, and what concerns all three replies."""
    keys = (
        f"{key('←')}{key('→')} or {key('A')}{key('B')}{key('C')} choose a reply · "
        f"{key('1')}{key('2')}{key('3')} place it and go on to the next, so mark it first"
    )
    return (
        '<label class="rate-comment" hidden>Comment<textarea id="rate-comment" rows="2" '
        f'maxlength="{MAX_COMMENT_CHARS}" placeholder="Esc leaves this box"></textarea></label>'
        f'<div class="rate-foot">{_mark("bad", "all bad", "0", state=UNPRESSED)}'
        f"{_mark('comment', 'comment', 'M', state=CLOSED)}{_mark('skip', 'skip', 'S')}"
        f"{action('back', 'earlier answer', 'Z')}{_mark('save', 'Save', 'Enter', 'primary')}</div>"
        f'<p class="rate-keys">{keys}</p>'
    )


def _column(number: int, text: str) -> str:
    letter = COLUMNS[number]
    places = "".join(
        f'<button type="button" data-place="{place}" data-key="{place}" aria-pressed="false">'
        f"{key(str(place))}{name}</button>"
        for place, name in enumerate(PLACES, 1)
    )
    flags = "".join(
        f'<button type="button" data-flag="{flag}" data-key="{FLAG_KEYS[flag]}" aria-pressed="false" '
        f'title="{FLAGS[flag]}">{key(FLAG_KEYS[flag].upper())}{FLAG_LABELS[flag]}</button>'
        for flag in FLAGS
    )
    return (
        f'<article class="rate-reply" data-column="{number}" aria-label="Reply {letter}">'
        f'<h3>{letter}</h3><p class="pal-text">{escape(text)}</p>'
        f'<div class="rate-places" role="group" aria-label="Place of {letter}">{places}</div>'
        f'<div class="rate-flags" role="group" aria-label="Marks of {letter}">{flags}</div></article>'
    )

"""The chat and the persona panel as HTML: what the templates of the Explore page need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pal.chat.conversation import ChatTurn
from pal.chat.selection import SelectionSettings
from pal.chat.variants import Variants
from pal.chat.wording import setting_names
from pal.dialogue.persona import MAX_SENTENCE_CHARS, MAX_SENTENCES, Persona
from pal.errors import PersonaError
from pal.ui.templates import number_word, render


def introduction(variants: Variants) -> str:
    """What the page is for."""
    return (
        "One small language model at three stages of training. Edit who it is, say something, "
        f"and compare the {number_word(len(variants))} replies and the persona sentence each was built on."
    )


def welcome(variants: Variants) -> str:
    """Instead of a turn, before the first one."""
    return _render("welcome", variants)


def column_heads(variants: Variants) -> str:
    """What the columns are."""
    return _render("column_heads", variants)


def transcript(turns: Sequence[ChatTurn]) -> str:
    """Earlier turns, from the first one."""
    return _render("transcript", turns)


def newest_turn(turns: Sequence[ChatTurn], variants: Variants) -> str:
    """The last turn, in which another reply can be chosen to continue the chat; or the welcome."""
    return _render("one_turn", len(turns), turns[-1], True) if turns else welcome(variants)


def announcement(turn: ChatTurn) -> str:
    """For screen readers, once a turn has ended: the reply that continues."""
    if not turn.done:
        return ""
    reply = turn.continuing
    if reply is None:
        return _render("announcement", "", "")
    return _render("announcement", turn.variants.title(reply.variant), reply.text.strip())


def legend(last: ChatTurn | None) -> str:
    """What the bars below the sentences mean."""
    return _render("legend", last)


def option_bars(last: ChatTurn | None, option: int | None) -> str:
    """One option's probability for each selecting variant in the last turn (0 none, then each
    sentence), and a sentence's badge; nothing when it was no option then."""
    return "" if last is None or option is None else _render("option_bars", last, option)


def changed() -> str:
    """Below a sentence that the last turn did not know."""
    return _render("changed")


def setting_line(settings: Mapping[str, SelectionSettings], variants: Variants) -> str:
    """How a sentence is selected, by name."""
    return _render("setting_line", setting_names(settings, variants))


def row_status(rows: Sequence[str]) -> tuple[str, bool]:
    """One line about the rows, and whether they can be used as they are."""
    try:
        count = len(Persona.parse(rows))
    except PersonaError as error:
        return str(error), False
    return f"{count} of {MAX_SENTENCES} sentences, each up to {MAX_SENTENCE_CHARS} characters", True


def status_line(rows: Sequence[str]) -> str:
    """The line under the rows: how many there are, or what is wrong."""
    return _render("status_line", *row_status(rows))


def _render(macro: str, *values: object) -> str:
    return render("explore.html", macro, *values)

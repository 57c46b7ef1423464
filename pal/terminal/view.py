"""A turn as rich renderables; everything said is shown as plain text."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pal.chat.conversation import ChatTurn, Reply
from pal.chat.wording import NAMES, badges, describe_decoding, describe_selection, percent
from pal.dialogue.persona import Persona
from pal.engines.base import SELECTING_VARIANTS, VARIANTS

STYLES = {"baseline": "white", "stage1": "bright_blue", "aligned": "bright_green"}
BADGE_STYLES = {"entailment": "green", "contradiction": "red"}
NARROW = 96  # columns of a terminal below which the replies stand one above the other


def plain(text: str) -> str:
    """Text without terminal control characters."""
    return "".join(character if character.isprintable() or character == "\n" else " " for character in text)


def persona_table(persona: Persona) -> Table:
    """The numbered sentences."""
    table = Table(title="Persona", title_justify="left", show_header=False, box=None)
    for number, sentence in enumerate(persona.sentences, 1):
        table.add_row(str(number), Text(plain(sentence)))
    return table


def selection_table(turn: ChatTurn) -> Table:
    """The probability of every sentence and of none, for each selecting variant."""
    table = Table(box=None, pad_edge=False)
    table.add_column("Selection")
    for variant in SELECTING_VARIANTS:
        table.add_column(NAMES[variant], justify="right", style=STYLES[variant])
    options = [*enumerate(turn.persona.sentences, 1), (0, "none")]
    for option, sentence in options:
        cells = [_probability(turn.reply(variant), option) for variant in SELECTING_VARIANTS]
        table.add_row(Text(plain(sentence)), *cells)
    return table


def _probability(reply: Reply, option: int) -> Text:
    if reply.selection is None:
        return Text("–")
    chosen = option == (0 if reply.selection.selected is None else reply.selection.selected + 1)
    text = percent(reply.selection.probabilities[option])
    return Text(f"● {text}" if chosen else text, style="bold" if chosen else "dim")


def _reply(reply: Reply, turn: ChatTurn) -> Panel:
    body = Text()
    if reply.variant not in SELECTING_VARIANTS:
        body.append("Reads the whole persona\n", "dim")
    elif reply.selection is not None:
        body.append(
            f"Selected: {plain(describe_selection(reply.selection, turn.persona.sentences))}\n", "dim"
        )
    body.append(plain(reply.text.strip()) or ("…" if not reply.done else ""))
    if reply.error is not None:
        body.append(f"\n{plain(reply.error)}", "red")
    body.append(_badges(reply, turn))
    continues = turn.done and reply is turn.continuing
    return Panel(
        body,
        title=NAMES[reply.variant],
        title_align="left",
        subtitle="continues" if continues else None,
        subtitle_align="left",
        border_style=STYLES[reply.variant] if continues or not turn.done else "dim",
    )


def _badges(reply: Reply, turn: ChatTurn) -> Text:
    """What the reply says about the persona, a line for each sentence it says something of."""
    if reply.unjudged is not None:
        return Text(f"\nNo badges: {plain(reply.unjudged)}", "dim")
    found = badges(reply, turn.persona.sentences)
    lines = Text()
    for badge in found:
        if badge.label != "neutral":
            lines.append(f"\n{plain(badge.text)}", BADGE_STYLES[badge.label])
    neutral = sum(badge.label == "neutral" for badge in found)
    if neutral:
        lines.append(f"\n· neutral to {neutral} of {len(found)} sentences", "dim")
    return lines


def turn_view(turn: ChatTurn, width: int) -> RenderableType:
    """Probabilities, three replies and how they were made, for a terminal of
    ``width`` columns."""
    panels = [_reply(turn.reply(variant), turn) for variant in VARIANTS]
    made = Text(describe_decoding(turn.seed, turn.decoding) + (" · stopped" if turn.stopped else ""), "dim")
    if width < NARROW:
        return Group(selection_table(turn), *panels, made)
    columns = Table.grid(expand=True, padding=(0, 1))
    for _ in panels:
        columns.add_column(ratio=1)
    columns.add_row(*panels)
    return Group(selection_table(turn), columns, made)

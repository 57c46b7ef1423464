"""The three models in a terminal: turns as rich renderables, everything said shown as plain text."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pal.chat.conversation import DEFAULT_CONTINUED, MAX_SEED, Chat, ChatTurn, Reply, parse_seed
from pal.chat.responder import Responder
from pal.chat.session import prefill, retry_base, run_turn
from pal.chat.wording import badges, describe_decoding, describe_selection, percent, setting_names
from pal.dialogue.persona import Example, Persona
from pal.dialogue.turns import check_message
from pal.engines.base import Cancel, Decoding
from pal.errors import PalError

STYLES = {"baseline": "white", "stage1": "bright_blue", "aligned": "bright_green"}
OTHER_STYLE = "bright_magenta"  # of variants that a host adds
BADGE_STYLES = {"entailment": "green", "contradiction": "red", "neutral": "yellow"}
NARROW = 96  # columns of a terminal below which the replies stand one above the other
HELP = """\
Anything without a slash is said to all three models.
/persona            show the persona and the examples
/persona NAME       take an example persona
/persona edit       type new sentences, one a line; an empty line ends
/continue NAME      let baseline, stage1 or aligned continue the chat
/retry              the last message again, with a new seed
/undo               take back the last turn
/clear              start over; /undo brings the chat back
/seed N             seed of the next replies
/help  /quit        Ctrl-C stops a reply; once more quits"""


def _style(variant: str) -> str:
    return STYLES.get(variant, OTHER_STYLE)


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
    selecting = turn.variants.selecting
    for variant in selecting:
        table.add_column(turn.variants.title(variant), justify="right", style=_style(variant))
    options = [*enumerate(turn.persona.sentences, 1), (0, "none")]
    for option, sentence in options:
        cells = [_probability(turn.reply(variant), option) for variant in selecting]
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
    if not turn.variants[reply.variant].selects:
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
        title=turn.variants.title(reply.variant),
        title_align="left",
        subtitle="continues" if continues else None,
        subtitle_align="left",
        border_style=_style(reply.variant) if continues or not turn.done else "dim",
    )


def _badges(reply: Reply, turn: ChatTurn) -> Text:
    """What the reply says about the persona, a line for each sentence it says something of."""
    if reply.unjudged is not None:
        return Text(f"\nNo badges: {plain(reply.unjudged)}", "dim")
    verdicts = badges(reply, turn.persona.sentences)
    lines = Text()
    for badge in verdicts:
        if badge.said:
            lines.append(f"\n{plain(badge.text)}", BADGE_STYLES[badge.label])
    neutral = sum(not badge.said for badge in verdicts)
    if neutral:
        lines.append(f"\n· neutral to {neutral} of {len(verdicts)} sentences", "dim")
    return lines


def turn_view(turn: ChatTurn, width: int) -> RenderableType:
    """Probabilities, three replies and how they were made, for a terminal of
    ``width`` columns."""
    panels = [_reply(reply, turn) for reply in turn.replies]
    settings = Text(
        describe_decoding(turn.seed, turn.decoding) + (" · stopped" if turn.stopped else ""), "dim"
    )
    if width < NARROW:
        return Group(selection_table(turn), *panels, settings)
    columns = Table.grid(expand=True, padding=(0, 1))
    for _ in panels:
        columns.add_column(ratio=1)
    columns.add_row(*panels)
    return Group(selection_table(turn), columns, settings)


def example_named(examples: Sequence[Example], name: str | None) -> Example:
    matching = [example for example in examples if name is None or example.name.casefold() == name.casefold()]
    if not matching:
        names = ", ".join(example.name for example in examples)
        raise PalError(f"There is no example persona “{name}”. There are: {names}.")
    return matching[0]


@contextmanager
def _interrupts(cancel: Cancel) -> Iterator[None]:
    """Ctrl-C sets ``cancel``; once more raises KeyboardInterrupt."""

    def on_interrupt(signum: int, frame: object) -> None:
        if cancel.is_set:
            raise KeyboardInterrupt
        cancel.set()

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class TerminalChat:
    """One chat in a terminal."""

    def __init__(
        self,
        responder: Responder,
        console: Console,
        examples: Sequence[Example],
        persona: Persona,
        decoding: Decoding,
        seed: int,
    ):
        self._responder = responder
        self._console = console
        self._examples = tuple(examples)
        self.persona = persona
        self.chat = Chat().named()
        self.seed = seed
        self._decoding = decoding
        self._continued = DEFAULT_CONTINUED
        self._commands: dict[str, Callable[[str], None]] = {
            "help": lambda _: self._say(HELP),
            "persona": self._persona,
            "continue": self._continue,
            "retry": lambda _: self._retry(),
            "undo": lambda _: self._undo(),
            "clear": lambda _: self._clear(),
            "seed": self._set_seed,
        }

    def loop(self, read: Callable[[str], str]) -> None:
        """Read and answer until /quit, the end of input or Ctrl-C."""
        self._read = read
        identity = self._responder.engine.identity
        selected_by = setting_names(self._responder.settings, self._responder.variants)
        self._say(f"PAL · {identity.engine} · {identity.quantisation} · {selected_by}")
        self._console.print(persona_table(self.persona))
        self._say("Say something, or /help.")
        while True:
            try:
                line = read("> ").strip()
                if line in ("/quit", "/exit"):
                    return
                if line:
                    self.answer(line)
            except PalError as error:
                self._say(str(error), "red")
            except (EOFError, KeyboardInterrupt):
                self._say("")
                return

    def answer(self, line: str) -> None:
        """Run one command or one turn.

        Raises:
            PalError: unknown command, or a limit is broken.
        """
        if not line.startswith("/"):
            self._turn(self.chat, check_message(line), self.seed)
            return
        name, _, rest = line[1:].partition(" ")
        if name not in self._commands:
            raise PalError(f"There is no command /{name}; /help lists them.")
        self._commands[name](rest.strip())

    def _turn(self, chat: Chat, message: str, seed: int, replaced: ChatTurn | None = None) -> None:
        turn = ChatTurn(
            message, self.persona, self._decoding, seed, self._responder.variants, self._continued
        )
        cancel = Cancel()
        with _interrupts(cancel), Live(console=self._console, auto_refresh=False, transient=True) as live:
            try:
                for grown in run_turn(self._responder, chat, turn, cancel, replaced=replaced):
                    live.update(turn_view(grown.turns[-1], self._console.width), refresh=True)
            except PalError:
                self.chat = grown
                raise
        self.chat = grown
        self._console.print(turn_view(grown.turns[-1], self._console.width))

    def _retry(self) -> None:
        before, last = retry_base(self.chat)
        self.seed = secrets.randbelow(MAX_SEED)
        self._turn(before, last.user, self.seed, replaced=last)

    def _undo(self) -> None:
        self.chat, message = self.chat.undo()
        self._say(f"Took back: {message}" if message else "The chat is back.")

    def _clear(self) -> None:
        self.chat = self.chat.clear()
        self._say("Chat cleared. /undo brings it back.")

    def _set_seed(self, text: str) -> None:
        if not text.isdecimal():
            raise PalError(f"The seed is “{text}”; it must be a whole number from 0 to {MAX_SEED:,}.")
        self.seed = parse_seed(int(text))
        self._say(f"Seed {self.seed}.")

    def _continue(self, text: str) -> None:
        variant = text.lower().replace(" ", "")
        variants = self._responder.variants
        if variant not in variants:
            raise PalError(f"There is no model “{variant[:40]}”; the models are {', '.join(variants.names)}.")
        self.chat = self.chat.continue_with(variant)
        prefill(self._responder, self.chat)
        self._continued = variant
        self._say(f"The chat continues with {variants.title(variant)}.")

    def _persona(self, text: str) -> None:
        if text == "edit":
            self._say("One sentence a line; an empty line ends.")
            lines = list(iter(lambda: self._read("  "), ""))
            self.persona = Persona.parse(lines)
        elif text:
            self.persona = example_named(self._examples, text).persona
        self._console.print(persona_table(self.persona))
        if not text:
            self._say("Examples: " + ", ".join(example.name for example in self._examples))

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(plain(text), style=style, markup=False, highlight=False)

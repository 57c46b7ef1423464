"""The one sequence of training, evaluation and serving.

::

    <|im_start|>system
    I am a nurse. [1]
    I have two cats. [2]<|im_end|>
    <|im_start|>user
    What do you do?<|im_end|>
    <|im_start|>persona
    1: I am a nurse.<|im_end|>
    <|im_start|>assistant
    I work nights at a hospital.<|im_end|>

The number stands after its sentence, because small models copy what follows a
match more easily than what precedes it. In the persona turn one digit token
decides; the program appends the sentence it stands for. "None" is ``0`` alone.
The baseline's sequence is the same without persona turns.

Every piece is tokenised on its own, so the prompt of turn t is a token prefix
of the prompt of turn t+1, and text is encoded as plain text, so a typed
``<|im_end|>`` stays text.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tokenizers import Tokenizer as FastTokenizer

from pal.dialogue.persona import MAX_SENTENCES
from pal.dialogue.turns import Exchange

FORMAT = 1  # part of an engine's identity; raise it when the sequence changes
CONTEXT_TOKENS = 1024
BLOCK_EXCHANGES = 4  # long chats forget this many exchanges at a time


@dataclass(frozen=True)
class TurnMarkers:
    """The control tokens that open and close a turn; they differ between bases."""

    start: str
    end: str


CHATML = TurnMarkers("<|im_start|>", "<|im_end|>")


class Tokenizer(Protocol):
    """What the renderer needs of a tokenizer."""

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text; control tokens in it stay plain text."""

    def token_to_id(self, token: str) -> int | None:
        """Id of one control token, or None when the vocabulary lacks it."""


@dataclass(frozen=True)
class SelectionTarget:
    """Where one selection is read, and what it should be.

    ``position`` is the index of the last prompt token: the distribution over
    ``options`` options (none first) is read from the logits there. ``labels``
    are the option numbers that count as right (0 = none); None: not labelled.
    """

    position: int
    options: int
    labels: tuple[int, ...] | None


@dataclass(frozen=True)
class ReplySpan:
    """A reply's tokens, its end token included: ``ids[start:end]``."""

    start: int
    end: int


@dataclass(frozen=True)
class TrainingSequence:
    """A whole dialogue as one sequence, with a loss on every reply and selection.

    ``left_out``: how many of its oldest exchanges did not fit.
    """

    ids: list[int]
    replies: list[ReplySpan]
    selections: list[SelectionTarget]
    left_out: int = 0


class Renderer:
    """Turns persona, history and selections into token ids.

    Args:
        tokenizer: the base's.
        markers: what opens and closes the base's turns; encoded as text where
            the vocabulary has no such token.
        context: tokens of the longest prompt.

    Raises:
        ValueError: the tokenizer needs more than one token for a digit.
    """

    def __init__(self, tokenizer: Tokenizer, markers: TurnMarkers = CHATML, context: int = CONTEXT_TOKENS):
        self._encode = tokenizer.encode
        self._start, self._end = (_control(tokenizer, token) for token in (markers.start, markers.end))
        self.end_id = tokenizer.token_to_id(markers.end)
        self.context = context
        digits = [self._encode(str(number)) for number in range(MAX_SENTENCES + 1)]
        if any(len(digit) != 1 for digit in digits):
            raise ValueError("the tokenizer must have one token for each digit 0–9")
        self._options = [digit[0] for digit in digits]
        self._newline = self._encode("\n")

    def option_ids(self, sentences: int) -> list[int]:
        """Token id of each option: none first, then each of ``sentences`` sentences."""
        return self._options[: sentences + 1]

    def _header(self, role: str) -> list[int]:
        return self._start + self._encode(role) + self._newline

    def _close(self) -> list[int]:
        return self._end + self._newline

    def system(self, sentences: Sequence[str]) -> list[int]:
        """The system turn: each sentence, then its number."""
        if len(sentences) > MAX_SENTENCES:
            raise ValueError(f"{len(sentences)} persona sentences; at most {MAX_SENTENCES} have a number")
        body: list[int] = []
        for number, sentence in enumerate(sentences):
            line = self._encode(("\n" if number else "") + sentence + " [")
            body += line + [self._options[number + 1]] + self._encode("]")
        return self._header("system") + body + self._close()

    def user(self, text: str) -> list[int]:
        """A whole user turn."""
        return self._header("user") + self._encode(text) + self._close()

    def selection_header(self) -> list[int]:
        """What opens a persona turn; the next token decides."""
        return self._header("persona")

    def choice(self, sentences: Sequence[str], selected: int | None) -> list[int]:
        """The rest of a persona turn: the deciding digit and the sentence."""
        if selected is None:
            return [self._options[0]] + self._close()
        return [self._options[selected + 1]] + self._encode(": " + sentences[selected]) + self._close()

    def reply_header(self) -> list[int]:
        """What opens an assistant turn; the reply follows."""
        return self._header("assistant")

    def reply(self, text: str) -> list[int]:
        """The rest of an assistant turn: the reply and its end."""
        return self._encode(text) + self._close()

    def _exchange(self, sentences: Sequence[str], exchange: Exchange, selects: bool) -> list[int]:
        ids = self.user(exchange.user) if exchange.user is not None else []
        if selects:
            ids += self.selection_header() + self.choice(sentences, exchange.selected)
        return ids + self.reply_header() + self.reply(exchange.reply)

    def _context(
        self,
        sentences: Sequence[str],
        history: Sequence[Exchange],
        user: str | None,
        selects: bool,
        budget: int | None,
    ) -> list[int]:
        """System turn, as many exchanges as fit, and the pending user turn.

        The oldest exchanges go in blocks of ``BLOCK_EXCHANGES``, so the start
        of the prompt moves rarely and the cache stays useful in between.
        """
        head = self.system(sentences)
        tail = self.user(user) if user is not None else []
        parts = [self._exchange(sentences, exchange, selects) for exchange in history]
        room = (self.context if budget is None else budget) - len(head) - len(tail)
        first = _first_kept(parts, room)
        return head + [token for part in parts[first:] for token in part] + tail

    def coming_context(
        self,
        sentences: Sequence[str],
        history: Sequence[Exchange],
        *,
        selects: bool = True,
        budget: int | None = None,
    ) -> list[int]:
        """What the next prompt will begin with, whatever its message says. How
        much of a long history it keeps depends on the message's length: one as long as the
        last is expected."""
        expected = self.user(history[-1].user) if history and history[-1].user is not None else []
        room = (self.context if budget is None else budget) - len(expected)
        return self._context(sentences, history, None, selects, room)

    def selection_prompt(
        self,
        sentences: Sequence[str],
        history: Sequence[Exchange],
        user: str | None,
        budget: int | None = None,
    ) -> list[int]:
        """Prompt whose next-token distribution over the options is the selection."""
        return self._context(sentences, history, user, True, budget) + self.selection_header()

    def reply_prompt(
        self,
        sentences: Sequence[str],
        history: Sequence[Exchange],
        user: str | None,
        selected: int | None = None,
        *,
        selects: bool = True,
        budget: int | None = None,
    ) -> list[int]:
        """Prompt whose continuation is the reply.

        ``selects=False`` gives the baseline's prompt, without persona turns;
        otherwise it extends ``selection_prompt`` of the same arguments.
        """
        if not selects:
            return self._context(sentences, history, user, False, budget) + self.reply_header()
        prompt = self.selection_prompt(sentences, history, user, budget)
        return prompt + self.choice(sentences, selected) + self.reply_header()

    def training_sequence(
        self,
        sentences: Sequence[str],
        exchanges: Sequence[Exchange],
        labels: Sequence[tuple[int, ...] | None] | None = None,
        *,
        untrained: Collection[int] = (),
        selects: bool = True,
        budget: int | None = None,
    ) -> TrainingSequence:
        """A dialogue with its reply spans and selection targets.

        ``labels[i]`` are the 0-based sentences that reply i entails (() none,
        None not labelled). Replies ``untrained`` get no span. Of a dialogue longer
        than ``budget`` tokens the oldest exchanges are left out as in serving, so
        that the last turn's prompt is the same in both.
        """
        ids = self.system(sentences)
        first = self._first_trained(sentences, exchanges, selects, budget)
        replies: list[ReplySpan] = []
        selections: list[SelectionTarget] = []
        for number, exchange in enumerate(exchanges[first:], first):
            ids += self.user(exchange.user) if exchange.user is not None else []
            if selects:
                ids += self.selection_header()
                label = labels[number] if labels is not None else None
                options = None if label is None else tuple(index + 1 for index in label) or (0,)
                selections.append(SelectionTarget(len(ids) - 1, len(sentences) + 1, options))
                ids += self.choice(sentences, exchange.selected)
            ids += self.reply_header()
            start = len(ids)
            ids += self.reply(exchange.reply)
            if number not in untrained:
                replies.append(ReplySpan(start, len(ids) - len(self._newline)))
        return TrainingSequence(ids, replies, selections, first)

    def _first_trained(
        self, sentences: Sequence[str], exchanges: Sequence[Exchange], selects: bool, budget: int | None
    ) -> int:
        """The exchanges that serving leaves out of the last one's prompt."""
        if not exchanges:
            return 0
        *history, last = exchanges
        parts = [self._exchange(sentences, exchange, selects) for exchange in history]
        pending = self.user(last.user) if last.user is not None else []
        room = (self.context if budget is None else budget) - len(self.system(sentences)) - len(pending)
        return _first_kept(parts, room)


def _control(tokenizer: Tokenizer, token: str) -> list[int]:
    control = tokenizer.token_to_id(token)
    return tokenizer.encode(token) if control is None else [control]


def _first_kept(parts: Sequence[Sequence[int]], room: int) -> int:
    """How many of the oldest exchanges are left out so that the others fit into ``room`` tokens."""
    first, size = 0, sum(map(len, parts))
    while size > room and first < len(parts):
        size -= sum(map(len, parts[first : first + BLOCK_EXCHANGES]))
        first += BLOCK_EXCHANGES
    return min(first, len(parts))


class BaseTokenizer:
    """Implements ``pal.dialogue.prompt.Tokenizer`` over a ``tokenizer.json``.

    Control tokens inside text are encoded as ordinary text, so nothing a
    visitor types can open or close a turn.
    """

    def __init__(self, path: Path):
        self._fast = FastTokenizer.from_file(str(path))
        self._fast.encode_special_tokens = True

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text; no control token is added or recognised."""
        return self._fast.encode(text, add_special_tokens=False).ids

    def decode(self, ids: list[int]) -> str:
        """Text of token ids, control tokens left out."""
        return self._fast.decode(ids, skip_special_tokens=True)

    def token_to_id(self, token: str) -> int | None:
        """Id of a control token, or None."""
        return self._fast.token_to_id(token)

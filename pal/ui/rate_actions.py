"""What the Rate page's events do. A browser is trusted with nothing: what its script
sends is checked, it names its annotator id and turns that it was shown, and
everything else comes from the store.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gradio as gr

from pal.chat.conversation import MAX_SEED
from pal.chat.variants import Variants
from pal.dialogue.persona import Example, Persona
from pal.dialogue.turns import check_message
from pal.errors import InvalidVote, MissingConsent, PalError, UnknownAnnotator, UnknownTurn
from pal.ratings.annotators import NOTICE_VERSION, normal_code
from pal.ratings.blind import BlindTurn
from pal.ratings.desk import RatingDesk
from pal.ratings.records import MAX_COMMENT_CHARS, Rating, Vote
from pal.ui import rate_maker, rate_views
from pal.ui.pages import Attempts, address
from pal.ui.rate_maker import TurnMaker

LONGEST = 20_000  # characters of any one text
ANSWERS_A_PAGE = 20
AHEAD = 2  # items made ahead for one annotator


class Payload:
    """The data of one event, read by name and type.

    Raises (every method):
        InvalidVote: the value is there and of another type, or too long.
    """

    def __init__(self, data: Any):
        self._data: Mapping[str, Any] = data if isinstance(data, dict) else {}

    def text(self, name: str, limit: int = LONGEST) -> str:
        """A text; "" when it is missing."""
        value = self._data.get(name, "")
        if not isinstance(value, str):
            raise InvalidVote(f"{name} must be text. Reload the page.")
        if len(value) > limit:
            raise InvalidVote(f"{name} has {len(value):,} characters; at most {limit:,} fit.")
        return value

    def number(self, name: str) -> int:
        """A whole number of zero or more; 0 when it is missing."""
        value = self._data.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1_000_000:
            raise InvalidVote(f"{name} must be a whole number. Reload the page.")
        return value

    def truth(self, name: str) -> bool:
        """True or False; False when it is missing."""
        value = self._data.get(name, False)
        if not isinstance(value, bool):
            raise InvalidVote(f"{name} must be true or false. Reload the page.")
        return value

    def _list(self, value: Any, name: str, kind: type) -> tuple[Any, ...]:
        fits = isinstance(value, list) and len(value) <= 10
        if not fits or any(not isinstance(entry, kind) or isinstance(entry, bool) for entry in value):
            raise InvalidVote(f"{name} must be a short list. Reload the page.")
        return tuple(value)

    def vote(self) -> Vote:
        """The vote in it. What its columns and flags may be is the store's to check."""
        ranks = self._list(self._data.get("ranks", []), "ranks", int)
        columns = self._list(self._data.get("flags", []), "flags", list)
        flags = tuple(self._list(column, "flags", str) for column in columns)
        return Vote(
            turn_id=self.text("turn", 100),
            submission=self.text("submission", 100),
            ranks=ranks,
            flags=flags if any(flags) else (),
            all_bad=self.truth("bad"),
            skip=self.truth("skip"),
            comment=self.text("comment", MAX_COMMENT_CHARS).strip(),
            correction=self.truth("correction"),
        )


class RateActions:
    """One method for each event; each gives the views to show, one after the other."""

    def __init__(
        self,
        desk: RatingDesk,
        maker: TurnMaker,
        examples: Sequence[Example],
        starts: Attempts,
        variants: Variants,
    ):
        self.variants = variants
        self._desk = desk
        self._starts = starts
        self._maker = maker
        self._examples = tuple(examples)

    def begin(self, data: Payload, request: gr.Request) -> Iterator[str]:
        """Consent of a new annotator, or the way back in; then the first item, or
        what was open when the page was left."""
        code = given = data.text("code", 100)
        if data.truth("agree"):
            code = self._agreed(given, request)
        annotator, code = self._desk.resume(code), normal_code(code)
        was_open = self._open_turn(annotator, data.text("open", 100), data.truth("correct"))
        if was_open is not None:
            yield rate_views.board(self._head(code, annotator), *was_open)
        else:
            yield from self._task(code, annotator, request, new=code != given)

    def next(self, data: Payload, request: gr.Request) -> Iterator[str]:
        """The next item of the queue."""
        code, annotator = self._who(data)
        yield from self._task(code, annotator, request)

    def vote(self, data: Payload, request: gr.Request) -> Iterator[str]:
        """Store a vote; then the names, or after a skip the next item."""
        code, annotator = self._who(data)
        vote = data.vote()
        self._desk.submit(annotator, vote)
        head = self._head(code, annotator)
        if vote.skip:
            yield rate_views.skipped(head, vote.turn_id)
            return
        turn = self._desk.show(annotator, vote.turn_id)
        names = self._desk.reveal(annotator, vote.turn_id)
        rating = self._desk.trail(annotator, vote.turn_id)[-1]
        yield rate_views.revealed(head, turn, names, rating, self.variants)

    def correct(self, data: Payload, request: gr.Request) -> Iterator[str]:
        """An earlier vote, to change it: the named one, or the one before what is shown."""
        code, annotator = self._who(data)
        rating = self._earlier(annotator, data.text("turn", 100), data.text("before", 100))
        turn = self._desk.show(annotator, rating.turn_id)
        yield rate_views.board(self._head(code, annotator), turn, rating)

    def answers(self, data: Payload, request: gr.Request) -> Iterator[str]:
        """The annotator's votes, newest first, a page at a time."""
        code, annotator = self._who(data)
        votes, page = self._desk.votes(annotator), data.number("page")
        pages = -(-len(votes) // ANSWERS_A_PAGE)
        some = votes[page * ANSWERS_A_PAGE : (page + 1) * ANSWERS_A_PAGE]
        shown = [(rating, self._desk.show(annotator, rating.turn_id)) for rating in some]
        yield rate_views.answers(self._head(code, annotator), shown, page, pages)

    def own(self, data: Payload, request: gr.Request) -> Iterator[str]:
        """The start of an own chat."""
        code, annotator = self._who(data)
        yield rate_views.own_start(self._head(code, annotator), self._examples)

    def say(self, data: Payload, request: gr.Request) -> Iterator[str]:
        """A message in an own chat, and three replies to rate."""
        code, annotator = self._who(data)
        message, before = check_message(data.text("message")), data.text("turn", 100)
        session = f"rate-{annotator}"
        if before:
            turn, names = self._desk.show(annotator, before), self._desk.reveal(annotator, before)
            column = data.number("column")
            turn_request = rate_maker.next_request(turn, names, column, message, session, self.variants)
        else:
            persona = Persona.parse(data.text("persona").splitlines())
            turn_request = rate_maker.first_request(persona, message, session, self.variants)
        yield rate_views.writing(self._head(code, annotator), "own", message, len(self.variants))
        generated = self._maker.now(request.session_hash or "", turn_request, None, annotator)
        if generated.failed:
            raise PalError("A model gave no reply, so there is nothing to rank. Try again.")
        yield rate_views.board(self._head(code, annotator), self._desk.add_turn(annotator, generated))

    def account(self, data: Payload, request: gr.Request) -> Iterator[str]:
        """The annotator's id, and what can be done with their data."""
        code, annotator = self._who(data)
        yield rate_views.account(self._head(code, annotator))

    def data(self, data: Payload, request: gr.Request) -> Iterator[str]:
        """Everything stored about the annotator, as a file to save."""
        code, annotator = self._who(data)
        text = json.dumps(self._desk.my_data(code), ensure_ascii=False, indent=1, default=str)
        yield rate_views.account(self._head(code, annotator), text)

    def erase(self, data: Payload, request: gr.Request) -> Iterator[str]:
        """Delete everything about the annotator, once they have typed their id."""
        code, _ = self._who(data)
        if data.text("confirm", 100).strip() != code:
            raise PalError("That is not your annotator id, so nothing was deleted. Type it as shown above.")
        yield rate_views.erased(self._desk.delete_my_data(code))

    def leave(self, request: gr.Request) -> None:
        """Stop what is made for a visitor who left."""
        self._maker.leave(request.session_hash or "")

    def _agreed(self, code: str, request: gr.Request) -> str:
        """The id that has agreed now: one that agreed to an earlier notice, or a new one."""
        try:
            self._desk.resume(code)
        except MissingConsent:
            pass
        except UnknownAnnotator:
            self._starts.check(address(request))
            self._starts.count(address(request))
            code = self._desk.new_annotator()
        self._desk.enrol(code, NOTICE_VERSION, address(request))
        return code

    def _who(self, data: Payload) -> tuple[str, str]:
        code = data.text("code", 100)
        if not code:
            raise MissingConsent("Agree to the notice first; nothing was stored.")
        return code, self._desk.resume(code)

    def _head(self, code: str, annotator: str, new: bool = False) -> rate_views.Head:
        return rate_views.Head(self._desk.progress(annotator), self._desk.status(), code, new)

    def _task(self, code: str, annotator: str, request: gr.Request, new: bool = False) -> Iterator[str]:
        task = self._desk.next_task(annotator)
        if task is None:
            yield rate_views.done(self._head(code, annotator))
            return
        turn = task.turn
        if turn is None:
            yield rate_views.writing(self._head(code, annotator), "next", task.item.user, len(self.variants))
            turn_request = self._desk.request(task.item, secrets.randbelow(MAX_SEED), self.variants.names)
            generated = self._maker.item(request.session_hash or "", task.item, turn_request)
            if generated.failed:
                self._desk.put_back(annotator, task.item.id)
                raise PalError("A model gave no reply to this item, so another one comes next.")
            turn = self._desk.add_turn(annotator, generated)
        yield rate_views.board(self._head(code, annotator, new), turn)
        self._make_ahead(annotator, request)

    def _make_ahead(self, annotator: str, request: gr.Request) -> None:
        for item in self._desk.upcoming(annotator, AHEAD):
            turn_request = self._desk.request(item, secrets.randbelow(MAX_SEED), self.variants.names)
            self._maker.ahead(request.session_hash or "", item, turn_request)

    def _open_turn(
        self, annotator: str, turn_id: str, correct: bool
    ) -> tuple[BlindTurn, Rating | None] | None:
        """What was open when the page was left, unless the queue gives it again: a
        turn of an own chat that waits for its vote, or a vote to correct."""
        if not turn_id:
            return None
        try:
            turn = self._desk.show(annotator, turn_id)
        except UnknownTurn:
            return None
        votes = self._desk.trail(annotator, turn_id)
        if correct and votes:
            return turn, votes[-1]
        return (turn, None) if turn.own and not votes else None

    def _earlier(self, annotator: str, turn_id: str, before: str) -> Rating:
        votes = self._desk.votes(annotator)
        ids = [rating.turn_id for rating in votes]
        if turn_id and turn_id not in ids:
            raise UnknownTurn("You have not rated these replies, so there is nothing to correct.")
        index = ids.index(turn_id) if turn_id else ids.index(before) + 1 if before in ids else 0
        if index >= len(votes):
            raise PalError("There is no earlier answer.")
        return votes[index]

"""What the Rate page's script sends, checked: a browser can send anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pal.ratings.errors import InvalidVote
from pal.ratings.records import MAX_COMMENT_CHARS, Vote

LONGEST = 20_000  # characters of any one text


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
        if not fits or any(not isinstance(one, kind) or isinstance(one, bool) for one in value):
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

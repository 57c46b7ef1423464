"""The base model's tokenizer, without loading transformers or torch."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer as FastTokenizer


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

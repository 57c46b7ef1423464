"""Annotator ids and salted hashes: the store never holds an address or an id."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

from pal.ratings.errors import UnknownAnnotator

ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # nothing that looks like something else
GROUPS, GROUP = 4, 4  # 31 ** 16 codes: 79 bits


def new_code() -> str:
    """A new annotator id, such as ``k7qd-m2xv-9rtb-wf4h``."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(GROUP)) for _ in range(GROUPS))


def normal_code(text: str | None) -> str:
    """The id as ``new_code`` writes it, however it was typed.

    Raises:
        UnknownAnnotator: it cannot be one.
    """
    letters = re.sub(r"[\s-]", "", (text or "")[:100].lower())
    if len(letters) != GROUPS * GROUP or set(letters) - set(ALPHABET):
        raise UnknownAnnotator(
            "That is no annotator id: it has four groups of four letters and digits, such as "
            "k7qd-m2xv-9rtb-wf4h. Check it, or start anew."
        )
    return "-".join(letters[start : start + GROUP] for start in range(0, len(letters), GROUP))


def pseudonym(salt: str, purpose: str, text: str) -> str:
    """Salted hash of an id or address: 32 hex digits (HMAC-SHA-256, cut).
    ``purpose`` keeps hashes of different things apart."""
    return hmac.new(salt.encode(), f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()[:32]

"""PersonaChat's lower-case tokenised text as ordinary English.

Rules, not a model: spacing of punctuation, sentence capitals, the pronoun I,
and a short list of names. Text that already has capitals keeps them.
"""

from __future__ import annotations

import re

_NAMES = """
monday tuesday wednesday thursday friday saturday sunday
january february april june july august september october november december
christmas halloween thanksgiving easter hanukkah
america africa europe asia australia canada mexico england ireland scotland france germany italy spain
portugal greece turkey russia china japan korea india brazil egypt israel sweden norway
alaska arizona california colorado florida georgia hawaii idaho illinois indiana iowa kansas kentucky
louisiana maine maryland massachusetts michigan minnesota mississippi missouri montana nebraska nevada
oregon pennsylvania tennessee texas utah vermont virginia wisconsin wyoming ohio oklahoma alabama arkansas
london paris rome berlin tokyo boston chicago seattle denver dallas houston austin miami atlanta portland
detroit philadelphia phoenix nashville brooklyn manhattan hollywood vegas
american african european asian australian canadian mexican english irish scottish french german italian
spanish portuguese greek turkish russian chinese japanese korean indian brazilian catholic christian jewish
muslim buddhist
google facebook youtube netflix disney disneyland disneyworld walmart starbucks mcdonalds nintendo xbox
ford toyota honda chevy tesla bmw harley
""".split()
_NAME = re.compile(r"\b(" + "|".join(_NAMES) + r")\b")
_PHRASES = {
    "new york": "New York",
    "los angeles": "Los Angeles",
    "san francisco": "San Francisco",
    "san diego": "San Diego",
    "las vegas": "Las Vegas",
    "new jersey": "New Jersey",
    "new england": "New England",
    "new orleans": "New Orleans",
    "new zealand": "New Zealand",
    "united states": "United States",
    "north carolina": "North Carolina",
    "south carolina": "South Carolina",
    "washington dc": "Washington DC",
    "star wars": "Star Wars",
    "harry potter": "Harry Potter",
    "game of thrones": "Game of Thrones",
    "taylor swift": "Taylor Swift",
    "usa": "USA",
    "tv": "TV",
    "nyc": "NYC",
    "nfl": "NFL",
    "nba": "NBA",
}
_PHRASE = re.compile(r"\b(" + "|".join(_PHRASES) + r")\b")
_PRONOUN = re.compile(r"\bi\b(?=$|[\s,.!?;:)]|['’](?:m|d|ve|ll|s|am)\b)")
_APOSTROPHE = re.compile(
    r"\b(?:im|ive|dont|doesnt|didnt|isnt|wasnt|cant|couldnt|wouldnt|havent|hasnt|thats|whats|youre|theyre)\b",
    re.I,
)
_QUESTION = re.compile(
    r"(?:and |so |but )?(?:what|where|when|who|why|how|which|do|does|did|are|is|have|can|could|would) "
    r"(?:about|is|are|do|does|did|kind|type|long|many|much|often|old|you|your|it|that|they|he|she|any|sort)\b",
    re.I,
)
_SENTENCE = re.compile(r"(^|[.!?]\s+|…\s+)([\"“(]?)([a-z])")


def detokenise(text: str) -> str:
    """Spacing of ordinary English: ``"hi ! how are you ?"`` → ``"hi! how are you?"``."""
    text = " ".join(text.split())
    text = re.sub(r"\.(?: ?\.){2,}", "...", text)
    text = re.sub(r"\s+([.,!?;:%)])", r"\1", text)
    text = re.sub(r"([($])\s+", r"\1", text)
    text = re.sub(r"\s+(n't|['’](?:s|m|re|ve|ll|d))\b", r"\1", text)
    text = re.sub(r"(?<=\w)\s+-\s+(?=(?:old|year|in|law|time)\b)", "-", text)
    text = re.sub(
        r"\b(i|you|we|they|he|she|it|don|doesn|didn|can|couldn|wouldn|isn|wasn|haven|hasn|won|that|what)"
        r" (m|re|ve|ll|t|s|d)\b",
        r"\1'\2",
        text,
        flags=re.I,
    )
    text = re.sub(r"([.!?,])(?=[A-Za-z]{2})(?<!\.\w.)", r"\1 ", text)
    return text.strip()


def truecase(text: str) -> str:
    """Capitals at sentence starts, for I and for common names."""
    text = _PRONOUN.sub("I", text)
    if not re.search(r"[A-Z]", text.replace("I", "")):
        text = _NAME.sub(lambda match: match.group().capitalize(), text)
        text = _PHRASE.sub(lambda match: _PHRASES[match.group()], text)
    return _SENTENCE.sub(lambda match: match.group(1) + match.group(2) + match.group(3).upper(), text)


def naturalise(text: str) -> str:
    """An utterance or persona sentence as a person would write it.

    De-tokenised, true-cased, common missing apostrophes restored, closed by
    its punctuation mark. Ordinary English passes unchanged.
    """
    text = truecase(_APOSTROPHE.sub(_restore_apostrophe, detokenise(text)))
    if not text or not text[-1].isalnum():
        return text
    last = re.split(r"[.!?,]\s+", text)[-1]
    return text + ("?" if _QUESTION.match(last) else ".")


def _restore_apostrophe(match: re.Match) -> str:
    word = match.group()
    cut = -2 if word.lower().endswith(("re", "ve")) else -1
    return word[:cut] + "'" + word[cut:]

"""The details of a sentence or reply that truth hangs on, read by rule.

Text is cut into clauses; of each the rules read whose it is (the speaker, a
relative, a pet or thing of the speaker's), its numbers with their units
(numerals and words are one), names, how often, negation, liking or disliking,
and whether it holds now, no longer, or is only wished for. Words are compared
by rough stems. No model, no grammar: English as people write it in a chat.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pal.dialogue.lexicon import GENERIC, IRREGULAR, KIN
from pal.dialogue.text_metrics import FUNCTION_WORDS

SPEAKER = "I"
CLOCK = "o'clock"  # the unit of a time of day
THING = "it"  # the subject of “it is …”, “there is …”: nobody

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_CARDINALS = {word: value for value, word in enumerate(f"{_ONES} seventeen eighteen nineteen".split())}
_CARDINALS |= {word: 10 * value for value, word in enumerate(_TENS.split(), 2)} | {"fourty": 40}
_MULTIPLES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_MORE = {"couple": 2, "dozen": 12, "pair": 2}
_TIMES = {"once": 1, "twice": 2, "thrice": 3}
_DIMENSIONS = frozenset("tall high long wide deep older younger big small little good more other".split())
_NO_COUNT = {"the", "only", "no", "this", "that", "any", "every", "each", "which", "good", "another", "last"}
_DAYS = "monday tuesday wednesday thursday friday saturday sunday"
_DAILY = re.compile(
    r"\b(?:every|each) (?:single )?(?:day|morning|evening|night|afternoon)\b|\bdaily\b|\ball the time\b"
)
_WEEKLY = re.compile(
    rf"\b(?:every|each) (?:{_DAYS.replace(' ', '|')}|week)\b|"
    rf"\bon (?:{_DAYS.replace(' ', 's|')}s)\b|\bweekly\b"
)

_NEGATION = re.compile(
    r"\b(?:not|never|cannot|none|neither|nor|hardly|without|don't|doesn't|didn't|isn't|aren't|wasn't|weren't|"
    r"haven't|hasn't|hadn't|won't|wouldn't|can't|couldn't|ain't)\b|"
    r"\bno\b(?! (?:one|longer|doubt|problem|matter))"
)
_NOT_NEGATIVE = re.compile(
    r"\b(?:nothing|anything|everything) but\b|\bnot (?:only|just|sure)\b|\b(?:can't|cannot|can not) wait\b|"
    r"\bwhy not\b|\b(?:when|if) i(?:'m| am) not\b|\bnever been (?:out of|outside|without)\b|"
    r"^(?:oh )?no (?=(?:i|i'm|i've|my|we|he|she|they|it|not)\b)|\b(?:who|that|which) .*"
)
_PAST = re.compile(
    r"\bused to (?!it\b)|\b(?:gave|given|giving) up\b|\b(?:have|'ve|just|recently) quit\b|\bi quit\b|"
    r"\bquit (?:\w+ing|\d|two|last)|\bstopped\b|\bno longer\b|\b(?:don't|not) \w+ (?:anymore|any more)\b|"
    r"\bback to\b|\buntil i\b|"
    r"\bformer\b"
)
_WISH = re.compile(
    r"\b(?:want|wants|wanted|hope|hopes|plan|plans|planning|dream|dreams|dreaming|wish|hoping|hopefully) "
    r"?(?:to|of|for|that|i)?\b|\bwould (?:like|love)\b|\bsaving (?:up )?(?:for|to)\b|"
    r"\b(?:learning|training|trying|looking) to\b|"
    r"\bone day\b|\bsome day\b|\bsomeday\b|\blooking for\b"
)
_SIMPLE_PAST = re.compile(
    r"\b(?:i|we|he|she|they|who) (?:\w+ed|was|were|had|taught|ran|grew|met|lost|found|came|went|left|broke|"
    r"learnt|made|got|took|wrote|sold|bought|won|built|spent|drove|fell|hurt)\b|"
    r"^\w+ (?:\w+ )?(?:left|came|died|was|lived)\b|"
    r"\bas a (?:child|kid|teenager|boy|girl)\b|\bwhen i was\b|\bmy first\b"
)
_LIKES = re.compile(r"\b(?:love|loves|like|likes|enjoy|enjoys|adore|adores|fan of|favou?rite|best|fond of)\b")
_DISLIKES = re.compile(
    r"\b(?:hate|hates|dislike|dislikes|can't stand|cannot stand|can not stand|can't bear|afraid|scared|"
    r"terrified|allergic|allergy|intolerant|boring|disgusting|sick of|tastes like soap|throat swell|"
    r"makes? me (?:ill|sick)|get seasick)\b"
)
_LIKENESS = re.compile(
    r"\b(?:would|look|looks|looked|feel|feels|taste|tastes|smell|smells|sound|sounds|just) like\b"
)
_EVASIVE = re.compile(
    r"^(?:(?:oh|well|hm+|hmm+|sorry|haha|wow|yes|no|so|and|but|,) ?)*"
    r"(?:(?:i am|i'm) not (?:really |quite |too )?sure|(?:i )?(?:do not|don't) (?:really )?know|not much to|"
    r"not (?:too |very |really )?sure|that's a good question|it is a secret|"
    r"(?:what|how) about you(?:rself)?|and you|do you|you\b|what do you|what's your|what is your|how are you)"
)

_DOUBT = re.compile(r"\b(?:not sure|don't know|do not know|wonder) (?:if|whether|why|how)\b")
_SMALL_TALK = frozenset(["question", "idea", "sur", "sorry", "hear"])

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_SENTENCE = re.compile(r"(?<=[.!?;\n])\s+|\n")
_CLAUSE = re.compile(
    r",?\s+(?:but|because|although|though|while|whereas|so that|so)\s+"
    r"(?=(?:i|my|we|he|she|they|it|that|also)\b)|"
    r",\s*(?:and\s+)?(?=(?:i|i'm|i've|my|we|our|he|she|they|it|you|and i)\b)|"
    r"\s+and\s+(?=(?:i|i'm|my|we|he|she|they|it)\b)|,?\s+(?<!nothing )(?<!anything )but\s+|"
    r"\s+and\s+(?=(?:do|does|don't|doesn't|never|can't|cannot|am|have|has|had|did|was|used)\b)|"
    r",\s*(?=(?:how|what|who|where|and|do)(?:'s)? (?:about|are|is|do|you|the)\b)",
    re.I,
)
_OPENING = re.compile(
    r"^(?:(?:oh|wow|well|yes|yeah|yep|no|nope|so|and|but|hi|hello|hey|haha|hmm+|sorry|ok|okay|also|actually|"
    r"i (?:bet|think|guess|believe|hope|suppose)|when|while|if|since|on \w+|at \w+|"
    r"these days|nowadays|sometimes|now|just|my god|my dear god|dear|of course|thanks|thank you)\b[\s,!.]*)+",
    re.I,
)


@dataclass(frozen=True)
class Quantity:
    """A number and stems of what is counted or measured (none when nothing follows it)."""

    value: float
    units: frozenset[str]


@dataclass(frozen=True)
class Clause:
    """One statement.

    Attributes:
        text: as written.
        subject: ``SPEAKER``, a relative (a value of ``KIN``), the stem of a
            thing of the speaker's, or ``THING``.
        stems: of its content words, generic ones such as “have” left out.
        verbs: the same with the generic ones.
        negated: it says that something is not so.
        tense: "now", "past" (no longer so), "wish" (not yet so) or "event" (simple past: it may still be so).
        attitude: 1 likes, −1 dislikes, 0 neither.
        quantities: numbers with units.
        per_week: how often, times a week; None when it does not say.
        names: capitalised names in it, lower-case.
        evasive: “I am not sure”, a question back.
        question: it ends in a question mark.
    """

    text: str
    subject: str
    stems: frozenset[str]
    verbs: frozenset[str]
    negated: bool
    tense: str
    attitude: int
    quantities: tuple[Quantity, ...]
    per_week: float | None
    names: tuple[str, ...]
    evasive: bool
    question: bool


def stem(word: str) -> str:
    """A rough stem: endings of plural, verb forms and possession removed (“taught” → “teach”)."""
    word = word.lower().replace("’", "'").removesuffix("'s").removesuffix("'")
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif re.search(r"(?:[sxz]|ch|sh)es$", word):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        word = word[:-1]
    for ending, least in (("ing", 3), ("ed", 3)):
        if word.endswith(ending) and len(word) - len(ending) >= least:
            word = word[: -len(ending)]
            if word[-1] == word[-2] and word[-1] not in "sz":
                word = word[:-1]
            break
    word = IRREGULAR.get(word, word)
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


_GENERIC = frozenset(stem(word) for word in GENERIC)
_TIME = frozenset([stem("time")])


def stems(text: str) -> frozenset[str]:
    """Stems of the words that are no function words and no numbers, “ice-skate” as two."""
    words = [part for word in _words(text) for part in word.split("-")]
    return frozenset(
        stem(word)
        for word in words
        if word.partition("'")[0] not in FUNCTION_WORDS
        and len(word) > 1
        and word not in _CARDINALS
        and word not in _MULTIPLES
        and not word[0].isdigit()
    )


def read(text: str, subject: str = SPEAKER) -> tuple[Clause, ...]:
    """The clauses of a text in order.

    Args:
        text: one or more sentences of ordinary English.
        subject: whose a clause without a subject is, such as “Professor.” as
            the answer to a question about a cat.
    """
    clauses: list[Clause] = []
    person = ""  # whom “he” or “she” means: the last relative spoken of
    for sentence in _SENTENCE.split(text):
        names = _names(sentence)
        sentence = re.sub(r"\b((?:my|our) [\w'-]+) and I\b", r"\1 & I", sentence, flags=re.I)
        for part in _CLAUSE.split(sentence):
            if not (part := part.strip(" ,")) or not _words(part):
                continue
            explicit = _subject(part, person)
            if not explicit and clauses and not stems(part) - _GENERIC and _quantities(_words(part)):
                part = f"{clauses.pop().text} {part}"  # “I play bridge. 4 days a week.”
                explicit = _subject(part, person)
            whose = explicit or (clauses[-1].subject if clauses else subject)
            mentioned = [KIN[word] for word in _words(part) if word in KIN]
            person = whose if whose in KIN.values() else (mentioned[-1] if mentioned else person)
            clauses.append(_clause(part, whose, names, part.rstrip().endswith("?")))
    return tuple(clauses)


def kin(text: str) -> frozenset[str]:
    """The relatives that a text calls the speaker's own (“my wife”, “my little brother”)."""
    pattern = r"\b(?:my|our) (?:[\w'’-]+ )?([\w'’-]+)"
    own = re.findall(r"\b(?:my|our) ([\w'’-]+)", text, re.I) + re.findall(pattern, text, re.I)
    return frozenset(KIN[word.lower()] for word in own if word.lower() in KIN)


def _words(text: str) -> list[str]:
    return [word.lower().replace("’", "'") for word in _WORD.findall(text)]


def _clause(text: str, subject: str, names: tuple[str, ...], question: bool) -> Clause:
    lower = " ".join(_words(text))
    plain = _NOT_NEGATIVE.sub(" ", lower)
    all_stems = stems(text)
    own = tuple(name for name in names if name in text.lower())
    return Clause(
        text=text,
        subject=subject,
        stems=all_stems - _GENERIC,
        verbs=all_stems,
        negated=bool(_NEGATION.search(plain)),
        tense=_tense(lower),
        attitude=_attitude(lower),
        quantities=_quantities(_words(text)),
        per_week=_per_week(lower),
        names=own,
        evasive=bool(
            _DOUBT.search(lower) or _EVASIVE.search(lower) and not all_stems - _GENERIC - _SMALL_TALK
        ),
        question=question,
    )


def _tense(lower: str) -> str:
    for tense, pattern in (("wish", _WISH), ("past", _PAST), ("event", _SIMPLE_PAST)):
        if pattern.search(lower):
            return tense
    return "now"


def _subject(text: str, person: str) -> str:
    """The subject of a clause; "" when it has none."""
    text = _OPENING.sub("", text)
    first = _words(text)[:1]
    if not first:
        return ""
    if first[0] in ("he", "she", "they", "his", "her", "their", "he's", "she's", "they're"):
        return person or THING
    if re.match(r"(?:i|i'[a-z]+|we|we'[a-z]+|im)$", first[0]):
        return SPEAKER
    if first[0] in (
        "it",
        "its",
        "it's",
        "that",
        "that's",
        "this",
        "there",
        "there's",
        "these",
        "those",
        "you",
        "your",
    ):
        return THING
    if first[0] in ("my", "our"):
        words = _words(text)[1:5]
        until = next((n for n, word in enumerate(words) if word in FUNCTION_WORDS), len(words))
        known = next((KIN[word] for word in words[:until] if word in KIN), None)
        return known or stem(_head(text))
    return ""


def _head(text: str) -> str:
    """The thing that “my …” names: the last word before the verb."""
    words = _words(text)[1:]
    for place, word in enumerate(words):
        if place and (word in FUNCTION_WORDS or word in ("called", "named", "sleeps", "collects", "lives")):
            return words[place - 1]
    return words[0] if words else ""


def _names(sentence: str) -> tuple[str, ...]:
    """Capitalised names, lower-case; the first word of a sentence is none."""
    found = re.findall(r"(?<![.!?“\"] )(?<!^)\b([A-Z][\w’'-]+(?: [A-Z][\w’'-]+)*)", sentence.strip())
    found = [re.sub(r"['’]s$", "", name) for name in found]
    return tuple(name.lower() for name in found if not re.match(r"I['’]|OK|TV|I$|DVD|Oh|Mum|Dad|Mom", name))


def _clock(words: list[str]) -> list[Quantity]:
    """Times of day as hours, of twelve: “half past three” is 3.5."""
    text = " ".join(words)
    found = []
    number = r"(\d{1,2}|" + "|".join(_CARDINALS) + r")\b"
    for match in re.finditer(
        rf"\b(half past |quarter past |quarter to )?{number}(?: (\d\d)\b)?"
        r"( o'clock| ?am\b| ?pm\b| in the (?:morning|evening|night|afternoon))?",
        text,
    ):
        before, hour, minutes, after = match.groups()
        at = text[: match.start()].endswith("at ") and match.end() == len(text)
        if before or minutes or after or at:
            shift = {"half past ": 0.5, "quarter past ": 0.25, "quarter to ": -0.25}.get(before, 0)
            found.append(
                Quantity(_number([hour], 0)[0] % 12 + int(minutes or 0) / 60 + shift, frozenset([CLOCK]))
            )
    return found


def _quantities(words: list[str]) -> tuple[Quantity, ...]:
    found = _clock(words)
    if found:
        return tuple(found)
    place = 0
    while place < len(words):
        value, used = _number(words, place)
        if not used:
            place += 1
            continue
        place += used
        found.append(Quantity(value, _TIME if words[place - 1] in _TIMES else _units(words[place:])))
    return tuple(found)


def _units(following: list[str]) -> frozenset[str]:
    """Stems of up to two words after a number: “cups of coffee” → cup and coffee."""
    units = []
    for word in following[1:] if following[:1] == ["of"] else following:
        if word == "of" and units:
            continue
        if word in FUNCTION_WORDS or _number([word], 0)[1] or len(units) == 2:
            break
        units.append(word)
    return frozenset(stem(word) for word in units if word not in _DIMENSIONS)


def _number(words: list[str], place: int) -> tuple[float, int]:
    """The number that begins at a place and how many words it takes; 0 words when none does."""
    parts = words[place : place + 5]
    first = parts[0]
    if "-" in first and all(part in _CARDINALS for part in first.split("-")):
        return sum(_CARDINALS[part] for part in first.split("-")), 1
    if re.fullmatch(r"\d+(?:st|nd|rd|th)", first):
        return 0, 0
    if digits := re.match(r"(\d+)(?:-|$)", first):
        value, used = float(digits.group(1)), 1
    elif first in _TIMES:
        return _TIMES[first], 1
    elif first in ("a", "an") and parts[1:2] and parts[1] in (*_MULTIPLES, *_MORE):
        value, used = 1.0, 1
    elif first in _CARDINALS:
        before = words[place - 1] if place else ""
        if first == "one" and (before in _NO_COUNT or parts[1:2] in ([], ["of"], ["day"], ["who"], ["that"])):
            return 0, 0
        value, used = float(_CARDINALS[first]), 1
        if value >= 20 and parts[1:2] and 0 < _CARDINALS.get(parts[1], 0) < 10:
            value, used = value + _CARDINALS[parts[1]], 2
    else:
        return 0, 0
    if parts[used : used + 1] and parts[used] in _MULTIPLES | _MORE:
        value, used = value * (_MULTIPLES | _MORE)[parts[used]], used + 1
        if parts[used : used + 1] == ["and"] and parts[used + 1 : used + 2] and parts[used + 1] in _CARDINALS:
            value, used = value + _CARDINALS[parts[used + 1]], used + 2
    return value, used


def _per_week(lower: str) -> float | None:
    if found := re.search(
        r"\b(\w+)(?: (?:times|days|nights|mornings|evenings))? (?:a|per|each|every) week\b", lower
    ):
        value = _number([found.group(1)], 0)
        if value[1]:
            return value[0]
    if _DAILY.search(lower):
        return 7.0
    if _WEEKLY.search(lower):
        return 1.0
    return None


def _attitude(lower: str) -> int:
    if _DISLIKES.search(lower):
        return 1 if re.search(r"\bnot (?:afraid|scared|allergic|terrified)\b", lower) else -1
    if _LIKES.search(_LIKENESS.sub(" ", lower)):
        plain = _NOT_NEGATIVE.sub(" ", lower)
        return (
            -1
            if re.search(
                r"\b(?:not|don't|doesn't|never|didn't)\b(?: \w+){0,3} (?:like|love|enjoy|fan|fond)", plain
            )
            else 1
        )
    return 0

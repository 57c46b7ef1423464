"""Hard negatives for the consistency model, mined from entailed pairs.

Contradictions are scarce in the labelled data (under 2 %). A reply that entails
its own persona sentence contradicts that sentence negated or with another
number, and, for attributes of which a person has one (a job, a home, a
favourite food), another persona's sentence of the same attribute. The same
sentence said of a relative is neutral, and so is every changed sentence beside
an unrelated reply. Sentence and reply negated together still entail: without
those two a model learns that a sentence with "not" in it is contradicted by
anything. A reply that shares one word of several with a sentence is neutral as
a rule, which keeps shared words from meaning entailment.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

Pair = tuple[str, str]

_JOBS = (
    "nurse|teacher|lawyer|doctor|chef|cook|artist|musician|singer|writer|author|engineer|programmer|accountant|"
    "mechanic|farmer|model|actor|actress|veterinarian|vet|cop|officer|firefighter|soldier|manager|cashier|"
    "waitress|waiter|bartender|barista|photographer|designer|driver|dancer|librarian|realtor|janitor|carpenter|"
    "electrician|plumber|pilot|secretary|receptionist|clerk|scientist|researcher|professor|nanny|coach|trainer|"
    "surgeon|dentist|pharmacist|journalist|banker|stylist|hairdresser|baker|butcher|unemployed|retired|"
    "consultant|analyst|therapist|psychologist|counselor|attorney|detective|guard|landscaper|welder|trucker|tutor"
)
_FAVOURITE = re.compile(
    r"\bmy (?:favou?rite|fave?) (\w+(?: \w+)?) (?:is|are)\b|(\S+) is my (?:favou?rite|fave?) (\w+)"
)
# attributes with, as a rule, one value a person: what a sentence about it looks like
_ATTRIBUTES = {
    "job": re.compile(
        rf"\bi (?:also |currently |now )?work (?:as|at|in|for)\b|\bmy (?:job|profession|career) is\b|"
        rf"\bi (?:am|'m|m)(?: \w+){{1,3}} (?:{_JOBS})\b|\bi teach\b"
    ),
    "home": re.compile(r"\bi(?: now| currently)? live (?:in|on)\b|\bi (?:am|'m|m) from\b|\bi was born in\b"),
    "marriage": re.compile(r"\bi (?:am|'m|m) (?:not )?(?:married|single|divorced|engaged|a widow)\b"),
    "school": re.compile(r"\bi (?:am|'m|m) (?:in|a|still in)(?: \w+)? (?:school|college|student|grade)\b"),
    "hair": re.compile(
        r"\b(?:i have|my hair is)(?: \w+){0,3} (?:hair|blond|blonde|brown|red|black|blue|green)\b"
    ),
    "age": re.compile(r"\bi (?:am|'m|m) \w+ years old\b"),
    "car": re.compile(r"\bi drive an? \w+"),
}
_NUMBERS = "one two three four five six seven eight nine ten 2 3 4 5 6 7 8 9 10 12 15 18 20 25 30".split()
_NEGATIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"\bi (?:really )?(?:like|love|enjoy)\b", ("i hate", "i do not like", "i can not stand", "i dislike")),
    (r"\bi (?:hate|dislike|do not like|don't like|don t like)\b", ("i love", "i like", "i really enjoy")),
    (r"\bi have\b", ("i do not have", "i have never had")),
    (r"\bi (?:am|'m|m)\b", ("i am not",)),
    (r"\bi work\b", ("i do not work",)),
    (r"\bi play\b", ("i do not play", "i never play")),
    (r"\bi can\b", ("i can not",)),
    (r"\bi go\b", ("i never go",)),
    (r"\bi live\b", ("i do not live",)),
)
_RELATIVES = ("my brother", "my sister", "my best friend", "my mother", "my father", "my neighbour")
_ALREADY_NEGATIVE = re.compile(r"\b(?:not|never|no|n't|none)\b|n't\b")
_VALUES_PER_REPLY = 8
_STOP = frozenset(
    "i my me am m is are was a an the in at as for of to and on with work live from have has favorite "
    "favourite be do been that it you your old years now also currently very really".split()
)


def negated(premise: str, chance: random.Random) -> str | None:
    """The sentence turned into its opposite; None when no rule fits."""
    if _ALREADY_NEGATIVE.search(premise):
        return None
    for pattern, others in _NEGATIONS:
        changed, count = re.subn(pattern, chance.choice(others), premise, count=1)
        if count:
            return changed
    return None


def both_negated(premise: str, reply: str, chance: random.Random) -> Pair | None:
    """Sentence and reply turned into their opposites by the same rule; None when none fits both."""
    if _ALREADY_NEGATIVE.search(premise) or _ALREADY_NEGATIVE.search(reply):
        return None
    for pattern, others in _NEGATIONS:
        if re.search(pattern, premise) and re.search(pattern, reply):
            first, second = chance.choice(others), chance.choice(others)
            return re.sub(pattern, first, premise, count=1), re.sub(pattern, second, reply, count=1)
    return None


def renumbered(premise: str, reply: str, chance: random.Random) -> str | None:
    """The sentence with another number; None unless both texts give the same one."""
    shared = [
        number
        for number in _NUMBERS
        if re.search(rf"\b{number}\b", premise) and re.search(rf"\b{number}\b", reply)
    ]
    if not shared or shared == ["one"]:
        return None
    number = shared[-1]
    other = chance.choice(
        [value for value in _NUMBERS if value.isdigit() == number.isdigit() and value != number]
    )
    return re.sub(rf"\b{number}\b", other, premise, count=1)


def of_relative(premise: str, chance: random.Random) -> str | None:
    """The sentence said of somebody else; None unless it begins with the speaker."""
    who = chance.choice(_RELATIVES)
    for pattern, verb in (
        (r"^i (?:am|'m|m)\b", "is"),
        (r"^i have\b", "has"),
        (r"^i work\b", "works"),
        (r"^i (love|like|play|live|hate|drive|own|teach)\b", r"\1s"),
    ):
        changed, count = re.subn(pattern, f"{who} {verb}", premise)
        if count:
            return changed
    return None


def attribute(sentence: str) -> str | None:
    """The single-valued attribute that a sentence is about ("job", "favourite food", …)."""
    if found := _FAVOURITE.search(sentence):
        return "favourite " + (found.group(1) or found.group(3)).split()[0]
    return next((name for name, pattern in _ATTRIBUTES.items() if pattern.search(sentence)), None)


def content_words(sentence: str) -> frozenset[str]:
    """Words that carry a value: no pronouns, articles or template words."""
    return frozenset(re.findall(r"[a-z0-9]+", sentence)) - _STOP


def mine(entailed: Sequence[Pair], count: int, seed: int) -> dict[str, list[Pair]]:
    """Up to ``count`` pairs of each kind (``value``: as many as there are), lower-case.

    Pairs of (persona sentence, reply). ``negation``, ``number``, ``value`` are
    contradictions, ``relative``, ``overlap`` and ``unrelated`` (one for each
    edited sentence) are neutral, ``both negated`` entails. ``entailed``: pairs whose reply
    entails the sentence.
    """
    chance = random.Random(f"mine:{seed}")
    pairs = [(premise.lower(), reply.lower()) for premise, reply in entailed]
    chance.shuffle(pairs)
    edits: dict[str, Callable[[str, str], str | None]] = {
        "negation": lambda premise, reply: negated(premise, chance),
        "number": lambda premise, reply: renumbered(premise, reply, chance),
        "relative": lambda premise, reply: of_relative(premise, chance),
        "value": _other_value(pairs, chance),
    }
    found: dict[str, list[Pair]] = {}
    for kind, edit in edits.items():
        often = _VALUES_PER_REPLY if kind == "value" else 1
        changed = ((edit(premise, reply), reply) for premise, reply in pairs for _ in range(often))
        made = [(premise, reply) for premise, reply in dict.fromkeys(changed) if premise is not None]
        chance.shuffle(made)
        found[kind] = made if kind == "value" else made[:count]
    changed = [premise for kind in ("negation", "number") for premise, _ in found[kind]]
    found["unrelated"] = [(premise, _unrelated(premise, pairs, chance)) for premise in changed]
    both = (both_negated(premise, reply, chance) for premise, reply in pairs)
    found["both negated"] = [pair for pair in both if pair][:count]
    found["overlap"] = _overlapping(pairs, count, chance)
    return found


def _overlapping(pairs: Sequence[Pair], count: int, chance: random.Random) -> list[Pair]:
    """Sentences beside replies to others with which they share one of at least three content words."""
    by_word: dict[str, list[Pair]] = {}
    for premise, reply in pairs:
        for word in content_words(reply):
            by_word.setdefault(word, []).append((premise, reply))
    found = []
    for premise in dict.fromkeys(premise for premise, _ in pairs):
        own = content_words(premise)
        if len(own) < 3 or len(found) >= count:
            continue
        source, reply = chance.choice(by_word.get(chance.choice(sorted(own)), pairs))
        if len(own & content_words(reply)) == 1 and len(own & content_words(source)) <= 1:
            found.append((premise, reply))
    return found


def _unrelated(premise: str, pairs: Sequence[Pair], chance: random.Random) -> str:
    """A reply that shares no content word with the sentence, nor with its own if some draw finds one."""
    own = content_words(premise)
    drawn = chance.choices(pairs, k=8)
    apart = [reply for source, reply in drawn if not own & (content_words(reply) | content_words(source))]
    return (apart or [drawn[0][1]])[0]


def _other_value(pairs: Sequence[Pair], chance: random.Random) -> Callable[[str, str], str | None]:
    """Replaces a sentence by one of the same attribute that shares no value word with sentence or reply."""
    pool: dict[str, list[str]] = {}
    for premise, _ in pairs:
        if name := attribute(premise):
            pool.setdefault(name, []).append(premise)

    def edit(premise: str, reply: str) -> str | None:
        name = attribute(premise)
        taken = content_words(premise) | content_words(reply)
        if name is None or attribute(reply) is None and name.split()[0] not in reply:
            return None
        label = set(name.split())
        for other in chance.choices(pool[name], k=5):
            if not (content_words(other) - label) & taken:
                return other
        return None

    return edit

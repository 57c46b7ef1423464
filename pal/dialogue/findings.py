"""What a reply gets wrong about a persona, by rule and in words (“says three, the persona says five”).

The rules compare clauses (``pal.dialogue.details``) of one subject that speak of the same things:

- number: another number of the same unit, or in answer to “how many”, “how old”, “how tall”
- frequency: another number of times a week
- name: another place lived or born in, another name after the same verb, a name that was asked for
- negation: one says that it is so, the other that it is not
- liking: one likes what the other dislikes, or eats and drinks what the persona does not
- time: it holds now, but in the persona no longer or not yet; or the other way round
- occupation: an occupation that no sentence supports, beside one that the persona names
- person: a fact given to somebody else than the persona gives it to
- partner: “my wife” beside “my husband”
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from pal.dialogue.details import (
    CLOCK,
    SPEAKER,
    THING,
    Clause,
    Quantity,
    kin,
    read,
    stem,
    stems,
)
from pal.dialogue.lexicon import (
    COLOURS,
    GENERAL_OCCUPATIONS,
    KIN,
    NO_FIELD,
    OCCUPATIONS,
    PARTNERS,
    REGIONS,
    SAME_WORK,
    WORKPLACES,
)


@dataclass(frozen=True)
class Finding:
    """Something wrong with a reply.

    Attributes:
        kind: a short code, such as "number".
        text: what is wrong, in words, without a final full stop.
        sentence: 0-based place of the persona sentence it is about; None when about none.
        contradicts: that sentence rules out what the reply says, so both cannot be true.
        probability: the consistency model's; None of a rule.
    """

    kind: str
    text: str
    sentence: int | None
    contradicts: bool
    probability: float | None = None


_WORKING = re.compile(
    r"\b(?:(?:work|works|working) (?:as|at|in|for|with)|"
    r"job|profession|for a living|earn|employed|unemployed|teach|teaches|"
    r"manage|manages|run|runs|ran|deliver|delivers|repair|repairs|mend|mends|build|builds|farm|farms|retired|"
    r"parcels)\b|\bcooks? (?:in|at|for)\b",
    re.I,
)
_HAS = re.compile(r"\b(?:have|has|got|own|owns|drive|drives|ride|rides|riding|driving|my|in|on)\b", re.I)
_DIETS = (
    (
        re.compile(r"\bvegans?\b", re.I),
        "meat beef steak chicken bacon pork ham lamb sausage turkey fish "
        "salmon tuna cheese milk egg honey butter",
    ),
    (
        re.compile(
            r"\bvegetarians?\b|\bnever (?:eat|eaten) (?:any )?meat\b|\b(?:not|don't) eat (?:any )?meat\b",
            re.I,
        ),
        "meat beef steak chicken bacon pork ham lamb sausage turkey",
    ),
    (
        re.compile(
            r"\b(?:not|don't|never|stopped) (?:drink|drinking|drunk) (?:any )?alcohol\b|\bteetotal", re.I
        ),
        "beer wine whisky whiskey vodka rum cocktail ale champagne cider gin",
    ),
)
_CONSUMES = re.compile(
    r"\b(?:eat|eats|eating|drink|drinks|drinking|love|like|enjoy|favou?rite|had|have)((?: [\w'-]+){1,4})",
    re.I,
)
_NOTHING_BUT = re.compile(r"\b(\w+) (?:nothing but|only)\b", re.I)
_LIVES = re.compile(r"\b(?:live|lives|living|lived|based|home is|moved) (?:\w+ )?(?:in|to|at|near)\b", re.I)
_BORN = re.compile(r"\b(?:born|grew up|raised)\b", re.I)
_FROM = re.compile(r"\b(?:am|i'm|is|originally|come|came|comes) from\b", re.I)
_ASKS_NUMBER = re.compile(
    r"\bhow (?:many|old|tall|long|big|often|much (?:money|do you (?:weigh|earn)))\b|"
    r"\bwhat (?:age|time|year)\b|"
    r"\byour age\b|\bi (?:turn|am|'m) [\w-]+(?: next| years| too|$|\W)|\bare you tall\b",
    re.I,
)
_ASKS_NAME = re.compile(
    r"\bnames?\b|\bcalled\b|"
    r"\b(?:which|what) (?:city|town|country|place|language|team|band|make|kind of car|island)s?\b|"
    r"\bwhere (?:do|are|were|did|does) (?:you|your)\b|\bbirthplace\b|\bwho(?:'s| is)\b",
    re.I,
)
_YEARS = frozenset(["year", "old"])
_VAGUE_UNITS = _YEARS | set(map(stem, "month week day hour minute time".split()))
_LIGHT = frozenset(map(stem, "eat drink play watch speak read listen learn travel visit study".split()))
_WISHING = frozenset(map(stem, "training saving dream plan learning hope want move moving expecting".split()))
_WORKS_AT = re.compile(
    r"\b(?:work|works|working) (?:at|in|for) (?:an? |the |my |our )?"
    r"((?:[\w'-]+ ){0,2}?[\w'-]+)(?=$|[.,;!?]| (?:in|and|for|with|on|at)\b)",
    re.I,
)
_AWAY = re.compile(
    r"\b(?:holidays?|vacations?|summers?|winters?|dream|moved (?:here )?from|trip|visit)\b", re.I
)
_PARTS_OF_NAMES = frozenset("new san los saint st north south east west the".split())
_ABOUT = re.compile(
    r"\b(?:over|about|around|almost|nearly|more than|less than|at least|up to) (?:a )?[\d\w]+", re.I
)
_OWNED = frozenset("home house dog cat pet car boat horse".split())  # “a dog owner” is no occupation
_GAVE_UP = re.compile(r"\b(?:gave up|given up|quit|stopped) (?:\w+ing )?(?:the |my |all )?([\w-]+)", re.I)
_OVERLAP = 0.5  # of a clause's stems, from which two clauses speak of the same


def findings(persona: Sequence[str], reply: str, question: str = "") -> tuple[Finding, ...]:
    """What the rules find wrong with a reply, whatever it was asked.

    Args:
        persona: sentences.
        reply: the text to check.
        question: what it answers, if anything: it says whose a reply without a subject is.
    """
    own = [(place, clause) for place, sentence in enumerate(persona) for clause in read(sentence)]
    said = [
        clause for clause in read(reply, subject_of(question)) if not clause.evasive and not clause.question
    ]
    found: list[Finding] = []
    for clause in said:
        for place, known in own:
            found += _compare(clause, known, place, own)
        found += _occupation(clause, own)
        found += _person(clause, own, said)
    found += _partner(persona, reply)
    return unique(found)


def unique(found: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings without a second one of the same kind on the same sentence, in order."""
    return tuple({(finding.kind, finding.sentence): finding for finding in reversed(found)}.values())[::-1]


def subject_of(question: str) -> str:
    """Whose matter a question is: a relative or thing of the one who is asked, else ``SPEAKER``."""
    if match := re.search(r"\byour ((?:[\w'’-]+ ){0,2}?)([\w-]+)", question, re.I):
        for word in [*match.group(1).lower().split(), match.group(2).lower()]:
            if word.removesuffix("'s") in KIN:
                return KIN[word.removesuffix("'s")]
    return SPEAKER


def overlap(clause: Clause, known: Clause) -> frozenset[str]:
    """The stems that two clauses share, subjects left out."""
    return (clause.stems & known.stems) - {stem(clause.subject), stem(known.subject)}


def _compare(
    clause: Clause, known: Clause, place: int, own: Sequence[tuple[int, Clause]]
) -> Iterator[Finding]:
    """One clause of the reply against one of the persona."""
    shared = overlap(clause, known)
    if clause.subject == THING and known.subject == SPEAKER and known.negated:
        yield from _negation(clause, known, place, shared)
    if clause.subject != known.subject:
        return
    yield from _numbers(clause, known, place)
    yield from _frequency(clause, known, place, shared)
    yield from _places(clause, known, place)
    yield from _negation(clause, known, place, shared)
    yield from _liking(clause, known, place, shared)
    yield from _time(clause, known, place, shared, own)


def _numbers(clause: Clause, known: Clause, place: int) -> Iterator[Finding]:
    if _ABOUT.search(clause.text) or _ABOUT.search(known.text):
        return
    for other in known.quantities:
        same = [quantity for quantity in clause.quantities if _same_unit(quantity, other, clause, known)]
        if same and all(quantity.value != other.value for quantity in same):
            yield Finding(
                "number",
                f"says {_written(same[0].value)}, the persona says {_written(other.value)}",
                place,
                True,
            )


def _same_unit(first: Quantity, second: Quantity, clause: Clause, known: Clause) -> bool:
    if is_age(first, clause) and is_age(second, known):
        return True
    units = first.units & second.units
    if CLOCK in units or not second.units and first.units <= _YEARS:
        return bool(clause.verbs & known.verbs)
    return bool(units - _VAGUE_UNITS or units and overlap(clause, known) - units)


def is_age(quantity: Quantity, clause: Clause) -> bool:
    """“I am nineteen”, “I am 19 years old”, “I just turned six”."""
    lower = clause.text.lower()
    if not re.search(r"\b(?:am|i'm|is|are|turned|turn|aged?)\b", lower):
        return bool(re.search(r"\byears? old\b", lower))
    return not quantity.units or "old" in lower and quantity.units <= _YEARS


def _written(value: float) -> str:
    return f"{value:g}"


def _frequency(clause: Clause, known: Clause, place: int, shared: frozenset[str]) -> Iterator[Finding]:
    if (
        shared
        and clause.per_week is not None
        and known.per_week is not None
        and clause.per_week != known.per_week
    ):
        yield Finding(
            "frequency",
            f"says {_often(clause.per_week)}, the persona says {_often(known.per_week)}",
            place,
            True,
        )


def _often(per_week: float) -> str:
    return {1.0: "once a week", 7.0: "every day"}.get(per_week, f"{per_week:g} times a week")


def _places(clause: Clause, known: Clause, place: int) -> Iterator[Finding]:
    current = ("now", "event")
    if clause.negated or clause.tense not in current or not clause.names:
        return
    for pattern, others in ((_LIVES, (_LIVES,)), (_BORN, (_BORN,)), (_FROM, (_FROM, _BORN))):
        mine = _names_after(pattern, clause)
        theirs = (
            [name for other in others for name in _names_after(other, known)]
            if known.tense in current
            else []
        )
        if {name in REGIONS for name in (*mine, *theirs)} == {True, False}:
            continue  # “Italy” beside “Naples”
        if mine and theirs and not any(same_name(a, b) for a in mine for b in theirs):
            yield Finding(
                "name", f"says {mine[0].title()}, the persona says {theirs[0].title()}", place, True
            )
    away = [name for name in _names_after(_LIVES, clause) if name in known.names and _AWAY.search(known.text)]
    if away and not _LIVES.search(known.text):
        yield Finding("name", f"lives in {away[0].title()}, which the persona does not", place, True)


def _names_after(pattern: re.Pattern, clause: Clause) -> list[str]:
    """Names within four words after a pattern."""
    found = []
    for match in pattern.finditer(clause.text):
        after = " ".join(clause.text[match.end() :].lower().split()[:5])
        found += [name for name in clause.names if name in after]
    return found


def same_name(first: str, second: str) -> bool:
    """Equal, or one is part of the other (“Piaf”, “Edith Piaf”)."""
    return first == second or bool(set(first.split()) & set(second.split()) - _PARTS_OF_NAMES)


def _negation(clause: Clause, known: Clause, place: int, shared: frozenset[str]) -> Iterator[Finding]:
    if clause.negated == known.negated or clause.tense != known.tense and clause.tense in ("past", "wish"):
        return
    bare = clause.stems - {stem(clause.subject)}
    if known.attitude < 0 and clause.negated:
        return
    if (
        clause.attitude
        and clause.negated
        or clause.attitude < 0
        or shared <= _LIGHT
        and not (clause.negated and bare <= _LIGHT)  # “I do not drink beer” does not deny “I drink tea”
    ):
        return
    if bare and len(shared) / len(bare) >= _OVERLAP and known.tense in ("now", "event"):
        denies = "denies" if clause.negated else "affirms"
        yield Finding(
            "negation", f"{denies} what the persona {'says' if clause.negated else 'denies'}", place, True
        )


def _liking(clause: Clause, known: Clause, place: int, shared: frozenset[str]) -> Iterator[Finding]:
    if shared and clause.attitude * known.attitude < 0 and len(shared) / max(len(known.stems), 1) >= 0.25:
        likes = ("dislikes", "likes")
        yield Finding(
            "liking",
            f"{likes[clause.attitude > 0]} what the persona {likes[known.attitude > 0]}",
            place,
            True,
        )
        return
    if clause.negated or clause.attitude < 0:
        return
    for pattern, foods in _DIETS:
        wanted = {stem(food) for food in foods.split()}
        eaten = {stem(word) for match in _CONSUMES.findall(clause.text) for word in match.split()} & wanted
        if eaten and pattern.search(known.text):
            yield Finding("liking", f"speaks of {min(eaten)}, which the persona does not take", place, True)
    if match := _NOTHING_BUT.search(known.text):
        verb, rest = stem(match.group(1)), stems(known.text[match.end() :])
        if verb in clause.verbs and verb in known.verbs and rest and not rest & clause.verbs:
            yield Finding("liking", f"not only “{known.text[match.start() :].strip(' .')}”", place, True)


def _time(
    clause: Clause, known: Clause, place: int, shared: frozenset[str], own: Sequence[tuple[int, Clause]]
) -> Iterator[Finding]:
    if (
        "event" in (clause.tense, known.tense)
        or clause.tense == known.tense
        or clause.negated != known.negated
        and clause.tense != "past"
    ):
        return
    object_given_up = {stem(word) for word in _GAVE_UP.findall(known.text)}
    bare = known.stems - {stem(known.subject)} - _WISHING
    if not shared or len(shared) / max(len(bare), 1) < _OVERLAP and not shared & object_given_up:
        return
    supported = any(
        other.subject == clause.subject and other.tense == clause.tense and overlap(clause, other) >= shared
        for _, other in own
    )
    if supported:
        return
    if known.tense == "wish" and clause.tense == "now" and _HAS.search(clause.text) and not shared & _WISHING:
        yield Finding("time", "has what the persona only hopes for", place, True)
    elif known.tense == "past" and clause.tense == "now" and not clause.negated:
        yield Finding("time", "says that it is so now, in the persona it is past", place, True)
    elif known.tense == "now" and clause.tense == "past":
        yield Finding("time", "says that it is past, in the persona it is so now", place, True)


def occupations(clause: Clause) -> list[str]:
    """Occupations that a clause claims, with their field: ["hotel manager"]."""
    lower = clause.text.lower()
    claims = re.findall(
        r"\b(?:am|i'm|is|he's|she's|as|was|became|become) (?:now |also |currently |just |only )*(?:an? |the )"
        r"((?:[\w'-]+ ){0,3}?[\w'-]+)(?=$|[.,;!?]| (?:at|in|for|of|on|and|who|with|to|by|but|from)\b)",
        lower,
    )
    claims += re.findall(r"\bmy (?:job|profession|occupation) is (?:being )?(?:an? )?([\w' -]+)", lower)
    jobs = [" ".join(claim.split()[-2:]) for claim in claims if claim.split()[-1] in OCCUPATIONS]
    jobs = [job for job in jobs if not (job.endswith(" owner") and job.split()[0] in _OWNED)]
    return [job.split()[-1] if job.split()[0] in NO_FIELD else job for job in jobs]


def _occupation(clause: Clause, own: Sequence[tuple[int, Clause]]) -> Iterator[Finding]:
    """An occupation that no sentence of the same subject supports, where one names another."""
    if clause.negated or clause.tense != "now" or clause.subject == THING:
        return
    mine = [(place, known) for place, known in own if known.subject == clause.subject]
    named = [
        (place, known)
        for place, known in mine
        if known.tense == "now" and (occupations(known) or _WORKING.search(known.text))
    ]
    all_stems = frozenset(word for _, known in mine for word in known.verbs)
    for job in occupations(clause):
        noun, field = job.split()[-1], stem(job.split()[-2]) if " " in job else ""
        support = {stem(noun), *SAME_WORK.get(noun, ())} | {
            stem(noun.removesuffix(end)) for end in ("er", "or", "r")
        }
        other_field = noun in GENERAL_OCCUPATIONS and field and field not in all_stems
        if named and (other_field or not support & all_stems):
            yield _occupied(job, *named[0])
    if match := _WORKS_AT.search(clause.text):
        workplace = match.group(1).lower().split()[-1]
        fitting = set(WORKPLACES.get(workplace, ()))
        if named and fitting and not fitting & all_stems:
            yield _occupied(f"works at a {workplace}", *named[0])


def _occupied(claim: str, place: int, known: Clause) -> Finding:
    return Finding("occupation", f"says {claim}, the persona says “{known.text.strip(' .')}”", place, True)


def _person(clause: Clause, own: Sequence[tuple[int, Clause]], said: Sequence[Clause]) -> Iterator[Finding]:
    """The clause's facts are somebody else's in the persona, and the reply does not say that too."""
    if clause.subject == THING or clause.negated:
        return
    weight = {place: _weight(clause, known) for place, known in own}
    best = max(weight.values(), default=0)
    if best < 2:
        return
    mine = max((_weight(clause, known) for _, known in own if known.subject == clause.subject), default=0)
    for place, known in own:
        people = known.subject in PEOPLE and clause.subject in PEOPLE
        mentions = clause.subject in {KIN.get(word) for word in re.findall(r"[\w'-]+", known.text.lower())}
        if (
            people
            and weight[place] == best
            and mine < best
            and known.subject != clause.subject
            and not mentions
        ):
            if known.subject in {KIN.get(word) for word in re.findall(r"[\w'-]+", clause.text.lower())}:
                continue
            if clause.subject == SPEAKER and re.search(r"\bme\b", known.text):
                continue
            if any(other.subject == known.subject and _weight(other, known) >= best for other in said):
                continue
            yield Finding(
                "person", f"says of {_who(clause)} what the persona says of {_who(known)}", place, False
            )
            return


PEOPLE = frozenset({SPEAKER, *KIN.values()})


def _weight(clause: Clause, known: Clause) -> int:
    """Shared stems; a shared name counts twice."""
    shared = overlap(clause, known)
    return len(shared) + sum(any(part in shared for part in map(stem, name.split())) for name in known.names)


def _who(clause: Clause) -> str:
    return "the speaker" if clause.subject == SPEAKER else f"the {clause.subject}"


def _partner(persona: Sequence[str], reply: str) -> Iterator[Finding]:
    mine = kin(reply)
    for place, sentence in enumerate(persona):
        for partner in sorted(kin(sentence) & PARTNERS.keys()):
            if others := sorted(mine & PARTNERS[partner]):
                yield Finding("partner", f"speaks of a {others[0]}, the persona of a {partner}", place, True)


def asked_findings(question: str, reply: str, sentence: str, place: int) -> tuple[Finding, ...]:
    """What is wrong with a reply as the answer to a question about one sentence.

    A number, name or occupation that was asked for is changed or left out, or
    the reply speaks of somebody else than the sentence.
    """
    found: list[Finding] = []
    said = [clause for clause in read(reply, subject_of(question)) if not clause.question]
    known = read(sentence)
    told = [clause for clause in said if not clause.evasive]
    if not told:
        return (Finding("evades", "does not answer", place, False),)
    found += _asked_number(question, told, known, place)
    found += _asked_name(question, reply, told, known, place)
    found += _asked_colour(question, reply, sentence, place)
    found += _asked_person(question, told, known, place)
    return tuple(found)


def _asked_number(
    question: str, said: Sequence[Clause], known: Sequence[Clause], place: int
) -> Iterator[Finding]:
    wanted = {quantity.value for clause in known for quantity in clause.quantities}
    given = [quantity.value for clause in said for quantity in clause.quantities]
    if wanted and _ASKS_NUMBER.search(question) and given and not wanted & set(given):
        yield Finding(
            "number", f"says {_written(given[0])}, the persona says {_written(min(wanted))}", place, True
        )


def _asked_name(
    question: str, reply: str, said: Sequence[Clause], known: Sequence[Clause], place: int
) -> Iterator[Finding]:
    names = [name for clause in known for name in clause.names]
    if not names or not _ASKS_NAME.search(question):
        return
    parts = {part for name in names for part in name.split()}
    if parts & set(re.findall(r"[\w'’-]+", reply.lower())) or parts & set(
        re.findall(r"\w+", question.lower())
    ):
        return
    others = [name for clause in said for name in clause.names]
    spelt = [
        other for other in others if any(SequenceMatcher(None, other, name).ratio() > 0.7 for name in names)
    ]
    if others:
        yield Finding(
            "name", f"says {(spelt or others)[0].title()}, the persona says {names[0].title()}", place, True
        )
    elif re.search(r"\bnames?\b|\bcalled\b", question, re.I):
        yield Finding("name", f"does not say {names[0].title()}", place, False)


def _asked_colour(question: str, reply: str, sentence: str, place: int) -> Iterator[Finding]:
    wanted, given = (set(re.findall(r"\w+", text.lower())) & COLOURS for text in (sentence, reply))
    if wanted and given and not wanted & given and re.search(r"\bcolou?r\b|\blook like\b", question, re.I):
        yield Finding("colour", f"says {min(given)}, the persona says {min(wanted)}", place, True)


def _asked_person(
    question: str, said: Sequence[Clause], known: Sequence[Clause], place: int
) -> Iterator[Finding]:
    """Clauses that share words with the sentence are all somebody else's."""
    theirs = {clause.subject for clause in known if clause.subject in PEOPLE}
    sharing = [clause for clause in said if any(overlap(clause, other) for other in known)]
    mentioned = {
        KIN[word] for clause in said for word in re.findall(r"[\w-]+", clause.text.lower()) if word in KIN
    }
    subjects = {clause.subject for clause in sharing}
    named = {KIN.get(word) for clause in known for word in re.findall(r"[\w-]+", clause.text.lower())}
    if (
        theirs
        and sharing
        and subjects <= PEOPLE
        and not (subjects | mentioned) & theirs
        and not subjects & named
    ):
        yield Finding("person", f"speaks of {_who(sharing[0])} instead of {_who(known[0])}", place, False)

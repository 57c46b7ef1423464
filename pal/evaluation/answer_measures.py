"""Right answers of variants on plain questions, and how far the checker agrees with readers.

Replies are sampled as the page does, or given. The labelled replies of
``assets/labels/answers.jsonl`` say what the checker's word is worth.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pal.chat.responder import Responder, TurnRequest
from pal.chat.variants import shipped
from pal.dialogue.persona import Persona
from pal.dialogue.readers import read_jsonl
from pal.engines.base import Cancel, Decoding, Done, Failed
from pal.errors import DataError, EngineError, PersonaError
from pal.evaluation.answers import AnswerVerdict, check_answer
from pal.evaluation.questions import PlainQuestion
from pal.evaluation.walk import dialogue_seed
from pal.models.contradictions import ConsistencyScorer
from pal.settings import REPOSITORY
from pal.statistics import Bootstrap, Statistic, mean_of

LABELLED = REPOSITORY / "assets" / "labels" / "answers.jsonl"
SPLITS = ("tune", "held-out")


@dataclass(frozen=True)
class Answer:
    """One variant's reply to one plain question."""

    question: PlainQuestion
    variant: str
    reply: str

    def check(self, scorer: ConsistencyScorer) -> AnswerVerdict:
        """The checker's verdict."""
        question = self.question
        return check_answer(
            question.question, self.reply, question.persona.sentences, question.labels, scorer
        )


@dataclass(frozen=True)
class LabelledAnswer:
    """A reply that was read. ``right_2`` and ``contradicts_2`` are a second reader's; None without one."""

    answer: Answer
    split: str
    right: bool
    contradicts: bool
    reason: str
    right_2: bool | None = None
    contradicts_2: bool | None = None


def read_answers(path: Path) -> list[Answer]:
    """Rows of ``persona``, ``question``, ``sentence`` (places that answer), ``variant`` and ``reply``.

    Raises:
        DataError: names the file and the line that is malformed.
    """
    answers = [_answer(path, number, row) for number, row in read_jsonl(path)]
    if not answers:
        raise DataError(f"{path}: no reply in it.")
    return answers


def read_labelled(path: Path = LABELLED) -> list[LabelledAnswer]:
    """The labelled replies; assets/labels/answers.md describes the fields.

    Raises:
        DataError: names the file and the line that is malformed.
    """
    labelled = []
    for number, row in read_jsonl(path):
        answer = _answer(path, number, row)
        fields = [row.get(name) for name in ("split", "right", "contradicts", "reason")]
        if fields[0] not in SPLITS or not all(isinstance(value, bool) for value in fields[1:3]):
            raise DataError(f"{path}, line {number}: split, right and contradicts are expected.")
        labelled.append(LabelledAnswer(answer, *fields, row.get("right_2"), row.get("contradicts_2")))
    if not labelled:
        raise DataError(f"{path}: no reply in it.")
    return labelled


def _answer(path: Path, number: int, row: Mapping[str, Any]) -> Answer:
    try:
        persona, labels = Persona.parse(row["persona"]), tuple(row["sentence"])
        question, variant, reply = (str(row[name]).strip() for name in ("question", "variant", "reply"))
    except (KeyError, TypeError, AttributeError, PersonaError) as error:
        raise DataError(
            f"{path}, line {number}: persona, question, sentence, variant and reply are expected ({error})."
        ) from None
    if not labels or not all(isinstance(label, int) and 0 <= label < len(persona) for label in labels):
        raise DataError(f"{path}, line {number}: sentence is {labels}, which the persona does not have.")
    return Answer(PlainQuestion(persona, question, labels, row.get("kind", "plain")), variant, reply)


def sample(
    questions: Sequence[PlainQuestion],
    variants: Sequence[str],
    responder: Responder,
    decoding: Decoding,
    seed: int,
) -> Iterator[Answer]:
    """Each variant's reply to each question as the first message of a chat.

    Raises:
        EngineError: a variant failed.
    """
    for number, question in enumerate(questions):
        name = f"question {number}"
        request = TurnRequest(
            question.persona,
            question.question,
            dict.fromkeys(variants, ()),
            decoding,
            dialogue_seed(seed, name),
            name,
            judge=False,
        )
        for event in responder.respond(request, Cancel()):
            if isinstance(event, Failed):
                raise EngineError(f"{event.variant} failed on {name}: {event.message}")
            if isinstance(event, Done):
                yield Answer(question, event.variant, event.text.strip())


def right_shares(answers: Sequence[Answer], verdicts: Sequence[AnswerVerdict]) -> dict[str, Any]:
    """Shares of right answers, of answers with a contradiction and of each kind of finding per variant,
    and paired differences of the shares of right ones; bootstrap over personas.

    Differences are taken on the questions that both variants answered.
    """
    contradicts = [any(finding.contradicts for finding in verdict.findings) for verdict in verdicts]
    shipped_first = {name: place for place, name in enumerate(shipped().names)}
    variants = sorted(
        {answer.variant for answer in answers}, key=lambda name: (shipped_first.get(name, 99), name)
    )
    bootstrap = Bootstrap([answer.question.persona.hash for answer in answers])
    shares: dict[str, Any] = {}
    for variant in variants:
        own = [answer.variant == variant for answer in answers]
        kinds = sorted(
            {finding.kind for verdict in itertools.compress(verdicts, own) for finding in verdict.findings}
        )

        def share(values: Sequence[bool], own: Sequence[bool] = own) -> dict[str, float | None]:
            part = [value and mine for value, mine in zip(values, own, strict=True)]
            return bootstrap.share(part, own).to_json()

        shares[variant] = {
            "answers": sum(own),
            "right": share([verdict.right for verdict in verdicts]),
            "contradicts": share(contradicts),
            "findings": {
                kind: share([any(f.kind == kind for f in verdict.findings) for verdict in verdicts])
                for kind in kinds
            },
        }
    differences = {
        f"{later} - {earlier}": _difference(answers, verdicts, later, earlier)
        for earlier, later in itertools.combinations(variants, 2)
    }
    return {"variants": shares, "differences": differences}


def _difference(
    answers: Sequence[Answer], verdicts: Sequence[AnswerVerdict], later: str, earlier: str
) -> dict[str, float | None] | None:
    """Mean of right of ``later`` minus right of ``earlier``, question by question."""
    right: dict[str, dict[PlainQuestion, float]] = {later: {}, earlier: {}}
    for answer, verdict in zip(answers, verdicts, strict=True):
        if answer.variant in right:
            right[answer.variant][answer.question] = float(verdict.right)
    shared = [question for question in right[later] if question in right[earlier]]
    if not shared:
        return None
    gaps = [right[later][question] - right[earlier][question] for question in shared]
    return Bootstrap([question.persona.hash for question in shared]).estimate(mean_of(gaps)).to_json()


def agreement(labelled: Sequence[LabelledAnswer], verdicts: Sequence[AnswerVerdict]) -> dict[str, Any]:
    """The checker beside the reader, on each split; intervals by bootstrap over personas.

    Of "wrong" and of "contradicts": Cohen's kappa, precision, recall and F1 of the checker. Of each kind of
    finding: how often it was made, and the share of these that the reader called wrong (and contradicting);
    ``missed``: of each reason that the reader gave for a wrong reply, how many the checker called right.
    """
    rows = list(zip(labelled, verdicts, strict=True))
    return {split: _agreement([row for row in rows if row[0].split == split]) for split in SPLITS}


def _agreement(rows: Sequence[tuple[LabelledAnswer, AnswerVerdict]]) -> dict[str, Any]:
    if not rows:
        return {"answers": 0}
    bootstrap = Bootstrap([row.answer.question.persona.hash for row, _ in rows])
    read = [not row.right for row, _ in rows]
    checked = [not verdict.right for _, verdict in rows]
    contradicting = [any(finding.contradicts for finding in verdict.findings) for _, verdict in rows]
    kinds = sorted({finding.kind for _, verdict in rows for finding in verdict.findings})
    reasons = sorted({row.reason for row, _ in rows if not row.right})
    return {
        "answers": len(rows),
        "wrong": _detection(bootstrap, read, checked),
        "contradicts": _detection(bootstrap, [row.contradicts for row, _ in rows], contradicting),
        "findings": {kind: _finding(rows, kind) for kind in kinds},
        "missed": {
            reason: {
                "answers": sum(row.reason == reason for row, _ in rows),
                "missed": sum(row.reason == reason and verdict.right for row, verdict in rows),
            }
            for reason in reasons
        },
        "variants": {
            variant: {
                name: bootstrap.share(
                    [
                        row.answer.variant == variant and right
                        for (row, _), right in zip(rows, rights, strict=True)
                    ],
                    [row.answer.variant == variant for row, _ in rows],
                ).to_json()
                for name, rights in (
                    ("read", [row.right for row, _ in rows]),
                    ("checked", [verdict.right for _, verdict in rows]),
                )
            }
            for variant in sorted({row.answer.variant for row, _ in rows})
        },
    }


def _finding(rows: Sequence[tuple[LabelledAnswer, AnswerVerdict]], kind: str) -> dict[str, int]:
    own = [row for row, verdict in rows if any(finding.kind == kind for finding in verdict.findings)]
    return {
        "answers": len(own),
        "wrong": sum(not row.right for row in own),
        "contradicts": sum(row.contradicts for row in own),
    }


def _detection(bootstrap: Bootstrap, read: Sequence[bool], checked: Sequence[bool]) -> dict[str, Any]:
    statistics = {
        "kappa": kappa_of(read, checked),
        "precision": _ratio(read, checked, lambda hit, checked, read: (hit, checked)),
        "recall": _ratio(read, checked, lambda hit, checked, read: (hit, read)),
        "f1": _ratio(read, checked, lambda hit, checked, read: (2 * hit, checked + read)),
    }
    found = {name: bootstrap.estimate(statistic).to_json() for name, statistic in statistics.items()}
    return {"read": int(sum(read)), "checked": int(sum(checked)), **found}


def _ratio(read: Sequence[bool], checked: Sequence[bool], parts) -> Statistic:
    by_reader, by_checker = np.asarray(read, float), np.asarray(checked, float)

    def statistic(weights: np.ndarray) -> float:
        hit = float(weights @ (by_reader * by_checker))
        above, below = parts(hit, float(weights @ by_checker), float(weights @ by_reader))
        return above / below if below else float("nan")

    return statistic


def kappa_of(first: Sequence[bool], second: Sequence[bool]) -> Statistic:
    """Cohen's kappa of two readers' yes and no; nan where chance agrees on everything.

    Source: Cohen 1960, Educational and Psychological Measurement 20, 37-46.
    """
    one, two = np.asarray(first, float), np.asarray(second, float)

    def statistic(weights: np.ndarray) -> float:
        total = weights.sum()
        share_one, share_two = weights @ one / total, weights @ two / total
        chance = share_one * share_two + (1 - share_one) * (1 - share_two)
        agree = float(weights @ (one == two)) / total
        return float((agree - chance) / (1 - chance)) if chance < 1 else float("nan")

    return statistic


def readers(labelled: Sequence[LabelledAnswer]) -> dict[str, Any]:
    """Two readers' agreement on the replies that both read: share and Cohen's kappa of each question."""
    both = [row for row in labelled if row.right_2 is not None and row.contradicts_2 is not None]
    if not both:
        return {"answers": 0}
    bootstrap = Bootstrap([row.answer.question.persona.hash for row in both])
    labels = {
        "right": [(row.right, bool(row.right_2)) for row in both],
        "contradicts": [(row.contradicts, bool(row.contradicts_2)) for row in both],
    }
    return {"answers": len(both)} | {
        name: {
            "agreement": bootstrap.share([one == two for one, two in pairs]).to_json(),
            "kappa": bootstrap.estimate(kappa_of(*zip(*pairs, strict=True))).to_json(),
        }
        for name, pairs in labels.items()
    }


def as_rows(answers: Sequence[Answer], verdicts: Sequence[AnswerVerdict]) -> list[dict[str, Any]]:
    """Every reply with what was found wrong with it, to be read."""
    return [
        {
            "persona": list(answer.question.persona.sentences),
            "question": answer.question.question,
            "sentence": list(answer.question.labels),
            "kind": answer.question.kind,
            "variant": answer.variant,
            "reply": answer.reply,
            "right": verdict.right,
            "findings": [
                {
                    "kind": finding.kind,
                    "text": finding.text,
                    "sentence": finding.sentence,
                    "contradicts": finding.contradicts,
                }
                for finding in verdict.findings
            ],
        }
        for answer, verdict in zip(answers, verdicts, strict=True)
    ]


def summary(results: Mapping[str, Any]) -> str:
    """Right answers of every variant, the differences and the checker's worth, as plain text."""
    lines = [f"{'':<20}{'answers':>8}{'right (95 %)':>24}{'contradicts':>13}"]
    for variant, numbers in results["variants"].items():
        lines.append(
            f"{variant:<20}{numbers['answers']:>8}{_interval(numbers['right']):>24}"
            f"{numbers['contradicts']['value']:>13.3f}"
        )
    for name, gap in results["differences"].items():
        if gap:
            lines.append(f"{name:<28}{_interval(gap):>24}")
    for split, numbers in results["agreement"].items():
        for label in ("wrong", "contradicts"):
            if numbers["answers"]:
                found = numbers[label]
                shown = ", ".join(f"{name} {_number(found[name])}" for name in ("precision", "recall", "f1"))
                lines.append(f"Checker, {split}, “{label}”: kappa {_interval(found['kappa'])}, {shown}")
    if results["readers"]["answers"]:
        shown = "; ".join(
            f"“{name}” kappa {_interval(results['readers'][name]['kappa'])}"
            for name in ("right", "contradicts")
        )
        lines.append(f"Two readers on {results['readers']['answers']} replies: {shown}")
    return "\n".join(lines)


def _number(estimate: Mapping[str, float | None]) -> str:
    return "–" if estimate["value"] is None else f"{estimate['value']:.2f}"


def _interval(estimate: Mapping[str, float | None]) -> str:
    value, low, high = (estimate[name] for name in ("value", "low", "high"))
    if value is None:
        return "–"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f}–{high:.3f})"

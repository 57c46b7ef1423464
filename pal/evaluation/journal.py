"""Finished pieces of work, one JSON line each: a stopped run goes on, and a later one adds to them.

The journal of a contender's replies (``progress/NAME.jsonl``) is bound to what
determines the replies, not to the limit or the metrics asked for: a longer run, a
further contender or a further metric costs only what is new. Measurements of
replies are kept under a digest of what they were made from, so none outlives its
replies.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pal.errors import DataError
from pal.evaluation.contenders import Contender
from pal.evaluation.measures import gold_answer
from pal.evaluation.perplexity import Likelihood
from pal.evaluation.turns import MeasuredDialogue
from pal.evaluation.walk import Answer, WalkedTurn, told_selection


class Journal:
    """What is finished so far, by key; of a key added twice the later value counts.

    The first line holds the run's settings; a file of other settings is
    refused, and a last line that a kill cut short is dropped.

    Raises:
        DataError: the file belongs to a run with other settings, or is damaged.
    """

    def __init__(self, path: Path, settings: dict[str, Any]):
        self.path = path
        self._done: dict[str, Any] = {}
        settings = json.loads(json.dumps(settings))
        lines = self._complete_lines()
        if lines:
            self._load(lines, settings)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(settings) + "\n", encoding="utf-8")

    def _complete_lines(self) -> list[str]:
        if not self.path.is_file():
            return []
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.truncate(self.path, len(whole))
        return whole.decode("utf-8").splitlines()

    def _load(self, lines: list[str], settings: dict[str, Any]) -> None:
        try:
            stored, *entries = [json.loads(line) for line in lines]
            self._done = {entry["key"]: entry["value"] for entry in entries}
        except (ValueError, TypeError, KeyError):
            raise DataError(f"{self.path} is damaged; delete it and start again.") from None
        if stored != settings:
            changed = sorted(name for name in {*stored, *settings} if stored.get(name) != settings.get(name))
            raise DataError(
                f"{self.path} belongs to a run with other settings ({', '.join(changed)}); "
                "choose another folder with --out, or delete that file."
            )

    def get(self, key: str) -> Any:
        """The value of a finished piece, or None."""
        return self._done.get(key)

    def add(self, key: str, value: Any) -> None:
        """Record a finished piece; it survives a kill from here on."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "value": value}, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._done[key] = value


class Record:
    """One contender's journal. ``contender`` None stands for the data's own replies.

    Measurements are lists with one entry per measured turn, None where they
    were not made; ``add_…`` keeps them.
    """

    def __init__(self, journal: Journal, contender: Contender | None, consistency_model: str = ""):
        self.contender = contender
        self._journal = journal
        self._model = consistency_model[:12]

    def has_answers(self, dialogue: MeasuredDialogue, *, generate: bool, pure: bool) -> bool:
        """Every turn is walked, with the replies and pure selections asked for."""
        if self.contender is None or not (generate or self.contender.predicts):
            return True
        if len(self._journal.get(f"walk {dialogue.id}") or ()) < len(dialogue.turns):
            return False
        answers = self.answers(dialogue)
        replied = all(answers[place].reply is not None for place in dialogue.measured)
        chosen = all(answer.pure_probabilities for answer in answers) or not self.contender.predicts
        return (replied or not generate) and (chosen or not pure)

    def use_engine(self, engine: dict[str, str]) -> None:
        """Note what engine replies from here on.

        Raises:
            DataError: the replies that are there are another engine's, as far as
                it was noted (earlier versions noted name and quantisation only).
        """
        earlier = self.engine or {}
        changed = [name for name, value in earlier.items() if engine.get(name) != value]
        if changed:
            raise DataError(
                f"{self._journal.path} holds replies of another engine ({', '.join(changed)}); "
                "choose another folder with --out, or delete that file."
            )
        if earlier != engine:
            self._journal.add("engine", engine)

    def add_answers(self, dialogue: MeasuredDialogue, turns: list[WalkedTurn]) -> None:
        """Keep a walk."""
        answers = [asdict(turn.answers[self.contender.variant.name]) for turn in turns]
        self._journal.add(f"walk {dialogue.id}", answers)

    def answers(self, dialogue: MeasuredDialogue) -> list[Answer]:
        """One per turn of the dialogue; without replies where nothing was generated."""
        if self.contender is None:
            return [gold_answer(turn) for turn in dialogue.turns]
        walked = self._journal.get(f"walk {dialogue.id}")
        if walked is None:
            return [Answer(told_selection(turn, self.contender.choice)) for turn in dialogue.turns]
        return [_answer(fields) for fields in walked[: len(dialogue.turns)]]

    def replies(self, dialogue: MeasuredDialogue) -> list[str]:
        """The measured replies."""
        answers = self.answers(dialogue)
        return [answers[place].reply for place in dialogue.measured]

    def selections(self, dialogue: MeasuredDialogue) -> list[int | None] | None:
        """What was selected on every turn; None without persona turns."""
        if not self.contender.selects:
            return None
        return [answer.selected for answer in self.answers(dialogue)]

    @property
    def engine(self) -> dict[str, str] | None:
        """The engine that replied; see ``pal.evaluation.contenders.describe_engine``."""
        return self._journal.get("engine")

    def likelihoods(self, dialogue: MeasuredDialogue) -> list[Likelihood] | None:
        """Of the gold replies, turn by turn; those beyond the context are missing."""
        stored = self._journal.get(self._likelihood_key(dialogue))
        return None if stored is None else [Likelihood(*values) for values in stored]

    def add_likelihoods(self, dialogue: MeasuredDialogue, likelihoods: list[Likelihood]) -> None:
        """Keep one entry per turn that fits the context."""
        values = [[likelihood.log_probability, likelihood.tokens] for likelihood in likelihoods]
        self._journal.add(self._likelihood_key(dialogue), values)

    def consistency(self, dialogue: MeasuredDialogue) -> list[list[list[float]]] | None:
        """Probabilities [sentences][3] of every measured reply."""
        return self._journal.get(self._reply_key(f"consistency {self._model}", dialogue))

    def add_consistency(self, dialogue: MeasuredDialogue, rows: list[list[list[float]]]) -> None:
        """Keep the probabilities of every measured reply."""
        self._journal.add(self._reply_key(f"consistency {self._model}", dialogue), rows)

    def relevance(self, dialogue: MeasuredDialogue) -> list[float | None] | None:
        """Of every measured reply; None where nobody had spoken."""
        return self._journal.get(self._reply_key("relevance cosine", dialogue))

    def add_relevance(self, dialogue: MeasuredDialogue, scores: list[float | None]) -> None:
        """Keep the relevance of every measured reply."""
        self._journal.add(self._reply_key("relevance cosine", dialogue), scores)

    def cosines(self, dialogue: MeasuredDialogue) -> list[list[float]] | None:
        """The embedding prior of every measured turn, one per sentence."""
        return self._journal.get(f"cosines {dialogue.id} {len(dialogue.measured)}")

    def add_cosines(self, dialogue: MeasuredDialogue, rows: list[list[float]]) -> None:
        """Keep the prior of every measured turn."""
        self._journal.add(f"cosines {dialogue.id} {len(dialogue.measured)}", rows)

    def _likelihood_key(self, dialogue: MeasuredDialogue) -> str:
        return f"perplexity {dialogue.id} {_digest([self.selections(dialogue), len(dialogue.turns)])}"

    def _reply_key(self, what: str, dialogue: MeasuredDialogue) -> str:
        return f"{what} {dialogue.id} {_digest(self.replies(dialogue))}"


def _answer(fields: dict[str, Any]) -> Answer:
    return Answer(
        **{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    )


def _digest(content: Any) -> str:
    return hashlib.sha1(json.dumps(content).encode()).hexdigest()[:12]

"""Readers of dialogue files: PAL's JSONL, ParlAI text, the Hub's personachat JSON.

A malformed line is a ``DataError`` that names file and line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from pal.dialogue.turns import Dialogue, Utterance
from pal.errors import DataError

_SILENCE = ("", "__SILENCE__", "__ SILENCE __")  # stands for no message


def read_dialogues(path: str | Path) -> list[Dialogue]:
    """All dialogues of a file; the format is recognised from its content.

    Known: one JSON object a line (``id, source, personas, turns``); ParlAI
    text (``1 your persona: …``, self, other or both, original or revised,
    with or without candidates); the Hub's JSON
    (``{"train": [{"personality": …, "utterances": …}]}``).

    Raises:
        DataError: not readable, empty, or a malformed line or entry.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; give the path of a dialogues file.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}).") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
    start = text.lstrip()[:300]
    if not start:
        raise DataError(f"{path}: the file is empty.")
    if re.match(r"\d+ ", start):
        return list(_read_parlai(path, text))
    if start.startswith("[") or re.match(r'\{\s*"(train|valid|test)"', start):
        return list(_read_hub(path, text))
    return list(_read_jsonl(path, text))


def read_jsonl(path: str | Path) -> Iterator[tuple[int, dict]]:
    """(line number from 1, object) of every non-blank line.

    Raises:
        DataError: the file is missing or a line is not a JSON object.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}).") from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, _json_object(path, number, line)


def _json_object(path: Path, number: int, line: str) -> dict:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {number}: not JSON ({error.msg}, column {error.colno}).") from None
    if not isinstance(row, dict):
        raise DataError(f"{path}, line {number}: expected a JSON object, found {type(row).__name__}.")
    return row


def _read_jsonl(path: Path, text: str) -> Iterator[Dialogue]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield _dialogue(_json_object(path, number, line))
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(f"{path}, line {number}: {_reason(error)}.") from None


def _reason(error: Exception) -> str:
    return f"missing {error}" if isinstance(error, KeyError) else str(error)


def _dialogue(row: dict) -> Dialogue:
    personas = {speaker: tuple(_strings(row["personas"][speaker])) for speaker in row["personas"]}
    turns = []
    for index, turn in enumerate(row["turns"]):
        speaker = turn["speaker"]
        if speaker not in ("A", "B"):
            raise ValueError(f"turn {index}: speaker must be A or B, not {speaker!r}")
        if not isinstance(turn["text"], str):
            raise ValueError(f"turn {index}: text must be a string")
        label = turn.get("persona")
        if label is not None:
            size = len(personas.get(speaker, ()))
            if not isinstance(label, list) or any(type(i) is not int or not 0 <= i < size for i in label):
                raise ValueError(f"turn {index}: persona {label!r} must list indices below {size}")
            label = tuple(label)
        turns.append(Utterance(speaker, turn["text"], label))
    return Dialogue(str(row["id"]), str(row.get("source", "")), personas, tuple(turns))


def _strings(values: object) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"a persona must be a list of strings, not {values!r:.80}")
    return values


def _read_parlai(path: Path, text: str) -> Iterator[Dialogue]:
    """ParlAI numbers the lines of a dialogue from 1, so a 1 begins the next one."""
    lines: list[tuple[int, str]] = []  # of the dialogue that is being read
    dialogues = 0
    previous = 0
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        match = re.match(r"(\d+) (.*)", line)
        if not match:
            raise DataError(f"{path}, line {number}: a ParlAI line starts with its number and a space.")
        count = int(match.group(1))
        if count == 1 and lines:
            yield _parlai_dialogue(path, dialogues, lines)
            dialogues, lines = dialogues + 1, []
        elif count != previous + 1:
            raise DataError(
                f"{path}, line {number}: line {count} follows line {previous}; numbers must rise by one."
            )
        previous = count
        lines.append((number, match.group(2)))
    if lines:
        yield _parlai_dialogue(path, dialogues, lines)


def _parlai_dialogue(path: Path, index: int, lines: list[tuple[int, str]]) -> Dialogue:
    """A dialogue from its lines, each with its number in the file; B is the side of “your persona”."""
    personas: dict[str, list[str]] = {"A": [], "B": []}
    turns: list[Utterance] = []
    for number, body in lines:
        if body.startswith("your persona: "):
            personas["B"].append(body.removeprefix("your persona: ").strip())
        elif body.startswith("partner's persona: "):
            personas["A"].append(body.removeprefix("partner's persona: ").strip())
        else:
            fields = body.split("\t")
            if len(fields) < 2 or not fields[1].strip():
                raise DataError(f"{path}, line {number}: expected “message<TAB>reply”.")
            if fields[0].strip() not in _SILENCE:
                turns.append(Utterance("A", fields[0].strip()))
            turns.append(Utterance("B", fields[1].strip()))
    sentences = {speaker: tuple(persona) for speaker, persona in personas.items()}
    return Dialogue(f"{path.stem}_{index}", path.stem, sentences, tuple(turns))


def _read_hub(path: Path, text: str) -> Iterator[Dialogue]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not JSON ({error.msg}).") from None
    splits = content if isinstance(content, dict) else {"data": content}
    for split, entries in splits.items():
        for index, entry in enumerate(entries):
            try:
                yield _hub_dialogue(path, split, index, entry)
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise DataError(f"{path}, {split} entry {index}: {_reason(error)}.") from None


def _hub_dialogue(path: Path, split: str, index: int, entry: dict) -> Dialogue:
    """A dialogue from its last turn: the history before it, and its last candidate, the true reply, by B."""
    last = entry["utterances"][-1]
    texts = [*_strings(last["history"]), last["candidates"][-1]]
    speakers = "BA" if len(texts) % 2 else "AB"
    turns = (Utterance(speakers[place % 2], text) for place, text in enumerate(texts))
    return Dialogue(
        f"{path.stem}_{split}_{index}",
        path.stem,
        {"A": (), "B": tuple(_strings(entry["personality"]))},
        tuple(turn for turn in turns if turn.text.strip() not in _SILENCE),
    )

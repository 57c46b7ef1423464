"""Votes as files: CSV, JSONL, Parquet, preference pairs, and a data set for the Hub."""

from __future__ import annotations

import csv
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pal.errors import BackupError, DataError
from pal.ratings.ballots import Ballot, campaigns, count
from pal.ratings.blind import shown_text
from pal.ratings.dataset import SCHEMA, clean, dataset_card, rows
from pal.ratings.records import Record, ReplyRecord, Turn, dumps
from pal.training.pairs import Pair, write_pair

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
Writer = Callable[[Sequence[Record], Path, str, bool], list[Path]]


def vote_pairs(records: Sequence[Record], campaign: str, *, blind_only: bool = False) -> Iterator[Pair]:
    """A pair for each reply that an annotator ranked before another of its turn.

    Annotators who disagree give opposite pairs: alignment then sees both. Gold
    items, repeats and pairs without two different texts give none.
    """
    for ballot in count(records, campaign, blind_only=blind_only).ranked:
        for better, worse in itertools.permutations(ballot.turn.variants, 2):
            if ballot.rating.rank_of(better) < ballot.rating.rank_of(worse):
                chosen, rejected = ballot.turn.reply(better), ballot.turn.reply(worse)
                if _differ(chosen, rejected):
                    yield _pair(ballot, chosen, rejected)


def _differ(chosen: ReplyRecord, rejected: ReplyRecord) -> bool:
    texts = chosen.text.strip(), rejected.text.strip()
    return all(texts) and shown_text(texts[0]) != shown_text(texts[1])


def _pair(ballot: Ballot, chosen: ReplyRecord, rejected: ReplyRecord) -> Pair:
    turn = ballot.turn
    prompted = chosen if chosen.selects else rejected
    return Pair(
        id=f"{ballot.rating.id}:{chosen.variant}>{rejected.variant}",
        dialogue=turn.id,
        persona=turn.persona.sentences,
        history=_remembered(turn, prompted),
        user=turn.user,
        selected=prompted.selected,
        chosen=chosen.text.strip(),
        rejected=rejected.text.strip(),
        kind="vote",
    )


def _remembered(turn: Turn, reply: ReplyRecord):
    """The history with the selections of the variant whose prompt is used: the
    chosen one's, or the rejected one's when the chosen one selects nothing."""
    earlier = reply.earlier or (None,) * len(turn.history)
    return tuple(
        dataclasses.replace(exchange, selected=selected)
        for exchange, selected in zip(turn.history, earlier, strict=True)
    )


def write(
    records: Sequence[Record],
    folder: Path,
    formats: Sequence[str] | None = None,
    campaign: str | None = None,
    *,
    blind_only: bool = False,
) -> list[Path]:
    """Write the chosen ``FORMATS`` (all by default) into ``folder``; gives the files.

    Args:
        campaign: None for the latest.
        blind_only: see ``ballots.count``; for the preference pairs only, the
            other files mark corrections.

    Raises:
        DataError: an unknown format or campaign, or the folder cannot be written.
    """
    known = campaigns(records)
    if campaign is not None and campaign not in known:
        raise DataError(f"There is no campaign “{campaign}”; there are: {', '.join(known) or 'none'}.")
    campaign = campaign or (known[-1] if known else "")
    formats = list(FORMATS) if formats is None else formats
    if unknown := [name for name in formats if name not in FORMATS]:
        raise DataError(f"There is no format “{unknown[0]}”; the formats are {', '.join(FORMATS)}.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [path for name in formats for path in FORMATS[name](records, folder, campaign, blind_only)]
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error.strerror}).") from None


def push(folder: Path, repo: str, api, *, public: bool = False) -> str:
    """Upload a data set folder, private unless ``public``; gives its address.

    Args:
        api: a ``huggingface_hub.HfApi`` with a token that may write.

    Raises:
        BackupError: the Hub did not take it.
    """
    try:
        address = api.create_repo(repo, repo_type="dataset", private=not public, exist_ok=True)
        api.upload_folder(
            repo_id=repo, repo_type="dataset", folder_path=folder, commit_message="Votes exported by PAL"
        )
    except Exception as error:  # the Hub's client raises many kinds
        raise BackupError(f"{repo} did not take the data set ({str(error)[:200]}).") from None
    return str(address)


def _csv(records: Sequence[Record], folder: Path, campaign: str, blind_only: bool) -> list[Path]:
    path = folder / "votes.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(SCHEMA.names)
        for row in rows(records, campaign):
            table.writerow([_cell(row[name]) for name in SCHEMA.names])
    return [path]


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        value = " | ".join(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return harmless(value) if isinstance(value, str) else value


def harmless(text: str) -> str:
    """The text so that no spreadsheet takes it for a formula: an apostrophe goes
    before it. Source: OWASP, “CSV Injection”."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _jsonl(records: Sequence[Record], folder: Path, campaign: str, blind_only: bool) -> list[Path]:
    """Everything stored, of all campaigns, as it is stored: what ``restore --file`` reads."""
    return [_lines(folder / "records.jsonl", (dumps(record) + "\n" for record in records))]


def _parquet(records: Sequence[Record], folder: Path, campaign: str, blind_only: bool) -> list[Path]:
    path = folder / "votes.parquet"
    pq.write_table(pa.Table.from_pylist(list(rows(records, campaign)), schema=SCHEMA), path)
    return [path]


def _pairs(records: Sequence[Record], folder: Path, campaign: str, blind_only: bool) -> list[Path]:
    pairs = vote_pairs(records, campaign, blind_only=blind_only)
    return [_lines(folder / "pairs.jsonl", (clean(write_pair(pair)) for pair in pairs))]


def _dataset(records: Sequence[Record], folder: Path, campaign: str, blind_only: bool) -> list[Path]:
    data = folder / "dataset" / "data"
    data.mkdir(parents=True, exist_ok=True)
    files = [
        *_parquet(records, data, campaign, blind_only),
        *_pairs(records, data, campaign, blind_only),
    ]
    card = folder / "dataset" / "README.md"
    card.write_text(dataset_card(records, campaign), encoding="utf-8")
    return [card, *files]


def _lines(path: Path, lines: Iterable[str]) -> Path:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)
    return path


FORMATS: dict[str, Writer] = {
    "csv": _csv,
    "jsonl": _jsonl,
    "parquet": _parquet,
    "pairs": _pairs,
    "dataset": _dataset,
}

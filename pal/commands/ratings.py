"""``python -m pal ratings …``: what a host does with the ratings.

    python -m pal ratings progress
    python -m pal ratings statistics
    python -m pal ratings export --out exports
    python -m pal ratings restore

Which store: the settings of the app (``PAL_DATA``, ``DATABASE_URL``, ``PAL_SALT``).
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from pal.errors import PalError
from pal.settings import Settings

if TYPE_CHECKING:
    from pal.ratings.queue import AdminProgress
    from pal.ratings.statistics import Results, Summary
    from pal.statistics import Estimate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The sub-commands of ``ratings``."""
    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    tasks.add_parser("progress", help="how many votes each item and annotator has")
    statistics = tasks.add_parser("statistics", help="win rates, strengths, agreement, flags and biases")
    statistics.add_argument("--json", type=Path, help="write them to this file as well")
    statistics.add_argument("--all", action="store_true", help="also below the vote threshold")
    _which(statistics)
    export = tasks.add_parser("export", help="CSV, JSONL, Parquet, preference pairs and a Hub data set")
    export.add_argument("--out", type=Path, required=True, help="folder to write into")
    export.add_argument(
        "--format", help="comma-separated: csv, jsonl, parquet, pairs, dataset (default: all)"
    )
    export.add_argument("--push", metavar="REPO", help="upload the data set to the Hub, as a private one")
    export.add_argument("--public", action="store_true", help="make the data set public; needs --push")
    _which(export)
    restore = tasks.add_parser("restore", help="add what the backup holds and the store does not")
    restore.add_argument("--repo", help="the mirror (default: PAL_BACKUP_REPO)")
    restore.add_argument("--file", type=Path, nargs="+", help="JSONL files instead of the Hub's mirror")
    delete = tasks.add_parser("delete", help="delete everything of one annotator")
    delete.add_argument("code", help="the annotator id, such as k7qd-m2xv-9rtb-wf4h")
    scrub = tasks.add_parser(
        "scrub", help="take deleted people's lines out of the mirror; stop the app first"
    )
    scrub.add_argument("--repo", help="the mirror (default: PAL_BACKUP_REPO)")
    tasks.add_parser("salt", help="print the store's own salt: the PAL_SALT to set for a backup later")
    simulate = tasks.add_parser("simulate", help="the loop: simulated votes, pairs, alignment, margins")
    simulate.add_argument("--out", type=Path, required=True, help="a new folder for all of it")
    simulate.add_argument("--items", type=int, default=24, help="items each annotator rates (default: 24)")
    simulate.add_argument("--annotators", type=int, default=2, help="simulated annotators (default: 2)")
    simulate.add_argument("--steps", type=int, default=6, help="optimizer steps (default: 6)")
    simulate.add_argument("--recipe", default="cpu", help="recipe of the alignment (default: cpu)")
    simulate.add_argument("--start", type=Path, help="adapter to align (default: stage1 of PAL_ADAPTERS)")
    simulate.add_argument("--seed", type=int, default=1)


def _which(command: argparse.ArgumentParser) -> None:
    command.add_argument("--campaign", help="which campaign (default: the latest)")
    command.add_argument(
        "--blind-only", action="store_true", help="count the vote before the reveal where it was corrected"
    )


def run(args: argparse.Namespace) -> int:
    """Do what ``args.task`` names; returns the exit status."""
    settings = Settings.from_env(os.environ)
    return {
        "progress": _progress,
        "statistics": _statistics,
        "export": _export,
        "restore": _restore,
        "delete": _delete,
        "scrub": _scrub,
        "salt": _salt,
        "simulate": _simulate,
    }[args.task](args, settings)


@contextmanager
def _opened(settings: Settings) -> Iterator:
    from pal.ratings.store import open_store

    store = open_store(settings)
    try:
        yield store
    finally:
        store.close()


def _records(settings: Settings) -> list:
    from pal.ratings.store import all_records

    with _opened(settings) as store, store.read() as connection:
        return [record for _, record in all_records(connection)]


def _progress(args: argparse.Namespace, settings: Settings) -> int:
    from pal.ratings.ballots import campaigns
    from pal.ratings.items import read_items
    from pal.ratings.queue import Queue, QueueSettings, admin_progress

    items = read_items(settings.rating_items)
    known = campaigns(_records(settings))
    if not known:
        print("No ratings yet.")
        return 0
    queue = Queue(items, known[-1], QueueSettings(overlap=settings.rating_overlap))
    with _opened(settings) as store, store.read() as connection:
        show(progress_tables(admin_progress(connection, queue)))
    return 0


def _statistics(args: argparse.Namespace, settings: Settings) -> int:
    from pal.ratings.statistics import summary

    threshold = 1 if args.all else settings.rating_threshold
    statistics = summary(_records(settings), threshold, args.campaign, blind_only=args.blind_only)
    show(statistics_tables(statistics))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(statistics.to_json(), indent=1) + "\n", encoding="utf-8")
        print(f"Statistics: {args.json}")
    return 0


def _export(args: argparse.Namespace, settings: Settings) -> int:
    from pal.ratings.export import push, write

    formats = args.format.split(",") if args.format else None
    if args.public and not args.push:
        raise PalError("--public says how to push: give --push REPO too.")
    if args.push and formats and "dataset" not in formats:
        raise PalError("--push uploads the data set: add dataset to --format, or leave --format out.")
    records = _records(settings)
    for path in write(records, args.out, formats, args.campaign, blind_only=args.blind_only):
        print(path)
    if args.push:
        from huggingface_hub import HfApi

        print(push(args.out / "dataset", args.push, HfApi(), public=args.public))
    return 0


def _restore(args: argparse.Namespace, settings: Settings) -> int:
    from pal.ratings.restore import restore, restore_files

    with _opened(settings) as store:
        report = restore_files(store, args.file) if args.file else restore(store, *_mirror(args, settings))
    print(
        f"{report.restored} records restored; {report.present} were there already; {report.deleted} left out "
        f"because their annotator deleted them; {report.refused} refused because they contradict the store."
    )
    return 0


def _delete(args: argparse.Namespace, settings: Settings) -> int:
    from pal.ratings.annotators import delete_all, known
    from pal.ratings.records import now

    with _opened(settings) as store:
        print(f"{delete_all(store, known(store, args.code), now())} records deleted.")
    return 0


def _scrub(args: argparse.Namespace, settings: Settings) -> int:
    from pal.ratings.restore import scrub

    print(f"{scrub(*_mirror(args, settings))} files of the mirror written anew.")
    return 0


def _salt(args: argparse.Namespace, settings: Settings) -> int:
    with _opened(settings) as store:
        print(store.salt)
    return 0


def _mirror(args: argparse.Namespace, settings: Settings) -> tuple:
    from huggingface_hub import HfApi

    repo = args.repo or settings.backup_repo
    if not repo:
        raise PalError("Which mirror? Set PAL_BACKUP_REPO or give --repo.")
    return repo, HfApi()


def _simulate(args: argparse.Namespace, settings: Settings) -> int:
    from pal.ratings.simulate import run_loop
    from pal.training.recipe import load_recipe, settled

    loop = run_loop(
        settings,
        settled(load_recipe(args.recipe, "align", {"steps": args.steps})),
        args.out,
        annotators=args.annotators,
        items=args.items,
        seed=args.seed,
        start=args.start,
    )
    before, after = loop.before, loop.after
    print(f"Adapter: {args.out / 'aligned' / 'adapter'}; record: {args.out / 'aligned' / 'record.json'}")
    print(f"{loop.votes} votes, {loop.pairs} pairs, {args.steps} steps.")
    print(f"log p(chosen) - log p(rejected): {before.mean:.3f} before, {after.mean:.3f} after.")
    print(f"Chosen reply more probable: {before.preferred:.1%} before, {after.preferred:.1%} after.")
    print(f"Margins: {args.out / 'margins.json'}")
    return 0


def show(tables: Sequence[Table | str]) -> None:
    """Print them."""
    console = Console(markup=False)
    for table in tables:
        console.print(table)


def interval(estimate: Estimate, digits: int = 3) -> str:
    """Such as ``0.610 (0.552–0.667)``; – where there is no value."""
    if math.isnan(estimate.value):
        return "–"
    value = f"{estimate.value:.{digits}f}"
    if math.isnan(estimate.low):
        return value
    return f"{value} ({estimate.low:.{digits}f}–{estimate.high:.{digits}f})"


def progress_tables(progress: AdminProgress) -> list[Table | str]:
    """One row per annotator, and the campaign's counts."""
    people = _table("annotator", "rated", "skipped", "corrected", "last")
    for row in progress.annotators:
        last = row.last.isoformat(timespec="minutes") if row.last else "–"
        people.add_row(row.annotator[:8], str(row.rated), str(row.skipped), str(row.corrected), last)
    return [
        f"Campaign {progress.campaign}: {progress.ratings} votes; {progress.full} of {progress.items} items "
        "have all their votes.",
        people,
    ]


def statistics_tables(summary: Summary) -> list[Table | str]:
    """The leaderboard and everything beside it, or how many votes are missing."""
    head = (
        f"Campaign {summary.campaign or '–'}: {summary.votes} votes on {summary.turns} turns "
        f"by {summary.annotators} annotators; {summary.skipped} skipped, "
        f"{summary.corrected} corrected after the reveal."
    )
    if summary.others:
        head += f"\n{summary.others_in_words}"
    if summary.results is None:
        return [head, f"Statistics are shown from {max(summary.threshold, 1)} votes on."]
    return [head, *_results(summary.results)]


def _results(results: Results) -> list[Table | str]:
    board = _table("model", "win rate", "Bradley-Terry", "first", "mean rank")
    for row in results.variants:
        board.add_row(
            row.variant, *map(interval, (row.win_rate, row.strength, row.first)), interval(row.mean_rank, 2)
        )
    pairs = _table("pair", "won", "tied", "lost", "win rate")
    for pair in results.pairs:
        counts = map(str, (pair.won, pair.tied, pair.lost))
        pairs.add_row(f"{pair.one} / {pair.other}", *counts, interval(pair.win_rate))
    flags = _table("model", "flag", "replies that", "rated", "flagged")
    for rate in results.flags:
        flags.add_row(rate.variant, rate.flag, rate.kind, str(rate.replies), interval(rate.rate))
    checks = _table("check", "value")
    for name, value in (
        (f"alpha, nominal ({results.agreement.turns} turns)", interval(results.agreement.nominal)),
        ("alpha, ordinal", interval(results.agreement.ordinal)),
        ("self-agreement", interval(results.self_agreement)),
        ("gold items right", interval(results.gold_accuracy)),
        ("all bad", interval(results.all_bad)),
        *((f"first places, column {n}", interval(share)) for n, share in enumerate(results.positions, 1)),
        ("seconds a vote (quartiles)", " / ".join(f"{seconds:.0f}" for seconds in results.seconds)),
    ):
        checks.add_row(name, value)
    return [board, pairs, checks, flags]


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(column)
    return table

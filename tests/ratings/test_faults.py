"""Faults that really happen: a killed process, two at once, a full disk, a lost connection."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import text

from pal.errors import StoreFull, StoreLocked
from pal.ratings.database import WRITER_LOCK
from pal.ratings.queries import Showing, put_showing
from pal.ratings.records import Rating
from pal.ratings.store import RatingStore, insert
from tests.ratings import scene

REPOSITORY = Path(__file__).parents[2]


def prepared(url, turns):
    """A store with so many turns shown to one annotator."""
    desk = scene.desk(url, [scene.item(1)])
    who = scene.annotator(desk)
    with desk.store.write() as connection:
        for _ in range(turns):
            turn = scene.turn(owner=who)
            insert(connection, turn)
            put_showing(connection, who, turn.id, Showing(turn.variants, turn.created_at))
    desk.close()
    return who


def writer(url, who, prefix):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.ratings.writer", url, who, prefix],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def acknowledged(process, kill_after=None):
    """The submissions the process had acknowledged, until its end or its kill."""
    assert process.stdout.readline() == "ready\n"
    found = []
    for line in process.stdout:
        if not line.endswith("\n"):
            break
        found.append(line.strip())
        if len(found) == kill_after:
            process.send_signal(signal.SIGKILL)
    process.stdout.close()
    status = process.wait(timeout=60)
    assert status == (0 if kill_after is None else -signal.SIGKILL)
    return found


def ratings(url):
    store = RatingStore(url)
    with store.read() as connection:
        bodies = connection.scalars(text("SELECT body FROM ratings")).all()
    store.close()
    from pal.ratings.records import loads

    return [loads(body) for body in bodies]


def active(found: list[Rating]) -> Counter:
    """How many active ratings each turn has."""
    superseded = {rating.supersedes for rating in found}
    return Counter(rating.turn_id for rating in found if rating.id not in superseded)


def test_every_acknowledged_rating_survives_kill_9_exactly_once(url):
    who = prepared(url, 1000)
    seen = set()
    for kill_after in (137, 420, None):  # each start sends everything again
        seen |= set(acknowledged(writer(url, who, "vote"), kill_after))
        found = ratings(url)
        submissions = Counter(rating.submission for rating in found)
        assert seen <= set(submissions)
        assert set(submissions.values()) == {1} and set(active(found).values()) == {1}
    assert len(seen) == len(found) == 1000
    if url.startswith("sqlite"):
        path = url.removeprefix("sqlite:///")
        assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_two_processes_at_once_lose_nothing_and_double_nothing(url):
    who = prepared(url, 60)
    same = [writer(url, who, "same"), writer(url, who, "same")]
    assert [len(acknowledged(process)) for process in same] == [60, 60]
    assert len(ratings(url)) == 60
    different = [writer(url, who, "left"), writer(url, who, "right")]
    lines = [line for process in different for line in acknowledged(process)]
    found = ratings(url)
    assert len(lines) == len(set(lines)) == 120 and len(found) == 180
    assert len(active(found)) == 60 and set(active(found).values()) == {1}
    assert sum(rating.supersedes is None for rating in found) == 60


def fill(desk, who):
    """Vote until the store refuses; the votes that were acknowledged, and the refused one."""
    turn_id = scene.shown(desk, who).turn_id
    kept = []
    for _ in range(3000):
        vote = scene.vote(turn_id, comment="x" * 1900)
        try:
            desk.submit(who, vote)
        except StoreFull:
            return kept, vote
        kept.append(vote.submission)
    raise AssertionError("the disk never filled up")


def test_a_full_database_refuses_and_keeps_what_it_acknowledged(tmp_path):
    url = f"sqlite:///{tmp_path / 'ratings.sqlite3'}"
    desk = scene.desk(url, [scene.item(1)])
    who = scene.annotator(desk)
    engine = desk.store.database.engine
    with engine.connect() as connection:  # the pool's only connection
        connection.exec_driver_sql("PRAGMA max_page_count = 90")
    kept, refused = fill(desk, who)
    assert kept and [rating.submission for rating in ratings(url)] == kept
    assert desk.votes(who)[0].submission == kept[-1]
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 10000")
    assert desk.submit(who, refused).submission == refused.submission
    assert [rating.submission for rating in ratings(url)] == [*kept, refused.submission]
    desk.close()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_refuses_and_keeps_what_it_acknowledged(small_disk):
    url = f"sqlite:///{small_disk / 'ratings.sqlite3'}"
    desk = scene.desk(url, [scene.item(1)])
    who = scene.annotator(desk)
    kept, _ = fill(desk, who)
    assert desk.votes(who)[0].submission == kept[-1]
    desk.close()
    assert [rating.submission for rating in ratings(url)] == kept


def test_a_full_server_says_so(postgres_url):
    desk = scene.desk(postgres_url, [scene.item(1)])
    who = scene.annotator(desk)
    vote = scene.vote(scene.shown(desk, who).turn_id)
    with desk.store.write() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$"
        )
        connection.exec_driver_sql(
            "CREATE TRIGGER z BEFORE INSERT ON journal FOR EACH ROW EXECUTE FUNCTION full()"
        )
    with pytest.raises(StoreFull, match="No space"):
        desk.submit(who, vote)
    assert desk.votes(who) == []
    with desk.store.write() as connection:
        connection.exec_driver_sql("DROP TRIGGER z ON journal")
    desk.submit(who, vote)
    assert len(desk.votes(who)) == 1
    desk.close()


def test_a_store_that_stays_locked_says_so_and_works_again(url):
    patient = scene.desk(url, [scene.item(1)])
    who = scene.annotator(patient)
    vote = scene.vote(scene.shown(patient, who).turn_id)
    hasty = RatingStore(url, patience=0.2)
    holder = RatingStore(url)
    lock = f"SELECT pg_advisory_xact_lock({WRITER_LOCK})"
    with holder.write() as connection:
        connection.exec_driver_sql("SELECT 1" if url.startswith("sqlite") else lock)
        with pytest.raises(StoreLocked, match="not saved"), hasty.write():
            pass
        with hasty.read() as reading:
            assert reading.scalar(text("SELECT count(*) FROM ratings")) == 0
    with hasty.write():
        pass
    patient.submit(who, vote)
    for store in (hasty, holder):
        store.close()
    patient.close()


def test_a_lost_connection_is_made_again(postgres_url):
    desk = scene.desk(postgres_url, [scene.item(1)])
    who = scene.annotator(desk)
    turn_id = scene.shown(desk, who).turn_id
    other = RatingStore(postgres_url)
    with other.write() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    desk.submit(who, scene.vote(turn_id))
    assert len(desk.votes(who)) == 1
    other.close()
    desk.close()

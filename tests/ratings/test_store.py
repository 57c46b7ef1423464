"""The store: append-only in the database itself, of one version, private."""

import functools
import json
import sqlite3

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from pal.errors import DataError, SchemaError, StoreError, UnknownAnnotator
from pal.ratings import queries, schema
from pal.ratings.annotators import new_code, normal_code
from pal.ratings.database import VERSION, Database, ensure_schema
from pal.ratings.records import Consent, Deletion, Rating, Reveal, dumps, from_json, loads, to_json
from pal.ratings.store import RatingStore, insert, open_store
from pal.settings import Settings
from tests.ratings import scene


@pytest.fixture
def rated(url):
    """A desk with one rated turn, its store and its annotator's id."""
    desk = scene.desk(url, [scene.item(1)])
    code = desk.new_annotator()
    who = desk.enrol(code, "1", "203.0.113.9")
    turn_id = scene.shown(desk, who).turn_id
    desk.submit(who, scene.vote(turn_id, comment="fine"))
    desk.reveal(who, turn_id)
    yield desk, desk.store, code
    desk.close()


def raw(store, statement):
    """Run a statement past all of PAL's code."""
    with store.database.engine.begin() as connection:
        connection.exec_driver_sql(statement)


TABLES = ("turns", "ratings", "consents", "reveals", "journal")


def test_no_row_can_be_changed_or_deleted(rated):
    desk, store, _ = rated
    before = desk.records()
    for table in TABLES:
        column = "kind" if table == "journal" else "body"
        with pytest.raises(DBAPIError, match="append-only"):
            raw(store, f"UPDATE {table} SET {column} = 'x'")
        with pytest.raises(DBAPIError, match="append-only"):
            raw(store, f"DELETE FROM {table}")
    assert desk.records() == before


def test_no_table_can_be_emptied_at_once(postgres_url):
    store = RatingStore(postgres_url)
    for table in (*TABLES, "deletions"):
        with pytest.raises(DBAPIError, match="append-only"):
            raw(store, f"TRUNCATE {table} CASCADE")
    store.close()


def test_a_row_cannot_be_replaced(tmp_path):
    store = RatingStore(f"sqlite:///{tmp_path / 'ratings.sqlite3'}")
    with store.write() as connection:
        insert(connection, Consent("a" * 32, "1", id="one"))
    with pytest.raises(DBAPIError, match="append-only"):
        raw(store, "INSERT OR REPLACE INTO consents VALUES ('one', 'x', '1', '{}')")
    store.close()


def test_the_database_refuses_a_second_active_rating(rated):
    _, store, _ = rated
    with store.read() as connection:
        rating = loads(connection.scalar(text("SELECT body FROM ratings")))
    for changes in (
        {"id": "b", "submission": "another-one"},  # a second root
        {"id": "b"},  # the same submission
        {"id": "b", "submission": "another-one", "supersedes": "nothing"},
        {"id": "b", "submission": "another-one", "consent": "none"},
        {"id": "b", "submission": "another-one", "turn_id": "none"},
    ):
        values = {**to_json(rating), **changes}
        with pytest.raises(IntegrityError), store.write() as connection:
            insert(connection, from_json(values))
    later = {**to_json(rating), "id": "b", "submission": "another-one", "supersedes": rating.id}
    with store.write() as connection:
        insert(connection, from_json(later))
    with pytest.raises(IntegrityError), store.write() as connection:
        insert(connection, from_json({**later, "id": "c", "submission": "a-third-one"}))


def test_every_record_reads_back_as_it_was_written(rated):
    desk, _, _ = rated
    records = desk.records()
    assert [record.kind for record in records] == ["consent", "turn", "rating", "reveal"]
    assert [loads(dumps(record)) for record in records] == records
    assert loads(dumps(Deletion("x"))).annotator == "x"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "{}",
        '{"kind": "vote"}',
        '{"kind": "reveal"}',
        '{"kind": "deletion", "annotator": "x", "y": 1}',
    ],
)
def test_a_line_that_is_no_record_is_refused(line):
    with pytest.raises(DataError, match="Not a record"):
        loads(line)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("user",), 7, "turn.user: Input should be a valid string"),
        (("created_at",), "yesterday", "turn.created_at: Input should be a valid datetime"),
        (("history", 0, "mood"), "glad", "turn.history.0: .*unknown field mood"),
        (("decoding", "beams"), 3, "turn.decoding: .*unknown field beams"),
        (("persona", "sentences"), "I sail.", "turn.persona.sentences: Input should be a valid tuple"),
        (
            ("replies", 1, "probabilities", 2),
            "much",
            "turn.replies.1.probabilities.2: Input should be a valid",
        ),
        (("provenance", "weather"), "fine", "turn.provenance.weather: Unexpected keyword argument"),
    ],
)
def test_a_value_of_another_type_is_refused_and_named(path, value, words):
    content = json.loads(dumps(scene.turn(scene.item(1))))
    *above, last = path
    functools.reduce(lambda at, name: at[name], above, content)[last] = value
    with pytest.raises(DataError, match=f"Not a record of ratings .{words}"):
        loads(json.dumps(content))


def test_ids_and_addresses_are_stored_as_salted_hashes_only(rated):
    desk, store, code = rated
    content = json.dumps([to_json(record) for record in desk.records()])
    assert code not in content and "203.0.113.9" not in content
    assert store.annotator(code) in content and store.origin("203.0.113.9") in content
    assert store.annotator(code) != store.origin(code)


def test_another_salt_gives_other_hashes_and_is_refused_for_the_same_store(tmp_path):
    url = f"sqlite:///{tmp_path / 'ratings.sqlite3'}"
    kept = RatingStore(url)
    again = RatingStore(url)
    assert kept.annotator("x") == again.annotator("x")
    with pytest.raises(StoreError, match="PAL_SALT"):
        RatingStore(url, salt="another salt of the host")
    given = RatingStore(f"sqlite:///{tmp_path / 'other.sqlite3'}", salt="a salt of the host's own")
    assert given.annotator("x") != kept.annotator("x")
    with pytest.raises(StoreError, match="PAL_SALT"):
        RatingStore(f"sqlite:///{tmp_path / 'other.sqlite3'}")


def test_deleting_leaves_a_tombstone_and_nothing_else(rated):
    desk, store, code = rated
    who = desk.resume(code)
    own = desk.add_turn(who, scene.turn(owner=who)).turn_id
    desk.submit(who, scene.vote(own))
    other = scene.annotator(desk)
    shared = scene.shown(desk, other).turn_id
    desk.submit(other, scene.vote(shared))
    assert desk.delete_my_data(code) == 5  # consent, two ratings, a reveal, their own turn
    assert sorted(record.kind for record in desk.records()) == [
        "consent",
        "deletion",
        "rating",
        "turn",
    ]
    assert [rating.annotator for rating in desk.records() if isinstance(rating, Rating)] == [other]
    for again in (lambda: desk.resume(code), lambda: desk.my_data(code), lambda: desk.delete_my_data(code)):
        with pytest.raises(UnknownAnnotator):
            again()
    with pytest.raises(UnknownAnnotator, match="deleted"):
        desk.enrol(code, "1")
    with pytest.raises(DBAPIError, match="append-only"):
        raw(store, f"INSERT INTO consents VALUES ('x', '{who}', '1', '{{}}')")
    with pytest.raises(DBAPIError, match="append-only"):
        raw(store, "DELETE FROM deletions")


def test_deleted_text_is_gone_from_the_files(tmp_path):
    desk = scene.desk(f"sqlite:///{tmp_path / 'ratings.sqlite3'}", [scene.item(1)])
    code = desk.new_annotator()
    who = desk.enrol(code, "1")
    desk.submit(who, scene.vote(scene.shown(desk, who).turn_id, comment="unmistakable words"))

    def found():
        return any(b"unmistakable words" in path.read_bytes() for path in tmp_path.iterdir())

    assert found()
    desk.delete_my_data(code)
    assert not found()
    desk.close()


def test_my_data_is_complete_and_names_no_variant(rated):
    desk, _, code = rated
    who = desk.resume(code)
    own = desk.add_turn(who, scene.turn(owner=who))
    desk.submit(who, scene.vote(own.turn_id, (2, 1, 3)))
    data = json.loads(json.dumps(desk.my_data(code)))
    assert [rating["ranks"] for rating in data["ratings"]] == [[1, 2, 3], [2, 1, 3]]
    assert [record["kind"] for record in data["records"]] == ["consent", "reveal"]
    assert data["own_turns"][0]["replies"] == list(own.replies)
    assert not [name for name in ("baseline", "stage1", "aligned", "order_seed") if name in json.dumps(data)]


def test_an_annotator_id_is_read_however_it_is_typed():
    code = new_code()
    assert normal_code(f"  {code.upper().replace('-', ' ')} ") == code
    assert len({new_code() for _ in range(100)}) == 100
    for wrong in (None, "", "abc", code + "x", code[:-1] + "0", "x" * 10_000):
        with pytest.raises(UnknownAnnotator, match="four groups"):
            normal_code(wrong)


def test_a_store_of_a_newer_version_or_of_something_else_is_refused(url):
    database = Database(url)
    ensure_schema(database, VERSION + 1)
    with pytest.raises(SchemaError, match="Use a newer PAL"):
        ensure_schema(database)
    with database.write() as connection:
        connection.execute(schema.meta.update().values(value="?"))
    with pytest.raises(SchemaError, match="no store"):
        ensure_schema(database)
    database.close()


def test_a_damaged_file_is_refused_in_one_line(tmp_path):
    path = tmp_path / "ratings.sqlite3"
    path.write_bytes(b"not a database at all, but long enough to look at" * 100)
    with pytest.raises(StoreError, match="not a database"):
        RatingStore(f"sqlite:///{path}")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="set PAL_DATA"):
        open_store(Settings(data=tmp_path / "file" / "below"))


def test_a_missing_server_is_one_line_without_the_password(tmp_path):
    url = f"postgresql+psycopg://pal:hidden@/pal?host={tmp_path}"
    with pytest.raises(StoreError) as caught:
        RatingStore(url, patience=2)
    assert "cannot be reached" in str(caught.value) and "hidden" not in str(caught.value)


def test_sqlite_waits_for_the_disk(tmp_path):
    store = open_store(Settings(data=tmp_path / "new" / "folder"))
    with store.read() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA synchronous")) == 2
    store.close()
    assert sqlite3.connect(tmp_path / "new" / "folder" / "ratings.sqlite3").execute(
        "SELECT value FROM meta WHERE key = 'version'"
    ).fetchone() == (str(VERSION),)


def test_reveals_and_consents_are_found(rated):
    desk, store, code = rated
    who = desk.resume(code)
    with store.read() as connection:
        assert isinstance(queries.find_reveal(connection, who, desk.votes(who)[0].turn_id), Reveal)
        assert queries.find_consent(connection, who, "1").origin == store.origin("203.0.113.9")
        assert queries.find_consent(connection, who, "2") is None

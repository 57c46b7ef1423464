"""The store's tables, and the triggers that keep them append-only.

A rating's whole content is its ``body`` (``records.dumps``); the other columns
repeat what the database itself has to check. Per annotator and turn the ratings
are one chain: one root, and each superseded at most once, so exactly one is active.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

meta = Table("meta", metadata, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))

deletions = Table(
    "deletions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("annotator", Text, nullable=False, unique=True),
    Column("body", Text, nullable=False),
)

consents = Table(
    "consents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("annotator", Text, nullable=False),
    Column("notice", Text, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("annotator", "notice"),
    UniqueConstraint("id", "annotator"),
)

turns = Table(
    "turns",
    metadata,
    Column("id", Text, primary_key=True),
    Column("campaign", Text, nullable=False),
    Column("item", Text),
    Column("owner", Text, index=True),
    Column("repeat_of", Text, ForeignKey("turns.id"), unique=True),
    Column("body", Text, nullable=False),
)
_first = turns.c.item.is_not(None) & turns.c.repeat_of.is_(None)
_first_only = {"sqlite_where": _first, "postgresql_where": _first}
Index("one_turn_per_item", turns.c.campaign, turns.c.item, unique=True, **_first_only)

ratings = Table(
    "ratings",
    metadata,
    Column("id", Text, primary_key=True),
    Column("turn_id", Text, ForeignKey("turns.id"), nullable=False, index=True),
    Column("annotator", Text, nullable=False),
    Column("submission", Text, nullable=False),
    Column("supersedes", Text, unique=True),
    Column("consent", Text, nullable=False),
    Column("skip", Boolean, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("annotator", "submission"),
    UniqueConstraint("id", "annotator", "turn_id"),
    ForeignKeyConstraint(
        ["supersedes", "annotator", "turn_id"], ["ratings.id", "ratings.annotator", "ratings.turn_id"]
    ),
    ForeignKeyConstraint(["consent", "annotator"], ["consents.id", "consents.annotator"]),
)
_root = ratings.c.supersedes.is_(None)
_root_only = {"sqlite_where": _root, "postgresql_where": _root}
Index("one_root", ratings.c.annotator, ratings.c.turn_id, unique=True, **_root_only)

reveals = Table(
    "reveals",
    metadata,
    Column("id", Text, primary_key=True),
    Column("annotator", Text, nullable=False),
    Column("turn_id", Text, ForeignKey("turns.id"), nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("annotator", "turn_id"),
)

journal = Table(
    "journal",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("record", Text, nullable=False),
    UniqueConstraint("kind", "record"),
    sqlite_autoincrement=True,
)

# What is being done now; not records, so they may change.
showings = Table(
    "showings",
    metadata,
    Column("annotator", Text, primary_key=True),
    Column("turn_id", Text, ForeignKey("turns.id"), primary_key=True),
    Column("order_shown", Text, nullable=False),
    Column("shown_at", Text, nullable=False),
)
leases = Table(
    "leases",
    metadata,
    Column("annotator", Text, primary_key=True),
    Column("campaign", Text, primary_key=True),
    Column("item", Text, primary_key=True),
    Column("expires_at", Text, nullable=False),
    Column("put_back", Boolean, nullable=False, default=False),
)
mirrors = Table(
    "mirrors", metadata, Column("repo", Text, primary_key=True), Column("seq", BigInteger, nullable=False)
)

RECORD_TABLES = {
    "deletion": deletions,
    "consent": consents,
    "turn": turns,
    "rating": ratings,
    "reveal": reveals,
}
_PERSON = {"consents": "annotator", "turns": "owner", "ratings": "annotator", "reveals": "annotator"}
_FIXED = ("deletions", *_PERSON, "journal")


def triggers(dialect: str) -> list[str]:
    """Statements that make the record tables append-only in the database itself.

    No row is ever updated. A row is deleted only when its person has a row in
    ``deletions``, and from then on nothing of that person is inserted.
    """
    make = {"sqlite": _sqlite, "postgresql": _postgresql}[dialect]
    return [statement for table in _FIXED for statement in make(table, _PERSON.get(table))]


def _gone(row: str, person: str) -> str:
    return f"EXISTS (SELECT 1 FROM deletions WHERE annotator = {row}.{person})"


def _sqlite(table: str, person: str | None) -> list[str]:
    def refuse(event: str, condition: str = "") -> str:
        return (
            f"CREATE TRIGGER {table}_no_{event} BEFORE {event} ON {table} {condition} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )

    if person is None:
        return [refuse("update"), refuse("delete")]
    return [
        refuse("update"),
        refuse("delete", f"WHEN NOT {_gone('OLD', person)}"),
        refuse("insert", f"WHEN {_gone('NEW', person)}"),
    ]


def _postgresql(table: str, person: str | None) -> list[str]:
    allow = ""
    if person is not None:
        allow = (
            f"IF TG_OP = 'DELETE' THEN IF {_gone('OLD', person)} THEN RETURN OLD; END IF; END IF; "
            f"IF TG_OP = 'INSERT' THEN IF NOT {_gone('NEW', person)} THEN RETURN NEW; END IF; END IF; "
        )
    events = "UPDATE OR DELETE" if person is None else "UPDATE OR DELETE OR INSERT"
    return [
        f"CREATE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"{allow}RAISE EXCEPTION '{table} is append-only'; END $$",
        f"CREATE TRIGGER {table}_rows BEFORE {events} ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {table}_append_only()",
        f"CREATE TRIGGER {table}_whole BEFORE TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()",
    ]

"""Making a new store, and bringing an older one up to date.

``MIGRATIONS[n]`` holds the statements, per dialect, that turn version n-1 into n.
A store is made or migrated in one transaction: completely, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, inspect, select, text

from pal.ratings import schema
from pal.ratings.database import Database
from pal.ratings.errors import SchemaError

VERSION = 1
Statements = Mapping[str, Sequence[str]]
MIGRATIONS: dict[int, Statements] = {}


def ensure_schema(
    database: Database, version: int = VERSION, migrations: Mapping[int, Statements] | None = None
) -> None:
    """Make the tables in an empty database, or migrate an older store.

    Raises:
        SchemaError: a newer PAL wrote the store, or it is something else.
    """
    migrations = MIGRATIONS if migrations is None else migrations
    with database.write() as connection:
        found = _version(connection, database)
        if found is None:
            _create(connection, database.dialect, version)
        elif found > version:
            raise SchemaError(
                f"{database.name} has version {found}; this PAL knows version {version}. Use a newer PAL."
            )
        else:
            for step in range(found + 1, version + 1):
                for statement in migrations[step][database.dialect]:
                    connection.execute(text(statement))
            connection.execute(
                schema.meta.update().where(schema.meta.c.key == "version").values(value=str(version))
            )


def _version(connection: Connection, database: Database) -> int | None:
    tables = set(inspect(connection).get_table_names())
    if not tables & set(schema.metadata.tables):
        return None
    value = None
    if "meta" in tables:
        value = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.key == "version"))
    if value is None or not value.isdecimal():
        raise SchemaError(f"{database.name} holds something that is no store of PAL's ratings.")
    return int(value)


def _create(connection: Connection, dialect: str, version: int) -> None:
    schema.metadata.create_all(connection)
    for statement in schema.triggers(dialect):
        connection.exec_driver_sql(statement)
    connection.execute(schema.meta.insert().values(key="version", value=str(version)))

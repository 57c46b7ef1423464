"""Stores on both databases: every test with ``url`` runs on SQLite and PostgreSQL."""

import os

import pytest

from tests.ratings import postgres


@pytest.fixture(scope="session")
def postgres_socket():
    """Folder of a real PostgreSQL server's socket."""
    programs = postgres.binaries()
    if programs is None:
        if os.environ.get("PAL_REQUIRE_POSTGRESQL"):
            pytest.fail("no PostgreSQL server installed, and PAL_REQUIRE_POSTGRESQL is set")
        pytest.skip("no PostgreSQL server installed (Debian: postgresql)")
    with postgres.server(programs) as socket:
        yield socket


@pytest.fixture
def postgres_url(postgres_socket):
    """Address of a new PostgreSQL database."""
    return postgres.new_database(postgres_socket)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """Address of a new, empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ratings.sqlite3'}"
    return request.getfixturevalue("postgres_url")

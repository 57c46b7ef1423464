"""A real PostgreSQL server for tests: own data folder, one unix socket, no network."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg

USER = "postgres"


def binaries() -> Path | None:
    """The folder of the server's programs, or None when there is no server, or
    nobody to run it: it refuses to run as root, and Debian's package brings a user."""
    if os.geteuid() == 0 and USER not in {entry.pw_name for entry in pwd.getpwall()}:
        return None
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return folders[-1].parent if folders else None


def _user() -> dict[str, str]:
    return {"user": USER, "group": USER} if os.geteuid() == 0 else {}


@contextlib.contextmanager
def server(programs: Path) -> Iterator[Path]:
    """A running server; gives the folder of its socket."""
    user = _user()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    if user:
        shutil.chown(folder, **user)

    def run(*command: str) -> None:
        with (folder / "log").open("ab") as log:  # pg_ctl's server keeps a pipe open for ever
            subprocess.run(
                command, check=True, stdout=log, stderr=log, cwd=folder, env={"LC_ALL": "C.UTF-8"}, **user
            )

    (folder / "log").touch()
    data = str(folder / "data")
    try:
        run(str(programs / "initdb"), "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync")
        options = (
            f"-k {folder} -c listen_addresses='' -c shared_buffers=16MB -c max_connections=40 "
            "-c fsync=off -c autovacuum=off"  # tests kill clients, never the server
        )
        run(str(programs / "pg_ctl"), "-D", data, "-w", "-o", options, "start")
        try:
            yield folder
        finally:
            run(str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def new_database(socket: Path) -> str:
    """The address of a new, empty database."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(f"host={socket} user=postgres dbname=postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql+psycopg://postgres@/{name}?host={socket}"

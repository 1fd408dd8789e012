"""A journal that commands are tried on: its address, and its tables for damage that no program does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from callboard import Agency, Agent, Request
from callboard.actors.agents.turns.encoding.codec import RunCodec
from callboard.actors.journal import Journal
from callboard.actors.journal.postgres import PostgresJournal
from callboard.actors.journal.sqlite import SqliteJournal
from tests.durable.support import function
from tests.postgres import Server


@dataclass(frozen=True)
class Place:
    """Where a journal is."""

    address: str

    @property
    def is_file(self) -> bool:
        return "://" not in self.address

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """What an SQL statement gives."""
        if self.is_file:
            with closing(sqlite3.connect(self.address)) as file, file:
                return file.execute(statement).fetchall()
        import psycopg

        with psycopg.connect(self.address, options="-c search_path=callboard") as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def journal(self) -> Iterator[Journal]:
        """The journal as another program has it open."""
        codec = RunCodec()
        journal: SqliteJournal | PostgresJournal
        if self.is_file:
            journal = SqliteJournal(self.address, codec)
        else:  # where the end of a process is seen when its lease ends
            journal = PostgresJournal(self.address, codec, lease=1.0)
        try:
            yield journal
        finally:
            journal.close()

    async def fill(self, *conversations: str) -> None:
        """Have conversations of an agent A, of one run each."""

        def model(request: Request) -> str:
            return "hello"

        async with Agency(Agent("A", "a"), model=function(model), journal=self.address) as agency:
            for conversation in conversations:
                await agency.run("hi", conversation=conversation)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A place for a journal, in a file and in a database."""
    if request.param == "sqlite":
        yield Place(str(tmp_path / "journal.db"))
        return
    server: Server = request.getfixturevalue("postgres")
    name = f"cli_{uuid4().hex[:12]}"
    server.execute(f"CREATE DATABASE {name}")
    yield Place(server.url.replace("/postgres?", f"/{name}?"))
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")

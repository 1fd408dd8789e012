"""The skill ``database``: an SQL database by SQLAlchemy (the extra ``database``), read-only unless told otherwise.

What a model writes is one statement with bound parameters. Each call has a connection and a transaction of its own: a
statement may change the session that it runs in (``set_config``), and the next call is not to inherit that. Reading is
kept by the database itself: PostgreSQL by ``READ ONLY`` transactions, SQLite by opening the file so.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

from .....providers.checks import COUNT, FLAG, NAME, SOME_SECONDS
from .....providers.wire.secrets import blot
from .....tools.errors import MissingExtra, ToolError
from .....tools.function_tool import tool
from .....tools.threads import in_thread
from .....tools.tool import Tool
from ...errors import DefinitionError
from ...wishes import AGENT_NAME, define
from ..context import SkillContext
from ..skill import Skill

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, CursorResult, Engine

MOST_TABLES: Final = 200
"""Tables that a model is told of at once."""
LONGEST_VALUE: Final = 2_000
"""Characters of one value that a model sees."""

_READING: Final = ("select", "with", "values", "table", "explain", "show")
_STREAMED: Final = ("select", "with", "values", "table")
_BEGINNING: Final = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/|\()*([A-Za-z]*)", re.DOTALL)
_READ_ONLY: Final = ("postgresql", "sqlite")
"""What keeps reading by itself."""


class DatabaseSkill(Skill):
    """Questions to an SQL database. Its tools are called after it: ``database_tables``, ``database_query``, and
    ``database_execute`` where it may be changed.

    Args:
        url: as SQLAlchemy takes it: ``sqlite:///orders.db``, ``postgresql+psycopg://…``; no error shows its password.
            Or the path of an SQLite file.
        read_only: whether nothing may be changed. That is kept for PostgreSQL and SQLite.
        max_rows: rows of one answer.
        seconds: that a statement may take.
        name: of the skill, and how its tools' names begin.

    Raises:
        DefinitionError: the address is none, reading cannot be kept for that kind, or an argument is of the wrong type.
        MissingExtra: SQLAlchemy is not installed.
    """

    def __init__(
        self,
        url: str | Path,
        *,
        read_only: bool = True,
        max_rows: int = 200,
        seconds: float = 30.0,
        name: str = "database",
    ) -> None:
        define("a database skill", name=(name, AGENT_NAME))
        whose = f"skill {name}"
        define(
            whose,
            url=(str(url) if isinstance(url, Path) else url, NAME),
            read_only=(read_only, FLAG),
            max_rows=(max_rows, COUNT),
            seconds=(seconds, SOME_SECONDS),
        )
        self._url = _address(url, read_only, whose)
        self._read_only = read_only
        self._max_rows = max_rows
        self._seconds = float(seconds)
        self._engine: Engine | None = None
        made: dict[str, Any] = {"timeout": seconds + 10, "max_result": 100_000}
        reading = {**made, "risk": "safe", "idempotent": True}
        tools: list[Tool] = [
            tool(name=f"{name}_tables", **reading)(self.tables),
            tool(name=f"{name}_query", **reading)(self.query),
        ]
        if not read_only:
            tools.append(tool(name=f"{name}_execute", risk="risky", **made)(self.execute))
        super().__init__(
            name,
            f"Look at {name}_tables before you ask {name}_query. Values never stand in a statement: write :name, and "
            "give it as a parameter.",
            tools,
            description=f"Asks the {self._url.get_backend_name()} database {self._url.database or name!r}."
            if self._url.get_backend_name() != "sqlite"
            else "Asks an SQLite database.",
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}, {self._url.get_backend_name()}>"

    async def initialize(self, context: SkillContext) -> None:
        """Connect once, so that a wrong address is known at the start."""
        self._engine = await in_thread(self._connected)

    async def close(self) -> None:
        """Nothing is left open between calls."""
        self._engine = None

    def tables(self, table: str = "") -> str:
        """The tables and views that there are, with their columns; of one alone also its keys.

        Args:
            table: the name of one; empty for all.
        """
        from sqlalchemy import inspect

        with self._explained(), self._begun() as connection:
            look = inspect(connection)
            names = [*look.get_table_names(), *look.get_view_names()]
            if not table:
                shown = [f"{name}({', '.join(_columns(look, name))})" for name in names[:MOST_TABLES]]
                more = [f"… and {len(names) - MOST_TABLES} more"] if len(names) > MOST_TABLES else []
                return "\n".join([*shown, *more]) or "(there are no tables)"
            if table not in names:
                raise ToolError(
                    f"there is no table {table!r:.80}; there are: {', '.join(names[:MOST_TABLES]) or 'none'}"
                )
            lines = [f"{table}({', '.join(_columns(look, table))})"]
            key = look.get_pk_constraint(table).get("constrained_columns") or []
            if key:
                lines.append(f"key: {', '.join(key)}")
            for each in look.get_foreign_keys(table):
                to = ", ".join(each["referred_columns"])
                lines.append(f"{', '.join(each['constrained_columns'])} refers to {each['referred_table']}({to})")
            return "\n".join(lines)

    def query(self, statement: str, parameters: dict[str, Any] | None = None) -> str:
        """Ask the database. Returns JSON: the columns, the rows, and whether there are more.

        Args:
            statement: one SELECT, with :name where a value belongs.
            parameters: the values by name.
        """
        word = _checked(statement)
        if word not in _READING:
            raise ToolError(f"only what reads can be asked here: a statement that begins with {', '.join(_READING)}")
        with self._explained(), self._begun() as connection:
            streamed = connection.execution_options(stream_results=word in _STREAMED, max_row_buffer=self._max_rows + 1)
            return self._rows(streamed.execute(_text(statement), parameters or {}))

    def execute(self, statement: str, parameters: dict[str, Any] | None = None) -> str:
        """Change the database by one statement, all or nothing. Returns how many rows that changed, or what it returns.

        Args:
            statement: one INSERT, UPDATE, DELETE, or another, with :name where a value belongs.
            parameters: the values by name.
        """
        _checked(statement)
        with self._explained(), self._begun(writing=True) as connection:
            result = connection.execute(_text(statement), parameters or {})
            changed = result.rowcount
            told = self._rows(result) if result.returns_rows else f"{changed} rows changed" if changed >= 0 else "done"
            connection.commit()
        return told

    def _rows(self, result: CursorResult[Any]) -> str:
        """What a statement returns, as JSON. Nothing is read of it afterwards."""
        if not result.returns_rows:
            return json.dumps({"columns": [], "rows": [], "more": False})
        rows = result.fetchmany(self._max_rows + 1)
        shown = [[_plain(value) for value in row] for row in rows[: self._max_rows]]
        said = {"columns": list(result.keys()), "rows": shown, "more": len(rows) > self._max_rows}
        result.close()
        return json.dumps(said, ensure_ascii=False, default=str)

    def _connected(self) -> Engine:
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool

        # hide_parameters: what values there are is no affair of a log's.
        engine = create_engine(self._url, poolclass=NullPool, hide_parameters=True, connect_args=self._connect_args())
        with self._explained(), engine.connect():
            return engine

    def _connect_args(self) -> dict[str, Any]:
        if self._url.get_driver_name() == "psycopg":
            return {"connect_timeout": max(2, int(self._seconds))}
        return {}

    @contextmanager
    def _begun(self, *, writing: bool = False) -> Iterator[Connection]:
        """A connection in a transaction, which ends without a trace unless it is committed.

        Args:
            writing: whether it may change anything. A question may not, whatever the database is for: nobody is asked
                about questions, and SQLite's driver opens no transaction for a change that begins with ``with``.
        """
        if self._engine is None:
            raise ToolError(f"the skill {self.name} is not open: it belongs to an agency that runs")
        kind = self._url.get_backend_name()
        options: dict[str, Any] = {}
        if kind == "postgresql":
            options = {"postgresql_readonly": not writing}
        with self._engine.connect().execution_options(**options) as connection:
            if kind == "postgresql":
                connection.exec_driver_sql(f"SET LOCAL statement_timeout = {max(1, int(self._seconds * 1000))}")
            elif kind == "sqlite":
                raw: Any = connection.connection.driver_connection
                until = time.monotonic() + self._seconds
                raw.set_progress_handler(lambda: time.monotonic() > until, 10_000)
                if not writing:
                    connection.exec_driver_sql("PRAGMA query_only = ON")
            yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn the errors of the database into ones that a model can read, and that show no password."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except SQLAlchemyError as error:
            said = getattr(error, "orig", None) or error
            text = (str(said).strip().splitlines() or [type(said).__name__])[0].partition(" (Background on")[0]
            text = blot(text, self._url.password or "")
            hint = ""
            if text == "interrupted" or "statement timeout" in text:
                hint = f" (it took longer than {self._seconds:g} seconds: ask for less)"
            elif "read-only" in text or "readonly" in text:
                hint = " (a question may change nothing)"
            elif text == "unable to open database file":
                hint = f" ({unquote(str(self._url.database)).removeprefix('file:')})"
            raise ToolError(f"the database refused: {text}{hint}") from None


def _address(url: str | Path, read_only: bool, whose: str) -> URL:
    try:
        from sqlalchemy import URL, make_url
        from sqlalchemy.exc import ArgumentError
    except ImportError:
        raise MissingExtra("database", whose) from None
    try:
        made = URL.create("sqlite", database=str(url)) if isinstance(url, Path) else make_url(url)
        kind = made.get_backend_name()
        made.get_dialect()
    except (ArgumentError, ValueError, ImportError) as error:
        raise DefinitionError(
            f"{whose}: the url names no database that SQLAlchemy can reach here ({type(error).__name__}); write it as "
            "in sqlite:///orders.db or postgresql+psycopg://user:password@host/name"
        ) from None
    if read_only and kind not in _READ_ONLY:
        raise DefinitionError(
            f"{whose}: only PostgreSQL and SQLite keep a transaction from writing; for {kind} give it a user who may "
            "only read, and read_only=False"
        )
    if kind != "sqlite":
        return made
    if made.database in (None, "", ":memory:"):
        raise DefinitionError(f"{whose}: a database in memory is empty for each call; give it a file")
    if read_only and not str(made.database).startswith("file:"):
        path = quote(str(made.database))
        return made.set(database=f"file:{path}").update_query_dict({"mode": "ro", "uri": "true"})
    return made


def _checked(statement: str) -> str:
    """The word that a statement begins with.

    Raises:
        ToolError: it may be more than one.
    """
    text = statement.strip()
    text = text.removesuffix(";").rstrip()
    if ";" in text:  # wherever: what is a string to us may not be one to the database
        raise ToolError(
            "one statement at a time; where a value has a ';' in it, write :name and give it as a parameter"
        )
    if not text:
        raise ToolError("the statement is empty")
    found = _BEGINNING.match(text)
    return found[1].lower() if found is not None else ""


def _text(statement: str) -> Any:
    from sqlalchemy import text

    return text(statement.strip().removesuffix(";"))


def _columns(look: Any, table: str) -> Iterable[str]:
    return [f"{column['name']} {column['type']}" for column in look.get_columns(table)]


def _plain(value: Any) -> Any:
    """A value as JSON can say it, in few words."""
    if isinstance(value, bytes | memoryview):
        return f"({len(value):,} bytes)"
    if isinstance(value, Mapping | list):
        value = json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, str) and len(value) > LONGEST_VALUE:
        return f"{value[:LONGEST_VALUE]} … ({len(value):,} characters)"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value

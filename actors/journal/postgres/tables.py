"""Tables of ours in a schema of their own: what they are called, and making them where they are not there yet."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from psycopg import Connection


class Tables:
    """The tables of one journal, or of what else is kept.

    Args:
        schema: the schema that holds them.

    Attributes:
        what: they are, in a word; the table of that name says in ``version`` of which version they are.
        version: that is known here.
        known_by: the names of tables, in order, that are all there or none; ``what`` is one of them.
        made_by: the script that makes them.
        refused: raised where they are not what they should be.
        lock: the number of the advisory lock that whoever changes them takes.

    Raises:
        ValueError: it cannot be a schema's name.
    """

    what: ClassVar[str]
    version: ClassVar[int]
    known_by: ClassVar[tuple[str, ...]]
    made_by: ClassVar[str]
    refused: ClassVar[type[Exception]]

    def __init__(self, schema: str) -> None:
        if not schema or "\0" in schema or len(schema.encode()) > 63:
            raise ValueError(f"a schema's name has 1 to 63 bytes: {schema!r}")
        self.schema = schema
        self._digest = sha256(f"callboard {self.what} {schema}".encode()).digest()
        self.lock = int.from_bytes(self._digest[:8], "big", signed=True)
        self._quoted = {"{s}": quoted(schema), "{version}": str(self.version)}

    def query(self, text: str) -> bytes:
        """A statement with parameters on these tables, which the text calls ``{s}.events`` and so on."""
        for name, stands_for in self._quoted.items():
            text = text.replace(name, stands_for.replace("%", "%%"))
        return text.encode()

    def script(self, text: str) -> bytes:
        """The same of statements without parameters."""
        for name, stands_for in self._quoted.items():
            text = text.replace(name, stands_for)
        return text.encode()

    def kept_version(self, connection: Connection[Any]) -> int | None:
        """The version of the tables that are there. Raises `refused` where they are a newer library's, or not ours.

        Returns:
            None where there are none.
        """
        rows = connection.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %s AND c.relname = ANY (%s)",
            [self.schema, list(self.known_by)],
        )
        there = sorted(name for (name,) in rows)
        if not there:
            return None
        if len(there) < len(self.known_by):
            raise self.refused(f"the schema {self.schema} has tables that are no {self.what}'s: {there}")
        row = connection.execute(self.script(f"SELECT version FROM {{s}}.{self.what}")).fetchone()
        version = 0 if row is None else int(row[0])
        if version > self.version:
            raise self.refused(
                f"the {self.what} in the schema {self.schema} was made by a newer library: its tables are of version"
                f" {version}, this one knows version {self.version}"
            )
        return version

    def prepare(self, connection: Connection[Any]) -> None:
        """Make the tables, where they are not there yet. Several processes may do so at once. Raises `refused` as
        `kept_version` does."""
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [self.lock])
            self.look_around(connection)
            if self.kept_version(connection) is None:
                if not connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", [self.schema]).fetchall():
                    connection.execute(self.script("CREATE SCHEMA {s}"))
                connection.execute(self.script(self.made_by))

    def look_around(self, connection: Connection[Any]) -> None:
        """Called before they are looked at, within the transaction: for what they need on the server."""


def quoted(name: str) -> str:
    """A name as it stands in a statement."""
    return '"' + name.replace('"', '""') + '"'

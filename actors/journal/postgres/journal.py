"""`PostgresJournal`."""

from __future__ import annotations

from ..codec import Codec
from ..threaded import ThreadedJournal
from .backend import PostgresBackend


class PostgresJournal(ThreadedJournal):
    """Keeps streams in a schema of a PostgreSQL database, which any number of processes on any machines may share.

    Needs ``pip install 'callboard[postgres]'``. It holds up to four connections: one that writes, two that read, one
    that is told what others have written. A pooler between here and the server must keep sessions apart; where it
    does not, news from others come up to two seconds late. How safe a commit is is the server's setting:
    ``synchronous_commit`` and ``fsync`` are on unless somebody has turned them off.

    Args:
        url: ``postgresql://user:password@host:5432/database``, or whatever else libpq takes. The password appears in
            no representation, error or log line.
        codec: how events become text.
        schema: where the tables are; made where they do not exist. Journals in different schemas do not meet.
        lease: seconds by the server's clock after which the streams of a process that has ended without a word, is
            paused or cut off may be taken over.

    Raises:
        JournalUnavailable: the server cannot be reached or refuses, the schema holds a newer library's journal or
            something else, or the driver is not installed.
    """

    def __init__(self, url: str, codec: Codec, *, schema: str = "callboard", lease: float = 10.0) -> None:
        backend = PostgresBackend(url, schema)
        super().__init__(backend, codec, lease, str(backend))

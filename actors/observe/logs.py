"""Logs for programs: each line a JSON object."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON: ``time`` (UTC), ``level``, ``logger``, ``message``, ``error`` with a
    traceback, ``stack`` where it was asked for, and whatever the record was given as ``extra``; of that, what JSON does
    not know is there in words.

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
        if record.stack_info:
            told["stack"] = self.formatStack(record.stack_info)
        try:
            line = json.dumps(told, ensure_ascii=False, default=str, allow_nan=False)
        except Exception:  # of a value: a line that is lost is worse than one in words
            line = json.dumps({name: _plain(value) for name, value in told.items()}, ensure_ascii=False)
        # Half of a letter has no form in UTF-8; it is escaped as JSON does that.
        return line if line.isascii() else line.encode("utf-8", "backslashreplace").decode()


def _plain(value: Any) -> Any:
    """What JSON knows as it is, all else in words."""
    try:
        json.dumps(value, allow_nan=False)
    except Exception:
        try:
            return str(value)
        except Exception as error:
            return f"{type(value).__name__}: {type(error).__name__}"
    return value

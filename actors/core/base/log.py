"""The library's loggers. What the program's logging does about a record never reaches who logs it."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    _Adapter = logging.LoggerAdapter[logging.Logger]
else:
    _Adapter = logging.LoggerAdapter


class CarefulLogger(_Adapter):
    """A logger whose callers are in the middle of something: a handler of the program's that raises must not end it."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Leave a record what is said beside its message; an adapter takes that away."""
        return msg, kwargs

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        """Log a record; what is raised meanwhile is written to the standard error, as logging itself does it."""
        kwargs.setdefault("stacklevel", 2)
        try:
            super().log(level, msg, *args, **kwargs)
        except Exception:
            if logging.raiseExceptions and sys.stderr is not None:
                traceback.print_exc(file=sys.stderr)


def logger_of(name: str = "callboard") -> CarefulLogger:
    """Return the library's logger of a name."""
    return CarefulLogger(logging.getLogger(name), {})

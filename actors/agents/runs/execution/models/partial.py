"""A structured answer while it comes."""

from __future__ import annotations

from typing import Any, Final

from ....events import PartialAnswer
from ..session import Session

_NOTHING: Final = object()


class Partial:
    """Tells of what there is of one completion's answer as the type that was asked for.

    Args:
        session: the run.
    """

    __slots__ = ("_last", "_length", "_next", "_session", "_text")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._text: list[str] = []
        self._length = 0
        self._next = 1
        self._last: Any = _NOTHING

    def take(self, text: str) -> None:
        """Take a further piece of text."""
        self._text.append(text)
        self._length += len(text)
        if self._length >= self._next:
            self.tell()

    def tell(self) -> None:
        """Tell of what there is, if there is more than was told."""
        session = self._session
        if session.output is None or not session.runtime.bus.active:
            return
        whole = "".join(self._text)
        self._text = [whole]
        # By a thirty-second: all of an answer of 100 kB would otherwise be read 25,000 times.
        self._next = self._length + 1 + self._length // 32
        try:
            value = session.output.partial(whole)
        except KeyboardInterrupt:
            raise
        except BaseException:  # it does not fit yet; a validator of the user's may raise anything
            return
        if self._last is _NOTHING or value != self._last:
            self._last = value
            session.emit(PartialAnswer, value=value)

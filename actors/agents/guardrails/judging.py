"""Judging a text that comes in pieces: as soon as its checks can tell, and no later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ...core.base.foreign import awaited
from .findings import Check, Finding, Span, StreamCheck, findings_of, name_of, replaced, spans

_BEFORE: Final = 6
"""Characters before what is to be judged that a check may look at: as long as the longest escape."""


async def found_in(check: Check, text: str) -> list[Finding]:
    """What a check finds in a whole text.

    Raises:
        CheckFailed: it returns something else than findings in the text.
        BaseException: what it raises.
    """
    return findings_of(check, await awaited(f"the check {name_of(check)}", check, text), text)


class _Part:
    """How far one check has come."""

    __slots__ = ("base", "check", "kept", "start")

    def __init__(self, check: Check) -> None:
        self.check = check
        self.kept = ""
        """What is not decided, and some characters before it."""
        self.start = 0
        """Where in that the undecided begins."""
        self.base = 0
        """Where that begins in the text."""

    @property
    def decided(self) -> int:
        return self.base + self.start

    async def take(self, piece: str, last: bool) -> list[Finding]:
        self.kept += piece
        check = self.check
        if not isinstance(check, StreamCheck):
            if not last:
                return []
            self.start = len(self.kept)
            return await found_in(check, self.kept)
        found, decided = check.scan(self.kept, self.start, last, self.base)
        found = [one.moved(self.base) for one in found]
        cut = max(0, decided - _BEFORE)
        self.kept, self.start, self.base = self.kept[cut:], decided - cut, self.base + cut
        return found


def _nobody(found: list[Finding]) -> None:
    """Nobody is told."""


class TextJudge:
    """Judges one text that comes in pieces.

    Args:
        checks: what looks at it.
        told: called with findings as soon as they are certain, before anything behind them is let through; where it
            raises, nothing more is.
    """

    __slots__ = ("_base", "_cut", "_found", "_parts", "_pending", "_told")

    def __init__(self, checks: Sequence[Check], told: Callable[[list[Finding]], object] = _nobody) -> None:
        self._parts = [_Part(check) for check in checks]
        self._told = told
        self._pending = ""
        self._base = 0
        self._found: list[Finding] = []
        self._cut = False
        """Whether a cut was let through: nothing of what comes is."""

    @property
    def held(self) -> int:
        """Characters that have come and were not let through."""
        return len(self._pending)

    async def take(self, piece: str, *, last: bool = False) -> str:
        """Take a further piece; returns what may be shown now, with findings replaced. See `TextStream`.

        Raises:
            Exception: what ``told`` raises, or a check.
        """
        found: list[Finding] = []
        for part in self._parts:
            found += await part.take(piece, last)
        if found:
            self._told(found)
        if self._cut:
            return ""
        self._pending += piece
        self._found += found
        end = self._base + len(self._pending)
        decided = end if last else min((part.decided for part in self._parts), default=end)
        merged = spans(self._found)
        self._cut = any(one.cut and one.start < decided for one in self._found)
        # Of a span that is not decided to its end, nothing is told: another one may yet overlap it.
        held = next((span.start for span in merged if span.start < decided < span.end), decided)
        upto = end if self._cut else held
        shown = [Span(one.start - self._base, one.end - self._base, one.replacement) for one in merged]
        shown = [one for one in shown if one.start < upto - self._base]
        text = replaced([self._pending[: upto - self._base]], 0, shown)[0]
        self._pending = self._pending[upto - self._base :]
        self._base = upto
        self._found = [one for one in self._found if one.start >= upto and not last]
        return text

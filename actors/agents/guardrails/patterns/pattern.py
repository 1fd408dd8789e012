"""Checks that are regular expressions, and how much of a text they need to see."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from .....providers.checks import MAYBE_FUNCTION, SHARE, TEXT, Wish
from ...errors import DefinitionError
from ...wishes import define
from ..findings import CheckFailed, Finding

_ESCAPES: Final = "bfnrtu"
"""Letters with which JSON, and code, write another character, behind a backslash."""

_EXPRESSION = Wish("a regular expression", lambda given: isinstance(given, (str, re.Pattern)))
_LENGTH = Wish(
    "a number of characters from 1 on, or None",
    lambda given: given is None or (isinstance(given, int) and not isinstance(given, bool) and given > 0),
)


@dataclass(frozen=True, slots=True)
class PatternCheck:
    """Finds what a regular expression matches.

    Args:
        kind: what that is, in words: ``invoice number``.
        regex: the expression. Where ``longest`` is given it may look at six characters before and one behind a match
            (``(?<!…)``, ``(?!…)``, ``\\b``), and no further.
        longest: the characters of the longest possible match. None where there is no such: of a stream everything is
            held back then until it has ended.
        opening: an expression for what may become a match, or a longer one, once more has come; it is matched against
            the end of what has come. With it a stream is held back from there on only, otherwise its last ``longest``
            characters always are.
        accept: told of what was matched; returns how many characters of it, from its beginning, are a finding: 0 if
            it is none.
        score: how sure it is, from 0 to 1.
        replacement: see `Finding`.

    Raises:
        DefinitionError: an expression is wrong, or a field of the wrong type.
    """

    kind: str
    regex: str | re.Pattern[str] = field(repr=False)
    longest: int | None = None
    opening: str | re.Pattern[str] = field(default="", repr=False)
    accept: Callable[[str], int] | None = field(default=None, repr=False)
    score: float = 1.0
    replacement: str | None = None
    _find: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _open: re.Pattern[str] | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if not self.kind or not isinstance(self.kind, str):
            raise DefinitionError(f"a pattern's kind says in words what it finds, not {self.kind!r:.80}")
        whose = f"pattern {self.kind}"
        define(
            whose,
            regex=(self.regex, _EXPRESSION),
            longest=(self.longest, _LENGTH),
            opening=(self.opening, _EXPRESSION),
            accept=(self.accept, MAYBE_FUNCTION),
            score=(self.score, SHARE),
            replacement=(self.replacement, TEXT.or_none()),
        )
        object.__setattr__(self, "_find", _compiled(self.regex, whose))
        if self.opening:
            opening = self.opening if isinstance(self.opening, str) else self.opening.pattern
            object.__setattr__(self, "_open", _compiled(rf"(?:{opening})\Z", whose))

    def __call__(self, text: str) -> Iterable[Finding]:
        """The findings of a text."""
        return self.scan(text, 0, True)[0]

    def scan(self, text: str, start: int, last: bool, base: int = 0) -> tuple[list[Finding], int]:
        """See `StreamCheck`."""
        length, longest = len(text), self.longest
        upto = length + 1
        if not last:
            if longest is None:
                return [], start
            # A match that begins before has all that it can have, and the character behind it.
            upto = max(start, length - longest)
            if self._open is not None:
                tail = self._open.search(text, upto)
                upto = tail.start() if tail is not None else length
        found: list[Finding] = []
        at = start
        while (match := self._find.search(text, at)) is not None and match.start() < upto:
            begin, end = match.span()
            if longest is not None and end - begin > longest:
                raise CheckFailed(f"pattern {self.kind} matched {end - begin} characters; longest is {longest}")
            size = end - begin if self.accept is None else self.accept(match[0])
            if size > 0:
                found.append(Finding(begin, begin + size, self.kind, self.score, self.replacement))
            at = begin + max(size, 1)
        return found, min(length, max(upto, found[-1].end if found else start))


def not_behind(characters: str) -> str:
    """An expression for where something may begin: not behind one of these characters, of a set of an expression. A
    letter that is part of an escape is none, however often a text was written as JSON: ``\\n4111…``, ``\\u00204111…``.
    """
    behind = rf"(?<=\\[{_ESCAPES[:-1]}])|(?<=\\u[0-9A-Fa-f]{{4}})"
    return rf"(?:(?<![{characters}])|{behind})(?!(?<=\\)[{_ESCAPES}])"


def _compiled(given: str | re.Pattern[str], whose: str) -> re.Pattern[str]:
    try:
        return re.compile(given)
    except (re.error, OverflowError, RecursionError) as error:
        raise DefinitionError(f"{whose}: the regular expression is wrong: {error}") from None


def prefixes(text: str, fits: Callable[[str], bool]) -> int:
    """The length of the longest beginning of a text that fits, and behind which no letter or digit of it stands
    directly; 0 where none does."""
    for end in range(len(text), 0, -1):
        if text[end - 1].isalnum() and not text[end : end + 1].isalnum() and fits(text[:end]):
            return end
    return 0

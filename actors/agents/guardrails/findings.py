"""What a check finds in a text, and what is made of the text then. Pure."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

from ..errors import AgentError, DefinitionError

Where: TypeAlias = Literal["input", "chunk", "output", "tool_call", "tool_result", "handoff", "memory"]
"""Where a guardrail looks."""
Action: TypeAlias = Literal["block", "redact", "warn", "ask"]
"""What it does about a finding."""


class CheckFailed(AgentError):
    """A check could not judge a text. What it says, says nothing of the text."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A stretch of a text that a check does not like.

    Args:
        start, end: where it is: characters from the text's beginning, the second one exclusive.
        kind: what it is, in words: ``card number``. It is told and logged, so it must say nothing of the text.
        score: how sure the check is, from 0 to 1.
        replacement: what stands in its place where it is redacted; None for the kind in brackets.
        cut: it is all of the text from its start on, also what is yet to come of it; ``end`` says nothing then.

    Raises:
        DefinitionError: something is of another type, it ends before it begins, or has no kind.
    """

    start: int
    end: int
    kind: str
    score: float = 1.0
    replacement: str | None = None
    cut: bool = False

    def __post_init__(self) -> None:
        if not (type(self.start) is type(self.end) is int and isinstance(self.kind, str)):
            raise DefinitionError("a finding is from one whole number to another one, and its kind is a text")
        if not isinstance(self.score, int | float) or not isinstance(self.replacement, str | None):
            raise DefinitionError("a finding's score is a number, and its replacement a text, or None")
        if not 0 <= self.start <= self.end:
            raise DefinitionError(f"a finding reaches from 0 or more to no less, not from {self.start} to {self.end}")
        if not self.kind:
            raise DefinitionError("a finding needs a kind: what it is, in words")

    def moved(self, by: int) -> Finding:
        """The same one, so many characters further on."""
        return replace(self, start=self.start + by, end=self.end + by) if by else self


Check: TypeAlias = "Callable[[str], Iterable[Finding] | Awaitable[Iterable[Finding]]]"
"""What looks at a text: a function, which may be async, of the text."""


@runtime_checkable
class StreamCheck(Protocol):
    """A check that need not see the end of a text to judge its beginning.

    `scan` keeps to this: however a text is cut into pieces, and scanned as far as it has come after each, the findings
    put together are those of the whole.
    """

    def __call__(self, text: str) -> Iterable[Finding]:
        """The findings of a whole text."""
        ...

    def scan(self, text: str, start: int, last: bool, base: int = 0) -> tuple[list[Finding], int]:
        """Look at a text that is still coming.

        Args:
            text: what has come; what stands before ``start`` is decided, and up to six characters of it are there.
            start: from where on it is to be judged.
            last: nothing comes after it.
            base: how many characters came before those of ``text``.

        Returns:
            the findings that begin at ``start`` or later and are certain; and up to where the text is decided: what
            comes changes nothing before, and no finding begins before and ends after it.
        """
        ...


class Span(NamedTuple):
    """What one or several findings that overlap take up of a text; behind a cut it ends at no place of any text."""

    start: int
    end: int
    replacement: str


def spans(findings: Iterable[Finding]) -> list[Span]:
    """The stretches that are to be replaced, in order: findings that overlap are one, named after the surest of them,
    and of equally sure ones the first and longest. A cut is the last one; what begins behind it names nothing."""
    merged: list[Span] = []
    best: Finding | None = None
    for one in sorted(findings, key=lambda found: (found.start, not found.cut, -found.end, -found.score)):
        end = sys.maxsize if one.cut else one.end
        if one.start == end:
            continue  # it says something of the text, and takes up nothing of it
        if best is not None and one.start < merged[-1].end:
            best = one if one.score > best.score else best
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, end), _replacement(best))
        else:
            best = one
            merged.append(Span(one.start, end, _replacement(one)))
        if one.cut:
            break
    return merged


def _replacement(found: Finding) -> str:
    return f"[{found.kind}]" if found.replacement is None else found.replacement


def replaced(texts: Sequence[str], gap: int, found: Iterable[Span]) -> list[str]:
    """Texts that were judged as one, with what was found in them replaced.

    Args:
        texts: they.
        gap: the characters that stood between two of them.
        found: spans of the one text. What reaches over several of the texts is replaced in the first of them, and
            taken out of the others.
    """
    changed, begin = [], 0
    left = list(found)
    for text in texts:
        end, at, pieces = begin + len(text), begin, []
        for span in left:
            if span.end <= begin or span.start >= end:
                continue
            first = span.start >= begin
            pieces.append(text[at - begin : max(span.start, begin) - begin])
            pieces.append(span.replacement if first else "")
            at = max(at, min(span.end, end))
        pieces.append(text[at - begin :])
        changed.append("".join(pieces))
        begin = end + gap
    return changed


def checks_of(given: object, whose: str) -> tuple[Any, ...]:
    """One check or several.

    Raises:
        DefinitionError: they are none.
    """
    several = tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else (given,)
    if not several or not all(callable(one) for one in several):
        raise DefinitionError(f"{whose}: a check is a function of a text that returns Findings, not {given!r:.80}")
    for one in several:
        if isinstance(one, type) or _makes_checks(one):
            raise DefinitionError(f"{whose}: {one.__name__} makes a check, and is none: write {one.__name__}(…)")
    return several


def _makes_checks(given: object) -> bool:
    """Whether something is one of our functions, such as `links`: what they return are checks."""
    if not isinstance(given, FunctionType) or not given.__module__.startswith(f"{__package__}."):
        return False
    return "<locals>" not in given.__qualname__


def findings_of(check: object, given: object, text: str) -> list[Finding]:
    """What a check has returned of a text, as a list.

    Raises:
        CheckFailed: it is something else than findings in the text.
    """
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise CheckFailed(f"the check {name_of(check)} returned {type(given).__name__}, not Findings")
    found = list(given)
    for one in found:
        if not isinstance(one, Finding):
            raise CheckFailed(f"the check {name_of(check)} returned {type(one).__name__}, not Findings")
        if one.end > len(text):
            raise CheckFailed(f"the check {name_of(check)} found something behind the text's end")
    return found


def name_of(check: object) -> str:
    """What a check is called."""
    name = getattr(check, "name", None) or getattr(check, "kind", None) or getattr(check, "__name__", None)
    return name if isinstance(name, str) else type(check).__name__

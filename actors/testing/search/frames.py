"""Which frames of a failure its reader wants: those of their own code, not of what ran it."""

from __future__ import annotations

import linecache
from types import TracebackType

_TESTING = __name__.rpartition(".search.")[0]
_MACHINERY = (__name__.partition(".")[0], "asyncio", "contextlib", "pykka")


def own(error: BaseException) -> None:
    """Leave out of an exception's traceback, and of those that it groups or was caused by, what only ran it.

    What stays are the reader's own frames.
    """
    seen: set[int] = set()
    left = [error]
    while left:
        each = left.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        each.__traceback__ = _own(_links(each))
        left += [inner for inner in (each.__cause__, each.__context__) if inner is not None]
        if isinstance(each, BaseExceptionGroup):
            left += each.exceptions


def where(error: BaseException) -> str:
    """Say where an exception was raised, as near to it as the reader's own code gets; "" where nothing is known."""
    links = _links(error)
    theirs = [link for link in links if not (hidden(link) or _within(link, _MACHINERY))]
    if not links:
        return ""
    frame, line = (theirs or links)[-1].tb_frame, (theirs or links)[-1].tb_lineno
    code = frame.f_code
    source = linecache.getline(code.co_filename, line, frame.f_globals).strip()
    return f"{code.co_filename}:{line} in {code.co_name}{': ' if source else ''}{source}"


def _own(links: list[TracebackType]) -> TracebackType | None:
    theirs = [link for link in links if not _within(link, _MACHINERY)]
    if not theirs:  # what a library raised by itself is better than nothing
        theirs = [link for link in links[-1:] if not _within(link, (_TESTING, "asyncio"))]
    kept: TracebackType | None = None
    for link in reversed(theirs):
        kept = TracebackType(kept, link.tb_frame, link.tb_lasti, link.tb_lineno)
    return kept


def _links(error: BaseException) -> list[TracebackType]:
    links = []
    link = error.__traceback__
    while link is not None:
        links.append(link)
        link = link.tb_next
    return links


def hidden(link: TracebackType) -> bool:
    """Whether a frame asks pytest not to be shown, as that of `pytest.fail` does."""
    return "__tracebackhide__" in link.tb_frame.f_code.co_varnames


def _within(link: TracebackType, packages: tuple[str, ...]) -> bool:
    name = str(link.tb_frame.f_globals.get("__name__", ""))
    return any(name == package or name.startswith(f"{package}.") for package in packages)

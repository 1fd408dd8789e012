"""``callboard journal``: is a journal sound, and what is done about it where it is not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from cyclopts import App

from ...core.base.errors import CallboardError
from ..parts.printed import plain, print_json, say

if TYPE_CHECKING:
    from ...journal.problems import Problem

SOUND, UNSOUND = 0, 1

journal = App(
    name="journal",
    help="Look a journal over, put it right, and make it smaller. JOURNAL is a file, or postgresql://user@host/database.",
)


class NoSuchAge(CallboardError):
    """An age that nothing can have."""


@journal.command
def check(journal: str, /, *, json: bool = False) -> int:
    """Say what is wrong with a journal, stream by stream. Changes nothing; programs may go on working on it.

    Exits with 0 where it is sound, 1 where it is not, 2 where it cannot be opened.

    Args:
        journal: the journal.
        json: print it as JSON.
    """
    from .stores import KeptCodec, fits, store

    problems = store(journal).check(journal, KeptCodec(), fits)
    if json:
        print_json({"sound": not problems, "problems": [_shown(problem) for problem in problems]})
    else:
        for problem in problems:
            say(f"{_line(problem)} (repair: {problem.remedy})")
        say(_verdict(problems))
    return UNSOUND if problems else SOUND


@journal.command
def repair(journal: str, /, *, json: bool = False) -> int:
    """Put right what can be, and set aside the streams that cannot be read. No event is deleted.

    Programs may go on working on it, and wait while it lasts. Exits with 0 where the journal is sound afterwards, 1
    where something is left, 2 where it cannot be opened.

    Args:
        journal: the journal.
        json: print it as JSON.
    """
    from .stores import KeptCodec, fits, store

    at = store(journal)
    done = at.repair(journal, KeptCodec(), fits)
    left = at.check(journal, KeptCodec(), fits)
    if json:
        print_json(
            {
                "sound": not left,
                "done": [_shown(problem) for problem in done],
                "left": [_shown(problem) for problem in left],
            }
        )
    else:
        for problem in done:
            say(f"{_line(problem)}: {problem.remedy}")
        say(f"what is left: {_verdict(left)}" if left else _verdict(left))
    return UNSOUND if left else SOUND


@journal.command
def vacuum(journal: str, /, *, json: bool = False) -> int:
    """Give the room of what was deleted back. A file must have nobody who works on it; a database may.

    Args:
        journal: the journal.
        json: print it as JSON.
    """
    from .stores import is_database, store

    sizes = [] if is_database(journal) else [_size(journal)]
    store(journal).vacuum(journal)
    if sizes:
        sizes.append(_size(journal))
    if json:
        print_json({"vacuumed": True, **dict(zip(("bytes_before", "bytes_after"), sizes, strict=False))})
    else:
        say(f"vacuumed: {sizes[0]:,} bytes before, {sizes[1]:,} now" if sizes else "vacuumed")
    return 0


@journal.command
def prune(
    journal: str,
    /,
    *,
    finished: timedelta | None = None,
    ephemeral: timedelta = timedelta(hours=1),
    json: bool = False,
) -> int:
    """Delete what need not be kept any longer. Programs may go on working on it.

    Nothing that is unfinished, or that a running program holds, is deleted.

    Args:
        journal: the journal.
        finished: how long conversations are kept after their last event, such as 30d or 12h. By default for ever.
        ephemeral: how long the answers of runs without a conversation are kept that nobody has fetched.
        json: print it as JSON.
    """
    import asyncio

    from ...journal.store import Retention, at_hand
    from .stores import opened

    ages = {"--finished": finished, "--ephemeral": ephemeral}
    for name, age in ages.items():
        if age is not None and age < timedelta():
            raise NoSuchAge(f"{name} {age.total_seconds():g} s lies in the future; give an age such as 30d")
    keep = Retention(None if finished is None else finished.total_seconds(), ephemeral.total_seconds())

    async def pruned() -> int:
        async with opened(journal) as kept:
            return await at_hand(kept.prune(keep))

    count = asyncio.run(pruned())
    if json:
        print_json({"deleted": count})
    else:
        say(f"deleted {count} stream{'' if count == 1 else 's'}")
    return 0


def _size(path: str) -> int:
    from pathlib import Path

    return sum(file.stat().st_size for file in (Path(path), Path(f"{path}-wal")) if file.exists())


def _verdict(problems: Sequence[Problem]) -> str:
    if not problems:
        return "the journal is sound"
    streams = len({problem.stream for problem in problems})
    return f"{_count(len(problems), 'problem')} in {_count(streams, 'stream')}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _line(problem: Problem) -> str:
    return f"{plain(problem.stream) or 'the journal'}: {plain(problem.text)}"


def _shown(problem: Problem) -> dict[str, str]:
    return {"stream": problem.stream, "problem": problem.text, "remedy": problem.remedy}

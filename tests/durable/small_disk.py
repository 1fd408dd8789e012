"""A process whose disk is full for a while: arguments are the journal's file, and ``fill`` or ``look``.

A limit on the size of files stands for the disk: what would make the file larger is refused by the system.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import sys
from pathlib import Path

from callboard import Agency, Agent, Request

from .support import echo, function, outcome

FULL_FOR = 0.3
"""Seconds."""
NO_LIMIT = resource.getrlimit(resource.RLIMIT_FSIZE)


def full(journal: Path) -> None:
    """From now on no file grows beyond what the journal's have."""
    size = max(file.stat().st_size for file in journal.parent.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, NO_LIMIT[1]))


def free() -> None:
    """There is room again."""
    resource.setrlimit(resource.RLIMIT_FSIZE, NO_LIMIT)


async def fill(journal: Path) -> None:
    """Three runs, with the disk full from the second one's completion on; tell how each ended."""

    def model(request: Request) -> str:
        answer = echo(request)
        if answer == "to during":
            full(journal)
            asyncio.get_running_loop().call_later(FULL_FOR, free)
            return answer + "x" * 50_000
        return answer

    async with Agency(Agent("A"), model=function(model), journal=journal) as agency:
        for word in ("before", "during", "after"):
            ended = await outcome(agency.run(word, conversation="c"))
            print("failed" if isinstance(ended, Exception) else ended.text.removeprefix("to ").rstrip("x"), flush=True)


async def look(journal: Path) -> None:
    """Tell what the next process finds."""
    async with Agency(Agent("A"), model=function(echo), journal=journal) as agency:
        resumed = [await outcome(run) for run in agency.resumed.values()]
        answer = await outcome(agency.run("last", conversation="c"))
        print("resumed", len(resumed), "messages", len(answer.messages) - 2, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    logging.getLogger("callboard").setLevel(logging.CRITICAL)
    asyncio.run({"fill": fill, "look": look}[sys.argv[2]](Path(sys.argv[1])))

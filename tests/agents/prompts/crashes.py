"""What tests of crashes share: runs to go on with, processes that are killed, and what is seen of ended runs."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from callboard import Agency
from callboard.actors.agents.events import ApprovalRequested, CompletionStarted, RunEvent, RunFinished
from tests import warm


class Watched:
    """What was seen of an agency's runs, subscribed to by ``look``.

    Attributes:
        asked: the run of each completion that was asked for.
        again: those that had ended before.
    """

    def __init__(self) -> None:
        self.finished: set[str] = set()
        self.asked: list[str] = []
        self.again: set[str] = set()

    def look(self, event: RunEvent) -> None:
        if isinstance(event, RunFinished) and event.error is None:
            self.finished.add(event.run)
        elif isinstance(event, CompletionStarted):
            self.asked.append(event.run)
            if event.run in self.finished:
                self.again.add(event.run)


async def two_runs(agency: Agency) -> list[str]:
    """What two runs of one conversation answer, one after the other."""
    handles = [await agency.start_run("go", conversation="c", run_id=run) for run in ("r1", "r2")]
    return [(await handle).text for handle in handles]


def approve_later(agency: Agency, asked: set[str], seconds: float = 5) -> None:
    """Approve what is asked about so many seconds after it was, and keep what that was."""

    def look(event: RunEvent) -> None:
        if isinstance(event, ApprovalRequested):
            asked.add(event.approval)
            agency.system.loop.call_later(seconds, agency.approve, event.approval)  # type: ignore[union-attr]

    agency.subscribe(look)


# -- kill -9 -----------------------------------------------------------------------------------------------------------


async def killed(module: str, argument: Path, when: str = "in its middle") -> None:
    """Have a process carry out ``main`` of a test module, in which it is to kill itself.

    Args:
        argument: what ``main`` takes, as a text.
        when: what `dying` gives there.
    """
    words = ("-m", "tests.agents.prompts.program_to_kill", module, argument)
    ended = await asyncio.to_thread(warm.run, *words, env={**os.environ, "KILLED": when})
    assert ended.returncode == -signal.SIGKILL, f"the program was not killed: {ended.stdout}{ended.stderr}"


def dying() -> str:
    """When this process is to kill itself; an empty text if it is not."""
    return os.environ.get("KILLED", "")


def die() -> None:
    """Kill this process, if it is one that is to be killed."""
    if dying():
        os.kill(os.getpid(), signal.SIGKILL)

"""A program whose agent may pay once a person has agreed.

Its arguments: the journal, the file in which it notes what it paid, and after how many seconds an approval expires.
Started again it goes on with the same run. It prints ``asked ID`` and ``answer TEXT``, and ends by itself after a
minute at the latest.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from callboard import Agency, Agent, Request, tool
from callboard.actors.agents.caller import Caller
from callboard.actors.agents.events import ApprovalRequested, RunEvent
from tests import warm
from tests.cli.stores import Place
from tests.durable.support import call, function, results

from .command import offline


async def main(address: str, paid: str, expire: float) -> None:
    """Begin the run, or go on with it."""

    @tool
    def pay(amount: int) -> str:
        """Pay."""
        with Path(paid).open("a") as file:
            file.write(f"{amount}\n")
        return f"paid {amount}"

    def model(request: Request) -> Any:
        return results(request)[0] if results(request) else call("pay", amount=5)

    def say(event: RunEvent) -> None:
        if isinstance(event, ApprovalRequested):
            print("asked", event.approval, flush=True)

    agent = Agent("Bookkeeper", "Pay.", tools=[pay], autonomy="supervised")
    with Place(address).journal() as journal:
        async with (
            asyncio.timeout(60),
            Agency(agent, model=function(model), journal=journal, approvals_expire=expire) as agency,
        ):
            agency.subscribe(say)
            answer = await agency.run("pay", conversation="c", caller=Caller("ann", "acme"), run_id="r")
            print("answer", answer.text, flush=True)


class Program:
    """The program, running.

    Args:
        journal: its journal's address.
        paid: the file in which it notes what it paid.
        expire: seconds after which an approval expires.
    """

    def __init__(self, journal: str, paid: Path, expire: float = 1000.0) -> None:
        words = ("-m", "tests.cli.bookkeeper", journal, paid, expire)
        self.process = warm.Program(*words, env=offline())

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.__exit__()

    def says(self, word: str) -> str:
        """What the program says behind a word."""
        said = self.process.stdout.readline().strip()
        assert said.startswith(f"{word} "), said
        return said.removeprefix(f"{word} ")

    def ends(self) -> None:
        """Wait for its end."""
        assert self.process.wait() == 0


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))

"""What was handed to another agent ends with the run that did so, also where a crash and the end fall together."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Request, handoff, tool

from .support import call, function, kill, passes, results, said, until

PASSES = [0, 1, 3, 6, 11]


class Pair:
    """A hands work to B, or transfers the conversation to it; B waits for its model, and then acts.

    Attributes:
        asked: how often B's model was asked.
        acted: how often B has acted.
    """

    def __init__(self, transfer: bool, journal: Path | None) -> None:
        self.asked = 0
        self.acted = 0
        self.go_on = asyncio.Event()

        @tool
        async def act() -> str:
            self.acted += 1
            return "acted"

        async def model(request: Request) -> Any:
            if request.messages[0].text == "b":
                if said(request) == "hello":
                    return "to you, too"
                self.asked += 1
                await self.go_on.wait()
                return "done" if results(request) else call("act")
            if results(request):
                return "done"
            if transfer:
                return call("transfer_to_b", message="yours")
            return call("SendMessage", target_agent="B", message="do")

        b = Agent("B", "b", tools=[act])
        a = Agent("A", "a", handoffs=[handoff(b, kind="transfer", name="transfer_to_b") if transfer else b])
        self.agency = Agency(a, b, name="pair", model=function(model), journal=journal)

    async def cancelled_around_a_crash(self, said: str, first: str, number: int) -> None:
        """Say something to A, and as B waits for its model kill A and cancel the run, in one order or the other; then
        let B go on.

        Args:
            said: to A.
            first: ``crash`` or ``cancel``.
            number: passes of the loop between the two.
        """
        run = asyncio.ensure_future(self.agency.run(said, conversation="c"))
        assert await until(lambda: self.asked)
        if first == "crash":
            assert kill(self.agency, "pair/A/c")
        else:
            run.cancel()
        await passes(number)
        if first == "crash":
            run.cancel()
        else:
            kill(self.agency, "pair/A/c")
        await asyncio.wait([run])
        self.go_on.set()
        await passes(50)


@pytest.mark.parametrize("number", PASSES)
@pytest.mark.parametrize("first", ["crash", "cancel"])
@pytest.mark.parametrize("journal", ["memory", "file"])
async def test_a_task_ends_with_the_run_that_handed_it_over(
    number: int, first: str, journal: str, tmp_path: Path
) -> None:
    pair = Pair(False, tmp_path / "journal.db" if journal == "file" else None)
    async with pair.agency as agency:
        await pair.cancelled_around_a_crash("go", first, number)
        await agency.run("go", conversation="other")  # by now B would have acted
        assert pair.acted == 1, "B has acted for a run that was cancelled"


@pytest.mark.parametrize("number", PASSES)
@pytest.mark.parametrize("first", ["crash", "cancel"])
@pytest.mark.parametrize("journal", ["memory", "file"])
async def test_a_turn_of_a_conversation_that_was_handed_over_ends_with_the_run_that_was_asked(
    number: int, first: str, journal: str, tmp_path: Path
) -> None:
    pair = Pair(True, tmp_path / "journal.db" if journal == "file" else None)
    async with pair.agency as agency:
        pair.go_on.set()
        assert (await agency.run("go", conversation="c")).text == "done"
        assert pair.asked, "the conversation was not handed to B"
        pair.go_on.clear()
        pair.asked = pair.acted = 0
        await pair.cancelled_around_a_crash("again", first, number)
        await agency.run("hello", conversation="c")  # by now B would have acted
        assert pair.acted == 0, "B has acted for a run that was cancelled"

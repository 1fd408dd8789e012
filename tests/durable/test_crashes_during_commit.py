"""An actor that dies while its run's events are being committed takes no answer with it.

The commit is held up by another connection that has the file; the actor is killed meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Answer, Limits, Request, tool

from .support import Lock, call, echo, function, kill, outcome, passes, results


@contextmanager
def locking(path: Path) -> Iterator[Lock]:
    """A lock on the file, given back in any case."""
    lock = Lock(path)
    try:
        yield lock
    finally:
        lock.close()


AFTER = [0, 30]
"""Passes of the loop from the crash to the end of the commit: the next incarnation is there, or not yet."""


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("conversation", ["c", None], ids=["kept", "once"])
@pytest.mark.parametrize("whom", ["conversation", "agency/A", "agency"])
async def test_who_dies_while_the_end_of_a_run_is_committed_loses_no_answer(
    tmp_path: Path, whom: str, conversation: str | None, after: int
) -> None:
    path = tmp_path / "j.db"
    asked = 0
    conversations: list[str] = []

    def model(request: Request) -> str:
        nonlocal asked
        asked += 1
        lock.take()
        reached.set()
        return "done"

    reached = asyncio.Event()
    agent = Agent("A", "a", limits=Limits(seconds=2))
    async with Agency(agent, model=function(model), journal=path) as agency:
        agency.subscribe(lambda event: conversations.append(event.conversation))
        with locking(path) as lock:
            run = asyncio.ensure_future(agency.run("?", conversation=conversation))
            async with asyncio.timeout(5):
                await reached.wait()
            await passes(10)  # what it answered is on the way into the journal
            path_of = f"agency/A/{conversations[0]}" if whom == "conversation" else whom
            assert kill(agency, path_of), "there was nobody to kill"
            await passes(after)
        answer = await outcome(run, f"a run whose {whom} was killed in its last commit")
        assert isinstance(answer, Answer), f"the answer is in the journal, and the caller was told {answer!r}"
        assert answer.text == "done"
    assert asked == 1, "a finished completion was bought again"
    async with Agency(agent, model=function(echo), journal=path) as agency:
        assert agency.resumed == {}, "it is gone on with by the next process, though its answer was given"


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("whom", ["delegate", "agency/B", "agency/A", "agency"])
async def test_who_dies_while_the_end_of_a_delegated_run_is_committed_loses_no_answer(
    tmp_path: Path, whom: str, after: int
) -> None:
    path = tmp_path / "j.db"
    reached = asyncio.Event()
    delegates: list[str] = []

    def model(request: Request) -> Any:
        if request.messages[0].text == "b":
            lock.take()
            reached.set()
            return "b did it"
        return f"a: {results(request)[0]}" if results(request) else call("SendMessage", target_agent="B", message="do")

    def look(event: Any) -> None:
        if event.agent == "B":
            delegates.append(event.conversation)

    b = Agent("B", "b")
    a = Agent("A", "a", handoffs=[b], limits=Limits(seconds=2))
    async with Agency(a, b, model=function(model), journal=path) as agency:
        agency.subscribe(look)
        with locking(path) as lock:
            run = asyncio.ensure_future(agency.run("?", conversation="c"))
            async with asyncio.timeout(5):
                await reached.wait()
            await passes(10)
            assert kill(agency, f"agency/B/{delegates[0]}" if whom == "delegate" else whom), "there was nobody to kill"
            await passes(after)
        answer = await outcome(run, f"a run whose {whom} was killed in the last commit of its delegate")
        assert isinstance(answer, Answer), f"the caller was told {answer!r}"
        assert answer.text == "a: b did it"


@pytest.mark.parametrize("whom", ["conversation", "agency/A", "agency"])
@pytest.mark.parametrize("point", ["question", "completion", "tool"])
async def test_who_dies_while_a_step_is_committed_loses_nothing_and_repeats_no_tool(
    tmp_path: Path, point: str, whom: str
) -> None:
    path = tmp_path / "j.db"
    effects: list[str] = []
    reached = asyncio.Event()

    def hold(here: str) -> None:
        if here == point and not reached.is_set():
            lock.take()
            reached.set()

    @tool
    async def work() -> str:
        effects.append("worked")
        hold("tool")
        return "worked"

    def model(request: Request) -> Any:
        if results(request):
            return "done"
        hold("completion")
        return call("work")

    async with Agency(Agent("A", "a", tools=[work]), model=function(model), journal=path) as agency:
        await outcome(agency.run("first", conversation="c"))
        effects.clear()
        with locking(path) as lock:
            hold("question")
            run = asyncio.ensure_future(agency.run("second", conversation="c"))
            async with asyncio.timeout(5):
                await reached.wait()
            await passes(10)
            assert kill(agency, "agency/A/c" if whom == "conversation" else whom)
            await passes(10)
        answer = await outcome(run)
        assert isinstance(answer, Answer), repr(answer)
        assert answer.text == "done"
    assert len(effects) <= 1, "a tool ran twice"

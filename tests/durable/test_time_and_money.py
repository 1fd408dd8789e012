"""Time and money are counted once: over crashes, and for what was cancelled too."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from callboard import Actor, Agency, Agent, Answer, ChildSpec, Completion, Limits, Message, Request, System, Usage, tool
from callboard.actors.agents.errors import RunCancelled, TimeLimit
from callboard.actors.agents.events import RunFinished
from callboard.providers.errors import BudgetSpent
from callboard.providers.pool import Budget, Endpoint, Pool, Price
from callboard.testing import virtual_time

from .support import call, function, kill, outcome, results, until

# -- time --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crashes", [1, 3])
@pytest.mark.parametrize("whom", ["agency/A/c", "agency/A", "agency"])
@virtual_time
async def test_a_runs_seconds_are_counted_once_over_all_its_crashes(whom: str, crashes: int) -> None:
    @tool(idempotent=True, timeout=None)
    async def work() -> str:
        await asyncio.sleep(100)
        return "worked"

    agent = Agent("A", "a", tools=[work], limits=Limits(seconds=10))
    async with Agency(agent, model=function(lambda request: call("work"))) as agency:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        run = asyncio.ensure_future(agency.run("?", conversation="c"))
        for _ in range(crashes):
            await asyncio.sleep(3)
            assert kill(agency, whom)
        assert isinstance(await _ended(run), TimeLimit)
        assert loop.time() - begun == pytest.approx(10, abs=0.1), "the time begins anew after each crash"


@virtual_time
async def test_time_spent_waiting_for_a_person_counts_for_nobody_over_a_crash_either() -> None:
    @tool(timeout=None)
    async def work() -> str:
        await asyncio.sleep(3)
        return "worked"

    def model(request: Request) -> Any:
        return "done" if results(request) else call("work")

    agent = Agent("A", "a", tools=[work], autonomy="manual", limits=Limits(seconds=5))
    async with Agency(agent, model=function(model)) as agency:
        run = asyncio.ensure_future(agency.run("?", conversation="c"))
        assert await until(lambda: agency.approvals)
        await asyncio.sleep(60)
        assert kill(agency, "agency/A/c")
        await asyncio.sleep(60)
        agency.approve(agency.approvals[0])
        answer = await _ended(run)
        assert isinstance(answer, Answer), repr(answer)


async def _ended(run: asyncio.Future[Answer]) -> Any:
    await asyncio.wait([run])
    return run.exception() or run.result()


# -- money -------------------------------------------------------------------------------------------------------------


class Vendor(Actor):
    """Charges a dollar for each request as it arrives, and answers a minute later."""

    def __init__(self, bill: list[str], api_key: str = "") -> None:
        super().__init__()
        self._bill = bill

    def on_receive(self, message: Request) -> Any:
        self._bill.append(message.messages[-1].text)
        return self.reply_with(self._answer())

    async def _answer(self) -> Completion:
        await asyncio.sleep(60)
        return Completion(Message("assistant", "done"), "stop", Usage(0, 1_000_000), "m", "vendor")


def dear(text: str) -> Request:
    """A request that costs a dollar."""
    return Request((Message("user", text),), max_tokens=1_000_000)


@pytest.mark.parametrize("crashes", [1, 3])
@virtual_time
async def test_a_crash_of_the_pool_gives_no_budget_back_that_vendors_have_charged(crashes: int) -> None:
    bill: list[str] = []
    endpoint = Endpoint("vendor", ChildSpec(Vendor, (bill,)), price=Price(0, 1))
    async with System("test") as system:
        pool = system.supervise(Pool.spec([endpoint], seed=1, budgets=[Budget("pool", "", 5.0)]))
        for crash in range(crashes):
            flying = [asyncio.ensure_future(_asked(pool, f"{crash} {number}")) for number in range(2)]
            await asyncio.sleep(1)
            pool.kill()
            await asyncio.wait(flying)
        ended = await asyncio.gather(*(_asked(pool, f"after {number}") for number in range(10)), return_exceptions=True)
    assert len(bill) <= 5, f"vendors charged ${len(bill)} of a budget of $5"
    assert any(isinstance(error, BudgetSpent) for error in ended)


async def _asked(pool: Any, text: str) -> Any:
    try:
        return await pool.ask(dear(text))
    except Exception as error:
        return error


# -- cancelled runs ----------------------------------------------------------------------------------------------------


def priced(journal: Path | None, stuck: asyncio.Event) -> Agency:
    """An agency whose agent buys a completion for a dollar, and is stuck at the next one."""

    async def model(request: Request) -> Any:
        if results(request):
            stuck.set()
            await asyncio.Event().wait()
        asked = Message("assistant", "", (call("look", "l"),))
        return Completion(asked, "tool_calls", Usage(10, 5), "m", "vendor", cost=1.0)

    @tool(idempotent=True)
    async def look() -> str:
        return "seen"

    return Agency(Agent("A", "a", tools=[look]), model=function(model), journal=journal)


@pytest.mark.parametrize("durable", [False, True], ids=["memory", "file"])
async def test_a_run_that_its_conversations_release_cancels_tells_what_it_bought(tmp_path: Path, durable: bool) -> None:
    stuck = asyncio.Event()
    async with priced(tmp_path / "j.db" if durable else None, stuck) as agency:
        finished: list[RunFinished] = []
        agency.subscribe(lambda event: finished.append(event) if isinstance(event, RunFinished) else None)
        run = asyncio.ensure_future(agency.run("?", conversation="c"))
        async with asyncio.timeout(5):
            await stuck.wait()
        await agency.release("c")
        error = await outcome(run)
    assert isinstance(error, RunCancelled)
    assert error.partial is not None, "a cancelled run does not tell what it bought"
    assert (error.partial.cost, len(error.partial.steps)) == (1.0, 1)
    assert len(finished) == 1


@pytest.mark.parametrize("durable", [False, True], ids=["memory", "file"])
async def test_a_run_that_its_caller_cancels_tells_subscribers_what_it_bought(tmp_path: Path, durable: bool) -> None:
    stuck = asyncio.Event()
    async with priced(tmp_path / "j.db" if durable else None, stuck) as agency:
        finished: list[RunFinished] = []
        agency.subscribe(lambda event: finished.append(event) if isinstance(event, RunFinished) else None)
        run = asyncio.ensure_future(agency.run("?", conversation="c"))
        async with asyncio.timeout(5):
            await stuck.wait()
        run.cancel()
        await asyncio.wait([run])
        assert await until(lambda: finished)
    (event,) = finished
    assert isinstance(event.error, RunCancelled)
    assert event.answer is not None
    assert event.error.partial is not None
    assert event.answer.cost == event.error.partial.cost == 1.0

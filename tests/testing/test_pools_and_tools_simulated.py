"""Batches, fallback models and MCP tools inside a simulation, with faults drawn by chance."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from callboard import Agency, Agent
from callboard.actors import ActorRef
from callboard.actors.testing import Crash, Fault, Simulation, Slow, simulate
from callboard.actors.testing.doubles.models import call
from callboard.providers.errors import ProviderOverloaded
from callboard.providers.messages import Completion, Request
from callboard.providers.pool import Batching, GetStats, Pool, Requester, Submit
from callboard.tools.errors import McpUnavailable
from callboard.tools.mcp import McpServer
from tests.agents.support import function
from tests.providers.pool.scripted import Script, endpoint, fails_until, request
from tests.providers.pool.test_batches import batching

SEEDS = int(os.environ.get("CALLBOARD_SCHEDULES", "8"))


async def asked(pool: ActorRef[Any], count: int, *, patience: float = 600.0, **options: Any) -> list[Any]:
    async def one(number: int) -> Any:
        submit = Submit(request(str(number), **options), Requester(agent=f"agent {number % 2}", batch=number % 3 > 0))
        return await pool.ask(submit, timeout=patience)

    tasks = [asyncio.ensure_future(one(number)) for number in range(count)]
    return await asyncio.gather(*tasks, return_exceptions=True)


async def nothing_is_left(pool: ActorRef[Any], *scripts: Script) -> None:
    stats = await pool.ask(GetStats())
    assert (stats.pool.pending, stats.waiting) == (0, 0)
    assert [script.in_flight for script in scripts] == [0 for _ in scripts]


# -- batches -----------------------------------------------------------------------------------------------------------


def batches(fails: float) -> Any:
    async def scenario(sim: Simulation) -> None:
        down = fails_until(fails, lambda: ProviderOverloaded("529", status=529))
        scripts = [Script("a", failure=down, pause=3.0), Script("b", pause=1.0)]
        made = [batching(script) for script in scripts]
        pool = sim.system.supervise(Pool.spec(made, seed=1, batching=Batching(size=3, min_window=2.0, max_window=2.0)))
        for number, answer in enumerate(await asked(pool, 10)):
            assert isinstance(answer, Completion), f"request {number} ended in {answer!r}"
            assert answer.message.text.endswith(f": {number}"), f"request {number} was answered {answer.message.text}"
        await nothing_is_left(pool, *scripts)

    return scenario


@pytest.mark.parametrize("fails", [0.0, 20.0])
def test_every_request_of_a_batch_is_answered_with_its_own_answer_whoever_crashes_or_is_late(fails: float) -> None:
    faults: list[Fault] = [Crash("pool/a"), Crash("pool/b"), Slow("pool/a", seconds=5.0), Slow("pool", seconds=1.0)]
    simulate(batches(fails), seeds=SEEDS, faults=faults, max_steps=200_000)


# -- fallback models ---------------------------------------------------------------------------------------------------


def falling_back() -> Any:
    async def scenario(sim: Simulation) -> None:
        def large_is_down(script: Script, given: Request) -> Exception | None:
            return ProviderOverloaded("529", status=529) if given.model == "large" else None

        scripts = [Script(name, failure=large_is_down) for name in "ab"]
        made = [endpoint(script) for script in scripts]
        pool = sim.system.supervise(Pool.spec(made, seed=1, fallbacks={"large": ["small"]}))
        for number, answer in enumerate(await asked(pool, 8, model="large")):
            assert isinstance(answer, Completion), f"request {number} ended in {answer!r}"
            assert answer.message.text.endswith(f": {number}"), f"request {number} was answered {answer.message.text}"
            assert answer.model == "small", f"request {number}: {answer}"
            assert answer.notes[-1] == "degraded to model small", f"request {number}: {answer.notes}"
        await nothing_is_left(pool, *scripts)

    return scenario


def test_a_lesser_model_answers_everyone_while_the_one_asked_for_is_down_whoever_crashes_or_is_late() -> None:
    faults: list[Fault] = [Crash("pool/a"), Crash("pool/b"), Slow("pool/b", seconds=5.0), Slow("pool", seconds=1.0)]
    simulate(falling_back(), seeds=SEEDS, faults=faults, max_steps=200_000)


# -- tools of an MCP server --------------------------------------------------------------------------------------------


def with_mcp_tools(count: int) -> Any:
    async def scenario(sim: Simulation) -> None:
        from mcp.server.mcpserver import MCPServer

        called: list[int] = []
        server = MCPServer("test")

        @server.tool()
        async def pay(amount: int) -> str:
            """Pay."""
            called.append(amount)
            await asyncio.sleep(1)
            return f"paid {amount}"

        def model(given: Request) -> Any:
            results = [message.text for message in given.messages if message.role == "tool"]
            if results:
                return " | ".join(results)
            return [call("pay", f"p{number}", amount=number) for number in range(count)]

        async with McpServer(server, system=sim.system) as mcp:
            agency = Agency(Agent("Solo", "You pay.", tools=mcp.tools), model=function(model), system=sim.system)
            sim.watch(agency)
            async with agency:
                answer = await agency.run("go", conversation="c")
        assert sorted(called) == sorted(set(called)), f"paid twice: {called}"
        assert len(answer.text.split(" | ")) == count, answer.text
        for number, told in enumerate(answer.text.split(" | ")):
            assert told.startswith((f"paid {number}", "Interrupted: ", "Error (McpCallLost): ")), told

    return scenario


def test_the_tools_of_an_mcp_server_are_called_once_whoever_crashes() -> None:
    pytest.importorskip("mcp")
    faults: list[Fault] = [Crash("agency/Solo/c"), Crash("McpClient-1"), Slow("model", seconds=0.5)]
    simulate(with_mcp_tools(3), seeds=SEEDS, faults=faults, max_steps=200_000)


def test_a_connection_that_crashes_while_its_tools_are_listed_is_asked_once_more_and_then_unavailable() -> None:
    pytest.importorskip("mcp")
    first, second = (Crash("McpClient-1", nth, "after") for nth in (1, 2))
    simulate(with_mcp_tools(1), seeds=0, faults=[first])

    async def scenario(sim: Simulation) -> None:
        from mcp.server.mcpserver import MCPServer

        with pytest.raises(McpUnavailable):
            async with McpServer(MCPServer("test"), system=sim.system):
                pass

    simulate(scenario, seeds=0, faults=[first, second])

"""Whoever is killed, restarted or stopped on a dashboard at whichever moment: each run ends once, in its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from callboard import ActorRef, AgentUnavailable, RunEvent
from tests.agents.conversations.support import team
from tests.dashboard.boards import board_of, eventually, log_of, post

ACTIONS: dict[str, Callable[[ActorRef[Any]], object]] = {
    "kill": lambda ref: ref.kill(),
    "restart": lambda ref: ref.restart(),
    "stop": lambda ref: ref.stop(),
}


async def struck(action: str, path: str, question: str, at: int) -> tuple[str, int]:
    """Ask, and have something done to an actor at the at-th event, if it is there; the answer, and how many came."""
    seen = 0
    async with team() as agency:

        def note(_: RunEvent) -> None:
            nonlocal seen
            seen += 1
            ref = agency.system.find(path) if agency.system is not None else None
            if seen == at and ref is not None:
                ACTIONS[action](ref)

        agency.subscribe(note)
        async with asyncio.timeout(20):
            answer = await agency.run(question, conversation="c")
        events = seen
        assert (await agency.replay("c")).same
        assert (await agency.run("hi", conversation="c")).text == "to hi"
        assert len((await agency.conversation("c")).runs) == 2
    return answer.text, events


@pytest.mark.parametrize("question", ["sum twice", "ask", "bill"])
@pytest.mark.parametrize(
    ("action", "path"),
    [
        ("kill", "agency/Front/c"),
        ("restart", "agency/Front/c"),
        ("stop", "agency/Front/c"),
        ("kill", "agency/Front"),
        ("restart", "agency/Front"),
        ("kill", "agency/Expert"),
        ("restart", "agency/Expert"),
        ("restart", "agency/Billing"),
        ("restart", "model"),
    ],
)
async def test_at_each_event_of_a_run(action: str, path: str, question: str) -> None:
    wanted, events = await struck(action, path, question, 0)
    for at in range(1, events + 1):
        text, _ = await struck(action, path, question, at)
        # A tool that may have had its effect is not called again: the model is told.
        assert text == wanted or "Interrupted" in text, f"{action} of {path} at event {at}"


async def test_a_hundred_actions_at_once_are_all_in_the_log() -> None:
    async with team() as agency, board_of(agency) as client:
        await agency.run("hi", conversation="c")
        actions = ["kill", "restart"] * 50

        async def one(action: str) -> int:
            answer = await client.post(f"/api/actors/{action}", json={"path": "agency/Expert"})
            return answer.status_code

        statuses = await asyncio.gather(*map(one, actions))
        log = await log_of(client)
        assert len(log) == 100
        assert sorted(action for _, action, _, _ in log) == sorted(actions)
        assert statuses.count(200) == sum(outcome == "done" for _, _, _, outcome in log)


async def test_an_agent_that_is_stopped_stays_so_and_whoever_asks_it_is_told() -> None:
    async with team() as agency, board_of(agency) as client:
        run = asyncio.ensure_future(agency.run("erase", conversation="c"))
        await eventually(lambda: agency.approvals)
        await post(client, "actors/stop", path="agency/Front")
        with pytest.raises(AgentUnavailable):
            await run
        with pytest.raises(AgentUnavailable):
            await agency.run("hi")
        assert (await agency.run("hi", agent="Expert")).text == "to hi"
        assert await log_of(client) == [("root", "stop", "agency/Front", "done")]

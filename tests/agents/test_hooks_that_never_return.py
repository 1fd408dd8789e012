"""A hook on finalize that never returns holds neither its run nor its conversation for ever."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Hook, HookContext, Limits, guardrail, hook
from callboard.actors.agents.errors import AgentError, RunCancelled, RunError, TimeLimit
from callboard.actors.testing import simulate
from tests.durable.support import eventually, kill

from .support import function, until

KINDS = [hook("finalize"), guardrail("finalize")]


class Stuck:
    """Hangs in its first run, also where it is called again for it."""

    def __init__(self) -> None:
        self.called = 0
        self.first = ""
        self.left = 0

    async def __call__(self, context: HookContext) -> None:
        self.first = self.first or context.request.run
        if context.request.run != self.first:
            return
        self.called += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.left += 1

    def agency(self, kind: Any, model: Any = lambda request: "hi", journal: Any = None, **options: Any) -> Agency:
        held: Hook = kind(self)
        return Agency(Agent("A", hooks=[held], **options), model=function(model), journal=journal)


async def ended(run: Any) -> AgentError:
    with pytest.raises(AgentError) as caught:
        await run
    return caught.value


@pytest.mark.parametrize("kind", KINDS, ids=["hook", "guardrail"])
def test_the_time_limit_ends_it(kind: Any) -> None:
    async def scenario(_: Any) -> None:
        stuck = Stuck()
        async with stuck.agency(kind, limits=Limits(seconds=30)) as agency:
            error = await ended(agency.run("q", conversation="c"))
            assert isinstance(error, TimeLimit)
            assert "finalize hook" in str(error)
            assert error.partial is not None
            assert error.partial.text == "hi"
            assert (await agency.run("r", conversation="c")).text == "hi"
        assert (stuck.called, stuck.left) == (1, 1)

    simulate(scenario, seeds=3)


@pytest.mark.parametrize("kind", KINDS, ids=["hook", "guardrail"])
async def test_a_cancel_ends_it(kind: Any, tmp_path: Path) -> None:
    stuck = Stuck()
    async with stuck.agency(kind, journal=tmp_path / "j.db") as agency:
        handle = await agency.start_run("q", conversation="c")
        behind = asyncio.ensure_future(agency.run("r", conversation="c"))
        await eventually(lambda: stuck.called == 1, "the call of the hook")
        await handle.cancel("enough")
        error = await ended(handle)
        assert isinstance(error, RunCancelled)
        assert error.partial is not None
        assert error.partial.text == "hi"
        assert stuck.left == 1
        assert (await behind).text == "hi"
    async with stuck.agency(kind, journal=tmp_path / "j.db") as agency:
        again = await agency.handle(handle.id)
        assert isinstance(await ended(again), RunCancelled)


async def test_a_run_that_crashes_meanwhile_is_still_cancelled() -> None:
    stuck = Stuck()
    async with stuck.agency(KINDS[0]) as agency:
        handle = await agency.start_run("q", conversation="c")
        await until(lambda: stuck.called == 1)
        cancelling = asyncio.ensure_future(handle.cancel("enough"))
        assert kill(agency, "agency/A/c")
        await cancelling
        assert isinstance(await ended(handle), RunCancelled)
        assert (await agency.run("r", conversation="c")).text == "hi"


@pytest.mark.parametrize("how", ["cancelled", "out of time"])
def test_hooks_have_some_seconds_for_a_run_that_was_stopped(how: str) -> None:
    async def scenario(sim: Any) -> None:
        async def never(request: Any) -> str:
            if request.messages[-1].text == "q":
                asked.set()
                await asyncio.Event().wait()
            return "hi"

        asked, stuck = asyncio.Event(), Stuck()
        seconds = 30.0 if how == "out of time" else None
        async with stuck.agency(KINDS[0], never, limits=Limits(seconds=seconds)) as agency:
            handle = await agency.start_run("q", conversation="c")
            await asked.wait()
            if how == "cancelled":
                await handle.cancel("enough")
            error = await ended(handle)
            assert isinstance(error, TimeLimit if how == "out of time" else RunCancelled)
            assert (await agency.run("r", conversation="c")).text == "hi"
        assert (stuck.called, stuck.left) == (1, 1)

    simulate(scenario, seeds=3)


async def test_an_error_that_was_there_stays() -> None:
    def fails(request: Any) -> str:
        raise ValueError("no")

    stuck = Stuck()
    async with stuck.agency(KINDS[0], fails) as agency:
        handle = await agency.start_run("q", conversation="c")
        await until(lambda: stuck.called == 1)
        await handle.cancel("enough")
        error = await ended(handle)
        assert isinstance(error, RunError)
        assert not isinstance(error, RunCancelled)


async def test_what_a_hook_returns_that_catches_its_end_counts_no_more() -> None:
    begun = asyncio.Event()

    @hook("finalize")
    async def stubborn(context: HookContext) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            context.answer = None

    async with Agency(Agent("A", hooks=[stubborn]), model=function(lambda request: "hi")) as agency:
        handle = await agency.start_run("q", conversation="c")
        await begun.wait()
        await handle.cancel("enough")
        assert isinstance(await ended(handle), RunCancelled)

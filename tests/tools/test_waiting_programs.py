"""Programs that wait for what they call: without a sandbox, and in an order that comes again."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Literal

import pytest

from callboard import Agency, Agent, Functions, Request, System, tool
from callboard.actors.agents.events import ApprovalRequested, RunEvent
from callboard.actors.testing import Restart, Simulation, simulate
from callboard.actors.testing.doubles.models import call
from callboard.tools.builtin.code import python_tool
from tests.agents.support import function

pytest.importorskip("pydantic_monty")

SEEDS = int(os.environ.get("CALLBOARD_SCHEDULES", "2"))
MANY = 36  # more than there are sandboxes at once


async def test_programs_that_wait_keep_no_sandbox_from_others() -> None:
    begun, all_wait, release = 0, asyncio.Event(), asyncio.Event()

    @tool(risk="safe", timeout=None)
    async def wait() -> int:
        nonlocal begun
        begun += 1
        if begun == MANY:
            all_wait.set()
        await release.wait()
        return begun

    made = python_tool(namespaces={"shop": [wait]})
    code = "import random\nprint('one')\nfirst = random.random()\nx = await shop.wait()\nprint('two')\n"
    code += "y = await shop.wait()\n[x, y, random.random() == first]"
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        waiting = [group.create_task(made.run({"code": code})) for _ in range(MANY)]
        await all_wait.wait()
        assert (await made.run({"code": "1 + 1"})).text == "2"
        release.set()
    texts = {task.result().text for task in waiting}
    assert all(text.startswith("one\ntwo\n[36, ") and text.endswith(", False]") for text in texts), texts


def test_a_program_that_has_waited_has_used_as_much_of_its_time_as_before() -> None:
    @tool(risk="safe")
    async def wait() -> None:
        await asyncio.sleep(10)

    made = python_tool([wait], timeout=0.5)
    code = "n = 0\nfor one in range(50):\n    for other in range(1_000_000):\n        n += 1\n    await wait()"

    async def scenario(sim: Simulation) -> None:
        result = await made.run({"code": code})
        assert result.is_error
        assert "time limit exceeded" in result.text

    simulate(scenario, seeds=1)


async def test_each_program_that_waits_for_a_person_is_asked_about_again_after_a_restart(tmp_path: Path) -> None:
    def define(prompt: Functions) -> None:
        @prompt.function()
        async def pay() -> int:
            """Pay."""
            return 5

    def model(request: Request) -> object:
        last = request.messages[-1]
        return last.text if last.role == "tool" else call("RunPython", "c1", code="await pay()")

    def agency() -> Agency:
        agent = Agent("Clerk", prompt=define, plugins=Functions, autonomy="supervised")
        return Agency(agent, model=function(model), journal=tmp_path / "journal.db")

    async def all_asked(agency: Agency) -> set[str]:
        asked, reached = {one.approval for one in agency.approvals}, asyncio.Event()

        def look(event: RunEvent) -> None:
            if isinstance(event, ApprovalRequested):
                asked.add(event.approval)
                if len(asked) == MANY:
                    reached.set()

        agency.subscribe(look)
        await reached.wait()
        return asked

    async with asyncio.timeout(90):
        async with agency() as first:
            runs = [asyncio.ensure_future(first.run("?", conversation=f"c{n}", run_id=f"r{n}")) for n in range(MANY)]
            asked = await all_asked(first)
        await asyncio.gather(*runs, return_exceptions=True)
        async with agency() as second:
            assert await all_asked(second) == asked
            assert {one.approval for one in await second.pending_approvals()} == asked
            for one in second.approvals:
                second.approve(one)
            answers = [await second.run("?", conversation=f"c{n}", run_id=f"r{n}") for n in range(MANY)]
    assert {answer.text for answer in answers} == {"5"}


PARTS = """
import asyncio
done = []
async def timer(name: str, seconds: float) -> None:
    await asyncio.sleep(seconds)
    done.append(name)
async def work() -> str:
    await slow()
    await asyncio.sleep(0)
    seen = ' '.join(done)
    return f'{seen}: {await late() if seen else await early()}'
said = await asyncio.gather(timer('one', 0.3), work(), timer('two', 2.0), timer('none', 0))
await last()
str(said)
"""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", range(1, 11))
def test_parts_that_run_side_by_side_with_pauses_go_the_same_way_after_a_crash(
    nth: int, when: Literal["before", "after"]
) -> None:
    made: list[str] = []

    def define(prompt: Functions) -> None:
        @prompt.function(risk="safe", idempotent=True)
        async def slow() -> None:
            """Takes longer than the first pause."""
            await asyncio.sleep(1)

        for name in ("late", "early", "last"):

            async def part(name: str = name) -> str:
                """A part."""
                made.append(name)
                return name

            prompt.function(part, name=name, risk="safe", idempotent=True)

    def model(request: Request) -> object:
        last = request.messages[-1]
        return last.text if last.role == "tool" else call("RunPython", "c1", code=PARTS)

    async def scenario(sim: Simulation) -> None:
        made.clear()
        sim.expect_dead_letters()

        async def main(system: System) -> str:
            agent = Agent("Clerk", prompt=define, plugins=Functions)
            journal = sim.folder / "journal.db"
            async with Agency(agent, model=function(model), journal=journal, system=system) as agency:
                return (await agency.run("?", conversation="c", run_id="r")).text

        assert await sim.process("shop", main) == "[None, 'none one: late', None, None]"
        assert "early" not in made

    simulate(scenario, seeds=SEEDS, faults=[Restart("shop", nth=nth, when=when)])

"""A prompt function in what becomes of a conversation: restarts in the middle of a step, replays, forks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, AgencyClosed, Agent, Caller, MemoryJournal, Prompt, RunSoFar, StepPlan, run_prompt
from callboard.actors.agents.events import RunEvent, ToolFinished
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Request
from tests.agents.support import function, results, until

from .test_in_runs import COUNTED, MORE, agency, calling, counter


async def test_the_function_is_told_who_asks_and_in_which_conversation() -> None:
    seen: list[tuple[str, str]] = []

    def prompt(prompt: Prompt) -> None:
        seen.append((prompt.context.caller.user, prompt.context.conversation))

    async with agency(prompt, lambda request: "ok") as made:
        await made.run("go", conversation="c", caller=Caller("ada"))
        await made.run("go", conversation="d", caller=Caller("joe"))
    assert seen == [("ada", "c"), ("joe", "d")]


async def test_a_condition_is_looked_at_before_the_function_is_called_and_the_plan_is_made_after_it() -> None:
    order: list[str] = []

    def prompt(prompt: Prompt) -> None:
        order.append("function")
        counter(prompt)

    def over(run: RunSoFar) -> bool:
        order.append("condition")
        return len(run.steps) == 2

    def plan(run: RunSoFar) -> StepPlan | None:
        order.append("plan")
        return None

    async with agency(prompt, calling(MORE, MORE, MORE), stop_when=over, prepare_step=plan) as made:
        assert len((await made.run("go")).steps) == 2
    assert order == ["function", "plan", "condition", "function", "plan", "condition"]


async def test_state_lasts_as_long_as_a_run_by_itself() -> None:
    def greeting(prompt: Prompt) -> None:
        counter(prompt)
        prompt.user("Hello.")

    for _ in range(2):
        assert (await run_prompt(greeting, model=function(calling(MORE)))).text == COUNTED.format(1)


async def test_what_the_step_of_an_empty_answer_has_set_goes_with_the_message_before_it() -> None:
    def prompt(prompt: Prompt) -> None:
        steps, set_steps = prompt.state("steps", 0)
        prompt.system("steps", f"{steps}")
        prompt.effect(lambda: set_steps(lambda before: before + 1))

    def model(request: Request) -> str:
        return "" if request.messages[-1].text == "be silent" else request.messages[0].text

    said = "<steps>\n{}\n</steps>"
    async with agency(prompt, model) as made:
        assert (await made.run("go", conversation="c")).text == said.format(0)
        await made.run("be silent", conversation="c")
        assert (await made.run("go", conversation="c")).text == said.format(2)
        for at in (1, 2):
            forked = await made.fork("c", at=at)
            assert (await made.run("go", conversation=forked)).text == said.format(at)


# -- a restart in the middle of a step ---------------------------------------------------------------------------------


class Till:
    """A prompt with one call that ends at once and one that waits for a person, and what was done of them."""

    def __init__(self, *, pays: bool = True) -> None:
        self.pays = pays
        self.rendered: list[int] = []
        self.acted: list[int] = []
        self.counted = 0

    def __call__(self, prompt: Prompt) -> None:
        count, set_count = prompt.state("count", 0)
        self.rendered.append(count)
        prompt.system("count", f"{count}")

        def act() -> None:
            self.acted.append(count)
            set_count(lambda before: before + 10)

        prompt.effect(act)

        @prompt.tool(risk="safe")
        async def more() -> str:
            """Count on."""
            self.counted += 1
            set_count(lambda before: before + 1)
            return f"was {count}"

        if self.pays:
            prompt.tool(lambda: f"paid at {count}", name="pay", risk="risky")

    def agency(self, journal: Path) -> Agency:
        def model(request: Request) -> Any:
            return request.messages[0].text if results(request) else [call("more", "m"), call("pay", "p")]

        agent = Agent("A", prompt=self, autonomy="supervised")
        return Agency(agent, model=function(model), journal=journal)


async def left_waiting(till: Till, journal: Path) -> str:
    """A process that ends while a person is asked, once the other call has its result; which approval it is."""
    ended: list[RunEvent] = []
    async with till.agency(journal) as made:
        made.subscribe(lambda event: ended.append(event) if isinstance(event, ToolFinished) else None)
        run = asyncio.ensure_future(made.run("go", conversation="c", run_id="r"))
        await until(lambda: made.approvals and ended)
        approval = made.approvals[0].approval
    with suppress(AgencyClosed):
        await run
    assert (till.rendered, till.acted, till.counted) == ([0], [0], 1)
    return approval


async def test_a_restart_in_the_middle_of_a_step_calls_the_function_once_more_and_no_effect(tmp_path: Path) -> None:
    approval = await left_waiting(Till(), tmp_path / "j.db")
    till = Till()
    async with till.agency(tmp_path / "j.db") as made:
        await until(lambda: made.approvals)
        assert [(one.approval, one.call_id) for one in made.approvals] == [(approval, "p")]
        assert (till.rendered, till.acted) == ([0], [])
        made.approve(made.approvals[0])
        answer = await made.run("go", conversation="c", run_id="r")
    assert till.counted == 0, "a call that had its result was made again"
    assert [one.output for one in answer.steps[0].calls] == ["was 0", "paid at 0"]
    assert (till.rendered, till.acted) == ([0, 11], [11])
    assert answer.text.endswith(COUNTED.format(11))


async def test_a_call_of_a_tool_that_the_function_does_not_define_any_more_is_told_so(tmp_path: Path) -> None:
    await left_waiting(Till(), tmp_path / "j.db")
    till = Till(pays=False)
    async with till.agency(tmp_path / "j.db") as made:
        answer = await made.run("go", conversation="c", run_id="r")
        assert not made.approvals
    more, pay = answer.steps[0].calls
    assert more.output == "was 0"
    assert "no tool is called 'pay'" in pay.output
    assert answer.text.endswith(COUNTED.format(11))


# -- replays -----------------------------------------------------------------------------------------------------------


def noting(rendered: list[int], acted: list[int], words: str = "") -> Callable[[Prompt], None]:
    """A prompt function that counts, and notes what state it was called with."""

    def prompt(prompt: Prompt) -> None:
        count, set_count = prompt.state("count", 0)
        rendered.append(count)
        prompt.system("count", f"{words}{count}")
        prompt.effect(lambda: acted.append(count))
        prompt.tool(lambda: set_count(lambda before: before + 1), name="more", risk="safe")

    return prompt


@pytest.mark.parametrize("words", ["", "It is "])
async def test_a_replay_calls_the_function_of_today_with_the_state_of_each_recorded_step(words: str) -> None:
    journal = MemoryJournal()
    then, acted = list[int](), list[int]()
    async with agency(noting(then, acted), calling(MORE, MORE), journal=journal) as made:
        await made.run("go", conversation="c")
        await made.run("go", conversation="c")
    assert then == acted == [0, 1, 2, 2, 3, 4]
    rendered: list[int] = []
    async with agency(noting(rendered, acted, words), calling(), journal=journal.as_worker()) as today:
        report = await today.replay("c")
    assert rendered == then
    assert acted == then, "a replay has run effects"
    assert report.same
    said = [one.request.messages[0].text for one in report.requests]
    assert said == [COUNTED.format(f"{words}{count}") for count in then]

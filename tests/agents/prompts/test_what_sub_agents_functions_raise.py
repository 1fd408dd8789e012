"""What functions around the call of a sub-agent raise: an error of the call, or what ends the run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callboard import Agency, Agent, Prompt, RunFailed
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Request
from tests.agents.support import function

from .test_in_runs import calling

ASK = call("ask", "ask", what="cats")


def agency(sub_agent_fails: bool, **callbacks: Any) -> Agency:
    def lead(prompt: Prompt) -> None:
        count, set_count = prompt.state("count", 0)
        prompt.system("count", f"{count}")

        def counted(raising: Any) -> Any:
            def count_and_raise() -> None:
                set_count(lambda before: before + 1)
                raise raising

            return count_and_raise

        made = {name: counted(raising) for name, raising in callbacks.items()}
        prompt.agent("ask", "Asks.", {"what": str}, lambda inner, given: inner.system("sub", "s"), **made)

    def model(request: Request) -> Any:
        if "<sub>" in request.messages[0].text:
            return OSError("down") if sub_agent_fails else "found"
        return calling(ASK)(request)

    return Agency(Agent("A", prompt=lead), model=function(model))


@pytest.mark.parametrize("name", ["before_call", "on_success", "on_error"])
async def test_an_exception_is_the_calls_error_and_what_was_set_does_not_count(name: str) -> None:
    async with agency(name == "on_error", **{name: ValueError("no such thing")}) as made:
        answer = await made.run("go")
    told = answer.steps[0].calls[0].output
    assert ("down" if name == "on_error" else "no such thing") in told
    assert answer.text == "<count>\n0\n</count>"


@pytest.mark.parametrize("name", ["before_call", "on_success", "on_error"])
@pytest.mark.parametrize("raising", [SystemExit(3), asyncio.CancelledError(), GeneratorExit()], ids=repr)
async def test_what_is_no_exception_ends_the_run_by_name(name: str, raising: BaseException) -> None:
    async with agency(name == "on_error", **{name: raising}) as made:
        with pytest.raises(RunFailed, match=f"{name} of ask raised {type(raising).__name__}"):
            await asyncio.wait_for(made.run("go", conversation="c"), 60)

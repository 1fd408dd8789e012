"""A tool that cannot be described to a model ends the runs of its agent by name, and nobody else's."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from callboard import Agency, Agent, RunFailed, ToolContext, tool
from callboard.actors.testing.doubles.models import Script, call
from callboard.tools import Tool, ToolDefinitionError

from .support import add, scripted


@tool
def unknown(x: Nowhere) -> str:  # type: ignore[name-defined]  # noqa: F821
    return str(x)


@tool
def without_schema(x: threading.Lock) -> str:
    return str(x)


@tool
def late(x: int, context: ToolContext[Any]) -> int:
    return x


@pytest.mark.parametrize(
    ("made", "told"),
    [(unknown, "name 'Nowhere' is not defined"), (without_schema, "no schema"), (late, "make it the first parameter")],
)
@pytest.mark.parametrize("defer", [False, True])
async def test_it_ends_the_run_at_once_with_its_cause(made: Tool, told: str, defer: bool) -> None:
    async with Agency(Agent("A", tools=[add, made], defer_tools=defer), model=scripted(Script([]))) as agency:
        with pytest.raises(RunFailed, match="the tools of A cannot be described: ToolDefinitionError") as failed:
            await agency.run("?")
    assert told in str(failed.value)
    assert isinstance(failed.value.__cause__, ToolDefinitionError)


async def test_whoever_hands_work_to_such_an_agent_is_told_and_goes_on() -> None:
    lead = Agent("Lead", handoffs=[Agent("Helper", tools=[unknown])])
    script = Script([call("SendMessage", target_agent="Helper", message="go"), "without it"])
    async with Agency(lead, model=scripted(script)) as agency:
        answer = await agency.run("?")
    assert answer.text == "without it"
    assert "Helper could not finish: RunFailed: the tools of Helper cannot be described" in answer.messages[2].text

"""Small things that are given wrongly are refused by name, before anything is done."""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import Callable
from typing import Any, List  # noqa: UP035

import pytest

from callboard import Agency, Agent, tool
from callboard.actors.agents.errors import DefinitionError
from callboard.tools import ToolDefinitionError

from .held import Held
from .support import function


def agency() -> Agency:
    return Agency(Agent("A"), Agent("B"), model=function(lambda request: "hi"))


@pytest.mark.parametrize("name", ["agent", "conversation", "nonsense"])
async def test_fan_out_says_which_option_it_does_not_have(name: str) -> None:
    async with agency() as team:
        with pytest.raises(TypeError, match=f"fan_out has no option '{name}'; there are caller, context, deps, "):
            await team.fan_out("q", **{name: "A"})
        assert {answer.text for answer in (await team.fan_out("q", user="u")).values()} == {"hi"}  # type: ignore[union-attr]
        await team.fan_out("q", output_type=None)


@pytest.mark.parametrize("given", [None, "x", True, math.nan, [1]])
async def test_what_is_no_number_of_seconds_leaves_the_agency_at_work(given: Any) -> None:
    async with agency() as team:
        with pytest.raises(DefinitionError, match=r"stop: drain is .*; expected a number of seconds"):
            await team.stop(drain=given)
        with pytest.raises(DefinitionError, match="drained: seconds"):
            await team.drained(given)
        before = signal.getsignal(signal.SIGTERM)
        with pytest.raises(DefinitionError, match="stop_on_signals: drain"):
            team.stop_on_signals(drain=given)
        assert signal.getsignal(signal.SIGTERM) is before
        assert (await team.run("q")).text == "hi"


async def test_no_time_left_and_for_ever_are_numbers_of_seconds() -> None:
    held = Held()
    async with held.agency(None) as team:
        handle = await team.start_run("hold on")
        await held.begun.wait()
        assert not await team.drained(-1)
        waiting = asyncio.ensure_future(team.drained(math.inf))
        held.go.set()
        assert (await handle).text == "heard hold on"
        assert await waiting
        await team.stop(drain=-0.5)


@pytest.mark.parametrize(
    "given", [5, signal.SIGTERM, "TERM", None, ["TERM"], [0], [signal.SIGTERM, 5000], [signal.SIGTERM, signal.SIGKILL]]
)
async def test_what_are_no_signals_changes_no_handler(given: Any) -> None:
    before = signal.getsignal(signal.SIGTERM)
    async with agency() as team:
        with pytest.raises(DefinitionError, match="stop_on_signals: "):
            team.stop_on_signals(signals=given)
        assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("given", ["x", None, 1])
def test_run_sync_raises_or_does_not(given: Any) -> None:
    with pytest.raises(DefinitionError, match=r"run_sync: .*expected True or False"):
        agency().run_sync("q", raises=given)


@pytest.mark.parametrize("what", ["tools", "hooks", "skills"])
@pytest.mark.parametrize("given", [5, "clock", None])
def test_what_names_stand_for_is_a_mapping_or_several(what: str, given: Any) -> None:
    with pytest.raises(DefinitionError, match=f"what {what} are called is given as a mapping"):
        Agent.from_config({"name": "A"}, **{what: given})


NOT_FUNCTIONS: dict[str, Any] = {"list[int]": list[int], "List[int]": List[int], "union": int | str, "iter": iter}  # noqa: UP006


@pytest.mark.parametrize("what", NOT_FUNCTIONS)
async def test_what_does_not_say_what_it_takes_is_no_tool(what: str) -> None:
    wrong = NOT_FUNCTIONS[what]
    ways: dict[type[Exception], list[Callable[[], object]]] = {
        ToolDefinitionError: [lambda: tool(wrong)],
        DefinitionError: [lambda: Agent("A", tools=[wrong])],
    }
    for error, refused in ways.items():
        for act in refused:
            with pytest.raises(error, match=r"made of a function|is no tool"):
                act()
    async with agency() as team:
        with pytest.raises(DefinitionError, match=r"made of a function|is no tool"):
            team.add_tool("A", wrong)
        assert (await team.run("q")).text == "hi"

"""Asking from code without an event loop."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Limits
from callboard.actors.agents.errors import AgencyClosed, DefinitionError, StepLimit
from callboard.actors.core.base.errors import BlockingCall
from callboard.actors.testing.doubles.models import Script, call

from .support import add, scripted, solo


def test_the_whole_answer_comes_back(tmp_path: Path) -> None:
    script = Script([call("add", a=1, b=2), "3"], cost=0.5)
    agency = Agency(Agent("A", tools=[add]), model=scripted(script), journal=tmp_path / "j.db")
    answer = agency.run_sync("?", output_type=int, conversation="c", user="ann")
    assert (answer.value, answer.cost, answer.conversation) == (3, 1.0, "c")
    assert [step.action for step in answer.steps] == ["tool", "answer"]
    assert answer.error is None
    assert agency.system is None, "it was started for this one request"


def test_an_error_is_raised_or_returned_in_the_answer_with_what_was_done() -> None:
    def agency() -> Agency:
        return solo(Script([call("add", a=1, b=2)], cost=0.5), tools=[add], limits=Limits(steps=1))

    with pytest.raises(StepLimit):
        agency().run_sync("?")
    answer = agency().run_sync("?", raises=False)
    assert isinstance(answer.error, StepLimit)
    assert (answer.text, answer.cost, [step.tool for step in answer.steps]) == ("", 0.5, ["add"])


def test_what_is_wrong_with_the_arguments_is_raised_all_the_same() -> None:
    with pytest.raises(DefinitionError):
        solo(Script([])).run_sync("", output_type="no type", raises=False)
    with pytest.raises(DefinitionError, match="a bare text"):
        solo(Script([])).run_sync(["hi"], raises=False)  # type: ignore[list-item]
    with pytest.raises(TypeError, match="run has no option 'colour'; there are agent, caller, "):
        solo(Script([])).run_sync("?", colour="red")  # type: ignore[call-overload]


async def test_it_does_not_block_an_event_loop() -> None:
    async with solo(Script(["x"])) as agency:
        with pytest.raises(BlockingCall, match="await run"):
            agency.run_sync("?", raises=False)
        done: list[Any] = []
        thread = threading.Thread(target=lambda: done.append(agency.run_sync("?").text))
        thread.start()
        await asyncio.to_thread(thread.join)
        assert done == ["x"]
    closed = await asyncio.to_thread(agency.run_sync, "?", raises=False)
    assert isinstance(closed.error, AgencyClosed)

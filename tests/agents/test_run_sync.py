"""Asking from code without an event loop."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Limits, System
from callboard.actors.agents.errors import AgencyClosed, DefinitionError, StepLimit
from callboard.actors.core.base.errors import BlockingCall
from callboard.actors.testing.doubles.models import Script, call
from tests import warm

from .support import add, scripted, solo

FORKED = """
import os
from callboard import Agency, AgencyClosed, Agent, ChildSpec, System
from callboard.testing import FunctionModel

with System.in_thread() as system:
    agency = Agency(Agent("A"), model=ChildSpec(FunctionModel, (lambda _: "hello",), name="model"), system=system)
    system.run(agency.start())
    print(agency.run_sync("?").text, flush=True)
    if not (child := os.fork()):
        try:
            agency.run_sync("?")
        except AgencyClosed as error:
            print("child:", str(error).partition(":")[0], flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    print("in order", flush=True)
"""


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


def test_in_a_process_forked_off_it_is_refused_and_does_not_wait_for_ever() -> None:
    done = warm.run("-c", FORKED)
    assert done.stdout.splitlines() == [
        "hello",
        "child: it runs in the process that this one was forked from",
        "in order",
    ]
    assert done.returncode == 0, done.stderr


def test_once_its_system_has_stopped_it_is_closed() -> None:
    with System.in_thread() as system:
        agency = Agency(Agent("A"), model=scripted(Script(["x"])), system=system)
        system.run(agency.start())
        assert agency.run_sync("?").text == "x"
    with pytest.raises(AgencyClosed):
        agency.run_sync("?")

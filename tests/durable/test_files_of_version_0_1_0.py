"""A journal's file that version 0.1.0 left after ``kill -9`` opens, and goes on; see `fixtures`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Answer, Request, handoff, request_context, tool
from callboard.actors.agents.errors import AgentError, UnknownAgent

from .support import call, eventually, function, outcome, results, said, stored

FIXTURE = Path(__file__).with_name("fixtures") / "journal-0.1.0.db"
LEFT = ["work", "next", "pay", "ask", "think"]
"""What the callers of the unfinished runs had asked."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A copy of the file."""
    shutil.copy(FIXTURE, tmp_path / "j.db")
    return tmp_path / "j.db"


class Today:
    """The team of the fixture, as the present version has it."""

    def __init__(self, journal: Path) -> None:
        self.effects: list[str] = []

        @tool(risk="safe")
        async def note(text: str) -> str:
            self.effects.append(f"noted {text}")
            return f"noted {text}"

        @tool(risk="safe")
        async def slow() -> str:
            self.effects.append("slow")
            return "slow is done"

        @tool
        async def pay(amount: int) -> str:
            context = request_context()
            assert context is not None
            self.effects.append(f"{context.user} of {context.metadata['tenant']} paid {amount}")
            return f"paid {amount}"

        def model(request: Request) -> Any:
            who, done = request.messages[0].text.partition("\n")[0], results(request)
            if who == "front" and done:
                return f"front: {done[-1]}"
            if who == "front" and said(request).startswith("note "):
                return call("note", text=said(request).removeprefix("note "))
            return f"{who} today: {said(request)}"

        back, helper = Agent("Back", "back"), Agent("Helper", "helper")
        front = Agent(
            "Front",
            "front",
            tools=[note, slow, pay],
            handoffs=[helper, handoff(back, kind="transfer")],
            autonomy="supervised",
        )
        self.agency = Agency(front, back, helper, model=function(model), journal=journal)


async def test_every_unfinished_run_ends_in_its_answer(path: Path) -> None:
    today = Today(path)
    async with today.agency as agency:
        assert len(agency.resumed) == len(LEFT)
        await eventually(lambda: agency.approvals, "the approval that was waited for")
        (approval,) = agency.approvals
        assert (approval.agent, approval.conversation, approval.tool) == ("Front", "paying", "pay")
        agency.approve(approval)
        answers = [await outcome(run) for run in agency.resumed.values()]
        assert all(isinstance(answer, Answer) for answer in answers), answers
        told = {_asked(answer): answer.text for answer in answers}
    assert sorted(told) == sorted(LEFT)
    assert told["work"].startswith("front: Interrupted"), "a tool that had begun is not begun again"
    assert told["next"] == "front today: next"
    assert told["pay"] == "front: paid 5"
    assert told["ask"] == "front: helper today: help"
    assert told["think"] == "front today: think"
    assert today.effects == ["ada of acme paid 5"]
    async with Today(path).agency as agency:
        assert agency.resumed == {}, "what has ended is gone on with once more"


def _asked(answer: Answer) -> str:
    return [message.text for message in answer.messages if message.role == "user"][-1]


async def test_every_finished_conversation_is_there_whole(path: Path) -> None:
    today = Today(path)
    async with today.agency as agency:
        long = (await outcome(agency.run("note more", conversation="long", user="ada"))).messages
        assert [m.text for m in long if m.role == "user"] == [*(f"note {number}" for number in range(12)), "note more"]
        assert [m.text for m in long if m.role == "tool"] == [*(f"noted {n}" for n in range(12)), "noted more"]
        assert len(long) == 13 * 4
        short = (await outcome(agency.run("bye", conversation="short"))).messages
        assert [m.text for m in short if m.role == "user"] == ["note one", "hello", "note too much", "bye"]
        moved = await outcome(agency.run("still", conversation="moved"))
        assert (moved.agent, moved.text) == ("Back", "back today: still")
        assert [m.text for m in moved.messages if m.role == "user"][-3:] == ["move", "more", "still"]
    assert today.effects == ["noted more"]
    async with Today(path).agency as agency:
        again = (await outcome(agency.run("and on", conversation="long", user="ada"))).messages
        assert again[: len(long)] == long


async def test_conversations_of_the_file_can_be_released(path: Path) -> None:
    async with Today(path).agency as agency:
        for conversation in ("long", "short", "moved", "working", "paying", "asking"):
            await agency.release(conversation)
        for resumed in agency.resumed.values():
            assert isinstance(await outcome(resumed), Answer | AgentError)
    left = b"\n".join(stored(path))
    assert b"note too much" not in left
    assert b"noted before" not in left, "what was transferred is forgotten with the rest"


async def test_unfinished_runs_of_agents_that_have_gone_end_in_unknown_agent(path: Path) -> None:
    agency = Agency(Agent("Other"), model=function(lambda request: "fine"), journal=path)
    async with agency:
        assert len(agency.resumed) == len(LEFT)
        for resumed in agency.resumed.values():
            assert isinstance(await outcome(resumed), UnknownAgent)
        assert (await outcome(agency.run("?"))).text == "fine"

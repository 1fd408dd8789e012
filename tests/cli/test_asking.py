"""A call that a chat would ask about and that was decided meanwhile is neither shown nor decided again."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from callboard.actors.agents.events import ApprovalRequested, RunEvent
from callboard.actors.cli.chat.asking import Asking
from callboard.actors.cli.chat.screen import Screen
from callboard.actors.cli.parts.flow import Flow
from callboard.actors.cli.parts.spending import Spending
from tests.agents.conversations.support import team
from tests.durable.support import until


class Typed:
    """A keyboard on which these lines are typed."""

    waits = True

    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)
        self.prompts: list[str] = []

    async def request(self) -> str:
        raise EOFError

    async def answer(self, prompt: str, default: str = "") -> str:
        self.prompts.append(prompt)
        return self.lines.pop(0)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        yield


async def test_what_was_decided_elsewhere_before_its_turn_came_is_not_asked_about() -> None:
    out = io.StringIO()
    screen = Screen(Console(file=out, width=200), Flow(Console(file=out), lambda: 0.0), Spending(), lambda: 0.0)
    keyboard = Typed("always", "yes")
    asked: list[ApprovalRequested] = []

    def note(event: RunEvent) -> None:
        if isinstance(event, ApprovalRequested):
            asked.append(event)

    async with team() as agency:
        asking = Asking(agency, keyboard, screen)
        agency.subscribe(note)
        for by_chat in (False, True, False):
            run = asyncio.ensure_future(agency.run("erase"))
            assert await until(lambda: agency.approvals)
            if by_chat:
                await asking.decide(asked[-1])
                assert "Front wants erase" in out.getvalue()
            else:
                agency.approve(asked[-1])
            assert (await run).text == "done: notes is gone"
            out.truncate(0)
            out.seek(0)
            await asking.decide(asked[-1])
            assert out.getvalue() == ""
    assert len(keyboard.prompts) == 1
    assert keyboard.lines == ["yes"]

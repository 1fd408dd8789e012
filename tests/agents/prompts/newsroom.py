"""An editor and the agents that read for it and count what they read, for tests of crashes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from callboard import Agency, Agent, Prompt, Request, System
from callboard.actors.testing.doubles.models import call
from tests.agents.support import function, results

from .crashes import Watched


class Find(BaseModel):
    topic: str


class Fact(BaseModel):
    pages: int


class Newsroom(Watched):
    """An editor, whose agents turn two pages each, and what was seen of their runs. It keeps what they found.

    Args:
        pause: seconds that reading takes.

    Attributes:
        plugins: those of the editor's prompt function.
        unfit: a topic whose answer does not fit its schema.
    """

    plugins: Any = ()
    unfit = ""

    def __init__(self, pause: float = 1.0) -> None:
        super().__init__()
        self.pause = pause

    def offer(self, prompt: Any, read: Callable[[Prompt, Find], None], **callbacks: Any) -> None:
        """Make the agents that read part of the editor's prompt."""
        raise NotImplementedError

    def editor(self, request: Request) -> Any:
        """The editor's model."""
        raise NotImplementedError

    def edit(self, prompt: Prompt) -> None:
        found, set_found = prompt.state("found", [], list[str])
        prompt.system("editor", json.dumps(found))

        def read(inner: Prompt, given: Find) -> None:
            pages, set_pages = inner.state("pages", 0)
            inner.system("reader", f"{given.topic} {pages} pages, {len(found)} known")

            @inner.tool(risk="safe", idempotent=True)
            async def turn() -> int:
                """Turn the page."""
                await asyncio.sleep(self.pause)
                return set_pages(lambda before: before + 1)

            if given.topic == "risky":
                inner.tool(lambda: set_pages(lambda before: before + 7), name="buy", risk="risky", idempotent=True)

        async def keep(given: Find, answer: Any) -> None:
            await asyncio.sleep(self.pause / 10)
            told = answer.pages if isinstance(answer, Fact) else answer
            set_found(lambda before: [*before, f"{given.topic}: {told}"])

        def miss(given: Find, error: Exception) -> None:
            set_found(lambda before: [*before, f"{given.topic}: no"])

        self.offer(prompt, read, on_success=keep, on_error=miss)

    def reader(self, request: Request) -> Any:
        """The model of those that read."""
        told, done = request.messages[0].text, results(request)
        topic, pages = told.partition("<reader>\n")[2].split()[:2]
        if topic == "down":
            return OSError("down")
        if topic == "risky" and len(done) == 1:
            return call("buy", "y")
        if len(done) < 2:
            return call("turn", f"t{len(done)}")
        fits = "response_schema" in told and topic != self.unfit
        return json.dumps({"pages": int(pages)}) if fits else f"{topic}{pages}"

    def model(self, request: Request) -> Any:
        return (self.editor if "<editor>" in request.messages[0].text else self.reader)(request)

    def agency(self, journal: Any = None, system: System | None = None, **options: Any) -> Agency:
        agent = Agent("E", prompt=self.edit, plugins=self.plugins, **options)
        made = Agency(agent, model=function(self.model), journal=journal, system=system)
        made.subscribe(self.look)
        return made

    def check(self) -> None:
        assert not self.again, f"asked again although they had ended: {self.again}"

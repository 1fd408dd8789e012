"""A team with all that a dashboard shows, held where a test wants it, and served as its users have it."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from starlette.requests import HTTPConnection

from callboard import Agency, Agent, Budget, Caller, ChildSpec, Endpoint, Limits, Pool, Price, Quota, handoff, tool
from callboard.actors import Actor
from callboard.actors.testing.doubles.models import FunctionModel
from callboard.providers.messages import Completion, Message, Request, ToolCall, Usage
from callboard.tools.builtin.files import file_tools
from tests.serving.support import Served, served

KEY: Final = "ann+admin"
LOOKS: Final = "lou+metrics"
STRANGER: Final = "sam"
"""Keys of who may look and act, of who may look, and of who may do neither."""

_USAGE: Final = Usage(1_000, 50)


def who(connection: HTTPConnection) -> Caller | None:
    """``Bearer USER[+SCOPE]``."""
    user, _, scope = connection.headers.get("authorization", "").removeprefix("Bearer ").partition("+")
    return Caller(user, scopes=frozenset({scope} if scope else ())) if user else None


class Fragile(Actor):
    """Fails when it is told to; messages wait in it while it is held."""

    def __init__(self, gate: asyncio.Event):
        super().__init__()
        self.gate = gate

    async def on_receive(self, message: object) -> None:
        if message == "hold":
            await self.gate.wait()
        elif message == "fail":
            raise RuntimeError("the lamp is broken")


class Stage:
    """A team of two, whose model does what it is told.

    A text such as ``write a.txt`` has the Clerk call Write, ``step 3`` a safe tool three times, ``ask Checker`` the
    other agent, and any other text is answered with itself. ``hold NAME`` before it waits for the gate of that name.

    Args:
        folder: where files are written.
        journal: where the agency keeps what it does; None for memory.

    Attributes:
        agency: it.
        gates: by name, made when one is first asked for.
        folder: where files are written.
        it: how it is served, once it is.
    """

    it: Served

    def __init__(self, folder: Path, journal: Path | None = None) -> None:
        self.folder = folder
        self.gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.lamp = asyncio.Event()
        stage = self

        @tool(risk="safe")
        async def step(gate: str = "") -> str:
            """Take a step."""
            if gate:
                await stage.gates[gate].wait()
            return "taken"

        endpoints = [
            Endpoint(
                name,
                ChildSpec(FunctionModel, (self._answer,), name=name),
                limits=Quota(requests_per_minute=600, concurrency=8),
                price=Price(100.0, 1_000.0),
            )
            for name in ("one", "two")
        ]
        budgets = [Budget("agent", "Clerk", 50.0, "day"), Budget("pool", "", 100.0)]
        self.agency = Agency(
            Agent(
                "Clerk",
                "You keep the files.",
                tools=[step, *file_tools(folder)],
                handoffs=[handoff("Checker")],
                autonomy="supervised",
                limits=Limits(steps=4, ask=True),
            ),
            Agent("Checker", "You look at what was done.", tools=[step]),
            pool=ChildSpec(Pool, (endpoints,), {"budgets": budgets}, name="pool"),
            journal=journal,
        )

    async def _answer(self, request: Request) -> Any:
        asked = max(index for index, message in enumerate(request.messages) if message.role == "user")
        text = request.messages[asked].text
        done = sum(message.role == "tool" for message in request.messages[asked:])
        if text.startswith("hold "):
            _, gate, text = text.split(" ", 2)
            await self.gates[gate].wait()
        words = text.split()
        if words[:1] == ["write"] and not done:
            return _call("Write", path=words[1], content="new words\nkept\n")
        if words[:1] == ["step"] and done < int(words[1]):
            gate = words[2] if len(words) > 2 and done == int(words[1]) - 1 else ""
            return _call("step", gate=gate)
        if words[:1] == ["ask"] and not done:
            return _call(f"delegate_to_{words[1]}", message="step 1")
        return Completion(Message("assistant", f"I heard: {text}"), "stop", _USAGE)

    @property
    def url(self) -> str:
        """Of the dashboard, for who has `KEY`."""
        return self.address(KEY)

    def address(self, key: str) -> str:
        """Of the dashboard, for who has a key."""
        return f"{self.it.url}/dashboard/#key={key}"

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for what the page does, as the server sees it."""
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)


def _call(name: str, **arguments: str) -> Completion:
    call = ToolCall(f"call_{uuid4().hex}", name, json.dumps(arguments))
    return Completion(Message("assistant", "", (call,)), "tool_calls", _USAGE)


@asynccontextmanager
async def staged(folder: Path, journal: Path | None = None, **options: Any) -> AsyncIterator[Stage]:
    """Serve one, with a dashboard, until the end of the block; what is held goes on then.

    Args:
        folder: where files are written.
        journal: where the agency keeps what it does.
        options: of `serve`.
    """
    stage = Stage(folder, journal)
    async with served(stage.agency, **{"authenticate": who, "dashboard": True, "drain": 0.1, **options}) as it:
        stage.it = it
        try:
            yield stage
        finally:
            stage.lamp.set()
            for gate in stage.gates.values():
                gate.set()

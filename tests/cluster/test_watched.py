"""What the model says in a run on another node, for those who come to watch it late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

from callboard import Agent, ChildSpec, Cluster, MemoryJournal, RunText
from callboard.actors import Actor
from callboard.actors.agents.runs.handle import RunHandle
from callboard.actors.cluster.network import Network
from callboard.providers.messages import Completion, Delta, Message


class Restarting(Actor):
    """Thinks, is cut off, thinks again, and answers, each once it may go on."""

    def __init__(self, said: asyncio.Queue[int], may: asyncio.Semaphore) -> None:
        super().__init__()
        self.said, self.may = said, may

    def on_receive(self, message: Any) -> Any:
        return self._pieces()

    async def _pieces(self) -> AsyncGenerator[Delta, None]:
        for number, delta in enumerate(
            (
                Delta(reasoning="first thought, a long one"),
                Delta(restart=True),
                Delta(reasoning="second "),
                Delta(reasoning="thought"),
                Delta(text="yes, "),
                Delta(text="sir"),
            )
        ):
            await self.may.acquire()
            yield delta
            await self.said.put(number)
        await self.may.acquire()
        said = Message("assistant", "yes, sir", reasoning="second thought")
        yield Delta(completion=Completion(said, "stop"))


async def watch(handle: RunHandle[Any], told: list[tuple[str, str, bool]]) -> None:
    """Note all texts that come in a run."""
    async for piece in handle.stream():
        if isinstance(piece, RunText):
            told.append((piece.kind, piece.text, piece.restarted))


def whole(told: list[tuple[str, str, bool]]) -> dict[str, str]:
    """The texts, as somebody has them who begins one anew where that is said."""
    texts: dict[str, str] = {}
    for kind, text, restarted in told:
        texts[kind] = text if restarted else texts.get(kind, "") + text
    return texts


async def test_who_comes_at_any_moment_is_told_what_was_said_by_then_and_then_each_piece() -> None:
    network, journal = Network(), MemoryJournal()
    may, said = asyncio.Semaphore(0), asyncio.Queue[int]()
    async with AsyncExitStack() as stack:
        one, two = [
            await stack.enter_async_context(
                Cluster(None, transport=network.transport(), journal=journal.as_worker(), node=name).agency(
                    Agent("Clerk"), model=ChildSpec(Restarting, (said, may))
                )
            )
            for name in ("one", "two")
        ]
        assert one._carrier is not None
        one._carrier._place = lambda run, but: two.journal.worker
        handle = await one.start_run("?", stream=True)
        watchers = []
        by_then: list[dict[str, str]] = []
        for _ in range(6):
            told: list[tuple[str, str, bool]] = []
            watchers.append((told, asyncio.ensure_future(watch(handle, told))))
            may.release()
            await said.get()
            for _ in range(50):
                await asyncio.sleep(0)
            by_then.append(whole(watchers[-1][0]))
        may.release()
        assert (await handle).text == "yes, sir"
        for told, watching in watchers:
            await watching
            assert whole(told) == {"reasoning": "second thought", "text": "yes, sir"}
        first = {"reasoning": "first thought, a long one"}
        second = {"reasoning": "second thought"}
        anew = [first, first, {"reasoning": "second "}, second, {**second, "text": "yes, "}]
        assert by_then == [*anew, {**second, "text": "yes, sir"}]
        assert watchers[2][0] == [  # it came behind the restart
            ("reasoning", "second ", False),
            ("reasoning", "thought", False),
            ("text", "yes, ", False),
            ("text", "sir", False),
        ]

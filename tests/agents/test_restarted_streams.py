"""A model's stream that begins anew: what it had said before is void for whoever watches the run."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from callboard import Agency, Agent, as_chunks
from callboard.actors import Actor, System
from callboard.actors.agents.events import ReasoningDelta, Retried, RunEvent, RunFinished, TextDelta
from callboard.providers.messages import Completion, Delta, Message


class Restarting(Actor):
    """Thinks, is cut off, thinks again, and answers."""

    def on_receive(self, message: Any) -> Any:
        return self._pieces()

    async def _pieces(self) -> AsyncGenerator[Delta, None]:
        yield Delta(reasoning="first thought")
        yield Delta(restart=True)
        yield Delta(reasoning="second thought")
        yield Delta(text="yes")
        yield Delta(completion=Completion(Message("assistant", "yes", reasoning="second thought"), "stop"))


async def test_a_run_tells_that_what_was_streamed_before_a_restart_is_void() -> None:
    async with System("test") as system, Agency(Agent("a"), model=system.spawn(Restarting)) as agency:
        events: list[RunEvent] = [event async for event in agency.run_streaming("?")]
        told = [event for event in events if isinstance(event, ReasoningDelta | Retried | TextDelta)]
        assert [type(event) for event in told] == [ReasoningDelta, Retried, ReasoningDelta, TextDelta]
        assert isinstance(told[1], Retried)
        assert told[1].attempt == 1
        assert isinstance(events[-1], RunFinished)
        assert events[-1].answer is not None
        assert events[-1].answer.text == "yes"
        chunks = [chunk async for chunk in as_chunks(agency.run_streaming("?"))]
        texts = [each["choices"][0]["delta"].get("content") or "" for each in chunks if each.get("choices")]
        assert "".join(texts) == "yes"

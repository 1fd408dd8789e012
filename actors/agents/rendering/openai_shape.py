"""Answers and events in the shape of OpenAI's chat completions: whole responses, and chunks as they come."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ....providers.messages import Completion, Message
from ....providers.wire.openai_chat import to_events, to_response
from ..answer import Answer
from ..errors import AnswerChanged
from ..events import (
    ApprovalRequested,
    CompletionStarted,
    HandoffFinished,
    HandoffStarted,
    Retried,
    RunEvent,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolFinished,
    ToolProgress,
    ToolStarted,
)

_TOLD = (ApprovalRequested, HandoffFinished, HandoffStarted, Retried, ToolFinished, ToolProgress, ToolStarted)
"""Events of which a chunk tells that has nothing to say: whoever reads sees that there is work going on."""


def as_completion(answer: Answer) -> Completion:
    """An answer as a provider's completion; the model's name is the agent's."""
    message = Message("assistant", answer.text, answer.tool_calls)
    reason: Any = "tool_calls" if answer.tool_calls else "stop"
    return Completion(message, reason, answer.usage, answer.agent, cost=answer.cost, notes=answer.notes)


def as_response(answer: Answer, *, created: int | None = None) -> Mapping[str, Any]:
    """An answer as a ``chat.completion`` object.

    Args:
        answer: from `Agency.run`.
        created: seconds since 1970, for the object's ``created``; now by default.
    """
    return to_response(as_completion(answer), id=f"chatcmpl-{answer.run}", created=_now(created))


async def as_chunks(
    events: AsyncIterable[RunEvent], *, created: int | None = None, live: bool = False
) -> AsyncIterator[Mapping[str, Any]]:
    """A streamed run as ``chat.completion.chunk`` objects. Their contents, put together, are the answer's text.

    Nothing can be taken back in this protocol, and what a model says may turn out not to be the answer: it calls a tool
    then, its stream is cut and begins anew, a hook changes it, the conversation is transferred. So the text is sent
    once it is known to be the answer's. Meanwhile a chunk with an empty delta tells of each tool, handoff and approval;
    its field ``callboard`` says which. The last chunk tells what was used, and has no ``choices``.

    Args:
        events: from `Agency.run_streaming`.
        created: seconds since 1970, for the objects' ``created``; now by default.
        live: send text as it comes where only a stream that is cut, or a message into the running run, could make it
            void: of an agent with no tools, handoffs, type and hooks on what it says, also where the conversation was
            transferred to it.

    Raises:
        AgentError: as the run.
        AnswerChanged: with ``live``: text was sent, and the answer does not begin with it.
    """
    made = _Chunks(_now(created), live)
    async for event in events:
        for chunk in made.take(event):
            yield chunk


def _now(created: int | None) -> int:
    return int(time.time()) if created is None else created


class _Chunks:
    """What is sent of the events of a run.

    Args:
        created: seconds since 1970.
        live: whether text is sent before the run has ended.
    """

    def __init__(self, created: int, live: bool) -> None:
        self._created = created
        self._live = live
        self._agent = ""
        self._sent = ""
        self._said = ""
        """What the completion under way has said so far, where it cannot be anything but the answer."""
        self._certain = False
        self._answering: set[str] = set()
        """The ids of the run, and of those in which others answer for it."""

    def take(self, event: RunEvent) -> Iterator[Mapping[str, Any]]:
        """The chunks that an event leads to."""
        if not self._agent:
            self._agent = event.agent
            self._answering.add(event.root)
            yield self._chunk(event, {"role": "assistant", "content": ""})
        if isinstance(event, _TOLD):
            about = {"event": type(event).__name__, "agent": event.agent}
            named = getattr(event, "tool", "") or getattr(event, "target", "")
            yield {**self._chunk(event, {}), "callboard": {**about, "name": named}}
        if isinstance(event, RunStarted) and event.answers_for in self._answering:
            self._answering.add(event.run)
        if event.run not in self._answering:  # what delegates say is for their sender, not for the caller
            return
        if isinstance(event, CompletionStarted):
            self._certain = self._live and event.last
            self._said = ""
        elif isinstance(event, Retried):
            self._said = ""
        elif isinstance(event, TextDelta) and self._certain:
            self._said += event.text
            if len(self._said) > len(self._sent) and self._said.startswith(self._sent):
                more = self._said[len(self._sent) :]
                self._sent = self._said
                yield self._chunk(event, {"content": more})
        elif not isinstance(event, RunFinished) or event.run != event.root:
            return
        elif event.answer is not None and event.error is None:
            yield from self._end(event, event.answer)

    def _end(self, event: RunEvent, answer: Answer) -> Iterator[Mapping[str, Any]]:
        if not answer.text.startswith(self._sent):
            raise AnswerChanged(
                f"{len(self._sent)} characters were sent, and the answer of run {event.root} does not begin with them: "
                "the stream was cut, or somebody spoke to the run; take the answer from the run, or do without `live`"
            )
        rest = replace(answer, text=answer.text[len(self._sent) :], agent=self._agent)
        chunks = to_events(as_completion(rest), id=f"chatcmpl-{event.root}", created=self._created)
        next(chunks)  # the role has been told
        yield from chunks

    def _chunk(self, event: RunEvent, delta: dict[str, Any]) -> Mapping[str, Any]:
        return {
            "id": f"chatcmpl-{event.root}",
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._agent,
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}],
        }

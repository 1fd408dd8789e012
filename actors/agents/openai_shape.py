"""Answers and events in the shape of OpenAI's chat completions: whole responses, and chunks as they come."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import Any

from ...providers.messages import Completion, Message
from ...providers.wire.openai_chat import to_events, to_response
from .answer import Answer
from .events import RunEvent, RunFinished, TextDelta


def as_completion(answer: Answer) -> Completion:
    """An answer as a provider's completion; the model's name is the agent's."""
    message = Message("assistant", answer.text, answer.tool_calls)
    reason: Any = "tool_calls" if answer.tool_calls else "stop"
    return Completion(message, reason, answer.usage, answer.agent, cost=answer.cost, notes=answer.notes)


def as_response(answer: Answer, *, created: int = 0) -> Mapping[str, Any]:
    """An answer as a ``chat.completion`` object.

    Args:
        answer: from `Agency.run`.
        created: seconds since 1970, for the object's ``created``.
    """
    return to_response(as_completion(answer), id=f"chatcmpl-{answer.run}", created=created)


async def as_chunks(events: AsyncIterable[RunEvent], *, created: int = 0) -> AsyncIterator[Mapping[str, Any]]:
    """A streamed run as ``chat.completion.chunk`` objects: the text of the agent that was asked, as it comes.

    Args:
        events: from `Agency.run_streaming`.
        created: seconds since 1970, for the objects' ``created``.

    Raises:
        AgentError: as the run.
    """
    first = ""
    streamed = False
    async for event in events:
        if not first:
            first = event.agent
            yield _chunk(event, created, {"role": "assistant", "content": ""})
        # What delegates say on the way is for their sender, not for the caller.
        if isinstance(event, TextDelta) and event.run == event.root:
            streamed = True
            yield _chunk(event, created, {"content": event.text})
        elif isinstance(event, RunFinished) and event.run == event.root and event.answer is not None:
            if event.error is not None:
                continue
            completion = as_completion(event.answer)
            whole = list(to_events(completion, id=f"chatcmpl-{event.run}", created=created))
            for chunk in whole[1:]:
                delta = chunk["choices"][0]["delta"] if chunk.get("choices") else {}
                if not (streamed and delta.get("content")):
                    yield chunk


def _chunk(event: RunEvent, created: int, delta: dict[str, Any]) -> Mapping[str, Any]:
    return {
        "id": f"chatcmpl-{event.root}",
        "object": "chat.completion.chunk",
        "created": created,
        "model": event.agent,
        "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
    }

"""What editors say as messages, and what is kept as what editors show. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from acp import helpers
from acp.schema import ToolKind

from ....providers.messages import Audio, File, Image, Message, Part, Text, ToolCall, shown

LONGEST: Final = 20_000
"""Characters of a result that an editor is shown."""

_KINDS: Final[tuple[tuple[str, ToolKind], ...]] = (
    ("read", "read"),
    ("write", "edit"),
    ("edit", "edit"),
    ("delete", "delete"),
    ("move", "move"),
    ("search", "search"),
    ("find", "search"),
    ("grep", "search"),
    ("fetch", "fetch"),
    ("run", "execute"),
    ("shell", "execute"),
)


def kind_of(tool: str) -> ToolKind:
    """What kind of thing a tool does, as its name says: editors choose pictures by it."""
    name = tool.lower()
    return next((kind for word, kind in _KINDS if word in name), "other")


def as_message(blocks: Sequence[Any]) -> Message:
    """A prompt as a message of the user. What it refers to is named, what it has with it is told.

    Args:
        blocks: the protocol's content blocks.
    """
    parts = [part for block in blocks for part in _parts(block)]
    if all(isinstance(part, Text) for part in parts):
        return Message("user", "\n".join(part.text for part in parts if isinstance(part, Text)))
    return Message("user", tuple(parts))


def _parts(block: Any) -> Iterator[Part]:
    if block.type == "text":
        yield Text(block.text)
    elif block.type == "image":
        yield Image(f"data:{block.mime_type};base64,{block.data}")
    elif block.type == "audio":
        yield Audio(f"data:{block.mime_type};base64,{block.data}")
    elif block.type == "resource_link":
        yield Text(f"[{block.name}]({block.uri})")
    elif block.type == "resource":
        held = block.resource
        text = getattr(held, "text", None)
        if text is not None:
            yield Text(f"{held.uri}:\n{text}")
        else:
            kind = held.mime_type or "application/octet-stream"
            yield File(f"data:{kind};base64,{held.blob}", held.uri.rpartition("/")[2])


def as_updates(messages: Sequence[Message], name: str) -> Iterator[Any]:
    """A history as the updates by which an editor shows it again.

    Args:
        messages: the history.
        name: of the session, that makes the ids of calls its own.
    """
    seen: dict[str, int] = {}
    for message in messages:
        if message.role == "user":
            yield helpers.update_user_message_text(shown(message.content))
        elif message.role == "assistant":
            if message.reasoning:
                yield helpers.update_agent_thought_text(message.reasoning)
            if message.text:
                yield helpers.update_agent_message_text(message.text)
            for call in message.tool_calls:
                seen[call.id] = seen.get(call.id, 0) + 1
                yield started(f"{name}:{call.id}:{seen[call.id]}", call.name, call.arguments, "in_progress")
        elif message.role == "tool" and message.tool_call_id in seen:
            id = f"{name}:{message.tool_call_id}:{seen[message.tool_call_id]}"
            yield finished(id, shown(message.content), message.is_error)


def started(id: str, tool: str, arguments: str, status: Any, agent: str = "") -> Any:
    """A call that begins, or waits to.

    Args:
        id: the call's.
        tool: what is called.
        arguments: JSON text.
        status: of the protocol's.
        agent: whose call it is, where that is not the one that was asked.
    """
    title = f"{agent}: {tool}" if agent else tool
    return helpers.start_tool_call(id, title, kind=kind_of(tool), status=status, raw_input=_parsed(arguments))


def finished(id: str, content: str, failed: bool) -> Any:
    """A call that has its result."""
    text = content if len(content) <= LONGEST else f"{content[:LONGEST]} …"
    block = helpers.tool_content(helpers.text_block(text))
    return helpers.update_tool_call(id, status="failed" if failed else "completed", content=[block])


def _parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return arguments


def result_of(call: ToolCall, text: str, is_error: bool) -> Message:
    """What came of a call, for the agent."""
    return Message("tool", text, tool_call_id=call.id, name=call.name, is_error=is_error)

"""What a user interface sends to have an agent run: AG-UI's ``RunAgentInput``.

https://docs.ag-ui.com/spec/1.0/basic/run-input
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ....providers.messages import Audio, File, Image, Message, Part, Text, ToolCall
from ...agents.errors import DefinitionError
from ...agents.runs.validation import check_id
from ..problems import refuse

_ROLES: Final = frozenset({"developer", "system", "assistant", "user", "tool", "activity", "reasoning"})
_PARTS: Final = frozenset({"text", "image", "audio", "video", "document"})
_SOURCES: Final = frozenset({"data", "url", "file"})


@dataclass(frozen=True, slots=True)
class Input:
    """A run that is asked for.

    Args:
        thread: the id of the conversation.
        run: its id, of the client's making.
        messages: the history as the client has it, each as it was sent; what it alone knows of is left out.
        tools: names of the tools that the client runs itself.
        body: all of it.
    """

    thread: str
    run: str
    messages: tuple[Mapping[str, Any], ...]
    tools: tuple[str, ...]
    body: Mapping[str, Any]

    @property
    def wanted_tools(self) -> list[dict[str, Any]]:
        """The client's tools, as an agency takes them."""
        return [
            {
                "type": "function",
                "function": {
                    "name": tool["name"],
                    "description": tool["description"],
                    "parameters": tool.get("parameters") or {"type": "object", "properties": {}},
                },
            }
            for tool in self.body.get("tools") or ()
        ]

    @property
    def context(self) -> str:
        """What the application says of where its user is, for the model; empty where it says nothing."""
        entries = self.body.get("context") or ()
        if not entries:
            return ""
        return "\n".join(["The application tells:", *(f"- {one['description']}: {one['value']}" for one in entries)])


def read(body: Mapping[str, Any]) -> Input:
    """Look at what was sent.

    What the protocol does not know is left out, as it wants: newer clients may say more. What it knows and is wrong
    is refused.

    Raises:
        Refused: it is wrong; says which field and what was expected.
    """
    known = {**body, "messages": _known(body.get("messages"))}
    _check(known)
    for name in ("threadId", "runId"):
        try:
            check_id(known[name], "conversation" if name == "threadId" else "run")
        except DefinitionError as error:
            raise refuse(400, "invalid_request", f"{name}: {error}", name) from None
    messages = tuple(one for one in known["messages"] if one["role"] != "activity")
    tools = tuple(tool["name"] for tool in known.get("tools") or ())
    return Input(known["threadId"], known["runId"], messages, tools, known)


def _known(messages: Any) -> Any:
    """The messages without roles and parts that the protocol does not know."""
    if not isinstance(messages, list):
        return messages
    kept = []
    for message in messages:
        if isinstance(message, dict):
            role, content = message.get("role"), message.get("content")
            if isinstance(role, str) and role not in _ROLES:
                continue
            if isinstance(content, list):
                message = {**message, "content": [part for part in content if _is_known(part)]}
        kept.append(message)
    return kept


def _is_known(part: Any) -> bool:
    if not isinstance(part, dict):
        return True
    kind, source = part.get("type"), part.get("source")
    if isinstance(kind, str) and kind not in _PARTS:
        return False
    where = source.get("type") if isinstance(source, dict) else None
    return not isinstance(where, str) or where in _SOURCES


def _check(body: Mapping[str, Any]) -> None:
    """Look at it with the protocol's own types."""
    from pydantic import ValidationError

    try:
        from ag_ui.core import RunAgentInput
    except ModuleNotFoundError:
        command = "pip install 'callboard[ag-ui]'"
        raise refuse(501, "not_installed", f"this server does not speak AG-UI: it needs {command}") from None
    try:
        RunAgentInput.model_validate(body)
    except ValidationError as error:
        deepest = max(error.errors(include_input=False, include_url=False), key=lambda one: len(one["loc"]))
        where = _path(deepest["loc"])
        raise refuse(400, "invalid_request", f"{where}: {deepest['msg'][:200]}", where) from None


def _path(steps: Sequence[int | str]) -> str:
    """Where in the body something is, without the names by which unions are told apart."""
    path = ""
    for before, step in zip((None, *steps), steps, strict=False):
        if isinstance(step, int):
            path += f"[{step}]"
        elif "[" not in step and step not in ("str", "dict") and not (isinstance(before, int) and step in _TAGS):
            path += f".{step}" if path else step
    return path


_TAGS: Final = _ROLES | _PARTS


def as_message(given: Mapping[str, Any]) -> Message | None:
    """One message of a history, for a model; None for what is none of its business."""
    role = given["role"]
    if role in ("developer", "system"):
        return Message("system", given["content"])
    if role == "user":
        return Message("user", _content(given["content"]))
    if role == "tool":
        return Message(
            "tool",
            _content(given["content"]),
            tool_call_id=given["toolCallId"],
            is_error=bool(given.get("error")),
        )
    if role == "assistant":
        calls = given.get("toolCalls") or ()
        return Message(
            "assistant",
            given.get("content") or "",
            tuple(ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in calls),
        )
    return None


def _content(given: str | list[Mapping[str, Any]]) -> str | tuple[Part, ...]:
    """Text or parts; those that no model can be given are left out, as the protocol wants."""
    if isinstance(given, str):
        return given
    parts = [part for one in given if (part := _part(one)) is not None]
    return tuple(parts) if parts else ""


def _part(given: Mapping[str, Any]) -> Part | None:
    kind = given["type"]
    if kind == "text":
        return Text(given["text"])
    source = given["source"]
    url = source["value"]
    if source["type"] == "data":
        url = f"data:{source['mimeType']};base64,{url}"
    elif source["type"] != "url" or not url.startswith(("https://", "data:")):
        return None
    if kind == "image":
        return Image(url)
    if kind == "document":
        return File(url)
    return Audio(url) if kind == "audio" and url.startswith("data:") else None

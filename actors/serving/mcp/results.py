"""Answers, results and problems as the protocol's results. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import mcp_types as types
from pydantic_core import PydanticSerializationError, to_jsonable_python

from ....providers.messages import Audio, File, Image, Part, Text
from ....providers.wire.fitting.letters import mended
from ....tools.result import ToolResult
from ...agents.answer import Answer
from ...agents.runs.reading.progress import RunRecord
from ..problems import Problem
from .paying import RECEIPT, receipt_in, wanted_by

ANSWER_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "description": "The answer."},
        "conversation": {"type": "string", "description": "Give it with the next message to go on."},
        "run": {"type": "string", "description": "What the server calls this piece of work."},
    },
    "required": ["text", "conversation", "run"],
}
"""What the structured content of an agent's answer has; where the agent's answers have a type, ``value`` besides."""

_PROGRESS: Final[Mapping[str, str]] = {
    "started": "at work",
    "completed": "the model has answered",
    "completion_failed": "the model is asked again",
    "tools_started": "tools are at work",
    "tool_returned": "a tool has its result",
    "handoff_returned": "another agent has answered",
    "approval_asked": "waits for a person",
    "approval_decided": "a person has decided",
    "steered": "has been told more",
    "resumed": "goes on after a restart",
}


def progress_of(record: RunRecord) -> str:
    """What is told of a record while the run goes on; empty for nothing."""
    return _PROGRESS.get(record.type, "")


def of_answer(answer: Answer, headers: Mapping[str, str], *, typed: bool = False) -> types.CallToolResult:
    """An answer.

    Args:
        answer: an agent's.
        headers: that it has by HTTP, of which one says that it was paid.
        typed: whether its value is more than its text.
    """
    text = str(mended(answer.text))
    structured: dict[str, Any] = {
        "text": text,
        "conversation": answer.conversation,
        "run": answer.run,
    }
    if typed:
        structured["value"] = mended(to_jsonable_python(answer.value, fallback=str))
    receipt = receipt_in(headers)
    content: list[types.ContentBlock] = [types.TextContent(text=text)]
    meta: Any = None if receipt is None else {RECEIPT: receipt}
    return types.CallToolResult(content=content, structured_content=structured, _meta=meta)


def of_problem(problem: Problem) -> types.CallToolResult:
    """A call that failed, told so that a model can mend it."""
    about = f" (run {problem.run})" if problem.run else ""
    text = str(mended(f"{problem.message}{about}"))
    return types.CallToolResult(
        content=[types.TextContent(text=text)], structured_content=wanted_by(problem), is_error=True
    )


def of_tool(result: ToolResult, *, structured: bool) -> types.CallToolResult:
    """What a tool came to.

    Args:
        result: the tool's.
        structured: whether its value is told as an object besides, as its schema has it.
    """
    parts = (Text(result.content),) if isinstance(result.content, str) else result.content
    made = types.CallToolResult(content=[_block(part) for part in parts], is_error=result.is_error)
    if structured and not result.is_error:
        try:
            made.structured_content = mended(to_jsonable_python(result.value, fallback=str))
        except (PydanticSerializationError, ValueError):
            return of_problem(Problem(500, "failed", "the tool returned what is no plain data"))
    return made


def _block(part: Part) -> types.ContentBlock:
    if isinstance(part, Text):
        return types.TextContent(text=str(mended(part.text)))
    kind, data = _data_of(part.url)
    if isinstance(part, Image) and data:
        return types.ImageContent(data=data, mime_type=kind)
    if isinstance(part, Audio) and data:
        return types.AudioContent(data=data, mime_type=kind)
    if data:
        name = part.name if isinstance(part, File) and part.name else "document"
        blob = types.BlobResourceContents(uri=f"file:///{name}", blob=data, mime_type=kind)
        return types.EmbeddedResource(resource=blob)
    return types.ResourceLink(name=getattr(part, "name", "") or "file", uri=part.url)


def _data_of(url: str) -> tuple[str, str]:
    """The media type and the base64 of a ``data:`` address; empty for another."""
    head, comma, data = url.partition(",")
    if not head.startswith("data:") or not comma:
        return "", ""
    return head[5:].partition(";")[0] or "application/octet-stream", data

"""The files of an editor, as it has them, with what is not saved yet. It runs these tools, the agent calls them."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import Any, Final

from acp import RequestError, helpers
from acp.schema import ClientCapabilities, ToolCallUpdate
from pydantic import ValidationError

from ....providers.messages import Message, ToolCall, ToolSpec
from .content import finished, result_of, started
from .permission import may

READ: Final = "read_editor_file"
WRITE: Final = "write_editor_file"

_PATH: Final = {"type": "string", "description": "absolute, inside the project"}
_READ: Final = ToolSpec(
    READ,
    "Read a text file as the editor has it, with what is not saved yet.",
    {
        "type": "object",
        "properties": {
            "path": _PATH,
            "line": {"type": "integer", "minimum": 1, "description": "the first line, counted from 1"},
            "limit": {"type": "integer", "minimum": 1, "description": "lines at most"},
        },
        "required": ["path"],
        "additionalProperties": False,
    },
)
_WRITE: Final = ToolSpec(
    WRITE,
    "Write a text file in the editor, in place of what it says; the user is asked first.",
    {
        "type": "object",
        "properties": {"path": _PATH, "content": {"type": "string"}},
        "required": ["path", "content"],
        "additionalProperties": False,
    },
)


def tools_of(client: ClientCapabilities | None) -> tuple[ToolSpec, ...]:
    """The tools that an editor offers."""
    files = None if client is None else client.fs
    if files is None:
        return ()
    offered = ((_READ, files.read_text_file), (_WRITE, files.write_text_file))
    return tuple(spec for spec, there in offered if there)


class _Wrong(Exception):
    """The call is wrong; the model is told."""


async def run_call(client: Any, session: str, roots: tuple[str, ...], call: ToolCall) -> Message:
    """Have an editor read or write a file.

    Args:
        client: the editor.
        session: the session's id.
        roots: the folders outside of which nothing is read or written.
        call: what the agent has called.
    """
    id = f"{session}:{call.id}:editor"
    await client.session_update(session, started(id, call.name, call.arguments, "pending"))
    try:
        text, failed = await _done(client, session, roots, call, id), False
    except _Wrong as error:
        text, failed = str(error), True
    except RequestError as error:
        text, failed = f"the editor refused: {str(error)[:300]}", True
    except ValidationError:
        text, failed = "the editor answered what is no answer", True
    await client.session_update(session, finished(id, text, failed))
    return result_of(call, text, failed)


async def _done(client: Any, session: str, roots: tuple[str, ...], call: ToolCall, id: str) -> str:
    arguments = _arguments(call)
    path = _inside(arguments["path"], roots)
    if call.name == READ:
        read = await client.read_text_file(
            session_id=session, path=path, line=arguments.get("line"), limit=arguments.get("limit")
        )
        return str(read.content)
    content = arguments["content"]
    diff = helpers.tool_diff_content(path, content)
    asked = ToolCallUpdate(tool_call_id=id, title=f"Write {path}", kind="edit", content=[diff])
    if not await may(client, session, asked):
        raise _Wrong("the user does not want that file to be written")
    await client.write_text_file(session_id=session, path=path, content=content)
    return f"wrote {path}"


def _arguments(call: ToolCall) -> dict[str, Any]:
    wanted: dict[str, type] = {"path": str, "content": str} if call.name == WRITE else {"path": str}
    more = {} if call.name == WRITE else {"line": int, "limit": int}
    try:
        given = call.parsed()
    except ValueError as error:
        raise _Wrong(str(error)) from None
    for name, kind in (wanted | more).items():
        if name not in given and name in more:
            continue
        if not isinstance(given.get(name), kind) or isinstance(given[name], bool) or given[name] in (0, -1):
            raise _Wrong(f"{name}: expected {'a text' if kind is str else 'a whole number from 1 on'}")
    return given


def _inside(path: str, roots: tuple[str, ...]) -> str:
    """The path without detours. A link within the folders may lead out of them: the editor would follow it."""
    plain = os.path.normpath(path)
    if PurePath(plain).is_absolute() and "\0" not in plain:
        real = PurePath(os.path.realpath(plain))
        for root in roots:
            if PurePath(plain).is_relative_to(root) and real.is_relative_to(os.path.realpath(root)):
                return plain
    raise _Wrong(f"path: expected an absolute one inside {', '.join(roots)}")

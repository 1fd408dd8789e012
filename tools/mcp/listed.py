"""What an MCP server has besides tools, and the answers to what it asks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ...actors.core.base.foreign import awaited, is_ours

logger = logging.getLogger(__name__)

Elicit: TypeAlias = Callable[[str, Mapping[str, Any]], "Mapping[str, Any] | Awaitable[Mapping[str, Any] | None] | None"]
"""Answers a server's question: given its message, and the JSON schema of the answer."""


@dataclass(frozen=True, slots=True)
class McpResource:
    """Something that a server has to read.

    Args:
        uri: its address.
        name, description: what it is.
        mime_type: its kind; empty where the server does not say.
    """

    uri: str
    name: str = ""
    description: str = ""
    mime_type: str = ""


@dataclass(frozen=True, slots=True)
class McpPrompt:
    """A prompt that a server has for people to choose.

    Args:
        name, description: what it is.
        required, optional: the names of its arguments.
    """

    name: str
    description: str = ""
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


def answering(elicit: Elicit) -> Callable[[Any, Any], Awaitable[Any]]:
    """What the SDK calls when a server asks. A question that comes with an address in place of a schema is declined; so
    is one on which the function fails, which is logged."""

    async def answer(context: Any, params: Any) -> Any:
        import mcp_types

        schema = getattr(params, "requested_schema", None)
        if schema is None:
            return mcp_types.ElicitResult(action="decline")
        task = asyncio.current_task()
        try:
            content = await awaited("what answers an MCP server's questions", elicit, params.message, schema)
            if content is None:
                return mcp_types.ElicitResult(action="decline")
            return mcp_types.ElicitResult(action="accept", content=dict(content))
        except BaseException as error:
            # SystemExit too: raised in a task it would end the loop, and every other actor with it.
            if is_ours(error, task):
                raise
            logger.warning("what answers the MCP server's questions failed", exc_info=error)
            return mcp_types.ElicitResult(action="cancel")

    return answer

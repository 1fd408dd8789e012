"""What the page's examples of pydantic-ai take for granted: a model that says the same to both libraries."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from tests.pages import shop


def _says(messages: list[ModelMessage], info: AgentInfo) -> str | tuple[str, dict[str, Any]]:
    if not info.allow_text_output:
        return info.output_tools[0].name, shop.HOURS
    parts = [part for message in messages for part in message.parts]
    asked = [str(part.content) for part in parts if isinstance(part, UserPromptPart)]
    result = parts[-1].model_response_str() if isinstance(parts[-1], ToolReturnPart) else None
    return shop.reply(asked, [tool.name for tool in info.function_tools + info.output_tools], result)


def _whole(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    said = _says(messages, info)
    return ModelResponse([TextPart(said) if isinstance(said, str) else ToolCallPart(*said)])


async def _streamed(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
    said = _says(messages, info)
    if isinstance(said, str):
        for piece in re.findall(r"\S+\s*", said):
            yield piece
    else:
        yield {0: DeltaToolCall(name=said[0], json_args=ToolCallPart(*said).args_as_json_str())}


model = FunctionModel(_whole, stream_function=_streamed)

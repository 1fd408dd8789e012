"""What the page's examples of AutoGen take for granted: a model that says the same to both libraries."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

from autogen_core import FunctionCall
from autogen_core.models import (
    ChatCompletionClient,
    CreateResult,
    FunctionExecutionResultMessage,
    ModelFamily,
    ModelInfo,
    RequestUsage,
    UserMessage,
)

from tests.pages import shop

_ids = count()
_NOTHING = RequestUsage(prompt_tokens=0, completion_tokens=0)


class Shop(ChatCompletionClient):
    component_type = "model"

    async def create(self, messages: Any, *, tools: Any = (), json_output: Any = None, **more: Any) -> CreateResult:
        asked = [
            message.content for message in messages if isinstance(message, UserMessage) and message.source == "user"
        ]
        last = messages[-1]
        result = last.content[-1].content if isinstance(last, FunctionExecutionResultMessage) else None
        names = [tool["name"] if isinstance(tool, dict) else tool.name for tool in tools]
        said = json.dumps(shop.HOURS) if json_output else shop.reply(asked, names, result)
        if isinstance(said, str):
            return CreateResult(finish_reason="stop", content=said, usage=_NOTHING, cached=False)
        call = FunctionCall(id=f"c{next(_ids)}", name=said[0], arguments=json.dumps(said[1]))
        return CreateResult(finish_reason="function_calls", content=[call], usage=_NOTHING, cached=False)

    async def create_stream(self, messages: Any, **more: Any) -> AsyncIterator[str | CreateResult]:
        whole = await self.create(messages, **more)
        if isinstance(whole.content, str):
            for piece in re.findall(r"\S+\s*", whole.content):
                yield piece
        yield whole

    async def close(self) -> None:
        pass

    def actual_usage(self) -> RequestUsage:
        return _NOTHING

    def total_usage(self) -> RequestUsage:
        return _NOTHING

    def count_tokens(self, messages: Any, **more: Any) -> int:
        return 0

    def remaining_tokens(self, messages: Any, **more: Any) -> int:
        return 1000

    @property
    def capabilities(self) -> Any:
        return self.model_info

    @property
    def model_info(self) -> ModelInfo:
        return ModelInfo(
            vision=False, function_calling=True, json_output=True, family=ModelFamily.UNKNOWN, structured_output=True
        )


model = Shop()

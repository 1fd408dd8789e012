"""What the page's examples of openai-agents take for granted: a model that says the same to both libraries."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

from agents import Model, ModelResponse, Usage, set_tracing_disabled
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseTextDeltaEvent,
)

from tests.pages import shop

set_tracing_disabled(True)  # it would be sent to OpenAI
_ids = count()


def _words(item: Any) -> str:
    content = item["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


class Shop(Model):
    async def get_response(
        self,
        system_instructions: Any,
        input: Any,
        model_settings: Any,
        tools: Any,
        output_schema: Any,
        handoffs: Any,
        tracing: Any,
        **more: Any,
    ) -> ModelResponse:
        items = [{"role": "user", "content": input}] if isinstance(input, str) else input
        asked = [_words(item) for item in items if item.get("role") == "user"]
        result = items[-1]["output"] if items[-1].get("type") == "function_call_output" else None
        names = [tool.name for tool in tools] + [handoff.tool_name for handoff in handoffs]
        plain = output_schema is None or output_schema.is_plain_text()
        said = shop.reply(asked, names, result) if plain else json.dumps(shop.HOURS)
        if isinstance(said, str):
            part = ResponseOutputText(text=said, type="output_text", annotations=[], logprobs=[])
            output: Any = ResponseOutputMessage(
                id="m", content=[part], role="assistant", status="completed", type="message"
            )
        else:
            output = ResponseFunctionToolCall(
                call_id=f"c{next(_ids)}", name=said[0], arguments=json.dumps(said[1]), type="function_call"
            )
        return ModelResponse(output=[output], usage=Usage(), response_id=None)

    async def stream_response(self, *args: Any, **more: Any) -> AsyncIterator[Any]:
        output = (await self.get_response(*args, **more)).output
        numbers = count()
        said = output[0].content[0] if isinstance(output[0], ResponseOutputMessage) else None
        text = said.text if isinstance(said, ResponseOutputText) else ""
        for piece in re.findall(r"\S+\s*", text):
            yield ResponseTextDeltaEvent(
                content_index=0,
                delta=piece,
                item_id="m",
                logprobs=[],
                output_index=0,
                sequence_number=next(numbers),
                type="response.output_text.delta",
            )
        whole = Response(
            id="r",
            created_at=0,
            model="shop",
            object="response",
            output=output,
            parallel_tool_calls=False,
            tool_choice="auto",
            tools=[],
        )
        yield ResponseCompletedEvent(response=whole, sequence_number=next(numbers), type="response.completed")


model = Shop()

"""What the page's examples of LiteLLM take for granted: a model that says the same to both libraries."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would be fetched

import litellm

from tests.pages import shop

_ids = count()


class Shop(litellm.CustomLLM):
    def _says(self, messages: list[Any], optional: dict[str, Any]) -> str | tuple[str, dict[str, Any]]:
        if optional.get("response_format"):
            return json.dumps(shop.HOURS)
        asked = [message["content"] for message in messages if message["role"] == "user"]
        result = messages[-1]["content"] if messages[-1]["role"] == "tool" else None
        return shop.reply(asked, [tool["function"]["name"] for tool in optional.get("tools", ())], result)

    async def acompletion(
        self, model: str, messages: list[Any], *args: Any, optional_params: dict[str, Any], **more: Any
    ) -> Any:
        if model == "down":
            raise litellm.ServiceUnavailableError("down", "shop", model)
        said = self._says(messages, optional_params)
        message: dict[str, Any] = {"role": "assistant", "content": said if isinstance(said, str) else None}
        if not isinstance(said, str):
            function = {"name": said[0], "arguments": json.dumps(said[1])}
            message["tool_calls"] = [{"id": f"c{next(_ids)}", "type": "function", "function": function}]
        return litellm.ModelResponse(choices=[{"message": message, "finish_reason": "stop"}], model=model)

    async def astreaming(
        self, model: str, messages: list[Any], *args: Any, optional_params: dict[str, Any], **more: Any
    ) -> AsyncIterator[Any]:
        pieces = re.findall(r"\S+\s*", str(self._says(messages, optional_params)))
        for number, piece in enumerate(pieces, 1):
            end = number == len(pieces)
            yield {
                "text": piece,
                "is_finished": end,
                "finish_reason": "stop" if end else "",
                "index": 0,
                "tool_use": None,
                "usage": None,
            }


litellm.custom_provider_map = [{"provider": "shop", "custom_handler": Shop()}]
litellm.allowed_openai_params = ["tools", "response_format"]
model = "shop/model"

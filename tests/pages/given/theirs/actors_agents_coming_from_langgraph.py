"""What the page's examples of LangGraph take for granted: a model that says the same to both libraries."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableLambda

from tests.pages import shop

_ids = count()


class Shop(BaseChatModel):
    names: tuple[str, ...] = ()

    @property
    def _llm_type(self) -> str:
        return "shop"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return Shop(names=tuple(tool.name for tool in tools))

    def with_structured_output(self, schema: Any, **kwargs: Any) -> Any:
        return RunnableLambda(lambda _: schema(**shop.HOURS))

    def _says(self, messages: list[Any]) -> AIMessage:
        asked = [str(message.content) for message in messages if isinstance(message, HumanMessage)]
        result = str(messages[-1].content) if isinstance(messages[-1], ToolMessage) else None
        said = shop.reply(asked, self.names, result)
        if isinstance(said, str):
            return AIMessage(said)
        return AIMessage("", tool_calls=[{"name": said[0], "args": said[1], "id": f"c{next(_ids)}"}])

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
        return ChatResult(generations=[ChatGeneration(message=self._says(messages))])

    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        said = self._says(messages)
        if said.tool_calls:
            yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_calls=said.tool_calls))
        for piece in re.findall(r"\S+\s*", said.text):
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece))
            if run_manager is not None:
                await run_manager.on_llm_new_token(piece, chunk=chunk)
            yield chunk


model = Shop()

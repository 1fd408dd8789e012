"""openai-agents and pydantic-ai take a served agency for OpenAI, by both of its protocols."""

from __future__ import annotations

from typing import Any

import agents
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai import NativeOutput
from pydantic_ai.messages import PartDeltaEvent, TextPartDelta
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from callboard import Agency, Agent
from callboard.actors import ChildSpec
from callboard.actors.testing.doubles.models import FunctionModel
from callboard.providers.messages import Completion, Message, Request, ToolCall

from .support import served


class Person(BaseModel):
    name: str
    age: int


def answer(request: Request) -> Any:
    last = request.messages[-1]
    if last.role == "tool":
        return f"It is {last.text}."
    if request.response_schema is not None:
        return '{"name": "Ann", "age": 7}'
    tools = {tool.name: tool for tool in request.tools}
    if "final_result" in tools:
        return call("final_result", '{"name": "Ann", "age": 7}')
    if "weather" in tools:
        return call("weather", '{"city": "Rome"}')
    return f"{len(request.messages)}: {last.text}"


def call(name: str, arguments: str) -> Completion:
    return Completion(Message("assistant", "I look.", (ToolCall(f"call_{name}", name, arguments),)), "tool_calls")


def agency() -> Agency:
    return Agency(Agent("A"), model=ChildSpec(FunctionModel, (answer,), name="model"))


agents.set_tracing_disabled(True)


def model_of(kind: str, client: AsyncOpenAI) -> Any:
    made = {"responses": agents.OpenAIResponsesModel, "chat": agents.OpenAIChatCompletionsModel}[kind]
    return made(model="A", openai_client=client)


@pytest.mark.parametrize("kind", ["responses", "chat"])
async def test_openai_agents_asks_with_tools_types_and_streams(kind: str) -> None:
    @agents.function_tool
    def weather(city: str) -> str:
        """The weather."""
        return f"sunny in {city}"

    async with served(agency()) as it, it.openai() as client:
        model = model_of(kind, client)
        plain: Any = agents.Agent(name="Helper", instructions="Be brief.", model=model)
        assert (await agents.Runner.run(plain, "hello")).final_output == "2: hello"
        with_tool: Any = agents.Agent(name="Helper", model=model, tools=[weather])
        told = await agents.Runner.run(with_tool, "?")
        assert told.final_output == "It is sunny in Rome."
        typed: Any = agents.Agent(name="Helper", model=model, output_type=Person)
        assert (await agents.Runner.run(typed, "?")).final_output == Person(name="Ann", age=7)
        streamed = agents.Runner.run_streamed(with_tool, "?")
        text = ""
        async for event in streamed.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                text += event.data.delta
        assert text == "I look.It is sunny in Rome."
        assert streamed.final_output == "It is sunny in Rome."
        usage = told.context_wrapper.usage
        assert usage.requests == 2


async def test_openai_agents_goes_on_from_responses_and_in_conversations() -> None:
    async with served(agency()) as it, it.openai() as client:
        plain: Any = agents.Agent(name="Helper", instructions="Be brief.", model=model_of("responses", client))
        first = await agents.Runner.run(plain, "one")
        second = await agents.Runner.run(plain, "two", previous_response_id=first.last_response_id)
        assert second.final_output == "4: two"
        conversation = await client.conversations.create()
        for number in (2, 4):
            found = await agents.Runner.run(plain, "x", conversation_id=conversation.id)
            assert found.final_output == f"{number}: x"
        session = agents.OpenAIConversationsSession(openai_client=client)
        for number in (2, 4):
            assert (await agents.Runner.run(plain, "y", session=session)).final_output == f"{number}: y"
        kept = await session.get_items()
        assert [item["role"] for item in kept] == ["user", "assistant"] * 2  # type: ignore[typeddict-item]
        await session.pop_item()
        assert len(await session.get_items()) == 3
        await session.clear_session()


@pytest.mark.parametrize("kind", ["responses", "chat"])
async def test_pydantic_ai_asks_with_tools_types_and_streams(kind: str) -> None:
    async with served(agency()) as it, it.openai() as client:
        provider = OpenAIProvider(openai_client=client)
        model = {"responses": OpenAIResponsesModel, "chat": OpenAIChatModel}[kind]("A", provider=provider)
        plain: Any = PydanticAgent(model, instructions="Be brief.")
        first = await plain.run("hello")
        assert first.output == "2: hello"
        assert (await plain.run("more", message_history=first.all_messages())).output.endswith(": more")
        typed: Any = PydanticAgent(model, output_type=Person)
        assert (await typed.run("?")).output == Person(name="Ann", age=7)
        native: Any = PydanticAgent(model, output_type=NativeOutput(Person))
        assert (await native.run("?")).output == Person(name="Ann", age=7)
        with_tool: Any = PydanticAgent(model)

        @with_tool.tool_plain  # type: ignore[untyped-decorator]
        def weather(city: str) -> str:
            """The weather."""
            return f"sunny in {city}"

        assert (await with_tool.run("?")).output == "It is sunny in Rome."
        said = ""
        node: Any
        stream: Any
        async with plain.iter("hello") as run:
            async for node in run:
                if PydanticAgent.is_model_request_node(node):
                    async with node.stream(run.ctx) as stream:
                        async for event in stream:
                            if isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
                                said += event.delta.content_delta
        assert run.result is not None
        assert run.result.output == "2: hello"
        async with native.run_stream("?") as answer:
            assert await answer.get_output() == Person(name="Ann", age=7)

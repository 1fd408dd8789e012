"""OpenAI's Responses, asked by OpenAI's own client over HTTP."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from callboard import Agency, Agent, Caller, tool
from callboard.actors import ChildSpec
from callboard.actors.journal import MemoryJournal
from callboard.actors.testing.doubles.models import FunctionModel
from callboard.providers.messages import Completion, Message, Request, ToolCall, Usage

from .support import served, speaker

LOOK: Any = {
    "type": "function",
    "name": "look",
    "description": "Looks.",
    "parameters": {"type": "object", "properties": {"where": {"type": "string"}}},
    "strict": False,
}


def model(answer: Any) -> ChildSpec:
    return ChildSpec(FunctionModel, (answer,), name="model")


def echo(request: Request) -> str:
    """Says how much it was told, and what came last."""
    return f"{len(request.messages)}: {request.messages[-1].text}"


async def test_an_agent_answers_as_a_model() -> None:
    async with served(Agency(Agent("A"), model=model(echo))) as it, it.openai() as client:
        answer: Any = await client.responses.create(model="A", input="hello", metadata={"a": "b"}, temperature=0.5)
        assert (answer.output_text, answer.status, answer.model) == ("1: hello", "completed", "A")
        assert (answer.metadata, answer.temperature, answer.store) == ({"a": "b"}, 0.5, True)
        assert answer.callboard["notes"] == ["temperature is the agent's own affair: left out"]
        assert await client.responses.retrieve(answer.id) == answer
        async with it.openai("/A") as own:
            assert (await own.responses.create(input="x")).output_text == "1: x"


async def test_instructions_are_said_before_the_input_and_are_not_repeated() -> None:
    asked: list[Request] = []

    def answer(request: Request) -> str:
        asked.append(request)
        return "yes"

    async with served(Agency(Agent("A"), model=model(answer))) as it, it.openai() as client:
        one = await client.responses.create(model="A", input="a", instructions="Be kind.")
        two = await client.responses.create(model="A", input="b", instructions="Be kind.", previous_response_id=one.id)
        assert two.instructions == "Be kind."
        await client.responses.create(model="A", input="c", instructions="Be curt.", previous_response_id=two.id)
        said = [[f"{message.role} {message.text}" for message in request.messages] for request in asked]
        assert said[0] == ["system Be kind.", "user a"]
        assert said[1] == ["system Be kind.", "user a", "assistant yes", "user b"]
        assert said[2] == [*said[1], "assistant yes", "system Be curt.", "user c"]
        inputs: Any = (await client.responses.input_items.list(one.id)).data
        assert [item.content[0].text for item in inputs] == ["a"]


@pytest.mark.parametrize("durable", [False, True])
async def test_two_responses_branch_off_one(durable: bool, tmp_path: Path) -> None:
    agency = Agency(Agent("A"), model=model(echo), journal=tmp_path / "j.db" if durable else None)
    async with served(agency) as it, it.openai() as client:
        root = await client.responses.create(model="A", input="root")
        branches = await asyncio.gather(
            *[client.responses.create(model="A", input=f"b{n}", previous_response_id=root.id) for n in range(5)]
        )
        assert [one.output_text for one in branches] == [f"3: b{n}" for n in range(5)]
        leaf = await client.responses.create(model="A", input="leaf", previous_response_id=branches[2].id)
        assert leaf.output_text == "5: leaf"
        again = await client.responses.create(model="A", input="again", previous_response_id=root.id)
        assert again.output_text == "3: again"
        await client.responses.delete(root.id)
        assert (await client.responses.retrieve(leaf.id)).output_text == "5: leaf"
        with pytest.raises(openai.NotFoundError, match="there is no response") as caught:
            await client.responses.create(model="A", input="x", previous_response_id=root.id)
        assert caught.value.param == "previous_response_id"


async def test_the_client_runs_its_tools_and_sends_the_results() -> None:
    asked: list[Request] = []

    def answer(request: Request) -> Any:
        asked.append(request)
        last = request.messages[-1]
        if last.role == "tool":
            return f"It is {last.text}."
        return Completion(Message("assistant", "I look.", (ToolCall("c1", "look", '{"where": "here"}'),)), "tool_calls")

    async with served(Agency(Agent("A"), model=model(answer))) as it, it.openai() as client:
        first = await client.responses.create(model="A", input="?", tools=[LOOK])
        call = next(item for item in first.output if item.type == "function_call")
        assert (call.call_id, call.name, json.loads(call.arguments)) == ("c1", "look", {"where": "here"})
        for result in ("red", "blue"):  # both branches answer the call
            output: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": result}]
            then = await client.responses.create(model="A", input=output, tools=[LOOK], previous_response_id=first.id)
            assert then.output_text == f"It is {result}."
            assert [message.role for message in asked[-1].messages] == ["user", "assistant", "tool"]
        history: Any = [{"role": "user", "content": "?"}, *[item.to_dict() for item in first.output], output[0]]
        whole = await client.responses.create(model="A", input=history, tools=[LOOK])
        assert whole.output_text == "It is blue."
        wrong: Any = [{"type": "function_call_output", "call_id": "nope", "output": "x"}]
        with pytest.raises(openai.BadRequestError, match="no call 'nope' waits for a result"):
            await client.responses.create(model="A", input=wrong, tools=[LOOK], previous_response_id=first.id)


async def test_the_agents_own_tools_run_where_the_agent_does() -> None:
    @tool(risk="safe")
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    script = ((ToolCall("c", "add", '{"a": 1, "b": 2}'),), ("It is 3.", ToolCall("d", "look", "{}")))
    async with served(Agency(Agent("A", tools=[add]), model=speaker(script))) as it, it.openai() as client:
        answer = await client.responses.create(model="A", input="?", tools=[LOOK])
        assert [item.type for item in answer.output] == ["message", "function_call"]
        assert answer.usage is not None
        assert answer.usage.total_tokens == 24


class Person(BaseModel):
    name: str
    age: int


async def test_a_structured_answer_is_parsed_by_the_client() -> None:
    asked: list[Request] = []

    def answer(request: Request) -> str:
        asked.append(request)
        return '```json\n{"name": "Ann", "age": 7}\n```' if len(asked) % 2 else '{"name": "Ann", "age": 7}'

    async with served(Agency(Agent("A"), model=model(answer))) as it, it.openai() as client:
        for _ in range(2):
            parsed = await client.responses.parse(model="A", input="?", text_format=Person)
            assert parsed.output_parsed == Person(name="Ann", age=7)
            async with client.responses.stream(model="A", input="?", text_format=Person) as stream:
                final = await stream.get_final_response()
            assert final.output_parsed == Person(name="Ann", age=7)
            chat = await client.chat.completions.parse(
                model="A", messages=[{"role": "user", "content": "?"}], response_format=Person
            )
            assert chat.choices[0].message.parsed == Person(name="Ann", age=7)
            async with client.chat.completions.stream(
                model="A", messages=[{"role": "user", "content": "?"}], response_format=Person
            ) as chunks:
                completion = await chunks.get_final_completion()
            assert completion.choices[0].message.parsed == Person(name="Ann", age=7)
            asked.append(asked[0])
    assert asked[0].response_schema is not None
    assert asked[0].response_schema["title"] == "Person"


async def test_an_answer_may_be_any_object() -> None:
    async with served(Agency(Agent("A"), model=model(lambda _: '{"a": 1}'))) as it, it.openai() as client:
        answer = await client.responses.create(model="A", input="?", text={"format": {"type": "json_object"}})
        assert answer.output_text == '{"a": 1}'
        chat = await client.chat.completions.create(
            model="A", messages=[{"role": "user", "content": "?"}], response_format={"type": "json_object"}
        )
        assert chat.choices[0].message.content == '{"a": 1}'


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "nope"}, "no JSON schema at type"),
        ({"$ref": "#/x"}, "which it does not have"),
        ({"$ref": "#"}, "too deep"),
        ({"pattern": "(?=x)"}, "linear time"),
        ({"description": "x" * 60_000}, "characters at most"),
        (5, "expected a JSON schema"),
    ],
)
async def test_a_bad_schema_is_refused_and_the_field_named(schema: Any, why: str) -> None:
    async with served(Agency(Agent("A"), model=speaker())) as it, it.openai() as client:
        form: Any = {"type": "json_schema", "name": "x", "schema": schema}
        with pytest.raises(openai.BadRequestError, match=why) as caught:
            await client.responses.create(model="A", input="?", text={"format": form})
        assert caught.value.param == "text.format.schema"
        chat: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        with pytest.raises(openai.BadRequestError, match=why) as caught:
            await client.chat.completions.create(
                model="A", messages=[{"role": "user", "content": "?"}], response_format=chat
            )
        assert caught.value.param == "response_format.json_schema.schema"


async def test_a_background_response_is_polled_and_cancelled() -> None:
    gate = asyncio.Event()
    async with (
        served(Agency(Agent("A"), model=speaker(gates={(0, 1): gate}))) as it,
        it.openai() as client,
    ):
        one = await client.responses.create(model="A", input="?", background=True)
        two = await client.responses.create(model="A", input="?", background=True)
        assert one.status in ("queued", "in_progress")
        assert (await client.responses.retrieve(one.id)).status == "in_progress"
        with pytest.raises(openai.ConflictError, match="still under way"):
            await client.responses.create(model="A", input="?", previous_response_id=one.id)
        cancelled = await client.responses.cancel(two.id)
        assert (cancelled.status, (await client.responses.cancel(two.id)).status) == ("cancelled", "cancelled")
        gate.set()
        events = [event async for event in await client.responses.retrieve(one.id, stream=True)]
        assert [event.type for event in events][:3] == ["response.created", "response.queued", "response.in_progress"]
        done = await client.responses.retrieve(one.id)
        assert (done.status, done.output_text) == ("completed", "one two three")
        assert (await client.responses.cancel(one.id)).status == "completed"
        assert (await client.responses.retrieve(two.id)).status == "cancelled"
        with pytest.raises(openai.BadRequestError, match="background"):
            await client.responses.create(model="A", input="?", background=True, store=False)


@pytest.mark.parametrize("durable", [False, True])
async def test_what_is_not_stored_is_not_found_again(durable: bool, tmp_path: Path) -> None:
    agency = Agency(Agent("A"), model=speaker(), journal=tmp_path / "j.db" if durable else MemoryJournal())
    async with served(agency) as it, it.openai() as client:
        answer: Any = await client.responses.create(model="A", input="?", store=False)
        assert (answer.store, answer.output_text) == (False, "one two three")
        stream = await client.responses.create(model="A", input="?", store=False, stream=True)
        ids = [event.response.id async for event in stream if event.type == "response.completed"]
        for id in (answer.id, *ids):
            with pytest.raises(openai.NotFoundError):
                await client.responses.retrieve(id)
        assert await agency.conversations() == []


async def test_a_conversation_has_one_writer() -> None:
    gate = asyncio.Event()
    async with served(Agency(Agent("A"), model=speaker(gates={(0, 1): gate}))) as it, it.openai() as client:
        conversation = await client.conversations.create()
        first = await client.responses.create(model="A", input="a", conversation=conversation.id, background=True)
        with pytest.raises(openai.ConflictError, match="at work on another message"):
            await client.responses.create(model="A", input="b", conversation=conversation.id)
        queued = await client.responses.create(
            model="A", input="c", conversation={"id": conversation.id}, background=True
        )
        assert queued.status == "queued"
        gate.set()
        async for event in await client.responses.retrieve(queued.id, stream=True):
            last = event
        assert last.type == "response.completed"
        items: list[Any] = [item async for item in client.conversations.items.list(conversation.id, order="asc")]
        assert [(item.role, item.content[0].text) for item in items] == [
            ("user", "a"),
            ("assistant", "one two three"),
            ("user", "c"),
            ("assistant", "one two three"),
        ]
        assert (await client.conversations.items.retrieve(items[1].id or "", conversation_id=conversation.id)) == items[
            1
        ]
        with pytest.raises(openai.BadRequestError, match="delete that"):
            await client.responses.delete(first.id)
        assert (await client.conversations.delete(conversation.id)).deleted
        with pytest.raises(openai.NotFoundError):
            await client.conversations.retrieve(conversation.id)
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(first.id)


@pytest.mark.parametrize("durable", [False, True])
async def test_of_two_agents_asked_first_in_a_conversation_at_once_one_has_it(durable: bool, tmp_path: Path) -> None:
    agency = Agency(Agent("A"), Agent("B"), model=model(echo), journal=tmp_path / "j.db" if durable else None)
    async with served(agency) as it, it.openai() as client:
        for _ in range(5):
            conversation = await client.conversations.create()

            async def ask(agent: str, conversation: str = conversation.id) -> str:
                try:
                    return (await client.responses.create(model=agent, input="x", conversation=conversation)).model
                except openai.BadRequestError as error:
                    return error.code or ""

            asked = await asyncio.gather(ask("A"), ask("B"))
            assert sorted(asked) in (["A", "conversation_of_another_agent"], ["B", "conversation_of_another_agent"])


async def test_a_response_branches_off_one_of_a_conversation_which_goes_on() -> None:
    async with served(Agency(Agent("A"), Agent("B"), model=model(echo))) as it, it.openai() as client:
        conversation = await client.conversations.create(
            items=[{"role": "user", "content": "first"}, {"role": "assistant", "content": "yes"}], metadata={"k": "v"}
        )
        assert (await client.conversations.retrieve(conversation.id)).metadata == {"k": "v"}
        one = await client.responses.create(model="B", input="one", conversation=conversation.id)
        assert one.output_text == "3: one"
        assert (await client.conversations.retrieve(conversation.id)).metadata == {"k": "v"}
        two = await client.responses.create(model="B", input="two", conversation=conversation.id)
        assert two.output_text == "5: two"
        branch = await client.responses.create(model="B", input="branch", previous_response_id=one.id)
        assert branch.output_text == "5: branch"
        assert (await client.responses.create(model="B", input="x", previous_response_id=two.id)).output_text == "7: x"
        assert len((await client.conversations.items.list(conversation.id)).data) == 6
        with pytest.raises(openai.BadRequestError, match="is B's"):
            await client.responses.create(model="A", input="x", conversation=conversation.id)
        with pytest.raises(openai.BadRequestError, match="is B's"):
            await client.responses.create(model="A", input="x", previous_response_id=one.id)
        with pytest.raises(openai.NotFoundError, match="there is no conversation"):
            await client.responses.create(model="A", input="x", conversation="conv_nope")


async def test_items_are_added_to_a_conversation_that_nobody_has_answered_in() -> None:
    call: Any = {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"}
    result: Any = {"type": "function_call_output", "call_id": "c", "output": "red"}
    async with served(Agency(Agent("A"), model=model(echo))) as it, it.openai() as client:
        conversation = await client.conversations.create()
        items = client.conversations.items
        await items.create(conversation.id, items=[{"role": "user", "content": "a"}, call])
        await items.create(conversation.id, items=[result])
        kinds = [item.type async for item in items.list(conversation.id, order="asc")]
        assert kinds == ["message", "function_call", "function_call_output"]
        *_, last = listed = [item async for item in items.list(conversation.id, order="asc")]
        with pytest.raises(openai.BadRequestError, match="only the last item"):
            await items.delete(listed[0].id or "", conversation_id=conversation.id)
        await items.delete(last.id or "", conversation_id=conversation.id)
        await client.conversations.update(conversation.id, metadata={"a": "b"})
        assert (await client.conversations.retrieve(conversation.id)).metadata == {"a": "b"}
        answer = await client.responses.create(model="A", input=[result], tools=[LOOK], conversation=conversation.id)
        assert answer.output_text == "3: red"
        with pytest.raises(openai.BadRequestError, match="an agent has answered here"):
            await items.create(conversation.id, items=[{"role": "user", "content": "a"}])


async def test_of_two_who_add_items_at_once_none_is_lost() -> None:
    async with served(Agency(Agent("A"), model=model(echo))) as it, it.openai() as client:
        conversation = await client.conversations.create()

        async def add(number: int) -> bool:
            said: Any = {"role": "user", "content": str(number)}
            try:
                await client.conversations.items.create(conversation.id, items=[said])
            except openai.ConflictError:
                return False
            return True

        added = sum(await asyncio.gather(*[add(number) for number in range(10)]))
        assert added >= 1
        assert len([item async for item in client.conversations.items.list(conversation.id)]) == added


async def test_what_is_anothers_is_not_given() -> None:
    async def who(connection: Any) -> Caller:
        return Caller(connection.headers["authorization"].removeprefix("Bearer "))

    agency = Agency(Agent("A"), model=speaker())
    async with (
        served(agency, authenticate=who) as it,
        it.openai(api_key="ann") as ann,
        it.openai(api_key="bob") as bob,
    ):
        answer = await ann.responses.create(model="A", input="?")
        conversation = await ann.conversations.create()
        wants: list[Any] = [
            bob.responses.retrieve(answer.id),
            bob.responses.cancel(answer.id),
            bob.responses.delete(answer.id),
            bob.responses.input_items.list(answer.id),
            bob.responses.create(model="A", input="?", previous_response_id=answer.id),
            bob.responses.create(model="A", input="?", conversation=conversation.id),
            bob.conversations.retrieve(conversation.id),
            bob.conversations.delete(conversation.id),
            bob.conversations.items.list(conversation.id),
        ]
        for wanted in wants:
            with pytest.raises(openai.PermissionDeniedError):
                await wanted
        assert (await ann.responses.retrieve(answer.id)).output_text == "one two three"
        branch = await ann.responses.create(model="A", input="?", previous_response_id=answer.id)
        with pytest.raises(openai.PermissionDeniedError):
            await bob.responses.retrieve(branch.id)


@pytest.mark.parametrize("durable", [False, True])
async def test_a_key_makes_a_branch_once(durable: bool, tmp_path: Path) -> None:
    agency = Agency(Agent("A"), model=model(echo), journal=tmp_path / "j.db" if durable else None)
    async with served(agency) as it, it.openai() as client:
        root = await client.responses.create(model="A", input="root")
        asked: Any = {"model": "A", "input": "b", "previous_response_id": root.id}
        headers = {"idempotency-key": "k"}
        made = await asyncio.gather(*[client.responses.create(**asked, extra_headers=headers) for _ in range(8)])
        made.append(await client.responses.create(**asked, extra_headers=headers))
        assert {(one.id, one.output_text) for one in made} == {(made[0].id, "3: b")}
        with pytest.raises(openai.UnprocessableEntityError):
            await client.responses.create(**{**asked, "input": "other"}, extra_headers=headers)


async def test_a_run_that_fails_is_an_error_for_who_waits_and_a_failed_response_later() -> None:
    def answer(request: Request) -> str:
        raise RuntimeError("secret")

    async with served(Agency(Agent("A"), model=model(answer))) as it, it.openai() as client:
        with pytest.raises(openai.InternalServerError):
            await client.responses.create(model="A", input="?")
        events = [event async for event in await client.responses.create(model="A", input="?", stream=True)]
        assert [event.type for event in events] == ["response.created", "response.in_progress", "response.failed"]
        failed = events[-1].response  # type: ignore[union-attr]
        assert failed.status == "failed"
        assert failed.error is not None
        assert failed.error.code == "server_error"
        assert await client.responses.retrieve(failed.id) == failed


async def test_an_answer_that_used_up_its_tokens_is_incomplete() -> None:
    from callboard import Limits

    @tool(risk="safe")
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    script = (("I add.", ToolCall("c", "add", '{"a": 1, "b": 2}')), ("3",))
    agent = Agent("A", tools=[add], limits=Limits(tokens=5))
    async with served(Agency(agent, model=speaker(script))) as it, it.openai() as client:
        answer = await client.responses.create(model="A", input="?")
        assert answer.status == "incomplete"
        assert answer.incomplete_details is not None
        assert answer.incomplete_details.reason == "max_output_tokens"
        events = [event async for event in await client.responses.create(model="A", input="?", stream=True)]
        assert events[-1].type == "response.incomplete"


async def test_reasoning_comes_as_an_item_before_the_text() -> None:
    def answer(request: Request) -> Completion:
        usage = Usage(10, 5, 4, 0, 3)
        return Completion(Message("assistant", "It is 3.", reasoning="One and two."), "stop", usage)

    async with served(Agency(Agent("A"), model=model(answer))) as it, it.openai() as client:
        whole = await client.responses.create(model="A", input="?")
        assert [item.type for item in whole.output] == ["reasoning", "message"]
        assert whole.output[0].summary[0].text == "One and two."  # type: ignore[union-attr]
        assert whole.usage is not None
        assert whole.usage.output_tokens_details.reasoning_tokens == 3
        assert whole.usage.input_tokens_details.cached_tokens == 4
        async with client.responses.stream(model="A", input="?") as stream:
            kinds = [event.type async for event in stream]
        assert "response.reasoning_summary_text.delta" in kinds
        again = await client.responses.create(
            model="A",
            input=[{"role": "user", "content": "?"}, *whole.output, {"role": "user", "content": "more"}],  # type: ignore[list-item]
        )
        assert again.status == "completed"

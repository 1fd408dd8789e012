"""OpenAI's chat completions, asked by OpenAI's own client over HTTP."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest

from callboard import Agency, Agent, tool
from callboard.actors.journal import MemoryJournal
from callboard.providers.messages import ToolCall

from .support import Served, served, speaker

USER: Any = [{"role": "user", "content": "count"}]


async def test_an_agent_answers_as_a_model() -> None:
    async with served(Agency(Agent("Counter"), model=speaker())) as it, it.openai() as client:
        answer = await client.chat.completions.create(model="Counter", messages=USER)
        assert answer.choices[0].message.content == "one two three"
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 5)
        assert (answer.model, answer.object) == ("Counter", "chat.completion")
        async with it.openai("/Counter") as of_agent:
            own = await of_agent.chat.completions.create(model="anything", messages=USER)
        assert own.choices[0].message.content == "one two three"


async def test_text_is_streamed_as_it_comes() -> None:
    gates = {(0, 1): asyncio.Event(), (0, 2): asyncio.Event()}
    async with served(Agency(Agent("Counter"), model=speaker(gates=gates))) as it, it.openai() as client:
        stream = await client.chat.completions.create(
            model="Counter", messages=USER, stream=True, stream_options={"include_usage": True}
        )
        said, last = [], None
        async for chunk in stream:
            last = chunk
            for choice in chunk.choices:
                if choice.delta.content:
                    said.append(choice.delta.content)
                    for gate in gates.values():
                        if not gate.is_set():
                            gate.set()
                            break
        assert said == ["one ", "two ", "three"]
        assert last is not None
        assert last.usage is not None
        assert last.usage.total_tokens == 12


async def _events(it: Served, body: Any, headers: dict[str, str], most: int | None = None) -> list[tuple[str, str]]:
    events: list[tuple[str, str]] = []
    async with it.client() as client, client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as got:
        assert got.status_code == 200, await got.aread()
        about: dict[str, str] = {}
        async for line in got.aiter_lines():
            if not line:
                if "data" in about:
                    events.append((about.get("id", ""), about["data"]))
                about = {}
                if most is not None and len(events) >= most:
                    return events
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                about[name] = value
    return events


def said(events: list[tuple[str, str]]) -> str:
    chunks = [json.loads(data) for _, data in events if data != "[DONE]"]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


async def test_a_stream_that_was_cut_goes_on_behind_any_event() -> None:
    @tool(risk="safe")
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    script = (("Let ", "me see.", ToolCall("c", "add", '{"a": 1, "b": 2}')), ("It ", "is ", "3."))
    body = {"model": "A", "messages": USER, "stream": True, "stream_options": {"include_usage": True}}
    async with served(Agency(Agent("A", tools=[add]), model=speaker(script), journal=MemoryJournal())) as it:
        whole = await _events(it, body, {})
        assert said(whole) == "Let me see.\n\nIt is 3."
        assert whole[-1][1] == "[DONE]"
        for index, (id_, _) in enumerate(whole[:-1]):
            rest = await _events(it, body, {"last-event-id": id_})
            assert said([*whole[: index + 1], *rest]) == said(whole)
            assert rest[-1][1] == "[DONE]"
            together = [data for _, data in (*whole[: index + 1], *rest)]
            assert [sum(sign in data for data in together) for sign in ('"stop"', '"total_tokens"')] == [1, 1]


async def test_whoever_leaves_and_comes_back_misses_nothing() -> None:
    gates = {(0, 1): asyncio.Event()}
    body = {"model": "A", "messages": USER, "stream": True}
    async with served(Agency(Agent("A"), model=speaker(gates=gates))) as it:
        begun = await _events(it, body, {"idempotency-key": "k"}, most=2)
        assert said(begun) == "one "
        gates[(0, 1)].set()
        rest = await _events(it, body, {"last-event-id": begun[-1][0]})
        assert said([*begun, *rest]) == "one two three"


async def test_each_stream_in_which_nothing_comes_says_that_it_lives() -> None:
    gates = {(0, 1): asyncio.Event()}
    body = {"model": "A", "messages": USER, "stream": True}
    async with served(Agency(Agent("A"), model=speaker(gates=gates)), ping=0.01) as it, it.client() as client:
        asked = [client.stream("POST", "/v1/chat/completions", json=body) for _ in range(2)]
        async with asked[0] as one, asked[1] as other:
            lines = one.aiter_lines(), other.aiter_lines()
            for _ in range(2):
                for each in lines:
                    while await anext(each) != ": ping":
                        pass
            gates[(0, 1)].set()
            for each in lines:
                rest = [line async for line in each if line.startswith("data:")]
                assert any("three" in line for line in rest)
                assert rest[-1] == "data: [DONE]"
    assert it.app.state.server.streams == {}


async def test_who_goes_on_with_a_stream_and_asks_for_none_begins_no_second_run() -> None:
    async with served(Agency(Agent("A"), model=speaker())) as it, it.client() as client:
        begun = await _events(it, {"model": "A", "messages": USER, "stream": True}, {}, most=2)
        for path, body in (("chat/completions", {"messages": USER}), ("responses", {"input": "hello"})):
            again = {"last-event-id": begun[-1][0]}
            refused = await client.post(f"/v1/{path}", json={"model": "A", **body}, headers=again)
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "last-event-id")


async def test_a_run_whose_client_leaves_is_cancelled_where_that_is_asked_for() -> None:
    gates = {(0, 1): asyncio.Event()}
    body = {"model": "A", "messages": USER, "stream": True}
    agency = Agency(Agent("A"), model=speaker(gates=gates))
    async with served(agency) as it:
        begun = await _events(it, body, {"callboard-on-disconnect": "cancel"}, most=2)
        run = begun[-1][0].rpartition(":")[0]
        handle = await agency.handle(run)
        with pytest.raises(Exception, match="its client has gone"):
            await handle.answer(30)


async def test_a_key_makes_a_run_once() -> None:
    asked = []
    agency = Agency(Agent("A"), model=speaker())
    agency.subscribe(lambda event: asked.append(event) if type(event).__name__ == "RunStarted" else None)
    async with served(agency) as it, it.openai() as client:
        headers = {"idempotency-key": "k"}
        answers = await asyncio.gather(
            *[client.chat.completions.create(model="A", messages=USER, extra_headers=headers) for _ in range(5)]
        )
        assert len({answer.id for answer in answers}) == 1
        assert len(asked) == 1
        with pytest.raises(openai.UnprocessableEntityError, match="another request was made under this key"):
            await client.chat.completions.create(
                model="A", messages=[{"role": "user", "content": "other"}], extra_headers=headers
            )


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (b"{", 400, "not_json", None),
        (b"\xff", 400, "not_json", None),
        (b"[]", 400, "not_json", None),
        (b'{"model": "A"}', 400, "invalid_request", "messages"),
        (b'{"model": "A", "messages": []}', 400, "invalid_request", "messages"),
        (
            b'{"model": "A", "messages": [{"role": "user", "content": 5}]}',
            400,
            "invalid_request",
            "messages[0].content",
        ),
        (b'{"model": "B", "messages": [{"role": "user", "content": "x"}]}', 404, "unknown_agent", None),
        (b'{"model": "A", "n": 2, "messages": [{"role": "user", "content": "x"}]}', 400, "unsupported", "n"),
        (b'{"a": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", 400, "not_json", None),
        (b"1" * 2000, 413, "too_large", None),
    ],
)
async def test_bad_input_has_openais_error_shape(body: bytes, status: int, code: str, param: str | None) -> None:
    async with served(Agency(Agent("A"), model=speaker()), body_limit=45_000 if len(body) > 3000 else 1500) as it:
        async with it.client() as client:
            answer = await client.post(
                "/v1/chat/completions", content=body, headers={"content-type": "application/json"}
            )
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
        assert answer.json()["error"]["param"] == param
        assert answer.headers["x-should-retry"] == "false"


async def test_a_completion_is_found_again_and_its_stream_gone_on_with() -> None:
    body: Any = {
        "model": "A",
        "messages": USER,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 1,
    }
    async with served(Agency(Agent("A"), model=speaker())) as it, it.client() as client, it.openai() as openais:
        whole = await _events(it, body, {})
        id = json.loads(whole[0][1])["id"]
        for index, (event_id, _) in enumerate(whole[:-1]):
            headers = {"accept": "text/event-stream", "last-event-id": event_id}
            got = await client.get(f"/v1/chat/completions/{id}", headers=headers)
            data = [line.removeprefix("data: ") for line in got.text.splitlines() if line.startswith("data: ")]
            assert said([*whole[: index + 1], *(("", one) for one in data)]) == said(whole)
            assert data[-1] == "[DONE]"
        kept = await openais.chat.completions.retrieve(id)
        assert kept.choices[0].message.content == "one two three"
        assert kept.callboard["notes"] == ["temperature is the agent's own affair: left out"]  # type: ignore[attr-defined]
        for path, status in ((f"{id}x", 404), (id, 400)):
            headers = {"accept": "text/event-stream", "last-event-id": "other:1"}
            assert (await client.get(f"/v1/chat/completions/{path}", headers=headers)).status_code == status


async def test_a_whole_usage_is_told() -> None:
    from callboard.actors import ChildSpec
    from callboard.actors.testing.doubles.models import FunctionModel
    from callboard.providers.messages import Completion, Message, Usage

    completion = Completion(Message("assistant", "x"), "stop", Usage(10, 5, 4, 3, 2))
    model = ChildSpec(FunctionModel, (lambda _: completion,), name="model")
    async with served(Agency(Agent("A"), model=model)) as it, it.openai() as client:
        whole = await client.chat.completions.create(model="A", messages=USER)
        stream = await client.chat.completions.create(
            model="A", messages=USER, stream=True, stream_options={"include_usage": True}
        )
        *_, last = [chunk async for chunk in stream]
        for usage in (whole.usage, last.usage):
            assert usage is not None
            assert usage.prompt_tokens_details is not None
            assert usage.completion_tokens_details is not None
            assert usage.prompt_tokens_details.cached_tokens == 4
            assert usage.completion_tokens_details.reasoning_tokens == 2


async def test_the_client_runs_its_tools_and_sends_their_results_with_the_history() -> None:
    script = (("I look.", ToolCall("c1", "look", '{"a": 1}'), ToolCall("c2", "look", '{"a": 2}')), ("It is red.",))
    look: Any = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    async with served(Agency(Agent("A"), model=speaker(script))) as it, it.openai() as client:
        async with client.chat.completions.stream(model="A", messages=USER, tools=[look]) as stream:
            first = await stream.get_final_completion()
        message = first.choices[0].message
        assert first.choices[0].finish_reason == "tool_calls"
        assert message.tool_calls is not None
        assert [(call.id, call.function.arguments) for call in message.tool_calls] == [
            ("c1", '{"a": 1}'),
            ("c2", '{"a": 2}'),
        ]
        results: Any = [{"role": "tool", "tool_call_id": call.id, "content": "red"} for call in message.tool_calls]
        spoken: Any = message.to_dict()
        spoken.pop("parsed", None)
        history = [{"role": "developer", "content": "Be brief."}, *USER, spoken, *results]
        then = await client.chat.completions.create(model="A", messages=history, tools=[look], tool_choice="none")
        assert then.choices[0].message.content == "It is red."


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"stream": "yes"}, "stream"),
        ({"stream_options": []}, "stream_options"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"messages": [{"role": "user", "content": [{"type": "video", "video": "x"}]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"response_format": {"type": "grammar"}}, "response_format.type"),
        ({"response_format": 5}, "response_format"),
    ],
)
async def test_what_would_be_lost_is_refused_and_the_field_named(change: Any, param: str) -> None:
    async with served(Agency(Agent("A"), model=speaker())) as it, it.client() as client:
        answer = await client.post("/v1/chat/completions", json={"model": "A", "messages": USER, **change})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text


async def test_agents_are_listed_as_models() -> None:
    async with served(Agency(Agent("A"), Agent("B"), model=speaker())) as it, it.openai() as client:
        assert [model.id async for model in client.models.list()] == ["A", "B"]
        assert (await client.models.retrieve("B")).id == "B"
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("C")


async def test_a_key_that_says_nothing_and_two_of_them_are_refused_and_nothing_is_begun() -> None:
    agency = Agency(Agent("A"), model=speaker())
    said = [{"role": "user", "content": "hi"}]
    paths: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": {"model": "A", "messages": said},
        "/v1/responses": {"model": "A", "input": "hi"},
        "/agency/runs": {"agent": "A", "input": "hi"},
    }
    async with served(agency) as at, at.client() as client:
        for path, body in paths.items():
            for keys in ([""], ["a", "b"], ["a", "a"]):
                answer = await client.post(path, json=body, headers=[("idempotency-key", key) for key in keys])
                assert answer.status_code == 400, (path, keys)
                assert "idempotency-key" in answer.text
        assert not await agency.conversations()

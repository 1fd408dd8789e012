"""What every provider must do, through the real SDKs, against a real server on loopback."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from callboard.actors import ActorRef
from callboard.providers import errors as e
from callboard.providers.messages import (
    Audio,
    Completion,
    Delta,
    FinishReason,
    Image,
    Message,
    Request,
    Text,
    ToolCall,
    ToolSpec,
    Usage,
)
from callboard.providers.provider import CountTokens, Describe, Supports
from callboard.providers.simulated import (
    Fault,
    ServerQuota,
    cut,
    error,
    hang,
    html,
    malformed,
    rate_limited,
    reset,
    stream_error,
    trickle,
    unauthorized,
)
from callboard.providers.vendors.build import child_spec
from callboard.providers.wire import anthropic, openai_chat, openai_responses
from tests.providers.conftest import KEY, Rig

ASK = Request((Message("user", "Say it"),))
WEATHER = ToolSpec(
    "get_weather",
    "Weather of a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


SAID = [{"type": "text", "text": "so"}]
ITEM = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "so"}]}]


def answer(text: str = "Grüße, 世界 🎭", finish: FinishReason = "stop", *calls: ToolCall) -> Completion:
    return Completion(Message("assistant", text, tool_calls=calls), finish, Usage(12, 7))


async def collect(rig: Rig, request: Request) -> tuple[list[Delta], Completion]:
    deltas = [delta async for delta in rig.ref.stream(request)]
    whole = [delta.completion for delta in deltas if delta.completion is not None]
    assert len(whole) == 1, "exactly one delta carries the completion"
    assert deltas[-1].completion is whole[0], "and it is the last"
    return deltas, whole[0]


async def both(rig: Rig, request: Request) -> list[Completion]:
    """The same request whole and streamed."""
    return [await rig.ref.ask(request), (await collect(rig, request))[1]]


async def test_an_answer_comes_whole_with_what_is_known_of_it(rig: Rig) -> None:
    rig.server.answer = answer()
    for completion in await both(rig, ASK):
        assert completion.message == Message("assistant", "Grüße, 世界 🎭")
        assert completion.finish_reason == "stop"
        if completion.notes:  # the endpoint does not count the tokens of a stream
            assert not rig.spec.dialect.stream_usage
            assert completion.usage.total_tokens > 0
        else:
            assert completion.usage == Usage(12, 7)
        assert completion.provider == rig.spec.name
        assert completion.model
        assert completion.request_id
        assert completion.latency > 0


async def test_a_stream_says_piece_by_piece_what_the_whole_says(rig: Rig) -> None:
    rig.server.answer = answer("one two three four five six seven eight nine ten eleven twelve")
    deltas, whole = await collect(rig, ASK)
    assert "".join(delta.text for delta in deltas) == whole.message.text
    assert sum(bool(delta.text) for delta in deltas) > 1


async def test_parallel_tool_calls_come_with_ids_names_and_arguments(rig: Rig) -> None:
    calls = (ToolCall("c1", "get_weather", '{"city": "Zürich"}'), ToolCall("c2", "get_weather", '{"city": "東京"}'))
    rig.server.answer = answer("", "tool_calls", *calls)
    for completion in await both(rig, replace(ASK, tools=(WEATHER,))):
        assert completion.finish_reason == "tool_calls"
        assert [(c.id, c.name, c.parsed()) for c in completion.message.tool_calls] == [
            (c.id, c.name, c.parsed()) for c in calls
        ]
    deltas = (await collect(rig, replace(ASK, tools=(WEATHER,))))[0]
    streamed = {0: "", 1: ""}
    for delta in deltas:
        if delta.tool_index is not None:
            streamed[delta.tool_index] += delta.tool_arguments
    assert [json.loads(streamed[index]) for index in (0, 1)] == [call.parsed() for call in calls]


@pytest.mark.parametrize("finish", ["stop", "length", "content_filter"])
async def test_every_finish_reason_arrives(rig: Rig, finish: FinishReason) -> None:
    rig.server.answer = answer("text", finish)
    for completion in await both(rig, ASK):
        assert completion.finish_reason == finish


STATES: dict[str, tuple[Any, dict[str, Any]]] = {
    "anthropic": (anthropic, {"content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, *SAID]}),
    "responses": (
        openai_responses,
        {"output": [{"type": "reasoning", "summary": [], "encrypted_content": "s"}, *ITEM]},
    ),
    "openai": (openai_chat, {"content": "so", "annotations": [{"type": "url_citation"}]}),
}
"""What a vendor of each kind says that only it understands."""


async def test_what_the_vendor_said_goes_back_to_it_as_it_was_and_to_no_other(rig: Rig) -> None:
    if rig.spec.kind not in STATES:
        pytest.skip("what LiteLLM makes of it is LiteLLM's")
    module, said = STATES[rig.spec.kind]
    whole: dict[str, Any] = {
        "choices": [{"message": said, "finish_reason": "stop"}],
        "stop_reason": "end_turn",
        "status": "completed",
    }
    rig.server.answer = module.from_response({**whole, **said})
    for completion in await both(rig, ASK):
        answered = completion.message
        assert (answered.text, answered.state is not None) == ("so", True)
        again = Request((*ASK.messages, answered, *ASK.messages))
        await rig.ref.ask(again)
        sent = json.dumps(rig.server.log[-1][1])
        assert "encrypted_content" in sent or "signature" in sent or "url_citation" in sent
        for name, (other, _) in STATES.items():
            if name != rig.spec.kind:
                plain = replace(again, messages=(*ASK.messages, replace(answered, state=None), *ASK.messages))
                assert other.to_payload(again, model="m") == other.to_payload(plain, model="m")


async def test_what_was_changed_to_fit_the_vendor_is_said(rig: Rig) -> None:
    if rig.spec.kind == "gemini":
        pytest.skip("it takes any sound")
    rig.server.answer = answer()
    for completion in await both(
        rig, Request((Message("user", (Text("hear"), Audio("data:audio/aiff;base64,AA=="))),))
    ):
        assert any("sound" in note for note in completion.notes)


async def test_an_empty_answer_is_an_answer(rig: Rig) -> None:
    rig.server.answer = answer("")
    for completion in await both(rig, ASK):
        assert completion.message.text == ""


async def test_a_whole_conversation_reaches_the_server_as_it_was(rig: Rig) -> None:
    seen: list[Request] = []

    def look(request: Request) -> Completion:
        seen.append(request)
        return answer()

    rig.server.answer = look
    conversation = (
        Message("system", "Be brief."),
        Message("user", (Text("What is this?"), Image("data:image/png;base64,aGk="))),
        Message("assistant", "Let me look.", tool_calls=(ToolCall("c1", "get_weather", '{"city": "Bern"}'),)),
        Message("tool", "18 °C", tool_call_id="c1", name="get_weather"),
        Message("user", "And now?"),
    )
    await rig.ref.ask(Request(conversation, tools=(WEATHER,), tool_choice="required", max_tokens=50, temperature=0.5))
    # Mistral wants to hear the assistant between a tool and a user.
    request = replace(seen[0], messages=tuple(m for m in seen[0].messages if m.text != "OK."))
    assert [m.role for m in request.messages] == [m.role for m in conversation]
    assert [m.text for m in request.messages] == [m.text for m in conversation]
    assert request.messages[1].content == conversation[1].content
    (called,), (meant,) = request.messages[2].tool_calls, conversation[2].tool_calls
    assert (called.name, called.arguments) == (meant.name, meant.arguments)
    assert request.messages[3].tool_call_id == called.id, "whatever id the vendor wants"
    assert [tool.name for tool in request.tools] == ["get_weather"]
    assert dict(request.tools[0].parameters) == dict(WEATHER.parameters)
    assert (request.tool_choice, request.max_tokens, request.temperature) == ("required", 50, 0.5)


async def test_sampling_that_the_provider_can_do_arrives_and_the_rest_is_said_to_be_ignored(rig: Rig) -> None:
    seen: list[Request] = []

    def look(request: Request) -> Completion:
        seen.append(request)
        return answer()

    rig.server.answer = look
    request = replace(ASK, seed=3, top_k=5, stop=("END",), frequency_penalty=0.1, top_p=0.9)
    completion = await rig.ref.ask(request)
    assert seen[0].top_p == 0.9
    for capability, name in (
        ("seed", "seed"),
        ("top_k", "top_k"),
        ("stop", "stop"),
        ("penalties", "frequency_penalty"),
    ):
        arrived = getattr(seen[0], name) not in (None, ())
        supported = await rig.ref.ask(Supports(capability))  # type: ignore[arg-type]
        assert arrived == supported, f"{name}: arrived {arrived}, supported {supported}"
        assert supported == (not any(name.split("_")[0] in note or capability in note for note in completion.notes))


async def test_structured_output_and_effort_are_asked_for(rig: Rig) -> None:
    seen: list[Request] = []

    def look(request: Request) -> Completion:
        seen.append(request)
        return answer('{"a": 1}')

    rig.server.answer = look
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    completion = await rig.ref.ask(replace(ASK, response_schema=schema, reasoning_effort="low"))
    assert seen[0].response_schema == schema
    if rig.spec.kind == "litellm":
        return  # it leaves effort out for models that it does not know
    supported = await rig.ref.ask(Supports("reasoning"))
    left_out = any("effort" in note for note in completion.notes)  # by a model that takes none
    assert (seen[0].reasoning_effort == "low") == (supported and not left_out)


async def test_headers_and_vendor_fields_go_out_as_they_are(rig: Rig) -> None:
    if rig.spec.kind == "litellm":
        pytest.skip("LiteLLM keeps metadata for itself")
    rig.server.answer = answer()
    await rig.ref.ask(replace(ASK, headers={"x-trace": "t1"}, extra={"metadata": {"user_id": "u"}}))
    assert rig.server.log[-1][1]["metadata"] == {"user_id": "u"}


async def test_the_model_can_be_named_in_each_request_with_or_without_the_provider(rig: Rig) -> None:
    rig.server.answer = answer()
    if rig.spec.kind == "litellm":
        pytest.skip("LiteLLM divides the name itself")
    for name in ("other-model", f"{rig.spec.name}:other-model", f"{rig.spec.name}/other-model"):
        await rig.ref.ask(replace(ASK, model=name))
        assert rig.server.log[-1][1]["model"] == "other-model"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (error(400), e.InvalidRequest),
        (unauthorized(), e.AuthenticationFailed),
        (error(403), e.AuthenticationFailed),
        (error(413), e.ContextTooLong),
        (error(500), e.ProviderOverloaded),
        (error(503), e.ProviderOverloaded),
        (error(529), e.ProviderOverloaded),
        (rate_limited(2.5), e.RateLimited),
        (reset(), e.ConnectionLost),
        (html(), e.MalformedResponse),
        (malformed(), e.MalformedResponse),
    ],
    ids=lambda value: f"{value.kind}-{value.status}" if isinstance(value, Fault) else value.__name__,
)
async def test_every_fault_becomes_its_named_error_once_and_the_next_request_is_answered(
    rig: Rig, fault: Fault, kind: type[e.ProviderError]
) -> None:
    if rig.spec.kind == "litellm" and kind is e.MalformedResponse:
        pytest.skip("LiteLLM calls it the server's error")
    rig.server.answer = answer()
    for streamed in (False, True):
        rig.server.fault = fault
        before = rig.server.stats.requests
        with pytest.raises(e.ProviderError) as caught:
            await (collect(rig, ASK) if streamed else rig.ref.ask(ASK))
        rig.server.fault = None
        assert type(caught.value) is kind, str(caught.value)
        assert caught.value.provider == rig.spec.name
        # A kept connection that breaks before any answer may have been closed long before: that is looked at once.
        most = 2 if fault.kind == "reset" else 1
        assert before < rig.server.stats.requests <= before + most, "the provider does not retry: the pool does"
        if fault.kind == "status":
            assert caught.value.status == fault.status
            assert caught.value.retry_after == fault.retry_after
            assert caught.value.request_id
        assert (await rig.ref.ask(ASK)).message.text == "Grüße, 世界 🎭"


async def test_a_cut_answer_is_an_error_wherever_it_is_cut(rig: Rig) -> None:
    rig.server.answer = answer("a longer answer that comes in many pieces, one after another")
    rig.server.chunk_delay = 0.001
    rig.server.fault = cut(0)
    # Some versions of LiteLLM read a body that breaks off as the server's error.
    lost = (e.ConnectionLost, e.ProviderOverloaded) if rig.spec.kind == "litellm" else e.ConnectionLost
    with pytest.raises(lost):
        await rig.ref.ask(ASK)
    for after in (0, 1, 2, 3, 5, 50):
        rig.server.fault = cut(after)
        with pytest.raises((e.StreamCut, e.ConnectionLost)):
            await collect(rig, ASK)


@pytest.mark.parametrize(
    ("type", "kind"), [("overloaded_error", e.ProviderOverloaded), ("rate_limit_error", e.RateLimited)]
)
async def test_an_error_inside_a_stream_is_known_by_its_type(rig: Rig, type: str, kind: type[e.ProviderError]) -> None:
    if rig.spec.kind == "litellm":
        pytest.skip("LiteLLM calls it a broken connection")
    rig.server.answer = answer("a longer answer that comes in many pieces")
    rig.server.fault = stream_error(type)
    received: list[Delta] = []
    with pytest.raises(kind):
        received += [delta async for delta in rig.ref.stream(ASK)]
    assert not received


async def test_a_hanging_server_is_a_timeout(rig: Rig) -> None:
    if rig.spec.kind == "litellm":
        pytest.skip("slow")
    async with asyncio.timeout(20):
        rig.server.fault = hang()
        quick = replace(rig.spec, timeout=0.05)
        ref: ActorRef[Any] = rig.system.spawn(child_spec(quick, name="quick", restart="temporary"))
        with pytest.raises(e.ProviderTimeout):
            await ref.ask(ASK)
        with pytest.raises(e.ProviderTimeout):
            await anext(ref.stream(ASK))


async def test_a_refused_connection_is_lost(rig: Rig) -> None:
    rig.server.answer = answer()
    await rig.server.stop()
    with pytest.raises(e.ConnectionLost):
        await rig.ref.ask(ASK)
    await rig.server.start()
    assert (await rig.ref.ask(ASK)).message.text == "Grüße, 世界 🎭"


async def test_a_slow_trickle_still_becomes_the_answer(rig: Rig) -> None:
    rig.server.answer = answer("slow but right")
    rig.server.fault = trickle(0.001)
    for completion in await both(rig, ASK):
        assert completion.message.text == "slow but right"


async def test_cancelling_an_ask_closes_its_connection(rig: Rig) -> None:
    rig.server.fault = hang()
    ask = asyncio.ensure_future(rig.ref.ask(ASK))
    await until(lambda: rig.server.stats.in_flight == 1)
    ask.cancel()
    await until(lambda: rig.server.stats.disconnects == 1)
    assert rig.server.stats.in_flight == 0
    description = await rig.ref.ask(Describe())
    assert description.in_flight == 0


async def test_leaving_a_stream_closes_its_connection(rig: Rig) -> None:
    rig.server.answer = answer("word " * 200)
    rig.server.chunk_delay = 0.01
    stream = rig.ref.stream(ASK)
    async for delta in stream:
        assert delta.completion is None
        break
    await stream.aclose()
    await until(lambda: rig.server.stats.disconnects == 1)


async def test_limits_in_the_headers_are_told(rig: Rig) -> None:
    if rig.spec.kind == "litellm":
        pytest.skip("LiteLLM hides them")
    rig.server.answer = answer()
    rig.server.limits = ServerQuota(requests=3, tokens=10_000)
    completion = await rig.ref.ask(ASK)
    told = completion.limits is not None
    assert told == (rig.spec.kind not in ("gemini", "bedrock", "vertex")), "those tell no limits"
    if completion.limits is None:
        return
    assert (completion.limits.requests_limit, completion.limits.requests_remaining) == (3, 2)
    assert completion.limits.tokens_limit == 10_000
    for _ in range(2):
        await rig.ref.ask(ASK)
    with pytest.raises(e.RateLimited) as caught:
        await rig.ref.ask(ASK)
    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= 20
    assert caught.value.limits is not None
    assert caught.value.limits.requests_remaining == 0


async def test_tokens_are_counted(rig: Rig) -> None:
    count = await rig.ref.ask(CountTokens(Request((Message("user", "word " * 100),))))
    assert 100 <= count <= 200


async def test_the_key_shows_in_no_repr_and_no_error(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    rig.server.answer = answer()
    texts: list[Any] = [rig.spec, rig.ref, await rig.ref.ask(Describe())]
    for fault in (unauthorized(), reset(), html(), error(500)):
        rig.server.fault = fault
        with pytest.raises(e.ProviderError) as caught:
            await rig.ref.ask(ASK)
        found: BaseException | None = caught.value
        while found is not None:
            texts += [found, repr(found), vars(found)]
            found = found.__cause__ or found.__context__
    assert KEY not in " ".join(map(repr, texts))
    assert KEY not in caplog.text


async def until(condition: Any) -> None:
    """Wait for something that other tasks bring about; no test waits for time to pass."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (the server has no event to wait for)
            await asyncio.sleep(0.001)

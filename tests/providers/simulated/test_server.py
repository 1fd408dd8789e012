"""The simulated provider, as the vendors' own SDKs and plain sockets see it."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import textwrap
from contextlib import suppress
from typing import Any

import anthropic
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.providers.messages import Completion, Message, Request, ToolCall, Usage
from callboard.providers.simulated import (
    Latency,
    ServerQuota,
    SimulatedProvider,
    cut,
    error,
    hang,
    malformed,
    parse_fault,
    rate_limited,
    reset,
)
from callboard.providers.simulated.limits import Bucket, Enforcer

HELLO = Completion(Message("assistant", "hello there"), "stop", Usage(3, 2))
TOOL = Completion(
    Message("assistant", "", tool_calls=(ToolCall("c1", "look", '{"where": "Zürich", "deep": true}'),)), "tool_calls"
)
TOOLS: Any = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
SAY: Any = [{"role": "user", "content": "hi"}]


def openai_client(server: SimulatedProvider, key: str = "k") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key=key, base_url=server.base_url, max_retries=0)


def anthropic_client(server: SimulatedProvider, key: str = "k") -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(api_key=key, base_url=server.url, max_retries=0, open_telemetry=False)


async def test_openais_sdk_reads_its_chat_completions() -> None:
    async with SimulatedProvider(HELLO) as server, openai_client(server) as client:
        whole = await client.chat.completions.create(model="gpt-x", messages=SAY)
        assert whole.choices[0].message.content == "hello there"
        assert whole.choices[0].finish_reason == "stop"
        assert whole.model == "gpt-x"
        assert whole.usage is not None
        assert whole.usage.total_tokens == 5
        async with client.chat.completions.stream(model="gpt-x", messages=SAY) as stream:
            final = await stream.get_final_completion()
        assert final.choices[0].message.content == "hello there"
        server.answer = TOOL
        async with client.chat.completions.stream(model="gpt-x", messages=SAY, tools=TOOLS) as stream:
            final = await stream.get_final_completion()
        calls = final.choices[0].message.tool_calls
        assert calls is not None
        assert json.loads(calls[0].function.arguments) == {"where": "Zürich", "deep": True}


async def test_openais_sdk_reads_its_responses() -> None:
    async with SimulatedProvider(HELLO) as server, openai_client(server) as client:
        whole = await client.responses.create(model="gpt-x", input="hi")
        assert whole.output_text == "hello there"
        async with client.responses.stream(model="gpt-x", input="hi") as stream:
            final = await stream.get_final_response()
        assert final.output_text == "hello there"
        server.answer = TOOL
        async with client.responses.stream(model="gpt-x", input="hi") as stream:
            output = (await stream.get_final_response()).output
        assert output[0].type == "function_call"
        assert json.loads(output[0].arguments) == {"where": "Zürich", "deep": True}


async def test_anthropics_sdk_reads_its_messages() -> None:
    async with SimulatedProvider(HELLO) as server, anthropic_client(server) as client:
        whole = await client.messages.create(model="claude-x", max_tokens=10, messages=SAY)
        assert whole.content[0].type == "text"
        assert whole.content[0].text == "hello there"
        assert whole.stop_reason == "end_turn"
        async with client.messages.stream(model="claude-x", max_tokens=10, messages=SAY) as stream:
            final = await stream.get_final_message()
        assert final.usage.output_tokens == 2
        server.answer = TOOL
        async with client.messages.stream(model="claude-x", max_tokens=10, messages=SAY) as stream:
            block = (await stream.get_final_message()).content[0]
        assert block.type == "tool_use"
        assert block.input == {"where": "Zürich", "deep": True}
        count = await client.messages.count_tokens(model="claude-x", messages=SAY)
        assert count.input_tokens > 0


async def test_the_sdks_raise_their_own_errors_for_its_faults() -> None:
    async with SimulatedProvider(HELLO) as server, openai_client(server) as one, anthropic_client(server) as other:
        for fault, openais, anthropics in (
            (rate_limited(2), openai.RateLimitError, anthropic.RateLimitError),
            (error(401), openai.AuthenticationError, anthropic.AuthenticationError),
            (error(500), openai.InternalServerError, anthropic.InternalServerError),
            (error(529), openai.InternalServerError, anthropic.APIStatusError),
            (reset(), openai.APIConnectionError, anthropic.APIConnectionError),
        ):
            server.script(fault, fault)
            with pytest.raises(openais):
                await one.chat.completions.create(model="m", messages=SAY)
            with pytest.raises(anthropics):
                await other.messages.create(model="m", max_tokens=5, messages=SAY)
        server.script(rate_limited(2.5))
        with pytest.raises(openai.RateLimitError) as caught:
            await one.chat.completions.create(model="m", messages=SAY)
        assert caught.value.response.headers["retry-after"] == "3"
        assert caught.value.response.headers["retry-after-ms"] == "2500"


async def test_it_answers_by_the_offline_rules_unless_told_otherwise() -> None:
    async with SimulatedProvider() as server, openai_client(server) as client:
        whole = await client.chat.completions.create(model="m", messages=SAY)
        assert "offline model" in (whole.choices[0].message.content or "")


async def test_an_answer_may_be_a_function_also_an_async_one() -> None:
    async def slowly(request: Request) -> Completion:
        await asyncio.sleep(0)
        return Completion(Message("assistant", request.messages[-1].text.upper()), "stop")

    async with SimulatedProvider(slowly) as server, openai_client(server) as client:
        assert (await client.chat.completions.create(model="m", messages=SAY)).choices[0].message.content == "HI"


async def test_openais_sdk_reads_its_embeddings() -> None:
    async with SimulatedProvider() as server, openai_client(server) as client:
        made = await client.embeddings.create(model="m", input=["tea", "cake"], dimensions=8)  # the SDK asks for base64
        plain = await client.embeddings.create(model="m", input="tea", dimensions=8, encoding_format="float")
        assert [len(one.embedding) for one in made.data] == [8, 8]
        assert made.data[0].embedding == pytest.approx(plain.data[0].embedding, rel=1e-6)
        assert made.usage.prompt_tokens == 2
        with pytest.raises(openai.BadRequestError, match="expected a text"):
            await client.embeddings.create(model="m", input=[1, 2])


async def test_unknown_keys_and_wrong_bodies_are_refused_in_the_protocols_form() -> None:
    async with SimulatedProvider(HELLO, keys=["good"]) as server:
        async with openai_client(server, "bad") as client:
            with pytest.raises(openai.AuthenticationError):
                await client.chat.completions.create(model="m", messages=SAY)
        async with openai_client(server, "good") as client:
            with pytest.raises(openai.BadRequestError, match="role: expected"):
                await client.chat.completions.create(model="m", messages=[{"role": "wizard", "content": "x"}])  # type: ignore[misc,list-item]
            with pytest.raises(openai.NotFoundError):
                await client.moderations.create(input="x")
        assert server.stats.statuses == {401: 1, 400: 1, 404: 1}


async def test_limits_are_enforced_and_told() -> None:
    async with SimulatedProvider(HELLO, limits=ServerQuota(requests=2)) as server, openai_client(server) as client:
        raw = await client.chat.completions.with_raw_response.create(model="m", messages=SAY)
        assert raw.headers["x-ratelimit-limit-requests"] == "2"
        assert raw.headers["x-ratelimit-remaining-requests"] == "1"
        await client.chat.completions.create(model="m", messages=SAY)
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(model="m", messages=SAY)
        assert 25 <= float(caught.value.response.headers["retry-after"]) <= 30
        # The other key has its own.
        async with openai_client(server, "other") as second:
            await second.chat.completions.create(model="m", messages=SAY)


def test_a_bucket_never_lets_more_through_than_its_size_and_its_rate() -> None:
    rng = random.Random(7)
    enforcer = Enforcer(ServerQuota(requests=10, tokens=500, window=1.0), 0.0)
    now, admitted, tokens = 0.0, 0, 0
    for _ in range(4000):
        now += rng.random() * 0.02
        wanted = rng.randrange(1, 120)
        if enforcer.admit(wanted, now) is None:
            admitted, tokens = admitted + 1, tokens + wanted
            enforcer.settle(wanted, wanted, now, now)
    assert admitted <= 10 + 10 * now
    assert tokens <= 500 + 500 * now
    assert tokens > 400 * now or admitted > 9 * now, "and it lets nearly that much through"


def test_what_a_bucket_says_to_wait_is_enough() -> None:
    bucket = Bucket(100, 60.0, 0.0)
    bucket.take(100, 0.0)
    wait = bucket.wait(30, 0.0)
    assert bucket.wait(30, wait) == 0
    assert bucket.wait(30, wait * 0.9) > 0
    assert bucket.wait(1000, 60.0) == 0, "more than the whole counts as the whole"


@given(
    st.lists(
        st.tuples(st.floats(0, 20), st.integers(1, 120), st.integers(0, 120), st.floats(0, 30)), min_size=1, max_size=60
    )
)
def test_a_sliding_window_lets_in_all_that_keeps_each_window_within_the_limit_and_no_more(
    asked: list[tuple[float, int, int, float]],
) -> None:
    enforcer = Enforcer(ServerQuota(requests=5, tokens=300, window=60.0, rule="window"), 0.0)
    let_in: list[list[float]] = []  # when, what was charged or, once it has ended, used, when it ends
    now = 0.0
    for gap, wanted, used, took in asked:
        now += gap
        for one in let_in:
            if one[2] <= now:
                enforcer.settle(int(one[1]), int(one[3]), one[0], one[2])
                one[1], one[2] = one[3], float("inf")
        held = [one for one in let_in if one[0] + 60.0 > now]
        fits = len(held) < 5 and sum(one[1] for one in held) + wanted <= 300
        wait = enforcer.admit(wanted, now)
        assert (wait is None) == fits, f"{wanted} tokens at {now}: {held}"
        if wait is None:
            let_in.append([now, wanted, now + took, min(used, wanted)])
        else:
            assert enforcer.admit(wanted, now + wait + 1e-6) is None, "what it says to wait is enough"
            return


def test_what_a_request_did_not_use_leaves_a_sliding_window_when_it_does() -> None:
    enforcer = Enforcer(ServerQuota(tokens=100, window=60.0, rule="window"), 0.0)
    assert enforcer.admit(100, 0.0) is None
    enforcer.settle(100, 10, 0.0, 50.0)
    assert enforcer.admit(90, 50.0) is None, "90 were not used"
    assert enforcer.admit(11, 61.0) is not None, "10 have left, and nothing else was ever there"
    assert enforcer.admit(10, 61.0) is None


def test_a_rule_of_a_servers_quota_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="rule is one of bucket, window, not 'minute'"):
        ServerQuota(requests=1, rule="minute")  # type: ignore[arg-type]


async def test_a_client_that_leaves_is_seen_and_its_place_is_free() -> None:
    limits = ServerQuota(concurrent=1)
    async with SimulatedProvider(HELLO, limits=limits, latency=30.0) as server, openai_client(server) as client:
        async with asyncio.timeout(20):
            task = asyncio.create_task(client.chat.completions.create(model="m", messages=SAY))
            while server.stats.in_flight == 0:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            with pytest.raises(openai.RateLimitError):
                await client.chat.completions.create(model="m", messages=SAY)
            task.cancel()
            while server.stats.in_flight:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            server.latency = 0.0
            await client.chat.completions.create(model="m", messages=SAY)
        assert server.stats.disconnects == 1


async def test_one_connection_serves_many_requests_even_when_they_are_sent_ahead() -> None:
    async with SimulatedProvider(HELLO) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
        body = json.dumps({"model": "m", "messages": SAY}).encode()
        request = b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        writer.write(request * 3)
        for _ in range(3):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            assert json.loads(await reader.readexactly(length))["choices"]
        writer.close()
        await writer.wait_closed()


async def test_a_cut_comes_after_the_bytes_it_should_come_after() -> None:
    long = Completion(Message("assistant", "word " * 40), "stop")
    async with SimulatedProvider(long, fault=cut(after=2)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
        body = json.dumps({"model": "m", "messages": SAY, "stream": True}).encode()
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        received = b""
        for _ in range(2):
            received += await reader.readuntil(b"\n\n")
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readuntil(b"\n\n")
        assert received.count(b"data: ") == 2
        writer.close()
        with suppress(ConnectionResetError):
            await writer.wait_closed()


async def test_a_share_of_the_requests_fails_as_asked_and_alike_in_every_run() -> None:
    seen = []
    for _ in range(2):
        async with SimulatedProvider(HELLO, fault=error(503), failure_rate=0.3, seed=4) as server:
            async with openai_client(server) as client:
                outcome = []
                for _ in range(60):
                    try:
                        await client.chat.completions.create(model="m", messages=SAY)
                        outcome.append(True)
                    except openai.InternalServerError:
                        outcome.append(False)
            seen.append(outcome)
    assert seen[0] == seen[1]
    assert 5 <= seen[0].count(False) <= 35


def test_latencies_are_spread_as_told() -> None:
    rng = random.Random(1)
    drawn = sorted(Latency(0.1, 0.5).draw(rng) for _ in range(4001))
    assert drawn[2000] == pytest.approx(0.1, rel=0.1)
    assert drawn[3960] == pytest.approx(0.5, rel=0.25)
    assert Latency(0.2).draw(rng) == 0.2


def test_faults_are_read_from_the_command_line() -> None:
    assert parse_fault("503") == error(503)
    assert parse_fault("429:2.5") == rate_limited(2.5)
    assert parse_fault("cut:4") == cut(4)
    assert parse_fault("hang") == hang()
    assert parse_fault("malformed") == malformed()
    assert parse_fault("") is None
    for wrong in ("explode", "200", "cut:x", "reset:1", "cut:-3", "429:nan", "trickle:-1", "trickle:inf"):
        with pytest.raises(ValueError, match="expected a status"):
            parse_fault(wrong)


async def test_a_stopped_server_refuses_and_comes_back_on_the_same_port() -> None:
    async with SimulatedProvider(HELLO) as server, openai_client(server) as client:
        await client.chat.completions.create(model="m", messages=SAY)
        url = server.url
        await server.stop()
        with pytest.raises(openai.APIConnectionError):
            await client.chat.completions.create(model="m", messages=SAY)
        await server.start()
        assert server.url == url
        await client.chat.completions.create(model="m", messages=SAY)


async def test_a_killed_server_process_ends_every_stream_in_exactly_one_error() -> None:
    from pydantic import SecretStr

    from callboard.actors import ActorRef, System
    from callboard.providers import errors as e
    from callboard.providers.spec import ProviderSpec
    from callboard.providers.vendors.build import child_spec

    code = """
        import asyncio
        from callboard.providers.messages import Completion, Message
        from callboard.providers.simulated import serve_forever
        answer = Completion(Message("assistant", "word " * 2000), "stop")
        asyncio.run(serve_forever(lambda s: print(s.url, flush=True), answer=answer, chunk_delay=0.01))
    """
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(code), stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    url = (await server.stdout.readline()).decode().strip()
    request = Request((Message("user", "x"),), model="m")
    begun: list[int] = []
    ends: dict[int, list[str]] = {}

    async def listen(ref: Any, number: int) -> None:
        ends[number] = []
        try:
            async for delta in ref.stream(request):
                if number not in begun:
                    begun.append(number)
                if delta.completion is not None:
                    ends[number].append("answer")
        except e.ProviderError as error:
            ends[number].append(type(error).__name__)

    try:
        async with System("kill") as system, asyncio.timeout(30):
            provider = ProviderSpec("p", "openai", SecretStr("k"), f"{url}/v1")
            ref: ActorRef[Any] = system.spawn(child_spec(provider, restart="temporary"))
            listeners = [asyncio.create_task(listen(ref, number)) for number in range(50)]
            while len(begun) < 50:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            server.send_signal(signal.SIGKILL)
            await asyncio.gather(*listeners)
    finally:
        if server.returncode is None:
            server.kill()
        await server.wait()
    assert ends == {number: ["StreamCut"] for number in range(50)}

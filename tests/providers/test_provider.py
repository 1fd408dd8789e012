"""The provider actor: bounds, order, keys, what it says of itself."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import threading
import warnings
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from callboard.actors import ActorRef, ChildSpec, System
from callboard.providers import errors as e
from callboard.providers.gate import Gate
from callboard.providers.messages import Completion, Message, Request, Usage
from callboard.providers.offline import OfflineProvider
from callboard.providers.provider import CountTokens, Describe, Provider, SetApiKey, Supports
from callboard.providers.registry.presets import PRESETS
from callboard.providers.registry.resolve import OFFLINE
from callboard.providers.simulated import SimulatedProvider
from callboard.providers.spec import Kind, ProviderSpec
from callboard.providers.tokens import FALLBACK, estimate
from callboard.providers.vendors.build import child_spec
from callboard.providers.vendors.direct import Direct
from callboard.providers.vendors.openai import OpenAIProvider
from callboard.providers.vendors.transport import Transport
from tests.providers.conftest import KINDS, anthropic_spec, compatible, openai_spec
from tests.providers.raw import WHOLE, Asked, provider, raw

ASK = Request((Message("user", "hello"),))


class Held(Provider):
    """Answers when it is let."""

    def __init__(self, spec: ProviderSpec) -> None:
        super().__init__(spec)
        self.begun: list[str] = []
        self.doors: dict[str, asyncio.Event] = {}

    async def complete(self, request: Request) -> Completion:
        text = request.messages[-1].text
        self.begun.append(text)
        self.doors[text] = asyncio.Event()
        await self.doors[text].wait()
        return Completion(Message("assistant", text), "stop", Usage(1, 1))


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_no_more_than_max_in_flight_run_at_once_and_the_others_wait_in_order() -> None:
    async with System("gate") as system:
        actors: list[Held] = []

        def make(spec: ProviderSpec) -> Held:
            actors.append(Held(spec))
            return actors[-1]

        ref: ActorRef[Any] = system.supervise(
            ChildSpec(make, args=(ProviderSpec("held", max_in_flight=2),), name="held")
        )
        asks = [asyncio.ensure_future(ref.ask(Request((Message("user", str(n)),)))) for n in range(5)]
        await settled()
        held = actors[0]
        assert held.begun == ["0", "1"]
        description = await ref.ask(Describe())
        assert (description.in_flight, description.waiting) == (2, 3)
        asks[2].cancel()  # one that waits leaves; the next in line moves up
        await settled()
        held.doors["1"].set()
        await settled()
        assert held.begun == ["0", "1", "3"]
        asks[0].cancel()  # one that runs leaves
        await settled()
        assert held.begun == ["0", "1", "3", "4"]
        for name in ("3", "4"):
            held.doors[name].set()
        assert [(await ask).message.text for ask in (asks[1], asks[3], asks[4])] == ["1", "3", "4"]
        assert (await ref.ask(Describe())).in_flight == 0


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 3),
    st.booleans(),
    st.lists(st.tuples(st.sampled_from(["come", "leave", "cancel", "turn"]), st.integers(0, 9)), max_size=40),
)
def test_a_gate_never_overfills_never_leaks_a_place_and_keeps_the_order(
    size: int, paused: bool, moves: list[tuple[str, int]]
) -> None:
    async def scenario() -> None:
        gate = Gate(size)
        entered: list[int] = []
        inside: dict[int, asyncio.Event] = {}
        tasks: dict[int, asyncio.Task[None]] = {}
        cancelled: set[int] = set()

        async def visit(number: int) -> None:
            async with gate:
                entered.append(number)
                inside[number] = asyncio.Event()
                try:
                    await inside[number].wait()
                finally:
                    del inside[number]

        for move, which in moves:
            if move == "come":
                number = len(tasks)
                tasks[number] = asyncio.create_task(visit(number))
                await asyncio.sleep(0)
            elif move == "leave" and inside:
                list(inside.values())[which % len(inside)].set()
                # With a pause, who was let in comes in before the next one asks; without, the next move, a cancel
                # perhaps, falls on the very turn of the grant.
                for _ in range(3 if paused else 0):
                    await asyncio.sleep(0)
            elif move == "cancel" and tasks:  # may fall on the very turn in which the place was granted
                number = which % len(tasks)
                tasks[number].cancel()
                cancelled.add(number)
            else:
                await asyncio.sleep(0)
            assert len(inside) <= size
        while any(not task.done() for task in tasks.values()):
            for door in list(inside.values()):
                door.set()
            await asyncio.sleep(0)
        assert gate.inside == 0, "every place came back"
        assert gate.waiting == 0
        assert not paused or entered == sorted(entered), "first come, first in"
        assert set(tasks) - cancelled <= set(entered), "nobody is forgotten"
        await asyncio.gather(*tasks.values(), return_exceptions=True)

    asyncio.run(scenario())


async def test_a_place_granted_to_one_who_is_cancelled_in_the_same_turn_goes_on() -> None:
    gate = Gate(1)
    await gate.__aenter__()

    async def visit() -> None:
        async with gate:
            pass

    waiting = asyncio.create_task(visit())
    await asyncio.sleep(0)
    assert gate.waiting == 1
    await gate.__aexit__(None, None, None)  # grants the place without a turn of the loop
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting.cancelled()
    assert gate.inside == 0
    async with asyncio.timeout(5):
        await visit()


async def test_the_offline_provider_answers_asks_and_streams_alike() -> None:
    async with System("offline") as system:
        ref: ActorRef[Any] = system.supervise(child_spec(OFFLINE))
        whole = await ref.ask(ASK)
        deltas = [delta async for delta in ref.stream(ASK)]
        assert "".join(delta.text for delta in deltas) == whole.message.text
        assert len(deltas) > 3
        assert deltas[-1].completion.message == whole.message
        assert (whole.provider, whole.model) == ("offline", "offline")
        assert await ref.ask(Supports("tools"))
        assert not await ref.ask(Supports("images"))
        assert await ref.ask(CountTokens(ASK)) == estimate(ASK)


async def test_a_message_it_does_not_know_is_refused_by_name() -> None:
    async with System("odd") as system:
        with pytest.raises(TypeError, match="takes Request"):
            await system.spawn(OfflineProvider).ask("what?")


async def test_a_request_without_a_model_needs_a_default_one() -> None:
    async with SimulatedProvider() as server, System("model") as system:
        ref: ActorRef[Any] = system.supervise(child_spec(openai_spec(server, default_model="")))
        with pytest.raises(e.UnknownModel, match="default_model"):
            await ref.ask(ASK)


@pytest.mark.parametrize(
    "kind", ["openai", "openai-sdk", "anthropic", "anthropic-sdk", "gemini", "azure", "bedrock", "vertex"]
)
async def test_a_new_key_is_used_from_the_next_request_on(kind: str) -> None:
    make, spawn = KINDS[kind]
    async with SimulatedProvider(keys=["sk-new"]) as server, System("rotate") as system:
        ref = spawn(server, system, make(server))
        with pytest.raises(e.AuthenticationFailed):
            await ref.ask(ASK)
        await ref.ask(SetApiKey(SecretStr("sk-new")))
        assert (await ref.ask(ASK)).message.text


async def test_a_call_that_is_out_while_the_key_changes_shows_the_old_one_no_more_than_the_new() -> None:
    there, go_on = asyncio.Event(), asyncio.Event()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        there.set()
        await go_on.wait()
        body = b'{"error": {"message": "wrong: %b"}}' % b" ".join(head.split())
        writer.write(b"HTTP/1.1 400 No\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, System("echo") as system:
        spec = ProviderSpec("acme", "openai", SecretStr("sk-old-0123456789"), address, default_model="m")
        ref: ActorRef[Any] = system.spawn(child_spec(spec))
        call = asyncio.ensure_future(ref.ask(ASK))
        await there.wait()
        await ref.ask(SetApiKey(SecretStr("sk-new-abcdefghij")))
        go_on.set()
        with pytest.raises(e.ProviderError, match=r"Bearer \[key\]") as caught:
            await call
        assert "sk-old" not in str(caught.value)


@pytest.mark.parametrize("field", [{"stop": "END"}, {"max_tokens": "9"}, {"temperature": "hot"}])
def test_defaults_that_no_request_could_have_are_refused_where_they_are_given(field: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"defaults: {next(iter(field))}: expected"):
        ProviderSpec("acme", defaults=field)
    with pytest.raises(ValueError, match=f"model_defaults of m: {next(iter(field))}: expected"):
        ProviderSpec("acme", model_defaults={"m": field})


async def test_a_crashed_provider_comes_back_and_answers_what_was_queued() -> None:
    async with SimulatedProvider() as server, System("crash") as system, asyncio.timeout(20):
        spec = openai_spec(server)
        ref: ActorRef[Any] = system.supervise(child_spec(spec))
        await ref.ask(ASK)
        ref.tell("not a message of its own")  # crashes it
        assert (await ref.ask(ASK)).message.text


async def test_a_key_that_the_server_echoes_shows_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = b'{"error": {"message": "wrong: %b"}}' % b" ".join(head.split())
        writer.write(b"HTTP/1.1 401 No\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, System("echo") as system:
        for kind in ("openai", "anthropic"):
            for key in ("sk-0123456789", "schlüssel".encode().hex(), "a-b_c.d~e+f"):
                protocol: Kind = "openai" if kind == "openai" else "anthropic"
                spec = ProviderSpec(kind, protocol, SecretStr(key), f"http://127.0.0.1:{port}", default_model="m")
                ref: ActorRef[Any] = system.spawn(child_spec(spec, name=f"{kind}-{key[:3]}", restart="temporary"))
                with pytest.raises(e.AuthenticationFailed) as caught:
                    await ref.ask(ASK)
                shown = [
                    str(caught.value),
                    repr(caught.value),
                    repr(vars(caught.value)),
                    repr(spec),
                    repr(child_spec(spec)),
                ]
                assert "wrong: " in shown[0]
                assert key not in " ".join([*shown, caplog.text])


@given(st.text(min_size=6, alphabet=st.characters(min_codepoint=33, max_codepoint=126)))
def test_a_spec_a_request_and_a_transport_show_no_key(key: str) -> None:
    spec = ProviderSpec("p", api_key=SecretStr(key), headers={"x-key": key})
    request = Request((Message("user", "x"),), headers={"authorization": key})
    plain = repr(ProviderSpec("p", api_key=SecretStr("other"))) + repr(Request((Message("user", "x"),)))
    if key not in plain:
        assert key not in repr(spec) + repr(request)


async def test_a_transport_shows_no_key() -> None:
    transport = Direct("p", lambda key: None, {"authorization": "sk-hidden"}, timeout=1, connect_timeout=1)
    assert "sk-hidden" not in repr(transport)
    await transport.close()


@pytest.mark.parametrize(
    "name", [name for name, one in PRESETS.items() if name not in ("openai", "anthropic") and not one.settings]
)
async def test_every_preset_answers_whole_and_streamed(name: str) -> None:
    async with SimulatedProvider() as server, System("preset") as system:
        make = KINDS[name][0] if name in KINDS else compatible(name)
        ref: ActorRef[Any] = system.supervise(child_spec(make(server)))
        whole = await ref.ask(ASK)
        assert whole.provider == name
        assert [delta async for delta in ref.stream(ASK)][-1].completion.message == whole.message


async def test_claudes_tokens_are_counted_by_its_own_endpoint() -> None:
    async with SimulatedProvider() as server, System("count") as system:
        ref: ActorRef[Any] = system.supervise(child_spec(anthropic_spec(server)))
        before = server.stats.requests
        assert await ref.ask(CountTokens(ASK)) > 0
        assert server.stats.requests == before + 1
        assert server.log[-1][0].endswith("/count_tokens")


@given(st.text())
def test_the_fallback_count_goes_by_bytes(text: str) -> None:
    count = FALLBACK.count(text)
    assert count * 4 >= len(text.encode("utf-8", "replace")) > (count - 1) * 4 or text == "" == text[count:]


@pytest.mark.parametrize("end", ["killed", "stopped"])
async def test_a_provider_that_ends_while_it_starts_leaves_no_connection_pool_open(end: str) -> None:
    begun, go = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slowly(key: str) -> Any:
        loop.call_soon_threadsafe(begun.set)
        assert go.wait(5)
        return None

    class Slow(OpenAIProvider):
        async def connect(self) -> Transport:
            return await self.direct(slowly)

    spec = ProviderSpec("p", "openai", SecretStr("k"), "http://127.0.0.1:9", default_model="m")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        async with System("starting") as system:
            ref = system.spawn(ChildSpec(Slow, (spec,), restart="temporary", shutdown=0.0))
            await begun.wait()
            if end == "killed":
                ref.kill()
        go.set()
        gc.collect()
    assert [str(one.message) for one in said if issubclass(one.category, ResourceWarning)] == []


SAMPLED = replace(
    ASK,
    seed=5,
    stop=("END",),
    presence_penalty=0.5,
    frequency_penalty=0.5,
    top_k=3,
    reasoning_effort="high",
    thinking_tokens=2000,
    max_tokens=5000,
)
WHOLES: dict[str, Any] = {
    "openai": WHOLE,
    "anthropic": {"content": [{"type": "text", "text": "fine"}], "stop_reason": "end_turn"},
    "gemini": {"candidates": [{"content": {"parts": [{"text": "fine"}]}, "finishReason": "STOP"}]},
}
"""An answer that comes whole, of each protocol."""


@pytest.mark.parametrize("kind", WHOLES)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_provider_is_not_said_to_be_able_to_is_not_sent_and_the_notes_say_so(
    kind: str, stream: bool
) -> None:
    async def answer(asked: Asked) -> None:
        await asked.reply(200, WHOLES[kind])

    able: frozenset[Any] = frozenset({"tools"})
    async with raw(answer) as server, provider(server, kind=kind, capabilities=able, base_url=server.url) as ref:
        if stream:
            made = [delta async for delta in ref.stream(SAMPLED)][-1].completion
        else:
            made = await ref.ask(SAMPLED)
        sent = json.loads(server.asked[0].body)
        assert sent.get("generationConfig", sent).keys() <= {
            *("model", "messages", "max_tokens", "max_completion_tokens", "contents", "maxOutputTokens")
        }, "no stream either"
        assert not server.asked[0].path.endswith("alt=sse")
        assert made.message.text == "fine"
        ignored = [note for note in made.notes if note.startswith("acme ignores")]
        assert len(ignored) == 5, "the effort, the seed, penalties, top_k and stop sequences"

"""What Gemini's own endpoint gets to see; that its answers are understood is in the contract of all providers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from callboard.actors import ActorRef, System
from callboard.providers import errors as e
from callboard.providers.embeddings import EmbeddingRequest
from callboard.providers.messages import Message, Request
from callboard.providers.offline.hashing import hashed
from callboard.providers.provider import CountTokens
from callboard.providers.simulated import SimulatedProvider
from callboard.providers.tokens import estimate
from callboard.providers.vendors.build import child_spec
from tests.providers.conftest import KEY, gemini_spec
from tests.providers.vendors.recording import ASK, recording

SIGNATURE = "CpQB+/ab=="
CALLED: list[dict[str, Any]] = [
    {"text": "I should look.", "thought": True},
    {"functionCall": {"name": "look", "args": {"who": "Ada"}}, "thoughtSignature": SIGNATURE},
]


def body(parts: list[dict[str, Any]]) -> bytes:
    answer = {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}], "responseId": "r"}
    return json.dumps(answer).encode()


async def test_the_key_goes_into_a_header_and_the_model_into_the_path() -> None:
    async with recording(body([{"text": "hi"}])) as server, System("gemini") as system:
        ref: ActorRef[Any] = system.spawn(child_spec(gemini_spec(server)))
        assert (await ref.ask(replace(ASK, model="gemini-2.5-pro"))).message.text == "hi"
        (sent,) = server.seen
        assert (sent.path, sent.query) == ("/v1beta/models/gemini-2.5-pro:generateContent", "")
        assert sent.headers["x-goog-api-key"] == KEY
        said = json.loads(sent.body)
        assert said["contents"] == [{"role": "user", "parts": [{"text": "hello"}]}]
        assert said["generationConfig"] == {"maxOutputTokens": 50}


async def test_a_stream_is_asked_for_as_events() -> None:
    events = b"data: " + body([{"text": "hi"}]) + b"\r\n\r\n"
    async with recording(events, "text/event-stream") as server, System("gemini") as system:
        deltas = [delta async for delta in system.spawn(child_spec(gemini_spec(server))).stream(ASK)]
        assert "".join(delta.text for delta in deltas) == "hi"
        assert server.seen[0].path == "/v1beta/models/gemini-test:streamGenerateContent"
        assert server.seen[0].query == "alt=sse"


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_signature_comes_back_to_google_as_it_was_over_two_turns(streamed: bool) -> None:
    answers = [body(CALLED), body([{"text": "Ada is in."}])]
    if streamed:
        answers = [b"data: " + answer + b"\n\n" for answer in answers]
    kind = "text/event-stream" if streamed else "application/json"
    async with recording(b"") as server, System("gemini") as system:
        server.answers = [(200, kind, answer) for answer in answers]
        spec = replace(gemini_spec(server), default_model="gemini-3-pro")
        ref: ActorRef[Any] = system.spawn(child_spec(spec))

        async def ask(request: Request) -> Any:
            if not streamed:
                return await ref.ask(request)
            return [delta async for delta in ref.stream(request)][-1].completion

        first = await ask(ASK)
        assert (first.message.reasoning, first.finish_reason) == ("I should look.", "tool_calls")
        (call,) = first.message.tool_calls
        result = Message("tool", "in", tool_call_id=call.id, name=call.name)
        second = await ask(Request((*ASK.messages, first.message, result)))
        assert second.message.text == "Ada is in."
        turns = json.loads(server.seen[1].body)["contents"]
        assert turns[1] == {"role": "model", "parts": CALLED}
        assert turns[2]["parts"] == [{"functionResponse": {"name": "look", "response": {"output": "in"}}}]


async def test_tokens_are_counted_by_google() -> None:
    async with SimulatedProvider(keys=[KEY]) as server, System("gemini") as system:
        ref: ActorRef[Any] = system.spawn(child_spec(gemini_spec(server)))
        assert await ref.ask(CountTokens(ASK)) == estimate(ASK)
        path, payload = server.log[-1]
        assert path == "/v1beta/models/gemini-test:countTokens"
        assert payload["generateContentRequest"]["model"] == "models/gemini-test"


async def test_many_texts_are_embedded_in_calls_of_a_hundred() -> None:
    texts = [f"text {number}" for number in range(230)]
    async with SimulatedProvider(keys=[KEY]) as server, System("gemini") as system:
        ref: ActorRef[Any] = system.spawn(child_spec(gemini_spec(server)))
        made = await ref.ask(EmbeddingRequest(texts, "gemini-embedding-001", 8))
        assert [len(payload["requests"]) for _, payload in server.log] == [100, 100, 30]
        assert {path for path, _ in server.log} == {"/v1beta/models/gemini-embedding-001:batchEmbedContents"}
        assert list(made.vectors) == [hashed(text, 8) for text in texts]
        assert any("tokens are estimated" in note for note in made.notes), "Google tells no usage there"


async def test_the_simulated_server_streams_only_as_events() -> None:
    async with SimulatedProvider() as server, System("gemini") as system:
        ref: ActorRef[Any] = system.spawn(child_spec(replace(gemini_spec(server), name="plain")))
        assert (await ref.ask(ASK)).message.text
        with pytest.raises(e.InvalidRequest):
            await ref.ask(replace(ASK, extra={"contents": "wrong"}))

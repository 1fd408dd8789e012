"""A conversation that was transferred: every protocol streams who answers, in this turn and the next ones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from ag_ui_validate.pytest_plugin import assert_valid_agui

from callboard import Agency, Agent, Message, RunCancelled, handoff, tool
from callboard.actors import Actor, ChildSpec
from callboard.providers.messages import Completion, Delta, Request, ToolCall, Usage

from .support import Served, served
from .test_ag_ui import ADA, asked, events, kinds, resolved, said, shown
from .test_going_on import read
from .test_realtime import ends, talking
from .test_response_events import check_order
from .test_who_asks import named


@tool(approval="always")
def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


class Team(Actor):
    """Front gives the conversation to B, which says what it is told to; it can be held before its second piece."""

    def __init__(self, gate: asyncio.Event | None, pays: bool) -> None:
        super().__init__()
        self.gate = gate
        self.pays = pays

    def on_receive(self, message: Request) -> Any:
        return self._pieces(message) if self.expects == "stream" else self._whole(message)

    async def _whole(self, request: Request) -> Completion:
        completion = [delta async for delta in self._pieces(request)][-1].completion
        assert completion is not None
        return completion

    async def _pieces(self, request: Request) -> AsyncGenerator[Delta, None]:
        if "You are B" not in request.messages[0].text:
            gives = ToolCall("c1", "transfer_to_B", '{"message": "yours"}')
            yield Delta("One moment.")
            yield Delta(completion=Completion(Message("assistant", "One moment.", (gives,)), "tool_calls", Usage(7, 5)))
        elif self.pays and request.messages[-1].role != "tool":
            pays = ToolCall("c1", "pay", '{"amount": 5}')
            yield Delta(completion=Completion(Message("assistant", "", (pays,)), "tool_calls", Usage(7, 5)))
        else:
            yield Delta("B ")
            if self.gate is not None:
                await self.gate.wait()
            yield Delta("here.")
            yield Delta(completion=Completion(Message("assistant", "B here."), "stop", Usage(7, 5)))


def agency_of(gate: asyncio.Event | None = None, *, pays: bool = False) -> Agency:
    b = Agent("B", "You are B", tools=[pay] if pays else [])
    front = Agent("A", "You are A", handoffs=[handoff(b, kind="transfer")])
    return Agency(front, model=ChildSpec(Team, (gate, pays)))


def chat(turn: int) -> dict[str, Any]:
    body = {"model": "A", "messages": [{"role": "user", "content": f"{turn}"}], "stream": True}
    return {**body, "callboard": {"conversation": "c"}}


def content(chunks: list[tuple[str, Any]]) -> str:
    told = [chunk for _, chunk in chunks if chunk != "[DONE]"]
    return "".join(one["choices"][0]["delta"].get("content") or "" for one in told)


WHOLE = ["One moment.\n\nB here.", "B here.", "B here."]


async def test_a_chat_completion_has_the_text_as_it_comes() -> None:
    gate = asyncio.Event()
    async with served(agency_of(gate)) as it, it.client() as client:
        for turn, whole in enumerate(WHOLE):
            gate.clear()
            text = ""
            async with client.stream("POST", "/v1/chat/completions", json=chat(turn)) as answer:
                async for line in answer.aiter_lines():
                    if line.startswith("data: {"):
                        text += json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
                    if text.endswith("B "):
                        gate.set()
            assert text == whole


async def test_a_chat_completion_goes_on_behind_any_event() -> None:
    async with served(agency_of()) as it, it.client() as client:
        for turn, whole in enumerate(WHOLE):
            sent = await read(client, "POST", "/v1/chat/completions", json=chat(turn))
            assert content(sent) == whole
            for index, (id, _) in enumerate(sent):
                if id:
                    rest = await read(client, "POST", "/v1/chat/completions", id, json=chat(turn))
                    assert content([*sent[: index + 1], *rest]) == whole


async def test_a_response_has_it_too() -> None:
    async with served(agency_of()) as it, it.client() as client:
        conversation = (await client.post("/v1/conversations", json={})).json()["id"]
        for turn in range(3):
            body = {"model": "A", "input": f"{turn}", "stream": True, "conversation": conversation}
            sent = await read(client, "POST", "/v1/responses", json=body)
            check_order([event for _, event in sent])
            parts = [event["delta"] for _, event in sent if event["type"] == "response.output_text.delta"]
            assert "".join(parts) == WHOLE[turn].replace("\n\n", "")
            response = sent[-1][1]["response"]
            texts = [part["text"] for item in response["output"] for part in item["content"]]
            assert texts == WHOLE[turn].split("\n\n")
            assert (await client.get(f"/v1/responses/{response['id']}")).json()["output"] == response["output"]


async def test_ag_ui_has_it_too() -> None:
    async with served(agency_of()) as it:
        for turn in range(3):
            body = asked(run=f"r{turn}", messages=[{"id": f"u{turn}", "role": "user", "content": f"{turn}"}])
            sent = await events(it, body)
            assert_valid_agui([event for _, event in sent], max_warnings=0)
            assert said(sent) == WHOLE[turn].replace("\n\n", "|")
            assert [event["stepName"] for _, event in sent if event["type"] == "STEP_STARTED"] == (
                ["A 1", "B 2"] if turn == 0 else ["B 1"]
            )
            (used,) = sent[-1][1]["usage"]
            assert (used["inputTokens"], used["outputTokens"]) == ((14, 10) if turn == 0 else (7, 5))
            for index, (id, _) in enumerate(sent):
                assert shown([*sent[: index + 1], *await events(it, body, {"last-event-id": id})]) == shown(sent)


async def ask(it: Served, turn: int) -> list[tuple[str, dict[str, Any]]]:
    body = asked(run=f"r{turn}", messages=[{"id": f"u{turn}", "role": "user", "content": f"{turn}"}])
    return await events(it, body, ADA)


async def test_what_the_new_agent_asks_a_person_interrupts_and_is_answered() -> None:
    async with served(agency_of(pays=True), authenticate=named("ada")) as it:
        for turn in range(2):
            sent = await ask(it, turn)
            assert_valid_agui([event for _, event in sent], max_warnings=0)
            (one,) = sent[-1][1]["outcome"]["interrupts"]
            assert one["reason"] == "tool_call"
            assert one["toolCallId"] in [event.get("toolCallId") for _, event in sent]
            rest = await events(it, resolved([one], True, run=f"answer-{turn}"), ADA)
            assert said(rest) == "B here."
            results = [event["content"] for _, event in rest if event["type"] == "TOOL_CALL_RESULT"]
            assert results == (["paid 5", "B here."] if turn == 0 else ["paid 5"])
            assert "RUN_FINISHED" in kinds(rest)


async def test_a_websocket_tells_of_it_once() -> None:
    agency = agency_of(pays=True)
    async with served(agency, authenticate=named("ada")) as it, talking(it.url, additional_headers=ADA) as client:
        for _ in range(2):
            await client.say("ask", input="?", conversation="c")
            told = await client.until(lambda told: told.get("event") == "approval_asked")
            assert told[-1]["agent"] == "B"
            await client.say("approve", approval=told[-1]["data"]["approval"])
            told += await client.until(ends)
            assert "approval" not in [one["type"] for one in told]
            assert "".join(one["text"] for one in told if one["type"] == "text").endswith("B here.")


async def test_the_events_of_a_run_have_what_the_new_agent_does() -> None:
    async with served(agency_of()) as it, it.client() as client:
        for whose in (["A", "A", "A", "B", "B", "A", "A"], ["A", "B", "B", "A"]):
            begun = await client.post("/agency/runs", json={"input": "?", "conversation": "c"})
            path = f"/agency/runs/{begun.json()['id']}/events"
            sent = await read(client, "GET", path)
            assert [event["agent"] for _, event in sent] == whose
            for index, (id, _) in enumerate(sent[:-1]):
                assert await read(client, "GET", path, id) == sent[index + 1 :]


@pytest.mark.parametrize("when", ["first", "second"])
async def test_a_client_that_leaves_ends_it(when: str) -> None:
    gate = asyncio.Event()
    agency = agency_of(gate)
    async with served(agency, on_disconnect="cancel") as it, it.client() as client:
        if when == "second":
            gate.set()
            await client.post("/v1/chat/completions", json=chat(0))
            gate.clear()
        async with client.stream("POST", "/v1/chat/completions", json=chat(1)) as answer:
            run = answer.headers["callboard-run"]
            async for line in answer.aiter_lines():
                if '"B "' in line or "B " in line:
                    break
        with pytest.raises(RunCancelled):
            await (await agency.handle(run))

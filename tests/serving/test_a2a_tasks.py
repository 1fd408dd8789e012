"""What becomes of a task that waits: whoever has subscribed to it, and its history, know it."""

from __future__ import annotations

import asyncio

import pytest
from a2a.types import a2a_pb2 as pb

from callboard import Agency, Agent, MemoryJournal
from callboard.providers.messages import ToolCall

from .support import served, speaker
from .test_a2a import SAYS, State, both, connected, erase, folded, says, sent, who


def asking(times: int) -> Agency:
    """An agent that asks for a person so many times."""
    calls = [(ToolCall(f"c{each}", "erase", '{"path": "x"}'),) for each in range(times)]
    agent = Agent("A", tools=[erase], autonomy="supervised")
    return Agency(agent, model=speaker((*calls, ("Done.",))), journal=MemoryJournal())


@both
async def test_who_subscribes_to_a_task_that_waits_is_told_what_comes_of_it(binding: str) -> None:
    async with served(asking(1), authenticate=who) as it, connected(it, binding, user="ada") as client:
        waits = folded(await sent(client, says("erase x")))
        first = asyncio.Event()
        events: list[pb.StreamResponse] = []

        async def follow() -> None:
            async for event in client.subscribe(pb.SubscribeToTaskRequest(id=waits.id)):
                events.append(event)
                first.set()

        following = asyncio.create_task(follow())
        await first.wait()
        assert events[0].task.status.state == State.TASK_STATE_INPUT_REQUIRED
        await sent(client, says("approve", task_id=waits.id))
        await following
        assert folded(events).status.state == State.TASK_STATE_COMPLETED


@both
async def test_who_subscribes_to_a_task_that_waits_is_told_of_what_it_waits_for_next(binding: str) -> None:
    async with served(asking(2), authenticate=who) as it, connected(it, binding, user="ada") as client:
        waits = folded(await sent(client, says("erase x")))
        first = asyncio.Event()
        events: list[pb.StreamResponse] = []

        async def follow() -> None:
            async for event in client.subscribe(pb.SubscribeToTaskRequest(id=waits.id)):
                events.append(event)
                first.set()

        following = asyncio.create_task(follow())
        await first.wait()
        again = folded(await sent(client, says("approve", task_id=waits.id)))
        await following
        assert again.status.state == State.TASK_STATE_INPUT_REQUIRED
        assert folded(events).status.message == again.status.message != waits.status.message


@both
async def test_the_history_of_a_task_has_what_it_was_told_on_its_way(binding: str) -> None:
    async with (
        served(asking(2), authenticate=who) as it,
        connected(it, binding, user="ada", streaming=False) as client,
    ):
        task = folded(await sent(client, says("erase x")))
        for _ in range(2):
            task = folded(await sent(client, says("not that one", task_id=task.id)))
        assert task.status.state == State.TASK_STATE_COMPLETED
        said = [(one.role, one.parts[0].text) for one in task.history]
        assert said == [(pb.Role.ROLE_USER, text) for text in ("erase x", "not that one", "not that one")]
        assert len({one.message_id for one in task.history}) == 3
        last = await client.get_task(pb.GetTaskRequest(id=task.id, history_length=1))
        assert last.history == task.history[2:]


@pytest.mark.parametrize("path", ["", "/message:send"])
async def test_what_is_said_to_be_something_else_than_json_is_refused(path: str) -> None:
    """A page in a browser may send it anywhere, without asking whether it may."""
    async with served(Agency(Agent("A"), model=speaker())) as it, it.client() as client:
        body = SAYS if path else {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": SAYS}
        headers = {"content-type": "text/plain", "a2a-version": "1.0"}
        request = client.build_request("POST", f"/a2a/A{path}", json=body, headers=headers)
        response = await client.send(request)
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (415, 415 if path else -32005), error
        assert error["details" if path else "data"][0]["reason"] == "CONTENT_TYPE_NOT_SUPPORTED"


async def test_a_card_may_be_kept_for_a_minute() -> None:
    async with served(Agency(Agent("A"), model=speaker())) as it, it.client() as client:
        card = await client.get("/.well-known/agent-card.json")
        assert card.headers["cache-control"] == "max-age=60"

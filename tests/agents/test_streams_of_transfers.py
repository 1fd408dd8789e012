"""Whoever answers in a run is streamed and told of: also an agent that the conversation was transferred to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, RunText, handoff, tool
from callboard.actors import Actor, ChildSpec
from callboard.actors.agents.errors import DefinitionError
from callboard.actors.agents.runs.reading.progress import RunRecord
from callboard.actors.journal import MemoryJournal
from callboard.actors.testing import Crash, Simulation, simulate
from callboard.providers.messages import Completion, Delta, Message, Request, ToolCall

from .journals import journal
from .test_resumable_streams import read, said

__all__ = ["journal"]

Script = dict[str, Sequence[Sequence[Any]]]


class Team(Actor):
    """Says for each agent what it is told to, completion by completion, in pieces; it can be held before any of them.

    Args:
        scripts: by what the agents are instructed.
        gates: the event to wait for before a piece, by instructions, completion and piece.
    """

    def __init__(self, scripts: Script, gates: dict[tuple[str, int, int], asyncio.Event] | None = None) -> None:
        super().__init__()
        self.scripts = scripts
        self.gates = gates or {}
        self.turns: dict[str, int] = {}

    def on_receive(self, message: Request) -> Any:
        who = next(one.text for one in message.messages if one.role == "system")
        turn = self.turns[who] = self.turns.get(who, -1) + 1
        return self._pieces(who, turn % len(self.scripts[who]))

    async def _pieces(self, who: str, turn: int) -> AsyncGenerator[Delta, None]:
        text = ""
        calls: tuple[ToolCall, ...] = ()
        for index, piece in enumerate(self.scripts[who][turn]):
            if gate := self.gates.get((who, turn, index)):
                await gate.wait()
            if isinstance(piece, ToolCall):
                calls = (*calls, piece)
            else:
                text += piece
                yield Delta(piece)
        reason: Any = "tool_calls" if calls else "stop"
        yield Delta(completion=Completion(Message("assistant", text, calls), reason))


@tool(approval="always")
def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


TO_BILLING = ToolCall("call-1", "transfer_to_Billing", '{"message": "an invoice"}')
TO_DESK = ToolCall("call-1", "transfer_to_Desk", '{"message": "an invoice"}')
PAY = ToolCall("call-1", "pay", '{"amount": 5}')
WORDS = ("It ", "is ", "paid.")
SCRIPTS: Script = {"front": [("One ", "moment.", TO_BILLING)], "billing": [WORDS]}


def agency_of(
    journal: Any, scripts: Script = SCRIPTS, gates: Any = None, tools: Sequence[Any] = (), **options: Any
) -> Agency:
    desk = Agent("Desk", "desk")
    further = [handoff(desk, kind="transfer")] if "desk" in scripts else []
    billing = Agent("Billing", "billing", tools=tools, handoffs=further)
    front = Agent("Front", "front", handoffs=[handoff(billing, kind="transfer")])
    return Agency(front, model=ChildSpec(Team, (scripts, gates)), journal=journal, **options)


def shown(items: Sequence[Any]) -> list[str]:
    return [item.text if isinstance(item, RunText) else f"{item.agent} {item.type}" for item in items]


@pytest.mark.parametrize("conversation", ["c", None])
async def test_who_takes_a_conversation_over_is_streamed_as_it_comes(journal: Any, conversation: str | None) -> None:
    held = {"One ": ("front", 0, 1), "It ": ("billing", 0, 1), "is ": ("billing", 0, 2)}
    gates = {place: asyncio.Event() for place in held.values()}
    async with agency_of(journal, gates=gates) as agency:
        handle = await agency.start_run("?", conversation=conversation, stream=True)
        items: list[Any] = []
        async for item in handle.stream():
            items.append(item)
            if isinstance(item, RunText) and item.text in held:  # the next piece is said once this one was read
                gates[held[item.text]].set()
        assert shown(items) == [
            *("Front accepted", "Front started", "One ", "moment.", "Front completed"),
            *("Billing started", *WORDS, "Billing completed", "Front handoff_returned", "Front ended"),
        ]
        assert (await handle).text == "It is paid."
        records = [item for item in items if isinstance(item, RunRecord)]
        assert records == [one async for one in handle.events()] == await handle.records()
        assert [one.position for one in records] == sorted(one.position for one in records)


async def test_it_is_so_in_each_further_turn(journal: Any) -> None:
    gates: dict[tuple[str, int, int], asyncio.Event] = {}
    async with agency_of(journal, gates=gates) as agency:
        await (await agency.start_run("?", conversation="c", stream=True))
        for _ in range(2):
            gates["billing", 0, 1] = asyncio.Event()
            handle = await agency.start_run("and?", conversation="c", stream=True)
            items = []
            async for item in handle.stream():
                items.append(item)
                if isinstance(item, RunText):
                    gates["billing", 0, 1].set()
            expected = ["Front accepted", "Billing started", *WORDS, "Billing completed", "Front ended"]
            assert "".join(shown(items)) == "".join(expected)
            records = [item for item in items if isinstance(item, RunRecord)]
            assert records == await handle.records()


@pytest.mark.parametrize("turn", [1, 2])
async def test_whoever_begins_behind_any_item_is_given_the_rest_once(journal: Any, turn: int) -> None:
    async with agency_of(journal) as agency:
        for _ in range(turn):
            handle = await agency.start_run("?", conversation="c", stream=True)
            await handle
        first = await read(handle)
        assert said(first) == (["One moment.", "It is paid."] if turn == 1 else ["It is paid."])
        for index, item in enumerate(first):
            rest = await read(handle, item.cursor)
            assert said([*first[: index + 1], *rest]) == said(first)
            records = [one for one in first[index + 1 :] if isinstance(one, RunRecord)]
            assert [one for one in rest if isinstance(one, RunRecord)] == records
            if isinstance(item, RunRecord):
                assert [one async for one in handle.events(after=item.position)] == records


async def test_an_approval_behind_a_transfer_is_told_of(journal: Any) -> None:
    scripts: Script = {"front": [(TO_BILLING,)], "billing": [(PAY,), ("done",)]}
    async with agency_of(journal, scripts, tools=[pay]) as agency:
        for _ in range(2):
            handle = await agency.start_run("?", conversation="c", user="ann", stream=True)
            async for record in handle.events():
                if record.type == "approval_asked":
                    break
            (waiting,) = await agency.pending_approvals()
            assert (record.agent, record.data["approval"]) == ("Billing", waiting.approval)
            await agency.approve(waiting)
            assert (await handle.answer()).text == "done"


async def test_a_conversation_that_is_handed_on_and_on_is_streamed(journal: Any) -> None:
    scripts: Script = {"front": [(TO_BILLING,)], "billing": [("Not ", "mine.", TO_DESK)], "desk": [WORDS]}
    gate = asyncio.Event()
    async with agency_of(journal, scripts, {("desk", 0, 1): gate}) as agency:
        handle = await agency.start_run("?", conversation="c", stream=True)
        items = []
        async for item in handle.stream():
            items.append(item)
            if isinstance(item, RunText) and item.text == "It ":
                gate.set()
        assert said(items) == ["", "Not mine.", "It is paid."]
        assert [one.agent for one in items if isinstance(one, RunRecord) and one.type == "started"] == [
            *("Front", "Billing", "Desk")
        ]
        # Nothing of Billing's part is kept. Whoever goes on behind it is given what comes then.
        for index, item in enumerate(items):
            rest = await read(handle, item.cursor)
            desks = next(number for number, one in enumerate(items) if getattr(one, "agent", "") == "Desk")
            assert said([*items[: index + 1], *rest])[-1] == "It is paid."
            if index >= desks:
                assert said([*items[: index + 1], *rest]) == said(items)


async def test_who_comes_in_the_middle_and_another_process_are_given_the_same(tmp_path: Path) -> None:
    gate = {("billing", 0, 2): asyncio.Event()}
    path = tmp_path / "j.db"
    async with agency_of(path, gates=gate) as one, agency_of(path) as two:
        handle = await one.start_run("?", run_id="r", conversation="c", stream=True)
        begun = await read(handle, until="It is ")
        late = await read(handle, until="It is ")
        assert said([*late, begun[-2]])[:1] == ["One moment."]
        there = asyncio.create_task(read(await two.handle("r"), begun[-1].cursor))
        whole = asyncio.create_task(read(await two.handle("r")))
        gate["billing", 0, 2].set()
        assert said([*begun, *await there]) == ["One moment.", "It is paid."]
        assert said(await whole) == ["One moment.", "It is paid."]


async def test_a_stream_goes_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with agency_of(path, gates={("billing", 0, 2): asyncio.Event()}) as agency:
        handle = await agency.start_run("?", run_id="r", conversation="c", stream=True)
        begun = await read(handle, until="It is ")
    async with agency_of(path) as agency:
        rest = await read(await agency.handle("r"), begun[-1].cursor)
        assert said([*begun, *rest]) == ["One moment.", "It is paid."]
        assert {"Front resumed", "Billing resumed"} <= set(shown(rest))
        whole = [item for item in await read(await agency.handle("r")) if isinstance(item, RunRecord)]
        assert [item.position for item in whole] == sorted(item.position for item in whole)


async def test_who_comes_after_a_restart_is_given_all_in_the_journals_order(tmp_path: Path) -> None:
    path, gate = tmp_path / "j.db", asyncio.Event()
    async with agency_of(path, gates={("billing", 0, 2): asyncio.Event()}) as agency:
        handle = await agency.start_run("?", run_id="r", conversation="c", stream=True)
        await read(handle, until="It is ")
    async with agency_of(path, gates={("billing", 0, 2): gate}) as agency:
        items: list[Any] = []
        async with aclosing((await agency.handle("r")).stream()) as stream:
            async for item in stream:
                items.append(item)
                if isinstance(item, RunText) and item.text.endswith("is "):
                    gate.set()
        positions = [item.position for item in items if isinstance(item, RunRecord)]
        assert positions == sorted(positions)
        assert {"Front resumed", "Billing resumed"} <= set(shown(items))
        assert said(items) == ["One moment.", "It is paid."]


async def test_a_place_in_another_run_is_refused(journal: Any) -> None:
    async with agency_of(journal) as agency:
        handles = [await agency.start_run("?", conversation="c", stream=True) for _ in range(2)]
        items = [await read(handle) for handle in handles]
        for handle, others in zip(handles, reversed(items), strict=True):
            for item in others:
                with pytest.raises(DefinitionError, match="is no place in the stream of run"):
                    await read(handle, item.cursor)


async def test_what_a_delegate_does_is_told_by_its_answer_only(journal: Any) -> None:
    ask = ToolCall("call-1", "SendMessage", '{"target_agent": "Billing", "message": "paid?"}')
    scripts: Script = {"front": [(ask,), ("It is.",)], "billing": [("Yes.",)]}
    front = Agent("Front", "front", handoffs=[Agent("Billing", "billing")])
    async with Agency(front, model=ChildSpec(Team, (scripts,)), journal=journal) as agency:
        handle = await agency.start_run("?", conversation="c", stream=True)
        items = await read(handle)
        assert said(items) == ["", "It is."]
        assert {item.agent for item in items if isinstance(item, RunRecord)} == {"Front"}


async def test_who_watches_what_is_said_by_now_sees_who_answers() -> None:
    gate = {("billing", 0, 2): asyncio.Event()}
    async with agency_of(None, gates=gate) as agency:
        handle = await agency.start_run("?", conversation="c", stream=True)
        async with aclosing(handle.stream()) as items:
            async for item in items:
                if isinstance(item, RunText) and item.text.endswith("is "):
                    break
        assert handle.so_far() == "It is "
        gate["billing", 0, 2].set()
        await handle


BILLING, DESK = "agency/Billing/r0.1.call-1", "agency/Desk/r0.1.call-1.1.call-1"
CRASHES = [
    Crash(path, when=when, optional=path == DESK)
    for path in ("agency/Front", "agency/Front/c", "agency/Billing", BILLING, DESK)
    for when in ("before", "after")
]


@pytest.mark.parametrize("onward", [False, True])
@pytest.mark.parametrize("crash", [None, *CRASHES], ids=lambda crash: crash and f"{crash.actor}-{crash.when}")
def test_whoever_crashes_each_reader_is_given_the_same_in_one_order(crash: Crash | None, onward: bool) -> None:
    scripts: Script = {"front": [(TO_BILLING,)], "billing": [WORDS]}
    if onward:
        scripts = {"front": [(TO_BILLING,)], "billing": [("Not ", "mine.", TO_DESK)], "desk": [WORDS]}

    async def scenario(sim: Simulation) -> None:
        async with agency_of(MemoryJournal(), scripts, system=sim.system) as agency:
            for turn in range(2):
                handle = await agency.start_run("?", conversation="c", run_id=f"r{turn}", stream=True)
                early = asyncio.create_task(read(handle))
                first = await read(handle)
                late = await read(handle)
                last = "It is paid."
                for items in (first, await early, late):
                    positions = [item.position for item in items if isinstance(item, RunRecord)]
                    assert positions == sorted(positions)
                    assert (shown(items)[0], shown(items)[-1]) == ("Front accepted", "Front ended")
                    assert said(items)[-1] == last
                    assert onward or said(items) == (["", last] if turn == 0 else [last])
                for index in range(len(first)):
                    rest = await read(handle, first[index].cursor)
                    assert said([*first[: index + 1], *rest])[-1] == last
            await asyncio.sleep(0.013)  # so that nothing is due as all of it stops

    simulate(scenario, seeds=15 if crash is None else 3, faults=[] if crash is None else [crash])

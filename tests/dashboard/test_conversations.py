"""Conversations on a dashboard: listed, read as they are and as they were, forked, replayed, never too much of one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard import (
    Agency,
    Agent,
    Caller,
    Completion,
    ConversationRun,
    Guardrail,
    GuardrailTripped,
    HandoffRecord,
    MemoryJournal,
    Message,
    PatternCheck,
    Request,
    Step,
    StepCall,
    ToolCall,
    UnknownConversation,
    Usage,
)
from callboard.actors.agents.conversations import past
from callboard.actors.agents.conversations.past import APART, Pasts
from callboard.actors.agents.conversations.reading import read_events, read_lineage
from callboard.actors.journal.store import Record, at_hand
from callboard.actors.serving.dashboard.reading.conversations import told_of
from callboard.actors.serving.dashboard.reading.cutting import DEEPEST, LONGEST, ROOM, Room
from callboard.actors.serving.dashboard.reading.sequence import MOST_ARROWS, sequence_of
from callboard.actors.serving.dashboard.reading.told import MOST_MESSAGES, MOST_ROWS, MOST_STEPS, indented, rows_of
from callboard.actors.serving.operations.problem_json import Fields
from callboard.actors.testing import simulate
from tests.agents.conversations.support import journal_of, obedient, team
from tests.agents.support import function
from tests.dashboard.boards import board_of, eventually, get, log_of, post, refused
from tests.serving.support import speaker

JOURNALS = ["memory", "sqlite"]

READS = [
    "conversations",
    "conversations/Front/c",
    "conversations/Front/c/journal",
    "conversations/Front/c/at/1",
]


async def ask(agency: Agency, *acts: str, conversation: str = "c") -> None:
    """Ask one thing after the other, and approve what waits."""
    for act in acts:
        run = asyncio.ensure_future(agency.run(act, conversation=conversation, user="ada"))
        while not run.done():
            for one in agency.approvals:
                agency.approve(one)
            await asyncio.wait({run}, timeout=0.01)
        await run


def kinds(told: Any) -> list[tuple[str, str, str]]:
    return [(row["kind"], row["name"], row["status"]) for row in told["steps"]]


async def test_a_conversation_is_shown_with_its_steps_messages_and_who_said_what_to_whom() -> None:
    async with team() as agency, board_of(agency) as client:
        await ask(agency, "sum", "ask", "erase")
        told = await get(client, "conversations/Front/c")
        assert kinds(told) == [
            ("model", "scripted", "done"),
            ("tool", "add", "done"),
            ("model", "scripted", "done"),
            ("model", "scripted", "done"),
            ("handoff", "Expert", "done"),
            ("model", "scripted", "done"),
            ("model", "scripted", "done"),
            ("model", "scripted", "done"),
            ("tool", "erase", "done"),
            ("model", "scripted", "done"),
        ]
        assert [row["depth"] for row in told["steps"]] == [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
        assert [row["step"] for row in told["steps"]] == [1, 1, 2, 3, 3, 3, 4, 5, 5, 6]
        assert json.loads(told["steps"][1]["arguments"]) == {"a": 1, "b": 2}
        assert (told["steps"][1]["result"], told["steps"][8]["approved"]) == ("3", True)
        assert (told["running"], told["user"], told["owner"]) == (False, "ada", None)
        assert [one["question"] for one in told["runs"]] == ["sum", "ask", "erase"]
        assert [one["role"] for one in told["messages"]] == ["user", "assistant", "tool", "assistant"] * 3
        view = await agency.conversation("c")
        assert (told["version"], told["cost"]) == (view.version, view.cost)
        sequence = told["sequence"]
        assert (sequence["lanes"], sequence["caller"]) == (["ada", "Front", "Expert"], "ada")
        assert [(one["from"], one["to"], one["kind"], one["step"]) for one in sequence["arrows"]] == [
            ("ada", "Front", "ask", 1),
            ("Front", "Front", "tool", 1),
            ("Front", "ada", "answer", 2),
            ("ada", "Front", "ask", 3),
            ("Front", "Expert", "handoff", 3),
            ("Expert", "Front", "answer", 3),
            ("Front", "ada", "answer", 4),
            ("ada", "Front", "ask", 5),
            ("Front", "Front", "tool", 5),
            ("Front", "ada", "answer", 6),
        ]


async def test_whose_a_conversation_is_is_told_with_the_tenant_also_of_a_fork() -> None:
    async with team() as agency, board_of(agency) as client:
        for tenant in ("acme", "globex"):
            run = asyncio.ensure_future(agency.run("erase", conversation=tenant, caller=Caller("ada", tenant)))
            (waits,) = await eventually(lambda: agency.approvals)
            told = await get(client, f"approvals/{waits.approval}")
            assert (told["user"], told["tenant"]) == ("ada", tenant)
            agency.approve(waits)
            await run
            fork = (await post(client, f"conversations/Front/{tenant}/fork"))["conversation"]
            for each in (tenant, fork):
                told = await get(client, f"conversations/Front/{each}")
                assert (told["user"], told["tenant"]) == ("ada", tenant)


async def test_all_that_the_page_needs_of_a_conversation_is_told_as_python_has_it() -> None:
    async with team() as agency, board_of(agency) as client:
        await ask(agency, "sum", "ask")
        view = await agency.conversation("c")
        told = await get(client, "conversations/Front/c")
        lists = {"messages": told["messages"], "steps": told["steps"], "runs": told["runs"]}
        assert {**told, **lists, "sequence": None} == {
            "agent": "Front",
            "conversation": "c",
            "version": view.version,
            "user": "ada",
            "tenant": "",
            "owner": None,
            "cost": view.cost,
            "tokens": sum(run.usage.total_tokens for run in view.runs),
            "running": False,
            "messages_before": 0,
            "steps_before": 0,
            "runs_before": 0,
            "rows_left_out": 0,
            "sequence": None,
            **lists,
        }
        assert told["messages"][:3] == [
            {"role": "user", "content": "sum"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "s1", "name": "add", "arguments": '{"a": 1, "b": 2}'}],
            },
            {"role": "tool", "content": "3", "tool_call_id": "s1"},
        ]
        first, _, third, _ = view.steps
        (call,), (handed,) = first.calls, third.calls
        row = {"step": 1, "run": first.run, "depth": 0, "agent": "Front", "at": first.at, "status": "done", "error": ""}
        assert told["steps"][0] == {
            **row,
            "kind": "model",
            "name": "scripted",
            "text": "",
            "reasoning": "",
            "arguments": None,
            "result": None,
            "tokens": first.usage.total_tokens,
            "cost": first.cost,
            "seconds": first.seconds,
        }
        of_call = {"approval": "", "approved": None, "tokens": 0, "cost": 0.0}
        assert told["steps"][1] == {
            **row,
            "kind": "tool",
            "name": "add",
            "text": "",
            "arguments": '{\n  "a": 1,\n  "b": 2\n}',
            "result": "3",
            **of_call,
            "seconds": call.seconds,
            "call_id": "s1",
        }
        handoff = next(one for one in told["steps"] if one["kind"] == "handoff")
        assert (handoff["text"], handoff["tokens"], handoff["seconds"]) == (
            "hi",
            handed.usage.total_tokens,
            handed.seconds,
        )
        run = view.runs[0]
        assert told["runs"][0] == {
            "run": run.id,
            "status": "answered",
            "agent": "Front",
            "user": "ada",
            "question": "sum",
            "error": "",
            "answer": "done: 3",
            "steps": 2,
            "cost": run.cost,
            "at": run.at,
            "seconds": run.seconds,
            "rewound": run.rewound,
        }
        arrow = told["sequence"]["arrows"][0]
        assert arrow == {"from": "ada", "to": "Front", "kind": "ask", "label": "sum", "at": run.at, "step": 1}
        assert told["sequence"]["arrows_left_out"] == 0
        (listed,) = (await get(client, "conversations"))["conversations"]
        updated = listed["updated"]
        assert run.at < updated
        assert listed == {
            "agent": "Front",
            "conversation": "c",
            "user": "ada",
            "tenant": "",
            "events": view.version,
            "updated": updated,
            "running": False,
            "damaged": "",
        }
        event = (await get(client, "conversations/Front/c/journal"))["events"][0]
        assert event["data"].pop("run")["id"] == run.id
        assert event == {
            "version": 1,
            "at": run.at,
            "type": "Accepted",
            "stream": "Front/c",
            "position": 1,
            "data": {},
        }


async def test_what_waits_or_is_under_way_says_so() -> None:
    async with team() as agency, board_of(agency) as client:
        run = asyncio.ensure_future(agency.run("erase", conversation="c"))
        (waits,) = await eventually(lambda: agency.approvals)
        told = await get(client, "conversations/Front/c")
        assert kinds(told) == [("model", "scripted", "done"), ("approval", "erase", "waiting")]
        assert (told["steps"][1]["approval"], told["running"]) == (waits.approval, True)
        assert [one["kind"] for one in told["sequence"]["arrows"]] == ["ask", "tool"]
        agency.deny(waits, "no")
        await run
        told = await get(client, "conversations/Front/c")
        assert kinds(told)[1] == ("approval", "erase", "denied")
        assert told["running"] is False


async def test_a_call_without_a_result_has_none_among_the_messages_as_long_as_it_may_have_one() -> None:
    async with team() as agency, board_of(agency) as client:
        run = asyncio.ensure_future(agency.run("erase", conversation="c"))
        (waits,) = await eventually(lambda: agency.approvals)
        waiting = await get(client, "conversations/Front/c")
        agency.approve(waits)
        await run
        told = await get(client, "conversations/Front/c")
        asked = await get(client, f"conversations/Front/c/at/{waiting['version']}")
        assert [one["role"] for one in waiting["messages"]] == ["user", "assistant"]
        assert asked["messages"] == waiting["messages"]
        assert [one["role"] for one in told["messages"]] == ["user", "assistant", "tool", "assistant"]
        late = asyncio.ensure_future(agency.run("erase", conversation="c"))
        await eventually(lambda: agency.approvals)
        late.cancel()
        await asyncio.wait({late})
        told = await get(client, "conversations/Front/c")
        assert "the run ended before this call had a result" in told["messages"][-1]["content"]


async def test_work_that_another_agent_does_now_is_an_arrow_from_the_latest_step(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def model(request: Request) -> Any:
        if "You know." in request.messages[0].text:
            await gate.wait()
        return obedient(request)

    async with team(journal_of("sqlite", tmp_path), model) as agency, board_of(agency) as client:
        await ask(agency, "hi")
        run = asyncio.ensure_future(agency.run("ask", conversation="c", user="ada"))

        async def latest() -> Any:  # the Expert is asked while its beginning is still being written
            last = (await get(client, "conversations/Front/c"))["sequence"]["arrows"][-1]
            return last if last["kind"] == "handoff" else None

        last = await eventually(latest)
        assert (last["from"], last["to"], last["kind"]) == ("Front", "Expert", "handoff")
        assert (last["label"], last["step"]) == ("under way", 2)
        older = await get(client, "conversations/Front/c", steps_before=1)
        assert [one["kind"] for one in older["sequence"]["arrows"]] == ["ask", "answer"]
        gate.set()
        await run


async def test_a_guardrail_that_has_ended_a_run_is_a_row_behind_its_last_step() -> None:
    guard = Guardrail(PatternCheck("code", "code-[0-9]+"), on={"output"}, name="codes")
    agency = Agency(Agent("A", hooks=[guard]), model=function(lambda _: "the code-7 of it"))
    async with agency, board_of(agency) as client:
        with pytest.raises(GuardrailTripped):
            await agency.run("go", conversation="c")
        told = await get(client, "conversations/A/c", steps_before=0)
        assert (told["steps"], told["sequence"]["arrows"]) == ([], [])
        told = await get(client, "conversations/A/c")
        assert kinds(told)[-1] == ("guardrail", "GuardrailTripped", "failed")
        assert "codes" in told["steps"][-1]["error"]
        assert told["runs"][0]["status"] == "failed"
        assert told["sequence"]["arrows"][-1]["label"] == "failed: GuardrailTripped"


def chain_of(depth: int) -> Step:
    """A step whose agent has handed work to another one, which has, and so on."""
    step = Step(1, "r", f"agent {depth}", Message("assistant", "done"))
    for level in reversed(range(depth)):
        record = HandoffRecord(f"agent {level}", f"agent {level + 1}", "delegate", "go on")
        call = StepCall(ToolCall("1", "hand_on", "{}"), Message("tool", "done"), handoff=record, steps=(step,))
        step = Step(1, "r", f"agent {level}", Message("assistant", ""), (call,))
    return step


def test_handoffs_within_handoffs_are_gone_through_without_the_stack_and_counted_where_there_are_too_many() -> None:
    step = chain_of(5_000)
    rows, left_out = rows_of(Room(), [step], [])
    assert (len(rows), left_out) == (MOST_ROWS, 10_001 - MOST_ROWS)
    assert [row["depth"] for row in rows[:5]] == [0, 0, 1, 1, 2]
    sequence = sequence_of(Room(), "agent 0", [step], [])
    assert (len(sequence["arrows"]), sequence["arrows_left_out"]) == (MOST_ARROWS, 10_000 - MOST_ARROWS)
    few = sequence_of(Room(), "agent 0", [chain_of(2)], [])
    assert [(one["from"][-1], one["to"][-1], one["kind"]) for one in few["arrows"]] == [
        ("0", "1", "handoff"),
        ("1", "2", "handoff"),
        ("2", "1", "answer"),
        ("1", "0", "answer"),
    ]
    assert few["lanes"] == ["caller", "agent 0", "agent 1", "agent 2"]


def test_a_caller_who_is_called_as_an_agent_has_a_lane_of_their_own() -> None:
    run = ConversationRun("r", "answered", "hi", "yes", caller=Caller("Front"), agent="Front")
    step = Step(1, "r", "Front", Message("assistant", "yes"))
    sequence = sequence_of(Room(), "Front", [step], [run])
    assert sequence["lanes"] == ["Front (caller)", "Front"]
    assert [(one["from"], one["to"]) for one in sequence["arrows"]] == [
        ("Front (caller)", "Front"),
        ("Front", "Front (caller)"),
    ]


@pytest.mark.parametrize("kind", JOURNALS)
async def test_a_transferred_conversation_is_followed_through_all_that_have_it(kind: str, tmp_path: Path) -> None:
    async with team(journal_of(kind, tmp_path)) as agency, board_of(agency) as client:
        await ask(agency, "hi", "bill", "more")
        told = await get(client, "conversations/Front/c")
        assert told["owner"]["agent"] == "Billing"
        assert ("Front", "Billing", "handoff") in [
            (one["from"], one["to"], one["kind"]) for one in told["sequence"]["arrows"]
        ]
        page = await get(client, "conversations/Front/c/journal", limit=1_000)
        events = page["events"]
        assert [one["version"] for one in events] == list(range(1, told["version"] + 1))
        assert page["version"] == told["version"]
        assert page["next"] is None
        assert [one["position"] for one in events] == sorted(one["position"] for one in events)
        assert {one["stream"].partition("/")[0] for one in events} == {"Front", "Billing"}
        assert [row["agent"] for row in told["steps"] if row["agent"] != "Front"] == ["Billing"] * 2
        last = await get(client, f"conversations/Front/c/at/{told['version']}")
        assert last == told
        for version in range(1, told["version"] + 1):
            past = await get(client, f"conversations/Front/c/at/{version}")
            assert past["version"] == version
            assert len(past["steps"]) <= len(told["steps"])
        assert await refused(client, "GET", "conversations/Front/c/at/0") == (400, "invalid_request", "")
        beyond = f"conversations/Front/c/at/{told['version'] + 1}"
        assert await refused(client, "GET", beyond) == (400, "invalid_request", "")


async def test_the_journal_is_read_page_by_page() -> None:
    async with team() as agency, board_of(agency) as client:
        await ask(agency, "sum")
        whole = (await get(client, "conversations/Front/c/journal"))["events"]
        found: list[Any] = []
        after = 0
        while after is not None:
            page = await get(client, "conversations/Front/c/journal", after=after, limit=2)
            found += page["events"]
            after = page["next"]
        assert found == whole
        assert [one["type"] for one in whole][:2] == ["Accepted", "Begin"]
        assert whole[0]["data"]["run"]["conversation"] == "c"


async def test_conversations_are_found_by_what_they_are_called() -> None:
    async with team() as agency, board_of(agency) as client:
        for name in ("one", "two", "three"):
            await agency.run("hi", conversation=name, user="Ada" if name == "two" else "bo")
        names = [one["conversation"] for one in (await get(client, "conversations"))["conversations"]]
        assert names == ["one", "three", "two"]
        found = (await get(client, "conversations", q="ADA"))["conversations"]
        assert [(one["agent"], one["conversation"], one["user"], one["running"]) for one in found] == [
            ("Front", "two", "Ada", False)
        ]
        assert (await get(client, "conversations", q="T", agent="Expert"))["conversations"] == []
        seen: list[str] = []
        after = ""
        while after is not None:
            page = await get(client, "conversations", limit=2, after=after)
            seen += [one["conversation"] for one in page["conversations"]]
            after = page["next"]
        assert seen == names


async def test_forks_are_made_and_written_down_and_a_replay_says_what_would_be_otherwise() -> None:
    async with team() as agency, board_of(agency) as client:
        await ask(agency, "sum", "hi")
        forked = await post(client, "conversations/Front/c/fork", at=2, to="d")
        assert forked == {"agent": "Front", "conversation": "d"}
        assert len((await agency.conversation("d")).messages) == 4
        assert await refused(client, "POST", "conversations/Front/c/fork", {"at": 99}) == (400, "invalid_request", "")
        assert await log_of(client) == [
            ("root", "fork", "Front/c", "done"),
            ("root", "fork", "Front/c", "failed"),
        ]
        assert await post(client, "conversations/Front/c/replay") == {
            "same": True,
            "steps": 3,
            "runs": 2,
            "differences": [],
            "differences_left_out": 0,
        }
        agency.remove_tool("Front", "add")
        report = await post(client, "conversations/Front/c/replay")
        assert report["same"] is False
        assert {(one["step"], one["agent"], one["what"]) for one in report["differences"]} == {(1, "Front", "call")}
        assert "add" in report["differences"][0]["text"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "where"),
    [
        ("GET", "conversations/Front/none", None, 404, "unknown_conversation", ""),
        ("GET", "conversations/Front/none/journal", None, 404, "unknown_conversation", ""),
        ("GET", "conversations/Front/none/at/1", None, 404, "unknown_conversation", ""),
        ("GET", "conversations/Front/c/at/x", None, 400, "invalid_field", "version"),
        ("GET", "conversations/Front/c?before=1", None, 400, "unknown_field", "before"),
        ("GET", "conversations?limit=0", None, 400, "invalid_field", "limit"),
        ("POST", "conversations/Front/none/fork", {}, 404, "unknown_conversation", ""),
        ("POST", "conversations/Nobody/c/fork", {}, 404, "unknown_agent", ""),
        ("POST", "conversations/Front/c/fork", {"at": "x"}, 400, "invalid_field", "at"),
        ("POST", "conversations/Front/c/fork", {"step": 1}, 400, "unknown_field", "step"),
        ("POST", "conversations/Front/none/replay", {}, 404, "unknown_conversation", ""),
        ("POST", "conversations/Front/c/replay", {"x": 1}, 400, "unknown_field", "x"),
    ],
)
async def test_what_is_not_there_is_refused_by_name(
    method: str, path: str, body: Any, status: int, code: str, where: str
) -> None:
    async with team() as agency, board_of(agency) as client:
        await ask(agency, "hi")
        assert await refused(client, method, path, body) == (status, code, where)


@pytest.mark.parametrize("path", READS)
async def test_nobody_reads_what_is_said_but_who_administers_all_of_it(path: str) -> None:
    async with team() as agency, board_of(agency, "ada+metrics") as client:
        await ask(agency, "hi")
        assert (await refused(client, "GET", path))[:2] == (403, "not_allowed")
        client.headers["authorization"] = "Bearer ada@acme+admin"
        assert (await refused(client, "GET", path))[:2] == (403, "not_allowed")


# -- as it was ---------------------------------------------------------------------------------------------------------

ACTS = st.lists(st.sampled_from(["hi", "sum", "sum twice", "ask", "bill"]), min_size=1, max_size=4)


def without_times(told: Any) -> Any:
    """What is told, without when it was kept: a copy of a journal is younger."""
    if isinstance(told, dict):
        return {name: without_times(one) for name, one in told.items() if name != "at"}
    return [without_times(one) for one in told] if isinstance(told, list) else told


@given(ACTS, st.integers(0, 3), st.integers(1, 9), st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_a_conversation_at_a_version_is_what_a_journal_with_only_so_many_events_has(
    acts: list[str], seed: int, apart: int, order: Random
) -> None:
    async def scenario() -> None:
        journal = MemoryJournal()
        async with team(journal) as agency:
            for act in acts:
                await agency.run(act, conversation="c")
            every = await read_events(journal, "Front", "c")
            assert every.version == len(every.records)
            nothing = Fields({}, ())
            pasts = Pasts()
            for version in order.sample(range(1, every.version + 1), every.version):
                copy = MemoryJournal()
                handles: dict[str, Any] = {}
                for record in every.records[:version]:
                    if record.stream not in handles:
                        handles[record.stream] = await at_hand(copy.open(record.stream))
                    handles[record.stream].append((record.event,), unfinished=False)
                found = told_of(await pasts.read(journal, "Front", "c", version), "Front", "c", nothing)
                fresh = told_of(await read_lineage(copy, "Front", "c"), "Front", "c", nothing)
                assert without_times(found) == without_times(fresh)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(past, "APART", apart)
        patch.setattr(past, "MOST_POINTS", 4)
        simulate(scenario, seeds=[seed])


class Counting(MemoryJournal):
    """Counts the events that are read."""

    def __init__(self) -> None:
        super().__init__()
        self.read_so_far = 0

    def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> list[Record]:
        found = super().read(stream, after=after, limit=limit)
        self.read_so_far += len(found)
        return found

    async def during(self, asked: Awaitable[Any]) -> int:
        """How many are read meanwhile."""
        before = self.read_so_far
        await asked
        return self.read_so_far - before


async def test_who_goes_through_a_long_conversation_has_only_what_is_near_read_again_as_long_as_they_look() -> None:
    journal = await filled(12_500, "text")
    async with Agency(Agent("A"), model=speaker(), journal=journal) as agency, board_of(agency) as client:
        async with client.stream("GET", "/api/live") as looks:
            lines = looks.aiter_lines()
            await anext(lines)
            assert await journal.during(get(client, "conversations/A/c")) == 50_000
            for version in (49_999, 7, 25_000, 24_999, 12_345, 50_000, 1):
                told = await get(client, f"conversations/A/c/at/{version}")
                assert told["steps_before"] + len({row["step"] for row in told["steps"]}) == (version + 1) // 4
                assert await journal.during(get(client, f"conversations/A/c/at/{version}")) <= 4 * APART
            assert await journal.during(get(client, "conversations/A/c")) <= 4 * APART
            missing = await refused(client, "GET", "conversations/A/c/at/50001")
            assert missing[:2] == (400, "invalid_request")
        await eventually(lambda: all(task.get_name() != "dashboard" for task in asyncio.all_tasks()))
        assert await journal.during(get(client, "conversations/A/c")) == 50_000, "kept although nobody looks"


@pytest.mark.parametrize("bound", ["MOST_EVENTS", "MOST_TEXT"])
async def test_what_is_kept_of_conversations_has_its_bounds(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, bound, {"MOST_EVENTS": 9_000, "MOST_TEXT": 900_000}[bound])
    journal = await filled(1_000, "x" * 400, "c", "d", "e")
    pasts = Pasts()

    def read(name: str) -> Awaitable[Any]:
        return journal.during(pasts.read(journal, "A", name))

    assert [await read(name) for name in ("c", "d", "c", "e", "c")] == [4_000, 4_000, 0, 4_000, 0]
    assert await read("d") == 4_000
    large = await filled(1_000, "x" * 1_000) if bound == "MOST_TEXT" else await filled(2_500, "x")
    for _ in range(2):
        assert await large.during(pasts.read(large, "A", "c")) == (4_000 if bound == "MOST_TEXT" else 10_000)


async def test_a_conversation_that_has_taken_the_name_of_another_is_not_taken_for_it() -> None:
    pasts, journal = Pasts(), await filled(1_000, "old")
    assert (await pasts.read(journal, "A", "c")).version == 4_000
    journal.delete("A/c")
    with pytest.raises(UnknownConversation):
        await pasts.read(journal, "A", "c")
    again = await at_hand(journal.open("A/c"))
    again.append([record.event for record in await at_hand((await filled(2, "new")).read("A/c"))], unfinished=False)
    found = await pasts.read(journal, "A", "c")
    assert [message.text for message in found.streams[0].messages][1::2] == ["new", "new"]


# -- never too much ----------------------------------------------------------------------------------------------------


async def filled(runs: int, text: str, *names: str) -> Counting:
    """A journal with a long conversation, or several, written without asking anybody."""
    small = MemoryJournal()
    async with Agency(Agent("A"), model=speaker(), journal=small) as agency:
        await agency.run("go", conversation="c", run_id="r")
    kept = [record.event for record in await at_hand(small.read("A/c"))]
    big = Counting()
    accepted, begin, completed, ended = kept
    answer = Completion(Message("assistant", text), "stop", Usage(7, 5))
    for name in names or ("c",):
        stream = await at_hand(big.open(f"A/{name}"))
        for number in range(runs):
            run = accepted.run._replace(id=f"r{number}")
            mine = completed._replace(completion=answer)
            stream.append((accepted._replace(run=run), begin, mine, ended._replace(run=run.id)), unfinished=False)
        stream.release()
    return big


async def test_of_a_conversation_of_a_hundred_thousand_events_the_latest_is_shown_and_others_have_their_turn() -> None:
    journal = await filled(25_000, "text")
    async with Agency(Agent("A"), model=speaker(), journal=journal) as agency, board_of(agency) as client:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.ensure_future(count())
        answer = await client.get("/api/conversations/A/c")
        assert turns > 100, "nobody else had a turn while it was read"
        counting.cancel()
        told = answer.json()
        assert len(answer.content) < 1_000_000
        assert told["version"] == 100_000
        assert (len(told["messages"]), told["messages_before"]) == (MOST_MESSAGES, 50_000 - MOST_MESSAGES)
        assert (len(told["steps"]), told["steps_before"]) == (MOST_STEPS, 25_000 - MOST_STEPS)
        older = await get(client, "conversations/A/c", steps_before=300, messages_before=5)
        assert [row["step"] for row in older["steps"]] == list(range(101, 301))
        assert (older["steps_before"], len(older["messages"]), older["messages_before"]) == (100, 5, 0)
        page = await get(client, "conversations/A/c/journal", after=99_999)
        assert [one["version"] for one in page["events"]] == [100_000]


async def test_of_an_answer_of_two_hundred_megabytes_only_the_beginning_is_sent() -> None:
    async with Agency(Agent("A"), model=function(lambda _: "é😀" * 50_000_000)) as agency, board_of(agency) as client:
        await agency.run("go", conversation="c")
        answer = await client.get("/api/conversations/A/c")
        assert len(answer.content) < 8 * ROOM
        (row,) = answer.json()["steps"]
        assert (len(row["text"]), row["cut"]) == (LONGEST, 100_000_000 - LONGEST)
        page = await client.get("/api/conversations/A/c/journal")
        assert len(page.content) < 8 * ROOM
        events = page.json()["events"]
        assert [one["type"] for one in events] == ["Accepted", "Begin", "Completed", "Ended"]
        assert events[2]["cut"] >= 100_000_000 - LONGEST


async def test_a_page_of_events_ends_where_there_is_no_more_room() -> None:
    journal = await filled(500, "x" * 60_000)
    async with Agency(Agent("A"), model=speaker(), journal=journal) as agency, board_of(agency) as client:
        seen = 0
        after = 0
        while after is not None:
            answer = await client.get("/api/conversations/A/c/journal", params={"after": after, "limit": 1_000})
            assert len(answer.content) < 3 * ROOM
            assert after == seen
            seen += len(answer.json()["events"])
            after = answer.json()["next"]
        assert seen == 2_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_a_value_for_which_there_is_room_is_told_as_it_is(value: Any) -> None:
    assert Room().plain(value) == value


@given(st.text(alphabet=st.characters(), max_size=60), st.integers(1, 40))
def test_what_is_left_out_of_a_text_is_counted_and_no_character_is_torn(text: str, longest: int) -> None:
    room = Room()
    shown = room.text(text, longest)
    assert text.startswith(shown)
    assert room.told({}).get("cut", 0) == len(text) - len(shown)
    json.dumps(shown).encode()
    if len(shown) < len(text):
        assert not "\ud800" <= shown[-1:] <= "\udbff"
    assert room.told({}) == {}


def test_what_is_nested_deeply_or_has_many_parts_is_cut_with_a_mark() -> None:
    deep: Any = "bottom"
    for _ in range(240):
        deep = [deep]
    text = json.dumps(Room().plain(deep), ensure_ascii=False)
    assert "[… nested deeper]" in text
    assert text.count("[") <= DEEPEST + 1
    wide = Room().plain([[0] * 900 for _ in range(900)])
    assert sum(len(one) for one in wide if isinstance(one, list)) <= 6_000
    assert wide[-1].endswith("more]")
    assert len(Room().plain({str(number): number for number in range(100_000)})) == 1_001


@given(JSON)
def test_arguments_are_indented_and_say_the_same(value: Any) -> None:
    text = json.dumps(value)
    assert json.loads(indented(text)) == value
    assert indented(indented(text)) == indented(text)


def test_numbers_and_the_order_of_names_stay_as_they_were_written() -> None:
    written = '{"b": 12345678901234567890123.10, "a": [1e400, {"b": "x, {y: [1]}"}, []], "b": "\\\\\\""}'
    assert "".join(indented(written).split()) == "".join(written.split())
    assert indented(written).startswith('{\n  "b": 12345678901234567890123.10,\n  "a": [\n    1e400,')
    assert indented("no json {") == "no json {"

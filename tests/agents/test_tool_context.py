"""What a tool is told of its call and its run, and what it says of them."""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Caller, CostLimit, Limits, RunFailed, ToolContext, hook, tool
from callboard.actors.agents.errors import DefinitionError
from callboard.actors.agents.events import ApprovalRequested, RunEvent, ToolFinished, ToolProgress, ToolSpent
from callboard.actors.agents.hooks import HookContext
from callboard.actors.testing.doubles.models import Script, call
from callboard.providers.messages import Completion, Message, ToolCall, Usage
from callboard.tools.tool import Approval

from .support import add, scripted

ADA = Caller("ada", "acme", frozenset({"billing"}))


class Notes:
    """Takes down what contexts said."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def note(self, context: ToolContext[Any]) -> None:
        names = ("call_id", "tool", "caller", "step", "last_tool", "agent", "conversation", "run", "streaming")
        self.seen.append({name: getattr(context, name) for name in names})
        self.seen[-1]["messages"] = [message.role for message in context.messages]


@tool(risk="safe")
async def who(context: ToolContext[Any]) -> str:
    """Say who asks."""
    return f"{context.caller.user} with {context.deps}"


async def test_a_tool_is_told_of_its_call_and_its_run() -> None:
    notes = Notes()

    @tool
    async def look(context: ToolContext[Notes], what: str) -> str:
        context.deps.note(context)
        return what

    script = Script([call("add", a=1, b=2), call("look", what="there"), "done"])
    async with Agency(Agent("A", tools=[add, look]), model=scripted(script), deps=notes) as agency:
        answer = await agency.run("look", caller=ADA, conversation="c", run_id="r1")
    assert answer.text == "done"
    [seen] = notes.seen
    assert seen.pop("call_id")
    assert seen == {
        "tool": "look",
        "caller": ADA,
        "step": 2,
        "last_tool": "add",
        "agent": "A",
        "conversation": "c",
        "run": "r1",
        "streaming": False,
        "messages": ["user", "assistant", "tool"],
    }


async def test_a_tool_is_told_whether_the_run_streams_and_when_it_was_asked_for() -> None:
    seen: list[tuple[bool, float]] = []

    @tool
    def look(context: ToolContext) -> str:
        seen.append((context.streaming, context.started_at))
        return "seen"

    script = Script([call("look"), "done", call("look"), "done"])
    async with Agency(Agent("A", tools=[look]), model=scripted(script)) as agency:
        handle = await agency.start_run("look")
        await handle
        accepted = await anext(handle.events())
        async for _ in agency.run_streaming("look"):
            pass
    assert [streams for streams, _ in seen] == [False, True]
    assert seen[0][1] == pytest.approx(accepted.at, abs=5.0)


async def test_no_two_calls_have_one_key_though_a_vendor_gives_all_of_them_one_id() -> None:
    keys: list[str] = []

    @tool
    async def outer(context: ToolContext) -> str:
        keys.append(context.idempotency_key)
        return (await context.call(inner)).text

    @tool
    async def inner(context: ToolContext) -> str:
        keys.append(context.idempotency_key)
        return "done"

    again = ToolCall("call_0", "outer", "{}")
    script = Script([again, again, "done", again, "done", again, "done"])
    async with Agency(Agent("A", tools=[outer]), model=scripted(script)) as agency:
        await agency.run("twice in one run", caller=ADA)
        await agency.run("in another run", caller=ADA, conversation="c")
        await agency.run("in another of the same conversation", caller=ADA, conversation="c")
    assert len(keys) == 8
    assert len(set(keys)) == 8
    assert [str(uuid.UUID(key)) for key in keys] == keys


def test_a_key_has_nothing_in_it_that_no_header_takes_and_stays_what_it_is_over_versions() -> None:
    assert ToolContext("\ud800\n🙂", run="r\n1", step=2).idempotency_key.isascii()
    assert ToolContext("call_0", run="r1").idempotency_key == "c0a95fcb-2949-5901-bc2e-a76d53bc863f"


@pytest.mark.parametrize("approval", ["never", "always"])
async def test_a_call_that_is_made_again_by_the_next_process_has_its_key(tmp_path: Path, approval: Approval) -> None:
    began = asyncio.Event()
    keys: list[str] = []

    @tool(idempotent=True, approval=approval)
    async def pay(context: ToolContext) -> str:
        keys.append(context.idempotency_key)
        if len(keys) == 1:
            began.set()
            await asyncio.Event().wait()
        return "paid"

    script = Script([call("pay"), "done"])
    agent = Agent("A", tools=[pay])
    async with Agency(agent, model=scripted(script), journal=tmp_path / "j.db") as first:
        first.subscribe(lambda event: first.approve(event) if isinstance(event, ApprovalRequested) else None)
        await first.start_run("?", run_id="r", conversation="c")
        await began.wait()
    async with Agency(agent, model=scripted(script), journal=tmp_path / "j.db") as second:
        answer = await second.resumed["r"]  # nobody is asked again
    assert answer.text == "done"
    assert len(keys) == 2
    assert keys[0] == keys[1]


async def test_last_tool_is_of_this_run_alone() -> None:
    notes = Notes()

    @tool
    def look(context: ToolContext[Notes]) -> None:
        context.deps.note(context)

    script = Script([call("look"), "done", call("look"), "done"])
    async with Agency(Agent("A", tools=[look]), model=scripted(script), deps=notes) as agency:
        await agency.run("look", conversation="c")
        await agency.run("look", conversation="c")
    assert [seen["last_tool"] for seen in notes.seen] == ["", ""]
    assert len(notes.seen[1]["messages"]) == 5


async def test_a_run_has_the_deps_it_was_given_and_otherwise_the_agencys() -> None:
    script = Script([call("who"), "1", call("who"), "2"])
    async with Agency(Agent("A", tools=[who]), model=scripted(script), deps="the agency's") as agency:
        first = await agency.run("?", user="ada", deps="its own")
        second = await agency.run("?", user="ada")
    assert [message.text for message in (first.messages[2], second.messages[2])] == [
        "ada with its own",
        "ada with the agency's",
    ]


@pytest.mark.parametrize("waits", [False, True])
async def test_deps_may_be_a_function_of_the_caller_asked_once_a_run(waits: bool) -> None:
    asked: list[Caller] = []

    def made(caller: Caller) -> str:
        asked.append(caller)
        return f"the database of {caller.tenant}"

    async def made_later(caller: Caller) -> str:
        await asyncio.sleep(0)
        return made(caller)

    script = Script([[call("who"), call("who")], call("who"), "done"])
    agency = Agency(Agent("A", tools=[who, add]), model=scripted(script), deps=made_later if waits else made)
    async with agency:
        answer = await agency.run("?", caller=ADA)
    assert [m.text for m in answer.messages if m.role == "tool"] == ["ada with the database of acme"] * 3
    assert asked == [ADA], "one run, one call of the function"


async def test_deps_of_a_function_are_not_made_where_no_tool_needs_them() -> None:
    def made(caller: Caller) -> str:
        raise AssertionError("nobody needs it")

    script = Script([call("add", a=1, b=2), "done"])
    async with Agency(Agent("A", tools=[add, who]), model=scripted(script), deps=made) as agency:
        assert (await agency.run("?")).text == "done"


async def test_a_function_that_fails_to_make_deps_ends_the_run_by_name() -> None:
    def made(caller: Caller) -> str:
        raise ConnectionError("no database")

    script = Script([call("who"), "done"])
    async with Agency(Agent("A", tools=[who]), model=scripted(script), deps=made) as agency:
        with pytest.raises(RunFailed, match="makes the agency's deps raised ConnectionError: no database") as failed:
            await agency.run("?")
    assert isinstance(failed.value.__cause__, ConnectionError)


async def test_a_tool_whose_deps_nobody_gave_is_told_so() -> None:
    script = Script([call("who"), "done"])
    async with Agency(Agent("A", tools=[who]), model=scripted(script)) as agency:
        answer = await agency.run("?")
    assert "the tool 'who' asks for its deps, and there are none" in answer.messages[2].text


async def test_those_who_work_for_a_run_have_its_deps_and_its_caller() -> None:
    helper = Agent("Helper", tools=[who], model="helper")
    lead = Agent("Lead", handoffs=[helper])
    script = Script([call("SendMessage", target_agent="Helper", message="who?"), call("who"), "helped", "done"])
    async with Agency(lead, model=scripted(script), deps="the agency's") as agency:
        finished: list[ToolFinished] = []
        agency.subscribe(lambda event: finished.append(event) if isinstance(event, ToolFinished) else None)
        await agency.run("?", caller=ADA, deps="the run's")
    assert [event.content for event in finished] == ["ada with the run's"]


async def test_a_hook_before_the_call_does_not_take_the_context_away() -> None:
    @hook("toolcall")
    def look(context: HookContext) -> None:
        assert context.call is not None

    script = Script([call("who"), "done"])
    async with Agency(Agent("A", tools=[who], hooks=[look]), model=scripted(script), deps=1) as agency:
        answer = await agency.run("?", user="ada")
    assert answer.messages[2].text == "ada with 1"


async def test_progress_reaches_those_who_look_on_before_the_result() -> None:
    @tool
    def slow(context: ToolContext) -> str:
        context.progress("page 1 of 2", fraction=0.5)
        context.progress("page 2 of 2", fraction=1.0)
        return "read"

    script = Script([call("slow"), "done"])
    async with Agency(Agent("A", tools=[slow]), model=scripted(script)) as agency:
        events: list[RunEvent] = [event async for event in agency.run_streaming("?")]
    told = [event for event in events if isinstance(event, ToolProgress | ToolFinished)]
    assert [type(event) for event in told] == [ToolProgress, ToolProgress, ToolFinished]
    assert isinstance(told[0], ToolProgress)
    assert (told[0].tool, told[0].text, told[0].fraction) == ("slow", "page 1 of 2", 0.5)
    assert told[0].call_id


# -- what a tool has spent ---------------------------------------------------------------------------------------------


@tool
async def search(context: ToolContext, times: int = 1) -> str:
    """Search, for half a dollar each time."""
    for number in range(times):
        context.track_usage(0.5, "a search", {"page": number})
    return "found"


def priced(text: str, cost: float) -> Completion:
    return Completion(Message("assistant", text), "stop", Usage(1, 1), cost=cost)


async def test_what_a_tool_spends_is_in_the_answers_cost() -> None:
    script = Script([call("search", times=2), priced("done", 0.25)])
    async with Agency(Agent("A", tools=[search]), model=scripted(script)) as agency:
        events: list[RunEvent] = []
        agency.subscribe(events.append)
        answer = await agency.run("?", conversation="c")
        view = await agency.conversation("c")
    assert answer.cost == 1.25
    assert view.cost == 1.25
    assert view.steps[0].calls[0].cost == 1.0
    assert [(e.tool, e.amount, e.reason) for e in events if isinstance(e, ToolSpent)] == [
        ("search", 0.5, "a search"),
        ("search", 0.5, "a search"),
    ]


async def test_what_a_tool_spends_counts_against_the_runs_limits() -> None:
    script = Script([call("search", times=2), "done"])
    agent = Agent("A", tools=[search], limits=Limits(cost=0.9))
    async with Agency(agent, model=scripted(script)) as agency:
        with pytest.raises(CostLimit, match=r"1\.0000 dollars spent, 0\.9000 allowed") as ended:
            await agency.run("?")
    assert ended.value.partial is not None
    assert ended.value.partial.cost == 1.0


async def test_what_the_tool_of_a_delegate_spends_is_in_the_account_of_whoever_asked() -> None:
    lead = Agent("Lead", handoffs=[Agent("Helper", tools=[search])])
    script = Script([call("SendMessage", target_agent="Helper", message="search"), call("search"), "found", "done"])
    async with Agency(lead, model=scripted(script)) as agency:
        assert (await agency.run("?")).cost == 0.5


async def test_what_a_tool_in_a_thread_spends_counts_before_its_result() -> None:
    threads: list[int] = []

    @tool
    def render(context: ToolContext) -> str:
        threads.append(threading.get_ident())
        context.track_usage(0.5)
        return "drawn"

    script = Script([call("render"), "done"])
    async with Agency(Agent("A", tools=[render]), model=scripted(script)) as agency:
        handle = await agency.start_run("?")
        assert (await handle).cost == 0.5
        types = [record.type async for record in handle.events()]
    assert threads != [threading.get_ident()]
    assert types.index("spent") < types.index("tool_returned")


async def test_what_was_spent_stands_in_the_journal_with_its_reason(tmp_path: Path) -> None:
    script = Script([call("search", times=2), "done"])
    async with Agency(Agent("A", tools=[search]), model=scripted(script), journal=tmp_path / "j.db") as agency:
        handle = await agency.start_run("?", run_id="r", conversation="c")
        await handle
    async with Agency(Agent("A", tools=[search]), model=scripted(Script([])), journal=tmp_path / "j.db") as agency:
        again = await agency.handle("r")
        spent = [dict(record.data) async for record in again.events() if record.type == "spent"]
        assert [{key: one[key] for key in ("amount", "reason", "metadata")} for one in spent] == [
            {"amount": 0.5, "reason": "a search", "metadata": {"page": 0}},
            {"amount": 0.5, "reason": "a search", "metadata": {"page": 1}},
        ]
        assert (await again).cost == 1.0
        assert (await agency.conversation("c")).cost == 1.0
        report = await agency.replay("c")
        assert report.same


async def test_what_was_spent_before_a_crash_counts_once_after_it() -> None:
    runs: list[int] = []

    @tool(idempotent=True)
    async def buy(context: ToolContext) -> str:
        runs.append(1)
        if len(runs) == 1:
            context.track_usage(0.5, "the first time")
            await asyncio.Event().wait()
        return "bought"

    script = Script([call("buy"), "done"])
    async with Agency(Agent("A", tools=[buy]), model=scripted(script)) as agency:
        spent = asyncio.Event()
        agency.subscribe(lambda event: spent.set() if isinstance(event, ToolSpent) else None)
        task = asyncio.create_task(agency.run("?", conversation="c"))
        await spent.wait()
        assert agency.system is not None
        conversation = agency.system.find("agency/A/c")
        assert conversation is not None
        conversation.kill()
        answer = await task
    assert answer.cost == 0.5
    assert len(runs) == 2


@pytest.mark.parametrize("amount", [-0.1, float("nan"), float("inf"), 10**400, "1", True, None])
def test_an_amount_that_is_no_money_is_refused(amount: Any) -> None:
    with pytest.raises(DefinitionError, match="amount is US dollars, not below 0"):
        ToolContext("1", "x").track_usage(amount)


def test_metadata_that_no_journal_keeps_are_refused_at_once() -> None:
    told: list[float] = []
    context: ToolContext[Any] = ToolContext("1", "x", on_usage=lambda context, amount, *_: told.append(amount))
    with pytest.raises(DefinitionError, match="metadata of 'x' are plain data"):
        context.track_usage(1.0, metadata={"connection": object()})
    with pytest.raises(DefinitionError, match="reason is a text"):
        context.track_usage(1.0, 3)  # type: ignore[arg-type]
    assert not told


# -- deps and the journal ----------------------------------------------------------------------------------------------


class Connection:
    """Something with a secret, which no journal could keep."""

    def __init__(self) -> None:
        self.password = "hunter2-in-deps"
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Connection({self.password})"


def _all_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_deps_are_in_no_journal_no_log_and_no_event(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    @tool
    async def use(context: ToolContext[Connection]) -> str:
        return f"{len(context.deps.password)} characters, {context!r}"

    events: list[RunEvent] = []
    script = Script([call("use"), "done"])
    journal = tmp_path / "j.db"
    async with Agency(Agent("A", tools=[use]), model=scripted(script), journal=journal) as agency:
        agency.subscribe(events.append)
        await agency.run("?", deps=Connection())
        kept = await asyncio.to_thread(_all_in, tmp_path)
    assert "hunter2" not in caplog.text
    assert "hunter2" not in repr(events)
    assert b"15 characters" in kept, "the search finds what is there"
    assert b"hunter2" not in kept


async def test_a_run_that_is_taken_up_after_a_restart_has_the_agencys_deps(tmp_path: Path) -> None:
    began = asyncio.Event()

    @tool(idempotent=True)
    async def use(context: ToolContext[str]) -> str:
        if context.deps == "of the first process":
            began.set()
            await asyncio.Event().wait()
        return context.deps

    script = Script([call("use"), "done"])
    agent = Agent("A", tools=[use])
    first = Agency(agent, model=scripted(script), journal=tmp_path / "j.db", deps="of the first process")
    async with first:
        await first.start_run("?", run_id="r", conversation="c")
        await began.wait()
    second = Agency(agent, model=scripted(script), journal=tmp_path / "j.db", deps=lambda caller: "of the second one")
    async with second:
        answer = await second.resumed["r"]
    assert answer.messages[2].text == "of the second one"


async def test_agents_take_classes_as_tools_with_their_options() -> None:
    from callboard.tools import BaseTool

    class Pay(BaseTool, risk="safe", name="pay", timeout=5):
        """Pay."""

        amount: int

        async def run(self, context: ToolContext[str]) -> str:
            return f"{self.amount} from {context.deps}"

    agent = Agent("A", tools=[Pay], autonomy="supervised")
    [made] = agent.all_tools
    assert (made.name, made.risk, made.timeout) == ("pay", "safe", 5)
    script = Script([call("pay", amount=3), "done"])
    async with Agency(agent, model=scripted(script), deps="the till") as agency:
        answer = await agency.run("?")
    assert answer.messages[2].text == "3 from the till"


async def test_an_agent_may_say_for_type_checkers_what_it_depends_on_and_answers() -> None:
    class Clerk(Agent[str, int]):
        name = "Clerk"
        tools = (who,)

    for agent in (Agent[str, int]("A", tools=[who], output_type=int), Clerk(output_type=int)):
        async with Agency(agent, model=scripted(Script([call("who"), "3"])), deps="d") as agency:
            assert (await agency.run("?")).value == 3

"""Whatever agents do, whichever vendor answers: each request is one that every vendor takes, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from callboard import Agency, Agent, HandoffLimits, Limits, as_chunks, handoff
from callboard.actors.agents.answer import Answer
from callboard.actors.agents.errors import HandoffError, RunCancelled, RunError
from callboard.actors.agents.events import (
    ApprovalRequested,
    CompletionFinished,
    HandoffFinished,
    RunEvent,
    RunFinished,
    ToolFinished,
)
from callboard.actors.agents.turns.history import problems
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Completion, Request, ToolCall
from callboard.tools import tool
from tests.agents.support import add, function
from tests.agents.vendors import VENDORS, refusals

NAMES = ("A", "B", "C")
COST = 0.25  # a sum of quarters is exact


@tool
async def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


@tool(risk="safe")
async def fail() -> str:
    """Fail."""
    raise ValueError("no")


def others(name: str) -> list[str]:
    return [other for other in NAMES if other != name]


class Models:
    """Answers as a list of numbers says, over whichever vendor it says; and looks at each request."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = iter(numbers)
        self.answered: list[Completion] = []

    def __call__(self, request: Request) -> Completion:
        wrong = refusals(request)
        assert not wrong, f"{wrong} in {request.messages}"
        count = len(self.answered) + 1
        number = next(self.numbers, 0)
        vendor = VENDORS[number % 3]
        text, calls = self.said(number // 3, count, request)
        completion = vendor.answer(count, text, calls, COST)
        self.answered.append(completion)
        return completion

    def said(self, number: int, count: int, request: Request) -> tuple[str, tuple[ToolCall, ...]]:
        me = request.messages[0].text.split()[-1]  # the instructions: "You are A"
        one, two = others(me)

        def named(*calls: ToolCall) -> tuple[ToolCall, ...]:
            # Ids of different makes, some of which the other vendors do not take.
            form = ("call_{}_{}", "functions.look:{}{}", "toolu_{}{}" + "x" * 40)[count % 3]
            return tuple(ToolCall(form.format(count, at), each.name, each.arguments) for at, each in enumerate(calls))

        moves: list[tuple[str, tuple[ToolCall, ...]]] = [
            (f"answer {count}", ()),
            ("", named(call("add", a=count, b=1))),
            ("so", named(call("fail"), call("add", a=1, b=count))),
            ("", named(call("nothing", x=1))),
            ("", named(call("pay", amount=count))),
            ("", named(call("pay", amount=count), call("add", a=1, b=1))),
            ("let me ask", named(call("SendMessage", target_agent=one, message=f"task {count}"))),
            (
                "",
                named(
                    call("SendMessage", target_agent=one, message=f"left {count}"),
                    call("add", a=2, b=2),
                    call("SendMessage", target_agent=two, message=f"right {count}"),
                ),
            ),
            ("you had better", named(call(f"transfer_to_{two}", message=f"yours {count}"))),
            ("", named(call("add", a=1, b=1), call(f"transfer_to_{one}", message=f"yours {count}"))),
            ("", named(call("SendMessage", target_agent="Nobody", message="x"), call("SendMessage"))),
            ("", named(call("add", a="no number"))),
        ]
        return moves[number % len(moves)]


def team(models: Models) -> Agency:
    agents = [
        Agent(
            name,
            f"You are {name}",
            tools=[add, fail, pay],
            autonomy="supervised",
            handoffs=[handoff(other, kind="transfer") for other in others(name)],
            limits=Limits(steps=12),
        )
        for name in NAMES
    ]
    return Agency(*agents, flows="*", model=function(models), handoff_limits=HandoffLimits(depth=4, total=12))


class Watcher:
    """Decides approvals as a list says, and cancels a run at one of its events."""

    def __init__(self, agency: Agency, decisions: list[bool]) -> None:
        self.agency = agency
        self.decisions = iter(decisions)
        self.cancel_at = 0
        self.task: asyncio.Task[Any] | None = None
        self.seen: list[RunEvent] = []

    def __call__(self, event: RunEvent) -> None:
        self.seen.append(event)
        if isinstance(event, ApprovalRequested):
            if next(self.decisions, True):
                self.agency.approve(event.approval)
            else:
                self.agency.deny(event.approval, "too much")
        self.cancel_at -= 1
        if self.cancel_at == 0 and self.task is not None:
            self.task.cancel()


def bought_until_one_failed(events: list[RunEvent]) -> int:
    """Completions that had come when the first of the runs ended without its answer."""
    count = 0
    for event in events:
        if isinstance(event, RunFinished) and event.error is not None:
            break
        count += isinstance(event, CompletionFinished)
    return count


def ids(answer: Answer) -> Iterator[str]:
    for message in answer.messages:
        yield from (each.id for each in message.tool_calls)


async def outcome(agency: Agency, watcher: Watcher, number: int, cancel_at: int) -> Answer:
    """Ask once, and return the account: of the answer, or of the error."""
    watcher.cancel_at = cancel_at
    watcher.task = asyncio.ensure_future(agency.run(f"turn {number}", conversation="c", run_id=f"r{number}"))
    await asyncio.wait({watcher.task})
    if watcher.task.cancelled():  # asked again, it tells how it ended; what was not begun is begun now
        watcher.task = asyncio.ensure_future(agency.run(f"turn {number}", conversation="c", run_id=f"r{number}"))
        await asyncio.wait({watcher.task})
    error = watcher.task.exception()
    assert error is None or isinstance(error, RunError | HandoffError), repr(error)
    assert cancel_at or not isinstance(error, RunCancelled), f"nobody cancelled, and {error!r}"
    answer = watcher.task.result() if error is None else error.partial
    assert answer is not None
    assert (answer.run, answer.conversation) == (f"r{number}", "c")
    return answer


async def play(numbers: list[int], decisions: list[bool], cancels: list[int]) -> None:
    models = Models(numbers)
    async with team(models) as agency:
        watcher = Watcher(agency, decisions)
        agency.subscribe(watcher)
        spent = 0.0
        told: set[str] = set()
        for number, cancel_at in enumerate([*cancels, 0]):
            before, seen = len(models.answered), len(watcher.seen)
            answer = await outcome(agency, watcher, number, cancel_at)
            assert not problems(answer.messages), problems(answer.messages)
            bought, known = len(models.answered) - before, bought_until_one_failed(watcher.seen[seen:])
            if isinstance(watcher.task, asyncio.Task) and watcher.task.exception() is None and not cancel_at:
                known = bought
            # What was under way as the run ended came to nobody.
            assert COST * known <= answer.cost <= COST * bought, f"{answer.cost} of {known} to {bought} bought"
            assert answer.usage.total_tokens == answer.cost * 10 / COST
            spent += answer.cost
            told |= set(ids(answer))
            heard = [message.text for message in answer.messages if message.role == "user"]
            assert f"turn {number}" in heard or cancel_at, f"what was asked is not in the history: {heard}"
        view = await agency.conversation("c")
        assert view.cost == spent
        assert not problems(view.messages)
        started = {event.call_id for event in watcher.seen if isinstance(event, ToolFinished | HandoffFinished)}
        called = {each.id for completion in models.answered for each in completion.message.tool_calls}
        assert started <= called, "an event names a call that no model made"
        assert told <= called
        finished = [event for event in watcher.seen if isinstance(event, CompletionFinished)]
        assert spent <= COST * len(finished) <= COST * len(models.answered)


numbers = st.lists(st.integers(0, 35), max_size=25)


@given(numbers, st.lists(st.booleans(), max_size=6), st.lists(st.just(0) | st.integers(1, 25), max_size=3))
def test_every_vendor_takes_every_request_and_no_answer_cost_or_id_is_lost(
    numbers: list[int], decisions: list[bool], cancels: list[int]
) -> None:
    asyncio.run(play(numbers, decisions, cancels))


async def stream(numbers: list[int], decisions: list[bool], live: bool) -> None:
    async with team(Models(numbers)) as agency:
        agency.subscribe(Watcher(agency, decisions))
        state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
        shown, failed = "", False
        try:
            async for chunk in as_chunks(agency.run_streaming("go", conversation="c", run_id="r"), live=live):
                read = ChatCompletionChunk.model_validate(json.loads(json.dumps(chunk)))
                state.handle_chunk(read)
                shown += "".join(choice.delta.content or "" for choice in read.choices)
        except (RunError, HandoffError):
            failed = True
        if failed:
            with pytest.raises((RunError, HandoffError)):
                await agency.run("go", conversation="c", run_id="r")
            return
        answer = await agency.run("go", conversation="c", run_id="r")
        whole = state.get_final_completion()
        assert shown == (whole.choices[0].message.content or "") == answer.text
        assert whole.choices[0].finish_reason == "stop"
        assert whole.usage is not None
        assert whole.usage.total_tokens == answer.usage.total_tokens


@given(numbers, st.lists(st.booleans(), max_size=6), st.booleans())
def test_the_sdk_puts_the_chunks_of_any_run_together_to_the_answers_text(
    numbers: list[int], decisions: list[bool], live: bool
) -> None:
    asyncio.run(stream(numbers, decisions, live))

"""``callboard show`` and ``callboard replay``: what a journal keeps, read without disturbing those who work on it."""

from __future__ import annotations

import asyncio
import json
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final

from ....providers.messages import Message, Usage
from ...agents.answer import Step, StepCall
from ...agents.conversations.history import StreamHistory
from ...agents.conversations.reading import list_conversations, read_conversation, read_lineage
from ...agents.conversations.view import ConversationSummary, ConversationView
from ...agents.errors import UnknownConversation
from ...agents.lifecycle import open_journal
from ...agents.turns.replay import ReplayStep, replay
from ...agents.turns.steps import AskApproval, CallTool, Complete, Completed, CompletionFailed, Fail, Finish, HandOff
from ...core.base.errors import CallboardError
from ...journal.store import Header, Journal, Record, at_hand

WIDTH: Final = 100
PAGE: Final = 500

Say = Callable[[str], object]


class NoSuchJournal(CallboardError):
    """There is no journal at the given place."""


class SeveralConversations(CallboardError):
    """Several agents have a conversation of one id."""


class NoSuchStep(CallboardError):
    """The conversation has no step of that number."""


async def show(where: str, conversation: str | None, agent: str | None, as_json: bool, say: Say) -> None:
    """Print the conversations of a journal, or one of them."""
    async with _reading(where) as journal:
        if conversation is None:
            await _show_all(journal, agent, as_json, say)
            return
        found = await _find(journal, conversation, agent)
        view = await read_conversation(journal, *found)
        if as_json:
            say(json.dumps(plain(view), indent=2))
            return
        for line in conversation_lines(view):
            say(line)


async def debug(where: str, conversation: str, agent: str | None, to: int | None, stepwise: bool, say: Say) -> None:
    """Print what each event of a conversation did, and what it was like after the last one."""
    async with _reading(where) as journal:
        found = await _find(journal, conversation, agent)
        lineage = await read_lineage(journal, *found)
    records, owner = lineage.records[0], lineage.streams[0].state.owner
    ever = sum(isinstance(record.event, Completed) for record in records)
    if to is not None and not 0 <= to <= ever:
        raise NoSuchStep(f"{'/'.join(found)} has {_count(ever, 'step')}; give --to a number from 0 to that")
    wait = stepwise and sys.stdin is not None and sys.stdin.isatty()
    history = StreamHistory(*found, ())
    last: ReplayStep | None = None
    for step, record in zip(replay([one.event for one in records], *found), records, strict=False):
        if to is not None and len(history.steps) == to and isinstance(step.event, Completed | CompletionFailed):
            break
        last = step
        if not step.divergence:
            history.apply(record)
        for line in event_lines(step, record, len(history.steps)):
            say(line)
        if wait:
            await asyncio.to_thread(sys.stdin.readline)
    if last is not None:
        say("")
        for line in state_lines(last, history):
            say(line)
    if owner is not None and history.state.owner == owner:
        say(f"transferred to {'/'.join(owner)}; go on with --agent {owner[0]} and that conversation")


# -- as text -----------------------------------------------------------------------------------------------------------


def list_lines(found: Sequence[ConversationSummary]) -> Iterator[str]:
    """A line for each conversation."""
    for one in found:
        state = "damaged" if one.damaged else "unfinished" if one.unfinished else "finished"
        whose = " of ".join(part for part in (one.user, one.tenant) if part)
        yield f"{one.name:<50}  {_at(one.updated_at)}  {one.version:>6} events  {state:<10}  {whose}".rstrip()


def conversation_lines(view: ConversationView) -> Iterator[str]:
    """A conversation as it can be read: runs with their steps, then the children."""
    whose = " of ".join(part for part in (view.caller.user, view.caller.tenant) if part)
    yield f"{view.agent}/{view.id}  {_status(view.status)}{f'  for {whose}' if whose else ''}"
    if view.owner is not None:
        yield f"transferred to {'/'.join(view.owner)}"
    yield (
        f"{_count(len(view.runs), 'run')}, {_count(len(view.steps), 'step')}, {_tokens(view.usage)}, "
        f"{_dollars(view.cost)}, {_count(view.version, 'event')}, last at {_at(view.updated_at)}"
    )
    taken_over = [step for step in view.steps if not step.run]
    if taken_over:
        yield ""
        yield "taken over from the conversation that it was forked from"
        for step in taken_over:
            yield from _step_lines(step)
    for run in view.runs:
        yield ""
        rewound = ", rewound" if run.rewound else ""
        yield f"run {run.id}  {_status(run.status)}{rewound}  {run.seconds:.2f} s  {_dollars(run.cost)}"
        yield f"  asked: {shorten(run.question)}"
        for step in view.steps:
            if step.run == run.id:
                yield from _step_lines(step)
        if run.error is not None:
            yield f"  {type(run.error).__name__}: {shorten(str(run.error))}"
        elif run.status == "answered":
            yield f"  answer: {shorten(run.answer)}"
    if view.children:
        yield ""
        yield "conversations of other agents that belong to it"
        yield from (f"  {line}" for line in list_lines(view.children))


def _step_lines(step: Step) -> Iterator[str]:
    who = f"  {step.model or '?'} at {step.provider or '?'}" if step.model or step.provider else ""
    price = "price unknown" if step.cost is None else _dollars(step.cost)
    paid = f"{who}  {step.seconds:.2f} s  {_tokens(step.usage)}  {price}" if step.run else ""
    yield f"  step {step.number}  {step.agent}{paid}"
    if step.message.text:
        yield f"    {shorten(step.message.text)}"
    for call in step.calls:
        yield f"    {_called(call)}"


def _called(call: StepCall) -> str:
    asked = f"{call.call.name}({shorten(call.call.arguments, WIDTH // 2)})"
    if call.approval:
        return f"{asked} waits for approval {call.approval}"
    decided = {None: "", True: " approved", False: " denied"}[call.approved]
    if call.result is None:
        return f"{asked}{decided} … no result yet"
    paid = f"  [{call.handoff}, {_dollars(call.cost)}]" if call.handoff is not None else ""
    failed = " failed" if call.result.is_error else ""
    return f"{asked}{decided}{failed} → {shorten(call.result.text)}{paid}"


def event_lines(step: ReplayStep, record: Record, steps: int) -> Iterator[str]:
    """An event, what the conversation was like after it, and what was to be done then."""
    turn = step.after
    where = f"{turn.phase}, {_count(len(turn.history), 'message')}, {_count(steps, 'step')}"
    yield f"{step.number:>4}  {_at(record.at)}  {record.type:<16}  {_told(step)}".rstrip()
    wanted = "; ".join(_wanted(command) for command in step.commands)
    yield f"      {where}{f' → {wanted}' if wanted else ''}"
    if step.divergence:
        yield f"      does not fit: {step.divergence}"


def state_lines(step: ReplayStep, history: StreamHistory) -> Iterator[str]:
    """What the conversation was like: its numbers, then its history."""
    turn = step.after
    yield (
        f"after event {step.number}: {turn.phase}, {_count(len(history.steps), 'step')}, of the run "
        f"{_count(turn.steps, 'step')}, {_tokens(turn.usage)}, {_dollars(turn.cost)}"
    )
    for number, message in enumerate(history.messages, 1):
        yield f"{number:>4}  {message.role:<9}  {_message(message)}"


def _told(step: ReplayStep) -> str:
    event = step.event
    completion = getattr(event, "completion", None)
    if completion is not None:
        return _message(completion.message)
    run = getattr(event, "run", None)
    if run is not None and not isinstance(run, str):
        return f"run {run.id}: {_messages(run.messages)}"
    error = getattr(event, "error", None) or getattr(event, "fatal", None)
    if error is not None:
        return f"{type(error).__name__}: {shorten(str(error))}"
    for name in ("content", "call_id", "call_ids", "answer", "messages"):
        told = getattr(event, name, None)
        if told is not None and told != "":
            return shorten(_messages(told) if isinstance(told, tuple) else str(told))
    return f"run {run}" if run else ""


def _wanted(command: Any) -> str:
    if isinstance(command, Complete):
        return "ask the model"
    if isinstance(command, CallTool):
        return f"carry out {command.call.name}"
    if isinstance(command, HandOff):
        return f"hand off by {command.call.name}"
    if isinstance(command, AskApproval):
        return f"ask a person about {command.call.name}"
    if isinstance(command, Fail):
        return f"end in {type(command.error).__name__}"
    assert isinstance(command, Finish)
    return "the answer is there" if not command.external else "the caller runs its tools"


def _messages(messages: tuple[Any, ...]) -> str:
    return " / ".join(_message(one) if isinstance(one, Message) else str(one) for one in messages)


def _message(message: Message) -> str:
    calls = ", ".join(f"{call.name}({shorten(call.arguments, WIDTH // 2)})" for call in message.tool_calls)
    return "  ".join(part for part in (shorten(message.text), calls) if part)


def shorten(text: str, most: int = WIDTH) -> str:
    """A text as one line, cut where it is longer."""
    return textwrap.shorten(text, most, placeholder="…") or (text.strip() and text.strip()[: most - 1] + "…")


def _status(status: str) -> str:
    return "waiting for approval" if status == "waiting" else status


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _tokens(usage: Usage) -> str:
    return _count(usage.total_tokens, "token")


def _dollars(cost: float) -> str:
    return f"${cost:.4f}"


def _at(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def plain(value: Any) -> Any:
    """A view as something that JSON knows."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, BaseException):
        return {"error": type(value).__name__, "text": str(value)}
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, frozenset):
        return sorted(plain(item) for item in value)
    return [plain(item) for item in value]


# -- the journal -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _reading(where: str) -> AsyncIterator[Journal]:
    """A journal to read from. Nothing in it is ever owned, so those who work on it do not notice."""
    journal = _opened(where)
    try:
        yield journal
    finally:
        await asyncio.to_thread(journal.close)


def _opened(where: str) -> Journal:
    if "://" not in where and not Path(where).is_file():
        raise NoSuchJournal(f"there is no journal {where}; give its file, or the postgresql:// address of its database")
    return open_journal(where)


async def _show_all(journal: Journal, agent: str | None, as_json: bool, say: Say) -> None:
    after = ""
    found = [ConversationSummary("", "")] * PAGE
    shown = 0
    while len(found) == PAGE:
        found = await list_conversations(journal, agent=agent, after=after, limit=PAGE)
        for one, line in zip(found, list_lines(found), strict=True):
            say(json.dumps(plain(one)) if as_json else line)
        shown += len(found)
        after = found[-1].name if found else ""
    if not shown and not as_json:
        say("no conversations are kept")


async def _find(journal: Journal, conversation: str, agent: str | None) -> tuple[str, str]:
    """The agent and the conversation of a given id."""
    if agent is not None:
        return agent, conversation
    whose, slash, id = conversation.partition("/")
    if slash:  # as the list has it; an id has no slash
        return whose, id
    headers: Sequence[Header] = await at_hand(journal.headers(labels={"conversation": conversation}))
    if not headers:  # version 0.1.0 did not write down whose a stream is but in its name
        headers = [one for one in await at_hand(journal.headers()) if one.name.partition("/")[2] == conversation]
    agents = [header.name.partition("/")[0] for header in headers if header.version]
    if not agents:
        raise UnknownConversation(f"the journal has no conversation {conversation!r:.200}; see callboard show JOURNAL")
    if len(agents) > 1:
        there = ", ".join(agents)
        raise SeveralConversations(f"several agents have a conversation {conversation!r:.200}: {there}; say --agent")
    return agents[0], conversation

"""A conversation as rows: its messages, and what was done in its steps, in the order in which it was. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from .....providers.messages import Message, ToolCall, shown
from ....agents.answer import Step, StepCall
from ....agents.conversations.reading import Lineage
from ....agents.conversations.view import ConversationRun
from ....agents.errors import GuardrailTripped, named
from .cutting import LONGEST, Room

MOST_STEPS: Final = 200
"""Steps of an answer."""

MOST_ROWS: Final = 1_000
"""Rows of an answer; those behind them are counted."""

MOST_MESSAGES: Final = 400
MOST_RUNS: Final = 100


def messages_of(room: Room, messages: Sequence[Message], before: int | None) -> tuple[list[dict[str, Any]], int]:
    """Messages, and how many older ones there are.

    Args:
        room: for them.
        messages: all.
        before: only so many of the first; None for all.
    """
    end = len(messages) if before is None else min(before, len(messages))
    start = max(0, end - MOST_MESSAGES)
    return [room.told(_message(room, one)) for one in messages[start:end]], start


def _message(room: Room, said: Message) -> dict[str, Any]:
    told: dict[str, Any] = {"role": said.role, "content": room.text(shown(said.content))}
    if said.tool_calls:
        told["tool_calls"] = [_call(room, call) for call in said.tool_calls]
    if said.tool_call_id:
        told["tool_call_id"] = said.tool_call_id
    return told


def _call(room: Room, call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "name": room.text(call.name), "arguments": room.text(call.arguments)}


def steps_of(lineage: Lineage, before: int | None) -> tuple[list[Step], int]:
    """The steps of a conversation, and how many older ones there are.

    Args:
        lineage: it.
        before: only so many of the first; None for all.
    """
    names = lineage.names
    end = lineage.steps if before is None else min(before, lineage.steps)
    start = max(0, end - MOST_STEPS)
    found: list[Step] = []
    first = 1
    for stream in lineage.streams:
        here = min(end - (first - 1), len(stream.steps))
        if here > 0 and first - 1 + here > start:
            found += stream.shown_steps(first, names, here, min(here, first - 1 + here - start))
        first += len(stream.steps)
    return found, start


def rows_of(room: Room, steps: Iterable[Step], runs: Iterable[ConversationRun]) -> tuple[list[dict[str, Any]], int]:
    """What was done in steps, row by row, and how many rows were left out.

    Args:
        room: for them.
        steps: in their order.
        runs: to which they belong, and others: where a guardrail has ended one, that is a row behind its last step.
    """
    rows: list[dict[str, Any]] = []
    left_out = 0
    steps = list(steps)
    last = {step.run: index for index, step in enumerate(steps)}
    behind: dict[int, list[ConversationRun]] = {}
    for run in runs:
        if isinstance(run.error, GuardrailTripped):
            # What a guardrail has refused is no step: then the run is shown behind those that were before it.
            before = sum(step.at <= run.at for step in steps) - 1
            behind.setdefault(last.get(run.id, before), []).append(run)
    rows += [room.told(_of_guardrail(room, 0, run)) for run in behind.get(-1, ())]
    for index, step in enumerate(steps):
        for number, depth, each, call in _walk(step):
            if len(rows) < MOST_ROWS:
                at = (room, number, depth, each)
                rows.append(room.told(_of_model(*at) if call is None else _of_call(*at, call)))
            else:
                left_out += 1
        rows += [room.told(_of_guardrail(room, step.number, run)) for run in behind.get(index, ())]
    return rows, left_out


def _walk(step: Step) -> Iterator[tuple[int, int, Step, StepCall | None]]:
    """A step, then each of its calls with the steps that another agent made for it, without the stack."""
    waiting: list[tuple[int, Step, StepCall | None]] = [(0, step, None)]
    while waiting:
        depth, each, call = waiting.pop()
        yield step.number, depth, each, call
        if call is None:
            waiting.extend((depth, each, one) for one in reversed(each.calls))
        elif call.handoff is None or call.handoff.kind == "delegate":  # whoever took it over has steps of its own
            waiting.extend((depth + 1, one, None) for one in reversed(call.steps))


def _row(number: int, depth: int, step: Step, kind: str, name: str, status: str) -> dict[str, Any]:
    return {
        "step": number,
        "run": step.run,
        "depth": depth,
        "agent": step.agent,
        "at": step.at,
        "kind": kind,
        "name": name,
        "status": status,
    }


def _of_model(room: Room, number: int, depth: int, step: Step) -> dict[str, Any]:
    tokens = {"tokens": step.usage.input_tokens + step.usage.output_tokens, "cost": step.cost, "seconds": step.seconds}
    said = {"text": room.text(step.message.text), "reasoning": room.text(step.message.reasoning or "")}
    status = "refused" if step.problem else "done"
    return {
        **_row(number, depth, step, "model", step.model or step.provider, status),
        **tokens,
        **said,
        "arguments": None,
        "result": None,
        "error": room.text(step.problem),
    }


def _of_call(room: Room, number: int, depth: int, step: Step, call: StepCall) -> dict[str, Any]:
    handoff, result = call.handoff, call.result
    failed = (result is not None and result.is_error) or (handoff is not None and bool(handoff.failed))
    status = "waiting" if call.approval else "running" if result is None else "failed" if failed else "done"
    if call.approved is False:
        status = "denied"
    kind = "approval" if call.approval or call.approved is False else "tool" if handoff is None else "handoff"
    output = room.text(call.output)
    return {
        **_row(number, depth, step, kind, call.tool if handoff is None else handoff.target, status),
        "tokens": call.usage.input_tokens + call.usage.output_tokens,
        "cost": call.cost,
        "seconds": call.seconds,
        "text": room.text(handoff.task) if handoff is not None else "",
        "arguments": room.text(indented(call.call.arguments)),
        "result": None if result is None else output,
        "error": output if failed else "",
        "approval": call.approval,
        "approved": call.approved,
        "call_id": call.call.id,
    }


def _of_guardrail(room: Room, number: int, run: ConversationRun) -> dict[str, Any]:
    assert run.error is not None
    nothing = {"tokens": 0, "cost": None, "seconds": 0.0, "text": "", "arguments": None, "result": None}
    told = {"step": number, "run": run.id, "depth": 0, "agent": run.agent, "at": run.at + run.seconds}
    name = type(run.error).__name__
    return {
        **told,
        "kind": "guardrail",
        "name": name,
        "status": "failed",
        **nothing,
        "error": room.text(named(run.error)),
    }


def runs_of(room: Room, runs: Iterable[ConversationRun]) -> list[dict[str, Any]]:
    """Runs."""
    return [room.told(_run(room, run)) for run in runs]


def _run(room: Room, run: ConversationRun) -> dict[str, Any]:
    return {
        "run": run.id,
        "status": run.status,
        "agent": run.agent,
        "user": run.caller.user,
        "question": room.text(run.question),
        "answer": room.text(run.answer),
        "error": "" if run.error is None else room.text(named(run.error)),
        "steps": run.steps,
        "cost": run.cost,
        "at": run.at,
        "seconds": run.seconds,
        "rewound": run.rewound,
    }


def indented(arguments: str) -> str:
    """JSON as people read it. Numbers, and the order of names, stay as the model wrote them."""
    if len(arguments) > LONGEST:
        return arguments
    try:
        json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    told: list[str] = []
    depth, before = 0, ""
    for token in _TOKEN.findall(arguments):
        if token in "]}":
            depth -= 1
            told.append(token if before in "[{" else f"{_line(depth)}{token}")
        else:
            told.append(f"{_line(depth)}{token}" if before and before in "[{," else token)
            depth += token in "[{"
            if token == ":":
                told.append(" ")
        before = token
    text = "".join(told)
    return text if len(text) <= LONGEST else arguments


def _line(depth: int) -> str:
    return "\n" + "  " * depth


_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[][{},:]|[^][{},:"\s]+')

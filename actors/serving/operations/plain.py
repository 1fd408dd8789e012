"""Runs, approvals and conversations as plain data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ....providers.messages import Message, ToolCall, Usage, shown
from ...agents.answer import Answer, Step
from ...agents.conversations.view import ConversationRun, ConversationSummary, ConversationView, RunSummary
from ...agents.errors import named
from ...agents.events import ApprovalRequested
from ...agents.runs.reading.progress import RunRecord


def usage(used: Usage) -> dict[str, int]:
    """Tokens."""
    return {"input_tokens": used.input_tokens, "output_tokens": used.output_tokens}


def calls(made: Sequence[ToolCall]) -> list[dict[str, Any]]:
    """Calls of a model; their arguments as the model wrote them."""
    return [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in made]


def answer(given: Answer) -> dict[str, Any]:
    """An answer."""
    return {
        "text": given.text,
        "agent": given.agent,
        "handoffs": [
            {"sender": one.sender, "target": one.target, "kind": one.kind, "failed": one.failed}
            for one in given.handoffs
        ],
        "tool_calls": calls(given.tool_calls),
        "usage": usage(given.usage),
        "cost": given.cost,
        "notes": list(given.notes),
    }


def record(seen: RunRecord) -> dict[str, Any]:
    """What is recorded of a run."""
    return {
        "type": seen.type,
        "position": seen.position,
        "run": seen.run,
        "agent": seen.agent,
        "conversation": seen.conversation,
        "at": seen.at,
        "data": dict(seen.data),
    }


def approval(waits: ApprovalRequested) -> dict[str, Any]:
    """A call that waits for a person. Without a tool it is a run that waits for more, and its arguments say of what."""
    try:
        arguments = json.loads(waits.arguments or "{}")
    except ValueError:
        arguments = waits.arguments
    return {
        "id": waits.approval,
        "agent": waits.agent,
        "conversation": waits.conversation,
        "run": waits.run,
        "root": waits.root,
        "tool": waits.tool,
        "arguments": arguments,
        "user": waits.caller.user,
        "expires_at": waits.expires_at,
        "why": waits.why,
    }


def summary(kept: ConversationSummary) -> dict[str, Any]:
    """A conversation in a list."""
    return {
        "agent": kept.agent,
        "id": kept.id,
        "user": kept.user,
        "unfinished": kept.unfinished,
        "version": kept.version,
        "created_at": kept.created_at,
        "updated_at": kept.updated_at,
        **({"damaged": kept.damaged} if kept.damaged else {}),
    }


def conversation(kept: ConversationView) -> dict[str, Any]:
    """A conversation with what was said in it."""
    return {
        "agent": kept.agent,
        "id": kept.id,
        "user": kept.caller.user,
        "status": kept.status,
        "messages": [_message(message) for message in kept.messages],
        "steps": [_step(step) for step in kept.steps],
        "runs": [_run(run) for run in kept.runs],
        "owner": None if kept.owner is None else {"agent": kept.owner[0], "conversation": kept.owner[1]},
        "usage": usage(kept.usage),
        "cost": kept.cost,
        "version": kept.version,
        "created_at": kept.created_at,
        "updated_at": kept.updated_at,
    }


def _message(said: Message) -> dict[str, Any]:
    told: dict[str, Any] = {"role": said.role, "content": shown(said.content)}
    if said.tool_calls:
        told["tool_calls"] = calls(said.tool_calls)
    if said.tool_call_id:
        told["tool_call_id"] = said.tool_call_id
    return told


def _step(step: Step) -> dict[str, Any]:
    return {
        "number": step.number,
        "run": step.run,
        "agent": step.agent,
        "text": step.message.text,
        "calls": [
            {"id": each.call.id, "tool": each.tool, "input": each.input, "output": each.output} for each in step.calls
        ],
        "usage": usage(step.usage),
        "cost": step.cost,
        "model": step.model,
        "at": step.at,
    }


def run(seen: RunSummary) -> dict[str, Any]:
    """A run in a list."""
    return {
        "id": seen.id,
        "agent": seen.agent,
        "conversation": seen.conversation,
        "status": seen.status,
        "user": seen.user,
        "at": seen.at,
        "steps": seen.steps,
        "usage": usage(seen.usage),
        "cost": seen.cost,
        "worker": seen.worker,
    }


def _run(run: ConversationRun) -> dict[str, Any]:
    return {
        "id": run.id,
        "status": run.status,
        "question": run.question,
        "answer": run.answer,
        "error": None if run.error is None else named(run.error),
        "user": run.caller.user,
        "agent": run.agent,
        "steps": run.steps,
        "usage": usage(run.usage),
        "cost": run.cost,
        "at": run.at,
        "rewound": run.rewound,
    }

"""What a run did before somebody else went on with it, as spans: a process that is killed takes with it what its
exporter had not sent yet, and the journal knows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ....providers.messages import Completion, Usage
from ...journal.store import Record
from ...observe import conventions as names
from ..turns.records import Accepted, ApprovalAsked, Ended, RunRequest, ToolsStarted
from ..turns.steps import Begin, Completed, CompletionFailed, Decided, HandoffReturned, ToolReturned


class Past(NamedTuple):
    """Something that was done.

    Args:
        operation: what it was, as the conventions have it.
        of: the model, the tool, the agent.
        number: which one in the run.
        began, ended: seconds since 1970.
        told: the attributes.
        completion: of a model's.
        error: the name of the error, or empty.
    """

    operation: str
    of: str
    number: str
    began: float
    ended: float
    told: dict[str, Any]
    completion: Completion | None = None
    error: str = ""


def past(run: RunRequest, records: Iterable[Record], model: str, begun: dict[str, tuple[float, str]]) -> Iterator[Past]:
    """What a run has done, by its conversation's records.

    Args:
        run: the run.
        records: of the conversation, from the first on.
        model: the one that is asked; empty where that is the provider's affair.
        begun: in which the calls are left that have not returned, by id: since when, and of what.
    """
    queue: list[str] = []
    step, since = 0, 0.0
    asked: dict[str, tuple[float, str]] = {}
    for record in records:
        event, at = record.event, record.at
        kind = type(event)
        if kind is Accepted:
            if event.run.id not in queue:
                queue.append(event.run.id)
            continue
        if not queue or queue[0] != run.id:
            if kind is Ended and event.run in queue:
                queue.remove(event.run)
            continue
        if kind is Ended:
            return
        if kind is Begin:
            since = at
        elif kind is Completed:
            step += 1
            yield _completion(run, event.completion, model, step, since, at)
            begun.clear()
            begun |= {call.id: (at, call.name) for call in event.completion.message.tool_calls}
        elif kind is CompletionFailed:
            since = at
        elif kind is ToolsStarted:
            begun |= {each: (at, begun[each][1]) for each in event.call_ids if each in begun}
        elif kind is ApprovalAsked:
            asked[event.call_id] = (at, begun[event.call_id][1] if event.call_id in begun else "")
        elif kind is Decided and event.call_id in asked:
            began, tool = asked.pop(event.call_id)
            told = {names.TOOL_NAME: tool, names.TOOL_CALL_ID: event.call_id, names.APPROVED: event.approved}
            yield Past(names.APPROVAL, tool or "limits", f"{step}|{event.call_id}", began, at, told)
            since = at
        elif kind is ToolReturned and event.call_id in begun:
            began, tool = begun.pop(event.call_id)
            told = {names.TOOL_NAME: tool, names.TOOL_TYPE: "function", names.TOOL_CALL_ID: event.call_id}
            error = "tool_error" if event.is_error else ""
            yield Past(names.EXECUTE_TOOL, tool, f"{step}|{event.call_id}", began, at, told, error=error)
            since = at
        elif kind is HandoffReturned and event.call_id in begun:
            began, _ = begun.pop(event.call_id)
            made = next((one for one in event.handoffs if one.sender == run.agent), None)
            if made is not None:
                told = {names.HANDOFF_TARGET: made.target, names.HANDOFF_KIND: made.kind}
                number = f"{step}|{event.call_id}|{made.target}|0"
                yield Past(names.HANDOFF, made.target, number, began, at, told, error=error_of(made.failed))
            since = at


def _completion(run: RunRequest, completion: Completion, model: str, step: int, began: float, ended: float) -> Past:
    made = made_by(completion.model, completion.provider, completion.usage, completion.cost)
    told = {
        names.STEP: step,
        names.REQUEST_MODEL: model or None,
        names.CONVERSATION_ID: None if run.once else run.conversation,
        **made,
        names.FINISH_REASONS: (completion.finish_reason,),
        names.RESPONSE_ID: completion.request_id or None,
    }
    return Past(names.CHAT, model, str(step), began, ended, told, completion)


def made_by(model: str, provider: str, usage: Usage, cost: float | None) -> dict[str, Any]:
    """The attributes that say who made a completion, and what it took; None where nothing is known.

    Args:
        model, provider: that answered; empty where they did not say.
        usage: tokens.
        cost: US dollars; None where it is not known.
    """
    return {
        names.PROVIDER: provider or None,
        names.RESPONSE_MODEL: model or None,
        names.INPUT_TOKENS: usage.input_tokens,
        names.OUTPUT_TOKENS: usage.output_tokens,
        names.CACHE_READ_TOKENS: usage.cache_read_tokens or None,
        names.CACHE_WRITE_TOKENS: usage.cache_write_tokens or None,
        names.REASONING_TOKENS: usage.reasoning_tokens or None,
        names.COST: cost,
    }


def error_of(failed: str) -> str:
    """The class of the error that a handoff's failure names; its words are for people."""
    name = failed.partition(":")[0]
    return name if name.isidentifier() or not name else "handoff_refused"

"""What must hold for the runs of LLM agents, whatever the schedule: eight oracles over the trace of watched agencies.

The facts are of four kinds, so that no part of an agency is believed about itself: messages between actors
(`RunRequest`, `Cancel`, `Decision`, a model's `Request`), the events of runs, ``tool_called`` where a tool's function
is really called, and what the agents' definitions say (``guarded``, ``idempotent``, ``limits``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ....providers.errors import ProviderError
from ....providers.messages import Request
from ...agents.errors import RunCancelled
from ...agents.turns.history import problems
from ...agents.turns.loop.budget import raised
from ...agents.turns.records import Cancel, Decision, RunRequest
from ...agents.turns.rules import Limits
from ..errors import InvariantViolated
from ..trace.trace import Trace
from .requests import refusals

Forbidden: TypeAlias = Mapping[str, Iterable[str]]
"""The names of the tools that must not be called because of text with a label; a label is a piece of that text."""

Row: TypeAlias = "dict[str, Any]"

_CARRIED_OUT = ("asks_model", "tool_called", "handoff_started")


def _events(trace: Trace) -> Iterator[tuple[float, str, Row]]:
    """The events of a trace; a conversation's asking a model is told as ``asks_model``, with its run."""
    current: dict[tuple[str, str], str] = {}
    for time, kind, row in trace.rows:
        if kind == "completion_started":
            current[row["agent"], row["conversation"]] = row["run"]
        elif kind == "ask" and isinstance(row["message"], Request):
            agent, _, conversation = (row.get("sender") or "").partition("/")[2].partition("/")
            run = current.get((agent, conversation))
            if run is not None:
                yield time, "asks_model", {**row, "agent": agent, "conversation": conversation, "run": run}
                continue
        yield time, kind, row


def histories_are_valid(trace: Trace, agencies: Collection[str]) -> None:
    """Each request of an agent is one that each vendor would take: chat completions, Anthropic's, and responses."""
    for _, kind, row in trace.rows:
        if kind == "ask" and isinstance(row["message"], Request) and _root(row.get("sender")) in agencies:
            try:
                wrong = refusals(row["message"])
            except ProviderError:
                continue  # it asks for what one of them does not have: a sound, a document
            if wrong:
                raise InvariantViolated(
                    f"history valid for every provider: {row['sender']} asks with {'; '.join(wrong)}"
                )


def calls_have_results(trace: Trace) -> None:
    """In the history of a run that has ended each call has exactly one result, right after it, but for calls that the
    caller is to carry out."""
    for _, kind, row in trace.rows:
        if kind == "run_finished":
            answer = row.get("answer") or getattr(row.get("error"), "partial", None)
            if answer is None:
                continue
            messages = answer.messages
            if answer.tool_calls and messages and messages[-1].tool_calls:
                messages = messages[:-1]
            if wrong := problems(messages):
                raise InvariantViolated(f"no call without a result: {_of(row)}: {'; '.join(wrong)}")


@dataclass(slots=True)
class _Account:
    """What a run may use, and has used."""

    parent: str
    limits: Limits | None
    costs: dict[int, tuple[float, Any]] = field(default_factory=dict)
    spent: float = 0.0
    children: list[str] = field(default_factory=list)


def budgets_hold(trace: Trace) -> None:
    """No completion is asked for once a run, or one that it works for, has used what it may: steps, tokens, dollars.

    A completion's price is known when it is there: so many at once go over by one completion each, and no more.
    """
    accounts: dict[str, _Account] = {}
    limits: dict[str, Limits] = {}
    decided: dict[str, Decision] = {}
    over: dict[str, str] = {}
    for _, kind, row in _events(trace):
        message = row.get("message")
        if kind == "recv" and isinstance(message, Decision):
            decided[message.conversation] = message
        elif kind == "send" and isinstance(message, RunRequest):
            if message.id not in accounts:
                accounts[message.id] = _Account(message.parent, message.limits)
                if message.parent in accounts:
                    accounts[message.parent].children.append(message.id)
        elif kind == "run_started" and "limits" in row:
            limits[row["run"]] = row["limits"]
        elif kind == "approval_decided" and not row["tool"] and row["approved"] and row["run"] in accounts:
            decision, account = decided.get(row["conversation"]), accounts[row["run"]]
            own = account.limits or limits.get(row["run"])
            if decision is not None and decision.limits is not None and own is not None:
                account.limits = raised(own, decision.limits, ("steps", "tokens", "cost"))
        elif kind == "completion_finished" and row["run"] in accounts:
            accounts[row["run"]].costs[row["step"]] = row["cost"] or 0.0, row["usage"]
        elif kind == "context_reduced" and row["run"] in accounts:  # a summary may have been bought for it
            costs = accounts[row["run"]].costs
            costs[-1 - len(costs)] = row["cost"], row["usage"]
        elif kind == "tool_spent" and row["run"] in accounts:
            accounts[row["run"]].spent += row["amount"]
        elif kind == "completion_started" and row["run"] in accounts:
            over[row["run"]] = _over(row, accounts, limits)
        elif kind == "asks_model" and over.get(row["run"]):
            raise InvariantViolated(f"budget never exceeded: {_of(row)} asks its model when {over[row['run']]}")


def _over(row: Row, accounts: dict[str, _Account], limits: dict[str, Limits]) -> str:
    """What a run that is about to ask a model, or one that it works for, has used up; empty where nothing."""
    name = row["run"]
    while name in accounts:
        account = accounts[name]
        allowed = account.limits or limits.get(name)
        if allowed is not None:
            cost, tokens = _used(name, accounts)
            steps = row["step"] - 1 if name == row["run"] else 0
            over = []
            if allowed.steps is not None and steps >= allowed.steps:
                over.append(f"{steps} of {allowed.steps} steps")
            if allowed.tokens is not None and tokens >= allowed.tokens:
                over.append(f"{tokens} of {allowed.tokens} tokens")
            if allowed.cost is not None and cost >= allowed.cost:
                over.append(f"{cost:g} of {allowed.cost:g} dollars")
            if over:
                return f"{name} has used {' and '.join(over)}"
        name = account.parent
    return ""


def _used(name: str, accounts: dict[str, _Account]) -> tuple[float, int]:
    account = accounts[name]
    cost = account.spent + sum(price for price, _ in account.costs.values())
    tokens = sum(usage.total_tokens for _, usage in account.costs.values())
    for child in account.children:
        more, further = _used(child, accounts)
        cost, tokens = cost + more, tokens + further
    return cost, tokens


def no_tool_twice(trace: Trace) -> None:
    """The function of a tool that is not idempotent is called at most once for a call, over restarts too."""
    harmless: dict[tuple[str, str], bool | None] = {}
    seen: set[tuple[str, int, str]] = set()
    for _, kind, row in trace.rows:
        if kind == "tool_started":
            harmless[row["run"], row["call"]] = row.get("idempotent")
        elif kind == "tool_called":
            declared = harmless.get((row["run"], row["call"]))
            if declared or (declared is None and row["idempotent"]):  # None: a prompt function made it, for its step
                continue
            call = row["run"], row["step"], row["call"]
            if call in seen:
                raise InvariantViolated(f"no tool twice: {row['tool']} ({row['call']} of {row['run']}) is called again")
            seen.add(call)


def runs_end_once(trace: Trace) -> None:
    """Each run that was begun ends exactly once; one that an agency that stops leaves to the next may be unfinished,
    unless nothing was done for it for longer than its time. So may one whose agent a fault has killed for good: only
    its caller is told."""
    ends: Counter[str] = Counter()
    carried_out: set[str] = set()
    last: dict[str, float] = {}
    waits: set[str] = set()
    allowed: dict[str, float | None] = {}
    agents: dict[str, str] = {}
    killed: set[str] = set()
    for time, kind, row in _events(trace):
        if kind == "send" and isinstance(row["message"], RunRequest):
            run = row["message"]
            if run.limits is not None:
                allowed[run.id] = run.limits.seconds
            if ends[run.id] and run.id not in carried_out and _root(row.get("sender")) != _root(row["actor"]):
                ends[run.id] = 0  # it was cancelled before it had begun, and is asked for again
        elif kind == "fault" and row["what"] == "kill":
            killed.update(row["actor"].split("/")[1:2])
        elif "run" in row:
            name = row["run"]
            agents[name] = row.get("agent") or agents.get(name, "")
            if kind == "run_started" and "limits" in row:
                allowed.setdefault(name, row["limits"].seconds)
            if kind in _CARRIED_OUT:
                carried_out.add(name)
            if kind == "approval_requested":
                waits.add(name)
            elif kind == "approval_decided":
                waits.discard(name)
            if kind == "run_finished":
                ends[name] += 1
                if ends[name] > 1:
                    raise InvariantViolated(f"every run ended once: {_of(row)} has ended again")
            last[name] = time
    end = trace.rows[-1][0] if trace.rows else 0.0
    for name, time in last.items():
        seconds = allowed.get(name)
        left = ends[name] or waits or agents[name] in killed
        if not left and seconds is not None and end - time > seconds:
            raise InvariantViolated(
                f"every run ended once: run {name} has not ended; nothing was done for it since {time:.3f} s, and it "
                f"may take {seconds:g} s"
            )


def approvals_are_not_bypassed(trace: Trace) -> None:
    """What by its definition waits for a person is carried out only once a person has approved it."""
    guarded: set[tuple[str, str]] = set()
    approved: Counter[tuple[str, str]] = Counter()
    used: set[tuple[str, int, str]] = set()
    for _, kind, row in trace.rows:
        if kind == "tool_started" and row.get("guarded"):
            guarded.add((row["run"], row["call"]))
        elif kind == "approval_decided" and row["approved"]:
            approved[row["run"], row["call"]] += 1
        elif (kind == "tool_called" and (row["run"], row["call"]) in guarded) or (
            kind == "handoff_started" and row.get("guarded")
        ):
            call = row["run"], row["call"]
            place = (row["run"], row.get("step", 0), row["call"])
            if place not in used and kind == "tool_called":
                used.add(place)
                approved[call] -= 1
            if approved[call] < 0 or (kind == "handoff_started" and not approved[call]):
                what = row.get("tool") or f"the handoff to {row.get('target')}"
                raise InvariantViolated(
                    f"approvals never bypassed: {what} ({row['call']} of {row['run']}) is carried out, and nobody "
                    "has approved it"
                )


def cancelled_is_not_carried_out(trace: Trace) -> None:
    """Once a conversation has taken up that a run is cancelled, or the run has ended as cancelled, nothing more is
    begun for it, after restarts neither: no completion, no tool, no handoff. Where whoever waited has only given up,
    its end tells whether others wanted it; and where a process is killed before it has told that it was cancelled, its
    journal need not know."""
    cancelled: dict[str, float] = {}
    untold: dict[str, object] = {}
    carried_out: set[str] = set()
    for time, kind, row in _events(trace):
        message = row.get("message")
        if kind == "recv" and isinstance(message, Cancel) and row["actor"].count("/") == 2 and not message.given_up:
            if message.run not in cancelled:
                cancelled[message.run], untold[message.run] = time, row.get("system")
        elif kind == "send" and isinstance(message, RunRequest):
            if message.id not in carried_out and _root(row.get("sender")) != _root(row["actor"]):
                cancelled.pop(message.id, None)  # it had not begun, and is asked for again
        elif kind == "run_finished" and isinstance(row.get("error"), RunCancelled):
            cancelled.setdefault(row["run"], time)
            untold.pop(row["run"], None)
        elif kind == "killed":
            for run in [run for run, system in untold.items() if system == row.get("system")]:
                del untold[run]
                cancelled.pop(run, None)
        elif kind in _CARRIED_OUT:
            carried_out.add(row["run"])
            if row["run"] in cancelled:
                what = row.get("tool") or (f"a handoff to {row['target']}" if "target" in row else "a completion")
                raise InvariantViolated(
                    f"nothing cancelled carried out: {what} in run {row['run']}, which was cancelled at "
                    f"{cancelled[row['run']]:.3f} s"
                )


def labels_hold(trace: Trace, forbidden: Mapping[str, Collection[str]]) -> None:
    """Text with a label never causes a call of a tool that is forbidden to it, unless a person has approved the call.

    A run that was shown the text is under its label from then on; so are later runs of its conversation, those that it
    hands work to, and those that such a run answers.
    """
    labels: dict[str, set[str]] = {}
    conversations: dict[tuple[str, str], set[str]] = {}
    parents: dict[str, str] = {}
    approved: set[tuple[str, str]] = set()
    for _, kind, row in _events(trace):
        message = row.get("message")
        if kind == "send" and isinstance(message, RunRequest):
            if message.parent and message.id not in parents:
                parents[message.id] = message.parent
                labels.setdefault(message.id, set()).update(labels.get(message.parent, ()))
        elif kind == "run_started":
            labels.setdefault(row["run"], set()).update(conversations.get((row["agent"], row["conversation"]), ()))
        elif kind == "asks_model" and isinstance(message, Request):
            seen = labels.setdefault(row["run"], set())
            seen.update(labels_in(message, forbidden))
            conversations.setdefault((row["agent"], row["conversation"]), set()).update(seen)
        elif kind == "run_finished" and (parent := parents.get(row["run"])) is not None:
            labels.setdefault(parent, set()).update(labels.get(row["run"], ()))
        elif kind == "approval_decided" and row["approved"]:
            approved.add((row["run"], row["call"]))
        elif kind == "tool_called" and (row["run"], row["call"]) not in approved:
            for label in sorted(labels.get(row["run"], ())):
                if row["tool"] in forbidden[label]:
                    raise InvariantViolated(
                        f"labelled text never causes a forbidden call: {row['tool']} ({row['call']} of {row['run']}) "
                        f"is called by a run that was shown text with the label {label!r}"
                    )


def labels_in(request: Request, forbidden: Mapping[str, Collection[str]]) -> Iterator[str]:
    """The labels that some text of a request has."""
    texts = [
        text
        for message in request.messages
        for text in (message.text, *(call.arguments for call in message.tool_calls))
    ]
    for label in forbidden:
        if any(label in text for text in texts):
            yield label


def _root(path: str | None) -> str:
    return (path or "").partition("/")[0]


def _of(row: Row) -> str:
    return f"run {row['run']} of {row['agent']}"

"""What the runs that are under way in this process do now, as plain values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from .register import Entry, RunRegister

Doing: TypeAlias = Literal["queued", "model", "tools", "person", "limits", "ending"]
"""What a run waits for: its conversation, a model, tools and agents, a person, or its end to be recorded."""


@dataclass(frozen=True, slots=True)
class RunUnderWay:
    """A run that has not ended.

    Args:
        run: its id.
        root: the id of the run that the caller started; its own for that one.
        parent: the id of the run that it is made for; empty for the one the caller started.
        agent, conversation: whose it is.
        user, tenant: who asked; empty for nobody named.
        doing: what it waits for; ``limits`` for a person who is to raise its limits.
        calls: the names of tools and handoffs that have no result yet.
        steps, input_tokens, output_tokens, cost: so far, with what agents that it had handed work to have come back
            with; US dollars.
        seconds: since it was asked for.
        idle: seconds since it has last asked a model, or begun a call.
    """

    run: str
    root: str
    parent: str
    agent: str
    conversation: str
    user: str
    tenant: str
    doing: Doing
    calls: tuple[str, ...]
    steps: int
    input_tokens: int
    output_tokens: int
    cost: float
    seconds: float
    idle: float

    @property
    def tokens(self) -> int:
        """So far, in and out."""
        return self.input_tokens + self.output_tokens


def under_way(register: RunRegister, now: float) -> tuple[RunUnderWay, ...]:
    """The runs of a process that have not ended, in the order in which they were asked for.

    Args:
        register: where they are.
        now: the event loop's time.
    """
    return tuple(_view(entry, now) for entry in register.open())


def _view(entry: Entry, now: float) -> RunUnderWay:
    run, session = entry.run, entry.session
    asked = max(0.0, now - entry.since)
    at = (run.id, run.root, run.parent, run.agent, run.conversation, run.caller.user, run.caller.tenant)
    if session is None or session.over or not session.state.begun:
        return RunUnderWay(*at, "queued", (), 0, 0, 0, 0.0, asked, asked)
    turn = session.state.turn
    calls = tuple(_open_calls(turn))
    doing: Doing
    if session.waiting:
        doing = "person" if any(request.tool for request in session.waiting.values()) else "limits"
    elif turn.phase == "acting":
        doing = "tools"
    else:
        doing = "model" if turn.phase == "completing" else "ending"
    taken = turn.usage.input_tokens, turn.usage.output_tokens
    idle = max(0.0, now - max(session.step_started, *session.since.values(), session.started))
    return RunUnderWay(*at, doing, calls, turn.steps, *taken, turn.cost, asked, min(idle, asked))


def _open_calls(turn: Any) -> Iterator[str]:
    if turn.message is not None:
        for call, result in zip(turn.message.tool_calls, turn.results, strict=False):
            if result is None:
                yield call.name

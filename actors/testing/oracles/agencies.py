"""What is taken down of a watched agency: the events of its runs, with what its agents' definitions say about them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeAlias

from ....providers.messages import Request
from ...agents.agency import Agency
from ...agents.agent import Agent
from ...agents.events import (
    ApprovalDecided,
    ApprovalRequested,
    CompletionFinished,
    CompletionStarted,
    ContextReduced,
    HandoffFinished,
    HandoffStarted,
    Resumed,
    RunEvent,
    RunFinished,
    RunStarted,
    ToolFinished,
    ToolSpent,
    ToolStarted,
)
from ...agents.turns.records import RunRequest
from ...core.system import System
from ..errors import SimulationError
from ..trace.names import Name
from ..trace.trace import Trace
from .runs import (
    Forbidden,
    approvals_are_not_bypassed,
    budgets_hold,
    calls_have_results,
    cancelled_is_not_carried_out,
    histories_are_valid,
    labels_hold,
    labels_in,
    no_tool_twice,
    runs_end_once,
)

Append: TypeAlias = Callable[[tuple[float, str, dict[str, Any]]], object]

_TAKEN_DOWN = (
    RunStarted,
    CompletionStarted,
    CompletionFinished,
    ContextReduced,
    ToolStarted,
    ToolFinished,
    ToolSpent,
    HandoffStarted,
    HandoffFinished,
    ApprovalRequested,
    ApprovalDecided,
    Resumed,
    RunFinished,
)
_ORACLES = (
    calls_have_results,
    budgets_hold,
    no_tool_twice,
    runs_end_once,
    approvals_are_not_bypassed,
    cancelled_is_not_carried_out,
)
_COMMON = frozenset(each.name for each in fields(RunEvent)) - {"agent", "conversation", "run"}
_RENAMED = {"kind": "handoff", "call_id": "call"}
_LEFT_OUT = _COMMON | {"seconds", "notes", "expires_at", "approval"}


class Watch:
    """The agencies of a run that are watched.

    Args:
        now: the virtual time.
        append: takes an event down.
        trace: what has happened so far.
    """

    def __init__(self, now: Callable[[], float], append: Append, trace: Trace) -> None:
        self._now = now
        self._trace = trace
        self._append = append
        self._agencies: list[Agency] = []
        self.forbidden: dict[str, frozenset[str]] = {}

    def add(self, agency: Agency, forbidden: Forbidden) -> None:
        """Watch an agency.

        Raises:
            SimulationError: it is no agency, is watched already, or has had a run.
            TypeError: what is forbidden are not names of tools by label.
        """
        if not isinstance(agency, Agency):
            raise SimulationError(f"what is watched is an Agency, not {agency!r:.80}")
        if any(agency is one for one in self._agencies):
            raise SimulationError(f"agency {agency.name!r} is watched already: its runs would seem to end twice")
        if self._has_run(agency):
            raise SimulationError(f"agency {agency.name!r} has had a run, which nobody saw: watch it before the first")
        for label, names in _labels(forbidden).items():
            self.forbidden[label] = self.forbidden.get(label, frozenset()) | names
        self._agencies.append(agency)
        agency.subscribe(lambda event: self._take_down(agency, event))

    def _has_run(self, agency: Agency) -> bool:
        system = _system(agency.system).get("system")
        return agency.system is not None and any(
            kind == "recv" and isinstance(row["message"], RunRequest) and row.get("system") == system
            for _, kind, row in self._trace.rows
            if row.get("actor", "").startswith(f"{agency.name}/")
        )

    def names(self) -> tuple[Name, ...]:
        """The tools that are forbidden to somebody, each of which must be one of some agent's, and the labels, each of
        which some model must have been shown."""
        oracle, unseen = "sim.watch(forbidden=…)", "no text that a model was shown has the label"
        tools = sorted(frozenset().union(*self.forbidden.values()))
        return (
            *(Name(oracle, "tool", tool, self._tools, "no agent has a tool") for tool in tools),
            *(Name(oracle, "label", label, self._labels, f"{unseen} {label!r}") for label in sorted(self.forbidden)),
        )

    def _labels(self, trace: Trace) -> set[str]:
        requests = (row["message"] for _, kind, row in trace.rows if kind == "ask")
        return {
            label
            for request in requests
            if isinstance(request, Request)
            for label in labels_in(request, self.forbidden)
        }

    def _tools(self, trace: Trace) -> set[str]:
        agents = [agent for agency in self._agencies for agent in agency.agents.values() if isinstance(agent, Agent)]
        found = {tool.name for agent in agents for tool in agent.all_tools}
        for _, kind, row in trace.rows:
            if kind == "ask" and isinstance(row["message"], Request):  # those of a server are known when it is asked
                found.update(tool.name for tool in row["message"].tools)
        return found

    def check(self, trace: Trace) -> None:
        """Hold what was taken down to all oracles.

        Raises:
            InvariantViolated: one of them does not hold.
        """
        histories_are_valid(trace, {agency.name for agency in self._agencies})
        for oracle in _ORACLES:
            oracle(trace)
        if self.forbidden:
            labels_hold(trace, self.forbidden)

    def _take_down(self, agency: Agency, event: RunEvent) -> None:
        if not isinstance(event, _TAKEN_DOWN):
            return
        row = {**_system(agency.system), "agent": event.agent, "conversation": event.conversation, "run": event.run}
        for each in fields(event):
            if each.name not in _LEFT_OUT and each.name not in row:
                row[_RENAMED.get(each.name, each.name)] = getattr(event, each.name)
        agent: object = agency.agents.get(event.agent)
        if isinstance(agent, Agent):
            row.update(_defined(agent, event))
        self._append((self._now(), _kind(type(event).__name__), row))


def _defined(agent: Agent, event: RunEvent) -> dict[str, Any]:
    """What an agent's definition says about an event: not what the run made of it."""
    if isinstance(event, RunStarted):
        return {"limits": agent.limits}
    if isinstance(event, HandoffStarted):
        return {"guarded": agent.autonomy == "manual"}
    if isinstance(event, ToolStarted):
        tool = next((tool for tool in agent.all_tools if tool.name == event.tool), None)
        if tool is not None:
            return {"guarded": agent.autonomy in tool.approval, "idempotent": tool.idempotent}
    return {}


def _system(system: System | None) -> dict[str, Any]:
    number = None if system is None else getattr(system.runtime.probe, "number", None)
    return {} if number is None else {"system": number}


def _kind(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _labels(forbidden: Forbidden) -> dict[str, frozenset[str]]:
    wrong = f"forbidden is a mapping of labels to names of tools, {{'UNTRUSTED': ['pay']}}, not {forbidden!r:.80}"
    if not isinstance(forbidden, Mapping):
        raise TypeError(wrong)
    found: dict[str, frozenset[str]] = {}
    for label, names in forbidden.items():
        if not isinstance(label, str) or not label or isinstance(names, str) or not isinstance(names, Iterable):
            raise TypeError(wrong)
        found[label] = frozenset(names)
        if not all(isinstance(name, str) for name in found[label]):
            raise TypeError(wrong)
    return found

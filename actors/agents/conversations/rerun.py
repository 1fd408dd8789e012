"""Going through a conversation again with the agents as they are today, and nothing bought.

Each recorded step is judged by itself, from the state that the record has before it: what today's hooks, instructions,
output type, tools, handoffs, approvals and limits would make of it is compared with what the record has next. So one
difference does not hide what comes after it. Hooks, instructions and prompt functions are called for real, because they
are what is to be looked at; models, tools, responders, other agents, ``on_handoff`` and the effects of prompt functions
are not. Chunk hooks are not called either: pieces of a stream are not kept. Time does not pass, so `Limits.seconds`
ends nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final

from ...journal.store import Record
from ..errors import UnknownRun
from ..runs.runtime.runtime import AgencyRuntime
from ..turns.records import Accepted, Ended, RunRequest
from ..turns.replay import ReplayStep, replay
from ..turns.steps import Begin, Completed, CompletionFailed, Condensed
from .findings import Findings
from .history import StreamHistory
from .judging import RunToday
from .reading import Lineage
from .view import ReplayReport

_AHEAD: Final = (Begin, Completed, CompletionFailed, Condensed)
"""Events that begin a step, or are what it begins with."""


async def rerun(runtime: AgencyRuntime, lineage: Lineage, run: str | None) -> ReplayReport:
    """Go through a conversation's runs, or one of them.

    Raises:
        UnknownRun: the conversation has none of that id.
    """
    first, names = lineage.streams[0], lineage.names
    if run is not None and run not in first.runs:
        there = ", ".join(first.runs) or "none"
        raise UnknownRun(f"conversation {first.state.conversation!r:.100} has no run {run!r:.100}; there are: {there}")
    findings = Findings(names, run)
    before = 0
    for stream, records in zip(lineage.streams, lineage.records, strict=True):
        await _Stream(runtime, findings, stream, before).go_through(records)
        before += len(stream.steps)
    runs = tuple(id for id in first.runs if run in (None, id))
    return ReplayReport(
        first.state.agent,
        first.state.conversation,
        runs,
        findings.steps,
        tuple(findings.requests),
        tuple(findings.differences),
    )


class _Stream:
    """One stream of the conversation being gone through."""

    def __init__(self, runtime: AgencyRuntime, findings: Findings, stream: StreamHistory, before: int) -> None:
        self._runtime = runtime
        self._findings = findings
        self._history = StreamHistory(stream.state.agent, stream.state.conversation, ())
        self._before = before
        self._requests: dict[str, RunRequest] = {}
        self._run: RunToday | None = None
        findings.agent = stream.state.agent

    async def go_through(self, records: Sequence[Record]) -> None:
        """Judge each event."""
        findings = self._findings
        steps = list(replay([record.event for record in records], findings.agent))
        for place, (step, record) in enumerate(zip(steps, records, strict=False)):
            findings.number = self._before + len(self._history.steps) + isinstance(step.event, _AHEAD)
            if step.divergence and findings.wants(step.run):
                findings.differs(step.run, "record", f"event {step.number}: {step.divergence}")
            if type(step.event) is Accepted:
                self._requests[step.run] = step.event.run
            run = self._at_work(step)
            if run is not None and not step.divergence:
                await run.judge(step, _following(steps, place))
            if not step.divergence:
                self._history.apply(record)
            if run is not None and type(step.event) is Ended:
                self._run = None
                await run.ended(step, self._history.runs.get(step.run))

    def _at_work(self, step: ReplayStep) -> RunToday | None:
        """The run that an event belongs to, if it is to be looked at."""
        findings = self._findings
        if type(step.event) is Accepted or not step.run or not findings.wants(step.run):
            return None
        if self._run is not None and self._run.request.id == step.run:
            return self._run
        request = self._requests.get(step.run)
        if request is None or type(step.event) is Ended:  # it never began, or was answered by others
            return None
        directory = self._runtime.directory
        if request.agent not in directory.agents:
            if type(step.event) is Begin:
                there = ", ".join(directory.agents)
                findings.differs(step.run, "agent", f"no agent is called {request.agent!r} any more; there are {there}")
            return None
        if not directory.may_ask(request.agent, request.caller) and type(step.event) is Begin:
            findings.differs(step.run, "agent", f"its caller has no scope for {request.agent} any more")
        prepared = directory.prepared(request.agent).offered_to(request.caller)
        self._run = RunToday(self._runtime, findings, prepared, request)
        return self._run


def _following(steps: Sequence[ReplayStep], place: int) -> Iterator[Any]:
    """The events of a run behind one of them, to its end."""
    run = steps[place].run
    for step in islice(steps, place + 1, None):
        if step.run == run:
            yield step.event
            if type(step.event) is Ended:
                return

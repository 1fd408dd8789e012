"""What runs do, as figures."""

from __future__ import annotations

import shutil
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from ....providers.messages import Usage
from ...core.processing.metering import Meter
from ...observe import conventions as names
from ...observe.metrics import SECONDS, Bound, Counter, Family, Gauges, Histogram, Kind
from ..answer import Answer
from ..errors import AgentError
from ..events import (
    CompletionFinished,
    GuardrailFound,
    HandoffFinished,
    Retried,
    RunEvent,
    RunFinished,
    ToolFinished,
    ToolSpent,
)

_AGENT: Final = "gen_ai_agent_name"
_MODEL: Final = ("gen_ai_response_model", "gen_ai_provider_name")
KNOWN: Final = 1_000
"""Models, tools and agents whose figures are found at once, without a call for each: a turn adds to a dozen of them."""

_TOOL: Final = "gen_ai_tool_name"


class RunFigures:
    """Counts what an agency's runs do: by what it is told of their events.

    Args:
        bound: of the series.
    """

    def __init__(self, bound: Bound) -> None:
        self._runs = Counter(
            bound, "callboard_runs", "Runs that have ended, by the error they ended in", _AGENT, "error"
        )
        self._took = Histogram(bound, names.AGENT_DURATION, "Seconds that runs took", _AGENT)
        self._chats = Histogram(bound, names.CHAT_DURATION, "Seconds that completions took", *_MODEL)
        self._first = Histogram(
            bound, names.FIRST_CHUNK, "Seconds until the first text of a streamed completion", _AGENT
        )
        self._input = Counter(bound, names.USED_INPUT, "Tokens that models were given", *_MODEL)
        self._output = Counter(bound, names.USED_OUTPUT, "Tokens that models wrote", *_MODEL)
        self._cost = Counter(bound, "callboard_cost_dollars", "US dollars, as far as prices are known", _AGENT)
        self._tools = Histogram(bound, names.TOOL_DURATION, "Seconds that tool calls took", _TOOL)
        self._failed = Counter(bound, "callboard_tool_errors", "Tool calls that failed", _TOOL)
        self._again = Counter(bound, "callboard_retries", "Completions that were asked for once more", _AGENT)
        self._handoffs = Counter(bound, "callboard_handoffs", "Handoffs that have ended", "target", "failed")
        self._found = Counter(bound, "callboard_guardrail_findings", "What guardrails found", "guardrail", "action")
        self._models: dict[tuple[str, str], tuple[list[int], list[float], list[float], list[float]]] = {}
        self._called: dict[str, tuple[list[int], list[float]]] = {}
        self._answered: dict[str, tuple[list[float], list[int], list[float]]] = {}

    def read(self) -> list[Family]:
        """What was counted by now."""
        counted = (
            *(self._runs, self._took, self._chats, self._first, self._input, self._output, self._cost),
            *(self._tools, self._failed, self._again, self._handoffs, self._found),
        )
        return [each.read() for each in counted]

    @property
    def counts(self) -> Mapping[type[RunEvent], Callable[..., None]]:
        """What counts, by what has happened; called with the agent's name, and the fields of the event which are its
        own: an event is an object that is made for those who look on."""
        return {
            CompletionFinished: self._completion,
            ToolFinished: self._tool,
            ToolSpent: self._spent,
            Retried: self._retried,
            HandoffFinished: self._handoff,
            GuardrailFound: self._guardrail,
            RunFinished: self._run,
        }

    def _completion(
        self,
        agent: str,
        *,
        usage: Usage,
        cost: float | None,
        seconds: float,
        model: str,
        provider: str,
        first: float | None = None,
        **_: Any,
    ) -> None:
        key = model, provider
        cells = self._models.get(key)
        if cells is None:
            cells = (*self._chats.cell(key), self._input.cell(key), self._output.cell(key))
            if len(self._models) < KNOWN:
                self._models[key] = cells
        counts, sum, given, written = cells
        counts[bisect_left(SECONDS, seconds)] += 1
        sum[0] += seconds
        given[0] += usage.input_tokens
        written[0] += usage.output_tokens
        if first is not None:
            self._first.add((agent,), first)
        if cost:
            self._cost.add((agent,), cost)

    def _spent(self, agent: str, *, amount: float, **_: Any) -> None:
        self._cost.add((agent,), amount)

    def _retried(self, agent: str, **_: Any) -> None:
        self._again.add((agent,))

    def _tool(self, agent: str, *, tool: str, seconds: float, is_error: bool, **_: Any) -> None:
        cells = self._called.get(tool)
        if cells is None:
            cells = self._tools.cell((tool,))
            if len(self._called) < KNOWN:
                self._called[tool] = cells
        counts, sum = cells
        counts[bisect_left(SECONDS, seconds)] += 1
        sum[0] += seconds
        if is_error:
            self._failed.add((tool,))

    def _handoff(self, agent: str, *, target: str, failed: str = "", **_: Any) -> None:
        self._handoffs.add((target, "true" if failed else "false"))

    def _guardrail(self, agent: str, *, guardrail: str, action: str, count: int = 1, **_: Any) -> None:
        self._found.add((guardrail, action), count)

    def _run(self, agent: str, *, answer: Answer | None, error: AgentError | None) -> None:
        if answer is None or error is not None:
            self._runs.add((agent, "" if error is None else type(error).__name__))
            if answer is not None:
                self._took.add((agent,), answer.seconds)
            return
        cells = self._answered.get(agent)
        if cells is None:
            cells = self._runs.cell((agent, "")), *self._took.cell((agent,))
            if len(self._answered) < KNOWN:
                self._answered[agent] = cells
        number, counts, sum = cells
        number[0] += 1
        counts[bisect_left(SECONDS, answer.seconds)] += 1
        sum[0] += answer.seconds


class Figures:
    """What an agency counts.

    Args:
        series: how many series there may be.
        meter: of the system that its actors live in.
        file: the journal's, where it is a file.

    Attributes:
        runs: what its runs do.
        gauges: bounds what is read from elsewhere.
    """

    def __init__(self, series: int, meter: Meter, file: Path | None) -> None:
        bound = Bound(series)
        self.runs = RunFigures(bound)
        self.gauges = Gauges(bound)
        self.meter = meter
        self.file = file

    def actors(self) -> Iterator[Family]:
        """The figures of the actors, by class."""
        classes, gauges = self.meter.read().classes, self.gauges
        told: tuple[tuple[str, str, Kind, str], ...] = (
            ("callboard_actors", "Actors that are alive", "gauge", "actors"),
            ("callboard_mailbox_depth", "Messages that wait", "gauge", "mailbox_depth"),
            ("callboard_mailbox_age_seconds", "Seconds that the oldest of them has waited", "gauge", "mailbox_age"),
            ("callboard_actor_messages", "Messages that were handled", "counter", "processed"),
            ("callboard_actor_failures", "Messages whose handler raised", "counter", "failed"),
            ("callboard_actor_restarts", "Restarts", "counter", "restarts"),
            ("callboard_dead_letters", "Messages that no handler will process", "counter", "dead_letters"),
        )
        for name, help, kind, field in told:
            samples = [((label,), float(getattr(one, field))) for label, one in classes.items()]
            yield gauges.family(name, help, kind, ("class",), samples, most=field == "mailbox_age")

    def journal(self, lag: float) -> Iterator[Family]:
        """The figures of the journal.

        Args:
            lag: seconds for which what is being written is on its way.
        """
        one = partial(self.gauges.family, labels=(), kind="gauge")
        yield one("callboard_journal_lag_seconds", "Seconds that what is being written waits", samples=[((), lag)])
        if self.file is not None and self.file.exists():
            size = 0
            for each in (self.file, *(self.file.with_name(self.file.name + end) for end in ("-wal", "-shm"))):
                with suppress(OSError):  # there is none, or none any more
                    size += each.stat().st_size
            yield one("callboard_journal_bytes", "Size of the journal's files", samples=[((), float(size))])
            free = float(shutil.disk_usage(self.file.parent).free)
            yield one("callboard_journal_free_bytes", "Room left on its disk", samples=[((), free)])

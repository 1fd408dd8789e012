"""Asking an agent the same things many times: how long it takes, what it costs, how often it fails.

Time is the event loop's, so that a simulation measures its own.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from ...providers.messages import Message, Usage
from .agency import Agency
from .agent import Agent
from .answer import NO_USAGE
from .errors import AgencyClosed, AgentError, DefinitionError
from .turns.questions import Question

_BAR = 40
"""Columns of the longest bar of a table."""


@dataclass(frozen=True, slots=True)
class Bin:
    """How many runs took from ``low`` to below ``high`` seconds; the last bin has its upper end, too."""

    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Profile:
    """What was measured.

    Args:
        agent: who was asked.
        latencies: seconds of each run that was answered, shortest first.
        errors: how many runs ended in an error, by its name.
        seconds: from the first question to the last answer.
        usage: tokens of all runs, of failed ones and of agents they handed work to, too.
        cost: US dollars of the same; completions of unknown price count as nothing.
    """

    agent: str
    latencies: tuple[float, ...]
    errors: Mapping[str, int]
    seconds: float
    usage: Usage
    cost: float

    @property
    def runs(self) -> int:
        """How many runs were made."""
        return len(self.latencies) + sum(self.errors.values())

    @property
    def error_rate(self) -> float:
        """The share of the runs that ended in an error, 0 to 1."""
        return sum(self.errors.values()) / self.runs

    @property
    def tokens_per_second(self) -> float:
        """Output tokens of all runs by the time they took together; 0 where no time has passed."""
        return self.usage.output_tokens / self.seconds if self.seconds > 0 else 0.0

    @property
    def mean(self) -> float:
        """Seconds of an answered run on average; NaN where none was answered."""
        return sum(self.latencies) / len(self.latencies) if self.latencies else math.nan

    def percentile(self, percent: float) -> float:
        """Seconds within which so many of a hundred answered runs had ended (nearest rank); NaN where there were none.

        Args:
            percent: above 0, up to 100.

        Raises:
            DefinitionError: it is not.
        """
        if not 0 < percent <= 100:
            raise DefinitionError(f"a percentile is above 0 and up to 100, not {percent!r}")
        if not self.latencies:
            return math.nan
        return self.latencies[math.ceil(len(self.latencies) * percent / 100) - 1]

    def histogram(self, bins: int = 10) -> tuple[Bin, ...]:
        """How many answered runs took how long, in bins of one width from the shortest to the longest.

        Args:
            bins: how many at most; where all took the same time there is one.
        """
        if bins < 1:
            raise DefinitionError(f"a histogram has 1 bin or more, not {bins!r}")
        if not self.latencies:
            return ()
        low, high = self.latencies[0], self.latencies[-1]
        width = (high - low) / bins
        if width <= 0:
            return (Bin(low, high, len(self.latencies)),)
        counts = Counter(min(bins - 1, int((each - low) / width)) for each in self.latencies)
        edges = [low + width * number for number in range(bins)] + [high]
        return tuple(Bin(edges[number], edges[number + 1], counts[number]) for number in range(bins))

    def table(self) -> str:
        """All of it as text."""
        rows = [("runs", str(self.runs)), ("errors", f"{self.error_rate:.1%}")]
        rows += [(f"  {name}", str(count)) for name, count in sorted(self.errors.items())]
        rows += [(f"p{percent}", _seconds(self.percentile(percent))) for percent in (50, 90, 95, 99)]
        rows += [
            ("mean", _seconds(self.mean)),
            ("tokens", f"{self.usage.input_tokens} in, {self.usage.output_tokens} out"),
            ("tokens/s", f"{self.tokens_per_second:.1f}"),
            ("cost", f"${self.cost:.4f}"),
            ("time", f"{self.seconds:.3f} s"),
        ]
        lines = [self.agent, *(f"{name:<10} {value}" for name, value in rows)]
        bins = self.histogram()
        most = max((each.count for each in bins), default=0)
        for each in bins:
            lines.append(f"{each.low:8.3f} s  {'█' * round(_BAR * each.count / most):<{_BAR}} {each.count}".rstrip())
        return "\n".join(lines)

    def svg(self) -> str:
        """The histogram as a picture, with the figures beside it."""
        bins = self.histogram()
        most = max((each.count for each in bins), default=1)
        wide, high, left, top = 640, 300, 50, 50
        step = (wide - left - 20) / max(1, len(bins))
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high + 60}" font-family="sans-serif"'
            ' font-size="12">',
            f"<title>{escape(self.agent)}</title>",
            f'<text x="{left}" y="20" font-size="15">{escape(self.agent)}: {self.runs} runs</text>',
            f'<text x="{left}" y="38">p50 {_seconds(self.percentile(50))}, p95 {_seconds(self.percentile(95))}, '
            f"{self.error_rate:.1%} errors, {self.tokens_per_second:.1f} tokens/s, ${self.cost:.4f}</text>",
        ]
        for number, each in enumerate(bins):
            tall = (high - top) * each.count / most
            x = left + step * number
            parts.append(
                f'<rect x="{x:.1f}" y="{high - tall:.1f}" width="{max(1.0, step - 2):.1f}" height="{tall:.1f}"'
                f' fill="#4878a8"><title>{each.low:.3f} to {each.high:.3f} s: {each.count}</title></rect>'
            )
            parts.append(f'<text x="{x:.1f}" y="{high + 16}">{each.low:.3g}</text>')
        parts.append(f'<line x1="{left}" y1="{high}" x2="{wide - 20}" y2="{high}" stroke="#333"/>')
        parts.append(f'<text x="{left - 8}" y="{top + 4}" text-anchor="end">{most}</text>')
        parts.append(f'<text x="{left}" y="{high + 36}">seconds from the question to the answer</text></svg>')
        return "\n".join(parts)

    def save(self, path: str | Path) -> None:
        """Write the picture into a file.

        Args:
            path: ends in ``.svg``.

        Raises:
            DefinitionError: it does not.
            OSError: it cannot be written.
        """
        if Path(path).suffix.lower() != ".svg":
            raise DefinitionError(f"a profile is saved as an .svg, not as {str(path)!r:.200}; `table` has it as text")
        Path(path).write_text(self.svg(), encoding="utf-8")


async def profile(
    agent: Agent | Agency,
    messages: Question | Sequence[Question],
    *,
    iterations: int = 10,
    concurrency: int = 1,
    **options: Any,
) -> Profile:
    """Ask an agent the same things many times, each in a conversation of its own.

    Args:
        agent: whom; or an agency that runs, whose first agent is asked.
        messages: what to ask: a text, a message, or several of them, each of which is asked by itself.
        iterations: how many times each is asked.
        concurrency: how many runs are under way at once.
        options: of the `Agency` that is made for an agent: ``model``, ``config``, …

    Returns:
        what was measured. A run that ends in an error is counted.

    Raises:
        AgencyClosed: the agency does not run, or stopped meanwhile.
        DefinitionError: there is nothing to ask, a number is not above 0, or options are given with an agency.
    """
    questions = _questions(messages)
    for name, number in (("iterations", iterations), ("concurrency", concurrency)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise DefinitionError(f"{name} is a number above 0, not {number!r:.80}")
    if isinstance(agent, Agency):
        if options:
            raise DefinitionError(f"{', '.join(options)}: options are for the agency of an agent; this one has its own")
        return await _measured(agent, questions, iterations, concurrency)
    if not isinstance(agent, Agent):
        raise DefinitionError(f"what is profiled is an Agent or an Agency, not {agent!r:.80}")
    async with Agency(agent, **options) as agency:
        return await _measured(agency, questions, iterations, concurrency)


async def _measured(agency: Agency, questions: Sequence[Question], iterations: int, concurrency: int) -> Profile:
    clock = asyncio.get_running_loop().time
    to_ask = iter(tuple(questions) * iterations)
    latencies: list[float] = []
    errors: Counter[str] = Counter()
    usage, cost = NO_USAGE, 0.0

    async def ask() -> None:
        nonlocal usage, cost
        for question in to_ask:
            began = clock()
            try:
                answer = await agency.run(question)
                latencies.append(clock() - began)
            except (DefinitionError, AgencyClosed):
                raise  # nothing was asked
            except AgentError as error:
                errors[type(error).__name__] += 1
                if error.partial is None:
                    continue
                answer = error.partial
            usage, cost = usage + answer.usage, cost + answer.cost

    began = clock()
    tasks = [asyncio.create_task(ask(), name=f"profile-{number}") for number in range(concurrency)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return Profile(agency.entry, tuple(sorted(latencies)), dict(errors), clock() - began, usage, cost)


def _seconds(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f} s"


def _questions(messages: object) -> list[Any]:
    if isinstance(messages, str | Message):
        return [messages]
    if not isinstance(messages, Sequence) or not messages:
        raise DefinitionError(f"messages are a text, a Message, or several, not {messages!r:.80}")
    return list(messages)

"""What of a run is shown to those who decide about its next step, and when it is to end with what there is. Pure.

Conditions are values that are put together by ``|``; a function of the run so far is one, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from .....providers.checks import MAPPING
from .....providers.messages import Message, Usage
from .....providers.shapes import FIELDS
from ...answer import Step, Steps
from ...context import RequestContext
from ...errors import DefinitionError
from ...wishes import define
from .trail import last_step, steps_of
from .turn import Turn


class RunSoFar:
    """A run between two steps.

    Attributes:
        context: who asks for what.
        agent: the agent's name.
        usage, cost: of the run so far, with those it handed work to.
    """

    def __init__(self, context: RequestContext, turn: Turn) -> None:
        self.context = context
        self.agent = context.agent
        self.usage: Usage = turn.usage
        self.cost: float = turn.cost
        self._turn = turn

    @cached_property
    def messages(self) -> tuple[Message, ...]:
        """The conversation, as the model is shown it next."""
        return self._turn.history.as_tuple()

    @cached_property
    def steps(self) -> Sequence[Step]:
        """What was done, see `Answer.steps`."""
        return Steps(self._turn.steps, steps_of, self.agent, self.context.run, self._turn.trail)

    @cached_property
    def last(self) -> Step | None:
        """The last step; None before the first. It costs the same however long the run is."""
        return last_step(self.agent, self.context.run, self._turn.trail, self._turn.steps)


class Condition:
    """The base class of what may end a run: called with the run so far after each step, when every call has its result.

    ``one | other`` holds where one of them does; ``other`` may be a function.
    """

    def __call__(self, run: RunSoFar) -> bool:
        """Whether the run is to end."""
        raise NotImplementedError

    def __or__(self, other: StopWhen) -> Condition:
        return AnyOf((self, _condition(other)))

    def __ror__(self, other: StopWhen) -> Condition:
        return AnyOf((_condition(other), self))


StopWhen: TypeAlias = "Condition | Callable[[RunSoFar], bool]"


@dataclass(frozen=True)
class AfterSteps(Condition):
    """After so many steps, at least 1."""

    steps: int

    def __post_init__(self) -> None:
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise DefinitionError(f"AfterSteps takes a whole number, at least 1, not {self.steps!r:.80}")

    def __call__(self, run: RunSoFar) -> bool:
        return len(run.steps) >= self.steps


@dataclass(frozen=True)
class AfterTool(Condition):
    """After a step in which this tool (or handoff) was called, and did not fail."""

    tool: str

    def __post_init__(self) -> None:
        if not isinstance(self.tool, str) or not self.tool:
            raise DefinitionError(f"AfterTool takes the name of a tool, not {self.tool!r:.80}")

    def __call__(self, run: RunSoFar) -> bool:
        calls = run.last.calls if run.last is not None else ()
        return any(one.tool == self.tool and one.result is not None and not one.result.is_error for one in calls)


@dataclass(frozen=True)
class TextMatches(Condition):
    """After a step in which the model said something in which this regular expression is found."""

    pattern: str

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except (re.error, TypeError) as error:
            raise DefinitionError(
                f"TextMatches takes a regular expression, not {self.pattern!r:.80}: {error}"
            ) from None

    def __call__(self, run: RunSoFar) -> bool:
        return run.last is not None and re.search(self.pattern, run.last.message.text) is not None


@dataclass(frozen=True)
class AnyOf(Condition):
    """Where one of these holds; what ``|`` makes."""

    conditions: tuple[StopWhen, ...]

    def __repr__(self) -> str:
        return " | ".join(getattr(one, "__name__", "") or repr(one) for one in self.conditions)

    def __call__(self, run: RunSoFar) -> bool:
        return any(condition(run) for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What one step is to be like; None leaves the agent's own.

    Args:
        model: the name of the model that is asked.
        tools: the names of the tools and handoffs that the model may call; of those that the agent has.
        instructions: the system message in place of the agent's instructions.
        settings: fields of the request, laid over the agent's: ``temperature``, ``tool_choice``…
    """

    model: str | None = None
    tools: Sequence[str] | None = None
    instructions: str | None = field(default=None, repr=False)
    settings: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for name in ("model", "instructions"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise DefinitionError(f"StepPlan.{name} is a text, or None, not {value!r:.80}")
        tools: object = self.tools
        several = isinstance(tools, Sequence) and not isinstance(tools, str)
        if tools is not None and not (several and all(isinstance(name, str) for name in self.tools or ())):
            raise DefinitionError(f"StepPlan.tools are names of tools, or None, not {tools!r:.80}")
        define("a StepPlan", settings=(self.settings, MAPPING.or_none()))
        given = self.settings or {}
        define("a StepPlan, settings", **{name: (given[name], FIELDS[name]) for name in given if name in FIELDS})


PrepareStep: TypeAlias = "Callable[[RunSoFar], StepPlan | None]"


def check_condition(given: object) -> None:
    """Raises `DefinitionError` where it cannot end a run."""
    if given is not None:
        _condition(given)


def _condition(given: Any) -> StopWhen:
    if isinstance(given, type) or not callable(given):
        raise DefinitionError(
            f"stop_when is a function of the RunSoFar, AfterTool(…), AfterSteps(…) or TextMatches(…), not {given!r:.80}"
        )
    condition: StopWhen = given
    return condition

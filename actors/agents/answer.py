"""What a run returns, and the steps that led to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar, overload

from ...providers.messages import Completion, Message, ToolCall, Usage, shown

if TYPE_CHECKING:
    import typing_extensions

    V_co = typing_extensions.TypeVar("V_co", covariant=True, default=Any)
else:  # defaults come with Python 3.13, and only type checkers need this one
    V_co = TypeVar("V_co", covariant=True)

NO_USAGE = Usage()
HandoffKind: TypeAlias = Literal["delegate", "transfer"]
Action: TypeAlias = Literal["answer", "tool", "handoff", "refused"]
"""What a step did: gave an answer, called tools, handed work on; or its completion was not taken."""


@dataclass(frozen=True, slots=True)
class HandoffRecord:
    """One handoff that took place.

    Args:
        sender, target: the agents' names.
        kind: whether the answer came back or the conversation went over.
        task: what the target was asked to do.
        failed: what went wrong, or empty.
    """

    sender: str
    target: str
    kind: HandoffKind
    task: str = field(repr=False)
    failed: str = ""

    def __str__(self) -> str:
        return f"{self.sender} {'→' if self.kind == 'delegate' else '⇒'} {self.target}"


@dataclass(frozen=True, slots=True)
class StepCall:
    """A call that a model asked for, and what came of it.

    Args:
        call: as it was carried out: where a person changed the arguments, theirs.
        result: the message that answers it, or None where there is none (yet).
        approved: what a person decided; None where nobody was asked, or has decided.
        approval: the id by which it can be decided now; empty where it does not wait for a person.
        handoff: the handoff that it made, if any.
        usage, cost: what the other agent, and those behind it, used; of a tool what it said that it has spent.
        seconds: from the completion that asked for it to its result, without waiting for a person.
        steps: the other agent's; of a pipeline those of all its stages.
    """

    call: ToolCall
    result: Message | None = None
    approved: bool | None = None
    approval: str = ""
    handoff: HandoffRecord | None = None
    usage: Usage = NO_USAGE
    cost: float = 0.0
    seconds: float = 0.0
    steps: Sequence[Step] = ()

    @property
    def tool(self) -> str:
        """The name of what was called."""
        return self.call.name

    @property
    def input(self) -> Any:
        """The arguments; as the model wrote them where they are no JSON."""
        try:
            return json.loads(self.call.arguments or "{}")
        except (ValueError, RecursionError):
            return self.call.arguments

    @property
    def output(self) -> str:
        """The result's text; empty while there is none."""
        return "" if self.result is None else shown(self.result.content)


@dataclass(frozen=True, slots=True)
class Step:
    """One completion, and the calls that it asked for.

    Args:
        number: counted from 1, in an answer through its run, in a conversation through all of it, as it is now: what
            `Agency.fork` and `Agency.rewind` take.
        run: the id of the run it belongs to; empty where the step was taken over from a conversation that this one
            was forked from, which has its usage and cost.
        agent: who was at work.
        message: what the model answered.
        calls: what it asked to have done, in its order.
        usage: tokens of the completion.
        cost: US dollars of the completion, or None where its price is not known.
        model, provider: who answered.
        seconds: from asking the model to its answer.
        at: when it was recorded, in seconds since 1970 by the store's wall clock; 0 in an answer.
        notes: what providers reported having changed on the way.
        confidence: how sure the model said it was, from 0 to 1: the field ``confidence`` of a structured answer, or
            else the probability of its tokens, the geometric mean, where the vendor told it; None otherwise.
        problem: why the completion was not taken, told to the model where it was asked again; empty if it was.
    """

    number: int
    run: str
    agent: str
    message: Message
    calls: tuple[StepCall, ...] = ()
    usage: Usage = NO_USAGE
    cost: float | None = None
    model: str = ""
    provider: str = ""
    seconds: float = 0.0
    at: float = 0.0
    notes: tuple[str, ...] = ()
    confidence: float | None = None
    problem: str = ""

    @property
    def thought(self) -> str:
        """What the model made visible of its reasoning; else what it said beside its calls."""
        return self.message.reasoning or (self.message.text if self.calls else "")

    @property
    def action(self) -> Action:
        """What the step did."""
        if self.calls:
            return "handoff" if any(call.handoff is not None for call in self.calls) else "tool"
        return "refused" if self.problem else "answer"

    @property
    def tool(self) -> str:
        """The name of what was called first; empty where nothing was. All are in ``calls``."""
        return self.calls[0].tool if self.calls else ""

    @property
    def input(self) -> Any:
        """The arguments of the first call; None where there is none."""
        return self.calls[0].input if self.calls else None

    @property
    def output(self) -> str:
        """The result of the first call, or else what the model answered."""
        return self.calls[0].output if self.calls else self.message.text


def step_of(completion: Completion, agent: str, number: int = 1) -> Step:
    """The step of which nothing more is known than its completion.

    Args:
        completion: what the model answered.
        agent: who was at work.
        number: counted from 1.
    """
    return Step(
        number,
        "",
        agent,
        completion.message,
        tuple(StepCall(call) for call in completion.message.tool_calls),
        completion.usage,
        completion.cost,
        completion.model,
        completion.provider,
        completion.latency,
        notes=completion.notes,
    )


class Steps(Sequence[Step]):
    """A run's steps, made when they are first looked at: most answers are only read.

    Args:
        count: how many there are.
        make: makes them of ``given``; without one nothing is known of them but their number.
        alone: the name of the agent that was at work in all of them, and had nobody work for it; empty where that is to
            be seen from the steps.
    """

    __slots__ = ("_count", "_given", "_made", "_make", "alone")

    def __init__(
        self, count: int, make: Callable[..., tuple[Step, ...]] | None = None, *given: Any, alone: str = ""
    ) -> None:
        self.alone = alone
        self._count = count
        self._make = make
        self._given = given
        self._made: tuple[Step, ...] | None = None

    @property
    def known(self) -> bool:
        """Whether more is known of them than how many there are."""
        return self._make is not None

    def _all(self) -> tuple[Step, ...]:
        made = self._made
        if made is None:
            if self._make is None:
                made = tuple(Step(number, "", "", Message("assistant")) for number in range(1, self._count + 1))
            else:
                made = self._make(*self._given)
            self._made, self._given = made, ()
        return made

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Step]:
        return iter(self._all())

    @overload
    def __getitem__(self, index: int) -> Step: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Step, ...]: ...

    def __getitem__(self, index: int | slice) -> Step | tuple[Step, ...]:
        return self._all()[index]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Steps | tuple):
            return self._count == len(other) and self._all() == tuple(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def kept(self) -> KeptSteps:
        """The same, as a journal keeps them one by one: where they do not follow from the events around them."""
        if self._made is not None or self._make is None:
            return KeptSteps(self._count, tuple, self._all())
        return KeptSteps(self._count, self._make, *self._given)

    def __repr__(self) -> str:
        return f"<{self._count} steps>"

    def __reduce__(self) -> Any:
        return tuple, (self._all(),)


class KeptSteps(Steps):
    """Steps that a journal keeps one by one.

    Attributes:
        text: as they were written, until they are written once more: within the steps of the run whose agent handed the
            work on. Each hop of a chain of handoffs would otherwise make the text of all below it anew.
    """

    __slots__ = ("text",)

    def __init__(self, count: int, make: Callable[..., tuple[Step, ...]] | None = None, *given: Any) -> None:
        super().__init__(count, make, *given)
        self.text = ""


def kept(steps: Sequence[Step]) -> Sequence[Step]:
    """Steps as a journal keeps them one by one, without making them."""
    return steps.kept() if isinstance(steps, Steps) else steps


@dataclass(frozen=True, slots=True)
class ReasoningStep:
    """One step of what the model made visible of its reasoning."""

    agent: str
    step: int
    text: str


@dataclass(slots=True)  # not frozen: that would make each of its fields three times as dear on every run
class Answer(Generic[V_co]):
    """The outcome of a run; also what an error keeps of an unfinished one. Change it with `dataclasses.replace`.

    Args:
        text: the final text.
        agent: the name of the agent that gave it.
        conversation: the conversation's id.
        run: the run's id.
        messages: the whole conversation, valid for every vendor. Only while ``tool_calls`` is not empty its last
            message has calls without results: those the caller is asked to run.
        usage: tokens of all completions, also of agents handed off to.
        cost: US dollars of the same; completions of unknown price count as nothing.
        steps: the completions of the agent that was asked, with their calls and what came of them; those of agents
            that it handed work to are in the calls.
        handoffs: every handoff, each before those that came of it; several at once in the order in which they ended.
        seconds: how long it took.
        tool_calls: calls of external tools that the caller is asked to run.
        value: the answer as the requested type, when there was one. A journal keeps it as plain data (objects, arrays,
            texts, numbers), which it is where it comes from there and the type is not known any more.
        reasoning: what the models made visible of their reasoning.
        notes: what was changed on the way (a failover, a lesser model), as reported by providers, each once.
        error: where errors are returned in place of being raised (`Agency.run_sync`): why the run failed.
    """

    text: str
    agent: str = ""
    conversation: str = ""
    run: str = ""
    messages: tuple[Message, ...] = ()
    usage: Usage = NO_USAGE
    cost: float = 0.0
    steps: Sequence[Step] = ()
    handoffs: tuple[HandoffRecord, ...] = ()
    seconds: float = 0.0
    tool_calls: tuple[ToolCall, ...] = ()
    value: V_co = None  # type: ignore[assignment]
    reasoning: tuple[ReasoningStep, ...] = ()
    notes: tuple[str, ...] = ()
    error: Exception | None = None

    def __str__(self) -> str:
        return self.text

    @property
    def chain(self) -> tuple[str, ...]:
        """The handoffs in words, for example ``("Planner → Developer",)``."""
        return tuple(str(handoff) for handoff in self.handoffs)

    @property
    def agents(self) -> tuple[str, ...]:
        """The names of all that worked on it, each once, the one that was asked first."""
        alone = self.steps.alone if isinstance(self.steps, Steps) else ""
        names = [alone] if alone else list(_at_work(self.steps))
        names.extend(record.target for record in self.handoffs if not record.failed)
        return tuple(dict.fromkeys(name for name in (*names, self.agent) if name))


def _at_work(steps: Sequence[Step]) -> Iterator[str]:
    for step in steps:
        yield step.agent
        for call in step.calls:
            yield from _at_work(call.steps)

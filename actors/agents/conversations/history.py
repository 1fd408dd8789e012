"""One stream of a conversation, read: which message of the history belongs to which step and run. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ....providers.messages import Completion, Message, ToolCall
from ...journal.store import Record
from ..answer import Answer, Step, StepCall
from ..caller import NOBODY, Caller
from ..errors import AgentError
from ..turns.loop.trail import noted, returned, with_spent
from ..turns.loop.turn import cut, so_far
from ..turns.outcome import brief
from ..turns.records import Accepted, Ended, Rewound, RunRequest, Snapshot
from ..turns.shape import kept_before
from ..turns.state import ConversationState
from ..turns.steps import Completed, Decided, HandoffReturned, Spent, ToolReturned
from .view import ConversationRun, RunStatus


@dataclass(slots=True)
class Place:
    """A completion, and where its messages are.

    Attributes:
        run: the id of its run.
        completion: what the model answered.
        message: the same as it stands in the history.
        start, end: where its messages, results included, are in the history.
        seconds: from asking the model to its answer.
        at: when it was recorded.
        decided: by call id, what a person said.
        spent: by call id, what tools said that they have spent, and what agents that they asked have.
        returned: by call id, what came of it, and how long after the completion.
        confidence, problem: as in `Step`.
    """

    run: str
    completion: Completion
    message: Message
    start: int
    end: int
    seconds: float
    at: float
    decided: dict[str, bool] = field(default_factory=dict)
    spent: dict[str, list[Spent]] = field(default_factory=dict)
    returned: dict[str, tuple[ToolReturned | HandoffReturned, float]] = field(default_factory=dict)
    confidence: float | None = None
    problem: str = ""
    used: float = 0.0

    def copy(self) -> Place:
        """One that is as this one is, to which something may come yet."""
        spent = {id: list(each) for id, each in self.spent.items()}
        return replace(self, decided=dict(self.decided), spent=spent, returned=dict(self.returned))


class Run(NamedTuple):
    """A run, and where its messages end."""

    request: RunRequest
    at: float
    end: int = 0
    answer: Answer | None = None
    error: AgentError | None = None
    rewound: bool = False


class StreamHistory:
    """What one stream keeps of a conversation.

    Attributes:
        state: the conversation's, after the last event.
        steps: those in the history.
        runs: all of them, by id.
        base: how many messages it began with that belong to no step.
        began_with: those messages.
        version: number of events.
    """

    __slots__ = ("base", "began_with", "runs", "state", "steps", "version")

    def __init__(self, agent: str, conversation: str, records: Iterable[Record]) -> None:
        self.state = ConversationState(agent, conversation)
        self.steps: list[Place] = []
        self.runs: dict[str, Run] = {}
        self.base = 0
        self.began_with: tuple[Message, ...] = ()
        self.version = 0
        for record in records:
            self.apply(record)

    def copy(self) -> StreamHistory:
        """One that is as this one is now, and goes on by itself. What was said is shared."""
        other = StreamHistory(self.state.agent, self.state.conversation, ())
        other.state = self.state.copy()
        other.steps = self.steps[:-1] + [step.copy() for step in self.steps[-1:]]
        other.runs = dict(self.runs)
        other.base, other.began_with, other.version = self.base, self.began_with, self.version
        return other

    @property
    def messages(self) -> tuple[Message, ...]:
        """The history, valid for every vendor."""
        return cut(self.state.turn)

    @property
    def so_far(self) -> tuple[Message, ...]:
        """The history as it is to be read: a call that has no result yet has none."""
        return so_far(self.state.turn)

    def snapshot(self, messages: int, owner: tuple[str, str] | None = None) -> Snapshot:
        """What another conversation begins with that has so many messages of this one. With all of them, calls that
        wait for the caller's results wait for them there, too."""
        turn = self.state.turn
        history = self.messages[:messages]
        if messages >= len(self.messages) and turn.message is not None and turn.phase == "ended" and not turn.steering:
            history = (*turn.history, turn.message, *(result for result in turn.results if result is not None))
        steps = tuple((step.start, step.end) for step in self.steps if step.end <= messages)
        began = self.state.caller or NOBODY
        prompt, shapes = self.state.prompt, self.state.shapes
        if messages < len(self.messages):
            prompt, shapes = prompt.before(messages), kept_before(shapes, messages)
        whose = Caller(began.user, began.tenant)
        return Snapshot(history, owner, None, steps, whose, prompt.changes.as_tuple(), shapes)

    def up_to(self, step: int) -> int:
        """How many messages of the history there are up to and including a step of this stream, counted from 1; with
        0 before any."""
        return self.steps[step - 1].end if step else self.base

    # -- reading the events --------------------------------------------------------------------------------------------

    def apply(self, record: Record) -> None:
        """Take in the next event."""
        event, state = record.event, self.state
        self.version = record.version
        before, used = state.turn, state.used
        run = state.queue[0].id if state.queue else ""
        state.apply(event)
        kind = type(event)
        if kind is Completed:
            if state.turn.steps > before.steps:
                self._completed(run, event, len(before.history), event.used - used, record.at)
        elif kind is Accepted:
            self.runs.setdefault(event.run.id, Run(event.run, record.at))
        elif kind is Decided:
            if self.steps:
                self.steps[-1].decided[event.call_id] = event.approved
        elif kind is HandoffReturned or kind is ToolReturned:
            if self.steps:
                step = self.steps[-1]
                step.returned.setdefault(event.call_id, (event, max(0.0, event.used - step.used)))
        elif kind is Spent:
            if self.steps:
                self.steps[-1].spent.setdefault(event.call_id, []).append(event)
        elif kind is Ended:
            self._ended(event)
        elif kind is Rewound:
            self._rewound(event.messages)
        elif kind is Snapshot:
            self._taken_over(event, record.at)

    def _taken_over(self, snapshot: Snapshot, at: float) -> None:
        history = snapshot.history
        self.base = 0 if snapshot.steps else len(self.messages)
        self.began_with = () if snapshot.steps else history
        self.steps = []
        for start, end in snapshot.steps:
            message = history[start] if end > start else Message("assistant")
            self.steps.append(Place("", Completion(message, "stop", cost=0.0), message, start, end, 0.0, at))

    def _completed(self, run: str, event: Completed, start: int, seconds: float, at: float) -> None:
        turn, message = self.state.turn, event.completion.message
        if message.tool_calls:
            message = turn.message if turn.message is not None else turn.history[start]
            end = start + 1 + len(message.tool_calls)
        else:
            end = start + 1 if message.content else start
        step = Place(run, event.completion, message, start, end, max(0.0, seconds), at)
        step.confidence, step.problem, step.used = event.confidence, noted(event, message).problem, event.used
        self.steps.append(step)

    def _ended(self, event: Ended) -> None:
        run, last = self.runs.get(event.run), self.state.last
        if run is None or run.answer is not None or last is None or last.run != event.run:
            return
        ended = run._replace(answer=brief(last.answer), error=last.error, end=len(self.messages))
        self.runs[event.run] = ended

    def _rewound(self, messages: int) -> None:
        self.steps = [step for step in self.steps if step.end <= messages]
        for id, run in self.runs.items():
            if run.end > messages and not run.rewound:
                self.runs[id] = run._replace(rewound=True)

    # -- as others see it ----------------------------------------------------------------------------------------------

    def shown_steps(
        self, first: int, names: dict[str, str], end: int | None = None, most: int | None = None
    ) -> list[Step]:
        """The steps.

        Args:
            first: the number of the first of all.
            names: the ids under which callers know runs, where those are others.
            end: only so many of the first; None for all.
            most: of those the last; None for all.
        """
        steps = self.steps[:end]
        start = 0 if most is None else max(0, len(steps) - most)
        return [self._shown_step(number, step, names) for number, step in enumerate(steps[start:], first + start)]

    def _shown_step(self, number: int, step: Place, names: dict[str, str]) -> Step:
        history, turn = self.state.turn.history, self.state.turn
        message, results = step.message, turn.results
        if step.start < len(history) and step.end > step.start:
            message = history[step.start]
            results = history[step.start + 1 : step.end]
        elif turn.message is not None and step is self.steps[-1]:
            message = turn.message
        completion = step.completion
        return Step(
            number,
            names.get(step.run, step.run),
            self.state.agent,
            message,
            tuple(
                self._shown_call(step, call, result) for call, result in zip(message.tool_calls, results, strict=False)
            ),
            completion.usage,
            completion.cost,
            completion.model,
            completion.provider,
            step.seconds,
            step.at,
            completion.notes,
            step.confidence,
            step.problem,
        )

    def _shown_call(self, step: Place, call: ToolCall, result: Message | None) -> StepCall:
        came = step.returned.get(call.id)
        asked = (self.state.approvals or {}).get(call.id) if step is self.steps[-1] else None
        approval = asked.approval if asked is not None else ""
        seconds = came[1] if came is not None else 0.0
        shown = StepCall(call, result, step.decided.get(call.id), approval, seconds=seconds)
        for spent in step.spent.get(call.id, ()):
            shown = with_spent(shown, spent)
        return returned(shown, came[0]) if came is not None and type(came[0]) is HandoffReturned else shown

    def shown_runs(self, of: Collection[str] | None = None) -> list[ConversationRun]:
        """The runs.

        Args:
            of: only those of these ids; None for all.
        """
        return [self._shown_run(run) for id, run in self.runs.items() if of is None or id in of]

    def _shown_run(self, run: Run) -> ConversationRun:
        request, answer = run.request, run.answer
        asked = [message.text for message in request.messages if message.role == "user"]
        question = asked[-1] if asked else ""
        if answer is not None:
            return ConversationRun(
                request.id,
                "answered" if run.error is None else "failed",
                question,
                answer.text,
                run.error,
                request.caller,
                answer.agent,
                answer.usage,
                answer.cost,
                len(answer.steps),
                answer.seconds,
                run.at,
                run.rewound,
                request.metadata,
            )
        shown = ConversationRun(
            request.id, "queued", question, caller=request.caller, at=run.at, metadata=request.metadata
        )
        state = self.state
        if not state.queue or state.queue[0].id != request.id:
            return shown
        if not state.begun:
            return shown if state.owner is None else replace(shown, status="running")
        turn = state.turn
        status: RunStatus = "waiting" if state.approvals else "running"
        return replace(shown, status=status, usage=turn.usage, cost=turn.cost, steps=turn.steps)

"""How a run ended: its answer, or what is kept of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from ....providers.messages import Message, ToolCall, Usage
from ..answer import NO_USAGE, Answer, HandoffRecord, ReasoningStep, Step, Steps
from ..errors import AgencyClosed, AgentError, NotAllowed, RunCancelled
from .loop.trail import steps_of
from .loop.turn import Turn, cut
from .records import Ended, RunRequest
from .steps import Fail, Finish

STOPS: Final = "the agency stops"
"""Why runs are ended that nobody can go on with."""


class Outcome(NamedTuple):
    """How a run ended.

    Args:
        run: its id.
        answer: the answer, also what is kept of a failed run.
        error: why it failed, or None; its ``partial`` is the answer.
        owner: agent and conversation that have the conversation now, if others took it over.
        derived: whether the answer follows from the turn, so that a journal need not keep it.
        output: where it was recorded: what the run recorded of the type of its own that the answer must fit.
    """

    run: str
    answer: Answer
    error: AgentError | None = None
    owner: tuple[str, str] | None = None
    derived: bool = False
    output: tuple[str, str] | None = None

    def recorded(self, run: RunRequest) -> Ended:
        """What the journal keeps of it."""
        answer = self.answer
        kept = None if self.derived and not run.keyed else replace(answer, messages=())
        agent = answer.agent if answer.agent != run.agent else ""
        value = answer.value if kept is None else None
        return Ended(self.run, kept, self.error, self.owner, answer.seconds, agent, value)


def finished(
    run: RunRequest, turn: Turn, last: Finish | Fail, seconds: float, *, agent: str = "", value: Any = None
) -> Outcome:
    """The outcome of a run whose turn has ended.

    Args:
        run: the request.
        turn: the state at its end.
        last: the command it ended with.
        seconds: how long it took.
        agent: who answered, if not the agent that was asked.
        value: the answer as the requested type.
    """
    own = turn.history[turn.start :]
    external = last.external if isinstance(last, Finish) else ()
    answer = Answer(
        last.text if isinstance(last, Finish) else _last_text(own),
        agent or run.agent,
        run.conversation,
        run.id,
        _messages(turn, external),
        turn.usage,
        turn.cost,
        _steps(run, turn),
        turn.handoffs,
        seconds,
        external,
        value,
        _reasoning(run.agent, own),
        tuple(dict.fromkeys(turn.notes)) if turn.notes else (),
    )
    if isinstance(last, Finish):
        return Outcome(run.id, answer, None, None, True)
    last.error.partial = answer
    return Outcome(run.id, answer, last.error, None, True)


def cancelled(reason: str, *, begun: bool = True) -> RunCancelled | AgencyClosed:
    """The named error of a run that was cancelled, before it began or after; or that `STOPS` has ended."""
    if reason == STOPS:
        return AgencyClosed("the agency stopped before the run had its answer, and keeps nothing of it: ask again")
    return RunCancelled(f"the run was cancelled{'' if begun else ' before it began'}: {reason}")


def no_scope(agent: str, scopes: Iterable[str]) -> NotAllowed:
    """The named error of a run whose caller may not ask its agent.

    Args:
        agent: the agent's name.
        scopes: those of which a caller needs one.
    """
    return NotAllowed(f"the caller has no scope for agent {agent}; it takes the scope {' or '.join(sorted(scopes))}")


def not_theirs(stream: str, run: str = "") -> NotAllowed:
    """The named error of whoever wants something of a conversation, or of a run, that is somebody else's.

    Args:
        stream: the conversation's, in the journal.
        run: the run's id, where that is what they know: whose conversation it is in is not theirs to know.
    """
    if run:
        return NotAllowed(f"run {run!r:.100} belongs to another caller; use a run_id of its own for each request")
    agent, _, conversation = stream.partition("/")
    return NotAllowed(f"conversation {conversation!r:.100} of {agent} belongs to another caller")


def unanswered(
    run: RunRequest,
    error: AgentError,
    usage: Usage = NO_USAGE,
    cost: float = 0.0,
    handoffs: tuple[HandoffRecord, ...] = (),
) -> Outcome:
    """The outcome of a run that did nothing itself.

    Args:
        run: the request.
        error: why.
        usage, cost, handoffs: what others have used and done for it.
    """
    answer = Answer("", run.agent, run.conversation, run.id, usage=usage, cost=cost, handoffs=handoffs)
    error.partial = answer
    return Outcome(run.id, answer, error)


def outcome_of(run: RunRequest, turn: Turn, ended: Ended, last: Finish | Fail | None) -> Outcome:
    """The outcome that was recorded.

    Args:
        run: the request.
        turn: the state it ended in; a new one where it had not begun.
        ended: the record.
        last: the command with which the turn ended, where it ended by itself.
    """
    answer, error = ended.answer, ended.error
    if answer is None:
        if last is None:
            last = Fail(error) if error is not None else Finish(_last_text(turn.history[turn.start :]))
        answer = finished(run, turn, last, ended.seconds, agent=ended.agent, value=ended.value).answer
    elif not answer.messages:
        answer = replace(answer, messages=_messages(turn, answer.tool_calls))
        if type(answer.steps) is Steps and turn.trail:
            answer = replace(answer, steps=_steps(run, turn))
    if error is not None:
        error.partial = answer
    return Outcome(ended.run, answer, error, ended.owner, ended.answer is None, run.output)


def brief(answer: Answer) -> Answer:
    """The answer without its messages and all but the number of its steps: a history for each of thousands of runs is
    too much."""
    return replace(answer, messages=(), steps=Steps(len(answer.steps)) if answer.steps else ())


def _steps(run: RunRequest, turn: Turn) -> Sequence[Step]:
    if not turn.steps:
        return ()
    # Where there is nothing but completions, the steps need not be made (5 µs) to say who was at work.
    alone = run.agent if len(turn.trail) == turn.steps else ""
    return Steps(turn.steps, steps_of, run.agent, run.id, turn.trail, alone=alone)


def _messages(turn: Turn, external: tuple[ToolCall, ...]) -> tuple[Message, ...]:
    """The whole conversation; calls that the caller is asked to run are open."""
    if not external or turn.message is None:
        return cut(turn)
    return (*turn.history, turn.message, *(result for result in turn.results if result is not None))


def _last_text(messages: tuple[Message, ...]) -> str:
    for message in reversed(messages):
        if message.role == "assistant" and message.content:
            return message.text
    return ""


def _reasoning(agent: str, messages: tuple[Message, ...]) -> tuple[ReasoningStep, ...]:
    steps = [message for message in messages if message.role == "assistant"]
    return tuple(
        ReasoningStep(agent, number, message.reasoning) for number, message in enumerate(steps, 1) if message.reasoning
    )

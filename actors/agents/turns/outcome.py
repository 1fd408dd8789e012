"""The outcome of a run: its answer, or what is kept of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ....providers.messages import Message
from ..answer import Answer, ReasoningStep
from ..errors import AgentError
from .machine import Turn, cut
from .records import Ended, Run
from .steps import Fail, Finish


def outcome(
    run: Run,
    turn: Turn,
    last: Finish | Fail,
    seconds: float,
    *,
    owner: tuple[str, str] | None = None,
    answering: Answer | None = None,
    parse: Callable[[str], Any] | None = None,
) -> Ended:
    """The outcome of a run whose turn has ended.

    Args:
        run: the request.
        turn: the state at its end.
        last: the command it ended with.
        seconds: how long it took.
        owner: agent and conversation that took the conversation over.
        answering: the answer of the agent that did.
        parse: makes the requested type of the text.
    """
    own = turn.history[turn.start :]
    finished = isinstance(last, Finish)
    text = last.text if isinstance(last, Finish) else _last_text(own)
    external = last.external if isinstance(last, Finish) else ()
    messages = cut(turn)
    if external and turn.message is not None:
        done = tuple(result for result in turn.results if result is not None)
        messages = (*turn.history, turn.message, *done)
    value = None
    if answering is not None:
        value = answering.value
    elif parse is not None and finished and not external:
        value = parse(text)
    answer = Answer(
        text,
        answering.agent if answering is not None else run.agent,
        run.conversation,
        run.id,
        messages,
        turn.usage,
        turn.cost,
        turn.steps,
        turn.handoffs,
        seconds,
        external,
        value,
        _reasoning(run.agent, own),
        turn.notes,
    )
    if isinstance(last, Finish):
        return Ended(run.id, answer, None, owner, run.once)
    last.error.partial = answer
    return Ended(run.id, answer, last.error, None, run.once)


def unanswered(run: Run, error: AgentError) -> Ended:
    """The outcome of a run of which nothing is kept."""
    return Ended(run.id, Answer("", run.agent, run.conversation, run.id), error)


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

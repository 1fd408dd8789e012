"""Handing tasks and conversations to other agents, and what comes of it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from ....providers.messages import Message
from ...core.base.events import Outcome
from ...core.mail.future import Future
from ..answer import NO_USAGE, Answer, HandoffRecord
from ..errors import (
    AgentError,
    GuardrailTripped,
    HandoffCycle,
    HandoffDepth,
    HandoffError,
    HandoffLimit,
    RunFailed,
)
from ..events import HandoffFinished, HandoffStarted
from ..handoffs.call import read_call
from ..handoffs.handoff import Handoff
from ..handoffs.limits import check_chain, count_handoff
from ..handoffs.offer import HandoffTool
from ..turns.machine import cut, transferred
from ..turns.steps import HandOff, Interrupted
from ..turns.steps import HandoffFinished as HandoffReturned
from .session import DelegateAnswered, Delegation, Happened, OwnerAnswered, Prepared, Refused, Session

_FATAL = (HandoffDepth, HandoffCycle, HandoffLimit)


def hand_off(session: Session, command: HandOff, happened: Happened) -> None:
    """Hand a task, or the conversation, to another agent."""
    call, runtime, prepared, run = command.call, session.runtime, session.prepared, session.run
    try:
        handoff = read_call(call, run.agent, prepared.handoffs, prepared.reachable)
        check_chain(run.chain, run.tasks, handoff, runtime.handoff_limits)
        count_handoff(runtime.handoffs, run.root, runtime.handoff_limits)
    except HandoffError as error:
        session.send(Refused(session, call, error))
        return
    offered = prepared.handoffs.get(call.name)
    if "handoff" in prepared.hooks or (offered is not None and offered.on_handoff is not None):
        work = _looked_at(session, handoff, offered)
        session.jobs[call.id] = session.actor.pipe(work, lambda outcome: Prepared(session, command, outcome))
        return
    _send(session, command, handoff)


def handoff_prepared(message: Prepared, happened: Happened) -> None:
    """Send a handoff that hooks have seen."""
    session, command, outcome = message
    session.jobs.pop(command.call.id, None)
    try:
        handoff = outcome.unwrap()
    except GuardrailTripped as error:
        happened(session, Interrupted(error))
    except Exception as error:
        handoff_refused(Refused(session, command.call, error), happened)
    else:
        _send(session, command, handoff)


def handoff_refused(message: Refused, happened: Happened) -> None:
    """Tell the model that its handoff was not carried out."""
    session, call, error = message
    fatal = error if isinstance(error, _FATAL) else None
    session.emit(HandoffFinished, call_id=call.id, target="", failed=str(error))
    happened(session, HandoffReturned(call.id, f"Refused: {error}", True, fatal=fatal))


def delegate_answered(message: DelegateAnswered, happened: Happened) -> None:
    """Take another agent's answer, or hand it to the next stage of a pipeline."""
    session, call_id, reply = message
    delegation = session.delegations.pop(call_id)
    handoff = delegation.handoff
    assert handoff is not None
    answer, error = answer_of(reply)
    if answer is not None and error is None and delegation.rest:
        _next_stage(session, call_id, delegation, answer)
        return
    final = delegation.transfer and error is None
    failed = "" if error is None else f"{type(error).__name__}: {error}"
    record = HandoffRecord(session.run.agent, handoff.target, handoff.kind, handoff.task, failed)
    text = answer.text if answer is not None else ""
    session.emit(
        HandoffFinished,
        call_id=call_id,
        target=handoff.target,
        kind=handoff.kind,
        text=text,
        failed=failed,
        seconds=session.time() - delegation.started,
    )
    content = f"{handoff.target} could not finish: {failed}" if error is not None else text
    answers = delegation.before if answer is None else (*delegation.before, answer)
    returned = HandoffReturned(
        call_id,
        content or f"{handoff.target} answered nothing.",
        error is not None,
        final,
        error if isinstance(error, _FATAL) or (delegation.transfer and error is not None) else None,
        sum((one.usage for one in answers), NO_USAGE),
        sum(one.cost for one in answers),
        sum(one.steps for one in answers),
        (record, *(deeper for one in answers for deeper in one.handoffs)),
    )
    if final:
        session.owner = (handoff.target, delegation.run.conversation)
        session.answering = answer
    happened(session, returned)
    register = session.runtime.register
    if final:
        register.forget(delegation.run.id)
    else:  # their actors have stopped by themselves; this side has written down what it needs
        register.drop(*(one.run for one in delegation.before if one.run), delegation.run.id)


def forward(session: Session, owner: tuple[str, str]) -> None:
    """The conversation was transferred: its new owner answers."""
    run = session.run
    forwarded = run._replace(
        id=f"{run.id}>", agent=owner[0], conversation=owner[1], chain=(*run.chain, owner[0]), once=False
    )
    session.forward = session.delegations[""] = Delegation(forwarded, None, True, session.time())
    session.runtime.register.submit(forwarded).when_done(partial(_when_owner_answered, session))


def answer_of(reply: Future[Answer]) -> tuple[Answer | None, AgentError | None]:
    """What an agent answered, or what is kept of it and the error it ended in."""
    try:
        return reply.result(), None
    except AgentError as error:
        return error.partial, error


async def _looked_at(session: Session, handoff: Handoff, offered: HandoffTool | None) -> Handoff:
    if offered is not None and offered.on_handoff is not None:
        noted = offered.on_handoff(handoff)
        if inspect.isawaitable(noted):
            await noted
    context = await session.hooked("handoff", handoff=handoff)
    return context.handoff or handoff


def _send(session: Session, command: HandOff, handoff: Handoff) -> None:
    call, run, turn = command.call, session.run, session.state.turn
    offered = session.prepared.handoffs.get(call.name)
    if session.runtime.bus.active:
        to = {"target": handoff.target, "kind": handoff.kind, "task": handoff.task}
        session.emit(HandoffStarted, call_id=call.id, **to)
    messages: tuple[Message, ...] = (handoff.as_message(),)
    if command.transfer:
        chosen = offered.history_filter if offered is not None else None
        messages = tuple(chosen(cut(turn))) if chosen else transferred(turn, session.rules)
    stages = offered.stages if offered is not None and offered.stages else (handoff.target,)
    # The id follows from the journal: a restarted conversation finds the run it had sent.
    nested_id = f"{run.id}.{turn.steps}.{call.id}"
    nested = run._replace(
        id=nested_id,
        agent=stages[0],
        conversation=nested_id,
        messages=messages,
        chain=(*run.chain, handoff.target),
        tasks=(*run.tasks, f"{handoff.target}: {handoff.task}") if not command.transfer else run.tasks,
        limits=None,
        external=(),
        handoff=handoff,
        once=not command.transfer,
    )
    delegation = Delegation(nested, handoff, command.transfer, session.time(), stages[1:])
    if offered is not None and offered.answer is not None:
        session.delegations[call.id] = delegation
        _ask_responder(session, call.id, offered.answer, handoff)
        return
    _submit(session, call.id, delegation)


def _submit(session: Session, call_id: str, delegation: Delegation) -> None:
    session.delegations[call_id] = delegation
    reply = session.runtime.register.submit(delegation.run)
    reply.when_done(partial(_when_answered, session, call_id))


def _when_answered(session: Session, call_id: str, reply: Future[Answer]) -> None:
    session.send(DelegateAnswered(session, call_id, reply))


def _when_owner_answered(session: Session, reply: Future[Answer]) -> None:
    session.send(OwnerAnswered(session, reply))


def _ask_responder(
    session: Session, call_id: str, answer: Callable[[Handoff], Awaitable[Answer]], handoff: Handoff
) -> None:
    async def answered() -> Answer:
        try:
            return await answer(handoff)
        except AgentError:
            raise
        except Exception as error:
            raise RunFailed(f"{type(error).__name__}: {error}") from error

    def message(outcome: Outcome[Answer]) -> DelegateAnswered:
        session.jobs.pop(call_id, None)
        reply: Future[Answer] = Future()
        if outcome.error is not None:
            reply.set_exception(outcome.error)
        else:
            reply.set(outcome.value)
        return DelegateAnswered(session, call_id, reply)

    session.jobs[call_id] = session.actor.pipe(answered(), message)


def _next_stage(session: Session, call_id: str, delegation: Delegation, answer: Answer) -> None:
    """A pipeline goes on: the next agent is given what this one answered."""
    assert delegation.handoff is not None
    done = (*delegation.before, answer)
    target = delegation.rest[0]
    handoff = replace(delegation.handoff, task=answer.text)
    run_id = f"{delegation.run.id.partition('~')[0]}~{len(done)}"
    run = delegation.run._replace(
        id=run_id, agent=target, conversation=run_id, messages=(handoff.as_message(),), handoff=handoff
    )
    _submit(session, call_id, delegation._replace(run=run, rest=delegation.rest[1:], before=done))

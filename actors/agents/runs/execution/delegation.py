"""Handing tasks and conversations to other agents, and what comes of it."""

from __future__ import annotations

import inspect
import time
from dataclasses import replace
from functools import partial
from weakref import ref

from .....providers.messages import Message
from ....core.mail.future import Future
from ...answer import NO_USAGE, Answer
from ...errors import (
    GuardrailTripped,
    HandoffCycle,
    HandoffDepth,
    HandoffLimit,
)
from ...events import HandoffFinished, HandoffStarted
from ...handoffs.call import offer_of, read_call
from ...handoffs.handoff import Handoff
from ...handoffs.limits import check_chain, count_handoff
from ...handoffs.offer import HandoffTool
from ...turns.budget import narrowed
from ...turns.history import as_messages
from ...turns.machine import Turn, cut, transferred
from ...turns.outcome import Outcome
from ...turns.rules import Rules
from ...turns.steps import HandOff, HandoffReturned, Interrupted
from ..runtime.register import Entry
from .session import DelegateAnswered, Delegation, Happened, OwnerAnswered, Prepared, Refused, Sending, Session

_FATAL = (HandoffDepth, HandoffCycle, HandoffLimit)


def hand_off(session: Session, command: HandOff, happened: Happened) -> None:
    """Hand a task, or the conversation, to another agent."""
    call, runtime, prepared, run = command.call, session.runtime, session.prepared, session.run
    offered = prepared.handoffs.get(call.name)
    try:
        handoff = read_call(call, run.agent, prepared.handoffs, prepared.reachable)
        runtime.directory.check_permitted(run.agent, handoff.target)
        check_chain(run.chain, run.tasks, handoff, runtime.handoff_limits)
        count_handoff(runtime.handoffs, run.root, runtime.handoff_limits)
        sending = Sending(handoff, offered, shown_to_target(session.state.turn, session.rules, offered, handoff))
    except Exception as error:  # also what a history filter raises
        session.send(Refused(session, call, error))
        return
    if "handoff" in prepared.hooks or (offered is not None and offered.on_handoff is not None):
        work = _looked_at(session, sending)
        session.jobs[call.id] = session.actor.pipe(work, lambda outcome: Prepared(session, command, outcome))
        return
    _send(session, command, sending, happened)


def shown_to_target(turn: Turn, rules: Rules, offered: HandoffTool | None, handoff: Handoff) -> tuple[Message, ...]:
    """What of the sender's conversation the target sees, before hooks have looked at it.

    A conversation is handed over as it is, without earlier handoffs; of a delegate's it is nothing. A history filter
    chooses in either case.

    Raises:
        DefinitionError: the filter returned something else than messages.
        Exception: what the filter raises.
    """
    chosen = offered.history_filter if offered is not None else None
    if handoff.kind == "transfer":
        return as_messages(tuple(chosen(cut(turn)))) if chosen is not None else transferred(turn, rules)
    if chosen is None:
        return ()
    left = tuple(chosen(turn.history.as_tuple()))
    return as_messages(left) if left else ()


def handoff_prepared(message: Prepared, happened: Happened) -> None:
    """Send a handoff that hooks have seen."""
    session, command, outcome = message
    session.jobs.pop(command.call.id, None)
    try:
        sending = outcome.unwrap()
    except GuardrailTripped as error:
        happened(session, Interrupted(error))
    except Exception as error:
        handoff_refused(Refused(session, command.call, error), happened)
    else:
        _send(session, command, sending, happened)


def handoff_refused(message: Refused, happened: Happened) -> None:
    """Tell the model that its handoff was not carried out."""
    session, call, error = message
    fatal = error if isinstance(error, _FATAL) else None
    session.emit(HandoffFinished, call_id=call.id, target="", failed=str(error))
    happened(session, HandoffReturned(call.id, f"Refused: {error}", True, fatal=fatal))


def delegate_answered(message: DelegateAnswered, happened: Happened) -> None:
    """Take another agent's answer, or hand it to the next stage of a pipeline."""
    session, call_id, outcome = message
    delegation = session.delegations.pop(call_id)
    handoff = delegation.handoff
    assert handoff is not None
    answer, error = outcome.answer, outcome.error
    if error is None and len(delegation.before) + 1 < len(delegation.stages):
        _next_stage(session, call_id, delegation, answer)
        return
    final = delegation.transfer and error is None
    failed = "" if error is None else f"{type(error).__name__}: {error}"
    session.emit(
        HandoffFinished,
        call_id=call_id,
        target=handoff.target,
        kind=handoff.kind,
        text=answer.text,
        failed=failed,
        seconds=session.time() - delegation.started,
    )
    content = f"{handoff.target} could not finish: {failed}" if error is not None else answer.text
    answers = (*delegation.before, answer)
    session.value = answer.value if final else session.value
    returned = HandoffReturned(
        call_id,
        content or f"{handoff.target} answered nothing.",
        error is not None,
        final,
        error if isinstance(error, _FATAL) or (delegation.transfer and error is not None) else None,
        sum((one.usage for one in answers), NO_USAGE),
        sum(one.cost for one in answers),
        sum(one.steps for one in answers),
        delegation.records(answers, failed),
        session.used(),
        (outcome.owner or (handoff.target, delegation.run.conversation)) if final else None,
        answer.agent if final else "",
    )
    # Their actors have stopped by themselves; what they left goes with the step that this side records now.
    streams = [f"{one.agent}/{one.conversation}" for one in delegation.before]
    if not final or outcome.owner is not None:
        streams.append(delegation.run.stream_name)
    session.dropping.extend(streams)
    happened(session, returned)
    register = session.runtime.register
    for one in delegation.before:
        register.forget(one.run)
    register.forget(delegation.run.id)


def forward(session: Session, owner: tuple[str, str]) -> None:
    """The conversation was transferred: its new owner answers."""
    run, runtime = session.run, session.runtime
    sent = run._replace(
        id=f"{run.id}>",
        agent=owner[0],
        conversation=owner[1],
        chain=(*run.chain, owner[0]),
        once=False,
        parent=run.id,
        within=run.stream_name,
        keyed=False,
        output=None,
    )
    session.forward = session.delegations[""] = Delegation(sent, None, True, session.time())
    entry = runtime.register.submit(sent, session.entry.output if session.entry is not None else None)
    entry.reply.when_done(partial(_when_owner_answered, ref(session), entry))


def forwarded(session: Session, entry: Entry) -> Outcome:
    """What the conversation's new owner answered, as the answer of the one that was asked."""
    outcome, run = entry.outcome, session.run
    assert outcome is not None
    answer = replace(outcome.answer, conversation=run.conversation, run=run.id)
    owner = outcome.owner
    if owner is not None:
        session.dropping.append(entry.run.stream_name)
    if outcome.error is not None:
        outcome.error.partial = answer
    return Outcome(run.id, answer, outcome.error, owner)


async def _looked_at(session: Session, sending: Sending) -> Sending:
    """What is sent after hooks have seen it: what they changed is held against the same rules as a model's call.

    Raises:
        HandoffError: it may not be sent so.
    """
    handoff, offered, messages = sending
    if offered is not None and offered.on_handoff is not None:
        noted = offered.on_handoff(handoff)
        if inspect.isawaitable(noted):
            await noted
    context = await session.hooked("handoff", handoff=handoff, messages=messages)
    changed, run, prepared = context.handoff or handoff, session.run, session.prepared
    if changed is not handoff:
        offered = offer_of(changed, handoff, offered, prepared.handoffs, prepared.reachable)
        session.runtime.directory.check_permitted(run.agent, changed.target)
        check_chain(run.chain, run.tasks, changed, session.runtime.handoff_limits)
    if context.messages is not messages:
        messages = as_messages(context.messages) if context.messages or changed.kind == "transfer" else ()
    return Sending(changed, offered, messages)


def _send(session: Session, command: HandOff, sending: Sending, happened: Happened) -> None:
    call, run, turn = command.call, session.run, session.state.turn
    handoff, offered, messages = sending
    if not command.transfer:
        try:
            messages = (*messages, *as_messages(handoff.as_message()))
        except Exception as error:  # a structured input of the user's
            handoff_refused(Refused(session, call, error), happened)
            return
    if session.runtime.bus.active:
        to = {"target": handoff.target, "kind": handoff.kind, "task": handoff.task}
        session.emit(HandoffStarted, call_id=call.id, **to)
    stages = tuple(stage.name for stage in offered.stages) if offered is not None and offered.stages else ()
    # The id follows from the journal: a restarted conversation finds the run it had sent.
    nested_id = f"{run.id}.{turn.steps}.{call.id}"
    given = session.left()
    first = stages[0] if stages else handoff.target
    nested = run._replace(
        id=nested_id,
        agent=first,
        conversation=nested_id,
        messages=messages,
        chain=(*run.chain, handoff.target, first) if stages else (*run.chain, first),
        tasks=(*run.tasks, f"{handoff.target}: {handoff.task}") if not command.transfer else run.tasks,
        limits=narrowed(session.runtime.directory.agents[first].limits, given),
        external=(),
        handoff=handoff,
        once=not command.transfer,
        parent=run.id,
        within=run.stream_name,
        keyed=False,
        output=run.output if command.transfer else None,
        when_busy="queue",
        asked_at=time.time(),
    )
    stages = stages or (handoff.target,)
    _submit(session, call.id, Delegation(nested, handoff, command.transfer, session.time(), stages))


def _submit(session: Session, call_id: str, delegation: Delegation) -> None:
    session.delegations[call_id] = delegation
    output = session.entry.output if delegation.transfer and session.entry is not None else None
    entry = session.runtime.register.submit(delegation.run, output)
    entry.fresh = not session.resumed
    working: Session | None = entry.session
    if working is not None and not working.over:  # it was at work when this side crashed, and may wait for a person
        session.stand_still(working.paused)
    entry.reply.when_done(partial(_when_answered, ref(session), call_id, entry))


# By weak references: a session that has crashed meanwhile would stay in memory until the other agent answers.


def _when_answered(asking: ref[Session], call_id: str, entry: Entry, reply: Future[Answer]) -> None:
    session = asking()
    if session is not None and entry.outcome is not None:
        session.send(DelegateAnswered(session, call_id, entry.outcome))


def _when_owner_answered(asking: ref[Session], entry: Entry, reply: Future[Answer]) -> None:
    session = asking()
    if session is not None:
        session.send(OwnerAnswered(session, entry))


def _next_stage(session: Session, call_id: str, delegation: Delegation, answer: Answer) -> None:
    """A pipeline goes on: the next agent is given what this one answered."""
    assert delegation.handoff is not None
    done = (*delegation.before, answer)
    target = delegation.stages[len(done)]
    handoff = replace(delegation.handoff, task=answer.text)
    run_id = f"{delegation.run.id.partition('~')[0]}~{len(done)}"
    given = session.left(done)
    run = delegation.run._replace(
        id=run_id,
        agent=target,
        conversation=run_id,
        messages=(handoff.as_message(),),
        chain=(*delegation.run.chain[:-1], target),
        handoff=handoff,
        limits=narrowed(session.runtime.directory.agents[target].limits, given),
    )
    _submit(session, call_id, delegation._replace(run=run, before=done))

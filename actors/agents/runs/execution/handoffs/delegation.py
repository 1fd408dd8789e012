"""Handing tasks and conversations to other agents, once they are prepared, and what comes of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from weakref import ref

from ......providers.messages import UNLABELLED, Labels
from .....core.mail.future import Future
from ....answer import NO_USAGE, Answer, kept
from ....errors import (
    HandoffCycle,
    HandoffDepth,
    HandoffLimit,
    named,
)
from ....events import HandoffFinished, HandoffStarted
from ....team.subagents import AskedAgent
from ....turns.labels import carried, joined
from ....turns.loop.budget import narrowed
from ....turns.outcome import Outcome
from ....turns.steps import HandOff, HandoffReturned
from ...runtime.register import Entry
from ..known.handed import Delegation, Sending
from ..reports import DelegateAnswered, OwnerAnswered
from ..session import Happened, Session

FATAL = (HandoffDepth, HandoffCycle, HandoffLimit)
"""What ends a run, and is not only told to its model."""


def delegate_answered(message: DelegateAnswered, happened: Happened) -> None:
    """Take another agent's answer, or hand it to the next stage of a pipeline."""
    session, call_id, outcome, _ = message
    delegation = session.delegations.pop(call_id)
    handoff = delegation.handoff
    assert handoff is not None
    answer, error = outcome.answer, outcome.error
    if error is None and len(delegation.before) + 1 < len(delegation.stages):
        _next_stage(session, call_id, delegation, answer)
        return
    final = delegation.transfer and error is None
    alone = not delegation.before and not delegation.summary
    failed = "" if error is None else named(error)
    if session.runtime.bus.active:
        to = {"target": handoff.target, "kind": handoff.kind, "text": answer.text, "failed": failed}
        session.emit(HandoffFinished, call_id=call_id, seconds=session.time() - delegation.started, **to)
    content = f"{handoff.target} could not finish: {failed}" if error is not None else answer.text
    answers = (*delegation.before, answer)
    paid = (*delegation.summary, *answers)
    session.value = answer.value if final else session.value
    returned = HandoffReturned(
        call_id,
        content or f"{handoff.target} answered nothing.",
        error is not None,
        final,
        error if isinstance(error, FATAL) or (delegation.transfer and error is not None) else None,
        answer.usage if alone else sum((one.usage for one in paid), NO_USAGE),
        answer.cost if alone else sum(one.cost for one in paid),
        len(answer.steps) if alone else sum(len(one.steps) for one in paid),
        delegation.records(answers, failed),
        session.stopwatch.used(),
        (outcome.owner or (handoff.target, delegation.run.conversation)) if final else None,
        answer.agent if final else "",
        kept(answer.steps) if alone else tuple(step for one in paid for step in one.steps),
        answer.notes if alone else tuple(note for one in paid for note in one.notes),
        labels_of_answers(answers) if error is None else None,
    )
    # Their actors have stopped by themselves; what they left goes with the step that this side records now.
    done = (*delegation.summary, *delegation.before)
    streams = [f"{one.agent}/{one.conversation}" for one in done]
    if not final or outcome.owner is not None:
        streams.append(delegation.run.stream_name)
    session.dropping.extend(streams)
    happened(session, returned)
    register = session.runtime.register
    for one in done:
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
        background=False,
        trace=session.trace(),
    )
    session.forward = session.delegations[""] = Delegation(sent, None, True, session.time())
    entry = runtime.register.submit(sent, session.entry.output if session.entry is not None else None)
    entry.reply.when_done(partial(_when_owner_answered, ref(session), entry))


def labels_of_answers(answers: Sequence[Answer]) -> Labels | None:
    """The labels of what others have answered: of all that was said there; None where that is not known."""
    if not all(answer.messages for answer in answers):
        return None
    return joined(message for answer in answers for message in answer.messages)


def labels_of_answer(answer: Answer) -> Labels:
    """The labels of what another agent has answered; where what was said there is not known, it is from outside."""
    return joined(answer.messages) if answer.messages else Labels(frozenset({f"agent {answer.agent}"}))


def forwarded(session: Session, entry: Entry) -> Outcome:
    """What the conversation's new owner answered, as the answer of the one that was asked."""
    outcome, run = entry.outcome, session.run
    assert outcome is not None
    steps = kept(outcome.answer.steps)  # they do not follow from this conversation's events
    answer = replace(outcome.answer, conversation=run.conversation, run=run.id, steps=steps)
    owner = outcome.owner
    if owner is not None:
        session.dropping.append(entry.run.stream_name)
    if outcome.error is not None:
        outcome.error.partial = answer
    return Outcome(run.id, answer, outcome.error, owner)


def send(session: Session, command: HandOff, sending: Sending) -> None:
    """Have the target make a run of a handoff."""
    call, run, turn = command.call, session.run, session.state.turn
    handoff, offered, messages, summary = sending
    if session.runtime.bus.active:
        to = {"target": handoff.target, "kind": handoff.kind, "task": handoff.task}
        session.emit(HandoffStarted, call_id=call.id, **to)
    stages = tuple(stage.name for stage in offered.stages) if offered is not None and offered.stages else ()
    nested_id = f"{run.id_for(turn.steps, call.id)}{'~0' if summary else ''}"
    given = session.left(summary)
    labels = session.labels.joined()
    if command.transfer:  # the conversation goes on there after this run
        messages = carried(messages, labels)
    first = stages[0] if stages else handoff.target
    nested = run.nested(
        nested_id,
        first,
        messages,
        chain=(*run.chain, handoff.target, first) if stages else (*run.chain, first),
        handoff=handoff,
        limits=narrowed(session.runtime.directory.agents[first].limits, given),
        asked_at=time.time(),
        labels=labels,
        trace=session.trace(call.id, handoff.target),
    )
    if command.transfer:
        # Where the run is kept, so is what whoever takes it over does in it.
        nested = nested._replace(once=False, fleeting=run.fleeting and not run.keyed, output=run.output)
    else:
        nested = nested._replace(tasks=(*run.tasks, f"{handoff.target}: {handoff.task}"))
    stages = stages or (handoff.target,)
    submit(session, call.id, Delegation(nested, handoff, command.transfer, session.time(), stages, summary=summary))


def submit(session: Session, call_id: str, delegation: Delegation, asked: AskedAgent | None = None) -> None:
    """Send a run to the agent that makes it; its answer comes back as `DelegateAnswered`.

    Args:
        session: whose.
        call_id: the call that it is made for.
        delegation: the run.
        asked: the sub-agent, where one makes it.
    """
    session.delegations[call_id] = delegation
    output = session.entry.output if delegation.transfer and session.entry is not None else None
    entry = session.runtime.register.submit(delegation.run, output)
    if asked is not None:
        entry.asked = asked
    entry.fresh = not session.resumed
    working: Session | None = entry.session
    if working is not None and not working.over:  # it was at work when this side crashed, and may wait for a person
        session.stopwatch.stand_still(working.stopwatch.paused)
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
    given = session.left((*delegation.summary, *done))
    run = delegation.run._replace(
        id=run_id,
        agent=target,
        conversation=run_id,
        messages=(handoff.as_message(),),
        chain=(*delegation.run.chain[:-1], target),
        handoff=handoff,
        limits=narrowed(session.runtime.directory.agents[target].limits, given),
        labels=(delegation.run.labels or UNLABELLED) | labels_of_answer(answer),
    )
    submit(session, call_id, delegation._replace(run=run, before=done))

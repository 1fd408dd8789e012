"""What comes before a handoff is sent: whether it may be, what a function or a summary adds, and what hooks change."""

from __future__ import annotations

import inspect
import time
from collections.abc import Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

from ......providers.messages import Message, ToolCall, Usage
from ......tools.result import ToolResult
from ......tools.signatures.functions import FunctionSignature
from ......tools.threads import in_thread
from .....core.base.send_context import active as active_context
from ....answer import NO_USAGE, Answer
from ....errors import GuardrailTripped, HandoffRefused, LabelRefused, RunFailed, named, said
from ....events import HandoffFinished
from ....handoffs.call import chosen_handoff, offer_of, read_call
from ....handoffs.handoff import Handoff
from ....handoffs.limits import check_chain, count_handoff
from ....handoffs.offer import HandoffTool, summarizer_of
from ....turns.history import call_of, without_calls
from ....turns.loop.budget import narrowed
from ....turns.loop.turn import Turn, cut, transferred
from ....turns.outcome import Outcome
from ....turns.questions import as_messages
from ....turns.rules import Rules
from ....turns.steps import HandOff, HandoffReturned, Interrupted
from ..calling import called, raised_by
from ..known.handed import Delegation, Sending
from ..planning import not_offered
from ..reports import AnswerLookedAt, DelegateAnswered, Prepared, Refused
from ..session import Happened, Session
from ..spending import settle
from . import delegation
from .delegation import FATAL
from .subagents import ask_sub_agents, sub_agent_answered

SUMMARIZE = "Summarize what was said and done so far for {}, who is asked next and sees nothing else of it."


def hand_off(session: Session, command: HandOff, happened: Happened) -> None:
    """Hand a task, or the conversation, to another agent."""
    call, runtime, prepared, run = command.call, session.runtime, session.prepared, session.run
    offered = prepared.handoffs.get(call.name)
    if why := not_offered(session, call):
        session.send(Refused(session, call, HandoffRefused(why)))
        return
    if offered is not None and offered.chooses is not None:
        _work(session, command, _chosen(session, call, offered, offered.chooses))
        return
    if (made := prepared.agents.get(call.name)) is not None:
        ask_sub_agents(session, call, made)
        return
    try:
        handoff = read_call(call, run.agent, prepared.handoffs, prepared.reachable)
        runtime.directory.check_permitted(run.agent, handoff.target, run.caller)
        check_chain(run.chain, run.tasks, handoff, runtime.handoff_limits)
        count_handoff(runtime.handoffs, run.root, runtime.handoff_limits)
        sending = Sending(handoff, offered, shown_to_target(session.state.turn, session.rules, offered, handoff))
    except RunFailed as error:  # of a history filter, which the model cannot mend
        happened(session, Interrupted(error))
        return
    except Exception as error:
        session.send(Refused(session, call, error))
        return
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # of a validator of the user's
        happened(session, Interrupted(raised_by(call.name, error)))
        return
    if offered is not None and offered.summary:
        _summarize(session, command, sending, offered)
    else:
        _go_on(session, command, sending, happened)


def _work(
    session: Session,
    command: HandOff,
    work: Coroutine[Any, Any, Sending | str],
    summary: tuple[Answer, ...] = (),
) -> None:
    """Call functions of the user's beside the mailbox."""
    token = active_context.set(session.send_context)  # so that they know for whom they work
    session.jobs[command.call.id] = session.actor.pipe(
        work, lambda outcome: Prepared(session, command, summary, outcome)
    )
    active_context.reset(token)


def _go_on(session: Session, command: HandOff, sending: Sending, happened: Happened) -> None:
    """Let hooks look at a handoff, if there are any for it, and send it."""
    offered = sending.offered
    if "handoff" in session.prepared.hooks or (offered is not None and offered.on_handoff is not None):
        work = _looked_at(session, sending)
        _work(session, command, work, sending.summary)
    else:
        _send(session, command, sending, happened)


def _send(session: Session, command: HandOff, sending: Sending, happened: Happened) -> None:
    stages = sending.offered.stages if sending.offered is not None else ()
    why = session.labels.why_not_to(sending.handoff.target, *(stage.name for stage in stages))
    if why and command.call.id not in session.state.turn.approved:
        _barred(session, command.call, why, sending.summary, happened)
        return
    if not command.transfer:
        try:
            told = as_messages(sending.handoff.as_message())
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a structured input of the user's, which the model cannot mend
            used = _not_sent(session, command.call, sending.summary)
            happened(session, Interrupted(_wrong("input", command.call.name, error), *used))
            return
        sending = sending._replace(messages=(*sending.messages, *told))
    delegation.send(session, command, sending)


def _barred(session: Session, call: ToolCall, why: str, summary: tuple[Answer, ...], happened: Happened) -> None:
    """A handoff is not sent, because of what its target would be told."""
    if session.labels.ends:
        happened(session, Interrupted(LabelRefused(why), *_not_sent(session, call, summary)))
    else:
        handoff_refused(Refused(session, call, HandoffRefused(why), summary), happened)


def shown_to_target(turn: Turn, rules: Rules, offered: HandoffTool | None, handoff: Handoff) -> tuple[Message, ...]:
    """What of the sender's conversation the target sees, before hooks have looked at it.

    A conversation is handed over as it is, without earlier handoffs; of a delegate's it is nothing. A history filter
    chooses in either case.

    Raises:
        RunFailed: the filter raised, or returned something else than messages.
    """
    chosen = offered.history_filter if offered is not None else None
    if offered is not None and chosen is not None:
        history = cut(turn) if handoff.kind == "transfer" else turn.history.as_tuple()
        try:
            left = tuple(chosen(history))
            return as_messages(left) if left or handoff.kind == "transfer" else ()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise _wrong("history filter", offered.name, error) from error
    if handoff.kind == "transfer":
        return transferred(turn, rules)
    if offered is None or not offered.same_conversation:
        return ()
    return without_calls(turn.history, rules.transfers | rules.delegates)


def _wrong(what: str, name: str, error: BaseException) -> RunFailed:
    """The named error of a run in which something of the user's own is wrong."""
    failed = RunFailed(f"the {what} of {name} is wrong: {named(error)}")
    failed.__cause__ = error
    return failed


def handoff_prepared(message: Prepared, happened: Happened) -> None:
    """Send a handoff that hooks have seen."""
    session, command, summary, outcome = message
    session.jobs.pop(command.call.id, None)
    settle(session, happened)
    try:
        sending = outcome.unwrap()
    except (GuardrailTripped, RunFailed) as error:
        happened(session, Interrupted(error, *_not_sent(session, command.call, summary)))
    except Exception as error:
        handoff_refused(Refused(session, command.call, error, summary), happened)
    else:
        if isinstance(sending, str):
            happened(session, HandoffReturned(command.call.id, sending))
        else:
            _send(session, command, sending, happened)


def handoff_refused(message: Refused, happened: Happened) -> None:
    """Tell the model that its handoff was not carried out."""
    session, call, error, summary = message
    fatal = error if isinstance(error, FATAL) else None
    usage, cost = _not_sent(session, call, summary)
    session.emit(HandoffFinished, call_id=call.id, target="", failed=said(error))
    happened(session, HandoffReturned(call.id, f"Refused: {said(error)}", True, fatal=fatal, usage=usage, cost=cost))


def delegate_answered(message: DelegateAnswered, happened: Happened) -> None:
    """Take another agent's answer, or the summary that a handoff waits for."""
    session, call_id, outcome, seen = message
    made = session.delegations[call_id]
    if not seen and outcome.error is None and made.waiting is None and _is_result(session, made):
        work = _answer_looked_at(session, call_id, outcome)
        session.jobs[call_id] = session.actor.pipe(work, lambda looked: AnswerLookedAt(session, call_id, looked))
        return
    if made.asking is not None:
        sub_agent_answered(session, made.asking, call_id, outcome, happened)
        return
    if made.waiting is None:
        delegation.delegate_answered(message, happened)
        return
    # It stays among what is done for the run until the handoff is sent, or is not: the run may be stopped meanwhile.
    command, sending = made.waiting
    summary = (outcome.answer,)
    if outcome.error is not None:
        failed = HandoffRefused(f"no summary could be made: {named(outcome.error)}")
        handoff_refused(Refused(session, command.call, failed, summary), happened)
        return
    handoff, messages = replace(sending.handoff, summary=outcome.answer.text), sending.messages
    offered = sending.offered
    if command.transfer and (offered is None or offered.history_filter is None):
        turn = session.state.turn  # what was asked in this run, behind the summary of all before it
        messages = tuple(one for one in turn.history[turn.start :] if one.role == "user")
    if command.transfer:
        messages = (Message("user", f"What was done so far:\n{handoff.summary}"), *messages)
    _go_on(session, command, Sending(handoff, offered, messages, summary), happened)


def _is_result(session: Session, made: Delegation) -> bool:
    """Whether what an agent answered is looked at by the hooks for results: it becomes the result of a call."""
    last = len(made.before) + 1 >= len(made.stages)
    return last and not made.transfer and "toolresult" in session.prepared.hooks


async def _answer_looked_at(session: Session, call_id: str, outcome: Outcome) -> Outcome:
    """What an agent answered, as the hooks for results leave it."""
    message = session.state.turn.message
    call = call_of(message, call_id) if message is not None else None
    call = call or ToolCall(call_id, outcome.answer.agent, "{}")
    before = ToolResult(outcome.answer.text)
    after = await session.looked_at(call, before)
    return outcome if after is before else outcome._replace(answer=replace(outcome.answer, text=after.text))


def answer_looked_at(message: AnswerLookedAt, happened: Happened) -> None:
    """Take what an agent answered, once hooks have seen it."""
    session, call_id, looked = message
    session.jobs.pop(call_id, None)
    settle(session, happened)
    try:
        outcome = looked.unwrap()
    except (GuardrailTripped, RunFailed) as error:
        happened(session, Interrupted(error))
    else:
        delegate_answered(DelegateAnswered(session, call_id, outcome, True), happened)


def _summarize(session: Session, command: HandOff, sending: Sending, offered: HandoffTool) -> None:
    """Have a model say for the target what was done so far. It is a run of its own: paid by this one, and recorded."""
    run, turn = session.run, session.state.turn
    name = summarizer_of(run.agent, offered.summary)
    run_id = run.id_for(turn.steps, command.call.id)
    said = without_calls(turn.history, session.rules.transfers | session.rules.delegates)
    made = run.nested(
        run_id,
        name,
        (*said, Message("user", SUMMARIZE.format(sending.handoff.target))),
        chain=(*run.chain, name),
        handoff=sending.handoff,
        limits=narrowed(session.runtime.directory.agents[name].limits, session.left()),
        asked_at=time.time(),
        labels=session.labels.joined(),
        trace=session.trace(command.call.id, sending.handoff.target),
    )._replace(stream=False)
    waiting = (command, sending)
    asked = Delegation(made, sending.handoff, False, session.time(), (sending.handoff.target,), waiting=waiting)
    delegation.submit(session, command.call.id, asked)


def _not_sent(session: Session, call: ToolCall, summary: tuple[Answer, ...]) -> tuple[Usage, float]:
    """What the summary for a handoff that is not sent has cost; what it left goes with the step recorded next."""
    session.delegations.pop(call.id, None)
    for one in summary:
        session.dropping.append(f"{one.agent}/{one.conversation}")
        session.runtime.register.forget(one.run)
    return sum((one.usage for one in summary), NO_USAGE), sum(one.cost for one in summary)


async def _chosen(session: Session, call: ToolCall, offered: HandoffTool, chooses: FunctionSignature) -> Sending | str:
    """What a function makes of a model's call: a handoff, held against the rules, or a text for the model.

    Raises:
        HandoffError: it may not be sent.
        InvalidArguments: the arguments do not fit its parameters.
        Exception: what the function raises.
    """
    run, runtime, prepared = session.run, session.runtime, session.prepared
    bound = await called(call.name, chooses.bind, call.name, call.arguments)
    invoke = bound.invoke if chooses.is_async else partial(in_thread, bound.invoke)
    chosen = await called(call.name, invoke)
    if inspect.isawaitable(chosen):  # what a plain function returned
        chosen = await called(call.name, lambda made: made, chosen)
    if isinstance(chosen, str):
        return chosen
    handoff = chosen_handoff(chosen, run.agent, offered, call, bound.values)
    target = handoff.target
    declared = [one for one in prepared.handoffs.values() if (one.target, one.kind) == (target, offered.kind)]
    if not declared and target not in runtime.directory.agents:
        there = ", ".join(runtime.directory.members)
        raise HandoffRefused(f"{call.name} chose {target!r:.80}, who is not here; there are {there}")
    runtime.directory.check_permitted(run.agent, target, run.caller)
    check_chain(run.chain, run.tasks, handoff, runtime.handoff_limits)
    count_handoff(runtime.handoffs, run.root, runtime.handoff_limits)
    tool = declared[0] if declared else offered
    return await _looked_at(
        session, Sending(handoff, tool, shown_to_target(session.state.turn, session.rules, tool, handoff))
    )


async def _looked_at(session: Session, sending: Sending) -> Sending:
    """What is sent after hooks have seen it: what they changed is held against the same rules as a model's call.

    Raises:
        HandoffError: it may not be sent so.
    """
    handoff, offered, messages, summary = sending
    if offered is not None and offered.on_handoff is not None:
        await called(f"on_handoff of {offered.name}", offered.on_handoff, handoff)
    context = await session.hooked("handoff", handoff=handoff, messages=messages)
    changed, run, prepared = context.handoff or handoff, session.run, session.prepared
    if changed is not handoff:
        offered = offer_of(changed, handoff, offered, prepared.handoffs, prepared.reachable)
        session.runtime.directory.check_permitted(run.agent, changed.target, run.caller)
        check_chain(run.chain, run.tasks, changed, session.runtime.handoff_limits)
    if context.messages is not messages:
        messages = as_messages(context.messages) if context.messages or changed.kind == "transfer" else ()
    return Sending(changed, offered, messages, summary)

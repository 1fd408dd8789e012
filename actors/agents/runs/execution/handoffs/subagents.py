"""Asking the sub-agents that a prompt function offers, one alone or several side by side, and what comes of it.

Each is a delegation: a run of its own in a conversation of its own, whose id follows from the call's. So a restart
finds it where it was, also where it has ended: what came of a call is recorded in one piece, once all that it asked is
answered.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from pydantic_core import to_json, to_jsonable_python

from ......providers.messages import Message, ToolCall
from ......tools import ToolResult
from ......tools.errors import InvalidArguments, ToolError
from .....core.base.events import Outcome as Ended
from .....core.base.log import logger_of
from .....core.base.send_context import active as active_context
from ....answer import NO_USAGE
from ....errors import (
    GuardrailTripped,
    HandoffError,
    HandoffRefused,
    InvalidAnswer,
    PromptError,
    RunFailed,
    an,
    named,
    said,
)
from ....events import HandoffFinished, HandoffStarted
from ....handoffs.handoff import Handoff
from ....handoffs.limits import check_chain, count_handoff
from ....prompts.prompt import prompt_of
from ....prompts.rendering import Rendered
from ....prompts.subagents import SubAgent, SubAgents
from ....team.subagents import AskedAgent, name_of, sub_agent_of
from ....turns.loop.budget import narrowed
from ....turns.outcome import Outcome
from ....turns.questions import as_messages
from ....turns.records import PromptChanged
from ....turns.steps import HandoffReturned, Interrupted
from ...runtime.messages import AddAgent
from ..calling import called
from ..known.handed import Asking, Delegation, Part, PartResult
from ..reports import SubAgentsPrepared, SubAgentsTold
from ..session import Happened, Session
from .delegation import FATAL, labels_of_answers, submit

logger = logger_of()

T = TypeVar("T")


def know_sub_agents(session: Session, rendered: Rendered) -> None:
    """Have the agency know all that a step offers, to the model and to its programs.

    Raises:
        PromptError: a name is too long, or taken.
    """
    runtime, agent = session.runtime, session.prepared.agent
    directory = runtime.directory
    for made in (*rendered.agents, *rendered.functions):
        for sub in made.members if isinstance(made, SubAgents) else (made,):
            name = name_of(agent.name, sub)
            if name in runtime.agents and name in directory.hidden:
                continue
            directory.add_sub_agent(sub_agent_of(agent, sub))
            if runtime.root is not None:
                runtime.tell(runtime.root, AddAgent(name))


def ask_sub_agents(session: Session, call: ToolCall, made: SubAgent | SubAgents) -> None:
    """Find out what a call asks whom; functions of the user's take part, beside the mailbox."""
    several = isinstance(made, SubAgents)
    work = _prepared(session, call, made)
    _work(session, call, work, lambda outcome: SubAgentsPrepared(session, call, several, outcome))


def sub_agents_prepared(message: SubAgentsPrepared, happened: Happened) -> None:
    """Send each its part."""
    session, call, several, outcome = message
    session.jobs.pop(call.id, None)
    if session.state.turn.phase == "ended":
        return
    try:
        parts = outcome.unwrap()
    except (GuardrailTripped, RunFailed) as error:
        happened(session, Interrupted(error))
        return
    except Exception as error:
        happened(session, HandoffReturned(call.id, _in_words(error), True))
        return
    fatal = next((part.fatal for part in parts if part.fatal is not None), None)
    if fatal is not None:
        happened(session, HandoffReturned(call.id, f"Refused: {said(fatal)}", True, fatal=fatal))
        return
    asking = Asking(call, several, parts)
    sent = [part for part in parts if part.handoff is not None]
    for part in sent:
        send_part(session, asking, part)
    if not sent:
        _all_answered(session, asking, happened)


def sub_agent_answered(session: Session, asking: Asking, key: str, outcome: Outcome, happened: Happened) -> None:
    """Take the answer of one."""
    asking.outcomes[key] = outcome
    made = session.delegations[key]
    if session.state.turn.phase == "ended":
        return
    if session.runtime.bus.active and made.handoff is not None:
        failed = "" if outcome.error is None else named(outcome.error)
        to = {"target": made.handoff.target, "kind": "delegate", "text": outcome.answer.text, "failed": failed}
        session.emit(HandoffFinished, call_id=asking.call.id, seconds=session.time() - made.started, **to)
    if asking.answered is not None:
        if not asking.answered.done():
            asking.answered.set_result(outcome)
    elif all(part.key in asking.outcomes for part in asking.parts if part.handoff is not None):
        _all_answered(session, asking, happened)


def sub_agents_told(message: SubAgentsTold, happened: Happened) -> None:
    """All that wanted to know of the answers do."""
    session, asking, outcome = message
    session.jobs.pop(asking.call.id, None)
    if session.state.turn.phase == "ended":
        return
    try:
        results = outcome.unwrap()
    except RunFailed as error:
        happened(session, Interrupted(error))
    else:
        _returned(session, asking, results, happened)


def _work(
    session: Session, call: ToolCall, work: Coroutine[Any, Any, T], to_message: Callable[[Ended[T]], Any]
) -> None:
    """Call functions of the user's beside the mailbox."""
    token = active_context.set(session.send_context)  # so that they know for whom they work
    session.jobs[call.id] = session.actor.pipe(work, to_message)
    active_context.reset(token)


# -- what a call asks whom ---------------------------------------------------------------------------------------------


async def _prepared(session: Session, call: ToolCall, made: SubAgent | SubAgents) -> tuple[Part, ...]:
    """What a call asks whom, in order.

    Raises:
        InvalidArguments: it is no call of several.
        GuardrailTripped: a hook refuses one of them.
        RunFailed: a function of the user's ended in what is no `Exception`.
    """
    if isinstance(made, SubAgent):
        return (await prepared_part(session, call.id, made, call.arguments),)
    parts = []
    mark = "#"
    message = session.state.turn.message
    while message is not None and any(other.id.startswith(call.id + mark) for other in message.tool_calls):
        mark += "#"  # another call must not have the id of a part of this one
    for number, entry in enumerate(_entries(call), 1):
        name = entry.get("name") if isinstance(entry, dict) else None
        arguments = entry.get("args", {}) if isinstance(entry, dict) else entry
        sub = made.member(name) if isinstance(name, str) else None
        key = f"{call.id}{mark}{number}"
        if sub is None:
            there = ", ".join(one.name for one in made.members)
            part = Part(key, str(name), None, instead=_refused(f"no agent is called {name!r:.80}; there are: {there}"))
        elif not isinstance(arguments, dict):
            part = Part(key, sub.name, None, instead=_refused(f"'args' of {sub.name!r} must be an object"))
        else:
            part = await prepared_part(session, key, sub, arguments)
        parts.append(part)
    return tuple(parts)


def _entries(call: ToolCall) -> Sequence[Any]:
    try:
        entries = call.parsed().get("calls")
    except ValueError as error:
        raise InvalidArguments(f"the arguments of {call.name} are not a JSON object: {error}") from None
    if not isinstance(entries, list):
        raise InvalidArguments(f"'calls' of {call.name!r} must be a list of objects with 'name' and 'args'")
    return entries


async def prepared_part(session: Session, key: str, sub: SubAgent, arguments: str | Mapping[str, Any]) -> Part:
    """What one is asked: what the model wrote, what ``before_call`` made of it, and what hooks did.

    Args:
        session: whose.
        key: of the part.
        sub: who is asked.
        arguments: what the model wrote.

    Raises:
        GuardrailTripped: a hook refuses it.
        RunFailed: a function of the user's ended in what is no `Exception`.
    """
    cells, name = session.cells, sub.name
    assert cells is not None
    try:
        with cells.open(key):
            given = await called(f"the input of {name}", sub.read, arguments)
            before = sub.bound("before_call", given)
            instead = None if before is None else await called(f"before_call of {name}", before)
            if isinstance(instead, ToolResult):
                if instead.is_error:
                    cells.drop(key)
                return Part(key, name, sub, given, instead=instead)
            if instead is not None:
                given = await _instead_of_input(sub, instead)
        return await _to_send(session, key, sub, given)
    except (GuardrailTripped, RunFailed):
        raise
    except Exception as error:
        cells.drop(key)
        fatal = error if isinstance(error, FATAL) else None
        return Part(key, name, sub, instead=_refused(_in_words(error)), fatal=fatal)


async def _instead_of_input(sub: SubAgent, instead: Any) -> Any:
    """The input that ``before_call`` has put in the place of the model's.

    Raises:
        PromptError: it is none, which is no mistake of the model's.
    """
    try:
        return await called(f"the input of {sub.name}", sub.checked, instead)
    except InvalidArguments as error:
        what = f"before_call of {sub.name} returned {an(type(instead))}, which is no input of it"
        logger.warning("%s", what)
        raise PromptError(f"{what}: {error}") from error


async def _to_send(session: Session, key: str, sub: SubAgent, given: Any) -> Part:
    """A part that may be sent.

    Raises:
        HandoffError: it may not.
        InvalidArguments: a hook has made something of it that does not fit.
    """
    run, runtime = session.run, session.runtime
    target = name_of(run.agent, sub)
    handoff = Handoff(run.agent, target, to_json(given).decode())
    messages: tuple[Message, ...] = ()
    if "handoff" in session.prepared.hooks:
        context = await session.hooked("handoff", handoff=handoff, messages=messages)
        changed = context.handoff or handoff
        if (changed.sender, changed.target, changed.kind) != (handoff.sender, target, "delegate"):
            raise HandoffRefused("a hook may change what a sub-agent is given, not who is asked")
        if changed.task != handoff.task:
            given = await called(f"the input of {sub.name}", sub.read, changed.task)
        handoff = changed
        messages = as_messages(context.messages) if context.messages else ()
    runtime.directory.check_permitted(run.agent, target, run.caller)
    check_chain(run.chain, run.tasks, handoff, runtime.handoff_limits)
    count_handoff(runtime.handoffs, run.root, runtime.handoff_limits)
    return Part(key, sub.name, sub, given, handoff, messages)


def send_part(session: Session, asking: Asking, part: Part) -> None:
    """Have a sub-agent make the run of a part."""
    run, turn, handoff, sub = session.run, session.state.turn, part.handoff, part.sub
    assert handoff is not None
    assert sub is not None
    target = handoff.target
    directory = session.runtime.directory
    agent = sub_agent_of(session.prepared.agent, sub)
    asked = AskedAgent(directory.made_ready(agent), prompt_of(sub), part.input)
    if session.runtime.bus.active:
        session.emit(HandoffStarted, call_id=asking.call.id, target=target, kind="delegate", task=handoff.task)
    nested = run.nested(
        run.id_for(turn.steps, part.key),
        target,
        part.messages,
        chain=(*run.chain, target),
        handoff=handoff,
        limits=narrowed(agent.limits, session.left()),
        asked_at=time.time(),
        labels=session.labels.joined(),
        trace=session.trace(asking.call.id, target),
    )._replace(tasks=(*run.tasks, f"{target}: {handoff.task}"))
    made = Delegation(nested, handoff, False, session.time(), (target,), asking=asking)
    submit(session, part.key, made, asked)


# -- what comes of it --------------------------------------------------------------------------------------------------


def _all_answered(session: Session, asking: Asking, happened: Happened) -> None:
    fatal = any(isinstance(outcome.error, FATAL) for outcome in asking.outcomes.values())
    for key, outcome in asking.outcomes.items():
        if outcome.error is not None and session.cells is not None:
            session.cells.drop(key)  # what was set before the call; what `on_error` sets counts
    if fatal or not any(_wants_to_know(part, asking.outcomes.get(part.key)) for part in asking.parts):
        results = [_result(part, asking.outcomes.get(part.key), None) for part in asking.parts]
        _returned(session, asking, results, happened)
        return
    _work(session, asking.call, _told(session, asking), lambda outcome: SubAgentsTold(session, asking, outcome))


def _wants_to_know(part: Part, outcome: Outcome | None) -> bool:
    """Whether functions of the user's are to be called with what came of a part."""
    sub = part.sub
    if sub is None or outcome is None:
        return False
    if outcome.error is not None:
        return sub.on_error is not None
    return sub.output is not None or sub.on_success is not None


async def _told(session: Session, asking: Asking) -> tuple[PartResult, ...]:
    """What came of each part, in order, once their functions have been told.

    Raises:
        RunFailed: one of these ended in what is no `Exception`.
    """
    return tuple([await judged(session, part, asking.outcomes.get(part.key)) for part in asking.parts])


async def judged(session: Session, part: Part, outcome: Outcome | None) -> PartResult:
    """What came of a part, once its functions have been told.

    Raises:
        RunFailed: one of these ended in what is no `Exception`.
    """
    sub, cells = part.sub, session.cells
    assert cells is not None
    if outcome is None or sub is None:
        return _result(part, None, None)
    error: Exception | None = outcome.error
    problem, value = "", None
    if error is None:
        try:
            value, problem = await called(f"response_schema of {sub.name}", sub.answered, outcome.answer.text)
        except RunFailed:
            raise
        except Exception as raised:  # of a validator
            problem = named(raised)
        if problem:
            error = InvalidAnswer(f"the answer of {part.name} does not fit: {problem}")
    tell = sub.bound("on_success", part.input, value) if error is None else sub.bound("on_error", part.input, error)
    if tell is None:
        return _result(part, outcome, value, problem)
    what = f"{'on_success' if error is None else 'on_error'} of {sub.name}"
    try:
        with cells.open(part.key):
            instead = await called(what, tell)
    except RunFailed:
        raise
    except Exception as raised:
        cells.drop(part.key)
        if error is None:
            return PartResult({"error": _in_words(raised)})
        logger.warning("%s raised %s; the error that it was told of counts", what, named(raised), exc_info=raised)
    else:
        if error is not None and isinstance(instead, ToolResult):
            return _instead(instead)
    return _result(part, outcome, value, problem)


def _result(part: Part, outcome: Outcome | None, value: Any, problem: str = "") -> PartResult:
    if outcome is None:
        return _instead(part.instead or ToolResult(""))
    if outcome.error is not None:
        return PartResult({"error": f"{part.name} could not finish: {named(outcome.error)}"})
    text = outcome.answer.text
    if problem:
        return PartResult({"response": text, "validation_error": problem})
    typed = part.sub is not None and part.sub.output is not None
    return PartResult({"response": to_jsonable_python(value) if typed else text})


def _instead(result: ToolResult) -> PartResult:
    """What a function has put in the place of a call, or of its error."""
    text = result.text
    return PartResult({"error": text} if result.is_error else {"response": text}, result)


def _returned(session: Session, asking: Asking, results: Sequence[PartResult], happened: Happened) -> None:
    """The call has its result: it is recorded together with all that was set for it."""
    call = asking.call
    results, changed = _with_changes(session, asking.parts, results)
    made = [session.delegations.pop(part.key) for part in asking.parts if part.key in session.delegations]
    outcomes = [asking.outcomes[part.key] for part in asking.parts if part.key in asking.outcomes]
    answers = [outcome.answer for outcome in outcomes]
    errors = [outcome.error for outcome in outcomes]
    fatal = next((error for error in errors if isinstance(error, FATAL)), None)
    content, is_error = _content(asking, results)
    records = [
        record
        for one, answer, error in zip(made, answers, errors, strict=True)
        for record in one.records((answer,), "" if error is None else named(error))
    ]
    returned = HandoffReturned(
        call.id,
        content,
        is_error,
        fatal=fatal,
        usage=sum((answer.usage for answer in answers), NO_USAGE),
        cost=sum(answer.cost for answer in answers),
        steps=sum(len(answer.steps) for answer in answers),
        handoffs=tuple(records),
        used=session.stopwatch.used(),
        within=tuple(step for answer in answers for step in answer.steps),
        notes=tuple(note for answer in answers for note in answer.notes),
        labels=labels_of_answers(answers) if not any(errors) else None,
    )
    # Their actors have stopped by themselves; what they left goes with the step that this side records now.
    session.dropping.extend(one.run.stream_name for one in made)
    session.changed = changed
    happened(session, returned)
    for one in made:
        session.runtime.register.forget(one.run.id)


def _with_changes(
    session: Session, parts: Sequence[Part], results: Sequence[PartResult]
) -> tuple[list[PartResult], PromptChanged | None]:
    """The results, once what each part has set counts for the conversation, one on top of the other."""
    cells = session.cells
    assert cells is not None
    state: dict[str, Any] = {}
    left: list[PartResult] = []
    for part, result in zip(parts, results, strict=True):
        try:
            changed = cells.take(part.key, session.blot())
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a function of the value before, which others have changed meanwhile
            result = PartResult({"error": f"{part.name} set nothing, since what it sets with raised {named(error)}"})
        else:
            state.update({} if changed is None else changed.state)
        left.append(result)
    return left, PromptChanged(state) if state else None


def _content(asking: Asking, results: Sequence[PartResult]) -> tuple[str, bool]:
    """What the model is told, and whether the call failed."""
    if not asking.several:
        (result,) = results
        if result.alone is not None:
            return result.alone.text, result.is_error
        return (result.said["error"], True) if result.is_error else (_as_text(result.said), False)
    entries = []
    for part, result in zip(asking.parts, results, strict=True):
        outcome = asking.outcomes.get(part.key)
        entry: dict[str, Any] = {"name": part.name, **result.said}
        if not result.is_error:
            entry = {"name": part.name, "response": result.said["response"], "steps": 0}
            if outcome is not None:
                entry["steps"] = len(outcome.answer.steps)
            if "validation_error" in result.said:
                entry["validation_error"] = result.said["validation_error"]
        entries.append(entry)
    return _as_text({"results": entries}), False


def _as_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _refused(why: str) -> ToolResult:
    return ToolResult(why, True)


def _in_words(error: Exception) -> str:
    """A failure as the model reads it."""
    if isinstance(error, ToolError):
        return ToolResult.failure(error).text
    return f"Refused: {said(error)}" if isinstance(error, HandoffError) else named(error)

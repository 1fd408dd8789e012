"""The turn loop of one run as a pure state machine: no I/O, no clock, no actors.

``advance(turn, input, rules)`` returns the next `Turn` and the `Command`s to carry out; what they yield comes back as
the next input. A journal of the inputs is therefore the whole run: folding them again gives the same turn, and
`outstanding` says which commands are still to be carried out.

================  ===================  ==============================================================
phase             input                next phase
================  ===================  ==============================================================
idle, ended       Begin                completing
completing        Completed            acting (calls to carry out), completing (repair), or ended
completing        CompletionFailed     ended
completing        Stopped              ended
completing        Condensed            completing, or ended (the summary spent a limit)
acting            ToolReturned         acting, or completing once every call has its result
acting            HandoffReturned      acting, completing, or ended (a transfer's answer, a fatal refusal)
acting            Decided              acting, or completing (the last call was denied)
completing,       Spent                the same: what a tool has spent counts from the next check of the limits on
acting, held
held              Raised, Decided      acting, completing, held again (it is not enough); ended (no more was given)
all but ended     Interrupted          ended
completing,       Steered              the same: what was said goes in at the next safe boundary, that is before the
acting, held                           next completion, in place of an end, or behind one that cannot be put off
ended             anything else        ended: what comes late is ignored
================  ===================  ==============================================================

Where limits are spent, a turn ends; with `Limits.ask` it is held until a person gives more.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from .....providers.messages import Message, Part, ToolCall
from ...answer import NO_USAGE
from ...errors import (
    AgentError,
    AnswerBlocked,
    InvalidAnswer,
    RunError,
    RunFailed,
    StuckLoop,
    named,
    said,
)
from ..history import call_of, repaired, result_of, with_distinct_ids, with_results
from ..rules import NOTHING, Limits, Rules
from ..steps import (
    COMPLETE,
    AskApproval,
    Begin,
    CallTool,
    Command,
    Commands,
    Completed,
    CompletionFailed,
    Condensed,
    Decided,
    Fail,
    Finish,
    HandOff,
    HandoffReturned,
    Input,
    Interrupted,
    Raised,
    Spent,
    Steered,
    Stopped,
    ToolReturned,
    denial,
)
from .budget import exceeded, raised, reached
from .stuck import circle, warning
from .trail import NotTaken, noted, spoken
from .turn import Phase, Turn, closed

TRANSFERRED = "The conversation was transferred."
ONE_TRANSFER = "Not carried out: a conversation can be transferred to one agent only."


def advance(turn: Turn, happened: Input, rules: Rules) -> tuple[Turn, Commands]:
    """The next state and what to do, after ``happened``.

    Raises:
        TypeError: the input cannot happen in this phase; the shell around the machine has a bug.
    """
    step = _TRANSITIONS.get((turn.phase, type(happened)))
    if step is None:
        if turn.phase == "ended":
            return turn, ()
        raise TypeError(f"{type(happened).__name__} cannot happen while a turn is {turn.phase}")
    return step(turn, happened, rules)


def outstanding(turn: Turn, rules: Rules) -> Commands:
    """The commands that are still to be carried out; what a restarted conversation does first."""
    if turn.phase == "completing":
        return COMPLETE
    if turn.phase == "held":
        return (_ask_for_more(turn, rules),)
    if turn.phase != "acting" or turn.message is None:
        return ()
    commands: list[Command] = []
    transfer: ToolCall | None = None
    for call, result in zip(turn.message.tool_calls, turn.results, strict=True):
        if result is not None or call.name in rules.external:
            continue
        if call.name in rules.transfers:
            transfer = transfer or call
        else:
            commands.append(_next(call, turn, rules))
    # The other calls first: their results are part of the conversation that is handed over.
    if transfer is not None and not commands:
        commands.append(_next(transfer, turn, rules))
    return tuple(commands)


def _next(call: ToolCall, turn: Turn, rules: Rules) -> Command:
    """What is to be done about a call without a result."""
    if call.id not in turn.approved and rules.needs_approval(call):
        return AskApproval(call)
    return _carried_out(call, rules)


def _carried_out(call: ToolCall, rules: Rules) -> Command:
    if call.name in rules.transfers:
        return HandOff(call, True)
    return HandOff(call, False) if call.name in rules.delegates else CallTool(call)


def _begin(turn: Turn, begin: Begin, rules: Rules) -> tuple[Turn, Commands]:
    # Calls left open for the caller are answered by the tool messages it brings, or marked as not run.
    open_calls = () if turn.message is None else (turn.message, *(r for r in turn.results if r is not None))
    history = turn.history.plus(*repaired((*open_calls, *turn.steering, *(begin.messages or ()))))
    turn = Turn("completing", history, start=len(turn.history))
    limits = rules.limits
    if (limits.steps == 0 or limits.tokens == 0) and (over := _over_limit(turn, rules)) is not None:
        return _spent(turn, over, rules)  # nothing may be used at all; without a cent a free model may be asked
    return turn, COMPLETE


def _completed(turn: Turn, happened: Completed, rules: Rules) -> tuple[Turn, Commands]:
    completion = happened.completion
    message = completion.message
    calls = message.tool_calls
    if calls:
        message = with_distinct_ids(message, len(turn.history))
    before = turn.trail
    plain = message is completion.message and not completion.extra and happened.broken is None
    # One tuple for the whole step: this is the hottest transition.
    turn = Turn(
        "acting" if calls else "completing",
        turn.history if calls or not (message.content or message.state) else turn.history.plus(message),
        message if calls else None,
        (None,) * len(calls),
        turn.approved,
        turn.start,
        turn.steps + 1,
        completion.usage if turn.usage is NO_USAGE else turn.usage + completion.usage,
        turn.cost + (completion.cost or 0.0),
        turn.handoffs + happened.handoffs,
        turn.repairs,
        turn.notes + completion.notes,
        turn.steering,
        turn.limits,
        before.plus(happened if plain else noted(happened, message)),
    )
    if happened.broken is not None:
        return _fail(turn, happened.broken)
    if calls:
        if (over := _over_limit(turn, rules)) is not None:
            return _spent(turn, over, rules)
        return _go_on(turn, rules)
    if completion.finish_reason == "pause":
        # Asked again with what came, and nothing between: the vendor goes on where its own tools stopped.
        return _spent(turn, over, rules) if (over := _over_limit(turn, rules)) is not None else (turn, COMPLETE)
    if completion.finish_reason == "content_filter":
        return _fail(turn, AnswerBlocked("the vendor's content filter stopped the answer; rephrase the request"))
    if happened.problem:
        return _repair(turn, happened.problem, rules)
    if turn.steering and _over_limit(turn, rules) is None:
        return _steer(turn), COMPLETE
    return closed(turn), (Finish(spoken(completion, before)),)


def _repair(turn: Turn, wrong: str, rules: Rules) -> tuple[Turn, Commands]:
    if turn.repairs >= rules.repairs:
        return _fail(turn, InvalidAnswer(f"the answer does not fit the requested type: {wrong}"))
    ask = Message("user", f"That answer does not fit the requested form: {wrong}\nAnswer again, with the form only.")
    repaired = turn._replace(phase="completing", history=turn.history.plus(ask), repairs=turn.repairs + 1)
    if (over := _over_limit(turn, rules)) is not None:
        return _spent(_steer(repaired) if _limits(turn, rules).ask else turn, over, rules)
    return _steer(repaired), COMPLETE


def _completion_failed(turn: Turn, happened: CompletionFailed, rules: Rules) -> tuple[Turn, Commands]:
    error = happened.error
    if not isinstance(error, AgentError):
        failed = RunFailed(named(error))
        failed.__cause__ = error
        error = failed
    if happened.usage is not NO_USAGE:
        turn = turn._replace(
            steps=turn.steps + 1,
            usage=turn.usage + happened.usage,
            cost=turn.cost + happened.cost,
            trail=turn.trail.plus(NotTaken(said(error), happened.usage, happened.cost)),
        )
    return _fail(turn, error)


def _condensed(turn: Turn, happened: Condensed, rules: Rules) -> tuple[Turn, Commands]:
    turn = turn._replace(
        usage=turn.usage + happened.usage, cost=turn.cost + happened.cost, notes=turn.notes + happened.notes
    )
    if (happened.cost or happened.usage is not NO_USAGE) and (over := _over_limit(turn, rules)) is not None:
        return _spent(turn, over, rules)
    return turn, COMPLETE


def _tool_returned(turn: Turn, happened: ToolReturned, rules: Rules) -> tuple[Turn, Commands]:
    return _go_on(_answered(turn, happened, happened.content, happened.is_error), rules, fresh=False)


def _spent_by_tool(turn: Turn, happened: Spent, rules: Rules) -> tuple[Turn, Commands]:
    trail = turn.trail.plus(Spent(happened.call_id, happened.amount, usage=happened.usage, within=happened.within))
    turn = turn._replace(
        usage=turn.usage + happened.usage,
        cost=turn.cost + happened.amount,
        handoffs=turn.handoffs + happened.handoffs,
        notes=turn.notes + happened.notes,
        trail=trail,
    )
    return turn, ()


def _handoff_returned(turn: Turn, happened: HandoffReturned, rules: Rules) -> tuple[Turn, Commands]:
    if happened.fatal is None and not happened.final:
        turn = _answered(turn, happened, happened.content, happened.is_error)
        return _go_on(turn, rules, fresh=False)
    turn = _answered(turn, happened, TRANSFERRED if happened.final else happened.content, not happened.final)
    if happened.fatal is not None:
        return _fail(turn, happened.fatal)
    assert turn.message is not None
    history = turn.history.plus(*with_results(turn.message, turn.results, ONE_TRANSFER))
    if happened.content:
        history = history.plus(Message("assistant", happened.content))
    return closed(turn._replace(history=history, message=None, results=())), (Finish(happened.content),)


def _spent(turn: Turn, over: RunError, rules: Rules) -> tuple[Turn, Commands]:
    """A limit is spent: the run ends, or a person is asked for more."""
    if not _limits(turn, rules).ask:
        return _fail(turn, over)
    turn = turn._replace(phase="held")
    return turn, (_ask_for_more(turn, rules),)


def _ask_for_more(turn: Turn, rules: Rules) -> AskApproval:
    limits = _limits(turn, rules)
    used = {"steps": turn.steps, "tokens": turn.usage.total_tokens, "cost": turn.cost}
    limit = next(iter(reached(limits, turn.steps, turn.usage, turn.cost)), "")
    told = {"limit": limit, "used": used.get(limit), "allowed": getattr(limits, limit, None)}
    return AskApproval(ToolCall("", "", json.dumps(told)))


def _raised(turn: Turn, happened: Raised, rules: Rules) -> tuple[Turn, Commands]:
    limits = _limits(turn, rules)
    limits = raised(limits, happened.limits, reached(limits, turn.steps, turn.usage, turn.cost))
    turn = turn._replace(phase="completing" if turn.message is None else "acting", limits=limits)
    if (over := _over_limit(turn, rules)) is not None:
        return _spent(turn, over, rules)
    if turn.message is not None:
        return _go_on(turn, rules)
    return _steer(turn), COMPLETE


def _refused(turn: Turn, happened: Decided, rules: Rules) -> tuple[Turn, Commands]:
    over = _over_limit(turn, rules)
    assert over is not None
    more = f": {happened.reason}" if happened.reason else ""
    return _fail(turn, type(over)(f"{over} (a person was asked for more, and refused{more})"))


def _decided(turn: Turn, happened: Decided, rules: Rules) -> tuple[Turn, Commands]:
    if not happened.approved:
        return _go_on(_answered(turn, happened, denial(happened.reason), True), rules, fresh=False)
    message = turn.message
    assert message is not None
    if happened.arguments is not None:
        # The history tells what really ran.
        calls = tuple(
            replace(call, arguments=happened.arguments) if call.id == happened.call_id else call
            for call in message.tool_calls
        )
        message = replace(message, tool_calls=calls)
    approved = turn.approved | {happened.call_id}
    turn = turn._replace(message=message, approved=approved, trail=turn.trail.plus(happened))
    call = call_of(message, happened.call_id)
    return turn, (_carried_out(call, rules),) if call is not None else ()


def _interrupted(turn: Turn, happened: Interrupted, rules: Rules) -> tuple[Turn, Commands]:
    if happened.usage is not NO_USAGE or happened.cost or happened.handoffs:
        turn = turn._replace(
            usage=turn.usage + happened.usage,
            cost=turn.cost + happened.cost,
            handoffs=turn.handoffs + happened.handoffs,
        )
    return _fail(turn, happened.error)


def _steered(turn: Turn, happened: Steered, rules: Rules) -> tuple[Turn, Commands]:
    return turn._replace(steering=turn.steering + repaired(happened.messages)), ()


def _stopped(turn: Turn, happened: Stopped, rules: Rules) -> tuple[Turn, Commands]:
    """End with what there is: the last that the model has said."""
    said = (one.text for one in reversed(turn.history[turn.start :]) if one.role == "assistant" and one.text)
    turn = turn._replace(notes=(*turn.notes, f"stopped by {happened.by}"))
    return closed(turn), (Finish(next(said, "")),)


def _steer(turn: Turn) -> Turn:
    """The turn with what was said to it meanwhile in its history."""
    return turn._replace(history=turn.history.plus(*turn.steering), steering=())


def _go_on(turn: Turn, rules: Rules, *, fresh: bool = True) -> tuple[Turn, Commands]:
    """What follows when calls are to be carried out (``fresh``), or one more has its result."""
    message = turn.message
    assert message is not None
    if None not in turn.results:
        committed = turn.history.plus(message, *cast("tuple[Message, ...]", turn.results), *turn.steering)
        turn = turn._replace(
            phase="completing",
            history=committed,
            message=None,
            results=(),
            approved=NOTHING,
            steering=(),
        )
        if (over := _over_limit(turn, rules)) is not None:
            return _spent(turn, over, rules)
        return _out_of_circles(turn, rules)
    commands = outstanding(turn, rules)
    # What comes later finds the others under way already; only a transfer waits until it is the last.
    if commands and (fresh or _gives_away(commands[-1], rules)):
        return turn, commands
    if commands:
        return turn, ()
    open_calls = tuple(c for c, r in zip(message.tool_calls, turn.results, strict=True) if r is None)
    return turn._replace(phase="ended"), (Finish(message.text, open_calls),)


def _out_of_circles(turn: Turn, rules: Rules) -> tuple[Turn, Commands]:
    """Go on, unless the run goes in circles: it ends then, and the model is told half way there."""
    repeats = _limits(turn, rules).repeats
    if repeats is None or turn.steps < (half := (repeats + 1) // 2):
        return turn, COMPLETE
    found = circle(turn.trail, repeats, max(2, half))
    if found is None:
        return turn, COMPLETE
    if found.times >= repeats:
        told = f"{found.tool} was called {found.times} times with the same arguments and the same result"
        return _fail(turn, StuckLoop(f"{told}; raise limits.repeats if that is meant"))
    if found.times == half:
        turn = turn._replace(history=turn.history.plus(warning(found)))
    return turn, COMPLETE


def _gives_away(command: Command, rules: Rules) -> bool:
    return isinstance(command, HandOff | AskApproval) and command.call.name in rules.transfers


def _answered(
    turn: Turn, happened: ToolReturned | HandoffReturned | Decided, content: str | tuple[Part, ...], is_error: bool
) -> Turn:
    """The turn with a call's first result (a second one is ignored), and what a handoff used and did."""
    message = turn.message
    assert message is not None
    results = turn.results
    for index, call in enumerate(message.tool_calls):
        if call.id == happened.call_id and results[index] is None:
            labels = None if isinstance(happened, Decided) else happened.labels
            result = result_of(call, content, is_error=is_error, labels=labels)
            results = (*results[:index], result, *results[index + 1 :])
            break
    if not isinstance(happened, HandoffReturned):
        return turn._replace(results=results, trail=turn.trail.plus(happened))
    return turn._replace(
        results=results,
        usage=turn.usage + happened.usage,
        cost=turn.cost + happened.cost,
        handoffs=turn.handoffs + happened.handoffs,
        notes=turn.notes + happened.notes,
        trail=turn.trail.plus(happened if happened.fatal is None else happened._replace(fatal=None)),
    )


def _fail(turn: Turn, error: AgentError) -> tuple[Turn, Commands]:
    return closed(turn), (Fail(error),)


def _limits(turn: Turn, rules: Rules) -> Limits:
    return rules.limits if turn.limits is None else turn.limits


def _over_limit(turn: Turn, rules: Rules) -> RunError | None:
    limits = rules.limits if turn.limits is None else turn.limits
    return exceeded(limits, turn.steps, turn.usage, turn.cost)


_TRANSITIONS: dict[tuple[Phase, type], Callable[[Turn, Any, Rules], tuple[Turn, Commands]]] = {
    ("idle", Begin): _begin,
    ("ended", Begin): _begin,
    ("completing", Completed): _completed,
    ("completing", CompletionFailed): _completion_failed,
    ("completing", Condensed): _condensed,
    ("acting", ToolReturned): _tool_returned,
    ("completing", Spent): _spent_by_tool,
    ("acting", Spent): _spent_by_tool,
    ("held", Spent): _spent_by_tool,
    ("acting", HandoffReturned): _handoff_returned,
    ("acting", Decided): _decided,
    ("held", Decided): _refused,
    ("held", Raised): _raised,
    ("completing", Stopped): _stopped,
    ("completing", Steered): _steered,
    ("acting", Steered): _steered,
    ("held", Steered): _steered,
    ("idle", Interrupted): _interrupted,
    ("completing", Interrupted): _interrupted,
    ("acting", Interrupted): _interrupted,
    ("held", Interrupted): _interrupted,
}

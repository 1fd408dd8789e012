"""Asking the model, and what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from functools import partial
from types import MethodType
from typing import Any

from ......providers.errors import ProviderError
from ......providers.messages import UNLABELLED, Completion, Delta, Labels, Message, Request
from ......providers.shapes import wrong_completion, wrong_delta
from .....core.base.errors import ActorDead, NotAStream, StreamExpected
from .....core.base.events import Outcome
from .....core.base.send_context import active as active_context
from .....core.mail.future import Future
from .....core.refs.ref import ActorRef
from .....observe.spans import Place
from ....answer import Answer
from ....answer_shape import wrong_answer
from ....context import UsageRecord
from ....errors import AgentError, ContextOverflow, RunFailed, SkillFailed, named, said
from ....events import CompletionFinished, CompletionStarted, ReasoningDelta, Retried
from ....handoffs.target import AgentRequest, Responds
from ....turns.confidence import confidence_of
from ....turns.rules import NOTHING
from ....turns.steps import Complete, Completed, CompletionFailed, Interrupted
from ..calling import called, raised_by
from ..planning import planned, stopped
from ..reports import AskAgain, CompletionArrived, PromptRendered, SkillsOpened
from ..session import Happened, Session
from ..showing import shown_history, strategy_of
from ..spending import settle, spent_above
from .condensing import carry_out_change, change_after, refused_as_too_long, wanted_change
from .rendering import prompt_rendered, render_step
from .stream_filter import StreamFilter, show

MAX_RETRIES = 3
"""Times a completion is asked for again because a stream was cut."""

CRASH_WAITS = (0.1, 6.0)
"""Seconds before a completion is asked for again because the model's actor crashed, the first and the second time.

A request on which it always does crashes it three times then, the last time alone: not even asked over and over does
it come to the system's limit of three restarts in 5 seconds, beyond which everything would stop.
"""


def complete(session: Session, command: Complete, happened: Happened) -> None:
    """Ask the model to go on from the history."""
    if session.shown.condensed is not None:
        same, session.shown.condensed = session.shown.condensed == len(session.state.turn.history), None
        if same:  # the step has begun already, and only less is shown
            _ask(session, happened)
            return
    if session.owed:
        settle(session, happened)
    if session.base is not session.runtime.directory.prepared(session.run.agent):
        session.look_at_agent()
    if session.prepared.agent.stop_when is not None and stopped(session, happened):
        return
    agent, skills = session.prepared.agent, session.runtime.skills
    if agent.opened_skills and not skills.have(agent.opened_skills):
        work = skills.open(agent.all_skills)
        session.ask = session.actor.pipe(work, lambda outcome: SkillsOpened(session, outcome))
        return
    _step(session, happened)


def skills_opened(message: SkillsOpened, happened: Happened) -> None:
    """Begin the step for which the agent's skills had to be initialized."""
    session, outcome = message
    session.ask = None
    try:
        outcome.unwrap()
    except SkillFailed as error:
        failed = RunFailed(said(error))
        failed.__cause__ = error
        happened(session, CompletionFailed(failed))
        return
    _step(session, happened)


def _step(session: Session, happened: Happened) -> None:
    session.attempts = 0
    session.shown.begin()
    session.labels.told = UNLABELLED
    session.step_started = session.time()
    session.first = None
    if session.prompt is None:
        _begin(session, happened)
    else:
        render_step(session, happened, _begin)


def step_rendered(message: PromptRendered, happened: Happened) -> None:
    """Ask the model with what an `async` prompt function has defined."""
    prompt_rendered(message, happened, _begin)


def _begin(session: Session, happened: Happened) -> None:
    listened = session.runtime.bus.everything
    if listened or session.spans is not None:
        named = session.prepared.agent.model
        model = named or session.runtime.model_for(session.prepared.name) if isinstance(named, str) else ""
        last = listened and _is_last(session)
        session.emit(CompletionStarted, step=session.state.turn.steps + 1, last=last, model=model)
    _ask(session, happened)


def completion_arrived(message: CompletionArrived, happened: Happened) -> None:
    """Take the model's answer, or ask again."""
    session, outcome = message
    session.ask = None
    session.causes.clear()
    if session.owed:
        settle(session, happened)
    session.interrupted = NOTHING
    try:
        completion = outcome.unwrap() if isinstance(outcome, Outcome) else _looked_at(outcome.result())
    except Exception as error:
        _failed(session, error, happened)
        return
    if session.prompt is not None and (notes := session.prepared.notes):
        completion = replace(completion, notes=(*completion.notes, *notes))
    if session.state.size is not None:
        session.state.size.answered(completion)
    _record(session, completion)
    if session.prepared.described is not UNLABELLED:
        session.labels.told |= session.prepared.described
    labels = session.labels.told
    if labels is not UNLABELLED:
        labels |= completion.message.labels or UNLABELLED
        completion = replace(completion, message=replace(completion.message, labels=labels))
    problem, broken = "", None
    whole = not completion.message.tool_calls and completion.finish_reason != "pause"
    if whole and (session.output is not None or session.run.output is not None):
        problem, broken = session.check(completion.message.text)
    sure = (
        confidence_of(completion, session.value if whole else None)
        if completion.extra or session.value is not None
        else None
    )
    happened(
        session, Completed(completion, problem, broken, session.stopwatch.used(), session.helped, sure, session.offered)
    )


def _looked_at(given: object) -> Completion:
    """What a model's actor answered: anybody may write one.

    Raises:
        RunFailed: it is no Completion, or a wrong one.
    """
    if not isinstance(given, Completion):
        raise RunFailed(f"the model's actor answered {type(given).__name__}, not a Completion")
    if wrong := wrong_completion(given):
        raise RunFailed(f"the model's actor answered a wrong Completion; {wrong}")
    return given


def ask_again(message: AskAgain, happened: Happened) -> None:
    """The pause after a crash of the model's actor is over."""
    message.session.ask = None
    _ask(message.session, happened)


_CHANGING = frozenset({"chunk", "finalize", "request"})
"""Hooks that may make something else of what a model says. Those for ``response`` may, too, unless they judge a stream
while it comes: what they let through of it is what they make of the whole."""


def _is_last(session: Session) -> bool:
    """Whether the text that comes next can be nothing but the answer's."""
    prepared = session.prepared
    offered = prepared.specs or session.run.external
    typed = session.output is not None or session.run.output is not None
    changes = _CHANGING & prepared.hooks.keys() or any(
        not item.guardrail or item.stream is None for item in prepared.hooks.get("response", ())
    )
    above = (one for one in session.upward() if one is not session and one.forward is None)  # who transfer it just now
    return not (offered or typed or changes or any("finalize" in one.prepared.hooks for one in above))


def _ask(session: Session, happened: Happened) -> None:
    runtime = session.runtime
    prepared = session.prepared
    if prepared.answer is not None:
        _ask_itself(session, prepared.answer, happened)
        return
    named = prepared.agent.model
    model = session.model = runtime.model if isinstance(named, str) else named
    session.seen = False
    session.causes.clear()
    if model is None:
        happened(session, CompletionFailed(RunFailed("there is no model: give the agency a pool or a model")))
        return
    if session.run.parent and (over := spent_above(session)) is not None:
        happened(session, Interrupted(over))
        return
    schema = session.output.schema if session.output is not None else None
    history, external = session.state.turn.history, session.run.external
    try:
        strategy = strategy_of(session)
        whole = strategy is None and not session.state.shapes
        shown = history if whole else shown_history(session, strategy)
        usual = runtime.model_for(prepared.name)
        request = prepared.request(history, session.context, external, schema, usual, shown)
        session.shown.request = request
        change = None if strategy is None else wanted_change(session, strategy, request)
        if change is None:
            if session.prompt is not None:
                session.offered = prepared.chosen(request)
            if prepared.agent.prepare_step is not None:
                request = planned(session, request)
        session.max_retries = request.max_retries
    except RunFailed as error:
        happened(session, CompletionFailed(error))
        return
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # instructions are a function of the user's
        happened(session, CompletionFailed(raised_by(f"the instructions of {prepared.name}", error)))
        return
    if change is not None:
        carry_out_change(session, change, happened)
        return
    hooks, spans = prepared.hooks, session.spans
    at = None
    if spans is not None:
        if spans.content:
            spans.asked(request)
        at = spans.at()
    token = active_context.set(session.send_context if at is None else at.sent)
    try:
        if session.run.stream or (hooks and ("request" in hooks or "response" in hooks)):
            _pipe(session, _completion(session, model, request), at)
            return
        ask = session.ask = model.ask(request)
    finally:
        active_context.reset(token)
    ask.when_done(partial(_when_answered, session))


def _pipe(session: Session, work: Coroutine[Any, Any, Completion], at: Place | None) -> None:
    """Have what runs code of the user's make the completion, with its span as the current one."""
    current = None if at is None else at.attach()
    # As a method it has 140 bytes less than a function with a closure, and thousands may be under way.
    session.ask = session.actor.pipe(work, MethodType(CompletionArrived, session))
    if at is not None and current is not None:
        at.writer.detach(current)


def _ask_itself(session: Session, answer: Responds, happened: Happened) -> None:
    """Have an agent answer that does so by itself."""
    session.seen = False
    if session.run.parent and (over := spent_above(session)) is not None:
        happened(session, Interrupted(over))
        return
    run = session.run
    session.labels.told |= Labels(frozenset({f"agent {run.agent}"}))
    request = AgentRequest(session.state.turn.history.as_tuple(), session.context, run.handoff)
    spans = session.spans
    at = None if spans is None else spans.at()
    # So that it knows for whom it works, and whom it may ask.
    token = active_context.set(session.send_context if at is None else at.sent)
    _pipe(session, _answered(session, answer, request), at)
    active_context.reset(token)


async def _answered(session: Session, answer: Responds, request: AgentRequest) -> Completion:
    """What an agent answered by itself, as a completion."""
    name = session.run.agent
    try:
        given = await called(name, answer, request)
    except AgentError as error:
        if error.partial is not None:
            if wrong := wrong_answer(error.partial):
                raise RunFailed(f"{name} raised {named(error)}, whose partial is a wrong Answer; {wrong}") from error
            session.bought = _as_completion(error.partial, name)
            session.helped = error.partial.handoffs
        raise
    if isinstance(given, str):
        given = Answer(given)
    if not isinstance(given, Answer):
        raise RunFailed(f"{name} answered {type(given).__name__}, not an Answer or a text")
    if wrong := wrong_answer(given):
        raise RunFailed(f"{name} answered a wrong Answer; {wrong}")
    session.value = given.value
    session.helped = given.handoffs
    completion = session.bought = _as_completion(given, name)
    after = (await session.hooked("response", completion=completion)).completion
    session.bought = None
    if after is not None and after is not completion:
        completion = replace(after, usage=completion.usage, cost=completion.cost)
    if session.run.stream:
        show(session, Delta(completion.message.text))
    return completion


def _as_completion(answer: Answer, name: str) -> Completion:
    said = Message("assistant", answer.text)
    return Completion(said, "stop", answer.usage, provider=name, cost=answer.cost, notes=answer.notes)


def _when_answered(session: Session, ask: Future[Completion]) -> None:
    if not ask.cancelled():
        session.send(CompletionArrived(session, ask))


async def _completion(session: Session, model: ActorRef[Any], request: Request) -> Completion:
    """A completion as a stream, or with hooks around it."""
    before = await session.hooked("request", model_request=request)
    request = before.model_request or request
    session.labels.told |= before.labels
    stream: StreamFilter | None = None
    if session.run.stream:
        stream = StreamFilter(session)
        completion = await _streamed(session, model, request, stream)
    else:
        completion = _looked_at(await model.ask(request))
    session.bought = completion
    after = (await session.hooked("response", model_request=request, completion=completion)).completion
    session.bought = None
    changed = after is not None and after is not completion
    if after is not None and changed:  # a hook may change what is said, not its price
        completion = replace(after, usage=completion.usage, cost=completion.cost)
    if stream is not None:
        stream.passed(completion, changed=changed)
    return completion


async def _streamed(session: Session, model: ActorRef[Any], request: Request, shown: StreamFilter) -> Completion:
    """A completion whose pieces are shown as far as they may be."""
    completion: Completion | None = None
    chunk_hooks = "chunk" in session.prepared.hooks
    restarts = 0
    async with model.stream(request) as deltas:
        async for piece in deltas:
            if wrong := wrong_delta(piece):
                raise RunFailed(f"the model's actor streamed a wrong Delta; {wrong}")
            delta: Delta | None = piece
            completion = piece.completion or completion
            if piece.restart:
                restarts += 1
                reason = "the answer broke off before its text; it begins anew"
                session.emit(Retried, reason=reason, attempt=session.attempts + restarts)
                shown.begin()
            if chunk_hooks:
                delta = (await session.hooked("chunk", chunk=piece)).chunk
            if delta is None:
                continue
            if delta.text and not session.seen:
                session.seen = True
                session.first = session.time() - session.step_started
            await shown.take(delta)
    await shown.end()
    if completion is None:
        raise RunFailed("the model's stream ended without a completion: its last Delta has it, Delta(completion=…)")
    return completion


def _one_way_only(error: NotAStream | StreamExpected) -> RunFailed:
    """What to say of a model's actor that somebody has written without thinking of streams, or of whole answers."""
    asked = "streamed request with pieces (Delta)" if isinstance(error, NotAStream) else "request with a Completion"
    told = RunFailed(f"the model did not answer a {asked}: derive the model's actor from Provider; {named(error)}")
    told.__cause__ = error
    return told


def _failed(session: Session, error: Exception, happened: Happened) -> None:
    model = session.model
    if isinstance(error, NotAStream | StreamExpected):
        error = _one_way_only(error)
    crashed = isinstance(error, ActorDead) and model is not None and model.is_alive()
    cut_short = isinstance(error, ProviderError) and error.retryable and session.seen
    most = len(CRASH_WAITS) if crashed else MAX_RETRIES
    if session.max_retries is not None:
        most = min(most, session.max_retries)
    if (crashed or cut_short) and session.attempts < most:
        session.attempts += 1
        session.emit(Retried, reason=named(error), attempt=session.attempts)
        if crashed:
            session.ask = session.actor.pipe(
                asyncio.sleep(CRASH_WAITS[session.attempts - 1]), lambda _: AskAgain(session)
            )
        else:
            _ask(session, happened)
        return
    refused, session.bought = session.bought, None
    if refused is None and not session.seen and (long := refused_as_too_long(error)) is not None:
        try:
            change = change_after(session, long)
        except ContextOverflow as overflow:
            error = overflow
        else:
            carry_out_change(session, change, happened)
            return
    if refused is None:
        happened(session, CompletionFailed(error))
        return
    _record(session, refused)
    happened(session, CompletionFailed(error, refused.usage, refused.cost or 0.0))


def _record(session: Session, completion: Completion) -> None:
    """Record what a completion used, and tell of it."""
    session.context.usage.append(
        UsageRecord(session.run.agent, completion.model, completion.provider, completion.usage, completion.cost)
    )
    if not session.runtime.bus.active:
        return
    if session.spans is not None:
        session.spans.completion = completion
    if completion.message.reasoning and not session.run.stream:
        session.emit(ReasoningDelta, text=completion.message.reasoning)
    session.emit(
        CompletionFinished,
        step=session.state.turn.steps + 1,
        usage=completion.usage,
        cost=completion.cost,
        seconds=session.time() - session.step_started,
        model=completion.model,
        provider=completion.provider,
        notes=completion.notes,
        first=session.first,
    )

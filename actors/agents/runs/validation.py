"""Making a request of what a caller gives, with everything checked that can be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, TypedDict

from ....providers.messages import UNLABELLED, Message, ToolSpec
from ...core.base.errors import SpecError
from ...core.base.send_context import current_send_context
from ...core.base.spec import check_name
from ...observe.spans import place
from ..agent import CONTEXT, Agent
from ..caller import NOBODY, Caller
from ..context import NO_DEPS, request_context
from ..errors import AgencyClosed, DefinitionError, HandoffRefused, LabelRefused
from ..handoffs.handoff import Handoff, wrong_handoff
from ..handoffs.limits import check_chain, count_handoff
from ..memory.context.strategy import ContextStrategy
from ..output import Output
from ..turns.arrivals import WHEN_BUSY
from ..turns.loop.budget import narrowed
from ..turns.outcome import no_scope
from ..turns.questions import Question, as_messages, as_tools, check_question
from ..turns.records import RunRequest, WhenBusy
from ..turns.rules import Limits, check_limits
from ..wishes import define
from .runtime.runtime import AgencyRuntime


class RunOptions(TypedDict, total=False):
    """What `Agency.run` takes besides the question, the agent and the type of the answer; see there."""

    conversation: str | None
    user: str
    caller: Caller | None
    metadata: Mapping[str, Any] | None
    limits: Limits | None
    tools: Sequence[ToolSpec | Mapping[str, Any]]
    run_id: str | None
    when_busy: WhenBusy
    deps: Any
    context: ContextStrategy | None


class Asked(NamedTuple):
    """What `Agency.run` is asked, as it was given; see there."""

    question: Question
    agent: Agent | str | None = None
    conversation: str | None = None
    user: str = ""
    caller: Caller | None = None
    metadata: Mapping[str, Any] | None = None
    limits: Limits | None = None
    output_type: Any = None
    tools: Sequence[ToolSpec | Mapping[str, Any]] = ()
    run_id: str | None = None
    stream: bool = False
    when_busy: WhenBusy = "queue"
    background: bool = False
    deps: Any = None
    context: ContextStrategy | None = None


MOST_ID: Final = 500
"""Characters of the id of a conversation or a run: it is a key in journals, and stands in headers and messages."""

_OPTIONS: Final = frozenset(RunOptions.__annotations__)


def asked_for(
    question: Question,
    agent: Agent | str | None,
    output_type: Any,
    options: RunOptions,
    *,
    stream: bool = False,
    background: bool = False,
) -> Asked:
    """The arguments of `Agency.run` together.

    Raises:
        TypeError: there is no such option.
    """
    if not options.keys() <= _OPTIONS:
        check_options("run", options, "agent", "output_type")
    return Asked(question, agent, output_type=output_type, stream=stream, background=background, **options)


def check_options(method: str, options: Mapping[str, Any], *more: str, without: str = "") -> None:
    """Look at the names of a run's options.

    Args:
        method: what was called.
        options: what it was given.
        more: what it takes besides.
        without: what it does not take.

    Raises:
        TypeError: there is no such option.
    """
    there = {*_OPTIONS, *more} - {without}
    for name in options:
        if name not in there:
            raise TypeError(f"{method} has no option {name!r}; there are {', '.join(sorted(there))}")


def new_run(runtime: AgencyRuntime, asked: Asked) -> tuple[RunRequest, Output | None, Any, ContextStrategy | None]:
    """The request that the arguments of `Agency.run` describe, and what goes with it that no journal keeps: the type
    that its answer must fit, what its tools depend on, and what its model is shown.

    Raises:
        AgencyClosed: no runs are accepted.
        UnknownAgent: nobody has that name.
        DefinitionError: an argument is of the wrong shape or type.
        NotAllowed: the caller has no scope for the agent.
    """
    register, directory = runtime.register, runtime.directory
    if register.closed:
        raise AgencyClosed(f"the agency {register.closed}")
    name = directory.name_of(asked.agent)
    caller = _caller(asked.user, asked.caller)
    if not directory.may_ask(name, caller):
        raise no_scope(name, directory.agents[name].scope)
    conversation, key = asked.conversation, asked.run_id
    if conversation is not None:
        check_id(conversation, "conversation")
    if key is not None:
        check_id(key, "run")
    define("run", context=(asked.context, CONTEXT))
    if asked.when_busy not in WHEN_BUSY:
        raise DefinitionError(f"when_busy is one of {', '.join(WHEN_BUSY)}, not {asked.when_busy!r:.80}")
    limits = directory.agents[name].limits
    if asked.limits is not None:
        limits = asked.limits
        check_limits(limits)
    deadline = current_send_context().deadline if not asked.background else None  # that one outlives its caller
    if deadline is not None:
        left = max(0.0, deadline - asyncio.get_running_loop().time())
        limits = replace(limits, seconds=left if limits.seconds is None else min(left, limits.seconds))
    output = None
    if asked.output_type is not None:
        try:
            output = Output(asked.output_type)
        except Exception as error:
            raise DefinitionError(
                f"output_type {asked.output_type!r:.80} is no type that pydantic knows: {error!s:.300}"
            ) from error
    messages: tuple[Message, ...] = ()  # a prompt function may say all that is asked
    if directory.agents[name].prompt_spec is None or asked.question not in ((), []):
        messages = as_messages(asked.question)
        check_question(messages, alone=conversation is None)
    run_id = key if key is not None else runtime.new_id()
    return (
        RunRequest(
            run_id,
            run_id,
            name,
            conversation if conversation is not None else run_id,
            messages,
            (name,),
            (),
            caller,
            _metadata(asked.metadata),
            limits,
            asked.stream,
            _tools(runtime, name, asked.tools),
            None,
            conversation is None,
            conversation is None,
            "",
            "",
            key is not None or asked.background,
            output.recorded if output is not None else None,
            asked.when_busy,
            time.time(),
            asked.background,
            trace=runtime.tracing.writer.caller() if runtime.tracing is not None else "",
        ),
        output,
        NO_DEPS if asked.deps is None else asked.deps,
        asked.context,
    )


def handed_over(runtime: AgencyRuntime, agent: str, handoff: Handoff) -> RunRequest:
    """The request that a handoff of an actor of one's own makes of an agent.

    An actor that works for a run (a tool asked it) hands on for the same caller, at the end of that run's chain, with
    what is left of what that run may use.

    Args:
        runtime: of the agency.
        agent: whose actor was asked.
        handoff: what it was asked.

    Raises:
        AgencyClosed: no runs are accepted.
        HandoffRefused: it is for somebody else, is forbidden, has no task, or is no task but a transfer.
        HandoffError: it goes too deep or in circles, or the run has handed off too often.
        LabelRefused: it is for another machine, where what the run was told may not go.
    """
    register = runtime.register
    if register.closed:
        raise AgencyClosed(f"the agency {register.closed}")
    _check_handoff(handoff, agent)
    own = runtime.directory.agents[agent].limits
    run_id = runtime.new_id()
    messages = (handoff.as_message(),)
    now = time.time()
    context = request_context()
    caller = context.caller if context is not None else NOBODY
    runtime.directory.check_permitted(handoff.sender, agent, caller)
    entry = register.get(context.run) if context is not None else None
    at = place()
    trace = "" if at is None else at.header()
    if entry is None:
        chain = (handoff.sender, agent)
        made = RunRequest(run_id, run_id, agent, run_id, messages, chain, (), caller, limits=own)
        return made._replace(handoff=handoff, once=True, fleeting=True, asked_at=now, trace=trace)
    asking = entry.run
    check_chain(asking.chain, asking.tasks, handoff, runtime.handoff_limits)
    count_handoff(runtime.handoffs, asking.root, runtime.handoff_limits)
    session = entry.session
    if session is not None and (why := session.labels.why_not_to(session.prepared, agent)):
        raise LabelRefused(why)
    nested = asking.nested(
        run_id,
        agent,
        messages,
        chain=(*asking.chain, agent),
        handoff=handoff,
        limits=narrowed(own, session.left() if session is not None else None),
        asked_at=now,
        labels=session.labels.joined() if session is not None else UNLABELLED,
        trace=trace,
    )
    return nested._replace(tasks=(*asking.tasks, f"{agent}: {handoff.task}"))


def _check_handoff(handoff: Handoff, agent: str) -> None:
    if handoff.target != agent:
        raise HandoffRefused(f"a handoff to {handoff.target!r:.80} was sent to the actor of {agent}")
    if handoff.kind != "delegate":
        raise HandoffRefused(f"an actor has no conversation that {agent} could take over: the kind is delegate")
    for what, given in (("task", handoff.task), ("sender", handoff.sender)):
        if not isinstance(given, str) or not given.strip():
            raise HandoffRefused(f"a handoff to {agent} needs a {what}, as a text")
    if wrong := wrong_handoff(handoff):
        raise HandoffRefused(f"a handoff to {agent} is wrong; {wrong}")


def check_id(given: object, what: str, error: type[DefinitionError] = DefinitionError) -> None:
    """Raises ``error`` where a text cannot be the id of a conversation or a run.

    Raises:
        DefinitionError: it is no text.
    """
    check_type(given, str, f"the id of a {what}", "a text")
    try:
        check_name(given)
    except SpecError:
        rule = "a text, not empty, that can be written in a line, without '/'"
        raise error(f"{given!r:.200} cannot name a {what}: use {rule}") from None
    if given in (".", ".."):
        raise error(f"{given!r} cannot name a {what}: in a URL's path it is a step to another one")
    if isinstance(given, str) and len(given) > MOST_ID:
        raise error(f"{given!r:.60}… cannot name a {what}: an id has up to {MOST_ID} characters")


def check_type(given: object, kind: Any, what: str, wanted: str) -> None:
    """Raises `DefinitionError` where an argument is of another type. A bool is no number."""
    if not isinstance(given, kind) or (isinstance(given, bool) and kind is int):
        raise DefinitionError(f"{what} is {wanted}, not {given!r:.80}")


def _caller(user: object, caller: object) -> Caller:
    if not isinstance(user, str):
        raise DefinitionError(f"user is a text, not {user!r:.80}")
    if caller is None:
        return Caller(user) if user else NOBODY
    if not isinstance(caller, Caller):
        raise DefinitionError(f"caller is a Caller(user, tenant, scopes), not {caller!r:.80}")
    if user and user != caller.user:
        raise DefinitionError(f"user is {user!r:.80} and the caller's user {caller.user!r:.80}: give one of them")
    return caller


def _metadata(metadata: object) -> Mapping[str, Any]:
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping) or not all(isinstance(key, str) for key in metadata):
        raise DefinitionError(f"metadata is a mapping whose keys are texts, not {type(metadata).__name__}")
    return metadata


def _tools(runtime: AgencyRuntime, agent: str, given: object) -> tuple[ToolSpec, ...]:
    tools = as_tools(given)
    if tools:
        own = {spec.name for spec in runtime.directory.prepared(agent).specs}
        for tool in tools:
            if tool.name in own:
                raise DefinitionError(
                    f"{agent} has a tool or handoff called {tool.name!r} itself; name yours otherwise"
                )
    return tools

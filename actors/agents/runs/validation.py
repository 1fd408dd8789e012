"""Making a request of what a caller gives, with everything checked that can be."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from ....providers.messages import Message, ToolSpec
from ...core.base.errors import SpecError
from ...core.base.scope import current_scope
from ...core.base.spec import check_name
from ..agent import Agent
from ..errors import AgencyClosed, DefinitionError, UnknownConversation
from ..output import Output
from ..turns.records import Run
from ..turns.rules import Limits
from .runtime import AgencyRuntime

Question: TypeAlias = "str | Message | Sequence[Message]"


def new_run(
    runtime: AgencyRuntime,
    question: Question,
    agent: Agent | str | None,
    conversation: str | None,
    user: str,
    values: Mapping[str, Any] | None,
    limits: Limits | None,
    output_type: Any,
    tools: Sequence[ToolSpec],
    *,
    stream: bool,
) -> Run:
    """The request that the arguments of `Agency.run` describe.

    Raises:
        AgencyClosed: no runs are accepted.
        UnknownAgent: nobody has that name.
        UnknownConversation: the conversation's id cannot be one.
        DefinitionError: there is nothing in the question.
    """
    register, directory = runtime.register, runtime.directory
    if register.closed:
        raise AgencyClosed(f"the agency {register.closed}")
    name = directory.name_of(agent)
    try:
        check_name(conversation)
    except SpecError as error:
        raise UnknownConversation(f"{conversation!r:.200} cannot name a conversation: {error}") from None
    register.count += 1
    session = runtime.journal.session
    run_id = f"r{session}-{register.count}" if session else f"r{register.count}"
    deadline = current_scope().deadline
    if deadline is not None:
        left = max(0.0, deadline - asyncio.get_running_loop().time())
        own = limits or directory.agents[name].limits
        seconds = left if own.seconds is None else min(left, own.seconds)
        limits = Limits(own.steps, own.tokens, own.cost, seconds)
    if output_type is not None:
        register.outputs[run_id] = Output(output_type)
    return Run(
        run_id,
        run_id,
        name,
        conversation if conversation is not None else run_id,
        as_messages(question),
        (name,),
        (),
        user,
        values or {},
        limits,
        stream,
        tuple(tools),
        None,
        conversation is None,
        conversation is None,
    )


def as_messages(question: Question) -> tuple[Message, ...]:
    """A question as messages.

    Raises:
        DefinitionError: there is nothing in it.
    """
    if isinstance(question, str):
        return (Message("user", question),)
    messages = (question,) if isinstance(question, Message) else tuple(question)
    if not messages:
        raise DefinitionError("there is nothing to ask: no message was given")
    return messages

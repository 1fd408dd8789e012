"""A handoff as an agent offers it to its model: a tool of its own."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, cast, overload

from ....providers.checks import FLAG, LIST, MAYBE_FUNCTION, NAME, TEXT, TOOL_NAME, Wish
from ....providers.messages import Message, ToolSpec
from ....tools.errors import ToolDefinitionError
from ....tools.scopes import ALL, EVERYBODY, Scopes, as_scopes
from ....tools.signatures.functions import FunctionSignature
from ..answer import HandoffKind
from ..errors import DefinitionError
from ..wishes import AGENT_NAME, define
from .handoff import Handoff
from .target import ModelTarget, Pipeline, Target

HistoryFilter: TypeAlias = Callable[[tuple[Message, ...]], Sequence[Message]]


@dataclass(frozen=True, slots=True)
class HandoffTool:
    """A handoff as an agent offers it to its model; made by `handoff`."""

    target: str
    agent: Target | None
    kind: HandoffKind
    name: str
    description: str
    on_handoff: Callable[[Handoff], Any] | None = None
    input_type: Any = None
    history_filter: HistoryFilter | None = None
    stages: tuple[Target, ...] = ()
    summary: bool | str = False
    chooses: FunctionSignature | None = None
    scope: frozenset[str] = EVERYBODY

    @property
    def same_conversation(self) -> bool:
        """Whether a delegate sees the conversation."""
        return isinstance(self.agent, ModelTarget)

    @property
    def spec(self) -> ToolSpec:
        """What the model is told."""
        if self.chooses is not None:
            return ToolSpec(self.name, self.description, self.chooses.parameters)
        task = "what the agent should do; it sees nothing else" if self.kind == "delegate" else "why it takes over"
        properties: dict[str, Any] = {"message": {"type": "string", "description": task}}
        required = ["message"]
        definitions: dict[str, Any] = {}
        if self.kind == "delegate":
            properties["context"] = {"type": "string", "description": "what the agent should know besides"}
        if self.input_type is not None:
            from pydantic import TypeAdapter

            schema = TypeAdapter(self.input_type).json_schema()
            definitions = schema.pop("$defs", {})  # a reference is resolved from the outermost schema
            properties["input"] = schema
            required.append("input")
        parameters = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        if definitions:
            parameters["$defs"] = definitions
        return ToolSpec(self.name, self.description, parameters)


Chooses: TypeAlias = "Callable[..., Target | Handoff | str | Awaitable[Target | Handoff | str]]"


@overload
def handoff(
    target: Target | str | Chooses,
    *,
    kind: HandoffKind = ...,
    name: str = ...,
    description: str = ...,
    on_handoff: Callable[[Handoff], Any] | None = ...,
    input_type: Any = ...,
    history_filter: HistoryFilter | None = ...,
    summary: bool | str = ...,
    scope: Scopes = ...,
) -> HandoffTool: ...


@overload
def handoff(
    *,
    kind: HandoffKind = ...,
    name: str = ...,
    description: str = ...,
    history_filter: HistoryFilter | None = ...,
    scope: Scopes = ...,
) -> Callable[[Chooses], HandoffTool]: ...


def handoff(
    target: Target | str | Chooses | None = None,
    *,
    kind: HandoffKind = "delegate",
    name: str = "",
    description: str = "",
    on_handoff: Callable[[Handoff], Any] | None = None,
    input_type: Any = None,
    history_filter: HistoryFilter | None = None,
    summary: bool | str = False,
    scope: Scopes = ALL,
) -> HandoffTool | Callable[[Chooses], HandoffTool]:
    """Offer an agent's model a handoff as a tool of its own.

    Args:
        target: an agent or its name, a `Pipeline`, a `Responder` (`RemoteAgent`, `A2AAgent`, `WebhookTarget`,
            `FanOutTarget`, one of one's own), or the address ``https://…/v1`` of a remote agent, or
            ``a2a+https://…`` of one that speaks Agent2Agent (`A2AAgent`); it is called after its host.
            Another model is an agent with nothing but a name and a model.
        kind: ``delegate``: the answer comes back to the sender; ``transfer``: the target takes the conversation over.
        name: the tool's name; ``delegate_to_…`` or ``transfer_to_…`` by default.
        description: when to use it; by default the target's description.
        on_handoff: called with the `Handoff` before it is sent; may be async; raising refuses the handoff.
        input_type: a type the model must fill in besides the message; checked with pydantic.
        history_filter: chooses what of the conversation the target sees. By default a delegate sees nothing but its
            task, and one that takes the conversation over all of it but earlier handoffs, so that it does not grow
            from hop to hop.
        summary: whether a model says first what was done so far: the agent's own (True), or the one of that name. A
            delegate is told it with its task; who takes a conversation over sees it, and what was asked in this run, in
            the place of the conversation.
        scope: for whose runs it is offered, as one scope or several, of which one suffices; see `Agent`.

    Raises:
        DefinitionError: an argument is of the wrong type, the kind is unknown, the scope is none, or the target cannot
            take a conversation over.
    """
    if kind not in ("delegate", "transfer"):
        raise DefinitionError(f"handoff kind {kind!r}: use delegate or transfer")
    define(
        _whose(target),
        name=(name, TEXT if name == "" else TOOL_NAME),
        description=(description, TEXT),
        on_handoff=(on_handoff, MAYBE_FUNCTION),
        history_filter=(history_filter, MAYBE_FUNCTION),
        summary=(summary, _SUMMARY),
    )
    if target is None:
        return lambda function: _chosen_by(function, kind, name, description, history_filter, scope)
    if inspect.isfunction(target) or inspect.ismethod(target):
        if on_handoff is not None or input_type is not None or summary is not False:
            raise DefinitionError(f"handoff {target.__name__}: a function looks at its call itself; it takes no more")
        return _chosen_by(target, kind, name, description, history_filter, scope)
    if callable(target) or not is_target(target):
        raise DefinitionError(f"a handoff is to an agent or by a function, not to {target!r:.80}")
    if isinstance(target, str) and "://" in target:
        target = _target_at(target)
    target_name = target if isinstance(target, str) else target.name
    about = description or ("" if isinstance(target, str) else target.description)
    define("a handoff", target=(target_name, AGENT_NAME))
    verb = "Hand a task to" if kind == "delegate" else "Give the conversation to"
    made = HandoffTool(
        target_name,
        None,
        kind,
        name or f"{kind}_to_{target_name}",
        f"{verb} {target_name}. {about}".strip(),
        on_handoff,
        input_type,
        history_filter,
        summary=summary,
        scope=as_scopes(scope, f"the handoff to {target_name}", DefinitionError),
    )
    if isinstance(target, str):
        return made
    if not isinstance(target, Pipeline):
        return replace(made, agent=target)
    if kind == "transfer":
        raise DefinitionError(f"a conversation is transferred to an agent; {target_name} can only be delegated to")
    return replace(made, stages=target.stages)


def _chosen_by(
    function: Chooses,
    kind: HandoffKind,
    name: str,
    description: str,
    history_filter: HistoryFilter | None,
    scope: Scopes,
) -> HandoffTool:
    """A handoff whose target a function chooses.

    Raises:
        DefinitionError: it is no function, or its parameters cannot be described.
    """
    if not (inspect.isfunction(function) or inspect.ismethod(function)):
        raise DefinitionError(f"@handoff is for functions, not for {function!r:.80}")
    try:
        signature = FunctionSignature(function)
        signature.parameters  # noqa: B018
    except ToolDefinitionError as error:
        raise DefinitionError(f"handoff {function.__name__}: {error}") from error
    about, named = description or signature.documentation.description, name or function.__name__
    if not TOOL_NAME.fits(named):
        raise DefinitionError(f"handoff {named}: give it a name, @handoff(name=…), of {TOOL_NAME.text}")
    scopes = as_scopes(scope, f"the handoff {named}", DefinitionError)
    made = HandoffTool("", None, kind, named, about, history_filter=history_filter, scope=scopes)
    return replace(made, chooses=signature)


def _whose(target: object) -> str:
    """What a handoff is called in errors; an address is not shown."""
    name = target if isinstance(target, str) else getattr(target, "name", None)
    return f"a handoff to {name}" if AGENT_NAME.fits(name) else "a handoff"


def is_target(given: object) -> bool:
    """Whether something may be handed to, as far as can be seen without an agency: it has a name, or is one."""
    return isinstance(given, str) or (
        not isinstance(given, type)
        and isinstance(getattr(given, "name", None), str)
        and isinstance(getattr(given, "description", None), str)
    )


def as_handoffs(given: object, whose: str) -> tuple[Target | str | HandoffTool, ...]:
    """Several agents, names and handoffs.

    Raises:
        DefinitionError: they are not several, or one of them is something else.
    """
    define(whose, handoffs=(given, LIST))
    items = tuple(cast("Iterable[Any]", given))
    for item in items:
        if not is_target(item):
            raise DefinitionError(
                f"{whose}: handoffs are agents, their names, and what handoff(…) makes, not {item!r:.80}"
            )
    return items


_SUMMARY = Wish("True, False, or the name of a model", lambda given: FLAG.fits(given) or NAME.fits(given))


def summarizer_of(sender: str, model: bool | str) -> str:
    """The name of the agent that makes summaries for a sender.

    Args:
        sender: who hands off.
        model: by the model of that name, or by the sender's own.
    """
    of_model = "" if isinstance(model, bool) else re.sub(r"[^A-Za-z0-9_-]+", "_", f"-{model.rpartition('/')[2]}")
    return f"{sender}-summary{of_model}"


def _target_at(url: str) -> Target:
    """The agent at an address, of whichever protocol. Few need them: they are not imported at the top."""
    if url.startswith("a2a+"):
        from .a2a import a2a_at

        return a2a_at(url)
    from .remote import remote_at

    return remote_at(url)

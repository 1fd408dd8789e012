"""Handoffs: what one agent asks of another, how the model sees it, and how deep it may go."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

from ...providers.messages import Message, ToolCall, ToolSpec
from .answer import Answer, HandoffKind
from .errors import DefinitionError, HandoffCycle, HandoffDepth, HandoffRefused

SEND_MESSAGE = "SendMessage"
HistoryFilter: TypeAlias = Callable[[tuple[Message, ...]], Sequence[Message]]


@dataclass(frozen=True, slots=True)
class Handoff:
    """The message one agent sends another; its answer comes back through the run's reply future.

    Args:
        sender, target: the agents' names.
        task: what the target is asked to do.
        context: what it should know.
        summary: what has been done so far.
        input: structured input, where the handoff declares a type for it.
        kind: whether the answer comes back, or the target takes the conversation over.
    """

    sender: str
    target: str
    task: str
    context: str = ""
    summary: str = ""
    input: Any = None
    kind: HandoffKind = "delegate"

    def as_message(self) -> Message:
        """What the target's model reads."""
        parts = [self.task]
        if self.summary:
            parts.append(f"What was done so far:\n{self.summary}")
        if self.context:
            parts.append(f"Context:\n{self.context}")
        if self.input is not None:
            parts.append(f"Input:\n{_as_json(self.input)}")
        return Message("user", "\n\n".join(part for part in parts if part))


class Target(Protocol):
    """Who or what a task may be handed to: an `Agent`, a `Pipeline`, or something `Outside`."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class HandoffTo:
    """A handoff as an agent offers it to its model; made by `handoff`."""

    target: str
    agent: Target | None
    kind: HandoffKind
    name: str
    description: str
    on_handoff: Callable[[Handoff], Any] | None = None
    input_type: Any = None
    history_filter: HistoryFilter | None = None
    stages: tuple[str, ...] = ()
    agents: tuple[Target, ...] = ()
    work: Callable[[Handoff], Awaitable[Answer]] | None = None

    @property
    def spec(self) -> ToolSpec:
        """What the model is told."""
        task = "what the agent should do; it sees nothing else" if self.kind == "delegate" else "why it takes over"
        properties: dict[str, Any] = {"message": {"type": "string", "description": task}}
        required = ["message"]
        if self.kind == "delegate":
            properties["context"] = {"type": "string", "description": "what the agent should know besides"}
        if self.input_type is not None:
            from pydantic import TypeAdapter

            properties["input"] = TypeAdapter(self.input_type).json_schema()
            required.append("input")
        return ToolSpec(
            self.name,
            self.description,
            {"type": "object", "properties": properties, "required": required, "additionalProperties": False},
        )


class Pipeline:
    """A target of several agents: each is given the answer of the one before, the last one's answer comes back.

    Args:
        name: as the model knows it.
        stages: the agents, in order; at least one.
        description: when to use it.
    """

    def __init__(self, name: str, *stages: Target, description: str = "") -> None:
        if not stages:
            raise DefinitionError(f"pipeline {name!r} needs at least one agent")
        self.name = name
        self.stages = stages
        self.description = description or f"A pipeline: {', '.join(agent.name for agent in stages)}."


class Outside(Target, Protocol):
    """A target that is no agent of this agency: it is given the handoff and returns the answer."""

    async def answer(self, handoff: Handoff) -> Answer:
        """Do the task. Raises an `AgentError`."""
        ...


def handoff(
    target: Target | str,
    *,
    kind: HandoffKind = "delegate",
    name: str = "",
    description: str = "",
    on_handoff: Callable[[Handoff], Any] | None = None,
    input_type: Any = None,
    history_filter: HistoryFilter | None = None,
) -> HandoffTo:
    """Offer an agent's model a handoff as a tool of its own.

    Args:
        target: an agent or its name, a `Pipeline`, or something `Outside` (`RemoteAgent`). Another model is an agent
            with nothing but a name and a model.
        kind: ``delegate``: the answer comes back to the sender; ``transfer``: the target takes the conversation over.
        name: the tool's name; ``delegate_to_…`` or ``transfer_to_…`` by default.
        description: when to use it; by default the target's description.
        on_handoff: called with the `Handoff` before it is sent; may be async; raising refuses the handoff.
        input_type: a type the model must fill in besides the message; checked with pydantic.
        history_filter: for transfers: chooses what of the conversation the target sees. By default all of it but
            earlier handoffs, so that it does not grow from hop to hop.

    Raises:
        DefinitionError: the kind is unknown, or the target cannot take a conversation over.
    """
    if kind not in ("delegate", "transfer"):
        raise DefinitionError(f"handoff kind {kind!r}: use delegate or transfer")
    target_name = target if isinstance(target, str) else target.name
    about = description or ("" if isinstance(target, str) else target.description)
    verb = "Hand a task to" if kind == "delegate" else "Give the conversation to"
    made = HandoffTo(
        target_name,
        None,
        kind,
        name or f"{kind}_to_{target_name}",
        f"{verb} {target_name}. {about}".strip(),
        on_handoff,
        input_type,
        history_filter,
    )
    if isinstance(target, str):
        return made
    work = getattr(target, "answer", None)
    if not isinstance(target, Pipeline) and work is None:
        return replace(made, agent=target)
    if kind == "transfer":
        raise DefinitionError(f"a conversation is transferred to an agent; {target_name} can only be delegated to")
    if isinstance(target, Pipeline):
        return replace(made, stages=tuple(agent.name for agent in target.stages), agents=target.stages)
    return replace(made, work=work)


def send_message_spec(reachable: Iterable[tuple[str, str]]) -> ToolSpec:
    """The tool by which a model delegates along the flows.

    Args:
        reachable: names and descriptions of the agents it may reach.
    """
    agents = list(reachable)
    listed = "; ".join(f"{name}: {about}" if about else name for name, about in agents)
    return ToolSpec(
        SEND_MESSAGE,
        f"Hand a task to another agent and get its answer. Agents: {listed}.",
        {
            "type": "object",
            "properties": {
                "target_agent": {"type": "string", "enum": [name for name, _ in agents], "description": "who"},
                "message": {"type": "string", "description": "the task; the agent sees nothing else"},
                "context": {"type": "string", "description": "what the agent should know besides"},
            },
            "required": ["target_agent", "message"],
            "additionalProperties": False,
        },
    )


def read_call(call: ToolCall, sender: str, declared: Mapping[str, HandoffTo], reachable: Sequence[str]) -> Handoff:
    """The handoff that a model's call asks for.

    Raises:
        HandoffRefused: the flows do not allow it, or the arguments do not fit; the text says what would be right.
    """
    try:
        arguments = call.parsed()
    except ValueError as error:
        raise HandoffRefused(f"the arguments of {call.name} are not a JSON object: {error}") from None
    offered = declared.get(call.name)
    target = offered.target if offered is not None else arguments.get("target_agent")
    if not isinstance(target, str) or (offered is None and target not in reachable):
        raise HandoffRefused(refusal(sender, str(target), reachable))
    task = arguments.get("message")
    if not isinstance(task, str) or not task.strip():
        raise HandoffRefused(f"{call.name} needs a message: the task for {target}, as a text")
    given = arguments.get("input")
    if offered is not None and offered.input_type is not None:
        from pydantic import TypeAdapter, ValidationError

        try:
            given = TypeAdapter(offered.input_type).validate_python(given)
        except ValidationError as error:
            raise HandoffRefused(f"the input of {call.name} does not fit: {error}") from None
    kind = offered.kind if offered is not None else "delegate"
    return Handoff(sender, target, task, str(arguments.get("context") or ""), "", given, kind)


def refusal(sender: str, target: str, reachable: Sequence[str]) -> str:
    """Why a handoff is refused, with what is allowed."""
    allowed = ", ".join(reachable) if reachable else "nobody"
    return f"{sender} may not hand off to {target}; it may reach {allowed}"


@dataclass(frozen=True, slots=True)
class HandoffLimits:
    """How far handoffs may go. The defaults stop runaway teams and leave ordinary ones alone.

    Args:
        depth: handoffs in one chain.
        visits: times one agent may stand in one chain.
        repeats: times one agent may be given the very same task in one chain.
        total: handoffs of one root run, in all its branches.
    """

    depth: int = 16
    visits: int = 8
    repeats: int = 2
    total: int = 100


def check_chain(chain: Sequence[str], tasks: Sequence[str], handoff: Handoff, limits: HandoffLimits) -> None:
    """Refuse a handoff that goes too deep or in circles.

    Args:
        chain: the agents from the first asked to the sender.
        tasks: what each of them but the first was asked, as ``target: task``.
        handoff: what is about to be sent.
        limits: what is allowed.

    Raises:
        HandoffDepth: the chain is as long as it may get.
        HandoffCycle: the target stands in the chain too often, or was given the very same task in it too often.
    """
    way = " → ".join((*chain, handoff.target))
    if len(chain) > limits.depth:
        raise HandoffDepth(f"more than {limits.depth} handoffs in one chain: {way}")
    if chain.count(handoff.target) >= limits.visits:
        raise HandoffCycle(f"{handoff.target} stands {limits.visits} times in one chain: {way}")
    if handoff.kind == "delegate" and tasks.count(f"{handoff.target}: {handoff.task}") >= limits.repeats:
        raise HandoffCycle(f"{handoff.target} was given the same task {limits.repeats} times in one chain: {way}")


def _as_json(value: Any) -> str:
    dump = getattr(value, "model_dump_json", None)
    if dump is not None:
        return str(dump())
    return json.dumps(value, ensure_ascii=False, default=str)

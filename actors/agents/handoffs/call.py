"""The tool by which a model delegates along the flows, and reading what a model's call asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ....providers.messages import ToolCall, ToolSpec
from ..errors import HandoffRefused
from .handoff import Handoff
from .offer import HandoffTool

SEND_MESSAGE = "SendMessage"


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


def read_call(call: ToolCall, sender: str, declared: Mapping[str, HandoffTool], reachable: Sequence[str]) -> Handoff:
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


def chosen_handoff(
    chosen: object, sender: str, offered: HandoffTool, call: ToolCall, arguments: Mapping[str, Any]
) -> Handoff:
    """The handoff that a function has chosen.

    Args:
        chosen: what it returned: an agent, or the handoff.
        sender: who hands off.
        offered: the function's tool.
        call: the model's call of it.
        arguments: those of the call, as the function was given them.

    Raises:
        HandoffRefused: it returned something else.
    """
    if isinstance(chosen, Handoff):
        return replace(chosen, sender=sender, kind=offered.kind)
    name = getattr(chosen, "name", None)
    if not isinstance(name, str):
        kind = type(chosen).__name__
        raise HandoffRefused(f"{call.name} returned {kind}, not an agent, a Handoff or a text for the model")
    rest = dict(arguments)
    task = rest.pop("message", None)
    if not isinstance(task, str) or not task.strip():
        task, rest = call.name.replace("_", " "), dict(arguments)
    return Handoff(sender, name, task, input=rest or None, kind=offered.kind)


def offer_of(
    changed: Handoff,
    asked: Handoff,
    offered: HandoffTool | None,
    declared: Mapping[str, HandoffTool],
    reachable: Sequence[str],
) -> HandoffTool | None:
    """The tool by which a handoff that a hook has changed is sent; None where a flow allows it.

    Args:
        changed: as the hook left it.
        asked: what the model asked for.
        offered: the tool that it called; None for `SEND_MESSAGE`.
        declared: the sender's own tools for handoffs, by name.
        reachable: whom flows let it delegate to.

    Raises:
        HandoffRefused: the sender has no handoff of this kind to the target, or it is another's handoff now.
    """
    if not isinstance(changed, Handoff) or (changed.sender, changed.kind) != (asked.sender, asked.kind):
        raise HandoffRefused("a hook may change what a handoff says and to whom it goes, not whose and of which kind")
    if changed.target == asked.target:
        return offered
    for tool in declared.values():
        if (tool.target, tool.kind) == (changed.target, changed.kind):
            return tool
    if changed.kind == "delegate" and changed.target in reachable:
        return None
    there = [*reachable, *(tool.target for tool in declared.values() if tool.kind == changed.kind)]
    raise HandoffRefused(refusal(changed.sender, changed.target, list(dict.fromkeys(there))))


def refusal(sender: str, target: str, reachable: Sequence[str]) -> str:
    """Why a handoff is refused, with what is allowed."""
    allowed = ", ".join(reachable) if reachable else "nobody"
    return f"{sender} may not hand off to {target}; it may reach {allowed}"

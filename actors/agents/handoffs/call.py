"""The tool by which a model delegates along the flows, and reading what a model's call asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

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


def refusal(sender: str, target: str, reachable: Sequence[str]) -> str:
    """Why a handoff is refused, with what is allowed."""
    allowed = ", ".join(reachable) if reachable else "nobody"
    return f"{sender} may not hand off to {target}; it may reach {allowed}"

"""Callboard: supervised actors for LLM agents.

One import for users: ``from callboard import Agent, Agency, tool``. Nothing inside the library imports this facade.

Names are loaded when they are first used, so that a program pays only for the parts it needs.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING
from typing import Any as _Any

if TYPE_CHECKING:
    from .actors import (
        Actor,
        ActorRef,
        Broadcast,
        ChildSpec,
        Delivery,
        Handled,
        Meter,
        Metrics,
        Publish,
        Resize,
        Returns,
        Routees,
        Router,
        Subscribe,
        Supervisor,
        System,
        Topics,
        Unsubscribe,
        by_key,
        handles,
        scope,
        service_gc,
        stop_on_signals,
    )
    from .actors.agents.agency import Agency
    from .actors.agents.agent import Agent
    from .actors.agents.answer import Answer
    from .actors.agents.context import request_context
    from .actors.agents.diagram import conversation_diagram
    from .actors.agents.factory import agent_from_dict, create_agent, create_developer_agent, create_planner_agent
    from .actors.agents.handoff import Handoff, HandoffLimits, Pipeline, handoff
    from .actors.agents.hooks import HookContext, guardrail, hook
    from .actors.agents.openai_shape import as_chunks, as_response
    from .actors.agents.remote import RemoteAgent
    from .actors.agents.skills import Skill
    from .actors.agents.turn import Limits
    from .actors.core.base.errors import CallboardError
    from .providers.messages import Completion, Delta, Message, Request, ToolCall, ToolSpec, Usage
    from .tools import Tool, ToolResult, tool

_HOMES = {
    ".actors": (
        "Actor",
        "ActorRef",
        "Broadcast",
        "ChildSpec",
        "Delivery",
        "Handled",
        "Meter",
        "Metrics",
        "Publish",
        "Resize",
        "Returns",
        "Routees",
        "Router",
        "Subscribe",
        "Supervisor",
        "System",
        "Topics",
        "Unsubscribe",
        "by_key",
        "handles",
        "scope",
        "service_gc",
        "stop_on_signals",
    ),
    ".actors.agents.agency": ("Agency",),
    ".actors.agents.agent": ("Agent",),
    ".actors.agents.answer": ("Answer",),
    ".actors.agents.context": ("request_context",),
    ".actors.agents.diagram": ("conversation_diagram",),
    ".actors.agents.factory": ("agent_from_dict", "create_agent", "create_developer_agent", "create_planner_agent"),
    ".actors.agents.handoff": ("Handoff", "HandoffLimits", "Pipeline", "handoff"),
    ".actors.agents.hooks": ("HookContext", "guardrail", "hook"),
    ".actors.agents.openai_shape": ("as_chunks", "as_response"),
    ".actors.agents.remote": ("RemoteAgent",),
    ".actors.agents.skills": ("Skill",),
    ".actors.agents.turn": ("Limits",),
    ".actors.core.base.errors": ("CallboardError",),
    ".providers.messages": ("Completion", "Delta", "Message", "Request", "ToolCall", "ToolSpec", "Usage"),
    ".tools": ("Tool", "ToolResult", "tool"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Actor",
    "ActorRef",
    "Agency",
    "Agent",
    "Answer",
    "Broadcast",
    "CallboardError",
    "ChildSpec",
    "Completion",
    "Delivery",
    "Delta",
    "Handled",
    "Handoff",
    "HandoffLimits",
    "HookContext",
    "Limits",
    "Message",
    "Meter",
    "Metrics",
    "Pipeline",
    "Publish",
    "RemoteAgent",
    "Request",
    "Resize",
    "Returns",
    "Routees",
    "Router",
    "Skill",
    "Subscribe",
    "Supervisor",
    "System",
    "Tool",
    "ToolCall",
    "ToolResult",
    "ToolSpec",
    "Topics",
    "Unsubscribe",
    "Usage",
    "agent_from_dict",
    "as_chunks",
    "as_response",
    "by_key",
    "conversation_diagram",
    "create_agent",
    "create_developer_agent",
    "create_planner_agent",
    "guardrail",
    "handles",
    "handoff",
    "hook",
    "request_context",
    "scope",
    "service_gc",
    "stop_on_signals",
    "tool",
]


def __getattr__(name: str) -> _Any:
    module = _HOME_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(_import_module(module, __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

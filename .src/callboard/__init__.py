"""Callboard: supervised actors for LLM agents.

One import for users: ``from callboard import Agent, Agency, tool``. Nothing inside the library imports this facade.
"""

from .actors import Actor, ActorRef, ChildSpec, Supervisor, System, scope
from .actors.agents.agency import Agency
from .actors.agents.agent import Agent
from .actors.agents.answer import Answer
from .actors.agents.context import request_context
from .actors.agents.handoff import Handoff, handoff
from .actors.agents.turn import Limits
from .actors.core.errors import CallboardError
from .providers.messages import Completion, Delta, Message, Request, ToolCall, ToolSpec, Usage
from .tools import Tool, ToolResult, tool

__all__ = [
    "Actor",
    "ActorRef",
    "Agency",
    "Agent",
    "Answer",
    "CallboardError",
    "ChildSpec",
    "Completion",
    "Delta",
    "Handoff",
    "Limits",
    "Message",
    "Request",
    "Supervisor",
    "System",
    "Tool",
    "ToolCall",
    "ToolResult",
    "ToolSpec",
    "Usage",
    "handoff",
    "request_context",
    "scope",
    "tool",
]

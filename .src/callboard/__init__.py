"""Callboard: supervised actors for LLM agents.

One import for users: ``from callboard import Agent, Agency, tool``. Nothing inside the library imports this facade.
"""

from .actors import Actor, ActorRef, ChildSpec, Supervisor, System, scope
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
    "HandoffLimits",
    "HookContext",
    "Limits",
    "Message",
    "Pipeline",
    "RemoteAgent",
    "Request",
    "Skill",
    "Supervisor",
    "System",
    "Tool",
    "ToolCall",
    "ToolResult",
    "ToolSpec",
    "Usage",
    "agent_from_dict",
    "as_chunks",
    "as_response",
    "conversation_diagram",
    "create_agent",
    "create_developer_agent",
    "create_planner_agent",
    "guardrail",
    "handoff",
    "hook",
    "request_context",
    "scope",
    "tool",
]

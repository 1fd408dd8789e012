"""The pages about other libraries: which there are, and what their models say, which is the same to each library."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from callboard import ChildSpec, Request, ToolCall
from callboard.testing import FunctionModel, call

# By page: what is imported of the library, what is installed for that, and what the pages name of it.
LIBRARIES: dict[str, tuple[str, str, list[str]]] = {
    "openai_agents": (
        "agents",
        "openai-agents",
        [
            "agents.Runner",
            "agents.SQLiteSession",
            "agents.ModelProvider",
            "agents.RunContextWrapper",
            "agents.ModelSettings",
            "agents.MaxTurnsExceeded",
            "agents.RunHooks",
            "agents.AgentHooks",
            "agents.InputGuardrailTripwireTriggered",
        ],
    ),
    "pydantic_ai": (
        "pydantic_ai",
        "pydantic-ai-slim",
        [
            "pydantic_ai.RunContext",
            "pydantic_ai.ModelRetry",
            "pydantic_ai.ModelSettings",
            "pydantic_ai.UsageLimits",
            "pydantic_ai.UsageLimitExceeded",
            "pydantic_ai.models.fallback.FallbackModel",
            "pydantic_ai.models.function.FunctionModel",
            "pydantic_ai.models.test.TestModel",
        ],
    ),
    "langgraph": (
        "langgraph",
        "langgraph",
        [
            "langgraph.prebuilt.create_react_agent",
            "langgraph.types.Command",
            "langgraph.types.Send",
            "langgraph.types.interrupt",
            "langgraph.runtime.Runtime",
            "langgraph.errors.GraphRecursionError",
        ],
    ),
    "autogen": (
        "autogen_agentchat",
        "autogen-agentchat",
        [
            "autogen_agentchat.agents.AssistantAgent",
            "autogen_agentchat.tools.AgentTool",
            "autogen_agentchat.teams.GraphFlow",
            "autogen_agentchat.teams.Swarm",
        ],
    ),
    "litellm": ("litellm", "litellm", ["litellm.Router", "litellm.acompletion"]),
}
# What an answer says that has to fit the pages' type.
HOURS = {"day": "Sunday", "open": False}


def reply(asked: Sequence[str], tools: Collection[str], result: str | None) -> str | tuple[str, dict[str, Any]]:
    """What a model says next.

    Args:
        asked: what the user has said until now.
        tools: the names of those that it may call, handing over among them.
        result: what the call gave that it made just now.

    Returns:
        its text, or a call: a tool's name, and the arguments.
    """
    if "invoice" in asked[-1]:
        handing_over = [name for name in tools if "billing" in name.lower()]
        return (handing_over[0], {}) if handing_over else "Let us look at your invoice."
    if "How often" in asked[-1]:
        return f"You have asked {len(asked)} times."
    if result is None and "opening_hours" in tools:
        return "opening_hours", {"day": "Sunday"}
    return f"On Sunday it is {result or 'closed'}."


def _ours(request: Request) -> str | ToolCall:
    if request.response_schema is not None:
        return '{"day": "Sunday", "open": false}'
    last = request.messages[-1]
    asked = [message.text for message in request.messages if message.role == "user"]
    said = reply(asked, [spec.name for spec in request.tools], last.text if last.role == "tool" else None)
    if isinstance(said, str):
        return said
    return call(said[0], **(said[1] or {"message": "It is about an invoice."}))


def model() -> ChildSpec:
    """It as Callboard takes it."""
    return ChildSpec(FunctionModel, (_ours,), name="model")

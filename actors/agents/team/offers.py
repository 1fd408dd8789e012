"""What an agent offers to its model, and whom that leads to."""

from __future__ import annotations

from ....tools import ToolDefinitionError
from ....tools.deferred import SEARCH_TOOLS
from ..agent import Agent
from ..errors import DefinitionError
from ..handoffs.call import SEND_MESSAGE
from ..handoffs.offer import HandoffTool


def check_offers(agent: Agent, *, sends: bool) -> None:
    """Raise what is wrong with what an agent offers to its model.

    Args:
        agent: whose.
        sends: whether it may delegate by `SEND_MESSAGE`.

    Raises:
        DefinitionError: a tool and a handoff have one name, or two of them; or a handoff's input cannot be described.
        ToolDefinitionError: a tool's parameter cannot.
    """
    offered = [tool.name for tool in agent.all_tools]
    offered.extend(item.name for item in agent.all_handoffs if isinstance(item, HandoffTool))
    if sends:
        offered.append(SEND_MESSAGE)
    if agent.defer_tools or any(tool.defer for tool in agent.all_tools):
        offered.append(SEARCH_TOOLS)
    seen: set[str] = set()
    for name in offered:
        if name in seen:
            raise DefinitionError(f"agent {agent.name}: a tool and a handoff, or two of them, are called {name!r}")
        seen.add(name)
    for tool in agent.all_tools:
        try:
            tool.spec  # noqa: B018
        except ToolDefinitionError:
            raise
        except Exception as error:  # annotations are the user's code, and so are the schemas of their types
            text = f"agent {agent.name}: the tool {tool.name} cannot be described: {type(error).__name__}: {error}"
            raise DefinitionError(text) from error
    for item in agent.all_handoffs:
        if isinstance(item, HandoffTool) and item.input_type is not None:
            try:
                item.spec  # noqa: B018
            except Exception as error:
                raise DefinitionError(
                    f"agent {agent.name}: the input_type of {item.name} is no type that pydantic knows: {error!s:.300}"
                ) from error


def stage_names(item: HandoffTool) -> tuple[str, ...]:
    """The names of those whom a handoff leads to."""
    return tuple(stage.name for stage in item.stages) or (item.target,)

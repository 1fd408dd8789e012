"""A graph of tasks in memory, for several agents without a prompt function."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any

from .....tools.tool import Tool
from .given import Several
from .graph import NewTask, TaskGraphState
from .graph_tools import graph_tools
from .status import capabilities_of, check_agent


class SharedTaskGraph:
    """A graph of tasks in memory that several agents work off together: give each its `tools`.

    It lasts as long as the process. What is to last as long as a conversation is the plugin `TaskGraph`.

    Args:
        graph: what is in it to begin with.
    """

    def __init__(self, graph: TaskGraphState | Several[NewTask | Mapping[str, Any]] = ()) -> None:
        self._graph = graph if isinstance(graph, TaskGraphState) else TaskGraphState().generate(graph)
        self._lock = threading.Lock()  # agencies in several threads may share it

    @property
    def graph(self) -> TaskGraphState:
        """The graph as it is now."""
        return self._graph

    def change(self, function: Callable[[TaskGraphState], TaskGraphState]) -> TaskGraphState:
        """Replace the graph by what a function makes of it, and return that; where it raises, the graph stays.

        Args:
            function: for example ``lambda graph: graph.update("draw", "pending")``.
        """
        with self._lock:
            self._graph = function(self._graph)
            return self._graph

    def tools(self, agent: str = "", capabilities: Collection[str] | None = None) -> list[Tool]:
        """The tools over this graph for one agent.

        Args:
            agent: in whose name tasks are started.
            capabilities: what it is capable of; None: all that any task requires.

        Raises:
            TaskError: it is no name, or they are not several texts.
        """
        check_agent(agent)
        capabilities = None if capabilities is None else capabilities_of(capabilities)
        return graph_tools(lambda: self._graph, self.change, agent=agent, capabilities=capabilities)

"""A graph of tasks in memory, for several agents without a prompt function."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from .....providers.messages import UNLABELLED, Labels
from .....tools.calls.invocation import Invocation
from .....tools.context import CallContext
from .....tools.function_tool import FunctionTool
from .....tools.result import ToolResult
from .....tools.tool import Tool
from ...context import ToolContext
from .given import Several
from .graph import NewTask, TaskGraphState
from .graph_tools import UNBLOCKED, graph_tools
from .status import capabilities_of, check_agent


class SharedTaskGraph:
    """A graph of tasks in memory that several agents work off together: give each its `tools`.

    What an agent has put into it has the labels of what that agent had been told, and all that is read of it has them
    from then on. It lasts as long as the process. What is to last as long as a conversation is the plugin `TaskGraph`.

    Args:
        graph: what is in it to begin with.
    """

    def __init__(self, graph: TaskGraphState | Several[NewTask | Mapping[str, Any]] = ()) -> None:
        self._graph = graph if isinstance(graph, TaskGraphState) else TaskGraphState().generate(graph)
        self._lock = threading.Lock()  # agencies in several threads may share it
        self._labels = UNLABELLED

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
        made = graph_tools(lambda: self._graph, self.change, agent=agent, capabilities=capabilities)
        return [_SharedTool(one, self._joined) for one in made]

    def _joined(self, labels: Labels = UNLABELLED) -> Labels:
        """The labels of what is in it.

        Args:
            labels: of what is put into it now.
        """
        if labels:
            with self._lock:
                self._labels |= labels
        return self._labels


class _SharedTool(FunctionTool):
    """A tool over a graph that other agents read.

    Args:
        made: the tool.
        labelled: joins labels to those of the graph, and returns them.
    """

    def __init__(self, made: FunctionTool, labelled: Callable[[Labels], Labels]) -> None:
        self.__dict__.update(made.__dict__)
        self._labelled = labelled

    @property
    def context(self) -> type[CallContext] | None:
        return ToolContext

    async def _run(
        self, arguments: str | Mapping[str, Any], context: CallContext | None, invocation: Invocation
    ) -> ToolResult:
        if isinstance(context, ToolContext) and self.name != UNBLOCKED:
            self._labelled(context.labels)
        result = await super()._run(arguments, context, invocation)
        labels = self._labelled(UNLABELLED)  # as they are now: another agent may have put something into it
        return replace(result, labels=labels) if labels else result

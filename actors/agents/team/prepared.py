"""An agent made ready for work: its tools by name, what its model is told, and the rules of its turns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ....providers.messages import Message, Request, ToolCall, ToolSpec
from ....tools import Tool
from ....tools.deferred import SEARCH_TOOLS, DeferredTools, deferred_tools
from ..agent import Agent
from ..context import RequestContext
from ..errors import DefinitionError, RunFailed
from ..handoffs.call import SEND_MESSAGE, send_message_spec
from ..handoffs.offer import HandoffTool
from ..handoffs.target import Responds
from ..hooks import Hook, by_event
from ..turns.rules import NOTHING, Limits, Rules
from .derived import offered_by

# One for all: an agency may have thousands of agents, and an empty dictionary takes 64 bytes.
_NO_HOOKS: Mapping[str, tuple[Hook, ...]] = {}
_NO_HANDOFFS: Mapping[str, HandoffTool] = {}
_NO_SETTINGS: Mapping[str, Any] = {}


def _is_object(arguments: str) -> bool:
    """Whether a call's arguments are a JSON object; no text at all stands for an empty one."""
    try:
        return isinstance(json.loads(arguments.strip() or "{}"), dict)
    except (ValueError, RecursionError):
        return False


def check_offers(agent: Agent, *, sends: bool) -> None:
    """Raise what is wrong with what an agent offers to its model.

    Args:
        agent: whose.
        sends: whether it may delegate by `SEND_MESSAGE`.

    Raises:
        DefinitionError: a tool and a handoff have one name, or two of them; or a handoff's input cannot be described.
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
    for item in agent.all_handoffs:
        if isinstance(item, HandoffTool) and item.input_type is not None:
            try:
                item.spec  # noqa: B018
            except Exception as error:
                raise DefinitionError(
                    f"agent {agent.name}: the input_type of {item.name} is no type that pydantic knows: {error}"
                ) from error


def _settings(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of a request that an agent sets."""
    settings = {name: value for name, value in given.items() if name != "batch"}
    if isinstance(settings.get("stop"), list):
        settings["stop"] = tuple(settings["stop"])
    return settings


class PreparedAgent:
    """What a conversation needs to know of its agent.

    Args:
        agent: the description.
        reachable: names and descriptions of the agents it may delegate to by `SEND_MESSAGE`.
        shared: instructions that every agent of the agency has.
        permits: whether nothing forbids handoffs to a target.

    What can be wrong with an agent is looked at when it is made, and by `check_offers` when it is added.
    """

    __slots__ = (
        "_rules",
        "_settings",
        "_system",
        "agent",
        "answer",
        "batch",
        "deferred",
        "handoffs",
        "hooks",
        "name",
        "output",
        "reachable",
        "shared",
        "specs",
        "tools",
        "wrong",
    )

    def __init__(
        self,
        agent: Agent,
        reachable: Sequence[tuple[str, str]],
        shared: str = "",
        permits: Callable[[str], bool] = lambda target: True,
    ) -> None:
        self.agent = agent
        self.name = agent.name
        self.answer: Responds | None = getattr(agent, "answer", None)
        """What answers in the place of a model."""
        self.shared = shared
        self.reachable = tuple(name for name, _ in reachable)
        self.tools: dict[str, Tool] = {t.name: t for t in agent.all_tools}
        self.deferred: DeferredTools | None = None
        """The tools that its model is not shown at first, if there are such."""
        self.wrong: Exception | None = None
        """What is wrong with its tools, where they cannot be described to a model: it cannot work then."""
        offered = [item for item in offered_by(agent) if item.chooses is not None or permits(item.target)]
        self.handoffs: Mapping[str, HandoffTool] = {item.name: item for item in offered} if offered else _NO_HANDOFFS
        specs: list[ToolSpec] = []
        try:
            hidden = self.deferred = deferred_tools(agent.all_tools, agent.defer_tools)
            specs.extend(t.spec for t in agent.all_tools if hidden is None or t.name not in hidden)
            if hidden is not None:
                self.tools[SEARCH_TOOLS] = hidden.search
                specs.append(hidden.search.spec)
        except Exception as error:  # annotations are the user's code, and so are the schemas of their types
            self.wrong = error
        specs.extend(h.spec for h in self.handoffs.values())
        if reachable:
            specs.append(send_message_spec(reachable))
        self.specs: tuple[ToolSpec, ...] = tuple(specs)
        self.hooks = by_event(agent.all_hooks) or _NO_HOOKS
        self.output = agent.output
        delegates = {h.name for h in self.handoffs.values() if h.kind == "delegate"}
        transfers = {h.name for h in self.handoffs.values() if h.kind == "transfer"}
        if reachable:
            delegates.add(SEND_MESSAGE)
        self._rules = Rules(
            limits=agent.limits,
            delegates=frozenset(delegates) if delegates else NOTHING,
            transfers=frozenset(transfers) if transfers else NOTHING,
            needs_approval=self._needs_approval,
        )
        self._system = self.system_message(agent.instructions) if isinstance(agent.instructions, str) else None
        self.batch = bool(agent.settings.get("batch", False))
        """Whether its requests may wait to go out together with others."""
        self._settings = _settings(agent.settings) if agent.settings else _NO_SETTINGS

    def is_harmless(self, call: ToolCall, history: Sequence[Message]) -> bool:
        """Whether a call does no more than to load tools: nobody need be asked about it."""
        hidden = self.deferred
        return hidden is not None and (call.name == SEARCH_TOOLS or hidden.is_hidden(call.name, history))

    def _needs_approval(self, call: ToolCall) -> bool:
        """Whether a person is to be asked. There is nothing to decide about what cannot run: the model is told at
        once."""
        autonomy = self.agent.autonomy
        if autonomy == "autonomous":
            return False
        tool = self.tools.get(call.name)
        if tool is None or (autonomy == "supervised" and tool.risk == "safe"):
            return False
        return _is_object(call.arguments)

    def system_message(self, instructions: str) -> tuple[Message, ...]:
        """What the model is told before all else, with these for the agent's own instructions."""
        taught = [skill.instructions for skill in self.agent.all_skills]
        text = "\n\n".join(part for part in (self.shared, instructions, *taught) if part)
        return (Message("system", text),) if text else ()

    def rules(self, limits: Limits | None, external: Sequence[ToolSpec]) -> Rules:
        """The rules of one run."""
        rules = self._rules
        if (limits is None or limits is rules.limits) and not external:
            return rules
        external_names = frozenset(spec.name for spec in external)
        return replace(rules, limits=limits or rules.limits, external=external_names)

    def request(
        self,
        history: Sequence[Message],
        context: RequestContext,
        external: tuple[ToolSpec, ...] = (),
        schema: Mapping[str, Any] | None = None,
        model: str = "",
    ) -> Request:
        """What the model is asked next.

        Args:
            history: the conversation so far.
            context: for instructions that depend on it.
            external: tools the caller runs.
            schema: the JSON schema the final answer must fit.
            model: the model's name where the agent names none.
        """
        system = self._system
        if system is None:
            instructions = self.agent.instructions
            text: object = instructions if isinstance(instructions, str) else instructions(context)
            if not isinstance(text, str):
                raise RunFailed(f"the instructions of {self.name} returned {type(text).__name__}, not a text")
            system = self.system_message(text)
        named = self.agent.model
        specs = self.specs + external if external else self.specs
        if self.deferred is not None:  # at the end: what vendors have cached of those before still holds
            specs += self.deferred.loaded(history)
        return Request(
            (*system, *history),
            named if isinstance(named, str) and named else model,
            specs,
            response_schema=schema,
            **self._settings,
        )

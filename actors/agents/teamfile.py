"""Team files: a team of agents described in YAML.

.. code-block:: yaml

    agents:                     # the first one is asked
      Planner:
        instructions: planner.md          # a text, or the path of a markdown file beside this one
        tools: [LS, Read]
        handoffs: [Developer]             # the same as the flow below
      Developer:
        instructions: You write the report that you are asked for.
        model: ${MODEL:-}                 # empty: the first provider's own default
        tools: [LS, Glob, Grep, Read, Write]
    flows:
      - [Planner, Developer]              # who may hand off to whom; "*" stands for everyone
    providers: {}                         # as in llm.yaml; without it, whatever the environment has keys for

A file that is wrong is refused as a whole, with its name, the line, and what was expected there.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidatorFunctionWrapHandler, WrapValidator

from ...providers.yamlfile import ConfigError, Location, YamlFile, read_yaml
from ...tools import Tool
from .agency import Agency
from .agent import Agent, Autonomy
from .errors import DefinitionError


def _list(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError("expected a list of names, as in [LS, Read]")
    return value


def _pair(value: Any) -> Any:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError("expected a pair, as in [Sender, Receiver]")
    return value


def _mapping(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    if not isinstance(value, Mapping | BaseModel):
        raise ValueError("expected a mapping of instructions, tools, handoffs, model")
    return handler(value)


def _team(value: Any) -> Any:
    if not isinstance(value, Mapping) or not value:
        raise ValueError("expected a mapping of agent names to agents, at least one")
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(_list)]


class AgentEntry(BaseModel):
    """One agent of a team, as pure data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    instructions: str = Field("", description="a text, or the path of a .md file beside the team file")
    description: str = Field("", description="one sentence for the agents that may hand off to this one")
    model: str = Field("", description="a model's name, or nothing for the provider's default")
    tools: Names = Field((), description="a list of tool names")
    handoffs: Names = Field((), description="a list of agent names")
    autonomy: Autonomy = Field("autonomous", description="which tool calls wait for a person")


class Team(BaseModel):
    """A team as pure data: nothing has been started, and no model or tool has been looked for yet.

    Attributes:
        agents: what each agent is, by name. The first is the one that is asked.
        flows: pairs of names, who may hand off to whom.
        providers: the providers section as `callboard.providers` understands it; None for the environment's own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    agents: Annotated[dict[str, Annotated[AgentEntry, WrapValidator(_mapping)]], BeforeValidator(_team)] = Field(
        description="a mapping of agent names to agents"
    )
    flows: Annotated[tuple[Annotated[tuple[str, str], BeforeValidator(_pair)], ...], BeforeValidator(_list)] = Field(
        (), description="a list of pairs: [sender, receiver]"
    )
    providers: dict[str, Any] | None = Field(None, description="a mapping of provider names to providers", repr=False)


def read_team(
    path: str | Path,
    *,
    tools: Collection[str],
    env: Mapping[str, str] | None = None,
) -> Team:
    """Read a team file.

    Args:
        path: the file.
        tools: the names of the tools that agents may be given.
        env: the variables for ``${NAME}``; the process's environment by default.

    Raises:
        ConfigError: the file cannot be read, is not YAML, does not have the shape above, or names a tool, an agent
            or an instructions file that is not there. The message has the line and what was expected.
    """
    file = read_yaml(path, env)
    team = file.validate(Team)
    folder = Path(path).parent
    agents = {}
    for name, entry in team.agents.items():
        at: Location = ("agents", name)
        try:
            Agent(name)
        except DefinitionError as error:
            raise file.error(at, str(error)) from None
        for index, tool in enumerate(entry.tools):
            _require(file, (*at, "tools", index), "tool", tool, tools)
        for index, target in enumerate(entry.handoffs):
            _require(file, (*at, "handoffs", index), "agent", target, team.agents)
        agents[name] = entry.model_copy(update={"instructions": _instructions(file, at, folder, entry.instructions)})
    for index, flow in enumerate(team.flows):
        for side, name in enumerate(flow):
            if name != "*":
                _require(file, ("flows", index, side), "agent", name, team.agents)
    return team.model_copy(update={"agents": agents})


def build_agency(team: Team, tools: Iterable[Tool], **options: Any) -> Agency:
    """An agency that is not started yet, from a team.

    Args:
        team: from `read_team`.
        tools: the tools whose names `read_team` was given.
        options: of the `Agency`, such as ``pool`` and ``system``.
    """
    known = {tool.name: tool for tool in tools}
    agents = [
        Agent(
            name,
            entry.instructions,
            model=entry.model,
            tools=[known[tool] for tool in entry.tools],
            handoffs=entry.handoffs,
            description=entry.description,
            autonomy=entry.autonomy,
        )
        for name, entry in team.agents.items()
    ]
    return Agency(*agents, flows=team.flows, **options)


def _instructions(file: YamlFile, at: Location, folder: Path, written: str) -> str:
    if "\n" in written or not written.endswith(".md"):
        return written
    path = folder / written
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
        raise file.error((*at, "instructions"), f"expected a markdown file at {path}; {reason}") from None


def _require(file: YamlFile, at: Location, kind: str, name: str, known: Collection[str]) -> None:
    if name in known:
        return
    near = difflib.get_close_matches(name, known, 1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(sorted(known))}"
    raise file.error(at, f"no {kind} is called {name!r}; {hint}")


__all__ = ["AgentEntry", "ConfigError", "Team", "build_agency", "read_team"]

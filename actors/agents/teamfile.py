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
    providers:                            # left out: whatever the environment has keys for, else the offline model
      openai:
        api_key: ${OPENAI_API_KEY}
        limits: {requests_per_minute: 500}

A file that is wrong is refused as a whole, with its name, the line, and what was expected there.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from ...providers.config.yamlfile import ConfigError, Location, YamlFile, read_yaml
from ...providers.errors import ProviderError
from ...providers.pool import Endpoint, Pool, Quota
from ...providers.pool.environment import endpoints
from ...providers.registry.presets import PRESETS
from ...providers.registry.resolve import OFFLINE, Registry, from_environment, preset_spec
from ...providers.spec import Kind, ProviderSpec
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


class LimitsEntry(BaseModel):
    """A provider's rate limits; what is left out is not limited."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests_per_minute: int | None = Field(None, ge=1)
    tokens_per_minute: int | None = Field(None, ge=1)
    concurrency: int | None = Field(None, ge=1)


class ProviderEntry(BaseModel):
    """One provider: a vendor that is known by name, or an endpoint of one's own with a base_url."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind | None = Field(None, description="its protocol; left out, the vendor's, or openai")
    api_key: SecretStr | None = Field(None, description="${VARIABLE}; left out, the vendor's usual variable")
    base_url: str = Field("", description="its address; left out, the vendor's")
    default_model: str = Field("", description="the model of agents that name none")
    models: Names = Field((), description="a list of the models it has")
    limits: LimitsEntry = Field(LimitsEntry(), description="requests_per_minute, tokens_per_minute, concurrency")


class TeamFile(BaseModel):
    """The shape of a team file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    agents: Annotated[dict[str, Annotated[AgentEntry, WrapValidator(_mapping)]], BeforeValidator(_team)] = Field(
        description="a mapping of agent names to agents"
    )
    flows: Annotated[tuple[Annotated[tuple[str, str], BeforeValidator(_pair)], ...], BeforeValidator(_list)] = Field(
        (), description="a list of pairs: [sender, receiver]"
    )
    providers: dict[str, ProviderEntry] | None = Field(None, description="a mapping of provider names to providers")


@dataclass(frozen=True)
class Team:
    """A team as pure data: every name in it has been looked up, and nothing has been started.

    Args:
        agents: what each agent is, by name. The first is the one that is asked.
        flows: pairs of names, who may hand off to whom.
        registry: the providers: the file's, or where it names none, the environment's.
        limits: rate limits by provider.
    """

    agents: Mapping[str, AgentEntry]
    flows: tuple[tuple[str, str], ...]
    registry: Registry = field(repr=False)
    limits: Mapping[str, Quota]


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
        env: the variables for ``${NAME}`` and for the providers' keys; the process's environment by default.

    Raises:
        ConfigError: the file cannot be read, is not YAML, does not have the shape above, or names a tool, an agent,
            a model, a provider or an instructions file that is not there, or a provider without its key. The message
            has the line and what was expected.
    """
    env = os.environ if env is None else env
    file = read_yaml(path, env)
    written = file.validate(TeamFile)
    registry, limits = from_environment(env), {}
    if written.providers:
        registry = Registry({name: _provider(file, name, entry, env) for name, entry in written.providers.items()})
        limits = {name: Quota(**entry.limits.model_dump()) for name, entry in written.providers.items()}
    agents = {name: _agent(file, name, entry, written, tools, registry) for name, entry in written.agents.items()}
    for index, flow in enumerate(written.flows):
        for side, name in enumerate(flow):
            if name != "*":
                _require(file, ("flows", index, side), "agent", name, written.agents)
    return Team(agents, written.flows, registry, limits)


def build_agency(team: Team, tools: Iterable[Tool], **options: Any) -> Agency:
    """An agency that is not started yet, with a pool of the team's providers.

    Args:
        team: from `read_team`.
        tools: the tools whose names `read_team` was given.
        options: of the `Agency`, such as ``system``.
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
    served = endpoints(team.registry, [entry.model for entry in team.agents.values()])
    pool = Pool.spec([_limited(one, team.limits.get(one.name)) for one in served])
    return Agency(*agents, flows=team.flows, pool=pool, **options)


def _limited(endpoint: Endpoint, limits: Quota | None) -> Endpoint:
    if limits is None:
        return endpoint
    concurrency = limits.concurrency or endpoint.limits.concurrency
    return replace(endpoint, limits=replace(limits, concurrency=concurrency))


def _agent(
    file: YamlFile, name: str, entry: AgentEntry, team: TeamFile, tools: Collection[str], registry: Registry
) -> AgentEntry:
    """The agent's entry, checked, with its instructions read."""
    at: Location = ("agents", name)
    try:
        Agent(name)
    except DefinitionError as error:
        raise file.error(at, str(error)) from None
    for index, tool in enumerate(entry.tools):
        _require(file, (*at, "tools", index), "tool", tool, tools)
    for index, target in enumerate(entry.handoffs):
        _require(file, (*at, "handoffs", index), "agent", target, team.agents)
    try:
        registry.resolve(entry.model)
    except ProviderError as error:
        raise file.error((*at, "model"), str(error)) from None
    instructions = _instructions(file, at, Path(file.path).parent, entry.instructions)
    return entry.model_copy(update={"instructions": instructions})


def _provider(file: YamlFile, name: str, entry: ProviderEntry, env: Mapping[str, str]) -> ProviderSpec:
    at: Location = ("providers", name)
    preset = PRESETS.get(name)
    if name == "offline" or entry.kind == "offline":
        return replace(OFFLINE, name=name)
    if preset is None and not entry.base_url:
        near = difflib.get_close_matches(name, [*PRESETS, "offline"], 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise file.error(at, f"no vendor is called {name!r}; {hint}A provider of your own needs a base_url")
    key = entry.api_key.get_secret_value() if entry.api_key is not None else ""
    if preset is None:
        spec = ProviderSpec(name, base_url=entry.base_url, api_key=SecretStr(key) if key else None)
    else:
        key = key or next((env[variable] for variable in preset.keys if env.get(variable)), "")
        if preset.keys and not key:
            raise file.error(at, f"the key is missing: set {' or '.join(preset.keys)}, or write api_key: ${{VARIABLE}}")
        spec = preset_spec(preset, key, entry.base_url)
    return replace(
        spec,
        kind=entry.kind or spec.kind,
        default_model=entry.default_model or spec.default_model,
        models=entry.models or spec.models,
    )


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

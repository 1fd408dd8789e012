"""Reading a team file: every name in it is looked up, and nothing is started."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from ....providers.config.annotations import Location
from ....providers.config.changes import changed
from ....providers.config.llmfile import LlmConfig, read_config, require
from ....providers.config.yamlfile import YamlFile, read_yaml
from ....providers.errors import ProviderError
from ....providers.pool.dispatch.usage import OnUsage, can_be_told
from ....providers.registry.resolve import Registry, alias_key
from ....tools import Tool
from ....tools.errors import MissingExtra
from ..agent import Agent
from ..errors import DefinitionError
from ..guardrails.guardrail import Guardrail
from ..guardrails.policy import guardrail_from_config
from ..handoffs.policy import EVERYONE, OPEN, HandoffPolicy
from ..plaindata import Misread, function_of, imported, label_policy_of, wrong_kind
from ..skills.discovery import WrongSettings, made_skill, maker_of
from ..skills.skill import Skill
from ..team.directory import Directory
from .schema import AgentEntry, McpEntry, PolicyEntry, SkillEntry, TeamFile
from .telemetry import telemetry_of


@dataclass(frozen=True)
class Team:
    """What a team file says, checked, with what it names imported; `open_agency` starts it.

    Args:
        agents: by name, without the tools of MCP servers. The first is the one that is asked.
        flows: pairs of names, who may hand off to whom.
        servers: the MCP servers that are used, by name.
        served: the names of each agent's MCP servers.
        config: what is said of models.
        options: of the `Agency`: journal, limits of handoffs, and what else the file says.
        env: the variables that the file was read with.
        file: what was read.
        on_usage: told of each call to a provider; None for nobody.
        logs: how a program that serves it writes its log: ``text`` or ``json``.
    """

    agents: Mapping[str, Agent]
    flows: tuple[tuple[str, str], ...]
    servers: Mapping[str, McpEntry]
    served: Mapping[str, tuple[str, ...]]
    config: LlmConfig
    options: Mapping[str, Any]
    env: Mapping[str, str] = field(repr=False)
    file: YamlFile
    on_usage: OnUsage | None = None
    logs: str = "text"


def load_team(
    path: str | Path,
    tools: Iterable[Tool] = (),
    *,
    env: Mapping[str, str] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Team:
    """Read a team file. What it names as ``module:name`` is imported, nothing is started.

    Args:
        path: the file.
        tools: what agents may be given by name.
        env: the variables for ``${NAME}`` and for the providers' keys; the process's environment by default.
        changes: values in place of those of the sections about models, as `load_config` takes them.

    Raises:
        ConfigError: the file cannot be read, is not YAML, does not have the shape of `TeamFile`, or names what is not
            there: a tool, an agent, a model, a provider, a file, a module; or an import failed. The message has the
            line and what was expected.
    """
    env = os.environ if env is None else env
    file = read_yaml(path, env)
    elsewhere = isinstance(file.data, dict) and bool(file.data.get("config"))
    if changes and not elsewhere:
        file = changed(file, changes, LlmConfig.model_fields)
    written, registry = read_config(file, TeamFile, env)
    config: LlmConfig = written
    if written.config:
        said = [name for name in LlmConfig.model_fields if name in written.model_fields_set]
        if said:
            raise file.error((said[0],), f"expected no section about models here: they stand in {written.config}")
        beside = file.beside(("config",), written.config)
        if not beside.exists():
            raise file.error(("config",), f"expected a file beside this one; there is no {beside}")
        other = changed(read_yaml(beside, env), changes or {}, LlmConfig.model_fields)
        config, registry = read_config(other, LlmConfig, env)
    else:
        for section in ("roles", "agent_models"):
            known = {alias_key(name): name for name in written.agents}
            for name in getattr(written, section):
                if alias_key(name) not in known:
                    require(file, (section, name), "agent", name, written.agents)
        for index, budget in enumerate(written.budgets):
            if budget.scope == "agent" and budget.name != "*":
                require(file, ("budgets", index, "name"), "agent", budget.name, written.agents)
    reader = _Reader(file, written, {tool.name: tool for tool in tools}, config, registry, {})
    reader.skills.update((name, reader.skill(name, entry)) for name, entry in written.skills.items())
    guardrails = reader.guardrails()
    agents = {name: reader.agent(name, entry, guardrails) for name, entry in written.agents.items()}
    for index, flow in enumerate(written.flows):
        for side, name in enumerate(flow):
            if name != "*":
                require(file, ("flows", index, side), "agent", name, written.agents)
    options = reader.options()
    try:
        policy = options.get("handoff_policy", OPEN)
        Directory(agents.values(), written.flows, options.get("shared_instructions", ""), policy)
    except DefinitionError as error:
        raise file.error(("agents",), str(error)) from None
    served = {name: entry.mcp for name, entry in written.agents.items() if entry.mcp}
    used = {server for names in served.values() for server in names}
    servers = {name: entry for name, entry in written.mcp_servers.items() if name in used}
    return Team(agents, written.flows, servers, served, config, options, env, file, reader.on_usage(), written.logs)


@dataclass(frozen=True)
class _Reader:
    """Makes of one file's entries what they describe."""

    file: YamlFile
    written: TeamFile
    tools: Mapping[str, Tool]
    config: LlmConfig
    registry: Registry
    skills: dict[str, Skill]

    def skill(self, name: str, entry: SkillEntry) -> Skill:
        at = ("skills", name)
        use = entry.use or name
        try:
            maker = imported(use) if ":" in use else maker_of(use)
            return made_skill(maker, entry.settings, name, Path(self.file.path).parent)
        except WrongSettings as wrong:
            raise self.file.error((*at, "settings", *wrong.at), str(wrong)) from None
        except DefinitionError as error:
            raise self.file.error((*at, "use"), str(error)) from error.__cause__

    def guardrails(self) -> Mapping[str, Guardrail]:
        """The file's guardrails, by name."""
        made: dict[str, Guardrail] = {}
        for name, entry in self.written.guardrails.items():
            at: Location = ("guardrails", name)
            for index, agent in enumerate(entry.agents):
                require(self.file, (*at, "agents", index), "agent", agent, self.written.agents)
            said = {field: getattr(entry, field) for field in entry.model_fields_set if field != "agents"}
            try:
                made[name] = guardrail_from_config(name, said, function_of)
            except Misread as wrong:
                raise self.file.error((*at, *wrong.at), str(wrong)) from wrong.__cause__
            except (DefinitionError, MissingExtra) as error:
                raise self.file.error(at, str(error)) from None
        return made

    def policy(self, written: PolicyEntry) -> HandoffPolicy:
        """Who may hand off to whom."""
        for sender, targets in (written.agents or {}).items():
            if sender != EVERYONE:
                require(self.file, ("handoff_policy", "agents", sender), "agent", sender, self.written.agents)
            for index, target in enumerate(targets):
                if target != EVERYONE:
                    at = ("handoff_policy", "agents", sender, index)
                    require(self.file, at, "agent", target, self.written.agents)
        try:
            return HandoffPolicy(written.agents, written.domains)
        except DefinitionError as error:
            raise self.file.error(("handoff_policy",), str(error)) from None

    def agent(self, name: str, entry: AgentEntry, guardrails: Mapping[str, Guardrail]) -> Agent:
        file, at = self.file, ("agents", name)
        for index, tool in enumerate(entry.tools):
            if ":" not in tool:
                require(file, (*at, "tools", index), "tool", tool, self.tools)
        for index, target in enumerate(entry.handoffs):
            require(file, (*at, "handoffs", index), "agent", target, self.written.agents)
        for index, server in enumerate(entry.mcp):
            require(file, (*at, "mcp", index), "MCP server", server, self.written.mcp_servers)
        try:
            self.registry.resolve(entry.model)
        except ProviderError as error:
            raise file.error((*at, "model"), str(error)) from None
        said = {field: getattr(entry, field) for field in entry.model_fields_set if field != "mcp"}
        said["name"] = name
        said["instructions"] = self._text((*at, "instructions"), entry.instructions)
        said["model"] = entry.model or self.config.model_for(name)
        try:
            agent = Agent.from_config(said, tools=self.tools, skills=self.skills)
            its = [one for key, one in guardrails.items() if name in (self.written.guardrails[key].agents or (name,))]
            return replace(agent, hooks=[*agent.hooks, *its]) if its else agent
        except Misread as wrong:
            raise file.error((*at, *wrong.at), str(wrong).partition(": ")[2]) from wrong.__cause__
        except DefinitionError as error:
            raise file.error(at, str(error)) from None

    def options(self) -> dict[str, Any]:
        """What the file says of the agency itself."""
        written = self.written
        names = ("retention", "handoff_limits", "approvals_expire")
        said = {name: getattr(written, name) for name in names if name in written.model_fields_set}
        if written.shared_instructions:
            said["shared_instructions"] = self._text(("shared_instructions",), written.shared_instructions)
        if written.handoff_policy is not None:
            said["handoff_policy"] = self.policy(written.handoff_policy)
        if written.label_policy is not None:
            try:
                said["label_policy"] = label_policy_of(written.label_policy, "label_policy")
            except Misread as wrong:
                raise self.file.error(wrong.at, str(wrong)) from wrong.__cause__
        if written.telemetry is not None:
            try:
                said["telemetry"] = telemetry_of(written.telemetry)
            except Misread as wrong:
                raise self.file.error(("telemetry", *wrong.at), str(wrong)) from None
        if written.journal:
            kept = written.journal
            said["journal"] = kept if "://" in kept else self.file.beside(("journal",), kept)
        return said

    def on_usage(self) -> OnUsage | None:
        """The function that is told of calls."""
        named = self.written.on_usage
        if not named:
            return None
        try:
            found = imported(named)
            if isinstance(found, type) or not can_be_told(found):
                raise wrong_kind(named, "a plain function", found)
        except Misread as wrong:
            raise self.file.error(("on_usage",), str(wrong)) from wrong.__cause__
        return cast(OnUsage, found)

    def _text(self, at: Location, written: str) -> str:
        if "\n" in written or not written.endswith(".md"):
            return written
        path = Path(self.file.path).parent / written
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            reason = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
            raise self.file.error(at, f"expected a markdown file at {path}; {reason}") from None

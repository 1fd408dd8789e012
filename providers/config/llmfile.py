"""``llm.yaml``: which providers there are, how the pool uses them, and which model serves whom.

The same sections stand in ``llm.yaml`` and in a team file, which adds its agents. `providers/README.md` has all of them
in one file.

.. code-block:: yaml

    default_model: large
    aliases: {large: openai:gpt-5.4, small: claude-haiku-4-5}
    fallback:                       # lesser models, used while every provider of a model is down
      large: [small]
    roles: {Planner: large, Developer: small}
    providers:
      openai:                       # a vendor that is known by name needs no more than its key
        api_key: ${OPENAI_API_KEY}
        limits: {requests_per_minute: 500, tokens_per_minute: 200000, concurrency: 64}
      acme:
        type: anthropic             # openai (the default), responses, anthropic, litellm, offline, or a known vendor
        base_url: ${ACME_URL:-https://llm.acme.example}
        api_key: ${ACME_KEY:?ask the platform team for one}
        models: [acme-1]
        defaults: {temperature: 0.2}
        enabled: false              # and then its variables need not be set
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from pydantic import Field, model_validator

from ...actors.core.base.errors import CallboardError
from ..pool import Batching, BreakerPolicy, Budget, Hedge, Price, RetryPolicy
from ..registry.resolve import OFFLINE, Registry, Target, alias_key, aliases_of, from_environment
from ..spec import ProviderSpec
from .annotations import Location
from .changes import changed
from .fields import FileName, Name, Section
from .names import name_at, renamed, resolved
from .provider import ProviderSettings
from .yamlfile import YamlFile, read_yaml

RoutingName: TypeAlias = Literal["priority", "least_loaded", "weighted", "cheapest"]

C = TypeVar("C", bound="LlmConfig")


class CacheSettings(Section):
    """Where completions of equal requests are kept: in memory, or in a file that outlives the process."""

    path: FileName = Field("", description="an SQLite file beside this one; in memory, if left out")
    size: int = Field(1_000, ge=1, description="completions kept in memory")
    ttl: float | None = Field(3_600.0, gt=0, description="seconds one is kept; null for as long as there is room")

    @model_validator(mode="after")
    def _size_in_memory(self) -> CacheSettings:
        if self.path and "size" in self.model_fields_set:
            raise ValueError("size is for a cache in memory; expected none beside path")
        return self


class AgentModel(Section):
    """Which model serves an agent, by provider and model."""

    primary: str = Field("", description="a provider's name")
    model: str = Field("", description="a model's name at that provider; its default_model, if left out")

    @property
    def name(self) -> str:
        """The model's name as a registry takes it."""
        return ":".join(part for part in (self.primary, self.model) if part)


class LlmConfig(Section):
    """The sections about models: a whole ``llm.yaml``, or a part of a team file."""

    providers: dict[Name, ProviderSettings] = Field({}, description="a mapping of provider names to providers")
    default_model: str = Field("", description="the model of agents that name none")
    aliases: dict[str, str] = Field({}, description="a mapping of other names to models")
    roles: dict[str, str] = Field({}, description="a mapping of agent names to models")
    agent_models: dict[str, AgentModel] = Field({}, description="the same as roles, by provider and model")
    fallback: dict[str, list[str]] | list[str] = Field(
        {}, description="a mapping of models to lists of lesser ones, or such a list for the default model"
    )
    routing: RoutingName | None = Field(None, description="which of several free endpoints gets a request")
    retry: RetryPolicy = Field(RetryPolicy(), description="of all providers that have none of their own")
    breaker: BreakerPolicy = Field(BreakerPolicy(), description="of all providers that have none of their own")
    cache: CacheSettings | None = Field(None, description="a mapping of path, size, ttl; {} keeps in memory")
    # From here on the names and values are those of `Pool`.
    hedge: Hedge | None = Field(None, description="when a slow call is sent a second time; {} for the usual")
    batching: Batching | None = Field(None, description="how requests are put together that may wait; {} for the usual")
    budgets: tuple[Budget, ...] = Field((), description="a list of limits on spending")
    prices: dict[str, Price] = Field({}, description="US dollars per million tokens, by model")
    coalesce: bool = Field(False, description="whether equal requests in flight share one call")
    queue_timeout: float = Field(30.0, gt=0, description="seconds a request without a deadline waits for an endpoint")
    probe_interval: float | None = Field(
        None, gt=0, description="seconds between probes of endpoints that are not well"
    )

    def enabled(self) -> dict[str, ProviderSettings]:
        """The providers that are switched on, in the order of the file."""
        return {name: settings for name, settings in self.providers.items() if settings.enabled}

    def registry(self, env: Mapping[str, str] | None = None) -> Registry:
        """The providers and aliases: the file's, where it names any, else the environment's. Aliases of the
        environment (``LM_MODEL_*``) hold too; the file's are stronger.

        Raises:
            ValueError: a provider lacks something it needs.
        """
        around, default = aliases_of(env)
        specs: Mapping[str, ProviderSpec]
        unusable: Mapping[str, str] = {}
        if self.providers:  # and then nothing else that the environment has need be right
            specs = {name: settings.spec(name, env) for name, settings in self.enabled().items()}
        else:
            found = from_environment(env)
            specs, unusable = found.providers, found.unusable
        aliases = {**around, **{alias_key(alias): model for alias, model in self.aliases.items()}}
        specs = {**specs, OFFLINE.name: specs.get("offline", OFFLINE)}
        return Registry(specs, aliases, self.default_model or default, unusable)

    def model_for(self, agent: str) -> str:
        """The model of an agent that names none itself; empty for the first provider's default. Upper and lower case,
        ``-`` and ``_`` are the same in an agent's name."""
        by_agent = {alias_key(name): entry.name for name, entry in self.agent_models.items()}
        by_agent.update((alias_key(name), model) for name, model in self.roles.items())
        return by_agent.get(alias_key(agent)) or self.default_model

    def named_models(self) -> Iterator[tuple[Location, str]]:
        """Each model that the file names, with the place where it does."""
        named: list[tuple[Location, str]] = [(("default_model",), self.default_model)]
        named += [(("roles", role), model) for role, model in self.roles.items()]
        named += [(("agent_models", agent, "model"), entry.name) for agent, entry in self.agent_models.items()]
        named += [(("aliases", alias), model) for alias, model in self.aliases.items()]
        if isinstance(self.fallback, dict):
            for model, lesser in self.fallback.items():
                named.append((("fallback", model), model))
                named += [(("fallback", model, place), name) for place, name in enumerate(lesser)]
        else:
            named += [(("fallback", place), name) for place, name in enumerate(self.fallback)]
        return ((location, model) for location, model in named if model)

    def lesser_models(self) -> Mapping[str, Sequence[str]]:
        """What `fallback` says, by model; a list alone is that of the default model, whose name is empty here."""
        return self.fallback if isinstance(self.fallback, dict) else {"": self.fallback}

    def stand_ins(self, provider: str) -> list[str]:
        """The providers that stand in for one, in order: its ``fallback_provider``, that one's, and so on. Those that
        are switched off are passed over."""
        chain, name = [provider], provider
        while (settings := self.providers.get(name)) and settings.fallback_provider not in ("", *chain):
            name = settings.fallback_provider
            chain.append(name)
        on = self.enabled()
        return [name for name in chain[1:] if name in on]


def read_config(file: YamlFile, model: type[C], env: Mapping[str, str] | None = None) -> tuple[C, Registry]:
    """The sections of a file, checked also for what only shows when all is put together: keys that are missing, models
    that no provider knows, providers that are not there. Files that it names lie in its folder.

    Args:
        file: what was read.
        model: `LlmConfig`, or with more sections.
        env: the environment's variables.

    Raises:
        ConfigError: names the line and what was expected there.
    """
    config = file.validate(model)
    if config.providers and not config.enabled():
        wish = "expected one that is, or `offline: {}` for answers by rules"
        raise file.error(("providers",), f"none of them is enabled; {wish}")
    for name, settings in config.enabled().items():
        try:
            settings.spec(name, env)
        except (ValueError, CallboardError) as error:
            raise file.error(("providers", name), str(error)) from None
    registry = config.registry(env)
    for location, named in config.named_models():
        try:
            registry.resolve(named)
        except CallboardError as error:
            raise file.error(location, str(error)) from None
    _check_providers(config, file, registry)
    _check_said_once(config, file)
    _check_fallback(config, file, registry)
    config = _by_own_names(config, file, registry)
    if config.cache is not None and config.cache.path:
        where = file.beside(("cache", "path"), config.cache.path)
        config = config.model_copy(update={"cache": config.cache.model_copy(update={"path": str(where)})})
    return config, registry


def _check_providers(config: LlmConfig, file: YamlFile, registry: Registry) -> None:
    for name, settings in config.enabled().items():
        at: Location = ("providers", name)
        if stand_in := settings.fallback_provider:
            if stand_in == name:
                raise file.error((*at, "fallback_provider"), "cannot stand in for itself; expected another provider")
            require(file, (*at, "fallback_provider"), "provider", stand_in, set(config.providers) - {name})
            served = registry.providers.get(stand_in)
            if served is not None and not served.default_model:
                wish = f"{stand_in} has no default_model to stand in with; expected one there"
                raise file.error((*at, "fallback_provider"), wish)
        for made in settings.key_names(name):
            if made in config.providers:
                wish = f"its keys are called {name}-1, {name}-2, …; expected another name for the provider {made}"
                raise file.error((*at, "keys"), wish)
        for place, key in enumerate(keys := [one.api_key for one in settings.keys]):
            if (first := keys.index(key)) < place:
                wish = f"is the same key as keys.{first}, whose limits it would share; expected another one"
                raise file.error((*at, "keys", place), wish)
    for agent, entry in config.agent_models.items():
        if entry.primary:
            require(file, ("agent_models", agent, "primary"), "provider", entry.primary, registry.providers)


def _check_said_once(config: LlmConfig, file: YamlFile) -> None:
    for section in ("aliases", "roles", "agent_models"):
        seen: dict[str, str] = {}
        for name in getattr(config, section):
            if (other := seen.setdefault(alias_key(name), name)) != name:
                raise file.error((section, name), f"is the same name as {other!r}; expected one of them")
    for agent in config.agent_models:
        if alias_key(agent) in map(alias_key, config.roles):
            raise file.error(("agent_models", agent), "stands in roles, too; expected one of them")


def _check_fallback(config: LlmConfig, file: YamlFile, registry: Registry) -> None:
    models: dict[Target, str] = {}
    for model, several in config.lesser_models().items():
        at: Location = ("fallback", model) if isinstance(config.fallback, dict) else ("fallback",)
        target = registry.resolve(model)
        if (other := models.setdefault(target, model)) != model:
            raise file.error(at, f"is the same model as {other!r}; expected one list for both")
        lesser = [target]
        for place, name in enumerate(several):
            found = registry.resolve(name)
            if found in lesser:
                what = "is the model itself" if found == target else "stands there already"
                raise file.error((*at, place), f"{name!r} {what}; expected another one")
            lesser.append(found)


def _by_own_names(config: C, file: YamlFile, registry: Registry) -> C:
    """With the models' own names in place of aliases wherever the pool goes by them."""
    targets = [registry.resolve(written) for _, written in config.named_models()]
    named = {target.model for target in targets}

    def own(written: str) -> str:
        return resolved(registry, written, named)

    changed: dict[str, Any] = {}
    if config.budgets:
        changed["budgets"] = tuple(_budgets(config, file, registry, own))
    if config.prices:
        changed["prices"] = renamed(file, ("prices",), config.prices, own)
    providers = dict(config.providers)
    for name, settings in config.enabled().items():
        listed = settings.models and [
            *settings.models,
            *([settings.default_model] if settings.default_model else []),
            *(target.model for target in targets if target.provider == name),
        ]
        update = {
            entry: renamed(file, ("providers", name, entry), said, partial(name_at, registry, name, listed=listed))
            for entry in ("model_limits", "model_defaults")
            if (said := getattr(settings, entry))
        }
        providers[name] = settings.model_copy(update=update)
    if providers:
        changed["providers"] = providers
    return config.model_copy(update=changed)


def _budgets(config: LlmConfig, file: YamlFile, registry: Registry, own: Callable[[str], str]) -> Iterator[Budget]:
    keys = [key for name, settings in config.providers.items() for key in settings.key_names(name)]
    seen: set[tuple[str, str | None]] = set()
    for index, budget in enumerate(config.budgets):
        at: Location = ("budgets", index, "name")
        if budget.name != "*":
            if budget.scope == "model":
                try:
                    budget = replace(budget, name=own(budget.name))
                except CallboardError as error:
                    raise file.error(at, str(error)) from None
            elif budget.scope == "provider":
                require(file, at, "provider", budget.name, {*(config.providers or registry.providers), *keys})
            elif budget.scope == "key":
                require(file, at, "key", budget.name, keys)
        if (budget.account, budget.period) in seen:
            period = f" for the {budget.period}" if budget.period else ""
            raise file.error(("budgets", index), f"{budget.account}{period} has a budget already; expected one of them")
        seen.add((budget.account, budget.period))
        yield budget


def require(file: YamlFile, at: Location, kind: str, name: str, known: Collection[str]) -> None:
    """Raises `ConfigError` where a file names something that is not there, with what may have been meant."""
    if name in known:
        return
    near = difflib.get_close_matches(name, known, 1, cutoff=0.5)
    hint = f"expected one of {', '.join(sorted(known))}" if known else f"the file has no {kind} that could stand here"
    if near:
        hint = f"did you mean {near[0]!r}?"
    raise file.error(at, f"no {kind} is called {name!r}; {hint}")


def load_config(
    path: str | Path = "llm.yaml", env: Mapping[str, str] | None = None, *, changes: Mapping[str, Any] | None = None
) -> LlmConfig:
    """Read ``llm.yaml``.

    Args:
        path: the file.
        env: the variables for ``${X}``; the process's environment by default.
        changes: values in place of the file's, by their names with dots between, such as ``hedge.budget``.

    Raises:
        ConfigError: it is missing or wrong; names file, line and what was expected.
    """
    return read_config(changed(read_yaml(path, env), changes or {}, LlmConfig.model_fields), LlmConfig, env)[0]

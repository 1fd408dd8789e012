"""``llm.yaml``: which providers there are, their limits, and which model serves whom.

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

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from ...actors.core.base.spec import ChildSpec
from ..clouds import CLOUDS, cloud_of
from ..errors import AuthenticationFailed, UnknownModel
from ..messages import Request
from ..registry.presets import PRESETS
from ..registry.resolve import OFFLINE, Registry, alias_key, from_environment, preset_spec
from ..spec import Capability, Kind, ProviderSpec
from ..wire.openai_chat import Dialect
from .yamlfile import ConfigError, Location, YamlFile, read_yaml

_KINDS: tuple[str, ...] = get_args(Kind)
_CLOUD_FIELDS = tuple(dict.fromkeys(item.name for made in CLOUDS.values() for item in fields(made)))
_REQUEST_FIELDS = frozenset(item.name for item in fields(Request)) - {"messages", "model", "tools", "headers"}


def _known_type(value: str) -> str:
    if value and value not in _KINDS and value not in PRESETS:
        raise ValueError(f"expected one of {', '.join([*_KINDS, *(name for name in PRESETS if name not in _KINDS)])}")
    return value


def _known_fields(value: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(value) - _REQUEST_FIELDS)
    if unknown:
        raise ValueError(f"expected fields of a request ({', '.join(sorted(_REQUEST_FIELDS))}), not {unknown[0]}")
    return {name: tuple(item) if isinstance(item, list) else item for name, item in value.items()}


def _as_text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value  # YAML reads 2024-10-21 as a date


RequestDefaults = Annotated[dict[str, Any], AfterValidator(_known_fields)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LimitSettings(_Section):
    """Rate limits of one provider."""

    requests_per_minute: int | None = Field(None, ge=1, description="a number of at least 1")
    tokens_per_minute: int | None = Field(None, ge=1, description="a number of at least 1")
    concurrency: int | None = Field(None, ge=1, description="a number of at least 1")


class ProviderSettings(_Section):
    """One provider."""

    type: Annotated[str, AfterValidator(_known_type)] = Field("", description="a protocol or a known vendor")
    api_key: SecretStr | None = None
    base_url: str = Field("", description="an address")
    default_model: str = ""
    models: list[str] = []
    headers: dict[str, str] = Field({}, repr=False)
    timeout: float = Field(120.0, gt=0, description="seconds")
    connect_timeout: float = Field(10.0, gt=0, description="seconds")
    max_in_flight: int = Field(256, ge=1)
    limits: LimitSettings = LimitSettings()
    priority: int | None = Field(None, description="a number; lower is preferred, the order of the file by default")
    weight: float = Field(1.0, gt=0)
    capabilities: frozenset[Capability] | None = None
    defaults: RequestDefaults = {}
    model_defaults: dict[str, RequestDefaults] = {}
    enabled: bool = True
    api_version: Annotated[str, BeforeValidator(_as_text)] = Field("", description="Azure: a date such as 2024-10-21")
    deployment: str = Field("", description="Azure: the deployment that serves every model")
    region: str = Field("", description="Bedrock: a region such as us-east-1")
    profile: str = Field("", description="Bedrock: a profile of Amazon's configuration files")
    project: str = Field("", description="Vertex AI: a project's identifier")
    location: str = Field("", description="Vertex AI: a location such as us-east5 or global")

    def spec(self, name: str, env: Mapping[str, str] | None = None) -> ProviderSpec:
        """The provider as its actor takes it.

        Args:
            name: how it is called.
            env: where a known vendor's key is looked for if the settings have none.

        Raises:
            ValueError: something it needs is missing; says what.
        """
        env = os.environ if env is None else env
        preset = PRESETS.get(self.type) or (PRESETS.get(name) if not self.type else None)
        key = self.api_key
        if key is not None and not key.get_secret_value():
            key = None
        cloud = {field: value for field in _CLOUD_FIELDS if (value := getattr(self, field))}
        if preset is not None:
            found = next((env[variable] for variable in preset.keys if env.get(variable)), "")
            if key is None and found and not self.profile:
                key = SecretStr(found)
            elsewhere = bool(self.base_url) and "base_url" not in preset.settings
            if key is None and preset.keys and not preset.keyless and not elsewhere:
                raise ValueError(f"expected an api_key, or {' or '.join(preset.keys)} in the environment")
            settings = {"base_url": self.base_url, **cloud} if self.base_url else cloud
            for field, variables in preset.settings.items():
                value = settings.get(field) or next((env[one] for one in variables if env.get(one)), "")
                if not value:
                    raise ValueError(f"expected {field}, or {' or '.join(variables)} in the environment")
                settings[field] = value
            base = preset_spec(preset, "", settings.pop("base_url", ""), settings)
        else:
            kind: Any = self.type or "openai"
            if not self.base_url and kind not in ("offline", "litellm"):
                raise ValueError(f"expected a base_url, or a type that is a known vendor ({', '.join(PRESETS)})")
            # A server that copied the protocol: the older name of the limit, and nothing held back.
            dialect = Dialect(max_tokens="max_tokens", drops=frozenset())
            base = ProviderSpec(name, kind, base_url=self.base_url, dialect=dialect, cloud=cloud_of(kind, cloud))
        return replace(
            base,
            name=name,
            api_key=key,
            default_model=self.default_model or base.default_model or next(iter(self.models), ""),
            models=tuple(self.models),
            headers=self.headers,
            timeout=self.timeout,
            connect_timeout=self.connect_timeout,
            max_in_flight=self.max_in_flight,
            capabilities=self.capabilities,
            defaults=self.defaults,
            model_defaults=self.model_defaults,
        )


class LlmConfig(_Section):
    """A whole ``llm.yaml``."""

    providers: dict[str, ProviderSettings] = {}
    default_model: str = ""
    aliases: dict[str, str] = {}
    fallback: dict[str, list[str]] | list[str] = Field({}, description="models, or a mapping of models to lesser ones")
    roles: dict[str, str] = {}

    def enabled(self) -> dict[str, ProviderSettings]:
        """The providers that are switched on, in the order of the file."""
        return {name: settings for name, settings in self.providers.items() if settings.enabled}

    def registry(self, env: Mapping[str, str] | None = None) -> Registry:
        """The providers and aliases: the file's, where it names any, else the environment's. Aliases of the
        environment (``LM_MODEL_*``) hold too; the file's are stronger.

        Raises:
            ValueError: a provider lacks something it needs.
        """
        around = from_environment(env)
        specs: Mapping[str, ProviderSpec] = around.providers
        if self.providers:
            specs = {name: settings.spec(name, env) for name, settings in self.enabled().items()}
        aliases = {**around.aliases, **{alias_key(alias): model for alias, model in self.aliases.items()}}
        return Registry(
            {**specs, OFFLINE.name: specs.get("offline", OFFLINE)}, aliases, self.default_model or around.default
        )

    def model_for(self, role: str) -> str:
        """The model of an agent's role, or of all; empty for the first provider's default."""
        return self.roles.get(role) or self.default_model

    def fallbacks(self) -> dict[str, Sequence[str]]:
        """Lesser models by model; a plain list stands for the default model's."""
        if isinstance(self.fallback, dict):
            return {model: tuple(lesser) for model, lesser in self.fallback.items()}
        return {model: tuple(self.fallback) for model in {"", self.default_model} if self.fallback}

    def named_models(self) -> list[tuple[Location, str]]:
        """Each model that the file names, with the place where it does."""
        named: list[tuple[Location, str]] = [(("default_model",), self.default_model)]
        named += [(("roles", role), model) for role, model in self.roles.items()]
        named += [(("aliases", alias), model) for alias, model in self.aliases.items()]
        if isinstance(self.fallback, dict):
            for model, lesser in self.fallback.items():
                named.append((("fallback", model), model))
                named += [(("fallback", model, place), name) for place, name in enumerate(lesser)]
        else:
            named += [(("fallback", place), name) for place, name in enumerate(self.fallback)]
        return [(location, model) for location, model in named if model]


def check(config: LlmConfig, file: YamlFile, env: Mapping[str, str] | None = None, *, under: Location = ()) -> Registry:
    """Check what only shows when all is put together: keys that are missing, models that no provider knows.

    Args:
        config: the settings.
        file: where they stand, for the line in errors.
        env: the environment's variables.
        under: the location of the settings within the file.

    Raises:
        ConfigError: names the line and what was expected there.
    """
    for name, settings in config.enabled().items():
        try:
            settings.spec(name, env)
        except ValueError as error:
            raise file.error((*under, "providers", name), str(error)) from None
    registry = config.registry(env)
    for location, model in config.named_models():
        try:
            registry.resolve(model)
        except (UnknownModel, AuthenticationFailed) as error:
            raise file.error((*under, *location), str(error)) from None
    return registry


def load_config(path: str | Path = "llm.yaml", env: Mapping[str, str] | None = None) -> LlmConfig:
    """Read ``llm.yaml``.

    Args:
        path: the file.
        env: the variables for ``${X}``; the process's environment by default.

    Raises:
        ConfigError: it is missing or wrong; names file, line and what was expected.
    """
    file = read_yaml(path, env)
    config = file.validate(LlmConfig)
    check(config, file, env)
    return config


def pool_from_config(
    config: LlmConfig,
    models: Iterable[str] = ("",),
    env: Mapping[str, str] | None = None,
    *,
    name: str = "pool",
    **options: Any,
) -> ChildSpec:
    """Return the child spec of a pool with the file's providers, limits and fallbacks.

    Args:
        config: what `load_config` read.
        models: names of models that will be asked for, beside those that the file names.
        env: the environment's variables.
        name: the pool's name.
        options: further settings of the pool.

    Raises:
        UnknownModel, AuthenticationFailed: one of `models` leads nowhere.
        ConfigError: a provider lacks something it needs.
    """
    from ..pool import Pool, Quota
    from ..pool.environment import endpoints

    try:
        registry = config.registry(env)
    except ValueError as error:
        raise ConfigError(str(error), path="llm.yaml") from None
    wanted = dict.fromkeys([*models, *(model for _, model in config.named_models()), *config.roles.values()])
    made = []
    for endpoint in endpoints(registry, wanted):
        settings = config.providers.get(endpoint.name)
        if settings is not None:
            given = settings.limits
            limits = Quota(
                given.requests_per_minute, given.tokens_per_minute, given.concurrency or settings.max_in_flight
            )
            priority = endpoint.priority if settings.priority is None else settings.priority
            endpoint = replace(endpoint, limits=limits, priority=priority, weight=settings.weight)
        made.append(endpoint)
    options.setdefault("fallbacks", config.fallbacks())
    return Pool.spec(made, name=name, **options)

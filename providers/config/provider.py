"""One provider, as a configuration file describes it."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from ..clouds import CLOUDS, cloud_of
from ..embeddings import EmbeddingLimit
from ..pool import BreakerPolicy, Price, Quota, RetryPolicy
from ..registry.presets import COMPATIBLE, PRESETS
from ..registry.resolve import OFFLINE, first_set, preset_spec
from ..spec import Capability, ProviderSpec
from ..wire.secrets import public
from .fields import KINDS, Names, RequestDefaults, Secret, Section, address, header, known_type

_CLOUD_FIELDS = tuple(dict.fromkeys(item.name for made in CLOUDS.values() for item in fields(made)))


def _as_text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value  # YAML reads 2024-10-21 as a date


def _some_keys(value: Any) -> Any:
    if not isinstance(value, list) or not value:
        raise ValueError("expected a list of keys, as in [${FIRST_KEY}, ${SECOND_KEY}]")
    return [{"api_key": one} if isinstance(one, str) else one for one in value]


class KeySettings(Section):
    """One key of several."""

    api_key: Secret = Field(min_length=1, description="the key, as ${VARIABLE}")
    limits: Quota | None = Field(None, description="of this key; the provider's, if left out")


class ProviderSettings(Section):
    """One provider."""

    type: Annotated[str, AfterValidator(known_type)] = Field("", description="a protocol or a known vendor")
    api_key: Secret | None = Field(
        None, description="the key, as ${VARIABLE}; the vendor's usual variable, if left out"
    )
    keys: Annotated[
        tuple[KeySettings, ...], BeforeValidator(_some_keys, json_schema_input_type=list[str | KeySettings])
    ] = Field((), description="several keys in place of api_key, each with the limits to itself")
    base_url: Annotated[str, AfterValidator(address)] = Field("", description="an address; the vendor's, if left out")
    default_model: str = Field("", description="the model of requests that name none")
    models: Names = Field((), description="a list of the models it has")
    headers: Annotated[dict[str, str], AfterValidator(header)] = Field(
        {}, repr=False, description="sent with each request"
    )
    timeout: float = Field(120.0, gt=0, description="seconds of silence")
    total_timeout: float = Field(1800.0, gt=0, description="seconds for a whole request")
    connect_timeout: float = Field(10.0, gt=0, description="seconds")
    max_in_flight: int = Field(256, ge=1, description="requests sent at once; the others wait")
    embedding_limit: EmbeddingLimit | None = Field(
        None, description="how much it embeds in one call; what its vendor takes, if left out"
    )
    limits: Quota = Field(Quota(), description="its rate limits; what is left out is not limited")
    model_limits: dict[str, Quota] = Field({}, description="rate limits of single models; a request must keep both")
    rate_limit_rpm: int | None = Field(None, ge=1, description="the same as requests_per_minute of limits")
    retry: RetryPolicy | None = Field(None, description="the file's, if left out")
    breaker: BreakerPolicy | None = Field(None, description="the file's, if left out")
    priority: int | None = Field(None, description="a number; lower is preferred, the order of the file by default")
    weight: float = Field(1.0, gt=0, description="its share where the routing is weighted")
    price: Price | None = Field(None, description="US dollars per million tokens, of all its models")
    fallback_provider: str = Field("", description="the provider that stands in for it with its own default_model")
    capabilities: frozenset[Capability] | None = Field(
        None, description="what it can do; all of its protocol, if left out"
    )
    defaults: RequestDefaults = Field({}, description="fields of requests that leave them open")
    model_defaults: dict[str, RequestDefaults] = Field({}, description="the same for single models")
    enabled: bool = Field(True, description="false: as if it did not stand there")
    api_version: Annotated[str, BeforeValidator(_as_text)] = Field("", description="Azure: a date such as 2024-10-21")
    deployment: str = Field("", description="Azure: the deployment that serves every model")
    region: str = Field("", description="Bedrock: a region such as us-east-1")
    profile: str = Field("", description="Bedrock: a profile of Amazon's configuration files")
    project: str = Field("", description="Vertex AI: a project's identifier")
    location: str = Field("", description="Vertex AI: a location such as us-east5 or global")

    @model_validator(mode="after")
    def _said_once(self) -> ProviderSettings:
        if self.rate_limit_rpm is not None and self.limits.requests_per_minute is not None:
            raise ValueError("rate_limit_rpm stands beside requests_per_minute of limits; write one of them")
        if self.keys and self.api_key is not None:
            raise ValueError("keys stand beside api_key; write one of them")
        return self

    def __repr_args__(self) -> Any:
        """As any section's, without a user and password of the address."""
        return [(name, public(value) if name == "base_url" else value) for name, value in super().__repr_args__()]

    def key_names(self, name: str) -> list[str]:
        """How the endpoints of its `keys` are called, if the provider is called `name`; none without `keys`."""
        return [f"{name}-{number}" for number in range(1, len(self.keys) + 1)]

    def quotas(self) -> list[Quota]:
        """The rate limits of each of its keys; of the one where there are no `keys`."""
        own = self.limits
        if self.rate_limit_rpm is not None:
            own = replace(own, requests_per_minute=self.rate_limit_rpm)
        quotas = [one.limits or own for one in self.keys] or [own]
        return [replace(one, concurrency=one.concurrency or self.max_in_flight) for one in quotas]

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
        if self.keys:
            key = self.keys[0].api_key
        cloud = {field: value for field in _CLOUD_FIELDS if (value := getattr(self, field))}
        if preset is not None:
            found = first_set(env, preset.keys)
            if key is None and found and not self.profile:
                key = SecretStr(found)
            elsewhere = bool(self.base_url) and "base_url" not in preset.settings
            if key is None and preset.keys and not preset.keyless and not elsewhere:
                raise ValueError(f"expected an api_key, or {' or '.join(preset.keys)} in the environment")
            settings = {"base_url": self.base_url, **cloud} if self.base_url else cloud
            for field, variables in preset.settings.items():
                value = settings.get(field) or first_set(env, variables)
                if not value:
                    raise ValueError(f"expected {field}, or {' or '.join(variables)} in the environment")
                settings[field] = value
            base = preset_spec(preset, "", settings.pop("base_url", ""), settings)
        else:
            kind: Any = self.type or (name if name in KINDS else "openai")
            if not self.base_url and kind not in ("offline", "litellm"):
                near = difflib.get_close_matches(name, [*PRESETS, "offline"], 1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                known = ", ".join(PRESETS)
                raise ValueError(
                    f"no vendor is called {name!r}; {hint}expected a base_url, or one of {known} as name or type"
                )
            made = ProviderSpec(name, kind, base_url=self.base_url, dialect=COMPATIBLE, cloud=cloud_of(kind, cloud))
            base = OFFLINE if kind == "offline" else made
        own = base.default_model if not self.models or base.default_model in self.models else self.models[0]
        return replace(
            base,
            name=name,
            api_key=key,
            default_model=self.default_model or own,
            models=self.models,
            headers=self.headers,
            timeout=self.timeout,
            total_timeout=self.total_timeout,
            embedding_limit=self.embedding_limit or base.embedding_limit,
            connect_timeout=self.connect_timeout,
            max_in_flight=self.max_in_flight,
            capabilities=self.capabilities,
            defaults=self.defaults,
            model_defaults=self.model_defaults,
        )

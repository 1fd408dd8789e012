"""Model names as users write them, and what the environment offers. Pure: no network, no SDK.

A name is, in this order: an alias; ``offline``; ``provider:model`` or ``provider/model`` of a provider that is known;
a model that a provider was registered with; a name whose form tells the vendor (``gpt-…``, ``o3``, ``claude-…``), if it
is registered; the default model of a provider; anything else goes to LiteLLM where it is registered, or is an error
that says what to do.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from pydantic import SecretStr

from ...actors.core.base.errors import SpecError
from ..checks import is_key
from ..clouds import cloud_of
from ..errors import AuthenticationFailed, UnknownModel
from ..spec import Kind, ProviderSpec
from ..wire.origin import is_makers
from .dated import dated
from .presets import COMPATIBLE, PRESETS, Preset

OFFLINE = ProviderSpec("offline", "offline", default_model="offline")
LITELLM = ProviderSpec("litellm", "litellm")
"""Where names lead that nobody else knows, if it is installed."""
_ALIAS = re.compile(r"LM_MODEL_([A-Z0-9_]+)")
_CUSTOM = re.compile(r"([A-Z][A-Z0-9_]*)_API_BASE")
_KINDS = {
    "openai": "openai",
    "chat": "openai",
    "openai-compatible": "openai",
    "responses": "responses",
    "anthropic": "anthropic",
    "litellm": "litellm",
}
_NEAR = 0.7
_SHOWN = 5
"""How like a name one must be that is suggested in its place: "large" is not meant for "azure" (0.6)."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a model's name leads.

    Args:
        provider: the provider's name.
        model: the model's name as that provider knows it.
    """

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}"


@dataclass(frozen=True, slots=True)
class Registry:
    """The providers that can be used, by name, and the aliases of models. A value: changing it makes a new one.

    Args:
        providers: what is registered; the first is the default.
        aliases: other names for models, in lower case and with underscores; users may write hyphens too.
        default: the model of requests that name none; empty for the first provider's own.
        unusable: what the environment offers and cannot be used, and why.
    """

    providers: Mapping[str, ProviderSpec] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    default: str = ""
    unusable: Mapping[str, str] = field(default_factory=dict)

    def with_provider(self, spec: ProviderSpec) -> Registry:
        """With one more provider, or another one in the place of its namesake."""
        return replace(self, providers={**self.providers, spec.name: spec})

    def without_provider(self, name: str) -> Registry:
        """With one provider less."""
        return replace(self, providers={key: spec for key, spec in self.providers.items() if key != name})

    def with_alias(self, alias: str, model: str) -> Registry:
        """With one more alias."""
        return replace(self, aliases={**self.aliases, alias_key(alias): model})

    def names(self) -> list[str]:
        """The providers' names, the default first."""
        return list(self.providers)

    def resolve(self, name: str = "") -> Target:
        """Where a model's name leads; an empty one to the default.

        Raises:
            UnknownModel: it leads nowhere; says what to write or to set.
            AuthenticationFailed: it leads to a vendor whose key is not set; says which variable to set.
        """
        name = self.unaliased(name.strip() or self.default)
        if not name:
            if not self.providers:
                raise UnknownModel("no provider is registered: register one, or use the model offline")
            first, *others = self.providers.values()
            # One that has no default model is asked only where it is named. The offline model stands in for nobody.
            able = (spec for spec in others if spec.default_model and spec.kind != "offline")
            first = first if first.default_model else next(able, first)
            return Target(first.name, own_name(first, first.default_model))
        if name.lower() == "offline":
            return Target("offline", "offline")
        # Whichever mark comes first divides: "ollama/llama3:8b", "openrouter:openai/gpt-4o".
        head, mark, rest = _divided(name)
        if head not in self.providers:
            head = head.lower()
        if mark and rest and head in self.providers:
            return self._target(head, rest)
        if head in self.unusable:
            raise UnknownModel(self.unusable[head])
        if name in self.providers and self.providers[name].default_model:
            return Target(name, own_name(self.providers[name], self.providers[name].default_model))
        for spec in self.providers.values():
            if name in spec.models:
                return Target(spec.name, own_name(spec, name))
        preset = PRESETS.get(head) if mark else None
        if preset is None:
            preset = next((one for one in PRESETS.values() if one.models is not None and one.models.match(name)), None)
            rest = name
        vendor = self.providers.get(preset.name) if preset is not None else None
        if vendor is not None and _has(vendor, rest):
            return self._target(vendor.name, rest)
        for spec in self.providers.values():
            if name == spec.default_model:
                return Target(spec.name, own_name(spec, name))
        if vendor is not None:
            return self._target(vendor.name, rest)
        if preset is not None:
            if self._litellm_knows(preset):
                return Target("litellm", name.replace(":", "/", 1) if mark and head in PRESETS else name)
            raise AuthenticationFailed(_how_to_enable(preset, name, self._named()), provider=preset.name)
        if "litellm" in self.providers:
            return Target("litellm", name)
        raise UnknownModel(self._unknown(name, head if mark else ""))

    def unaliased(self, name: str) -> str:
        """What an alias stands for, as it was written; any other name as it is.

        Raises:
            UnknownModel: its aliases go round in a circle.
        """
        seen = [name]
        while (found := self.aliases.get(alias_key(name))) is not None:
            if found in seen:
                raise UnknownModel(f"the aliases {' → '.join([*seen, found])} go round in a circle")
            seen.append(found)
            name = found
        return name

    def _target(self, provider: str, model: str) -> Target:
        spec = self.providers[provider]
        if not _has(spec, model):
            known = ", ".join(dict.fromkeys([*spec.models, *filter(None, [spec.default_model])]))
            raise UnknownModel(f"{provider} has no model {model!r}; expected one of {known}", provider=provider)
        return Target(provider, own_name(spec, model))

    def _litellm_knows(self, preset: Preset) -> bool:
        """Whether LiteLLM can reach a vendor that is not registered: with its own key, or where none is wanted. It
        looks for the vendors' keys where we do, so without them it can only fail later and say less."""
        spec = self.providers.get("litellm")
        return spec is not None and bool(spec.secret or spec.base_url or preset.keyless or not preset.keys)

    def _named(self) -> list[str]:
        """The models that the providers name themselves."""
        named = (model for spec in self.providers.values() for model in (spec.default_model, *spec.models))
        return list(dict.fromkeys(filter(None, named)))

    def _unknown(self, name: str, head: str) -> str:
        known = [*self.aliases, *self.providers, *(model for spec in self.providers.values() for model in spec.models)]
        near = difflib.get_close_matches(name, known, 1, _NEAR)
        if head and not near:
            near = difflib.get_close_matches(head, [*PRESETS, *known], 1, _NEAR)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return (
            f"no provider knows the model {name!r}; {hint}write provider:model with one of "
            f"{', '.join(sorted({*self.providers, 'offline'}))}"
        )


def own_name(spec: ProviderSpec, model: str) -> str:
    """The name under which a provider knows a model. Whoever resells Anthropic's has names of its own for them."""
    return dated(model) if spec.kind == "anthropic" and is_makers(spec.base_url) else model


def _has(spec: ProviderSpec, model: str) -> bool:
    """Whether a provider has a model, as far as it says: where it lists none it may have any."""
    listed = (*spec.models, spec.default_model)
    return not spec.models or model in listed or own_name(spec, model) in (own_name(spec, one) for one in listed)


def from_environment(env: Mapping[str, str] | None = None) -> Registry:
    """What the environment offers: vendors whose key is set, the offline model, and, by their names only, custom
    providers and LiteLLM where it is installed; aliases. Without a vendor's key the offline model is the default.

    A custom provider is ``{NAME}_API_BASE`` with, if needed, ``{NAME}_API_KEY``, ``{NAME}_API_TYPE`` (``openai``,
    ``responses``, ``anthropic`` or ``litellm``; ``openai`` by default) and ``{NAME}_API_NAME`` (how it is called;
    ``{name}`` by default). ``LM_MODEL_LARGE=openai:gpt-4o`` makes ``large`` a model; ``LM_MODEL_DEFAULT`` is used
    where no model is named. Variables of that form that belong to something else do no harm: whoever names such a
    provider is told what is wrong with it.

    Args:
        env: the variables; the process's environment by default.

    Raises:
        SpecError: a vendor's key cannot be sent, or what a cloud needs is wrong; says which variables.
    """
    env = os.environ if env is None else env
    specs = [spec for preset in PRESETS.values() if (spec := _from_preset(preset, env)) is not None]
    specs.append(OFFLINE)
    unusable: dict[str, str] = {}
    for name, prefix, variable in _custom(env):
        kind = env.get(f"{prefix}_API_TYPE", "").strip()
        if (kind.lower() or "openai") not in _KINDS:
            unusable[name] = f"{prefix}_API_TYPE is {kind!r}: expected one of {', '.join(_KINDS)}"
            continue
        try:
            specs.append(_custom_spec(env, name, prefix, env[variable].strip(), kind.lower() or "openai"))
        except SpecError as error:
            unusable[name] = f"{error} (in the environment: {prefix}_API_KEY)"
        except ValueError:  # which shows what stands there: an address may hold a password
            unusable[name] = f"{variable} is no address of a provider: expected one such as https://llm.example.com/v1"
    if importlib.util.find_spec("litellm") is not None:
        specs.append(LITELLM)
    aliases, default = aliases_of(env)
    named: dict[str, ProviderSpec] = {}
    for spec in specs:
        named.setdefault(spec.name, spec)  # a vendor keeps its name, and the default its place
    return Registry(named, aliases, default, unusable)


def aliases_of(env: Mapping[str, str] | None = None) -> tuple[dict[str, str], str]:
    """The aliases that the environment has (``LM_MODEL_LARGE``), and the model where none is named
    (``LM_MODEL_DEFAULT``), or an empty text."""
    env = os.environ if env is None else env
    aliases = {
        match[1].lower(): value.strip()
        for name, value in env.items()
        if (match := _ALIAS.fullmatch(name)) and value.strip()
    }
    return aliases, aliases.pop("default", "")


def preset_spec(
    preset: Preset, key: str = "", base_url: str = "", settings: Mapping[str, str] | None = None
) -> ProviderSpec:
    """A provider from a preset.

    Args:
        preset: the vendor.
        key: its key.
        base_url: its address, if not the vendor's own.
        settings: the fields of its `Cloud`, if it has one.

    Raises:
        SpecError: a setting is missing or wrong.
    """
    return ProviderSpec(
        preset.name,
        preset.kind,
        api_key=SecretStr(key) if key else None,
        base_url=base_url or preset.base_url,
        default_model=preset.default_model,
        dialect=preset.dialect,
        embedding_limit=preset.embedding_limit,
        cloud=cloud_of(preset.kind, settings or {}),
    )


def _from_preset(preset: Preset, env: Mapping[str, str]) -> ProviderSpec | None:
    key = first_set(env, preset.keys)
    base = first_set(env, preset.bases)
    settings = {name: first_set(env, variables) for name, variables in preset.settings.items()}
    # A vendor without keys is there when its address is given; the others when their key and all they need is.
    if not (key if preset.keys else base or settings) or not all(settings.values()):
        return None
    if preset.name == "ollama" and base:
        base = _ollama(base)
    try:
        return preset_spec(preset, key, settings.pop("base_url", "") or base, settings)
    except SpecError as error:
        wrong = preset.settings.values() if is_key(key) else [preset.keys]
        variables = ", ".join(name for names in wrong for name in names if env.get(name))
        raise SpecError(f"{error} (in the environment: {variables})") from None
    except ValueError:  # as in a custom provider's
        variables = ", ".join(name for name in (*preset.bases, *preset.settings.get("base_url", ())) if env.get(name))
        raise SpecError(f"expected an address such as https://llm.example.com/v1 in {variables}") from None


def _custom(env: Mapping[str, str]) -> Iterable[tuple[str, str, str]]:
    """Name, prefix and variable of each custom provider."""
    taken = {name for preset in PRESETS.values() for name in preset.bases}
    for variable in sorted(env):
        match = _CUSTOM.fullmatch(variable)
        if match and variable not in taken and env[variable].strip():
            prefix = match[1]
            yield env.get(f"{prefix}_API_NAME", "").strip().lower() or prefix.lower(), prefix, variable


def _custom_spec(env: Mapping[str, str], name: str, prefix: str, base: str, kind: str) -> ProviderSpec:
    key = env.get(f"{prefix}_API_KEY", "").strip()
    return ProviderSpec(
        name,
        cast(Kind, _KINDS[kind]),
        api_key=SecretStr(key) if key else None,
        base_url=base,
        dialect=COMPATIBLE,
    )


def alias_key(alias: str) -> str:
    """An alias as registries keep it: lower case, underscores."""
    return alias.lower().replace("-", "_")


def _ollama(host: str) -> str:
    # OLLAMA_HOST is "127.0.0.1:11434" or an address without the path.
    address = host if "://" in host else f"http://{host}"
    return address.rstrip("/") if re.search(r"/v\d+/?$", address) else f"{address.rstrip('/')}/v1"


def first_set(env: Mapping[str, str], names: Iterable[str]) -> str:
    """The value of the first of some variables that is set and not blank, without blanks around it; or empty."""
    return next((env[name].strip() for name in names if env.get(name, "").strip()), "")


def _divided(name: str) -> tuple[str, str, str]:
    match = re.match(r"([^:/]+)([:/])(.*)", name)
    return (match[1], match[2], match[3]) if match else (name, "", "")


def _how_to_enable(preset: Preset, name: str, instead: Sequence[str]) -> str:
    needed = [preset.keys or (() if preset.settings else preset.bases), *preset.settings.values()]
    variables = " and ".join(" or ".join(names) for names in needed if names)
    return f"the model {name!r} is {preset.name}'s: set {variables}, or use {_one_of(instead)}"


def _one_of(models: Sequence[str]) -> str:
    """Models that can be used instead, a few of them."""
    if not models or models == ["offline"]:
        return "the model offline"
    return f"one that is there: {', '.join([*models[:_SHOWN], *(['…'] if len(models) > _SHOWN else [])])}"

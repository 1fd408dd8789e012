"""A pool of what the environment offers: the vendors whose keys are set, or, without any key, the offline model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ...actors.core.base.spec import ChildSpec
from ..registry.resolve import Registry, from_environment, own_name
from .dispatch.endpoint import Endpoint
from .pool import Pool


def pool_from_environment(
    models: Iterable[str] = ("",), env: Mapping[str, str] | None = None, *, name: str = "pool", **options: Any
) -> ChildSpec:
    """Return the child spec of a pool that serves the given models with the providers of the environment.

    Requests that name no model go to the first provider, and to the others while it is down, each with its own default
    model, which a note on the answer names. The offline model stands in for nobody: it serves where no key is set at
    all, and where it is named.

    Args:
        models: the names users gave, as `Registry.resolve` understands them; empty for the default.
        env: the variables; the process's environment by default.
        name: the pool's name.
        options: of the `Pool`.

    Raises:
        UnknownModel: a name leads nowhere; says what to write or to set.
        AuthenticationFailed: a name leads to a vendor whose key is not set; says which variable to set.
    """
    registry = from_environment(env)
    return Pool.spec(endpoints(registry, models), name=name, **{"registry": registry, **options})


def endpoints(registry: Registry, models: Iterable[str], named: Collection[str] = ()) -> list[Endpoint]:
    """Return an endpoint for each provider that can answer without being named, or to which a model leads.

    Args:
        registry: the providers, and where names lead.
        models: names of models that will be asked for.
        named: providers that are meant to be there in any case.
    """
    specs = dict(registry.providers)
    served: dict[str, list[str]] = {provider: [] for provider in specs}
    first = registry.resolve()
    preferred = replace(specs.pop(first.provider), default_model=first.model)
    specs = {first.provider: preferred, **specs}
    for written in models:
        target = registry.resolve(written)
        if written:
            served[target.provider].append(target.model)
    made = []
    for priority, (provider, spec) in enumerate(specs.items()):
        stand_in = spec.default_model and spec.kind != "offline"
        if not (served[provider] or stand_in or provider in named or provider == first.provider):
            continue
        known = {name: own_name(spec, name) for name in (*spec.models, *served[provider], spec.default_model) if name}
        spec = replace(spec, default_model=own_name(spec, spec.default_model))
        made.append(
            Endpoint.of(
                spec,
                models=tuple(dict.fromkeys(known.values())),
                aliases={name: own for name, own in known.items() if name != own},
                unlisted=not spec.models,
                priority=priority,
            )
        )
    return made

"""A pool of what the environment offers: the vendors whose keys are set, or, without any key, the offline model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ...actors.core.base.spec import ChildSpec
from ..registry.resolve import Registry, from_environment
from ..vendors.build import child_spec
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
    return Pool.spec(endpoints(from_environment(env), models), name=name, **options)


def endpoints(registry: Registry, models: Iterable[str]) -> list[Endpoint]:
    """Return one endpoint for each provider of ``registry``, serving those of ``models`` that lead to it."""
    specs = dict(registry.providers)
    served: dict[str, dict[str, str]] = {provider: {} for provider in specs}
    first = registry.resolve()
    preferred = replace(specs.pop(first.provider), default_model=first.model)
    specs = {first.provider: preferred, **specs}
    for written in models:
        target = registry.resolve(written)
        if written:
            served[target.provider].update({written: target.model, str(target): target.model})
    made = []
    for priority, (provider, spec) in enumerate(specs.items()):
        names = served[provider]
        stand_in = spec.default_model and spec.kind != "offline"
        if not (names or stand_in or provider == first.provider):
            continue
        known = (*spec.models, *names.values(), *([spec.default_model] if spec.default_model else []))
        made.append(
            Endpoint.of(spec, child_spec(spec), models=tuple(dict.fromkeys(known)), aliases=names, priority=priority)
        )
    return made

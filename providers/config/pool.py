"""The pool that a configuration describes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...actors.core.base.spec import ChildSpec
from ..pool import Budget, Cheapest, Endpoint, LeastLoaded, MemoryCache, Pool, Priority, Routing, SqliteCache, Weighted
from ..pool.dispatch.endpoint import with_key
from ..pool.environment import endpoints
from ..registry.resolve import Registry
from .llmfile import LlmConfig

_ROUTING: Mapping[str, Callable[[], Routing]] = {
    "priority": Priority,
    "least_loaded": LeastLoaded,
    "weighted": Weighted,
    "cheapest": Cheapest,
}
_SAME = ("hedge", "batching", "budgets", "prices", "coalesce", "queue_timeout", "probe_interval")
"""Sections whose names and values are those of `Pool`."""


def pool_from_config(
    config: LlmConfig,
    models: Iterable[str] = ("",),
    env: Mapping[str, str] | None = None,
    *,
    name: str = "pool",
    **options: Any,
) -> ChildSpec:
    """Return the child spec of the pool that a file describes, to be started with ``system.supervise``.

    Args:
        config: what `load_config` read.
        models: names of models that will be asked for, beside those that the file names.
        env: the environment's variables, where the file names no providers or leaves out their keys.
        name: the pool's name.
        options: of the `Pool`, for what no file can say: ``on_usage``, ``journal``, ``seed``.

    Raises:
        UnknownModel, AuthenticationFailed: one of `models` leads nowhere.
        ValueError: a provider lacks something it needs.
    """
    registry = config.registry(env)
    wanted = dict.fromkeys([*models, *(model for _, model in config.named_models())])
    fallbacks = _fallbacks(config, registry)
    wanted.update(dict.fromkeys(lesser for several in fallbacks.values() for lesser in several))
    served = _in_order(config, endpoints(registry, wanted, config.enabled()))
    said: dict[str, Any] = {one: getattr(config, one) for one in _SAME if one in config.model_fields_set}
    if config.routing is not None:
        said["routing"] = _ROUTING[config.routing]()
    if config.cache is not None:
        kept = config.cache.model_dump(exclude_unset=True)
        said["cache"] = SqliteCache(**kept) if config.cache.path else MemoryCache(**kept)
    made = [one for endpoint in served for one in _as_said(config, endpoint)]
    if "budgets" in said:
        said["budgets"] = tuple(budget for budget in config.budgets if _may_be_spent(budget, made))
    return Pool.spec(made, name=name, **{"fallbacks": fallbacks, "registry": registry, **said, **options})


def _may_be_spent(budget: Budget, made: Iterable[Endpoint]) -> bool:
    """Whether an endpoint can spend it: not that of a provider that is switched off."""
    if budget.scope not in ("provider", "key") or budget.name == "*":
        return True
    return any(endpoint.called(budget.name) for endpoint in made)


def _in_order(config: LlmConfig, served: Sequence[Endpoint]) -> list[Endpoint]:
    """The endpoints by preference: the first, what stands in for it, and the others in the order of the file."""
    by_name = {endpoint.name: endpoint for endpoint in served}
    names = dict.fromkeys([served[0].name, *config.stand_ins(served[0].name), *by_name])
    found = [by_name[name] for name in names if name in by_name]
    return [replace(endpoint, priority=place) for place, endpoint in enumerate(found)]


def _as_said(config: LlmConfig, endpoint: Endpoint) -> list[Endpoint]:
    """An endpoint for each of the provider's keys, as the file says."""
    settings = config.providers.get(endpoint.name)
    if settings is None:
        return [replace(endpoint, retry=config.retry, breaker=config.breaker)]
    one = replace(
        endpoint,
        model_limits=settings.model_limits,
        retry=settings.retry or config.retry,
        breaker=settings.breaker or config.breaker,
        priority=endpoint.priority if settings.priority is None else settings.priority,
        weight=settings.weight,
        price=settings.price or endpoint.price,
    )
    quotas = settings.quotas()
    if not settings.keys:
        return [replace(one, limits=quotas[0])]
    return [
        replace(
            one,
            name=key,
            group=one.name,
            key=key,
            spec=with_key(one.spec, entry.api_key, "api_key"),
            limits=quota,
        )
        for key, entry, quota in zip(settings.key_names(one.name), settings.keys, quotas, strict=True)
    ]


def _fallbacks(config: LlmConfig, registry: Registry) -> dict[str, tuple[str, ...]]:
    """Lesser models by model: the file's, then the default models of the providers that stand in for its own, which all
    its other models have, too."""
    stand_ins = {
        name: tuple(f"{one}:{registry.providers[one].default_model}" for one in config.stand_ins(name))
        for name in config.enabled()
    }
    made: dict[str, tuple[str, ...]] = {f"{name}:*": lesser for name, lesser in stand_ins.items() if lesser}
    for model, several in config.lesser_models().items():
        target = registry.resolve(model)
        lesser = tuple(dict.fromkeys([*several, *stand_ins.get(target.provider, ())]))
        if lesser:
            made[str(target) if target.model else model] = lesser
    return made

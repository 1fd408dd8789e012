"""What a file means by the name of a model. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from ..errors import ProviderError, UnknownModel
from ..registry.resolve import Registry, own_name
from .annotations import Location
from .yamlfile import YamlFile

T = TypeVar("T")


def resolved(registry: Registry, written: str, named: Collection[str]) -> str:
    """The name under which its provider knows a model.

    Args:
        registry: where names lead.
        written: an alias, ``provider:model``, or a model's name.
        named: own names of models that the file names elsewhere.

    Raises:
        ProviderError: it leads nowhere; says what to write or to set.
    """
    try:
        return registry.resolve(written).model
    except UnknownModel:
        if written in named:
            return written
        raise


def name_at(registry: Registry, provider: str, written: str, listed: Collection[str]) -> str:
    """The name under which a provider knows a model of its own.

    Args:
        registry: where names lead.
        provider: the provider's name.
        written: as in `resolved`; without a provider's name it is this one's.
        listed: the models it has; empty if it does not say.

    Raises:
        ProviderError: it leads to another provider, or the provider does not have it.
    """
    spec = registry.providers[provider]
    meant = written if written in listed else registry.unaliased(written)
    head, mark, _ = meant.partition(":")
    if meant in listed:
        found, leads = own_name(spec, meant), provider
    elif meant != written or (mark and head in registry.providers):
        target = registry.resolve(meant)
        found, leads = target.model, target.provider
    else:
        found, leads = registry.resolve(f"{provider}:{meant}").model, provider
    if leads != provider:
        raise UnknownModel(f"{written!r} is a model of {leads}; expected one of {provider}", provider=provider)
    if listed and found not in {own_name(spec, one) for one in listed}:
        known = ", ".join(dict.fromkeys(listed))
        raise UnknownModel(f"{provider} has no model {written!r}; expected one of {known}", provider=provider)
    return found


def renamed(file: YamlFile, at: Location, entries: Mapping[str, T], own: Callable[[str], str]) -> dict[str, T]:
    """A mapping by model, under the models' own names.

    Args:
        file: where it stands.
        at: in which place.
        entries: by the names that the file uses.
        own: the own name of a name; raises `ProviderError`.

    Raises:
        ConfigError: a name leads nowhere, or to a model that stands there by another name.
    """
    made: dict[str, T] = {}
    for name, value in entries.items():
        try:
            model = own(name)
        except ProviderError as error:
            raise file.error((*at, name), str(error)) from None
        if model in made:
            raise file.error((*at, name), f"{model!r} stands there already by another name; expected it once")
        made[model] = value
    return made

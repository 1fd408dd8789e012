"""Which endpoints can serve a request, and what each would change in it. Pure.

A plan is a list of tiers, best first; a later one is used only while every endpoint of the earlier ones is down:

1. endpoints that serve the model and can do everything the request needs;
2. endpoints that serve the model but lack a capability that can be done without (capability downgrading);
3. the same for each model the pool may fall back to (degradation).

A request without a model asks for the default model of the endpoint that is preferred; the default models of others are
the last that the pool falls back to.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from ...embeddings import Asked, EmbeddingRequest
from ...errors import NoProvider, UnknownModel
from ...messages import Audio, File, Image, Message, Part, Request, Text
from ...registry.presets import PRESETS
from ...spec import media
from ...wire.history import described
from ...wire.schema import in_words
from ..admission.admission import Tiers
from ..admission.gate import Gate
from .endpoint import Endpoint, Member

DROPPABLE = frozenset({"images", "files", "audio", "schema", "reasoning"})
"""What a request can be sent without. Not tools: an agent that needs them would get a wrong answer instead of none."""

DEGRADED = "degraded to model"
DROPPED = "capability dropped"
"""How the notes begin on what is less than was asked for."""


def needs(request: Asked) -> frozenset[str]:
    """Return the capabilities a request asks for."""
    if isinstance(request, EmbeddingRequest):
        return _VECTORS
    wanted = set()
    if request.tools and request.tool_choice != "none":
        wanted.add("tools")
    if request.response_schema is not None:
        wanted.add("schema")
    if request.reasoning_effort not in (None, "none") or request.thinking_tokens:
        wanted.add("reasoning")
    return frozenset(wanted) | media(request)


_NOTHING: frozenset[str] = frozenset()
_VECTORS = frozenset({"embeddings"})


@dataclass(frozen=True, slots=True)
class Tier:
    """Endpoints that would be asked in the same way.

    Args:
        members: the endpoints.
        gates: what is kept for the model at each, in the same order.
        models: the model each is asked for, by endpoint name; empty to leave the provider its default.
        dropped: capabilities the request loses.
        degraded_to: the fallback model, empty for the one asked for.
    """

    members: tuple[Member, ...]
    gates: tuple[Gate, ...]
    models: Mapping[str, str]
    dropped: frozenset[str] = _NOTHING
    degraded_to: str = ""

    def cause_of(self, gate: Gate) -> str:
        """Return under which name a failure is told: the endpoint's, and with it a model that was not asked for."""
        return f"{gate.name}:{gate.model}" if self.degraded_to and gate.model else gate.name

    @property
    def notes(self) -> tuple[str, ...]:
        """What the caller is told of an answer from this tier."""
        if not self.dropped and not self.degraded_to:
            return ()
        notes = [f"{DROPPED}: {name}" for name in sorted(self.dropped)]
        return (*((f"{DEGRADED} {self.degraded_to}",) if self.degraded_to else ()), *notes)


@dataclass(frozen=True, slots=True)
class Plan:
    """The tiers of a request, and the same as gates for the queue."""

    tiers: tuple[Tier, ...]
    gates: Tiers

    def counts_tokens(self) -> bool:
        """Return whether any endpoint limits tokens."""
        return any(gate.counts_tokens for tier in self.gates for gate in tier)

    def hopeless(self) -> bool:
        """Return whether every endpoint refuses until somebody changes it: waiting would be in vain."""
        return all(gate.disabled or not gate.present for tier in self.gates for gate in tier)

    def has_other(self, gate: Gate) -> bool:
        """Return whether there is anyone else to ask, now or later."""
        return any(each is not gate and each.present and not each.disabled for tier in self.gates for each in tier)

    def other_than(self, avoid: Collection[Gate], now: float) -> bool:
        """Return whether the next attempt can go somewhere that is not in ``avoid``.

        It goes to the first tier that is not entirely down: a lesser one is no reason to try there without a pause.
        """
        for tier in self.gates:
            alive = [gate for gate in tier if not gate.down(now)]
            if alive:
                return any(gate not in avoid for gate in alive)
        return False

    def members(self) -> list[Member]:
        """Every endpoint once, best first."""
        return list(dict.fromkeys(member for tier in self.tiers for member in tier.members))


def make_plan(
    members: Sequence[Member],
    model: str,
    wanted: frozenset[str],
    fallbacks: Mapping[str, Sequence[str]],
    excluded: Collection[Gate] = (),
    only: str = "",
) -> Plan:
    """Return the plan for a request.

    Args:
        members: the pool's endpoints, in order.
        model: the model asked for; empty for the default of the endpoint that is preferred.
        wanted: capabilities the request needs.
        fallbacks: lesser models by model.
        excluded: models of endpoints that cannot serve this request.
        only: name of the one endpoint, or group, to use; empty for any.

    Raises:
        UnknownModel: no endpoint knows the model.
        NoProvider: endpoints know it, but all are excluded or cannot do what the request needs.
    """
    if wanted == _VECTORS:
        fallbacks = {}  # vectors of another model are no lesser ones: nothing can be compared with them
    tiers: list[Tier] = []
    known = False
    planned: set[Gate] = set()
    refused: dict[str, BaseException] = {}
    for lesser, found in _choices(members, model, fallbacks, only):
        groups: dict[frozenset[str], list[tuple[Member, Gate, str]]] = {}
        for member, served in found:
            endpoint: Endpoint = member.endpoint
            known = True
            if only and not endpoint.called(only):
                continue
            gate = member.gate_of(served)
            if gate in excluded or gate in planned:
                continue
            planned.add(gate)
            missing = wanted - endpoint.capabilities
            if missing <= DROPPABLE:
                groups.setdefault(missing, []).append((member, gate, served))
            else:
                lacking = ", ".join(sorted(missing - DROPPABLE))
                refused[endpoint.name] = UnknownModel(f"{endpoint.name} cannot do {lacking}", provider=endpoint.name)
        for missing in sorted(groups, key=lambda dropped: (len(dropped), sorted(dropped))):
            alike = groups[missing]
            tiers.append(
                Tier(
                    tuple(member for member, _, _ in alike),
                    tuple(gate for _, gate, _ in alike),
                    {member.endpoint.name: served for member, _, served in alike},
                    missing,
                    lesser,
                )
            )
    if not tiers:
        if only and not any(member.endpoint.called(only) for member in members):
            raise NoProvider(unknown_endpoint(only, [member.endpoint for member in members]))
        if not known:
            raise UnknownModel(_unknown(members, model))
        if only and not excluded and not refused:
            raise NoProvider(
                f"{only} does not serve model {model!r}, and the request must go there: who sends it there names a "
                "model that it serves, in the request or as SwitchProvider(model=…)"
            )
        raise NoProvider(f"no provider is left for model {model or 'default'!r}{_why(refused)}", causes=refused)
    return Plan(tuple(tiers), tuple(tier.gates for tier in tiers))


_Served: TypeAlias = list[tuple["Member", str]]
"""Endpoints, and the name under which each knows a model."""


def _choices(
    members: Sequence[Member], model: str, fallbacks: Mapping[str, Sequence[str]], only: str
) -> Iterator[tuple[str, _Served]]:
    """Yield the models that may answer, best first: as what the caller is told of each (empty for the one that is asked
    for), and the endpoints that serve it."""
    others: list[tuple[str, _Served]] = []
    asked: _Served = []
    if model:
        asked = serving(members, model)
    elif members:
        (_, asked), *others = _defaults([one for one in members if one.endpoint.called(only)] or members)
    yield "", asked
    for name in _lesser(members, model, asked, fallbacks):
        yield name, serving(members, name)
    yield from others


def _lesser(
    members: Sequence[Member], model: str, asked: _Served, fallbacks: Mapping[str, Sequence[str]]
) -> Sequence[str]:
    """Return the lesser models of a model: those under the name that it was asked by, or else under another name of it
    (an alias, with the endpoint's name before it or without)."""
    if model in fallbacks:
        return fallbacks[model]
    same = _known_as(asked)
    for name, lesser in fallbacks.items():
        if name and not same.isdisjoint(_known_as(serving(members, name))):
            return lesser
    everyones = (f"{name}:*" for member, _ in asked for name in (member.endpoint.group, member.endpoint.name))
    return next((fallbacks[name] for name in everyones if name in fallbacks), ())


def _known_as(served: _Served) -> set[tuple[str, str]]:
    """Return the endpoints and their own names of a model; of a default that only a provider knows there is none."""
    found = ((member.endpoint.name, name or member.endpoint.default_model) for member, name in served)
    return {(endpoint, name) for endpoint, name in found if name}


def _defaults(members: Sequence[Member]) -> list[tuple[str, _Served]]:
    """Return each default model, the preferred endpoint's first, with those that serve it: it is their default, too, or
    they list it. That one takes any name does not say that it has the model. Who takes models only where it is named
    and has no default is asked last of all: it would not know which is meant."""
    members = [one for one in members if one.endpoint.default_model or not one.endpoint.unlisted] or members
    names = dict.fromkeys(
        member.endpoint.default_model for member in sorted(members, key=lambda member: member.endpoint.priority)
    )
    found: list[tuple[str, _Served]] = []
    for name in names:
        served = [
            (member, "" if member.endpoint.default_model == name else member.endpoint.serves(name) or name)
            for member in members
            if member.endpoint.default_model == name or (name and _lists(member.endpoint, name))
        ]
        found.append((name or _UNTOLD, served))
    return found


_UNTOLD = "of the provider's choice"
"""What a caller is told of a default model that only the provider knows."""


def serving(members: Sequence[Member], model: str) -> list[tuple[Member, str]]:
    """Return the endpoints that serve a model, and the name under which each knows it.

    ``name:model`` and ``name/model`` are alone of the endpoint, or the group, that is called so. A name with another
    prefix is that of whoever lists it, or else, where the prefix is a vendor's, of that vendor's endpoints and of
    gateways to all.
    """
    if owner := owner_of(members, model):
        members = [member for member in members if member.endpoint.called(owner)]
    elif (prefix := _prefix(model)) and not lists(members, model):
        rest = model[len(prefix) + 1 :]
        own = [(member, rest) for member in members if member.endpoint.vendor == prefix]
        found = [(member, served) for member, name in own if (served := member.endpoint.serves(name)) is not None]
        if found or prefix not in PRESETS:
            return found
        members = [member for member in members if member.endpoint.vendor in _GATEWAYS]
    return [(member, served) for member in members if (served := member.endpoint.serves(model)) is not None]


def owner_of(members: Sequence[Member], model: str) -> str:
    """Return the endpoint, or the group, whose name stands before a model's; empty if none does."""
    names = {name for member in members for name in (member.endpoint.name, member.endpoint.group) if name}
    return max((name for name in names if model.startswith((f"{name}:", f"{name}/"))), key=len, default="")


_GATEWAYS = frozenset({"", "github", "litellm", "openrouter"})
"""Vendors (as of `Endpoint.vendor`) that pass requests on to other vendors, whose names their models begin with."""


def _prefix(model: str) -> str:
    match = re.match(r"([^:/]+)[:/]", model)
    return match[1] if match else ""


def lists(members: Sequence[Member], model: str) -> bool:
    """Return whether an endpoint has a model by this name, as far as it says which it has."""
    return any(_lists(member.endpoint, model) for member in members)


def _lists(endpoint: Endpoint, model: str) -> bool:
    return model in endpoint.aliases or model in endpoint.models


def _unknown(members: Sequence[Member], model: str) -> str:
    names = ", ".join(member.endpoint.name for member in members) or "none"
    prefix = _prefix(model)
    if any(member.endpoint.called(prefix) for member in members):
        return f"{prefix} does not serve model {model[len(prefix) + 1 :]!r}"
    if not prefix or prefix in PRESETS:
        return f"no provider here serves model {model!r}; providers: {names}"
    return (
        f"no provider here is called {prefix!r}, and no vendor; providers: {names}. A model whose name has a ':' or "
        f"'/' in it stands in its endpoint's models, or is asked for as provider:{model}"
    )


def unknown_endpoint(name: str, endpoints: Sequence[Endpoint]) -> str:
    """Return what is said of a name that no endpoint and no group has."""
    names = dict.fromkeys(each for one in endpoints for each in (one.group, one.name) if each)
    return f"there is no endpoint {name!r} in this pool; endpoints: {', '.join(names) or 'none'}"


def _why(causes: Mapping[str, BaseException]) -> str:
    return "".join(f"; {name}: {error}" for name, error in causes.items())


def adapt(request: Request, model: str, dropped: frozenset[str]) -> Request:
    """Return the request as one endpoint gets it: its name of the model, without what it cannot do."""
    if not dropped:
        return request if model == request.model else replace(request, model=model)
    messages = request.messages
    kinds = tuple(kind for name, kind in _MEDIA.items() if name in dropped)
    if kinds:
        messages = tuple(_without(message, kinds) for message in messages)
    if "schema" in dropped and request.response_schema is not None:
        # It cannot be enforced any more, but it can be asked for.
        messages = (*messages, in_words(request.response_schema))
    return replace(
        request,
        model=model,
        messages=messages,
        response_schema=None if "schema" in dropped else request.response_schema,
        reasoning_effort=None if "reasoning" in dropped else request.reasoning_effort,
        thinking_tokens=None if "reasoning" in dropped else request.thinking_tokens,
    )


_MEDIA: Mapping[str, type[Part]] = {"images": Image, "files": File, "audio": Audio}


def _without(message: Message, kinds: tuple[type[Part], ...]) -> Message:
    if isinstance(message.content, str) or message.role == "assistant":
        return message
    parts = tuple(Text(described(part)) if isinstance(part, kinds) else part for part in message.content)
    return replace(message, content=parts)

"""An endpoint as it is configured, and what the pool keeps of it while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args

from pydantic import SecretStr

from ....actors.core.base.errors import SpecError
from ....actors.core.base.spec import ChildSpec, check_name
from ... import checks
from ...embeddings import EMBEDDING_LIMIT, EmbeddingLimit
from ...registry.presets import PRESETS
from ...spec import Capability, ProviderSpec
from ...vendors.build import child_spec
from ..accounts.cost import FREE, Price
from ..accounts.limits import Budget
from ..admission.breaker import BreakerPolicy
from ..admission.limiter import Quota
from ..admission.retry import RetryPolicy

if TYPE_CHECKING:
    from ....actors.core.refs.ref import ActorRef
    from ..admission.gate import EndpointGate, Gate

_VENDORS = {"openai": "openai", "responses": "openai", "anthropic": "anthropic"}
_RESOLD = {"azure": "azure", "bedrock": "aws", "vertex": "google", "gemini": "google"}
ALL_CAPABILITIES = frozenset({"tools", "images", "files", "audio", "schema", "reasoning"})


def _names_an_actor(value: Any) -> bool:
    try:
        check_name(value)
    except SpecError:
        return False
    return checks.NAME.fits(value)


_NAME = checks.Wish("a name in a line, without '/', as its actor is called so", _names_an_actor)
_ABLE = checks.several(checks.one_of(*get_args(Capability)))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One provider endpoint (and key) in the pool.

    Args:
        name: unique in the pool; ``name:model`` and ``name/model`` in a request choose this endpoint.
        spec: how its actor is started. It must answer `Request` with a `Completion`, or a stream of `Delta`;
            with the capability ``embeddings`` also `EmbeddingRequest` with `Embeddings`.
        models: the model names it serves; empty if it takes any.
        aliases: names it also answers to, and the model each stands for (``{"large": "gpt-4o"}``).
        default_model: what a request without a model gets here. The preferred endpoint's is what such a request asks
            for; another one is a fallback. Empty if only the provider knows.
        limits: rate limits that all its models share, as those of a key are.
        model_limits: rate limits of single models, by the name it knows them by; a request must keep both.
        priority: lower is preferred by `Priority`.
        weight: share under `Weighted`.
        capabilities: what it can do, of ``tools``, ``images``, ``files``, ``audio``, ``schema``, ``reasoning``,
            ``batch``, ``embeddings``.
        vendor: whose price list applies, as genai-prices names it (``openai``, ``anthropic``); empty for any.
        price: price per million tokens in place of the list's.
        group: a name for several endpoints, such as the keys of one provider. It stands for any of them in a model's
            name (``group:model``), a `Requester`, a `SwitchProvider`, a `FanOut`, and for all together in a `Budget`.
        key: a label of the key it uses, for budgets and statistics. Never the key itself.
        retry, breaker: policies. There is a breaker for each model, and one for what concerns the endpoint as a whole.
        embedding_limit: how much it embeds in one call.
        unlisted: whether it takes models that it does not list where it is named with them (``name:model``), and only
            there, also if it lists none.
    """

    name: str
    spec: ChildSpec = field(repr=False)  # its arguments may hold a key
    models: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    default_model: str = ""
    limits: Quota = field(default_factory=Quota)
    model_limits: Mapping[str, Quota] = field(default_factory=dict)
    priority: int = 0
    weight: float = 1.0
    capabilities: frozenset[str] = ALL_CAPABILITIES
    vendor: str = ""
    price: Price | None = None
    group: str = ""
    key: str = ""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    embedding_limit: EmbeddingLimit = EMBEDDING_LIMIT
    unlisted: bool = False

    def __post_init__(self) -> None:
        quota, made = checks.made_as(Quota), checks.made_as
        checks.hold(self, name=_NAME, spec=made(ChildSpec), limits=quota, model_limits=checks.by_name(quota))
        checks.hold(self, models=checks.several(checks.NAME), unlisted=checks.FLAG, aliases=checks.by_name(checks.NAME))
        checks.hold(self, default_model=checks.TEXT, vendor=checks.TEXT, group=checks.TEXT, key=checks.TEXT)
        checks.hold(self, priority=checks.WHOLE, weight=checks.AMOUNT, capabilities=_ABLE)
        checks.hold(self, price=made(Price).or_none("for the list's"), retry=made(RetryPolicy))
        checks.hold(self, breaker=made(BreakerPolicy), embedding_limit=made(EmbeddingLimit))

    @classmethod
    def of(cls, provider: ProviderSpec, spec: ChildSpec | None = None, **options: Any) -> Endpoint:
        """Return the endpoint of a provider: its name, models, capabilities and concurrency, unless ``options`` differ.

        Args:
            provider: what it is.
            spec: how its actor is started; by default as the one of its kind is.
            options: any field of `Endpoint`.
        """
        limits: Quota = options.pop("limits", Quota())
        if limits.concurrency is None:
            limits = replace(limits, concurrency=provider.max_in_flight)  # or the rest would wait inside its actor
        settings: dict[str, Any] = {
            "models": provider.models,
            "default_model": provider.default_model,
            "embedding_limit": provider.embedding_limit,
            "capabilities": frozenset[str](provider.abilities()),
            "vendor": _vendor(provider),
            **options,
        }
        if provider.kind == "offline":
            settings.setdefault("price", FREE)
        return cls(provider.name, child_spec(provider) if spec is None else spec, limits=limits, **settings)

    def called(self, name: str) -> bool:
        """Return whether a name is this endpoint's, or its group's."""
        return name == self.name or (name == self.group != "")

    def accounts(self) -> tuple[str, ...]:
        """Return the budget accounts that its calls are booked to, besides those of models and of who asks."""
        names = (self.name, self.group) if self.group else (self.name,)
        return (*(f"provider:{name}" for name in names), *((f"key:{self.key}",) if self.key else ()))

    def serves(self, model: str) -> str | None:
        """Return the name under which this endpoint knows ``model``, or None if it does not."""
        if not model:
            return ""
        if model in self.aliases:
            return self.aliases[model]
        for own in (self.name, self.group):
            if own and model.startswith((f"{own}/", f"{own}:")):
                rest = model[len(own) + 1 :]
                served = self.serves(rest)
                return rest if served is None and self.unlisted else served
        anything = not self.models and not self.unlisted
        return model if anything or model in self.models or model in self.aliases.values() else None


def vendor_account(endpoint: Endpoint) -> tuple[object, ...]:
    """Return by what an endpoint's account with its vendor is known: key, address, cloud. The limits that the vendor
    states are of that account."""
    values = (*endpoint.spec.args, *endpoint.spec.kwargs.values())
    specs = [
        (each.api_key, each.base_url, each.cloud, dict(each.headers))
        for each in values
        if isinstance(each, ProviderSpec)
    ]
    return endpoint.key, specs, [each for each in values if isinstance(each, str | SecretStr)]


def _vendor(provider: ProviderSpec) -> str:
    """Return whose prices hold for a provider: a vendor's at its own address only, by whatever name it is called."""
    if provider.kind in _RESOLD:
        return _RESOLD[provider.kind]
    if not provider.base_url:
        return _VENDORS.get(provider.kind, provider.name)
    own = (preset.name for preset in PRESETS.values() if preset.keys and preset.base_url == provider.base_url)
    return next(own, provider.name)


def check_names(endpoints: Sequence[Endpoint]) -> None:
    """Look whether a name leads to one endpoint, or to one group.

    Raises:
        SpecError: two endpoints have the same name, or one has a group's.
    """
    names = [endpoint.name for endpoint in endpoints]
    if len(set(names)) != len(names):
        raise SpecError(f"endpoint names must be unique in a pool: {', '.join(names)}")
    for name in {endpoint.group for endpoint in endpoints}.intersection(names):
        raise SpecError(f"{name!r} is a group of endpoints in this pool, and cannot be the name of one")


def by_served_model(budget: Budget, endpoints: Sequence[Endpoint]) -> Budget:
    """Return a budget under the name that money is booked by: of a model, the one that its endpoint knows it by, where
    it is called by an alias or with the endpoint's name before it.

    Raises:
        SpecError: no endpoint serves the model, so that it would limit nothing, or the name stands for several.
    """
    if budget.scope != "model" or budget.name == "*":
        return budget
    served = {endpoint.name: endpoint.serves(budget.name) for endpoint in endpoints}
    names = sorted({name for name in served.values() if name})
    if not names:
        known = ", ".join(served) or "none"
        raise SpecError(f"the budget of model {budget.name} limits nothing: no endpoint serves it; endpoints: {known}")
    own = [name for name in names if name != budget.name]
    if not own or any(budget.name in endpoint.models for endpoint in endpoints):
        return budget
    if len(own) > 1:
        raise SpecError(f"the budget of model {budget.name} stands for several: {', '.join(own)}; set one for each")
    return replace(budget, name=own[0])


_PATIENCE = 150.0
"""Seconds an attempt may take by default where others could answer: longer than providers wait for a sign of life, so
that it is they who say what went wrong. It ends what hangs in another way, or gives signs of life and no answer."""


def _patience(endpoint: Endpoint) -> float:
    """Return the seconds one attempt may take where others could answer."""
    if endpoint.retry.attempt_timeout is not None:
        return endpoint.retry.attempt_timeout
    provider = _provider(endpoint.spec)
    return _PATIENCE if provider is None else max(_PATIENCE, 1.25 * provider.timeout)


def _provider(spec: ChildSpec) -> ProviderSpec | None:
    """Return what the actor of a child spec is told of its provider, if that is a `ProviderSpec`."""
    return next((each for each in (*spec.args, *spec.kwargs.values()) if isinstance(each, ProviderSpec)), None)


def has_own_places(endpoint: Endpoint) -> bool:
    """Return whether its requests at once are limited by nothing but how many its provider's actor sends at once."""
    provider = _provider(endpoint.spec)
    return provider is not None and provider.max_in_flight == endpoint.limits.concurrency


def with_key(spec: ChildSpec, key: SecretStr, argument: str) -> ChildSpec:
    """Return a child spec with another key: in its `ProviderSpec` if it has one, otherwise as a keyword argument."""

    def changed(value: Any) -> Any:
        return replace(value, api_key=key) if isinstance(value, ProviderSpec) else value

    if _provider(spec) is None:
        plain = isinstance(spec.kwargs.get(argument), str)
        return replace(spec, kwargs={**spec.kwargs, argument: key.get_secret_value() if plain else key})
    kwargs = {name: changed(value) for name, value in spec.kwargs.items()}
    return replace(spec, args=tuple(map(changed, spec.args)), kwargs=kwargs)


MOST_MODELS = 512
"""Models of one endpoint about which something is remembered. Names come with requests, so there is no end to them."""


class Member:
    """An endpoint at run time. Lives in the pool, so a crash of the provider's actor forgets nothing of it.

    Args:
        endpoint: as it is configured.
        gate: what its models share.
        make_gate: makes what is kept for one more of its models.
        forget: told of a model of which nothing is kept any more.
    """

    __slots__ = (
        "_forget",
        "_make_gate",
        "_patience",
        "_provider",
        "accounts",
        "endpoint",
        "failed_starts",
        "gate",
        "gates",
        "last_error",
        "ref",
        "started",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        gate: EndpointGate,
        make_gate: Callable[[Member, str], Gate],
        forget: Callable[[Gate], None],
    ) -> None:
        self.endpoint = endpoint
        self.gate = gate
        self.ref: ActorRef[Any] | None = None
        """Its actor; None while there is none, because it crashed or could not start."""
        self.started = False
        """Whether that actor has started."""
        self.failed_starts = 0
        """How often in a row it could not."""
        self.gates: dict[str, Gate] = {}
        """By model, those that have been asked for."""
        self.last_error: BaseException | None = None
        """The last one that concerned the endpoint as a whole."""
        self.accounts = endpoint.accounts()
        self._make_gate = make_gate
        self._forget = forget
        self._patience = _patience(endpoint)
        self._provider = _provider(endpoint.spec)

    @property
    def actor(self) -> ActorRef[Any]:
        """Its actor, for a call that was granted."""
        assert self.ref is not None, "nothing is granted to an endpoint without an actor"
        return self.ref

    def is_alive(self) -> bool:
        """Return whether it has an actor that takes messages."""
        return self.ref is not None and self.ref.is_alive()

    def attempt_timeout(self, others: bool) -> float | None:
        """Return the seconds one attempt may take; None for as long as the provider lets it.

        Args:
            others: whether anyone else could answer.
        """
        return self._patience if others else self.endpoint.retry.attempt_timeout

    def default_tokens(self, model: str) -> int | None:
        """Return the ``max_tokens`` that its provider adds to requests for a model which leave them open."""
        spec = self._provider
        if spec is None or not (spec.defaults or spec.model_defaults):
            return None
        most: int | None = {**spec.defaults, **spec.model_defaults.get(model or spec.default_model, {})}.get(
            "max_tokens"
        )
        return most

    def gate_of(self, served: str) -> Gate:
        """Return what is kept for a model.

        Args:
            served: the model's name from `Endpoint.serves`.
        """
        model = served or self.endpoint.default_model
        gate = self.gates.get(model)
        if gate is None:
            if len(self.gates) >= MOST_MODELS:
                kept = self.endpoint.model_limits
                idle = next((gate for gate in self.gates.values() if not gate.flying and gate.model not in kept), None)
                if idle is not None:
                    del self.gates[idle.model]
                    self._forget(idle)
            gate = self.gates[model] = self._make_gate(self, model)
        return gate

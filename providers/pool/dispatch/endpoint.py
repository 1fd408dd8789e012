"""An endpoint as it is configured, and what the pool keeps of it while it runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from ....actors.core.base.spec import ChildSpec
from ...embeddings import EMBEDDING_LIMIT, EmbeddingLimit
from ...spec import ProviderSpec
from ..accounts.cost import FREE, Price
from ..accounts.estimate import OutputEstimate
from ..accounts.stats import EndpointCounts, Latencies
from ..admission.breaker import BreakerPolicy
from ..admission.limiter import Quota
from ..admission.retry import RetryBudget, RetryPolicy

if TYPE_CHECKING:
    from ....actors.core.refs.ref import ActorRef
    from ..admission.admission import Gate

_VENDORS = {"openai": "openai", "responses": "openai", "anthropic": "anthropic"}
_RESOLD = {"azure": "azure", "bedrock": "aws", "vertex": "google", "gemini": "google"}
ALL_CAPABILITIES = frozenset({"tools", "images", "schema", "reasoning"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One provider endpoint (and key) in the pool.

    Args:
        name: unique in the pool; ``name:model`` and ``name/model`` in a request choose this endpoint.
        spec: how its actor is started. It must answer `Request` with a `Completion`, or a stream of `Delta`;
            with the capability ``embeddings`` also `EmbeddingRequest` with `Embeddings`.
        models: the model names it serves; empty if it takes any.
        aliases: names it also answers to, and the model each stands for (``{"large": "gpt-4o"}``).
        default_model: what a request without a model gets, for prices and notes; empty to leave it to the provider.
        limits: its rate limits.
        priority: lower is preferred by `Priority`.
        weight: share under `Weighted`.
        capabilities: what it can do, of ``tools``, ``images``, ``schema``, ``reasoning``, ``batch``, ``embeddings``.
        vendor: whose price list applies, as genai-prices names it (``openai``, ``anthropic``); empty for any.
        price: price per million tokens in place of the list's.
        key: a label of the key it uses, for budgets and statistics. Never the key itself.
        retry, breaker: policies.
        embedding_limit: how much it embeds in one call.
    """

    name: str
    spec: ChildSpec = field(repr=False)  # its arguments may hold a key
    models: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    default_model: str = ""
    limits: Quota = field(default_factory=Quota)
    priority: int = 0
    weight: float = 1.0
    capabilities: frozenset[str] = ALL_CAPABILITIES
    vendor: str = ""
    price: Price | None = None
    key: str = ""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    embedding_limit: EmbeddingLimit = EMBEDDING_LIMIT

    @classmethod
    def of(cls, provider: ProviderSpec, spec: ChildSpec, **options: Any) -> Endpoint:
        """Return the endpoint of a provider: its name, models, capabilities and concurrency, unless ``options`` differ.

        Args:
            provider: what it is.
            spec: how its actor is started.
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
            "vendor": _RESOLD.get(provider.kind)
            or (provider.name if provider.base_url else _VENDORS.get(provider.kind, provider.name)),
            **options,
        }
        if provider.kind == "offline":
            settings.setdefault("price", FREE)
        return cls(provider.name, spec, limits=limits, **settings)

    def serves(self, model: str) -> str | None:
        """Return the name under which this endpoint knows ``model``, or None if it does not."""
        if not model:
            return ""
        if model in self.aliases:
            return self.aliases[model]
        for mark in ("/", ":"):
            owner, found, rest = model.partition(mark)
            if found and owner == self.name:
                return self.serves(rest)
        return model if not self.models or model in self.models else None


def with_key(spec: ChildSpec, key: SecretStr, argument: str) -> ChildSpec:
    """Return a child spec with another key: in its `ProviderSpec` if it has one, otherwise as a keyword argument."""

    def changed(value: Any) -> Any:
        return replace(value, api_key=key) if isinstance(value, ProviderSpec) else value

    if not any(isinstance(value, ProviderSpec) for value in (*spec.args, *spec.kwargs.values())):
        plain = isinstance(spec.kwargs.get(argument), str)
        return replace(spec, kwargs={**spec.kwargs, argument: key.get_secret_value() if plain else key})
    kwargs = {name: changed(value) for name, value in spec.kwargs.items()}
    return replace(spec, args=tuple(map(changed, spec.args)), kwargs=kwargs)


class Member:
    """An endpoint at run time. Lives in the pool, so a crash of the provider's actor forgets nothing of it."""

    __slots__ = (
        "accounts",
        "active",
        "budget",
        "counts",
        "endpoint",
        "gate",
        "last_error",
        "latencies",
        "on_idle",
        "outputs",
        "recent",
        "ref",
    )

    def __init__(self, endpoint: Endpoint, gate: Gate, ref: ActorRef[Any], counts: EndpointCounts) -> None:
        self.endpoint = endpoint
        self.gate = gate
        self.ref = ref
        self.latencies = Latencies()
        self.counts = counts
        self.recent: deque[bool] = deque(maxlen=100)
        """How the latest calls ended."""
        self.budget = RetryBudget()
        self.outputs: dict[str, OutputEstimate] = {}
        self.active = 0
        self.on_idle: Callable[[], None] | None = None
        """Called when the last request in flight has ended; set once the endpoint gets no more."""
        self.last_error: BaseException | None = None
        self.accounts = (f"provider:{endpoint.name}", *((f"key:{endpoint.key}",) if endpoint.key else ()))

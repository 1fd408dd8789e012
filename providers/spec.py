"""What a provider actor is made of, as plain data: one endpoint, one key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, Literal, TypeAlias, get_args
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from ..actors.core.base.errors import SpecError
from . import checks
from .clouds import CLOUDS, Bedrock, Cloud
from .embeddings import EMBEDDING_LIMIT, Asked, EmbeddingLimit
from .messages import Audio, File, Image, Request
from .shapes import misfit
from .tokens import FALLBACK, TokenCounter
from .wire.openai_chat import OPENAI, Dialect
from .wire.secrets import public

Kind: TypeAlias = Literal[
    "openai", "responses", "anthropic", "gemini", "azure", "bedrock", "vertex", "litellm", "offline"
]
"""The protocol: OpenAI's chat completions (its Pro and Codex models by responses), always responses, Anthropic's
messages, Gemini's own; OpenAI's models at Azure, Anthropic's at Bedrock and at Vertex AI; whatever LiteLLM speaks, or
the rule-based model."""

Capability: TypeAlias = Literal[
    "tools",
    "parallel_tools",
    "images",
    "files",
    "audio",
    "schema",
    "reasoning",
    "stream",
    "seed",
    "penalties",
    "top_k",
    "stop",
    "cache_marks",
    "count_tokens",
    "batch",
    "embeddings",
]

_CHAT: frozenset[Capability] = frozenset(
    {
        *("tools", "parallel_tools", "images", "files", "audio", "schema", "reasoning", "stream", "seed", "penalties"),
        "stop",
    }
)
_MESSAGES: frozenset[Capability] = frozenset(
    {"tools", "parallel_tools", "images", "files", "schema", "reasoning", "stream", "top_k", "stop", "cache_marks"}
)
CAPABILITIES: Mapping[Kind, frozenset[Capability]] = {
    "openai": _CHAT | {"batch", "embeddings"},
    "responses": frozenset(
        {"tools", "parallel_tools", "images", "files", "schema", "reasoning", "stream", "batch", "embeddings"}
    ),
    "anthropic": _MESSAGES | {"count_tokens", "batch"},
    "gemini": frozenset(
        {
            *("tools", "images", "files", "audio", "schema", "reasoning", "stream", "seed", "penalties", "top_k"),
            *("stop", "count_tokens", "embeddings"),
        }
    ),
    "azure": _CHAT | {"embeddings"},
    "bedrock": _MESSAGES,
    "vertex": _MESSAGES | {"count_tokens"},
    "litellm": _CHAT | {"top_k"},
    "offline": frozenset({"tools", "parallel_tools", "schema", "stream", "stop", "embeddings"}),
}
"""What each protocol can say. A single model may do less: its vendor then refuses, by name."""

_SECRET_HEADER = re.compile(r"auth|key|token|secret|password|cookie", re.IGNORECASE)


_ADDRESS = checks.Wish(
    "an address that begins with https:// or http://, or nothing for the vendor's own",
    lambda value: isinstance(value, str) and (not value or value.startswith(("https://", "http://"))),
)
_DEFAULTS = checks.Wish(
    "fields of a request",
    lambda value: isinstance(value, Mapping) and set(value) <= {item.name for item in fields(Request)} - {"messages"},
)


_COUNTER = checks.Wish(
    "something that counts tokens: count(text)",
    lambda value: callable(getattr(value, "count", None)) and not isinstance(value, str | list | tuple),
)


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """One provider: an endpoint, a key and how to use them.

    Args:
        name: how users call it; the part before ``:`` or ``/`` in a model's name.
        kind: the protocol it speaks.
        api_key: the key; it is never shown. None where the endpoint wants none.
        base_url: the endpoint's address; empty for the vendor's own.
        default_model: the model of requests that name none.
        models: models it is known to have, so that their bare names lead here.
        headers: sent with every request.
        timeout: seconds of silence after which a request has failed. Signs of life that say nothing (pings, comments)
            are silence.
        total_timeout: seconds a whole request may take, without the time in which its reader does not read.
        connect_timeout: seconds a connection may take to stand.
        max_in_flight: requests sent at once; the others wait in order.
        dialect: how its copy of OpenAI's protocol differs.
        capabilities: what it can do; None for all its protocol can say.
        defaults: values for fields of `Request` that a request leaves open.
        model_defaults: the same for single models, stronger than `defaults`.
        embedding_limit: how much it embeds in one call; larger requests are divided.
        cloud: what `Azure`, `Bedrock` or `Vertex` need to know, for the kinds of their names.
        token_counters: what counts tokens in place of the estimate, by model; ``*`` stands for all others. Used where
            the vendor does not count, before a request and after one.

    Raises:
        ValueError: a field cannot be what it is; says which, and what was expected. A `SpecError` where what its kind
            needs is missing or does not fit.
    """

    name: str
    kind: Kind = "openai"
    api_key: SecretStr | None = None
    base_url: str = ""
    default_model: str = ""
    models: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 120.0
    total_timeout: float = 1800.0
    connect_timeout: float = 10.0
    max_in_flight: int = 256
    dialect: Dialect = OPENAI
    capabilities: frozenset[Capability] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    model_defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    embedding_limit: EmbeddingLimit = EMBEDDING_LIMIT
    cloud: Cloud | None = None
    token_counters: Mapping[str, TokenCounter] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        seconds, made = checks.SOME_SECONDS, checks.made_as
        checks.hold(self, name=checks.NAME, kind=checks.one_of(*get_args(Kind)), base_url=_ADDRESS)
        checks.hold(self, api_key=made(SecretStr).or_none("where the endpoint wants none"), default_model=checks.TEXT)
        checks.hold(self, models=checks.several(checks.NAME), headers=checks.by_name(checks.TEXT))
        checks.hold(self, timeout=seconds, total_timeout=seconds, connect_timeout=seconds, max_in_flight=checks.COUNT)
        if not checks.is_key(self.secret):
            raise SpecError(f"provider {self.name!r}: api_key: expected {checks.SENDABLE_KEY}")
        known = checks.one_of(*get_args(Capability))
        checks.hold(self, dialect=made(Dialect), capabilities=checks.several(known).or_none("for all its protocol can"))
        checks.hold(self, embedding_limit=made(EmbeddingLimit), defaults=_DEFAULTS)
        checks.hold(self, model_defaults=checks.by_name(_DEFAULTS), token_counters=checks.by_name(_COUNTER))
        named = ((f"model_defaults of {model}", given) for model, given in self.model_defaults.items())
        for where, given in (("defaults", self.defaults), *named):
            if problem := misfit(given):
                raise ValueError(f"{where}: {problem}")
        needed = CLOUDS.get(self.kind, type(None))
        if not isinstance(self.cloud, needed):
            wish = "no cloud" if needed is type(None) else f"cloud={needed.__name__}(…)"
            raise SpecError(f"provider {self.name!r} of kind {self.kind}: expected {wish}, not {self.cloud!r}")
        if self.kind == "azure" and not self.base_url:
            raise SpecError(
                f"provider {self.name!r}: expected the endpoint as base_url, "
                "such as https://my-resource.openai.azure.com"
            )
        if isinstance(self.cloud, Bedrock) and self.cloud.profile and self.api_key is not None:
            raise SpecError(f"provider {self.name!r}: expected an api_key or a profile, not both")

    @property
    def secret(self) -> str:
        """The key itself, for those who send it; empty if there is none."""
        return self.api_key.get_secret_value() if self.api_key is not None else ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """All that must not be shown of it: the key, a password in the address, headers that hold one."""
        password = urlsplit(self.base_url).password if "@" in self.base_url else None
        held = [value for name, value in self.headers.items() if _SECRET_HEADER.search(name)]
        return tuple(filter(None, (self.secret, unquote(password or ""), *held)))

    def __repr__(self) -> str:
        shown = {item.name: getattr(self, item.name) for item in fields(self) if item.repr}
        shown["base_url"] = public(self.base_url)
        return f"ProviderSpec({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    def counter(self, model: str) -> TokenCounter:
        """What counts the tokens of a model, where the vendor does not."""
        counters = self.token_counters
        return counters.get(model or self.default_model) or counters.get("*") or FALLBACK

    def supports(self, capability: Capability) -> bool:
        """Whether the provider can do something, as far as its protocol and its dialect say."""
        return capability in self.abilities()

    def abilities(self) -> frozenset[Capability]:
        """All it can do."""
        if self.capabilities is not None:
            return self.capabilities
        spoken = CAPABILITIES[self.kind]
        if self.kind in ("openai", "azure"):
            spoken = _spoken(spoken, self.dialect)
        # Those who copy a protocol leave the batch endpoints out, or make them their own way.
        own = not self.base_url or any(host in self.base_url for host in ("api.openai.com", "api.anthropic.com"))
        return spoken if own else spoken - {"batch"}

    def model_of(self, request: Asked) -> str:
        """The model's name as the vendor knows it: without this provider's own prefix."""
        model = request.model or self.default_model
        for mark in ":/":
            head, found, rest = model.partition(mark)
            if found and head == self.name:
                return rest or self.default_model
        return model

    def completed(self, request: Request) -> Request:
        """`request` with this provider's defaults where it leaves a field open."""
        if not self.defaults and not self.model_defaults:
            return request
        given = {**self.defaults, **self.model_defaults.get(self.model_of(request), {})}
        missing = {name: value for name, value in given.items() if getattr(request, name) == _OPEN.get(name)}
        return replace(request, **missing) if missing else request


_FIELDS: Mapping[str, Capability] = {
    "seed": "seed",
    "stop": "stop",
    "frequency_penalty": "penalties",
    "top_k": "top_k",
    "reasoning_effort": "reasoning",
    "response_schema": "schema",
    "parallel_tool_calls": "parallel_tools",
    "images": "images",
    "files": "files",
    "audio": "audio",
}


@lru_cache(maxsize=64)
def _spoken(said: frozenset[Capability], dialect: Dialect) -> frozenset[Capability]:
    """What chat completions can say in a dialect."""
    lost = {name for field, name in _FIELDS.items() if field in dialect.drops}
    more: frozenset[Capability] = frozenset({"top_k", "cache_marks"} if dialect.cache_marks else {"top_k"})
    return (said | more) - lost


_OPEN = {item.name: item.default for item in fields(Request)}


def needs(request: Request) -> frozenset[Capability]:
    """What a provider must be able to do for `request` to be served whole."""
    wanted: set[Capability] = set()
    if request.tools:
        wanted.add("tools")
    if request.response_schema is not None:
        wanted.add("schema")
    if request.reasoning_effort not in (None, "none") or request.thinking_tokens:
        wanted.add("reasoning")
    if request.seed is not None:
        wanted.add("seed")
    if request.frequency_penalty is not None or request.presence_penalty is not None:
        wanted.add("penalties")
    if request.top_k is not None:
        wanted.add("top_k")
    if request.stop:
        wanted.add("stop")
    return frozenset(wanted | media(request))


_MEDIA: Mapping[type[Any], Capability] = {Image: "images", File: "files", Audio: "audio"}


def media(request: Request) -> frozenset[Capability]:
    """What the parts of a request's messages ask for; an assistant's are not asked of the model."""
    wanted: set[Capability] = set()
    for message in request.messages:
        if not isinstance(message.content, str) and message.role != "assistant":
            wanted.update(_MEDIA[type(part)] for part in message.content if type(part) in _MEDIA)
    return frozenset(wanted)


# Sampling fields a provider may leave out: the answer is still one to the question, and a note says so.
# Tools, pictures, a schema are not left out here: whether to go on without them is the pool's decision.
MINOR: Mapping[Capability, str] = {
    "reasoning": "the reasoning effort",
    "seed": "the seed",
    "penalties": "penalties",
    "top_k": "top_k",
    "stop": "stop sequences",
}


_NAMES: Mapping[Capability, tuple[str, ...]] = {
    "reasoning": ("reasoning_effort", "thinking_tokens"),
    "penalties": ("frequency_penalty", "presence_penalty"),
}
"""The fields of a request that ask for a capability; mostly one of its name."""


def reduced(spec: ProviderSpec, request: Request) -> tuple[Request, tuple[str, ...]]:
    """`request` without the sampling fields that the provider does not know, and notes on them."""
    wanted = needs(request)
    lost = [name for name in MINOR if name in wanted - spec.abilities()] if wanted else []
    if not lost:
        return request, ()
    open_again: dict[str, Any] = {field: _OPEN[field] for name in lost for field in _NAMES.get(name, (name,))}
    return replace(request, **open_again), tuple(f"{spec.name} ignores {MINOR[name]}" for name in lost)

"""Embeddings: the neutral request and answer, and how a large request is divided. Pure, as `messages`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from . import checks
from .errors import InvalidRequest, MalformedResponse
from .messages import Completion, RateLimits, Request, Usage
from .tokens import FALLBACK

_NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts to turn into vectors.

    Args:
        texts: the texts, at least one, none of them empty; any sequence, kept as a tuple.
        model: a model name as `resolve` understands it. It is always named, because vectors of two models cannot be
            compared: a default that changes would spoil an index without a word.
        dimensions: numbers in a vector, where the model lets one choose; None for the model's own.
        user: an opaque end-user identifier passed to the vendor.
        headers: extra HTTP headers.
        extra: vendor fields sent as they are.

    Raises:
        InvalidRequest: a field is of the wrong type or empty; says which and what was expected.
    """

    texts: Sequence[str] = field(repr=False)
    model: str
    dimensions: int | None = None
    user: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        # Vendors answer all of these with a 400 at best; some embed the letters of a text one by one.
        if isinstance(self.texts, str) or not isinstance(self.texts, Sequence):
            raise _wrong("texts", "a list of texts", self.texts)
        object.__setattr__(self, "texts", tuple(self.texts))
        if not self.texts:
            raise InvalidRequest("an embedding request has no texts: expected at least one")
        for place, text in enumerate(self.texts):
            if not isinstance(text, str):
                raise _wrong(f"texts[{place}]", "a text", text)
            if not text.strip():
                raise InvalidRequest(f"texts[{place}] of an embedding request is empty: leave it out")
        if not isinstance(self.model, str):
            raise _wrong("model", "a model's name", self.model)
        if not self.model.strip():
            raise InvalidRequest("an embedding request names no model: name one, such as text-embedding-3-small")
        size = self.dimensions
        if size is not None and (not isinstance(size, int) or isinstance(size, bool)):
            raise _wrong("dimensions", "a whole number or None", size)
        if size is not None and size < 1:
            raise InvalidRequest(f"dimensions of an embedding request is {size}: expected at least 1")
        if self.user is not None and not isinstance(self.user, str):
            raise _wrong("user", "a text or None", self.user)
        for name, wish in (("headers", checks.HEADERS), ("extra", checks.SAYABLE)):
            given = getattr(self, name)
            if given != {} and not wish.fits(given):
                raise InvalidRequest(f"{name} of an embedding request: expected {wish.text}")


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The vectors of an `EmbeddingRequest`.

    Args:
        vectors: one for each text, in the order of the texts; all have the same length.
        usage: tokens as the vendor counted them; all of them are input.
        model: the model that answered, as the vendor names it.
        provider: the name of the provider that answered.
        request_id: the vendor's identifier of the request; of a divided one, of its first part.
        latency: seconds from sending to the last byte.
        cost: price in US dollars, where known.
        notes: what the caller should know (estimated tokens, several providers, no model behind it).
        limits: what the response's headers said of the vendor's rate limits.
    """

    vectors: tuple[tuple[float, ...], ...] = field(repr=False)
    usage: Usage = _NO_USAGE
    model: str = ""
    provider: str = ""
    request_id: str = ""
    latency: float = 0.0
    cost: float | None = None
    notes: tuple[str, ...] = ()
    limits: RateLimits | None = field(default=None, compare=False)

    @property
    def dimensions(self) -> int:
        """Numbers in a vector."""
        return len(self.vectors[0]) if self.vectors else 0


Asked: TypeAlias = Request | EmbeddingRequest
"""What providers and the pool are asked for."""
Answered: TypeAlias = Completion | Embeddings
"""What they answer with."""


@dataclass(frozen=True, slots=True)
class EmbeddingLimit:
    """How much a vendor takes in one call.

    Args:
        texts: texts in one call.
        tokens: tokens of all its texts together, as `estimated_tokens` counts them. The default is two thirds of the
            300,000 that OpenAI allows, because bytes over 4 may be too few:
            https://platform.openai.com/docs/api-reference/embeddings/create

    Raises:
        ValueError: one of them is no whole number, or below 1.
    """

    texts: int = 2048
    tokens: int = 200_000

    def __post_init__(self) -> None:
        checks.hold(self, texts=checks.COUNT, tokens=checks.COUNT)


EMBEDDING_LIMIT = EmbeddingLimit()
"""What OpenAI takes, and what copies of its protocol are taken to take unless their preset says otherwise."""


def estimated_tokens(request: EmbeddingRequest) -> int:
    """About how many tokens the texts of a request have."""
    return sum(map(FALLBACK.count, request.texts))


def divided(request: EmbeddingRequest, limit: EmbeddingLimit) -> Iterator[EmbeddingRequest]:
    """The request as calls that a vendor takes, texts in their order. A single text is never cut."""
    part: list[str] = []
    tokens = 0
    for text in request.texts:
        size = FALLBACK.count(text)
        if part and (len(part) >= limit.texts or tokens + size > limit.tokens):
            yield replace(request, texts=tuple(part))
            part, tokens = [], 0
        part.append(text)
        tokens += size
    yield request if len(part) == len(request.texts) else replace(request, texts=tuple(part))


def joined(parts: Sequence[Embeddings], latency: float) -> Embeddings:
    """The answers to the parts of a request, in their order, as one.

    Args:
        parts: at least one.
        latency: seconds that all of them took.

    Raises:
        MalformedResponse: their vectors are not of one length, so that they cannot be compared.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    if len({part.dimensions for part in parts}) > 1:
        sizes = ", ".join(f"{part.dimensions} ({part.model} at {part.provider})" for part in parts)
        raise MalformedResponse(f"the parts of one embedding request have vectors of different lengths: {sizes}")
    usage = sum((part.usage for part in parts), Usage())
    notes = dict.fromkeys(note for part in parts for note in part.notes)
    names = list(dict.fromkeys(part.provider for part in parts))
    if len(names) > 1:
        notes[f"answered in parts by {', '.join(names)}"] = None
    costs = [part.cost for part in parts if part.cost is not None]
    return replace(
        first,
        vectors=tuple(vector for part in parts for vector in part.vectors),
        usage=usage,
        latency=latency,
        cost=sum(costs) if len(costs) == len(parts) else None,
        notes=tuple(notes),
        limits=parts[-1].limits,
    )


def _wrong(name: str, wish: str, found: object) -> InvalidRequest:
    return InvalidRequest(f"{name} of an embedding request is {type(found).__name__}: expected {wish}")

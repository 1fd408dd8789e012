"""Gemini's own embeddings, many texts in one call: https://ai.google.dev/api/embeddings#method:-models.batchembedcontents"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..embeddings import EmbeddingRequest, Embeddings
from .failures import malformed
from .gemini import named
from .openai_embeddings import check_lengths, read_numbers

CALL = "batchEmbedContents"


def to_payload(request: EmbeddingRequest, *, model: str) -> dict[str, Any]:
    """The JSON body of ``batchEmbedContents``; ``request.extra`` is laid over each of its entries."""
    size = {} if request.dimensions is None else {"outputDimensionality": request.dimensions}
    common = {"model": named(model), **size, **request.extra}
    return {"requests": [{"content": {"parts": [{"text": text}]}, **common} for text in request.texts]}


def from_payload(payload: Mapping[str, Any]) -> EmbeddingRequest:
    """The request a body of ``batchEmbedContents`` asks for. Raises ValueError or `InvalidRequest`."""
    entries = payload.get("requests")
    if not isinstance(entries, list) or not entries:
        raise ValueError("requests: expected a list with at least one entry")
    texts = ["".join(part["text"] for part in entry["content"]["parts"]) for entry in entries]
    return EmbeddingRequest(
        tuple(texts), entries[0].get("model", "").removeprefix("models/"), entries[0].get("outputDimensionality")
    )


def from_response(body: Any, *, count: int, model: str, provider: str = "") -> Embeddings:
    """The vectors in a response of ``batchEmbedContents``, which tells neither the model nor any usage.

    Raises:
        MalformedResponse: there is not one vector for each of the `count` texts.
    """
    data = body.get("embeddings") if isinstance(body, Mapping) else None
    if not isinstance(data, list) or not all(isinstance(item, Mapping) for item in data) or len(data) != count:
        raise malformed(f"JSON without {count} embeddings", provider=provider)
    vectors = tuple(read_numbers(item.get("values"), provider) for item in data)
    check_lengths(vectors, provider)
    return Embeddings(vectors, model=model, provider=provider)


def to_response(made: Embeddings) -> dict[str, Any]:
    """The response of ``batchEmbedContents`` that a server sends."""
    return {"embeddings": [{"values": list(vector)} for vector in made.vectors]}

"""OpenAI's embeddings, which most vendors copy: https://platform.openai.com/docs/api-reference/embeddings

Vectors come as lists of numbers or, a quarter as long, as base64 of little-endian 32-bit floats. What was asked for
does not decide how an answer is read: some servers send numbers whatever they were asked.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from ..embeddings import EmbeddingRequest, Embeddings
from ..messages import Usage
from . import fields
from .failures import from_event, malformed, read_by

PATH = "/embeddings"
Encoding: TypeAlias = Literal["float", "base64"]


def to_payload(request: EmbeddingRequest, *, model: str, encoding: Encoding = "float") -> dict[str, Any]:
    """The JSON body for `request`; ``request.extra`` is laid over it last."""
    payload: dict[str, Any] = {"model": model, "input": list(request.texts), "encoding_format": encoding}
    if request.dimensions is not None:
        payload["dimensions"] = request.dimensions
    if request.user is not None:
        payload["user"] = request.user
    payload.update(request.extra)
    return payload


def from_payload(payload: Mapping[str, Any]) -> EmbeddingRequest:
    """The request a JSON body asks for, its ``encoding_format`` left out; fields that are not known go to ``extra``.

    Raises:
        ValueError: the input is no text; token numbers are not taken.
        InvalidRequest: another field is wrong.
    """
    rest = dict(payload)
    rest.pop("encoding_format", None)
    given = rest.pop("input", None)
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("input: expected a text or a list of texts")
    return EmbeddingRequest(
        tuple(texts), rest.pop("model", ""), rest.pop("dimensions", None), rest.pop("user", None), extra=rest
    )


def from_response(body: Any, *, count: int, provider: str = "") -> Embeddings:
    """The vectors in a response's JSON, in the order of their texts.

    Args:
        body: the JSON.
        count: how many texts were sent.
        provider: the provider's name.

    Raises:
        ProviderError: the body holds an error (by its type), or is not the protocol (`MalformedResponse`): not one
            vector for each text, not numbers, or of different lengths.
    """
    if not isinstance(body, Mapping):
        raise malformed(f"JSON that is {type(body).__name__}, not an object", provider=provider)
    if body.get("error"):
        raise from_event(body["error"], provider=provider)
    data = body.get("data")
    if not isinstance(data, list) or not all(isinstance(item, Mapping) for item in data):
        raise malformed("JSON without a list of embeddings", provider=provider)
    # The index says which text a vector is of; servers that answer in parallel do not all keep the order.
    indices = [item.get("index", place) for place, item in enumerate(data)]
    found = {index: item.get("embedding") for index, item in zip(indices, data, strict=True) if type(index) is int}
    if len(data) != count or set(found) != set(range(count)):
        raise malformed(f"{len(data)} embeddings for {count} texts, or with wrong indices", provider=provider)
    vectors = tuple(_read_vector(found[place], provider) for place in range(count))
    check_lengths(vectors, provider)
    return Embeddings(
        vectors,
        Usage(read_by(_tokens, body.get("usage"), provider=provider)),
        model=fields.name(body.get("model")),
        provider=provider,
        request_id=fields.name(body.get("id")),
    )


def to_response(made: Embeddings, *, encoding: Encoding = "float") -> dict[str, Any]:
    """The response a server sends."""
    data = [
        {"object": "embedding", "index": place, "embedding": _write_vector(vector, encoding)}
        for place, vector in enumerate(made.vectors)
    ]
    tokens = made.usage.input_tokens
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": made.model, "usage": usage}


def read_numbers(value: Any, provider: str) -> tuple[float, ...]:
    """A vector written as a list of numbers. Raises `MalformedResponse`."""
    if not isinstance(value, list) or not value:
        raise malformed(f"an embedding that is {type(value).__name__}, not a list of numbers", provider=provider)
    try:
        if all(type(number) in (int, float) and math.isfinite(number) for number in value):
            return tuple(map(float, value))
    except OverflowError:
        pass  # a whole number of hundreds of digits
    raise malformed("an embedding that holds something else than finite numbers", provider=provider)


def check_lengths(vectors: tuple[tuple[float, ...], ...], provider: str) -> None:
    """Raise `MalformedResponse` unless all vectors have the same length."""
    lengths = {len(vector) for vector in vectors}
    if len(lengths) > 1:
        raise malformed(f"embeddings of different lengths: {sorted(lengths)}", provider=provider)


def _tokens(usage: Any) -> int:
    given = fields.mapping(usage, "usage")
    asked, total = (fields.count(given.get(name), f"usage.{name}") for name in ("prompt_tokens", "total_tokens"))
    return asked or total


def _read_vector(value: Any, provider: str) -> tuple[float, ...]:
    if not isinstance(value, str):
        return read_numbers(value, provider)
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not raw or len(raw) % 4:
        raise malformed("an embedding that is not base64 of 32-bit floats", provider=provider)
    return read_numbers(list(struct.unpack(f"<{len(raw) // 4}f", raw)), provider)


def _write_vector(vector: tuple[float, ...], encoding: Encoding) -> list[float] | str:
    if encoding == "base64":
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    return list(vector)

"""What each protocol makes of answers and errors, and which one a path belongs to. Pure."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import unquote

from ..embeddings import Asked, EmbeddingRequest
from ..messages import Completion, Request
from ..wire import (
    anthropic,
    eventstream,
    gemini,
    gemini_embeddings,
    openai_chat,
    openai_embeddings,
    openai_responses,
    sse,
)


class Form:
    """One protocol. The default is OpenAI's chat completions."""

    stream_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    id_header: ClassVar[str] = "x-request-id"
    limit_headers: ClassVar[str] = "openai"
    waits_in_headers: ClassVar[bool] = True
    """Whether headers say how long to wait; otherwise the error does."""
    largest: ClassVar[int] = 0
    """Texts in one call, of those that embed."""

    def read(self, payload: Mapping[str, Any]) -> Asked:
        """The neutral request. Raises ValueError, or what comes of wrong types."""
        return openai_chat.from_payload(payload)

    def whole(self, made: Any, id: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of a whole answer to `payload`."""
        return openai_chat.to_response(made, id=f"chatcmpl-{id}")

    def events(self, made: Completion, id: str, size: int, payload: Mapping[str, Any]) -> Iterator[bytes]:
        """A stream's pieces as bytes."""
        counted = bool((payload.get("stream_options") or {}).get("include_usage"))
        for item in openai_chat.to_events(made, id=f"chatcmpl-{id}", size=size):
            if item["choices"] or counted:
                yield sse.event(item)
        yield sse.event("[DONE]")

    def counted(self, tokens: int) -> dict[str, Any]:
        """The JSON that says how many tokens a request has."""
        return {"input_tokens": tokens}

    def error(self, status: int, type: str, message: str, id: str, wait: float | None = None) -> dict[str, Any]:
        """The JSON of an error."""
        code = {429: "rate_limit_exceeded", 401: "invalid_api_key"}.get(status)
        form = {"rate_limit_error": "requests", "api_error": "server_error", "overloaded_error": "server_error"}
        return {"error": {"message": message, "type": form.get(type, type), "param": None, "code": code}}

    def error_event(self, status: int, type: str, message: str, id: str) -> bytes:
        """An error inside a stream, as bytes."""
        return sse.event(self.error(status, type, message, id))

    def broken(self, event: bytes) -> bytes:
        """A stream's piece, damaged in the middle."""
        return event[: len(event) // 2] + b"\n\n"


class _Responses(Form):
    def read(self, payload: Mapping[str, Any]) -> Request:
        return openai_responses.from_payload(payload)

    def whole(self, made: Any, id: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        return openai_responses.to_response(made, id=f"resp_{id}")

    def events(self, made: Completion, id: str, size: int, payload: Mapping[str, Any]) -> Iterator[bytes]:
        for item in openai_responses.to_events(made, id=f"resp_{id}", size=size):
            yield sse.event(item, item["type"])

    def error_event(self, status: int, type: str, message: str, id: str) -> bytes:
        return sse.event({"type": "error", "code": type, "message": message, "sequence_number": 0}, "error")


class _Anthropic(Form):
    id_header = "request-id"
    limit_headers = "anthropic"

    def read(self, payload: Mapping[str, Any]) -> Request:
        return anthropic.from_payload(payload)

    def whole(self, made: Any, id: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        return anthropic.to_response(made, id=f"msg_{id}")

    def events(self, made: Completion, id: str, size: int, payload: Mapping[str, Any]) -> Iterator[bytes]:
        for item in anthropic.to_events(made, id=f"msg_{id}", size=size):
            yield sse.event(item, item["type"])

    def error(self, status: int, type: str, message: str, id: str, wait: float | None = None) -> dict[str, Any]:
        return {"type": "error", "error": {"type": type, "message": message}, "request_id": id}

    def error_event(self, status: int, type: str, message: str, id: str) -> bytes:
        return sse.event(self.error(status, type, message, id), "error")


class _Vertex(_Anthropic):
    limit_headers = ""


class _Bedrock(_Anthropic):
    stream_type = "application/vnd.amazon.eventstream"
    id_header = "x-amzn-requestid"
    limit_headers = ""

    def events(self, made: Completion, id: str, size: int, payload: Mapping[str, Any]) -> Iterator[bytes]:
        for item in anthropic.to_events(made, id=f"msg_{id}", size=size):
            body = json.dumps({"bytes": base64.b64encode(json.dumps(item).encode()).decode()})
            yield eventstream.frame(body.encode(), {":message-type": "event", ":event-type": "chunk"})

    def error(self, status: int, type: str, message: str, id: str, wait: float | None = None) -> dict[str, Any]:
        return {"message": message}

    def error_event(self, status: int, type: str, message: str, id: str) -> bytes:
        named = {"rate_limit_error": "throttlingException", "overloaded_error": "serviceUnavailableException"}
        headers = {":message-type": "exception", ":exception-type": named.get(type, "internalServerException")}
        return eventstream.frame(json.dumps({"message": message}).encode(), headers)

    def broken(self, event: bytes) -> bytes:
        return event[:-1] + bytes([event[-1] ^ 0xFF])


class _Gemini(Form):
    limit_headers = ""
    waits_in_headers = False

    def read(self, payload: Mapping[str, Any]) -> Asked:
        return gemini.from_payload(payload.get("generateContentRequest") or payload)  # to be counted, it is wrapped

    def whole(self, made: Any, id: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        return gemini.to_response(made, id=id)

    def events(self, made: Completion, id: str, size: int, payload: Mapping[str, Any]) -> Iterator[bytes]:
        for item in gemini.to_events(made, id=id, size=size):
            yield sse.event(item)

    def counted(self, tokens: int) -> dict[str, Any]:
        return {"totalTokens": tokens}

    def error(self, status: int, type: str, message: str, id: str, wait: float | None = None) -> dict[str, Any]:
        named = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}
        error: dict[str, Any] = {"code": status, "message": message, "status": named.get(status, "INTERNAL")}
        if wait is not None:
            kind = "type.googleapis.com/google.rpc.RetryInfo"
            error["details"] = [{"@type": kind, "retryDelay": f"{wait:.9f}".rstrip("0").rstrip(".") + "s"}]
        return {"error": error}


class _Embeddings(Form):
    largest = 2048

    def read(self, payload: Mapping[str, Any]) -> EmbeddingRequest:
        return openai_embeddings.from_payload(payload)

    def whole(self, made: Any, id: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        return openai_embeddings.to_response(made, encoding=payload.get("encoding_format") or "float")


class _GeminiEmbeddings(_Gemini):
    largest = 100

    def read(self, payload: Mapping[str, Any]) -> EmbeddingRequest:
        return gemini_embeddings.from_payload(payload)

    def whole(self, made: Any, id: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        return gemini_embeddings.to_response(made)


CHAT, RESPONSES, ANTHROPIC = Form(), _Responses(), _Anthropic()
_VERTEX, _BEDROCK, _GEMINI = _Vertex(), _Bedrock(), _Gemini()
_EMBEDDINGS, _GEMINI_EMBEDDINGS = _Embeddings(), _GeminiEmbeddings()


@dataclass(frozen=True, slots=True)
class Route:
    """What a path asks for.

    Args:
        form: its protocol.
        action: ``answer``, ``count``, ``models`` or ``health``; empty if there is no such endpoint.
        said: what the path says and other protocols' bodies do: the model, and whether to stream.
        query: what must stand in the query.
    """

    form: Form
    action: str = "answer"
    said: Mapping[str, Any] | None = None
    query: str = ""

    def payload(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The body with what the path says."""
        return {**body, **(self.said or {})}


_TAILS: Mapping[str, Route] = {
    "/chat/completions": Route(CHAT),
    "/responses": Route(RESPONSES),
    "/messages": Route(ANTHROPIC),
    "/messages/count_tokens": Route(ANTHROPIC, "count"),
    "/embeddings": Route(_EMBEDDINGS),
    "/models": Route(CHAT, "models"),
    "/health": Route(CHAT, "health"),
}


def _azure(match: re.Match[str]) -> Route:
    form = CHAT if match[2] == "chat/completions" else _EMBEDDINGS
    return Route(form, said={"model": unquote(match[1])}, query="api-version=")


def _bedrock(match: re.Match[str]) -> Route:
    return Route(_BEDROCK, said={"model": unquote(match[1]), "stream": match[2] != "invoke"})


def _vertex(match: re.Match[str]) -> Route:
    if match[1] == "count-tokens":
        return Route(_VERTEX, "count")
    return Route(_VERTEX, said={"model": unquote(match[1]), "stream": match[2] != "rawPredict"})


def _gemini(match: re.Match[str]) -> Route:
    model, call = unquote(match[1]), match[2]
    if call == "countTokens":
        return Route(_GEMINI, "count", {"model": model})
    if call == "batchEmbedContents":
        return Route(_GEMINI_EMBEDDINGS, said={"model": model})
    if call == "streamGenerateContent":
        return Route(_GEMINI, said={"model": model, "stream": True}, query="alt=sse")
    return Route(_GEMINI, said={"model": model, "stream": False})


# Where the model stands in the path.
_PATHS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Route]], ...] = (
    (re.compile(r".*/openai/deployments/([^/]+)/(chat/completions|embeddings)"), _azure),
    (re.compile(r".*/model/([^/]+)/(invoke|invoke-with-response-stream)"), _bedrock),
    (re.compile(r".*/publishers/anthropic/models/([^/:]+):(rawPredict|streamRawPredict)"), _vertex),
    (
        re.compile(r".*/models/([^/:]+):(generateContent|streamGenerateContent|countTokens|batchEmbedContents)"),
        _gemini,
    ),
)


def route(path: str) -> Route:
    """What a path asks for, whatever stands before it."""
    for pattern, read in _PATHS:
        match = pattern.fullmatch(path)
        if match:
            return read(match)
    return next((found for tail, found in _TAILS.items() if path.endswith(tail)), Route(CHAT, ""))

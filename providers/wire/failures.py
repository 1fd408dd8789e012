"""What went wrong, from a status, a body or an error event: always a `ProviderError`, never with a secret in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..errors import (
    AuthenticationFailed,
    ContextTooLong,
    InvalidRequest,
    MalformedResponse,
    ProviderError,
    ProviderOverloaded,
    ProviderTimeout,
    RateLimited,
    UnknownModel,
)
from .limits import rate_limits, retry_after

# By the error's own `code` or `type`, which is more exact than the status and all there is inside a stream.
_BY_TYPE: dict[str, type[ProviderError]] = {
    # OpenAI and those who copy it
    "context_length_exceeded": ContextTooLong,
    "string_above_max_length": ContextTooLong,
    "model_not_found": UnknownModel,
    "invalid_api_key": AuthenticationFailed,
    # 429, but waiting does not fill an account
    "insufficient_quota": AuthenticationFailed,
    "billing_not_active": AuthenticationFailed,
    "rate_limit_exceeded": RateLimited,
    "server_error": ProviderOverloaded,
    "engine_overloaded": ProviderOverloaded,
    # Anthropic
    "authentication_error": AuthenticationFailed,
    "permission_error": AuthenticationFailed,
    "billing_error": AuthenticationFailed,
    "not_found_error": UnknownModel,
    "request_too_large": ContextTooLong,
    "rate_limit_error": RateLimited,
    "api_error": ProviderOverloaded,
    "overloaded_error": ProviderOverloaded,
    "timeout_error": ProviderTimeout,
    # both; last because the code says more
    "invalid_request_error": InvalidRequest,
}
_BY_STATUS: dict[int, type[ProviderError]] = {
    401: AuthenticationFailed,
    402: AuthenticationFailed,
    403: AuthenticationFailed,
    408: ProviderTimeout,
    409: ProviderOverloaded,
    413: ContextTooLong,
    425: ProviderOverloaded,
    429: RateLimited,
}
_TOO_LONG = ("prompt is too long", "maximum context length", "context window", "too many tokens")
_LONGEST = 500
"""Characters of a vendor's message that are kept."""


def from_status(
    status: int, body: bytes | str, headers: Mapping[str, str], *, provider: str, secret: str = ""
) -> ProviderError:
    """The error for an HTTP response that is not a success.

    Args:
        status: the HTTP status.
        body: the response's body.
        headers: its headers, case-insensitive.
        provider: the provider's name.
        secret: the key that was sent; it is blotted out wherever the vendor echoes it.
    """
    error = error_object(body)
    kind = _kind(error) or _BY_STATUS.get(status) or (ProviderOverloaded if status >= 500 else InvalidRequest)
    if kind is InvalidRequest and status == 429:
        kind = RateLimited
    text = _text(error) or (body.decode("utf-8", "replace") if isinstance(body, bytes) else body)
    if kind is InvalidRequest and any(words in text.lower() for words in _TOO_LONG):
        kind = ContextTooLong
    if kind is UnknownModel and "model" not in text.lower():
        kind = InvalidRequest  # a 404 for a wrong base URL
    return kind(
        f"{provider} answered {status}: {blot(text, secret)}",
        provider=provider,
        status=status,
        request_id=request_id(headers, error),
        retry_after=retry_after(headers),
        limits=rate_limits(headers),
    )


def from_event(error: Any, *, provider: str, request_id: str = "", secret: str = "") -> ProviderError:
    """The error for an error object that came inside a stream, or in a body with status 200.

    The status is of no use there (anthropic's SDK even says 200): the error's own type decides. A type that is not
    known counts as the vendor's trouble, because the request was accepted before.
    """
    error = error if isinstance(error, Mapping) else {"message": str(error)}
    kind = _kind(error)
    if kind is None:
        code = error.get("code")
        status = code if isinstance(code, int) else 500
        kind = _BY_STATUS.get(status) or (ProviderOverloaded if status >= 500 else InvalidRequest)
    return kind(
        f"{provider} failed while answering: {blot(_text(error) or str(error.get('type', 'no reason given')), secret)}",
        provider=provider,
        request_id=request_id,
    )


def malformed(what: str, *, provider: str = "", status: int | None = None, request_id: str = "") -> MalformedResponse:
    """The error for an answer that is not the protocol; `what` says what was found."""
    who = f"{provider} answered with " if provider else "the answer is "
    return MalformedResponse(who + what, provider=provider, status=status, request_id=request_id)


def error_object(body: bytes | str) -> Mapping[str, Any]:
    """The ``error`` object of a JSON body, in any of the shapes vendors use; empty if there is none."""
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    if isinstance(value, list) and value:  # Google's compatible endpoint wraps it in a list
        value = value[0]
    if not isinstance(value, Mapping):
        return {}
    error = value.get("error", value)
    if isinstance(error, str):
        return {"message": error, **{key: value[key] for key in ("code", "type") if key in value}}
    return error if isinstance(error, Mapping) else {}


def request_id(headers: Mapping[str, str], error: Mapping[str, Any] | None = None) -> str:
    """The vendor's identifier of a request, from its response."""
    found = headers.get("x-request-id") or headers.get("request-id") or (error or {}).get("request_id") or ""
    return str(found)


def blot(text: str, secret: str) -> str:
    """`text` on one line, cut to a sensible length, without `secret`."""
    if secret:
        text = text.replace(secret, "[key]")
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _kind(error: Mapping[str, Any]) -> type[ProviderError] | None:
    named = [str(error.get(name)) for name in ("code", "type")]
    for name in named:
        if name in _BY_TYPE and name != "invalid_request_error":
            return _BY_TYPE[name]
    return InvalidRequest if "invalid_request_error" in named else None


def _text(error: Mapping[str, Any]) -> str:
    message = error.get("message") or error.get("detail") or ""
    return message if isinstance(message, str) else json.dumps(message)

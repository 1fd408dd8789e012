"""What went wrong, from a status, a body or an error event: always a `ProviderError`.

What a vendor said stands in it as it was said. The provider's actor blots out keys and prompts before anybody sees it
(`secrets.cleaned`), at the one place through which every error leaves.

An error is known by its own ``code``, ``type`` or reason where these are exact, then by how its text begins, then by
the status. Only the beginning of a text counts for what concerns more than one request: further on vendors quote what
they were sent, and nobody's prompt may say that a key is wrong.

The vendors' lists: https://platform.openai.com/docs/guides/error-codes · https://docs.claude.com/en/api/errors ·
https://ai.google.dev/gemini-api/docs/troubleshooting · https://cloud.google.com/apis/design/errors ·
https://docs.x.ai/docs/key-information/debugging · https://console.groq.com/docs/errors ·
https://openrouter.ai/docs/api-reference/errors · https://api-docs.deepseek.com/quick_start/error_codes
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from ..errors import (
    AuthenticationFailed,
    Concern,
    ContextTooLong,
    InvalidRequest,
    MalformedResponse,
    ProviderError,
    ProviderOverloaded,
    ProviderTimeout,
    RateLimited,
    Redirected,
    StreamCut,
    UnknownModel,
)
from . import fields
from .limits import rate_limits, retry_after, retry_info
from .secrets import public, shortened

T = TypeVar("T")

# By the error's own `code`, `type` or reason, where that says more than the status.
_EXACT: dict[str, type[ProviderError]] = {
    # OpenAI and those who copy it
    "context_length_exceeded": ContextTooLong,
    "string_above_max_length": ContextTooLong,
    "tokens_limit_reached": ContextTooLong,
    "request_too_large": ContextTooLong,
    "model_not_found": UnknownModel,
    "model_not_available": UnknownModel,
    "model_not_supported": UnknownModel,
    "model_decommissioned": UnknownModel,
    "model_terms_required": UnknownModel,
    "unknown_model": UnknownModel,
    "invalid_model": UnknownModel,
    "no_access": UnknownModel,
    "DeploymentNotFound": UnknownModel,
    "invalid_api_key": AuthenticationFailed,
    "wrong_api_key": AuthenticationFailed,
    "account_deactivated": AuthenticationFailed,
    "unsupported_country_region_territory": AuthenticationFailed,
    # 429, but waiting does not fill an account
    "insufficient_quota": AuthenticationFailed,
    "billing_not_active": AuthenticationFailed,
    "billing_hard_limit_reached": AuthenticationFailed,
    "billing_error": AuthenticationFailed,
    "content_filter": InvalidRequest,
    "content_policy_violation": InvalidRequest,
    "moderation_blocked": InvalidRequest,
    "engine_overloaded": ProviderOverloaded,
    "capacity_exceeded": ProviderOverloaded,
    # Anthropic
    "authentication_error": AuthenticationFailed,
    "rate_limit_error": RateLimited,
    "overloaded_error": ProviderOverloaded,
    "timeout_error": ProviderTimeout,
    # Google's ErrorInfo
    "API_KEY_INVALID": AuthenticationFailed,
    "API_KEY_EXPIRED": AuthenticationFailed,
    "API_KEY_SERVICE_BLOCKED": AuthenticationFailed,
    "SERVICE_DISABLED": AuthenticationFailed,
    "BILLING_DISABLED": AuthenticationFailed,
    # AWS
    "UnrecognizedClientException": AuthenticationFailed,
    "ThrottlingException": RateLimited,
}
# Names that several failures share. The status and the text say more; these are all there is inside a stream.
_VAGUE: dict[str, int] = {
    "invalid_request_error": 400,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_exceeded": 429,
    "server_error": 500,
    "api_error": 500,
    # https://cloud.google.com/apis/design/errors#handling_errors
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_BY_STATUS: dict[int, type[ProviderError]] = {
    401: AuthenticationFailed,
    402: AuthenticationFailed,
    403: AuthenticationFailed,
    408: ProviderTimeout,
    409: ProviderOverloaded,
    410: UnknownModel,
    413: ContextTooLong,
    424: ProviderOverloaded,  # Bedrock: the model failed
    425: ProviderOverloaded,
    429: RateLimited,
    498: ProviderOverloaded,  # Groq: no room in its flex tier
    499: ProviderOverloaded,  # cancelled, and not by us
}
_CERTAIN = frozenset({401, 402, 413})
"""Statuses that no text makes something else."""

_KEY = re.compile(
    r"(incorrect|invalid|wrong|missing|malformed|expired|no) (api[ _-]?(key|token)|credentials|authentication)"
    r"|(your |the |this )?api[ _-]?key (is |was |has )?(not valid|invalid|expired|missing|not found|been|reported)"
    r"|(your )?(credit balance is too low|account .{0,80}(is|has been) (suspended|deactivated|disabled|not active))"
    r"|insufficient (balance|credits?|funds)|payment required"
    r"|your (newly created )?(team|account|organization|project)\b.{0,120}\b(credits|spending limit)",
    re.IGNORECASE,
)
_MODEL = re.compile(
    r"((the |this |requested )*(model|deployment)s?\b.{0,200}?\b(not found|not exist|not supported|not available"
    r"|no longer|decommissioned|deprecated|retired|is not allowed|not have access))"
    r"|(unknown|invalid|unsupported|unrecognized) model|no access to model|unable to access model"
    r"|(the )?provided model identifier|no (endpoints|allowed providers) .{0,40}|\S{1,200} is not a valid model"
    r"|(you|your|project|team|this|the api)\b.{0,120}? (access to|to access|to use|to stream) (the |this )?model"
    r"|your organization must be verified|access denied.{0,20}? model|model: ",
    re.IGNORECASE,
)
_MODERATION = re.compile(
    r"moderat|flagged|safety|content (policy|management|filter)|blocked (input|terms)", re.IGNORECASE
)
_TOO_LONG = (
    *("prompt is too long", "maximum context length", "context window", "too many tokens", "context limit"),
    *("input token count", "input is too long", "request body too large"),
)
_TOO_LARGE = "request too large for"
_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_START = 200
"""Characters at the head of a text in which a 404 may name a model."""


def from_status(
    status: int,
    body: bytes | str,
    headers: Mapping[str, str],
    *,
    provider: str,
    now: datetime | None = None,
) -> ProviderError:
    """The error for an HTTP response that is not a success.

    Args:
        status: the HTTP status.
        body: the response's body.
        headers: its headers, case-insensitive.
        provider: the provider's name.
        now: the time, for a date to wait until in a response that does not say its own.
    """
    if status < 400:
        return redirected(status, headers, provider=provider)
    error = error_object(body)
    text = _text(error) or (body.decode("utf-8", "replace") if isinstance(body, bytes) else body)
    kind, concerns = _judged(status, error, text)
    waiting = retry_after(headers, now)
    return kind(
        f"{provider} answered {status}: {shortened(text)}",
        provider=provider,
        status=status,
        request_id=request_id(headers, error),
        retry_after=retry_info(error) if waiting is None else waiting,
        limits=rate_limits(headers),
        concerns=concerns,
    )


def redirected(status: int, headers: Mapping[str, str], *, provider: str) -> Redirected:
    """The error for a redirect, which is not followed: it would take the prompt and the key elsewhere."""
    where = shortened(public(headers.get("location", ""))) or "nowhere"
    return Redirected(
        f"{provider} answered {status}, a redirect to {where}, which is not followed; "
        "if that is the provider's address, set base_url to it",
        provider=provider,
        status=status,
        request_id=request_id(headers),
    )


def from_event(error: Any, *, provider: str, request_id: str = "") -> ProviderError:
    """The error for an error object that came inside a stream, or in a body with status 200.

    The status is of no use there (anthropic's SDK even says 200): the error's own words decide. What they do not say
    counts as the vendor's trouble, because the request was accepted before.
    """
    error = error if isinstance(error, Mapping) else {"message": str(error)}
    text = _text(error)
    kind, concerns = _judged(_told_status(error) or 500, error, text)
    return kind(
        f"{provider} failed while answering: {shortened(text or str(error.get('type', 'no reason given')))}",
        provider=provider,
        request_id=request_id,
        retry_after=retry_info(error),
        concerns=concerns,
    )


def malformed(what: str, *, provider: str = "", status: int | None = None, request_id: str = "") -> MalformedResponse:
    """The error for an answer that is not the protocol; `what` says what was found."""
    who = f"{provider} answered with " if provider else "the answer is "
    return MalformedResponse(who + what, provider=provider, status=status, request_id=request_id)


def read_by(read: Callable[..., T], *given: Any, provider: str) -> T:
    """What `read` makes of what it is given, of an answer.

    Raises:
        MalformedResponse: it raised `WrongField`. Nothing of the answer is in a cause of it.
    """
    try:
        return read(*given)
    except fields.WrongField as wrong:
        problem = str(wrong)
    raise malformed(problem, provider=provider)


def cut(*, provider: str, request_id: str = "") -> StreamCut:
    """The error for a stream that ended before its finish reason."""
    who = provider or "the provider"
    return StreamCut(f"{who} stopped in the middle of its answer", provider=provider, request_id=request_id)


def error_object(body: bytes | str) -> Mapping[str, Any]:
    """The ``error`` object of a JSON body, in any of the shapes vendors use; empty if there is none."""
    try:
        value = fields.loads(body)
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
    """The vendor's identifier of a request, from its response; empty where what stands there is no identifier."""
    named = headers.get("x-request-id") or headers.get("request-id") or headers.get("x-amzn-requestid")
    id = str(named or (error or {}).get("request_id") or "")
    return id if _ID.fullmatch(id) else ""


def _judged(status: int, error: Mapping[str, Any], text: str) -> tuple[type[ProviderError], Concern | None]:
    """The class of an error, and what it concerns where that is not what the class says."""
    if status in _CERTAIN:
        return _BY_STATUS[status], None
    names, lowered = _names(error), text.lower()
    metadata = error.get("metadata")
    if isinstance(metadata, Mapping) and "flagged_input" in metadata:  # OpenRouter's moderation, a 403
        return InvalidRequest, None
    if status == 429 and _TOO_LARGE in lowered:
        return ContextTooLong, None  # more tokens than a whole minute has: waiting does not help
    for name in names:
        if name in _EXACT:
            return _EXACT[name], None
    if 400 <= status < 500:
        start = text.lstrip()
        if _KEY.match(start):
            return AuthenticationFailed, None
        if status in (400, 403, 404, 422) and _MODEL.match(start):
            return UnknownModel, None
        if status == 403 and _MODERATION.search(text):
            return InvalidRequest, None
        if status == 403 and start.startswith("<"):
            return ProviderError, "request"  # a firewall in between, which may have disliked only this prompt
        if status == 404 and "model" in lowered[:_START]:
            return UnknownModel, None
        if status in (404, 405) and (not names or lowered == "not found"):
            return InvalidRequest, "endpoint"  # a wrong base URL
    kind = _BY_STATUS.get(status) or (ProviderOverloaded if status >= 500 else InvalidRequest)
    if kind is InvalidRequest and (_TOO_LARGE in lowered or any(words in lowered for words in _TOO_LONG)):
        kind = ContextTooLong
    # A gateway that speaks for itself, and not the vendor.
    return kind, "endpoint" if status in (502, 504) and not names else None


def _names(error: Mapping[str, Any]) -> list[str]:
    """What an error object calls its failure, the most exact first."""
    details = error.get("details")
    reasons = [item.get("reason") for item in details if isinstance(item, Mapping)] if isinstance(details, list) else []
    found = [*reasons, *(error.get(name) for name in ("code", "type", "status", "__type"))]
    return [str(name) for name in found if isinstance(name, str | int) and name]


def _told_status(error: Mapping[str, Any]) -> int | None:
    """The HTTP status that an error object names or means."""
    for name in _names(error):
        if len(name) == 3 and name.isdecimal() and 400 <= int(name) < 600:
            return int(name)
    return next((_VAGUE[name] for name in _names(error) if name in _VAGUE), None)


def _text(error: Mapping[str, Any]) -> str:
    message = error.get("message") or error.get("detail") or ""
    return message if isinstance(message, str) else json.dumps(message)

"""Errors and limits as vendors send them become named errors, without secrets."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from callboard.providers import errors as e
from callboard.providers.messages import RateLimits
from callboard.providers.wire.failures import from_event, from_status
from callboard.providers.wire.limits import format_duration, rate_limits, retry_after
from callboard.providers.wire.secrets import cleaned


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"type": "invalid_request_error", "message": "bad"}, e.InvalidRequest),
        (400, {"code": "context_length_exceeded", "type": "invalid_request_error"}, e.ContextTooLong),
        (400, {"type": "invalid_request_error", "message": "prompt is too long: 2 > 1"}, e.ContextTooLong),
        (401, {"type": "authentication_error"}, e.AuthenticationFailed),
        (401, {}, e.AuthenticationFailed),
        (403, {"type": "permission_error"}, e.AuthenticationFailed),
        (404, {"code": "model_not_found", "message": "The model `x` does not exist"}, e.UnknownModel),
        (404, {"type": "not_found_error", "message": "model: x"}, e.UnknownModel),
        (404, {"message": "no such page"}, e.InvalidRequest),
        (408, {}, e.ProviderTimeout),
        (413, {"type": "request_too_large"}, e.ContextTooLong),
        (422, {"message": "wrong"}, e.InvalidRequest),
        (429, {"type": "rate_limit_error"}, e.RateLimited),
        (429, {"type": "requests", "code": "rate_limit_exceeded"}, e.RateLimited),
        (429, {"type": "invalid_request_error"}, e.RateLimited),
        (429, {"code": "insufficient_quota"}, e.AuthenticationFailed),
        (500, {"type": "api_error"}, e.ProviderOverloaded),
        (502, {}, e.ProviderOverloaded),
        (503, {}, e.ProviderOverloaded),
        (504, {}, e.ProviderOverloaded),
        (529, {"type": "overloaded_error"}, e.ProviderOverloaded),
    ],
)
def test_statuses_and_types_become_named_errors(
    status: int, error: dict[str, str], kind: type[e.ProviderError]
) -> None:
    found = from_status(status, json.dumps({"error": error}), {"x-request-id": "r1"}, provider="p")
    assert type(found) is kind
    assert (found.provider, found.status, found.request_id) == ("p", status, "r1")
    assert found.retryable is kind.retryable


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "overloaded_error", "message": "busy"}, e.ProviderOverloaded),
        ({"type": "rate_limit_error"}, e.RateLimited),
        ({"type": "invalid_request_error"}, e.InvalidRequest),
        ({"type": "server_error"}, e.ProviderOverloaded),
        ({"type": "never heard of"}, e.ProviderOverloaded),
        ({"code": 429, "message": "slow down"}, e.RateLimited),
        ({"code": 503}, e.ProviderOverloaded),
        ("boom", e.ProviderOverloaded),
        (None, e.ProviderOverloaded),
    ],
)
def test_an_error_inside_a_stream_is_known_by_its_type(error: object, kind: type[e.ProviderError]) -> None:
    assert type(from_event(error, provider="p")) is kind


@pytest.mark.parametrize(
    "body", [b"<html>oops</html>", b"", b"[]", b"null", b'{"error": "plain"}', b'"x"', b"\xff\xfe"]
)
def test_a_body_of_any_shape_still_makes_an_error(body: bytes) -> None:
    assert isinstance(from_status(500, body, {}, provider="p"), e.ProviderOverloaded)


@given(st.text(min_size=8, alphabet=st.characters(codec="ascii", categories=["L", "N"])), st.text(), st.text())
def test_a_key_the_vendor_echoes_never_reaches_the_message(key: str, before: str, after: str) -> None:
    body = json.dumps({"error": {"message": f"{before} {key} {after}"}})
    assume(key.lower() not in repr(from_status(401, "{}", {}, provider="p")).lower())  # a word of our own
    error = cleaned(from_status(401, body, {}, provider="p"), (key,))
    assert key.lower() not in str(error).replace("[key]", "").lower()
    assert key.lower() not in repr(error).replace("[key]", "").lower()


def test_the_waiting_time_is_read_in_each_of_its_forms() -> None:
    date = "Sat, 21 Nov 2026 06:00:00 GMT"
    assert retry_after({"retry-after": "2.5"}) == 2.5
    assert retry_after({"retry-after-ms": "250", "retry-after": "1"}) == 0.25
    assert retry_after({"retry-after": "Sat, 21 Nov 2026 06:00:07 GMT", "date": date}) == 7
    assert retry_after({"retry-after": "Sat, 21 Nov 2026 05:00:00 GMT", "date": date}) == 0
    here = datetime(2030, 1, 1, tzinfo=UTC)
    assert retry_after({"retry-after": "Sat, 21 Nov 2026 06:00:07 GMT", "date": date}, here) == 7, "clocks differ"
    assert retry_after({"retry-after": "Sat, 21 Nov 2026 06:00:07 GMT"}) is None
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({"retry-after": "-3"}) == 0
    assert retry_after({}) is None


def test_limits_are_read_from_both_vendors_headers() -> None:
    openai = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    assert rate_limits(openai) == RateLimits(60, 59, 1.0, 150000, 149984, 360.0)
    anthropic = {
        "date": "Sat, 21 Nov 2026 06:00:00 GMT",
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2026-11-21T06:00:30Z",
        "anthropic-ratelimit-tokens-limit": "x",
        "anthropic-ratelimit-input-tokens-limit": "30000",
        "anthropic-ratelimit-input-tokens-remaining": "29000",
        "anthropic-ratelimit-output-tokens-limit": "8000",
    }
    told = RateLimits(50, 0, 30.0, input_tokens_limit=30_000, input_tokens_remaining=29_000, output_tokens_limit=8_000)
    assert rate_limits(anthropic) == told
    assert rate_limits({}) is None


@given(st.floats(0, 10_000))
def test_durations_are_read_as_they_were_written(seconds: float) -> None:
    headers = {"x-ratelimit-limit-requests": "1", "x-ratelimit-reset-requests": format_duration(seconds)}
    limits = rate_limits(headers)
    assert limits is not None
    assert limits.requests_reset == pytest.approx(seconds, abs=1e-3)

"""What clouds refuse, in the words of their own documents, and the error that each becomes."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from callboard.actors import System
from callboard.providers import errors as e
from callboard.providers.provider import CountTokens
from callboard.providers.vendors.build import child_spec
from callboard.providers.vendors.transport import sdk_problem
from tests.providers.conftest import KINDS, anthropic_spec, gemini_spec
from tests.providers.vendors.recording import ASK, recording

GOOGLE = "type.googleapis.com/google.rpc."


def google(code: int, status: str, message: str, *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


WRONG_KEY = google(
    400,
    "INVALID_ARGUMENT",
    "API key not valid. Please pass a valid API key.",
    {"@type": f"{GOOGLE}ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"},
)
QUOTA = google(
    429,
    "RESOURCE_EXHAUSTED",
    "You exceeded your current quota, please check your plan and billing details.",
    {"@type": f"{GOOGLE}QuotaFailure", "violations": []},
    {"@type": f"{GOOGLE}RetryInfo", "retryDelay": "34.5s"},
)
NO_MODEL = google(404, "NOT_FOUND", "models/gemini-9 is not found for API version v1beta, or is not supported.")
TOO_LONG = google(400, "INVALID_ARGUMENT", "The input token count (1200000) exceeds the maximum number of tokens")
DEPLOYMENT = {"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist"}}
AZURE_KEY = {"error": {"code": "401", "message": "Access denied due to invalid subscription key."}}
FILTERED = {"error": {"code": "content_filter", "message": "The response was filtered.", "status": 400}}


@pytest.mark.parametrize(
    ("kind", "status", "body", "error"),
    [
        ("gemini", 400, WRONG_KEY, e.AuthenticationFailed),
        ("gemini", 429, QUOTA, e.RateLimited),
        ("gemini", 404, NO_MODEL, e.UnknownModel),
        ("gemini", 400, TOO_LONG, e.ContextTooLong),
        ("gemini", 503, google(503, "UNAVAILABLE", "The model is overloaded."), e.ProviderOverloaded),
        ("vertex", 429, google(429, "RESOURCE_EXHAUSTED", "Quota exceeded for model claude."), e.RateLimited),
        ("vertex", 403, google(403, "PERMISSION_DENIED", "Permission 'x' denied."), e.AuthenticationFailed),
        ("azure", 404, DEPLOYMENT, e.UnknownModel),
        ("azure", 401, AZURE_KEY, e.AuthenticationFailed),
        ("azure", 400, FILTERED, e.InvalidRequest),
        ("bedrock", 400, {"message": "The provided model identifier is invalid."}, e.UnknownModel),
        ("bedrock", 400, {"message": "Input is too long for requested model."}, e.ContextTooLong),
        ("bedrock", 400, {"message": "max_tokens: must be at least 1"}, e.InvalidRequest),
        ("bedrock", 403, {"message": "The security token included in the request is invalid."}, e.AuthenticationFailed),
        ("bedrock", 429, {"message": "Too many requests, please wait before trying again."}, e.RateLimited),
        ("bedrock", 424, {"message": "The model failed to process the request."}, e.ProviderOverloaded),
        ("bedrock", 503, {"message": "Bedrock is unable to process your request."}, e.ProviderOverloaded),
    ],
)
async def test_a_refusal_becomes_its_named_error_asked_or_streamed(
    kind: str, status: int, body: dict[str, Any], error: type[e.ProviderError]
) -> None:
    async with recording(json.dumps(body).encode(), status=status) as server, System("refused") as system:
        spec = KINDS[kind][0](server)
        ref = system.spawn(child_spec(spec))
        with pytest.raises(e.ProviderError) as asked:
            await ref.ask(ASK)
        with pytest.raises(e.ProviderError) as streamed:
            await anext(ref.stream(ASK))
        for caught in (asked.value, streamed.value):
            assert type(caught) is error, caught
            assert caught.status == status
            assert caught.retry_after == (34.5 if body is QUOTA else None)
        assert len(server.seen) == 2, "the vendors' clients do not send again: the pool does"


@pytest.mark.parametrize(
    ("error", "unsent", "concerns"),
    [(httpx2.ConnectTimeout("late"), True, "endpoint"), (httpx2.ReadTimeout("late"), False, "model")],
)
def test_a_timeout_before_there_is_a_connection_is_the_endpoints_and_costs_nothing(
    error: Exception, unsent: bool, concerns: str
) -> None:
    late = sdk_problem(error, "acme")
    assert isinstance(late, e.ProviderTimeout)
    assert (late.unsent, late.concerns) == (unsent, concerns)


@pytest.mark.parametrize(("kind", "field"), [("anthropic", "input_tokens"), ("gemini", "totalTokens")])
@pytest.mark.parametrize("told", [None, "absent", "seven", "7", True, -1, 1.5, [7], 10**15, "no object"])
async def test_a_count_of_tokens_that_is_none_is_malformed(kind: str, field: str, told: Any) -> None:
    body: Any = ["7"] if told == "no object" else {} if told == "absent" else {field: told}
    async with recording(json.dumps(body).encode()) as server, System("counts") as system:
        make: Any = {"anthropic": anthropic_spec, "gemini": gemini_spec}[kind]
        with pytest.raises(e.MalformedResponse, match=field if told != "no object" else "expected an object"):
            await system.spawn(child_spec(make(server))).ask(CountTokens(ASK))

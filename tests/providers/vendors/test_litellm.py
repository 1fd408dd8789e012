"""Errors of LiteLLM: judged by what the vendor said, without keys. Their forms are those of LiteLLM 1.110."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from callboard.actors import ActorRef, System
from callboard.providers import errors as e
from callboard.providers.spec import ProviderSpec
from callboard.providers.vendors.build import child_spec
from tests.providers.raw import ASK, Asked, raw

SECRET = "env-0123456789abcdef-fedcba"
OTHER = "aws/Secret+0123456789"
NO_CREDIT = {"error": {"message": "Insufficient Balance"}}
NO_MODEL = {"error": {"message": "Project x does not have access to model `m`", "code": "model_not_found"}}
BAD_KEY = {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***yz."}
NO_QUOTA = {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}
TOO_LONG = {"error": {"message": "too long", "code": "context_length_exceeded", "type": "invalid_request_error"}}
MODERATED = {"error": {"message": "Your input was flagged by moderation", "code": 403}}


def failing(kind: str, status: int | None, message: str, body: Any = None, text: str = "", **more: Any) -> Exception:
    """An error as LiteLLM raises it."""
    made: Exception = type(kind, (Exception,), {})(message)
    response = SimpleNamespace(text=text, headers=more.pop("headers", {}), status_code=status)
    vars(made).update(message=f"litellm.{kind}: {message}", status_code=status, body=body, response=response, **more)
    return made


@asynccontextmanager
async def litellm(**settings: Any) -> AsyncIterator[ActorRef[Any]]:
    async with System("litellm") as system:
        spec = ProviderSpec("lite", "litellm", default_model="openai/m", **settings)
        yield system.spawn(child_spec(spec, restart="temporary"))


async def failure(monkeypatch: pytest.MonkeyPatch, error: Exception, *, stream: bool = False) -> e.ProviderError:
    """What a request that LiteLLM refuses so comes to."""

    async def acompletion(**_: Any) -> Any:
        if not stream:
            raise error
        return pieces()

    async def pieces() -> AsyncIterator[Any]:
        raise error
        yield

    stand_in = ModuleType("litellm")
    vars(stand_in).update(acompletion=acompletion)
    monkeypatch.setitem(sys.modules, "litellm", stand_in)
    async with litellm() as ref:
        with pytest.raises(e.ProviderError) as caught:
            await (anext(ref.stream(ASK)) if stream else ref.ask(ASK))
    return caught.value


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("error", "kind", "concerns"),
    [
        (
            failing("BadRequestError", 400, f"GroqException - {json.dumps(BAD_KEY)}"),
            e.AuthenticationFailed,
            "key",
        ),
        (
            failing("BadRequestError", 400, "OpenAIException - Error code: 400", text=json.dumps(BAD_KEY)),
            e.AuthenticationFailed,
            "key",
        ),
        (failing("APIError", 402, "APIError: OpenAIException - no", text=json.dumps(NO_CREDIT)), None, "key"),
        (failing("PaymentRequiredError", 402, f"AnthropicException - {json.dumps(NO_CREDIT)}"), None, "key"),
        (
            failing("RateLimitError", 429, f"RateLimitError: GroqException - {json.dumps(NO_QUOTA)}"),
            e.AuthenticationFailed,
            "key",
        ),
        (
            failing("PermissionDeniedError", 403, f"AnthropicException - {json.dumps(NO_MODEL)}"),
            e.UnknownModel,
            "model",
        ),
        (
            failing("APIError", 403, "APIError: OpenAIException - no", text=json.dumps(NO_MODEL)),
            e.UnknownModel,
            "model",
        ),
        (failing("APIError", 403, f"OpenrouterException - {json.dumps(MODERATED)}"), e.InvalidRequest, "request"),
        (failing("NotFoundError", 404, 'GroqException - {"detail": "Not Found"}'), e.InvalidRequest, "endpoint"),
        (failing("NotFoundError", 404, "GroqException - model `m` not found"), e.UnknownModel, "model"),
        (failing("BadRequestError", 400, "OpenAIException - too long", body=TOO_LONG["error"]), e.ContextTooLong, None),
        (failing("ContextWindowExceededError", 400, "litellm.BadRequestError: it is long"), e.ContextTooLong, None),
        (failing("BadGatewayError", 502, "AnthropicException BadGatewayError - <html>x</html>"), None, "endpoint"),
        (failing("APIError", 529, "GroqException - overloaded"), e.ProviderOverloaded, "model"),
        (
            failing("InternalServerError", 500, "AnthropicException - Overloaded. Handle with `litellm.X`."),
            e.ProviderOverloaded,
            "model",
        ),
        (failing("InternalServerError", 500, "OpenAIException - Connection error."), e.ConnectionLost, "endpoint"),
        (failing("APIConnectionError", 500, "GroqException - broken"), e.ConnectionLost, "endpoint"),
        (failing("Timeout", 408, "OpenAIException - slow"), e.ProviderTimeout, "model"),
        (failing("RateLimitError", None, "no deployments"), e.RateLimited, "model"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_a_refusal_is_judged_by_the_vendors_own_words(
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    kind: type[e.ProviderError] | None,
    concerns: str | None,
    stream: bool,
) -> None:
    found = await failure(monkeypatch, error, stream=stream)
    assert kind is None or type(found) is kind, repr(found)
    assert concerns is None or found.concerns == concerns
    assert found.provider == "lite"


async def test_what_a_refusal_says_of_itself_is_read_from_body_and_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"retry-after": "7", "x-request-id": "r-1"}
    error = failing(
        "RateLimitError", 429, "OpenAIException - slow", text='{"error": {"message": "slow"}}', headers=headers
    )
    found = await failure(monkeypatch, error)
    assert (type(found), found.status, found.retry_after, found.request_id) == (e.RateLimited, 429, 7.0, "r-1")
    assert str(found).startswith("lite answered 429: slow")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_no_key_that_litellm_reads_from_the_environment_stands_in_an_error(
    monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", SECRET)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", OTHER)
    monkeypatch.setenv("SOME_SETTING", "not a secret")
    said = f"GroqException - no such key {SECRET}, and {OTHER[:12]}, which is not a secret"
    found = await failure(monkeypatch, failing("AuthenticationError", 401, said), stream=stream)
    assert "no such key [key], and [key], which is not a secret" in str(found)
    assert SECRET[:8] not in repr(found) + repr(vars(found))
    assert found.__cause__ is None
    assert found.__context__ is None


# -- with LiteLLM itself -----------------------------------------------------------------------------------------------

KINDS = [
    (400, BAD_KEY, e.AuthenticationFailed),
    (401, {"error": {"message": f"no such key {SECRET}"}}, e.AuthenticationFailed),
    (402, NO_CREDIT, e.AuthenticationFailed),
    (403, NO_MODEL, e.UnknownModel),
    (404, NO_MODEL, e.UnknownModel),
    (404, {"detail": "Not Found"}, e.InvalidRequest),
    (429, NO_QUOTA, e.AuthenticationFailed),
    (429, {"error": {"message": "Rate limit"}}, e.RateLimited),
    (400, TOO_LONG, e.ContextTooLong),
    (400, {"error": {"message": "temperature is too high"}}, e.InvalidRequest),
    (503, {"error": {"message": "overloaded"}}, e.ProviderOverloaded),
    (529, {"error": {"message": "overloaded"}}, e.ProviderOverloaded),
]


@pytest.mark.filterwarnings("ignore")  # LiteLLM's own
@pytest.mark.parametrize("vendor", ["openai", "anthropic", "groq"])
@pytest.mark.parametrize(("status", "body", "kind"), KINDS)
async def test_litellm_itself_is_judged_alike_and_shows_no_key(
    monkeypatch: pytest.MonkeyPatch, vendor: str, status: int, body: Any, kind: type[e.ProviderError]
) -> None:
    pytest.importorskip("litellm", reason="LiteLLM is not installed: pip install 'callboard[litellm]'")
    monkeypatch.setenv(f"{vendor.upper()}_API_KEY", SECRET)

    async def answer(asked: Asked) -> None:
        assert SECRET in repr(asked.headers), "LiteLLM has taken the key from the environment"
        await asked.reply(status, body)

    async with raw(answer) as server:
        address = server.url if vendor == "anthropic" else f"{server.url}/v1"
        async with litellm(base_url=address, timeout=5.0) as ref:
            for _ in range(2):
                with pytest.raises(e.ProviderError) as caught:
                    await ref.ask(ASK.__class__(ASK.messages, f"{vendor}/m"))
                assert type(caught.value) is kind, repr(caught.value)
                assert SECRET[:8] not in repr(caught.value) + repr(vars(caught.value))

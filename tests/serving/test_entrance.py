"""What every request passes first: bounds on headers and time, browsers, and nothing of it in a log."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from callboard import ApiKeys, Jwt, MemoryJournal, serve
from callboard.actors.agents.errors import DefinitionError
from callboard.actors.serving import requests

from .support import served
from .test_keys import ASKED, asks, bearer, helper
from .test_tokens import SECRET, token

ORIGIN = "https://app.example"


async def test_headers_are_bounded_in_number_and_size() -> None:
    async with served(helper()) as at, at.client() as client:
        for headers in ({f"x-{index}": "1" for index in range(120)}, {"x-long": "x" * 33_000}):
            answer = await client.post("/v1/chat/completions", json=ASKED, headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (431, "headers_too_large")
        assert await asks(at, {f"x-{index}": "x" * 300 for index in range(80)}) == 200


async def test_a_body_that_does_not_come_in_time_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "BODY_TIMEOUT", 0.05)
    async with served(helper()) as at:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(at.url.rpartition(":")[2]))
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        answer = (await reader.read()).decode()
        writer.close()
        assert answer.startswith("HTTP/1.1 408 ")
        assert '"code":"too_slow"' in answer


async def test_pages_of_origins_that_are_named_may_ask_and_read_what_they_need() -> None:
    preflight = {
        "origin": ORIGIN,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,idempotency-key,last-event-id",
    }
    keys = ApiKeys(MemoryJournal())
    async with served(helper(), authenticate=keys, cors=[ORIGIN]) as at, at.client() as client:
        allowed = await client.options("/v1/chat/completions", headers=preflight)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == ORIGIN
        assert "authorization" in allowed.headers["access-control-allow-headers"].lower()
        assert "access-control-allow-credentials" not in allowed.headers
        other = await client.options("/v1/chat/completions", headers={**preflight, "origin": "https://evil.example"})
        assert other.status_code == 400
        assert "access-control-allow-origin" not in other.headers
        refused = await client.post("/v1/chat/completions", json=ASKED, headers={"origin": ORIGIN})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == ORIGIN
        assert {"callboard-run", "retry-after"} <= set(refused.headers["access-control-expose-headers"].split(", "))
    async with served(helper()) as at, at.client() as client:
        none = await client.options("/v1/chat/completions", headers=preflight)
        assert not [name for name in none.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "wrong", ["*", ["*"], ["app.example"], ["https://app.example/"], ["https://a@b"], ["null"], [5], [""], ORIGIN]
)
def test_origins_are_named_as_browsers_name_them(wrong: Any) -> None:
    with pytest.raises(DefinitionError, match="cors"):
        serve(helper(), cors=wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"body_limit": 0}, {"body_limit": "1"}, {"ping": -1}, {"ping": None}, {"on_disconnect": "x"}, {"drain": "1"}],
)
def test_options_that_do_not_fit_are_refused(wrong: Any) -> None:
    with pytest.raises(DefinitionError, match=next(iter(wrong))):
        serve(helper(), **wrong)


async def test_no_header_and_no_secret_stands_in_any_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    keys = ApiKeys(MemoryJournal())
    key = await keys.add(user="ada")
    tokens = Jwt(secret=SECRET, issuer=None, audience="callboard")
    good, bad = token(), token("another secret of thirty-two bytes")
    secrets = (key[-20:], SECRET, good[-20:], bad[-20:], "a-cookie", "a-payment", "what was asked")

    def broken(connection: Any) -> Any:
        if "x-broken" in connection.headers:
            raise RuntimeError("of the application's own")

    body = {"model": "Helper", "messages": [{"role": "user", "content": "what was asked"}]}
    with_more = {"cookie": "session=a-cookie", "payment-signature": "a-payment"}
    app = serve(helper(), authenticate=[keys, tokens, broken])
    async with served(app, "debug") as at, at.client() as client:
        for name in ("uvicorn", "uvicorn.access", "uvicorn.error"):
            logging.getLogger(name).propagate = True
        for headers in (bearer(key), bearer(good), bearer(bad), {**bearer(bad), "x-broken": "1"}):
            await client.post("/v1/chat/completions?x=1", json=body, headers={**headers, **with_more})
        await client.post("/v1/chat/completions", content=b"{", headers={**bearer(key), **with_more})
        await client.post("/nowhere", json=body, headers={**bearer(key), **with_more})
    assert '"POST /v1/chat/completions?x=1 HTTP/1.1" 200' in caplog.text
    assert "of the application's own" in caplog.text
    assert not [secret for secret in secrets if secret in caplog.text]

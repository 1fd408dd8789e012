"""Asks a served agency all sorts of requests that its OpenAPI document allows or forbids, and fails where it does.

``python -m tests.serving.all_sorts`` prints how many operations there are.
"""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import HTTPConnection
from starlette.testclient import TestClient

from callboard import Caller, serve

from .test_published import agency

MODES = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]


def anybody(connection: HTTPConnection) -> Caller:
    """Who asks."""
    return Caller("eve", scopes=frozenset({"staff"}))


def ask_all_sorts(client: TestClient, operation: Any) -> None:
    """Ask for one operation."""

    @given(data=st.data(), mode=st.sampled_from(MODES))
    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def ask(data: st.DataObject, mode: Any) -> None:
        case = data.draw(operation.as_strategy(generation_mode=mode))
        sent = case.as_transport_kwargs(base_url="http://testserver")
        sent.pop("cookies", None)
        if isinstance(sent.get("data"), str | bytes):
            sent["content"] = sent.pop("data")
        got = client.request(**sent)
        assert got.status_code < 500, (sent, got.text)
        if got.status_code >= 400:
            assert got.headers["content-type"] in ("application/problem+json", "application/json"), (sent, got.text)
            assert got.json()

    ask()


def main() -> None:
    """Ask for all of them but those that fail on purpose."""
    app = serve(agency(), authenticate=anybody)
    with TestClient(app, raise_server_exceptions=False) as client:
        schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
        found: list[Any] = list(schema.get_all_operations())
        operations = [each.ok() for each in found]
        for operation in operations:
            if operation.path not in ("/Clerk/fails", "/Clerk/exits"):
                ask_all_sorts(client, operation)
    print(len(operations))


if __name__ == "__main__":
    main()

"""What each named error says of itself."""

from __future__ import annotations

import pytest

from callboard.providers import errors as e


@pytest.mark.parametrize(
    ("kind", "concern"),
    [
        (e.AuthenticationFailed, "key"),
        (e.InvalidRequest, "request"),
        (e.ContextTooLong, "request"),
        (e.UnknownModel, "model"),
        (e.RateLimited, "model"),
        (e.ProviderOverloaded, "model"),
        (e.ProviderTimeout, "model"),
        (e.StreamCut, "model"),
        (e.MalformedResponse, "model"),
        (e.ConnectionLost, "endpoint"),
        (e.ProviderError, "endpoint"),
    ],
)
def test_an_error_says_whether_it_is_the_requests_the_models_the_keys_or_the_endpoints(
    kind: type[e.ProviderError], concern: e.Concern
) -> None:
    assert kind("x").concerns == concern
    other: e.Concern = "model" if concern != "model" else "key"
    assert kind("x", concerns=other).concerns == other
    assert kind("y").concerns == concern, "another error of its class is not changed"

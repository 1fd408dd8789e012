"""Policies and prices that could not work are refused as they are made, by field and with what is expected."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from callboard import ChildSpec, SpecError
from callboard.providers.pool import (
    Batching,
    BreakerPolicy,
    Endpoint,
    Hedge,
    MemoryCache,
    Pool,
    Price,
    Quota,
    Requester,
    RetryPolicy,
)
from callboard.providers.spec import ProviderSpec


@pytest.mark.parametrize(
    ("made", "wrong", "said"),
    [
        (RetryPolicy, {"attempts": 0}, "attempts is 0; expected a whole number, at least 1"),
        (RetryPolicy, {"initial": -1}, "initial is -1; expected seconds, at least 0"),
        (RetryPolicy, {"factor": 0.5}, "factor is 0.5; expected a number, at least 1"),
        (RetryPolicy, {"attempt_timeout": 0}, "attempt_timeout is 0; expected seconds, more than 0, or None"),
        (BreakerPolicy, {"window": 0}, "window is 0; expected a whole number, at least 1"),
        (BreakerPolicy, {"error_rate": 1.5}, "error_rate is 1.5; expected a share, 0 to 1"),
        (BreakerPolicy, {"max_age": math.nan}, "max_age is nan; expected seconds, more than 0"),
        (Hedge, {"quantile": 0}, "quantile is 0; expected a share above 0, at most 1"),
        (Hedge, {"maximum": -1}, "maximum is -1; expected seconds, at least 0, or None"),
        (Price, {"input": -1, "output": 1}, "input is -1; expected dollars per million tokens, at least 0"),
        (Price, {"input": True, "output": 1}, "input is True; expected dollars per million tokens, at least 0"),
        (Price, {"input": None, "output": 1}, "input is None; expected dollars per million tokens, at least 0"),
        (Price, {"input": math.inf, "output": 1}, "input is inf; expected dollars per million tokens, at least 0"),
        (Price, {"input": 1, "output": math.nan}, "output is nan; expected dollars per million tokens, at least 0"),
    ],
)
def test_a_value_that_cannot_be_is_refused(made: Callable[..., Any], wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        made(**wrong)
    assert str(caught.value) == said


def endpoint(**options: Any) -> Endpoint:
    return Endpoint("a", ChildSpec(Pool), **options)


@pytest.mark.parametrize("value", [math.nan, math.inf, True, 1.5, "60", [1], 0, 10**400])
@pytest.mark.parametrize("name", ["requests_per_minute", "tokens_per_day", "concurrency"])
def test_a_limit_is_a_whole_number(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} is .*; expected a whole number, at least 1, or None for no limit"):
        Quota(**{name: value})


@pytest.mark.parametrize(
    ("made", "wrong", "said"),
    [
        (endpoint, {"limits": 5}, "limits is 5; expected a Quota"),
        (endpoint, {"breaker": None}, "breaker is None; expected a BreakerPolicy"),
        (endpoint, {"price": 5}, "price is 5; expected a Price, or None for the list's"),
        (endpoint, {"models": "gpt-4o"}, "models is 'gpt-4o'; expected several, each a name"),
        (endpoint, {"weight": math.nan}, "weight is nan; expected a number, at least 0"),
        (endpoint, {"model_limits": {"m": 5}}, "model_limits is .*expected a mapping of names to a Quota"),
        (endpoint, {"capabilities": {"tols"}}, "capabilities is .*each one of tools, "),
        (endpoint, {"priority": -(10**16)}, "priority is -10000000000000000; expected a whole number"),
        (Requester, {"priority": math.nan}, "priority is nan; expected a whole number"),
        (Batching, {"size": math.nan}, "size must be at least 1, and 0 <= min_window <= max_window"),
        (Batching, {"size": True}, "size must be at least 1, and 0 <= min_window <= max_window"),
        (Batching, {"max_window": math.inf}, "size must be at least 1, and 0 <= min_window <= max_window"),
        (
            Batching,
            {"min_window": 2.0, "max_window": 1.0},
            "size must be at least 1, and 0 <= min_window <= max_window",
        ),
        (MemoryCache, {"ttl": math.nan}, "ttl is nan; expected seconds, more than 0, or None for ever"),
        (MemoryCache, {"size": 0}, "size is 0; expected a whole number, at least 1"),
        (ProviderSpec, {"name": "a", "max_in_flight": 0}, "max_in_flight is 0; expected a whole number"),
        (ProviderSpec, {"name": "a", "timeout": -1}, "timeout is -1; expected seconds, more than 0"),
        (ProviderSpec, {"name": "a", "kind": "nope"}, "kind is 'nope'; expected one of openai, "),
        (ProviderSpec, {"name": "a", "base_url": "ftp://x"}, "base_url is 'ftp://x'; expected an address"),
        (ProviderSpec, {"name": "a", "defaults": {"temprature": 1}}, "defaults is .*expected fields of a request"),
        (Pool, {"probe_interval": math.nan}, "probe_interval is nan; expected seconds, more than 0, or None"),
        (Pool, {"queue_timeout": "x"}, "queue_timeout is 'x'; expected seconds, at least 0"),
        (Pool.spec, {"endpoints": (), "hedge": True}, "hedge is True; expected a Hedge, or None"),
        (
            Pool.spec,
            {"endpoints": (), "fallbacks": {"a": "b"}},
            "fallbacks is .*expected a mapping of names to several",
        ),
    ],
)
def test_what_cannot_work_is_refused_as_it_is_given(made: Callable[..., Any], wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        made(**wrong)


def test_a_key_that_is_no_secret_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="api_key is of type str; expected a SecretStr"):
        ProviderSpec("a", api_key="sk-plain")  # type: ignore[arg-type]


@pytest.mark.parametrize("headers", [["Bearer sk-plain"], {"Authorization": "Bearer sk-plain", "X-Try": 5}])
def test_headers_that_cannot_be_are_refused_without_showing_them(headers: Any) -> None:
    with pytest.raises(ValueError, match=r"headers is of type .*; expected a mapping of names to a text") as caught:
        ProviderSpec("a", headers=headers)
    assert "sk-plain" not in str(caught.value)


def test_an_option_that_a_pool_does_not_have_is_refused() -> None:
    with pytest.raises(SpecError, match=r"no option 'budgts'.*budgets"):
        Pool.spec([], budgts=[])

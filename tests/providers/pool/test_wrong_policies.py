"""Policies and prices that could not work are refused as they are made, by field and with what is expected."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from callboard.providers.pool import BreakerPolicy, Hedge, Price, RetryPolicy


@pytest.mark.parametrize(
    ("made", "wrong", "said"),
    [
        (RetryPolicy, {"attempts": 0}, "attempts is 0; expected at least 1"),
        (RetryPolicy, {"initial": -1}, "initial is -1; expected seconds"),
        (RetryPolicy, {"factor": 0.5}, "factor is 0.5; expected at least 1"),
        (RetryPolicy, {"attempt_timeout": 0}, "attempt_timeout is 0; expected seconds, more than 0, or None"),
        (BreakerPolicy, {"window": 0}, "window is 0; expected at least 1"),
        (BreakerPolicy, {"error_rate": 1.5}, "error_rate is 1.5; expected a share, 0 to 1"),
        (BreakerPolicy, {"max_age": math.nan}, "max_age is nan; expected seconds, more than 0"),
        (Hedge, {"quantile": 0}, "quantile is 0; expected a share above 0, at most 1"),
        (Hedge, {"maximum": -1}, "maximum is -1; expected seconds, or None"),
        (Price, {"input": -1, "output": 1}, "input is -1; expected dollars per million tokens, at least 0"),
        (Price, {"input": 1, "output": math.nan}, "output is nan; expected dollars per million tokens, at least 0"),
    ],
)
def test_a_value_that_cannot_be_is_refused(made: Callable[..., Any], wrong: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        made(**wrong)
    assert str(caught.value) == said

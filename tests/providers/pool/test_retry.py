from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.actors import ActorCrashed, AskTimeout
from callboard.providers import errors
from callboard.providers.pool import RetryPolicy
from callboard.providers.pool.admission.retry import Blame, RetryBudget, judge


@given(st.integers(1, 200), st.integers())
def test_backoff_is_between_nothing_and_a_bound_that_grows_to_its_maximum(retry: int, seed: int) -> None:
    policy = RetryPolicy(initial=0.5, factor=2.0, maximum=10.0)
    delay = policy.backoff(retry, random.Random(seed))
    assert 0.0 <= delay <= min(10.0, 0.5 * 2.0 ** min(retry - 1, 60))


@given(st.floats(0, 1e6), st.integers())
def test_retry_after_is_waited_for_up_to_its_cap(after: float, seed: int) -> None:
    policy = RetryPolicy(initial=0.5, retry_after_cap=30.0)
    delay = policy.backoff(1, random.Random(seed), after)
    assert min(after, 30.0) <= delay <= min(after, 30.0) + 0.5


@given(st.lists(st.tuples(st.sampled_from(["request", "retry"]), st.floats(0, 1)), max_size=200))
def test_retries_never_exceed_the_reserve_and_what_requests_and_time_have_earned(
    steps: list[tuple[str, float]],
) -> None:
    budget, now, requests, retries = RetryBudget(ratio=0.2, reserve=10.0, per_second=0.5), 0.0, 0, 0
    for kind, gap in steps:
        now += gap
        if kind == "request":
            budget.deposit()
            requests += 1
        else:
            retries += budget.take(now)
        assert retries <= 10 + 0.2 * requests + 0.5 * now + 1e-6


def test_a_retry_that_is_not_affordable_waits_its_turn_instead_of_being_refused() -> None:
    budget = RetryBudget(ratio=0.2, reserve=2.0, per_second=1.0)
    assert [budget.reserve_retry(0.0) for _ in range(5)] == [0.0, 0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("error", "elsewhere", "again", "blame"),
    [
        (errors.AuthenticationFailed("x"), True, False, Blame.DISABLE),
        (errors.InvalidRequest("x"), False, False, Blame.NONE),
        (errors.ContextTooLong("x"), True, False, Blame.NONE),
        (errors.UnknownModel("x"), True, False, Blame.DISABLE),
        (errors.RateLimited("x"), True, True, Blame.PAUSE),
        (errors.ProviderOverloaded("x"), True, True, Blame.FAILURE),
        (errors.ProviderTimeout("x"), True, True, Blame.FAILURE),
        (errors.ConnectionLost("x"), True, True, Blame.FAILURE),
        (errors.Redirected("x"), True, False, Blame.DISABLE),
        (errors.StreamCut("x"), True, True, Blame.FAILURE),
        (errors.MalformedResponse("x"), True, True, Blame.FAILURE),
        (errors.BudgetSpent("x"), False, False, Blame.NONE),
        (ActorCrashed("x"), True, True, Blame.FAILURE),
        (AskTimeout("x"), True, True, Blame.FAILURE),
        (ZeroDivisionError("x"), True, False, Blame.FAILURE),
    ],
)
def test_every_failure_has_its_verdict(error: Exception, elsewhere: bool, again: bool, blame: Blame) -> None:
    verdict = judge(error)
    assert (verdict.elsewhere, verdict.again, verdict.blame) == (elsewhere, again, blame)


@pytest.mark.parametrize(
    ("error", "concerns"),
    [
        (errors.RateLimited("x"), "model"),
        (errors.ProviderOverloaded("x"), "model"),
        (errors.ProviderOverloaded("x", concerns="endpoint"), "endpoint"),
        (errors.AuthenticationFailed("x"), "key"),
        (errors.AuthenticationFailed("x", concerns="model"), "model"),
        (errors.ConnectionLost("x"), "endpoint"),
        (ActorCrashed("x"), "endpoint"),
        (AskTimeout("x"), "model"),
        (ZeroDivisionError("x"), "model"),
    ],
)
def test_a_verdict_says_what_is_at_fault(error: Exception, concerns: str) -> None:
    assert judge(error).concerns == concerns


def test_what_concerns_the_request_blames_nothing_and_is_not_sent_there_again() -> None:
    for kind in (errors.AuthenticationFailed, errors.RateLimited):
        verdict = judge(kind("moderated, or larger than the limit itself", concerns="request"))
        assert (verdict.elsewhere, verdict.again, verdict.blame) == (True, False, Blame.NONE)


def test_a_refusal_that_is_not_the_requests_is_no_reason_not_to_ask_elsewhere() -> None:
    concern: errors.Concern
    for concern in ("model", "key", "endpoint"):
        verdict = judge(errors.InvalidRequest("404", status=404, concerns=concern))
        assert (verdict.elsewhere, verdict.again, verdict.blame) == (True, False, Blame.DISABLE)
        assert verdict.concerns == concern

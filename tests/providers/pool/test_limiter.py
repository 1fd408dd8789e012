from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.providers.messages import RateLimits
from callboard.providers.pool import Quota
from callboard.providers.pool.admission.limiter import Limiter, SlidingWindow

gaps = st.floats(0, 30, allow_nan=False)
amounts = st.integers(0, 150)


@given(st.lists(st.tuples(gaps, amounts), max_size=60))
def test_no_window_of_a_minute_ever_admits_more_than_the_limit(arrivals: list[tuple[float, int]]) -> None:
    window, now, admitted = SlidingWindow(100), 0.0, []
    for gap, amount in arrivals:
        now += gap
        if window.fits(amount, now):
            window.take(amount, now)
            admitted.append((now, min(amount, 100)))
    for start, _ in admitted:
        inside = sum(amount for at, amount in admitted if start <= at <= start + 60)
        assert inside <= 100, f"{inside} admitted in the minute from {start}"


@given(st.lists(st.tuples(gaps, amounts), max_size=60))
def test_the_next_fit_is_a_time_at_which_the_amount_fits_and_no_earlier_one(arrivals: list[tuple[float, int]]) -> None:
    window, now = SlidingWindow(100), 0.0
    for gap, amount in arrivals:
        now += gap
        at = window.next_fit(amount, now)
        if at > now:
            assert not window.fits(amount, math.nextafter(at, 0))
        assert window.fits(amount, at)
        window.take(amount, at)
        now = at


@given(st.lists(st.tuples(amounts, amounts), min_size=1, max_size=30))
def test_settling_counts_what_was_really_used(calls: list[tuple[int, int]]) -> None:
    limiter = Limiter(Quota(tokens_per_minute=1_000_000))
    for estimate, used in calls:
        limiter.release(limiter.take(estimate, 0.0), used)
    _, tokens = limiter.remaining(1.0)
    assert tokens == 1_000_000 - sum(used for _, used in calls)


@given(st.lists(st.sampled_from(["take", "release", "refund", "twice"]), max_size=60))
def test_every_place_is_given_back_exactly_once(steps: list[str]) -> None:
    limiter, out, sent = Limiter(Quota(requests_per_minute=1_000, concurrency=5)), [], 0
    for step in steps:
        if step == "take" and limiter.fits(1, 0.0):
            out.append(limiter.take(1, 0.0))
            sent += 1
        elif step != "take" and out:
            permit = out.pop()
            limiter.refund(permit) if step == "refund" else limiter.release(permit)
            sent -= step == "refund"
            if step == "twice":
                limiter.release(permit)
                limiter.refund(permit)
        assert limiter.in_flight == len(out) <= 5
        requests, _ = limiter.remaining(0.0)
        assert requests == 1_000 - sent


def test_a_request_larger_than_the_limit_takes_the_whole_window_instead_of_waiting_for_ever() -> None:
    limiter = Limiter(Quota(tokens_per_minute=100))
    assert limiter.fits(1_000, 0.0)
    limiter.take(1_000, 0.0)
    assert not limiter.fits(1, 1.0)
    assert limiter.next_fit(1_000, 1.0) == pytest.approx(60.6)


def test_the_vendors_word_that_others_used_the_key_is_believed_until_its_reset() -> None:
    limiter = Limiter(Quota(requests_per_minute=100))
    limiter.take(1, 0.0)
    limiter.correct(RateLimits(requests_limit=100, requests_remaining=2, requests_reset=20.0), 0.0)
    assert limiter.remaining(0.0)[0] == 2
    assert limiter.remaining(20.0)[0] == 99


def test_the_vendors_word_is_not_believed_where_it_allows_more_than_we_know() -> None:
    limiter = Limiter(Quota(requests_per_minute=10))
    for _ in range(10):
        limiter.take(1, 0.0)
    # None of the ten has arrived there yet.
    limiter.correct(RateLimits(requests_limit=1_000, requests_remaining=1_000, requests_reset=1.0), 0.0)
    assert not limiter.fits(1, 0.0)


def test_limits_nobody_configured_are_learned_from_the_vendors_headers() -> None:
    limiter = Limiter(Quota())
    limiter.correct(RateLimits(requests_limit=50, requests_remaining=0, tokens_limit=100, tokens_remaining=100), 0.0)
    assert not limiter.fits(1, 0.0)
    assert limiter.next_fit(1, 0.0) > 0.0


@pytest.mark.parametrize("name", ["requests_per_minute", "tokens_per_minute", "concurrency"])
def test_a_limit_below_one_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Quota(**{name: 0})

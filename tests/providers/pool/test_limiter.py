from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callboard.actors.testing import virtual_time
from callboard.providers.messages import RateLimits
from callboard.providers.pool import Quota
from callboard.providers.pool.admission.limiter import ONE_REQUEST, Limiter, need
from callboard.providers.pool.admission.pacing import Pacer
from callboard.providers.pool.admission.windows import BELIEVED, Bucket, Meter, SlidingWindow, margin

gaps = st.floats(0, 30, allow_nan=False)
amounts = st.integers(0, 150)
meters = st.sampled_from([SlidingWindow, Bucket])
PERIODS = [1.0, 60.0, 86_400.0]


@pytest.mark.parametrize("period", PERIODS)
@given(st.lists(st.tuples(gaps, amounts), max_size=60))
def test_no_window_ever_admits_more_than_the_limit(period: float, arrivals: list[tuple[float, int]]) -> None:
    window, now, admitted = SlidingWindow(100, period), 0.0, []
    for gap, amount in arrivals:
        now += gap * period / 60.0
        if window.fits(amount, now):
            window.take(amount, now)
            admitted.append((now, min(amount, 100)))
    for start, _ in admitted:
        inside = sum(amount for at, amount in admitted if start <= at <= start + period)
        assert inside <= 100, f"{inside} admitted in the window from {start}"


@example([(0.0, 16, 0.0), (10.0, 41, 1.0), (0.0, 60, 0.0)])
@example([(0.0, 100, 0.0), (0.0, 100, 1.0), (0.0, 100, 0.0)])
@given(st.lists(st.tuples(st.floats(0, 80), st.integers(0, 100), st.floats(0, 1)), max_size=60))
def test_a_vendors_bucket_never_refuses_what_its_copy_here_lets_go(sent: list[tuple[float, int, float]]) -> None:
    """However long each request is on its way, within the margin."""
    bucket, now, arrivals = Bucket(100, 60.0), 0.0, []
    for gap, amount, way in sent:
        now = bucket.next_fit(amount, now + gap)
        bucket.take(amount, now)
        arrivals.append((now + way * margin(60.0), amount))
    level, at = 100.0, 0.0
    for arrived, amount in sorted(arrivals):
        level, at = min(100.0, level + (arrived - at) * 100 / 60), arrived
        assert level >= amount - 1e-6, f"the vendor has {level} left, and {amount} arrived at {arrived}"
        level -= amount


def test_a_bucket_gives_its_depth_at_once_but_for_the_margin_and_then_its_rate() -> None:
    bucket, times = Bucket(20, 60.0), []
    now = 0.0
    for _ in range(40):
        now = bucket.next_fit(1, now)
        bucket.take(1, now)
        times.append(now)
    assert times[:19] == [0.0] * 19
    assert times[39] == pytest.approx(60.0, abs=1.0)


@given(meters, st.lists(st.tuples(gaps, amounts), max_size=60))
def test_the_next_fit_is_a_time_at_which_the_amount_fits_and_no_earlier_one(
    kind: type[SlidingWindow | Bucket], arrivals: list[tuple[float, int]]
) -> None:
    meter, now = kind(100, 60.0), 0.0
    for gap, amount in arrivals:
        now += gap
        at = meter.next_fit(amount, now)
        if at > now:
            earlier = math.nextafter(at, 0) if kind is SlidingWindow else at - 1e-3
            assert earlier < now or not kind_copy(meter).fits(amount, earlier)
        assert meter.fits(amount, at)
        meter.take(amount, at)
        now = at


def kind_copy(meter: SlidingWindow | Bucket) -> Meter:
    """A look at an earlier time must not change what is tested."""
    import copy

    return copy.deepcopy(meter)


@given(meters, st.lists(st.tuples(amounts, amounts), min_size=1, max_size=30))
def test_settling_counts_what_was_really_used(kind: type[SlidingWindow | Bucket], calls: list[tuple[int, int]]) -> None:
    limiter = Limiter(Quota(tokens_per_minute=1_000_000), "window" if kind is SlidingWindow else "bucket")
    for estimate, used in calls:
        limiter.release(limiter.take(need(estimate, 0), 0.0), need(used, 0), 0.0)
    assert limiter.remaining(0.0)["tokens_per_minute"] == 1_000_000 - sum(used for _, used in calls)


def test_of_what_was_admitted_within_a_moment_nothing_is_free_before_all_of_it_is() -> None:
    limiter = Limiter(Quota(requests_per_minute=2))
    for now in (0.0, 0.05):
        limiter.take(ONE_REQUEST, now)
    assert limiter.next_fit(ONE_REQUEST, 1.0) == pytest.approx(0.05 + 60.6)


@pytest.mark.parametrize("rule", ["window", "bucket"])
@given(steps=st.lists(st.sampled_from(["take", "release", "refund", "twice"]), max_size=60))
def test_every_place_is_given_back_exactly_once(rule: str, steps: list[str]) -> None:
    limiter = Limiter(Quota(requests_per_minute=1_000, concurrency=5), rule)  # type: ignore[arg-type]
    out, sent = [], 0
    for step in steps:
        if step == "take" and limiter.fits(ONE_REQUEST, 0.0):
            out.append(limiter.take(ONE_REQUEST, 0.0))
            sent += 1
        elif step != "take" and out:
            permit = out.pop()
            limiter.refund(permit, 0.0) if step == "refund" else limiter.release(permit, None, 0.0)
            sent -= step == "refund"
            if step == "twice":
                limiter.release(permit, None, 0.0)
                limiter.refund(permit, 0.0)
        assert limiter.in_flight == len(out) <= 5
        assert limiter.remaining(0.0)["requests_per_minute"] == 1_000 - sent


@pytest.mark.parametrize("rule", ["window", "bucket"])
def test_a_request_larger_than_the_limit_takes_all_of_it_instead_of_waiting_for_ever(rule: str) -> None:
    limiter = Limiter(Quota(tokens_per_minute=100), rule)  # type: ignore[arg-type]
    assert limiter.fits(need(1_000, 0), 0.0)
    limiter.take(need(1_000, 0), 0.0)
    assert not limiter.fits(need(1, 0), 0.1)
    assert limiter.next_fit(need(1_000, 0), 1.0) == pytest.approx(60.6)
    assert limiter.fits(need(1_000, 0), 60.7)


@pytest.mark.parametrize(
    ("quota", "kind", "seconds"),
    [
        (Quota(requests_per_second=3), (0, 0), 1.0),
        (Quota(requests_per_minute=3), (0, 0), 60.0),
        (Quota(requests_per_day=3), (0, 0), 86_400.0),
        (Quota(tokens_per_minute=30), (5, 5), 60.0),
        (Quota(tokens_per_day=30), (5, 5), 86_400.0),
        (Quota(input_tokens_per_minute=30), (10, 500), 60.0),
        (Quota(output_tokens_per_minute=30), (500, 10), 60.0),
    ],
)
def test_each_limit_is_held_over_its_own_time_and_counts_its_own_kind(
    quota: Quota, kind: tuple[int, int], seconds: float
) -> None:
    limiter, wanted = Limiter(quota), need(*kind)
    for _ in range(3):
        assert limiter.fits(wanted, 0.0)
        limiter.take(wanted, 0.0)
    assert not limiter.fits(wanted, 0.0)
    assert limiter.next_fit(wanted, 0.0) == pytest.approx(seconds + margin(seconds))


def test_a_request_must_keep_all_limits_at_once() -> None:
    limiter = Limiter(Quota(requests_per_second=2, requests_per_minute=3))
    times, now = [], 0.0
    for _ in range(4):
        now = limiter.next_fit(ONE_REQUEST, now)
        limiter.take(ONE_REQUEST, now)
        times.append(now)
    assert times == pytest.approx([0.0, 0.0, 1.1, 60.6])


def test_the_vendors_word_that_others_used_the_key_is_believed_until_its_reset() -> None:
    limiter = Limiter(Quota(requests_per_minute=100))
    limiter.take(ONE_REQUEST, 0.0)
    limiter.correct(RateLimits(requests_limit=100, requests_remaining=2, requests_reset=20.0), 0.0, 0.0)
    assert limiter.remaining(0.0) == {"requests_per_minute": 2}
    limiter.correct(RateLimits(requests_limit=100, requests_remaining=50, requests_reset=20.0), 1.0, 1.0)
    assert limiter.remaining(1.0) == {"requests_per_minute": 50}
    assert limiter.remaining(21.0) == {"requests_per_minute": 99}


@pytest.mark.parametrize("kind", ["requests", "tokens", "input_tokens", "output_tokens"])
def test_each_limit_is_corrected_by_what_the_vendor_says_of_it_and_no_other(kind: str) -> None:
    kinds = ("requests", "tokens", "input_tokens", "output_tokens")
    limiter = Limiter(Quota(**{f"{each}_per_minute": 100 for each in kinds}))  # type: ignore[arg-type]
    told: dict[str, float] = {f"{each}_reset": 50.0 for each in kinds if each != kind}
    told |= {f"{kind}_limit": 80, f"{kind}_remaining": 10, f"{kind}_reset": 40.0}
    limiter.correct(RateLimits(**told), 0.0, 0.0)  # type: ignore[arg-type]
    assert limiter.remaining(39.0) == {f"{each}_per_minute": 10 if each == kind else 100 for each in kinds}
    assert limiter.remaining(41.0) == {f"{each}_per_minute": 80 if each == kind else 100 for each in kinds}


def test_in_a_window_the_vendors_word_is_not_believed_where_it_allows_more_than_we_know() -> None:
    limiter = Limiter(Quota(requests_per_minute=10))
    for _ in range(10):
        limiter.take(ONE_REQUEST, 0.0)
    # None of the ten has arrived there yet.
    limiter.correct(RateLimits(requests_limit=1_000, requests_remaining=1_000, requests_reset=1.0), 0.0, 0.0)
    assert not limiter.fits(ONE_REQUEST, 0.0)


def test_a_bucket_is_corrected_both_ways_but_for_what_is_on_its_way_and_what_was_refilled_meanwhile() -> None:
    limiter = Limiter(Quota(tokens_per_minute=600), "bucket")
    answered, _out = (limiter.take(need(200, 0), 0.0) for _ in range(2))
    limiter.release(answered, need(200, 0), 0.0)
    limiter.correct(RateLimits(tokens_remaining=300), 0.0, 0.0)
    assert limiter.remaining(0.0) == {"tokens_per_minute": 200}, "the second has perhaps not been counted there"
    limiter.correct(RateLimits(tokens_remaining=500), 0.0, 0.0)
    assert limiter.remaining(0.0) == {"tokens_per_minute": 300}, "more is left there than we knew"
    limiter.correct(RateLimits(tokens_remaining=10), 0.0, 2.0)
    assert limiter.remaining(2.0) == {"tokens_per_minute": 30}, "others have used it; it was refilled since"


def test_limits_nobody_configured_are_learned_from_the_vendors_headers_and_follow_them() -> None:
    limiter = Limiter(Quota())
    limiter.correct(RateLimits(requests_limit=50, requests_remaining=0, tokens_limit=100), 0.0, 0.0)
    assert not limiter.fits(ONE_REQUEST, 0.0)
    assert limiter.next_fit(ONE_REQUEST, 0.0) > 0.0
    limiter.correct(RateLimits(requests_limit=80, requests_remaining=80, output_tokens_limit=7), 1.0, 1.0)
    left = {"requests_per_minute": 80, "tokens_per_minute": 100, "output_tokens_per_minute": 7}
    assert limiter.remaining(1.0) == left


def test_a_stated_limit_that_comes_back_within_seconds_is_not_taken_for_one_of_a_minute() -> None:
    limiter = Limiter(Quota())
    limiter.correct(RateLimits(requests_limit=2, requests_remaining=1, requests_reset=0.5), 0.0, 0.0)
    assert limiter.remaining(0.0) == {}
    limiter.correct(RateLimits(requests_limit=60, requests_remaining=59, requests_reset=1.0), 0.0, 0.0)
    assert limiter.remaining(0.0) == {"requests_per_minute": 59}


@pytest.mark.parametrize("rule", ["window", "bucket"])
def test_a_lowered_limit_is_raised_when_the_vendor_says_so_or_has_not_repeated_it_for_long(rule: str) -> None:
    limiter = Limiter(Quota(requests_per_minute=100), rule)  # type: ignore[arg-type]

    def state(limit: int, now: float) -> float:
        limiter.correct(RateLimits(requests_limit=limit), now, now)
        return limiter.remaining(now + 60.0)["requests_per_minute"]

    assert state(10, 0.0) == 10
    assert state(40, 100.0) == 40
    assert state(1_000, 200.0) == 100, "not above what is configured"
    assert state(10, 300.0) == 10
    limiter.remaining(300.0 + BELIEVED)
    assert limiter.remaining(360.0 + BELIEVED) == {"requests_per_minute": 100}


@pytest.mark.parametrize("name", ["requests_per_minute", "tokens_per_minute", "concurrency", "requests_per_second"])
def test_a_limit_below_one_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Quota(**{name: 0})  # type: ignore[arg-type]


def test_a_rule_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="leaky"):
        Quota(rule="leaky")  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", ["window", "bucket"])
@given(st.lists(st.tuples(st.floats(0, 20), st.integers(5, 40)), min_size=1, max_size=40))
def test_limits_that_are_changed_count_what_was_sent_before(rule: Any, changes: list[tuple[float, int]]) -> None:
    limiter, now, sent, highest = Limiter(Quota(requests_per_minute=40), rule), 0.0, [], 40
    for gap, limit in changes:
        now += gap
        limiter.change(Quota(requests_per_minute=limit), rule, now)
        while limiter.fits(ONE_REQUEST, now):
            limiter.release(limiter.take(ONE_REQUEST, now), ONE_REQUEST, now)
            sent.append(now)
    most = highest if rule == "window" else 2 * highest  # a bucket is refilled while it is emptied
    for start in sent:
        inside = sum(start <= at < start + 60.0 for at in sent)
        assert inside <= most, f"{inside} sent in the minute from {start}"


@pytest.mark.parametrize("rules", [("window", "bucket"), ("bucket", "window")])
def test_another_rule_counts_what_was_sent_under_the_one_before(rules: tuple[Any, Any]) -> None:
    before, after = rules
    limiter = Limiter(Quota(requests_per_minute=20), before)
    for _ in range(15):
        limiter.release(limiter.take(ONE_REQUEST, 0.0), ONE_REQUEST, 0.0)
    limiter.change(Quota(requests_per_minute=20), after, 0.0)
    assert limiter.remaining(0.0) == {"requests_per_minute": 5.0}


def test_what_a_vendor_has_stated_is_known_under_other_limits_and_what_nobody_wants_any_more_is_not() -> None:
    limiter = Limiter(Quota(requests_per_minute=20))
    limiter.correct(RateLimits(tokens_limit=1_000, tokens_remaining=100, tokens_reset=54.0), 0.0, 0.0)
    limiter.change(Quota(requests_per_second=5), "window", 0.0)
    assert limiter.remaining(0.0) == {"requests_per_second": 5.0, "tokens_per_minute": 100.0}


@pytest.mark.parametrize(("limit", "left"), [(40, 10.0), (8, 8.0)])
def test_a_lower_limit_that_a_vendor_stated_is_believed_under_another_one_unless_that_is_lower_still(
    limit: int, left: float
) -> None:
    limiter = Limiter(Quota(requests_per_minute=20))
    limiter.correct(RateLimits(requests_limit=10), 0.0, 0.0)
    limiter.change(Quota(requests_per_minute=limit), "window", 0.0)
    assert limiter.remaining(0.0) == {"requests_per_minute": left}
    assert limiter.remaining(BELIEVED) == {"requests_per_minute": limit}


def test_a_bucket_that_forgets_what_others_used_lacks_what_was_taken_here_and_not_yet_refilled() -> None:
    limiter = Limiter(Quota(tokens_per_minute=60), "bucket")
    emptied = RateLimits(tokens_limit=60, tokens_remaining=0, tokens_reset=60.0)
    limiter.release(limiter.take(need(20, 10), 0.0), need(10, 5), 0.0)
    for now, left in ((0.0, 45.0), (10.0, 55.0), (20.0, 60.0)):
        limiter.correct(emptied, now, now)
        assert limiter.remaining(now) == {"tokens_per_minute": 0.0}
        limiter.forget()
        assert limiter.remaining(now) == {"tokens_per_minute": pytest.approx(left)}


@virtual_time
async def test_departures_are_spread_to_another_rate_and_what_is_left_of_a_burst_stays() -> None:
    def room(pacer: Pacer) -> int:
        went = 0
        while pacer.ready():
            pacer.take()
            went += 1
        return went

    for gone, before, after, left in ((0, 600, 200, 33), (90, 600, 200, 10), (30, 200, 600, 3), (100, 600, 200, 0)):
        pacer = Pacer(before)
        pacer.take(gone)
        pacer.change(after)
        assert room(pacer) == left
        pacer.change(0)  # nothing may leave anyway
        await asyncio.sleep(6.05)
        assert room(pacer) == after // 10

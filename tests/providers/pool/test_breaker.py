from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from callboard.providers.pool import BreakerPolicy
from callboard.providers.pool.admission.breaker import Breaker, Trial


def breaker(**policy: float) -> Breaker:
    return Breaker(BreakerPolicy(**policy), random.Random(0))  # type: ignore[arg-type]


def opened(**policy: float) -> tuple[Breaker, float]:
    """A breaker that has opened, and the time from which it may be probed."""
    tested = breaker(**policy)
    while tested.state == "closed":
        tested.record(tested.admit(0.0), False, 0.0)
    at = tested.next_time(0.0)
    assert at is not None
    return tested, at


def closed_again(**policy: float) -> tuple[Breaker, float]:
    tested, now = opened(**policy)
    tested.record(tested.admit(now), True, now)
    return tested, now


def test_it_opens_when_the_error_rate_of_the_latest_calls_is_reached() -> None:
    tested = breaker(window=10, error_rate=0.3)
    for ok in (True, True, False, True, False, True, True):
        tested.record(tested.admit(0.0), ok, 0.0)
    assert tested.state == "closed"
    tested.record(tested.admit(0.0), False, 0.0)
    assert tested.state == "open"


def test_failures_that_left_the_window_do_not_count() -> None:
    tested = breaker(window=10, error_rate=0.3)
    for _ in range(20):
        tested.record(tested.admit(0.0), False, 0.0)
        for _ in range(9):
            tested.record(tested.admit(0.0), True, 0.0)
    assert tested.state == "closed"


def test_failures_that_are_too_old_do_not_count() -> None:
    tested = breaker(max_age=60.0)
    for now in (0.0, 50.0, 100.0, 150.0, 200.0):
        tested.record(tested.admit(now), False, now)
    assert tested.state == "closed"


def test_an_open_breaker_admits_nothing_until_its_pause_is_over() -> None:
    tested, at = opened(pause=1.0)
    assert 0.5 <= at <= 1.0
    assert not tested.allows(at - 0.001)
    assert tested.down(at - 0.001)
    assert tested.allows(at)
    assert not tested.down(at)


def test_half_open_lets_exactly_one_probe_through() -> None:
    tested, now = opened()
    tested.admit(now)
    assert tested.state == "half-open"
    assert not tested.allows(now)
    assert not tested.allows(now + 1_000)
    assert tested.down(now)


def test_a_cancelled_probe_frees_the_slot_and_records_nothing() -> None:
    tested, now = opened()
    tested.cancel(tested.admit(now))
    assert tested.state == "half-open", "a cancelled probe must neither close nor open the breaker"
    assert tested.allows(now)
    tested.record(tested.admit(now), True, now)
    assert tested.state == "closed"


def test_a_failed_probe_opens_again_for_longer() -> None:
    tested, now = opened(pause=1.0, factor=10.0)
    tested.record(tested.admit(now), False, now)
    at = tested.next_time(now)
    assert tested.state == "open"
    assert at is not None
    assert at - now >= 5.0


def test_the_pause_never_exceeds_its_maximum() -> None:
    tested, now = opened(pause=1.0, factor=10.0, max_pause=20.0)
    for _ in range(10):
        tested.record(tested.admit(now), False, now)
        at = tested.next_time(now)
        assert at is not None
        assert at - now <= 20.0
        now = at


def test_the_return_is_a_ramp_that_doubles_with_every_round() -> None:
    tested, now = closed_again(ramp=16)
    sizes = []
    while tested.ramping:
        trials: list[Trial] = []
        while tested.allows(now) and len(trials) < 100:
            trials.append(tested.admit(now))
        sizes.append(len(trials))
        for trial in trials:
            tested.record(trial, True, now)
        now += 0.1
    assert sizes == [2, 4, 8]
    assert tested.allows(now)


def test_the_ramp_goes_no_faster_than_its_steps_though_answers_come_at_once() -> None:
    tested, now = closed_again(ramp=64)
    for _ in range(2):
        tested.record(tested.admit(now), True, now)
    assert not tested.allows(now)
    at = tested.next_time(now)
    assert at is not None
    assert at == pytest.approx(now + 0.1)
    assert tested.allows(at)


def test_one_failure_during_the_ramp_opens_again() -> None:
    tested, now = closed_again()
    tested.record(tested.admit(now), True, now)
    tested.record(tested.admit(now), False, now)
    assert tested.state == "open"


def test_after_a_failure_no_more_calls_go_out_than_it_takes_to_open() -> None:
    tested = breaker(window=10, error_rate=0.3)
    flying = [tested.admit(0.0) for _ in range(5)]
    tested.record(flying[0], False, 0.0)
    more = 0
    while tested.allows(0.0):
        tested.admit(0.0)
        more += 1
    assert more == 2


def test_a_success_of_an_older_call_does_not_lift_the_suspicion_but_one_of_a_younger_does() -> None:
    tested = breaker()
    older, failing, younger = tested.admit(0.0), tested.admit(0.0), tested.admit(0.0)
    tested.record(failing, False, 0.0)
    while tested.allows(0.0):
        tested.admit(0.0)
    tested.record(older, True, 0.0)
    assert not tested.allows(0.0)
    tested.record(younger, True, 0.0)
    assert tested.allows(0.0)


def test_what_was_in_flight_before_it_opened_does_not_count_afterwards() -> None:
    tested = breaker()
    late = [tested.admit(0.0) for _ in range(10)]
    for trial in late[:3]:
        tested.record(trial, False, 0.0)
    assert tested.state == "open"
    at = tested.next_time(0.0)
    assert at is not None
    probe = tested.admit(at)
    tested.record(late[3], True, at)
    assert tested.state == "half-open", "an old success closed the breaker"
    tested.record(late[4], False, at)
    assert tested.state == "half-open", "an old failure opened the breaker"
    tested.record(probe, True, at)
    tested.record(late[5], False, at)
    assert tested.state == "closed", "an old failure opened the breaker"


def test_an_endpoint_that_asked_for_a_pause_gets_at_least_that() -> None:
    tested = breaker(pause=1.0)
    tested.trip(0.0, 7.0)
    assert tested.next_time(0.0) == 7.0
    tested.trip(1.0, 8.0)
    assert tested.next_time(1.0) == 9.0


def test_a_disabled_breaker_is_probed_once_a_minute_until_it_works_or_is_reset() -> None:
    tested = breaker()
    tested.disable(0.0, "401")
    assert not tested.allows(59.0)
    tested.admit(60.0)
    assert not tested.allows(60.0)
    tested.reset()
    assert tested.disabled == ""
    assert tested.allows(0.0)
    tested.disable(0.0, "401")
    tested.record(tested.admit(60.0), True, 60.0)
    assert (tested.disabled, tested.state) == ("", "closed")


class BreakerMachine(RuleBasedStateMachine):
    """Any order of admissions, outcomes, cancellations, pauses and time."""

    def __init__(self) -> None:
        super().__init__()
        self.tested = breaker(pause=1.0)
        self.now = 0.0
        self.flying: list[Trial] = []

    @rule(seconds=st.floats(0, 5))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.tested.allows(self.now))
    @rule()
    def admit(self) -> None:
        self.flying.append(self.tested.admit(self.now))

    @precondition(lambda self: self.flying)
    @rule(index=st.integers(0, 1_000), outcome=st.sampled_from([True, False, None]))
    def end(self, index: int, outcome: bool | None) -> None:
        trial = self.flying.pop(index % len(self.flying))
        before = self.tested.state
        if outcome is None:
            self.tested.cancel(trial)
            assert self.tested.state == before, "a cancellation changed the state"
        else:
            self.tested.record(trial, outcome, self.now)

    @rule(pause=st.floats(0, 10))
    def trip(self, pause: float) -> None:
        self.tested.trip(self.now, pause)

    @invariant()
    def at_most_one_probe_is_out(self) -> None:
        current = [trial for trial in self.flying if trial.probe and trial.generation == self.tested._generation]
        assert len(current) <= 1

    @invariant()
    def it_can_always_come_back(self) -> None:
        if self.tested.state == "open":
            at = self.tested.next_time(self.now)
            assert at is not None
            assert self.tested.allows(at)

    @invariant()
    def a_closed_one_without_calls_in_flight_waits_for_time_at_most(self) -> None:
        if self.tested.state == "closed" and not self.flying and not self.tested.allows(self.now):
            at = self.tested.next_time(self.now)
            assert at is not None
            assert self.tested.allows(at)


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)


@given(st.lists(st.booleans(), max_size=50), st.integers(1, 20), st.sampled_from([0.1, 0.3, 0.5, 1.0]))
def test_it_opens_exactly_at_the_first_call_that_fills_the_window_with_enough_failures(
    outcomes: list[bool], window: int, rate: float
) -> None:
    tested = breaker(window=window, error_rate=rate)
    needed = max(1, round(window * rate))
    for count, ok in enumerate(outcomes, 1):
        tested.record(tested.admit(0.0), ok, 0.0)
        latest = outcomes[max(0, count - window) : count]
        if latest.count(False) >= needed:
            assert tested.state == "open"
            return
        assert tested.state == "closed"


def test_an_unreachable_policy_is_not_a_division_by_zero() -> None:
    assert BreakerPolicy(window=1, error_rate=0.0).failures_to_open == 1
    with pytest.raises(AttributeError):
        BreakerPolicy().window = 3  # type: ignore[misc]

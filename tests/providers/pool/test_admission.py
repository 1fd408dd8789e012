from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from callboard.providers.messages import RateLimits, Usage
from callboard.providers.pool import BreakerPolicy, LeastLoaded, Quota
from callboard.providers.pool.admission.admission import AGEING, Admission, Ticket
from callboard.providers.pool.admission.breaker import Breaker
from callboard.providers.pool.admission.gate import EndpointGate, Gate, Grant
from callboard.providers.pool.admission.limiter import Limiter, Need, need


def breaker() -> Breaker:
    return Breaker(BreakerPolicy(), random.Random(0))


def gates(*models: str, limits: Quota | None = None, own: Quota | None = None) -> list[Gate]:
    """Models of one endpoint that share its limits and have limits of their own."""
    endpoint = EndpointGate("a", Limiter(limits or Quota()), breaker())
    return [Gate(endpoint, model, Limiter(own or Quota()), breaker()) for model in models]


def gate(name: str = "a", **limits: Any) -> Gate:
    """The one model of an endpoint."""
    return Gate(EndpointGate(name, Limiter(Quota(**limits)), breaker()), "", Limiter(Quota()), breaker())


def of(tokens: float) -> Need:
    return need(tokens, 0.0)


def queue() -> Admission:
    return Admission(LeastLoaded(), random.Random(0))


def end(grant: Grant, now: float) -> None:
    grant.close(now)
    grant.record(now, True, True)


def run_out(admission: Admission, now: float, *, until: float = 1e9) -> list[tuple[float, Ticket]]:
    """Let time pass until nobody waits; every granted request ends at once."""
    granted: list[tuple[float, Ticket]] = []
    while admission.waiting and now < until:
        for ticket in admission.pump(now):
            assert ticket.grant is not None
            granted.append((now, ticket))
            end(ticket.grant, now)
        at = admission.next_time(now)
        if at is None:
            break
        now = at
    return granted


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 150)), min_size=1, max_size=40))
def test_requests_of_one_line_leave_in_the_order_they_came_and_within_the_limits(
    arrivals: list[tuple[float, int]],
) -> None:
    admission, tested = queue(), gate(tokens_per_minute=100, requests_per_minute=10)
    now, granted, tickets = 0.0, [], []
    for gap, tokens in arrivals:
        now += gap
        for ticket in admission.pump(now):
            granted.append((now, ticket))
        ticket = Ticket(((tested,),), of(tokens), admission.place(now))
        tickets.append(ticket)
        grant = admission.submit(ticket, now)
        if grant is not None:
            ticket.grant = grant
            granted.append((now, ticket))
    for _, ticket in granted:
        assert ticket.grant is not None
        end(ticket.grant, now)
    granted += run_out(admission, now)
    assert [ticket for _, ticket in granted] == tickets, "order of arrival was not kept, or a request was lost"
    for start, _ in granted:
        inside = [ticket for at, ticket in granted if start <= at <= start + 60]
        assert len(inside) <= 10
        assert sum(min(100, ticket.need.tokens) for ticket in inside) <= 100


def test_a_large_request_is_not_overtaken_by_small_ones_behind_it() -> None:
    admission, tested = queue(), gate(tokens_per_minute=100)
    first = admission.submit(Ticket(((tested,),), of(60), admission.place(0.0)), 0.0)
    assert first is not None
    large = Ticket(((tested,),), of(90), admission.place(1.0))
    small = [Ticket(((tested,),), of(1), admission.place(2.0 + n)) for n in range(5)]
    assert all(admission.submit(ticket, 2.0) is None for ticket in (large, *small))
    order = [ticket for _, ticket in run_out(admission, 2.0)]
    assert order == [large, *small]


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(-2, 2)), min_size=2, max_size=40))
def test_a_higher_priority_overtakes_only_those_that_came_shortly_before(arrivals: list[tuple[float, int]]) -> None:
    admission, tested = queue(), gate(concurrency=1)
    running = admission.submit(Ticket(((tested,),), of(1), admission.place(0.0)), 0.0)
    assert running is not None
    now, came = 0.0, {}
    for gap, priority in arrivals:
        now += gap
        ticket = Ticket(((tested,),), of(1), admission.place(now, priority))
        came[ticket] = (now, priority)
        admission.submit(ticket, now)
    end(running, now)
    order: list[Ticket] = []
    while admission.waiting:
        for ticket in admission.pump(now):
            order.append(ticket)
            assert ticket.grant is not None
            end(ticket.grant, now)
    assert len(order) == len(arrivals)
    for place, ticket in enumerate(order):
        for later in order[place + 1 :]:
            (at, priority), (other_at, other_priority) = came[ticket], came[later]
            if priority == other_priority:
                assert at <= other_at, "first come, first served does not hold within a priority"
            assert at - other_at <= AGEING * (priority - other_priority) + 1e-9


def test_lines_that_share_an_endpoint_are_served_in_the_order_of_their_heads() -> None:
    admission, shared, own = queue(), gate("shared", tokens_per_minute=100), gate("own", concurrency=1)
    blocker = admission.submit(Ticket(((own,),), of(1), admission.place(0.0)), 0.0)
    assert blocker is not None
    assert admission.submit(Ticket(((shared,),), of(50), admission.place(0.0)), 0.0) is not None
    either = Ticket(((shared, own),), of(80), admission.place(1.0))
    only_shared = Ticket(((shared,),), of(10), admission.place(2.0))
    assert admission.submit(either, 1.0) is None
    assert admission.submit(only_shared, 2.0) is None, "a small request overtook a large one on the endpoint both need"
    end(blocker, 3.0)
    assert admission.pump(3.0) == [either, only_shared]


def test_grants_are_in_order_of_priority_across_lines() -> None:
    admission, shared, own = queue(), gate("shared", concurrency=1), gate("own", concurrency=1)
    running = [admission.submit(Ticket(((each,),), of(1), admission.place(0.0)), 0.0) for each in (shared, own)]
    lines = [((shared,),), ((shared, own),)]
    tickets = [
        Ticket(lines[number % 2], of(1), admission.place(1.0 + number, priority))
        for number, priority in enumerate((0, 0, 1, 2, -1, 1))
    ]
    for number, ticket in enumerate(tickets):
        assert admission.submit(ticket, 1.0 + number) is None
    assert running[0] is not None
    end(running[0], 10.0)
    order: list[Ticket] = []
    while granted := admission.pump(10.0):
        order += granted
        for ticket in granted:
            assert ticket.grant is not None
            end(ticket.grant, 10.0)
    assert [tickets.index(ticket) for ticket in order] == [3, 2, 5, 0, 1, 4]


@pytest.mark.parametrize("blocked_by", ["the endpoint", "the model"])
def test_a_head_keeps_the_endpoint_from_other_models_only_if_it_waits_for_what_they_share(blocked_by: str) -> None:
    admission = queue()
    limits, own = (Quota(tokens_per_minute=100), Quota()) if blocked_by == "the endpoint" else (Quota(), Quota())
    large, small = gates("large", "small", limits=limits, own=own)
    if blocked_by == "the model":
        large = Gate(large.endpoint, "large", Limiter(Quota(tokens_per_minute=100)), breaker())
    assert admission.submit(Ticket(((large,),), of(50), admission.place(0.0)), 0.0) is not None
    assert admission.submit(Ticket(((large,),), of(80), admission.place(1.0)), 1.0) is None
    other = admission.submit(Ticket(((small,),), of(10), admission.place(2.0)), 2.0)
    assert (other is None) == (blocked_by == "the endpoint")


def test_a_line_whose_endpoints_are_down_holds_up_nobody() -> None:
    admission, dead, fine = queue(), gate("dead"), gate("fine")
    dead.breaker.trip(0.0, 100.0)
    assert admission.submit(Ticket(((dead,),), of(1), admission.place(0.0)), 0.0) is None
    assert admission.submit(Ticket(((dead, fine),), of(1), admission.place(0.0)), 0.0) is not None


def test_a_lesser_tier_is_used_only_while_the_better_one_is_down_and_not_while_it_is_only_busy() -> None:
    admission, good, lesser = queue(), gate("good", concurrency=1), gate("lesser")
    first = admission.submit(Ticket(((good,), (lesser,)), of(1), admission.place(0.0)), 0.0)
    assert first is not None
    assert first.gate is good
    second = Ticket(((good,), (lesser,)), of(1), admission.place(0.0))
    assert admission.submit(second, 0.0) is None
    good.breaker.trip(0.0, 10.0)
    assert admission.pump(0.0) == [second]
    assert second.grant is not None
    assert (second.grant.gate, second.grant.tier) == (lesser, 1)


def test_an_endpoint_that_failed_the_request_is_used_again_only_if_there_is_no_other() -> None:
    admission, tried, other = queue(), gate("tried"), gate("other", concurrency=10)
    for expected in [other] * 10 + [tried]:
        grant = admission.submit(Ticket(((tried, other),), of(1), admission.place(0.0), avoid=(tried,)), 0.0)
        assert grant is not None
        assert grant.gate is expected


def test_an_endpoint_whose_oldest_call_is_overdue_is_taken_to_be_slow() -> None:
    tested = gate()
    tested.average, tested.tail = 1.0, 3.0
    overdue = Grant(tested, of(1), 0.0)
    for now, expected in ((2.0, 1.0), (3.0, 1.0), (9.0, 9.0)):
        tested.look(now)
        assert tested.latency == expected
    overdue.refund(9.0)
    tested.look(9.0)
    assert tested.latency == 1.0


def test_only_who_was_not_chosen_was_passed_over() -> None:
    both = gate("a"), gate("b")
    for _ in range(10):
        before = [each.passed_over for each in both]
        chosen = queue().choose(both, 0.0)
        assert [each.passed_over for each in both] == [
            count + (each is not chosen) for each, count in zip(both, before, strict=True)
        ]


def test_what_a_vendor_says_is_left_of_its_bucket_has_been_refilled_since_the_request_was_sent() -> None:
    own = Limiter(Quota(tokens_per_minute=600), "bucket")
    tested = Gate(EndpointGate("a", Limiter(Quota()), breaker()), "", own, breaker())
    grant = Grant(tested, of(100), 0.0)
    grant.close(30.0, Usage(100), RateLimits(tokens_limit=600, tokens_remaining=100))
    assert own.remaining(30.0) == {"tokens_per_minute": 400}, "100 were left, and ten a second came since"


def test_a_cancellation_in_the_same_instant_as_the_grant_gives_the_place_to_the_next() -> None:
    admission, tested = queue(), gate(concurrency=1, requests_per_minute=2)
    first = admission.submit(Ticket(((tested,),), of(1), admission.place(0.0)), 0.0)
    assert first is not None
    one, two = (Ticket(((tested,),), of(1), admission.place(0.0)) for _ in range(2))
    admission.submit(one, 0.0)
    admission.submit(two, 0.0)
    end(first, 0.0)
    assert admission.pump(0.0) == [one]
    grant = admission.cancel(one)
    assert grant is not None
    grant.refund(0.0)
    assert admission.pump(0.0) == [two], "the permit of a cancelled request was lost"


class QueueMachine(RuleBasedStateMachine):
    """Any order of arrivals, ends, cancellations and time; places are conserved throughout."""

    def __init__(self) -> None:
        super().__init__()
        self.admission = queue()
        self.gates = [
            gate("a", concurrency=2, requests_per_minute=20),
            gate("b", concurrency=1),
            gate("c", tokens_per_minute=50),
        ]
        self.now = 0.0
        self.waiting: list[Ticket] = []
        self.running: list[Grant] = []

    def collect(self) -> None:
        for ticket in self.admission.pump(self.now):
            assert ticket.grant is not None
            self.waiting.remove(ticket)
            self.running.append(ticket.grant)

    @rule(which=st.sets(st.integers(0, 2), min_size=1), tokens=st.integers(1, 60), priority=st.integers(-1, 1))
    def arrive(self, which: set[int], tokens: int, priority: int) -> None:
        tiers = (tuple(self.gates[index] for index in sorted(which)),)
        ticket = Ticket(tiers, of(tokens), self.admission.place(self.now, priority))
        self.waiting.append(ticket)
        grant = self.admission.submit(ticket, self.now)
        if grant is not None:
            self.waiting.remove(ticket)
            self.running.append(grant)
        for other in [each for each in self.waiting if each.grant is not None]:
            self.waiting.remove(other)
            assert other.grant is not None
            self.running.append(other.grant)

    @precondition(lambda self: self.running)
    @rule(index=st.integers(0, 1_000))
    def finish(self, index: int) -> None:
        end(self.running.pop(index % len(self.running)), self.now)
        self.collect()

    @precondition(lambda self: self.waiting)
    @rule(index=st.integers(0, 1_000))
    def give_up(self, index: int) -> None:
        assert self.admission.cancel(self.waiting.pop(index % len(self.waiting))) is None
        self.collect()

    @precondition(lambda self: self.running)
    @rule(index=st.integers(0, 1_000))
    def refund(self, index: int) -> None:
        self.running.pop(index % len(self.running)).refund(self.now)
        self.collect()

    @rule(seconds=st.floats(0, 30))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.collect()

    @invariant()
    def places_are_conserved(self) -> None:
        for tested in self.gates:
            assert tested.in_flight == sum(grant.gate is tested for grant in self.running)
        assert self.admission.waiting == len(self.waiting)

    @invariant()
    def nobody_waits_without_a_reason(self) -> None:
        if self.waiting:
            head = min(self.waiting)
            assert not any(each.ready(head.need, self.now) for each in head.tiers[0]), "the first in line could go"

    def teardown(self) -> None:
        while self.running or self.waiting:
            while self.running:
                end(self.running.pop(), self.now)
            self.collect()
            if not self.running and self.waiting:
                at = self.admission.next_time(self.now)
                assert at is not None, "somebody waits, and neither an event nor time would ever let them go"
                self.now = at
                self.collect()


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

"""Limits that several processes share: who gets how much, and never more than there is. No clock, no journal."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callboard.providers.pool.admission.limiter import Limiter, Quota, Rule, need
from callboard.providers.pool.sharing.book import ALIVE, TOUCH, Book, Key
from callboard.providers.pool.sharing.participant import Participant
from callboard.providers.pool.sharing.policy import FLOOR, Wish, targets

WISHES = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=2),
    st.builds(
        Wish,
        st.integers(0, 1_200),
        st.integers(0, 1_200),
        st.one_of(st.just(0), st.integers(0, 400)),
        st.integers(0, 9),
    ),
    min_size=1,
    max_size=8,
)


@given(st.integers(1, 1_000), WISHES)
def test_what_processes_should_have_is_all_there_is_and_no_more(limit: int, wishes: dict[str, Wish]) -> None:
    aims = targets(limit, wishes)
    assert aims.keys() == wishes.keys()
    assert min(aims.values()) >= 0
    served = [name for name in wishes if not wishes[name].lump or aims[name]]
    assert sum(aims.values()) == (limit if served else 0)


@given(st.integers(1, 1_000), WISHES)
def test_of_what_nobody_wants_nobody_has_half(limit: int, wishes: dict[str, Wish]) -> None:
    all_of_it, aims = targets(limit, wishes), targets(limit, wishes, 0.5)
    assert {name for name in aims if aims[name]} <= {name for name in aims if all_of_it[name]}
    floor = int(limit * FLOOR / len(wishes))
    for name, aim in aims.items():
        assert min(all_of_it[name], max(wishes[name].want, floor)) <= aim <= all_of_it[name]
    if not any(wish.lump for wish in wishes.values()):
        unwanted = max(0, limit - sum(max(wish.want, floor) for wish in wishes.values()))
        assert limit - sum(aims.values()) == unwanted // 2


@given(st.integers(1, 1_000), WISHES)
def test_who_has_something_waiting_gets_room_for_it_or_nothing(limit: int, wishes: dict[str, Wish]) -> None:
    aims = targets(limit, wishes)
    for name, wish in wishes.items():
        if wish.lump:
            assert aims[name] == 0 or aims[name] >= min(wish.lump, limit)
    assert any(aims.values())


@given(st.integers(100, 10_000), st.integers(1, 6), st.integers(0, 6))
def test_those_who_want_all_get_at_least_ninety_five_in_a_hundred_and_evenly(
    limit: int, hungry: int, idle: int
) -> None:
    wishes = {f"h{number}": Wish(limit, 0, 1) for number in range(hungry)}
    aims = targets(limit, {**wishes, **{f"i{number}": Wish(0) for number in range(idle)}})
    shares = [aims[name] for name in wishes]
    assert sum(shares) >= (1 - FLOOR) * limit
    assert max(shares) - min(shares) <= 1
    assert sum(aims.values()) == limit


@given(st.integers(1, 1_000), WISHES)
def test_who_wants_more_gets_what_others_do_not_want(limit: int, wishes: dict[str, Wish]) -> None:
    aims = targets(limit, wishes)
    floor = int(limit * FLOOR / len(wishes))
    short = [
        name for name, wish in wishes.items() if aims[name] < min(wish.want, limit) and (aims[name] or not wish.lump)
    ]
    for name, wish in wishes.items():
        if short and aims[name] > max(wish.want, floor, wish.lump):
            raise AssertionError(f"{name} has {aims[name]} and wants {wish}, while {short} lack some")


@pytest.mark.parametrize(("limit", "lump", "processes"), [(1, 1, 3), (9_000, 5_000, 3), (2, 1, 5), (10, 4, 4)])
def test_where_there_is_not_room_for_all_they_take_turns(limit: int, lump: int, processes: int) -> None:
    shares = {f"p{number}": 0 for number in range(processes)}
    turns = dict.fromkeys(shares, 0)
    had: list[set[str]] = []
    for _ in range(4 * processes):
        aims = targets(limit, {name: Wish(limit, shares[name], lump, turns[name]) for name in shares})
        for name, aim in aims.items():
            if (aim >= lump) != (shares[name] >= lump):
                turns[name] = max(turns.values()) + 1
        shares = aims
        had.append({name for name, aim in aims.items() if aim >= lump})
    for at in range(processes, len(had) - processes):
        assert set().union(*had[at : at + processes]) == shares.keys(), "somebody is passed over"


class Process:
    """A process with one limiter, as a pool has it."""

    def __init__(self, quota: Quota, rule: Rule) -> None:
        self.limiter = Limiter(quota, rule)
        self.me = Participant()
        self.me.seen = True
        self.limiter.close()
        self.read = 0
        self.joined = False
        self.dead = False
        """Or paused: it does nothing."""
        self.waiting = 0

    @property
    def limits(self) -> dict[Key, Any]:
        return {Key("a", "", name): meter for name, meter in self.limiter.shared().items()}


class World:
    """Processes that share a limit, a ledger that puts what they tell in order, and the vendor, which counts."""

    def __init__(self, quota: Quota, rule: Rule = "window", seed: int = 0) -> None:
        self.quota = quota
        self.rule: Rule = rule
        self.rng = random.Random(seed)
        self.now = 1_000.0
        self.ledger: list[tuple[float, dict[str, Any]]] = []
        self.sent: list[tuple[float, float]] = []
        self.processes: list[Process] = []
        self.flying: list[tuple[Process, Any]] = []
        self.ends: dict[str, float] = {}
        """When it was seen first that a process was dead."""

    def join(self, quota: Quota | None = None) -> Process:
        process = Process(quota or self.quota, self.rule)
        self.processes.append(process)
        return process

    def catch_up(self, process: Process) -> None:
        me = process.me
        for at, event in self.ledger[process.read :]:
            me.book.take(event, self.now, None if process.joined else at)
            if event["process"] == me.process:
                process.joined = True
                me.book.settle_ages(at, self.now)
        process.read = len(self.ledger)

    def beat(self, process: Process, late: bool = False, slow: float = 0.0) -> None:
        """Tell what is new.

        Args:
            process: who does.
            late: whether others are faster, and it has to try again.
            slow: the size of what it sends, as much of it as it may, before that is told.
        """
        if process.dead:
            return
        for _ in range(2):
            self.catch_up(process)
            sent_at = self.now
            event = process.me.next(process.limits, (), process.waiting, self.now)
            while slow and not process.limiter.closed and self.send(process, slow, hurry=False):
                pass
            if event is not None and late:
                late = False
                self.beat(self.rng.choice(self.processes))
                continue
            if event is None:
                process.me.settle(process.limits, self.now)
            else:
                self.ledger.append((self.now, event))
                process.me.told(process.limits, sent_at, self.now)
                self.catch_up(process)
            break
        process.limiter.open(process.me.alive_until)
        self.look()

    def leave(self, process: Process, rest: bool = False) -> None:
        """Have a process end, or rest until it wants to send again."""
        if process.dead:
            return
        process.dead = not rest
        process.limiter.close()
        self.catch_up(process)
        self.ledger.append((self.now, process.me.last(process.limits, self.now)))
        self.look()

    def see(self) -> None:
        """Who lives sees who is dead."""
        for process in self.processes:
            if not process.dead:
                book = process.me.book
                dead = [each.me.process for each in self.processes if each.dead and each.me.process in book.rows]
                assert set(dead) & set(book.visible(self.now)) == {
                    one for one in dead if book.rows[one].alive(self.now)
                }
                book.end(dead, self.now)
                for name in dead:
                    self.ends.setdefault(name, self.now)

    def send(self, process: Process, amount: float = 1.0, hurry: bool = True) -> bool:
        """Send something if that may be, asking for more where there is some; return whether it was."""
        wanted = need(amount, 0.0)
        if process.dead:
            return False
        if process.limiter.closed:
            self.beat(process)
        if not process.limiter.fits(wanted, self.now):
            process.limiter.refuse(wanted, self.now)
            if not hurry or not process.me.hopes(process.limits):
                return False
            process.waiting = max(process.waiting, 1)
            self.beat(process)
            return self.send(process, amount, hurry=False)
        process.limiter.release(process.limiter.take(wanted, self.now), None, self.now)
        self.sent.append((self.now, amount))
        return True

    def look(self) -> None:
        """What all may use is no more than there is, as anybody would see it who had always been there."""
        book = Book()
        for at, event in self.ledger:
            book.take(event, at)
        for name, at in self.ends.items():
            if name in book.rows:
                book.end([name], at)
        for key in {key for row in book.rows.values() for key in row.claims}:
            limit = getattr(self.quota, key.kind)
            assert book.counted(key, self.now) <= limit, f"{key}: more than there is"

    def most(self, period: float = 60.0) -> float:
        """The most that was sent in any period."""
        most, first, amount = 0.0, 0, 0.0
        for at, sent in self.sent:
            amount += sent
            while self.sent[first][0] <= at - period:
                amount -= self.sent[first][1]
                first += 1
            most = max(most, amount)
        return most


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "send",
                "send",
                "send",
                "beat",
                "beat",
                "wait",
                "wait",
                "join",
                "die",
                "see",
                "leave",
                "late",
                "slow",
                "rest",
            ]
        ),
        st.integers(0, 3),
        st.floats(0.1, 30.0),
    ),
    max_size=80,
)


@pytest.mark.parametrize("size", [1.0, 7.0])
@settings(max_examples=60)
@given(steps=STEPS)
def test_whatever_happens_all_together_send_no_more_than_the_limit(size: float, steps: Sequence[Any]) -> None:
    world = World(Quota(requests_per_minute=20) if size == 1.0 else Quota(tokens_per_minute=20))
    world.join()
    for what, who, seconds in steps:
        process = world.processes[who % len(world.processes)]
        if what == "send":
            for _ in range(int(seconds)):
                process.waiting = 0 if world.send(process, size) else 3
        elif what == "beat":
            world.beat(process)
        elif what == "late":
            world.beat(process, late=True, slow=size)
        elif what == "slow":
            world.beat(process, slow=size)
        elif what == "wait":
            world.now += seconds
        elif what == "join" and len(world.processes) < 8:
            world.join()
        elif what == "die":
            process.dead = True
        elif what == "see":
            world.see()
        elif what in ("leave", "rest"):
            world.leave(process, rest=what == "rest")
    assert world.most() <= 20


def test_what_is_given_back_is_not_used_while_that_is_being_told() -> None:
    world = World(Quota(requests_per_minute=20))
    first, second = world.join(), world.join()
    world.beat(first)
    world.send(second)  # it cannot yet, and says so
    world.beat(second)
    world.beat(first, slow=1.0)
    while world.send(second):
        world.beat(second)
    world.beat(second)
    while world.send(second):
        pass
    assert world.most() == 20


def load(world: World, processes: Sequence[Process], seconds: int, each: int = 10_000, size: float = 1.0) -> list[int]:
    """Let processes want to send so much a second; return how much each did."""
    sent = [0] * len(processes)
    for _ in range(seconds):
        world.now += 1.0
        for number, process in enumerate(processes):
            process.waiting = 0
            for left in range(each, 0, -1):
                if not world.send(process, size):
                    process.waiting = left
                    break
                sent[number] += 1
        for process in world.processes:
            world.beat(process)
    return sent


def test_one_process_alone_has_all_of_it_at_once() -> None:
    world = World(Quota(requests_per_minute=600))
    assert load(world, [world.join()], 2) == [600]


@pytest.mark.parametrize("idle", [0, 1])
def test_processes_that_want_all_get_it_evenly(idle: int) -> None:
    world = World(Quota(requests_per_minute=600))
    first = world.join()
    load(world, [first], 5)
    others = [world.join() for _ in range(2 + idle)]
    load(world, [first, *others[:2]], 130)
    sent = load(world, [first, *others[:2]], 606)
    assert world.most() <= 600
    assert sum(sent) >= 0.95 * 6_000
    assert min(sent) >= 0.9 * max(sent)


def test_who_wants_little_leaves_the_rest_to_the_others() -> None:
    world = World(Quota(requests_per_minute=600))
    busy, calm = world.join(), world.join()
    for _ in range(200):
        load(world, [busy], 1)
        load(world, [calm], 1, each=1)
    world.sent.clear()
    sent = [0, 0]
    for _ in range(300):
        sent[0] += load(world, [busy], 1)[0]
        sent[1] += load(world, [calm], 1, each=1)[0]
    assert sent[1] == 300, "it got what it wanted"
    assert calm.limiter.shared()["requests_per_minute"].limit <= 100
    assert sum(sent) >= 0.9 * 6_000


def test_steady_demand_writes_nothing_but_signs_of_life() -> None:
    world = World(Quota(requests_per_minute=600))
    processes = [world.join() for _ in range(3)]
    load(world, processes, 200)
    before = len(world.ledger)
    load(world, processes, 100)
    assert len(world.ledger) - before <= 3 * (100 / TOUCH + 1)


def test_what_a_dead_process_had_is_free_once_it_can_send_no_more_and_the_period_is_over() -> None:
    world = World(Quota(requests_per_minute=600))
    dead, other = world.join(), world.join()
    load(world, [dead, other], 130)
    dead.dead = True
    died = world.now
    load(world, [other], int(ALIVE) + 55)
    assert world.most() <= 600
    load(world, [other], 15)
    row = other.me.row
    assert row is not None
    assert row.claims[Key("a", "", "requests_per_minute")].share == 600, f"{world.now - died} s after its death"
    assert dead.me.process not in other.me.book.rows


def test_what_a_process_gives_back_as_it_goes_is_free_at_once_but_for_what_it_used() -> None:
    world = World(Quota(requests_per_minute=600))
    going, other = world.join(), world.join()
    load(world, [going, other], 3, each=1)
    used = going.limiter.shared()["requests_per_minute"].held(world.now)
    assert used >= 2
    world.leave(going)
    load(world, [other], 2, each=1)
    row = other.me.row
    assert row is not None
    assert row.claims[Key("a", "", "requests_per_minute")].share >= (600 - used) // 2, "nobody else has any"
    asked = load(world, [other], 2, each=600)[0]
    assert asked == 600 - used - 5, "all but what both have used"


def test_who_comes_after_a_process_that_died_and_wanted_little_has_half_of_the_limit_at_once() -> None:
    world = World(Quota(requests_per_minute=600))
    dead = world.join()
    load(world, [dead], 5, each=1)
    dead.dead = True
    assert load(world, [world.join()], 1)[0] >= 0.45 * 600


def test_what_a_process_had_whose_end_is_seen_is_free_a_period_later() -> None:
    world = World(Quota(requests_per_minute=600))
    dead, other = world.join(), world.join()
    load(world, [dead, other], 130, each=5)
    dead.dead = True
    load(world, [other], 3)
    world.see()
    load(world, [other], 56)
    assert other.limiter.shared()["requests_per_minute"].limit < 450
    load(world, [other], 5)
    assert other.limiter.shared()["requests_per_minute"].limit == 600
    load(world, [other], 60)
    assert world.most() == 600


def test_what_is_not_needed_any_more_is_given_back_without_being_wanted() -> None:
    world = World(Quota(requests_per_minute=600))
    busy = world.join()
    load(world, [busy], 3)
    assert busy.limiter.shared()["requests_per_minute"].limit == 600
    load(world, [busy], 130, each=1)
    assert busy.limiter.shared()["requests_per_minute"].limit < 400
    before = len(world.ledger)
    load(world, [busy], 100, each=1)
    assert len(world.ledger) - before <= 100 / TOUCH + 1, "steady demand writes nothing more"


@pytest.mark.parametrize("sooner", [False, True])
def test_of_a_bucket_what_a_dead_process_had_is_another_s_at_once_with_nothing_in_it(sooner: bool) -> None:
    world = World(Quota(requests_per_minute=60), "bucket")
    dead = world.join()
    assert load(world, [dead], 1)[0] >= 59
    dead.dead = True
    new = world.join()
    if sooner:
        world.catch_up(new)
    else:
        world.beat(new)
    world.see()
    assert load(world, [new], 30)[0] in (28, 29), "one a second, as the dead one might"
    assert new.limiter.shared()["requests_per_minute"].limit == 60


def test_what_a_dead_process_had_under_way_counts_for_a_minute_from_its_end() -> None:
    world = World(Quota(concurrency=4))
    dead, other = world.join(), world.join()
    one = need(1.0, 0.0)
    for _ in range(5):  # it gets them all
        world.beat(dead)
        while dead.limiter.fits(one, world.now):
            dead.limiter.take(one, world.now)
        dead.limiter.refuse(one, world.now)
        dead.waiting = 1
    assert dead.limiter.in_flight == 4
    world.now += 8.0  # by then others might be under way than when it told so
    dead.dead = True
    world.beat(other)
    world.see()

    def places(seconds: int) -> float:
        for _ in range(seconds):
            world.now += 1.0
            other.limiter.refuse(one, world.now)
            other.waiting = 1
            world.beat(other)
        return other.limiter.shared()["concurrency"].limit

    assert places(58) == 0
    assert places(5) >= 2


@given(st.integers(1, 4), st.integers(0, 59), st.booleans())
def test_of_a_bucket_no_more_is_sent_than_the_vendor_s_gives_whoever_is_seen_to_die(
    count: int, dies_at: int, again: bool
) -> None:
    world = World(Quota(requests_per_minute=60), "bucket")
    processes = [world.join() for _ in range(count)]
    for at in range(100):
        load(world, processes, 1, each=2)
        if at == dies_at or (again and at == dies_at + 20):
            processes[0].dead = True
            processes = [*processes[1:], world.join()]
        world.see()
    level, before = 60.0, world.sent[0][0]
    for sent_at, amount in world.sent:
        level = min(60.0, level + (sent_at - before)) - amount
        before = sent_at
        assert level >= 0.0, "the vendor would refuse it"


def test_a_new_process_waits_for_nothing_that_was_over_before_it_came() -> None:
    world = World(Quota(requests_per_minute=600))
    killed = world.join()
    load(world, [killed], 3)
    killed.dead = True
    world.now += ALIVE + 61.0
    assert load(world, [world.join()], 3) == [600]


@pytest.mark.parametrize("day", [None, 100_000])  # of which what it has used is told for a day
def test_a_process_that_was_paused_sends_nothing_before_it_has_looked(day: int | None) -> None:
    world = World(Quota(requests_per_minute=600, requests_per_day=day))
    paused, other = world.join(), world.join()
    load(world, [paused, other], 100)
    paused.dead = True
    load(world, [other], int(ALIVE) + 80)
    paused.dead = False
    assert not world.send(paused), "its share may be another's by now"
    load(world, [paused, other], 200)
    assert world.most() <= 600


def test_of_a_day_a_process_that_dies_takes_little_with_it() -> None:
    world = World(Quota(requests_per_day=1_000))
    dead, other = world.join(), world.join()
    load(world, [dead], 30, each=10)
    dead.dead = True
    used = len(world.sent)
    assert used >= 250
    sent = load(world, [other], 400)[0]
    assert sent >= 1_000 - used - 25
    assert world.most(86_400.0) <= 1_000


def test_of_a_day_what_a_process_had_used_comes_back_when_its_day_is_over() -> None:
    world = World(Quota(requests_per_day=1_000))
    first = world.join()
    load(world, [first], 60, each=7)
    world.leave(first)
    world.now += 86_400.0 * 1.05
    assert load(world, [world.join()], 400)[0] == 1_000


def test_the_smallest_limit_that_a_process_has_counts() -> None:
    world = World(Quota(requests_per_minute=600))
    old, new = world.join(), world.join(Quota(requests_per_minute=300))
    load(world, [old, new], 200)
    world.sent.clear()
    load(world, [old, new], 200)
    assert 280 <= world.most() <= 300


@given(st.integers(1, 5), st.integers(0, 3))
def test_a_bucket_that_is_shared_gives_no_more_than_the_vendor_s(count: int, dying: int) -> None:
    """The vendor's holds a minute's worth, and is refilled steadily."""
    world = World(Quota(requests_per_minute=60), "bucket")
    processes = [world.join() for _ in range(count)]
    load(world, processes, 40)
    for process in processes[:dying]:
        process.dead = True
    processes = [*processes, world.join()]
    load(world, processes, 200)
    level, before = 60.0, world.sent[0][0]
    for at, amount in world.sent:
        level = min(60.0, level + (at - before)) - amount
        before = at
        assert level >= 0.0, "the vendor would refuse it"


def test_requests_larger_than_an_even_share_take_turns() -> None:
    world = World(Quota(tokens_per_minute=9_000))
    processes = [world.join() for _ in range(3)]
    load(world, processes, 100, size=5_000.0)
    sent = load(world, processes, 1_200, size=5_000.0)
    assert world.most() <= 9_000
    assert min(sent) >= 3, f"of some 19: {sent}"


def test_who_comes_as_a_dead_process_still_counts_gets_its_part_of_what_is_left() -> None:
    world = World(Quota(requests_per_minute=600))
    dead, other = world.join(), world.join()
    load(world, [dead, other], 130, each=5)
    dead.dead = True
    new = world.join()
    load(world, [other, new], int(ALIVE) + 20)
    shares = [process.limiter.shared()["requests_per_minute"].limit for process in (other, new)]
    assert sum(shares) <= 450, "what the dead one may have used at its end is nobody's yet"
    assert min(shares) >= 180, "what it is known to have used comes back bit by bit"


def test_a_turn_is_five_seconds_long_however_many_wait() -> None:
    world = World(Quota(concurrency=1))
    processes = [world.join() for _ in range(3)]
    flying: dict[int, Any] = {}
    turns: list[list[int]] = []  # whose, and how long
    for _ in range(200):
        world.now += 1.0
        for number, process in enumerate(processes):
            limiter = process.limiter
            if number in flying:
                limiter.release(flying.pop(number), None, world.now)
            if limiter.fits(need(1.0, 0.0), world.now):
                flying[number] = limiter.take(need(1.0, 0.0), world.now)
                if turns and turns[-1][0] == number:
                    turns[-1][1] += 1
                else:
                    turns.append([number, 1])
            limiter.refuse(need(1.0, 0.0), world.now)  # there is always one more
            process.waiting = 1
            world.beat(process)
        assert len(flying) <= 1
    assert {number for number, _ in turns} == {0, 1, 2}
    assert len(turns) >= 15
    assert min(seconds for _, seconds in turns[1:-1]) >= 5


def test_who_has_a_turn_keeps_room_for_what_waits_and_gives_the_rest_back_at_once() -> None:
    world = World(Quota(requests_per_minute=600))
    first, second, third = world.join(), world.join(), world.join()
    world.beat(first)
    for process in (second, third):
        world.send(process)  # it has no share, so that one waits
        world.beat(process)
        for each in world.processes:
            world.beat(each)
    shares = [each.limiter.shared()["requests_per_minute"].limit for each in (first, second, third)]
    assert min(shares) >= 1
    assert max(shares[1:]) <= 200, shares


def test_of_a_day_what_a_process_that_died_had_used_is_free_a_day_after_it_was_used() -> None:
    world = World(Quota(requests_per_day=1_000))
    dead, other = world.join(), world.join()
    load(world, [dead], 30, each=10)
    world.now += 43_200.0
    load(world, [dead], 20, each=10)
    dead.dead = True
    early = sum(at < 20_000.0 for at, _ in world.sent)
    late = len(world.sent) - early
    assert early >= 250
    assert late >= 150
    world.now += 43_200.0 * 1.1
    assert load(world, [other], 500)[0] >= 1_000 - late - 25
    assert world.most(86_400.0) <= 1_000


def test_a_stream_that_is_begun_anew_makes_nobody_younger() -> None:
    def row(process: str, number: int, left: bool, *gone: Any) -> dict[str, Any]:
        claims: list[Any] = [["a", "*", "requests_per_minute", [600, 0 if left else 300, 0, 0, 0, 60.0, []]]]
        return {"process": process, "row": {"number": number, "left": left, "claims": claims}, "gone": list(gone)}

    told = [row("p", 1, True), row("q", 1, False, ["p", 1]), row("p", 2, False)]
    book = Book()
    for at, event in enumerate(told):
        book.take(event, float(at))
    again = Book(dict(book.rows))  # as whoever begins a stream reads the last one
    for event in told:
        again.take(event, 50.0)
    assert {process: age for process, age, _ in again.sums(50.0)["rows"]} == {"p": 48.0, "q": 49.0}

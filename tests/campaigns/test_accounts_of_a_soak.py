"""The soak's ledger: each thing that must not be is seen, and each completion is found under its item."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from benchmarks.campaigns.ledger import Ledger, Run
from benchmarks.campaigns.plans import Plan, Step, complete, plan_of
from benchmarks.campaigns.servers import Bought

from callboard import Answer, Message, Request, Usage


class Scene:
    """A ledger with a clock that is set, and one run in it."""

    def __init__(self, *steps: str) -> None:
        self.now = 100.0
        self.killed: list[tuple[float, str]] = []
        self.ledger = Ledger(lambda begin, end: [k for k in self.killed if begin <= k[0] <= end], lambda: self.now)
        self.run: Run = self.ledger.open(Plan("K", steps), "once")

    def buy(self, id: str, began: float, ended: float, **fields: Any) -> Bought:
        bought = Bought(id, Step("K", "Front", 0), 10, fields.pop("fault", ""), began, ended)
        self.ledger.bought(bought)
        bought.received = fields.pop("received", False)
        bought.reported = fields.pop("reported", False)
        return bought

    def end(self, outcome: str = "answered", used: int = 0, text: str = "done K") -> None:
        self.ledger.close(self.run, outcome, Answer(text, usage=Usage(used, 0)))
        self.now += 10.0
        self.ledger.sweep()

    @property
    def wrong(self) -> list[str]:
        return list(self.ledger.totals.wrong)

    @property
    def items(self) -> dict[str, int]:
        return dict(self.ledger.totals.served)


def test_a_run_in_which_all_is_well_violates_nothing() -> None:
    scene = Scene("work")
    scene.ledger.began("work", "K.0")
    scene.ledger.ended("work", "K.0")
    scene.buy("a-1", 99.0, 99.5, received=True, reported=True)
    scene.end(used=10)
    assert scene.wrong == []
    assert scene.items == {"": 10}
    assert not scene.ledger.runs, "a run that has ended is still kept"


@pytest.mark.parametrize(("ended", "how"), [(True, "after it had ended"), (False, "after it was interrupted")])
def test_an_effect_that_comes_twice_is_seen(ended: bool, how: str) -> None:
    scene = Scene("work")
    scene.ledger.began("work", "K.0")
    if ended:
        scene.ledger.ended("work", "K.0")
    scene.ledger.began("work", "K.0")
    assert scene.wrong == [f"no effect twice ({how})"]


def test_a_look_may_come_twice() -> None:
    scene = Scene("look")
    scene.ledger.began("look", "K.0")
    scene.ledger.began("look", "K.0")
    assert scene.wrong == []


def test_what_a_cancelled_run_does_later_is_seen() -> None:
    scene = Scene("work")
    scene.ledger.close(scene.run, "cancelled")
    scene.now += 2.0
    scene.ledger.began("work", "K.0")
    scene.now += 10.0
    scene.ledger.sweep()
    scene.ledger.began("work", "K.0")
    scene.buy("a-1", 110.0, 111.0)
    assert scene.wrong == [
        "nothing cancelled is executed",
        "nothing is executed after a run's end",
        "nothing is bought after a run's end",
    ]


def test_wrong_answers_second_outcomes_and_wrong_accounts_are_seen() -> None:
    scene = Scene()
    scene.buy("a-1", 99.0, 99.5, received=True, reported=True)
    scene.ledger.close(scene.run, "answered", Answer("done L", usage=Usage(7, 0)))
    scene.ledger.close(scene.run, "cancelled")
    scene.now += 10.0
    scene.ledger.sweep()
    assert scene.wrong == [
        "a run has one outcome",
        "a run answers what it was asked",
        "a run's account is what it bought (answered)",
    ]
    assert scene.ledger.totals.misreported == 3


def test_completions_that_no_run_reported_are_found_under_their_items() -> None:
    scene = Scene()
    scene.buy("cut", 90.0, 91.0, fault="cut")
    scene.buy("winner", 93.0, 94.0, received=True, reported=True)
    scene.buy("loser", 93.5, 94.5, received=True)
    scene.killed = [(98.2, "agency/Front")]
    scene.buy("killed", 97.0, 98.0, received=True)
    scene.killed.append((0.0, "long ago"))
    scene.buy("odd", 95.0, 95.5, received=True)
    scene.buy("late", 99.0, 99.5)
    scene.run.began = 80.0
    scene.end(used=10)
    assert scene.items == {
        "": 10,
        "cut and malformed bodies": 10,
        "hedge losers, received": 10,
        "asked by actors that were killed, received": 20,  # the odd one too: its step was asked for again
        "for runs that ended meanwhile, given up on the way": 10,
    }


def test_a_call_that_was_given_up_before_its_run_was_cancelled_is_explained_and_one_of_an_answered_run_is_not() -> None:
    for outcome, item in (
        ("cancelled", "cancelled calls, given up on the way"),
        ("TimeLimit", "for runs that ended meanwhile, given up on the way"),
        ("answered", "unexplained, given up on the way"),
    ):
        scene = Scene()
        scene.buy("late", 90.0, 92.5)  # on a starved machine: the pool had given it up, and waited to ask again
        scene.end(outcome)
        assert scene.items == {item: 10}


def test_what_was_served_to_an_actor_that_was_killed_meanwhile_is_explained() -> None:
    scene = Scene()
    scene.killed = [(95.1, "pool/a")]
    scene.buy("before", 92.0, 92.5, received=True, reported=True)
    scene.buy("slow", 95.0, 97.0)  # on a starved machine the server learns late that nobody waits any more
    scene.end(used=10)
    assert scene.items == {"": 10, "asked by actors that were killed, given up on the way": 10}


@contextmanager
def collecting_often(told: Any) -> Iterator[None]:
    """The garbage collector runs as often as it can, and with it whatever thread was waiting."""
    thresholds = gc.get_threshold()
    gc.callbacks.append(told)
    gc.set_threshold(1)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(told)


def test_a_thread_may_open_a_run_in_the_middle_of_a_sweep() -> None:
    scene = Scene()
    for number in range(100):
        scene.ledger.open(Plan(f"L{number}", ()), "once")
    came = iter(range(1_000_000))

    def another(phase: str, _: object) -> None:
        if phase == "stop":
            scene.ledger.open(Plan(f"M{next(came)}", ()), "threadsafe")

    with collecting_often(another):
        scene.ledger.sweep()
    assert next(came), "no run was opened during the sweep"


def test_the_scripted_model_does_a_plan_step_by_step() -> None:
    said = [Message("system", "Front"), Message("user", "#K both transfer")]
    step, first = complete(Request(tuple(said)), "m")
    assert step == Step("K", "Front", 0)
    assert [call.id for call in first.message.tool_calls] == ["K.0", "K.0b"]
    said += [first.message, *(Message("tool", "", tool_call_id=call.id) for call in first.message.tool_calls)]
    _, second = complete(Request(tuple(said)), "m")
    assert [call.name for call in second.message.tool_calls] == ["transfer_to_Closer"]
    said[0] = Message("system", "Closer")
    _, last = complete(Request((*said, Message("user", "please go on"))), "m")
    assert last.message.text == "done K"
    assert plan_of(said) == (Plan("K", ("both", "transfer")), {"K.0", "K.0b"})

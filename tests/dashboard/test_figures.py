"""The figures of a dashboard's views, as pure functions of what was read."""

from __future__ import annotations

import json
import math
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard import Event
from callboard.actors.agents.overview.happened import Happened, Rates
from callboard.actors.agents.overview.overview import Waiting
from callboard.actors.agents.overview.watch import PoolState
from callboard.actors.agents.runs.runtime.under_way import RunUnderWay
from callboard.actors.core.base.events import ActorState
from callboard.actors.serving.dashboard.figures import plain
from callboard.actors.serving.dashboard.figures.actors import Actors
from callboard.actors.serving.dashboard.figures.money import BudgetKey, Money
from callboard.actors.serving.dashboard.figures.reading import MOST_ROWS, STUCK_AFTER, Plain, Reading, stuck_runs
from callboard.providers.pool import BudgetStats, EndpointCounts, EndpointHealth, Health, LimitUse, ModelHealth
from callboard.providers.pool.accounts.stats import PoolCounts, PoolStats


def reading(actors: dict[str, ActorState] | None = None, **more: Any) -> Reading:
    actors = actors or {}
    usual = {"runs": (), "waiting": (), "pools": (), "rates": Rates(0.0, 0.0, 0.0), "points": ()}
    return Reading(1.0, actors, **{"all_actors": len(actors), "happened": Happened(), **usual, **more})


def state(path: str, waiting: int = 0, age: float = 0.0, phase: str = "running", restarts: int = 0) -> ActorState:
    return path, "Kind", phase, waiting, age, restarts


def run(id: str, **more: Any) -> RunUnderWay:
    usual = RunUnderWay(id, id, "", "A", "c", "", "", "model", (), 1, 2, 3, 0.5, 9.0, 1.0)
    return replace(usual, **more)


names = st.sampled_from(["a", "b", "a/x", "a/y", "a/x/z", "b/x"])
trees = st.lists(
    st.dictionaries(names, st.tuples(st.integers(0, 2), st.sampled_from(["running", "restarting"]), st.integers(0, 1))),
    min_size=1,
    max_size=8,
)


def parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:number]) for number in range(1, len(parts))]


@given(trees, st.data())
def test_whoever_takes_in_what_has_changed_knows_all_of_it_whenever_they_look(trees: Any, data: Any) -> None:
    view, known, seen = Actors(), {}, None
    for version, tree in enumerate(trees, 1):
        there = {path for path in tree if all(above in tree for above in parents(path))}
        ordered = sorted(there, key=lambda path: path.count("/"))
        now = {path: state(path, tree[path][0], 0.0, tree[path][1], tree[path][2]) for path in ordered}
        view.take(reading(now), version)
        if not data.draw(st.booleans(), label="looks"):
            continue
        if seen is None:
            known = {row[0]: row for row in view.whole()["actors"]}
        else:
            change = view.since(seen)
            for path in change["removed"] if change else ():
                known.pop(path, None)  # it may have come and gone since
            known.update({row[0]: row for row in change["set"]} if change else {})
        seen = version
        assert known == {path: (*one[:4], 0.0, one[5], "") for path, one in now.items()}


def test_the_tree_is_told_in_its_order_whatever_order_it_is_read_in() -> None:
    view = Actors()
    paths = ["b", "a", "b/2", "b/1", "a/1", "b/2/x"]
    view.take(reading({path: state(path) for path in paths}), 1)
    assert [row[0] for row in view.whole()["actors"]] == ["b", "b/2", "b/2/x", "b/1", "a", "a/1"]


def test_an_age_that_grows_with_the_time_is_not_told_again_and_again() -> None:
    view = Actors()
    told = 0
    for version in range(1, 1_001):
        view.take(reading({"a": state("a", 1, version * 0.5)}), version)
        told += view.since(version - 1) is not None
    assert told < 100
    (row,) = view.whole()["actors"]
    assert row[4] == pytest.approx(500.0, rel=0.15)


def test_a_crash_is_told_with_the_actor() -> None:
    view, happened = Actors(), Happened()
    view.take(reading({"a": state("a")}, happened=happened), 1)
    happened.note(Event("crashed", "a", 0.0, "ValueError: why"), 5.0)
    view.take(reading({"a": state("a")}, happened=happened), 2)
    assert view.since(1) == {"set": [("a", "Kind", "running", 0, 0.0, 0, "ValueError: why")], "removed": [], "all": 1}
    assert view.since(2) is None


def test_how_many_there_are_is_told_where_only_that_changes() -> None:
    view = Actors()
    view.take(reading({"a": state("a")}, all_actors=30_000), 1)
    view.take(reading({"a": state("a")}, all_actors=30_001), 2)
    assert view.since(1) == {"set": [], "removed": [], "all": 30_001}


def test_whoever_was_away_too_long_is_told_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callboard.actors.serving.dashboard.figures.actors.MOST_ACTORS", 10)
    view = Actors()
    for version in range(1, 30):
        view.take(reading({f"a{version}": state(f"a{version}")}), version)
    with pytest.raises(LookupError):
        view.since(3)
    change = view.since(25)
    assert change is not None
    assert sorted(change["removed"]) == ["a25", "a26", "a27", "a28"]


def test_a_million_events_take_no_more_room_than_a_thousand() -> None:
    happened, view = Happened(), Actors()

    def replay(events: int) -> int:
        for number in range(events):
            kind = "crashed" if number % 2 else "dead_letter"
            happened.note(Event(kind, f"actor-{number}", 0.0, "x" * 10_000), 1.0)
            if number % 1_000 == 0:
                view.take(reading({f"a{number}": state(f"a{number}")}, happened=happened), number + 1)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = replay(20_000)
        after = replay(100_000)
    finally:
        tracemalloc.stop()
    assert after - before < 300_000
    assert happened.dead_letters == 60_000
    assert len(json.dumps(plain.letters(reading(happened=happened)))) < 100_000


def test_runs_that_give_no_sign_of_work_are_stuck_but_not_those_that_wait_for_somebody() -> None:
    runs = (
        run("works", seconds=9.04, idle=1.26, user="ada", tenant="shop"),
        run("stuck", idle=500.0, seconds=600.0),
        run("person", idle=500.0, doing="person"),
        run("handed on", idle=500.0, doing="tools", calls=("delegate",)),
        run("of handed on", parent="handed on"),
        run("limits", idle=500.0, doing="limits"),
    )
    assert stuck_runs(runs) == {"stuck"}
    rows = plain.runs(reading(runs=runs))["runs"]
    assert [(row["status"], row["stuck"]) for row in rows] == [
        ("running", False),
        ("running", True),
        ("waiting", False),
        ("running", False),
        ("running", False),
        ("waiting", False),
    ]
    assert (rows[0]["seconds"], rows[0]["idle"], rows[0]["user"], rows[0]["tenant"]) == (9.0, 1.3, "ada", "shop")
    assert (rows[0]["input_tokens"], rows[0]["output_tokens"], rows[0]["cost"]) == (2, 3, 0.5)


def test_all_that_is_known_of_runs_approvals_and_letters_is_told() -> None:
    one = RunUnderWay("r", "root", "p", "A", "c", "ada", "shop", "queued", ("dig",), 1, 2, 3, math.inf, 200.0, 130.0)
    assert plain.runs(reading(runs=(one,))) == {
        "runs": [
            {
                "run": "r",
                "agent": "A",
                "conversation": "c",
                "parent": "p",
                "user": "ada",
                "tenant": "shop",
                "status": "queued",
                "doing": "queued",
                "seconds": 200.0,
                "idle": 130.0,
                "calls": ("dig",),
                "steps": 1,
                "input_tokens": 2,
                "output_tokens": 3,
                "cost": None,
                "stuck": True,
            }
        ],
        "all": 1,
        "stuck_after": STUCK_AFTER,
    }
    waiting = Waiting("id", "A", "r", "c", "dig", 3.04, "ada", "acme"), Waiting("other", "A", "r", "c", "", 0.0)
    call, limits = plain.approvals(reading(waiting=waiting), may_decide=False)["approvals"]
    assert call == {
        "approval": "id",
        "agent": "A",
        "run": "r",
        "conversation": "c",
        "tool": "dig",
        "seconds": 3.0,
        "wants": "call",
        "user": "ada",
        "tenant": "acme",
        "may_decide": False,
    }
    assert limits["wants"] == "limits"
    happened = Happened()
    for at, kind in enumerate(("crashed", "dead_letter", "crashed", "dead_letter", "stopped"), 1):
        happened.note(Event(kind, "a", 0.0, f"detail {at}"), float(at))
    assert plain.letters(reading(happened=happened)) == {
        "dead_letters": 2,
        "last": [["a", "detail 4", 4.0], ["a", "detail 2", 2.0]],
        "crashes": [["a", "detail 3", 3.0], ["a", "detail 1", 1.0]],
    }
    assert happened.crashes["a"].detail == "detail 3"


def test_rows_are_bounded_and_the_number_of_all_is_told() -> None:
    shown = plain.runs(reading(runs=tuple(run(str(number)) for number in range(MOST_ROWS + 5))))
    assert (len(shown["runs"]), shown["all"]) == (MOST_ROWS, MOST_ROWS + 5)


def pool(**more: Any) -> PoolState:
    limits = (LimitUse("requests_per_minute", 3.0, 60.0, 20), LimitUse("tokens_per_minute", 0.0, math.inf))
    model = ModelHealth("m", "open", False, 0.5, 1.0, 2.0, 1, "Overloaded", limits[:1])
    endpoints = (
        EndpointHealth("one", "closed", True, 0.0, 1.0, 1.0, 1, "", (model,), limits[1:]),
        EndpointHealth("two", "stopped", False, 0.0, 0.0, 0.0, 0, "it crashed"),
    )
    counts = EndpointCounts(answered=4, failed=1, input_tokens=10, output_tokens=5, cost=0.25)
    stats = PoolStats(PoolCounts(), {"one": counts}, 2, 0.25, {}, models={"one": {"m": counts}}, oldest=1.5)
    return PoolState("agency/pool", replace(stats, **more), Health(endpoints))


def test_endpoints_are_told_by_model_with_their_limits() -> None:
    shown = plain.providers(reading(pools=[pool()]))
    assert shown["pools"] == [{"name": "agency/pool", "waiting": 2, "oldest": 1.5, "cost": 0.25}]
    one, two = shown["endpoints"]
    assert one == {
        "pool": "agency/pool",
        "name": "one",
        "model": "m",
        "state": "open",
        "available": False,
        "reason": "Overloaded",
        "in_flight": 1,
        "limits": [
            {"kind": "requests_per_minute", "used": 3.0, "limit": 60.0, "share": 20},
            {"kind": "tokens_per_minute", "used": 0.0, "limit": None},
        ],
        "latency": 1.0,
        "error_rate": 0.5,
        "answered": 4,
        "failed": 1,
        "tokens": 15,
        "cost": 0.25,
    }
    assert shown["all"] == 2
    assert (two["model"], two["state"], two["reason"], two["answered"]) == ("", "stopped", "it crashed", 0)


def test_money_tells_budgets_and_who_spends_most_and_only_new_points_of_the_curve() -> None:
    budgets = (BudgetStats("agent:A", "day", 10.0, 4.0, 1.0, 5.0), BudgetStats("pool:", None, math.inf, 4.0, 0.0, 1.0))
    spent = {"pool:": 4.0, "agent:A": 3.0, "agent:B": 1.0, "model:m": 4.0, "tokens:agent:A": 7.0}
    one = pool(budgets=budgets, spent=spent)
    view = Money()
    first, second = (1.0, 0.1, 1.0, 1.0, 0.5), (2.0, 0.2, 2.0, 2.0, 0.5)
    view.take(reading(pools=[one], rates=Rates(0.1, 1.0, 1.0), points=(first,)), 1)
    whole = view.whole()
    assert (whole["now"], whole["points"]) == (0.1, [first])
    day, ever = whole["budgets"]
    assert (day["name"], day["spent"], day["limit"], day["window"]) == ("agent:A", 4.0, 10.0, "day")
    assert (ever["limit"], ever["window"]) == (None, None)
    assert BudgetKey.read(day["id"]) == BudgetKey("agency/pool", "agent:A", "day", "dollars")
    assert whole["by"] == [
        {"agent": "A", "cost": 3.0, "tokens": 7.0},
        {"agent": "B", "cost": 1.0, "tokens": None},
        {"model": "m", "cost": 4.0, "tokens": 15},
    ]
    view.take(reading(pools=[one], rates=Rates(0.1, 1.0, 1.0), points=(first, second)), 2)
    change = view.since(1)
    assert change is not None
    assert change["points"] == [second]
    view.take(reading(pools=[one], rates=Rates(0.1, 1.0, 1.0), points=(first, second)), 3)
    assert view.since(2) is None


@given(st.text(), st.text(), st.sampled_from(["minute", "day", None]), st.sampled_from(["dollars", "tokens"]))
def test_the_id_of_a_budget_says_which_it_is(pool: str, account: str, period: str | None, measure: str) -> None:
    key = BudgetKey(pool, account, period, measure)
    assert BudgetKey.read(key.id) == key
    assert key.id.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("id", ["", "x", "W10", "WzEsMiwzLDRd", "bnVsbA", "e30", "WyJhIiwiYiIsbnVsbCwiYyJd=", "ü"])
def test_what_is_no_budgets_id_is_refused(id: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # of several kinds
        BudgetKey.read(id)


def test_a_plain_view_is_told_again_only_where_it_has_changed() -> None:
    view = Plain(plain.runs)
    view.take(reading(runs=(run("a"),)), 1)
    view.take(reading(runs=(run("a"),)), 2)
    assert view.since(1) is None
    view.take(reading(runs=(run("a", steps=2),)), 3)
    assert view.since(1) == view.since(2) == view.whole()
    assert view.since(3) is None

"""Each argument of each public name takes what its documentation says, and refuses all else, by its name, at once."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from callboard import testing
from callboard.actors import Actor, System
from callboard.actors.core.base.errors import CallboardError
from callboard.testing import Crash, FaultyProvider, Latency, Probe, Simulation, Timing, maybe, run_virtual, simulate
from tests.core.support import Echo

Fits: TypeAlias = Callable[[Any], bool]


async def asks(sim: Simulation) -> None:
    await sim.system.spawn(Echo, name="echo").ask("hello")


def nothing(*_: Any) -> None:
    """Stands for a function."""


def number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e9


def whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def seconds(value: Any) -> bool:
    return number(value) and value >= 0


def above(value: Any) -> bool:
    return number(value) and value > 0


def from_one(value: Any) -> bool:
    return whole(value) and value >= 1


def enough(value: Any) -> bool:
    """Steps for a scenario."""
    return whole(value) and value > 1


def text(value: Any) -> bool:
    return isinstance(value, str)


def name(value: Any) -> bool:
    return text(value) and value != ""


def function(value: Any) -> bool:
    """A class is none: what it makes is nothing to await."""
    return callable(value) and not inspect.isclass(value)


def flag(value: Any) -> bool:
    return isinstance(value, bool)


def empty(value: Any) -> bool:
    """No elements, which is right whatever they would have to be."""
    return isinstance(value, Iterable) and not [*value]


def anything(_: Any) -> bool:
    return True


def no_one(_: Any) -> bool:
    return False


def optional(fits: Fits) -> Fits:
    return lambda value: value is None or fits(value)


def paths(value: Any) -> bool:
    return name(value) or value == ["x"]


def one_of(*values: str) -> Fits:
    return lambda value: isinstance(value, str) and value in values


def replies(value: Any) -> bool:
    return value == ["x"] or (empty(value) and not isinstance(value, str | bytes))


def seeds(value: Any) -> bool:
    return (whole(value) and value >= 0) or (empty(value) and not isinstance(value, str | bytes))


LATENCY = optional(lambda value: isinstance(value, Latency))
FAULT = {"actor": name, "nth": optional(from_one), "optional": flag}
LASTING = {**FAULT, "seconds": above}
PROCESS = {"process": name, "nth": optional(from_one), "optional": flag, "seconds": above}
SEARCH = {"faults": empty, "invariants": empty, "max_steps": enough, "order": one_of("contract", "asyncio")}

ARGUMENTS: dict[str, tuple[dict[str, Any], dict[str, Fits]]] = {
    "Buggify": (
        {"name": "p"},
        {
            "name": name,
            "nth": optional(from_one),
            "optional": flag,
            "probability": lambda value: above(value) and value <= 1,
        },
    ),
    "Crash": ({"actor": "a"}, {**FAULT, "when": one_of("any", "before", "in", "after")}),
    "Delay": ({"actor": "a"}, LASTING),
    "DelayReply": ({"actor": "a"}, LASTING),
    "Drop": ({"actor": "a"}, FAULT),
    "Duplicate": ({"actor": "a"}, FAULT),
    "Kill": ({"actor": "a"}, FAULT),
    "LoseReply": ({"actor": "a"}, FAULT),
    "Partition": (
        {"one": "a", "other": "b"},
        {"one": name, "other": name, "nth": optional(from_one), "seconds": above, "optional": flag},
    ),
    "Pause": ({"actor": "a"}, LASTING),
    "ProviderFault": (
        {"actor": "a"},
        {
            **FAULT,
            "what": one_of("rate_limited", "overloaded", "timeout", "cut", "malformed"),
            "retry_after": optional(seconds),
            "seconds": seconds,
            "after": lambda value: whole(value) and value >= 0,
        },
    ),
    "Restart": ({"process": "p"}, {**PROCESS, "when": one_of("any", "before", "after", "torn")}),
    "Slow": ({"actor": "a"}, LASTING),
    "StoreFault": ({"process": "p"}, {**PROCESS, "what": one_of("full", "locked", "unreachable", "lost")}),
    "Timing": (
        {"drift": 0.1},
        {
            "step": seconds,
            "drift": lambda value: number(value) and 0 < value < 1,
            "messages": LATENCY,
            "replies": LATENCY,
            "provider": LATENCY,
            "skew": seconds,
        },
    ),
    "FunctionModel": ({"function": nothing}, {"function": callable}),
    "Script": ({"replies": []}, {"replies": replies}),
    "children_end": ({"parent": "a"}, {"parent": name}),
    "eventually": (
        {"condition": nothing, "within": 1},
        {"condition": callable, "within": seconds, "after": optional(callable), "what": text},
    ),
    "exactly_once": ({"kind": "k", "key": "f"}, {"kind": name, "key": name, "expected": optional(callable)}),
    "explore": (
        {"scenario": asks},
        {**SEARCH, "scenario": no_one, "max_schedules": from_one, "shared": flag},
    ),
    "hot": (
        {"state": nothing, "longer_than": 1},
        {"state": callable, "longer_than": seconds, "whose": name, "what": name},
    ),
    "linearizable": (
        {"model": nothing, "actor": "a"},
        {"model": callable, "initial": anything, "actor": paths, "key": optional(callable), "most": from_one},
    ),
    "never": ({"condition": nothing}, {"condition": callable, "what": text}),
    "no_starvation": ({"longer_than": 1}, {"longer_than": seconds}),
    "run_virtual": ({}, {"main": no_one}),
    "simulate": (
        {"scenario": asks, "seeds": 0},
        {
            **SEARCH,
            "scenario": no_one,
            "seeds": seeds,
            "strategy": one_of("mix", "pct", "pos", "uniform", "fifo", "feedback"),
            "replay": optional(no_one),
            "timing": optional(no_one),
            "processes": from_one,
        },
    ),
    "virtual_time": ({"function": nothing}, {"function": function}),
}
LOOKED_AT_ELSEWHERE = {
    *("FaultyProvider", "Probe", "ScriptedModel"),  # these need a system: below
    *("Latency", "call"),  # plain data; `Timing` looks at the one, the agent that is told to make it at the other
    *("maybe", "switch"),  # in production they cost a look, and no more; in a simulation see below
    # What a search makes, or writes down, itself.
    *("RUNTIME", "Coverage", "Exploration", "Fact", "Hold", "Interrupt", "Process", "Run", "Simulation", "Trace"),
    *("SimulationLoop",),
    *("Fault", "Invariant"),  # names of types
}
WRONG: list[Any] = [
    *(None, True, -1, 0, 1, 1.5, math.nan, math.inf, 1e308, 10**400),
    *("", "x", b"x", [], {}, [None], ["x"], object(), Actor, nothing),
]


def cases() -> list[tuple[str, str]]:
    return [(of, argument) for of, (_, fits) in ARGUMENTS.items() for argument in fits]


def test_each_public_name_is_looked_at() -> None:
    errors = {each for each in testing.__all__ if inspect.isclass(it := getattr(testing, each)) and is_error(it)}
    assert set(testing.__all__) - errors == set(ARGUMENTS) | LOOKED_AT_ELSEWHERE
    for of, (_, fits) in ARGUMENTS.items():
        taken = set(inspect.signature(getattr(testing, of)).parameters)
        assert set(fits) - taken == set(), of
        assert taken - set(fits) <= {"usage", "cost"}, of


def is_error(kind: type) -> bool:
    return issubclass(kind, BaseException)


@pytest.mark.parametrize(("of", "argument"), cases())
def test_an_argument_takes_what_fits_and_refuses_all_else_by_name(of: str, argument: str) -> None:
    given, fits = ARGUMENTS[of]
    for value in WRONG:
        refused = refusal(getattr(testing, of), **{**given, argument: value})
        if fits[argument](value):
            assert refused is None, f"{of}({argument}={value!r:.40}) was refused: {refused!r}"
        else:
            assert refused is not None, f"{of}({argument}={value!r:.40}) was taken"
            assert_named(refused, argument, value, of)


def refusal(call: Callable[..., Any], *args: Any, **given: Any) -> BaseException | None:
    try:
        call(*args, **given)
    except Exception as error:
        return error
    return None


def assert_named(refused: BaseException, argument: str, value: Any, of: str) -> None:
    said = str(refused)
    assert isinstance(refused, TypeError | ValueError | CallboardError), f"{of}({argument}={value!r:.40}): {refused!r}"
    named = argument in said or f"{value!r:.40}" in said or argument.rstrip("s") in said
    assert named, f"{of}({argument}={value!r:.40}) was refused without a name: {refused!r}"


def test_what_stands_in_a_system_refuses_what_does_not_fit() -> None:
    async def main() -> None:
        async with System("test") as system:
            echo, number = system.spawn(Echo, name="echo"), itertools.count()
            for value in WRONG:
                for argument, call, fits in (
                    ("system", lambda it: Probe(it), no_one),
                    ("answer", lambda it: Probe(system, f"probe{next(number)}", answer=it), optional(callable)),
                    ("target", lambda it: FaultyProvider(it), no_one),
                    ("faults", lambda it: FaultyProvider(echo, it), empty),
                    ("replies", lambda it: testing.ScriptedModel(it), replies),
                ):
                    refused = refusal(call, value)
                    if fits(value):
                        assert refused is None, f"{argument}={value!r:.40} was refused: {refused!r}"
                    else:
                        assert refused is not None, f"{argument}={value!r:.40} was taken"
                        assert_named(refused, argument, value, argument)
            assert refusal(FaultyProvider, echo, [Crash("a", 1)]) is not None

    run_virtual(main())


def test_what_a_scenario_is_given_refuses_what_does_not_fit(tmp_path: Path) -> None:
    looked: list[str] = []

    async def scenario(sim: Simulation) -> None:
        async def program(system: System) -> None:
            """Do nothing."""

        echo = sim.system.spawn(Echo, name="echo")
        for value in WRONG:
            for argument, call, fits in (
                ("kind", sim.mark, name),
                ("agency", lambda it: sim.watch(it), no_one),
                ("followed", lambda it: sim.follow(it), no_one),
                ("state", lambda it: sim.follow(echo, state=it), callable),
                ("dead letters", lambda it: sim.expect_dead_letters(it), callable),
                ("path", sim.remote, name),
                ("process", lambda it: sim.process(it, program), name),
                ("process", lambda it: sim.process("p", it), function),
                ("name", maybe, name),
                ("director", lambda it: sim.allow_writing(it), no_one),
            ):
                if fits(value):
                    continue
                refused = refusal(call, value)
                assert refused is not None, f"{argument}: {value!r:.40} was taken"
                assert_named(refused, argument, value, argument)
                looked.append(argument)
        sim.allow_writing(tmp_path, str(tmp_path))
        await asyncio.sleep(1)

    simulate(scenario, seeds=0)
    assert len(looked) > 100


@pytest.mark.parametrize("wrong", [0, -1.0, math.nan, math.inf, 1e308, "", "x", None, [], True])
def test_a_latency_that_makes_no_sense_is_refused_where_it_is_used(wrong: Any) -> None:
    wrong_median: Any = Latency(wrong, 1.0)
    wrong_p99: Any = Latency(0.5, wrong)
    for field in ("messages", "replies", "provider"):
        with pytest.raises(testing.TimingRefused, match=field):
            Timing(**{field: wrong_median})
        if wrong != 0:  # which is none
            with pytest.raises(testing.TimingRefused, match=field):
                Timing(**{field: wrong_p99})

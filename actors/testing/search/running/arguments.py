"""Refuses arguments of `simulate` and `explore` that make no sense, before anything runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, get_args

from ...errors import FaultRefused
from ...faults.faults import Fault, check_kind
from ...loop.loop import Order
from ...oracles.linearizability import linearizable
from ...oracles.liveness import hot, no_starvation
from ...trace.checks import is_whole
from ...trace.invariants import Invariant, children_end, eventually, exactly_once, never

_MAKERS: tuple[Any, ...] = (children_end, eventually, exactly_once, hot, linearizable, never, no_starvation)


def check_scenario(scenario: object) -> None:
    """Refuse a scenario that cannot be called.

    Raises:
        TypeError: it cannot.
    """
    if not callable(scenario):
        raise TypeError(f"a scenario is a function, async def scenario(sim), not {scenario!r}")


def no_scenario(scenario: object, returned: object) -> TypeError:
    """Return the error that says what is wrong with a scenario that returned something that nobody can await."""
    name = getattr(scenario, "__qualname__", repr(scenario))
    made = f": call it, {name}(…), if it makes the scenario" if callable(returned) else ""
    return TypeError(f"a scenario is async def scenario(sim); {name} is not async, it returned {returned!r:.80}{made}")


def checked_faults(faults: object) -> tuple[Fault, ...]:
    """Return the faults.

    Raises:
        FaultRefused: something among them is none, or they are no sequence.
    """
    found = tuple(_each(faults, "faults", "Crash('account')", FaultRefused))
    for fault in found:
        check_kind(fault)
    return found


def checked_invariants(invariants: object) -> tuple[Invariant, ...]:
    """Return the invariants.

    Raises:
        TypeError: one of them cannot be called, or they are no sequence.
    """
    found = tuple(_each(invariants, "invariants", "no_overdraft", TypeError))
    for invariant in found:
        if not callable(invariant):
            raise TypeError(f"an invariant is a function of the trace, not {invariant!r}")
        if any(invariant is maker for maker in _MAKERS):
            name = invariant.__name__
            raise TypeError(f"{name} makes an invariant when it is called: invariants=[{name}(…)]")
        function = getattr(invariant, "func", invariant)  # of a partial
        kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
        if any(kind(it) for kind in kinds for it in (function, getattr(function, "__call__", None))):  # noqa: B004
            raise TypeError(f"an invariant is a plain function of the trace: nothing of {invariant!r} would run")
    return found


def _each(values: Any, name: str, example: str, refused: Callable[[str], Exception]) -> Iterable[Any]:
    try:
        found: Iterable[Any] = iter(values)
    except TypeError:
        raise refused(f"{name}={values!r}: they are a sequence, as in {name}=[{example}]") from None
    return found


def check_limits(max_steps: object, order: object) -> None:
    """Refuse a number of steps, or an order, that makes no sense.

    Raises:
        ValueError: it does not.
    """
    if not is_whole(max_steps) or max_steps < 1:
        raise ValueError(f"max_steps={max_steps!r}: after how many steps of the loop to give up, a whole number from 1")
    if order not in get_args(Order):
        raise ValueError(f"order={order!r}: it is {' or '.join(map(repr, get_args(Order)))}")


def checked_seeds(seeds: object) -> Iterator[int]:
    """Return the seeds one after another: there may be no end of them.

    Raises:
        ValueError: they are neither a number nor a sequence of numbers.
    """
    if is_whole(seeds):
        if seeds < 0:
            raise ValueError(f"seeds={seeds!r}: how many schedules to try, from 0, or which")
        return iter(range(seeds))
    if isinstance(seeds, str | bytes | bool) or not isinstance(seeds, Iterable):
        raise ValueError(f"seeds={seeds!r}: how many schedules to try, or which, such as range(100, 200)")
    return _checked(seeds)


def _checked(seeds: Iterable[object]) -> Iterator[int]:
    for seed in seeds:
        if not is_whole(seed):
            raise ValueError(f"seeds has {seed!r} in it: they are whole numbers")
        yield seed

"""Liveness in a bounded time: nothing stays as it must not stay for longer than so many virtual seconds.

A *hot* state is one that has to be left again (Desai and others, *P: safe asynchronous event-driven programming*, PLDI
2013): a job that waits, a lock that is held, a leader that is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import InvariantViolated
from ..trace.checks import check_function, check_seconds, check_text
from ..trace.invariants import Invariant
from ..trace.names import Name, Oracle
from ..trace.trace import Fact, Trace, stable_repr

_EPSILON = 1e-6
_ANY = "actor"
"""Whose state it is where nothing else is said: a mark without one is the scenario's."""


def hot(state: Callable[[Fact], bool | None], *, longer_than: float, whose: str = _ANY, what: str = "hot") -> Invariant:
    """Nobody is in a hot state for longer than a time; a run's end counts as the end of what is hot then.

    Args:
        state: of an event: True where it says that the state is hot from now on, False that it is not any more, None
            where it says nothing about it. Events are the runtime's, marks, and what `Simulation.follow` sees.
        longer_than: virtual seconds.
        whose: the events' field that says whose state it is.
        what: names the state in the failure.

    Raises:
        TypeError: the state is no function, or a name no text.
        ValueError: ``longer_than`` is no number of seconds.

    Raises (the invariant):
        InvariantViolated: names who was hot, since when, and for how long.
    """
    check_function(state, "state", "an event")
    check_seconds(longer_than, "longer_than")
    check_text(whose, "whose", "the name of a field of the events")
    check_text(what, "what", "the name of the state")

    def check(trace: Trace) -> None:
        since: dict[Any, float] = {}
        for fact in trace:
            now = state(fact)
            if now is None:
                continue
            name = fact.get(whose)
            if now:
                since.setdefault(name, fact.time)
            elif name in since:
                _judge(name, since.pop(name), fact.time, longer_than, what)
        end = trace[-1].time if trace else 0.0
        for name, began in since.items():
            _judge(name, began, end, longer_than, what)

    def fields(trace: Trace) -> set[str]:
        found: set[str] = set()
        for fact in trace:
            if state(fact) is not None:
                found |= {whose} if whose == _ANY else {*fact.fields}
        return found

    nothing = f"no event says whether anything is {what}"
    return Oracle(check, (Name("hot(whose=…)", "field", whose, fields, nothing),))


def no_starvation(*, longer_than: float) -> Invariant:
    """No message waits in a mailbox for longer than a time.

    Args:
        longer_than: virtual seconds from its being sent to its being taken up.

    Raises:
        ValueError: that is no number of seconds.

    Raises (the invariant):
        InvariantViolated: names the actor, the message, and for how long it waited.
    """
    check_seconds(longer_than, "longer_than")

    def check(trace: Trace) -> None:
        waiting: dict[tuple[Any, Any], tuple[float, str, Any]] = {}
        end = 0.0
        for end, kind, row in trace.rows:
            if kind in ("send", "ask"):
                waiting[row.get("system"), row["id"]] = end, row["actor"], row["message"]
            elif kind in ("recv", "dead_letter", "ask_end", "stashed") or (kind == "fault" and row["what"] == "drop"):
                message = waiting.pop((row.get("system"), row.get("id")), None)
                if message is not None:
                    began, actor, what = message
                    _judge(actor, began, end, longer_than, f"not taking up {stable_repr(what)}")
        for began, actor, what in waiting.values():
            _judge(actor, began, end, longer_than, f"not taking up {stable_repr(what)}")

    return check


def _judge(name: Any, began: float, end: float, longer_than: float, what: str) -> None:
    if end - began > longer_than + _EPSILON:
        raise InvariantViolated(
            f"liveness: {name or 'somebody'} was {what} from {began:.3f} s for {end - began:.3f} s, "
            f"longer than {longer_than:g} s"
        )

"""What must hold for a run whatever the schedule.

An invariant is a function of the trace that raises `InvariantViolated` (or any `AssertionError`). `RUNTIME` are the
promises of the runtime itself, checked after every run; a scenario's own stand beside them.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Hashable
from typing import Any, TypeAlias

from ...core.runtime.parts import MESSAGE_FIELDS
from ..errors import InvariantViolated
from .checks import check_function, check_seconds, check_text
from .names import Name, Oracle, actors
from .trace import Fact, Trace, stable_repr

Invariant: TypeAlias = Callable[[Trace], object]
Condition: TypeAlias = Callable[[Fact], object]
_EPSILON = 1e-6
_WOULD_RUN: tuple[tuple[Callable[[object], bool], str], ...] = (
    (inspect.iscoroutine, "a coroutine"),
    (inspect.isgenerator, "a generator"),
    (inspect.isasyncgen, "an async generator"),
    (inspect.isawaitable, "an awaitable"),
)
"""What does nothing yet: whatever it would check, it holds."""
_NAMED = 6
"""Of the actors in a failure's text."""


def check(invariant: Invariant, trace: Trace) -> None:
    """Hold a run to an invariant: it raises, or returns what is not true; None, as of a function of assertions, is no
    answer.

    Args:
        invariant: what must hold.
        trace: what happened.

    Raises:
        InvariantViolated: it returned what is not true.
        TypeError: it is none, but makes one; or what it returned would have to be awaited, or gone through.
    """
    found: Any = invariant(trace)
    if found is None or found is True:
        return
    for is_one, kind in _WOULD_RUN:
        if is_one(found):
            if kind == "a coroutine":
                found.close()
            raise TypeError(f"{_name(invariant)} returned {kind}: an invariant is a plain function of the trace")
    if callable(found):
        raise TypeError(f"{_name(invariant)} returned a function: it makes an invariant, and has to be called for it")
    if not found:
        raise InvariantViolated(f"{_name(invariant)} returned {stable_repr(found):.80}")


def _name(invariant: Invariant) -> str:
    return str(getattr(invariant, "__qualname__", repr(invariant)))


def never(condition: Condition, what: str = "") -> Invariant:
    """No event may satisfy ``condition``.

    Args:
        condition: a function of one event.
        what: named in the failure.

    Raises:
        TypeError: the condition is no function, or what it is called no text.
    """
    check_function(condition, "condition", "an event")
    check_text(what, "what", "a text for the failure", empty=True)

    def check(trace: Trace) -> None:
        for fact in trace:
            if condition(fact):
                raise InvariantViolated(f"never {what or 'this'}: {_show(fact)}")

    return check


def eventually(condition: Condition, *, within: float, after: Condition | None = None, what: str = "") -> Invariant:
    """Some event satisfies ``condition`` in time.

    Args:
        condition: a function of one event.
        within: virtual seconds, from the start or from each event that satisfies ``after``.
        after: where each wait begins; None waits once, from the start.
        what: named in the failure.

    Raises:
        TypeError: a condition is no function, or what it is called no text.
        ValueError: ``within`` is no number of seconds.
    """
    check_function(condition, "condition", "an event")
    check_seconds(within, "within")
    check_function(after, "after", "an event", optional=True)
    check_text(what, "what", "a text for the failure", empty=True)

    def check(trace: Trace) -> None:
        hits = [fact for fact in trace if condition(fact)]
        starts = [(-1, 0.0, "the start")] if after is None else []
        if after is not None:
            starts = [(fact.index, fact.time, _show(fact)) for fact in trace if after(fact)]
        for index, time, name in starts:
            if not any(hit.index > index and hit.time <= time + within + _EPSILON for hit in hits):
                raise InvariantViolated(f"eventually {what or 'this'}: not within {within:g} s of {name}")

    return check


def exactly_once(kind: str, key: str, *, expected: Callable[[Trace], Any] | None = None) -> Invariant:
    """Events of a kind happen once for each key: an effect is neither repeated nor, if expected, left out.

    Args:
        kind: the events' kind, such as that of a mark: ``sim.mark("charged", order=7)``.
        key: the field that tells one effect from another.
        expected: returns the keys that must occur, be it none; None asks only that none is repeated.

    Raises:
        TypeError: the kind or the key is no text, or ``expected`` no function.
    """
    check_text(kind, "kind", "what events are called")
    check_text(key, "key", "the name of a field of theirs")
    check_function(expected, "expected", "the trace", optional=True)

    def check(trace: Trace) -> None:
        seen: dict[Hashable, Fact] = {}
        for fact in trace.of(kind):
            value = fact.get(key)
            if value in seen:
                raise InvariantViolated(f"exactly once: {kind} {key}={stable_repr(value)} happened again")
            seen[value] = fact
        for value in expected(trace) if expected is not None else ():
            if value not in seen:
                raise InvariantViolated(f"exactly once: {kind} {key}={stable_repr(value)} never happened")

    def fields(trace: Trace) -> set[str]:
        return {name for fact in trace.of(kind) for name in fact.fields}

    names = [Name(f"exactly_once({kind!r})", "field", key, fields)]
    if expected is None:  # else it is said what has to happen, be it nothing
        names.append(Name("exactly_once", "kind of event", kind, lambda trace: {row[1] for row in trace.raw}))
    return Oracle(check, tuple(names))


def children_end(parent: str) -> Invariant:
    """The actors that an actor has started end while the program runs, and not only because the system stops.

    For those that are made for one piece of work each: what nobody stops is kept for as long as its parent.

    Args:
        parent: its path.

    Raises:
        TypeError: that is no text.
    """
    check_text(parent, "parent", "the path of an actor")

    def check(trace: Trace) -> None:
        alive: dict[tuple[Any, str], None] = {}
        for _, kind, row in trace.rows:
            if kind == "spawn":
                if row["parent"] == parent:
                    alive[row.get("system"), row["actor"]] = None
            elif kind == "dead":
                alive.pop((row.get("system"), row["actor"]), None)
            elif kind == "system_stopping":
                left = [path for system, path in alive if system == row.get("system")]
                if left:
                    names = ", ".join(left[:_NAMED]) + (f" and {len(left) - _NAMED} more" if left[_NAMED:] else "")
                    raise InvariantViolated(f"children end: still there when the system was stopped: {names}")

    return Oracle(check, (Name("children_end", "actor", parent, actors, "there is no actor at all"),))


def fifo_per_pair(trace: Trace) -> None:
    """Messages of one sender to one receiver, of one priority, are taken up in the order in which they were sent, but
    for those that the receiver has stashed.
    """
    last: dict[tuple[Any, ...], int] = {}
    stashed: set[tuple[Any, int]] = set()
    for _, kind, row in trace.rows:
        if kind == "stashed":
            stashed.add((row.get("system"), row["id"]))
        elif kind == "recv" and not row.get("duplicate") and (row.get("system"), row["id"]) not in stashed:
            pair = (row.get("system"), row.get("sender"), row["actor"], row.get("priority", 0))
            number = row["id"]
            if last.get(pair, -1) > number:
                raise InvariantViolated(
                    f"FIFO per pair: {row['actor']} took message {number} of {row.get('sender') or 'client'} "
                    f"after message {last[pair]}"
                )
            last[pair] = number


def at_most_once(trace: Trace) -> None:
    """No message is processed twice, across restarts too; only one that a fault duplicated, or that its handler has
    stashed, may be.
    """
    seen: set[tuple[Any, int]] = set()
    twice = {
        (row.get("system"), row.get("id"))
        for _, kind, row in trace.rows
        if kind == "fault" and row["what"] == "duplicate"
    }
    for _, kind, row in trace.rows:
        if kind == "recv":
            number = (row.get("system"), row["id"])
            if number in seen and number not in twice:
                raise InvariantViolated(f"at most once: {row['actor']} processed message {row['id']} twice")
            seen.add(number)
        elif kind == "stashed":
            seen.discard((row.get("system"), row["id"]))


def conservation(trace: Trace) -> None:
    """Each message sent is processed, a dead letter, or lost by a fault: none vanishes but with a process."""
    ended: set[tuple[Any, Any]] = set()
    killed = _killed(trace)
    for _, kind, row in trace.rows:
        if kind in ("recv", "dead_letter", "lost") or (kind == "fault" and row["what"] == "drop"):
            ended.add((row.get("system"), row.get("id")))
        elif kind == "stashed":
            ended.discard((row.get("system"), row["id"]))
    for _, kind, row in trace.rows:
        if kind in ("send", "ask") and (row.get("system"), row["id"]) not in ended and row.get("system") not in killed:
            raise InvariantViolated(
                f"conservation: message {row['id']} {stable_repr(row['message'])} from {row.get('sender') or 'client'} "
                f"to {row['actor']} vanished"
            )


def asks_resolved_once(trace: Trace) -> None:
    """Each ask ends exactly once, by a reply, an error, a timeout or a cancellation; one whose reply, or which itself,
    a fault has lost or held up may still be waited for when the run is over; and those of a killed process."""
    ends: dict[tuple[Any, int], int] = {}
    lost: set[tuple[Any, Any]] = set()
    killed = _killed(trace)
    for _, kind, row in trace.rows:
        if kind == "ask":
            ends.setdefault((row.get("system"), row["id"]), 0)
        elif kind == "ask_end":
            number = (row.get("system"), row["id"])
            ends[number] = ends.get(number, 0) + 1
        elif kind in ("lost", "fault"):
            lost.add((row.get("system"), row.get("id")))
    for _, kind, row in trace.rows:
        if kind == "ask" and ends[number := (row.get("system"), row["id"])] != 1:
            count = ends[number]
            if not count and (number in lost or number[0] in killed):
                continue
            raise InvariantViolated(f"asks resolved once: ask {row['id']} of {row['actor']} ended {count} times")


def nothing_after_stop(trace: Trace) -> None:
    """Once a system has stopped, none of its actors starts, restarts or processes anything."""
    stopped: set[Any] = set()
    for _, kind, row in trace.rows:
        if kind == "system_stopped":
            stopped.add(row.get("system"))
        elif stopped and kind in ("spawn", "restarted", "recv") and row.get("system") in stopped:
            raise InvariantViolated(f"nothing after stop: {kind} of {row.get('actor')} after the system had stopped")


def no_dead_letters(trace: Trace) -> None:
    """No told message becomes a dead letter, unless the scenario expects it, a fault struck the receiver or an actor
    above it, or the whole system was stopped.

    An ask that nobody answers ends in an error its asker sees, which is the scenario's to judge.
    """
    asks: set[tuple[Any, int]] = set()
    struck: set[str] = set()
    stopping: set[Any] = set()
    for _, kind, row in trace.rows:
        if kind == "system_stopping":
            stopping.add(row.get("system"))
        elif kind == "ask":
            asks.add((row.get("system"), row["id"]))
        elif kind == "fault" and row["what"] in ("kill", "crash"):
            struck.add(row["actor"])
        elif kind == "dead_letter" and not row.get("expected") and not _within(row["actor"], struck):
            if row.get("system") in stopping or (row.get("system"), row.get("id")) in asks:
                continue
            raise InvariantViolated(
                f"no dead letters: {stable_repr(row.get('message'))} to {row['actor']} ({row.get('reason', '')}); "
                "if it is meant to be one, say so with sim.expect_dead_letters()"
            )


def runtime(trace: Trace) -> None:
    """Check `RUNTIME`, quickly where all is well: one pass over the trace, and the single checks only if it is odd."""
    if _odd(trace):
        for invariant in RUNTIME:
            invariant(trace)


def _odd(trace: Trace) -> bool:
    """Whether anything could be wrong: False is certain; True only asks for a closer look.

    Of the events of messages, only the order of what is taken up is looked at one by one; the rest is counted.
    """
    raw = trace.raw
    kinds: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for row in raw:
        kinds[row[1]].append(row)
    if not _ODD.isdisjoint(kinds):
        return True
    for kind, rows in kinds.items():
        if kind in MESSAGE_FIELDS:
            if 3 in map(len, rows):  # with named values: it belongs to a second system
                return True
        else:
            for _, _, fields in rows:
                if "system" in fields:
                    return True
    taken, asked, ended = kinds.get("recv", ()), kinds.get("ask", ()), kinds.get("ask_end", ())
    last: dict[tuple[str, str, int], int] = {}
    for _, _, actor, sender, number, _, _, priority in taken:
        pair = (sender, actor, priority)
        if last.get(pair, 0) > number:
            return True
        last[pair] = number
    sent = [row[4] for row in (*kinds.get("send", ()), *asked)]
    if len(taken) != len(sent) or {row[4] for row in taken} != set(sent):
        return True
    if len(asked) != len(ended) or {row[4] for row in asked} != {row[3] for row in ended}:
        return True
    if "system_stopped" in kinds:
        for row in reversed(raw):
            if row[1] in ("spawn", "restarted", "recv"):
                return True
            if row[1] == "system_stopped":
                break
    return False


_ODD = frozenset({"dead_letter", "fault", "lost", "stashed"})


def _killed(trace: Trace) -> set[Any]:
    """The systems whose process was killed."""
    return {row.get("system") for _, kind, row in trace.rows if kind == "killed"}


def _within(path: str, struck: set[str]) -> bool:
    return any(path == top or path.startswith(top + "/") for top in struck)


def _show(fact: Fact) -> str:
    inside = " ".join(f"{name}={stable_repr(value)}" for name, value in fact.fields.items())
    return f"event {fact.index} at {fact.time:.3f} s: {fact.kind} {inside}"


RUNTIME: tuple[Invariant, ...] = (
    fifo_per_pair,
    at_most_once,
    conservation,
    asks_resolved_once,
    nothing_after_stop,
    no_dead_letters,
)
"""The promises of the runtime, checked after every simulated run."""

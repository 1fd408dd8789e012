"""Linearizability: whether the answers of an actor are those of a sequential model, asked in some order.

Each ask takes effect at one moment between its beginning and its end (Herlihy and Wing 1990). The search for an order
is that of Wing and Gong, *Testing and verifying concurrent objects* (JPDC 1993), with the memory of Lowe, *Testing for
linearizability* (CCPE 2017): a set of operations in a state that it has seen leads nowhere again. A history is split by
key first, because parts that do not touch each other are linearizable together when each is (Herlihy and Wing's
locality).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from ..errors import HistoryTooLong, InvariantViolated
from ..trace.checks import check_function, is_whole
from ..trace.invariants import Invariant
from ..trace.names import Name, Oracle, actors
from ..trace.trace import Trace, stable_repr

Model: TypeAlias = Callable[[Any, Any], "tuple[Any, Any]"]
"""What an actor does, without the actor: ``model(state, message)`` is the next state and the answer. Pure."""

_EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class Operation:
    """One ask, or one message that was told.

    Args:
        sender, actor: who asked whom.
        message: what.
        answer: what came back.
        known: whether the answer counts: False where none came, and the operation may have had its effect or not.
        begin, end: its place in the trace; an operation whose answer is not known never ends.
        times: virtual seconds of both.
    """

    sender: str
    actor: str
    message: Any
    answer: Any
    known: bool
    begin: int
    end: int
    times: tuple[float, float]

    def __str__(self) -> str:
        begin, end = self.times
        if not self.known:
            return (
                f"{begin:9.3f} … {'':9}  {self.sender}: {stable_repr(self.message)} -> no answer, may have had effect"
            )
        return f"{begin:9.3f} … {end:9.3f}  {self.sender}: {stable_repr(self.message)} -> {stable_repr(self.answer)}"


def linearizable(
    model: Model,
    initial: Any = None,
    *,
    actor: str | Collection[str],
    key: Callable[[Any], Hashable] | None = None,
    most: int = 100_000,
) -> Invariant:
    """The answers of an actor are those that a sequential model gives in some order of the asks.

    What was told counts too, as an operation whose answer nobody knows. So do asks that timed out, were cancelled or
    ended in an error: they may have had their effect, then or later, or not. What an actor sends to itself does not
    count.

    Args:
        model: ``(state, message) -> (next state, answer)``; must change neither.
        initial: the state before the first message.
        actor: the path of the actor, or of several that stand for one, such as the routees of a router.
        key: of a message; messages with different keys must not touch the same state. Much quicker where there are
            many. A message with the key None is left out.
        most: steps of the search after which it is given up; about 1 µs each, and what the model takes.

    Raises:
        TypeError: the model or the key is no function.
        ValueError: an argument makes no sense.

    Raises (the invariant):
        InvariantViolated: there is no such order; shows the smallest key's asks, up to the first that fits none.
        HistoryTooLong: the search was given up.
    """
    if not callable(model):
        raise TypeError(f"a model is a function of a state and a message, not {model!r:.80}")
    given: object = [actor] if isinstance(actor, str) else actor
    paths = frozenset(given if isinstance(given, Collection) else ())
    if not paths or not all(isinstance(path, str) and path for path in paths):
        raise ValueError(f"actor is the path of an actor, or several, not {actor!r:.80}")
    check_function(key, "key", "a message", optional=True)
    if not is_whole(most) or most < 1:
        raise ValueError(f"most is a whole number above 0, not {most!r:.80}")

    def check(trace: Trace) -> None:
        histories = _split(_operations(trace, paths), key)
        wrong: list[tuple[int, str, list[Operation]]] = []
        for name, history in histories.items():
            if not is_linearizable(history, model, initial, most=most):
                least = _least(history, model, initial, most)
                wrong.append((len(least), stable_repr(name), least))
        if wrong:
            _, name, least = min(wrong, key=lambda found: found[:2])
            of = "" if key is None else f" for the key {name}"
            lines = "\n".join(f"  {operation}" for operation in least)
            raise InvariantViolated(
                f"linearizable: the answers of {', '.join(sorted(paths))}{of} fit no order of these asks:\n{lines}"
            )

    names = (Name("linearizable", "actor", path, actors, "there is no actor at all") for path in sorted(paths))
    return Oracle(check, tuple(names))


def _pair(returned: Any, operation: Operation) -> tuple[Any, Any]:
    try:
        following, answer = returned
    except (TypeError, ValueError):
        raise TypeError(
            f"linearizable: the model returns (next state, answer), not {returned!r:.80} for "
            f"{stable_repr(operation.message)}"
        ) from None
    return following, answer


def is_linearizable(history: Collection[Operation], model: Model, initial: Any, *, most: int = 100_000) -> bool:
    """Whether there is an order of the operations in which the model gives each answer that is known.

    Args:
        history: the operations.
        model, initial: as for `linearizable`.
        most: steps of the search after which it is given up.

    Raises:
        HistoryTooLong: it was given up.
    """
    head, ends = _linked(history)
    state = initial
    done = 0
    seen: set[tuple[int, Hashable]] = set()
    taken: list[tuple[_Entry, Any]] = []
    entry = head.next
    steps = 0
    while ends:
        steps += 1
        if steps > most:
            raise HistoryTooLong(
                f"linearizable: not decided within {most} steps for {len(history)} operations; split them with key=, "
                "let fewer overlap, or raise most="
            )
        assert entry is not None  # an end stands behind every beginning that has one
        if entry.is_end:  # everything before it was tried: an operation taken earlier was taken wrongly
            if not taken:
                return False
            entry, state = taken.pop()
            entry.restore()
            done &= ~entry.bit
            ends += entry.end is not None
            entry = entry.next
        else:
            following, answer = _pair(model(state, entry.operation.message), entry.operation)
            fits = not entry.operation.known or bool(answer == entry.operation.answer)
            reached = (done | entry.bit, _frozen(following))
            if fits and reached not in seen:
                seen.add(reached)
                taken.append((entry, state))
                state, done = following, done | entry.bit
                entry.lift()
                ends -= entry.end is not None
                entry = head.next
            else:
                entry = entry.next
    return True


class _Entry:
    """The beginning or the end of an operation, in the list of those not taken yet."""

    __slots__ = ("bit", "end", "is_end", "next", "operation", "previous")

    def __init__(self, operation: Operation, bit: int, is_end: bool) -> None:
        self.operation = operation
        self.bit = bit
        self.is_end = is_end
        self.end: _Entry | None = None
        self.next: _Entry | None = None
        self.previous: _Entry | None = None

    def lift(self) -> None:
        """Take the operation out of the list."""
        _unlink(self)
        if self.end is not None:
            _unlink(self.end)

    def restore(self) -> None:
        """Put it back where it was."""
        if self.end is not None:
            _relink(self.end)
        _relink(self)


def _unlink(entry: _Entry) -> None:
    assert entry.previous is not None
    entry.previous.next = entry.next
    if entry.next is not None:
        entry.next.previous = entry.previous


def _relink(entry: _Entry) -> None:
    assert entry.previous is not None
    entry.previous.next = entry
    if entry.next is not None:
        entry.next.previous = entry


def _linked(history: Collection[Operation]) -> tuple[_Entry, int]:
    """The beginnings and ends in their order, behind a head; and how many ends there are."""
    placed: list[tuple[int, _Entry]] = []
    ends = 0
    for number, operation in enumerate(sorted(history, key=lambda each: each.begin)):
        entry = _Entry(operation, 1 << number, False)
        placed.append((operation.begin, entry))
        if operation.known:
            entry.end = _Entry(operation, 0, True)
            placed.append((operation.end, entry.end))
            ends += 1
    placed.sort(key=lambda found: found[0])
    head = last = _Entry(_NONE, 0, False)
    for _, entry in placed:
        last.next, entry.previous = entry, last
        last = entry
    return head, ends


_NONE = Operation("", "", None, None, False, 0, 0, (0.0, 0.0))


def _operations(trace: Trace, paths: frozenset[str]) -> list[Operation]:
    ends: dict[tuple[Any, int], tuple[int, float, Any]] = {}
    for index, (time, kind, row) in enumerate(trace.rows):
        if kind == "ask_end" and row["actor"] in paths and row.get("how") == "reply":
            ends[row.get("system"), row["id"]] = index, time, row.get("outcome")
    return [
        _operation(index, time, row, ends.get((row.get("system"), row["id"])))
        for index, (time, kind, row) in enumerate(trace.rows)
        if kind in ("ask", "send") and row["actor"] in paths and row.get("sender") != row["actor"]
    ]


def _operation(index: int, time: float, row: dict[str, Any], end: tuple[int, float, Any] | None) -> Operation:
    sender = row.get("sender") or "client"
    if end is None:
        return Operation(sender, row["actor"], row["message"], None, False, index, index, (time, time))
    return Operation(sender, row["actor"], row["message"], end[2], True, index, end[0], (time, end[1]))


def _split(operations: list[Operation], key: Callable[[Any], Hashable] | None) -> dict[Hashable, list[Operation]]:
    histories: dict[Hashable, list[Operation]] = {}
    for operation in operations:
        name = _EVERYTHING if key is None else key(operation.message)
        if name is not None:
            histories.setdefault(name, []).append(operation)
    return histories


def _least(history: list[Operation], model: Model, initial: Any, most: int) -> list[Operation]:
    """The shortest beginning of a history that fits no order: any beginning of one that fits, fits."""
    ends = sorted(operation.end for operation in history if operation.known)
    low, high = 0, len(ends) - 1
    while low < high:
        middle = (low + high) // 2
        if is_linearizable(list(_until(history, ends[middle])), model, initial, most=most):
            low = middle + 1
        else:
            high = middle
    return list(_until(history, ends[low]))


def _until(history: list[Operation], end: int) -> Iterator[Operation]:
    for operation in history:
        if operation.begin > end:
            continue
        if operation.known and operation.end > end:
            begin, at = operation.begin, operation.times[0]
            yield replace(operation, answer=None, known=False, end=begin, times=(at, at))
        else:
            yield operation


def _frozen(state: Any) -> Hashable:
    try:
        hash(state)
    except TypeError:
        return stable_repr(state)
    return state  # type: ignore[no-any-return]

"""A cell is the runtime side of one actor, as plain data: who it is, its mailbox, whether it is scheduled.

The cell outlives the actor object: a restart puts a new actor into the same cell, so refs and queued messages stay.
What is done to a cell are functions, in the room whose concern it is.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from threading import RLock
from typing import Any, Generic, TypeVar

from ..base.behaviour import Behaviour
from ..base.errors import LONGEST
from ..base.lifecycle import Phase
from ..base.restart import History
from ..base.spec import ChildSpec, Mailbox
from ..runtime.driver import Driver
from ..runtime.runtime import Runtime
from .ask import Admission, Ask
from .children import Children

T = TypeVar("T")

IDLE, READY, BUSY, SUSPENDED, CLOSED, DEAD = range(6)
"""Scheduling states. IDLE: nothing to do. READY: in the dispatcher's queue. BUSY: a handler is at work.
SUSPENDED: messages wait (starting, restarting). CLOSED: stopping, takes no more. DEAD: for good."""

_making = RLock()  # a name or a path is asked for in any thread: the details are made once


def _forked() -> None:
    global _making
    _making = RLock()  # another thread of the parent may have held it


os.register_at_fork(after_in_child=_forked)


class _Made(Generic[T]):
    """A collection of an actor's details, made when it is first asked for.

    Not by ``__getattr__``: where a class has one, each attribute of its objects takes 0.11 µs to read, not 0.03.
    """

    __slots__ = ("_kind", "_name", "_slot")

    def __init__(self, kind: Callable[[], T]) -> None:
        self._kind = kind

    def __set_name__(self, owner: type, name: str) -> None:
        self._name, self._slot = name, f"_{name}"

    def __get__(self, details: Details, owner: type | None = None) -> T:
        if self._name not in details.made:
            with _making:
                if self._name not in details.made:
                    setattr(details, self._slot, self._kind())
                    details.made += (self._name,)
        made: T = getattr(details, self._slot)
        return made


class Details:
    """What an actor seldom needs; made when it is first used, which keeps an idle actor small.

    Attributes:
        graceful: whether the stop stood in the mailbox: answers under way are finished first.
        owes_on_stop: whether `on_stop` is still to be called.
        exit_reason: how the incarnation ended, or for a dead actor, why.
        previous: the last incarnation while there is none, for proxies that look at its attributes.
        in_flight: messages of other threads that have a place in the mailbox and have not arrived.
        stashed_by: the handler that has put its message aside, as long as it is at work.
        taken: under a probe, the message that a handler is at work on.
    """

    __slots__ = (
        "_jobs",
        "_on_change",
        "_stopping",
        "_timers",
        "_watched_by",
        "_watching",
        "children",
        "ending",
        "error",
        "exit_reason",
        "graceful",
        "history",
        "in_flight",
        "incarnation",
        "label",
        "made",
        "mailbox",
        "name",
        "owes_on_stop",
        "patience",
        "previous",
        "processed",
        "restart_timer",
        "spec",
        "stash",
        "stashed_by",
        "taken",
        "waiting",
    )

    def __init__(self) -> None:
        self.name: str | None = None
        self.label: str | None = None
        self.spec: ChildSpec | None = None
        self.mailbox: Mailbox | None = None
        self.children: Children[Cell] | None = None
        self.waiting: OrderedDict[Admission, Any] | None = None  # an empty one takes 0.7 kB
        self.stash: deque[Any] | None = None
        self.stashed_by: Any = None
        self.ending: Any = None
        self.error: BaseException | None = None
        self.restart_timer: asyncio.Handle | None = None
        self.patience: Any = None
        self.history: History | None = None
        self.previous: Any = None
        self.incarnation = 1
        self.taken: Any = None
        self.processed = 0
        self.in_flight = 0
        self.graceful = False
        self.owes_on_stop = False
        self.exit_reason = ""
        self.made: tuple[str, ...] = ()

    # Made when they are first asked for: a supervised actor seldom has any of them (empty, they take 0.4 kB).
    jobs: _Made[dict[Driver, None]] = _Made(dict)
    timers: _Made[dict[Any, None]] = _Made(dict)
    watching: _Made[dict[Cell, None]] = _Made(dict)
    watched_by: _Made[dict[Cell, None]] = _Made(dict)
    stopping: _Made[list[Ask]] = _Made(list)
    on_change: _Made[dict[Callable[[], object], None]] = _Made(dict)
    """Called once, when the incarnation has started or ended next, or the actor is dead."""

    def has(self, name: str) -> bool:
        """Whether a collection has anything in it; unlike reading it, this does not make it."""
        return name in self.made and bool(getattr(self, name))

    def holds_anything(self) -> bool:
        """Whether the incarnation has something that must end before it has ended."""
        if self.children or self.patience is not None:
            return True
        return bool(self.made) and (self.has("jobs") or self.has("timers") or self.has("watching"))


class Cell:
    """One actor's place in its system.

    Args:
        runtime: of its system.
        parent: the cell of its parent; None at the top.
        actor_class: the class of its actor, or the factory until that has made one.
    """

    __slots__ = (
        "actor",
        "actor_class",
        "capacity",
        "current",
        "details",
        "driver",
        "parent",
        "phase",
        "queue",
        "ref",
        "runtime",
        "signals",
        "state",
        "waiting_for",
    )

    def __init__(self, runtime: Runtime, parent: Cell | None, actor_class: Any) -> None:
        self.runtime = runtime
        self.parent = parent
        self.actor_class = actor_class
        self.capacity: float = math.inf  # until the actor has been built, which may send itself messages
        self.state = SUSPENDED
        self.phase = Phase.NEW
        self.queue: Any = None
        self.signals: deque[Any] | None = None
        self.actor: Any = None
        self.driver: Driver | None = None
        self.current: Ask | None = None
        self.waiting_for: Ask | Admission | None = None
        self.details: Details | None = None
        self.ref: Any = None

    def more(self) -> Details:
        """The seldom-needed part, made on first use."""
        details = self.details
        if details is None:
            with _making:
                details = self.details
                if details is None:
                    details = self.details = Details()
        return details

    @property
    def name(self) -> str:
        """The actor's name; made from its class, counted by its parent, if none was given."""
        details = self.details
        if details is not None and details.name is not None:
            return details.name
        details = self.more()
        with _making:
            if details.name is None:
                kind = getattr(self.actor_class, "__name__", type(self.actor_class).__name__)  # a factory may have none
                parent = self.parent
                details.name = f"{kind}-1" if parent is None else parent.children.make_name(self, kind)
            return details.name

    @property
    def path(self) -> str:
        """The names from the top-level actor down, joined by slashes."""
        details = self.details
        if details is not None and details.label is not None:
            return details.label
        above: list[Cell] = []
        cell: Cell | None = self
        while cell is not None and (cell.details is None or cell.details.label is None):
            above.append(cell)
            cell = cell.parent
        label = "" if cell is None else cell.path
        for cell in reversed(above):  # a list, not the stack: trees are as deep as they like
            label = f"{label}/{cell.name}" if label else cell.name
            cell.more().label = label
        return label

    label = path

    @property
    def place(self) -> str:
        """The path as texts for people show it: its end only, where the tree is deep."""
        path = self.path
        return path if len(path) <= LONGEST else f"…{path[1 - LONGEST :]}"

    @property
    def shutdown(self) -> float:
        """Seconds this actor may take to stop."""
        details = self.details
        if details is not None and details.spec is not None:
            return details.spec.shutdown
        return self._own("shutdown_timeout")  # type: ignore[no-any-return]

    @property
    def children(self) -> Children[Cell]:
        """The actor's children, with the policy its class sets."""
        details = self.details or self.more()
        children = details.children
        if children is None:
            with _making:
                children = details.children
                if children is None:
                    children = details.children = Children(self._own("supervision"))
        return children

    def _own(self, setting: str) -> Any:
        """What the actor says of itself, or, while there is none, its class."""
        actor = self.actor
        return getattr(self.actor_class if actor is None else actor, setting)

    def run_one(self) -> None:
        """Process one message: a turn as a simulated loop schedules it."""
        self.runtime.run_alone(self)


class Root(Cell):
    """The parent of the top-level actors; the system itself in the tree.

    Args:
        runtime: of the system.
        supervision: how top-level actors with a child spec are restarted.
    """

    __slots__ = ()

    def __init__(self, runtime: Runtime, supervision: Any) -> None:
        super().__init__(runtime, None, Behaviour)
        details = self.more()
        details.name = details.label = ""
        details.children = Children(supervision)


def below(cell: Cell | None) -> list[Cell]:
    """Return the children of a cell, in start order."""
    return [] if cell is None or cell.details is None or not cell.details.children else list(cell.details.children)


def living(root: Cell | None) -> Iterator[Cell]:
    """The cells below one that are alive, each before its own children; without the stack, trees are deep."""
    pending = below(root)
    while pending:
        cell = pending.pop()
        yield cell
        pending.extend(below(cell))


def describe(cell: Cell) -> str:
    """Return an actor's class and path, for logs and errors."""
    kind = cell.actor_class
    return f"{getattr(kind, '__name__', type(kind).__name__)} {cell.place}"

"""How an incarnation begins: the actor object is made, `on_start` runs, the mailbox is served; a restart likewise."""

from __future__ import annotations

from contextvars import ContextVar
from types import CoroutineType
from typing import Any

from ..base.behaviour import Behaviour, behaviour_class, check_settings, has_own_settings
from ..base.errors import SpecError, StartFailed, brief
from ..base.lifecycle import NAMES, Phase, move
from ..base.log import logger_of
from ..mail.cell import IDLE, READY, SUSPENDED, Cell, describe
from ..mail.mailbox import bound, enqueue_first, signal
from ..runtime.driver import Driver
from .crash import crash
from .death import die, tell_changed
from .ending import advance, begin, run_hook

logger = logger_of()

binding: ContextVar[Cell | None] = ContextVar("callboard_binding", default=None)
"""The cell that the next actor to be constructed belongs to, where a factory other than the class itself makes it."""


def build(cell: Cell, factory: Any, args: Any, kwargs: Any) -> None:
    """Make the actor object of a cell.

    Raises:
        SpecError: the factory made no actor.
        Exception: what the factory, or the constructor, raised.
    """
    kind: Any = factory if isinstance(factory, type) else behaviour_class(factory)
    if kind is not None and kind.__new__ is plain_new:
        actor: Any = object.__new__(kind)
        actor._cell = cell
        cell.actor = actor
        cell.actor_class = kind
        actor.__init__(*args, **kwargs)
    else:
        token = binding.set(cell)
        try:
            actor = factory(*args, **kwargs)
        finally:
            binding.reset(token)
        if not isinstance(actor, Behaviour):
            raise SpecError(f"the factory of {cell.place} returned {type(actor).__name__}, which is no callboard Actor")
        before: Cell | None = actor.__dict__.get("_cell")
        if cell.actor is not actor and before is not None and before.parent is not None:  # else it was made just now
            raise SpecError(f"the factory of {cell.place} returned an actor that lives, or has lived: make a new one")
        bind(actor, cell)


def adopt(cell: Cell) -> None:
    """Look at the settings of an actor that has been built, and bound its mailbox as they, or the spawn, say.

    Raises:
        SpecError: a setting is wrong.
    """
    actor = cell.actor
    runtime = cell.runtime
    if cell.actor_class is not runtime.spawned or has_own_settings(actor):
        check_settings(actor)
        runtime.spawned = cell.actor_class
    details = cell.details
    mailbox = None if details is None else details.mailbox
    bound(cell, actor.mailbox_capacity if mailbox is None or mailbox.capacity is None else mailbox.capacity)


def plain_new(cls: Any, *args: Any, **kwargs: Any) -> Any:
    """Make an actor, in the cell that waits for one; `Actor.__new__` of classes that do not define their own."""
    self = object.__new__(cls)
    cell = binding.get()
    if cell is not None:
        binding.set(None)
        bind(self, cell)
    return self


def bind(actor: Any, cell: Cell) -> None:
    """Put an actor into its cell."""
    actor._cell = cell
    cell.actor = actor
    cell.actor_class = type(actor)  # the cell may know only the factory so far


def start(cell: Cell) -> None:
    """Start the incarnation whose actor object is in the cell, and which has the phase ``starting``."""
    if type(cell.actor).on_start is Behaviour.on_start:
        move(cell, "started")
        if cell.details is not None or cell.runtime.events.observed:
            _started(cell)
            if cell.phase != Phase.RUNNING:
                return
        serve(cell)
        return
    # In a turn of its own: whoever starts the actor is on the stack.
    if cell.signals is None:
        cell.state = IDLE
        signal(cell, lambda: _run_on_start(cell))
    else:
        cell.signals.appendleft(lambda: _run_on_start(cell))
        cell.state = READY
        cell.runtime.make_ready(cell)


def serve(cell: Cell) -> None:
    """Have the mailbox of an actor that is up served."""
    if cell.queue or cell.signals:
        cell.state = READY
        cell.runtime.make_ready(cell)
    else:
        cell.state = IDLE


def _started(cell: Cell) -> None:
    """Tell that the incarnation is up."""
    runtime = cell.runtime
    details = cell.details
    if details is not None:
        if details.history is not None:
            details.history.since = runtime.time()
        details.stashed_by = None
        if details.stash:
            stash, details.stash = details.stash, None
            enqueue_first(cell, stash)
    if runtime.events.observed:
        runtime.emit("started", cell.path)
    if details is not None and details.has("on_change"):
        tell_changed(cell)


def _run_on_start(cell: Cell) -> None:
    if cell.phase != Phase.STARTING:
        begin(cell)
        return
    try:
        result = cell.actor.on_start()
    except BaseException as error:
        _after_on_start(cell, error)
        return
    if result.__class__ is CoroutineType:
        cell.state = SUSPENDED
        run_hook(cell, result, _on_start_ended)
    else:
        _after_on_start(cell, None)


def _on_start_ended(driver: Driver, value: Any, error: BaseException | None) -> None:
    cell: Any = driver.cell
    cell.driver = None
    _after_on_start(cell, error)
    if cell.phase == Phase.RUNNING:
        cell.state = READY
        cell.runtime.make_ready(cell)


def _after_on_start(cell: Cell, error: BaseException | None) -> None:
    if cell.phase != Phase.STARTING:  # stopped meanwhile
        details = cell.more()
        details.owes_on_stop = error is None
        if isinstance(error, Exception) and cell.phase != Phase.FAILING:
            logger.error("Unhandled exception in %s:", cell.ref, exc_info=error)
        if details.ending is None:
            begin(cell)
        else:
            advance(cell)
    elif error is not None:
        crash(cell, start_failed(cell, "on_start", error))
    else:
        move(cell, "started")
        _started(cell)


def start_failed(cell: Cell, what: str, error: BaseException) -> StartFailed:
    """Return what says that an actor's factory, or its `on_start`, raised."""
    failed = StartFailed(f"{describe(cell)} could not start: its {what} raised {brief(error)}")
    failed.__cause__ = error
    return failed


def restart(cell: Cell) -> None:
    """Put a new actor into the cell and start it."""
    details = cell.details or cell.more()
    details.restart_timer = None
    if cell.phase != Phase.RESTARTING:
        return
    spec = details.spec
    parent = cell.parent
    assert spec is not None
    assert parent is not None
    if parent.phase > Phase.RUNNING:
        die(cell, f"stopped: its parent is {NAMES[parent.phase]}")
        return
    move(cell, "start")  # before it is built: its constructor may spawn children
    details.incarnation += 1
    details.error = None
    details.exit_reason = ""
    details.owes_on_stop = False
    if details.children is not None:
        details.children.intensity = None  # this incarnation's children begin with a clean record
    try:
        # In nobody's context: neither of who killed it nor of the handler that crashed.
        cell.runtime.base_context.copy().run(build, cell, spec.factory, spec.args, spec.kwargs)
        adopt(cell)
    except BaseException as error:
        cell.actor = None  # half made: it has no hooks to call
        details.previous = None
        crash(cell, start_failed(cell, "factory", error))
        return
    details.previous = None
    if cell.runtime.observer is not None:
        cell.runtime.observer.restarted(cell)
    if cell.runtime.events.observed:
        cell.runtime.emit("restarted", cell.path, f"incarnation {details.incarnation}")
    if cell.phase == Phase.STARTING:
        start(cell)

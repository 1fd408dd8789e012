"""A new actor: its cell, its ref, its place among its siblings; built on its own loop's thread."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar, overload

from .base.behaviour import Behaviour, behaviour_class, check_settings, has_own_settings
from .base.errors import ActorDead, AskTimeout, BlockingCall, ReplyAlreadySet, SpecError, SystemClosed, brief
from .base.lifecycle import Phase, move
from .base.registry import register
from .base.spec import ChildSpec, Mailbox, check_mailbox, check_name
from .life.death import bury, die, discard
from .life.starting import adopt, build, plain_new, serve, start, start_failed
from .mail.cell import SUSPENDED, Cell
from .mail.future import Future
from .refs.ref import ActorRef
from .runtime.runtime import Runtime

P = ParamSpec("P")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
A = TypeVar("A", bound=Behaviour[Any])
_new: Any = object.__new__

LOOP_WAITS: Final = 10.0
"""Seconds that another event loop may stand still while an actor is built for it."""


class Spawns:
    """What starts actors: a system at the top level, an actor its children. The types of their ``spawn``, once."""

    if TYPE_CHECKING:
        # A ParamSpec leaves no room for a keyword of ours: with `name` the first three arguments are checked.

        @overload
        def spawn(
            self, what: ChildSpec[A], /, *, name: str | None = None, mailbox: Mailbox | None = None
        ) -> ActorRef[A]: ...

        @overload
        def spawn(self, what: Callable[P, A], /, *args: P.args, **kwargs: P.kwargs) -> ActorRef[A]: ...

        @overload  # mypy takes any keyword for one of P's; it comes here nevertheless
        def spawn(  # type: ignore[overload-cannot-match]
            self, what: Callable[..., A], /, *, name: str | None, mailbox: Mailbox | None = None, **kwargs: Any
        ) -> ActorRef[A]: ...

        @overload
        def spawn(
            self,
            what: Callable[Concatenate[T1, P], A],
            arg1: T1,
            /,
            *,
            name: str | None,
            mailbox: Mailbox | None = None,
            **kwargs: Any,
        ) -> ActorRef[A]: ...

        @overload
        def spawn(
            self,
            what: Callable[Concatenate[T1, T2, P], A],
            arg1: T1,
            arg2: T2,
            /,
            *,
            name: str | None,
            mailbox: Mailbox | None = None,
            **kwargs: Any,
        ) -> ActorRef[A]: ...

        @overload
        def spawn(
            self,
            what: Callable[Concatenate[T1, T2, T3, P], A],
            arg1: T1,
            arg2: T2,
            arg3: T3,
            /,
            *args: Any,
            name: str | None,
            mailbox: Mailbox | None = None,
            **kwargs: Any,
        ) -> ActorRef[A]: ...

        @overload
        def spawn(  # type: ignore[overload-cannot-match]
            self, what: Callable[..., A], /, *args: Any, name: str | None = None, mailbox: Mailbox | None, **kwargs: Any
        ) -> ActorRef[A]: ...

        def spawn(
            self, what: Any, /, *args: Any, name: Any = None, mailbox: Any = None, **kwargs: Any
        ) -> ActorRef[Any]:
            """Start an actor. It is not restarted when it crashes, unless ``what`` is a child spec.

            From another thread than the loop's, this waits there until the actor has been built on the loop's.

            Args:
                what: an actor class, called with the further arguments, or a child spec.
                name: unique among the siblings; made from the class where it is left out.
                mailbox: how its mailbox is bounded, where its class should not say.

            Raises:
                SpecError: a sibling has that name, or the class's settings are wrong.
                StartFailed: the factory of a child spec raised.
                ActorDead: the actor whose child it were is stopping.
                SystemClosed: the system does not run.
            """


def spawn(
    runtime: Runtime,
    parent: Cell,
    what: Any,
    args: tuple[Any, ...],
    name: str | None,
    mailbox: Mailbox | None,
    kwargs: Any,
) -> ActorRef[Any]:
    """Start a child of ``parent``.

    Args:
        runtime: of the system.
        parent: the cell of the parent.
        what: an actor class, or a child spec.
        args, kwargs: for the constructor.
        name: unique among the siblings, or None.
        mailbox: how the mailbox is bounded, or None.

    Raises:
        SpecError: ``what`` is neither, or the name is taken, or a setting is wrong.
        StartFailed: the factory of a child spec raised.
        ActorDead: the parent is stopping.
        SystemClosed: the system does not run.
        Exception: what the constructor of an actor class raised.
    """
    here = get_ident() == runtime.home
    if here and not runtime.loop.is_running():
        runtime.check_reachable()
    plain = here and name is None and mailbox is None and isinstance(what, type) and _is_plain(what)
    if plain and parent.phase <= Phase.RUNNING:
        return _spawn_plain(runtime, parent, what, args, kwargs)
    if runtime.loop is None or (parent is runtime.root and runtime.closing):
        raise SystemClosed(f"{runtime!r} does not run: actors start inside `async with System()`")
    if not here:
        runtime.check_reachable()
    cell = _place(runtime, parent, what, name, mailbox)
    if cell.details is not None and cell.details.spec is not None:
        args, kwargs = cell.details.spec.args, cell.details.spec.kwargs
    if here or runtime.owns_this_thread():
        _construct(cell, args, kwargs)
    else:
        _construct_there(cell, args, kwargs)
    ref: ActorRef[Any] = cell.ref
    return ref


def _place(runtime: Runtime, parent: Cell, what: Any, name: str | None, mailbox: Mailbox | None) -> Cell:
    """Make a cell and give it its place, so that from now on the name is taken."""
    spec: ChildSpec[Any] | None = None
    if what.__class__ is ChildSpec:
        spec = what
        factory: Any = spec.factory
        name = spec.name if name is None else name
        mailbox = spec.mailbox if mailbox is None else mailbox
    else:
        factory = behaviour_class(what)
        if factory is None:
            raise SpecError(f"{brief(what)} is neither an Actor class nor a ChildSpec")
    check_name(name)
    check_mailbox(mailbox)
    if parent.phase > Phase.RUNNING:
        raise ActorDead(f"{parent.place} is stopping and takes no more children")
    cell = Cell(runtime, parent, factory)
    cell.ref = ActorRef(cell)
    if name is not None or spec is not None or mailbox is not None:
        details = cell.more()
        details.name = name
        details.spec = spec
        details.mailbox = mailbox
    parent.children.add(cell, name)
    return cell


def _construct(cell: Cell, args: Any, kwargs: Any) -> None:
    """Build the actor of a new cell and start it, on the loop's thread; or take the cell back."""
    runtime = cell.runtime
    parent = cell.parent
    assert parent is not None
    if parent.phase > Phase.RUNNING:  # since it was asked for in another thread
        _take_back(cell)
        raise ActorDead(f"{parent.place or runtime.name} is stopping and takes no more children")
    details = cell.details
    spec = None if details is None else details.spec
    try:
        build(cell, cell.actor_class if spec is None else spec.factory, args, kwargs)
    except BaseException as error:
        _take_back(cell)
        if spec is None or not isinstance(error, Exception):
            raise
        raise start_failed(cell, "factory", error) from error
    try:
        adopt(cell)
    except SpecError:
        _take_back(cell)
        raise
    register(cell.ref)
    if runtime.probe is not None:
        runtime.probe.event("spawn", actor=cell.path, parent=parent.path)
    if cell.phase == Phase.NEW:
        move(cell, "start")
        start(cell)


def _take_back(cell: Cell) -> None:
    discard(cell)
    die(cell, "not started")


def _construct_there(cell: Cell, args: Any, kwargs: Any) -> None:
    """Have the actor built by the loop's thread, in the caller's context, and wait for that in this one.

    Raises:
        BlockingCall: this is the thread of another event loop, and it took too long: two systems whose actors spawn
            into each other wait for each other.
    """
    built: Future[None] = Future()
    context = contextvars.copy_context()
    for variable, value in cell.runtime.base_context.items():
        if variable.name.startswith("callboard_"):  # whose system and handler this is, not the caller's
            context.run(variable.set, value)

    def construct() -> None:
        if built.done():  # who spawned it has given up
            _take_back(cell)
            return
        try:
            context.run(_construct, cell, args, kwargs)
        except BaseException as error:
            with contextlib.suppress(ReplyAlreadySet):
                built.set_exception(error)
            return
        try:
            built.set(None)
        except ReplyAlreadySet:  # given up while it was built: nobody has its ref
            bury(cell)

    try:
        cell.runtime.post(construct)
    except BaseException:
        _take_back(cell)
        raise
    if asyncio._get_running_loop() is None:
        built.get()
        return
    try:
        built.get(timeout=LOOP_WAITS)
    except AskTimeout:
        if not built.cancel():
            return  # just in time
        raise BlockingCall(
            f"{cell.place} was not built within {LOOP_WAITS} s, and this thread's event loop stood still for it: "
            "from another loop, spawn by `await asyncio.to_thread(system.spawn, …)`"
        ) from None


# -- the usual case, in one piece --------------------------------------------------------------------------------------


def _is_plain(kind: type[Any]) -> bool:
    """Whether a class's actors need nothing of `_place` and `build`: a callboard actor without `on_start` or
    ``__new__`` of its own.
    """
    return kind.__new__ is plain_new and kind.on_start is Behaviour.on_start


def _spawn_plain(runtime: Runtime, parent: Cell, kind: Any, args: Any, kwargs: Any) -> ActorRef[Any]:
    """Start a child without spec, name or `on_start`, on the loop's thread: what takes 1.9 times a bare coroutine's
    start here takes 3.1 times through `_place`, `_construct` and `start`.
    """
    cell: Cell = _new(Cell)
    ref: ActorRef[Any] = _new(ActorRef)
    ref._cell = cell
    cell.ref = ref
    cell.runtime = runtime
    cell.parent = parent
    cell.actor_class = kind
    cell.capacity = kind.mailbox_capacity
    cell.state = SUSPENDED
    cell.phase = Phase.NEW
    cell.queue = cell.signals = cell.driver = cell.current = cell.waiting_for = cell.details = None
    cell.actor = actor = _new(kind)
    actor._cell = cell
    details = parent.details
    siblings = parent.children if details is None or details.children is None else details.children
    siblings.add(cell, None)
    if args or kwargs or kind is not runtime.spawned or kind.__init__ is not Behaviour.__init__:
        try:
            actor.__init__(*args, **kwargs)
            if kind is not runtime.spawned or has_own_settings(actor):
                check_settings(actor)
                cell.capacity = actor.mailbox_capacity
        except BaseException:
            _take_back(cell)
            raise
        runtime.spawned = kind
    register(ref)
    if cell.details is not None or runtime.events.observed:
        if cell.phase == Phase.NEW:
            move(cell, "start")
            start(cell)
        return ref
    cell.phase = Phase.RUNNING  # new, starting, running in one step: nothing comes between
    serve(cell)
    return ref

"""The state of one conversation's prompt while it lives: what is committed, and what calls under way have set.

A setter belongs to the cells whose prompt function made it; what it sets goes to the queue of the *scope* that it is
called in: a tool call, or (with the name "") the effects of a step. A scope's queue becomes the conversation's in one
piece, when the scope is taken, on top of whatever was committed meanwhile; one that is dropped has set nothing. So it
is within a scope for each call of a tool, which may fail while the scope goes on. Which scope a code runs in is a
context variable, so it also holds in the threads and tasks that a call starts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextvars import Token
from types import TracebackType
from typing import Any, Final, Generic, TypeVar

from .....tools.calls.changes import Changes, changes
from ...errors import PromptError
from ...turns.records import PromptChanged
from .serializing import ANY, SCALARS, Kind, NotPlain, is_same, with_texts

T = TypeVar("T")

_MISSING: Final = object()
_MIGRATE: Final = (
    "this conversation keeps an older form: give what is new a default, or let the type take the old form (a validator "
    "with mode='before'), or use another key"
)
RENDER: Final = ""
"""The scope of a step's effects."""


class _Queue:
    """What a scope has done to one value.

    Attributes:
        base: the committed value that `value` was worked out from.
        steps: what was set, in order: plain data in a tuple, or a function.
        value: what it comes to, as plain data.
    """

    __slots__ = ("base", "kind", "steps", "value")

    def __init__(self, base: Any, kind: Kind, value: Any) -> None:
        self.base = base
        self.kind = kind
        self.steps: list[tuple[Any] | Callable[[Any], Any]] = []
        self.value = value


class _Scope:
    """Where setters set, under `Changes`.

    Attributes:
        outer: the scope that this one becomes a part of when it is kept.
    """

    __slots__ = ("cells", "effects", "name", "outer", "over", "queues")

    def __init__(self, cells: Cells, name: str | None, outer: _Scope | None = None) -> None:
        self.cells = cells
        self.name = name
        self.outer = outer
        self.queues: dict[str, _Queue] = {}
        self.effects: dict[str, str | None] = {}
        self.over = False

    @property
    def is_over(self) -> bool:
        return self.over or (self.outer is not None and self.outer.is_over)

    def attempt(self) -> _Scope:
        return _Scope(self.cells, self.name, self)

    def keep(self) -> None:
        self.cells.keep(self)

    def undo(self) -> None:
        self.over = True


class _Open:
    """In its block, what setters set goes to a scope."""

    __slots__ = ("_scope", "_token")

    def __init__(self, scope: _Scope) -> None:
        self._scope = scope

    def __enter__(self) -> None:
        self._token: Token[Changes | None] = changes.set(self._scope)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        changes.reset(self._token)


class StateSetter(Generic[T]):
    """Sets one state of a conversation; what `Prompt.state` returns beside the value."""

    __slots__ = ("_cells", "_key", "first", "kind")

    def __init__(self, cells: Cells, key: str, kind: Kind, first: Any) -> None:
        self._cells = cells
        self._key = key
        self.kind = kind
        self.first = first

    def __repr__(self) -> str:
        return f"<setter of {self._key!r}>"

    def __call__(self, value: T | Callable[[T], T]) -> T:
        """Set a new value: it counts for the call at once, and for the conversation with the call's result.

        Args:
            value: it, or a pure function of the value before; it may be called more than once.

        Returns:
            The new value.

        Raises:
            PromptError: not here, not now, or not this value.
        """
        new: T = self._cells.set(self._key, self.kind, self.first, value)
        return new


class Cells:
    """The live state of one conversation's prompt; from any thread.

    Args:
        state: what the conversation keeps, as plain data.
        effects: for each effect that ran, what it depended on, as JSON.

    Attributes:
        state: what is committed, as plain data; never changed in place.
        effects: the same of the effects.
        last: what the last render has left for the next one, which takes over what stays the same.
        name: the prompt function's, for errors.
    """

    __slots__ = (
        "_handed",
        "_lock",
        "_rendering",
        "_scopes",
        "_setters",
        "_updating",
        "effects",
        "last",
        "name",
        "state",
    )

    def __init__(self, state: Mapping[str, Any], effects: Mapping[str, str]) -> None:
        self.state: Mapping[str, Any] = dict(state)
        self.effects: Mapping[str, str] = dict(effects)
        self._lock = threading.RLock()  # a function of the value before is called within
        self._scopes: dict[str, _Scope] = {}
        self._rendering = _Scope(self, None)
        self._handed: dict[str, tuple[Kind, Any, Any]] = {}
        self.last: Any = None
        self._setters: dict[str, StateSetter[Any]] = {}
        self._updating = ""
        self.name = ""

    # -- scopes --------------------------------------------------------------------------------------------------------

    def open(self, scope: str) -> _Open:
        """A block in which setters set for a scope; it may be entered again until it is taken or dropped.

        Args:
            scope: a call's id, or `RENDER`.
        """
        with self._lock:
            return _Open(self._scope(scope))

    def begin(self) -> Token[Changes | None]:
        """The prompt function runs from here on, and nothing can be set, until `changes` is reset by what is returned.
        A block of `open` takes 0.3 µs more."""
        return changes.set(self._rendering)

    def take(self, scope: str, blot: Callable[[str], str] | None = None) -> PromptChanged | None:
        """Commit what was set in a scope, on top of all that was committed before; the scope is over.

        Args:
            scope: it.
            blot: takes out of a text what no journal and no model may see.

        Returns:
            What has changed; None if nothing has.

        Raises:
            Exception: what a function of the value before raised, now that it was called anew; nothing is committed.
            PromptError: a value does not fit its type without what was blotted out; nothing is committed.
        """
        if scope not in self._scopes:
            return None
        with self._lock:
            taken = self._scopes.pop(scope, None)
            if taken is None:
                return None
            taken.over = True
            state: dict[str, Any] = {}
            initial: dict[str, Any] = {}
            for key, queue in taken.queues.items():
                before = self.state.get(key, _MISSING)
                value = queue.value if before is queue.base else self._folded(key, queue, before)
                if blot is not None:
                    value = self._blotted(key, queue.kind, value, blot)
                if before is _MISSING or not is_same(value, before):
                    state[key] = value
                    given = queue.steps[0]
                    if scope == RENDER and before is _MISSING and len(queue.steps) > 1 and isinstance(given, tuple):
                        initial[key] = given[0] if blot is None else with_texts(given[0], blot)
            if state:
                self.state = {**self.state, **state}
            effects = taken.effects
            if effects:
                left = {**self.effects, **effects}
                self.effects = {name: on for name, on in left.items() if on is not None}
            return PromptChanged(state, effects, initial) if state or effects else None

    def drop(self, scope: str) -> None:
        """Forget what was set in a scope; it is over."""
        if scope not in self._scopes:
            return
        with self._lock:
            dropped = self._scopes.pop(scope, None)
            if dropped is not None:
                dropped.over = True

    def keep(self, scope: _Scope) -> None:
        """Make what was set in a scope a part of the one around it, on top of what that has set meanwhile.

        Raises:
            Exception: as `take`.
        """
        with self._lock:
            outer, over = scope.outer, scope.is_over
            scope.over = True
            if outer is None or over or not scope.queues:
                return
            kept: dict[str, _Queue] = {}
            for key, queue in scope.queues.items():
                before = outer.queues.get(key)
                if before is None:
                    kept[key] = queue
                    continue
                value = queue.value if before.value is queue.base else self._folded(key, queue, before.value)
                kept[key] = both = _Queue(before.base, before.kind, value)
                both.steps = [*before.steps, *queue.steps]
            outer.queues.update(kept)

    # -- reading and setting -------------------------------------------------------------------------------------------

    def read(
        self, key: str, kind: Kind, initial: Any, before: Mapping[str, Any] | None = None
    ) -> tuple[Any, StateSetter[Any]]:
        """The value of a state for the prompt function, and what sets it.

        Args:
            key: whose.
            kind: how its values are kept.
            initial: the first value, which is set with the effects of the step where there is none.
            before: the state to read from in place of what is committed; nothing is set then.

        Raises:
            NotPlain: the initial value is no plain data, or what was kept does not fit.
        """
        plain = (self.state if before is None else before).get(key, _MISSING)
        setter = self._setters.get(key)  # it is the same from step to step
        if type(plain) in SCALARS and setter is not None and setter.kind is kind is ANY and setter.first is _MISSING:
            return plain, setter
        first = _MISSING
        if plain is _MISSING:
            plain = first = kind.plain(initial)
            if before is None:
                queue = self._queue(self._scope(RENDER), key, kind, first)
                queue.steps.append((first,))
        try:
            value = kind.restored(plain)
        except NotPlain as wrong:
            if first is not _MISSING:
                raise
            raise NotPlain(f"{wrong}; {_MIGRATE}") from wrong
        if value is not plain:
            self._handed[key] = (kind, value, plain)
        if setter is None or setter.kind is not kind or setter.first is not first:
            setter = self._setters[key] = StateSetter(self, key, kind, first)
        return value, setter

    def check_untouched(self) -> None:
        """Look at what the last render was given.

        Raises:
            PromptError: something of it was changed in place.
        """
        handed = self._handed
        if not handed:
            return
        self._handed = {}
        for key, (kind, value, plain) in handed.items():
            if not kind.is_untouched(value, plain):
                raise PromptError(f"{self.name}: {_in_place(key)}")

    def set(self, key: str, kind: Kind, first: Any, given: Any) -> Any:
        """Set a state in the scope that this code runs in; see `StateSetter`."""
        scope = changes.get()
        if not isinstance(scope, _Scope):
            raise PromptError(f"{self.name}: {_elsewhere(key, None, self)}")
        if scope.cells is not self or scope.name is None or scope.is_over:
            raise PromptError(f"{self.name}: {_elsewhere(key, scope, self)}")
        handed = self._handed.get(key)
        if handed is not None and given is handed[1] and not handed[0].is_untouched(*handed[1:]):
            raise PromptError(f"{self.name}: {_in_place(key)}")
        with self._lock:
            if self._updating:
                raise PromptError(
                    f"{self.name}: the function that sets {self._updating!r} calls the setter of {key!r}: it must be a "
                    "pure function of the value before, for it may be called more than once"
                )
            if scope.is_over:
                raise PromptError(f"{self.name}: {_elsewhere(key, scope, self)}")
            try:
                queue = self._queue(scope, key, kind, first)
                if callable(given):
                    queue.value = self._updated(key, kind, given, queue.value)
                    queue.steps.append(given)
                else:
                    queue.value = kind.plain(given)
                    queue.steps.append((queue.value,))
                return kind.restored(queue.value)
            except NotPlain as wrong:
                raise PromptError(f"{self.name}: state {key!r}: {wrong}") from wrong

    # -- effects -------------------------------------------------------------------------------------------------------

    def effect_ran(self, identity: str, dependencies: str | None) -> None:
        """Note what an effect of this step depended on; None to forget it."""
        with self._lock:
            self._scope(RENDER).effects[identity] = dependencies

    # -- within --------------------------------------------------------------------------------------------------------

    def _scope(self, name: str) -> _Scope:
        found = self._scopes.get(name)
        if found is None:
            found = self._scopes[name] = _Scope(self, name)
        return found

    def _queue(self, scope: _Scope, key: str, kind: Kind, first: Any) -> _Queue:
        queue = scope.queues.get(key)
        if queue is None:
            around = scope.outer
            while around is not None and key not in around.queues:
                around = around.outer
            base = self.state.get(key, _MISSING) if around is None else around.queues[key].value
            queue = scope.queues[key] = _Queue(base, kind, first if base is _MISSING else base)
        return queue

    def _updated(self, key: str, kind: Kind, function: Callable[[Any], Any], before: Any) -> Any:
        self._updating = key
        try:
            return kind.plain(function(kind.restored(before)))
        finally:
            self._updating = ""

    def _blotted(self, key: str, kind: Kind, value: Any, blot: Callable[[str], str]) -> Any:
        blotted = with_texts(value, blot)
        if blotted is not value:
            try:
                kind.restored(blotted)
            except NotPlain as wrong:
                raise PromptError(
                    f"{self.name}: state {key!r} holds a credential, which no state keeps, and does not fit its type "
                    "without: keep what the credential is called, and ask for it where it is used"
                ) from wrong
        return blotted

    def _folded(self, key: str, queue: _Queue, before: Any) -> Any:
        """What a queue comes to on top of another value than it began with."""
        value = before
        for step in queue.steps:
            value = step[0] if isinstance(step, tuple) else self._updated(key, queue.kind, step, value)
        return value


def _in_place(key: str) -> str:
    return (
        f"the value of the state {key!r} was changed in place, which nobody notices: call its setter with a new value"
    )


def _elsewhere(key: str, scope: _Scope | None, cells: Cells) -> str:
    if scope is None:
        where = "outside of a tool call and an effect: call it in a tool or an effect of the same prompt"
    elif scope.cells is not cells:
        where = (
            "in another run, such as a sub-agent's: return the value there, and set it in on_success of prompt.agent"
        )
    elif scope.name is None:
        where = "while the prompt function runs: call it in a tool or an effect"
    else:
        where = "after its call had ended: set what is to be kept before the tool or effect returns"
    return f"the setter of the state {key!r} was called {where}"

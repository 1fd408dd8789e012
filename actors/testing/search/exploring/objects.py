"""Which objects the steps of a run can reach that may change, by number, and which of them each step has changed."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from operator import is_not
from typing import Any

from ...schedules.reduction import Step
from .reach import Change, change_of, contents, reachable


@dataclass(slots=True)
class _Known:
    """An object that steps can reach.

    Args:
        number: what it is called, in each run.
        value: itself, which is kept alive, for it is known by its id.
        change: how one knows that it has changed.
        held: what it held when it was last looked at.
    """

    number: int
    value: Any
    change: Change
    held: list[Any]


class Objects:
    """What tasks and actors can reach: what hangs on them, and what they have sent, been sent or been answered.

    An object has a number before anybody makes a step that reaches it: the same in each run in which that step could
    come now. So what a step has made is looked at when it is over, wherever it hung it.
    """

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}
        self._scans: dict[int, tuple[Any, dict[int, Any]]] = {}
        self._all = True
        self._sent: dict[int, dict[int, Any]] = {}
        self._held: dict[str, dict[int, Any]] = {}
        self._reached: dict[int, Any] = {}

    def number(self, value: Any) -> int | None:
        """Return the number of an object, if it has one."""
        known = self._known.get(id(value))
        return None if known is None else known.number

    def knows(self, owner: Any) -> bool:
        """Whether it is known what an actor or a task can reach."""
        return id(owner) in self._scans

    def scan(self, owner: Any, *roots: Any) -> None:
        """Look anew what an actor or a task can reach.

        Args:
            roots: where to begin: the actor itself, or the task, its coroutine and its context variables.
        """
        self._scans[id(owner)] = owner, self._numbered(roots)

    def touch(self, step: Step, name: str, owner: Any, *roots: Any) -> None:
        """Note what a step may look at; whether it has changed any of it is seen when it is over.

        Args:
            name: of its actor or task.
            owner, roots: as for `scan`.
        """
        if not self.knows(owner):
            self.scan(owner, *roots)
        self._reach(step, self._scans[id(owner)][1] | self._held.get(name, {}))
        if not self._all:  # somebody reaches more than is looked at, perhaps this very thing
            step.alone = True

    def sent(self, step: Step, id: int, sender: str, message: Any) -> None:
        """The step sends a message: what is in it, both can reach from now on."""
        objects = self._numbered([message])
        if objects:
            self._sent[id] = objects
            self._hold(step, sender, objects)

    def received(self, step: Step, id: int, receiver: str) -> None:
        """The step begins to process a message."""
        objects = self._sent.get(id)
        if objects:
            self._hold(step, receiver, objects)

    def answered(self, step: Step, by: str, asker: str, value: Any) -> None:
        """The step answers an ask."""
        objects = self._numbered([value])
        if objects:
            self._hold(step, by, objects)
            self._held.setdefault(asker, {}).update(objects)

    def end(self, step: Step) -> None:
        """The step is over."""
        # What may touch everything may have changed what nobody was seen to reach.
        reached = [known.value for known in self._known.values()] if step.alone else list(self._reached.values())
        for value in reached:
            known = self._known[id(value)]
            now = contents(value)
            if len(now) != len(known.held) or any(map(is_not, now, known.held)):
                known.held = now
                if known.change != "told":
                    step.writes.add(("object", known.number))
                self._hang(id(value), now)
        self._reached = {}

    def _hang(self, key: int, held: list[Any]) -> None:
        """Let all who reach an object reach what it holds now."""
        objects = self._numbered(held)
        if not objects:
            return
        for reached in (*(objects for _, objects in self._scans.values()), *self._held.values(), *self._sent.values()):
            if key in reached:
                reached.update(objects)

    def _hold(self, step: Step, name: str, objects: dict[int, Any]) -> None:
        self._held.setdefault(name, {}).update(objects)
        self._reach(step, self._reached | objects)

    def _reach(self, step: Step, objects: dict[int, Any]) -> None:
        self._reached = objects
        reach: list[Hashable] = []
        for key in objects:
            known = self._known[key]
            if known.change == "seen":
                reach.append(("object", known.number))
            elif known.change == "hidden":
                step.writes.add(("object", known.number))
        step.reach = frozenset(reach)

    def _numbered(self, roots: Any) -> dict[int, Any]:
        objects, whole = reachable(roots)
        self._all = self._all and whole
        for key, value in objects.items():
            if key not in self._known:
                self._known[key] = _Known(len(self._known), value, change_of(value), contents(value))
        return objects

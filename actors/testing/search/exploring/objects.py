"""Which objects the steps of a run can reach that may change, by number, and which of them each step has changed."""

from __future__ import annotations

from collections.abc import Hashable
from operator import is_not
from typing import Any

from ...schedules.reduction import Step
from .reach import contents, reachable


class Objects:
    """What tasks and actors can reach: what hangs on them, and what they have sent, been sent or been answered.

    An object has a number before anybody makes a step that reaches it: the same in each run in which that step could
    come now.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, Any, list[Any]]] = {}
        self._scans: dict[int, tuple[Any, dict[int, Any]]] = {}
        self._all = True
        self._sent: dict[int, dict[int, Any]] = {}
        self._held: dict[str, dict[int, Any]] = {}
        self._reached: dict[int, Any] = {}

    def number(self, value: Any) -> int | None:
        """Return the number of an object, if it has one."""
        known = self._known.get(id(value))
        return None if known is None else known[0]

    def knows(self, owner: Any) -> bool:
        """Whether it is known what an actor or a task can reach."""
        return id(owner) in self._scans

    def scan(self, owner: Any, root: Any) -> None:
        """Look anew what an actor or a task can reach.

        Args:
            root: its attributes, or its coroutine.
        """
        self._scans[id(owner)] = owner, self._numbered(root)

    def touch(self, step: Step, name: str, owner: Any, root: Any) -> None:
        """Note what a step may look at; whether it has changed any of it is seen when it is over.

        Args:
            name: of its actor or task.
            owner, root: as for `scan`.
        """
        if not self.knows(owner):
            self.scan(owner, root)
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
        for key, value in self._reached.items():
            number, _, before = self._known[key]
            now = contents(value)
            if len(now) != len(before) or any(map(is_not, now, before)):
                step.writes.add(("object", number))
                self._known[key] = (number, value, now)
        self._reached = {}

    def _hold(self, step: Step, name: str, objects: dict[int, Any]) -> None:
        self._held.setdefault(name, {}).update(objects)
        self._reach(step, self._reached | objects)

    def _reach(self, step: Step, objects: dict[int, Any]) -> None:
        self._reached = objects
        step.reach = frozenset[Hashable](("object", self._known[key][0]) for key in objects)

    def _numbered(self, root: Any) -> dict[int, Any]:
        objects, whole = reachable([root])
        self._all = self._all and whole
        for key, value in objects.items():
            if key not in self._known:
                self._known[key] = (len(self._known), value, contents(value))
        return objects

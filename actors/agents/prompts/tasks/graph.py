"""A graph of tasks as a value: what depends on what, what is ready, and what came out. No I/O, no clock.

It has no cycle, links stand at both of their ends, and nothing is past pending that depends on something open,
whatever is done with it: what would break that is refused with a `TaskError` and changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Final

from .....tools.errors import TaskError
from .given import Several, listed_tasks
from .links import Links, as_path, both_ways, cycle_of, one_sided
from .status import (
    MARKS,
    STATUSES,
    Status,
    capabilities_of,
    check_agent,
    check_move,
    check_named,
    in_a_line,
    listed,
    overview,
    plain,
    unknown,
)

EXAMPLE: Final = '[NewTask(id="a", title="draw")]'
_RANKS: Mapping[str, int] = {"failed": 0, "in_progress": 1, "ready": 2, "blocked": 3, "completed": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A task as it is put into a graph.

    Args:
        id: its name in the graph: letters, digits, _ . : / and -, at most 64.
        title: what is to be done, in a line.
        description: all that one must know to do it.
        dependencies: ids of the tasks that must be completed before it.
        unblocks: ids of the tasks that must wait for it; the same links as dependencies, told from the other end.
        required_capabilities: what whoever works on it must be capable of.
        assigned_agent: who alone may work on it; empty for anybody who is capable.
        input_context: what it starts from. Results of the tasks it depends on are added to it.
    """

    # A misspelled field must not be passed over: a task without its dependencies would be ready at once.
    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "coerce_numbers_to_str": True}

    id: str
    title: str
    description: str = ""
    dependencies: tuple[str, ...] = ()
    unblocks: tuple[str, ...] = ()
    required_capabilities: tuple[str, ...] = ()
    assigned_agent: str = ""
    input_context: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphTask(NewTask):
    """A task of a graph, how far it is and what came out of it.

    Args:
        status: how far it is.
        output_result: what came out of it, as plain data; of a failed one, why.
    """

    status: Status = "pending"
    output_result: Any = None


@dataclass(frozen=True)
class TaskGraphState:
    """Tasks and what they depend on. It does not change: what changes a task returns another graph.

    Args:
        tasks: those in it, in order, with links at both ends; `generate` makes them from what somebody wrote.

    Raises:
        TaskError: they do not fit together.
    """

    tasks: tuple[GraphTask, ...] = ()

    def __post_init__(self) -> None:
        for task in self.tasks:
            check_named(task.id, task.title)
        if len(self._places) != len(self.tasks):
            raise TaskError(
                f"given twice: {listed(_twice(task.id for task in self.tasks))}; each task needs its own id"
            )
        _check_known(self.tasks, self._places)
        down, up = _links(self.tasks)
        if wrong := one_sided(down, up):
            raise TaskError(f"task {wrong!r}: a link stands at one of its ends only, or twice; use `generate`")
        _check_no_cycle(down, up)
        for task in self.tasks:
            if task.status not in STATUSES:
                raise TaskError(f"task {task.id!r}: there is no status {task.status!r:.80}; use {', '.join(STATUSES)}")
            if task.status != "pending" and (waits := self.waits_for(task.id)):
                raise TaskError(f"task {task.id!r} is {task.status}, but depends on open ones: {listed(waits)}")

    @cached_property
    def _places(self) -> dict[str, int]:
        return {task.id: at for at, task in enumerate(self.tasks)}

    def __iter__(self) -> Iterator[GraphTask]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._places

    def __getitem__(self, task_id: str) -> GraphTask:
        try:
            return self.tasks[self._places[task_id]]
        except (KeyError, TypeError):
            raise unknown(task_id, self._places) from None

    def __str__(self) -> str:
        return self.text(len(self.tasks))

    # What is there

    def waits_for(self, task_id: str) -> list[str]:
        """The ids of what a task depends on that is not completed."""
        return [need for need in self[task_id].dependencies if self[need].status != "completed"]

    def ready(self, capabilities: Collection[str] | None = None) -> list[GraphTask]:
        """The pending tasks that can be started now, in order.

        Args:
            capabilities: leaves out what requires others than these; None: all.

        Raises:
            TaskError: they are not several texts.
        """
        able = None if capabilities is None else capabilities_of(capabilities)
        return [
            task
            for task in self.tasks
            if task.status == "pending"
            and (able is None or able.issuperset(task.required_capabilities))
            and not self.waits_for(task.id)
        ]

    def unblocked_by(self, task_id: str) -> list[GraphTask]:
        """The pending tasks that wait for nothing, and depended on this one, which is completed."""
        task = self[task_id]
        if task.status != "completed":
            return []
        freed = (self[unblocked] for unblocked in task.unblocks)
        return [other for other in freed if other.status == "pending" and not self.waits_for(other.id)]

    def input_of(self, task_id: str) -> dict[str, Any]:
        """What a task starts from: ``given`` by whoever made it, and the ``results`` of what it depends on, by id."""
        task = self[task_id]
        results = {
            need: self[need].output_result
            for need in task.dependencies
            if self[need].status == "completed" and self[need].output_result is not None
        }
        return {
            **({"given": task.input_context} if task.input_context else {}),
            **({"results": results} if results else {}),
        }

    # What changes

    def generate(self, tasks: Several[NewTask | Mapping[str, Any]]) -> TaskGraphState:
        """The graph with further tasks, all or none; mappings of their fields will do. They may depend on those there
        are, and pending ones may be made to wait for them; a link needs to be told from one of its ends only.

        Raises:
            TaskError: an id is given twice, there already or unknown, a title is missing, what has been started would
                have to wait, or tasks would wait for each other; the text says which, and of a cycle the path.
        """
        new: list[NewTask] = []
        for task in listed_tasks(tasks, NewTask, EXAMPLE):
            if isinstance(task, str):
                raise TaskError(f"expected a task, not {task!r:.80}: write {EXAMPLE}")
            _check_written(task)
            new.append(task)
        there = [task.id for task in new if task.id in self]
        if twice := [*there, *_twice(task.id for task in new)]:
            raise TaskError(f"given twice, or there already: {listed(twice)}; each task needs an id of its own")
        known = {**self._places, **{task.id: at for at, task in enumerate(new, len(self))}}
        _check_known(new, known)
        for task in new:
            for freed in task.unblocks:
                if freed in self and self[freed].status != "pending":
                    raise TaskError(
                        f"task {freed!r} is {self[freed].status}, and cannot be made to wait for {task.id!r}"
                    )
        every: list[NewTask] = [*self.tasks, *new]
        down, up = both_ways(*_links(every))
        _check_no_cycle(down, up)
        linked = [
            task
            if len(up[task.id]) == len(task.unblocks) and len(down[task.id]) == len(task.dependencies)
            else replace(task, dependencies=tuple(down[task.id]), unblocks=tuple(up[task.id]))
            for task in self.tasks
        ]
        linked += [_written(task, tuple(down[task.id]), tuple(up[task.id])) for task in new]
        return _looked_at(tuple(linked), known)

    def update(self, task_id: str, status: Status, output_result: Any = None, *, agent: str = "") -> TaskGraphState:
        """The graph with a task in another state.

        Args:
            task_id: which.
            status: its new state.
            output_result: what came out of it, plain data for those who go on from there; None keeps what it has.
            agent: who starts it; it is assigned to them, until it is given back.

        Raises:
            TaskError: there is no such task, no way from its state to that one, something it depends on is not
                completed, it is assigned to another, ``agent`` is no text, or the result is no plain data.
        """
        check_agent(agent)
        task = self[task_id]
        check_move(task_id, task.status, status)
        assigned = task.assigned_agent
        if status == "in_progress":
            if waits := self.waits_for(task_id):
                raise TaskError(f"task {task_id!r} depends on {listed(waits)}, which must be completed first")
            if agent and assigned not in ("", agent):
                raise TaskError(f"task {task_id!r} is assigned to {assigned!r}; take one that is not")
            assigned = agent or assigned
        elif status == "pending":
            assigned = ""
        result = task.output_result
        if output_result is not None:
            result = plain(output_result, f"the result of task {task_id!r}")
        return self._with(replace(task, status=status, output_result=result, assigned_agent=assigned))

    def finish(self, task_id: str, status: Status, output_result: Any, *, agent: str) -> TaskGraphState:
        """The graph with a task ended that an agent worked on from beginning to end; it was started, then ended.

        Raises:
            TaskError: as `update`; the task may have been started before.
        """
        started = self if self[task_id].status == "in_progress" else self.update(task_id, "in_progress", agent=agent)
        return started.update(task_id, status, output_result)

    def _with(self, task: GraphTask) -> TaskGraphState:
        """The graph with one task replaced that has the links of the one it replaces: nothing is to be looked at."""
        at = self._places[task.id]
        return _looked_at((*self.tasks[:at], task, *self.tasks[at + 1 :]), self._places)

    # What is shown

    def text(self, limit: int = 50) -> str:
        """The graph for a prompt: how far it is in all, and a line for each task.

        Args:
            limit: how many tasks at most; failed ones go before those in progress, ready, blocked and completed.
        """
        if not self.tasks:
            return "(no tasks)"
        counts = dict.fromkeys(("completed", "in_progress", "ready", "blocked", "failed"), 0)
        rows: list[tuple[int, str]] = []
        for task in self.tasks:
            waits = self.waits_for(task.id) if task.status == "pending" else []
            state = task.status if task.status != "pending" else "blocked" if waits else "ready"
            counts[state] += 1
            rows.append((_RANKS[state], _line(task, state, waits)))
        said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        many = "1 task" if len(self) == 1 else f"{len(self)} tasks"
        return "\n".join([f"{many}: {said}", *overview(rows, limit)])


def _looked_at(tasks: tuple[GraphTask, ...], places: Mapping[str, int]) -> TaskGraphState:
    """The graph of tasks that are known to fit together, with the place of each."""
    made = object.__new__(TaskGraphState)
    made.__dict__.update(tasks=tasks, _places=places)
    return made


def _links(tasks: Collection[NewTask]) -> tuple[Links, Links]:
    """What each task depends on, and whom it unblocks, as they say it."""
    return {task.id: task.dependencies for task in tasks}, {task.id: task.unblocks for task in tasks}


def _check_no_cycle(dependencies: Links, unblocks: Links) -> None:
    if cycle := cycle_of(dependencies, unblocks):
        raise TaskError(f"these tasks would wait for each other: {as_path(cycle)}")


_TEXTS = ("description", "assigned_agent", "input_context")
_LISTS = ("dependencies", "unblocks", "required_capabilities")


def _check_written(task: NewTask) -> None:
    """Look at a task that is to be put into a graph by itself."""
    check_named(task.id, task.title)
    for name in _TEXTS:
        text = getattr(task, name)
        if not isinstance(text, str):
            raise TaskError(f"task {task.id!r}: {name} is a text, not {text!r:.80}")
    for name in _LISTS:
        written = getattr(task, name)
        if not isinstance(written, (list, tuple)) or (written and not all(isinstance(one, str) for one in written)):
            raise TaskError(f"task {task.id!r}: {name} is a list of texts, not {written!r:.80}")


def _written(task: NewTask, dependencies: tuple[str, ...], unblocks: tuple[str, ...]) -> GraphTask:
    return GraphTask(
        id=task.id,
        title=task.title,
        description=task.description,
        dependencies=dependencies,
        unblocks=unblocks,
        required_capabilities=tuple(dict.fromkeys(task.required_capabilities)),
        assigned_agent=task.assigned_agent,
        input_context=task.input_context,
    )


def _twice(ids: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    found: dict[str, None] = {}
    for one in ids:
        if one in seen:
            found[one] = None
        seen.add(one)
    return list(found)


def _check_known(tasks: Iterable[NewTask], known: Mapping[str, int]) -> None:
    wrong = [
        f"{task.id} {how} {other!r:.80}"
        for task in tasks
        for how, others in (("depends on", task.dependencies), ("unblocks", task.unblocks))
        for other in others
        if other not in known
    ]
    if wrong:
        raise TaskError(f"unknown tasks: {listed(dict.fromkeys(wrong))}; there are: {listed(known)}")


def _line(task: GraphTask, state: str, waits: list[str]) -> str:
    words = [f"waits for {listed(waits)}" if waits else state]
    if task.required_capabilities and task.status != "completed":
        words.append(f"requires {', '.join(task.required_capabilities)}")
    if task.assigned_agent:
        words.append(task.assigned_agent)
    result = "" if task.output_result is None else f": {in_a_line(task.output_result)}"
    return f"{MARKS[task.status]} {task.id}: {in_a_line(task.title)} ({', '.join(words)}){result}"

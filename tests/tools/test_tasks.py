from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from callboard.tools import ToolRegistry
from callboard.tools.errors import TaskError
from callboard.tools.tasks.graph import State, TaskGraph

_STATES: list[State] = ["pending", "in_progress", "completed", "failed"]


class GraphMachine(RuleBasedStateMachine):
    """Whatever is asked of a graph, it stays one that can be worked off."""

    def __init__(self) -> None:
        super().__init__()
        self.graph = TaskGraph()

    def _ids(self) -> list[str]:
        return [task.id for task in self.graph]

    @rule(data=st.data())
    def add(self, data: st.DataObject) -> None:
        needs = data.draw(st.lists(st.sampled_from(self._ids()), max_size=3)) if len(self.graph) else []
        assert self.graph.add("work", needs).state == "pending"

    @precondition(lambda self: len(self.graph) > 0)
    @rule(data=st.data())
    def require(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(self._ids()))
        before = self.graph[task]
        try:
            self.graph.require(task, data.draw(st.lists(st.sampled_from(self._ids()), max_size=3)))
        except TaskError:
            assert self.graph[task] == before

    @precondition(lambda self: len(self.graph) > 0)
    @rule(data=st.data(), state=st.sampled_from(_STATES))
    def move(self, data: st.DataObject, state: State) -> None:
        task = data.draw(st.sampled_from(self._ids()))
        before = self.graph[task]
        try:
            self.graph.move(task, state, owner="ada")
        except TaskError:
            assert self.graph[task] == before

    @invariant()
    def nothing_is_started_before_what_it_needs(self) -> None:
        for task in self.graph:
            if task.state != "pending":
                assert all(self.graph[need].state == "completed" for need in task.needs), task

    @invariant()
    def only_what_is_held_has_an_owner(self) -> None:
        assert all(not task.owner for task in self.graph if task.state == "pending")

    @invariant()
    def it_can_always_be_worked_off(self) -> None:
        states = {task.id: task.state for task in self.graph}
        while open_tasks := [task for task, state in states.items() if state != "completed"]:
            free = [task for task in open_tasks if all(states[need] == "completed" for need in self.graph[task].needs)]
            assert free, f"none of {open_tasks} can be started"
            states.update(dict.fromkeys(free, "completed"))


TestGraph = GraphMachine.TestCase


def test_a_task_that_two_want_goes_to_one() -> None:
    graph = TaskGraph()
    graph.add("paint")
    graph.move("1", "in_progress", owner="ada")
    with pytest.raises(TaskError, match="in_progress by ada and can only become completed, failed, pending"):
        graph.move("1", "in_progress", owner="bob")


def test_what_is_asked_wrongly_is_refused_by_name() -> None:
    graph = TaskGraph()
    first, second = graph.add("one"), graph.add("two", ["1"])
    wrongs: list[tuple[Callable[[], object], str]] = [
        (lambda: graph.add(" "), "needs a title"),
        (lambda: graph.add("x", ["9"]), "no task '9'; there are: 1, 2"),
        (lambda: graph.require(first.id, [second.id]), "cannot need task 2, which needs task 1"),
        (lambda: graph.require(first.id, [first.id]), "cannot need task 1"),
        (lambda: graph.move("2", "in_progress"), "needs 1 to be completed first"),
        (lambda: graph.move("1", "completed"), "can only become in_progress"),
    ]
    for wrong, said in wrongs:
        with pytest.raises(TaskError, match=said):
            wrong()


async def test_the_tools_work_off_a_graph() -> None:
    graph = TaskGraph()
    ada, bob = ToolRegistry(graph.tools("ada")), ToolRegistry(graph.tools("bob"))
    await ada.get("TaskCreate").run({"title": "draw"})
    await ada.get("TaskCreate").run({"title": "build", "needs": ["1"]})
    await ada.get("TaskUpdate").run({"id": "1", "state": "in_progress"})
    assert (await bob.get("TaskUpdate").run({"id": "2", "state": "in_progress"})).is_error
    done = await ada.get("TaskUpdate").run({"id": "1", "state": "completed", "note": "see plan.md"})
    assert done.text.endswith("Ready now: 2")
    await bob.get("TaskUpdate").run({"id": "2", "state": "in_progress"})
    assert (await ada.get("TaskList").run()).content == (
        "1. draw (completed, ada): see plan.md\n2. build (in_progress, bob, needs 1)"
    )
    assert "state" in (await ada.get("TaskUpdate").run({"id": "2", "state": "done"})).content

"""A list of tasks as a value."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from callboard import ListedTask, TaskError, TaskListState

ADAPTER = TypeAdapter(TaskListState)
plain_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
steps = st.tuples(
    st.sampled_from(["start", "complete", "fail"]),
    st.sampled_from(["1", "2", "3", "4"]),
    st.dictionaries(st.text(max_size=3), plain_data, max_size=2),
)
AFTER = {"start": "in_progress", "complete": "completed", "fail": "failed"}
BEFORE = {"start": {"pending", "failed"}, "complete": {"in_progress"}, "fail": {"in_progress"}}


def restored(tasks: TaskListState) -> TaskListState:
    """What a journal gives back of a list."""
    return ADAPTER.validate_python(json.loads(json.dumps(ADAPTER.dump_python(tasks, mode="json"))))


@given(st.lists(steps, max_size=20))
def test_any_sequence_of_updates_says_what_happened_and_survives_a_restart(
    given_steps: list[tuple[str, str, dict[str, Any]]],
) -> None:
    tasks = TaskListState.of(["draw", "build", "test"])
    status = dict.fromkeys(["1", "2", "3"], "pending")
    known: dict[str, dict[str, Any]] = {"1": {}, "2": {}, "3": {}}
    for how, task, metadata in given_steps:
        allowed = status.get(task) in BEFORE[how]
        before = tasks
        try:
            tasks = getattr(tasks, how)(task, metadata)
        except TaskError:
            assert not allowed, "refused, though it is allowed"
            assert tasks is before
            continue
        assert allowed, "taken, though it is not allowed"
        status[task] = AFTER[how]
        known[task] |= metadata
        assert {one.id: one.status for one in tasks} == status
        assert {one.id: one.metadata for one in tasks} == known
        assert restored(tasks) == tasks


def test_the_text_says_how_far_it_is() -> None:
    tasks = TaskListState.of(["draw", ListedTask("b", "build\nit"), "test"])
    tasks = tasks.start("1").complete("1", {"file": "plan.md"}).start("b")
    assert str(tasks) == '1 of 3 completed\n[x] 1: draw {"file": "plan.md"}\n[>] b: build it\n[ ] 3: test'
    assert tasks.start("3").fail("3").text(limit=2).splitlines()[1:] == [
        "[>] b: build it",
        "[!] 3: test",
        "… and 1 more",
    ]
    assert str(TaskListState()) == "(no tasks)"


def test_tasks_are_added_at_the_end() -> None:
    tasks = TaskListState.of(["draw"]).add("build", ListedTask("t", "test", metadata={"by": ("ada", 1)}))
    assert [(task.id, task.title) for task in tasks] == [("1", "draw"), ("2", "build"), ("t", "test")]
    assert tasks["t"].metadata == {"by": ["ada", 1]}
    assert len(tasks) == 3


def test_what_is_asked_wrongly_is_refused_by_name() -> None:
    tasks = TaskListState.of(["draw", "build"])
    wrongs: list[tuple[Callable[[], object], str]] = [
        (lambda: tasks.start("9"), "there is no task '9'; there are: 1, 2"),
        (lambda: tasks["9"], "there is no task '9'"),
        (lambda: TaskListState().start("1"), "there are: none"),
        (lambda: tasks.complete("1"), "task '1' is pending and can only become in_progress"),
        (lambda: tasks.start("1").start("1"), "'1' is in_progress and can only become completed or failed$"),
        (lambda: tasks.start("1").complete("1").fail("1"), "task '1' is completed and stays so"),
        (lambda: tasks.start("1", {"a": object()}), "metadata of task '1' is not plain data .dict."),
        (lambda: tasks.add(" "), "task '3': a task needs a title"),
        (lambda: tasks.add(ListedTask("1", "again")), "the id '1' is given twice"),
        (lambda: tasks.add(ListedTask("", "no id")), "task id '': use letters"),
        (lambda: tasks.add(ListedTask("x", "wrong", status="done")), "'x': there is no status 'done'"),  # type: ignore[arg-type]
        (lambda: tasks.add(5), "expected a task, not 5"),  # type: ignore[arg-type]
        (lambda: TaskListState.of("draw"), "expected several tasks, not 'draw'"),  # type: ignore[arg-type]
    ]
    for wrong, said in wrongs:
        with pytest.raises(TaskError, match=said):
            wrong()
    assert str(tasks) == "0 of 2 completed\n[ ] 1: draw\n[ ] 2: build"


def test_a_list_does_not_change() -> None:
    tasks = TaskListState.of(["draw", "build"])
    started = tasks.start("1", {"by": "me"})
    added = started.add("test")
    assert [str(one) for one in (tasks, started, added)] == [
        "0 of 2 completed\n[ ] 1: draw\n[ ] 2: build",
        '0 of 2 completed\n[>] 1: draw {"by": "me"}\n[ ] 2: build',
        '0 of 3 completed\n[>] 1: draw {"by": "me"}\n[ ] 2: build\n[ ] 3: test',
    ]

"""A graph of tasks as a value: whatever is asked of it, it can be worked off, and is the same after a restart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import Any, cast, get_args

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from pydantic import TypeAdapter

from callboard import GraphTask, NewTask, SharedTaskGraph, TaskError, TaskGraphState
from callboard.actors.agents.prompts.tasks.matching import match
from callboard.actors.agents.prompts.tasks.status import Status

STATUSES: tuple[Status, ...] = get_args(Status)
MOVES = {
    ("pending", "in_progress"),
    ("in_progress", "completed"),
    ("in_progress", "failed"),
    ("in_progress", "pending"),
    ("failed", "in_progress"),
    ("failed", "pending"),
}
plain_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
ids = st.sampled_from("abcdefgh")
links = st.lists(ids, max_size=3).map(tuple)
new_tasks = st.lists(
    st.builds(
        NewTask,
        id=ids,
        title=st.just("work"),
        dependencies=links,
        unblocks=links,
        required_capabilities=st.lists(st.sampled_from(["web", "code"]), max_size=2, unique=True).map(tuple),
    ),
    max_size=4,
)


ADAPTER = TypeAdapter(TaskGraphState)


def restored(graph: TaskGraphState) -> TaskGraphState:
    """What a journal gives back of a graph."""
    return ADAPTER.validate_json(ADAPTER.dump_json(graph))


class GraphMachine(RuleBasedStateMachine):
    """Beside each graph runs a model of it: statuses, and links as pairs of (task, what it depends on)."""

    def __init__(self) -> None:
        super().__init__()
        self.graph = TaskGraphState()
        self.status: dict[str, Status] = {}
        self.pairs: set[tuple[str, str]] = set()

    def needs(self, task: str) -> set[str]:
        return {need for one, need in self.pairs if one == task}

    def ready(self) -> set[str]:
        """By definition: pending, and everything that it depends on completed."""
        return {
            task
            for task, status in self.status.items()
            if status == "pending" and all(self.status[need] == "completed" for need in self.needs(task))
        }

    def fits(self, tasks: list[NewTask]) -> bool:
        """By definition: own ids, known links, nothing that is started made to wait, no cycle."""
        names = [task.id for task in tasks]
        known = {*self.status, *names}
        pairs = {(task.id, need) for task in tasks for need in task.dependencies}
        pairs |= {(freed, task.id) for task in tasks for freed in task.unblocks}
        if len(set(names)) < len(names) or set(names) & set(self.status):
            return False
        if not {one for pair in pairs for one in pair} <= known:
            return False
        if any(self.status.get(task, "pending") != "pending" for task, _ in pairs):
            return False
        sorter: TopologicalSorter[str] = TopologicalSorter()
        for task, need in pairs | self.pairs:
            sorter.add(task, need)
        try:
            sorter.prepare()
        except CycleError:
            return False
        self.status |= dict.fromkeys(names, "pending")
        self.pairs |= pairs
        return True

    @rule(tasks=new_tasks)
    def generate(self, tasks: list[NewTask]) -> None:
        before = self.graph
        try:
            self.graph = before.generate(tasks)
        except TaskError:
            assert not self.fits(tasks), "refused, though it fits"
        else:
            assert self.fits(tasks), "taken, though it does not fit"

    @rule(task=ids, status=st.sampled_from(STATUSES), result=plain_data)
    def update(self, task: str, status: Status, result: Any) -> None:
        waits = any(self.status[need] != "completed" for need in self.needs(task))
        allowed = (self.status.get(task), status) in MOVES and not (status == "in_progress" and waits)
        ready = self.ready()
        try:
            self.graph = self.graph.update(task, status, result)
        except TaskError:
            assert not allowed, "refused, though it is allowed"
            return
        assert allowed, "taken, though it is not allowed"
        self.status[task] = status
        freed = {other.id for other in self.graph.unblocked_by(task)}
        assert freed == self.ready() - ready - {task}
        if result is not None:
            assert self.graph[task].output_result == result

    @invariant()
    def it_says_what_the_model_says(self) -> None:
        assert {task.id: task.status for task in self.graph} == self.status
        assert {(task.id, need) for task in self.graph for need in task.dependencies} == self.pairs
        assert {(freed, task.id) for task in self.graph for freed in task.unblocks} == self.pairs, "not symmetric"
        assert [task.id for task in self.graph.ready()] == [task for task in self.status if task in self.ready()]

    @invariant()
    def it_has_no_cycle_and_can_be_worked_off(self) -> None:
        order = TopologicalSorter({task.id: task.dependencies for task in self.graph}).static_order()
        graph = self.graph
        for task in order:
            while graph[task].status != "completed":
                graph = graph.update(task, "completed" if graph[task].status == "in_progress" else "in_progress")
        assert len(graph) == len(self.graph)

    @invariant()
    def results_of_what_is_completed_flow_to_what_depends_on_it(self) -> None:
        for task in self.graph:
            given = {need: self.graph[need].output_result for need in self.needs(task.id)}
            done = {need for need in given if self.status[need] == "completed" and given[need] is not None}
            assert self.graph.input_of(task.id).get("results", {}) == {need: given[need] for need in done}

    @invariant()
    def a_restart_changes_nothing(self) -> None:
        again = restored(self.graph)
        assert again == self.graph
        assert str(again) == str(self.graph)


TestGraph = GraphMachine.TestCase
TestGraph.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def task(name: str, *dependencies: str, **options: Any) -> NewTask:
    return NewTask(id=name, title=f"do {name}", dependencies=dependencies, **options)


def test_a_link_told_from_one_end_stands_at_both() -> None:
    graph = TaskGraphState().generate([task("a", unblocks=("b",)), task("b"), task("c", "b", "b")])
    assert [(one.id, one.dependencies, one.unblocks) for one in graph] == [
        ("a", (), ("b",)),
        ("b", ("a",), ("c",)),
        ("c", ("b",), ()),
    ]


def test_a_graph_grows_and_makes_pending_tasks_wait() -> None:
    graph = TaskGraphState().generate([task("a"), task("b")]).update("a", "in_progress")
    grown = graph.generate([task("c", "a", unblocks=("b",))])
    assert grown.waits_for("b") == ["c"]
    with pytest.raises(TaskError, match="'a' is in_progress, and cannot be made to wait for 'c'"):
        graph.generate([task("c", unblocks=("a",))])
    assert len(graph) == 2


def test_a_cycle_is_refused_with_its_path() -> None:
    with pytest.raises(TaskError, match=r"wait for each other: b → c → d → b$"):
        TaskGraphState().generate([task("a"), task("b", "a", "c"), task("c", "d"), task("d", "b"), task("e", "d")])
    with pytest.raises(TaskError, match=r"wait for each other: a → a$"):
        TaskGraphState().generate([task("a", "a")])
    with pytest.raises(TaskError, match=r"wait for each other: a → b → a$"):
        TaskGraphState().generate([task("a", unblocks=("b",)), task("b", unblocks=("a",))])


def test_everything_that_is_wrong_is_said_at_once_and_nothing_is_added() -> None:
    graph = TaskGraphState().generate([task("a"), task("b")])
    with pytest.raises(TaskError, match="given twice, or there already: a, c; each task needs an id of its own"):
        graph.generate([task("a"), task("c"), task("c"), task("d")])
    with pytest.raises(TaskError, match="unknown tasks: c depends on 'x', d unblocks 'y'; there are: a, b, c, d"):
        graph.generate([task("c", "x"), task("d", unblocks=("y",))])
    assert [one.id for one in graph] == ["a", "b"]


def test_what_is_asked_wrongly_is_refused_by_name() -> None:
    graph = TaskGraphState().generate([task("a"), task("b", "a"), task("c", assigned_agent="ada")])
    started = graph.update("a", "in_progress")
    wrongs: list[tuple[Callable[[], object], str]] = [
        (lambda: graph.update("z", "completed"), "no task 'z'; there are: a, b, c"),
        (lambda: graph["z"], "no task 'z'"),
        (lambda: graph.update("a", "completed"), "'a' is pending and can only become in_progress"),
        (lambda: started.update("a", "in_progress"), "'a' is in_progress and can only become completed or failed or"),
        (lambda: started.update("a", "completed").update("a", "failed"), "'a' is completed and stays so"),
        (lambda: graph.update("b", "in_progress"), "'b' depends on a, which must be completed first"),
        (lambda: graph.update("c", "in_progress", agent="bob"), "'c' is assigned to 'ada'"),
        (lambda: started.update("a", "completed", {1, 2}), "the result of task 'a' is not plain data .set."),
        (lambda: started.update("a", "completed", float("nan")), "is not plain data .float."),
        (lambda: graph.update("a", "done"), "no status 'done'; there are: pending, in_progress, completed, failed"),  # type: ignore[arg-type]
        (lambda: graph.generate([task("a b")]), "task id 'a b': use letters, digits"),
        (lambda: graph.generate([NewTask(id="d", title=" ")]), "'d': a task needs a title"),
        (lambda: graph.generate([NewTask(id="d", title="x", dependencies="ab")]), "'d': dependencies is a list"),  # type: ignore[arg-type]
        (lambda: graph.generate([NewTask(id="d", title="x", input_context=None)]), "'d': input_context is a text"),  # type: ignore[arg-type]
    ]
    for wrong, said in wrongs:
        with pytest.raises(TaskError, match=said):
            wrong()


@pytest.mark.parametrize("given", ["web", 5, [5], b"web"], ids=repr)
def test_capabilities_are_several_texts(given: Any) -> None:
    graph = TaskGraphState().generate([NewTask(id="a", title="find it", required_capabilities=("web",))])
    with pytest.raises(TaskError, match="capabilities are several texts, not"):
        graph.ready(given)
    with pytest.raises(TaskError, match="capabilities are several texts, not"):
        SharedTaskGraph(graph).tools("ada", given)


def test_who_works_on_a_task_is_named_by_a_text() -> None:
    graph, nobody = TaskGraphState().generate([NewTask(id="a", title="find it")]), cast(Any, 5)
    with pytest.raises(TaskError, match="agent is the name of who works on tasks, not 5"):
        graph.update("a", "in_progress", agent=nobody)
    with pytest.raises(TaskError, match="agent is the name of who works on tasks, not 5"):
        SharedTaskGraph(graph).tools(nobody)


def test_tasks_that_do_not_fit_together_make_no_graph() -> None:
    a = GraphTask(id="a", title="a", unblocks=("b",))
    b = GraphTask(id="b", title="b", dependencies=("a",))
    assert len(TaskGraphState((a, b))) == 2
    wrongs = [
        ((a, replace(b, dependencies=())), "a link stands at one of its ends only"),
        ((a,), "unknown tasks: a unblocks 'b'"),
        ((a, b, a), "given twice: a"),
        ((a, replace(b, status="completed")), "'b' is completed, but depends on open ones: a"),
        ((replace(a, status="done"), b), "no status 'done'"),  # type: ignore[arg-type]
        ((replace(a, dependencies=("b",)), replace(b, unblocks=("a",))), "wait for each other: a → b → a"),
    ]
    for tasks, said in wrongs:
        with pytest.raises(TaskError, match=said):
            TaskGraphState(tasks)


def test_a_failed_task_holds_up_what_depends_on_it_until_it_is_tried_again() -> None:
    graph = TaskGraphState().generate([task("a"), task("b", "a")])
    failed = graph.update("a", "in_progress", agent="ada").update("a", "failed", "no network")
    assert failed.ready() == []
    assert failed.input_of("b") == {}
    assert failed["a"].output_result == "no network"
    again = failed.update("a", "in_progress").update("a", "completed", {"rows": 3})
    assert [one.id for one in again.unblocked_by("a")] == ["b"]
    assert again.input_of("b") == {"results": {"a": {"rows": 3}}}


def test_what_is_given_back_belongs_to_nobody() -> None:
    graph = TaskGraphState().generate([task("a")]).update("a", "in_progress", agent="ada")
    assert graph["a"].assigned_agent == "ada"
    back = graph.update("a", "pending")
    assert back.update("a", "in_progress", agent="bob")["a"].assigned_agent == "bob"


def test_a_task_goes_to_whom_it_is_assigned_or_to_a_capable_agent_with_the_least_to_do() -> None:
    graph = TaskGraphState().generate(
        [
            task("a", required_capabilities=("web",)),
            task("b", required_capabilities=("web",)),
            task("c"),
            task("d", assigned_agent="coder", required_capabilities=("web",)),
            task("e", required_capabilities=("web", "code")),
            task("f", required_capabilities=("law",)),
            task("g", assigned_agent="nobody"),
            task("h", required_capabilities=("code", "law")),
        ]
    )
    found = match(graph.ready(), {"coder": ["code"], "all": ["code", "web"], "surfer": ["web"]})
    assert found.agents == {"a": "surfer", "b": "all", "c": "coder", "d": "coder", "e": "all"}
    assert found.unmatched == {
        "f": "no agent is capable of law",
        "g": "assigned to 'nobody', who is not there",
        "h": "no agent is capable of code, law together",
    }


def test_of_agents_as_good_the_first_is_taken_and_who_has_less_to_do_comes_before_who_can_do_less() -> None:
    graph = TaskGraphState().generate([task("a"), task("b"), task("c"), task("d")])
    assert match(graph.ready(), {"one": ["web"], "two": ["web"]}).agents == {
        "a": "one",
        "b": "two",
        "c": "one",
        "d": "two",
    }
    able = {"all": ["code", "web", "law", "art"], "none": []}
    assert match(graph.ready(), able).agents == {"a": "none", "b": "all", "c": "none", "d": "all"}


def test_the_text_of_a_large_graph_shows_what_matters() -> None:
    graph = TaskGraphState().generate([task(f"t{number}", *(["t0"] if number > 5 else [])) for number in range(200)])
    graph = graph.update("t3", "in_progress").update("t3", "failed", "line\nbreak " * 100)
    graph = graph.update("t4", "in_progress", agent="ada")
    lines = graph.text(limit=6).splitlines()
    assert lines[0] == "200 tasks: 1 in_progress, 4 ready, 194 blocked, 1 failed"
    assert [line.split(":")[0] for line in lines[1:-1]] == ["[ ] t0", "[ ] t1", "[ ] t2", "[!] t3", "[>] t4", "[ ] t5"]
    assert lines[4].startswith("[!] t3: do t3 (failed): line break line")
    assert len(lines[4]) < 300
    assert lines[-1] == "… and 194 more"
    assert len(graph.text().splitlines()) == 1 + 50 + 1
    assert graph.text(300).splitlines()[-1] == "[ ] t199: do t199 (waits for t0)"


def test_a_hundred_thousand_tasks_in_chains_of_six_hundred_are_made_worked_on_and_restored() -> None:
    graph = TaskGraphState().generate(
        [task(f"t{number}", *([f"t{number - 1}"] if number % 600 else [])) for number in range(100_000)]
    )
    assert len(graph.ready()) == 167
    for number in range(20):
        graph = graph.update(f"t{number}", "in_progress").update(f"t{number}", "completed", number)
    assert graph.input_of("t20") == {"results": {"t19": 19}}
    assert [one.id for one in graph.ready()[:2]] == ["t20", "t600"]
    assert restored(graph) == graph


def test_a_long_cycle_is_told_without_its_middle() -> None:
    tasks = [NewTask(id=f"t{n}", title="x", dependencies=(f"t{(n + 1) % 5_000}",)) for n in range(5_000)]
    with pytest.raises(TaskError, match=r"t0 → t1 → .* → t19 → \(4961 more\) → t4981 → .* → t4999 → t0$"):
        TaskGraphState().generate(tasks)


@pytest.mark.parametrize(("there", "end"), [(20, "t19"), (21, "t19, and 1 more")])
def test_an_unknown_task_is_told_of_the_first_twenty_that_there_are(there: int, end: str) -> None:
    graph = TaskGraphState().generate(NewTask(id=f"t{number}", title="x") for number in range(there))
    with pytest.raises(TaskError, match=rf"there is no task 'z'; there are: t0, .*, {end}$"):
        graph["z"]


def test_a_graph_does_not_change() -> None:
    graph = TaskGraphState().generate([NewTask(id="a", title="draw")])
    grown = graph.generate([NewTask(id="b", title="build", dependencies=("a",))])
    started = grown.update("a", "in_progress")
    assert [[(task.id, task.status) for task in one] for one in (graph, grown, started)] == [
        [("a", "pending")],
        [("a", "pending"), ("b", "pending")],
        [("a", "in_progress"), ("b", "pending")],
    ]


@pytest.mark.parametrize("kind", [NewTask, GraphTask])
def test_the_fields_of_a_task_are_given_by_name(kind: type[NewTask]) -> None:
    with pytest.raises(TypeError, match="positional"):
        kind("draw")  # type: ignore[call-arg]

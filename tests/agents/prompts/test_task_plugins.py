"""Task lists and task graphs as plugins: what the model does with them is the conversation's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, ListedTask, NewTask, Prompt, RunFailed, TaskGraph, TaskList
from callboard.actors.agents.errors import PromptError
from callboard.actors.agents.events import RunEvent
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Request, ToolCall
from tests.agents.support import each_kill, function, results
from tests.agents.test_kills_between_steps import WHOM


class Both(TaskList, TaskGraph):
    """A prompt with a list and a graph."""


def listing(prompt: TaskList) -> None:
    prompt.task_list(["draw", ListedTask("b", "build")])


def graphing(prompt: TaskGraph) -> None:
    prompt.task_graph()


def shown(request: Request, part: str) -> str:
    """A part of the system prompt."""
    found = re.search(f"<{part}>\n(.*?)\n</{part}>", request.messages[0].text, re.DOTALL)
    return found[1] if found else ""


class Model:
    """Makes the calls of each turn one after the other, or several at once, and keeps what it was shown."""

    def __init__(self, *turns: ToolCall | Sequence[ToolCall]) -> None:
        self.turns = turns
        self.lists: list[str] = []
        self.graphs: list[str] = []
        self.answers: list[str] = []

    def __call__(self, request: Request) -> Any:
        self.lists.append(shown(request, "task_list"))
        self.graphs.append(shown(request, "task_graph"))
        self.answers = results(request)
        turns, done = list(self.turns), len(self.answers)
        while turns and done:
            done -= 1 if isinstance(turns[0], ToolCall) else len(turns[0])
            turns.pop(0)
        return turns[0] if turns else "done"


async def work(fn: Callable[[Any], object], plugins: Any, model: Model, **options: Any) -> Any:
    async with Agency(Agent("A", prompt=fn, plugins=plugins), model=function(model), **options) as agency:
        return await agency.run("go", conversation="c")


def planned(*tasks: dict[str, Any]) -> ToolCall:
    return call("generate_task_graph", "plan", tasks=list(tasks))


def became(task: str, status: str, result: Any = None) -> ToolCall:
    given = {} if result is None else {"output_result": result}
    return call("update_task_status", f"{task}-{status}", task_id=task, status=status, **given)


DRAW = {"id": "draw", "title": "draw it"}
PRICE = {"id": "price", "title": "price it", "required_capabilities": ["money"]}
BUILD = {"id": "build", "title": "build it", "dependencies": ["draw", "price"], "input_context": "of wood"}


# -- the list ----------------------------------------------------------------------------------------------------------


async def test_the_list_of_each_step_says_what_the_calls_before_it_did() -> None:
    model = Model(
        call("start_task", "1", task_id="1", metadata={"by": "me"}),
        call("complete_task", "2", task_id="1", metadata={"file": "plan.md"}),
        call("start_task", "3", task_id="b"),
        call("fail_task", "4", task_id="b", reason="no wood"),
    )
    await work(listing, TaskList, model)
    done = '[x] 1: draw {"by": "me", "file": "plan.md"}'
    assert model.lists == [
        "0 of 2 completed\n[ ] 1: draw\n[ ] b: build",
        '0 of 2 completed\n[>] 1: draw {"by": "me"}\n[ ] b: build',
        f"1 of 2 completed\n{done}\n[ ] b: build",
        f"1 of 2 completed\n{done}\n[>] b: build",
        f'1 of 2 completed\n{done}\n[!] b: build {{"reason": "no wood"}}',
    ]
    assert model.answers[-1] == '[!] b: build {"reason": "no wood"}'


async def test_a_conversation_keeps_one_list_over_turns_and_processes(tmp_path: Path) -> None:
    for turn, model in enumerate(
        (Model(call("start_task", task_id="1")), Model(call("complete_task", task_id="1")), Model())
    ):
        await work(listing, TaskList, model, journal=tmp_path / "j.db")
        mark = "[ ]", "[>]", "[x]"
        assert f"{mark[turn]} 1: draw" in model.lists[0]
    other = Model()
    async with Agency(
        Agent("A", prompt=listing, plugins=TaskList), model=function(other), journal=tmp_path / "j.db"
    ) as agency:
        await agency.run("go", conversation="another")
    assert "[ ] 1: draw" in other.lists[0]


async def test_calls_of_one_step_each_count() -> None:
    model = Model([call("start_task", "1", task_id="1"), call("start_task", "2", task_id="b")])
    await work(listing, TaskList, model)
    assert model.lists[-1] == "0 of 2 completed\n[>] 1: draw\n[>] b: build"


async def test_a_wrong_call_is_told_so_that_the_model_can_repair_it() -> None:
    model = Model(
        call("complete_task", "1", task_id="1"), call("start_task", "2", task_id="2"), call("start_task", "3")
    )
    await work(listing, TaskList, model)
    first, second, third = model.answers
    assert first == "Error (TaskError): task '1' is pending and can only become in_progress"
    assert second == "Error (TaskError): there is no task '2'; there are: 1, b"
    assert "task_id: required" in third
    assert len(set(model.lists)) == 1


async def test_code_of_the_prompt_function_changes_the_list_too() -> None:
    def growing(prompt: TaskList) -> None:
        _, set_tasks = prompt.task_list()

        @prompt.tool(risk="safe")
        async def note(title: str) -> int:
            """Note what is to be done."""
            return len(set_tasks(lambda before: before.add(title)))

    model = Model([call("note", "1", title="sing"), call("note", "2", title="dance")], call("start_task", task_id="2"))
    await work(growing, TaskList, model)
    assert model.lists[0] == "(no tasks)"
    assert sorted(line[4:] for line in model.lists[-1].splitlines()[1:]) in (
        ["1: dance", "2: sing"],
        ["1: sing", "2: dance"],
    )


async def test_two_lists_in_one_step_and_a_wrong_one_end_the_run_by_name() -> None:
    def twice(prompt: TaskList) -> None:
        prompt.task_list()
        prompt.task_list()

    def wrong(prompt: TaskList) -> None:
        prompt.task_list([ListedTask("a", "x"), ListedTask("a", "y")])

    def cycle(prompt: TaskGraph) -> None:
        prompt.task_graph([NewTask(id="a", title="a", dependencies=("a",))])

    kinds: list[tuple[Any, Any, type[Exception], str]] = [
        (twice, TaskList, PromptError, "'task_list' twice"),
        (wrong, TaskList, PromptError, "wrong: task_list: the id 'a' is given twice"),
        (cycle, TaskGraph, PromptError, "cycle: task_graph: these tasks would wait for each other: a → a"),
    ]
    for fn, plugin, cause, said in kinds:
        with pytest.raises(RunFailed, match=said) as raised:
            await work(fn, plugin, Model())
        assert isinstance(raised.value.__cause__, cause)


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ("read the ticket", "expected several tasks, not 'read the ticket': write .\"draw\", ListedTask"),
        (5, "expected several tasks, not 5: write"),
        ({"id": "a", "title": "draw"}, "expected several tasks, not {'id'"),
        ([5], "expected a task, not 5: write"),
        ([("a", "draw")], "expected a task, not .'a', 'draw'.: write"),
        ([""], "task '1': a task needs a title"),
        (["draw", {"id": "a"}], "task 2 of those given: it does not fit ListedTask: title: "),
        ([{"id": "a", "title": "draw", "stat": "failed"}], "task 1 of those given: it does not fit ListedTask: stat: "),
    ],
)
async def test_first_tasks_of_a_list_that_are_none_are_named(tasks: Any, said: str) -> None:
    def fn(prompt: TaskList) -> None:
        prompt.task_list(tasks)

    with pytest.raises(RunFailed, match=f"fn: task_list: {said}") as raised:
        await work(fn, TaskList, Model())
    assert isinstance(raised.value.__cause__, PromptError)


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ("draw", "expected several tasks, not 'draw': write .NewTask"),
        (5, "expected several tasks, not 5: write"),
        (["draw"], "expected a task, not 'draw': write .NewTask"),
        ([5], "expected a task, not 5: write .NewTask"),
        ([{"id": "a"}], "task 1 of those given: it does not fit NewTask: title: "),
        (
            [{"id": "a", "title": "draw", "dependson": ["b"]}],
            "task 1 of those given: it does not fit NewTask: dependson: ",
        ),
        ([{"id": "a", "title": "draw", "dependencies": ["b"]}], "unknown tasks: a depends on 'b'"),
    ],
)
async def test_first_tasks_of_a_graph_that_are_none_are_named(tasks: Any, said: str) -> None:
    def fn(prompt: TaskGraph) -> None:
        prompt.task_graph(tasks)

    with pytest.raises(RunFailed, match=f"fn: task_graph: {said}") as raised:
        await work(fn, TaskGraph, Model())
    assert isinstance(raised.value.__cause__, PromptError)


async def test_first_tasks_may_be_mappings_as_models_give_them() -> None:
    def fn(prompt: Both) -> None:
        prompt.task_list(["draw", {"id": "b", "title": "build", "status": "failed", "metadata": {"by": "me"}}])
        prompt.task_graph([{"id": "a", "title": "draw"}, {"id": 2, "title": "build", "dependencies": ["a"]}])

    model = Model()
    await work(fn, Both, model)
    assert model.lists == ['0 of 2 completed\n[ ] 1: draw\n[!] b: build {"by": "me"}']
    assert model.graphs == ["2 tasks: 1 ready, 1 blocked\n[ ] a: draw (ready)\n[ ] 2: build (waits for a)"]


async def test_where_tasks_are_numbered_a_number_is_an_id() -> None:
    model = Model(
        [
            call("start_task", "1", task_id=1),
            call("start_task", "2", task_id=True),
            planned({"id": 1, "title": "draw"}),
        ],
        [call("complete_task", "3", task_id=1), call("update_task_status", "4", task_id=1, status="in_progress")],
    )

    def fn(prompt: Both) -> None:
        prompt.task_list(["draw"])
        prompt.task_graph()

    await work(fn, Both, model)
    assert "task_id: Input should be a valid string" in model.answers[1]
    assert model.lists[-1] == "1 of 1 completed\n[x] 1: draw"
    assert model.graphs[-1].startswith("1 task: 1 in_progress")


# -- the graph ---------------------------------------------------------------------------------------------------------


async def test_a_model_plans_works_off_and_hands_results_downstream() -> None:
    model = Model(
        planned(DRAW, PRICE, BUILD),
        [became("draw", "in_progress"), became("price", "in_progress")],
        became("draw", "completed", "a plan"),
        became("price", "completed", {"euro": 3}),
        call("get_unblocked_tasks"),
    )
    await work(graphing, TaskGraph, model)
    assert model.graphs[0] == "(no tasks)"
    assert model.graphs[2].splitlines() == [
        "3 tasks: 2 in_progress, 1 blocked",
        "[>] draw: draw it (in_progress)",
        "[>] price: price it (in_progress, requires money)",
        "[ ] build: build it (waits for draw, price)",
    ]
    plan, *_, last_update, unblocked = (json.loads(answer) for answer in model.answers)
    assert [task["id"] for task in plan["unblocked"]] == ["draw", "price"]
    build = {
        "id": "build",
        "title": "build it",
        "input_context": {"given": "of wood", "results": {"draw": "a plan", "price": {"euro": 3}}},
    }
    assert last_update == {"task_id": "price", "status": "completed", "unblocked": [build]}
    assert unblocked == {"unblocked": [build]}


async def test_a_plan_that_is_wrong_adds_nothing_and_says_what_is_wrong() -> None:
    model = Model(
        planned(
            DRAW, {"id": "a", "title": "a", "dependencies": ["b"]}, {"id": "b", "title": "b", "dependencies": ["a"]}
        )
    )
    await work(graphing, TaskGraph, model)
    assert model.answers == ["Error (TaskError): these tasks would wait for each other: a → b → a"]
    assert model.graphs == ["(no tasks)", "(no tasks)"]


async def test_of_two_calls_of_one_step_that_start_a_task_one_gets_it() -> None:
    model = Model(planned(DRAW), [became("draw", "in_progress"), became("draw", "in_progress")])
    await work(graphing, TaskGraph, model)
    errors = [answer for answer in model.answers if "can only become completed or failed or pending" in answer]
    assert len(errors) == 1
    assert "[>] draw" in model.graphs[-1]


async def test_of_two_calls_of_one_step_the_later_says_what_both_have_unblocked() -> None:
    price = became("price", "completed", {"euro": 3})
    done = [became("draw", "completed", "a plan"), price, call("get_unblocked_tasks", "5")]
    model = Model(planned(DRAW, PRICE, BUILD), [became("draw", "in_progress"), became("price", "in_progress")], done)
    await work(graphing, TaskGraph, model)
    first, second, unblocked = (json.loads(answer)["unblocked"] for answer in model.answers[-3:])
    assert first == []
    assert second[0]["input_context"]["results"] == {"draw": "a plan", "price": {"euro": 3}}
    assert unblocked == second


async def test_a_list_and_a_graph_go_together() -> None:
    def both(prompt: Both) -> None:
        listing(prompt)
        graphing(prompt)

    for plugins in (Both, [TaskList, TaskGraph]):
        model = Model(call("start_task", task_id="1"), planned(DRAW))

        def fn(prompt: Prompt) -> None:
            both(prompt)  # type: ignore[arg-type]

        await work(both if plugins is Both else fn, plugins, model)
        assert "[>] 1: draw" in model.lists[-1]
        assert "[ ] draw: draw it (ready)" in model.graphs[-1]


@pytest.mark.parametrize("whom", WHOM)
async def test_whoever_is_killed_at_whichever_event_the_list_and_the_graph_are_as_they_would_be(whom: str) -> None:
    def both(prompt: Both) -> None:
        listing(prompt)
        graphing(prompt)

    models: list[Model] = []

    def make() -> Agency:
        model = Model(
            [call("start_task", "1", task_id="1"), planned(DRAW, PRICE, BUILD)],
            [became("draw", "in_progress"), became("price", "in_progress"), call("complete_task", "2", task_id="1")],
            [became("draw", "completed", "a plan"), became("price", "failed", "no money")],
        )
        models.append(model)
        return Agency(Agent("A", prompt=both, plugins=Both), model=function(model))

    def look(answer: Any, seen: list[RunEvent]) -> None:
        model = models[-1]
        assert answer.text == "done"
        assert model.lists[-1] == "1 of 2 completed\n[x] 1: draw\n[ ] b: build"
        assert model.graphs[-1].splitlines() == [
            "3 tasks: 1 completed, 1 blocked, 1 failed",
            "[x] draw: draw it (completed): a plan",
            "[!] price: price it (failed, requires money): no money",
            "[ ] build: build it (waits for price)",
        ]
        assert not any(answer.startswith("Error") for answer in model.answers)

    await each_kill(make, whom, look)

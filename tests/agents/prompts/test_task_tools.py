"""The tools of task lists and graphs for agents without a prompt function."""

from __future__ import annotations

import json
from typing import Any

from callboard import Agency, Agent, NewTask, RunEvent, SharedTaskGraph, TaskGraphState, ToolRegistry, todo_tool
from callboard.actors.agents.events import ToolStarted
from callboard.actors.testing.doubles.models import Script, call
from callboard.providers.messages import Request, ToolCall
from callboard.tools.result import ToolResult
from tests.agents.support import function, kill, scripted

WORK = [
    {"id": "draw", "title": "draw it", "required_capabilities": ["art"]},
    {"id": "price", "title": "price it", "input_context": "in euro"},
    {"id": "build", "title": "build it", "dependencies": ["draw", "price"]},
]


def told(result: ToolResult) -> Any:
    assert not result.is_error, result.text
    return json.loads(result.text)


async def test_a_model_keeps_its_plan_by_writing_it_whole() -> None:
    todos = [
        {"content": "read", "status": "completed"},
        {"content": "write", "status": "in_progress"},
        {"content": "test"},
    ]
    result = await todo_tool().run({"todos": todos})
    assert result.text == "1 of 3 completed\n[x] 1: read\n[>] 2: write\n[ ] 3: test"
    assert (await todo_tool().run({"todos": []})).text == "(no tasks)"


async def test_a_wrong_plan_is_refused_so_that_it_can_be_repaired() -> None:
    for wrong, said in [
        ([{"content": "a", "status": "in_progress"}, {"content": "b", "status": "in_progress"}], "at most one step"),
        ([{"content": " "}], "task '1': a task needs a title"),
        ([{"content": "a", "status": "done"}], "todos.0.status"),
        ([{"status": "pending"}], "todos.0.content: required"),
    ]:
        result = await todo_tool().run({"todos": wrong})
        assert result.is_error
        assert said in result.text


async def test_each_conversation_has_the_plan_that_stands_in_its_messages() -> None:
    def model(request: Request) -> str | ToolCall:
        last = request.messages[-1]
        if last.role == "tool":
            return last.text
        return ToolCall("1", "TodoWrite", json.dumps({"todos": [{"content": last.text}]}))

    async with Agency(Agent("Ada", tools=[todo_tool()]), model=function(model)) as agency:
        assert (await agency.run("paint", conversation="one")).text == "0 of 1 completed\n[ ] 1: paint"
        assert (await agency.run("sing", conversation="two")).text == "0 of 1 completed\n[ ] 1: sing"


async def test_a_plan_is_written_again_where_the_writing_was_interrupted() -> None:
    begun: list[RunEvent] = []

    def look(event: RunEvent) -> None:
        if isinstance(event, ToolStarted):
            begun.append(event)
            if len(begun) == 1:
                assert kill(agency, "agency/Ada/one")

    script = Script([[call("TodoWrite", "1", todos=[{"content": "paint"}])], "done"])
    async with Agency(Agent("Ada", tools=[todo_tool()]), model=scripted(script)) as agency:
        agency.subscribe(look)
        answer = await agency.run("go", conversation="one")
    assert [message.text for message in answer.messages if message.role == "tool"] == ["0 of 1 completed\n[ ] 1: paint"]
    assert len(begun) == 2


async def test_several_agents_work_off_one_graph() -> None:
    shared = SharedTaskGraph()
    ada, bob = ToolRegistry(shared.tools("ada", ["art"])), ToolRegistry(shared.tools("bob", []))
    made = told(await ada.get("generate_task_graph").run({"tasks": WORK}))
    assert made["tasks"] == 3
    assert [one["id"] for one in made["unblocked"]] == ["draw", "price"]
    assert told(await bob.get("get_unblocked_tasks").run()) == {
        "unblocked": [{"id": "price", "title": "price it", "input_context": {"given": "in euro"}}]
    }
    mine = await bob.get("update_task_status").run({"task_id": "draw", "status": "in_progress"})
    assert mine.is_error
    assert "'draw' requires art, which you are not capable of" in mine.text
    for who, task, result in ((ada, "draw", "a plan"), (bob, "price", {"euro": 3})):
        await who.get("update_task_status").run({"task_id": task, "status": "in_progress"})
        done = await who.get("update_task_status").run(
            {"task_id": task, "status": "completed", "output_result": result}
        )
    assert told(done) == {
        "task_id": "price",
        "status": "completed",
        "unblocked": [
            {"id": "build", "title": "build it", "input_context": {"results": {"draw": "a plan", "price": {"euro": 3}}}}
        ],
    }
    assert shared.graph["draw"].assigned_agent == "ada"


async def test_a_task_that_two_want_goes_to_one() -> None:
    shared = SharedTaskGraph([NewTask(id="paint", title="paint it")])
    ada, bob = (ToolRegistry(shared.tools(name)).get("update_task_status") for name in ("ada", "bob"))
    assert not (await ada.run({"task_id": "paint", "status": "in_progress"})).is_error
    late = await bob.run({"task_id": "paint", "status": "in_progress"})
    assert late.text == (
        "Error (TaskError): task 'paint' is in_progress and can only become completed or failed or pending"
    )


async def test_a_wrong_call_is_refused_so_that_it_can_be_repaired_and_changes_nothing() -> None:
    shared = SharedTaskGraph(TaskGraphState().generate([NewTask(id="a", title="a")]))
    before = shared.graph
    tools = ToolRegistry(shared.tools())
    wrongs: list[tuple[str, dict[str, Any], str]] = [
        ("generate_task_graph", {"tasks": [{"id": "b", "title": "b", "depends_on": ["a"]}]}, "tasks.0.depends_on"),
        ("generate_task_graph", {"tasks": [{"id": "b"}]}, "tasks.0.title"),
        ("generate_task_graph", {"tasks": [{"id": "a", "title": "a"}]}, "given twice, or there already: a"),
        ("generate_task_graph", {"tasks": [{"id": "b", "title": "b", "dependencies": ["b"]}]}, "each other: b → b"),
        ("update_task_status", {"task_id": "a", "status": "done"}, "status"),
        ("update_task_status", {"task_id": "z", "status": "in_progress"}, "there is no task 'z'; there are: a"),
    ]
    for name, arguments, said in wrongs:
        result = await tools.get(name).run(arguments)
        assert result.is_error
        assert said in result.text
    assert shared.graph is before


async def test_an_answer_names_so_many_tasks_as_a_model_reads() -> None:
    for title, shown in (("x", 50), ("x" * 10_000, 4), ("é" * 10_000, 4), ("x" * 60_000, 1)):
        shared = SharedTaskGraph(NewTask(id=f"t{number}", title=title) for number in range(70))
        found = told(await ToolRegistry(shared.tools()).get("get_unblocked_tasks").run())
        assert len(found["unblocked"]) == shown
        assert found["more"] == 70 - shown


async def test_an_answer_is_as_long_as_it_may_be_and_no_character_longer() -> None:
    empty = len(json.dumps({"id": "t0", "title": ""}))
    for spare, shown in ((0, 2), (1, 2), (-1, 1)):
        titles = ("x" * (25_000 - empty), "x" * (25_000 - empty - spare))
        shared = SharedTaskGraph(NewTask(id=f"t{number}", title=title) for number, title in enumerate(titles))
        found = told(await ToolRegistry(shared.tools()).get("get_unblocked_tasks").run())
        assert len(found["unblocked"]) == shown
        assert found.get("more", 0) == 2 - shown


def test_code_changes_a_shared_graph_too() -> None:
    shared = SharedTaskGraph([NewTask(id="a", title="a")])
    shared.change(lambda graph: graph.update("a", "in_progress"))
    assert shared.graph["a"].status == "in_progress"

from __future__ import annotations

from callboard.tools.tasks.todo import Todo, TodoList


async def test_the_list_is_replaced_and_shown() -> None:
    todos = TodoList()
    result = await todos.tool.run(
        '{"todos": [{"content": "read", "status": "completed"}, {"content": "write", "status": "in_progress"},'
        ' {"content": "test"}]}'
    )
    assert result.content == "[x] read\n[>] write\n[ ] test\n(1 of 3 completed)"
    assert todos.todos == [Todo("read", "completed"), Todo("write", "in_progress"), Todo("test", "pending")]


async def test_a_wrong_list_is_refused_and_changes_nothing() -> None:
    todos = TodoList([Todo("read")])
    for wrong, said in [
        ([{"content": "a", "status": "in_progress"}, {"content": "b", "status": "in_progress"}], "at most one"),
        ([{"content": " "}], "needs a text"),
        ([{"content": "a", "status": "done"}], "todos.0.status"),
        ([{"status": "pending"}], "todos.0.content: required"),
    ]:
        result = await todos.tool.run({"todos": wrong})
        assert result.is_error
        assert said in result.content
    assert todos.todos == [Todo("read")]


async def test_two_lists_are_apart() -> None:
    one, two = TodoList(), TodoList()
    await one.tool.run({"todos": [{"content": "a"}]})
    assert str(two) == "(no steps)"

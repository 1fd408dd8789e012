from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.providers.messages import Message, ToolCall
from callboard.tools import (
    ToolCancelled,
    ToolCrashed,
    ToolRegistry,
    ToolResult,
    ToolTimeout,
    UnknownTool,
    composite,
    run_calls,
    tool,
    tool_message,
)


@tool(risk="safe", idempotent=True)
async def double(n: int) -> int:
    """Double a number."""
    await asyncio.sleep(0)
    return 2 * n


@tool
async def fail() -> None:
    raise RuntimeError("broken")


@tool(timeout=0.01)
async def hang() -> None:
    await asyncio.Event().wait()


@tool
async def leave() -> None:
    raise SystemExit


@tool
async def cancel_itself() -> None:
    raise asyncio.CancelledError


@tool(scope="owner")
async def private() -> str:
    return "secret"


TOOLS = ToolRegistry([double, fail, hang, leave, cancel_itself, private])


def _calls(*names: str, arguments: str = "{}") -> list[ToolCall]:
    return [ToolCall(f"id-{index}", name, arguments) for index, name in enumerate(names)]


async def test_one_failing_call_does_not_touch_its_siblings() -> None:
    calls = [
        ToolCall("1", "double", '{"n": 1}'),
        *_calls("fail", "hang", "leave", "cancel_itself", "nothing", "double", "private"),
        ToolCall("9", "double", '{"n": 9}'),
    ]
    results = await run_calls(calls, TOOLS)
    assert [results[0].value, results[-1].value] == [2, 18]
    assert [type(result.error) for result in results[1:6]] == [
        ToolCrashed,
        ToolTimeout,
        ToolCrashed,
        ToolCrashed,
        UnknownTool,
    ]
    assert "n: required" in results[6].content
    assert isinstance(results[7].error, UnknownTool), "a tool outside the caller's scope was run"
    assert (await run_calls(_calls("private"), TOOLS, scope="owner"))[0].value == "secret"


async def test_no_calls_are_no_results() -> None:
    assert await run_calls([], TOOLS) == []


async def test_calls_run_at_once_up_to_the_limit() -> None:
    running = peak = 0
    order: list[int] = []

    @tool
    async def work(n: int) -> None:
        nonlocal running, peak
        order.append(n)
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0)
        running -= 1

    calls = [ToolCall(str(n), "work", json.dumps({"n": n})) for n in range(20)]
    await run_calls(calls, ToolRegistry([work]), concurrency=4)
    assert peak == 4
    assert order == list(range(20))


async def test_a_call_is_answered_by_a_message_with_its_id() -> None:
    call = ToolCall("abc", "double", '{"n": "x"}')
    (result,) = await run_calls([call], TOOLS)
    assert tool_message(call, result) == Message(
        "tool", result.content, tool_call_id="abc", name="double", is_error=True
    )


async def test_on_result_that_raises_does_not_stop_the_batch(caplog: pytest.LogCaptureFixture) -> None:
    def broken(call: ToolCall, result: ToolResult) -> None:
        raise RuntimeError("the callback is broken")

    results = await run_calls([ToolCall("1", "double", '{"n": 1}')] * 3, TOOLS, on_result=broken)
    assert [result.value for result in results] == [2, 2, 2]
    assert "the callback is broken" in caplog.text


@pytest.mark.parametrize("step", range(15))
async def test_a_batch_cancelled_at_any_step_stops_every_call_and_answers_each_once(step: int) -> None:
    answered: list[tuple[str, ToolResult]] = []
    open_calls = 0

    @tool(max_concurrency=2)
    async def work(rounds: int) -> str:
        nonlocal open_calls
        open_calls += 1
        try:
            for _ in range(rounds):
                await asyncio.sleep(0)
            return "done"
        finally:
            try:
                await asyncio.sleep(0)
            finally:
                open_calls -= 1

    calls = [ToolCall(str(n), "work", json.dumps({"rounds": n})) for n in range(6)]
    calls.append(ToolCall("unknown", "nothing", ""))
    task = asyncio.ensure_future(
        run_calls(
            calls,
            ToolRegistry([work]),
            concurrency=4,
            on_result=lambda call, result: answered.append((call.id, result)),
        )
    )
    for _ in range(step):
        await asyncio.sleep(0)
    started = step > 0
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert not open_calls
    assert asyncio.all_tasks() == {asyncio.current_task()}
    if started:  # a coroutine cancelled before its first step never ran: nothing was asked of it
        assert Counter(call for call, _ in answered) == Counter(call.id for call in calls)
        assert {type(result.error) for _, result in answered} <= {type(None), ToolCancelled, UnknownTool}
    assert (await asyncio.wait_for(work.run({"rounds": 0}), 5)).content == "done", "a slot was not given back"


_SCRIPTS = st.lists(st.tuples(st.sampled_from(["ok", "crash", "exit", "self", "unknown", "misfit"]), st.integers(0, 3)))


@given(_SCRIPTS, st.integers(1, 5), st.integers(1, 3))
async def test_every_call_of_a_generated_batch_is_answered_once_and_in_its_place(
    script: list[tuple[str, int]], concurrency: int, slots: int
) -> None:
    @tool(max_concurrency=slots)
    async def act(what: str, rounds: int) -> str:
        for _ in range(rounds):
            await asyncio.sleep(0)
        if what == "crash":
            raise ValueError(what)
        if what == "exit":
            raise SystemExit(what)
        if what == "self":
            raise asyncio.CancelledError
        return what

    names = {"unknown": "no_such_tool"}
    calls = [
        ToolCall(
            str(index),
            names.get(what, "act"),
            "{" if what == "misfit" else json.dumps({"what": what, "rounds": rounds}),
        )
        for index, (what, rounds) in enumerate(script)
    ]
    answered: Counter[str] = Counter()
    results = await run_calls(
        calls,
        ToolRegistry([act]),
        concurrency=concurrency,
        on_result=lambda call, _: answered.update([call.id]),
    )
    assert answered == Counter(call.id for call in calls)
    assert [result.is_error for result in results] == [what != "ok" for what, _ in script]
    assert asyncio.all_tasks() == {asyncio.current_task()}


class TestComposite:
    async def test_each_call_has_its_own_result_or_error(self) -> None:
        made = composite([double, fail])
        calls: list[Any] = [
            {"name": "double", "args": {"n": 4}},
            {"name": "fail"},
            {"name": "double", "args": {"n": "x"}},
            {"name": "nothing", "args": {}},
            "not even an object",
            {"name": "double", "args": [1]},
        ]
        result = await made.run({"calls": calls})
        assert not result.is_error
        results = json.loads(result.text)["results"]
        assert results[0] == {"name": "double", "result": 8}
        assert "broken" in results[1]["error"]
        assert "n: Input should be a valid integer" in results[2]["error"]
        assert "no tool named 'nothing'" in results[3]["error"]
        assert [set(entry) for entry in results] == [{"name", "result"}] + [{"name", "error"}] * 5

    @pytest.mark.parametrize("parallel", [False, True])
    async def test_its_calls_run_in_order_unless_it_says_otherwise(self, parallel: bool) -> None:
        shelf: list[str] = []

        @tool
        async def write(text: str) -> str:
            for _ in range(3):
                await asyncio.sleep(0)
            shelf.append(text)
            return "written"

        @tool
        async def read() -> str:
            return shelf[-1] if shelf else "nothing there"

        made = composite([write, read], parallel=parallel)
        result = await made.run({"calls": [{"name": "write", "args": {"text": "hello"}}, {"name": "read"}]})
        assert [entry["result"] for entry in result.value["results"]] == [
            "written",
            "nothing there" if parallel else "hello",
        ]

    async def test_calls_that_are_no_list_are_refused(self) -> None:
        made = composite([double])
        for wrong in ('{"calls": 3}', "{}", "[]", "{"):
            assert (await made.run(wrong)).is_error

    def test_it_is_safe_as_each_of_its_calls_is_asked_about_and_needs_a_scope_for_each_tool(self) -> None:
        made = composite([double, fail])
        assert (made.risk, made.resumable) == ("safe", True)
        assert composite([double, private]).scope == {"owner"}

    def test_its_schema_holds_its_tools_schemas_with_references_that_resolve(self) -> None:
        from pydantic import BaseModel

        class Node(BaseModel):
            children: list[Node] = []

        @tool
        def one(node: Node) -> None: ...

        @tool(name="two")
        def other(node: Node) -> None: ...

        schema = composite([one, other]).spec.parameters
        kinds = schema["properties"]["calls"]["items"]["anyOf"]
        assert [kind["properties"]["name"] for kind in kinds] == [{"const": "one"}, {"const": "two"}]
        references = [found["$ref"] for found in _objects(schema) if "$ref" in found]
        assert len(references) == 4
        for reference in references:
            assert reference.removeprefix("#/$defs/") in schema["$defs"]

    async def test_cancelling_it_stops_its_calls(self) -> None:
        started, stopped = asyncio.Event(), asyncio.Event()

        @tool
        async def wait() -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                stopped.set()

        task = asyncio.ensure_future(composite([wait]).run({"calls": [{"name": "wait", "args": {}}]}))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert stopped.is_set()


def _objects(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value] + [found for item in value.values() for found in _objects(item)]
    if isinstance(value, list):
        return [found for item in value for found in _objects(item)]
    return []

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pydantic import BaseModel

from callboard.tools import (
    InvalidArguments,
    ToolCancelled,
    ToolCrashed,
    ToolDefinitionError,
    ToolError,
    ToolResult,
    ToolTimeout,
    tool,
)
from callboard.tools.errors import InvalidResult
from callboard.tools.threads import gave_up


def _others() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


def test_a_decorated_function_can_still_be_called() -> None:
    @tool
    def add(a: int, b: int) -> int:
        return a + b

    assert add(1, b=2) == 3


def test_what_nobody_declared_is_risky_and_not_idempotent() -> None:
    @tool
    def plain() -> None: ...

    @tool(risk="safe", idempotent=True)
    def declared() -> None: ...

    assert (plain.risk, plain.idempotent, plain.timeout) == ("risky", False, 60.0)
    assert (declared.risk, declared.idempotent) == ("safe", True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "no spaces"}, "letters, digits"),
        ({"name": "x" * 65}, "1 to 64"),
        ({"name": ""}, "1 to 64"),
        ({"risk": "mild"}, "risk is 'mild'; expected one of safe, risky"),
        ({"scope": ""}, "scope is a text, or several"),
        ({"scope": ()}, "scope is a text, or several"),
        ({"scope": ["finance", 7]}, "scope is a text, or several"),
        ({"scope": None}, "scope is a text, or several"),
        ({"approved_by": " "}, "approved_by: scope is a text, or several"),
        ({"approval": "sometimes"}, "approval is 'always', 'never', or one or several of manual"),
        ({"approval": ["manual", "root"]}, "approval is 'always', 'never', or one or several of manual"),
        ({"approval": 7}, "approval is 'always', 'never', or one or several of manual"),
        ({"approval": ()}, "approval is 'always', 'never', or one or several of manual"),
        ({"timeout": 0}, "timeout is 0; expected seconds, more than 0, or None"),
        ({"timeout": "x"}, "timeout is 'x'; expected seconds"),
        ({"max_result": 0}, "max_result is 0; expected a whole number, at least 1"),
        ({"max_result": "x"}, "max_result is 'x'; expected a whole number"),
        ({"max_concurrency": 0}, "max_concurrency is 0; expected a whole number, at least 1"),
        ({"name": 5}, "tool name 5: use 1 to 64 letters"),
        ({"description": 5}, "description is 5; expected a text"),
        ({"before_call": 5}, "before_call is 5; expected a function"),
        ({"on_success": "x"}, "on_success is 'x'; expected a function"),
        ({"on_error": [1]}, r"on_error is \[1\]; expected a function"),
        ({"defer": "x"}, "defer is 'x'; expected True or False"),
        ({"idempotent": "x"}, "idempotent is 'x'; expected True or False"),
        ({"process": "x"}, "process is 'x'; expected True or False"),
        ({"foo": 1}, "a tool has no option 'foo'; there are approval, approved_by"),
    ],
)
def test_a_wrong_declaration_is_refused_when_it_is_made(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ToolDefinitionError, match=said):
        tool(**{"name": "x", **options})(lambda: None)


def test_a_generator_is_no_tool() -> None:
    def numbers() -> Iterator[int]:
        yield 1

    with pytest.raises(ToolDefinitionError, match="yield"):
        tool(numbers)


class Counter:
    async def count(self, item: str) -> int:
        """How many there are."""
        return len(item)


async def test_a_method_is_a_tool_of_an_object_and_not_of_its_class() -> None:
    with pytest.raises(ToolDefinitionError, match=r"Counter.count is a method, and of no object yet: .*self\.count"):
        tool(Counter.count)
    with pytest.raises(ToolDefinitionError, match="is a method, and of no object yet"):

        class Decorated:
            @tool(risk="safe")
            async def count(self, number: int, item: str) -> int:
                """How many there are."""
                return number

    bound = tool(risk="safe")(Counter().count)
    assert list(bound.spec.parameters["properties"]) == ["item"]
    assert (await bound.run({"item": "tea"})).text == "3"


class Answer(BaseModel):
    text: str
    score: float


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("text", "text"),
        (None, "(no output)"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        (Answer(text="t", score=1), '{"text":"t","score":1.0}'),
        (b"bytes \xff", "bytes \ufffd"),
        (True, "true"),
        (float("nan"), '"NaN"'),
    ],
)
async def test_return_values_are_rendered_for_the_model(value: Any, content: str) -> None:
    @tool
    async def give() -> Any:
        return value

    result = await give.run()
    assert result.content == content
    assert result.value is value


async def test_a_value_that_has_no_json_is_rendered_as_text() -> None:
    class Odd:
        def __str__(self) -> str:
            return "odd one"

    loop: list[Any] = []
    loop.append(loop)

    @tool
    async def give(which: bool) -> Any:
        return Odd() if which else loop

    assert (await give.run({"which": True})).content == '"odd one"'
    assert (await give.run({"which": False})).content == "[[...]]"


async def test_a_tool_may_answer_with_a_result_of_its_own() -> None:
    own = ToolResult("not today", is_error=True)

    @tool
    async def give() -> ToolResult:
        return own

    assert await give.run() is own


async def test_an_exception_becomes_an_error_for_the_model_with_its_cause_for_the_program() -> None:
    @tool
    async def fail() -> None:
        raise KeyError("colour")

    @tool
    def blocking_fail() -> None:
        raise KeyError("colour")

    for made in (fail, blocking_fail):
        result = await made.run()
        assert result.is_error
        assert result.content == "Error (ToolCrashed): KeyError: 'colour'"
        assert isinstance(result.error, ToolCrashed)
        assert isinstance(result.error.__cause__, KeyError)


async def test_a_tool_error_reaches_the_model_word_for_word() -> None:
    @tool
    async def fail() -> None:
        raise ToolError("the archive is closed on Sundays")

    assert (await fail.run()).content == "Error (ToolError): the archive is closed on Sundays"


@pytest.mark.parametrize("exit_with", [SystemExit(3), SystemExit()])
async def test_a_tool_that_exits_does_not_end_the_program(exit_with: SystemExit) -> None:
    @tool
    async def leave() -> None:
        raise exit_with

    @tool
    def blocking_leave() -> None:
        raise exit_with

    for made in (leave, blocking_leave):
        assert "SystemExit" in (await made.run()).content


async def test_a_tool_that_cancels_itself_does_not_cancel_its_caller() -> None:
    @tool
    async def give_up() -> None:
        raise asyncio.CancelledError

    result = await give_up.run()
    assert isinstance(result.error, ToolCrashed)
    assert "cancelled itself" in result.content


async def test_a_blocking_tool_that_raises_stop_iteration_has_crashed() -> None:
    @tool(timeout=None)
    def first_of_nothing() -> int:
        return next(iter([]))

    result = await first_of_nothing.run()
    assert isinstance(result.error, ToolCrashed)
    assert "StopIteration" in result.content


@pytest.mark.parametrize("raised", [GeneratorExit(), BaseException("odd")], ids=repr)
async def test_a_tool_has_crashed_that_raises_what_is_no_exception(raised: BaseException) -> None:
    @tool
    async def leave() -> None:
        raise raised

    result = await leave.run()
    assert isinstance(result.error, ToolCrashed)
    assert result.error.__cause__ is raised


async def test_a_long_result_is_cut_in_the_middle_and_says_so() -> None:
    @tool(max_result=1_000)
    async def long(size: int) -> str:
        return "a" * (size // 2) + "z" * (size // 2)

    assert (await long.run({"size": 1_000})).text == "a" * 500 + "z" * 500
    content = (await long.run({"size": 100_000})).text
    assert len(content) == 1_000
    assert content.startswith("aaa")
    assert content.endswith("zzz")
    assert "100000 characters in all" in content


async def test_an_error_is_cut_where_it_is_no_longer_readable_whatever_results_are_cut_at() -> None:
    @tool(max_result=100)
    async def fails(size: int) -> str:
        raise ToolError("a" * size)

    assert "a" * 3_000 in (await fails.run({"size": 3_000})).text
    assert len((await fails.run({"size": 5_000})).text) == 4_000


async def test_a_sync_tool_runs_in_a_thread_with_the_callers_context() -> None:
    user = contextvars.ContextVar("user", default="nobody")
    user.set("ada")

    @tool
    def who() -> str:
        name = user.get()
        user.set("changed")
        return f"{name} {threading.current_thread() is threading.main_thread()}"

    assert (await who.run()).content == "ada False"
    assert user.get() == "ada"


async def test_the_loop_goes_on_while_a_sync_tool_blocks() -> None:
    released = threading.Event()

    @tool
    def wait() -> bool:
        return released.wait(30)

    running = asyncio.ensure_future(wait.run())
    # Only a loop that is not blocked gets to this line, and the tool ends only after it.
    asyncio.get_running_loop().call_soon(released.set)
    assert (await running).value is True


async def test_a_tool_that_hangs_ends_at_its_timeout() -> None:
    @tool(timeout=0.01)
    async def hang() -> None:
        await asyncio.Event().wait()

    result = await hang.run()
    assert isinstance(result.error, ToolTimeout)
    assert "within 0.01 seconds" in result.content
    assert not _others()


async def test_a_blocking_tool_that_hangs_ends_at_its_timeout() -> None:
    go = threading.Event()

    @tool(timeout=0.01)
    def hang() -> None:
        go.wait(30)

    assert isinstance((await hang.run()).error, ToolTimeout)
    go.set()


async def test_a_blocking_tool_can_ask_whether_its_caller_has_given_up() -> None:
    started, told, go = threading.Event(), threading.Event(), threading.Event()

    @tool
    def hang() -> None:
        assert not gave_up()
        started.set()
        go.wait(30)
        if gave_up():
            told.set()

    task = asyncio.ensure_future(hang.run())
    await asyncio.to_thread(started.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go.set()
    assert await asyncio.to_thread(told.wait, 30)


def test_the_interpreter_switches_more_often_only_while_a_blocking_tool_runs() -> None:
    # In a process of its own: here, threads that other tests left behind may still be running.
    program = """
import asyncio, sys
from callboard.tools import tool
@tool
def interval():
    return sys.getswitchinterval()
async def main():
    before = sys.getswitchinterval()
    results = await asyncio.gather(*(interval.run() for _ in range(20)))
    print(max(result.value for result in results) < before == sys.getswitchinterval())
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_a_blocking_tool_that_hangs_does_not_keep_the_program_from_ending() -> None:
    program = """
import asyncio, threading
from callboard.tools import tool
@tool(timeout=0.01)
def hang():
    threading.Event().wait()
print(asyncio.run(hang.run()).is_error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "True"


async def test_hung_blocking_tools_do_not_starve_others() -> None:
    go = threading.Event()

    @tool(timeout=0.01)
    def hang() -> None:
        go.wait(30)

    @tool
    def quick() -> int:
        return 1

    try:
        await asyncio.gather(*(hang.run() for _ in range(100)))
        assert (await quick.run()).value == 1
    finally:
        go.set()


async def test_a_tool_that_ignores_its_timeout_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("callboard.tools.calls.invocation.GRACE", 0.01)
    release = asyncio.Event()

    @tool(timeout=0.01)
    async def stubborn() -> str:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return "at last"

    assert isinstance((await stubborn.run()).error, ToolTimeout)
    assert "left behind" in caplog.text
    release.set()
    await asyncio.gather(*_others())


async def test_a_result_that_comes_after_the_timeout_is_not_taken_for_an_answer() -> None:
    @tool(timeout=0.01)
    async def late() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "late"
        return ""

    assert isinstance((await late.run()).error, ToolTimeout)


async def test_cancelling_the_caller_stops_the_tool_before_it_returns() -> None:
    events: list[str] = []
    started = asyncio.Event()

    @tool
    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            events.append("cleaned up")

    running = asyncio.ensure_future(work.run())
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert events == ["cleaned up"]
    assert not _others()


@pytest.mark.parametrize("step", range(12))
async def test_a_call_cancelled_at_any_step_leaves_nothing_behind(step: int) -> None:
    ended: list[ToolResult] = []
    open_calls = 0

    async def before(arguments: dict[str, Any]) -> None:
        await asyncio.sleep(0)

    async def after(arguments: dict[str, Any], result: ToolResult) -> None:
        await asyncio.sleep(0)

    @tool(max_concurrency=1, before_call=before, on_success=after)
    async def work() -> str:
        nonlocal open_calls
        open_calls += 1
        try:
            await asyncio.sleep(0)
            return "done"
        finally:
            open_calls -= 1

    running = asyncio.ensure_future(work.run())
    for _ in range(step):
        await asyncio.sleep(0)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        ended.append(await running)
    assert not open_calls
    assert not _others()
    assert all(result.content == "done" for result in ended)
    # The slot was given back: the next call is not kept waiting.
    assert (await asyncio.wait_for(work.run(), 5)).content == "done"


async def test_at_most_max_concurrency_calls_run_at_once_in_order() -> None:
    running = peak = 0
    order: list[int] = []

    @tool(max_concurrency=3)
    async def work(n: int) -> None:
        nonlocal running, peak
        order.append(n)
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0)
        running -= 1

    await asyncio.gather(*(work.run({"n": n}) for n in range(20)))
    assert peak == 3
    assert order == list(range(20))


async def test_a_call_that_waited_for_a_slot_runs_in_its_own_callers_context() -> None:
    user = contextvars.ContextVar("user", default="nobody")

    @tool(max_concurrency=1)
    async def who() -> str:
        await asyncio.sleep(0)
        return user.get()

    async def call(name: str) -> str:
        user.set(name)
        return (await who.run()).text

    assert await asyncio.gather(*(call(name) for name in ("ada", "bob", "eve"))) == ["ada", "bob", "eve"]


def test_a_limited_tool_can_be_used_in_one_loop_after_another() -> None:
    @tool(max_concurrency=1)
    async def work() -> int:
        await asyncio.sleep(0)
        return 1

    async def twice() -> list[Any]:
        return [result.value for result in await asyncio.gather(work.run(), work.run())]

    assert asyncio.run(twice()) == [1, 1]
    assert asyncio.run(twice()) == [1, 1]


async def test_the_wait_for_a_slot_does_not_count_as_the_calls_time() -> None:
    turn = asyncio.Event()

    @tool(max_concurrency=1, timeout=0.05)
    async def work(first: bool) -> str:
        if first:
            await turn.wait()
        return "ran"

    results = await asyncio.gather(work.run({"first": True}), work.run({"first": False}))
    assert [result.is_error for result in results] == [True, False]


class TestHooks:
    async def test_before_call_sees_checked_arguments_and_may_change_them(self) -> None:
        seen: list[dict[str, Any]] = []

        def before(arguments: dict[str, Any]) -> Mapping[str, Any]:
            seen.append(arguments)
            return {"n": "7"}

        @tool(before_call=before)
        async def double(n: int) -> int:
            return 2 * n

        assert (await double.run('{"n": "1"}')).value == 14
        assert seen == [{"n": 1}]

    async def test_changed_arguments_are_checked_too(self) -> None:
        @tool(before_call=lambda arguments: {"n": "x"})
        async def double(n: int) -> int:
            return 2 * n

        assert isinstance((await double.run({"n": 1})).error, InvalidArguments)

    async def test_before_call_may_answer_in_the_tools_place_or_refuse(self) -> None:
        ran: list[str] = []

        async def before(arguments: dict[str, Any]) -> ToolResult | None:
            if arguments["path"] == "secret":
                raise ToolError("not this one")
            return ToolResult("cached") if arguments["path"] == "known" else None

        @tool(before_call=before)
        async def read(path: str) -> str:
            ran.append(path)
            return "read"

        assert (await read.run({"path": "known"})).content == "cached"
        refused = await read.run({"path": "secret"})
        assert refused.is_error
        assert "not this one" in refused.content
        assert (await read.run({"path": "other"})).content == "read"
        assert ran == ["other"]

    async def test_on_success_may_replace_the_result(self) -> None:
        async def shout(arguments: dict[str, Any], result: ToolResult) -> ToolResult:
            return ToolResult(result.text.upper() + str(arguments["n"]))

        @tool(on_success=shout)
        async def say(n: int) -> str:
            return "hi"

        assert (await say.run({"n": 3})).content == "HI3"

    @pytest.mark.parametrize("kind", ["crash", "misfit", "timeout"])
    async def test_on_error_may_answer_for_every_kind_of_failure(self, kind: str) -> None:
        seen: list[ToolError] = []

        async def rescue(arguments: dict[str, Any], error: ToolError) -> ToolResult:
            seen.append(error)
            await asyncio.sleep(0)
            return ToolResult("rescued")

        @tool(on_error=rescue, timeout=0.01 if kind == "timeout" else 60)
        async def fail(n: int) -> None:
            if kind == "timeout":
                await asyncio.Event().wait()
            raise ValueError("no")

        result = await fail.run({"n": "x" if kind == "misfit" else 1})
        assert isinstance(seen[0], {"crash": ToolCrashed, "misfit": InvalidArguments, "timeout": ToolTimeout}[kind])
        assert result == ToolResult("rescued")

    @pytest.mark.parametrize("hook", ["on_success", "on_error"])
    async def test_a_hook_that_returns_a_text_is_told_what_it_returns(
        self, hook: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        options: dict[str, Any] = {hook: lambda arguments, ended: "sorry"}

        @tool(**options)
        async def pay() -> str:
            if hook == "on_error":
                raise ToolError("no money")
            return "paid"

        result = await pay.run()
        assert result.is_error
        assert ("no money" if hook == "on_error" else f"{hook} returned str, not a ToolResult or None") in result.text
        assert f"{hook} returned str, not a ToolResult or None" in caplog.text

    async def test_an_on_error_that_fails_does_not_hide_the_error(self) -> None:
        def broken(arguments: dict[str, Any], error: ToolError) -> None:
            raise RuntimeError("the hook is broken")

        @tool(on_error=broken)
        async def fail() -> None:
            raise ToolError("the call's own error")

        assert "the call's own error" in (await fail.run()).content

    async def test_hooks_count_as_the_calls_time(self) -> None:
        async def hang(arguments: dict[str, Any]) -> None:
            await asyncio.Event().wait()

        @tool(before_call=hang, timeout=0.01)
        async def work() -> None: ...

        assert isinstance((await work.run()).error, ToolTimeout)


async def test_a_return_value_is_checked_and_converted_by_the_response_type() -> None:
    @tool(response=Answer)
    async def answer(score: str) -> dict[str, Any]:
        return {"text": "t", "score": score, "internal": "left out"}

    good = await answer.run({"score": "0.5"})
    assert json.loads(good.text) == {"text": "t", "score": 0.5}
    assert good.value == Answer(text="t", score=0.5)
    assert isinstance((await answer.run({"score": "high"})).error, InvalidResult)
    assert answer.response_schema is not None
    assert set(answer.response_schema["properties"]) == {"text", "score"}


async def test_run_from_many_tasks_at_once() -> None:
    @tool
    def square(n: int) -> int:
        return n * n

    results = await asyncio.gather(*(square.run({"n": n}) for n in range(200)))
    assert [result.value for result in results] == [n * n for n in range(200)]


async def test_a_call_can_be_started_and_cancelled_without_a_task_that_waits() -> None:
    ended: asyncio.Future[ToolResult] = asyncio.get_running_loop().create_future()

    @tool
    async def hang() -> None:
        await asyncio.Event().wait()

    invocation = hang.start("{}", ended.set_result)
    invocation.cancel()
    invocation.cancel()
    assert isinstance((await ended).error, ToolCancelled)

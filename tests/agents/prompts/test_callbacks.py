"""Callbacks of `run_prompt` that raise what is no error, never return, or wait for their own run; and who aborts it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from uuid import UUID

import pytest

from callboard import ChildSpec, DefinitionError, PromptError, PromptRun, RunCancelled, run_prompt
from callboard.testing import FunctionModel, run_virtual
from tests.agents.support import function

from .test_in_runs import COUNTED, MORE, calling
from .test_prompt_run import greeting

RAISED = [
    SystemExit(3),
    asyncio.CancelledError("its own"),
    GeneratorExit(),
    BaseExceptionGroup("several", [SystemExit()]),
]
DURING = ["on_chunk", "on_step_finish", "on_finish"]


def at_work(**options: Any) -> PromptRun[Any]:
    return run_prompt(greeting, model=function(calling(MORE)), **options)


async def outcome(run: PromptRun[Any]) -> Any:
    """The answer's text, or what the run ended in."""
    try:
        return (await run).text
    except RunCancelled as error:
        return error


@pytest.mark.parametrize("later", [False, True], ids=["plain", "async"])
@pytest.mark.parametrize("raised", RAISED, ids=lambda raised: type(raised).__name__)
@pytest.mark.parametrize("name", DURING)
def test_what_a_callback_raises_is_logged_whatever_it_is(
    name: str, raised: BaseException, later: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: Any) -> None:
        raise raised

    async def fails_later(_: Any) -> None:
        fails(_)

    async def scenario() -> None:
        assert await outcome(at_work(**{name: fails_later if later else fails})) == COUNTED.format(1)

    with caplog.at_level(logging.WARNING, "callboard"):
        run_virtual(scenario())
    told = [record.getMessage() for record in caplog.records if record.name == "callboard"]
    assert told
    assert all(text.startswith(f"{name} of ") and type(raised).__name__ in text for text in told)


@pytest.mark.parametrize("raised", RAISED, ids=lambda raised: type(raised).__name__)
def test_what_on_abort_and_on_error_raise_leaves_what_the_run_ended_in(raised: BaseException) -> None:
    def fails(_: Any) -> None:
        raise raised

    async def scenario() -> None:
        run = at_work(on_abort=fails)
        run.abort("not needed")
        assert "not needed" in str(await outcome(run))
        failed = run_prompt(greeting, model=function(lambda request: ValueError("no")), on_error=fails)
        with pytest.raises(Exception, match="no"):
            await failed

    run_virtual(scenario())


@pytest.mark.parametrize("name", DURING)
@pytest.mark.parametrize("by", ["abort", "cancelling"])
def test_a_callback_that_never_returns_holds_nobody_who_aborts(
    name: str, by: str, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[str] = []

    async def hangs(_: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async def scenario() -> None:
        run = at_work(**{name: hangs})
        waiter = asyncio.ensure_future(outcome(run))
        await asyncio.sleep(60)
        assert not waiter.done(), "it waits for its callback"
        loop = asyncio.get_running_loop()
        begun = loop.time()
        if by == "abort":
            run.abort()
            await outcome(run)
        else:
            waiter.cancel()
        await asyncio.wait([waiter])
        assert loop.time() - begun <= 6
        assert waiter.cancelled() == (by == "cancelling")

    with caplog.at_level(logging.WARNING, "callboard"):
        run_virtual(scenario())
    assert ended
    assert "5 seconds" in caplog.text


def test_on_abort_has_its_5_seconds_too() -> None:
    async def hangs(_: Any) -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        run = at_work(on_abort=hangs)
        run.abort("not needed")
        assert "not needed" in str(await outcome(run))
        assert asyncio.get_running_loop().time() <= 6

    run_virtual(scenario())


def test_a_callback_may_abort_its_run_and_go_on_with_its_work() -> None:
    told: list[str] = []

    async def scenario() -> None:
        async def enough(_: Any) -> None:
            run.abort("enough")
            await asyncio.sleep(1)
            told.append("written down")

        run = at_work(on_step_finish=enough)
        assert "enough" in str(await outcome(run))

    run_virtual(scenario())
    assert told[:1] == ["written down"]


@pytest.mark.parametrize("how", ["await", "events", "text_stream"])
def test_a_callback_that_waits_for_its_own_run_is_told_so(how: str, caplog: pytest.LogCaptureFixture) -> None:
    raised: list[BaseException] = []

    async def scenario() -> None:
        async def waits(_: Any) -> None:
            try:
                if how == "await":
                    await run
                else:
                    async for _ in getattr(run, how):
                        pass
            except BaseException as error:
                raised.append(error)
                raise

        run = at_work(on_finish=waits)
        assert await outcome(run) == COUNTED.format(1)

    run_virtual(scenario())
    assert [type(error) for error in raised] == [PromptError]
    assert "waits for" in str(raised[0])
    assert "on_finish" in caplog.text


async def test_it_can_be_aborted_from_another_thread() -> None:
    working = asyncio.Event()

    async def slow(_: Any) -> str:
        working.set()
        await asyncio.Event().wait()
        return ""

    run = run_prompt(greeting, model=ChildSpec(FunctionModel, (slow,)))
    waiter = asyncio.ensure_future(outcome(run))
    await working.wait()
    await asyncio.to_thread(run.abort, "not needed")
    assert "not needed" in str(await waiter)


async def test_what_is_no_prompt_function_is_refused_also_where_there_is_a_question() -> None:
    nothing: Any = None
    options: Any
    for options in ({}, {"messages": "Hello."}):
        with pytest.raises(DefinitionError, match="a prompt function is a function that takes the prompt, not None"):
            run_prompt(nothing, model=function(calling()), **options)


async def test_its_run_has_an_id_like_any_other() -> None:
    seen: set[str] = set()
    run = at_work(on_chunk=lambda event: seen.add(event.run))
    await run
    assert [UUID(each).version for each in seen] == [7]
    assert seen == {str(UUID(each)) for each in seen}

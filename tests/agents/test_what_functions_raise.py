"""Whatever a function of the user's raises ends no loop, no actor and no other run: a hook is passed over, a guardrail
refuses, a tool's call has failed, and for the others the run ends by name, with the cause."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from callboard import (
    Agency,
    Agent,
    Answer,
    HookContext,
    Pipeline,
    RunFailed,
    ToolContext,
    guardrail,
    handoff,
    hook,
    tool,
)
from callboard.actors.agents.errors import GuardrailTripped
from callboard.actors.agents.events import HookFailed, RunEvent
from callboard.actors.testing import virtual_time
from callboard.actors.testing.doubles.models import Script, call

from .support import RUN_EVENTS, add, scripted


class Own(BaseException):
    """What is no `Exception`."""


class Mute(Exception):
    """What cannot even say what it is."""

    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


async def awaits_what_was_cancelled() -> None:
    task = asyncio.ensure_future(asyncio.Event().wait())
    task.cancel()
    await task


FATAL: dict[str, Callable[[], BaseException]] = {
    "CancelledError": asyncio.CancelledError,
    "SystemExit": lambda: SystemExit(3),
    "GeneratorExit": GeneratorExit,
    "Own": lambda: Own("odd"),
}
ODD: dict[str, Callable[[], BaseException]] = {"StopIteration": StopIteration, "Mute": Mute}
ALL = {**FATAL, **ODD}


def plain(kind: str) -> Callable[..., Any]:
    def raising(*_: Any) -> Any:
        raise ALL[kind]()

    return raising


def coroutine(kind: str) -> Callable[..., Any]:
    async def raising(*_: Any) -> Any:
        await asyncio.sleep(0)
        if kind == "CancelledError":
            await awaits_what_was_cancelled()
        raise ALL[kind]()

    return raising


def causes(error: BaseException | None) -> set[str]:
    """The types of what an error comes from."""
    found = set()
    while error is not None:
        found.add(type(error).__name__)
        error = error.__cause__
    return found


WAYS = pytest.mark.parametrize("way", [plain, coroutine], ids=["def", "async"])
KINDS = pytest.mark.parametrize("kind", ALL)


async def still_answers(agency: Agency) -> bool:
    return (await agency.run("?", agent="Other")).text == "alive"


def other() -> Agent:
    class Other:
        name = "Other"
        description = "Answers by itself."

        async def answer(self, request: Any) -> Answer | str:
            return "alive"

    return Other()  # type: ignore[return-value]


@WAYS
@KINDS
@pytest.mark.parametrize("event", RUN_EVENTS)
async def test_a_hook_is_passed_over_and_told_of_whatever_it_raises(
    event: Any, kind: str, way: Callable[[str], Any]
) -> None:
    told: list[str] = []
    raising, called = way(kind), 0

    @hook(event)
    def mine(context: HookContext) -> Any:
        nonlocal called
        called += 1
        return raising()

    def note(one: RunEvent) -> None:
        if isinstance(one, HookFailed):
            told.append(one.error)

    script = Script([call("add", a=1, b=2), call("delegate_to_B", message="do"), "done by B", "done"])
    a = Agent("A", tools=[add], handoffs=[handoff(Agent("B"))], hooks=[mine])
    async with Agency(a, other(), model=scripted(script)) as agency:
        agency.subscribe(note)
        texts = [one async for one in agency.run_streaming("?", agent="A")]
        assert await still_answers(agency)
    assert texts[-1].answer.text == "done"  # type: ignore[attr-defined]
    assert len(told) == called > 0, "each call is reported once, and none is made again"
    assert all(kind in one for one in told)


@WAYS
@KINDS
@pytest.mark.parametrize("event", RUN_EVENTS)
async def test_a_guardrail_ends_its_run_by_name_whatever_it_raises(
    event: Any, kind: str, way: Callable[[str], Any]
) -> None:
    raising = way(kind)

    @guardrail(event)
    def mine(context: HookContext) -> Any:
        return raising()

    script = Script([call("add", a=1, b=2), call("delegate_to_B", message="do"), "done by B", "done"])
    a = Agent("A", tools=[add], handoffs=[handoff(Agent("B"))], hooks=[mine])
    async with Agency(a, other(), model=scripted(script)) as agency:
        with pytest.raises(GuardrailTripped, match=rf"guardrail mine refused \({event}\): .") as caught:
            async for _ in agency.run_streaming("?", agent="A"):
                pass
        assert await still_answers(agency)
    assert kind in causes(caught.value)


def _instructions(kind: str) -> tuple[Agent, dict[str, Any], str]:
    return Agent("A", plain(kind)), {}, "the instructions of A"


def _stop_when(kind: str) -> tuple[Agent, dict[str, Any], str]:
    return Agent("A", tools=[add], stop_when=plain(kind)), {}, "stop_when of A"


def _prepare_step(kind: str) -> tuple[Agent, dict[str, Any], str]:
    return Agent("A", prepare_step=plain(kind)), {}, "prepare_step of A"


def _history_filter(kind: str) -> tuple[Agent, dict[str, Any], str]:
    offer = handoff(Agent("B"), history_filter=plain(kind))
    return Agent("A", handoffs=[offer]), {}, "the history filter of delegate_to_B"


def _on_handoff(way: Callable[[str], Any]) -> Callable[[str], tuple[Agent, dict[str, Any], str]]:
    def made(kind: str) -> tuple[Agent, dict[str, Any], str]:
        return Agent("A", handoffs=[handoff(Agent("B"), on_handoff=way(kind))]), {}, "on_handoff of delegate_to_B"

    return made


def _chosen(kind: str) -> tuple[Agent, dict[str, Any], str]:
    @handoff
    def choose(message: str) -> str:
        """Choose who."""
        raise ALL[kind]()

    return Agent("A", handoffs=[choose]), {}, "choose"


def _chosen_async(kind: str) -> tuple[Agent, dict[str, Any], str]:
    @handoff
    async def choose(message: str) -> str:
        """Choose who."""
        result: str = await coroutine(kind)()
        return result

    return Agent("A", handoffs=[choose]), {}, "choose"


def _stage(kind: str) -> tuple[Agent, dict[str, Any], str]:
    def stage(text: str) -> str:
        raise ALL[kind]()

    return Agent("A", handoffs=[handoff(Pipeline("P", stage))]), {}, "P-stage"


def _stage_async(kind: str) -> tuple[Agent, dict[str, Any], str]:
    async def stage(text: str) -> str:
        result: str = await coroutine(kind)()
        return result

    return Agent("A", handoffs=[handoff(Pipeline("P", stage))]), {}, "P-stage"


def _own_class(kind: str) -> tuple[Agent, dict[str, Any], str]:
    class Mine:
        name = "A"
        description = "Answers by itself."

        async def answer(self, request: Any) -> Answer | str:
            result: str = await coroutine(kind)()
            return result

    return Mine(), {}, "A"  # type: ignore[return-value]


def _deps(way: Callable[[str], Any]) -> Callable[[str], tuple[Agent, dict[str, Any], str]]:
    def made(kind: str) -> tuple[Agent, dict[str, Any], str]:
        @tool(risk="safe")
        async def needs(context: ToolContext[Any]) -> str:
            return str(context.deps)

        return Agent("A", tools=[needs]), {"deps": way(kind)}, "the function that makes the agency's deps"

    return made


def _validator(kind: str) -> tuple[Agent, dict[str, Any], str]:
    class Form(BaseModel):
        text: str

        @field_validator("text")
        @classmethod
        def checked(cls, text: str) -> str:
            raise ALL[kind]()

    return Agent("A", output_type=Form), {}, "checking the answer"


FUNCTIONS: dict[str, tuple[Callable[[str], tuple[Agent, dict[str, Any], str]], Any]] = {
    "instructions": (_instructions, "x"),
    "stop_when": (_stop_when, call("add", a=1, b=2)),
    "prepare_step": (_prepare_step, "x"),
    "history filter": (_history_filter, call("delegate_to_B", message="do")),
    "on_handoff, def": (_on_handoff(plain), call("delegate_to_B", message="do")),
    "on_handoff, async": (_on_handoff(coroutine), call("delegate_to_B", message="do")),
    "@handoff, def": (_chosen, call("choose", message="do")),
    "@handoff, async": (_chosen_async, call("choose", message="do")),
    "own class": (_own_class, "x"),
    "deps, def": (_deps(plain), call("needs")),
    "deps, async": (_deps(coroutine), call("needs")),
    "validator": (_validator, '{"text": "x"}'),
}


@pytest.mark.parametrize("kind", FATAL)
@pytest.mark.parametrize("function", FUNCTIONS)
async def test_a_function_that_raises_what_is_no_exception_ends_its_run_by_its_name(function: str, kind: str) -> None:
    make, asked = FUNCTIONS[function]
    agent, options, name = make(kind)
    script = Script([asked, "not reached"])
    async with Agency(agent, other(), model=scripted(script), **options) as agency:
        with pytest.raises(RunFailed, match=rf"{name} (raised|is wrong:) {kind}") as caught:
            await agency.run("?", agent="A")
        assert await still_answers(agency)
    assert kind in causes(caught.value)
    assert len(script.requests) <= 1, "nothing was tried again"


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("function", FUNCTIONS)
async def test_an_exception_that_futures_or_texts_cannot_carry_is_told_as_any_other(function: str, kind: str) -> None:
    make, asked = FUNCTIONS[function]
    agent, options, _ = make(kind)
    script = Script([asked, "told"])
    async with Agency(agent, other(), model=scripted(script), **options) as agency:
        if "handoff" in function:  # the model is told, and may mend it
            answer = await agency.run("?", agent="A")
            assert answer.text == "told"
            assert "Refused: " in script.requests[-1].messages[-1].text
            assert kind in script.requests[-1].messages[-1].text
        else:
            with pytest.raises(RunFailed, match=kind) as caught:
                await agency.run("?", agent="A")
            assert kind in causes(caught.value)
        assert await still_answers(agency)


@pytest.mark.parametrize("make", [_stage, _stage_async], ids=["def", "async"])
@KINDS
async def test_a_stage_that_raises_ends_its_own_run_and_the_model_is_told(kind: str, make: Any) -> None:
    agent, _, name = make(kind)
    script = Script([call("delegate_to_P", message="do"), "told"])
    async with Agency(agent, other(), model=scripted(script)) as agency:
        assert (await agency.run("?", agent="A")).text == "told"
        assert await still_answers(agency)
    told = script.requests[-1].messages[-1].text
    assert told.startswith("P could not finish: RunFailed: ")
    assert kind in told
    assert kind not in FATAL or name in told


@WAYS
@KINDS
async def test_a_credential_that_cannot_be_had_is_told_to_the_tool_whatever_was_raised(
    kind: str, way: Callable[[str], Any]
) -> None:
    @tool(risk="safe")
    async def needs(context: ToolContext[Any]) -> str:
        return await context.credential("x")

    script = Script([call("needs"), "done"])
    agency = Agency(Agent("A", tools=[needs]), other(), model=scripted(script), credentials=way(kind))
    async with agency:
        assert (await agency.run("?", agent="A")).text == "done"
        assert await still_answers(agency)
    assert "NoCredential" in script.requests[-1].messages[-1].text


def _tool(way: str, kind: str) -> Any:
    @tool(risk="safe", timeout=None)
    async def coroutine_tool() -> str:
        result: str = await coroutine(kind)()
        return result

    @tool(risk="safe", timeout=None)
    def thread_tool() -> str:
        raise ALL[kind]()

    async def on_error(values: Any, error: Any) -> Any:
        raise ALL[kind]()

    @tool(risk="safe", timeout=None, on_error=on_error)
    def handled_tool() -> str:
        raise ALL[kind]()

    return {"async": coroutine_tool, "thread": thread_tool, "on_error": handled_tool}[way]


@pytest.mark.parametrize("way", ["async", "thread", "on_error"])
@KINDS
async def test_a_tool_has_crashed_whatever_it_raises(kind: str, way: str) -> None:
    failing = _tool(way, kind)
    script = Script([call(failing.name), "done"])
    async with Agency(Agent("A", tools=[failing]), other(), model=scripted(script)) as agency:
        assert (await agency.run("?", agent="A")).text == "done"
        assert await still_answers(agency)
    told = script.requests[-1].messages[-1].text
    assert told.startswith("Error (ToolCrashed): ")
    assert ("cancelled itself" if kind == "CancelledError" else kind) in told


@pytest.mark.parametrize("event", RUN_EVENTS)
async def test_a_hook_that_waits_is_cancelled_with_its_run_and_not_passed_over(event: Any) -> None:
    waiting, ended = asyncio.Event(), []

    @hook(event)
    async def mine(context: HookContext) -> None:
        waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("first")

    @hook(event, priority=-1)
    async def behind(context: HookContext) -> None:
        ended.append("second")

    script = Script([call("add", a=1, b=2), call("delegate_to_B", message="do"), "done by B", "done"])
    a = Agent("A", tools=[add], handoffs=[handoff(Agent("B"))], hooks=[mine, behind])
    agency = Agency(a, model=scripted(script))
    async with agency:
        answering = asyncio.ensure_future(_streamed(agency))
        await waiting.wait()
    with pytest.raises(Exception, match=r"."):
        await answering
    assert ended == ["first"]


async def _streamed(agency: Agency) -> None:
    async for _ in agency.run_streaming("?"):
        pass


@virtual_time
async def test_a_conversation_that_crashes_before_its_run_begins_is_given_up_too() -> None:
    killed = 0

    @hook("connection")
    async def kills(context: HookContext) -> None:
        nonlocal killed
        killed += 1
        assert agency.system is not None
        ref = agency.system.find(f"agency/A/{context.request.conversation}")
        assert ref is not None
        ref.kill()
        await asyncio.Event().wait()

    agency = Agency(Agent("A", hooks=[kills]), other(), model=scripted(Script([])))
    async with agency:
        with pytest.raises(RunFailed, match="the conversation crashed 4 times at one step"):
            await agency.run("?", agent="A")
        assert await still_answers(agency)
    assert killed == 4


async def cancels_its_task(*_: Any) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(1)


def cancels_it_and_returns(*_: Any) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


async def cancels_it_and_returns_soon(*_: Any) -> None:
    cancels_it_and_returns()


class CancelsItsTask:
    name = "A"
    description = "Cancels the task that it runs in."

    async def answer(self, request: Any) -> str:
        await cancels_its_task()
        return "never"


TO_B = Agent("B")
CANCELLING = [cancels_its_task, cancels_it_and_returns, cancels_it_and_returns_soon]


async def pause(_: Any) -> None:
    """A hook that is not at fault."""
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("agent", "whose"),
    [
        *(
            pytest.param(
                Agent("A", tools=[add], handoffs=[handoff(TO_B)], hooks=[hook(event)(cancels), hook(event)(pause)]),
                f"hook {cancels.__name__} ({event})",
                id=f"{event}-{cancels.__name__}",
            )
            for event in RUN_EVENTS
            for cancels in CANCELLING
        ),
        *(
            pytest.param(
                Agent("A", tools=[add], handoffs=[handoff(TO_B, on_handoff=cancels)]),
                "on_handoff of delegate_to_B",
                id=f"on_handoff-{cancels.__name__}",
            )
            for cancels in CANCELLING
        ),
        pytest.param(CancelsItsTask(), "A", id="answer"),
    ],
)
@virtual_time
async def test_a_function_that_cancels_its_own_task_ends_its_run_at_once_and_is_named(agent: Any, whose: str) -> None:
    script = Script([call("add", a=1, b=2), call("delegate_to_B", message="do"), "done by B", "done"])
    loop = asyncio.get_running_loop()
    async with Agency(agent, TO_B, other(), model=scripted(script)) as agency:
        began = loop.time()
        with pytest.raises(RunFailed, match=f"CancelledError: the task was cancelled in {re.escape(whose)}"):
            async for _ in agency.run_streaming("?", agent="A"):
                pass
        assert loop.time() - began < 1
        assert await still_answers(agency)

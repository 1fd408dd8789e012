"""`run_prompt`: a prompt function by itself, its options, callbacks, streams, and how it is aborted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from callboard import (
    AfterTool,
    ChildSpec,
    DefinitionError,
    Limits,
    Prompt,
    PromptError,
    PromptRun,
    RunCancelled,
    RunFailed,
    RunSoFar,
    Step,
    StepLimit,
    StepPlan,
    System,
    TextDelta,
    ToolContext,
    run_prompt,
    tool,
)
from callboard.actors.agents.events import RunFinished, ToolStarted
from callboard.actors.testing.doubles.models import ScriptedModel, call
from callboard.providers.errors import ProviderOverloaded
from callboard.providers.messages import Request
from tests.agents.support import function, results

from .test_in_runs import COUNTED, MORE, calling, counter


def greeting(prompt: Prompt) -> None:
    """Says something by itself, and counts."""
    counter(prompt)
    prompt.user("Hello.")


# -- the answer, and what it is made of --------------------------------------------------------------------------------


async def test_awaiting_it_gives_the_answer_any_number_of_times() -> None:
    run = run_prompt(greeting, model=function(calling(MORE, MORE)))
    answer = await run
    assert answer.text == COUNTED.format(2)
    assert await run is answer
    assert repr(run) == "<PromptRun of greeting, over>"


async def test_it_tells_of_text_usage_calls_results_and_steps() -> None:
    run = run_prompt(greeting, model=function(calling(call("more", "one"), call("more", "two"))))
    answer = await run
    assert run.text == answer.text == COUNTED.format(2)
    assert run.usage == answer.usage
    assert run.usage.total_tokens > 0
    assert [one.id for one in run.tool_calls] == ["one", "two"]
    assert [(one.tool_call_id, one.text) for one in run.tool_results] == [("one", "1"), ("two", "2")]
    assert list(run.steps) == list(answer.steps)


async def test_what_is_done_can_be_read_while_it_goes_on() -> None:
    working, go = asyncio.Event(), asyncio.Event()

    def prompt(prompt: Prompt) -> None:
        prompt.user("Hello.")

        @prompt.tool(risk="safe")
        async def wait() -> str:
            """Wait."""
            working.set()
            await go.wait()
            return "waited"

        prompt.tool(lambda: "quick", name="quick", risk="safe")

    run = run_prompt(prompt, model=function(calling(call("quick", "q"), call("wait", "w"))))
    await working.wait()
    assert [one.id for one in run.tool_calls] == ["q"]
    assert len(run.steps) == 1
    assert repr(run) == "<PromptRun of prompt, under way>"
    go.set()
    await run
    assert [one.text for one in run.tool_results] == ["quick", "waited"]


async def test_text_and_events_are_streamed_from_the_beginning_to_each_who_asks() -> None:
    run = run_prompt(greeting, model=function(calling(MORE)))
    early = asyncio.ensure_future(_all(run.text_stream))
    events = [event async for event in run.events]
    assert "".join(await early) == "".join(await _all(run.text_stream)) == COUNTED.format(1)
    assert isinstance(events[-1], RunFinished)
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == COUNTED.format(1)
    assert [event.tool for event in events if isinstance(event, ToolStarted)] == ["more"]


async def _all(stream: Any) -> list[str]:
    return [text async for text in stream]


async def test_streams_of_a_run_that_failed_end_in_its_error() -> None:
    def broken(prompt: Prompt) -> None:
        raise KeyError("no")

    run = run_prompt(broken, model=function(calling()))
    with pytest.raises(RunFailed, match="broken"):
        await _all(run.text_stream)
    with pytest.raises(RunFailed, match="broken"):
        _ = [event async for event in run.events]
    with pytest.raises(RunFailed, match="broken"):
        await run


async def test_a_run_that_failed_and_that_nobody_awaits_is_no_complaint(caplog: pytest.LogCaptureFixture) -> None:
    def broken(prompt: Prompt) -> None:
        raise KeyError("no")

    over = asyncio.Event()
    run_prompt(broken, model=function(calling()), on_error=lambda error: over.set())
    await over.wait()
    for _ in range(3):
        await asyncio.sleep(0)
    assert not [record for record in caplog.records if record.name == "asyncio"]


# -- its options -------------------------------------------------------------------------------------------------------


async def test_what_is_said_to_begin_with_is_a_question_like_any_other() -> None:
    run = run_prompt(counter, model=function(lambda request: request.messages[-1].text), messages="Say this.")
    assert (await run).text == "Say this."


async def test_instructions_tools_and_settings_are_the_agents() -> None:
    @tool(risk="safe")
    async def own(context: ToolContext[str]) -> str:
        """One of its own."""
        return context.deps

    def model(request: Request) -> Any:
        assert request.temperature == 0.5
        assert request.max_retries == 3
        assert request.messages[0].text.startswith("Be brief.")
        return results(request)[-1] if results(request) else call("own")

    settings = {"temperature": 0.5}
    run = run_prompt(
        greeting,
        model=function(model),
        instructions="Be brief.",
        tools=[own],
        settings=settings,
        max_retries=3,
        deps="what it needs",
    )
    assert (await run).text == "what it needs"
    assert settings == {"temperature": 0.5}


async def test_active_tools_are_offered_alone_and_a_call_of_another_is_refused() -> None:
    def model(request: Request) -> Any:
        done = results(request)
        return call("own") if not done else " ".join(spec.name for spec in request.tools)

    @tool(risk="safe")
    async def own() -> str:
        """One of its own."""
        return "own"

    run = run_prompt(greeting, model=function(model), tools=[own], active_tools=["more", "elsewhere"])
    answer = await run
    assert answer.text == "more"
    assert answer.steps[0].calls[0].output == "'own' cannot be called now; there are: more"


async def test_prepare_step_and_active_tools_choose_together() -> None:
    def plan(run: RunSoFar) -> StepPlan | None:
        return StepPlan(tools=["a", "b"], instructions="Planned.") if not run.steps else None

    def prompt(prompt: Prompt) -> None:
        prompt.user("Hello.")
        for name in ("a", "b", "c"):
            prompt.tool(lambda name=name: name, name=name, risk="safe")

    seen: list[tuple[str, list[str]]] = []

    def model(request: Request) -> Any:
        seen.append((request.messages[0].text, [spec.name for spec in request.tools]))
        return "done" if results(request) else call("b")

    await run_prompt(prompt, model=function(model), instructions="First.", prepare_step=plan, active_tools=["b", "c"])
    assert seen == [("Planned.", ["b"]), ("First.", ["b", "c"])]


async def test_it_stops_where_a_condition_or_a_limit_says_so() -> None:
    answer = await run_prompt(greeting, model=function(calling(MORE, MORE)), stop_when=AfterTool("more"))
    assert len(answer.steps) == 1
    assert answer.notes == ("stopped by AfterTool(tool='more')",)

    def named(run: RunSoFar) -> bool:
        return len(run.steps) == 2

    answer = await run_prompt(greeting, model=function(calling(MORE, MORE, MORE)), stop_when=named)
    assert answer.notes == ("stopped by named",)
    with pytest.raises(StepLimit):
        await run_prompt(greeting, model=function(calling(MORE, MORE)), limits=Limits(steps=2))


async def test_a_model_is_an_actor_a_spec_or_a_name_and_otherwise_what_the_environment_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = ChildSpec(ScriptedModel, (["one", "two"],))
    async with System() as system:
        actor = system.supervise(spec)
        assert [(await run_prompt(greeting, model=actor)).text for _ in range(2)] == ["one", "two"]
    assert (await run_prompt(greeting, model=spec)).text == "one"
    monkeypatch.setenv("LM_MODEL_DEFAULT", "offline")
    named, unnamed = await run_prompt(greeting, model="offline"), await run_prompt(greeting)
    assert [step.provider for step in (*named.steps, *unnamed.steps)] == ["offline", "offline"]


async def test_the_answer_is_of_the_type_that_was_asked_for() -> None:
    run = run_prompt(greeting, model=function(lambda request: "7"), output_type=int)
    assert (await run).value == 7


async def test_a_completion_is_asked_for_again_as_often_as_was_said() -> None:
    asked: list[int] = []

    def model(request: Request) -> Any:
        asked.append(request.max_retries or 0)
        return "ok"

    await run_prompt(greeting, model=function(model), max_retries=0)
    assert asked == [0]


# -- callbacks ---------------------------------------------------------------------------------------------------------


class Heard:
    """What callbacks were told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def options(self, *, later: bool = False) -> Any:
        def of(name: str) -> Any:
            def note(what: Any) -> None:
                self.told.append((name, what))

            async def note_later(what: Any) -> None:
                await asyncio.sleep(0)
                note(what)

            return note_later if later else note

        return {name: of(name) for name in ("on_chunk", "on_step_finish", "on_finish", "on_error", "on_abort")}

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.told]


@pytest.mark.parametrize("later", [False, True])
async def test_callbacks_are_told_in_order_and_each_step_once(later: bool) -> None:
    heard = Heard()
    run = run_prompt(greeting, model=function(calling(MORE, MORE)), **heard.options(later=later))
    answer = await run
    assert heard.names == ["on_step_finish", "on_step_finish", "on_chunk", "on_step_finish", "on_finish"]
    steps = [what for name, what in heard.told if name == "on_step_finish"]
    assert [(step.number, [one.output for one in step.calls]) for step in steps] == [(1, ["1"]), (2, ["2"]), (3, [])]
    assert heard.told[2][1].text == COUNTED.format(2)
    assert heard.told[-1][1] is answer


async def test_callbacks_have_been_told_all_once_it_is_awaited() -> None:
    heard = Heard()
    with pytest.raises(RunFailed):
        await run_prompt(greeting, model=function(lambda request: ValueError("no")), **heard.options())
    assert heard.names == ["on_error"]
    assert isinstance(heard.told[0][1], RunFailed)


async def test_a_callback_that_raises_is_logged_and_disturbs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fails(what: Any) -> None:
        raise ValueError("no")

    with caplog.at_level(logging.WARNING, "callboard"):
        answer = await run_prompt(greeting, model=function(calling(MORE)), on_step_finish=fails, on_finish=fails)
    assert answer.text == COUNTED.format(1)
    told = [record.getMessage() for record in caplog.records if record.name == "callboard"]
    assert [text.partition(" of ")[0] for text in told] == ["on_step_finish", "on_step_finish", "on_finish"]


# -- aborting ----------------------------------------------------------------------------------------------------------


async def test_aborted_at_any_event_it_ends_by_name_and_keeps_what_was_done() -> None:
    async def aborted_at(at: int) -> int:
        """Abort at the at-th event; returns how many there were."""
        heard = Heard()
        run = run_prompt(greeting, model=function(calling(MORE, MORE)), **heard.options())
        count = 0
        if not at:
            run.abort("not needed")
        try:
            async for _ in run.events:
                count += 1
                if count == at:
                    run.abort("not needed")
        except RunCancelled:
            pass
        outcome = (await asyncio.gather(run, return_exceptions=True))[0]
        if isinstance(outcome, BaseException):
            assert isinstance(outcome, RunCancelled), repr(outcome)
            assert "not needed" in str(outcome)
            assert heard.names[-1] == "on_abort"
            assert heard.names.count("on_abort") == 1
            steps: Sequence[Step] = heard.told[-1][1]
            assert list(steps) == list(run.steps) == [what for name, what in heard.told if name == "on_step_finish"]
            if outcome.partial is not None:
                kept = outcome.partial.steps
                assert list(kept[: len(steps)]) == list(steps)
                assert all(any(one.result is None for one in step.calls) for step in kept[len(steps) :])
        else:
            assert heard.names[-1] == "on_finish", "it was over when it was aborted"
        return count

    count = await aborted_at(-1)
    assert count > 5
    for at in range(count + 1):
        await aborted_at(at)


async def test_aborting_ends_a_call_under_way() -> None:
    working, ended = asyncio.Event(), asyncio.Event()

    def prompt(prompt: Prompt) -> None:
        prompt.user("Hello.")

        @prompt.tool(risk="safe")
        async def wait() -> None:
            """Wait."""
            working.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

    run = run_prompt(prompt, model=function(calling(call("wait"))))
    await working.wait()
    run.abort()
    run.abort()
    with pytest.raises(RunCancelled, match="aborted"):
        await run
    assert ended.is_set()
    run.abort()  # it is over


async def test_a_step_whose_calls_have_no_results_is_not_over_where_it_is_aborted() -> None:
    begun = asyncio.Event()

    def prompt(prompt: Prompt) -> None:
        @prompt.tool(risk="safe")
        async def more() -> str:
            """Have its result."""
            return "here"

        @prompt.tool(risk="safe")
        async def wait() -> None:
            """Wait for ever."""
            begun.set()
            await asyncio.Event().wait()

    heard = Heard()
    model = function(calling(MORE, call("wait")))
    run = run_prompt(prompt, model=model, messages="go", **heard.options())
    await begun.wait()
    run.abort()
    with pytest.raises(RunCancelled):
        await run
    assert heard.names == ["on_step_finish", "on_abort"]
    assert heard.told[1][1] == run.steps
    assert [one.output for step in run.steps for one in step.calls] == ["here"]


async def test_cancelling_whoever_awaits_it_aborts_it() -> None:
    working = asyncio.Event()

    async def hangs(request: Request) -> str:
        working.set()
        await asyncio.Event().wait()
        return ""

    heard = Heard()
    run = run_prompt(greeting, model=function(hangs), **heard.options())
    waiting = asyncio.ensure_future(_awaited(run))
    await working.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert heard.names == ["on_abort"]


async def _awaited(run: PromptRun[Any]) -> Any:
    return await run


# -- wrong use ---------------------------------------------------------------------------------------------------------


async def test_wrong_arguments_are_refused_before_anything_runs() -> None:
    model = function(calling())
    with pytest.raises(
        TypeError, match=r"no option 'modle'; did you mean 'model'\? There are .*output_type, plugins, prepare_step"
    ):
        run_prompt(greeting, modle=model)  # type: ignore[call-overload]
    with pytest.raises(PromptError):
        run_prompt(lambda: None, model=model)  # type: ignore[arg-type,misc]
    with pytest.raises(PromptError):
        run_prompt("greeting", model=model)  # type: ignore[call-overload]
    with pytest.raises(PromptError, match=r"^run_prompt: a prompt function is a function .* not None"):
        run_prompt(None, model=model)  # type: ignore[call-overload]
    for option in ("on_chunk", "on_step_finish", "on_finish", "on_error", "on_abort"):
        with pytest.raises(DefinitionError, match=option):
            run_prompt(greeting, model=model, **{option: 5})  # type: ignore[call-overload]
    with pytest.raises(DefinitionError, match=r"ChildSpec\(FunctionModel, \(function,\)\), of callboard.testing"):
        run_prompt(greeting, model=lambda request: "hello")  # type: ignore[call-overload]
    with pytest.raises(DefinitionError, match=r"or a model's name, not 5$"):
        run_prompt(greeting, model=5)  # type: ignore[call-overload]
    with pytest.raises(DefinitionError, match="active_tools"):
        run_prompt(greeting, model=model, active_tools="more")
    with pytest.raises(DefinitionError, match="stop_when"):
        run_prompt(greeting, model=model, stop_when=5)  # type: ignore[call-overload]
    with pytest.raises(DefinitionError, match="max_retries"):
        run_prompt(greeting, model=model, max_retries=-1)


def test_without_an_event_loop_it_says_where_to_call_it() -> None:
    with pytest.raises(DefinitionError, match="in a coroutine"):
        run_prompt(greeting, model=function(calling()))


async def test_an_error_of_a_provider_is_what_the_run_ends_in() -> None:
    with pytest.raises(RunFailed, match="busy"):
        await run_prompt(greeting, model=function(lambda request: ProviderOverloaded("busy")), max_retries=0)

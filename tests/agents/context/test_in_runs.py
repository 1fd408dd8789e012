"""Runs whose model is shown less of their conversation."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from callboard import (
    Agency,
    Agent,
    Answer,
    ApprovalRequested,
    ChunkLong,
    ContextOverflow,
    ContextReduced,
    ContextStrategy,
    ContextView,
    CostLimit,
    DropToolOutput,
    EffectContext,
    GuardrailTripped,
    HookContext,
    KeepAll,
    Limits,
    Prompt,
    RunFailed,
    StepModifier,
    StepPlan,
    Summarize,
    TextDelta,
    UnknownAgent,
    Window,
    guardrail,
    hook,
    tool,
)
from callboard.actors.agents.memory.context.view import Unit
from callboard.actors.testing import Simulation, simulate, virtual_time
from callboard.actors.testing.doubles.models import Script, call
from callboard.providers.errors import ContextTooLong
from callboard.providers.messages import Completion, Message, Request, ToolSpec, Usage
from callboard.providers.pool import Pool
from tests.agents.support import function, scripted, solo
from tests.providers.pool.scripted import Script as Endpoints
from tests.providers.pool.scripted import endpoint

from .histories import words


def texts(request: Request) -> list[str]:
    """What a model is shown but for the system message."""
    return [message.text for message in request.messages if message.role != "system"]


def size(request: Request) -> int:
    """Characters of a request."""
    return sum(len(message.text) for message in request.messages)


class Narrow:
    """A model that refuses what is longer than so many characters, and otherwise answers "n".

    Args:
        most: the characters.
        says: the vendor's words.
        calls: how many steps call a tool before the answer.
    """

    def __init__(self, most: int, says: str = "the prompt is too long", calls: int = 0) -> None:
        self.most, self.says, self.calls = most, says, calls
        self.refused: list[Request] = []
        self.taken: list[Request] = []

    def __call__(self, request: Request) -> Any:
        if size(request) > self.most:
            self.refused.append(request)
            raise ContextTooLong(self.says.format(used=size(request) // 4, allowed=self.most // 4))
        self.taken.append(request)
        if len(self.taken) <= self.calls:
            return call("look", f"c{len(self.taken)}", at=len(self.taken))
        return f"answer {len(self.taken)}"


@tool(risk="safe", idempotent=True)
async def look(at: int = 0) -> str:
    """Look at something long."""
    return words(600, at)


async def ask(agency: Agency, *questions: str, **options: Any) -> list[Answer]:
    """Ask one after the other in one conversation."""
    return [await agency.run(question, conversation="c", **options) for question in questions]


QUESTIONS = [f"question {number}" for number in range(8)]


async def test_an_agent_s_strategy_says_what_its_model_is_shown_and_the_answer_has_all() -> None:
    script = Script([f"answer {number}" for number in range(8)])
    async with solo(script, context=Window(messages=4)) as agency:
        answers = await ask(agency, *QUESTIONS)
    assert [len(texts(request)) for request in script.requests[:2]] == [1, 3]
    assert max(len(texts(request)) for request in script.requests) <= 5  # with what says that something is left out
    assert all(texts(request)[-1] == question for request, question in zip(script.requests, QUESTIONS, strict=True))
    assert len(answers[-1].messages) == 16


async def test_a_run_may_have_a_strategy_of_its_own() -> None:
    script = Script(["one", "two", "three"])
    async with solo(script) as agency:
        await ask(agency, "a", "b")
        await ask(agency, "c", context=Window(messages=2))
    assert texts(script.requests[1]) == ["a", "one", "b"]
    assert texts(script.requests[2]) == ["c"]


async def test_before_the_model_s_window_overflows_the_oldest_go() -> None:
    script = Script(["ok"] * 30)
    model = "gpt-4"  # 8,192 tokens
    async with solo(script, model=model, context=Window()) as agency:
        for number in range(30):
            await agency.run(words(3_000, number), conversation="c")
    assert max(size(request) for request in script.requests) / 4 < 8_192 - 4_096
    assert len(texts(script.requests[-1])) < 12


async def test_a_conversation_that_a_vendor_finds_too_long_goes_on_without_any_strategy() -> None:
    model = Narrow(3_000)
    seen: list[ContextReduced] = []
    async with solo(model) as agency:
        agency.subscribe(lambda event: seen.append(event) if isinstance(event, ContextReduced) else None)
        answers = [await agency.run(words(800, number), conversation="c") for number in range(12)]
    assert [answer.text for answer in answers] == [f"answer {number}" for number in range(1, 13)]
    assert len(answers[-1].messages) == 24
    assert 1 <= len(model.refused) <= 5
    assert len(seen) >= len(model.refused)
    assert all(event.after < event.before and event.left_out for event in seen)
    assert all(event.reason == "the vendor says that it is too long" for event in seen)


async def test_old_tool_output_goes_before_anything_else() -> None:
    model = Narrow(9_000, calls=18)
    async with solo(model, tools=[look]) as agency:
        answer = await agency.run("go")
    assert answer.text == "answer 19"
    assert sum(one.role == "tool" and len(one.text) > 500 for one in answer.messages) == 18
    last = model.taken[-1].messages
    assert sum(message.role == "tool" for message in last) == 18
    assert any("left out to save room" in message.text for message in last)


async def test_of_a_single_message_that_is_too_long_chunks_are_shown() -> None:
    model = Narrow(9_000)
    document = "\n\n".join(f"# Chapter {number}\n\n{words(900, number)}." for number in range(20))
    async with solo(model, context=Window() | ChunkLong(longest=1_500)) as agency:
        answer = await agency.run(document)
    assert answer.text == "answer 1"
    assert answer.messages[0].text == document
    assert "[A part is left out here.]" in model.taken[0].messages[-1].text


async def test_streamed_runs_go_on_too() -> None:
    model = Narrow(3_000)
    async with solo(model) as agency:
        for number in range(6):
            text = ""
            async for event in agency.run_streaming(words(800, number), conversation="c"):
                text += event.text if isinstance(event, TextDelta) else ""
            assert text == f"answer {number + 1}"
    assert model.refused


@virtual_time
async def test_a_pool_of_which_nobody_takes_so_much_is_asked_again_with_less() -> None:
    def refuses(script: Endpoints, request: Request) -> Exception | None:
        return ContextTooLong("the prompt is too long") if size(request) > 3_000 else None

    one, other = Endpoints("one", failure=refuses), Endpoints("other", failure=refuses)
    async with Agency(Agent("A"), pool=Pool.spec([endpoint(one), endpoint(other)])) as agency:
        answers = [await agency.run(words(800, number), conversation="c") for number in range(8)]
    assert len(answers[-1].messages) == 16
    assert {size(request) > 3_000 for _, request in one.seen + other.seen} == {True, False}


async def test_without_leave_to_shorten_a_conversation_it_ends_by_name() -> None:
    model = Narrow(3_000)
    async with solo(model, context=KeepAll()) as agency:
        with pytest.raises(ContextOverflow, match="too long for the model: the prompt is too long") as caught:
            await ask(agency, *LONG)
    assert len(model.refused) == 1
    assert caught.value.partial is not None
    assert isinstance(caught.value.__cause__, ContextTooLong)


@pytest.mark.parametrize("strategy", [DropToolOutput(), ChunkLong(), Window(messages=500)])
async def test_a_strategy_that_leaves_nothing_more_out_ends_no_conversation(strategy: ContextStrategy) -> None:
    model = Narrow(3_000)
    async with solo(model, context=strategy) as agency:
        answers = [await agency.run(words(800, number), conversation="c") for number in range(8)]
    assert answers[-1].text == "answer 8"
    assert model.refused


async def test_what_cannot_be_made_to_fit_is_asked_for_three_times_more_at_most() -> None:
    model = Narrow(30)
    async with solo(model, tools=[look]) as agency:
        with pytest.raises(
            ContextOverflow, match=r"nothing more can be left out; of single long messages ChunkLong shows parts"
        ):
            await agency.run("go " * 100)
    assert len(model.refused) == 1
    never = Narrow(-1)
    async with solo(never) as agency:
        with pytest.raises(ContextOverflow):
            await agency.run([Message("user", words(900, number)) for number in range(40)])
    assert 1 < len(never.refused) <= 4


async def test_the_number_that_a_vendor_names_is_what_is_shown_from_then_on() -> None:
    says = "This model's maximum context length is {allowed} tokens. However, your messages resulted in {used} tokens."
    model = Narrow(40_000, says)
    async with solo(model, context=Window()) as agency:
        for number in range(40):
            await agency.run(words(4_000, number), conversation="c")
    assert len(model.refused) == 1
    assert max(map(size, model.taken)) > 15_000


async def test_a_vendor_s_own_count_corrects_the_estimate() -> None:
    asked: list[int] = []

    def model(request: Request) -> Completion:
        asked.append(size(request))
        return Completion(Message("assistant", "ok"), "stop", Usage(size(request) // 2, 1))  # two characters a token

    async with solo(model, context=Window(tokens=2_000)) as agency:
        for number in range(20):
            await agency.run(words(1_000, number), conversation="c")
    assert max(asked[3:]) <= 4_400  # and not 8,000


async def test_after_each_refusal_about_a_third_of_what_was_refused_is_shown_and_never_next_to_nothing() -> None:
    sent: list[int] = []
    shown: list[int] = []

    def model(request: Request) -> Completion:
        if size(request) > 6_000:
            sent.append(size(request))
            raise ContextTooLong("the prompt is too long")
        if len(shown) < len(sent):
            shown.append(size(request))
        return Completion(Message("assistant", "ok"), "stop", Usage(size(request) // 4, 1))

    async with solo(model) as agency:
        for number in range(60):
            await agency.run(words(500, number), conversation="c")
    assert len(sent) >= 5
    assert all(0.25 * before < after < 0.6 * before for before, after in zip(sent, shown, strict=True))


# -- summaries ---------------------------------------------------------------------------------------------------------


class Summarizer:
    """A model that answers "n", and makes summaries.

    Args:
        replies: what it answers to the requests for summaries.
    """

    def __init__(self, *replies: Any, usage: Usage = Usage(100, 50), cost: float = 0.01) -> None:  # noqa: B008
        self.replies = list(replies)
        self.usage, self.cost = usage, cost
        self.summaries: list[Request] = []
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Any:
        if request.messages[0].text.startswith("Summarize"):
            self.summaries.append(request)
            reply = self.replies[min(len(self.summaries), len(self.replies)) - 1]
            if isinstance(reply, Exception):
                raise reply
            return Completion(Message("assistant", reply), "stop", self.usage, "small", "p", cost=self.cost)
        self.requests.append(request)
        return Completion(Message("assistant", f"answer {len(self.requests)}"), "stop", Usage(10, 5), cost=0.001)


LONG = [words(800, number) for number in range(12)]


async def test_a_summary_is_made_through_the_agency_s_model_and_shown_in_place_of_what_it_is_of() -> None:
    model = Summarizer("They talked about words.")
    async with solo(model, context=Summarize(model="small", tokens=1_000)) as agency:
        answers = await ask(agency, *LONG[:6])
    assert len(model.summaries) == 1
    assert model.summaries[0].model == "small"
    assert LONG[0] in model.summaries[0].messages[-1].text
    shown = texts(model.requests[-1])
    assert shown[0].endswith("They talked about words.")
    assert LONG[0] not in shown
    assert shown[-1] == LONG[5]
    assert answers[-1].messages[0].text == LONG[0]


async def test_a_summary_is_paid_by_its_run_and_counted_in_its_usage() -> None:
    model = Summarizer("They talked.")
    async with solo(model, context=Summarize(tokens=1_000)) as agency:
        answers = await ask(agency, *LONG[:6])
    with_summary = [answer for answer in answers if answer.cost > 0.005]
    assert len(with_summary) == 1
    assert with_summary[0].usage.input_tokens == 110
    assert with_summary[0].cost == pytest.approx(0.011)


async def test_whoever_looks_on_is_told_what_is_shown_and_what_a_summary_has_cost(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    model, seen = Summarizer("They talked of #words."), []
    caplog.set_level(logging.DEBUG, "callboard")
    async with Agency(Agent("A", context=Summarize(tokens=1_000)), model=function(model), verbose=True) as agency:
        agency.subscribe(lambda event: seen.append(event) if isinstance(event, ContextReduced) else None)
        await ask(agency, *LONG[:6])
    (event,) = seen
    assert event.summarized
    assert (event.usage, event.cost) == (Usage(100, 50), 0.01)
    assert event.after < event.before
    assert event.reason.startswith("Summarize(")
    printed = capsys.readouterr().err
    assert f"shown {event.after} tokens of the conversation, and not {event.before}, a summary for $0.0100" in printed
    (logged,) = [record.message for record in caplog.records if "ContextReduced" in record.message]
    assert f"before={event.before} after={event.after}" in logged
    assert "#words" not in caplog.text


@pytest.mark.parametrize("cost", [0.01, 1.0])
def test_the_oracle_of_budgets_counts_what_summaries_have_cost(cost: float) -> None:
    async def scenario(sim: Simulation) -> None:
        model = Summarizer("They talked.", cost=cost)
        agent = Agent("A", context=Summarize(tokens=1_000), limits=Limits(cost=0.5))
        agency = Agency(agent, model=function(model), system=sim.system)
        sim.watch(agency)
        async with agency:
            with suppress(CostLimit):
                await ask(agency, *LONG)

    simulate(scenario, seeds=2)


async def test_a_summary_that_spends_the_run_s_limit_ends_it_by_name() -> None:
    model = Summarizer("They talked.", cost=1.0)
    async with solo(model, context=Summarize(tokens=1_000), limits=Limits(cost=0.5)) as agency:
        with pytest.raises(CostLimit) as caught:
            await ask(agency, *LONG)
    assert caught.value.partial is not None
    assert caught.value.partial.cost == pytest.approx(1.0)
    assert caught.value.partial.usage.output_tokens == 50


@pytest.mark.parametrize("reply", ["", ValueError("down"), ContextTooLong("too long")])
async def test_where_no_summary_can_be_made_the_next_strategy_is_used_and_the_notes_say_so(reply: Any) -> None:
    model = Summarizer(reply)
    async with solo(model, context=Summarize(tokens=1_000) | Window(tokens=1_000)) as agency:
        answers = await ask(agency, *LONG[:6])
    noted = [note for answer in answers for note in answer.notes]
    assert len(noted) == len(model.summaries) >= 1
    assert noted[0].startswith("the conversation could not be summarized: ")
    assert max(map(size, model.requests)) < 4_400
    assert answers[-1].text == "answer 6"


async def test_a_summary_that_cannot_be_made_is_not_bought_again_at_each_step() -> None:
    model = Summarizer("")

    def acting(request: Request) -> Any:
        answer = model(request)
        if request.messages[0].text.startswith("Summarize") or len(model.requests) > 20:
            return answer
        return call("look", f"c{len(model.requests)}", at=len(model.requests))

    async with solo(acting, context=Summarize(tokens=400), tools=[look]) as agency:
        await agency.run("go")
        assert 1 < len(model.summaries) < 14
        model.replies = ["They looked."]
        model.requests.clear()
        await agency.run("go", conversation="another")
    assert len(texts(model.requests[-1])) < 15, "another conversation does not suffer from it"


async def test_a_summary_that_is_longer_than_what_it_is_of_is_none() -> None:
    model = Summarizer(words(9_000, 1))
    async with solo(model, context=Summarize(tokens=1_000) | Window(tokens=1_000)) as agency:
        answers = await ask(agency, *LONG[:6])
    assert [len(answer.notes) for answer in answers].count(1) == len(model.summaries) > 0
    assert "no shorter than what it is of" in next(note for answer in answers for note in answer.notes)
    assert max(map(size, model.requests)) < 4_400
    assert sum(answer.cost for answer in answers) == pytest.approx(0.01 * len(model.summaries) + 6 * 0.001)


async def test_a_question_that_is_longer_than_the_limit_buys_no_summary_at_each_step() -> None:
    model = Summarizer("They looked.")

    def acting(request: Request) -> Any:
        answer = model(request)
        if request.messages[0].text.startswith("Summarize") or len(model.requests) > 20:
            return answer
        return call("look", f"c{len(model.requests)}", at=len(model.requests))

    async with solo(acting, context=Summarize(tokens=1_500), tools=[look]) as agency:
        await agency.run(words(9_000, 1))
    assert len(model.requests) == 21
    assert 0 < len(model.summaries) < 8


async def test_what_was_summarized_is_summarized_again_with_what_came_since() -> None:
    model = Summarizer("First summary.", "Second summary.")
    async with solo(model, context=Summarize(tokens=1_000)) as agency:
        await ask(agency, *LONG)
    assert len(model.summaries) >= 2
    assert "First summary." in model.summaries[1].messages[-1].text
    assert LONG[0] not in model.summaries[1].messages[-1].text
    assert sum("summary" in text.lower() for text in texts(model.requests[-1])) == 1


async def test_each_summary_is_told_of_as_one_also_where_it_says_the_same() -> None:
    model, told = Summarizer("They talked."), []
    async with solo(model, context=Summarize(tokens=1_000)) as agency:
        agency.subscribe(lambda event: told.append(event.summarized) if isinstance(event, ContextReduced) else None)
        await ask(agency, *LONG)
    assert told == [True] * len(model.summaries)
    assert len(told) >= 2


async def test_what_is_said_while_a_summary_is_made_is_kept() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    answered: list[Request] = []

    async def model(request: Request) -> Any:
        if request.messages[0].text.startswith("Summarize"):
            begun.set()
            await go_on.wait()
            return "They talked."
        answered.append(request)
        return "ok"

    async with solo(model, context=Summarize(tokens=1_000)) as agency:
        await ask(agency, *LONG[:4])
        run = asyncio.ensure_future(agency.run(LONG[4], conversation="c"))
        await begun.wait()
        await agency.steer("c", "and be quick")
        later = asyncio.ensure_future(agency.run("one more", conversation="c"))
        go_on.set()
        answer = await run
        await later
    said = [message.text for message in answer.messages]
    assert said.count("and be quick") == 1
    assert texts(answered[-1])[-1] == "one more"
    assert "and be quick" in texts(answered[-1])


async def test_hooks_see_what_is_asked_for_a_summary_and_what_comes_of_it() -> None:
    @hook("request")
    def hide(context: HookContext) -> None:
        request = context.model_request
        assert request is not None
        hidden = tuple(replace(one, content=one.text.replace("word1 ", "*** ")) for one in request.messages)
        context.model_request = replace(request, messages=hidden)

    @hook("response")
    def shout(context: HookContext) -> None:
        completion = context.completion
        assert completion is not None
        said = replace(completion.message, content=completion.message.text.upper())
        context.completion = replace(completion, message=said)

    model = Summarizer("They talked.")
    async with solo(model, context=Summarize(tokens=1_000), hooks=[hide, shout]) as agency:
        answers = await ask(agency, *LONG[:6])
    assert "*** " in model.summaries[0].messages[-1].text
    assert "word1 " not in model.summaries[0].messages[-1].text
    assert texts(model.requests[-1])[0].endswith("THEY TALKED.")
    assert sum(answer.cost for answer in answers) == pytest.approx(0.01 + 6 * 0.001)


@pytest.mark.parametrize("event", ["request", "response"])
async def test_a_summary_that_a_guardrail_refuses_is_paid_if_it_was_bought_and_the_next_strategy_is_used(
    event: Any,
) -> None:
    @guardrail(event)
    def refuse(context: HookContext) -> None:
        request = context.model_request
        assert request is not None
        if request.messages[0].text.startswith("Summarize"):
            raise GuardrailTripped("no")

    model = Summarizer("They talked.")
    strategy = Summarize(tokens=1_000) | Window(tokens=1_000)
    async with solo(model, context=strategy, hooks=[refuse]) as agency:
        answers = await ask(agency, *LONG[:6])
    assert len(model.summaries) == (event == "response")
    assert next(note for answer in answers for note in answer.notes).startswith("the conversation could not be summ")
    assert sum(answer.cost for answer in answers) == pytest.approx(0.01 * len(model.summaries) + 6 * 0.001)
    assert max(map(size, model.requests)) < 4_400


async def test_a_run_that_is_cancelled_while_a_summary_is_made_ends_at_once() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def model(request: Request) -> Any:
        if request.messages[0].text.startswith("Summarize"):
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
        return "ok"

    async with solo(model, context=Summarize(tokens=1_000)) as agency:
        await ask(agency, *LONG[:4])
        run = asyncio.ensure_future(agency.run(LONG[4], conversation="c"))
        await begun.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        await cancelled.wait()
        assert (await agency.run("again", conversation="c", context=KeepAll())).text == "ok"


# -- beside other features ---------------------------------------------------------------------------------------------


async def test_a_prompt_function_is_called_once_a_step_whatever_is_left_out_before_it() -> None:
    rendered: list[int] = []

    def prompt(prompt: Prompt) -> None:
        rendered.append(1)
        prompt.system("manner", "Be brief.")

    script = Script(["ok"] * 8)
    async with Agency(Agent("A", prompt=prompt, context=Window(messages=4)), model=scripted(script)) as agency:
        await ask(agency, *QUESTIONS)
    assert len(rendered) == 8
    assert len(texts(script.requests[-1])) <= 5


async def test_a_step_that_is_planned_is_shown_no_more_than_any_other() -> None:
    script = Script(["ok"] * 8)

    def plan(run: Any) -> StepPlan:
        return StepPlan(instructions="Be brief.")

    async with solo(script, prepare_step=plan, context=Window(messages=4)) as agency:
        await ask(agency, *QUESTIONS)
    assert script.requests[-1].messages[0].text == "Be brief."
    assert len(texts(script.requests[-1])) <= 5


class Broken(ContextStrategy):
    """A strategy of a user's own that does what it is given."""

    def __init__(self, function: Callable[[ContextView], Any]) -> None:
        self.function = function

    def apply(self, view: ContextView) -> ContextView:
        made: ContextView = self.function(view)
        return made


async def test_a_strategy_that_never_has_enough_is_let_have_its_way_eight_times_before_each_completion() -> None:
    seen: list[int] = []

    def less(view: ContextView) -> ContextView:
        seen.append(view.shown)
        return view.without([unit for unit in view.units() if not unit.pinned][:1])

    script = Script(["ok"] * 21)
    async with solo(script) as agency:
        for number in range(20):
            await agency.run(f"question {number}", conversation="c")
        await agency.run("now?", conversation="c", context=Broken(less))
    assert seen == [41 - left_out for left_out in range(8)]


def _raises(view: ContextView) -> Any:
    raise KeyError("x")


def _fails_as_ours_do(view: ContextView) -> Any:
    raise UnknownAgent("x")


def _shaped(view: ContextView, **shape: Any) -> ContextView:
    return replace(view, shape=view.shape._replace(**shape))


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (_raises, "the context strategy of Solo raised KeyError"),
        (lambda view: None, "the context strategy of Solo returned NoneType, not a ContextView"),
        (
            lambda view: view.without([Unit(2, 3, 1, False)] if len(view.history) > 2 else []),
            "the context strategy of Solo tears the conversation apart",
        ),
        (lambda view: view.without(view.units()), "leaves out what is always shown"),
        (lambda view: _shaped(view, left_out=((0, 10_000),)), "leaves out messages that are not there"),
        (lambda view: _shaped(view, left_out=((-2, -1),)), "leaves out messages that are not there"),
        (lambda view: _shaped(view, left_out=(("a", "b"),)), "a shape of something else than positions"),
        (lambda view: _shaped(view, dropped=(7,)), "a shape of something else than positions"),
        (lambda view: view.dropping([0]), "drops what is no result of a tool"),
        (lambda view: view.excerpting([(0, ((1, 99),), 1)]), "shows pieces that are not there"),
        (lambda view: _shaped(view, summary=5), "returned int as the summary"),
        (lambda view: replace(view, shape=None), "returned NoneType as the shape"),
        (lambda view: ContextView.of([Message("user", "x")]).summarized("y"), "a view of another conversation"),
        (lambda view: replace(view.summarized("y"), wanted=5), "wants int, not a summary"),
        (_fails_as_ours_do, "the context strategy of Solo raised UnknownAgent: x"),
    ],
)
async def test_a_strategy_that_does_what_cannot_be_ends_the_run_by_name(
    function: Callable[[ContextView], Any], says: str
) -> None:
    model = Narrow(10**6, calls=2)
    async with solo(model, tools=[look], context=Broken(function)) as agency:
        with pytest.raises(RunFailed, match=says):
            await agency.run("go")


async def test_a_strategy_that_never_has_enough_does_not_go_on_for_ever() -> None:
    def more(view: ContextView) -> ContextView:
        return view.summarized(view.shape.summary + "x")

    script = Script(["ok"])
    async with solo(script, context=Broken(more)) as agency:
        assert (await agency.run("go")).text == "ok"
    assert texts(script.requests[0])[0].count("x") <= 20


async def test_tools_that_a_search_has_loaded_stay_loaded_when_the_search_is_left_out() -> None:
    @tool(risk="safe")
    async def weather() -> str:
        """Say what the weather is like."""
        return "rain"

    steps: list[Any] = [call("search_tools", query="weather"), *(call("weather") for _ in range(6)), "done"]
    script = Script(steps)
    async with solo(script, tools=[weather], defer_tools=True, context=Window(messages=4)) as agency:
        assert (await agency.run("go")).text == "done"
    assert "weather" in [spec.name for spec in script.requests[-1].tools]
    assert all(one.name != "search_tools" for one in script.requests[-1].messages)


async def test_who_is_handed_work_has_the_strategy_of_its_own() -> None:
    script = Script([call("SendMessage", target_agent="B", message="do it", context=""), "done", "ok"])
    b = Agent("B", context=DropToolOutput())
    async with Agency(Agent("A", handoffs=[b], context=Window(messages=2)), model=scripted(script)) as agency:
        assert (await agency.run("go")).text == "ok"


def test_the_same_window_is_the_same_value() -> None:
    assert Window(tokens=5) | DropToolOutput() == Window(tokens=5) | DropToolOutput()
    assert Window(tokens=5) != Window(tokens=6)


async def test_a_call_that_waits_for_a_person_is_carried_out_whatever_is_left_out_before_it() -> None:
    @tool(risk="risky")
    async def pay(euros: int) -> str:
        return f"paid {euros}"

    def model(request: Request) -> Any:
        assert {call.id for one in request.messages for call in one.tool_calls} == {
            one.tool_call_id for one in request.messages if one.role == "tool"
        }
        last = request.messages[-1]
        return last.text if last.role == "tool" else call("pay", f"p{len(asked)}", euros=len(asked))

    asked: list[str] = []

    async with solo(model, tools=[pay], autonomy="supervised", context=Window(messages=2)) as agency:

        def approve(event: Any) -> None:
            if isinstance(event, ApprovalRequested):
                asked.append(event.approval)
                asyncio.get_running_loop().call_soon(agency.approve, event.approval)

        agency.subscribe(approve)
        answers = await ask(agency, *QUESTIONS)
    assert [answer.text for answer in answers] == [f"paid {number}" for number in range(8)]
    assert len(asked) == 8


async def test_a_call_that_the_caller_carries_out_is_shown_with_its_result() -> None:
    spec = ToolSpec("weigh", "Weighs.", {"type": "object", "properties": {}})
    seen: list[Request] = []

    def model(request: Request) -> Any:
        seen.append(request)
        return "heavy" if request.messages[-1].role == "tool" else call("weigh", f"w{len(seen)}")

    async with solo(model, context=Window(messages=2)) as agency:
        for question in QUESTIONS:
            answer = await agency.run(question, conversation="c", tools=[spec])
            (open_call,) = answer.tool_calls
            result = Message("tool", "12 kg", tool_call_id=open_call.id, name="weigh")
            assert (await agency.run(result, conversation="c", tools=[spec])).text == "heavy"
            shown = seen[-1].messages
            assert [message.role for message in shown[-3:]] == ["user", "assistant", "tool"]
            assert shown[-3].text == question


async def test_where_an_effect_of_a_prompt_function_says_which_messages_are_shown_nothing_is_left_out() -> None:
    def prompt(prompt: Prompt) -> None:
        def newest(context: EffectContext, step: StepModifier) -> None:
            step.messages = step.messages[-5:]

        prompt.effect(newest)

    script = Script(["ok"] * 8)
    async with Agency(Agent("A", prompt=prompt, context=Window(messages=2)), model=scripted(script)) as agency:
        await ask(agency, *QUESTIONS)
    assert [len(texts(request)) for request in script.requests] == [1, 3, 5, 5, 5, 5, 5, 5]

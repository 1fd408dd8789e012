"""What a step takes over from the one before, where it defines the same: nobody notices."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from callboard import Agency, Agent, Caller, Prompt, ToolResult, tool
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Request
from tests.agents.prompts.steps import Conversation
from tests.agents.support import function, results

STEPS = 4
STAFF = Caller("ada", scopes=frozenset({"staff"}))


def offering(*steps: Callable[[Prompt], object]) -> Callable[[Prompt], object]:
    """A prompt function that makes each step by the next of these, and after them by the last."""
    left = list(steps)

    def prompt(prompt: Prompt) -> None:
        prompt.tool(go_on, name="go_on", risk="safe")
        (left.pop(0) if len(left) > 1 else left[0])(prompt)

    return prompt


async def go_on() -> str:
    """Go on."""
    return "on"


async def asked(prompt: Callable[[Prompt], object], runs: Any = (None,), **options: Any) -> list[Request]:
    """What the model is asked in runs of some steps each."""
    seen: list[Request] = []

    def model(request: Request) -> Any:
        seen.append(request)
        return call("go_on") if len(results(request)) < STEPS - 1 else "done"

    async with Agency(Agent("A", prompt=prompt, **options), model=function(model)) as agency:
        for caller in runs:
            await agency.run("go", **({} if caller is None else {"caller": caller}))
    return seen


def names(requests: list[Request]) -> list[list[str]]:
    return [[spec.name for spec in request.tools] for request in requests]


def with_tool(name: str, **options: Any) -> Callable[[Prompt], object]:
    def define(prompt: Prompt) -> None:
        async def act() -> None: ...

        prompt.tool(act, name=name, **options)

    return define


async def test_each_step_offers_what_it_defines() -> None:
    one, other, none = with_tool("one"), with_tool("other"), lambda prompt: None
    told = names(await asked(offering(one, one, other, none), [None] * 2))
    assert told == [["go_on", "one"], ["go_on", "one"], ["go_on", "other"], *([["go_on"]] * 5)]


async def test_a_tool_that_is_made_already_is_that_of_its_step() -> None:
    made = [tool(name=f"tool_{number}")(go_on) for number in range(3)]
    told = names(await asked(offering(*[lambda prompt, one=one: prompt.tool(one) for one in made])))
    assert told == [["go_on", "tool_0"], ["go_on", "tool_1"], *([["go_on", "tool_2"]] * 2)]


async def test_a_sub_agent_is_offered_in_its_step_alone() -> None:
    def member(prompt: Prompt) -> None:
        prompt.agent("helper", "Helps.", {"task": str}, lambda prompt, input: None)

    none: Callable[[Prompt], object] = lambda prompt: None  # noqa: E731
    told = names(await asked(offering(none, none, member, none)))
    assert told == [["go_on"], ["go_on"], ["go_on", "helper"], ["go_on"]]


async def test_a_tool_is_offered_to_those_who_hold_its_scope_whoever_has_asked_before() -> None:
    told = names(await asked(offering(with_tool("act", scope="staff")), [STAFF, STAFF, Caller("bob"), STAFF]))
    theirs, others = [["go_on", "act"]] * STEPS, [["go_on"]] * STEPS
    assert told == theirs + theirs + others + theirs


async def test_a_step_that_defines_no_tool_offers_those_of_the_agent() -> None:
    own = tool(name="go_on")(go_on)
    assert names(await asked(lambda prompt: None, tools=[own])) == [["go_on"]] * STEPS


async def test_a_tool_that_is_to_be_looked_for_stays_hidden_in_each_step() -> None:
    told = names(await asked(offering(with_tool("act", defer=True)), [None] * 2))
    assert told == [["go_on", "search_tools"]] * (2 * STEPS)


async def test_a_tool_that_is_hidden_is_found_in_a_later_step() -> None:
    def model(request: Request) -> Any:
        done = results(request)
        return [call("go_on"), call("go_on"), call("act"), call("search_tools", query="act"), "done"][len(done)]

    prompt = offering(with_tool("act", defer=True))
    async with Agency(Agent("A", prompt=prompt), model=function(model)) as agency:
        answer = await agency.run("go")
    said = [step.calls[0].output for step in answer.steps if step.calls]
    assert said[:2] == ["on", "on"]
    assert "had not been loaded" in said[2]
    assert "You have these tools now." in said[3]


async def test_what_is_said_of_a_tool_is_what_its_step_says() -> None:
    said = ["Do it.", "Do it.", "Do it twice.", "Do it."]

    def prompt(prompt: Prompt) -> None:
        async def go_on(count: int = len(said)) -> str:
            return "on"

        go_on.__doc__ = said.pop(0)
        prompt.tool(go_on, risk="safe")

    requests = await asked(prompt)
    assert [request.tools[0].description for request in requests] == ["Do it.", "Do it.", "Do it twice.", "Do it."]
    assert [request.tools[0].parameters["properties"]["count"]["default"] for request in requests] == [4, 3, 2, 1]


async def test_instructions_that_change_from_step_to_step_stand_before_parts_that_do_not() -> None:
    told = iter(range(STEPS))

    def prompt(prompt: Prompt) -> None:
        prompt.system("style", "Be brief.")
        prompt.tool(go_on, risk="safe")

    requests = await asked(prompt, instructions=lambda context: f"step {next(told)}")
    style = "<style>\nBe brief.\n</style>"
    assert [one.messages[0].text for one in requests] == [f"step {number}\n\n{style}" for number in range(STEPS)]


async def test_parts_that_change_from_step_to_step_stand_behind_instructions_that_do_not() -> None:
    texts = ["a", "a", "b", "a"]

    def prompt(prompt: Prompt) -> None:
        prompt.system("style", texts.pop(0))
        prompt.tool(go_on, risk="safe")

    requests = await asked(prompt, instructions="You are A.")
    assert [one.messages[0].text for one in requests] == [
        f"You are A.\n\n<style>\n{text}\n</style>" for text in ("a", "a", "b", "a")
    ]


@pytest.mark.parametrize("define", [Prompt.system, Prompt.define])
def test_a_part_that_changes_while_it_is_left_out_is_new_when_it_is_shown(define: Any) -> None:
    conversation, shown = Conversation(), []
    for text, is_shown in (("a", True), ("a", False), ("b", False), ("b", True), ("a", True)):

        def fn(prompt: Prompt, text: str = text, is_shown: bool = is_shown) -> None:
            define(prompt, "first", "1")
            part = define(prompt, "part", text)
            if not is_shown:
                part.disable()

        shown.append(conversation.step(fn).system.removeprefix("<first>\n1\n</first>"))
    a, b = (f"\n\n<part>\n{text}\n</part>" for text in "ab")
    assert shown == [a, "", "", b, a]


async def test_a_call_calls_the_function_and_the_hooks_of_its_step() -> None:
    conversation, said = Conversation(), []
    for number in range(3):

        def fn(prompt: Prompt, number: int = number) -> None:
            def answer(values: Any, result: ToolResult) -> ToolResult:
                return ToolResult(f"{result.text} seen by {number}")

            @prompt.tool(name="plain")
            async def plain() -> int:
                return number

            prompt.tool(plain_of(number), name="hooked", on_success=answer)

        step = conversation.step(fn)
        said += [(await conversation.call(step, name)).text for name in ("plain", "hooked")]
    assert said == ["0", "of 0 seen by 0", "1", "of 1 seen by 1", "2", "of 2 seen by 2"]


def plain_of(number: int) -> Callable[[], Any]:
    async def plain() -> str:
        return f"of {number}"

    return plain


def test_a_state_that_is_kept_as_a_text_comes_back_as_what_it_is_in_each_step() -> None:
    conversation, seen = Conversation(), []

    def fn(prompt: Prompt) -> None:
        seen.append(prompt.state("day", date(2026, 1, 2))[0])

    for _ in range(3):
        conversation.step(fn)
    assert seen == [date(2026, 1, 2)] * 3


def test_a_state_whose_type_changes_is_looked_at_again() -> None:
    conversation, seen = Conversation(), []
    for kind in (None, None, date, date, None):

        def fn(prompt: Prompt, kind: Any = kind) -> None:
            seen.append(prompt.state("day", "2026-01-02", kind)[0])

        conversation.step(fn)
    assert [type(one) for one in seen] == [str, str, date, date, str]


def effect_of(ran: list[str], word: str) -> Callable[[], object]:
    return lambda: ran.append(word)


def test_an_effect_belongs_to_its_prompt_function() -> None:
    conversation, ran = Conversation(), list[str]()

    def one(prompt: Prompt) -> None:
        prompt.effect(effect_of(ran, "one"), [])

    def other(prompt: Prompt) -> None:
        prompt.effect(effect_of(ran, "other"), [])

    for fn in (one, one, other, other):
        conversation.step(fn)
    assert ran == ["one", "other"]


def test_effects_that_change_places_are_the_same_ones() -> None:
    conversation, ran = Conversation(), list[str]()

    def fn(prompt: Prompt, order: str) -> None:
        effects: dict[str, Any] = {
            "a": lambda: ran.append("a"),
            "b": lambda: ran.append("b"),
        }
        for name in order:
            prompt.effect(effects[name], [])

    for order, runs in (
        ("aab", "aab"),
        ("aab", ""),
        ("abab", "b"),
        ("ba", ""),
        ("baa", "a"),
        ("", ""),
        ("ab", "ab"),
        ("a", ""),
        ("b", "b"),
    ):
        ran.clear()
        conversation.step(lambda prompt, order=order: fn(prompt, order))
        assert "".join(ran) == runs, order


def test_an_effect_takes_what_it_requires_in_this_step() -> None:
    conversation, got = Conversation(), []
    for defaults in ((), (), (1,), (1, 2)):

        def fn(prompt: Prompt, defaults: Any = defaults) -> None:
            def effect(context: Any, step: Any) -> None:
                got.append([type(one).__name__ for one in (context, step)])

            effect.__defaults__ = defaults
            prompt.effect(effect)

        conversation.step(fn)
    both = ["EffectContext", "StepModifier"]
    assert got == [both, both, ["EffectContext", "int"], ["int", "int"]]

"""Effects: when they run, what they see and what they change."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from callboard import EffectContext, Message, Prompt, PromptError, StepModifier, SubAgent
from callboard.providers.messages import ToolSpec
from tests.agents.prompts.steps import Conversation, settled

VALUES: Any = st.sampled_from([0, 1, True, 1.0, "1", None, [1], [True], {"a": 1}, {"a": [1, 2]}])
DEPENDENCIES = st.none() | st.lists(VALUES, max_size=2)
DEFINED = st.lists(st.tuples(st.sampled_from(["red", "green", "blue"]), DEPENDENCIES), max_size=4)
HAPPENS = st.lists(st.tuples(DEFINED, st.sampled_from(["goes on", "crashes", "restarts"])), max_size=8)


def said(value: Any) -> Any:
    """With the types of all that is in it."""
    return repr(value)


@given(HAPPENS)
def test_an_effect_runs_exactly_when_a_dependency_has_changed(happens: list[tuple[Any, str]]) -> None:
    conversation = Conversation()
    last: dict[tuple[str, int], Any] = {}
    for defined, then in happens:
        ran: list[tuple[str, int]] = []

        def effect_of(name: str, count: int, ran: list[tuple[str, int]] = ran) -> Callable[[], None]:
            def effect() -> None:
                ran.append((name, count))

            effect.__qualname__ = name
            return effect

        made: list[tuple[tuple[str, int], Any]] = []
        for name, on in defined:
            count = sum(1 for (other, _), _ in made if other == name)
            made.append(((name, count), on))

        def fn(prompt: Prompt, made: Any = made, effect_of: Any = effect_of) -> None:
            for (name, count), on in made:
                prompt.effect(effect_of(name, count), on)

        expected = [who for who, on in made if on is None or who not in last or said(last[who]) != said(on)]
        if then == "crashes":  # before the step's completion was recorded
            conversation.rendered(fn)
            conversation.restart()
        else:
            conversation.step(fn)
            last = {who: on for who, on in made if on is not None}
        assert ran == expected
        if then == "restarts":
            conversation.restart()


CHANGES = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2)), max_size=3)


@given(st.lists(st.tuples(CHANGES, st.booleans(), st.booleans()), max_size=10))
def test_under_any_changes_of_state_an_effect_runs_as_often_as_what_it_depends_on_changes(happens: Any) -> None:
    conversation = Conversation()
    setters: dict[str, Callable[[int], int]] = {}
    ran: list[str] = []

    def fn(prompt: Prompt) -> None:
        values = {}
        for key in "abc":
            values[key], setters[key] = prompt.state(key, 0)
        prompt.effect(lambda: ran.append("a"), [values["a"]])
        prompt.effect(lambda: ran.append("ab"), [values["a"], values["b"]])
        prompt.effect(lambda: ran.append("once"), [])
        prompt.effect(lambda: ran.append("each"))

    state = dict.fromkeys("abc", 0)
    last: dict[str, Any] = {}
    for changes, failing, restarting in happens:
        ran.clear()
        conversation.step(fn)
        now = {"a": state["a"], "ab": (state["a"], state["b"]), "once": ()}
        assert ran == [*(name for name, on in now.items() if last.get(name) != on), "each"]
        last = now
        with conversation.cells.open("call"):
            for key, value in changes:
                setters[key](value)
        if failing:
            conversation.cells.drop("call")
        else:
            state.update(changes)
            conversation.record(conversation.cells.take("call"))
        if restarting:
            conversation.restart()


# -- state -------------------------------------------------------------------------------------------------------------


def test_what_an_effect_sets_is_seen_in_the_next_step() -> None:
    conversation = Conversation()

    def fn(prompt: Prompt) -> None:
        visits, set_visits = prompt.state("visits", 0)
        prompt.system("visits", str(visits))
        prompt.effect(lambda: set_visits(lambda before: before + 1))

    assert [conversation.step(fn).system for _ in range(3)] == [f"<visits>\n{n}\n</visits>" for n in range(3)]


def test_what_an_effect_of_a_lost_step_has_set_counts_once() -> None:
    conversation = Conversation()
    ran: list[int] = []

    def fn(prompt: Prompt) -> None:
        visits, set_visits = prompt.state("visits", 0)

        def visit() -> None:
            ran.append(visits)
            set_visits(visits + 1)

        prompt.effect(visit, [])

    conversation.rendered(fn)
    conversation.restart()
    conversation.step(fn)
    assert (ran, conversation.cells.state) == ([0, 0], {"visits": 1})


def test_an_effect_that_runs_again_can_give_the_world_the_same_key() -> None:
    conversation = Conversation()
    told: list[str] = []

    def fn(prompt: Prompt) -> None:
        order, _ = prompt.state("order", "tea")

        def ship(context: EffectContext) -> None:
            told.append(f"{context.request.conversation}/{order}")

        prompt.effect(ship, [order])

    conversation.rendered(fn)
    conversation.restart()
    conversation.step(fn)
    conversation.step(fn)
    assert told == ["c/tea", "c/tea"]


def test_what_raises_sets_nothing_and_runs_again() -> None:
    conversation = Conversation()
    ran: list[str] = []

    def fn(prompt: Prompt) -> None:
        _, set_n = prompt.state("n", 0)

        def first() -> None:
            set_n(5)
            ran.append("first")

        prompt.effect(first, [])

        def second() -> None:
            ran.append("second")
            if len(ran) < 3:
                raise RuntimeError("no")

        prompt.effect(second, [])

    with pytest.raises(RuntimeError, match="no"):
        conversation.step(fn)
    assert conversation.cells.take("") is None
    conversation.step(fn)
    assert ran == ["first", "second"] * 2
    assert conversation.cells.state == {"n": 5}


async def test_async_effects_run_in_order_with_the_others() -> None:
    conversation = Conversation()
    ran: list[Any] = []

    def fn(prompt: Prompt) -> None:
        n, set_n = prompt.state("n", 0)
        prompt.effect(lambda: ran.append(1))

        async def two(context: EffectContext, step: StepModifier) -> None:
            await asyncio.sleep(0)
            ran.append(set_n(lambda before: before + 2))
            step.messages = ()

        prompt.effect(two, [])
        prompt.effect(lambda: ran.append(3))

        async def four() -> None:
            ran.append(4)

        prompt.effect(four, [n])

    for _ in range(2):
        step = await settled(conversation.rendered(fn))
        conversation.record(conversation.cells.take(""))
    assert ran == [1, 2, 3, 4, 1, 3, 4]
    assert step.messages is None
    conversation.restart()
    ran.clear()
    await settled(conversation.rendered(fn))
    assert ran == [1, 3]


async def test_an_async_effect_that_raises_sets_nothing() -> None:
    conversation = Conversation()

    def fn(prompt: Prompt) -> None:
        _, set_n = prompt.state("n", 0)

        async def fail() -> None:
            set_n(1)
            raise RuntimeError("no")

        prompt.effect(fail)

    with pytest.raises(RuntimeError, match="no"):
        await settled(conversation.rendered(fn))
    assert conversation.cells.take("") is None


# -- what it sees and changes ------------------------------------------------------------------------------------------

HISTORY = (Message("user", "one"), Message("assistant", "two"), Message("user", "three"))
OWN = ToolSpec("search", "Search.", {"type": "object"})


def offering(effect: Callable[..., object]) -> Callable[[Prompt], None]:
    def fn(prompt: Prompt) -> None:
        prompt.system("role", "You look.")
        prompt.system("tone", "Be brief.")
        prompt.define("city", "Rome")
        prompt.define("year", "1900")
        prompt.tool(look)
        prompt.agent("Helper", "Helps.", {"what": str}, lambda prompt, given: None)
        prompt.effect(effect)

    return fn


async def look() -> str:
    """Look."""
    return "seen"


def test_an_effect_sees_the_step() -> None:
    seen: list[EffectContext] = []
    Conversation().step(
        offering(lambda context: seen.append(context)), messages=HISTORY, tools=(OWN,), last_tool="look"
    )
    context = seen[0]
    assert (context.messages, context.step, context.last_tool) == (HISTORY, 1, "look")
    assert [one.name for one in context.systems] == ["role", "tone"]
    assert [(one.name, one.value) for one in context.variables.named("year", "month")] == [("year", "1900")]
    assert [(one.name, one.description) for one in context.tools] == [
        ("search", "Search."),
        ("look", "Look."),
        ("Helper", "Helps."),
    ]
    assert (context.tools.has("look"), context.tools.has("hear"), len(context.systems)) == (True, False, 2)
    assert (repr(context.systems), repr(context.variables.named())) == (
        "<2 systems: role, tone>",
        "<0 variables: none>",
    )


def test_it_changes_this_step_alone() -> None:
    conversation = Conversation()
    on = [True]

    def effect(context: EffectContext, step: StepModifier) -> None:
        if on.pop():
            step.messages = step.messages[-1:]
            step.tools = [*context.tools.named("search"), "look"]
            step.systems = ["tone"]
            step.variables = [one for one in context.variables if one.value != "Rome"]
            assert [one.name for one in step.tools] == ["search", "look"]
        on.append(False)

    step = conversation.step(offering(effect), messages=HISTORY, tools=(OWN,))
    assert step.messages == HISTORY[-1:]
    assert step.offered == frozenset({"search", "look"})
    assert step.system == "<tone>\nBe brief.\n</tone>\n\n<year>\n1900\n</year>"
    step = conversation.step(offering(effect), messages=HISTORY, tools=(OWN,))
    assert (step.messages, step.offered) == (None, None)
    assert step.system.count("</") == 4


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("tools", ["nothing"], r"step\.tools: there is no tool 'nothing'; there are: look, Helper"),
        ("tools", "look", "is a sequence of tools or of their names, not 'look'"),
        ("systems", ["city"], "there is no system 'city'; there are: role, tone"),
        ("variables", [3], "there is no variable 3; there are: city, year"),
        ("messages", ["text"], r"step\.messages are Message, not str"),
        ("messages", 3, r"step\.messages is a sequence of Message, not int"),
    ],
)
def test_what_a_step_does_not_have_is_named(field: str, value: Any, said: str) -> None:
    with pytest.raises(PromptError, match=said):
        Conversation().step(offering(lambda context, step: setattr(step, field, value)))


def test_a_step_is_changed_in_time() -> None:
    kept: list[StepModifier] = []
    Conversation().step(offering(lambda context, step: kept.append(step)))
    with pytest.raises(PromptError, match=r"step\.tools was assigned after the step's request had been made"):
        kept[0].tools = ()


# -- what a callback may be --------------------------------------------------------------------------------------------


class Watcher:
    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen

    def look(self, context: EffectContext) -> None:
        self.seen.append(context.step)

    def __call__(self, context: EffectContext, step: StepModifier) -> None:
        self.seen.append(len(step.systems))


def test_a_callback_takes_what_it_requires() -> None:
    seen: list[Any] = []

    def fn(prompt: Prompt) -> None:
        prompt.effect(lambda: seen.append("nothing"))
        prompt.effect(lambda context: seen.append(context.step))
        prompt.effect(lambda context, step: seen.append(len(step.tools)))
        prompt.effect(lambda *both: seen.append(len(both)))
        prompt.effect(lambda word="default": seen.append(word))
        prompt.effect(Watcher(seen).look)
        prompt.effect(Watcher(seen))
        prompt.effect(functools.partial(seen.append, "partial"))

    Conversation().step(fn)
    assert seen == ["nothing", 1, 0, 2, "default", 1, 0, "partial"]


def requires(context: Any, step: Any, more: Any) -> None: ...


def by_name(*, context: Any) -> None: ...


@pytest.mark.parametrize(
    ("callback", "said"),
    [
        (requires, r"effect .*requires: an effect takes \(context, step\), \(context\) or nothing; this requires 3"),
        (by_name, "'context' needs a name"),
        ("text", "an effect is a function, not 'text'"),
        (max, "effect max: this callback does not say what it takes"),
    ],
)
def test_a_callback_that_cannot_be_called_is_refused(callback: Any, said: str) -> None:
    with pytest.raises(PromptError, match=said):
        Conversation().step(lambda prompt: prompt.effect(callback))


@dataclass
class Point:
    x: int


@dataclass
class Tagged:
    tags: frozenset[int]


class TaggedModel(BaseModel):
    tags: set[int]


def test_dependencies_are_plain_data_or_made_such() -> None:
    conversation = Conversation()
    ran: list[int] = []
    for x in (1, 1, 2):
        conversation.step(lambda prompt, x=x: prompt.effect(lambda: ran.append(x), [Point(x), (x, {"b": x})]))
    assert ran == [1, 2]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([1, object()], r"dependencies\[1\] cannot be compared after a restart: an object is no plain data"),
        ([{1, 2}], r"dependencies\[0\] .* a set has no order; use sorted"),
        ([[{1, 2}]], r"dependencies\[0\] .* a set has no order; use sorted"),
        ([float("nan")], r"dependencies\[0\] .*: it is nan, which no JSON says: use None, or a text"),
        ([1, {"a": [float("inf")]}], r"dependencies\[1\] .*: \['a'\]\[0\] is inf, which no JSON says"),
        ([{"a": {1, 2}}], r"dependencies\[0\] .* a set has no order; use sorted"),
        ([{(1, frozenset({2})): 1}], r"dependencies\[0\] .* a set has no order; use sorted"),
        ([Tagged(frozenset({1}))], r"dependencies\[0\] .* a set has no order; use sorted"),
        ([[TaggedModel(tags={1})]], r"dependencies\[0\] .* a set has no order; use sorted"),
        ("text", r"dependencies is 'text'; give a list of what it depends on, \[\] to run once, or nothing"),
        (3, "dependencies is 3; give a list"),
    ],
)
def test_dependencies_that_cannot_be_compared_are_named(given: Any, said: str) -> None:
    with pytest.raises(PromptError, match=said):
        Conversation().step(lambda prompt: prompt.effect(lambda: None, given))


def test_a_helper_agent_is_what_it_says() -> None:
    helper = SubAgent("Helper", "Helps.", {"what": str}, lambda prompt, given: None)
    assert helper.spec.parameters["required"] == ["what"]


def _assigns(name: str) -> Any:
    return lambda context, step: setattr(step, name, [])


@pytest.mark.parametrize(
    ("effect", "said"),
    [
        (_assigns("sytems"), r"StepModifier has no 'sytems': did you mean 'systems'\?"),
        (_assigns("state"), "StepModifier has no 'state': "),
        (lambda context, step: step.tool, r"StepModifier has no 'tool': did you mean 'tools'\?"),
        (lambda context, step: context.mesages, r"EffectContext has no 'mesages': did you mean 'messages'\?"),
    ],
)
def test_what_an_effect_misspells_is_named(effect: Any, said: str) -> None:
    with pytest.raises(PromptError, match=said) as raised:
        Conversation().step(lambda prompt: prompt.effect(effect))
    assert isinstance(raised.value, AttributeError)

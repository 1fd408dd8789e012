"""What a prompt function defines, what becomes of it, and what is refused."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from callboard import Image, Limits, Message, Prompt, PromptError, SubAgent, ToolContext
from callboard.providers.messages import ToolSpec
from callboard.tools import BaseTool, InvalidArguments, tool
from tests.agents.prompts.steps import Conversation, settled


def step(fn: Callable[..., object], plugins: Any = (), **facts: Any) -> Any:
    return Conversation().step(fn, plugins, **facts)


# -- parts -------------------------------------------------------------------------------------------------------------


def test_parts_stand_in_tags_the_systems_first() -> None:
    def fn(prompt: Prompt) -> None:
        prompt.define("city", "Rome")
        prompt.system("role", "You guide.")
        prompt.define_data("facts", {"founded": -753, "hills": ["Palatine", "Æ"]})
        prompt.system("tone", "Be brief.")

    assert step(fn).system == (
        "<role>\nYou guide.\n</role>\n\n<tone>\nBe brief.\n</tone>\n\n<city>\nRome\n</city>\n\n"
        "<facts>\nfounded: -753\nhills:\n- Palatine\n- Æ\n</facts>"
    )


def test_a_reference_is_its_tag_in_other_texts() -> None:
    def fn(prompt: Prompt) -> None:
        city = prompt.define("city", "Rome")
        assert (f"{city}", str(city), city.name, city.value) == ("<city>", "<city>", "city", "Rome")
        prompt.system("role", f"Speak of {city}.")

    assert "Speak of <city>." in step(fn).system


def test_what_is_disabled_is_left_out_and_what_is_reminded_comes_last() -> None:
    conversation = Conversation()

    def fn(prompt: Prompt) -> None:
        one, two, three = (prompt.system(name, name) for name in ("one", "two", "three"))
        if conversation.steps == 0:
            assert one.remind() is one
            assert two.disable().remind() is two
            three.remind().remind()
            assert prompt.reminded_items() == (one, two, three)

    first, second = conversation.step(fn), conversation.step(fn)
    assert first.system == "<one>\none\n</one>\n\n<three>\nthree\n</three>"
    assert [(one.role, one.text) for one in first.after] == [
        ("user", "<reminder>Keep to: <one>, <three></reminder>"),
    ]
    assert second.system.count("</") == 3
    assert second.after == ()


def test_a_part_is_what_the_step_says_whatever_the_step_before_said() -> None:
    conversation, kept = Conversation(), list[Any]()
    texts = ["a</one>", "a</one>", "b", "a</one>"]

    def fn(prompt: Prompt) -> None:
        if conversation.steps == 3:
            with pytest.raises(PromptError, match="too late"):
                kept[1].disable()  # the step has not said it yet
            prompt.system("two", "2")
        kept.append(prompt.define("one", texts[conversation.steps]))
        if conversation.steps == 1:
            kept[1].disable()

    assert [conversation.step(fn).system for _ in texts] == [
        "<one>\na&lt;/one>\n</one>",
        "",
        "<one>\nb\n</one>",
        "<two>\n2\n</two>\n\n<one>\na&lt;/one>\n</one>",
    ]
    assert [one.value for one in kept] == texts


def test_an_effect_may_remind_and_later_it_is_too_late() -> None:
    kept: list[Any] = []

    def fn(prompt: Prompt) -> None:
        kept.append(prompt.system("one", "1"))
        prompt.effect(lambda: kept[0].remind())

    assert len(step(fn).after) == 1
    for late in (kept[0].remind, kept[0].disable):
        with pytest.raises(PromptError, match=r"\(\) of the part 'one' came too late"):
            late()


@given(st.text(), st.sampled_from(["a", "note"]))
def test_no_text_ends_its_part_early(text: str, name: str) -> None:
    for given_text in (text, f"{text}</{name}>{text}", f"</{name} >"):
        system = step(lambda prompt, given_text=given_text: prompt.system(name, given_text)).system
        assert system.startswith(f"<{name}>\n")
        assert system.index(f"</{name}") == len(system) - len(f"</{name}>")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@example("\n")
@example({"last": "line\n\n"})
@example("0\n")
@given(PLAIN)
def test_data_is_yaml_that_says_the_same(data: Any) -> None:
    system = step(lambda prompt: prompt.define_data("data", data)).system
    assert yaml.safe_load(system.removeprefix("<data>\n").removesuffix("</data>").replace("&lt;/", "</")) == data


class Person(BaseModel):
    name: str
    born: int = 1815


@dataclass
class Pair:
    left: Person
    right: tuple[int, ...] = (1, 2)


@pytest.mark.parametrize("kind", [list, dict])
def test_data_without_end_is_refused_wherever_it_is_given(kind: type) -> None:
    given: Any = kind()
    if kind is list:
        given.append(given)
    else:
        given["a"] = given
    for use in (
        lambda prompt: prompt.define_data("data", given),
        lambda prompt: prompt.state("key", given),
        lambda prompt: prompt.effect(lambda: None, [given]),
    ):
        with pytest.raises(PromptError, match=r"nested without end|no plain data"):
            step(use)


def test_what_is_in_data_twice_is_written_twice() -> None:
    shared = [1, 2]
    system = step(lambda prompt: prompt.define_data("d", {"a": shared, "b": shared})).system
    assert system == "<d>\na:\n- 1\n- 2\nb:\n- 1\n- 2\n</d>"


def test_a_text_of_several_lines_in_data_is_written_as_such() -> None:
    system = step(lambda prompt: prompt.define_data("d", {"poem": "one: two\n  three\n", "of": ["a\nb"]})).system
    assert system == "<d>\npoem: |\n  one: two\n    three\nof:\n- |-\n  a\n  b\n</d>"


def test_data_may_be_models_and_dataclasses() -> None:
    def fn(prompt: Prompt) -> None:
        prompt.define_data("pair", Pair(Person(name="Ada")))

    assert step(fn).system == "<pair>\nleft:\n  name: Ada\n  born: 1815\nright:\n- 1\n- 2\n</pair>"


def test_messages_stand_before_the_conversation() -> None:
    picture = Image("https://example.org/a.png")

    def fn(prompt: Prompt) -> None:
        prompt.user("Hello.")
        prompt.message("assistant", "Hello to you.")
        prompt.message("user", [picture])

    assert [(one.role, one.content) for one in step(fn).before] == [
        ("user", "Hello."),
        ("assistant", "Hello to you."),
        ("user", (picture,)),
    ]


# -- reconciliation ----------------------------------------------------------------------------------------------------

KINDS = ("system", "define", "define_data", "tool", "agent", "user")


def define(prompt: Prompt, kind: str, name: str) -> None:
    if kind == "tool":

        @prompt.tool(name=name)
        async def anything() -> str:
            return name

    elif kind == "agent":
        prompt.agent(name, "Helps.", {"what": str}, lambda prompt, given: None)
    elif kind == "user":
        prompt.user(name)
    else:
        getattr(prompt, kind)(name, name)


@given(st.lists(st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from("abcd")), max_size=6), max_size=5))
def test_each_step_has_what_it_defines_and_what_is_made_twice_is_named(steps: list[list[tuple[str, str]]]) -> None:
    conversation = Conversation()
    for made in steps:

        def fn(prompt: Prompt, made: list[tuple[str, str]] = made) -> None:
            for kind, name in made:
                define(prompt, kind, name)

        parts = [name for kind, name in made if kind in KINDS[:3]]
        offered = [name for kind, name in made if kind in KINDS[3:5]]
        if len(set(parts)) < len(parts) or len(set(offered)) < len(offered):
            with pytest.raises(PromptError, match=r"fn makes the (part|tool or sub-agent) '[abcd]' twice in one step"):
                conversation.step(fn)
            continue
        rendered = conversation.step(fn)
        systems = [name for kind, name in made if kind == "system"]
        variables = [name for kind, name in made if kind in KINDS[1:3]]
        assert rendered.system == "\n\n".join(f"<{name}>\n{name}\n</{name}>" for name in systems + variables)
        assert [one.name for one in rendered.tools] == [name for kind, name in made if kind == "tool"]
        assert [one.name for one in rendered.agents] == [name for kind, name in made if kind == "agent"]
        assert [one.text for one in rendered.before] == [name for kind, name in made if kind == "user"]


# -- tools -------------------------------------------------------------------------------------------------------------


class Greet(BaseTool):
    """Greet somebody."""

    whom: str

    async def run(self) -> str:
        return f"Hello, {self.whom}"


@tool(risk="safe")
async def known(n: int) -> int:
    """Know."""
    return n


async def test_tools_are_functions_tools_and_classes_with_the_options_of_a_tool() -> None:
    conversation = Conversation()
    names: list[str] = []

    def fn(prompt: Prompt) -> None:
        @prompt.tool
        async def one(n: int) -> int:
            """One."""
            return n

        @prompt.tool(name="second", risk="safe", response=int, on_error=lambda values, error: None)
        def two(context: ToolContext, n: int = 2) -> str:
            """Two."""
            return str(n)

        names.extend([one, two, f"{one} and {two.name}", prompt.tool(known), prompt.tool(Greet)])
        names.append(prompt.tool(lambda n: n, name="three", description="Three.", risk="safe"))

    rendered = conversation.step(fn)
    assert names == ["one", "second", "one and second", "known", "Greet", "three"]
    assert [(one.name, one.spec.description, one.risk) for one in rendered.tools] == [
        ("one", "One.", "risky"),
        ("second", "Two.", "safe"),
        ("known", "Know.", "safe"),
        ("Greet", "Greet somebody.", "risky"),
        ("three", "Three.", "safe"),
    ]
    assert list(rendered.tools[1].spec.parameters["properties"]) == ["n"]
    assert (await conversation.call(rendered, "Greet", whom="Ada")).text == "Hello, Ada"


def test_a_name_that_the_agent_itself_offers_is_taken() -> None:
    with pytest.raises(PromptError, match="makes the tool or sub-agent 'known', and the agent itself offers one of"):
        step(lambda prompt: prompt.tool(known), tools=(ToolSpec("known", "", {"type": "object"}),))


# -- sub-agents --------------------------------------------------------------------------------------------------------


class Question(BaseModel):
    """What is asked."""

    text: str
    depth: int = 1


def ask(prompt: Prompt, given: Question) -> None:
    prompt.system("task", given.text)


def test_a_sub_agents_input_is_the_tools_parameters() -> None:
    names: list[str] = []

    def fn(prompt: Prompt) -> None:
        names.append(prompt.agent("Asker", "Asks.", Question, ask, model="small", limits=Limits(steps=2)))
        names.append(prompt.agent("Other", "Asks too.", {"text": str, "n": int}, lambda prompt, given: None))
        both = [SubAgent("A", "First.", Question, ask), SubAgent("B", "Second.", {"n": int}, ask)]
        names.append(prompt.agents("All", "Asks all.", both))

    asker, other, both = step(fn).agents
    assert names == ["Asker", "Other", "All"]
    assert (asker.spec.name, asker.spec.description, asker.model, asker.limits.steps) == ("Asker", "Asks.", "small", 2)
    assert asker.spec.parameters["required"] == ["text"]
    assert asker.read('{"text": "why"}') == Question(text="why")
    assert other.read({"text": "why", "n": 3}) == {"text": "why", "n": 3}
    with pytest.raises(InvalidArguments, match="the arguments of 'Other' do not fit its schema:\n- n: required"):
        other.read('{"text": "why"}')
    calls = both.spec.parameters["properties"]["calls"]["items"]["anyOf"]
    assert [one["properties"]["name"] for one in calls] == [{"const": "A"}, {"const": "B"}]
    assert [list(one["properties"]["args"]["properties"]) for one in calls] == [["text", "depth"], ["n"]]
    assert (both.member("B").name, both.member("C")) == ("B", None)


# -- wrong uses --------------------------------------------------------------------------------------------------------


def no_input(prompt: Prompt) -> None: ...


def agents(*members: Any) -> Callable[[Prompt], object]:
    return lambda prompt: prompt.agents("All", "", members)


WRONG: list[tuple[Callable[[Any], object], str]] = [
    (lambda prompt: prompt.system("a b", "text"), "'a b' is no name of a part; use up to 64 letters"),
    (lambda prompt: prompt.system("1a", "text"), "'1a' is no name of a part"),
    (lambda prompt: prompt.system("", "text"), "'' is no name"),
    (lambda prompt: prompt.system("a" * 65, "text"), "is no name"),
    (lambda prompt: prompt.system(3, "text"), "3 is no name"),
    (lambda prompt: prompt.define("a\n", "text"), "is no name"),
    (lambda prompt: prompt.system("a", 3), r"system\('a', …\) takes a text, not int; for data use define_data"),
    (lambda prompt: prompt.define("a", {"b": 1}), r"define\('a', …\) takes a text, not dict; for data use define_data"),
    (lambda prompt: prompt.define_data("a", object()), r"define_data\('a'\): an object is no plain data"),
    (lambda prompt: prompt.message("system", "x"), "role is 'user' or 'assistant'; for instructions use prompt.system"),
    (lambda prompt: prompt.message("tool", "x"), "role is 'user' or 'assistant'"),
    (lambda prompt: prompt.user(3), "message.* int"),
    (lambda prompt: prompt.message("user", ["text"]), "message"),
    (lambda prompt: prompt.tool(3), "3"),
    (lambda prompt: prompt.tool(list), "no tool"),
    (lambda prompt: prompt.tool(known, name="x"), "name of <FunctionTool known .*already has its own options"),
    (lambda prompt: prompt.tool(lambda: None), "tool name '<lambda>': use 1 to 64 letters"),
    (lambda prompt: prompt.tool(lambda *args: None, name="x"), "cannot be passed by name"),
    (lambda prompt: prompt.tool(lambda: None, name="x", risk="no"), "risk is 'no'"),
    (lambda prompt: prompt.tool(lambda: None, nme="x"), "no option 'nme'"),
    (lambda prompt: prompt.agent("a b", "", Question, ask), "the name of a sub-agent is 'a b'; use 1 to 64"),
    (lambda prompt: prompt.agent("a", 3, Question, ask), "sub-agent 'a': description is 3"),
    (lambda prompt: prompt.agent("a", "", int, ask), "sub-agent 'a': input is <class 'int'>; give a pydantic model"),
    (lambda prompt: prompt.agent("a", "", {"n": 3}, ask), "sub-agent 'a': input is {'n': 3}; give a pyd"),
    (lambda prompt: prompt.agent("a", "", Question, 3), "sub-agent 'a': a prompt function is a function"),
    (
        lambda prompt: prompt.agent("a", "", Question, no_input),
        r"takes \(prompt\); a prompt function takes \(prompt",
    ),
    (lambda prompt: prompt.agent("a", "", Question, ask, limits=3), "limits are Limits, not int"),
    (lambda prompt: prompt.agent("a", "", Question, ask, response_schema=3), "response_schema has no schema"),
    (lambda prompt: prompt.agent("a", "", Question, ask, on_error=3), "on_error is 3; expected a function"),
    (
        lambda prompt: prompt.agent("a", "", Question, ask, plugins=[int]),
        "a plugin is a subclass of Prompt, not",
    ),
    (lambda prompt: prompt.agent("a", "", Question, ask, modle="x"), "has no option 'modle'; there are before"),
    (agents(), r"sub-agents 'All': give several SubAgent\(…\), in a list"),
    (agents("x"), r"give several SubAgent"),
    (lambda prompt: prompt.agents("a b", "", [SubAgent("A", "", Question, ask)]), "the name of sub-agents is 'a b'"),
    (
        lambda prompt: prompt.agents("All", "", SubAgent("A", "", Question, ask)),
        r"give several SubAgent\(…\), in a list",
    ),
    (agents(*[SubAgent("A", "", Question, ask)] * 2), "two are called 'A'"),
    (agents(SubAgent("A", "", Question, no_input)), r"a prompt function takes \(prompt, input\)"),
]


@pytest.mark.parametrize(("use", "said"), WRONG)
def test_a_wrong_use_says_what_to_write_instead(use: Callable[[Any], object], said: str) -> None:
    with pytest.raises(PromptError, match=said):
        step(lambda prompt: use(prompt) and None)


@pytest.mark.parametrize(
    "use",
    [
        lambda prompt: prompt.system("a", "b"),
        lambda prompt: prompt.state("a", 1),
        lambda prompt: prompt.effect(lambda: None),
        lambda prompt: prompt.tool(known),
        lambda prompt: prompt.user("a"),
        lambda prompt: prompt.reminded_items(),
        lambda prompt: prompt.context,
    ],
)
def test_a_prompt_is_of_no_use_after_its_function_has_returned(use: Callable[[Any], object]) -> None:
    kept: list[Any] = []
    step(lambda prompt: kept.append(prompt))
    with pytest.raises(PromptError, match="was called after the prompt function had returned: define everything in it"):
        use(kept[0])
    assert repr(kept[0]) == "<Prompt, over>"


def test_long_data_is_not_kept_in_memory_once_its_step_is_over() -> None:
    conversation = Conversation()
    tracemalloc.start()
    try:
        for number in range(30):
            conversation.step(lambda prompt, number=number: prompt.define_data("rows", [f"{number}" * 20_000]))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 500_000  # 30 texts of 20,000 characters, and as many keys, would be 1,800,000


async def returns_later(prompt: Prompt) -> str:
    return "You are kind"


@pytest.mark.parametrize(
    "fn",
    [
        lambda prompt: "You are kind",
        returns_later,
        lambda prompt: [prompt.system("a", "b")],
        lambda prompt: Message("user", "x"),
        lambda prompt: False,
    ],
)
async def test_a_function_that_returns_something_is_told_how_to_say_it(fn: Any) -> None:
    with pytest.raises(PromptError, match=r"returned an? \w+, which nobody reads: .* prompt\.system\(name, text\)"):
        await settled(Conversation().rendered(fn))


async def test_a_function_may_return_a_reference() -> None:
    async def later(prompt: Prompt) -> Any:
        return prompt.system("a", "text")

    def look() -> str:
        """Look."""
        return ""

    for fn in (lambda prompt: prompt.system("a", "text"), later):
        assert (await settled(Conversation().rendered(fn))).system == "<a>\ntext\n</a>"
    assert Conversation().step(lambda prompt: prompt.tool(look)).tools[0].name == "look"


@pytest.mark.parametrize("members", [5, None, "ask", [], [5], {"a": 5}])
def test_sub_agents_that_are_none_are_refused(members: Any) -> None:
    with pytest.raises(PromptError, match="sub-agents 'ask': give several SubAgent"):
        step(lambda prompt: prompt.agents("ask", "Asks.", members))

"""What is expected of an answer, each by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from callboard import (
    Agency,
    Agent,
    Answer,
    Case,
    Completion,
    DefinitionError,
    Expected,
    ExpectedCall,
    JsonSchema,
    Limits,
    Message,
    Request,
    ToolCall,
    Usage,
    evaluate,
    handoff,
    tool,
)
from callboard.actors.testing import virtual_time
from tests.agents.support import function, results


@tool
def price(item: str, count: int = 1) -> str:
    """The price of something."""
    return f"{item}: {3 * count}"


@tool
def stock(item: str) -> str:
    """How much of something there is."""
    return f"{item}: plenty"


def clerk(request: Request) -> Any:
    """Looks up what tea costs, hands cakes to the baker, and says what came of it."""
    found, asked = results(request), request.messages[-1].text
    calls = {
        "tea": ToolCall("1", "price", '{"item": "tea", "count": 2}'),
        "cake": ToolCall("2", "delegate_to_Baker", '{"message": "bake"}'),
        "both": ToolCall("3", "price", '{"item": "milk"}'),
        "stock": ToolCall("5", "stock", '{"item": "tea"}'),
    }
    if not found and asked in calls:
        return Completion(Message("assistant", "", tool_calls=(calls[asked],)), "tool_calls", Usage(10, 5), cost=0.25)
    if len(found) == 1 and "milk" in found[0]:
        call = ToolCall("4", "price", '{"item": "tea"}')
        return Completion(Message("assistant", "", tool_calls=(call,)), "tool_calls", Usage(10, 5), cost=0.25)
    return Completion(
        Message("assistant", found[-1] if found else f"You said {asked}."), "stop", Usage(10, 5), cost=0.25
    )


def baker(request: Request) -> str:
    return "baked"


def shop(model: Callable[[Request], Any] = clerk, bakes: Callable[[Request], Any] = baker, **options: Any) -> Agency:
    """A clerk and a baker."""

    def answers(request: Request) -> Any:
        return bakes(request) if "bakes" in request.messages[0].text else model(request)

    return Agency(
        Agent("Clerk", "sells", tools=[price, stock], handoffs=[handoff("Baker")], **options),
        Agent("Baker", "bakes"),
        model=function(answers),
    )


async def wrong(ask: Any, expected: Expected, agency: Agency | None = None, **options: Any) -> tuple[str, ...]:
    """What is not as expected."""
    async with agency or shop() as running:
        found = await evaluate(running, [Case("c", ask, expected, **options)])
    return found.cases[0].attempts[0].problems


RIGHT: dict[str, tuple[str | list[str], dict[str, Any]]] = {
    "the text, without white space": ("hello", {"equals": " You said hello.\n"}),
    "a part, in whichever letters": ("hello", {"contains": "SAID HELLO"}),
    "parts": ("hello", {"contains": ["you", "hello"]}),
    "what is not there": ("hello", {"lacks": ["tea", "milk"]}),
    "a pattern anywhere": ("hello", {"matches": r"said \w+\.$"}),
    "who answered": ("hello", {"agent": "Clerk"}),
    "a call": ("tea", {"tools": "price"}),
    "a call with some of its arguments": ("tea", {"tools": [ExpectedCall("price", {"count": 2.0})]}),
    "calls with others between": ("both", {"tools": [ExpectedCall("price", {"item": "tea"})]}),
    "calls in their order": (
        "both",
        {"tools": [ExpectedCall("price", {"item": "milk"}), ExpectedCall("price", {"item": "tea"})]},
    ),
    "calls of several questions": (["tea", "both"], {"tools": ["price", "price", "price"]}),
    "a call with those of other tools before": (["stock", "tea"], {"tools": ["price"]}),
    "handoffs of several questions": (["cake", "hello", "cake"], {"handoffs": ["Baker", "Baker"]}),
    "a text for a value": ("hello", {"value": "You said hello."}),
    "no call": ("hello", {"no_tools": "*"}),
    "no call of these": ("tea", {"no_tools": ["stock"]}),
    "a handoff is no call": ("cake", {"no_tools": "*", "handoffs": "Baker"}),
    "so many steps": ("tea", {"steps": 2}),
    "the steps of whom work was handed to": ("cake", {"steps": 3}),
    "so much": ("tea", {"cost": 0.5, "tokens": 30}),
    "so much in all questions": (["tea", "hello"], {"cost": 0.75, "tokens": 45}),
    "the last text": (["tea", "hello"], {"equals": "You said hello."}),
}


@pytest.mark.parametrize("name", RIGHT)
async def test_what_is_as_expected_is_right(name: str) -> None:
    ask, expected = RIGHT[name]
    assert await wrong(ask, Expected(**expected)) == ()


WRONG: dict[str, tuple[str | list[str], dict[str, Any], str]] = {
    "no text": ("hello", {"equals": ""}, "the text is not ''"),
    "another text": ("hello", {"equals": "You said"}, "the text is not 'You said'"),
    "a part that is missing": ("hello", {"contains": ["you", "tea"]}, "the text does not contain 'tea'"),
    "a part too many": ("hello", {"lacks": "HELLO"}, "the text contains 'HELLO'"),
    "no match": ("hello", {"matches": "^said"}, "the text does not match '^said'"),
    "another type": ("hello", {"type": int}, "the text does not read as int"),
    "another value": ("hello", {"value": {"a": 1}}, "the value is not {'a': 1}"),
    "another agent": ("hello", {"agent": "Baker"}, "Clerk answered, not Baker"),
    "no call": ("hello", {"tools": "price"}, "price() was not called"),
    "another tool with these arguments": (
        "stock",
        {"tools": [ExpectedCall("price", {"item": "tea"})]},
        "price(item='tea') was not called",
    ),
    "other arguments": ("tea", {"tools": [ExpectedCall("price", {"count": 3})]}, "price(count=3) was not called"),
    "an argument that was not given": (
        "both",
        {"tools": [ExpectedCall("price", {"count": 1})]},
        "price(count=1) was not called",
    ),
    "true for 1": ("tea", {"tools": [ExpectedCall("price", {"count": True})]}, "price(count=True) was not called"),
    "another order": (
        "both",
        {"tools": [ExpectedCall("price", {"item": "tea"}), ExpectedCall("price", {"item": "milk"})]},
        "price(item='milk') was not called, in the order that was expected",
    ),
    "too few calls": ("tea", {"tools": ["price", "price"]}, "price() was not called, in the order that was expected"),
    "a call too many": ("tea", {"no_tools": ["order", "price"]}, "price was called"),
    "any call": ("tea", {"no_tools": "*"}, "price was called"),
    "no handoff": ("tea", {"handoffs": "Baker"}, "nothing was handed to Baker"),
    "too few handoffs": (
        "cake",
        {"handoffs": ["Baker", "Baker"]},
        "nothing was handed to Baker, in the order that was expected",
    ),
    "a step too many": ("tea", {"steps": 1}, "steps: 2, at most 1 were expected"),
    "a step of others": ("cake", {"steps": 2}, "steps: 3, at most 2 were expected"),
    "tokens": ("tea", {"tokens": 29}, "tokens: 30, at most 29 were expected"),
    "money": (["tea", "hello"], {"cost": 0.7}, "cost: 0.75, at most 0.7 were expected"),
    "no error": ("hello", {"error": "StepLimit"}, "expected the error StepLimit, and it ended in an answer"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_not_is_said_in_words(name: str) -> None:
    ask, expected, problem = WRONG[name]
    assert await wrong(ask, Expected(**expected)) == (problem,)


async def test_the_structured_answer_is_compared_as_plain_data() -> None:
    def model(request: Request) -> str:
        return '{"n": 1, "names": ["a"]}'

    schema = JsonSchema({"type": "object", "properties": {"n": {"type": "integer"}}})
    for kind in (None, schema):
        for value, right in (
            ({"n": 1.0, "names": ["a"]}, True),
            ({"n": 1, "names": ("a",)}, True),
            ({"n": 1}, False),
            ({"n": True, "names": ["a"]}, False),
            ({"n": 1, "names": []}, False),
            ({"n": 1, "names": {"a": 1}}, False),
            ([1], False),
        ):
            options: dict[str, Any] = {} if kind is None else {"output_type": kind}
            expected = Expected(value=value, type=dict[str, Any])
            assert (await wrong("go", expected, shop(model, **options)) == ()) is right, value


@pytest.mark.parametrize(("error", "right"), [("StepLimit", True), ("LimitReached", True), ("CostLimit", False)])
async def test_an_error_is_expected_by_its_name_or_what_it_is_a_kind_of(error: str, right: bool) -> None:
    agency = shop(limits=Limits(steps=1))
    found = await wrong("tea", Expected(error=error, tools="price"), agency)
    assert found == (() if right else (f"expected the error {error}, and it ended in StepLimit",))


async def test_a_run_that_ends_in_an_error_is_wrong_where_none_is_expected() -> None:
    found = await wrong("tea", Expected(tools="price", handoffs="Baker"), shop(limits=Limits(steps=1)))
    assert found == ("the run ended in StepLimit", "nothing was handed to Baker")


async def test_a_handoff_that_failed_is_none() -> None:
    def fails(request: Request) -> str:
        raise RuntimeError("no oven")

    assert await wrong("cake", Expected(handoffs="Baker"), shop(bakes=fails)) == ("nothing was handed to Baker",)


@virtual_time
async def test_time_is_counted_from_the_first_question_to_the_last_answer() -> None:
    async def model(request: Request) -> str:
        await asyncio.sleep(1.0)
        return "done"

    running = Agency(Agent("A"), model=function(model))
    assert await wrong(["one", "two"], Expected(seconds=1.5), running) == ("seconds: 2, at most 1.5 were expected",)


async def test_an_evaluation_can_be_cancelled_while_code_judges() -> None:
    judging = asyncio.Event()

    async def never(answer: Answer) -> None:
        judging.set()
        await asyncio.Event().wait()

    evaluating = asyncio.ensure_future(wrong("hello", Expected(code=[never])))
    await judging.wait()
    evaluating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await evaluating


async def test_a_question_after_an_error_is_not_asked() -> None:
    asked: list[str] = []

    def model(request: Request) -> str:
        asked.append(request.messages[-1].text)
        raise RuntimeError("down")

    await wrong(["one", "two"], Expected(equals="x"), shop(model))
    assert set(asked) == {"one"}


async def says_yes(answer: Answer) -> bool:
    await asyncio.sleep(0)
    return answer.text == "You said hello."


def asserts(answer: Answer) -> None:
    assert answer.text == "x", "it is not x"


def raises(answer: Answer) -> None:
    raise SystemExit(3)


CODE: dict[str, tuple[Any, tuple[str, ...]]] = {
    "yes": (says_yes, ()),
    "none": (lambda answer: None, ()),
    "no text": (lambda answer: "", ()),
    "no": (lambda answer: False, ("<lambda> says no",)),
    "a text": (lambda answer: "too short", ("<lambda>: too short",)),
    "a number": (
        lambda answer: 1,
        ("<lambda> failed: it returned int; expected True, False, or a text",),
    ),
    "an assertion": (asserts, ("asserts: it is not x",)),
    "an exit": (raises, ("raises failed: SystemExit",)),
}


@pytest.mark.parametrize("name", CODE)
async def test_code_judges_and_what_it_raises_is_its_own_failure(name: str) -> None:
    made, problems = CODE[name]
    found = await wrong("hello", Expected(code=[made]))
    assert [one.splitlines()[0] for one in found] == [one.splitlines()[0] for one in problems]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, r"say something of it; there are equals, contains, (\w+, )+judge, code$"),
    "matches": ({"matches": 5}, "matches"),
    "agent": ({"agent": 5}, "agent"),
    "error": ({"error": 5}, "error"),
    "tokens": ({"tokens": 1.5}, "tokens"),
    "seconds": ({"seconds": -1}, "seconds"),
    "equals": ({"equals": 5}, "equals"),
    "contains": ({"contains": [5]}, "contains: a list of texts"),
    "contains, a mapping": ({"contains": {"a": 1}}, "contains: a list of texts"),
    "a pattern": ({"matches": "("}, "matches is no regular expression"),
    "a type": ({"type": "no type of mine"}, "type is one that pydantic knows"),
    "tools": ({"tools": [5]}, "names of tools, or ExpectedCalls"),
    "steps": ({"steps": 0}, "steps"),
    "steps, true": ({"steps": True}, "steps"),
    "cost": ({"cost": -1}, "cost"),
    "cost, nan": ({"cost": float("nan")}, "cost"),
    "code": ({"code": ["module:name"]}, "functions of an Answer"),
    "code, one": ({"code": says_yes}, "functions of an Answer"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_expected_is_refused_by_name(name: str) -> None:
    given, problem = BAD[name]
    with pytest.raises(DefinitionError, match=problem):
        Expected(**given)


@pytest.mark.parametrize(("tool", "arguments"), [(" ", {}), (5, {}), ("price", ["tea"])])
def test_what_is_no_call_is_refused(tool: Any, arguments: Any) -> None:
    with pytest.raises(DefinitionError, match="an expected call"):
        ExpectedCall(tool, arguments)


BAD_CASES: dict[str, tuple[dict[str, Any], str]] = {
    "no name": ({"name": " "}, "name"),
    "no words": ({"ask": ["a", " "]}, "ask has no words"),
    "no question": ({"ask": []}, "ask has no words"),
    "a number": ({"ask": 5}, "ask: a list of texts"),
    "no expectation": ({"expect": {"equals": "x"}}, "expect is an Expected"),
    "always": ({"at_least": 0}, "at_least is above 0"),
    "more than all": ({"at_least": 1.5}, "at_least"),
    "never": ({"repeat": 0}, "repeat"),
    "a caller": ({"caller": "ada"}, "caller is a Caller"),
    "approve": ({"approve": "yes"}, "approve"),
    "an agent": ({"agent": 5}, "agent"),
}


@pytest.mark.parametrize("name", BAD_CASES)
def test_what_is_no_case_is_refused_by_name(name: str) -> None:
    given, problem = BAD_CASES[name]
    good: dict[str, Any] = {"name": "c", "ask": "go", "expect": Expected(equals="x")}
    with pytest.raises(DefinitionError, match=problem):
        Case(**{**good, **given})

"""A function that is defined within another is made anew each time, and so is its tool: what both have is kept."""

from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, Literal

import pytest

from callboard.tools import FunctionTool, ToolDefinitionError, ToolResult, tool


def counting(start: int) -> FunctionTool:
    @tool(risk="safe", timeout=5)
    async def count(by: int, word: Literal["up", "down"] = "up") -> int:
        """Count.

        Args:
            by: how far.
        """
        return start + by

    return count


async def test_tools_of_one_code_share_what_the_model_is_told_and_call_their_own_function() -> None:
    one, other = counting(10), counting(20)
    assert one is not other
    assert one.spec is other.spec
    assert one.spec.parameters["properties"]["by"] == {"description": "how far.", "type": "integer"}
    assert [(await made.run({"by": 3})).text for made in (one, other)] == ["13", "23"]
    assert (await other.run({"by": "x"})).is_error


def of(kind: Any) -> FunctionTool:
    @tool
    async def take(value: kind) -> str:
        return str(value)

    return take


class Colour(Enum):
    RED = "red"


async def test_an_annotation_that_names_something_local_means_what_it_means_there() -> None:
    kinds: list[Any] = [int, str, list[int], Colour, int, Annotated[int, "how many"]]
    made = [of(kind).spec.parameters["properties"]["value"] for kind in kinds]
    assert [one.get("type") for one in made] == ["integer", "string", "array", None, "integer", "integer"]
    assert made[5]["description"] == "how many"
    assert (await of(int).run({"value": "red"})).is_error
    assert not (await of(str).run({"value": "red"})).is_error


def evaluated(kind: Any) -> FunctionTool:
    async def take(value: int) -> None: ...

    take.__annotations__ = {"value": kind}
    return tool(take)


def test_annotations_that_are_no_text_are_compared_themselves() -> None:
    kinds: list[Any] = [int, str, int | None, Literal["a"], Literal["b"]]
    made = [evaluated(kind).spec.parameters["properties"]["value"] for kind in kinds]
    assert len({str(one) for one in made}) == 5
    assert [evaluated(kind).spec.parameters["properties"]["value"] for kind in kinds] == made


def with_default(default: Any, more: Any = None) -> FunctionTool:
    @tool
    async def take(value: Any = default, *, other: Any = more) -> str:
        return repr((value, other))

    return take


@pytest.mark.parametrize(
    "defaults", [(1, True, 1.0), ([], [1], [True]), ({}, {"a": 1}, {"a": True}), (None, "", b""), ((1,), (1.0,), ())]
)
async def test_a_default_is_that_of_the_function_that_is_called(defaults: tuple[Any, ...]) -> None:
    for default in (*defaults, *defaults):
        assert (await with_default(default).run()).text == repr((default, None))
        assert (await with_default(3, default).run()).text == repr((3, default))


def test_what_is_said_of_a_default_of_a_named_parameter_is_that_of_its_function() -> None:
    def made(default: int) -> FunctionTool:
        @tool
        async def take(*, value: int = default) -> None: ...

        return take

    defaults = [made(default).spec.parameters["properties"]["value"]["default"] for default in (1, 1, 2, 1)]
    assert defaults == [1, 1, 2, 1]


def documented(text: str) -> FunctionTool:
    def say() -> None: ...

    say.__doc__ = text
    return tool(say)


def test_a_docstring_that_is_assigned_counts() -> None:
    assert [documented(text).spec.description for text in ("Say A.", "Say B.", "Say A.")] == [
        "Say A.",
        "Say B.",
        "Say A.",
    ]


def test_other_options_make_another_tool() -> None:
    def made(**options: Any) -> FunctionTool:
        @tool(**options)
        def look() -> None: ...

        return look

    assert [made(risk=risk).risk for risk in ("safe", "risky", "safe")] == ["safe", "risky", "safe"]
    assert [made(name=name).spec.name for name in ("a", "b", "a")] == ["a", "b", "a"]
    for _ in range(2):
        with pytest.raises(ToolDefinitionError, match="risk"):
            made(risk="nice")
        with pytest.raises(ToolDefinitionError, match="has no option 'rsik'"):
            made(rsik="safe")
        with pytest.raises(ToolDefinitionError, match="before_call"):
            made(before_call=3)


@pytest.mark.parametrize("kind", [list, set])
def test_scopes_that_have_changed_since_are_those_of_the_next_tool(kind: Any) -> None:
    scopes = kind(("sales", "support"))

    def made() -> FunctionTool:
        @tool(scope=scopes)
        def look() -> None: ...

        return look

    first = made()
    scopes.remove("support")
    assert [sorted(one.scope) for one in (first, made())] == [["sales", "support"], ["sales"]]


def test_tools_of_a_loop_are_made_again_by_their_names() -> None:
    def made(number: int) -> FunctionTool:
        @tool(name=f"look_{number}")
        def look() -> None: ...

        return look

    first, then = ([made(number) for number in range(100)] for _ in range(2))
    assert [one.spec.name for one in first] == [f"look_{number}" for number in range(100)]
    assert all(one.spec is other.spec for one, other in zip(first, then, strict=True))


async def test_each_tool_has_hooks_of_its_own() -> None:
    def made(text: str) -> FunctionTool:
        @tool(on_success=lambda values, result: ToolResult(text))
        async def look() -> str:
            return ""

        return look

    assert [(await one.run()).text for one in (made("a"), made("b"))] == ["a", "b"]


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def inner(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return inner


async def test_functions_in_one_wrapper_take_what_they_take_themselves() -> None:
    async def one(a: int) -> int:
        return a

    async def two(b: str) -> str:
        return b

    made = [tool(logged(function)) for function in (one, two, one)]
    assert [list(each.spec.parameters["properties"]) for each in made] == [["a"], ["b"], ["a"]]
    assert [(await made[0].run({"a": 1})).text, (await made[1].run({"b": "x"})).text] == ["1", "x"]


def test_a_wrapper_takes_what_is_wrapped_whatever_others_of_its_code_take() -> None:
    async def one(a): ...  # type: ignore[no-untyped-def]

    def passing(is_like: Any) -> Callable[..., Any]:
        async def inner(**values): ...  # type: ignore[no-untyped-def]

        return functools.wraps(is_like)(inner) if is_like else inner

    made = [tool(name="act")(passing(is_like)) for is_like in (None, None, one, None, one)]
    assert [list(each.spec.parameters["properties"]) for each in made] == [[], [], ["a"], [], ["a"]]


class Speaker:
    def __init__(self, word: str) -> None:
        self.word = word

    async def say(self, times: int = 1) -> str:
        """Say it."""
        return self.word * times

    async def __call__(self, loud: bool = False) -> str:
        return self.word.upper() if loud else self.word


class Shouter(Speaker):
    """Shouts."""


async def test_methods_and_callable_objects_are_called_on_their_own_object() -> None:
    hello, bye = Speaker("hello"), Shouter("bye")
    said = [tool(one.say) for one in (hello, bye)]
    assert said[0].spec is said[1].spec
    assert [(await one.run({"times": 2})).text for one in said] == ["hellohello", "byebye"]
    called = [tool(name="speak")(one) for one in (hello, bye)]
    assert [(await one.run({"loud": True})).text for one in called] == ["HELLO", "BYE"]
    assert [one.spec.description for one in called] == ["", "Shouts."]
    with pytest.raises(ToolDefinitionError, match=r"Speaker\.say is a method, and of no object yet"):
        tool(Speaker.say)


def test_nothing_of_a_closure_is_kept() -> None:
    class Secret: ...

    def made(secret: Secret) -> FunctionTool:
        @tool
        def keep(n: int = 3) -> str:
            return str(secret)

        return keep

    secrets = [Secret(), Secret()]
    seen = [weakref.ref(secret) for secret in secrets]
    tools = [made(secret) for secret in secrets]
    assert tools[0].spec is tools[1].spec
    del tools, secrets
    gc.collect()
    assert [ref() for ref in seen] == [None, None]


def test_code_that_is_gone_is_not_kept_either() -> None:
    namespace: dict[str, Any] = {"tool": tool}
    exec("def made():\n    def f(a: int) -> None: ...\n    return tool(f)", namespace)
    assert namespace["made"]().spec is namespace["made"]().spec
    code = weakref.ref(namespace["made"].__code__)
    namespace.clear()
    gc.collect()
    assert code() is None

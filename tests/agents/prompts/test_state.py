"""What a prompt function remembers: values, their types, and setters."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, Field, computed_field, model_validator
from pydantic_core import core_schema

from callboard import Prompt, PromptError
from tests.agents.prompts.steps import Conversation, settled


def asking(key: Any, initial: Any, value_type: Any = None) -> Callable[[Prompt], None]:
    """A prompt function that asks for one state."""

    def fn(prompt: Prompt) -> None:
        prompt.state(key, initial, value_type)

    return fn


def counter(prompt: Prompt) -> None:
    count, set_count = prompt.state("count", 0)
    prompt.system("count", f"{count}")

    @prompt.tool
    async def add(by: int = 1) -> int:
        return set_count(lambda before: before + by)

    @prompt.tool
    async def put(value: int) -> int:
        return set_count(value)

    @prompt.tool
    async def fail() -> None:
        set_count(100)
        raise RuntimeError("no")

    @prompt.tool
    async def stale(by: int = 1) -> int:
        set_count(count + by)
        return set_count(count + by)

    @prompt.tool
    def blocking(by: int = 1) -> int:
        def work() -> None:
            set_count(lambda before: before + by)

        for _ in range(3):
            work()
        return set_count(lambda before: before)


def shown(conversation: Conversation, fn: Callable[..., object] = counter) -> str:
    return conversation.step(fn).system


async def test_a_value_goes_from_step_to_step_and_over_a_restart() -> None:
    conversation = Conversation()
    step = conversation.step(counter)
    assert step.system == "<count>\n0\n</count>"
    assert (await conversation.call(step, "add", by=3)).text == "3"
    assert (await conversation.call(step, "add", by=4)).text == "7"
    assert shown(conversation) == "<count>\n7\n</count>"
    conversation.restart()
    assert shown(conversation) == "<count>\n7\n</count>"


async def test_what_a_function_closes_over_is_the_value_of_its_step() -> None:
    conversation = Conversation()
    step = conversation.step(counter)
    await conversation.call(step, "put", value=5)
    assert (await conversation.call(step, "stale")).text == "1"


async def test_a_call_that_fails_has_set_nothing() -> None:
    conversation = Conversation()
    step = conversation.step(counter)
    assert (await conversation.call(step, "fail")).is_error
    assert conversation.cells.state == {"count": 0}


async def test_what_is_set_in_a_thread_is_the_calls() -> None:
    conversation = Conversation()
    assert (await conversation.call(conversation.step(counter), "blocking", by=2)).text == "6"
    assert conversation.cells.state == {"count": 6}


async def test_threads_of_one_call_lose_no_update() -> None:
    conversation = Conversation()

    def fn(prompt: Prompt) -> None:
        _, set_count = prompt.state("count", 0)

        @prompt.tool
        async def many() -> None:
            def some() -> None:
                for _ in range(50):
                    set_count(lambda before: before + 1)

            await asyncio.gather(*(asyncio.to_thread(some) for _ in range(4)))

    await conversation.call(conversation.step(fn), "many")
    assert conversation.cells.state == {"count": 200}


def test_the_initial_value_counts_only_the_first_time() -> None:
    conversation = Conversation()

    def starting(at: int) -> Callable[[Prompt], object]:
        return lambda prompt: prompt.system("n", str(prompt.state("n", at)[0]))

    assert [shown(conversation, starting(at)) for at in (1, 2)] == ["<n>\n1\n</n>"] * 2
    conversation.restart()
    assert shown(conversation, starting(3)) == "<n>\n1\n</n>"


def test_a_step_that_no_completion_came_of_has_set_nothing() -> None:
    conversation = Conversation()
    conversation.rendered(asking("n", 1))
    conversation.restart()
    assert shown(conversation, lambda prompt: prompt.system("n", str(prompt.state("n", 2)[0]))) == "<n>\n2\n</n>"


def test_what_a_step_does_not_ask_for_is_kept() -> None:
    conversation = Conversation()
    shown(conversation)
    shown(conversation, lambda prompt: None)
    assert conversation.cells.state == {"count": 0}


# -- types -------------------------------------------------------------------------------------------------------------


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Person(BaseModel):
    name: str
    born: date
    likes: set[Colour] = set()


@dataclass
class Point:
    x: int
    y: float = 0.5


ADA = Person(name="Ada", born=date(1815, 12, 10), likes={Colour.RED})
VALUES: list[tuple[Any, Any]] = [
    (0, None),
    (True, None),
    ("text \ud800 \0", None),
    (1.0, None),
    (None, None),
    ([1, {"a": [None]}], None),
    ({"a": {"b": 1}}, None),
    (ADA, None),
    ([ADA], list[Person]),
    ({"a": ADA}, dict[str, Person]),
    (None, Person | None),
    (Point(1), None),
    ((1, 2), tuple[int, int]),
    ((1, "a"), None),
    ({1, 2}, None),
    (Colour.BLUE, None),
    (date(2020, 2, 29), None),
    ({1: "a"}, dict[int, str]),
]


@pytest.mark.parametrize(("value", "kind"), VALUES)
async def test_a_value_comes_back_as_what_it_was(value: Any, kind: Any) -> None:
    conversation = Conversation()
    seen: list[Any] = []

    def fn(prompt: Prompt) -> None:
        given, set_given = prompt.state("key", value, kind)
        other, set_other = prompt.state("other", None, None if kind is None else kind | None)
        seen.append((given, other))

        @prompt.tool
        async def again() -> None:
            assert set_given(lambda before: before) == value
            if kind is not None:
                assert set_other(value) == value

    step = conversation.step(fn)
    assert not (await conversation.call(step, "again")).is_error
    conversation.restart()
    conversation.step(fn)
    assert [type(given) for given, _ in seen] == [type(value)] * 2
    assert [given for given, _ in seen] == [value] * 2
    if kind is not None:
        assert (type(seen[1][1]), seen[1][1]) == (type(value), value)


def test_a_value_is_a_copy_of_ones_own() -> None:
    conversation = Conversation()
    first: list[Any] = [[1]]
    seen: list[Any] = []

    def fn(prompt: Prompt) -> None:
        seen.append(prompt.state("items", first)[0])

    conversation.step(fn)
    first[0].append(2)
    conversation.step(fn)
    assert seen == [[[1]], [[1]]]
    assert seen[0] is not seen[1]


class Child(Person):
    school: str


class Ticket(BaseModel):
    id: int


class Urgent(Ticket):
    by: str


@dataclass
class Board:
    ticket: Ticket


class Hidden(Ticket):
    secret: str = Field("", exclude=True)


class Plain:
    """It has no equality of its own."""

    def __init__(self, x: int) -> None:
        self.x = x

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return core_schema.no_info_plain_validator_function(
            lambda given: given if isinstance(given, cls) else cls(given),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda given: given.x),
        )


def test_a_value_without_an_equality_of_its_own_is_kept() -> None:
    conversation = Conversation()
    seen: list[int] = []

    def fn(prompt: Prompt) -> None:
        value, _ = prompt.state("key", [Plain(3)], list[Plain])
        seen.append(value[0].x)

    conversation.step(fn)
    conversation.restart()
    conversation.step(fn)
    assert seen == [3, 3]


def test_a_model_that_takes_nothing_else_is_kept_also_where_it_computes_a_field() -> None:
    class Sum(BaseModel, extra="forbid"):
        parts: list[int]

        @computed_field  # type: ignore[prop-decorator]
        @property
        def total(self) -> int:
            return sum(self.parts)

    conversation = Conversation()
    seen: list[Any] = []

    def fn(prompt: Prompt) -> None:
        seen.append(prompt.state("key", Sum(parts=[1, 2]))[0])

    conversation.step(fn)
    conversation.restart()
    conversation.step(fn)
    assert seen == [Sum(parts=[1, 2])] * 2
    assert seen[1].total == 3


def test_a_value_of_a_subclass_is_kept_where_its_type_is_named() -> None:
    conversation = Conversation()
    urgent = Urgent(id=1, by="today")
    seen: list[Any] = []

    def fn(prompt: Prompt) -> None:
        seen.append(prompt.state("key", [urgent, Ticket(id=2)], list[Urgent | Ticket])[0])

    conversation.step(fn)
    conversation.restart()
    conversation.step(fn)
    assert seen == [[urgent, Ticket(id=2)]] * 2


def _first_key(given: dict[str, int]) -> dict[str, int]:
    return dict(list(given.items())[:1])


WRONG: list[tuple[Any, Any, str]] = [
    (float("nan"), None, "nan"),
    ([1, float("inf")], None, r"\[1\] is inf"),
    ({"a": {1}}, None, r"\['a'\] is a set; a state is plain data, or give its type"),
    ([ADA], None, r"\[0\] is a Person"),
    ({1: "a"}, None, "the key 1, which is no text"),
    ((ADA,), None, "give its type: value_type=tuple"),
    (object(), None, "an object is no plain data, and cannot be made such"),
    (lambda: 1, None, "function"),
    ("x", int, "a str is no int: Input should be a valid integer"),
    ([], int, "a list is no int: Input"),
    ([1], list[Person], r"no list\[.*Person\]"),
    (
        [Child(**ADA.model_dump(), school="x")],
        list[Person],
        r"\[0\] is a Child, and would come back as a Person; give its",
    ),
    ({"a": Urgent(id=1, by="today")}, dict[str, Ticket], r"\['a'\] is an Urgent, and would come back as a Ticket"),
    (Board(Urgent(id=1, by="today")), None, r"ticket is an Urgent, and would come back as a Ticket"),
    (float("nan"), float, "nan"),
    ([1, 2], Annotated[list[int], AfterValidator(lambda given: given[:1])], "it would have another length"),
    ({"a": 1, "b": 2}, Annotated[dict[str, int], AfterValidator(_first_key)], "it would have other keys"),
    (
        Hidden(id=1, secret="s"),
        None,
        "secret would be another str; have Hidden say all of it as JSON, or keep something",
    ),
    ([{"id": 1}], list[Ticket], r"\[0\] is a dict, and would come back as a Ticket"),
    ("z", Literal["x", "y"], r"as JSON it does not fit .*Literal\['x', 'y'\]: Input should be 'x' or 'y'"),
]


@pytest.mark.parametrize(("value", "kind", "said"), WRONG)
async def test_what_cannot_be_kept_is_refused_at_once(value: Any, kind: Any, said: str) -> None:
    conversation = Conversation()
    with pytest.raises(PromptError, match=rf"state 'key': .*{said}"):
        conversation.step(asking("key", value, kind))
    if callable(value):
        return

    def fn(prompt: Prompt) -> None:
        _, set_key = prompt.state("key", None, None if kind is None else kind | None)

        @prompt.tool
        async def put() -> None:
            set_key(value)

    result = await conversation.call(conversation.step(fn), "put")
    assert result.is_error
    assert "state 'key'" in result.text
    assert conversation.cells.state == {"key": None}


def test_what_was_kept_and_does_not_fit_any_more_is_named() -> None:
    conversation = Conversation()
    conversation.step(asking("key", {"a": 1}))
    conversation.restart()
    with pytest.raises(
        PromptError, match=r"state 'key': what was kept does not fit Person: name: .*; this conversation"
    ) as no:
        conversation.step(asking("key", ADA))
    for way in ("a default", "mode='before'", "another key"):
        assert way in str(no.value)


class Customer(BaseModel):
    """What a conversation began with."""

    name: str


class Renamed(BaseModel):
    """The same with its field called otherwise, and one more that has a default."""

    full_name: str
    orders: list[str] = []

    @model_validator(mode="before")
    @classmethod
    def from_older(cls, kept: Any) -> Any:
        if isinstance(kept, dict) and "name" in kept:
            return {"full_name": kept["name"]}
        return kept


class Extended(BaseModel):
    name: str
    orders: list[str] = []


@pytest.mark.parametrize("newer", [Renamed(full_name="Ada"), Extended(name="Ada")])
async def test_a_newer_type_takes_what_an_older_one_has_kept(newer: Renamed | Extended) -> None:
    conversation = Conversation()
    conversation.step(asking("customer", Customer(name="Ada")))
    conversation.restart()
    found: list[Any] = []

    def fn(prompt: Prompt) -> None:
        set_customer: Any
        customer, set_customer = prompt.state("customer", type(newer)(**newer.model_dump()))
        found.append(customer)

        @prompt.tool
        async def order(thing: str) -> None:
            set_customer(lambda before: before.model_copy(update={"orders": [*before.orders, thing]}))

    await conversation.call(conversation.step(fn), "order", thing="tea")
    conversation.restart()
    conversation.step(fn)
    assert found == [newer, newer.model_copy(update={"orders": ["tea"]})]


# -- wrong uses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", 3, None])
def test_a_key_is_a_text(key: Any) -> None:
    with pytest.raises(PromptError, match="the key of a state is a text"):
        Conversation().step(asking(key, 0))


def test_a_key_is_used_once_in_a_step() -> None:
    def fn(prompt: Prompt) -> None:
        prompt.state("a", 1)
        prompt.state("a", 1)

    with pytest.raises(PromptError, match="fn makes the state 'a' twice in one step"):
        Conversation().step(fn)


def test_nothing_is_set_while_the_function_runs() -> None:
    def fn(prompt: Prompt) -> None:
        prompt.state("a", 1)[1](2)

    with pytest.raises(PromptError, match="'a' was called while the prompt function runs: call it in a tool or an eff"):
        Conversation().step(fn)


def setter_of(conversation: Conversation) -> Callable[[Any], Any]:
    found: list[Any] = []
    conversation.step(lambda prompt: found.append(prompt.state("a", 1)[1]))
    setter: Callable[[Any], Any] = found[0]
    return setter


def test_nothing_is_set_from_elsewhere() -> None:
    conversation, other = Conversation(), Conversation()
    setter = setter_of(conversation)
    with pytest.raises(PromptError, match="outside of a tool call and an effect"):
        setter(2)
    with other.cells.open("c"), pytest.raises(PromptError, match=r"in another run, such as a sub-agent's: return the"):
        setter(2)


@pytest.mark.parametrize("end", ["take", "drop"])
def test_nothing_is_set_after_a_call_has_ended(end: str) -> None:
    conversation = Conversation()
    setter = setter_of(conversation)
    with conversation.cells.open("c"):
        getattr(conversation.cells, end)("c")
        with pytest.raises(PromptError, match="after its call had ended"):
            setter(2)
    assert conversation.cells.state == {"a": 1}


def test_what_sets_by_the_value_before_sets_nothing_else() -> None:
    conversation = Conversation()
    setter = setter_of(conversation)
    with (
        conversation.cells.open("c"),
        pytest.raises(PromptError, match="the function that sets 'a' calls the setter of 'a': it must be a pure func"),
    ):
        setter(lambda before: setter(before + 1))


@pytest.mark.parametrize(
    ("initial", "change"),
    [
        ([1], lambda value: value.append(2)),
        ({}, lambda value: value.update(a=1)),
        (Point(1), lambda value: setattr(value, "x", 9)),
    ],
)
def test_a_value_that_was_changed_in_place_is_noticed(initial: Any, change: Callable[[Any], object]) -> None:
    conversation = Conversation()
    given: list[Any] = []

    def fn(prompt: Prompt) -> None:
        given.append(prompt.state("items", initial))

    conversation.step(fn)
    conversation.step(fn)
    value, setter = given[-1]
    change(value)
    with (
        conversation.cells.open("c"),
        pytest.raises(PromptError, match="'items' was changed in place, which nobody notices: call its setter with"),
    ):
        setter(value)
    with pytest.raises(PromptError, match="'items' was changed in place"):
        conversation.step(fn)


def test_a_set_is_the_same_in_whichever_order_it_is_kept() -> None:
    conversation = Conversation()
    once_large = set(range(50))
    for number in {*once_large} - {1, 40}:
        once_large.discard(number)
    assert list(once_large) != list({1, 40}), "equal sets, kept in another order"
    for _ in range(3):
        conversation.step(asking("numbers", once_large, set[int]))


def test_what_a_function_of_the_value_before_changes_in_place_is_its_own() -> None:
    conversation = Conversation()
    given: list[Any] = []

    def fn(prompt: Prompt) -> None:
        given.append(prompt.state("items", [1]))

    conversation.step(fn)
    with conversation.cells.open("c"):
        given[0][1](lambda before: [before.append(2), before][1])
    conversation.cells.take("c")
    conversation.step(fn)
    assert given[1][0] == [1, 2]


async def test_an_async_function_sets_nothing_while_it_runs_either() -> None:
    async def fn(prompt: Prompt) -> None:
        _, set_a = prompt.state("a", 1)
        await asyncio.sleep(0)
        set_a(2)

    with pytest.raises(PromptError, match="while the prompt function runs"):
        await settled(Conversation().rendered(fn))


def test_setters_of_two_conversations_do_not_meet() -> None:
    conversations = [Conversation() for _ in range(8)]
    setters = [setter_of(one) for one in conversations]

    def work(at: int) -> None:
        with conversations[at].cells.open("c"):
            for _ in range(20):
                setters[at](lambda before: before + at)
        conversations[at].cells.take("c")

    threads = [threading.Thread(target=work, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.cells.state["a"] for one in conversations] == [1 + 20 * at for at in range(8)]


@pytest.mark.parametrize("depth", [101, 600, 5_000])
def test_plain_data_that_is_nested_deeper_than_can_be_walked_is_named(depth: int) -> None:
    value: Any = []
    for _ in range(depth):
        value = [value]
    with pytest.raises(PromptError, match=r"state 'deep': .*deeper than 100 levels"):
        Conversation().step(lambda prompt: _none(prompt.state("deep", value)))
    if depth > 101:
        with pytest.raises(PromptError, match=r"define_data\('deep'\)"):
            Conversation().step(lambda prompt: _none(prompt.define_data("deep", value)))


def _none(_: object) -> None:
    """A prompt function returns nothing."""


def test_a_setter_says_whose_it_is_and_not_what_it_has_set() -> None:
    assert repr(setter_of(Conversation())) == "<setter of 'a'>"


def test_a_state_that_a_later_step_gives_a_type_is_set_by_that_type() -> None:
    conversation = Conversation()
    setters: list[Any] = []
    for kind in (None, None, int):
        conversation.step(lambda prompt, kind=kind: setters.append(prompt.state("n", 0, kind)[1]))
    with conversation.cells.open("c"):
        with pytest.raises(PromptError, match="state 'n': a str is no int"):
            setters[-1]("text")
        assert setters[-1](2) == 2


def test_an_initial_value_that_a_later_step_changes_is_not_what_functions_are_told() -> None:
    conversation = Conversation()
    setters: list[Any] = []
    for initial in ([1], [2]):
        conversation.step(lambda prompt, initial=initial: setters.append(prompt.state("n", initial)[1]))
    with conversation.cells.open("c"):
        assert setters[-1](lambda before: [*before, 3]) == [1, 3]

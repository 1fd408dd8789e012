"""What typed messages do at run time: methods that handle a class of messages, and methods called by name."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pydantic
import pytest

from callboard.actors import (
    Actor,
    ActorCrashed,
    ActorRef,
    ChildSpec,
    Returns,
    SendContext,
    System,
    current_send_context,
    handles,
    send_context,
)
from tests.core.support import on_each_loop

T = TypeVar("T")


class Get(Returns[int]):
    """Asks for the total."""


@dataclass(frozen=True, slots=True)
class Add(Returns[None]):
    """Adds to the total."""

    number: int


class AddTwice(Add):
    """A more special message."""


class Lines(Returns[AsyncIterator[str]]):
    """Asks for lines."""


class Boom(Returns[None]):
    """Its handler fails."""


class Model(pydantic.BaseModel, Returns[str]):
    """A message that is a pydantic model."""

    text: str


class Counter(Actor[Get | Add | Lines | Boom | Model]):
    def __init__(self, total: int = 0) -> None:
        super().__init__()
        self.total = total

    @handles(Get)
    def get(self, message: Get) -> int:
        return self.total

    @handles(Add)
    async def add(self, message: Add) -> None:
        await asyncio.sleep(0)
        self.total += message.number

    @handles(Lines)
    async def lines(self, message: Lines) -> AsyncIterator[str]:
        for number in range(self.total):
            yield str(number)

    @handles(Boom)
    def boom(self, message: Boom) -> None:
        raise ValueError("boom")

    @handles(Model)
    def model(self, message: Model) -> str:
        return message.text

    def double(self) -> int:
        return self.total * 2

    async def increase(self, number: int, *, times: int = 1) -> int:
        await asyncio.sleep(0)
        self.total += number * times
        return self.total


@on_each_loop
async def test_a_message_goes_to_the_method_that_handles_its_class() -> None:
    async with System() as system:
        ref = system.spawn(Counter, 2)
        ref.tell(Add(1))
        assert await ref.ask(Get()) == 3
        assert list(await asyncio.gather(ref.ask(Add(1)), ref.ask(Get()))) == [None, 4]
        assert await ref.ask(Model(text="hello")) == "hello"
        assert [line async for line in ref.stream(Lines())] == ["0", "1", "2", "3"]


@on_each_loop
async def test_what_such_a_method_raises_is_the_askers() -> None:
    async with System() as system:
        ref = system.spawn(Counter)
        with pytest.raises(ValueError, match="boom"):
            await ref.ask(Boom())
        assert ref.is_alive()


@on_each_loop
async def test_the_method_for_a_class_handles_its_subclasses_until_one_has_its_own() -> None:
    class Twice(Counter):
        @handles(AddTwice)
        def add_twice(self, message: AddTwice) -> None:
            self.total += 2 * message.number

    async with System() as system:
        plain, twice = system.spawn(Counter), system.spawn(Twice)
        for ref in (plain, twice):
            await ref.ask(AddTwice(1))
        assert await plain.ask(Get()) == 1
        assert await twice.ask(Get()) == 2


@on_each_loop
async def test_a_subclass_handles_by_overriding_the_method_or_with_another() -> None:
    class Overriding(Counter):
        def get(self, message: Get) -> int:
            return 10 + super().get(message)

    class Another(Counter):
        @handles(Get)
        def total_of(self, message: Get) -> int:
            return 20

    class Both(Overriding, Another):
        pass

    async with System() as system:
        assert await system.spawn(Overriding).ask(Get()) == 10
        assert await system.spawn(Another).ask(Get()) == 20
        assert await system.spawn(Both).ask(Get()) == 20
        assert await system.spawn(Counter).ask(Get()) == 0


@on_each_loop
async def test_an_on_receive_of_its_own_reaches_them_through_super() -> None:
    class Counting(Counter):
        def on_receive(self, message: Any) -> Any:
            if message == "own":
                return message
            return super().on_receive(message)

    async with System() as system:
        ref: ActorRef[Any] = system.spawn(Counting, 3)
        assert await ref.ask("own") == "own"
        assert await ref.ask(Get()) == 3


@on_each_loop
async def test_a_message_that_no_method_handles_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with System() as system:
        ref: ActorRef[Any] = system.spawn(Counter)
        assert await ref.ask("what?") is None
    assert ["Unexpected message" in record.getMessage() for record in caplog.records] == [True]


def test_one_class_has_one_method_for_a_class_of_messages() -> None:
    with pytest.raises(TypeError, match="handles Get in first and in second"):

        class Ambiguous(Actor[Get]):
            @handles(Get)
            def first(self, message: Get) -> int:
                return 1

            @handles(Get)
            def second(self, message: Get) -> int:
                return 2


@pytest.mark.parametrize("kind", [Get | Add, "Get", list[int], lambda self, message: None])
def test_only_a_class_of_messages_can_be_handled(kind: Any) -> None:
    with pytest.raises(TypeError, match="takes a class of messages"):
        handles(kind)


@on_each_loop
async def test_a_method_is_called_in_its_turn_and_its_result_is_the_answer() -> None:
    async with System() as system:
        ref = system.spawn(Counter, 1)
        answers = [ref.call(Counter.increase, 2), ref.call(Counter.double), ref.call(Counter.increase, 1, times=4)]
        assert [await answer for answer in answers] == [3, 6, 7]


@on_each_loop
async def test_the_method_of_the_actors_own_class_is_called() -> None:
    class Triple(Counter):
        def double(self) -> int:
            return self.total * 3

    async with System() as system:
        assert await system.spawn(Triple, 2).call(Counter.double) == 6


@on_each_loop
async def test_what_a_called_method_raises_and_the_death_of_its_actor_reach_the_caller() -> None:
    class Failing(Actor):
        def fail(self) -> None:
            raise ValueError("no")

        def leave(self) -> None:
            raise SystemExit

    async with System() as system:
        ref = system.spawn(Failing)
        with pytest.raises(ValueError, match="no"):
            await ref.call(Failing.fail)
        with pytest.raises(ActorCrashed):
            await ref.call(Failing.leave)


@on_each_loop
async def test_a_called_method_has_the_deadline_and_values_of_the_scope_it_is_called_in() -> None:
    class Scoped(Actor):
        async def sent(self) -> SendContext:
            return current_send_context()

    async with System() as system:
        ref = system.spawn(Scoped)
        with send_context(timeout=1000, baggage={"key": 1}) as outer:
            inner = await ref.call(Scoped.sent)
        assert (inner.deadline, inner.baggage) == (outer.deadline, {"key": 1})


def test_a_method_is_called_from_another_thread() -> None:
    with System.in_thread() as system:
        ref = system.spawn(Counter, 2)
        assert ref.call(Counter.increase, 3).get(timeout=5.0) == 5


@on_each_loop
async def test_an_actor_may_be_generic_in_what_it_takes_and_otherwise() -> None:
    class Box(Actor[T]):
        def on_receive(self, message: T) -> T:
            return message

    class Pair(Actor, Generic[T]):
        def on_receive(self, message: Any) -> Any:
            return message, message

    class Numbers(Box[int]):
        pass

    async with System() as system:
        numbers = system.spawn(Numbers, name="numbers")
        assert await numbers.ask(3) == 3
        assert await system.spawn(Pair).ask(3) == (3, 3)


def test_a_child_spec_may_be_made_for_an_actor_by_name() -> None:
    assert ChildSpec[Counter](Counter, (3,)) == ChildSpec(Counter, (3,))


def test_a_message_that_declares_its_reply_stays_the_plain_object_it_is() -> None:
    assert pickle.loads(pickle.dumps(Add(3))) == Add(3)
    assert not hasattr(Add(3), "__dict__")
    assert Model(text="a").model_dump() == {"text": "a"}


@pytest.mark.parametrize("kind", [staticmethod, classmethod])
def test_handles_above_what_is_no_method_is_refused_when_the_class_is_made(kind: Any) -> None:
    with pytest.raises(TypeError, match=kind.__name__):

        class Odd(Actor):
            @kind  # type: ignore[untyped-decorator]
            @handles(int)
            def never(self, message: int) -> None: ...

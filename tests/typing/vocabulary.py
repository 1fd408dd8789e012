"""The messages and actors that `accepted.py` and `refused.py` are about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from callboard.actors import Actor, Returns, handles
from callboard.actors.agents.prompts.prompt import Prompt
from callboard.actors.journal import EventSourcedActor

T = TypeVar("T")


class Get(Returns[int]):
    """Declares its reply."""


@dataclass(frozen=True, slots=True)
class Add(Returns[None]):
    """Declares that its reply says nothing."""

    number: int


class Note:
    """Declares no reply."""


class Lines(Returns[AsyncIterator[str]]):
    """Is streamed."""


class Echo(Returns[T], Generic[T]):
    """Its reply depends on what it was made with."""

    def __init__(self, value: T) -> None:
        self.value = value


class Elsewhere(Returns[str]):
    """No actor here takes it."""


class Counter(Actor[Get | Add | Note | Lines]):
    """Declares what it takes, and implements `on_receive`."""

    def __init__(self, total: int, step: int = 1, *, label: str = "") -> None:
        super().__init__()
        self.total = total
        self.step = step
        self.label = label

    def on_receive(self, message: Get | Add | Note | Lines) -> Any:
        return self.total

    def double(self) -> int:
        return self.total * 2

    async def increase(self, number: int, *, times: int = 1) -> int:
        self.total += number * times
        return self.total


class Handling(Actor[Get | Add | Note | Lines]):
    """Declares what it takes, and has a method for each."""

    @handles(Get)
    def get(self, message: Get) -> int:
        return 3

    @handles(Add)
    async def add(self, message: Add) -> None: ...

    @handles(Note)
    def note(self, message: Note) -> str:
        return "noted"

    @handles(Lines)
    async def lines(self, message: Lines) -> AsyncIterator[str]:
        yield "first"

    async def fetch(self) -> int:
        return 3


class Later(Handling):
    """Answers from beside the mailbox, and overrides a method that handles."""

    @handles(Get)
    def get(self, message: Get) -> int:
        return self.reply_with(self.fetch())


class Plain(Actor):
    """Declares nothing."""

    def on_receive(self, message: str) -> str:
        return message


class Box(Actor, Generic[T]):
    """Declares nothing, and is generic itself."""

    def __init__(self, item: T) -> None:
        super().__init__()
        self.item = item


@dataclass(frozen=True, slots=True)
class Added:
    """An event."""

    number: int


class Ledger(EventSourcedActor[Added, Get | Add]):
    """Declares what it keeps and what it takes."""

    total = 0

    def apply(self, event: Added) -> None:
        self.total += event.number

    async def on_receive(self, message: Get | Add) -> Any:
        if isinstance(message, Add):
            await self.persist(Added(message.number), Added(0))
        return self.total


class Untold(EventSourcedActor[Added]):
    """Declares what it keeps, and takes everything."""

    def apply(self, event: Added) -> None: ...


class Counting(Prompt):
    """A plugin: prompts that count."""

    def counted(self, name: str) -> int:
        count, _ = self.state(name, 0)
        return count


class Noting(Prompt):
    """Another one: prompts that note something."""

    def noted(self) -> list[str]:
        return self.state("notes", [], list[str])[0]


class Both(Counting, Noting):
    """Both of them."""

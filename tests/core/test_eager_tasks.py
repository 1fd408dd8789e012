"""Under asyncio's eager tasks (Python 3.12), whose first steps run inside of who starts them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callboard.actors import Actor, ActorRef, AskCycle, System

from .support import Echo, run

factory: Any = getattr(asyncio, "eager_task_factory", None)
pytestmark = pytest.mark.skipif(factory is None, reason="there are no eager tasks here")


class Starts(Actor):
    """Starts tasks that ask, and goes on."""

    tasks: list[asyncio.Task[Any]]

    def __init__(self, other: ActorRef[Any] | None = None) -> None:
        super().__init__()
        self.other = other
        self.tasks = []

    def on_receive(self, message: Any) -> Any:
        match message:
            case "def":
                self.start_one()
                return "started"
            case "async def":
                return self.start_later()
            case "group":
                return self.group()
            case "itself":
                return self.ask_self()
            case "answers":
                return self.reply_with(self.answers())
        return message

    def start_one(self) -> None:
        self.tasks.append(asyncio.create_task(self.ask_self()))

    async def start_later(self) -> str:
        self.start_one()
        await asyncio.sleep(0)
        self.start_one()
        return "started"

    async def group(self) -> list[Any]:
        assert self.other is not None
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.ask_other(number)) for number in range(3)]
        return [task.result() for task in tasks]

    async def ask_other(self, number: int) -> Any:
        assert self.other is not None
        return await self.other.ask(number)

    async def answers(self) -> list[Any]:
        return await asyncio.gather(*self.tasks)

    async def ask_self(self) -> Any:
        return await self.ref.ask("answer")


def eagerly(main: Any) -> None:
    async def with_eager_tasks() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(factory)
        try:
            await main()
        finally:
            loop.set_task_factory(None)

    run(with_eager_tasks())


@pytest.mark.parametrize("how", ["def", "async def"])
def test_a_task_that_a_handler_started_may_ask_the_handlers_own_actor(how: str) -> None:
    async def main() -> None:
        async with System() as system:
            ref = system.spawn(Starts)
            assert await ref.ask(how) == "started"
            answers = await ref.ask("answers")
            assert answers == ["answer"] * len(answers)
            assert answers

    eagerly(main)


def test_tasks_of_a_group_may_ask_another_actor() -> None:
    async def main() -> None:
        async with System() as system:
            ref = system.spawn(Starts, system.spawn(Echo))
            assert await ref.ask("group") == [0, 1, 2]

    eagerly(main)


def test_a_handler_that_awaits_its_own_actor_itself_is_still_told_so() -> None:
    async def main() -> None:
        async with System() as system:
            ref = system.spawn(Starts)
            with pytest.raises(AskCycle):
                await ref.ask("itself", timeout=5)
            assert await ref.ask("alive") == "alive"

    eagerly(main)

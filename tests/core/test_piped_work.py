"""Work that an actor pipes beside its mailbox, and takes back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callboard.actors import Actor, ActorRef, Outcome, System

from .support import on_each_loop


class Pipes(Actor):
    """Pipes one piece of work, cancels it when it is told to, and says what has come back."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.got: list[Outcome[Any]] = []
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()

    def on_start(self) -> None:
        self.job = self.pipe(self.work())

    async def on_receive(self, message: Any) -> Any:
        if isinstance(message, Outcome):
            self.got.append(message)
        elif message == "cancel":
            await self.begun.wait()
            assert not self.job.done()
            self.job.cancel()
            await self.ended.wait()
        elif message == "got":
            assert self.job.done()
            return self.got

    async def work(self) -> str:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if self.how == "returns":
                return "late"
            if self.how == "raises":
                raise ValueError("late") from None
            raise
        finally:
            self.ended.set()
        return "never"


async def come_back(ref: ActorRef[Pipes]) -> list[Outcome[Any]]:
    await ref.ask("cancel")
    await asyncio.sleep(0)  # the work has ended; what it sends is in the mailbox by now
    await ref.ask("first")
    got: list[Outcome[Any]] = await ref.ask("got")
    return got


@on_each_loop
async def test_nothing_comes_back_of_piped_work_that_is_cancelled() -> None:
    async with System() as system:
        assert await come_back(system.spawn(Pipes, "obeys")) == []


@pytest.mark.parametrize("how", ["returns", "raises"])
@on_each_loop
async def test_what_piped_work_makes_of_its_cancellation_comes_back(how: str) -> None:
    async with System() as system:
        (outcome,) = await come_back(system.spawn(Pipes, how))
    if how == "returns":
        assert outcome.unwrap() == "late"
    else:
        assert isinstance(outcome.error, ValueError)


@on_each_loop
async def test_a_cancellation_that_piped_work_has_met_by_itself_comes_back_as_its_error() -> None:
    got: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    class Meets(Actor):
        def on_start(self) -> None:
            self.pipe(self.work())

        async def work(self) -> None:
            gone = asyncio.get_running_loop().create_future()
            gone.cancel()
            await gone

        def on_receive(self, message: Any) -> None:
            got.set_result(message)

    async with System() as system:
        system.spawn(Meets)
        outcome = await got
    assert isinstance(outcome.error, asyncio.CancelledError)


@on_each_loop
async def test_work_that_cancels_its_own_task_comes_back_as_its_error_and_nothing_of_what_its_actor_cancels() -> None:
    got: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    class Cancels(Actor):
        def on_start(self) -> None:
            self.pipe(self.itself())
            self.job = self.pipe(self.by_its_job())

        async def itself(self) -> None:
            await asyncio.sleep(0)
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)

        async def by_its_job(self) -> None:
            await asyncio.sleep(0)
            self.job.cancel()
            await asyncio.sleep(0)

        def on_receive(self, message: Any) -> None:
            if message == "end":
                assert self.job.done()
            got.set_result(message)  # once: a second message would crash the actor

    async with System() as system:
        ref = system.spawn(Cancels)
        outcome = await got
        got = asyncio.get_running_loop().create_future()
        for _ in range(5):
            await asyncio.sleep(0)
        await ref.ask("end")
        assert await got == "end"
    assert isinstance(outcome.error, asyncio.CancelledError)


@on_each_loop
async def test_work_that_is_cancelled_before_its_first_step_has_not_cancelled_itself() -> None:
    got: list[Any] = []

    class Cancels(Actor):
        def on_receive(self, message: Any) -> None:
            if isinstance(message, Outcome):
                got.append(message)
            elif message == "begin":
                self.pipe(self.work()).cancel()

        async def work(self) -> None:
            await asyncio.sleep(0)

    async with System() as system:
        ref = system.spawn(Cancels)
        await ref.ask("begin")
        for _ in range(5):
            await asyncio.sleep(0)
        await ref.ask("end")
    assert got == []

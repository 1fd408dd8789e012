"""A factory that returns an actor that lives already, or has lived: refused by name, and nobody else is harmed."""

from __future__ import annotations

from typing import Any

import pytest

from callboard.actors import Actor, ChildSpec, RestartLimit, SpecError, StartFailed, Supervisor, System

from .support import Events, on_each_loop


class Known(Actor):
    """Answers with what it is sent, or with itself."""

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, BaseException):
            raise message
        return self if message == "me" else message


def causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


@on_each_loop
async def test_a_factory_that_returns_an_actor_that_has_a_place_already_fails_the_start() -> None:
    async with System() as system:
        first = system.spawn(Known, name="first")
        actor = await first.ask("me")
        with pytest.raises(StartFailed) as raised:
            system.supervise(ChildSpec(lambda: actor, name="second"))
        assert any(isinstance(cause, SpecError) for cause in causes(raised.value))
        assert system.find("second") is None, "its name is free again"
        assert actor.path == "first"
        assert await first.ask("still served") == "still served"
        assert await first.stop() is True
        assert await system.spawn(Known, name="second").ask("new") == "new"


@on_each_loop
async def test_two_children_are_not_one_actor() -> None:
    async with System() as system:
        made: list[Known] = []

        def shared() -> Known:
            if not made:
                made.append(Known())
            return made[0]

        one = system.supervise(ChildSpec(shared, name="one"))
        with pytest.raises(StartFailed):
            system.supervise(ChildSpec(shared, name="two"))
        assert await one.ask("alive") == "alive"
        assert [node.name for node in system.tree()] == ["one"]


@pytest.mark.parametrize("how", ["crash", "kill"])
@on_each_loop
async def test_a_factory_that_returns_the_same_actor_at_a_restart_has_failed_to_start_it(how: str) -> None:
    made: list[Known] = []
    calls: list[int] = []

    def factory() -> Known:
        calls.append(len(calls))
        if len(calls) != 2:  # the first time, and from the third on
            made.append(Known())
        return made[-1]

    async with System() as system:
        events = Events(system)
        ref = system.supervise(ChildSpec(factory, name="child"))
        first = await ref.ask("me")
        if how == "crash":
            ref.tell(LookupError("crash"))
        else:
            ref.kill()
        await events.until("started", "child", 2)
        assert await ref.ask("me") is made[1] is not first
        assert len(calls) == 3
        (node,) = system.tree()
        assert node.restarts == 2, "the restart that failed counts"


@on_each_loop
async def test_a_factory_that_returns_the_same_actor_always_ends_in_the_restart_limit() -> None:
    made: list[Known] = []

    def factory() -> Known:
        if not made:
            made.append(Known())
        return made[0]

    with pytest.raises(RestartLimit) as raised:  # noqa: PT012
        async with System() as system:
            other = system.spawn(Known)
            ref = system.supervise(ChildSpec(factory, name="child"))
            assert await ref.ask("alive") == "alive"
            assert await other.ask("alive") == "alive"
            ref.tell(LookupError("crash"))
            await system.wait()
    assert any(isinstance(cause, SpecError) for cause in causes(raised.value))


@on_each_loop
async def test_a_factory_that_returns_the_same_actor_fails_its_supervisor_alone() -> None:
    made: list[Known] = []

    def factory() -> Known:
        if not made or len(made) > 1:
            made.append(Known())
        return made[0] if len(made) < 3 else made[-1]

    async with System() as system:
        events, other = Events(system), system.spawn(Known)
        spec = Supervisor.spec([ChildSpec(factory, name="child")], name="group", intensity=1)
        await system.supervise(spec).started()
        child = system.find("group/child")
        assert child is not None
        child.tell(LookupError("crash"))
        await events.until("crashed", "group")
        assert await other.ask("alive") == "alive"
        made.extend([made[0], made[0]])  # from now on it makes new ones
        await events.until("started", "group", 2)
        again = system.find("group/child")
        assert again is not None
        assert await again.ask("alive") == "alive"

"""A conversation belongs to whoever began it: strangers neither go on with it nor learn what was answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Caller, DefinitionError, NotAllowed, RunFailed
from callboard.providers.messages import Request

from .support import function

ANN = Caller("ann", "acme")


def person(user: str, *scopes: str, tenant: str = "acme") -> Caller:
    return Caller(user, tenant, frozenset(scopes))


CASES = [
    (ANN, ANN, True),
    (ANN, person("ann", "read"), True),
    (ANN, person("bob"), False),
    (ANN, person("bob", "conversations"), True),
    (ANN, person("bob", "admin"), True),
    (ANN, person("ann", tenant="evil"), False),
    (ANN, person("ann", tenant=""), False),
    (ANN, person("bob", "conversations", "admin", tenant="evil"), False),
    (ANN, None, False),
    (Caller("ann"), Caller("ann"), True),
    (Caller("ann"), Caller("bob"), False),
    (Caller("ann"), person("ann"), False),
    (Caller("", "acme"), person("bob"), True),
    (Caller("", "acme"), person("bob", tenant="evil"), False),
    (Caller("", "acme"), None, False),
    (None, None, True),
    (None, person("bob"), True),
]


def agencies(tmp_path: Path, durable: bool) -> Callable[[], Agency]:
    asked: list[str] = []

    def model(request: Request) -> Any:
        asked.append(request.messages[-1].text)
        return f"{len(request.messages)} messages"

    made = function(model)
    return lambda: Agency(Agent("Clerk"), model=made, journal=tmp_path / "runs.db" if durable else None)


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize(("began", "by", "may"), CASES)
async def test_a_conversation_is_gone_on_with_by_its_own_user_or_a_colleague_who_has_the_scope(
    tmp_path: Path, began: Caller | None, by: Caller | None, may: bool, durable: bool
) -> None:
    async with agencies(tmp_path, durable)() as agency:
        await agency.run("mine", caller=began, conversation="c")
        before = await agency.conversation("c")
        if may:
            assert (await agency.run("hi", caller=by, conversation="c")).text == "3 messages"
            return
        for ask in (agency.run, agency.start_run):
            with pytest.raises(NotAllowed, match="conversation 'c' of Clerk belongs to another caller") as refused:
                await ask("hi", caller=by, conversation="c", when_busy="rollback")
            assert "ann" not in str(refused.value)
        assert (await agency.conversation("c")).messages == before.messages
        assert (await agency.run("again", caller=began, conversation="c")).text == "3 messages"


@pytest.mark.parametrize("forked", [False, True])
async def test_whose_it_is_holds_after_a_restart_and_for_a_fork(tmp_path: Path, forked: bool) -> None:
    made = agencies(tmp_path, True)
    async with made() as agency:
        await agency.run("mine", caller=ANN, conversation="c")
    async with made() as agency:
        name = await agency.fork("c") if forked else "c"
        with pytest.raises(NotAllowed):
            await agency.run("hi", caller=person("bob"), conversation=name)
        assert (await agency.run("hi", caller=ANN, conversation=name)).text == "3 messages"


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("conversation", [None, "c"])
@pytest.mark.parametrize("by", [person("bob"), person("ann", tenant="evil"), None])
async def test_a_stranger_who_asks_with_somebody_elses_run_id_learns_nothing(
    tmp_path: Path, by: Caller | None, conversation: str | None, durable: bool
) -> None:
    made = agencies(tmp_path, durable)
    async with made() as agency:
        await agency.run("mine", caller=ANN, conversation=conversation, run_id="r")
        with pytest.raises(NotAllowed):
            await agency.run("mine", caller=by, conversation=conversation, run_id="r")
        assert (await agency.run("mine", caller=ANN, conversation=conversation, run_id="r")).text == "1 messages"
    if durable:
        async with made() as agency:
            with pytest.raises(NotAllowed):
                await agency.run("mine", caller=by, conversation=conversation, run_id="r")


async def test_a_stranger_cannot_wait_for_somebody_elses_run_that_is_under_way(tmp_path: Path) -> None:
    async with agencies(tmp_path, True)() as agency:
        handle = await agency.start_run("mine", caller=ANN, run_id="r")
        with pytest.raises(NotAllowed):
            await agency.run("mine", caller=person("bob"), run_id="r")
        assert (await handle).text == "1 messages"


async def test_a_run_that_cannot_be_written_down_gives_its_caller_no_conversation(tmp_path: Path) -> None:
    async with agencies(tmp_path, True)() as agency:
        with pytest.raises(RunFailed, match="object"):
            await agency.run("mine", caller=ANN, conversation="c", metadata={"what": object()})
        assert (await agency.run("mine", caller=person("bob"), conversation="c")).text == "1 messages"
        with pytest.raises(NotAllowed):
            await agency.run("mine", caller=ANN, conversation="c")


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("conversation", [None, "bob-1", "ann-1"])
async def test_a_run_id_of_somebody_elses_is_not_theirs_and_tells_them_nothing(
    tmp_path: Path, conversation: str | None, durable: bool
) -> None:
    make = agencies(tmp_path, durable)
    async with make() as agency:
        await agency.run("mine", run_id="r1", conversation="ann-1", caller=ANN)
        for ask in (agency.run, agency.start_run):
            with pytest.raises(NotAllowed) as refused:
                await ask("?", run_id="r1", conversation=conversation, caller=person("bob"))
            if conversation != "ann-1":  # otherwise he knew it
                assert "ann" not in str(refused.value)
                assert "run 'r1' belongs to another caller" in str(refused.value)
        with pytest.raises(NotAllowed, match="run 'r1' belongs to another caller"):
            await agency.handle("r1", caller=person("bob"))
        with pytest.raises(DefinitionError, match="run id 'r1' is taken by a run of Clerk/ann-1"):
            await agency.run("?", run_id="r1", caller=ANN)


async def test_it_is_so_while_the_run_is_under_way(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def model(request: Request) -> str:
        await go.wait()
        return "done"

    async with Agency(Agent("Clerk"), model=function(model)) as agency:
        handle = await agency.start_run("mine", run_id="r1", conversation="ann-1", caller=ANN)
        for ask in (agency.run, agency.start_run):
            with pytest.raises(NotAllowed, match="run 'r1' belongs to another caller"):
                await ask("?", run_id="r1", caller=person("bob"))
        with pytest.raises(NotAllowed, match="run 'r1' belongs to another caller"):
            await agency.handle("r1", caller=person("bob"))
        go.set()
        await handle

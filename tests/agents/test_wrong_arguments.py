"""What has the wrong type, or comes after the agency's end, is refused by name."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent
from callboard.actors.agents.errors import AgencyClosed, DefinitionError, UnknownConversation, UnknownRun
from callboard.actors.agents.runs.handle import RunHandle
from callboard.actors.testing.doubles.models import Script

from .held import Held
from .support import scripted

Act = Callable[[Agency, RunHandle], Awaitable[Any]]


async def events(handle: RunHandle, after: Any) -> list[Any]:
    return [record async for record in handle.events(after=after)]


async def decided(agency: Agency) -> None:
    await agency.approve("a")


def of_wrong_type(given: Any) -> dict[str, Act]:
    """What takes no such thing."""
    return {
        "conversation": lambda agency, handle: agency.conversation(given),
        "its agent": lambda agency, handle: agency.conversation("c", agent=given),
        "listed after": lambda agency, handle: agency.conversations(after=given),
        "listed unfinished": lambda agency, handle: agency.conversations(unfinished=given),
        "listed limit": lambda agency, handle: agency.conversations(limit=given),
        "listed user": lambda agency, handle: agency.conversations(user=given),
        "listed tenant": lambda agency, handle: agency.conversations(tenant=given),
        "fork": lambda agency, handle: agency.fork(given),
        "fork at": lambda agency, handle: agency.fork("c", at=given),
        "fork to": lambda agency, handle: agency.fork("c", to=given),
        "rewind": lambda agency, handle: agency.rewind(given, to=0),
        "rewind to": lambda agency, handle: agency.rewind("c", to=given),
        "replay": lambda agency, handle: agency.replay(given),
        "replay run": lambda agency, handle: agency.replay("c", run=given),
        "erase": lambda agency, handle: agency.erase(user=given),
        "erase tenant": lambda agency, handle: agency.erase(user="u", tenant=given),
        "release": lambda agency, handle: agency.release(given),
        "handle": lambda agency, handle: agency.handle(given),
        "steer": lambda agency, handle: agency.steer(given, "x"),
        "run": lambda agency, handle: agency.run("x", conversation=given),
        "run id": lambda agency, handle: agency.run("x", run_id=given),
        "start run": lambda agency, handle: agency.start_run("x", conversation=given),
        "events": lambda agency, handle: events(handle, given),
        "answer": lambda agency, handle: handle.answer(given),
        "cancel": lambda agency, handle: handle.cancel(given),
    }


@pytest.mark.parametrize("given", [("a", 1), [1.5]], ids=repr)
@pytest.mark.parametrize("what", of_wrong_type(None))
async def test_an_argument_of_the_wrong_type_is_refused_by_name(what: str, given: Any, tmp_path: Path) -> None:
    async with Agency(Agent("A"), model=scripted(Script(["x"])), journal=tmp_path / "j.db") as agency:
        handle = await agency.start_run("?", conversation="c", run_id="r")
        await handle
        with pytest.raises(DefinitionError, match=re.escape(repr(given))) as raised:
            await of_wrong_type(given)[what](agency, handle)
        assert type(raised.value) is DefinitionError


async def test_none_and_true_are_no_numbers_and_no_ids(tmp_path: Path) -> None:
    async with Agency(Agent("A"), model=scripted(Script(["x"])), journal=tmp_path / "j.db") as agency:
        handle = await agency.start_run("?", conversation="c", run_id="r")
        await handle
        for given in (None, True, "1"):
            for what in ("rewind to", "events"):
                with pytest.raises(DefinitionError, match=re.escape(f"not {given!r}")):
                    await of_wrong_type(given)[what](agency, handle)
        for what in ("conversation", "handle", "fork", "rewind", "replay", "release", "steer"):
            with pytest.raises(DefinitionError, match="a text, not None"):
                await of_wrong_type(None)[what](agency, handle)


@pytest.mark.parametrize("given", ["a/b", "", "a\0b", "\ud83d", ".", ".."], ids=ascii)
async def test_an_id_that_cannot_be_one_is_a_wrong_argument_of_a_run_and_unknown_to_a_look_up(given: str) -> None:
    rule = "cannot name a conversation: use a text, not empty, that can be written in a line, without '/'"
    if given.startswith("."):  # no browser asks for /conversations/A/.. as it stands
        rule = "cannot name a conversation: in a URL's path it is a step to another one"
    async with Agency(Agent("A"), model=scripted(Script(["x"]))) as agency:
        for ask in (agency.run, agency.start_run):
            with pytest.raises(DefinitionError) as raised:
                await ask("?", conversation=given)
            assert type(raised.value) is DefinitionError
            assert str(raised.value) == f"{given!r} {rule}"
        looks: list[Awaitable[Any]] = [agency.conversation(given), agency.fork(given), agency.rewind(given, to=0)]
        for look in (*looks, agency.replay(given), agency.steer(given, "x")):
            with pytest.raises(UnknownConversation, match="cannot name a conversation"):
                await look
        with pytest.raises(UnknownRun, match="cannot name a run"):
            await agency.handle(given)


AFTERWARDS: dict[str, Act] = {
    "run": lambda agency, handle: agency.run("x"),
    "start run": lambda agency, handle: agency.start_run("x"),
    "conversation": lambda agency, handle: agency.conversation("c"),
    "conversations": lambda agency, handle: agency.conversations(),
    "fork": lambda agency, handle: agency.fork("c"),
    "rewind": lambda agency, handle: agency.rewind("c", to=0),
    "replay": lambda agency, handle: agency.replay("c"),
    "erase": lambda agency, handle: agency.erase(user="u"),
    "release": lambda agency, handle: agency.release("c"),
    "steer": lambda agency, handle: agency.steer("c", "x"),
    "handle": lambda agency, handle: agency.handle("r"),
    "status": lambda agency, handle: handle.status(),
    "events": lambda agency, handle: events(handle, 0),
    "answer": lambda agency, handle: handle.answer(),
    "cancel": lambda agency, handle: handle.cancel(),
    "approve": lambda agency, handle: decided(agency),
    "pending approvals": lambda agency, handle: agency.pending_approvals(),
}


@pytest.mark.parametrize("what", AFTERWARDS)
async def test_after_its_end_an_agency_says_that_it_is_closed(what: str, tmp_path: Path) -> None:
    held = Held()
    async with held.agency(tmp_path / "j.db") as agency:
        handle = await agency.start_run("hold on", conversation="c", run_id="r")
        await held.begun.wait()
    with pytest.raises(AgencyClosed, match=r"the agency has stopped|stopped before the run had its answer"):
        await AFTERWARDS[what](agency, handle)

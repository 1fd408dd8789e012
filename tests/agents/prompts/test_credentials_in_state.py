"""What a tool was given for its caller gets into no state, and by it into no prompt, event and journal."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from callboard import Agency, Agent, Functions, Prompt, ToolContext
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import Request
from tests.agents.support import function

from .test_in_runs import calling

SECRET = "ghp-s3cr3t-key"


class Login(BaseModel):
    user: str
    headers: dict[str, str]


class Keyed(BaseModel):
    key: Annotated[str, Field(pattern="^ghp-")]


def sub(prompt: Prompt, given: Any) -> None:
    kept, keep = prompt.state("kept", "")
    prompt.system("sub", f"kept {kept}")

    @prompt.tool(risk="safe")
    async def look(context: ToolContext[Any]) -> str:
        """Look."""
        keep(f"sub {await context.credential('github')}")
        return "looked"


def front(prompt: Functions) -> None:
    key, set_key = prompt.state("key", "")
    login, set_login = prompt.state("login", None, Login | None)
    log, set_log = prompt.state("log", [], list[str])
    prompt.system("key", f"key: {key}")
    prompt.define_data("log", log)
    prompt.define_data("login", login)

    @prompt.tool(risk="safe")
    async def use(context: ToolContext[Any]) -> str:
        """Use it."""
        secret = await context.credential("github")
        assert set_key(secret) == SECRET, "the call itself has it"
        set_login(Login(user="ann", headers={"Authorization": f"Bearer {secret}", str(secret): "x"}))
        return "used"

    @prompt.function(risk="safe")
    async def logged(context: ToolContext[Any]) -> int:
        """Log it."""
        secret = await context.credential("github")
        return len(set_log(lambda before: [*before, f"with {secret}"]))

    prompt.agent("sub", "Looks.", {"what": str}, sub)


def model(request: Request) -> Any:
    if "<sub>" in request.messages[0].text:
        return call("look", "look") if request.messages[-1].role != "tool" else request.messages[0].text
    program = "await logged()"
    asked = (call("use", "use"), call("RunPython", "program", code=program), call("sub", "sub", what="x"))
    made = sum(message.role == "assistant" for message in request.messages)
    return asked[made] if made < len(asked) else request.messages[0].text


async def test_a_credential_that_is_set_as_state_is_blotted_out(tmp_path: Path) -> None:
    seen: list[str] = []

    def asked(request: Request) -> Any:
        seen.extend(message.text for message in request.messages)
        return model(request)

    journal = tmp_path / "runs.db"
    for question in ("q", "again"):
        agent = Agent("A", prompt=front, plugins=Functions)
        async with Agency(agent, model=function(asked), journal=journal, credentials=lambda *_: SECRET) as agency:
            agency.subscribe(lambda event: seen.append(repr(event)))
            answer = await agency.run(question, conversation="c", user="ann")
    assert "key: [credential github]" in answer.text
    assert "with [credential github]" in answer.text
    assert "Bearer [credential github]" in answer.text
    assert any("kept sub [credential github]" in text for text in seen)
    assert not [text for text in seen if SECRET in text]
    with closing(sqlite3.connect(journal)) as rows, rows:
        assert not [kind for kind, data in rows.execute("SELECT type, data FROM events") if SECRET in data]


async def test_a_state_that_fits_its_type_only_with_a_credential_is_not_set() -> None:
    def keeps(prompt: Prompt) -> None:
        kept, keep = prompt.state("kept", None, Keyed | None)
        prompt.system("kept", str(kept))

        @prompt.tool(risk="safe")
        async def use(context: ToolContext[Any]) -> str:
            """Use it."""
            keep(Keyed(key=str(await context.credential("github"))))
            return "used"

    agent = Agent("A", prompt=keeps)
    async with Agency(agent, model=function(calling(call("use", "use"))), credentials=lambda *_: SECRET) as agency:
        answer = await agency.run("q", user="ann")
    told = answer.steps[0].calls[0].output
    assert "state 'kept' holds a credential" in told
    assert SECRET not in told
    assert answer.text == "<kept>\nNone\n</kept>"


@pytest.mark.parametrize("secret", [None, SECRET])
async def test_what_is_no_credential_stays_as_it_is(secret: str | None) -> None:
    def keeps(prompt: Prompt) -> None:
        kept, keep = prompt.state("kept", ["a", {"b": 1}])
        prompt.system("kept", str(kept))

        @prompt.tool(risk="safe")
        async def use(context: ToolContext[Any]) -> str:
            """Use it."""
            if secret is not None:
                await context.credential("github")
            keep(["c", {"d": [2.5, None, True]}])
            return "used"

    agent = Agent("A", prompt=keeps)
    async with Agency(agent, model=function(calling(call("use", "use"))), credentials=lambda *_: secret) as agency:
        answer = await agency.run("q", user="ann")
    assert answer.text == "<kept>\n['c', {'d': [2.5, None, True]}]\n</kept>"

"""Secrets of callers reach tools, and nothing else: no prompt, no log, no error, no event, no journal."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import logging
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard import Agency, Agent, Caller, DefinitionError, Limits, RunError, ToolContext, hook
from callboard.actors.testing.doubles.models import call
from callboard.providers.messages import File, Request, Text
from callboard.tools import Tool, ToolError, ToolResult, composite, tool
from callboard.tools.errors import NoCredential
from callboard.tools.secrets import Secrets

from .support import function

SECRET = 'ghp/s3cr3t "Ω" +line\n2'
ANN, BOB = Caller("ann", "acme"), Caller("bob", "acme")

FORMS = {
    "as it is": SECRET,
    "in a text": f"the key is {SECRET}.",
    "as JSON": json.dumps({"key": SECRET}),
    "as JSON with all letters": json.dumps({"key": SECRET}, ensure_ascii=False),
    "as Python": repr([SECRET]),
    "in a URL": f"https://x/?key={quote(SECRET, safe='')}",
    "as base64": base64.b64encode(SECRET.encode()).decode(),
}


def leaks(text: str) -> list[str]:
    """How the secret stands in a text."""
    parts = {"itself": SECRET, "JSON": json.dumps(SECRET)[1:-1], "quoted": quote(SECRET, safe=""), "start": "s3cr3t"}
    encoded = base64.b64encode(SECRET.encode()).decode().rstrip("=")
    return [how for how, form in {**parts, "base64": encoded}.items() if form in text]


async def keys(caller: Caller, name: str) -> str | None:
    return SECRET if (caller.user, name) == ("ann", "github") else None


def raising(caller: Caller, name: str) -> str:
    raise KeyError(SECRET)


def shows(how: str) -> Tool:
    """A tool that gives its secret away."""

    @tool(name="use", risk="safe")
    async def use(context: ToolContext[Any]) -> Any:
        key = await context.credential("github")
        assert key == SECRET
        context.progress(f"with {key}")
        context.track_usage(0.01, f"paid with {key}", {"key": key, key: [key]})
        if how == "raised":
            raise ValueError(f"401 for {key}")
        if how == "raised as the cause":
            try:
                raise KeyError(key)
            except KeyError as error:
                raise RuntimeError("no") from error
        if how == "raised for the model":
            raise ToolError(f"no access with {key}")
        if how == "a part":
            return [Text(key), File(f"data:text/plain;base64,{base64.b64encode(key.encode()).decode()}", key)]
        if how == "cut":
            return f"{key} " * 10_000
        if how == "a result":
            return ToolResult(key, value=key)
        return FORMS[how]

    return use


WAYS = [*FORMS, "raised", "raised as the cause", "raised for the model", "a part", "cut", "a result"]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("within", [False, True])
async def test_a_secret_stands_nowhere_in_a_whole_durable_run_whatever_its_tool_does_with_it(
    tmp_path: Path, caplog: Any, how: str, within: bool
) -> None:
    seen: list[str] = []

    def model(request: Request) -> Any:
        seen.append("\n".join(part for message in request.messages for part in texts(message.content)))
        last = request.messages[-1]
        if last.role != "tool":
            return call("batch", calls=[{"name": "use", "args": {}}]) if within else call("use")
        return f"it said {last.text}"

    @hook("finalize")
    def look(context: Any) -> None:
        seen.append(repr(context))

    using = composite([shows(how)]) if within else shows(how)
    agent = Agent("Clerk", tools=[using], hooks=[look])
    path = tmp_path / "runs.db"
    with caplog.at_level(logging.DEBUG):
        async with Agency(agent, model=function(model), journal=path, credentials=keys) as agency:
            agency.subscribe(lambda event: seen.append(repr(event)))
            async for event in agency.run_streaming("go", caller=ANN, conversation="c", run_id="r"):
                seen.append(repr(event))
            answer = await agency.run("go", caller=ANN, conversation="c", run_id="r")
            seen.extend((repr(answer), answer.text, repr(vars(agency))))
            handle = await agency.handle("r")
            seen.extend([repr(record) async for record in handle.events()])
    assert len(seen) > 5
    for text in seen:
        assert leaks(text) == []
    logs = [record.getMessage() + (record.exc_text or "") for record in caplog.records]
    logs += ["".join(traceback.format_exception(*record.exc_info)) for record in caplog.records if record.exc_info]
    assert leaks("\n".join(logs)) == []
    assert leaks(written(tmp_path)) == []
    if how != "raised as the cause":
        assert "[credential github]" in answer.text
    assert "[credential github]" in "".join(seen)


def written(folder: Path) -> str:
    """All that lies in a folder's files."""
    return "".join(file.read_bytes().decode("utf-8", "replace") for file in folder.iterdir())


def texts(content: Any) -> list[str]:
    """All that stands in a message."""
    return [content] if isinstance(content, str) else [str(asdict(part)) for part in content]


async def test_a_tool_without_a_context_gives_away_nothing_that_another_one_was_given() -> None:
    kept: list[str] = []

    @tool(risk="safe")
    async def take(context: ToolContext[Any]) -> str:
        kept.append(await context.credential("github"))
        return "taken"

    @tool(risk="safe")
    async def tell() -> str:
        return kept[0]

    def model(request: Request) -> Any:
        done = sum(message.role == "tool" for message in request.messages)
        return [call("take"), call("tell"), request.messages[-1].text][done]

    async with Agency(Agent("Clerk", tools=[take, tell]), model=function(model), credentials=keys) as agency:
        assert (await agency.run("go", caller=ANN)).text == "[credential github]"


async def test_each_caller_gets_their_own_also_along_a_chain() -> None:
    asked: list[tuple[str, str]] = []

    def own(caller: Caller, name: str) -> str:
        asked.append((caller.user, name))
        return f"key of {caller.user}"

    used: list[str] = []

    @tool(risk="safe")
    async def use(context: ToolContext[Any]) -> str:
        used.append(await context.credential("github"))
        return "done"

    def model(request: Request) -> Any:
        last = request.messages[-1]
        if last.role == "tool":
            return last.text
        if request.tools[0].name == "use":
            return call("use")
        return call("SendMessage", target_agent="Worker", message="go")

    front = Agent("Front", handoffs=[Agent("Worker", tools=[use])])
    async with Agency(front, model=function(model), credentials=own) as agency:
        for caller in (ANN, BOB):
            assert (await agency.run("go", caller=caller)).text == "done"
    assert used == ["key of ann", "key of bob"]
    assert asked == [("ann", "github"), ("bob", "github")]


@pytest.mark.parametrize(
    ("credentials", "caller", "said"),
    [
        (keys, BOB, "there is no credential 'github' for this caller"),
        (keys, None, "there is no credential 'github' for this caller"),
        (lambda caller, name: "", ANN, "there is no credential 'github' for this caller"),
        (lambda caller, name: 7, ANN, "the credential 'github' is no text, but a int"),
        (raising, ANN, "the credential 'github' could not be had: KeyError"),
        (None, ANN, "there is no credential 'github': give the agency credentials="),
    ],
)
async def test_a_secret_that_is_not_to_be_had_is_told_by_name_and_without_what_the_function_raised(
    credentials: Any, caller: Caller | None, said: str, caplog: Any
) -> None:
    def model(request: Request) -> Any:
        last = request.messages[-1]
        return last.text if last.role == "tool" else call("use")

    agent = Agent("Clerk", tools=[shows("as it is")])
    async with Agency(agent, model=function(model), credentials=credentials) as agency:
        answer = await agency.run("go", caller=caller)
    assert answer.text.startswith(f"Error (NoCredential): {said}")
    assert leaks(answer.text + caplog.text) == []


@pytest.mark.parametrize("given", [{"github": SECRET}, SECRET, 7])
def test_credentials_that_are_no_function_are_refused_without_showing_them(given: Any) -> None:
    with pytest.raises(DefinitionError, match="credentials are a function of a Caller and a name") as refused:
        Agency(Agent("Clerk"), credentials=given)
    assert leaks(str(refused.value)) == []


async def test_a_run_that_ends_in_an_error_shows_no_secret_either(tmp_path: Path) -> None:
    def model(request: Request) -> Any:
        return call("use")

    agent = Agent("Clerk", tools=[shows("raised")], limits=Limits(steps=2))
    async with Agency(agent, model=function(model), journal=tmp_path / "runs.db", credentials=keys) as agency:
        with pytest.raises(RunError) as failed:
            await agency.run("go", caller=ANN)
        told = "".join(traceback.format_exception(failed.value)) + repr(failed.value.partial)
        told += "".join(message.text for message in failed.value.partial.messages) if failed.value.partial else ""
    assert leaks(told) == []
    assert "[credential github]" in told


async def test_a_test_gives_a_tool_its_secret_by_the_context() -> None:
    @tool
    async def use(context: ToolContext[Any]) -> str:
        return f"{await context.credential('github')} {context!r} {context.secrets!r}"

    result = await use.run({}, context=ToolContext(credentials={"github": "s3cr3t"}.__getitem__))
    assert result.content == "[credential github] <ToolContext of '', call ''> <Secrets: 1>"
    with pytest.raises(NoCredential, match="give the agency credentials"):
        await ToolContext[Any]().credential("github")
    with pytest.raises(DefinitionError, match="name of a credential is a text"):
        await ToolContext[Any](credentials=str).credential(7)  # type: ignore[arg-type]


SPELLINGS: dict[str, Callable[[str, bytes], str]] = {
    "as it is": lambda secret, data: secret,
    "as JSON": lambda secret, data: json.dumps(secret)[1:-1],
    "as JSON within JSON": lambda secret, data: json.dumps(json.dumps(secret)[1:-1])[1:-1],
    "as Python": lambda secret, data: repr(secret)[1:-1],
    "in plain letters": lambda secret, data: ascii(secret)[1:-1],
    "as bytes": lambda secret, data: repr(data)[2:-1],
    "in a URL": lambda secret, data: quote(data),
    "in a page": lambda secret, data: html.escape(secret),
    "in digits": lambda secret, data: data.hex(),
    "in base64": lambda secret, data: base64.b64encode(data).decode(),
}


@given(st.text(min_size=1).filter(str.strip), st.sampled_from(sorted(SPELLINGS)))
def test_however_it_is_written_a_secret_is_blotted_out(secret: str, how: str) -> None:
    secrets = Secrets()
    secrets.add("k", secret)
    form = SPELLINGS[how](secret, secret.encode("utf-8", "surrogatepass"))
    assert secrets.blot(form).replace("[credential k]", "").strip("=") == ""
    once = secrets.blot(f"it is {form}.")
    assert secrets.blot(once) == once, "its mark is not blotted out in its turn"


@given(st.binary(max_size=9), st.text(min_size=8, max_size=20).filter(str.strip), st.binary(max_size=9))
def test_within_a_longer_text_in_base64_a_secret_is_blotted_out_too(before: bytes, secret: str, behind: bytes) -> None:
    data = secret.encode("utf-8", "surrogatepass")
    secrets = Secrets()
    secrets.add("k", secret)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        shown = secrets.blot(encode(before + data + behind).decode())
        assert "[credential k]" in shown
        left = max((len(piece) for piece in shown.split("[credential k]")), default=0)
        assert left <= (max(len(before), len(behind)) + 3) * 4 / 3 + 4, f"more than its neighbours is left: {shown}"


@pytest.mark.parametrize("before", [b"", b"x", b"xy"])
def test_a_short_secret_is_found_in_base64_wherever_it_begins(before: bytes) -> None:
    secrets = Secrets()
    secrets.add("k", "k3y!")
    assert "[credential k]" in secrets.blot(base64.b64encode(before + b"k3y!zz").decode())


@tool(risk="safe")
async def take(context: ToolContext[Any]) -> str:
    """Take the key, and say nothing."""
    KEPT.append(await context.credential("github"))
    return "taken"


KEPT: list[str] = []


def telling(wait: asyncio.Event | None = None) -> Tool:
    """A tool that says what another one was given."""

    @tool(name="tell", risk="safe", idempotent=True)
    async def tell() -> str:
        if wait is not None:
            wait.set()
            await asyncio.Event().wait()
        return f"it is {KEPT[-1]}"

    return tell


def taking_and_telling(request: Request) -> Any:
    asked = max(at for at, message in enumerate(request.messages) if message.role == "user")
    results = [message.text for message in request.messages[asked:] if message.role == "tool"]
    return call(("take", "tell")[len(results)]) if len(results) < 2 else results[-1]


async def test_after_a_restart_it_is_known_what_tools_of_the_run_had_been_given(tmp_path: Path) -> None:
    at_work = asyncio.Event()
    path = tmp_path / "runs.db"
    first = Agency(
        Agent("Clerk", tools=[take, telling(at_work)]),
        model=function(taking_and_telling),
        journal=path,
        credentials=keys,
    )
    async with first as agency:
        await agency.start_run("go", caller=ANN, conversation="c", run_id="r")
        await at_work.wait()
    second = Agency(
        Agent("Clerk", tools=[take, telling()]), model=function(taking_and_telling), journal=path, credentials=keys
    )
    async with second as agency:
        answer = await agency.run("go", caller=ANN, conversation="c", run_id="r")
        later = await agency.run("again", caller=Caller("ann", "acme"), conversation="c", run_id="s")
    assert answer.text == "it is [credential github]"
    assert later.text == "it is [credential github]"
    assert leaks(written(tmp_path)) == []


async def test_what_is_known_is_not_asked_for_again_and_in_a_later_run_once() -> None:
    asked: list[str] = []

    def own(caller: Caller, name: str) -> str:
        asked.append(name)
        return SECRET

    def model(request: Request) -> Any:
        last = request.messages[-1]
        if request.messages[0].text.startswith("b"):
            return last.text if last.role == "tool" else call(last.text.split()[-1])
        if last.role == "user":
            return call("SendMessage", target_agent="B", message=last.text)
        return last.text if last.name == "tell" else call("tell")

    team = [Agent("A", "a", tools=[telling()], handoffs=["B"]), Agent("B", "b", tools=[take, telling()])]
    async with Agency(*team, model=function(model), credentials=own) as agency:
        await agency.run("take", caller=ANN, conversation="c")
        assert asked == ["github"]
        answer = await agency.run("tell", caller=ANN, conversation="c")
    assert answer.text == "it is [credential github]"
    assert asked == ["github"] * 2


async def test_in_the_next_run_of_a_conversation_it_is_known_what_was_given_in_the_one_before(tmp_path: Path) -> None:
    def model(request: Request) -> Any:
        last = request.messages[-1]
        return last.text if last.role == "tool" else call(last.text)

    agent = Agent("Clerk", tools=[take, telling()])
    async with Agency(agent, model=function(model), journal=tmp_path / "runs.db", credentials=keys) as agency:
        await agency.run("take", caller=ANN, conversation="c")
        answer = await agency.run("tell", caller=ANN, conversation="c")
    assert answer.text == "it is [credential github]"
    assert leaks(written(tmp_path)) == []


@pytest.mark.parametrize("who", ["asker", "delegate"])
async def test_what_was_given_in_one_run_is_known_to_all_that_work_for_the_same_caller_s_run(
    tmp_path: Path, who: str
) -> None:
    def model(request: Request) -> Any:
        results = [message.text for message in request.messages if message.role == "tool"]
        if request.messages[0].text.startswith("b"):
            return results[-1] if results else call("tell" if who == "asker" else "take")
        if who == "asker" and not results:
            return call("take")
        if len(results) < (2 if who == "asker" else 1):
            return call("SendMessage", target_agent="B", message="x")
        if who == "delegate" and len(results) < 2:
            return call("tell")
        return results[-1]

    tools = [take, telling()]
    team = [Agent("A", "a", tools=tools, handoffs=["B"]), Agent("B", "b", tools=tools)]
    async with Agency(*team, model=function(model), journal=tmp_path / "runs.db", credentials=keys) as agency:
        answer = await agency.run("go", caller=ANN, conversation="c")
    assert answer.text == "it is [credential github]"
    assert leaks(written(tmp_path)) == []

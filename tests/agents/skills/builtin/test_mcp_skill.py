"""The skill ``mcp``: a real server's tools, resources, prompts and questions; one that is started anew meanwhile."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callboard import (
    Agency,
    Agent,
    DefinitionError,
    LabelPolicy,
    Labels,
    McpPrompt,
    McpResource,
    Message,
    SkillFailed,
    Text,
    tool,
)
from callboard.actors.agents.skills.builtin.mcp import McpSkill
from callboard.actors.testing.doubles.models import Script, call
from callboard.tools.errors import McpUnavailable, ToolError
from callboard.tools.mcp import McpServer
from tests.agents.support import function, results, scripted

pytest.importorskip("mcp")

PROGRAM = Path(__file__).parents[3] / "tools/mcp_server.py"
"""A server over stdio."""


def made() -> Any:
    """A server of the official SDK, in this process."""
    import mcp_types
    from mcp.server.mcpserver import Context, MCPServer

    server = MCPServer("library")

    @server.tool()
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    def greet(context: Any) -> Any:
        """Ask for a name, and greet."""
        answers = context.input_responses
        if not answers:
            schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
            params = mcp_types.ElicitRequestFormParams(message="Who are you?", requested_schema=schema)
            return mcp_types.InputRequiredResult(input_requests={"who": mcp_types.ElicitRequest(params=params)})
        answer = answers["who"]
        return f"hello {answer.content['name']}" if answer.action == "accept" else str(answer.action)

    # They are only imported here, and the server reads annotations.
    greet.__annotations__ |= {"context": Context, "return": str | mcp_types.InputRequiredResult}
    server.tool()(greet)

    @server.resource("book://tea", name="tea", description="A book on tea.", mime_type="text/plain")
    def tea() -> str:
        return "tea is old"

    @server.resource("book://cover", name="cover", mime_type="image/png")
    def cover() -> bytes:
        return b"\x89PNG"

    @server.prompt(description="A review.")
    def review(book: str, tone: str = "kind") -> str:
        return f"Review {book}, be {tone}."

    return server


async def test_a_model_calls_the_servers_tools_and_reads_its_resources() -> None:
    script = Script(
        [
            call("lib_add", a=1, b=2),
            call("lib_list_resources"),
            call("lib_read_resource", uri="book://tea"),
            "done",
        ]
    )
    skill = McpSkill(server=made(), name="library", prefix="lib_")
    async with Agency(Agent("A", skills=[skill]), model=scripted(script)) as agency:
        answer = await agency.run("?")
        assert skill.server is not None
    assert skill.server is None
    offered = [spec.name for spec in script.requests[0].tools]
    assert offered == ["lib_add", "lib_greet", "lib_list_resources", "lib_read_resource"]
    added, listed, read = (message.text for message in answer.messages if message.role == "tool")
    assert added == "3"
    assert listed == "book://tea: tea A book on tea.\nbook://cover: cover"
    assert read == "tea is old"


@pytest.mark.parametrize("trusted", [False, True])
async def test_what_a_server_says_and_is_asked_is_from_outside_unless_it_is_trusted(trusted: bool) -> None:
    @tool(risk="safe", trusted=True, confidential="salaries")
    def salary() -> str:
        """What somebody earns."""
        return "7"

    @tool(risk="risky", trusted=True)
    def erase() -> str:
        """Erase all."""
        return "erased"

    steps: list[Any] = [
        call("erase"),
        call("salary"),
        call("read_resource", uri="book://tea"),
        call("add", a=1, b=2),
        "done",
    ]
    skill = McpSkill(server=made(), trusted=trusted)
    agent = Agent("A", tools=[salary, erase], skills=[skill])
    async with Agency(agent, model=scripted(Script(steps)), label_policy=LabelPolicy(barred="refuse")) as agency:
        answer = await agency.run("?")
    said = [message.text for message in answer.messages if message.role == "tool"]
    if trusted:
        assert said == ["erased", "7", "tea is old", "3"]
    else:
        assert "erase may not be called because of text from outside (description of add" in said[0]
        assert "read_resource sends to somebody outside what may be confidential (salaries)" in said[2]
        assert "add may not be called because of text from outside" in said[3]


async def test_a_program_lists_resources_and_prompts_and_has_them() -> None:
    async with McpServer(made()) as server:
        assert await server.resources() == [
            McpResource("book://tea", "tea", "A book on tea.", "text/plain"),
            McpResource("book://cover", "cover", "", "image/png"),
        ]
        cover = await server.read_resource("book://cover")
        assert [type(part).__name__ for part in cover.content] == ["Image"]
        assert await server.prompts() == [McpPrompt("review", "A review.", ("book",), ("tone",))]
        prompt = Message("user", (Text("Review Tea, be kind."),), labels=Labels(frozenset({"prompt review"})))
        assert await server.get_prompt("review", book="Tea") == [prompt]
        for wrong in (server.read_resource("book://none"), server.get_prompt("none"), server.get_prompt("review")):
            with pytest.raises(ToolError, match="the MCP server refused or failed"):
                await wrong
    with pytest.raises(McpUnavailable, match="is closed"):
        await server.resources()
    async with McpServer(made(), trusted=True) as server:
        assert [one.labels for one in await server.get_prompt("review", book="Tea")] == [None]


async def test_nothing_confidential_is_sent_in_the_address_of_a_resource() -> None:
    asked: list[str] = []
    server = made()

    def note(of: str) -> str:
        asked.append(of)
        return "nothing"

    note.__annotations__ = {"of": str, "return": str}
    server.resource("note://{of}/text")(note)

    @tool(risk="safe", trusted=True, confidential=True)
    async def secret() -> str:
        return "4711"

    script = Script([[call("secret", "s")], [call("read_resource", "r", uri="note://4711/text")], "done"])
    agent = Agent("A", tools=[secret], skills=[McpSkill(server=server)], label_policy=LabelPolicy(barred="refuse"))
    async with Agency(agent, model=scripted(script)) as agency:
        answer = await agency.run("?")
    assert "read_resource sends to somebody outside what may be confidential" in answer.messages[-2].text
    assert asked == []


async def test_a_server_of_tools_alone_has_no_resources_and_no_tool_reads_them(tmp_path: Path) -> None:
    skill = McpSkill(command=[sys.executable, str(PROGRAM), str(tmp_path)])
    script = Script(["ok"])
    async with Agency(Agent("A", skills=[skill]), model=scripted(script)) as agency:
        await agency.run("?")
        assert skill.server is not None
        assert (await skill.server.resources(), await skill.server.prompts()) == ([], [])
    assert [spec.name for spec in script.requests[0].tools] == ["pid", "once", "again"]


async def _later(message: str, schema: Any) -> dict[str, Any]:
    assert message == "Who are you?"
    assert list(schema["properties"]) == ["name"]
    return {"name": "ada"}


def _fails(message: str, schema: Any) -> None:
    raise RuntimeError("nobody is there")


def _exits(message: str, schema: Any) -> None:
    raise SystemExit(2)


@pytest.mark.parametrize(
    ("elicit", "said"),
    [
        (_later, "hello ada"),
        (lambda message, schema: {"name": "bob"}, "hello bob"),
        (lambda message, schema: None, "decline"),
        (_fails, "cancel"),
        (_exits, "cancel"),
    ],
)
async def test_what_the_server_asks_in_the_middle_of_a_call_is_answered_or_declined(elicit: Any, said: str) -> None:
    skill = McpSkill(server=made(), elicit=elicit)
    model = function(lambda request: results(request)[-1] if results(request) else call("greet"))
    async with Agency(Agent("A", skills=[skill]), model=model) as agency:
        assert (await agency.run("?")).text == said


async def test_without_anybody_to_answer_the_call_fails_by_name() -> None:
    skill = McpSkill(server=made())
    model = function(lambda request: results(request)[-1] if results(request) else call("greet"))
    async with Agency(Agent("A", skills=[skill]), model=model) as agency:
        assert "Error" in (await agency.run("?")).text


def killed(pid: int) -> None:
    """Kill a process, and return when it is dead."""
    descriptor = os.pidfd_open(pid)
    try:
        os.kill(pid, signal.SIGKILL)
        assert select.select([descriptor], [], [], 20)[0]
    finally:
        os.close(descriptor)


@pytest.mark.skipif(sys.platform != "linux", reason="waits for a process by a descriptor")
async def test_a_server_that_dies_is_started_anew_for_the_next_call(tmp_path: Path) -> None:
    skill = McpSkill(command=[sys.executable, str(PROGRAM), str(tmp_path)])
    model = function(lambda request: results(request)[-1] if results(request) else call("pid"))
    async with Agency(Agent("A"), model=model) as agency:
        agency.add_skill("A", skill)
        first = int((await agency.run("?")).text)
        killed(first)
        second = int((await agency.run("?")).text)
    assert second != first


async def test_a_server_that_is_not_there_stops_the_start_by_name() -> None:
    skill = McpSkill(command=["/none/at/all"])
    with pytest.raises(SkillFailed, match="skill mcp could not be initialized: McpUnavailable"):
        await Agency(Agent("A", skills=[skill]), model=scripted(Script([]))).start()


@pytest.mark.parametrize(
    ("make", "problem"),
    {
        "nothing": (lambda: McpSkill(), "give a url, a command as a list, or a server, one of them"),
        "two": (lambda: McpSkill("http://x", command=["y"]), "one of them"),
        "a text as a command": (lambda: McpSkill(command="y"), "one of them"),
        "no time": (lambda: McpSkill("http://x", timeout=0), "timeout is 0"),
    }.values(),
)
def test_what_is_wrong_with_it_is_said_when_it_is_made(make: Callable[[], object], problem: str) -> None:
    with pytest.raises(DefinitionError, match=problem):
        make()

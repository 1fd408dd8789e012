"""The labels of the tools that come with the library: what they return is from outside, and some of them send."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from callboard import (
    Agency,
    Agent,
    LabelPolicy,
    Labels,
    McpServer,
    Memory,
    Owner,
    SearchHit,
    Tool,
    ToolContext,
    Webhook,
    bash_tool,
    file_tools,
    memory_skill,
    todo_tool,
    web_fetch_tool,
    web_search_tool,
    webhooks_skill,
)
from callboard.actors.testing.doubles.models import Script, call
from tests.agents.support import scripted


class Nowhere:
    async def search(self, query: str, limit: int) -> list[SearchHit]:
        return []


def test_what_carries_something_out_of_the_house_says_so(tmp_path: Path) -> None:
    hook: Any = webhooks_skill(Webhook("start", "https://example.com/hook"))
    sending = [web_fetch_tool(), web_search_tool(Nowhere()), bash_tool(tmp_path), *hook.tools]
    assert [one.name for one in sending if not one.sends] == []
    assert [one.name for one in file_tools(tmp_path) if one.sends] == []


def test_what_tools_return_is_from_outside_but_for_what_the_model_itself_has_said(tmp_path: Path) -> None:
    for one in [web_fetch_tool(), *file_tools(tmp_path)]:
        assert one.labels == Labels(frozenset({f"tool {one.name}"}))
    assert todo_tool().labels == Labels()


@pytest.mark.parametrize("trusted", [False, True])
async def test_a_server_of_ones_own_is_trusted_and_another_is_not(trusted: bool) -> None:
    from mcp.server.mcpserver import MCPServer

    there = MCPServer("weather")

    @there.tool()
    def rain(city: str) -> str:
        """Whether it rains."""
        return "no"

    async with McpServer(there, trusted=trusted) as server:
        tools: list[Tool] = list(server.tools)
        assert tools
        for one in tools:
            assert (one.foreign, one.sends) == (not trusted, not trusted)
            assert one.labels == (Labels() if trusted else Labels(frozenset({f"foreign tool {one.name}"})))


async def test_facts_that_code_adds_are_told_with_the_labels_that_it_says(tmp_path: Path) -> None:
    sent: list[str] = []

    def send(text: str) -> str:
        sent.append(text)
        return "sent"

    labelled = ["untrusted: an import", "colour"]
    with Memory(tmp_path / "m.db") as memory:
        await memory.add("ann likes tea", owner=Owner("ann"))
        await memory.add("bob likes tea", owner=Owner("bob"), labels=labelled)
        for user in ("ann", "bob"):
            policy = LabelPolicy(barred="refuse")
            agent = Agent("A", tools=[send], skills=[memory_skill(memory)], label_policy=policy)
            script = Script([[call("send", "s", text=user)], "done"])
            async with Agency(agent, model=scripted(script)) as agency:
                answer = await agency.run("what about tea?", user=user)
        assert sent == ["ann"]
        assert "text from outside (an import)" in answer.messages[-2].text


@pytest.mark.parametrize("read", [True, False])
async def test_what_a_model_remembers_keeps_the_labels_of_what_it_had_read(read: bool, tmp_path: Path) -> None:
    def look() -> str:
        return "a page"

    turns: list[Any] = [[call("look", "l")]] if read else []
    turns += [[call("remember", "r", text="ann likes tea")], [call("recall", "c", query="tea")], "done"]
    with Memory(tmp_path / "m.db") as memory:
        agent = Agent("A", tools=[look], skills=[memory_skill(memory, facts=0)])
        async with Agency(agent, model=scripted(Script(turns))) as agency:
            answer = await agency.run("go", user="ann")
        (fact,) = await memory.facts(owner=Owner("ann"))
    assert list(fact.labels) == ["untrusted: tool look"] * read
    recalled = next(message for message in answer.messages if message.name == "recall")
    assert recalled.labels == Labels(frozenset({"tool look"} if read else ()))


async def test_a_tool_that_remembers_says_what_the_model_had_been_told(tmp_path: Path) -> None:
    def look() -> str:
        return "a page"

    async def note(context: ToolContext, text: str) -> str:
        await memory.add(text, owner=Owner("ann"), labels=context.labels)
        return "noted"

    script = Script([[call("look", "l")], [call("note", "n", text="ann likes tea")], "done"])
    with Memory(tmp_path / "m.db") as memory:
        async with Agency(Agent("A", tools=[look, note]), model=scripted(script)) as agency:
            await agency.run("go")
        (fact,) = await memory.facts(owner=Owner("ann"))
        corrected = await memory.correct(fact.id, "she likes cake", owner=Owner("ann"), labels=Labels())
    assert fact.labels == ("untrusted: tool look",)
    assert corrected.labels == ()

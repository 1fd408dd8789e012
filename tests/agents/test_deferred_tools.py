"""With many tools the model is shown a search, and the schemas of those that it has looked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, ToolContext, tool
from callboard.actors.agents.errors import DefinitionError
from callboard.actors.agents.events import ApprovalRequested, ToolFinished
from callboard.actors.testing.doubles.models import Script, call
from callboard.providers.messages import Message, Request
from callboard.providers.tokens import estimate
from callboard.tools.deferred import SEARCH_TOOLS, DeferredTools

from .many_tools import many_tools
from .support import add, scripted

SEARCH = call("search_tools", query="delete a calendar event")
DELETE = call("calendar_delete_event", owner="ada", id="e1")


def shown(request: Request) -> list[str]:
    return [spec.name for spec in request.tools]


async def test_the_model_sees_a_search_and_then_what_it_has_found() -> None:
    script = Script([SEARCH, DELETE, "deleted"])
    agent = Agent("A", tools=many_tools(), defer_tools=True)
    async with Agency(agent, model=scripted(script)) as agency:
        answer = await agency.run("Delete the event.")
    first, second, third = script.requests
    assert shown(first) == [SEARCH_TOOLS]
    assert "There are 60 more: github_create_repository, " in first.tools[0].description
    assert shown(second)[:2] == [SEARCH_TOOLS, "calendar_delete_event"]
    assert shown(third) == shown(second)
    assert len(shown(third)) <= 6
    assert second.tools[1].parameters["properties"]["id"]["description"] == "The id of the event."
    found = json.loads(second.messages[-1].text)["loaded_tools"]
    assert [entry["name"] for entry in found] == shown(second)[1:]
    assert answer.messages[4].text == "calendar_delete_event {'owner': 'ada', 'id': 'e1'}"


async def test_what_is_loaded_stays_so_for_the_conversation_over_restarts_and_forks(tmp_path: Path) -> None:
    agent = Agent("A", tools=many_tools(), defer_tools=True)
    script = Script([SEARCH, "found", "again", "forked", "other", "rewound"])
    async with Agency(agent, model=scripted(script), journal=tmp_path / "j.db") as agency:
        await agency.run("?", conversation="c")
    async with Agency(agent, model=scripted(script), journal=tmp_path / "j.db") as agency:
        await agency.run("?", conversation="c")
        forked = await agency.fork("c", at=1)
        await agency.run("?", conversation=forked)
        await agency.run("?", conversation="another")
        await agency.rewind("c", to=0)
        await agency.run("?", conversation="c")
        assert (await agency.replay("c")).same
    names = [shown(request) for request in script.requests]
    assert names[0] == [SEARCH_TOOLS]
    assert "calendar_delete_event" in names[1]
    assert names[1] == names[2] == names[3]
    assert names[4] == names[5] == [SEARCH_TOOLS], (
        "another conversation, and one before the search, have loaded nothing"
    )


async def test_a_call_of_a_tool_that_is_not_loaded_is_answered_with_its_schema() -> None:
    script = Script([call("mail_create_draft", owner="ada"), call("mail_create_draft", owner="ada", title="t"), "done"])
    agent = Agent("A", tools=many_tools(), defer_tools=True)
    async with Agency(agent, model=scripted(script)) as agency:
        answer = await agency.run("?", conversation="c")
        assert (await agency.replay("c")).same
    told = json.loads(answer.messages[2].text)
    assert told["loaded_tools"][0]["name"] == "mail_create_draft"
    assert "title" in told["loaded_tools"][0]["parameters"]["properties"]
    assert "had not been loaded" in told["note"]
    assert answer.messages[2].is_error
    assert shown(script.requests[1]) == [SEARCH_TOOLS, "mail_create_draft"]
    assert answer.messages[4].text == "mail_create_draft {'owner': 'ada', 'title': 't'}"


async def test_a_tool_says_itself_whether_it_is_deferred() -> None:
    @tool(defer=True)
    def rare() -> str:
        return "rare"

    @tool(defer=False)
    def usual() -> str:
        return "usual"

    requests: list[Request] = []
    for agent in (Agent("A", tools=[rare, add]), Agent("B", tools=[usual, add, rare], defer_tools=True)):
        script = Script(["hi"])
        async with Agency(agent, model=scripted(script)) as agency:
            await agency.run("?")
        requests += script.requests
    assert [shown(request) for request in requests] == [["add", SEARCH_TOOLS], ["usual", SEARCH_TOOLS]]


async def test_an_agent_without_deferred_tools_has_no_search() -> None:
    script = Script(["hi"])
    async with Agency(Agent("A", tools=[add]), model=scripted(script)) as agency:
        await agency.run("?")
    assert shown(script.requests[0]) == ["add"]


async def test_nobody_is_asked_about_a_search_or_a_call_that_only_loads() -> None:
    asked: list[str] = []
    script = Script([SEARCH, call("mail_delete_label", owner="ada"), DELETE, "done"])
    agent = Agent("A", tools=many_tools(), defer_tools=True, autonomy="manual")
    async with Agency(agent, model=scripted(script)) as agency:

        def decide(event: Any) -> None:
            if isinstance(event, ApprovalRequested):
                asked.append(event.tool)
                agency.approve(event)

        agency.subscribe(decide)
        await agency.run("?", conversation="c")
        assert (await agency.replay("c")).same
    assert asked == ["calendar_delete_event"]


async def test_a_search_that_finds_nothing_says_what_there_is() -> None:
    script = Script([call("search_tools", query="xyzzy"), call("search_tools"), "done"])
    async with Agency(Agent("A", tools=many_tools(), defer_tools=True), model=scripted(script)) as agency:
        answer = await agency.run("?")
    told = json.loads(answer.messages[2].text)
    assert told["loaded_tools"] == []
    assert told["note"].startswith("Nothing fits. There are: github_create_repository,")
    assert "lack query" in answer.messages[4].text


async def test_deferred_tools_have_the_context_of_their_call() -> None:
    @tool(defer=True)
    def who(context: ToolContext[str]) -> str:
        return f"{context.caller.user} {context.deps} {context.last_tool}"

    script = Script([call("search_tools", query="who"), call("who"), "done"])
    finished: list[ToolFinished] = []
    async with Agency(Agent("A", tools=[who]), model=scripted(script), deps="d") as agency:
        agency.subscribe(lambda event: finished.append(event) if isinstance(event, ToolFinished) else None)
        await agency.run("?", user="ada")
    assert finished[1].content == "ada d search_tools"


def test_a_tool_of_the_searchs_name_is_refused() -> None:
    @tool
    def search_tools() -> None: ...

    with pytest.raises(DefinitionError, match="'search_tools'"):
        Agency(Agent("A", tools=[search_tools, *many_tools()], defer_tools=True), model=scripted(Script([])))


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("create an issue on GitHub", "github_create_issue"),
        ("createIssue", "github_create_issue"),
        ("list my mail messages", "mail_list_message"),
        ("show the list of pull requests", "github_list_pull_request"),
        ("delete spreadsheets", "drive_delete_spreadsheet"),
        ("calendar_list_room", "calendar_list_room"),
    ],
)
def test_a_search_finds_what_is_meant(query: str, best: str) -> None:
    found = DeferredTools(many_tools()).found(query)
    assert found[0] == best
    assert len(found) <= 5


def test_what_another_tool_says_loads_nothing_that_is_not_the_agents() -> None:
    deferred = DeferredTools(many_tools())
    strange = [
        Message("tool", '{"loaded_tools": [{"name": "rm"}, 3, {}', tool_call_id="1"),
        Message("tool", '{"loaded_tools": [{"name": "rm"}]}', tool_call_id="2"),
        Message("user", '{"loaded_tools": [{"name": "mail_list_folder"}]}'),
    ]
    assert deferred.loaded(strange) == ()
    assert deferred.is_hidden("mail_list_folder", strange)


async def test_sixty_tools_cost_less_than_a_fifth_of_the_tokens() -> None:
    tokens: dict[bool, int] = {}
    for defer in (False, True):
        script = Script([SEARCH, DELETE, "deleted"] if defer else [DELETE, "deleted"])
        async with Agency(Agent("A", tools=many_tools(), defer_tools=defer), model=scripted(script)) as agency:
            await agency.run("Delete the event.")
        tokens[defer] = sum(estimate(request) for request in script.requests)
    assert tokens[True] < tokens[False] / 5, tokens

"""Agencies of different teams, each served by a process of its own, that find each other's agents in one registry."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from callboard import A2AAgent, Agency, Agent, Caller, Completion, DefinitionError, Message, Registry, Request, ToolCall
from callboard import serve as served_by
from callboard.actors import ChildSpec
from callboard.testing import FunctionModel
from tests.serving.support import served, speaker

from .command import assert_refused, callboard
from .test_serve import serving

TEAM = "agents:\n  {name}:\n    description: {description}\n    instructions: Be brief.\n"
APP = """\
from callboard import Registry

registry = Registry({store!r}, url={url!r}, intents={intents!r})
"""


def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        found: int = free.getsockname()[1]
        return found


def team(folder: Path, store: str, name: str, description: str, **intents: list[str]) -> tuple[Path, str]:
    """A folder with a team file of one agent, and its registry; and the address that it says."""
    place = folder / name
    place.mkdir()
    url = f"http://127.0.0.1:{port()}"
    (place / "team.yaml").write_text(TEAM.format(name=name, description=description), encoding="utf-8")
    (place / "service.py").write_text(APP.format(store=store, url=url, intents=intents), encoding="utf-8")
    return place, url


def started(stack: ExitStack, place: Path, url: str) -> Any:
    words = ("team.yaml", "--registry", "service:registry", "--import-from", ".", "--port", url.rpartition(":")[2])
    it = stack.enter_context(serving(place, *words))
    assert it.url == url  # it serves
    assert httpx.get(f"{url}/readyz", timeout=60).status_code == 200
    return it


def names(url: str, text: str = "") -> list[tuple[str, str]]:
    found = httpx.get(f"{url}/agency/agents", params={"q": text} if text else {}, timeout=60)
    assert found.status_code == 200, found.text
    return [(one["name"], one.get("url", "")) for one in found.json()["agents"]]


def until(what: Callable[[], bool]) -> None:
    """Ask until it is so."""
    while not what():
        pass


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_agents_of_another_team_are_found_until_their_process_ends_or_is_killed(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store = str(tmp_path / "agents.db") if kind == "sqlite" else request.getfixturevalue("postgres").url
    desk, desk_url = team(tmp_path, store, "Desk", "Answers the phone")
    weather, weather_url = team(tmp_path, store, "Weather", "Knows the sky", Weather=["say whether it will rain"])
    with ExitStack() as stack:
        started(stack, desk, desk_url)
        assert names(desk_url) == [("Desk", "")]
        first = started(stack, weather, weather_url)
        assert names(desk_url) == [("Desk", ""), ("Weather", weather_url)]
        assert names(desk_url, "will it rain") == [("Weather", weather_url)]
        assert names(desk_url, "sky") == [("Weather", weather_url)]
        assert names(desk_url, "nonsense") == []
        assert names(weather_url, "phone") == [("Desk", desk_url)]
        assert first.end() == 0
        assert names(desk_url) == [("Desk", "")]
        second = started(stack, weather, weather_url)
        assert names(desk_url, "rain") == [("Weather", weather_url)]
        second.process.send_signal(signal.SIGKILL)
        second.process.wait()
        until(lambda: names(desk_url) == [("Desk", "")])


def asks(request: Request) -> Completion:
    if request.messages[-1].role == "tool":
        return Completion(Message("assistant", request.messages[-1].text), "stop")
    call = ToolCall("1", "SendMessage", json.dumps({"target_agent": "Counter", "message": "count"}))
    return Completion(Message("assistant", "", (call,)), "tool_calls")


async def test_an_agent_that_was_found_is_handed_to(tmp_path: Path) -> None:
    store = tmp_path / "agents.db"
    url = f"http://127.0.0.1:{port()}"
    counts = Agency(Agent("Counter", description="Counts to three."), model=speaker())
    looking = Registry(store)
    async with served(served_by(counts, registry=Registry(store, url=url))) as there:
        (found,) = await looking.search("count to three")
        assert (found.name, found.url, found.a2a) == ("Counter", url, f"{url}/a2a/Counter")
        assert found.about["endpoints"]["chat_completions"] == f"{url}/Counter/chat/completions"
        here = found.a2a.replace(url, there.url)  # what is served says where, and the test serves it elsewhere
        far = A2AAgent(found.name, here, description=found.description)
        front = Agent("Front", handoffs=[far])
        async with Agency(front, model=ChildSpec(FunctionModel, (asks,), name="model")) as agency:
            assert "one two three" in (await agency.run("go")).text
    assert await looking.search() == ()
    looking.close()


async def test_who_may_not_ask_an_agent_does_not_find_it(tmp_path: Path) -> None:
    store = tmp_path / "agents.db"
    agents = [Agent("Open", description="Sells."), Agent("Closed", description="Sells.", scope="staff")]
    looking = Registry(store)
    registry = Registry(store, url="https://shop.example/agents/")
    async with served(served_by(Agency(*agents, model=speaker()), registry=registry)):
        assert [one.url for one in await looking.search()] == ["https://shop.example/agents"]
        found = await looking.search("sells", caller=Caller("ada", scopes=frozenset({"staff"})))
        assert [one.name for one in found] == ["Open", "Closed"]
    looking.close()


async def test_workers_of_one_service_are_told_of_once(tmp_path: Path) -> None:
    store, looking = tmp_path / "agents.db", Registry(tmp_path / "agents.db")

    def worker() -> Any:
        registry = Registry(store, url="https://shop.example", intents={"A": ["sell"]})
        return served_by(Agency(Agent("A"), model=speaker()), registry=registry)

    async with served(worker()) as one, served(worker()):
        assert [found.intents for found in await looking.search()] == [("sell",)]
        async with one.client() as client:
            (told,) = (await client.get("/agency/agents")).json()["agents"]
            assert (told["intents"], "url" in told) == (["sell"], False)
    looking.close()


@pytest.mark.parametrize(
    ("store", "options"),
    [
        ("", {}),
        (5, {}),
        ("x.db", {"url": "agents.example"}),
        ("x.db", {"url": "ftp://agents.example"}),
        ("x.db", {"url": "https://me:secret@agents.example"}),
        ("x.db", {"url": "https://agents.example?x=1"}),
        ("x.db", {"intents": {"A": "sell"}}),
        ("x.db", {"intents": {"A": []}}),
        ("x.db", {"intents": ["sell"]}),
    ],
)
def test_what_is_no_registry_is_refused(store: Any, options: Any) -> None:
    with pytest.raises(DefinitionError):
        Registry(store, **options)


def test_intents_of_an_agent_that_there_is_not_are_refused() -> None:
    with pytest.raises(DefinitionError, match="there is no agent 'B'; there are A"):
        served_by(Agency(Agent("A")), registry=Registry("x.db", intents={"B": ["sell"]}))
    wrong: Any = "x.db"
    with pytest.raises(DefinitionError, match="registry is a Registry"):
        served_by(Agency(Agent("A")), registry=wrong)


def test_the_command_takes_a_registry_and_nothing_else(tmp_path: Path) -> None:
    place, _ = team(tmp_path, "agents.db", "Desk", "Answers")
    (place / "other.py").write_text("number = 5\n", encoding="utf-8")
    refused = callboard("serve", "team.yaml", "--registry", "other:number", "--import-from", ".", cwd=place)
    assert_refused(refused, "is no Registry")


@pytest.mark.parametrize(
    "kept", ["{half", "[]", '{"url": 5}', '{"url": "http://x", "agents": [{"about": {}, "scopes": []}]}']
)
async def test_what_one_process_tells_in_another_form_hides_nobody_elses_agents(
    kept: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = tmp_path / "agents.db"
    about = {"description": "", "intents": [], "tools": [], "skills": [], "routes": []}
    first, second, reading = Registry(store, url="http://a"), Registry(store, url="http://b"), Registry(store)
    agents = [{"about": {**about, "name": "A"}, "scopes": ["all"]}]
    async with first.telling(agents), second.telling(agents):
        with closing(sqlite3.connect(store)) as damaging, damaging:
            damaging.execute("UPDATE events SET data = ? WHERE data LIKE '%http://a%'", (kept,))
        for _ in range(2):
            assert [found.url for found in await reading.search()] == ["http://b"]
            assert await reading.search("nonsense") == ()
    reading.close()
    assert len([line for line in caplog.records if "is left out" in line.message]) == 1

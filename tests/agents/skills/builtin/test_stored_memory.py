"""The skill ``memory`` by its name: opened and closed with its agency, in a file beside a team file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from callboard import (
    Agency,
    Agent,
    Caller,
    DefinitionError,
    Owner,
    Request,
    SkillFailed,
    StoredMemory,
    find_skill,
    load_team,
)
from callboard.actors.testing.doubles.models import Script, call
from tests.agents.support import function, results, scripted

pytest.importorskip("numpy", reason="needs numpy: pip install 'callboard[memory]'")

ANN, BOB = Caller("ann", "acme"), Caller("bob", "acme")


class Asked:
    """A model that calls what the user's words name (``tool {"argument": …}``), and keeps what it was asked."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    @property
    def shown(self) -> str:
        """All that the last request said."""
        return "\n".join(message.text for message in self.requests[-1].messages)

    def __call__(self, request: Request) -> Any:
        self.requests.append(request)
        name, _, arguments = request.messages[-1].text.partition(" ")
        if request.messages[-1].role == "user" and arguments.startswith("{"):
            return call(name, "c1", **json.loads(arguments))
        done = results(request)
        return done[-1] if done else "nothing to do"


async def test_what_is_remembered_is_there_after_a_restart_for_its_user_alone(tmp_path: Path) -> None:
    model = Asked()

    def agency() -> Agency:
        skill = find_skill("memory", store=str(tmp_path / "facts.db"))
        return Agency(Agent("Clerk", "You are Clerk.", skills=[skill]), model=function(model))

    async with agency() as first:
        await first.run('remember {"text": "Ann is allergic to nuts"}', caller=ANN)
    async with agency() as second:
        (fact,) = json.loads((await second.run('recall {"query": "nuts?"}', caller=ANN)).text)
        assert fact["text"] == "Ann is allergic to nuts"
        assert (await second.run('recall {"query": "nuts?"}', caller=BOB)).text == "[]"
        await second.run("Which cake has no nuts?", caller=ANN)
        assert "Ann is allergic to nuts" in model.shown
        await second.run("Which cake has no nuts?", caller=BOB)
        assert "allergic" not in model.shown
        skill = second.get_skill("Clerk", "memory")
        assert isinstance(skill, StoredMemory)
        assert skill.memory is not None
        facts = await skill.memory.facts(owner=Owner("ann", "acme"))
        assert [each.text for each in facts] == ["Ann is allergic to nuts"]
    assert skill.memory is None


async def test_a_team_file_keeps_it_beside_itself_and_one_that_cannot_be_opened_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "team.yaml").write_text(
        "skills: {memory: {settings: {store: facts.db, facts: 3}}}\n"
        "agents: {A: {skills: [memory]}}\nproviders: {offline: {type: offline}}\n"
    )
    team = load_team(tmp_path / "team.yaml", env={})
    assert not (tmp_path / "facts.db").exists(), "nothing is opened before the start"
    async with Agency(*team.agents.values(), model=scripted(Script([]))):
        assert (tmp_path / "facts.db").exists()
    lost = StoredMemory(tmp_path / "none" / "facts.db")
    with pytest.raises(SkillFailed, match="skill memory could not be initialized: MemoryUnavailable"):
        await Agency(Agent("A", skills=[lost]), model=scripted(Script([]))).start()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"store": ""}, "store is ''; expected a path or an address"),
        ({"store": 3}, "store is 3"),
        ({"store": "x", "facts": "many"}, "facts is 'many'"),
        ({"store": "x", "per_agent": 1}, "per_agent is 1"),
    ],
)
def test_what_is_wrong_with_it_is_said_when_it_is_made(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(DefinitionError, match=problem):
        StoredMemory(**options)

"""The skill ``remote``: an agent behind an endpoint on this machine, that a team file names."""

from __future__ import annotations

from pathlib import Path

import pytest

from callboard import Agency, ConfigError, DefinitionError, Remote, load_team, remote_skill
from callboard.actors.testing.doubles.models import Script, call
from callboard.providers.simulated import SimulatedProvider
from tests.agents.support import scripted

TEXT = """
skills:
  remote:
    settings:
      agents: [{name: Legal, url: "%s", model: m1, api_key: "${KEY}", description: Knows the law.}]
agents: {A: {skills: [remote]}}
providers: {offline: {type: offline}}
"""


async def test_an_agent_elsewhere_that_a_team_file_names_is_asked_as_one_of_ones_own(tmp_path: Path) -> None:
    async with SimulatedProvider() as server:
        (tmp_path / "team.yaml").write_text(TEXT % server.base_url)
        team = load_team(tmp_path / "team.yaml", env={"KEY": "s3cr3ts3cr3t"})
        script = Script([call("SendMessage", target_agent="Legal", message="May I?"), "done"])
        async with Agency(*team.agents.values(), model=scripted(script)) as agency:
            assert list(agency.agents) == ["A", "Legal"]
            answer = await agency.run("?")
    (said,) = (message.text for message in answer.messages if message.role == "tool")
    assert said
    assert not said.startswith("Error")
    assert "Knows the law." in str(script.requests[0].tools)
    assert "s3cr3t" not in repr(team.agents["A"].skills)


def test_an_address_that_is_none_is_refused_with_its_line_and_without_the_key(tmp_path: Path) -> None:
    (tmp_path / "team.yaml").write_text(TEXT % "ftp://elsewhere")
    with pytest.raises(ConfigError) as refused:
        load_team(tmp_path / "team.yaml", env={"KEY": "s3cr3ts3cr3t"})
    assert "the address of remote agent Legal begins with https://" in str(refused.value)
    assert "s3cr3t" not in str(refused.value)
    with pytest.raises(DefinitionError, match="the address of remote agent X"):
        remote_skill(Remote("X", "elsewhere"))

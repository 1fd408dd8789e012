"""Guardrails and who may hand off to whom, as data in team files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from callboard import Guardrail, guardrail_from_config
from callboard.actors.agents.errors import DefinitionError, GuardrailTripped
from callboard.actors.agents.guardrails.policy import CHECKS
from callboard.actors.agents.teamfile import load_team, open_agency
from callboard.actors.testing.doubles.models import Script, call
from callboard.providers.config.yamlfile import ConfigError
from tests.agents.support import scripted

AGENTS = """\
agents:
  Front: {handoffs: [Back]}
  Back: {}
providers: {offline: {}}
"""


def read(folder: Path, text: str) -> Any:
    path = folder / "team.yaml"
    path.write_text(AGENTS + text, encoding="utf-8")
    return load_team(path, env={})


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return str(caught.value).removeprefix(f"{folder}/")


def names(team: Any, agent: str) -> set[str]:
    return {hook.name for hook in team.agents[agent].all_hooks}


async def test_a_team_files_guardrails_are_those_of_all_its_agents_or_of_those_it_names(tmp_path: Path) -> None:
    text = """\
guardrails:
  secrets:
    find: [vendor_keys, card_numbers, {pattern: {kind: code name, regex: 'blue-[0-9]+'}}]
    where: [input, output]
    action: redact
  mail:
    find: [email_addresses, {phone_numbers: {region: DE}}]
    agents: [Back]
"""
    team = read(tmp_path, text)
    assert names(team, "Front") == {"secrets"}
    assert names(team, "Back") == {"secrets", "mail"}
    script = Script(
        [call("SendMessage", target_agent="Back", message="4111 1111 1111 1111"), "blue-7", "ann@x.de blue-7"]
    )
    async with open_agency(team, model=scripted(script)) as agency:
        answer = await agency.run("blue-42 and ann@example.com")
    assert script.requests[0].messages[-1].text == "[code name] and ann@example.com"
    assert "[card number]" in script.requests[1].messages[-1].text
    assert answer.text == "ann@x.de [code name]"


async def test_a_guardrail_that_blocks_by_default_does_so(tmp_path: Path) -> None:
    team = read(tmp_path, "guardrails: {mail: {find: [email_addresses]}}\n")
    async with open_agency(team, model=scripted(Script([]))) as agency:
        with pytest.raises(GuardrailTripped, match="guardrail mail blocked the input: e-mail address"):
            await agency.run("ann@example.com")


def test_a_check_of_ones_own_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "checks_of_mine.py").write_text("def shouting(text):\n    return []\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    team = read(tmp_path, "guardrails: {loud: {find: ['checks_of_mine:shouting']}}\n")
    assert names(team, "Front") == {"loud"}


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_every_check_that_there_is_can_be_named(name: str) -> None:
    options = {
        "json_schema": {"schema": {"type": "object"}},
        "model_judge": {"rule": "It is rude."},
        "pattern": {"kind": "x", "regex": "x"},
        "text_length": {"most": 10},
    }
    find: list[Any] = [{name: options[name]} if name in options else name]
    made = guardrail_from_config("one", {"find": find, "where": ["output"]})
    assert isinstance(made, Guardrail)
    assert made.name == "one"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("guardrails: {a: {}}", "guardrails.a: 'find' is missing"),
        ("guardrails: {a: {find: []}}", "guardrails.a.find: expected a list of checks, at least one"),
        (
            "guardrails: {a: {find: [card_number]}}",
            "find.0: no check is called 'card_number'; did you mean 'card_numbers'?",
        ),
        ("guardrails: {a: {find: [{phone_numbers: {regoin: DE}}]}}", "did you mean 'region'?"),
        ("guardrails: {a: {find: [{phone_numbers: {region: Germany}}]}}", "a country in two capital letters"),
        ("guardrails: {a: {find: [{pattern: {kind: x, regex: '('}}]}}", "pattern x: the regular expression is wrong"),
        ("guardrails: {a: {find: [text_length], where: input}}", "guardrails.a.where"),
        ("guardrails: {a: {find: [{pattern: {kind: x}}]}}", "find.0: pattern needs its regex"),
        ("guardrails: {a: {find: [{json_schema: {}}]}}", "json_schema needs its schema"),
        ("guardrails: {a: {find: [{links: {allow: 'https://x'}}]}}", "domains are names"),
        ("guardrails: {a: {find: [3]}}", "expected the name of a check"),
        ("guardrails: {a: {find: ['no_such_module:x']}}", "no module is called 'no_such_module'"),
        ("guardrails: {a: {find: [ibans], where: [inputs]}}", "guardrails.a.where.0: it cannot look on 'inputs'"),
        ("guardrails: {a: {find: [ibans], action: delete}}", "a.action: expected one of block, redact, warn, ask"),
        ("guardrails: {a: {find: [ibans], action: ask}}", "a person is asked about tool calls and handoffs"),
        (
            "guardrails: {a: {find: [ibans], agents: [Bakc]}}",
            "agents.0: no agent is called 'Bakc'; did you mean 'Back'?",
        ),
        ("guardrails: {a: {find: [ibans], when: now}}", "guardrails.a.when"),
        ("handoff_policy: {agents: {Front: [Bakc]}}", "no agent is called 'Bakc'; did you mean 'Back'?"),
        ("handoff_policy: {agents: {Fornt: [Back]}}", "no agent is called 'Fornt'; did you mean 'Front'?"),
        ("handoff_policy: {domains: ['https://x']}", "HandoffPolicy.domains are names"),
        ("handoff_policy: {agent: {}}", "handoff_policy.agent"),
        ("label_policy: {risk: [risky]}", "a label policy has no 'risk'; did you mean 'risks'"),
        ("label_policy: {barred: never}", "LabelPolicy.barred is ask, refuse or end, not 'never'"),
        ("label_policy: [strict]", "label_policy"),
    ],
)
def test_a_wrong_policy_is_refused_with_the_line_and_the_field(tmp_path: Path, text: str, says: str) -> None:
    said = refusal(tmp_path, f"{text}\n")
    assert said.startswith("team.yaml, line 5: ")
    assert says in said


def test_the_line_is_that_of_the_field(tmp_path: Path) -> None:
    said = refusal(tmp_path, "guardrails:\n  a:\n    find: [ibans]\n    where:\n      - input\n      - outputs\n")
    assert said.startswith("team.yaml, line 10: guardrails.a.where.1: it cannot look on 'outputs'")


async def test_a_handoff_policy_of_a_team_file_is_the_agencys(tmp_path: Path) -> None:
    team = read(tmp_path, 'handoff_policy: {agents: {Back: ["*"]}, domains: [example.com]}\n')
    script = Script(["alone"])
    async with open_agency(team, model=scripted(script)) as agency:
        await agency.run("?")
    assert script.requests[0].tools == ()


async def test_a_label_policy_of_a_team_file_holds_for_all_of_its_agents(tmp_path: Path) -> None:
    team = read(tmp_path, "label_policy: {barred: refuse}\n")

    def look() -> str:
        return "a page"

    sent: list[str] = []

    def send(text: str) -> str:
        sent.append(text)
        return "sent"

    script = Script([call("look", "1"), call("send", "2", text="x"), "done"])
    async with open_agency(team, model=scripted(script)) as agency:
        for made in (look, send):
            agency.add_tool("Front", made)
        answer = await agency.run("?")
    assert not sent
    assert "text from outside (tool look)" in answer.messages[-2].text


@pytest.mark.parametrize("data", [None, "secrets", {"find": "ibans"}, {"fnd": ["ibans"]}, {"find": [{}]}])
def test_what_is_no_guardrail_is_refused(data: Any) -> None:
    with pytest.raises(DefinitionError):
        guardrail_from_config("x", data)

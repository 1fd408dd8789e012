"""A file of cases says the same as cases made in Python."""

from __future__ import annotations

import os.path
from pathlib import Path
from typing import Any

import pytest

from callboard import Caller, Case, ConfigError, Expected, ExpectedCall, Judge, load_cases

WHOLE = """
repeat: 3
judge: {model: "${JUDGE}", least: 0.7}
cases:
  - name: all of it
    ask: [We need milk., Two litres.]
    agent: Clerk
    repeat: 5
    at_least: 0.8
    user: ada
    tenant: acme
    scopes: [buy, look]
    approve: true
    expect:
      equals: done
      contains: [one, two]
      lacks: three
      matches: d.ne
      value: {a: [1, true]}
      type: dict
      agent: Shop
      tools: [look, {tool: order, arguments: {thing: milk}}]
      no_tools: [pay]
      handoffs: [Shop]
      error: LimitReached
      steps: 4
      tokens: 500
      cost: 0.5
      seconds: 9.5
      judge: [It is short.]
      code: ["os.path:exists", "os.path:isfile"]
  - name: little
    ask: Hello
    expect: {contains: ""}
"""


FUNCTIONS: list[Any] = [os.path.exists, os.path.isfile]


def read(folder: Path, text: str, **env: str) -> Any:
    (folder / "cases.yaml").write_text(text)
    return load_cases(folder / "cases.yaml", env=env)


def test_whatever_can_be_said_in_python_can_be_said_in_a_file(tmp_path: Path) -> None:
    found = read(tmp_path, WHOLE.replace('contains: ""', "contains: hello"), JUDGE="large")
    assert (found.repeat, found.judge) == (3, Judge("large", 0.7))
    assert found.cases == (
        Case(
            "all of it",
            ["We need milk.", "Two litres."],
            Expected(
                equals="done",
                contains=["one", "two"],
                lacks=["three"],
                matches="d.ne",
                value={"a": [1, True]},
                type=dict[str, Any],
                agent="Shop",
                tools=["look", ExpectedCall("order", {"thing": "milk"})],
                no_tools=["pay"],
                handoffs=["Shop"],
                error="LimitReached",
                steps=4,
                tokens=500,
                cost=0.5,
                seconds=9.5,
                judge=["It is short."],
                code=FUNCTIONS,
            ),
            agent="Clerk",
            repeat=5,
            at_least=0.8,
            caller=Caller("ada", "acme", frozenset({"buy", "look"})),
            approve=True,
        ),
        Case("little", "Hello", Expected(contains="hello")),
    )


def test_what_a_file_leaves_out_is_as_it_is_in_python(tmp_path: Path) -> None:
    found = read(tmp_path, "cases: [{name: a, ask: b, expect: {steps: 1}}]")
    assert (found.repeat, found.judge) == (1, Judge())
    assert found.cases == (Case("a", "b", Expected(steps=1)),)


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [("int", "5", "x"), ("float", "5.5", "x"), ("bool", "true", "5"), ("list", '["a", 1]', "{}"), ("dict", "{}", "[]")],
)
def test_types_have_short_names(tmp_path: Path, kind: str, right: str, wrong: str) -> None:
    output = read(tmp_path, f"cases: [{{name: a, ask: b, expect: {{type: {kind}}}}}]").cases[0].expect.output
    assert output is not None
    output.value(right)
    with pytest.raises(Exception, match=r"\w"):
        output.value(wrong)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("repeat: 0", "greater than or equal to 1"),
        ("at_least: 0", "greater than 0"),
        ("at_least: 1.1", "less than or equal to 1"),
        ("name: ''", "name"),
        ("expect: {steps: 0}", "greater than or equal to 1"),
        ("expect: {tokens: 0}", "greater than or equal to 1"),
        ("expect: {cost: -1}", "greater than or equal to 0"),
        ("expect: {seconds: -1}", "greater than or equal to 0"),
        ("expect: {tools: {tool: ''}}", "tool"),
        ("expect: {type: text}", "or one of int, float, bool, list, dict"),
        ("expect: {type: 'nothing:there'}", "no module is called 'nothing'"),
        ("expect: {code: 'os:sep'}", "os:sep"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, entry: str, says: str) -> None:
    name = entry.partition(":")[0]
    usual = {"name": "name: a", "ask": "ask: b", "expect": "expect: {equals: c}"}
    lines = "\n    ".join({**usual, name: entry}.values())
    with pytest.raises(ConfigError, match=rf"line [2-5]: .*{says}") as wrong:
        read(tmp_path, f"cases:\n  - {lines}\n")
    assert ("or one of" in str(wrong.value)) == (says.startswith("or one of"))

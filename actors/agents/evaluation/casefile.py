"""Reading a file of cases: every name in it is looked up, and nothing is asked.

.. code-block:: yaml

    repeat: 3
    judge: {model: large, least: 0.7}
    cases:
      - name: capital
        ask: What is the capital of France?
        expect: {contains: Paris, cost: 0.01}
      - name: milk
        agent: Clerk
        ask: [We need milk., Two litres.]
        at_least: 0.8
        approve: true
        expect:
          tools: [{tool: order, arguments: {thing: milk}}]
          handoffs: [Shop]
          judge: The answer says when the milk will come.
          code: shop_checks:polite

``cases: many.jsonl`` names a file beside it instead, with a case on each line.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from ....providers.config.annotations import Location
from ....providers.config.fields import FileName, Section
from ....providers.config.jsonlines import read_json_lines
from ....providers.config.yamlfile import TooLarge, YamlFile, read_yaml
from ..caller import Caller
from ..errors import DefinitionError
from ..plaindata import Misread, function_of, type_of
from .case import Case, Expected, ExpectedCall
from .judge import Judge

MOST_VALUES: Final = 200_000
"""Of a list of cases in YAML, which take some 0.05 ms and 2 kB each."""
MOST_CASES: Final = 1_000_000
"""Of a file with a case on each line."""

_TYPES: Mapping[str, Any] = {
    **{kind.__name__: kind for kind in (int, float, bool)},
    "list": list[Any],
    "dict": dict[str, Any],
}


def _several(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


def _call(value: Any) -> Any:
    return {"tool": value} if isinstance(value, str) else value


class CallEntry(Section):
    """A tool that must have been called."""

    tool: str = Field(min_length=1, description="the name of a tool")
    arguments: dict[str, Any] = Field({}, description="a mapping of arguments that it must have been given")


Texts = Annotated[tuple[str, ...], BeforeValidator(_several)]
Calls = Annotated[tuple[Annotated[CallEntry, BeforeValidator(_call)], ...], BeforeValidator(_several)]


class ExpectedEntry(Section):
    """What is expected of an answer."""

    equals: str | None = Field(None, description="the text")
    contains: Texts = Field((), description="a text, or a list of them, that stand in the answer")
    lacks: Texts = Field((), description="a text, or a list of them, that do not")
    matches: str = Field("", description="a regular expression")
    value: Any = Field(None, description="the structured answer")
    type: str = Field("", description="int, float, bool, list, dict, or module:name")
    agent: str = Field("", description="who answers")
    tools: Calls = Field((), description="a list of tools that are called, in this order")
    no_tools: Texts = Field((), description="a list of tools that are not called; '*' for none at all")
    handoffs: Texts = Field((), description="a list of agents to which work is handed, in this order")
    error: str = Field("", description="the name of the error that the run ends in")
    steps: int | None = Field(None, ge=1, description="the most completions")
    tokens: int | None = Field(None, ge=1, description="the most tokens, in and out")
    cost: float | None = Field(None, ge=0, description="the most US dollars")
    seconds: float | None = Field(None, ge=0, description="the most seconds")
    judge: Texts = Field((), description="a rule, or a list of them, for a model to judge by")
    code: Texts = Field((), description="a function of the Answer as module:name, or a list of them")


class CaseEntry(Section):
    """A case."""

    name: str = Field(min_length=1, description="what it is called in reports")
    ask: Texts = Field(description="a question, or a list of them, asked one after the other")
    expect: ExpectedEntry = Field(description="what is expected then")
    agent: str = Field("", description="who is asked; the team's first agent, if left out")
    repeat: int | None = Field(None, ge=1, description="how many times it is asked")
    at_least: float = Field(1.0, gt=0, le=1, description="the share of these that must be as expected")
    user: str = Field("", description="whom it is for")
    tenant: str = Field("", description="the customer the user belongs to")
    scopes: Texts = Field((), description="a list of what the user may do")
    approve: bool = Field(False, description="whether what waits for a person is approved")


class JudgeEntry(Section):
    """Who grades answers."""

    model: str = Field("", description="a model's name; the provider's default, if left out")
    least: float = Field(0.5, ge=0, le=1, description="the score from which on a rule counts as kept")


class _Head(Section):
    """What a file says of all cases."""

    repeat: int = Field(1, ge=1, description="how many times each is asked that says nothing else")
    judge: JudgeEntry = Field(JudgeEntry(), description="who grades answers: model, least")


class CaseFile(_Head):
    """A file of cases."""

    cases: tuple[CaseEntry, ...] = Field(min_length=1, description="a list of cases, or the name of a .jsonl file")


class LongCaseFile(_Head):
    """A file that says where the cases are."""

    cases: FileName = Field(description="the name of a .jsonl file beside this one")


@dataclass(frozen=True, slots=True)
class Cases:
    """What a file of cases says.

    Args:
        cases: in their order.
        repeat: how many times each is asked that says nothing else.
        judge: who grades answers.
    """

    cases: tuple[Case, ...]
    repeat: int
    judge: Judge


def load_cases(path: str | Path, *, env: Mapping[str, str] | None = None) -> Cases:
    """Read a file of cases. What it names as ``module:name`` is imported, nothing is asked.

    Args:
        path: the file.
        env: the variables for ``${NAME}``; the process's environment by default.

    Raises:
        ConfigError: the file cannot be read, is not YAML, does not have the shape of `CaseFile` or `LongCaseFile`, or
            names what is not there; or there are too many cases. The message has the line and what was expected.
    """
    try:
        file = read_yaml(path, os.environ if env is None else env, most=MOST_VALUES)
    except TooLarge as error:
        hint = "name a file with a case on each line in place of the list, as in cases: many.jsonl"
        raise TooLarge(f"{error.message}; {hint}", path=path, line=error.line) from None
    head: _Head
    named = file.data.get("cases") if isinstance(file.data, dict) else None
    if isinstance(named, str) and named.endswith(".jsonl"):
        head = long = file.validate(LongCaseFile)
        lines = read_json_lines(file.beside(("cases",), long.cases), MOST_CASES)
        entries = ((line, (), line.validate(CaseEntry)) for line in lines)
        cases = tuple(_cases(entries))
        if not cases:
            raise file.error(("cases",), f"{long.cases} has no cases")
    else:
        head = short = file.validate(CaseFile)
        cases = tuple(_cases((file, ("cases", index), entry) for index, entry in enumerate(short.cases)))
    return Cases(cases, head.repeat, Judge(head.judge.model, head.judge.least))


def _cases(entries: Iterable[tuple[YamlFile, Location, CaseEntry]]) -> Iterator[Case]:
    names: set[str] = set()
    for file, at, entry in entries:
        if entry.name in names:
            raise file.error((*at, "name"), f"two cases are called {entry.name!r}; expected another name")
        names.add(entry.name)
        yield _case(file, at, entry)


def _case(file: YamlFile, at: Location, entry: CaseEntry) -> Case:
    expected = entry.expect
    said: dict[str, Any] = {name: getattr(expected, name) for name in expected.model_fields_set if name != "type"}
    for number, call in enumerate(expected.tools):
        if not call.tool.strip():
            raise file.error((*at, "expect", "tools", number), "a tool's name has no letters; say which is called")
    if "tools" in said:
        said["tools"] = [ExpectedCall(call.tool, call.arguments) for call in expected.tools]
    try:
        if expected.type:
            said["type"] = _TYPES.get(expected.type) or type_of(expected.type)
    except Misread as wrong:
        known = "" if ":" in expected.type else f", or one of {', '.join(_TYPES)}"
        raise file.error((*at, "expect", "type"), f"{wrong}{known}") from wrong.__cause__
    functions = []
    for name in expected.code:
        try:
            functions.append(function_of(name))
        except Misread as wrong:
            raise file.error((*at, "expect", "code"), str(wrong)) from wrong.__cause__
    if functions:
        said["code"] = functions
    caller = Caller(entry.user, entry.tenant, frozenset(entry.scopes))
    try:
        return Case(
            entry.name,
            entry.ask,
            Expected(**said),
            entry.agent,
            entry.repeat,
            entry.at_least,
            None if caller == Caller() else caller,
            entry.approve,
        )
    except DefinitionError as error:
        name = str(error).removeprefix("what is expected: ").replace(":", " ").partition(" ")[0]
        there = (*at, "expect", name) if name in expected.model_fields_set else at
        raise file.error(there, str(error)) from None

"""Structured answers: what is recorded of a type, what an earlier process recorded, and what is wrong with a text."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    Optional,
    TypeVar,
    Union,
)

import pytest
from pydantic import AfterValidator, BaseModel, Field, PositiveInt, conlist, constr
from typing_extensions import TypeAliasType, TypedDict

from callboard.actors.agents.output import Output


class Report(BaseModel):
    title: str
    pages: int = 1

    class Part(BaseModel):
        text: str


def shout(text: str) -> str:
    if not text.isupper():
        raise ValueError("louder")
    return text


def explode(text: str) -> str:
    raise ZeroDivisionError("a bug of somebody's own")


T = TypeVar("T")
Reports = TypeAliasType("Reports", list[Report])
Pages = NewType("Pages", int)


class Box(BaseModel, Generic[T]):
    item: T


@dataclass
class Pair(Generic[T]):
    left: T
    right: T


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Where(TypedDict):
    city: str


class Spot(NamedTuple):
    x: int
    y: int


KINDS = [
    *(Report, Report.Part, int, bool, datetime, Colour, Where, Spot, Reports, Pages, Box[Report], Pair[int]),
    *(list[int], list[Report], dict[str, int], tuple[int, ...], tuple[str, int], set[Colour], Sequence[Report]),
    *(Report | None, Optional[Report], Union[Report, Spot], int | None, Any, list[Any]),  # noqa: UP007,UP045
    *(Literal["a", 1, None], Literal[Colour.RED], Box[list[Report | None]], dict[str, Box[Pair[int]]]),
    *(
        Annotated[int, Field(gt=0, description="many", multiple_of=2)],
        Annotated[str, Field(pattern="a+")],
        PositiveInt,
        list[Annotated[str, "of many"]],
    ),
    *(conlist(int, min_length=1), constr(strip_whitespace=True), Annotated[Report | None, Field(title="x")]),
]


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_a_type_that_is_there_and_still_the_same_is_known_again(kind: Any) -> None:
    name, schema = Output(kind).recorded
    known, why = Output.known(name, schema)
    assert why == ""
    assert known is not None
    assert known.type == kind or "FieldInfo" in name  # two of those are never equal
    assert known.schema == Output(kind).schema


def local() -> Any:
    class Local(BaseModel):
        x: int

    return Local


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (Annotated[str, AfterValidator(shout)], "which cannot be made here: it has no name; give it one"),
        (list[Annotated[str, AfterValidator(shout)]], "which cannot be made here: it has no name; give it one"),
        (local(), "was defined in a function; define it at the top of a module"),
        (list.__class_getitem__(local()), "was defined in a function; define it at the top of a module"),
    ],
    ids=["validator", "validator within", "local", "local within"],
)
def test_a_type_that_cannot_be_found_again_is_recorded_and_it_is_said_why(kind: Any, why: str) -> None:
    name, schema = Output(kind).recorded
    assert json.loads(schema) == Output(kind).schema
    known, said = Output.known(name, schema)
    assert known is None
    assert why in said


@pytest.mark.parametrize(
    "name",
    [
        "",
        ":",
        "builtins",
        "builtins:",
        "builtins:len",
        "builtins:Nothing",
        f"{__name__}:Report.Nothing",
        f"{__name__}:shout",
        "colorsys:rgb_to_hls",
        "[",
        "[]",
        "[[]]",
        "[1]",
        '["of"]',
        '["of", "builtins:len", "builtins:int"]',
        '["of", "colorsys:X", "builtins:int"]',
        '["of", "subprocess:Popen", "builtins:int"]',
        '["of", "builtins:list", ["call", "builtins:exit"]]',
        '["literal", ["builtins:exit", "x"]]',
        '["literal", {"a": 1}]',
        '["annotated", "builtins:int", ["exit", {}]]',
        '["annotated", "builtins:int", ["BaseModel", {}]]',
        '["annotated", "builtins:int"]',
        '["annotated"]',
        '["|"]',
        "[" * 100_000,
        '["|",' * 500 + '"builtins:int"' + "]" * 500,
    ],
    ids=range(27),
)
def test_what_is_no_type_here_is_not_known_and_nothing_is_imported_for_it(name: str) -> None:
    before = set(sys.modules)
    known, why = Output.known(name, Output(Report).recorded[1])
    assert known is None
    assert why
    assert set(sys.modules) == before


def test_a_module_is_not_asked_for_what_it_would_import(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(sys.modules[__name__], "__getattr__", asked.append, raising=False)
    known, why = Output.known(f"{__name__}:Later", "{}")
    assert known is None
    assert why == f"{__name__}.Later, which cannot be made here: the module {__name__} has no type Later"
    assert asked == []


@pytest.mark.parametrize("kind", [Report, list[Report], Report | None], ids=repr)
def test_a_type_that_has_changed_is_not_known_again(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = Output(kind).recorded

    class Changed(BaseModel):
        title: str

    monkeypatch.setattr(sys.modules[__name__], "Report", Changed)
    known, why = Output.known(*recorded)
    assert known is None
    assert "which has changed since" in why


@pytest.mark.parametrize(
    "text",
    [
        '{"title": "x"}',
        '```json\n{"title": "x"}\n```',
        '```\n{"title": "x"}```',
        ' \n{"title":"x"} ',
        '```{"title":"x"}```',
    ],
)
def test_an_answer_that_fits_is_read_with_or_without_a_fence(text: str) -> None:
    assert Output(Report).read(text) == (Report(title="x"), "")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (
            '{"title": 7, "pages": "many"}',
            "title: Input should be a valid string; pages: Input should be a valid integer",
        ),
        ("{}", "title: Field required"),
        ("", "the answer: Invalid JSON"),
        ("it is short", "the answer: Invalid JSON"),
        ('{"title": "\ud800"}', "the answer: "),
    ],
)
def test_what_is_wrong_with_an_answer_is_said_in_words(text: str, wrong: str) -> None:
    value, problem = Output(Report).read(text)
    assert value is None
    assert wrong in problem


def test_what_a_validator_says_is_told_to_the_model_and_what_it_raises_is_raised() -> None:
    assert Output(Annotated[str, AfterValidator(shout)]).read('"quiet"') == (None, "the answer: Value error, louder")
    with pytest.raises(ZeroDivisionError):
        Output(Annotated[str, AfterValidator(explode)]).read('"x"')


def test_of_many_things_that_are_wrong_five_are_told() -> None:
    _, problem = Output(list[int]).read(json.dumps(["x"] * 20))
    assert problem.count("valid integer") == 5
    assert problem.startswith("0: ")

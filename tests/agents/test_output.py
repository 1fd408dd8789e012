"""Structured answers: what is recorded of a type, what an earlier process recorded, and what is wrong with a text."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel

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


@pytest.mark.parametrize("kind", [Report, Report.Part, int, bool])
def test_a_type_that_is_there_and_still_the_same_is_known_again(kind: type[Any]) -> None:
    name, schema = Output(kind).recorded
    known = Output.known(name, schema)
    assert known is not None
    assert known.type is kind


@pytest.mark.parametrize("kind", [list[int], Report | None, Annotated[str, AfterValidator(shout)]])
def test_a_type_without_a_name_is_recorded_and_not_known_again(kind: Any) -> None:
    name, schema = Output(kind).recorded
    assert json.loads(schema) == Output(kind).schema
    assert Output.known(name, schema) is None


def test_a_type_defined_in_a_function_is_not_known_again() -> None:
    class Local(BaseModel):
        x: int

    assert Output.known(*Output(Local).recorded) is None


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
    ],
)
def test_what_is_no_type_here_is_not_known_and_nothing_is_imported_for_it(name: str) -> None:
    before = set(sys.modules)
    assert Output.known(name, Output(Report).recorded[1]) is None
    assert set(sys.modules) == before


def test_a_type_that_has_changed_is_not_known_again(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = Output(Report).recorded

    class Changed(BaseModel):
        title: str

    monkeypatch.setattr(sys.modules[__name__], "Report", Changed)
    assert Output.known(*recorded) is None


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

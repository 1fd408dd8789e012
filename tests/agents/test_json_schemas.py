"""A JSON schema as the type of an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, DefinitionError, InvalidAnswer, JsonSchema, PartialAnswer
from callboard.actors.testing.doubles.models import Script

from .support import scripted

PERSON: dict[str, Any] = {
    "title": "person",
    "type": "object",
    "properties": {"name": {"type": "string", "pattern": "^[A-Z]"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
ANN = '{"name": "Ann", "age": 7}'


async def test_an_answer_fits_the_schema_and_is_asked_for_anew_where_it_does_not() -> None:
    script = Script(['{"name": "ann", "age": "secret"}', f"```json\n{ANN}\n```"])
    async with Agency(Agent("A"), model=scripted(script)) as agency:
        answer = await agency.run("?", output_type=JsonSchema(PERSON))
    assert answer.value == {"name": "Ann", "age": 7}
    assert script.requests[0].response_schema == PERSON
    told = script.requests[1].messages[-1].text
    assert 'age: Value error, expected type "integer"' in told or 'age: expected type "integer"' in told, told
    assert "name: expected pattern" in told
    assert "secret" not in told


async def test_an_answer_that_never_fits_ends_in_a_named_error_without_what_was_said() -> None:
    script = Script(['{"name": "secret"}'] * 10)
    async with Agency(Agent("A"), model=scripted(script)) as agency:
        with pytest.raises(InvalidAnswer, match="required") as caught:
            await agency.run("?", output_type=JsonSchema(PERSON))
    assert "secret" not in str(caught.value)


async def test_it_is_the_type_of_an_agent_too() -> None:
    agent = Agent("A", output_type=JsonSchema({"type": "array", "items": {"type": "integer"}}))
    async with Agency(agent, model=scripted(Script(["[1, 2]"]))) as agency:
        assert (await agency.run("?")).value == [1, 2]


async def test_a_run_has_its_schema_after_a_restart(tmp_path: Path) -> None:
    for replies in ([ANN], []):
        async with Agency(Agent("A"), model=scripted(Script(replies)), journal=tmp_path / "j.db") as agency:
            answer = await agency.run("?", output_type=JsonSchema(PERSON), run_id="r")
            assert answer.value == {"name": "Ann", "age": 7}
            assert (await (await agency.handle("r")).answer()).value == {"name": "Ann", "age": 7}


async def test_what_has_come_of_an_answer_is_told_as_it_comes() -> None:
    from .support import function

    def model(request: Any) -> Any:
        return ANN

    async with Agency(Agent("A"), model=function(model)) as agency:
        told = [
            event.value
            async for event in agency.run_streaming("?", output_type=JsonSchema(PERSON))
            if isinstance(event, PartialAnswer)
        ]
    assert told[-1] == {"name": "Ann", "age": 7}


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (5, "a JSON schema is a mapping, not int"),
        ({"type": {1, 2}}, "is what JSON can say"),
        ({"type": "nope"}, "no JSON schema at type"),
        ({"minimum": float("nan")}, "is what JSON can say"),
        ({"$ref": "#/$defs/x"}, "refers to '#/\\$defs/x', which it does not have"),
        ({"$ref": "http://127.0.0.1:1/x"}, "which it does not have"),
        ({"$ref": "#"}, "lead too deep"),
        ({"$schema": "http://example.com/mine"}, "draft that is not known"),
        ({"pattern": "(?=a)"}, "linear time"),
        ({"properties": {"a": {"patternProperties": {"a": {}}}}}, "patternProperties"),
        (
            {
                "$defs": {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)} | {"a40": {}},
                "$ref": "#/$defs/a0",
            },
            "more than 10,000 references",
        ),
    ],
)
def test_a_schema_that_cannot_be_checked_is_refused(schema: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        JsonSchema(schema)


def test_a_schema_that_is_too_deep_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(200):
        schema = {"not": schema}
    with pytest.raises(DefinitionError, match="more than 100 objects and lists"):
        JsonSchema(schema)


def test_a_recursive_schema_is_checked_as_far_as_it_goes() -> None:
    tree = JsonSchema({"type": "object", "properties": {"in": {"$ref": "#"}}})
    value: dict[str, Any] = {}
    for _ in range(20):
        value = {"in": value}
    assert tree.check(value) == value
    for _ in range(200):
        value = {"in": value}
    with pytest.raises(ValueError, match="too deep"):
        tree.check(value)


def test_a_pattern_costs_time_by_the_length_of_the_text_only() -> None:
    schema = JsonSchema({"type": "string", "pattern": "^(a+)+$"})
    with pytest.raises(ValueError, match="pattern"):
        schema.check("a" * 5_000 + "!")


def test_equal_schemas_are_equal() -> None:
    assert JsonSchema(PERSON) == JsonSchema(dict(PERSON))
    assert hash(JsonSchema(PERSON)) == hash(JsonSchema(PERSON))
    assert JsonSchema(PERSON).schema == PERSON
    assert repr(JsonSchema({"type": "string"})) == 'JsonSchema({"type": "string"})'

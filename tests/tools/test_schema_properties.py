"""Generated signatures and values: what fits arrives as it was, what does not is refused before the tool runs."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from callboard.tools import FunctionTool, InvalidArguments, tool

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)

# A type, values of it, and values that no reading turns into it.
_KINDS: dict[str, tuple[Any, st.SearchStrategy[Any], st.SearchStrategy[Any]]] = {
    "int": (int, st.integers(-(2**63), 2**63), st.sampled_from(["x", [1], {}, None, 1.5])),
    "float": (float, st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["x", [], {}, None])),
    "bool": (bool, st.booleans(), st.sampled_from(["maybe", 7, [], None])),
    "str": (str, _TEXT, st.sampled_from([1, 1.5, [], {}, None, True])),
    "list": (list[int], st.lists(st.integers(-100, 100), max_size=4), st.sampled_from([3, "x", ["a"], {"a": 1}, None])),
    "dict": (
        dict[str, int],
        st.dictionaries(_TEXT, st.integers(-100, 100), max_size=3),
        st.sampled_from([3, [1], {"a": "b"}, None]),
    ),
    "optional": (str | None, st.none() | _TEXT, st.sampled_from([1, [], {}, False])),
}
# Names that a careless implementation trips over.
_NAMES = [
    "a",
    "b",
    "self",
    "cls",
    "name",
    "values",
    "arguments",
    "model_config",
    "schema",
    "kwargs",
    "title",
    "_x",
    "é",
]


@st.composite
def _cases(draw: st.DrawFn) -> tuple[FunctionTool, dict[str, str], dict[str, Any], list[dict[str, Any]]]:
    """A tool with a generated signature, its kinds, its defaults, and the list its calls are noted in."""
    names = draw(st.lists(st.sampled_from(_NAMES), unique=True, max_size=5))
    kinds = {name: draw(st.sampled_from(sorted(_KINDS))) for name in names}
    defaults = {name: draw(_KINDS[kinds[name]][1]) for name in names if draw(st.booleans())}
    noted: list[dict[str, Any]] = []

    async def generated(**values: Any) -> int:
        noted.append(values)
        return len(noted)

    kind = inspect.Parameter.KEYWORD_ONLY
    generated.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, kind, default=defaults.get(name, inspect.Parameter.empty), annotation=_KINDS[k][0])
            for name, k in kinds.items()
        ]
    )
    generated.__annotations__ = {name: _KINDS[k][0] for name, k in kinds.items()}
    return tool(generated), kinds, defaults, noted


def _same(left: Any, right: Any) -> bool:
    return bool(left == right) and type(left) is type(right)


@given(_cases(), st.data())
async def test_arguments_that_fit_reach_the_tool_unchanged(case: Any, data: st.DataObject) -> None:
    made, kinds, defaults, noted = case
    given_names = [name for name in kinds if name not in defaults or data.draw(st.booleans())]
    arguments = {name: data.draw(_KINDS[kinds[name]][1]) for name in given_names}
    for form in (arguments, json.dumps(arguments), json.dumps(arguments, ensure_ascii=False)):
        result = await made.run(form)
        assert not result.is_error, result.content
        received = noted.pop()
        assert received.keys() == kinds.keys()
        for name, value in received.items():
            assert _same(value, {**defaults, **arguments}[name])


@given(_cases(), st.data())
async def test_one_misfit_is_refused_by_name_before_the_tool_runs(case: Any, data: st.DataObject) -> None:
    made, kinds, defaults, noted = case
    arguments: dict[str, Any] = {name: data.draw(_KINDS[kind][1]) for name, kind in kinds.items()}
    required = [name for name in kinds if name not in defaults]
    faults = ["unknown", *(["wrong"] if kinds else []), *(["missing"] if required else [])]
    fault = data.draw(st.sampled_from(faults))
    if fault == "unknown":
        wrong = "nobody_takes_this"
        arguments[wrong] = 1
    elif fault == "missing":
        wrong = data.draw(st.sampled_from(required))
        del arguments[wrong]
    else:
        wrong = data.draw(st.sampled_from(sorted(kinds)))
        arguments[wrong] = data.draw(_KINDS[kinds[wrong]][2])
    for form in (arguments, json.dumps(arguments)):
        result = await made.run(form)
        assert isinstance(result.error, InvalidArguments), f"{arguments!r} was accepted"
        assert f"\n- {wrong}" in result.content, "the error does not name the argument that is wrong"
        assert not noted, "the tool ran"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(_cases(), st.text(max_size=30) | _JSON.map(json.dumps) | st.dictionaries(_TEXT, _JSON, max_size=4))
async def test_whatever_a_model_writes_is_a_result_and_never_an_exception(
    case: Any, written: str | Mapping[str, Any]
) -> None:
    made, _, _, noted = case
    result = await made.run(written)
    assert result.is_error == (not noted)
    assert result.content


@given(_cases())
def test_the_schema_names_exactly_the_parameters_and_requires_those_without_a_default(case: Any) -> None:
    made, kinds, defaults, _ = case
    parameters = made.spec.parameters
    assert parameters["type"] == "object"
    assert parameters["additionalProperties"] is False
    assert set(parameters["properties"]) == set(kinds)
    assert set(parameters.get("required", ())) == set(kinds) - set(defaults)
    json.dumps(parameters)  # it goes over the wire

"""The names of what users meet are the field's."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import callboard
from callboard import Agency, Agent

ROOT = Path(__file__).parents[2]
PRIVATE = {"desk", "carry", "carried", "books", "values", "patience", "outside", "roster", "profile_of"}
"""Words that said runtime, session, executor, record, metadata and routing in ways of our own."""


def library() -> Iterator[Path]:
    for package in ("actors", "providers", "tools"):
        yield from (ROOT / package).rglob("*.py")


@pytest.mark.parametrize("name", callboard.__all__)
def test_no_public_name_parameter_or_attribute_is_a_private_word(name: str) -> None:
    found = getattr(callboard, name)
    words = {name}
    functions = [found]
    if isinstance(found, type) and not issubclass(found, dict):
        words |= {attribute for attribute in dir(found) if not attribute.startswith("_")}
        functions += [member for attribute, member in vars(found).items() if not attribute.startswith("_")]
    for function in functions:
        if callable(function):
            try:
                words |= set(inspect.signature(function).parameters)
            except (TypeError, ValueError):  # of C's
                continue
    assert not words & PRIVATE


def test_no_file_is_called_by_a_private_word() -> None:
    assert not {path.stem for path in library()} & PRIVATE


def test_one_class_is_called_limits_and_those_of_endpoints_and_servers_are_quotas() -> None:
    called = [
        (node.name, path.relative_to(ROOT).as_posix())
        for path in library()
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and node.name in ("Limits", "Quota", "ServerQuota")
    ]
    assert sorted(called) == [
        ("Limits", "actors/agents/turns/rules.py"),
        ("Quota", "providers/pool/admission/limiter.py"),
        ("ServerQuota", "providers/simulated/limits.py"),
    ]


async def test_an_agency_has_a_name_by_which_its_actors_are_known() -> None:
    async with Agency(Agent("A"), model="offline", name="shop") as agency:
        assert agency.system is not None
        shop = next(top for top in agency.system.tree() if top.name == agency.name)
        assert (agency.name, [child.name for child in shop.children]) == ("shop", ["A"])

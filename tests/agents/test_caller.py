"""Who asks."""

from __future__ import annotations

from typing import Any

import pytest

from callboard.actors.agents.caller import NOBODY, Caller
from callboard.actors.agents.errors import DefinitionError


@pytest.mark.parametrize("scopes", [["read", "write"], ("read", "write"), {"read", "write"}, {"read": 1, "write": 2}])
def test_scopes_may_be_given_as_any_collection(scopes: Any) -> None:
    caller = Caller("ada", scopes=scopes)
    assert caller == Caller("ada", scopes=frozenset({"read", "write"}))
    assert hash(caller) == hash(Caller("ada", scopes=frozenset({"write", "read"})))
    assert caller.may("read")
    assert not caller.may("delete")


def test_scopes_that_can_be_gone_through_only_once_are_not_lost() -> None:
    once: Any = (scope for scope in ("read", "write"))
    assert Caller("ada", scopes=once).may("write")


def test_nobody_may_do_anything() -> None:
    assert not NOBODY.may("")
    assert Caller() == NOBODY


@pytest.mark.parametrize(
    ("given", "about"),
    [
        ({"user": 7}, "user and tenant are texts"),
        ({"user": None}, "user and tenant are texts"),
        ({"tenant": b"acme"}, "user and tenant are texts"),
        ({"scopes": "admin"}, "scopes are a set of texts"),
        ({"scopes": None}, "scopes are a set of texts"),
        ({"scopes": 7}, "scopes are a set of texts"),
        ({"scopes": [["read"]]}, "scopes are a set of texts"),
        ({"scopes": frozenset({7})}, "scopes are a set of texts"),
        ({"scopes": b"admin"}, "scopes are a set of texts"),
    ],
)
def test_what_is_no_text_is_refused(given: dict[str, Any], about: str) -> None:
    with pytest.raises(DefinitionError, match=about):
        Caller(**given)

"""What an agency is given is looked at before anything is made of it."""

from __future__ import annotations

from typing import Any

import pytest

from callboard import Agency, Agent, DefinitionError, Retention
from callboard.testing import ScriptedModel
from tests.ids import shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", ScriptedModel),
        ("model", 5),
        ("model", lambda request: "x"),
        ("pool", "a name"),
        ("system", 5),
        ("journal", 5),
        ("journal", b"x.db"),
        ("journal", "mysql://host/base"),
        ("handoff_limits", 5),
        ("approvals_expire", -1),
        ("approvals_expire", "soon"),
        ("approvals_expire", float("nan")),
        ("approvals_expire", float("inf")),
        ("retention", 5),
        ("retention", Retention(finished=-1)),
        ("retention", Retention(ephemeral=float("nan"))),
        ("shared_instructions", 5),
        ("flows", 5),
        ("name", 5),
    ],
    ids=shown,
)
def test_what_is_of_the_wrong_kind_is_refused_by_its_name(name: str, value: Any) -> None:
    with pytest.raises(DefinitionError, match=f"(?i){name}"):
        Agency(Agent("A"), **{name: value})


def test_an_address_that_is_no_journals_is_refused_by_its_scheme_without_its_password() -> None:
    with pytest.raises(DefinitionError, match=r"not an address of mysql$"):
        Agency(Agent("A"), journal="mysql://me:secret@host/shop")

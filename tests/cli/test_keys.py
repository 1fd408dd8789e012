"""``callboard keys``: made and shown once, listed without the key, revoked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .command import assert_refused, callboard
from .stores import Place


def test_a_key_is_made_shown_once_listed_and_revoked(place: Place, tmp_path: Path) -> None:
    wishes = ("--user", "ada", "--tenant", "acme", "--scope", "sales", "--scope", "owner", "--name", "laptop")
    made = callboard("keys", "add", place.address, *wishes, cwd=tmp_path)
    assert made.status == 0, made
    key = made.out.strip()
    assert key.startswith("cb_laptop_")
    assert made.err == "callboard: key laptop was made; nobody can be shown it again\n"
    bobs = json.loads(
        callboard("keys", "add", place.address, "--user", "bob", "--expires", "90d", "--json", cwd=tmp_path).out
    )
    assert bobs["key"].startswith(f"cb_{bobs['name']}_")

    listed = callboard("keys", "list", place.address, cwd=tmp_path)
    assert "laptop  ada of acme  scopes owner, sales  for ever\n" in listed.out
    assert f"{bobs['name']}  bob  no scopes  until 2" in listed.out
    assert key not in listed.out
    assert callboard("keys", "revoke", place.address, "laptop", cwd=tmp_path).out == "revoked laptop\n"
    (shown,) = json.loads(callboard("keys", "list", place.address, "--user", "ada", "--json", cwd=tmp_path).out)
    assert shown["revoked_at"] > shown["made_at"]
    assert (shown["user"], shown["tenant"], shown["scopes"]) == ("ada", "acme", ["owner", "sales"])
    assert shown.keys() == {"name", "user", "tenant", "scopes", "made_at", "expires_at", "revoked_at"}
    assert (shown["name"], shown["expires_at"]) == ("laptop", None)
    (other,) = json.loads(callboard("keys", "list", place.address, "--user", "bob", "--json", cwd=tmp_path).out)
    assert (other["tenant"], other["scopes"], other["revoked_at"]) == ("", [], None)
    assert other["expires_at"] - other["made_at"] == pytest.approx(90 * 86_400, abs=60)
    assert json.loads(callboard("keys", "list", place.address, "--user", "nobody", "--json", cwd=tmp_path).out) == []
    assert callboard("keys", "list", place.address, "--tenant", "none", cwd=tmp_path).out == "there are no keys\n"
    gone = callboard("keys", "revoke", place.address, bobs["name"], "--json", cwd=tmp_path)
    assert json.loads(gone.out) == {"name": bobs["name"], "revoked": True}
    both = callboard("keys", "list", place.address, cwd=tmp_path).out
    assert both.count("  revoked 2") == 2
    again = callboard("keys", "add", place.address, *wishes, cwd=tmp_path)
    assert_refused(again, "there is a key 'laptop' already")
    assert callboard("journal", "check", place.address, cwd=tmp_path).status == 0


def test_what_is_no_key_or_no_journal_is_refused(tmp_path: Path) -> None:
    there = tmp_path / "keys.db"
    for wrong, said in (
        (("--user", ""), "user is ''"),
        (("--user", "ada", "--expires", "0s"), "has passed already"),
        (("--user", "ada", "--name", "A b"), "cannot name a key"),
        ((), "--user"),
    ):
        assert_refused(callboard("keys", "add", there, *wrong, cwd=tmp_path), said)
    assert callboard("keys", "add", there, "--user", "ada", cwd=tmp_path).status == 0
    assert_refused(callboard("keys", "revoke", there, "nobody", cwd=tmp_path), "there is no key 'nobody'")
    assert_refused(callboard("keys", "list", tmp_path / "none.db", cwd=tmp_path), "there is no journal")

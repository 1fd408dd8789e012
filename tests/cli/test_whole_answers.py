"""What commands print, whole: of journals, keys, configuration, tools; and what a server says at its start."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import time_machine

from callboard import ApiKeys
from tests.cli.stores import Place

from .command import callboard
from .test_serve import serving

TEAM = "agents: {A: {instructions: Be brief.}, B: {}}\nproviders: {offline: {}}\n"


async def journal_of(folder: Path, *conversations: str) -> str:
    await Place(str(folder / "j.db")).fill(*conversations)
    return "j.db"


async def test_a_journals_problems_and_what_became_of_them_as_text_and_as_json(tmp_path: Path) -> None:
    name = await journal_of(tmp_path, "a", "b")
    place = Place(str(tmp_path / name))
    place.execute("UPDATE streams SET version = 9 WHERE name = 'A/a'")
    place.execute("UPDATE events SET data = '[]' WHERE stream = 'A/b' AND version = 1")
    header = r"its header says version 9, its last event is \d+"
    checked = callboard("journal", "check", name, cwd=tmp_path)
    first, second, last = checked.out.splitlines()
    assert re.fullmatch(rf"A/a: {header} \(repair: its header is made again out of its events\)", first)
    assert second.startswith("A/b: its event 1 (Accepted) cannot be read: ")
    assert (checked.status, last) == (1, "2 problems in 2 streams")
    told = json.loads(callboard("journal", "check", name, "--json", cwd=tmp_path).out)
    assert told["sound"] is False
    assert [(one["stream"], one.keys()) for one in told["problems"]] == [
        (stream, {"stream", "problem", "remedy"}) for stream in ("A/a", "A/b")
    ]
    assert re.fullmatch(header, told["problems"][0]["problem"])
    repaired = callboard("journal", "repair", name, cwd=tmp_path)
    assert repaired.status == 1
    assert repaired.out.splitlines()[-1] == "what is left: 1 problem in 1 stream"
    again = callboard("journal", "repair", name, "--json", cwd=tmp_path)
    assert again.status == 1
    told = json.loads(again.out)
    assert (told.keys(), told["sound"], len(told["left"])) == ({"sound", "done", "left"}, False, 1)


async def test_what_vacuum_and_prune_have_done(tmp_path: Path) -> None:
    name = await journal_of(tmp_path, "a", "b")
    said = callboard("journal", "vacuum", name, cwd=tmp_path).out
    before, after = re.fullmatch(r"vacuumed: ([\d,]+) bytes before, ([\d,]+) now\n", said).groups()  # type: ignore[union-attr]
    size = (tmp_path / name).stat().st_size
    assert int(after.replace(",", "")) == size
    assert int(before.replace(",", "")) >= size > 1000
    told = json.loads(callboard("journal", "vacuum", name, "--json", cwd=tmp_path).out)
    assert told == {"vacuumed": True, "bytes_before": size, "bytes_after": size}
    with Place(str(tmp_path / name)).journal() as journal:
        await journal.open("A/a")  # type: ignore[misc]
        assert callboard("journal", "prune", name, "--finished", "0s", cwd=tmp_path).out == "deleted 1 stream\n"
    assert callboard("journal", "prune", name, "--finished", "0s", cwd=tmp_path).out == "deleted 1 stream\n"
    assert callboard("journal", "prune", name, "--finished", "0s", cwd=tmp_path).out == "deleted 0 streams\n"
    early = callboard("journal", "prune", name, "--ephemeral", "-5s", cwd=tmp_path)
    assert early.err == "callboard: --ephemeral -5 s lies in the future; give an age such as 30d\n"


async def test_a_key_is_listed_in_a_line_that_says_whose_what_for_and_until_when(tmp_path: Path) -> None:
    def listed() -> list[str]:
        out = callboard("keys", "list", "k.db", cwd=tmp_path).out
        return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+", "WHEN", out).splitlines()

    for words in (
        ("--user", "ada", "--tenant", "acme", "--scope", "b", "--scope", "a", "--name", "one"),
        ("--user", "bob", "--expires", "12h", "--name", "two"),
    ):
        assert callboard("keys", "add", "k.db", *words, cwd=tmp_path).status == 0
    assert sorted(listed()) == ["one  ada of acme  scopes a, b  for ever", "two  bob  no scopes  until WHEN"]
    kept = ApiKeys(str(tmp_path / "k.db"))
    with time_machine.travel(1.0, tick=False):
        await kept.add(user="eve", expires_at=5.0, name="three")
    kept.close()
    assert callboard("keys", "revoke", "k.db", "one", cwd=tmp_path).out == "revoked one\n"
    assert sorted(listed()) == [
        "one  ada of acme  scopes a, b  revoked WHEN",
        "three  eve  no scopes  expired WHEN",
        "two  bob  no scopes  until WHEN",
    ]
    wrong = callboard("keys", "add", "k.db", "--user", "x", "--expires", "-90s", cwd=tmp_path)
    assert wrong.err == "callboard: --expires -90 s has passed already; give a time such as 90d\n"


def test_what_a_file_says_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "team.yaml").write_text(TEAM, encoding="utf-8")
    (tmp_path / "llm.yaml").write_text("providers: {offline: {}, b: {type: offline}}\n", encoding="utf-8")
    (tmp_path / "none.yaml").write_text("routing: weighted\n", encoding="utf-8")
    for name, said in (
        ("team.yaml", "a team of 2: A, B"),
        ("llm.yaml", "providers: offline, b"),
        ("none.yaml", "providers: those of the environment"),
    ):
        assert callboard("config", "check", name, cwd=tmp_path).out == f"{name}: {said}\n"


def test_a_tool_prints_what_an_agent_would_get_and_an_error_is_two_lines_at_most(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\x1b[31m\n", encoding="utf-8")
    assert callboard("tool", "LS", cwd=tmp_path).out == "a.txt (9 bytes)\n"
    assert "one\\x1b[31m" in callboard("tool", "Read", '{"path": "a.txt"}', cwd=tmp_path).out
    many = callboard("tool", "Read", json.dumps({f"wrong_argument_{n}": n for n in range(40)}), cwd=tmp_path)
    first, second = many.err.splitlines()
    assert first.startswith("callboard: ")
    assert 300 < len(second) <= 400
    assert second.endswith("[...]")
    assert not second.startswith("- ")
    assert "; " in second


def test_a_path_in_an_error_is_known_by_its_last_hundred_characters(tmp_path: Path) -> None:
    path = "x/" * 2200 + "e" * 98  # longer than any path may be
    done = callboard("run", path, "hi", cwd=tmp_path)
    assert (done.status, done.err) == (2, f"callboard: …x/{'e' * 98}: File name too long\n")


@pytest.mark.parametrize(
    ("variables", "again"),
    [({}, "callboard demo --dashboard"), ({"MAKELEVEL": "1"}, "make demo DASHBOARD=1")],
)
def test_a_demo_ends_in_how_it_is_seen_in_a_browser(tmp_path: Path, variables: dict[str, str], again: str) -> None:
    (tmp_path / "a.txt").write_text("TODO: one\n", encoding="utf-8")
    done = callboard("demo", cwd=tmp_path, env=variables)
    assert (done.status, done.err) == (0, ""), done
    assert done.out.splitlines()[-2:] == ["", f"The same in a browser: {again}"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), [r"callboard: serving team\.yaml at http://127\.0\.0\.1:\d+; Ctrl-C ends it"]),
        (
            ("--workers", "2", "--journal", "j.db", "--drain", "0"),
            [
                r"callboard: serving team\.yaml at http://127\.0\.0\.1:\d+ by 2 workers; "
                "Ctrl-C ends them, SIGHUP replaces them one by one"
            ],
        ),
        (
            ("--reload",),
            [r"callboard: serving team\.yaml at http://127\.0\.0\.1:\d+ by one worker; Ctrl-C ends them.*"],
        ),
    ],
)
def test_a_server_says_where_it_is_and_how_it_ends(tmp_path: Path, options: tuple[str, ...], said: list[str]) -> None:
    (tmp_path / "team.yaml").write_text(TEAM, encoding="utf-8")
    with serving(tmp_path, "team.yaml", *options) as it:
        assert it.url.startswith("http://127.0.0.1:")
        assert [re.fullmatch(one, line.rstrip("\n")) is not None for one, line in zip(said, it.seen, strict=True)] == [
            True
        ]

"""The conversations of a chat, and agencies that a program has."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .command import Done, assert_refused, callboard, offline, talk

TEAM = "agents: {A: {}, B: {}}\njournal: chats.db\n"
APP = """\
from callboard import Agency, Agent
agency = Agency(Agent("A"), Agent("B"), model="offline")
number = 5
"""
OWN = """\
import asyncio
from shop import agency

async def main():
    async with agency:
        await agency.chat()
        print("and on")

asyncio.run(main())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "team.yaml").write_text(TEAM, encoding="utf-8")
    (tmp_path / "shop.py").write_text(APP, encoding="utf-8")
    return tmp_path


def names(done: Done) -> list[str]:
    return re.findall(r"^[* ] *\d+  .{16}  (\S+)", done.out, re.MULTILINE)


def test_a_chat_begins_anew_and_goes_on_where_that_is_wanted(folder: Path) -> None:
    talk(folder, "hello one")
    talk(folder, "hello two")
    listed = talk(folder, "/sessions")
    second, first = names(listed)
    assert re.search(f"{first}  A  hello one$", listed.out, re.MULTILINE)
    assert "*" not in listed.out
    latest = talk(folder, "/sessions", options=("--resume",))
    assert f"{second}, 1 question so far\nyou> hello two\nA> " in latest.out
    assert "*  1  " in latest.out
    assert "you> hello one" in talk(folder, options=("--resume", first)).out
    assert "you> hello one" in talk(folder, "/sessions", "/sessions 2").out
    for words in (("--resume", "team.yaml"), ("--resume", second, "team.yaml")):
        assert f"{second}, 1 question so far" in callboard("chat", *words, cwd=folder).out
    assert_refused(callboard("chat", cwd=folder), "say with whom")
    assert_refused(callboard("chat", "team.yaml", "--resume", "a", "b", cwd=folder), "one conversation, not 2: a b")
    assert_refused(callboard("chat", "team.yaml", "--resume", "nosuch", cwd=folder), "no conversation is called nosuch")


def test_where_nothing_is_kept_a_chat_says_how_it_would_be(folder: Path) -> None:
    assert_refused(callboard("chat", "team.yaml", "--resume", cwd=folder), "no conversation is kept yet")
    assert_refused(callboard("chat", "shop:agency", "--resume", cwd=folder), "journal: chats.db")
    done = talk(folder, "/sessions", "/undo", "/fork", "/save x.md", "/save")
    assert "no conversation is kept yet" in done.out
    assert done.out.count("nothing has been said yet") == 3
    assert "say into which file: /save FILE" in done.out


def test_nobody_is_shown_the_conversations_of_others(folder: Path) -> None:
    talk(folder, "hello", options=("--user", "ann"))
    assert "no conversation is kept yet" in talk(folder, "/sessions").out
    assert "no conversation is kept yet" in talk(folder, "/sessions", options=("--user", "bob")).out
    (mine,) = names(talk(folder, "/sessions", options=("--user", "ann")))
    assert_refused(callboard("chat", "team.yaml", "--resume", mine, "--user", "bob", cwd=folder), "no conversation")


def test_a_question_is_undone(folder: Path) -> None:
    done = talk(folder, "hello one", "hello two", "/undo", "/save x.md", "/undo", "/undo")
    assert "undone: hello two" in done.out
    assert "undone: hello one" in done.out
    assert "there is nothing left to be undone" in done.out
    saved = (folder / "x.md").read_text(encoding="utf-8")
    assert "## You\n\nhello one" in saved
    assert "hello two" not in saved


def test_a_copy_goes_its_own_way(folder: Path) -> None:
    done = talk(
        folder, "hello one", "hello two", "@B hello B", "@A hello three", "/fork 1", "@B what", "/sessions", "/fork x"
    )
    copy, whole = names(done)
    assert f"you are in a copy now: {copy}" in done.out
    assert "say after which step of B, from 0 to 2, and not x:" in done.out
    (folder / "kept").mkdir()
    talk(folder, f"/save {folder}/kept/copy.md", options=("--resume", copy))
    talk(folder, "/save kept/whole.md", options=("--resume", whole))
    saved = (folder / "kept" / "copy.md").read_text(encoding="utf-8")
    assert "hello one" in saved
    assert "hello two" not in saved
    assert "hello B" in saved, "the other agent's part is in the copy, too"
    assert "hello three" in (folder / "kept" / "whole.md").read_text(encoding="utf-8")


def test_a_number_of_thousands_of_digits_is_none(folder: Path) -> None:
    done = talk(folder, "hello", "/sessions", f"/fork {'9' * 5000}", f"/sessions {'9' * 5000}", "/fork 999999999")
    assert "from 0 to 1, and not 999" in done.out
    assert "no conversation is called 999" in done.out
    assert "from 0 to 1, and not 999999999:" in done.out


def test_a_file_that_is_there_is_not_written_over(folder: Path) -> None:
    (folder / "mine.md").write_text("mine", encoding="utf-8")
    done = talk(folder, "hello", "/save mine.md", "/save no/where.md", "/save ~nobody-here/x.md", "/save x\0y")
    assert "mine.md exists already" in done.out
    assert done.out.count("cannot write") == 3
    assert (folder / "mine.md").read_text(encoding="utf-8") == "mine"


def test_models_are_shown_and_changed(folder: Path) -> None:
    done = talk(folder, "/model", "/model offline", "/model nosuch", "/model gpt-5")
    assert "A            the model of the pool" in done.out
    assert "B            offline" in done.out
    assert "no provider knows the model 'nosuch'" in done.out
    assert "set OPENAI_API_KEY" in done.out
    assert_refused(callboard("chat", "team.yaml", "--model", "gpt-5", cwd=folder), "OPENAI_API_KEY")


def test_an_agency_of_a_module_is_talked_to(folder: Path) -> None:
    done = callboard("chat", "shop:agency", cwd=folder, typed="/agents\n@B hello\n")
    assert done.status == 0, done
    assert "You talk to A." in done.out
    assert "B> " in done.out
    assert (
        "A            offline"
        in callboard("chat", "shop:agency", "--model", "offline", cwd=folder, typed="/model\n").out
    )
    assert_refused(
        callboard("chat", "shop:number", cwd=folder), "expected an Agency; shop:number is a value of type int"
    )
    assert_refused(callboard("chat", "shop:nosuch", cwd=folder), "shop has no 'nosuch'")
    assert_refused(callboard("chat", "nosuch:agency", cwd=folder), "no module is called 'nosuch'")


def test_a_program_has_its_agency_talked_to_and_goes_on(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OWN],
        cwd=folder,
        env=offline(),
        input="@B hello\n/cost\n",
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done
    assert "B            1 completions" in done.stdout
    assert done.stdout.endswith("and on\n")

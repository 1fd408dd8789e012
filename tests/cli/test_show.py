"""``callboard show`` and ``callboard replay`` read a journal, in use or not, and say what they cannot find."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from callboard.actors.agents.answer import Answer
from tests.agents.conversations.support import Hold, team, tell

from .command import Done, assert_refused, callboard


async def kept(journal: Path) -> list[Answer]:
    """A journal with a conversation, one that was transferred, and one of another agent."""
    async with team(journal) as agency:
        answers = [await tell(agency, words, "c", user="ada") for words in ("hi", "sum", "erase")]
        await tell(agency, "bill", "moved")
        await tell(agency, "hi", "both")
        await tell(agency, "hi", "both", agent="Expert")
    return answers


def ran(journal: Path, *arguments: str) -> str:
    """What a command that succeeds prints."""
    done = callboard(arguments[0], journal, *arguments[1:], cwd=journal.parent)
    assert done.status == 0, done
    assert done.err == ""
    return done.out


def test_a_list_has_a_line_for_each_conversation(tmp_path: Path) -> None:
    journal = tmp_path / "j.db"
    asyncio.run(kept(journal))
    lines = ran(journal, "show").splitlines()
    assert [line.split()[0] for line in lines] == ["Expert/both", "Front/both", "Front/c", "Front/moved"]
    assert lines[2].endswith("finished    ada")
    (line,) = ran(journal, "show", "--agent", "Expert").splitlines()
    assert line.startswith("Expert/both")
    found = [json.loads(line) for line in ran(journal, "show", "--json").splitlines()]
    assert [(one["agent"], one["id"], one["user"]) for one in found][2] == ("Front", "c", "ada")


def test_one_conversation_is_shown_with_its_steps_and_what_they_cost(tmp_path: Path) -> None:
    journal = tmp_path / "j.db"
    answers = asyncio.run(kept(journal))
    out = ran(journal, "show", "c")
    assert out.startswith("Front/c  idle  for ada\n3 runs, 5 steps, 75 tokens, $")
    for answer in answers:
        assert f"run {answer.run}  answered" in out
    for line in ("asked: sum", 'add({"a": 1, "b": 2}) → 3', "approved → notes is gone", "answer: done: 3"):
        assert line in out
    view = json.loads(ran(journal, "show", "c", "--json"))
    assert [step["number"] for step in view["steps"]] == [1, 2, 3, 4, 5]
    assert view["runs"][1]["answer"] == "done: 3"
    assert ran(journal, "show", "Front/c") == out
    assert ran(journal, "replay", "Front/c") == ran(journal, "replay", "c")
    moved = ran(journal, "show", "moved")
    assert "transferred to Billing/" in moved
    assert "conversations of other agents that belong to it\n  Billing/" in moved


def test_the_debugger_stops_after_a_step_and_shows_what_there_was(tmp_path: Path) -> None:
    journal = tmp_path / "j.db"
    asyncio.run(kept(journal))
    out = ran(journal, "replay", "c", "--to", "2")
    before, _, after = out.partition("\n\n")
    events = [line.split()[3] for line in before.splitlines()[::2]]
    first = ["Accepted", "Begin", "Completed", "Ended"]
    assert events == [*first, "Accepted", "Begin", "Completed", "ToolsStarted", "ToolReturned"]
    assert "acting, 3 messages, 2 steps → carry out add" in out
    assert after.startswith("after event 9: completing, 2 steps")
    assert after.splitlines()[-1].split() == ["5", "tool", "3"]
    assert "0 steps" in ran(journal, "replay", "c", "--to", "0").splitlines()[-2]
    assert "does not fit" not in ran(journal, "replay", "c")
    # Not at a terminal nothing is waited for.
    assert ran(journal, "replay", "c", "--step") == ran(journal, "replay", "c")
    assert "go on with --agent Billing" in ran(journal, "replay", "moved")


def test_what_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    journal = tmp_path / "j.db"
    asyncio.run(kept(journal))

    def refused(*arguments: str) -> Done:
        return callboard(*arguments, cwd=tmp_path)

    assert_refused(refused("show", "nowhere.db"), "there is no journal nowhere.db")
    assert not (tmp_path / "nowhere.db").exists()
    assert_refused(refused("show", "j.db", "x"), "no conversation 'x'")
    assert_refused(refused("show", "j.db", "c", "--agent", "Expert"), "Expert has no conversation 'c'")
    assert_refused(refused("show", "j.db", "both"), "Expert, Front", "--agent")
    assert_refused(refused("replay", "j.db", "c", "--to", "6"), "5 steps")
    assert_refused(refused("replay", "j.db", "c", "--to", "-1"), "5 steps")
    (tmp_path / "text").write_text("no journal")
    assert_refused(refused("show", "text"), "text")


async def test_a_conversation_in_use_is_shown_and_not_disturbed(tmp_path: Path) -> None:
    journal, hold = tmp_path / "j.db", Hold()
    async with team(journal, tools=[hold.tool]) as agency:
        run = asyncio.ensure_future(agency.run("sum", conversation="c"))
        await hold.begun.wait()
        out = await asyncio.to_thread(ran, journal, "show", "c")
        assert out.startswith("Front/c  running")
        assert "no result yet" in out
        hold.go.set()
        assert (await run).text == "done: 3"
        assert (await tell(agency, "hi", "c")).text == "to hi"

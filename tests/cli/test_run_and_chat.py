"""``callboard run`` and ``callboard chat``, as a user runs them: from a team file, offline."""

from __future__ import annotations

import asyncio
import re
import subprocess
import threading
from pathlib import Path

import pytest

from callboard.providers import Completion, Request
from callboard.providers.offline import complete
from callboard.providers.simulated import SimulatedProvider

from .command import Done, assert_refused, callboard
from .terminal import Terminal

TEAM = """\
agents:
  Planner:
    instructions: Hand the work over to the Developer; do none of it yourself.
  Developer:
    instructions: Do it.
    tools: [LS, Grep, Write]
    autonomy: {autonomy}
flows:
  - [Planner, Developer]
"""
ASK = "List every TODO and write the report to out.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a.txt").write_text("TODO: one\n", encoding="utf-8")
    (tmp_path / "team.yaml").write_text(TEAM.format(autonomy="autonomous"), encoding="utf-8")
    (tmp_path / "careful.yaml").write_text(TEAM.format(autonomy="supervised"), encoding="utf-8")
    return tmp_path


def talk(folder: Path, *lines: str, team: str = "team.yaml") -> Done:
    done = callboard("chat", team, "--folder", "work", cwd=folder, typed="".join(f"{line}\n" for line in lines))
    assert done.status == 0, done
    return done


def test_run_prints_the_answer_to_stdout_and_how_it_came_about_to_stderr(folder: Path) -> None:
    done = callboard("run", "team.yaml", ASK, "--folder", "work", cwd=folder)
    assert done.status == 0, done
    assert "a.txt:1" in done.out
    assert "→" not in done.out
    assert "Planner → Developer" in done.err
    assert "Developer → Write" in done.err
    assert "TODO: one" in (folder / "work" / "out.md").read_text(encoding="utf-8")


MODELS = "providers:\n  mine:\n    type: offline\n    default_model: rules\nroles: {Assistant: mine}\n"


def test_run_and_chat_answer_with_one_plain_agent_where_a_file_says_only_models(folder: Path) -> None:
    (folder / "llm.yaml").write_text(MODELS, encoding="utf-8")
    done = callboard("run", "llm.yaml", "hello there", cwd=folder)
    assert done.status == 0, done
    assert "you said: hello there" in done.out
    assert "Assistant ⇠ mine" in done.err
    done = talk(folder, "hello", "/agents", team="llm.yaml")
    assert "You talk to Assistant." in done.out
    assert "you said: hello" in done.out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("provider: {offline: {}}\n", "line 1: provider: unknown entry; did you mean 'providers'?"),
        ("providers: {offline: {timeot: 3}}\n", "did you mean 'timeout'?"),
        ("agnets: {A: {}}\nproviders: {offline: {}}\n", "agnets: unknown entry; did you mean 'agents'?"),
        ("flows: []\nproviders: {offline: {}}\n", "'agents' is missing"),
    ],
)
def test_a_wrong_file_is_refused_as_what_it_was_meant_to_be(folder: Path, text: str, said: str) -> None:
    (folder / "any.yaml").write_text(text, encoding="utf-8")
    assert_refused(callboard("run", "any.yaml", "hello", cwd=folder), "any.yaml, line ", said)


def test_a_team_file_may_name_every_built_in_tool(folder: Path) -> None:
    subprocess.run(["git", "init", "-q", "work"], cwd=folder, check=True)
    every = "LS, Glob, Grep, Read, Write, Edit, MultiEdit, Bash, Git, WebFetch, RunPython, TodoWrite"
    team = (folder / "team.yaml").read_text(encoding="utf-8").replace("LS, Grep, Write", every)
    (folder / "every.yaml").write_text(team, encoding="utf-8")
    done = callboard("run", "every.yaml", ASK, "--folder", "work", cwd=folder)
    assert done.status == 0, done
    assert "a.txt:1" in done.out


def test_a_chat_keeps_the_conversation_and_tells_agents_cost_and_tree(folder: Path) -> None:
    done = talk(folder, "/agents", "/cost", ASK, "@developer List the files", "/cost", "/tree", "/quit", "not read")
    assert "Planner → Developer" in done.out
    assert "nothing has been used yet" in done.out
    assert "Developer> a.txt" in done.out
    assert "Planner      2 completions" in done.out
    assert re.search("└── chat-[0-9a-f-]+  Conversation", done.out)
    assert "not read" not in done.out


def test_a_chat_explains_a_line_it_does_not_understand(folder: Path) -> None:
    done = talk(folder, "@Zoe hello", "/agnets")
    assert "no agent is called @Zoe; there are @Planner, @Developer" in done.out
    assert "did you mean /agents?" in done.out


def test_a_risky_call_is_approved_in_the_chat(folder: Path) -> None:
    done = talk(folder, ASK, "yes", team="careful.yaml")
    assert 'Developer wants Write: path="out.md"' in done.out
    assert (folder / "work" / "out.md").exists()


def test_a_request_and_a_chat_are_for_the_user_who_is_named(folder: Path) -> None:
    team = "skills: {storage: {settings: {folder: work}}}\nagents: {A: {skills: [storage]}}\njournal: team.db\n"
    (folder / "team.yaml").write_text(team, encoding="utf-8")
    ann = ("--user", "ann", "--tenant", "acme")
    run = ("run", "team.yaml", "list the storage")
    nobody = callboard(*run, cwd=folder)
    assert "whose files these are is not known" in nobody.out, nobody
    (write,) = [callboard("chat", "team.yaml", *ann, cwd=folder, typed='storage_write path "a.md" content "tea"\n')]
    assert "wrote 3 bytes" in write.out, write
    assert "a.md (3 bytes)" in callboard(*run, *ann, cwd=folder).out
    assert "(there are no files)" in callboard(*run, "--user", "ann", cwd=folder).out
    assert_refused(callboard(*run, "--tenant", "acme", cwd=folder), "give both")
    shown = callboard("show", "team.db", cwd=folder).out
    assert "A/chat-acme-ann" in shown
    assert "ann of acme" in shown


def test_who_is_asked_in_the_chat_is_told_why(folder: Path) -> None:
    labelled = (folder / "team.yaml").read_text(encoding="utf-8") + "label_policy: {}\n"
    (folder / "labelled.yaml").write_text(labelled, encoding="utf-8")
    done = talk(folder, ASK, "no", team="labelled.yaml")
    assert 'Developer wants Write: path="out.md"' in done.out
    assert "why: Write may not be called because of text from outside (tool Grep)" in done.out
    assert not (folder / "work" / "out.md").exists()


def test_a_risky_call_is_denied_in_the_chat_with_a_reason_that_the_model_is_told(folder: Path) -> None:
    done = talk(folder, ASK, "no, I keep that file", team="careful.yaml")
    assert "I keep that file" in done.out
    assert not (folder / "work" / "out.md").exists()


def test_the_arguments_of_a_risky_call_are_edited_in_the_chat(folder: Path) -> None:
    talk(folder, ASK, "edit", '{"path": "other.md", "content": "mine"}', team="careful.yaml")
    assert (folder / "work" / "other.md").read_text(encoding="utf-8") == "mine"
    assert not (folder / "work" / "out.md").exists()


def test_input_that_ends_while_a_call_waits_denies_it(folder: Path) -> None:
    talk(folder, ASK, team="careful.yaml")
    assert not (folder / "work" / "out.md").exists()


def test_ctrl_c_at_an_approval_cancels_the_run_and_not_the_program(folder: Path) -> None:
    terminal = Terminal(folder, "careful.yaml")
    try:
        terminal.until("you>")
        terminal.press(f"{ASK}\r")
        terminal.until("allow?")
        terminal.press("\x03")
        terminal.until("cancelled", "you>")
        terminal.press("/cost\r")
        terminal.until("1 completions", "you>")
        terminal.press("\x04")
        assert terminal.process.wait(60) == 0
    finally:
        terminal.close()
    assert not (folder / "work" / "out.md").exists()


async def test_ctrl_c_cancels_a_request_in_flight_and_the_chat_goes_on(folder: Path) -> None:
    asked = threading.Event()

    async def only_the_second_time(request: Request) -> Completion:
        if not asked.is_set():
            asked.set()
            await asyncio.get_running_loop().create_future()
        return complete(request)

    async with SimulatedProvider(only_the_second_time) as server:
        mine = f"providers:\n  mine:\n    base_url: {server.base_url}\n    default_model: any\n"
        (folder / "mine.yaml").write_text(TEAM.format(autonomy="autonomous") + mine, encoding="utf-8")

        def interrupt_and_ask_again() -> int:
            terminal = Terminal(folder, "mine.yaml")
            try:
                terminal.until("you>")
                terminal.press("hello\r")
                assert asked.wait(60)
                terminal.press("\x03")
                terminal.until("cancelled", "you>")
                terminal.press("hello again\r")
                terminal.until("Planner>", "you>")
                terminal.press("\x04")
                return terminal.process.wait(60)
            finally:
                terminal.close()

        assert await asyncio.to_thread(interrupt_and_ask_again) == 0
        assert server.stats.disconnects == 1, "the cancelled request was still under way"

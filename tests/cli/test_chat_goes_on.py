"""A chat that goes on with what an earlier one has left: calls that wait for a person, copies, and their questions."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path

import pytest

from callboard.providers.messages import Completion, Message, Request, ToolCall, Usage
from callboard.providers.simulated import SimulatedProvider

from .command import assert_refused, callboard, talk
from .terminal import PATIENCE, Terminal

TEAM = "agents: {A: {handoffs: [B]}, B: {}}\njournal: chats.db\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    (tmp_path / "team.yaml").write_text(TEAM, encoding="utf-8")
    return tmp_path


def writes(request: Request) -> Completion:
    """A model that writes a file, and says then what came of it."""
    if request.messages[-1].role == "tool":
        return Completion(Message("assistant", f"now: {request.messages[-1].text}"), "stop", Usage(10, 20))
    call = ToolCall("c", "Write", '{"path": "a.md", "content": "x"}')
    return Completion(Message("assistant", "", tool_calls=(call,)), "tool_calls", Usage(10, 20))


async def test_a_call_that_waited_as_the_terminal_was_closed_is_asked_for_again(folder: Path) -> None:
    async with SimulatedProvider(writes) as server:
        (folder / "team.yaml").write_text(
            "agents: {A: {tools: [Write], autonomy: supervised}}\njournal: chats.db\n"
            f"providers: {{mine: {{base_url: '{server.base_url}', api_key: x, default_model: any}}}}\n",
            encoding="utf-8",
        )

        def asked(*words: str, first: bool = False) -> Terminal:
            terminal = Terminal(folder, "team.yaml", *words)
            terminal.until("you>")
            if first:
                terminal.press("go\r")
            else:
                terminal.until("an earlier question is not done yet")
            terminal.until("A wants Write", "allow?")
            return terminal

        def chats() -> None:
            terminal = asked(first=True)
            terminal.process.send_signal(signal.SIGHUP)
            assert terminal.process.wait(PATIENCE) == -signal.SIGHUP
            terminal.close()
            terminal = asked("--resume")
            try:
                terminal.press("\x03")
                terminal.until("cancelled", "you>")
                terminal.press("/undo\r")
                terminal.until("undone: go", "you>")
                terminal.press("and again\r")
                terminal.until("A wants Write", "allow?")
            finally:
                terminal.close()
            assert not (folder / "work" / "a.md").exists()
            terminal = asked("--resume")
            try:
                terminal.press("yes\r")
                terminal.until("A>", "now: wrote a.md", "you>")
                terminal.press(f"/save {folder}/saved.md\r")
                terminal.until("saved in", "you>")
                terminal.press("\x04")
                assert terminal.process.wait(PATIENCE) == 0
            finally:
                terminal.close()

        await asyncio.to_thread(chats)
    assert (folder / "work" / "a.md").exists()
    assert "- called `Write` {" in (folder / "saved.md").read_text(encoding="utf-8")
    assert "- came back: wrote a.md (1 bytes)\n" in (folder / "saved.md").read_text(encoding="utf-8")


def test_a_copy_has_the_questions_that_it_was_made_with(folder: Path) -> None:
    done = talk(folder, "hello one", "hello two", "hello three", "/fork 2", "hello four", "/sessions")
    copy = re.findall(r"you are in a copy now: (\S+), after step 2 of A", done.out)[0]
    assert re.search(rf"\*  1 .* {copy}  A  hello four$", done.out, re.MULTILINE)
    undone = talk(folder, "/undo", "/undo", "/sessions", "/undo", "/undo", options=("--resume", copy)).out
    assert f"{copy}, 3 questions so far\nyou> hello four\nA> " in undone
    assert re.search(rf"  1 .* {copy}  A  hello one$", undone, re.MULTILINE)
    assert re.findall("undone: (.*)", undone) == ["hello four", "hello two", "hello one"]
    assert "there is nothing left to be undone" in undone
    again = talk(folder, "hello one", "hello two", "/fork", "/undo", "/save left.md").out
    assert "undone: hello two" in again
    left = (folder / "left.md").read_text(encoding="utf-8")
    assert "hello one" in left
    assert "hello two" not in left


def test_what_a_copy_may_be_made_after_is_listed(folder: Path) -> None:
    done = talk(folder, "@B hello one", "@B hello two", "/fork ?", "/fork 99", "/fork 1")
    assert "say after which step of B, from 0 to 2, and not ?:\n   1  " in done.out
    assert "\n   2  " in done.out
    assert "say after which step of B, from 0 to 2, and not 99:" in done.out
    assert ", after step 1 of B" in done.out


def test_who_may_hand_off_to_whom_is_told(folder: Path) -> None:
    assert "@A\n@B\nA → B\n" in talk(folder, "/agents").out


def test_who_has_no_conversation_is_told_so_where_others_have(folder: Path) -> None:
    talk(folder, "hello")
    refused = callboard("chat", "team.yaml", "--user", "bob", "--resume", cwd=folder)
    assert_refused(refused, "no conversation of bob is kept yet")
    assert "journal:" not in refused.err

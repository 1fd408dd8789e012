"""What ``callboard run`` and ``callboard chat`` print, whole: each command of a chat, and the last lines of a run."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from callboard.providers.messages import Completion, Message, Usage
from callboard.providers.simulated import SimulatedProvider

from .command import callboard

TEAM = """\
agents:
  Planner: {instructions: Hand the work over to the Developer; do none of it yourself., description: plans}
  Developer: {tools: [Grep, Write], autonomy: supervised}
flows: [[Planner, Developer]]
journal: team.db
providers: {offline: {}}
"""
ASK = "List every TODO and write the report to out.md"
OFFLINE = """\
I am the offline model: a set of rules, no language model, so I can only use tools by the words I find.
Nothing in 'hello' fits what I have:
- Grep: Search file contents by regular expression. Each match is shown as file:line:text.
- Write: Write a text file: make it, with the folders on the way, or replace all of its content.
To talk to a real model, set OPENAI_API_KEY or ANTHROPIC_API_KEY, and name no provider or model offline.
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a.txt").write_text("TODO: one\n", encoding="utf-8")
    (tmp_path / "team.yaml").write_text(TEAM, encoding="utf-8")
    return tmp_path


def talked(folder: Path, *lines: str) -> str:
    """What a chat prints, with numbers, names and times that are the same each time; without its greeting."""
    done = callboard("chat", "team.yaml", "--folder", "work", cwd=folder, typed="".join(f"{line}\n" for line in lines))
    assert (done.status, done.err) == (0, ""), done
    greeting, _, said = done.out.partition("\n")
    assert greeting == "You talk to Planner. /help lists the commands, Ctrl-D leaves."
    said = re.sub(r"chat-\d{4}-[0-9a-f]{8}", "CHAT", re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "WHEN", said))
    return re.sub(r"^ *\d+\.\d\d s", "SECONDS", re.sub(r"\d+\.\d\d s \(", "SECONDS (", said), flags=re.MULTILINE)


def test_what_a_chat_says_of_itself_before_anything_is_asked(folder: Path) -> None:
    said = talked(
        folder, "/help", "/agents", "/cost", "/save", "/undo", "/sessions", "/fork", "/model", "/new", "", "/quit"
    )
    assert (
        said
        == """\
a message for the first agent, or @agent and a message
Alt-Enter, or a backslash at the end of a line, begins another line
/agents    who is in the team, and who may hand off to whom
/cost      tokens and dollars so far, by agent
/tree      the actors that run now
/new       begin a new conversation
/sessions  the conversations that are kept; with a number or an id: go on with that one
/fork      go on in a copy of this conversation; with a number: as it was after that step; /fork ? lists the steps
/undo      take the last question and its answer out of the conversation
/save      write the conversation into a file, as Markdown: /save FILE
/model     which models are used; with a name: use that one
/help      this list
/quit      leave; so does Ctrl-D
@Planner  plans
@Developer
Planner → Developer
nothing has been used yet
say into which file: /save FILE
nothing has been said yet
no conversation is kept yet
nothing has been said yet
Planner      the model of the pool
Developer    the model of the pool
a new conversation
"""
    )


def test_what_is_typed_wrongly_is_answered_with_what_to_type(folder: Path) -> None:
    said = talked(folder, "/zzzz", "/hepl", "/help me", "@nobody hi", "@develoepr hi", "@developer", "@", "/quit")
    *lines, answer = said.splitlines()[:7]
    assert lines == [
        "no command is called /zzzz; there are /agents, /cost, /tree, /new, /sessions, /fork, /undo, /save, /model, "
        "/help, /quit",
        "no command is called /hepl; did you mean /help?",
        "/help stands alone: this list",
        "no agent is called @nobody; there are @Planner, @Developer",
        "no agent is called @develoepr; did you mean @Developer?",
        "say something to Developer: @Developer your message",
    ]
    assert "Planner ⇠ offline" in answer, "an @ alone is a message"


def test_a_conversation_is_listed_copied_undone_and_saved(folder: Path) -> None:
    said = talked(
        folder, "@Developer hello", "/cost", "/sessions", "/fork x", "/fork 1", "/undo", "/new", "/sessions 2"
    )
    assert (
        said
        == f"""\
Developer> {OFFLINE}\
SECONDS  Developer ⇠ offline    328 + 109 tokens, $0.0000, SECONDS (answered by rules, not by a language model)
Developer    1 completions, 328 + 109 tokens, $0.0000
*  1  WHEN  CHAT  Developer  hello
say after which step of Developer, from 0 to 1, and not x:
   1  I am the offline model: a set of rules, no language model, so I can only use too
you are in a copy now: CHAT, after step 1 of Developer
undone: hello
what tools have done is not undone
a new conversation
no conversation is called 2; the latest is CHAT
"""
    )
    lines = talked(folder, "@Developer hello", "/undo", "/undo", "/save out.md", "/save out.md", "/save no/where.md")
    assert lines.splitlines()[6:] == [
        "undone: hello",
        "what tools have done is not undone",
        "there is nothing left to be undone",
        "saved in out.md",
        "out.md exists already; give another name",
        "cannot write no/where.md: No such file or directory",
    ]
    assert (folder / "out.md").read_text(encoding="utf-8").startswith("# Developer, chat-")


async def test_a_long_line_of_an_answer_stays_one_line_where_no_terminal_reads_it(folder: Path) -> None:
    text = " ".join(["word"] * 400)
    async with SimulatedProvider(Completion(Message("assistant", text), "stop", Usage(3, 4))) as server:
        mine = f"providers: {{mine: {{base_url: '{server.base_url}', api_key: x, default_model: usual}}}}\n"
        (folder / "team.yaml").write_text(TEAM.replace("providers: {offline: {}}\n", mine), encoding="utf-8")
        done = await asyncio.to_thread(callboard, "chat", "team.yaml", cwd=folder, typed="hi\n")
        ran = await asyncio.to_thread(callboard, "run", "team.yaml", "hi", cwd=folder)
    assert done.out.splitlines()[1] == f"Planner> {text}", done
    assert ran.out == f"{text}\n"


async def test_what_looks_like_markup_or_a_name_of_an_emoji_or_a_number_is_shown_as_it_is(folder: Path) -> None:
    text = "[red]closed[/red] :smile: [link=x] 1,234 'words'"
    async with SimulatedProvider(Completion(Message("assistant", text), "stop", Usage(3, 4))) as server:
        mine = f"providers: {{mine: {{base_url: '{server.base_url}', api_key: x, default_model: usual}}}}\n"
        (folder / "team.yaml").write_text(TEAM.replace("providers: {offline: {}}\n", mine), encoding="utf-8")
        typed = f"{text}\n@nobody [bold]:smile:\n@[bold]:smile: hi\n"
        done = await asyncio.to_thread(callboard, "chat", "team.yaml", cwd=folder, typed=typed)
        ran = await asyncio.to_thread(callboard, "run", "team.yaml", text, cwd=folder, env={"FORCE_COLOR": "1"})
    assert done.out.splitlines()[1] == f"Planner> {text}", done
    assert "no agent is called @[bold]:smile:; there are @Planner, @Developer\n" in done.out
    assert "  [red]closed[/red] :smile: [link=x] 1,234 'word…\n" in ran.err
    assert re.fullmatch(
        r"\x1b\[2mno handoff; 3 \+ 4 tokens, price unknown, \d+\.\d\d s\x1b\[0m", ran.err.splitlines()[-1]
    )


def test_a_run_ends_in_what_it_took_and_what_was_denied(folder: Path) -> None:
    done = callboard("run", "team.yaml", ASK, "--folder", "work", cwd=folder)
    took, denied = done.err.splitlines()[-2:]
    assert re.fullmatch(r"Planner → Developer; \d+ \+ \d+ tokens, \$0\.0000, \d+\.\d\d s", took)
    assert denied == "Developer's Write was denied; let it with --approve Write"
    assert done.out.startswith("Developer answered:\n1 place with TODO in 1 file.\n- a.txt:1: TODO: one\n")
    alone = callboard("run", "team.yaml", "hello", "--folder", "work", cwd=folder).err.splitlines()[-1]
    assert re.fullmatch(r"no handoff; \d+ \+ \d+ tokens, \$0\.0000, \d+\.\d\d s", alone)


def test_a_run_as_json_has_all_that_is_known_of_the_answer(folder: Path) -> None:
    done = callboard("run", "team.yaml", ASK, "--folder", "work", "--json", "--approve", "all", cwd=folder)
    assert done.status == 0, done
    said = json.loads(done.out)
    assert said.pop("text").startswith("Developer answered:\n1 place with TODO in 1 file.\n")
    usage = said.pop("usage")
    assert usage.keys() == {
        *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
    }
    assert f"Planner → Developer; {usage['input_tokens']} + {usage['output_tokens']} tokens" in done.err
    assert said.pop("seconds") > 0
    assert said.pop("run") == said.pop("conversation")
    assert said == {
        "value": None,
        "agent": "Planner",
        "agents": ["Planner", "Developer"],
        "handoffs": ["Planner → Developer"],
        "cost": 0.0,
        "notes": ["answered by rules, not by a language model"],
        "denied": [],
    }

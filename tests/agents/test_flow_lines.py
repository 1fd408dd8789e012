"""What an agency prints when it is verbose, and what it logs at DEBUG."""

from __future__ import annotations

import io
import logging
import re
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from callboard import Agency, Agent, Caller, handoff, hook, tool
from callboard.actors.agents.errors import DefinitionError, RunFailed
from callboard.actors.agents.events import ToolFinished
from callboard.actors.agents.rendering.flow import WIDTH, FlowPrinter, harmless
from callboard.actors.testing.doubles.models import Script, call

from .support import add, scripted

SECRET = "hunter2 of the caller"


@tool(risk="safe")
async def fail(text: str) -> str:
    """Fails."""
    raise RuntimeError(f"no {text}")


def team(**options: Any) -> Agency:
    """One who delegates, calls two tools, and answers, with a secret in everything that is said."""
    script = Script(
        [
            call("delegate_to_B", message=f"do {SECRET}"),
            call("add", a=1, b=2),
            f"done {SECRET}",
            call("fail", text=SECRET),
            f"answer {SECRET}",
        ]
    )
    helper = Agent("B", f"You know {SECRET}.", tools=[add])
    front = Agent("A", f"You know {SECRET}.", tools=[fail], handoffs=[handoff(helper)])
    return Agency(front, model=scripted(script), **options)


def without_times(text: str) -> list[str]:
    return [re.sub(r"^ *\d+\.\d\d s  |\d+\.\d\d s$", "", line).strip() for line in text.splitlines()]


async def test_a_verbose_agency_prints_who_says_what_to_whom(capsys: pytest.CaptureFixture[str]) -> None:
    async with team(verbose=True) as agency:
        await agency.run(f"please {SECRET}")
    out, printed = capsys.readouterr()
    assert out == ""
    said = without_times(printed)
    assert [line for line in said if "⇠" not in line] == [
        f"you → A          please {SECRET}",
        f"A → B          do {SECRET}",
        "B → add        a=1, b=2",
        "B ← add        3",
        f"A ← B          done {SECRET}",
        f'A → fail       text="{SECRET}"',
        f"A ← fail       Error (ToolCrashed): RuntimeError: no {SECRET}",
        f"you ← A          answer {SECRET}",
    ]
    assert sum("⇠" in line for line in said) == 5, "one for each completion"
    assert "\x1b" not in printed, "no colours where there is no terminal"


async def test_an_agency_that_is_not_verbose_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    async with team() as agency:
        await agency.run("please")
    assert capsys.readouterr() == ("", "")
    with pytest.raises(DefinitionError, match="verbose is True or False"):
        team(verbose="yes")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("colours", [True, False])
def test_what_a_tool_wrote_cannot_move_the_cursor_of_a_terminal(monkeypatch: pytest.MonkeyPatch, colours: bool) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not colours:
        monkeypatch.setenv("NO_COLOR", "1")
    evil = "\x1b[2J\x1b]0;owned\x07 \u202egnp.exe\x9b31m"
    FlowPrinter()(ToolFinished("r", "r", "A", "c", ("A",), 0.0, tool=f"t{evil}", content=evil, is_error=True))
    printed = terminal.getvalue()
    assert re.findall(r"\x1b\[\d+m", printed) == (["\x1b[31m", "\x1b[0m"] if colours else [])
    assert printed.count("\x1b") == (2 if colours else 0)
    assert not {"\x07", "\u202e", "\x9b"} & set(printed)
    assert r"\x1b[2J" in printed, "it is shown as what it is"


def test_a_stderr_that_knows_no_arrows_gets_the_line_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(written, encoding="ascii"))
    FlowPrinter()(ToolFinished("r", "r", "A", "c", ("A",), 0.0, tool="add", content="3 €"))
    assert written.getvalue().split() == [b"0.00", b"s", b"A", b"?", b"add", b"3", b"?"]


@given(st.text())
def test_whatever_is_said_is_printed_in_one_line_that_a_terminal_obeys_in_nothing(said: str) -> None:
    assert harmless(said).replace("\u200c", "").replace("\u200d", "").isprintable()
    if said.isprintable() and " ".join(said.split()) == said:
        assert harmless(said) == said


async def test_a_line_is_no_longer_than_a_log_likes(capsys: pytest.CaptureFixture[str]) -> None:
    async with Agency(Agent("A"), model=scripted(Script(["word " * 200])), verbose=True) as agency:
        await agency.run("long " * 200)
    lines = capsys.readouterr().err.splitlines()
    assert [len(line) for line in lines if "→" in line or "←" in line] == [WIDTH, WIDTH]


async def test_a_run_at_debug_says_what_happens_without_what_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="callboard"):
        async with team() as agency:
            await agency.run(f"please {SECRET}", caller=Caller("ann"))
    records = [record.getMessage() for record in caplog.records if "run=" in record.getMessage()]
    assert [(line.split()[0], line.split()[1]) for line in records] == [
        ("RunStarted", "A"),
        *(("CompletionStarted", "A"), ("CompletionFinished", "A"), ("HandoffStarted", "A")),
        ("RunStarted", "B"),
        *(("CompletionStarted", "B"), ("CompletionFinished", "B"), ("ToolStarted", "B"), ("ToolFinished", "B")),
        *(("CompletionStarted", "B"), ("CompletionFinished", "B"), ("RunFinished", "B")),
        ("HandoffFinished", "A"),
        *(("CompletionStarted", "A"), ("CompletionFinished", "A"), ("ToolStarted", "A"), ("ToolFinished", "A")),
        *(("CompletionStarted", "A"), ("CompletionFinished", "A"), ("RunFinished", "A")),
    ]
    assert "tool=add" in records[7]
    assert {line.split()[1] for line in records if "root=" in line} == {"B"}, "what works for another run says so"
    assert all("root=" in line for line in records if line.split()[1] == "B")
    assert f"text: {len(f'please {SECRET}')} characters" in records[0]
    assert not any(SECRET in line for line in records)


async def test_approvals_errors_and_hooks_leave_no_secret_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    @tool
    async def pay(to: str) -> str:
        """Pays."""
        return to

    @hook("request")
    def broken(context: Any) -> None:
        raise RuntimeError("quiet")

    script = Script([call("pay", to=SECRET), RuntimeError(SECRET)])
    agent = Agent("A", tools=[pay], autonomy="supervised", hooks=[broken])
    with caplog.at_level(logging.DEBUG, logger="callboard"):
        async with Agency(agent, model=scripted(script)) as agency:
            approvals: list[str] = []

            def decide(event: Any) -> None:
                if approval := getattr(event, "approval", ""):
                    approvals.append(approval)
                    agency.deny(approval, SECRET)

            agency.subscribe(decide)
            with pytest.raises(RunFailed):
                await agency.run(SECRET)
    told = "\n".join(record.getMessage() for record in caplog.records if "run=" in record.getMessage())
    assert {"ApprovalRequested", "ApprovalDecided", "HookFailed", "RunFinished"} <= set(told.split())
    assert SECRET not in told
    assert approvals
    assert approvals[0] not in told


async def test_above_debug_no_event_is_made_for_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="callboard"):
        async with Agency(Agent("A"), model=scripted(Script(["x"]))) as agency:
            await agency.run("?")
            assert not agency._runtime.bus.active
    assert not caplog.records


async def test_a_line_is_cut_where_it_is_too_wide_for_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    family = "\N{MAN}\u200d\N{WOMAN}\u200d\N{GIRL}"
    async with Agency(Agent("A"), model=scripted(Script(["hello"])), verbose=True) as agency:
        await agency.run(f"{family} {'漢' * 200}")
    asked = next(line for line in capsys.readouterr().err.splitlines() if "→" in line)
    assert WIDTH - 1 <= cell_len(asked) <= WIDTH
    assert family in asked, "what is joined stays one"
    assert asked.endswith("漢…")

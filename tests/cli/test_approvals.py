"""Deciding, from a terminal, about calls that wait in other programs: running, paused, killed and not yet started."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, Guardrail, Limits, PatternCheck, Request, tool
from tests.durable.support import call, eventually, function, results

from .bookkeeper import Program
from .command import assert_refused, callboard
from .stores import Place


@pytest.fixture
def paid(tmp_path: Path) -> Path:
    path = tmp_path / "paid"
    path.touch()
    return path


def left_waiting(place: Place, paid: Path) -> str:
    """Have a program asked for an approval, and killed; the approval's id."""
    with Program(place.address, paid) as program:
        approval = program.says("asked")
        program.process.send_signal(signal.SIGKILL)
        program.process.wait()
    return approval


def goes_on(place: Place, paid: Path) -> str:
    """What the next program answers that is started on the journal."""
    with Program(place.address, paid) as program:
        said = ""
        for line in program.process.stdout:
            if line.startswith("answer "):
                said = line.removeprefix("answer ").strip()
        program.ends()
    return said


def test_a_call_of_a_running_program_is_listed_approved_and_run_once(place: Place, paid: Path, tmp_path: Path) -> None:
    with Program(place.address, paid) as program:
        approval = program.says("asked")
        listed = callboard("approvals", "list", place.address, cwd=tmp_path)
        assert listed.out.startswith(f"{approval}  Bookkeeper/c  pay(amount=5)  for ann of acme, until 2"), listed
        assert (listed.status, listed.err) == (0, "")
        done = callboard("approvals", "approve", place.address, approval, cwd=tmp_path)
        assert done.out == "approved pay of Bookkeeper/c; it has been taken\n", done
        assert done.status == 0
        assert program.says("answer") == "paid 5"
        program.ends()
    assert paid.read_text() == "5\n"
    again = callboard("approvals", "deny", place.address, approval, cwd=tmp_path)
    assert_refused(again, approval, "was approved")
    assert callboard("approvals", "list", place.address, cwd=tmp_path).out == "nothing waits for a person\n"


def test_what_was_approved_and_not_taken_before_a_kill_runs_exactly_once(
    place: Place, paid: Path, tmp_path: Path
) -> None:
    with Program(place.address, paid) as program:
        approval = program.says("asked")
        program.process.send_signal(signal.SIGSTOP)  # it owns the conversation, and takes nothing
        done = callboard("approvals", "approve", place.address, approval, "--json", cwd=tmp_path)
        assert json.loads(done.out) == {"approval": approval, "approved": True, "taken": False}, done
        assert callboard("approvals", "list", place.address, "--json", cwd=tmp_path).out == "[]\n"
        second = callboard("approvals", "deny", place.address, approval, cwd=tmp_path)
        assert_refused(second, "was approved already, and waits to be taken")
        program.process.send_signal(signal.SIGKILL)
        program.process.wait()
    assert paid.read_text() == ""
    assert goes_on(place, paid) == "paid 5"
    assert paid.read_text() == "5\n"
    assert place.execute("SELECT count(*) FROM posts") == [(0,)]


def test_a_call_that_no_program_works_on_is_decided_for_the_next_one(place: Place, paid: Path, tmp_path: Path) -> None:
    approval = left_waiting(place, paid)
    (listed,) = json.loads(callboard("approvals", "list", place.address, "--json", cwd=tmp_path).out)
    assert listed["expires_at"] > 0
    assert {name: listed[name] for name in ("approval", "agent", "conversation", "tool", "user", "tenant")} == {
        "approval": approval,
        "agent": "Bookkeeper",
        "conversation": "c",
        "tool": "pay",
        "user": "ann",
        "tenant": "acme",
    }
    change = ("--arguments", '{"amount": 3}')
    done = callboard("approvals", "approve", place.address, approval, *change, cwd=tmp_path)
    assert done.status == 0, done
    assert goes_on(place, paid) == "paid 3"
    assert paid.read_text() == "3\n"


def test_a_denied_call_does_not_run_and_the_model_is_told_why(place: Place, paid: Path, tmp_path: Path) -> None:
    approval = left_waiting(place, paid)
    assert callboard("approvals", "deny", place.address, approval, "--reason", "too much", cwd=tmp_path).status == 0
    assert goes_on(place, paid) == "Denied by a person: too much"
    assert paid.read_text() == ""
    again = callboard("approvals", "approve", place.address, approval, cwd=tmp_path)
    assert_refused(again, "was denied ('too much')")


def expire(place: Place) -> None:
    """Have the time of all approvals be over."""
    number = "substr(data, 1, instr(data, '\"expires_at\":') + 12) || '1.0}'"
    if not place.is_file:
        number = "regexp_replace(data::text, '\"expires_at\":.*', '\"expires_at\":1.0}')::json"
    place.execute(f"UPDATE events SET data = {number} WHERE type = 'ApprovalAsked'")
    changed = "SELECT count(*) FROM events WHERE cast(data AS text) LIKE '%\"expires_at\":1.0}%'"
    assert place.execute(changed) == [(1,)]


def test_what_expired_while_no_program_ran_counts_as_denied(place: Place, paid: Path, tmp_path: Path) -> None:
    approval = left_waiting(place, paid)
    expire(place)
    assert callboard("approvals", "list", place.address, cwd=tmp_path).out == "nothing waits for a person\n"
    assert_refused(callboard("approvals", "approve", place.address, approval, cwd=tmp_path), "has expired")
    assert goes_on(place, paid) == "Denied: nobody decided in time"
    assert paid.read_text() == ""


def test_what_was_approved_in_time_runs_though_it_is_taken_up_too_late(
    place: Place, paid: Path, tmp_path: Path
) -> None:
    approval = left_waiting(place, paid)
    assert callboard("approvals", "approve", place.address, approval, cwd=tmp_path).status == 0
    expire(place)
    assert goes_on(place, paid) == "paid 5"
    assert paid.read_text() == "5\n"


def test_a_user_sees_and_decides_only_what_was_asked_for_in_their_name(
    place: Place, paid: Path, tmp_path: Path
) -> None:
    approval = left_waiting(place, paid)
    for whose, reason in (
        (("--user", "bob", "--tenant", "acme"), "bob of acme may not decide what ann of acme asked for"),
        (("--user", "ann"), "ann may not decide this: it is another tenant's"),
        (("--user", "ann", "--tenant", "other"), "ann of other may not decide this: it is another tenant's"),
        (("--tenant", "acme"), "give both"),
    ):
        assert_refused(callboard("approvals", "approve", place.address, approval, *whose, cwd=tmp_path), reason)
    assert callboard("approvals", "list", place.address, "--user", "bob", "--json", cwd=tmp_path).out == "[]\n"
    ann = ("--user", "ann", "--tenant", "acme")
    assert approval in callboard("approvals", "list", place.address, *ann, cwd=tmp_path).out
    assert callboard("approvals", "approve", place.address, approval, *ann, cwd=tmp_path).status == 0


def test_what_cannot_be_decided_is_refused_by_name(place: Place, paid: Path, tmp_path: Path) -> None:
    assert_refused(callboard("approvals", "list", place.address, cwd=tmp_path), "no journal")
    assert list(tmp_path.glob("journal*")) == [], "a journal was made by looking for one"
    approval = left_waiting(place, paid)
    decide = ("approvals", "approve", place.address)
    assert_refused(callboard(*decide, "0123", cwd=tmp_path), "'0123' was never asked for")
    assert_refused(callboard(*decide, approval, "--arguments", "[1]", cwd=tmp_path), "JSON object")
    assert_refused(callboard(*decide, approval, "--arguments", "{", cwd=tmp_path), "JSON object")
    assert_refused(callboard(*decide, approval, "--arguments", '{"amount": "much"}', cwd=tmp_path), "amount: 'much'")
    assert_refused(callboard(*decide, approval, "--limits", '{"wishes": 3}', cwd=tmp_path), "--limits", "wishes")
    assert_refused(callboard(*decide, approval, "--limits", '{"steps": 3}', cwd=tmp_path), "a call of pay waits")
    assert_refused(callboard(*decide, cwd=tmp_path), "APPROVAL")
    assert place.execute("SELECT count(*) FROM posts") == [(0,)]


async def test_a_run_that_waits_for_more_is_given_it(place: Place, tmp_path: Path) -> None:
    def model(request: Request) -> Any:
        return "done" if results(request) else call("look")

    @tool(risk="safe")
    def look() -> str:
        """Look."""
        return "seen"

    with place.journal() as journal:
        agent = Agent("A", "a", tools=[look], limits=Limits(steps=1, ask=True))
        async with Agency(agent, model=function(model), journal=journal) as agency:
            run = asyncio.ensure_future(agency.run("look", conversation="c"))
            await eventually(lambda: agency.approvals, "the approval")
            (request,) = agency.approvals
            listed = await asyncio.to_thread(callboard, "approvals", "list", place.address, cwd=tmp_path)
            assert '  A/c  waits for more: limit="steps", used=1, allowed=1  for nobody named, ' in listed.out, listed
            more = ("approvals", "approve", place.address, request.approval, "--limits", '{"steps": 9}')
            done = await asyncio.to_thread(callboard, *more, cwd=tmp_path)
            assert done.out == "approved more of A/c; it has been taken\n", done
            assert (await run).text == "done"


async def test_the_list_says_why_a_person_is_asked(place: Place, tmp_path: Path) -> None:
    @tool(risk="safe")
    def write(to: str) -> str:
        """Write."""
        return "written"

    rivals = Guardrail(PatternCheck("rival", "rival"), on="tool_call", action="ask", name="rivals")
    agent = Agent("A", "a", tools=[write], hooks=[rivals])
    with place.journal() as journal:
        async with Agency(agent, model=function(lambda _: call("write", to="the rival")), journal=journal) as agency:
            run = await agency.start_run("write", conversation="c")
            await eventually(lambda: agency.approvals, "the approval")
            listed = await asyncio.to_thread(callboard, "approvals", "list", place.address, cwd=tmp_path)
            assert listed.out.rstrip().endswith("(guardrail rivals found rival)"), listed
            plain = await asyncio.to_thread(callboard, "approvals", "list", place.address, "--json", cwd=tmp_path)
            assert json.loads(plain.out)[0]["why"] == "guardrail rivals found rival"
            await run.cancel()


def test_a_conversation_that_cannot_be_read_hides_no_other(place: Place, paid: Path, tmp_path: Path) -> None:
    approval = left_waiting(place, paid)
    place.execute(
        "INSERT INTO streams (name, version, epoch, unfinished, created_at, updated_at)"
        " SELECT 'A/' || 'x', 1, 1, unfinished, created_at, updated_at FROM streams"
    )
    place.execute(
        "INSERT INTO events (stream, version, type, schema, data, metadata, at)"
        " SELECT 'A/x', 1, 'Completed', 1, '{}', '{}', at FROM events WHERE version = 1"
    )
    done = callboard("approvals", "list", place.address, cwd=tmp_path)
    assert approval in done.out
    assert done.status == 1
    assert "A/x" in done.err
    assert "callboard journal check" in done.err

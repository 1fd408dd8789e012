"""What waits for a person, what it would change, and what the person decides: on a dashboard, and in the audit log."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard import Agency, Agent, Limits, NotAllowed, Request, ToolCall, UnknownApproval, tool
from callboard.actors.serving.dashboard.reading.cutting import LONGEST, ROOM, Room
from callboard.actors.serving.dashboard.reading.diff import changes_of, unified
from callboard.tools import Change, InvalidArguments
from callboard.tools.builtin.files import file_tools
from tests.agents.support import function, results
from tests.dashboard.boards import board_of, eventually, get, log_of, post, refused


def calling(name: str, text: str) -> Any:
    """A model that makes one call, and then says what came of it."""

    def model(request: Request) -> Any:
        return f"done: {results(request)[0]}" if results(request) else [ToolCall("1", name, text)]

    return function(model)


def editor(folder: Path, name: str, text: str, **options: Any) -> Agency:
    agent = Agent("A", tools=file_tools(folder), autonomy="supervised", **options)
    return Agency(agent, model=calling(name, text))


async def waits(agency: Agency) -> tuple[asyncio.Future[Any], str]:
    """A run that waits, and the id of its approval."""
    run = asyncio.ensure_future(agency.run("go", conversation="c", user="ada"))
    (asked,) = await eventually(lambda: agency.approvals)
    return run, asked.approval


async def test_a_write_is_shown_with_what_it_would_change_and_approved_with_other_arguments(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("one\ntwo\nthree\n")
    written = '{"path": "f", "old_string": "two", "new_string": "2"}'
    async with editor(tmp_path, "Edit", written) as agency, board_of(agency) as client:
        run, approval = await waits(agency)
        told = await get(client, f"approvals/{approval}")
        assert (told["tool"], told["wants"], told["agent"], told["user"]) == ("Edit", "call", "A", "ada")
        assert (told["approval"], told["conversation"], told["call_id"]) == (approval, "c", "1")
        assert (told["run"], told["may_decide"], told["limits"]) == (agency.approvals[0].run, True, None)
        assert json.loads(told["arguments"]) == json.loads(written)
        assert told["arguments"].startswith('{\n  "path": "f",\n')
        assert told["changes"] == [
            {
                "path": "f",
                "before": "one\ntwo\nthree\n",
                "after": "one\n2\nthree\n",
                "note": "",
                "diff": "--- f\n+++ f\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n",
            }
        ]
        mine = {"path": "f", "old_string": "two", "new_string": "II"}
        other = await post(client, f"approvals/{approval}/preview", arguments=mine)
        assert other["changes"][0]["after"] == "one\nII\nthree\n"
        assert (tmp_path / "f").read_text() == "one\ntwo\nthree\n"
        await post(client, f"approvals/{approval}/approve", arguments=json.dumps(mine))
        await run
        assert (tmp_path / "f").read_text() == "one\nII\nthree\n"
        (entry,) = (await get(client, "audit"))["entries"]
        assert (entry["action"], entry["outcome"], entry["details"]["changed"]) == ("approve", "done", True)
        assert entry["target"] == f"Edit of run {told['run']}"
        assert approval not in json.dumps(entry)
        assert "II" not in json.dumps(entry["details"])


@pytest.mark.parametrize(("verb", "done"), [("approve", "approved"), ("deny", "denied")])
async def test_what_was_decided_on_a_dashboard_says_by_whom(tmp_path: Path, verb: str, done: str) -> None:
    written = '{"path": "f", "content": "x"}'
    async with editor(tmp_path, "Write", written) as agency, board_of(agency) as client:
        run, approval = await waits(agency)
        await post(client, f"approvals/{approval}/{verb}")
        await run
        paths = (("GET", ""), ("POST", "/preview"), ("POST", "/approve"), ("POST", "/deny"))
        bodies: dict[str, Any] = {"/preview": {"arguments": written}}
        for method, path in paths:
            body = bodies.get(path, {}) if method == "POST" else None
            answer = await client.request(method, f"/api/approvals/{approval}{path}", json=body)
            assert (answer.status_code, answer.json()["code"]) == (409, "already_decided"), answer.text
            assert answer.json()["detail"] == f"root has {done} it already"
        assert len(await log_of(client)) == 1, "what was refused was written down"
        run = asyncio.ensure_future(agency.run("go", conversation="d"))
        (asked,) = await eventually(lambda: agency.approvals)
        agency.deny(asked)
        await run
        assert await refused(client, "GET", f"approvals/{asked.approval}") == (404, "unknown_approval", "")
        assert await refused(client, "POST", f"approvals/{asked.approval}/deny", {}) == (404, "unknown_approval", "")


async def test_of_two_who_decide_at_once_the_later_one_hears_that_it_was_decided(tmp_path: Path) -> None:
    async with editor(tmp_path, "Write", '{"path": "f", "content": "x"}') as agency, board_of(agency) as client:
        run, approval = await waits(agency)
        answers = await asyncio.gather(
            *(client.post(f"/api/approvals/{approval}/{verb}", json={}) for verb in ("approve", "deny"))
        )
        await run
        told = sorted((answer.status_code, answer.json().get("code")) for answer in answers)
        assert told[0] == (200, None)
        assert told[1] in ((404, "unknown_approval"), (409, "already_decided"))


async def test_a_call_that_would_fail_says_so_and_one_whose_tool_cannot_say_has_no_changes(tmp_path: Path) -> None:
    text = '{"path": "none", "old_string": "a", "new_string": "b"}'
    async with editor(tmp_path, "Edit", text) as agency, board_of(agency) as client:
        run, approval = await waits(agency)
        told = await get(client, f"approvals/{approval}")
        assert (told["changes"], told["changes_unknown"]) == ([], "'none' does not exist")
        await post(client, f"approvals/{approval}/deny", reason="that is secret: hunter2")
        assert "hunter2" in (await run).text
        (entry,) = (await get(client, "audit"))["entries"]
        assert (entry["action"], entry["outcome"], [*entry["details"]]) == ("deny", "done", ["mark"])

    @tool
    async def plain(x: int) -> str:
        """Do something."""
        return str(x)

    agency = Agency(Agent("A", tools=[plain], autonomy="supervised"), model=calling("plain", '{"x": 1}'))
    async with agency, board_of(agency) as client:
        run, approval = await waits(agency)
        told = await get(client, f"approvals/{approval}")
        assert (told["changes"], told["changes_unknown"]) == ([], "")
        for body, where in (
            ({"arguments": '{"x": "no"}'}, "arguments.x"),
            ({"arguments": {"y": 1}}, "arguments.x"),
            ({"arguments": {"x": 1, "y" * 300: 1}}, "arguments"),
            ({"arguments": 5}, "arguments"),
            ({"arguments": "no json"}, "arguments"),
            ({"limits": {"steps": 5}}, "arguments"),
            ({"limits": {"hours": 5}}, "hours"),
            ({"sudo": True}, "sudo"),
        ):
            status, _, place = await refused(client, "POST", f"approvals/{approval}/approve", body)
            assert (status, place) == (400, where), body
        await post(client, f"approvals/{approval}/approve")
        assert (await run).text == "done: 1"
        outcomes = [outcome for _, _, _, outcome in await log_of(client)]
        assert outcomes == ["failed"] * 5 + ["done"]


async def test_a_run_that_waits_for_more_is_given_more() -> None:
    @tool(risk="safe")
    async def more() -> str:
        """Do more."""
        return "more"

    agent = Agent("A", tools=[more], limits=Limits(steps=1, ask=True))
    async with Agency(agent, model=calling("more", "{}")) as agency, board_of(agency) as client:
        run, approval = await waits(agency)
        told = await get(client, f"approvals/{approval}")
        assert (told["wants"], told["tool"], told["arguments"], told["changes"]) == ("limits", "", "", [])
        assert told["limits"] == {"steps": {"limit": 1, "used": 1}, "tokens": None, "cost": None}
        for body in ({}, {"limits": {"steps": 1}}, {"limits": {"tokens": 5}}):
            refusal = await refused(client, "POST", f"approvals/{approval}/approve", body)
            assert refusal == (400, "invalid_request", "limits.steps")
        await post(client, f"approvals/{approval}/approve", limits={"steps": 5})
        assert (await run).text == "done: more"
        entry = (await get(client, "audit"))["entries"][0]
        assert (entry["outcome"], entry["details"]["steps"]) == ("done", 5)


@pytest.mark.parametrize("path", ["", "/preview", "/approve", "/deny"])
async def test_only_who_administers_all_of_it_sees_or_decides(tmp_path: Path, path: str) -> None:
    async with (
        editor(tmp_path, "Write", '{"path": "f", "content": "x"}') as agency,
        board_of(agency, "ada+metrics") as client,
    ):
        run, approval = await waits(agency)
        method, body = ("POST", {"arguments": "{}"} if path == "/preview" else {}) if path else ("GET", None)
        assert (await refused(client, method, f"approvals/{approval}{path}", body))[:2] == (403, "not_allowed")
        client.headers["authorization"] = "Bearer ada@acme+admin"
        assert (await refused(client, method, f"approvals/{approval}{path}", body))[:2] == (403, "not_allowed")
        assert len(agency.approvals) == 1
        agency.deny(approval)
        await run


async def test_a_call_that_waits_in_another_process_is_shown_and_decided_too(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    journal = tmp_path / "j.db"
    agent = Agent("A", tools=file_tools(files), autonomy="supervised")
    model = calling("Write", '{"path": "f", "content": "new\\n"}')
    async with (
        Agency(agent, model=model, journal=journal, name="one") as first,
        Agency(agent, model=model, journal=journal, name="two") as second,
        board_of(second) as client,
    ):
        run, approval = await waits(first)
        assert second.approvals == ()
        row = {"approval": approval, "agent": "A", "conversation": "c", "tool": "Write", "wants": "call"}
        row.update(user="ada", tenant="")
        (listed,) = (await get(client, "approvals"))["approvals"]
        assert listed == {**row, "run": listed["run"], "here": False, "may_decide": True}
        async with board_of(first, "lou+metrics") as there:
            (listed,) = (await get(there, "approvals"))["approvals"]
            assert (listed["here"], listed["may_decide"]) == (True, False)
        told = await get(client, f"approvals/{approval}")
        assert told["here"] is False
        assert told["changes"][0]["diff"] == "--- /dev/null\n+++ f\n@@ -0,0 +1 @@\n+new\n"
        await post(client, f"approvals/{approval}/approve")
        await run
        assert (files / "f").read_text() == "new\n"
        with pytest.raises(UnknownApproval):
            await second.pending_approval(approval)


async def test_a_preview_from_python_is_for_whoever_may_decide(tmp_path: Path) -> None:
    from callboard import Caller

    async with editor(tmp_path, "Write", '{"path": "f", "content": "x"}') as agency:
        run, approval = await waits(agency)
        (asked,) = agency.approvals
        for one in (asked, approval):
            assert await agency.preview(one, caller=Caller("ada")) == (Change("f", None, "x"),)
            with pytest.raises(NotAllowed):
                await agency.preview(one, caller=Caller("eve"))
        with pytest.raises(InvalidArguments):
            await agency.preview(asked, arguments="{}")
        agency.deny(asked)
        await run
        with pytest.raises(UnknownApproval):
            await agency.preview(approval)


# -- differences -------------------------------------------------------------------------------------------------------


def patched(before: str, diff: str) -> str:
    """A text with a unified diff applied to it."""
    old = before.split("\n")
    lines = diff.split("\n")[2:-1]
    made: list[str] = []
    at = 0
    ends_open = not before.endswith("\n") and before != ""
    if before == "":
        old = []
    elif not ends_open:
        old.pop()
    index = 0
    after_open: bool | None = None
    while index < len(lines):
        line = lines[index]
        index += 1
        open_end = index < len(lines) and lines[index].startswith("\\")
        if line.startswith("@@"):
            start, _, length = line.split()[1][1:].partition(",")
            first = int(start) - (length != "0")
            made += old[at:first]
            at = first
        elif line.startswith("\\"):
            continue
        else:
            mark, text = line[0], line[1:]
            if mark in " -":
                assert old[at] == text
                at += 1
            if mark in " +":
                made.append(text)
                after_open = open_end
    rest = old[at:]
    made += rest
    if rest or after_open is None:
        after_open = ends_open
    return "\n".join(made) + ("" if after_open or not made else "\n")


LINES = st.lists(st.sampled_from(["a", "b", "c", "", "\r", "x\u2028y", "+", "-", "@@"]), max_size=30)
TEXTS = st.builds(lambda lines, end: "\n".join(lines) + end, LINES, st.sampled_from(["", "\n"]))


@given(TEXTS, TEXTS)
def test_a_diff_makes_the_text_after_of_the_text_before(before: str, after: str) -> None:
    diff = unified(Change("f", before, after))
    if before == after:
        assert diff == ""
    else:
        assert patched(before, diff) == after


@given(TEXTS, TEXTS, TEXTS)
def test_a_diff_of_many_lines_is_as_right_as_one_of_few(before: str, after: str, between: str) -> None:
    many = "".join(f"{number}\n" for number in range(2_500))
    others = "".join(f"{number}!\n" for number in range(2_500))
    old, new = f"{before}\n{many}{between}", f"{after}\n{others}{between}"
    assert patched(old, unified(Change("f", old, new))) == new


def test_paths_cannot_forge_a_diff_and_nothing_is_the_file_of_nothing() -> None:
    assert unified(Change("a\n+++ b", None, "x")).splitlines()[:2] == ["--- /dev/null", "+++ a\ufffd+++ b"]
    assert unified(Change("f", "x\n", None)) == "--- f\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
    assert unified(Change("f", None, "")) == "--- /dev/null\n+++ f\n"
    assert unified(Change("f", "x", "x")) == ""


def test_large_changes_stay_small_and_are_made_in_time() -> None:
    source = random.Random(1)
    words = [f"{source.random()}\n" for _ in range(60_000)]
    old = "".join(words)
    source.shuffle(words)
    (told,) = changes_of(Room(), [Change("f", old, "".join(words))])
    assert (len(told["before"]), len(told["after"]), len(told["diff"])) == (LONGEST,) * 3
    assert told["cut"] > 3_000_000
    many = changes_of(Room(), [Change(str(number), "x" * 60_000, "y" * 60_000) for number in range(500)])
    assert len(many) == 100
    assert sum(len(one["before"]) + len(one["after"]) + len(one["diff"]) for one in many) < ROOM + 400_000

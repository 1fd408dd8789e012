"""The Agent Client Protocol over stdio, by the client of its own SDK."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from acp import PROTOCOL_VERSION, RequestError, spawn_agent_process, text_block
from acp.helpers import embedded_text_resource, image_block, resource_block, resource_link_block
from acp.schema import (
    AllowedOutcome,
    ClientCapabilities,
    DeniedOutcome,
    FileSystemCapabilities,
    ReadTextFileResponse,
    RequestPermissionResponse,
    WriteTextFileResponse,
)

from tests.cli.command import ROOT, callboard, offline

FILES = ClientCapabilities(fs=FileSystemCapabilities(read_text_file=True, write_text_file=True))

PATIENT: Any = {"stderr": None, "shutdown_timeout": 60}


class Editor:
    """What an editor does when it is asked to.

    Args:
        allows: whether its user allows what they are asked; None for one who turns away.
    """

    def __init__(self, allows: bool | None = True) -> None:
        self.allows = allows
        self.updates: list[Any] = []
        self.asked: list[Any] = []
        self.files = {"/work/a.txt": "not saved yet"}
        self.arrived = asyncio.Event()

    def on_connect(self, conn: Any) -> None:
        pass

    async def session_update(self, session_id: str, update: Any, **_: Any) -> None:
        self.updates.append(update)
        self.arrived.set()

    async def request_permission(
        self, session_id: str, tool_call: Any, options: list[Any], **_: Any
    ) -> RequestPermissionResponse:
        self.asked.append(tool_call)
        self.arrived.set()
        if self.allows is None:
            return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))
        wanted = "allow_once" if self.allows else "reject_once"
        chosen = next(option for option in options if option.kind == wanted)
        return RequestPermissionResponse(outcome=AllowedOutcome(outcome="selected", option_id=chosen.option_id))

    async def read_text_file(self, session_id: str, path: str, **_: Any) -> ReadTextFileResponse:
        if path not in self.files:
            raise RequestError.resource_not_found(path)
        return ReadTextFileResponse(content=self.files[path])

    async def write_text_file(self, session_id: str, path: str, content: str, **_: Any) -> WriteTextFileResponse:
        self.files[path] = content
        return WriteTextFileResponse()

    def said(self, kind: str = "agent_message_chunk") -> str:
        return "".join(one.content.text for one in self.updates if one.session_update == kind).strip()

    def calls(self) -> dict[str, list[Any]]:
        """The states through which each call went."""
        states: dict[str, list[Any]] = {}
        for one in self.updates:
            if one.session_update in ("tool_call", "tool_call_update"):
                states.setdefault(one.tool_call_id, []).append(one.status)
        return states

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self.arrived.clear()
                await self.arrived.wait()


@asynccontextmanager
async def agent(editor: Any, journal: Path | None = None) -> AsyncIterator[tuple[Any, Any]]:
    env = offline() | ({"JOURNAL": str(journal)} if journal else {})
    command = [sys.executable, "-m", "tests.serving.editor_program"]
    async with spawn_agent_process(cast("Any", editor), *command, env=env, cwd=ROOT, transport_kwargs=PATIENT) as found:
        await found[0].initialize(protocol_version=PROTOCOL_VERSION, client_capabilities=FILES)
        yield found


async def ask(connection: Any, session: str, text: str) -> Any:
    async with asyncio.timeout(60):
        return await connection.prompt(session_id=session, prompt=[text_block(text)])


async def test_a_prompt_is_answered_piece_by_piece() -> None:
    editor = Editor()
    async with agent(editor) as (connection, _):
        session = (await connection.new_session(cwd="/work")).session_id
        done = await ask(connection, session, "hello there")
        assert (done.stop_reason, done.usage.total_tokens) == ("end_turn", 12)
        assert editor.said() == "you said: hello there"
        editor.updates.clear()
        blocks = [
            text_block("look:"),
            resource_link_block("a.txt", "file:///work/a.txt"),
            resource_block(embedded_text_resource("file:///work/b.txt", "within")),
            image_block("iVBORw0KGgo=", "image/png"),
        ]
        assert (await connection.prompt(session_id=session, prompt=blocks)).stop_reason == "end_turn"
        assert "[a.txt](file:///work/a.txt)" in editor.said()
        assert "within" in editor.said()


@pytest.mark.parametrize(("allows", "answer"), [(True, "paid 5"), (False, "does not want it"), (None, "does not want")])
@pytest.mark.parametrize("by", ['call pay {"amount": 5}', "hand on"])
async def test_the_user_is_asked_what_is_asked_of_a_person(allows: bool | None, answer: str, by: str) -> None:
    editor = Editor(allows)
    async with agent(editor) as (connection, _):
        session = (await connection.new_session(cwd="/work")).session_id
        assert (await ask(connection, session, by)).stop_reason == "end_turn"
        (asked,) = editor.asked
        assert "pay" in asked.title
        assert ("Payer" in asked.title) == (by == "hand on")
        assert answer.replace("5", "7" if by == "hand on" else "5") in editor.said()
        states = editor.calls()[asked.tool_call_id]
        assert states[0] == "pending"
        assert states[-1] == ("completed" if allows else "failed")


@pytest.mark.parametrize("allows", [True, False])
async def test_files_are_read_and_written_as_the_editor_has_them(allows: bool) -> None:
    editor = Editor(allows)
    async with agent(editor) as (connection, _):
        session = (await connection.new_session(cwd="/work")).session_id

        async def call(name: str, **arguments: Any) -> str:
            editor.updates.clear()
            assert (await ask(connection, session, f"call {name} {json.dumps(arguments)}")).stop_reason == "end_turn"
            return editor.said()

        assert "not saved yet" in await call("read_editor_file", path="/work/a.txt")
        assert "the editor refused" in await call("read_editor_file", path="/work/none.txt")
        for outside in ("/etc/passwd", "/work/../etc/passwd", "a.txt", "/workshop/a.txt"):
            assert "expected an absolute one inside /work" in await call("read_editor_file", path=outside)
            assert "inside /work" in await call("write_editor_file", path=outside, content="x")
        assert "expected a text" in await call("write_editor_file", path="/work/a.txt")
        assert "whole number" in await call("read_editor_file", path="/work/a.txt", line=0)
        assert editor.asked == []
        said = await call("write_editor_file", path="/work/a.txt", content="new")
        assert ("wrote /work/a.txt" if allows else "does not want") in said
        assert editor.files["/work/a.txt"] == ("new" if allows else "not saved yet")
        (diff,) = editor.asked[0].content
        assert (diff.path, diff.new_text) == ("/work/a.txt", "new")


async def test_a_prompt_is_cancelled_and_the_next_one_answered() -> None:
    editor = Editor()
    async with agent(editor) as (connection, _):
        session = (await connection.new_session(cwd="/work")).session_id
        waiting = asyncio.ensure_future(ask(connection, session, "wait here"))
        await editor.until(lambda: editor.said())
        with pytest.raises(RequestError, match="Invalid request"):
            await ask(connection, session, "meanwhile")
        await connection.cancel(session_id=session)
        assert (await waiting).stop_reason == "cancelled"
        await connection.cancel(session_id=session)
        editor.updates.clear()
        assert (await ask(connection, session, "hello")).stop_reason == "end_turn"
        assert editor.said() == "you said: hello"


async def test_a_session_is_loaded_from_the_journal_after_the_program_was_killed(tmp_path: Path) -> None:
    first, second = Editor(), Editor()
    async with agent(first, tmp_path / "j.db") as (connection, process):
        session = (await connection.new_session(cwd="/work")).session_id
        await ask(connection, session, 'call pay {"amount": 5}')
        first.allows = None
        first.request_permission = _never  # type: ignore[method-assign]
        waiting = asyncio.ensure_future(ask(connection, session, 'call pay {"amount": 6}'))
        await first.until(lambda: len(first.calls()) == 2)
        process.kill()
        await process.wait()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with agent(second, tmp_path / "j.db") as (connection, _):
        await connection.load_session(cwd="/work", session_id=session)
        assert second.said("user_message_chunk").startswith('call pay {"amount": 5}')
        await second.until(lambda: "paid 6" in second.said())  # what was under way is asked again, and goes on
        assert "it said: paid 5" in second.said()
        assert len(second.asked) == 1
        second.updates.clear()
        assert (await ask(connection, session, "hello")).stop_reason == "end_turn"
        assert "you said: hello" in second.said()
        with pytest.raises(RequestError, match="Resource not found"):
            await connection.load_session(cwd="/work", session_id="nobody")


async def _never(*_: Any, **__: Any) -> Any:
    await asyncio.Event().wait()


async def test_what_is_wrong_is_told_as_the_protocol_has_it(tmp_path: Path) -> None:
    editor: Any = Editor()
    env = offline()
    command = [sys.executable, "-m", "tests.serving.editor_program"]
    async with spawn_agent_process(
        cast("Any", editor),
        *command,
        env=env,
        cwd=ROOT,
        transport_kwargs={**PATIENT, "stderr": asyncio.subprocess.DEVNULL},
    ) as (connection, _):
        with pytest.raises(RequestError, match="Invalid request"):
            await connection.new_session(cwd="/work")
        found: Any = await connection.initialize(protocol_version=99)
        assert found.protocol_version == PROTOCOL_VERSION
        assert not found.agent_capabilities.load_session  # nothing is kept without a journal
        with pytest.raises(RequestError) as refused:
            await connection.new_session(cwd="not/absolute")
        assert "absolute" in str(refused.value.data)
        with pytest.raises(RequestError) as refused:
            await ask(connection, "nobody", "hello")
        assert (refused.value.code, "session/new" in str(refused.value.data)) == (-32602, True)
        session = (await connection.new_session(cwd="/work")).session_id
        with pytest.raises(RequestError) as refused:
            await ask(connection, session, "fail")
        assert refused.value.code == -32603
        with pytest.raises(RequestError) as refused:
            await connection.prompt(session_id=session, prompt=[])
        assert refused.value.code == -32602
        with pytest.raises(RequestError) as refused:
            await connection.set_session_mode(session_id=session, mode_id="x")
        assert refused.value.code == -32601
        without = await ask(connection, session, 'call read_editor_file {"path": "/work/a.txt"}')
        assert without.stop_reason == "end_turn"  # an editor that offers no files is asked for none
        assert "no tool is called" in editor.said()


async def test_lines_that_are_wrong_do_not_end_the_program(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "tests.serving.editor_program"],
        env=offline(),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    lines = [
        b"{\n",
        b"[]\n",
        b"5\n",
        b"\xff\xfe\n",
        b"\n",
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": "session/prompt", "params": {"sessionId": 5}}).encode()
        + b"\n",
        json.dumps({"jsonrpc": "2.0", "id": 2, "method": "nothing/such"}).encode() + b"\n",
        json.dumps({"jsonrpc": "2.0", "id": 3, "method": "initialize", "params": {"protocolVersion": 1}}).encode()
        + b"\n",
    ]
    process.stdin.write(b"".join(lines))
    answers: dict[Any, Any] = {}
    wrong = 0
    async with asyncio.timeout(60):
        while 3 not in answers:
            line = await process.stdout.readline()
            assert line, "it has ended"
            told = json.loads(line)
            answers.setdefault(told["id"], told)
            wrong += told["id"] is None
        assert wrong == 4
        assert answers[None]["error"]["code"] == -32700
        assert answers[1]["error"]["code"] == -32602
        assert answers[2]["error"]["code"] == -32601
        assert answers[3]["result"]["agentInfo"]["name"] == "callboard"
        process.stdin.close()
        assert await process.wait() == 0


async def test_a_team_file_is_the_agent_of_an_editor(tmp_path: Path) -> None:
    (tmp_path / "team.yaml").write_text("agents:\n  Helper:\n    instructions: Be brief.\njournal: kept.db\n")
    editor: Any = Editor()
    main = "import sys; from callboard.actors.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", main, "acp", "team.yaml"]
    async with spawn_agent_process(
        cast("Any", editor), *command, env=offline(), cwd=tmp_path, transport_kwargs=PATIENT
    ) as (
        connection,
        process,
    ):
        found: Any = await connection.initialize(protocol_version=PROTOCOL_VERSION)
        assert (found.agent_info.title, found.agent_capabilities.load_session) == ("Helper", True)
        session = (await connection.new_session(cwd=str(tmp_path))).session_id
        assert (await ask(connection, session, "hello")).stop_reason == "end_turn"
        assert "you said: hello" in editor.said()
    assert process.returncode == 0


def test_a_person_who_starts_it_is_told_who_does(tmp_path: Path) -> None:
    (tmp_path / "team.yaml").write_text("agents:\n  Helper:\n    instructions: Be brief.\n")
    done = callboard("acp", "none.yaml", cwd=tmp_path)
    assert done.status == 2
    assert "no such file" in done.err

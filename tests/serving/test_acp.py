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


async def test_a_link_leads_out_of_no_project(tmp_path: Path) -> None:
    editor = Editor()
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (project / "link.txt").symlink_to(tmp_path / "secret.txt")
    (project / "own.txt").write_text("own")
    (project / "inner.txt").symlink_to(project / "own.txt")
    (tmp_path / "again").symlink_to(project)
    async with agent(editor) as (connection, _):
        for root in (project, tmp_path / "again"):
            session = (await connection.new_session(cwd=str(root))).session_id
            for name, inside in (("link.txt", False), ("inner.txt", True), ("own.txt", True), ("a\0b", False)):
                path = str(root / name)
                editor.files[path] = "what it says"
                editor.updates.clear()
                await ask(connection, session, f"call read_editor_file {json.dumps({'path': path})}")
                assert ("what it says" if inside else "expected an absolute one inside") in editor.said()


async def test_what_was_under_way_and_is_shown_again_can_be_cancelled(tmp_path: Path) -> None:
    first, second = Editor(), Editor()
    async with agent(first, tmp_path / "j.db") as (connection, process):
        session = (await connection.new_session(cwd="/work")).session_id
        waiting = asyncio.ensure_future(ask(connection, session, "wait here"))
        await first.until(lambda: first.said())
        process.kill()
        await process.wait()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with agent(second, tmp_path / "j.db") as (connection, _):
        await connection.load_session(cwd="/work", session_id=session)
        await connection.load_session(cwd="/work", session_id=session)
        await second.until(lambda: second.said())
        await connection.cancel(session_id=session)
        assert (await ask(connection, session, "hello")).stop_reason == "end_turn"  # it waited for that one
        assert second.said().endswith("you said: hello")
        assert second.said().count("you ") == 2  # loaded twice, it is shown once


async def test_a_program_ends_with_its_editor_though_somebody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from callboard import Agency, Agent
    from callboard.actors import ChildSpec
    from callboard.actors.serving.acp import editor as room
    from tests.serving.editor_program import Obedient, pay

    monkeypatch.setattr(room, "SHOWN", 3600.0)
    user = Editor()
    user.request_permission = _never  # type: ignore[method-assign]
    async with Agency(Agent("A", tools=[pay]), model=ChildSpec(Obedient, (), name="model")) as agency:
        served = room.Editor(agency, None, "1.0")
        served.on_connect(user)
        await served.initialize(1)
        session = (await served.new_session("/work")).session_id
        asking = asyncio.ensure_future(served.prompt(session, [text_block('call pay {"amount": 5}')]))
        await user.until(lambda: user.calls())
        asking.cancel()  # as the connection does when stdin is closed
        async with asyncio.timeout(60):
            await asyncio.gather(asking, return_exceptions=True)
        await served.aclose()

"""The Agent Client Protocol over stdio, line by line: what no SDK would send."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.cli.command import ROOT, offline


class Raw:
    """An editor that writes lines, and reads what comes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.told: list[dict[str, Any]] = []

    def say(self, **message: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    async def until(self, condition: Any) -> dict[str, Any]:
        """The first message that is meant."""
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            while True:
                line = await self.process.stdout.readline()
                assert line, "it has ended"
                self.told.append(json.loads(line))
                if condition(self.told[-1]):
                    return self.told[-1]

    async def answer(self, id: int) -> dict[str, Any]:
        return await self.until(lambda told: told.get("id") == id and "method" not in told)

    async def session(self) -> str:
        """A new one, of an editor that offers files."""
        files = {"fs": {"readTextFile": True, "writeTextFile": True}}
        self.say(id=1, method="initialize", params={"protocolVersion": 1, "clientCapabilities": files})
        self.say(id=2, method="session/new", params={"cwd": "/work", "mcpServers": []})
        return str((await self.answer(2))["result"]["sessionId"])

    def ask(self, id: int, session: str, text: str) -> None:
        prompt = [{"type": "text", "text": text}]
        self.say(id=id, method="session/prompt", params={"sessionId": session, "prompt": prompt})


@asynccontextmanager
async def raw(**env: str) -> AsyncIterator[Raw]:
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "tests.serving.editor_program"],
        env=offline() | env,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=2**22,
    )
    try:
        yield Raw(process)
        assert process.stdin is not None
        process.stdin.close()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


NO_ANSWERS: list[dict[str, Any]] = [
    {"result": {}},
    {"result": None},
    {"result": {"outcome": {"outcome": "perhaps"}}},
    {"error": 5},
    {"error": {"code": "x", "message": 5}},
]


async def test_an_answer_that_is_none_is_no_permission_and_no_file() -> None:
    async with raw() as editor:
        session = await editor.session()
        for index, wrong in enumerate(NO_ANSWERS, 10):
            editor.ask(index, session, 'call pay {"amount": 5}')
            asked = await editor.until(lambda told: told.get("method") == "session/request_permission")
            editor.say(id=asked["id"], **wrong)
            assert (await editor.answer(index))["result"]["stopReason"] == "end_turn"
            editor.ask(index + 20, session, 'call read_editor_file {"path": "/work/a.txt"}')
            asked = await editor.until(lambda told: told.get("method") == "fs/read_text_file")
            editor.say(id=asked["id"], **wrong)
            assert (await editor.answer(index + 20))["result"]["stopReason"] == "end_turn"
        assert "paid" not in json.dumps(editor.told)
        assert "answered what is no answer" in json.dumps(editor.told)


async def test_a_line_that_is_too_long_or_has_a_strange_id_is_refused_and_the_next_one_answered() -> None:
    async with raw() as editor:
        session = await editor.session()
        assert editor.process.stdin is not None
        for index in range(2):
            editor.process.stdin.write(b'{"jsonrpc": "2.0", "id": 9, "x": "')
            for _ in range(51):
                editor.process.stdin.write(b"x" * 2**20)
                await editor.process.stdin.drain()
            editor.process.stdin.write(b'"}\n')
            told = await editor.until(lambda told: "error" in told)
            assert "a line has up to" in told["error"]["message"]
            editor.ask(index + 10, session, "hello")
            assert "result" in await editor.answer(index + 10)
        editor.say(id={"a": 1}, method="session/new", params={"cwd": "/work", "mcpServers": []})
        assert (await editor.until(lambda told: "error" in told))["error"]["message"] == "Invalid request"


async def test_what_an_editor_gets_wrong_has_a_code() -> None:
    async with raw() as editor:
        editor.say(id=5, method="session/new", params={"cwd": "/work", "mcpServers": []})
        assert (await editor.answer(5))["error"]["data"]["code"] == "not_initialized"
        session = await editor.session()
        wrong = [
            ("session/new", {"cwd": "work", "mcpServers": []}, "relative_path"),
            ("session/prompt", {"sessionId": "none", "prompt": [{"type": "text", "text": "x"}]}, "unknown_session"),
            ("session/prompt", {"sessionId": session, "prompt": []}, "empty_prompt"),
            ("session/load", {"sessionId": "none", "cwd": "/work", "mcpServers": []}, "unknown_session"),
        ]
        for id, (method, params, code) in enumerate(wrong, 10):
            editor.say(id=id, method=method, params=params)
            data = (await editor.answer(id))["error"]["data"]
            assert (data["code"], bool(data["details"])) == (code, True)


async def test_lines_that_are_wrong_do_not_end_the_program() -> None:
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

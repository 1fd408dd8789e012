"""A server that is told to end lets its agency stop and ends itself, and what was under way goes on in the next one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")

ROOT = Path(__file__).parents[2]


class Server:
    """The program under uvicorn."""

    def __init__(self, journal: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [sys.executable, "-m", "uvicorn", "tests.durable.served_program:app", "--port", str(self.port)]
        self.process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "JOURNAL": str(journal)})

    def ask(self, path: str, body: Any = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or "null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or "null")

    def until_somebody_is_asked(self) -> None:
        for _ in range(600):
            try:
                if self.ask("/approvals")[1] == ["pay"]:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError("nobody was asked")


def test_a_run_under_way_when_the_server_is_told_to_end_goes_on_in_the_next_one(tmp_path: Path) -> None:
    body = {"text": "pay", "conversation": "c", "id": "q1"}
    servers: list[Server] = []
    try:
        servers.append(first := Server(tmp_path / "j.db"))
        answers: list[tuple[int, Any]] = []

        def wait_for_it() -> None:
            while not answers:
                try:
                    answers.append(first.ask("/ask", body))
                except OSError:
                    time.sleep(0.05)

        waiting = threading.Thread(target=wait_for_it)
        waiting.start()
        first.until_somebody_is_asked()
        first.process.send_signal(signal.SIGTERM)
        waiting.join(30)
        assert answers == [(503, {"status": "at work"})]
        assert first.process.wait(30) in (0, -signal.SIGTERM)

        servers.append(second := Server(tmp_path / "j.db"))
        second.until_somebody_is_asked()
        second.ask("/approve", {})
        assert second.ask("/ask", body) == (200, {"text": "done: paid"})
    finally:
        for server in servers:
            server.process.kill()
            server.process.wait()

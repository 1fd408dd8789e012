"""What the page says of embedding and deploying is what is in the files beside the examples, and they work."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.cli.command import offline

EXAMPLES = Path(__file__).parents[1] / "examples"
DEPLOYING = EXAMPLES / "deploying"
PAGE = Path(__file__).parents[2] / "actors" / "serving" / "README.md"


@pytest.mark.parametrize("name", ["service.py", "callboard.service", "Containerfile"])
def test_the_page_shows_the_files_as_they_are(name: str) -> None:
    assert (DEPLOYING / name).read_text() in PAGE.read_text()


async def test_workers_of_gunicorn_share_a_journal_and_one_that_is_killed_is_replaced(tmp_path: Path) -> None:
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    process = _gunicorn(listening, tmp_path)
    try:
        with listening:
            async with httpx.AsyncClient(base_url=url, timeout=60) as client:
                body = {"messages": [{"role": "user", "content": "hello"}], "callboard": {"conversation": "c"}}
                first = await client.post("/Writer/chat/completions", json=body, headers={"idempotency-key": "k"})
                assert first.status_code == 200, (first.text, (tmp_path / "log").read_text())
                for worker in _children(process.pid):
                    os.kill(worker, signal.SIGKILL)
            async with httpx.AsyncClient(base_url=url, timeout=60) as client:
                again = await client.post("/Writer/chat/completions", json=body, headers={"idempotency-key": "k"})
                assert again.json()["id"] == first.json()["id"]
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait)
    assert process.returncode == 0, (tmp_path / "log").read_text()


def _gunicorn(listening: socket.socket, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gunicorn", "service:app", "--worker-class", "uvicorn_worker.UvicornWorker"]
    command += ["--workers", "2", "--bind", f"fd://{listening.fileno()}", "--worker-tmp-dir", str(folder)]
    environment = offline() | {"JOURNAL": str(folder / "j.db")}
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [*command, "--no-control-socket"],
            cwd=DEPLOYING,
            env=environment,
            pass_fds=[listening.fileno()],
            stderr=log,
        )


def _children(parent: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing: it comes with systemd")
def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    unit = tmp_path / "callboard.service"
    text = (DEPLOYING / "callboard.service").read_text()
    unit.write_text(text.replace("/srv/agents/.venv/bin/callboard", "/bin/true"))  # what is started must be there
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert "callboard.service" not in done.stderr, done.stderr

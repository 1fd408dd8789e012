"""``callboard simulate-provider`` says where it is, answers there by both protocols, and fails as it was told to."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from .command import MAIN, assert_refused, callboard, offline

ASK = {"model": "any", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}


@contextmanager
def simulated(folder: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A provider that runs: where, as it says itself; its process is ended by Ctrl-C."""
    command = [sys.executable, "-u", "-c", MAIN, "simulate-provider", "--port", "0", *options]
    with subprocess.Popen(command, cwd=folder, env=offline(), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert (
                process.stdout.readline()
                == "A simulated provider listens. No model answers, only rules. Ctrl-C ends it.\n"
            )
            ours = re.fullmatch(
                r"  OPENAI_API_KEY=any OPENAI_BASE_URL=(http://127\.0\.0\.1:\d+)/v1\n", process.stdout.readline()
            )
            assert ours is not None
            assert process.stdout.readline() == f"  ANTHROPIC_API_KEY=any ANTHROPIC_BASE_URL={ours[1]}\n"
            yield ours[1], process
        finally:
            process.kill()


def statuses(url: str, many: int, key: str = "any") -> list[int]:
    with httpx.Client(base_url=url, timeout=60, trust_env=False, headers={"authorization": f"Bearer {key}"}) as client:
        return [client.post("/v1/chat/completions", json=ASK).status_code for _ in range(many)]


def test_it_answers_by_both_protocols_until_ctrl_c(tmp_path: Path) -> None:
    with simulated(tmp_path) as (url, process):
        assert statuses(url, 2) == [200, 200]
        head = {"x-api-key": "any", "anthropic-version": "2023-06-01"}
        answer = httpx.post(f"{url}/v1/messages", json=ASK, headers=head, timeout=60, trust_env=False)
        assert answer.status_code == 200
        assert "hello" in answer.json()["content"][0]["text"]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def test_limits_are_those_of_each_key_and_faults_come_as_often_as_was_said(tmp_path: Path) -> None:
    with simulated(tmp_path, "--requests-per-minute", "2") as (url, _):
        assert statuses(url, 3) == [200, 200, 429]
        assert statuses(url, 1, "another") == [200]
    with simulated(tmp_path, "--tokens-per-minute", "1") as (url, _):
        assert 429 in statuses(url, 2)
    with simulated(tmp_path, "--fault", "503") as (url, _):
        assert statuses(url, 2) == [503, 503]
    with simulated(tmp_path, "--fault", "503", "--failure-rate", "0") as (url, _):
        assert statuses(url, 2) == [200, 200]


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = callboard("simulate-provider", "--port", str(port), cwd=tmp_path)
    assert_refused(done, f"cannot listen on 127.0.0.1:{port}: ", "give another --port")

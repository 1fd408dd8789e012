"""The dashboard of an agency in a program of its own, as ``callboard dashboard`` shows it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest

from callboard import DefinitionError, watchable
from callboard.actors.agents.overview.sockets import ended
from callboard.actors.serving.dashboard.beside import another
from tests.agents.support import until
from tests.cli.command import assert_refused, callboard, offline

from .support import agency_of

_MAIN = "import sys; from callboard.actors.cli import main; sys.exit(main())"
PROGRAM = """
import asyncio
from callboard import Agency, Agent, watchable

async def main():
    async with Agency(Agent("Helper"), model="offline") as agency, watchable(agency, dashboard=True):
        print("ready", flush=True)
        await asyncio.to_thread(input)

asyncio.run(main())
"""


@contextmanager
def started(*arguments: str, folder: Path, first: str) -> Iterator[tuple[subprocess.Popen[str], re.Match[str]]]:
    """A program, once it has printed a line."""
    env = {**offline(), "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", *arguments],
        env=env,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            assert program.stdout is not None
            found = re.search(first, program.stdout.readline())
            assert found is not None
            yield program, found
        finally:
            program.kill()


@contextmanager
def agency(folder: Path) -> Iterator[subprocess.Popen[str]]:
    with started(PROGRAM, folder=folder, first="ready") as (program, _):
        yield program


@contextmanager
def shown(folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """The command, and whoever opens the address that it says."""
    said = r"process \d+: (http://127\.0\.0\.1:\d+/)#key=([\w-]{43})$"
    with started(_MAIN, "dashboard", *words, folder=folder, first=said) as (command, found):
        headers = {"authorization": f"Bearer {found[2]}"}
        with httpx.Client(base_url=found[1], headers=headers, timeout=60) as client:
            yield command, client


def test_it_is_shown_to_whoever_has_the_key_that_the_command_says(tmp_path: Path) -> None:
    with agency(tmp_path) as program, shown(tmp_path) as (command, client):
        assert client.get("").headers["content-type"] == "text/html; charset=utf-8"
        me = client.get("api/me").json()
        assert (me["process"], me["agents"]) == (program.pid, ["Helper"])
        assert me["processes"] == [{"process": program.pid, "here": True}]
        assert me["may"]["act"]
        with client.stream("GET", "api/live?view=actors&every=0.5") as answer:
            lines = answer.iter_lines()
            assert next(lines) == "event: snapshot"
            paths = [row[0] for row in json.loads(next(lines).removeprefix("data: "))["view"]["actors"]]
            assert "agency/Helper" in paths
            assert next(lines) == ""
            assert next(lines) == "event: change"
        for headers in ({"authorization": "Bearer wrong"}, {"authorization": ""}):
            assert client.get("api/me", headers=headers).status_code == 401
        command.send_signal(signal.SIGTERM)
        assert command.wait(timeout=60) in (0, -signal.SIGTERM)


def test_the_command_ends_at_once_although_somebody_looks_at_a_program_that_goes_on(tmp_path: Path) -> None:
    with agency(tmp_path) as program, shown(tmp_path) as (command, client):
        with client.stream("GET", "api/live?every=60") as answer:
            lines = answer.iter_lines()
            assert next(lines) == "event: snapshot"
            command.send_signal(signal.SIGTERM)
            assert command.wait(timeout=60) in (0, -signal.SIGTERM)
            with suppress(httpx.RemoteProtocolError):
                assert [line for line in lines if line.startswith("event")] == []
        assert command.stderr is not None
        assert command.stderr.read() == "", "it has waited for streams, which have no end of their own"
        assert program.poll() is None


def test_a_key_of_ones_own_opens_the_address_that_the_command_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "100% a&b=c#d?e/f+g"
    monkeypatch.setenv("CALLBOARD_DASHBOARD_KEY", key)
    said = r"process \d+: (http://127\.0\.0\.1:\d+/)#key=([\w%.~-]+)$"
    with agency(tmp_path), started(_MAIN, "dashboard", folder=tmp_path, first=said) as (_, found):
        assert unquote(found[2]) == key
        headers = {"authorization": f"Bearer {key}"}
        assert httpx.get(f"{found[1]}api/me", headers=headers, timeout=60).status_code == 200


def test_a_port_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with agency(tmp_path):
        env = {"TMPDIR": str(tmp_path)}
        for port in ("99999", "-1"):
            assert_refused(callboard("dashboard", "--port", port, cwd=tmp_path, env=env), "from 0 to 65535", "--port")


def test_by_another_name_of_this_machine_nobody_is_answered(tmp_path: Path) -> None:
    with agency(tmp_path), shown(tmp_path) as (_, client):
        port = client.base_url.port
        for name in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1.evil.example:{port}"):
            refused = client.get("api/me", headers={"host": name})
            assert (refused.status_code, refused.json()["code"]) == (403, "other_host")
        assert client.get("", headers={"host": "evil.example"}).status_code == 403
        assert client.get("api/me", headers={"host": f"localhost:{port}"}).status_code == 200
        pretended = client.get("api/me", headers={"callboard-caller": "bm8=", "host": f"127.0.0.1:{port}"})
        assert pretended.json()["may"]["act"], "whoever has the key says nothing else of themselves"


def test_no_path_leads_past_the_key(tmp_path: Path) -> None:
    def ask(method: str, path: str, key: str = "") -> int:
        """Of the path as it stands here, which clients would make another one of."""
        with closing(HTTPConnection(host, port, timeout=60)) as connection:
            connection.putrequest(method, path)
            connection.putheader("authorization", f"Bearer {key}")
            connection.endheaders()
            return connection.getresponse().status

    with agency(tmp_path) as program, shown(tmp_path) as (_, client):
        host, port = "127.0.0.1", client.base_url.port
        key = client.headers["authorization"].removeprefix("Bearer ")
        for path in ("/static/../api", "/static/%2e%2e/api", "/static/..%2fapi", "/./api", "/%2e/api", "/x/../api"):
            assert ask("GET", f"{path}/me") in (401, 403, 404), path
            assert ask("GET", f"{path}/me", key) == 404, "whoever has the key asks for what is there"
            assert ask("POST", f"{path}/drain") in (401, 403, 404), path
        assert ask("GET", "/api%2fme") == ask("GET", "/api/me") == ask("POST", "/api/drain") == 401
        assert ask("GET", "/static/app.js") == ask("GET", f"/static/app.js?process={program.pid}") == 200
        assert client.get("api/me").status_code == 200, "nobody has drained it"


def test_a_program_that_ends_is_said_to_have_and_another_one_is_shown_by_its_number(tmp_path: Path) -> None:
    with agency(tmp_path) as first, agency(tmp_path) as second:
        env = {"TMPDIR": str(tmp_path)}
        assert_refused(callboard("dashboard", cwd=tmp_path, env=env), "several run", str(first.pid), str(second.pid))
        with shown(tmp_path, str(second.pid)) as (_, client):
            assert client.get("api/me").json()["process"] == second.pid
            there = client.get("api/me", params={"process": first.pid}).json()
            assert (there["process"], len(there["processes"])) == (first.pid, 2)
            with client.stream("GET", "api/live") as stream:
                lines = stream.iter_lines()
                next(lines)
                os.kill(second.pid, signal.SIGKILL)
                list(lines)
            second.wait()
            answer = client.get("api/me", params={"process": second.pid})
            assert (answer.status_code, answer.json()["code"]) == (404, "unknown_process")


def test_once_a_program_has_ended_another_one_is_shown_if_there_is_one(tmp_path: Path) -> None:
    with agency(tmp_path) as first, shown(tmp_path) as (_, client):
        first.kill()
        first.wait()
        for method, path in (("GET", ""), ("GET", "api/me"), ("POST", "api/drain")):
            answer = client.request(method, path)
            assert (answer.status_code, answer.json()["code"]) == (404, "unknown_process")
            assert "no running team shows a dashboard" in answer.json()["detail"]
        with agency(tmp_path) as second:
            assert client.get("api/me").json()["process"] == second.pid
            refused = client.post("api/drain", params={"process": first.pid}, json={})
            assert (refused.status_code, refused.json()["code"]) == (404, "unknown_process")
            assert client.get("api/audit").json()["entries"] == []


def test_a_worker_that_has_ended_is_followed_by_one_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = tmp_path / f"callboard-{os.getuid()}"
    folder.mkdir(mode=0o700)
    with ExitStack() as stack:
        for name in ("11-10", "21-20", "22-20", "31"):
            listening = stack.enter_context(socket.socket(socket.AF_UNIX))
            listening.bind(str(folder / f"{name}.dashboard"))
            listening.listen(8)
        (folder / "23-20.dashboard").touch()  # of one that was killed
        for than, found in (("24-20", "21-20"), ("21-20", "22-20"), ("11-10", "21-20"), ("41", "11-10")):
            assert another(folder / f"{than}.dashboard").stem == found


def test_a_program_that_was_killed_is_no_process_any_more_once_it_is_asked_for(tmp_path: Path) -> None:
    with agency(tmp_path) as first, agency(tmp_path) as second, shown(tmp_path, str(first.pid)) as (_, client):
        second.kill()
        second.wait()
        (left,) = (tmp_path / f"callboard-{os.getuid()}").glob(f"{second.pid}*.dashboard")
        killed = client.get("api/me", params={"process": second.pid})
        assert (killed.status_code, killed.json()["code"]) == (404, "unknown_process")
        assert not left.exists()
        assert client.get("api/me").json()["processes"] == [{"process": first.pid, "here": True}]


def test_a_program_that_was_killed_is_none_to_be_chosen_though_nobody_has_asked_for_it(tmp_path: Path) -> None:
    with agency(tmp_path) as first, agency(tmp_path) as second, shown(tmp_path, str(first.pid)) as (_, client):
        assert len(client.get("api/me").json()["processes"]) == 2
        second.kill()
        second.wait()
        assert client.get("api/me").json()["processes"] == [{"process": first.pid, "here": True}]


def test_a_program_that_takes_no_more_connections_has_not_ended(tmp_path: Path) -> None:
    path = tmp_path / "it.dashboard"
    with socket.socket(socket.AF_UNIX) as listening, ExitStack() as stack:
        listening.bind(str(path))
        listening.listen(0)
        for _ in range(3):  # as many as wait there, and more
            waits = stack.enter_context(socket.socket(socket.AF_UNIX))
            waits.setblocking(False)
            with suppress(BlockingIOError):
                waits.connect(str(path))
            assert not ended(path)
    assert ended(path)
    assert not path.exists()
    assert ended(path)


def test_where_nothing_is_to_be_seen_the_command_says_so(tmp_path: Path) -> None:
    env = {"TMPDIR": str(tmp_path)}
    assert_refused(callboard("dashboard", cwd=tmp_path, env=env), "watchable(agency, dashboard=True)")
    folder = tmp_path / f"callboard-{os.getuid()}"
    folder.mkdir(exist_ok=True, mode=0o700)
    folder.chmod(0o755)
    assert_refused(callboard("dashboard", cwd=tmp_path, env=env), "no running team")


async def test_a_second_agency_of_a_process_is_refused_and_the_first_is_seen_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = tmp_path / f"callboard-{os.getuid()}"
    names = [f"{os.getpid()}.dashboard", f"{os.getpid()}.sock"]
    async with agency_of() as one, agency_of() as other:
        async with watchable(one, dashboard=True):
            for shows in (True, False):
                with pytest.raises(DefinitionError, match="another agency of this process"):
                    async with watchable(other, dashboard=shows):
                        raise AssertionError("it is not refused")
            assert sorted(path.name for path in folder.iterdir()) == names
            assert not any(ended(folder / name) for name in names)
        assert list(folder.iterdir()) == []
        async with watchable(other, dashboard=True):
            assert sorted(path.name for path in folder.iterdir()) == names


async def test_until_somebody_looks_no_task_and_no_timer_waits_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with agency_of() as agency:
        await agency.run("hello")  # so that what only begins has ended
        before = asyncio.all_tasks()
        async with watchable(agency, dashboard=True):
            assert asyncio.all_tasks() <= before
            (path,) = (tmp_path / f"callboard-{os.getuid()}").glob("*.dashboard")
            assert path.parent.stat().st_mode & 0o077 == 0
            transport = httpx.AsyncHTTPTransport(uds=str(path))
            async with httpx.AsyncClient(transport=transport, base_url="http://dashboard", timeout=60) as client:
                async with client.stream("GET", "/api/live?every=60") as answer:
                    lines = answer.aiter_lines()
                    assert await anext(lines) == "event: snapshot"
                assert (await client.get("/api/me")).json()["may"]["act"]
        await until(lambda: asyncio.all_tasks() <= before)
        assert not path.exists()


async def test_whoever_was_connected_is_so_no_more_once_it_is_not_to_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with agency_of() as agency:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(watchable(agency, dashboard=True))
            (path,) = (tmp_path / f"callboard-{os.getuid()}").glob("*.dashboard")
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"GET / HTTP/1.1\r\nhost: dashboard\r\n\r\n")
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        writer.write(b"GET /api/me HTTP/1.1\r\nhost: dashboard\r\n\r\n")
        with suppress(ConnectionError):
            assert b"HTTP/1.1 " not in await reader.read()
        writer.close()

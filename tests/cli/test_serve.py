"""``callboard serve``, as a user runs it: refused where it would go wrong, and served by workers that come and go."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import httpx
import pytest

from .command import assert_refused, callboard, offline

TEAM = "agents:\n  Helper:\n    instructions: Be brief.\n"
APP = """\
from starlette.applications import Starlette
from starlette.routing import Mount

from callboard import Agency, Agent, Caller, Webhooks, serve

agency = Agency(Agent("Helper", model="offline"))
kept = Agency(Agent("Helper", model="offline"), journal="kept.db")
open = serve(agency)
shop = Starlette(routes=[Mount("/agents", open)])
hooks = Webhooks(["hooks.example"], "whsec_bm90IGEgc2VjcmV0IGF0IGFsbA==")
app = serve(kept, authenticate=lambda request: Caller("ada"))
seen = serve(Agency(Agent("Helper", model="offline")), authenticate=lambda request: Caller("ada"), dashboard=True)
number = 5

def factory():
    return agency

def fails(request):
    raise RuntimeError("out of order")

unknown = max  # of which nobody knows what it takes

def who(request):
    return Caller("ada") if request.headers.get("authorization") == "Bearer ada" else None
"""
QUESTION = {"model": "Helper", "messages": [{"role": "user", "content": "hello"}]}
_MAIN = "import sys; from callboard.actors.cli import main; sys.exit(main())"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "team.yaml").write_text(TEAM, encoding="utf-8")
    (tmp_path / "kept.yaml").write_text(TEAM + "journal: conversations.db\n", encoding="utf-8")
    (tmp_path / "service.py").write_text(APP, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("none.yaml",), ("no such file",)),
        (("service:none",), ("service has no 'none'",)),
        (("service:number",), ("expected an Agency, or an ASGI application",)),
        (("team.yaml", "--workers", "2"), ("journal: conversations.db", "--workers 1")),
        (("service:agency", "--workers", "2"), ("give the Agency journal=",)),
        (("service:shop", "--workers", "2"), ("give the Agency journal=",)),
        (("team.yaml", "--cluster"), ("share a journal in PostgreSQL", "has none", "--journal postgresql://")),
        (("kept.yaml", "--cluster", "10.0.0.1:6379"), ("has another", "journal: postgresql://")),
        (("kept.yaml", "--cluster", "local", "--journal", "postgresql://db/c", "--workers", "2"), ("ray start",)),
        (("--cluster", "10.0.0.1:6379", "kept.yaml"), ("kept.yaml has another", "journal: postgresql://")),
        (
            ("--cluster", "team.yaml"),
            ("team.yaml, behind --cluster, was taken for the address", "nothing is there to serve"),
        ),
        (("--cluster=10.0.0.1:6379", "10.0.0.2:6379", "team.yaml"), ("one address of Ray, not 2",)),
        (("kept.yaml", "--cluster", "10.0.0.1", "--journal", "postgresql://db/c"), ("'10.0.0.1'", "10.0.0.1:6379")),
        ((), ("say what to serve",)),
        (("kept.yaml", "--cluster", ""), ("--cluster is an address of Ray",)),
        (("kept.yaml", "--journal", "mysql://db/c"), ("the path of a file, or an address postgresql",)),
        (("service:agency", "--cluster"), ("--cluster is for a team file", "Cluster(address, journal=")),
        (("service:app", "--journal", "other.db"), ("--journal is for a team file", "Agency(journal=…)")),
        (("team.yaml", "--workers", "0"), ("--workers",)),
        (("team.yaml", "--port", "99999"), ("--port", "65535")),
        (("team.yaml", "--port", "-1"), ("--port", "65535")),
        (("service:factory",), ("expected an Agency, or an ASGI application",)),
        (("service:open", "--authenticate", "service:who"), ("give serve(agency, authenticate=…) there",)),
        (("service:app", "--dashboard"), ("give serve(agency, dashboard=…) there",)),
        (("service:app", "--webhooks", "service:hooks"), ("give serve(agency, webhooks=…) there",)),
        (("team.yaml", "--drain", "-1"), ("--drain",)),
        (("kept.yaml", "--workers", "2", "--reload"), ("leave one",)),
        (("team.yaml", "--host", "0.0.0.0"), ("--authenticate", "--allow-anyone")),
        (("service:agency", "--host", "::"), ("--authenticate", "--allow-anyone")),
        (("team.yaml", "--authenticate", "service:nobody"), ("service has no 'nobody'",)),
        (("team.yaml", "--authenticate", "service:number"), ("a function",)),
        (("team.yaml", "--host", "192.0.2.1", "--allow-anyone"), ("--host 192.0.2.1 is no address of this machine",)),
        (("service:unknown", "--host", "192.0.2.1"), ("--host 192.0.2.1 is no address of this machine",)),
        (("team.yaml", "--folder", "none"), ("the folder none does not exist",)),
    ],
)
def test_what_would_go_wrong_is_refused(folder: Path, arguments: tuple[str, ...], said: tuple[str, ...]) -> None:
    assert_refused(callboard("serve", *arguments, "--import-from", ".", cwd=folder), *said)


class Serving:
    """A server that runs.

    Attributes:
        process: its own, or its supervisor.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: Queue[str] = Queue()
        self.seen: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def url(self) -> str:
        """Where, once it serves."""
        where = r"serving .* at (http://\S+?)[; ]"
        said = (re.search(where, line) for line in self.seen)
        return (next(filter(None, said), None) or self.until(where)).group(1)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line)
        self._lines.put("")

    def until(self, pattern: str) -> re.Match[str]:
        """The next line that says so."""
        for line in iter(lambda: self._lines.get(timeout=120), ""):
            self.seen.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"it never said {pattern!r}: {''.join(self.seen)}")

    def end(self) -> int:
        """Tell it to stop, and wait until it has."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)


@contextmanager
def serving(folder: Path, *arguments: str, **variables: str) -> Iterator[Serving]:
    where = () if "--port" in arguments else ("--port", "0")
    command = [sys.executable, "-c", _MAIN, "serve", *arguments, *where]
    env = {**offline(), **variables}
    process = subprocess.Popen(command, cwd=folder, env=env, stderr=subprocess.PIPE, text=True)
    try:
        yield Serving(process)
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def asked(url: str, **headers: str) -> httpx.Response:
    with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
        return client.post("/v1/chat/completions", json=QUESTION, headers=headers)


def _answers(url: str) -> bool:
    try:
        return asked(url).status_code > 0
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("what", ["team.yaml", "service:app"])
def test_one_process_serves_until_it_is_told_to_stop(folder: Path, what: str) -> None:
    with serving(folder, what) as it:
        assert "you said: hello" in asked(it.url).json()["choices"][0]["message"]["content"]
        assert it.end() == 0


def test_who_asks_is_said_by_a_function_that_is_named(folder: Path) -> None:
    with serving(folder, "team.yaml", "--host", "0.0.0.0", "--authenticate", "service:who", "--import-from", ".") as it:
        url = it.url.replace("0.0.0.0", "127.0.0.1")
        assert asked(url).status_code == 401
        assert asked(url, authorization="Bearer ada").status_code == 200
        assert it.end() == 0


def test_what_fails_in_the_server_is_logged(folder: Path) -> None:
    with serving(folder, "service:agency", "--authenticate", "service:fails") as it:
        assert asked(it.url).status_code == 500
        assert "POST /v1/chat/completions failed" in it.until("ERROR").string
        it.until("RuntimeError: out of order")
        assert it.end() == 0


def test_a_log_is_written_as_json_where_the_file_says_so(folder: Path) -> None:
    (folder / "json.yaml").write_text(TEAM + "logs: json\n", encoding="utf-8")
    with serving(folder, "json.yaml", "--authenticate", "service:fails", "--import-from", ".") as it:
        assert asked(it.url).status_code == 500
        line = json.loads(it.until('"ERROR"').string)
        assert (line["level"], line["logger"]) == ("ERROR", "callboard")
        assert line["error"].endswith("RuntimeError: out of order")
        assert it.end() == 0


def test_workers_are_replaced_started_again_and_ended(folder: Path) -> None:
    with serving(folder, "kept.yaml", "--workers", "2") as it:
        assert asked(it.url).status_code == 200
        it.process.send_signal(signal.SIGHUP)
        new = int(it.until(r"worker (\d+) replaces \d+").group(1))
        it.until(r"worker (\d+) replaces \d+")
        assert asked(it.url).status_code == 200
        os.kill(new, signal.SIGKILL)
        it.until(rf"worker {new} ended by SIGKILL: another one is started")
        assert asked(it.url).status_code == 200
        assert it.end() == 0


def test_the_dashboards_of_all_workers_are_shown_by_each(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sockets = tmp_path_factory.mktemp("sockets")
    with serving(folder, "kept.yaml", "--workers", "2", "--dashboard", TMPDIR=str(sockets)) as it:
        url, key = it.until(r"its dashboard is at (http://\S+/dashboard/)#key=(\S+)$").groups()
        headers = {"authorization": f"Bearer {key}"}
        with httpx.Client(base_url=url, headers=headers, timeout=120, trust_env=False) as client:
            assert client.get("").status_code == 200
            found: list[int] = []
            while len(found) < 2:  # the other one may not serve yet
                found = [one["process"] for one in client.get("api/me").json()["processes"]]
            for process in found:
                assert client.get("api/me", params={"process": process}).json()["process"] == process
                with client.stream("GET", "api/live", params={"process": process, "view": "actors"}) as answer:
                    assert next(answer.iter_lines()) == "event: snapshot"
            assert client.get("api/me", params={"process": it.process.pid}).status_code == 404
            assert client.get("api/me", params={"process": found[0]}, headers={"authorization": ""}).status_code == 401
        assert it.end() == 0


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (("team.yaml", "--dashboard"), {}, r"/dashboard/#key=[\w-]{43}$"),
        (
            ("team.yaml", "--dashboard"),
            {"CALLBOARD_DASHBOARD_KEY": "x" * 16},
            r"the key that CALLBOARD_DASHBOARD_KEY has",
        ),
        (("team.yaml", "--dashboard"), {"CALLBOARD_DASHBOARD_KEY": ""}, r"/dashboard/#key=[\w-]{43}$"),
        (("service:seen",), {}, "for keys with the scope metrics or admin"),
    ],
)
def test_where_the_dashboard_is_and_who_may_see_it_is_said(
    folder: Path, arguments: tuple[str, ...], variables: dict[str, str], said: str
) -> None:
    with serving(folder, *arguments, **variables) as it:
        line = it.until(said).string
        assert not variables or "x" * 16 not in line
        assert httpx.get(f"{it.url}/dashboard/", timeout=120, trust_env=False).status_code == 200
        assert it.end() == 0


def test_workers_whose_supervisor_is_killed_end_too(folder: Path) -> None:
    with serving(folder, "kept.yaml", "--workers", "2") as it:
        assert asked(it.url).status_code == 200
        it.process.kill()
        answered = all(_answers(it.url) for _ in range(100_000))
        assert not answered


def test_workers_that_cannot_start_end_it_with_their_status(folder: Path) -> None:
    (folder / "conversations.db").write_text("no database", encoding="utf-8")
    with serving(folder, "kept.yaml", "--workers", "2") as it:
        assert it.process.wait(120) == 2
        assert "callboard: " in it.until("no journal|not a database|conversations.db").string


KILLED = """\
import os, pathlib, signal

with pathlib.Path("imports").open("a") as imports:
    imports.write("x")  # the first one is the supervisor's, which looks whether all is there
if 1 < pathlib.Path("imports").stat().st_size <= {last}:
    os.kill(os.getpid(), signal.SIGKILL)

def who(request):
    return None
"""


def test_workers_that_are_killed_before_any_has_served_are_started_again(folder: Path) -> None:
    (folder / "killed.py").write_text(KILLED.format(last=3), encoding="utf-8")
    options = ("--workers", "2", "--authenticate", "killed:who", "--import-from", ".")
    with serving(folder, "kept.yaml", *options) as it:
        for _ in range(2):
            it.until(r"worker (\d+) ended by SIGKILL: another one is started")
        assert asked(it.url).status_code == 401
        assert it.end() == 0


def test_workers_that_are_killed_again_and_again_end_it(folder: Path) -> None:
    (folder / "killed.py").write_text(KILLED.format(last=100), encoding="utf-8")
    with serving(folder, "kept.yaml", "--workers", "2", "--authenticate", "killed:who", "--import-from", ".") as it:
        it.until("ended by SIGKILL, and none has served: it ends here")
        assert it.process.wait(120) == 1


def test_a_changed_file_is_served_anew(folder: Path) -> None:
    with serving(folder, "service:agency", "--reload") as it:
        assert asked(it.url).status_code == 200
        (folder / "service.py").write_text("this is no Python", encoding="utf-8")
        it.until("did not become ready")
        assert asked(it.url).status_code == 200
        (folder / "service.py").write_text(APP.replace('"Helper"', '"Other"'), encoding="utf-8")
        it.until("replaces")
        with httpx.Client(base_url=it.url, timeout=120, trust_env=False) as client:
            for _ in range(1_000):
                models = client.get("/v1/models").json()["data"]
                if [model["id"] for model in models] == ["Other"]:
                    break
        assert [model["id"] for model in models] == ["Other"]
        assert it.end() == 0

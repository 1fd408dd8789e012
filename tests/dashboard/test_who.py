"""Who may look at a dashboard, and what browsers are told of its page."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount

from callboard import Agency, Agent, Caller, DefinitionError, dashboard, serve
from callboard.actors.serving.dashboard.board import own_key
from callboard.actors.serving.dashboard.routes import ROUTES
from tests.cli.command import offline
from tests.serving.support import served

from .support import agency_of, shown

KEYS = {
    "boss": Caller("ada", scopes=frozenset({"admin"})),
    "meter": Caller("grafana", scopes=frozenset({"metrics"})),
    "user": Caller("bob"),
    "tenant": Caller("eve", "shop", frozenset({"admin", "metrics"})),
}


def who(connection: HTTPConnection) -> Caller | None:
    return KEYS.get(connection.headers.get("authorization", "").removeprefix("Bearer "))


def with_key(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def test_the_page_is_for_everybody_and_what_it_asks_for_whoever_has_the_key() -> None:
    async with shown(agency_of()) as client:
        for headers in ({"authorization": ""}, with_key("wrong"), with_key(own_key() + "x"), with_key("ü" * 40)):
            sent: Any = {name: value.encode() for name, value in headers.items()}
            for path in ("", "static/index.html"):
                assert (await client.get(path, headers=sent)).status_code == 200
            for path in ("api/me", "api/live"):
                refused = await client.get(path, headers=sent)
                assert refused.status_code == 401
                assert refused.headers["content-type"] == "application/problem+json"
                assert (refused.json()["code"], refused.headers["www-authenticate"]) == ("unauthorized", "Bearer")
        told = (await client.get("api/me")).json()
    assert told["may"] == {"look": True, "read": True, "act": True}
    assert (told["name"], told["agents"], told["durable"]) == ("agency", ["Helper"], False)
    assert (told["process"], told["processes"]) == (os.getpid(), [{"process": os.getpid(), "here": True}])
    assert re.fullmatch(r"\d+\.\d+.*", told["version"])
    assert re.fullmatch(r"3\.\d+\.\d+.*", told["python"])


async def test_scopes_say_who_looks_and_who_acts_and_nobody_of_a_tenant_does() -> None:
    async with shown(agency_of(), authenticate=who) as client:
        may = {
            key: (found.status_code, found.json().get("may", found.json().get("code")))
            for key in (*KEYS, "nobody", own_key())
            if (found := await client.get("api/me", headers=with_key(key)))
        }
    assert may["boss"] == (200, {"look": True, "read": True, "act": True})
    assert may["meter"] == (200, {"look": True, "read": False, "act": False})
    assert may["user"] == may["tenant"] == (403, "not_allowed")
    assert may["nobody"] == may[own_key()] == (401, "unauthorized")


@pytest.mark.parametrize(("path", "method"), [(path, method) for path, _, method in ROUTES if path.startswith("/api/")])
async def test_each_path_is_for_whoever_may_and_others_are_refused_before_anything_is_read(
    path: str, method: str
) -> None:
    figures = path in ("/api/me", "/api/live", "/api/budgets", "/api/approvals")  # the last names what waits
    named = re.sub("{[^}]+}", "x", path.removeprefix("/"))
    async with shown(agency_of(), authenticate=who) as client:
        told = {}
        for key in (*KEYS, "nobody"):
            answer = await client.request(method, f"{named}?no-field=1", headers=with_key(key))
            told[key] = (answer.status_code, answer.json()["code"])
    may, not_allowed = (400, "unknown_field"), (403, "not_allowed")
    assert told == {
        "boss": may,
        "meter": may if figures else not_allowed,
        "user": not_allowed,
        "tenant": not_allowed,
        "nobody": (401, "unauthorized"),
    }


async def test_browsers_run_nothing_on_the_page_that_is_not_of_it_and_ask_whether_it_has_changed() -> None:
    async with shown(agency_of()) as client:
        page = await client.get("")
        policy = dict(one.split(" ", 1) for one in page.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["script-src"] == policy["connect-src"] == "'self'"
        assert (page.headers["x-content-type-options"], page.headers["cache-control"]) == ("nosniff", "no-cache")
        again = await client.get("", headers={"if-none-match": f'"other", W/{page.headers["etag"]}'})
        assert (again.status_code, again.content) == (304, b"")
        assert (await client.head("")).headers["etag"] == page.headers["etag"]
        figures = await client.get("api/me")
        assert figures.headers["cache-control"] == "no-store"
        assert figures.headers["content-security-policy"] == page.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("path", "kind"), [("", "text/html"), ("static/app.js", "text/javascript"), ("static/style.css", "text/css")]
)
async def test_browsers_are_told_what_each_file_is(path: str, kind: str) -> None:
    async with shown(agency_of()) as client:
        assert (await client.get(path)).headers["content-type"] == f"{kind}; charset=utf-8"


@pytest.mark.parametrize(
    "path", ["static/../app.py", "static/%2e%2e/app.py", "static/..%2fapp.py", "static//etc/passwd", "static/%00.js"]
)
async def test_no_other_file_is_to_be_had(path: str) -> None:
    async with shown(agency_of()) as client:
        answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.json()["code"].startswith("unknown")


async def test_what_is_not_there_is_refused_as_a_problem() -> None:
    async with shown(agency_of()) as client:
        for path in ("static/none.js", "static/README.md", "api/none", "none"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "unknown_path")
        assert (await client.post("api/me")).json()["code"] == "method_not_allowed"
        assert (await client.get("api/me?x=1")).json()["code"] == "unknown_field"
        for path in (
            "api/live?every=1&every=2",
            "api/audit?limit=5&limit=5",
            f"api/me?process={os.getpid()}&process=1",
        ):
            twice = (await client.get(path)).json()
            assert twice["code"] == "invalid_field"
            assert twice["detail"] == f"{twice['where']} stands 2 times in the query"
        elsewhere = await client.get("api/me?process=1")
        assert (elsewhere.status_code, elsewhere.json()["where"]) == (404, "process")
        assert (await client.get(f"api/me?process={os.getpid()}")).status_code == 200


async def test_it_is_found_without_its_last_slash_below_any_path() -> None:
    async with agency_of() as agency:
        app = Starlette(routes=[Mount("/team/a", serve(agency, dashboard=True)), Mount("/own", dashboard(agency, who))])
        async with served(app) as one, one.client(follow_redirects=True) as client:
            page = await client.get("/team/a/dashboard")
            assert (page.status_code, page.url.path) == (200, "/team/a/dashboard/")
            assert (await client.get("/team/a/dashboard/api/me", headers=with_key(own_key()))).status_code == 200
            assert (await client.get("/own/api/me", headers=with_key("boss"))).status_code == 200
            assert (await client.get("/own/api/me", headers=with_key(own_key()))).status_code == 401


async def test_nobody_without_one_is_asked_and_no_agent_has_its_name() -> None:
    async with served(agency_of()) as one, one.client() as client:
        assert (await client.get("/dashboard/")).json()["code"] == "unknown_path"
    with pytest.raises(DefinitionError, match="dashboard"):
        serve(Agency(Agent("dashboard"), model="offline"))
    given: Any = "yes"
    with pytest.raises(DefinitionError, match="True or False"):
        serve(agency_of(), dashboard=given)
    with pytest.raises(DefinitionError, match="takes an Agency"):
        dashboard(given)
    with pytest.raises(DefinitionError, match="authenticate"):
        dashboard(agency_of(), [])


def test_a_key_of_ones_own_is_long_and_not_left_for_programs_that_are_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLBOARD_DASHBOARD_KEY", "short")
    with pytest.raises(DefinitionError, match="at least 16"):
        dashboard(agency_of())
    monkeypatch.setenv("CALLBOARD_DASHBOARD_KEY", "a key that somebody knows")
    app = dashboard(agency_of())
    assert own_key() == app.state.board.key == "a key that somebody knows"
    assert "CALLBOARD_DASHBOARD_KEY" not in os.environ
    assert "somebody" not in repr(app.state.board)


@pytest.mark.parametrize(
    "key",
    [" " * 20, " a key with spaces around ", "a key that a file has\n", "schlüsselschlüsselschlüssel", "\udcff" * 20],
)
def test_a_key_that_no_request_can_bring_is_refused(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLBOARD_DASHBOARD_KEY", key)
    with pytest.raises(DefinitionError, match="no header brings") as refused:
        dashboard(agency_of())
    assert key.strip() == "" or key.strip() not in str(refused.value)


async def test_an_agency_of_another_event_loop_is_not_shown() -> None:
    app = dashboard(agency_of())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x", headers=with_key(own_key())) as client:
        refused = await client.get("/api/live")
        assert (refused.status_code, refused.json()["code"]) == (503, "stopping")
        assert (await client.get("/api/me")).json()["name"] == ""


SERVES = """
import logging, sys
from callboard import Agency, Agent, serve
from callboard.actors.serving.dashboard.board import own_key

logging.basicConfig(filename="it.log", level=logging.DEBUG)
for _ in range(2):
    serve(Agency(Agent("Helper"), model="offline"), dashboard=True)
print(own_key())
"""


@pytest.mark.parametrize("at_terminal", [True, False])
def test_a_key_that_was_made_is_told_once_at_a_terminal_and_never_logged(at_terminal: bool, tmp_path: Path) -> None:
    ours, theirs = pty.openpty() if at_terminal else os.pipe()
    with os.fdopen(ours, "rb", buffering=0) as told, os.fdopen(theirs, "wb") as stderr:
        command = [sys.executable, "-c", SERVES]
        key = subprocess.check_output(command, cwd=tmp_path, env=offline(), stderr=stderr, text=True).strip()
        stderr.write(b"the end\n")
        stderr.flush()
        said = told.read(65_536).decode()
    logged = (tmp_path / "it.log").read_text("utf-8")
    assert key not in logged
    if at_terminal:
        assert said.count(f"#key={key}") == 1
        assert "dashboard" not in logged
    else:
        assert key not in said
        assert "CALLBOARD_DASHBOARD_KEY" in logged

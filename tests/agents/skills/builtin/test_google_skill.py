"""The skill ``google``: Google's own client, against a server on this machine that answers in Google's form."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from callboard import Agency, Agent, Caller, DefinitionError, GoogleSkill, load_team
from callboard.actors.testing.doubles.models import call
from tests.agents.support import function, results

pytest.importorskip("googleapiclient", reason="needs Google's client: pip install 'callboard[google]'")

HEADERS = [
    {"name": "From", "value": "bob@x.org"},
    {"name": "Date", "value": "Mon, 5 Jan 2026"},
    {"name": "Subject", "value": "Tea"},
]
EVENT = {"summary": "Tea", "start": {"dateTime": "2026-01-05T10:00:00Z"}, "end": {"date": "2026-01-06"}}


class Google:
    """A server, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, list[str]], Any, str]] = []
        self.url = ""

    def answer(self, method: str, path: str) -> tuple[int, Any]:
        """Status and body of an answer."""
        found: dict[tuple[str, str], Any] = {
            ("GET", "/calendars/primary/events"): {"items": [EVENT]},
            ("POST", "/calendars/primary/events"): {"id": "e1", "htmlLink": "http://calendar/e1"},
            ("GET", "/files"): {"files": [{"id": "f1", "name": "Plan", "mimeType": "text/plain"}]},
            ("GET", "/files/f1"): {"mimeType": "text/plain", "size": "5"},
            ("GET", "/files/g1"): {"mimeType": "application/vnd.google-apps.spreadsheet"},
            ("GET", "/files/g1/export"): b"a,b",
            ("GET", "/files/most"): {"mimeType": "text/plain", "size": "1000000"},
            ("GET", "/files/long"): {"mimeType": "application/vnd.google-apps.document"},
            ("GET", "/files/long/export"): ("a" + "é" * 600_000).encode(),
            ("GET", "/files/more"): {"mimeType": "text/plain", "size": "1000001"},
            ("GET", "/files/big"): {"mimeType": "text/plain", "size": "9000000"},
            ("GET", "/files/pic"): {"mimeType": "image/png", "size": "3"},
            ("GET", "/gmail/v1/users/me/messages"): {"messages": [{"id": "m1"}]},
            ("GET", "/gmail/v1/users/me/messages/m1"): {"snippet": "Come at four", "payload": {"headers": HEADERS}},
            ("POST", "/gmail/v1/users/me/messages/send"): {"id": "m2"},
        }
        if (method, path) not in found:
            return 404, {"error": {"code": 404, "message": "File not found: none."}}
        return 200, found[(method, path)]


@pytest.fixture
def google() -> Iterator[Google]:
    world = Google()

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            query = parse_qs(parts.query)
            sent = json.loads(body) if body else None
            world.asked.append((self.command, parts.path, query, sent, self.headers.get("authorization", "")))
            status, said = world.answer(self.command, parts.path)
            if query.get("alt") == ["media"] and isinstance(said, dict) and status == 200:
                said = b"\x89PNG\xff" if parts.path.endswith("pic") else b"plans"
            answer = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "text/plain" if isinstance(said, bytes) else "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = _any  # noqa: N815

        def log_message(self, *given: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        world.url = f"http://127.0.0.1:{server.server_port}"
        yield world
        server.shutdown()


async def told(google: Google, *calls: Any, caller: Caller = Caller("ada"), **options: Any) -> list[str]:  # noqa: B008
    """What calls of the skill's tools tell a model, in a run of a caller's."""
    said: list[str] = []

    def model(request: Any) -> Any:
        said[:] = results(request)
        return calls[len(said)] if len(said) < len(calls) else "done"

    tokens = {"ada": "token-of-ada"}
    skill = GoogleSkill(endpoint=google.url, **options)
    async with Agency(
        Agent("A", skills=[skill]),
        model=function(model),
        credentials=lambda caller, name: tokens.get(caller.user) if name == "google" else None,
    ) as agency:
        await agency.run("?", caller=caller)
    return said


async def test_calendar_files_and_mails_are_the_callers(google: Google) -> None:
    said = await told(
        google,
        call("calendar_events", start="2026-01-01T00:00:00Z", end="2026-02-01T00:00:00Z"),
        call("drive_search", words="bob's plan"),
        call("drive_read", file_id="f1"),
        call("drive_read", file_id="g1"),
        call("gmail_search", query="from:bob"),
    )
    assert said == [
        "2026-01-05T10:00:00Z to 2026-01-06: Tea",
        "f1: Plan (text/plain)",
        "plans",
        "a,b",
        "bob@x.org | Mon, 5 Jan 2026 | Tea | Come at four",
    ]
    assert {authorization for *_, authorization in google.asked} == {"Bearer token-of-ada"}
    queries = [query for _, path, query, _, _ in google.asked if path == "/files"]
    assert queries[0]["q"] == ["fullText contains 'bob\\'s plan' and trashed = false"]


async def test_of_a_file_a_million_bytes_are_read_and_no_half_of_a_letter(google: Google) -> None:
    most, more, long = await told(
        google,
        call("drive_read", file_id="most"),
        call("drive_read", file_id="more"),
        call("drive_read", file_id="long"),
    )
    assert most == "plans"
    assert "the file has 1,000,001 bytes; at most 1,000,000 are read" in more
    assert long.startswith("aéé")
    assert long.endswith("éé")
    assert "500000 characters in all" in long


async def test_what_changes_or_sends_is_risky_and_goes_out_once(google: Google) -> None:
    skill = GoogleSkill(endpoint=google.url)
    risks = {getattr(each, "name", ""): getattr(each, "risk", "") for each in skill.tools}
    assert {name for name, risk in risks.items() if risk == "risky"} == {"calendar_add", "gmail_send"}
    said = await told(
        google,
        call("calendar_add", summary="Tea", start="2026-01-05T10:00:00Z", end="2026-01-05T11:00:00Z"),
        call("gmail_send", to="bob@x.org", subject="Tea — ☕", text="At four?"),
        call("gmail_send", to="bob@x.org\nBcc: eve@x.org", subject="Tea", text="?"),
    )
    assert said[:2] == ["added: http://calendar/e1", "sent"]
    assert "stand on one line each" in said[2]
    event, mail = (sent for method, _, _, sent, _ in google.asked if method == "POST")
    assert (event["summary"], event["start"]) == ("Tea", {"dateTime": "2026-01-05T10:00:00Z"})
    parsed = message_from_bytes(base64.urlsafe_b64decode(mail["raw"]))
    assert parsed["To"] == "bob@x.org"
    assert len(google.asked) == 2


async def test_what_fails_is_told_by_name_without_the_token(google: Google) -> None:
    said = await told(
        google,
        call("drive_read", file_id="none"),
        call("drive_read", file_id="big"),
        call("drive_read", file_id="pic"),
    )
    assert "Google refused (404): File not found: none." in said[0]
    assert "the file has 9,000,000 bytes" in said[1]
    assert "the file is no text, but image/png" in said[2]
    (nobody,) = await told(google, call("gmail_search", query="x"), caller=Caller("eve"))
    assert "there is no credential 'google' for this caller" in nobody
    google.url = "http://127.0.0.1:1"
    (gone,) = await told(google, call("calendar_add", summary="x", start="s", end="e"))
    assert "Google cannot be reached: ConnectionRefusedError" in gone
    assert "token-of-ada" not in f"{said}{nobody}{gone}"


def test_a_team_file_says_which_services(tmp_path: Path) -> None:
    (tmp_path / "team.yaml").write_text(
        "skills: {google: {settings: {services: [calendar]}}}\n"
        "agents: {A: {skills: [google]}}\nproviders: {offline: {type: offline}}\n"
    )
    (skill,) = load_team(tmp_path / "team.yaml", env={}).agents["A"].skills
    assert [getattr(each, "name", "") for each in skill.tools] == ["calendar_events", "calendar_add"]
    for wrong in (["maps"], []):
        with pytest.raises(DefinitionError, match="services are some of calendar, drive, gmail"):
            GoogleSkill(wrong)  # type: ignore[arg-type]

"""The skills ``files`` and ``web``: the tools that there are, as skills."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from callboard import DefinitionError, Skill, find_skill, load_team
from callboard.actors.agents.skills.builtin.files import files_skill
from callboard.actors.agents.skills.builtin.web import web_skill

from .support import used


def names(skill: Skill) -> list[str]:
    return [getattr(each, "name", "") for each in skill.tools]


async def test_a_folders_files_are_read_and_changed_within_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    skill = files_skill(tmp_path)
    assert names(skill) == ["LS", "Glob", "Grep", "Read", "Write", "Edit", "MultiEdit"]
    assert (await used(skill, "Write", path="b.txt", content="two")).is_error is False
    assert (tmp_path / "b.txt").read_text() == "two"
    assert (await used(skill, "Read", path="../a.txt")).is_error


async def test_where_files_are_only_read_nothing_is_offered_that_changes_them(tmp_path: Path) -> None:
    assert names(files_skill(tmp_path, read_only=True)) == ["LS", "Glob", "Grep", "Read"]
    with pytest.raises(DefinitionError, match=r"skill files: the folder .* does not exist"):
        files_skill(tmp_path / "none")


def test_a_team_file_says_which_folder_beside_it(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "team.yaml").write_text(
        "skills:\n  files: {settings: {folder: docs, read_only: true}}\n"
        "agents: {A: {skills: [files, web]}}\nproviders: {offline: {type: offline}}\n"
    )
    files, web = load_team(tmp_path / "team.yaml", env={}).agents["A"].skills
    assert (names(files), names(web)) == (["LS", "Glob", "Grep", "Read"], ["WebFetch"])


class Page(BaseHTTPRequestHandler):
    """A page, and a search engine of SearXNG's form."""

    def do_GET(self) -> None:
        found = self.path.startswith("/search")
        kind, body = (
            ("application/json", b'{"results": [{"title": "Tea", "url": "http://tea", "content": "is old"}]}')
            if found
            else ("text/plain", b"tea is old")
        )
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *given: object) -> None:
        """Say nothing."""


async def test_pages_are_fetched_and_searched_for() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            at = f"http://127.0.0.1:{server.server_port}"
            skill = find_skill("web", private=True, searxng=at)
            assert names(skill) == ["WebFetch", "WebSearch"]
            assert "tea is old" in (await used(skill, "WebFetch", url=at)).text
            assert "1. Tea\n   http://tea\n   is old" in (await used(skill, "WebSearch", query="tea")).text
            refused = await used(web_skill(), "WebFetch", url=at)
            assert "private network" in refused.text
        finally:
            server.shutdown()

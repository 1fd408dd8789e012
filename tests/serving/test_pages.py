"""The examples on the pages about serving run as they stand."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.testclient import TestClient

from tests.cli.command import callboard as run_callboard
from tests.pages.page import Page, paths

from .facilitator import NETWORK, decoded, facilitator
from .support import served

# Programs that go on from one to the next, and end by themselves, are run with those of all pages.
WHOLE = ("actors/serving/embedding.md",)
PAGES = [Page(path) for path in paths() if path.startswith("actors/serving/") and path not in WHOLE]
EXAMPLES = [
    pytest.param(page, number, id=f"{page.path}-{number}")
    for page in PAGES
    for number in range(len(page.blocks("python")))
]
PAID = [
    each
    for each, example in zip(EXAMPLES, [block for page in PAGES for block in page.blocks("python")], strict=True)
    if "payments=" in example.text
]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("page", "number"), [each for each in EXAMPLES if each not in PAID])
def test_an_example_makes_an_application_that_serves(page: Page, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", "")  # as it was, when the page's own has been used
    app = page.run(only=slice(number, number + 1))["app"]
    assert isinstance(app, Starlette)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        path = "/agents" if isinstance(app, FastAPI) else ""
        assert client.get(f"{path}/readyz").json() == {"status": "ready"}
        assert "operationId" in client.get(f"{path}/openapi.json").text or app.state.server.authenticate


@pytest.mark.parametrize(("page", "number"), PAID)
async def test_an_example_asks_for_what_its_agent_costs(
    page: Page, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = page.given()
    text = page.block("python", number)
    async with facilitator() as bank:
        here = text.replace("https://facilitator.example", bank.url).replace("eip155:8453", NETWORK)
        exec(compile(here, page.path, "exec"), names)
        try:
            async with served(names["app"]) as it, it.client() as client:
                answer = await client.post(
                    "/Poet/chat/completions", json={"messages": [{"role": "user", "content": "x"}]}
                )
                (accepts,) = decoded(answer.headers["payment-required"])["accepts"]
                assert (answer.status_code, accepts["amount"], accepts["payTo"]) == (402, "50000", "0x…")
        finally:
            await names["bank"]._facilitator_clients[0].aclose()


@pytest.mark.parametrize("text", [block.text for page in PAGES for block in page.blocks("console")])
async def test_what_a_terminal_shows_is_what_the_commands_say(text: str, tmp_path: Path) -> None:
    shown: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            shown.append((line.removeprefix("$ "), []))
        elif line:
            shown[-1][1].append(line.partition("  #")[0])
    assert shown
    for said, answers in shown:
        done = await asyncio.to_thread(run_callboard, *shlex.split(said)[1:], cwd=tmp_path)
        assert done.status == 0, done
        for answer, wanted in zip(done.out.splitlines(), answers, strict=True):
            pattern = re.sub(r"\d+", "[0-9]+", wanted.replace("+", r"\+")).replace("…", r"\S+")
            assert re.fullmatch(pattern, answer), (pattern, answer)

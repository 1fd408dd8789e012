"""The examples on the pages about serving run as they stand."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.testclient import TestClient

import callboard
from callboard.actors.cli.app import app as command
from tests.cli.command import ROOT
from tests.cli.command import callboard as run_callboard

from .facilitator import NETWORK, Scheme, decoded, facilitator
from .support import served

SERVING = ROOT / "actors" / "serving"
PAGES = sorted(path.relative_to(SERVING) for path in SERVING.rglob("README.md"))


class Order(BaseModel):
    item: str


async def add(order: Order, for_whom: str) -> Order:
    return order


def blocks(kind: str) -> list[Any]:
    """The blocks of a kind on all pages, each with its page."""
    found = []
    for page in PAGES:
        for number, text in enumerate(re.findall(rf"```{kind}\n(.*?)```", (SERVING / page).read_text(), re.DOTALL)):
            found.append(pytest.param(text, id=f"{page.parent}-{number}"))
    return found


def known(text: str) -> dict[str, Any]:
    """The names that an example may use: those that it imports, or else what the page has shown before."""
    if text.startswith(("from ", "import ", '"""')):
        return {"__name__": "page"}
    shown = {"Order": Order, "orders": SimpleNamespace(add=add), "agency": callboard.Agency(callboard.Agent("Clerk"))}
    others: dict[str, Any] = {"FastAPI": FastAPI, "asynccontextmanager": asynccontextmanager}
    facade = {name: getattr(callboard, name) for name in ("Agency", "Agent", "Caller", "Skill", "http", "serve")}
    return {"__name__": "page", **shown, **others, **facade}


EXAMPLES = blocks("python")
PAID = [each for each in EXAMPLES if "payments=" in each.values[0]]


@pytest.mark.parametrize("text", [each for each in EXAMPLES if each not in PAID])
def test_an_example_makes_an_application_that_serves(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEBHOOK_SECRET", "whsec_" + "a" * 32)
    names = known(text)
    exec(compile(text, "README.md", "exec"), names)
    app = names["app"]
    assert isinstance(app, Starlette)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        path = "/agents" if isinstance(app, FastAPI) else ""
        assert client.get(f"{path}/readyz").json() == {"status": "ready"}
        assert "operationId" in client.get(f"{path}/openapi.json").text or app.state.server.authenticate


@pytest.mark.parametrize("text", PAID)
async def test_an_example_asks_for_what_its_agent_costs(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chain = ModuleType("x402.mechanisms.evm.exact")  # it needs Ethereum's packages, and a chain
    chain.__dict__["ExactEvmServerScheme"] = Scheme
    monkeypatch.setitem(sys.modules, chain.__name__, chain)
    async with facilitator() as bank:
        here = text.replace("https://facilitator.example", bank.url).replace("eip155:8453", NETWORK)
        names = known(here)
        exec(compile(here, "README.md", "exec"), names)
        try:
            async with served(names["app"]) as it, it.client() as client:
                answer = await client.post(
                    "/Poet/chat/completions", json={"messages": [{"role": "user", "content": "x"}]}
                )
                (accepts,) = decoded(answer.headers["payment-required"])["accepts"]
                assert (answer.status_code, accepts["amount"], accepts["payTo"]) == (402, "50000", "0x…")
        finally:
            await names["bank"]._facilitator_clients[0].aclose()


@pytest.mark.parametrize("text", blocks("console"))
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


def commands() -> list[Any]:
    """All commands that are shown, however they are, each with its page."""
    found: list[Any] = []
    for page in PAGES:
        text = (SERVING / page).read_text()
        shown = "\n".join(re.findall(r"```\w*\n(.*?)```", text, re.DOTALL))
        said = re.findall(r"^callboard [^#\n]*", shown, re.MULTILINE)
        said += re.findall(r"`(callboard (?:serve|mcp|acp|keys|approvals) [^`]+)`", text)
        for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL):
            said += [shlex.join([one["command"], *one["args"]]) for one in _with_args(json.loads(block))]
        found += [pytest.param(one, id=f"{page.parent}: {one}") for one in dict.fromkeys(map(str.strip, said))]
    return found


def _with_args(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        if "command" in value:
            yield value
        for inner in value.values():
            yield from _with_args(inner)


@pytest.mark.parametrize("said", commands())
def test_a_command_that_is_shown_is_one_that_there_is(said: str) -> None:
    words = shlex.split(said.replace("…", "x"))
    found, bound, _ = command.parse_args(words[1:], print_error=False, exit_on_error=False)
    assert callable(found)
    assert bound is not None

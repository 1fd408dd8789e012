"""Webhooks that are told of a run's end."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from callboard import Agency, Agent, DefinitionError, Webhooks, verify_webhook
from callboard.actors.agents.caller import NOBODY
from callboard.actors.agents.errors import UnknownRun
from callboard.actors.agents.lifecycle import open_journal
from callboard.actors.journal import MemoryJournal
from callboard.actors.journal.errors import StreamOwned
from callboard.actors.journal.store import at_hand
from callboard.actors.serving.operations.draining import drain
from callboard.actors.serving.runs import Asked, run_of
from callboard.actors.serving.webhooks import LOOK

from .support import Served, served, speaker

SECRET = "whsec_c2VjcmV0IG9mIHRoZSB0ZXN0cw=="


class Receiver:
    """A server that takes webhooks.

    Attributes:
        url: where.
        got: what has come: headers and body.
        heard: what comes once something has.
    """

    def __init__(self, answers: Sequence[str]) -> None:
        self.url = ""
        self.answers = list(answers)
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.came = asyncio.Condition()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._take(reader, writer)
        finally:
            writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        answer = self.answers.pop(0) if self.answers else "200 OK"
        writer.write(f"HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()
        async with self.came:
            self.got.append((headers, body))
            self.came.notify_all()

    async def until(self, number: int) -> None:
        async with self.came:
            await self.came.wait_for(lambda: len(self.got) >= number)


@asynccontextmanager
async def receiver(*answers: str) -> AsyncIterator[Receiver]:
    made = Receiver(answers)
    server = await asyncio.start_server(made.take, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/told?token=secret"
    async with server:
        yield made


def allowed(there: Receiver, **options: Any) -> Webhooks:
    host = there.url.removeprefix("http://").partition("/")[0]
    return Webhooks([host], SECRET, **{"private": True, "wait": 0.001, **options})


async def start(it: Served, headers: dict[str, str] | None = None, **body: Any) -> Any:
    async with it.client() as client:
        answer = await client.post("/agency/runs", json={"input": "go", **body}, headers=headers)
    return {"status": answer.status_code, **answer.json()}


async def untold(agency: Agency) -> list[str]:
    """What is still to be told, as the journal has it."""
    return [header.name for header in await at_hand(agency.journal.headers(prefix="serving.webhook:"))]


async def test_a_webhook_is_told_of_the_end_and_who_told_it() -> None:
    async with receiver() as there:
        agency = Agency(Agent("A"), model=speaker())
        async with served(agency, webhooks=allowed(there)) as it:
            run = await start(it, conversation="c", webhook=there.url)
            await there.until(1)
            headers, body = there.got[0]
            assert verify_webhook(SECRET, headers, body) == run["id"] == headers["webhook-id"]
            assert json.loads(body) == {
                "type": "run.ended",
                "data": {"run": run["id"], "agent": "A", "conversation": "c", "status": "ended", "error": None},
            }
            assert b"one two" not in body
            async with it.client() as client:
                assert (await client.get(f"/agency/runs/{run['id']}")).json()["status"] == "ended"


async def test_a_run_that_fails_is_told_of_too() -> None:
    gates = {(0, 1): asyncio.Event()}
    async with receiver() as there:
        agency = Agency(Agent("A"), model=speaker(gates=gates))
        async with served(agency, webhooks=allowed(there)) as it, it.client() as client:
            run = await start(it, webhook=there.url)
            await client.post(f"/agency/runs/{run['id']}/cancel")
            await there.until(1)
            said = json.loads(there.got[0][1])
            assert (said["type"], said["data"]["error"]) == ("run.failed", "run_cancelled")


async def test_what_was_not_heard_is_told_again_with_the_same_id(caplog: pytest.LogCaptureFixture) -> None:
    answers = ("500 Oops", "302 Found\r\nlocation: http://127.0.0.1:9/", "429 Wait\r\nretry-after: 0")
    async with receiver(*answers) as there:
        agency = Agency(Agent("A"), model=speaker())
        async with served(agency, webhooks=allowed(there)) as it:
            run = await start(it, webhook=there.url)
            await there.until(4)
        assert {headers["webhook-id"] for headers, _ in there.got} == {run["id"]}
        assert len({body for _, body in there.got}) == 1
    assert "token" not in caplog.text


async def test_what_nobody_hears_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="callboard")
    async with receiver(*["500 Oops"] * 9) as there:
        agency = Agency(Agent("A"), model=speaker())
        async with served(agency, webhooks=allowed(there, attempts=3)) as it:
            run = await start(it, webhook=there.url)
            await there.until(3)
            while f"the webhook of run {run['id']} was not heard in 3 attempts" not in caplog.text:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            while await untold(agency):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert len(there.got) == 3
    assert "token" not in caplog.text


async def test_with_a_key_it_is_told_of_once() -> None:
    async with receiver() as there:
        agency = Agency(Agent("A"), model=speaker())
        async with served(agency, webhooks=allowed(there)) as it:
            headers = {"idempotency-key": "k"}
            runs = [await start(it, headers, webhook=there.url) for _ in range(3)]
            assert len({run["id"] for run in runs}) == 1
            await there.until(1)
            again = await start(it, headers, webhook=there.url)
            assert again["id"] == runs[0]["id"]
            other = await start(it, headers, webhook=f"{there.url}&other=1")
            assert (other["status"], other["code"]) == (422, "idempotency_key_reused")
        assert len(there.got) == 1


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://hooks.example.com.evil.org/x", "webhook_not_allowed"),
        ("https://evil.org/hooks.example.com", "webhook_not_allowed"),
        ("https://example.org/", "webhook_not_allowed"),
        ("https://169.254.169.254/latest", "webhook_not_allowed"),
        ("https://hooks.example.com:8443/x", "webhook_not_allowed"),
        ("http://hooks.example.com/x", "invalid_webhook"),
        ("https://user@hooks.example.com/x", "invalid_webhook"),
        ("file:///etc/passwd", "invalid_webhook"),
        ("https://", "invalid_webhook"),
        ("https://hooks.example.com/" + "x" * 2_000, "invalid_webhook"),
        ("https://hooks.example.com\r\n.evil.org/", "invalid_webhook"),
    ],
)
async def test_a_webhook_that_may_not_be_named_is_refused_and_nothing_is_begun(url: str, code: str) -> None:
    agency = Agency(Agent("A"), model=speaker())
    async with served(agency, webhooks=Webhooks(["hooks.example.com", "*.example.org"], "s")) as it:
        refused = await start(it, conversation="c", webhook=url)
        assert (refused["status"], refused["code"]) == (400, code)
        assert await agency.conversations() == []
        assert not await untold(agency)


async def test_a_host_that_is_allowed_and_leads_to_a_private_network_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    private = [(2, 1, 6, "", ("127.0.0.1", 443))]
    monkeypatch.setattr("callboard.tools.builtin.addresses.socket.getaddrinfo", lambda *_, **__: private)
    caplog.set_level(logging.WARNING, logger="callboard")
    agency = Agency(Agent("A"), model=speaker())
    async with served(agency, webhooks=Webhooks(["hooks.example.com"], "s", attempts=1)) as it:
        await start(it, webhook="https://hooks.example.com/x")
        while "was not heard in 1 attempts" not in caplog.text:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_without_any_that_may_be_named_none_is_told() -> None:
    async with served(Agency(Agent("A"), model=speaker())) as it:
        refused = await start(it, webhook="https://hooks.example.com/x")
        assert (refused["status"], refused["code"], refused["where"]) == (400, "webhook_not_allowed", "webhook")


async def test_a_run_that_is_refused_leaves_nothing_to_tell() -> None:
    async with receiver() as there:
        agency = Agency(Agent("A"), model=speaker())
        async with served(agency, webhooks=allowed(there)) as it:
            assert (await start(it, conversation="a/b", webhook=there.url))["status"] == 400
            assert not await untold(agency)


async def test_what_one_server_could_not_tell_the_next_one_does(tmp_path: Path) -> None:
    kept = tmp_path / "journal.db"
    async with receiver("503 No") as there:
        first = Agency(Agent("A"), model=speaker(), journal=kept)
        async with served(first, webhooks=allowed(there, wait=600.0)) as it:
            run = await start(it, webhook=there.url)
            await there.until(1)
            await drain(it.app.state.server)
        second = Agency(Agent("A"), model=speaker(), journal=kept)
        async with served(second, webhooks=allowed(there)):
            await there.until(2)
        assert {headers["webhook-id"] for headers, _ in there.got} == {run["id"]}


async def test_a_run_that_was_expected_by_a_process_that_died_and_is_begun_by_another_is_told_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal = MemoryJournal()
    agency = Agency(Agent("A"), model=speaker(), journal=journal)
    run = run_of(Asked("A", NOBODY, "go", {}, "k"))
    handle, looked, begun = agency.handle, asyncio.Event(), asyncio.Event()

    async def slow(run_id: str, **options: Any) -> Any:
        """The first time, whoever looks for the run is slow to find that there is none."""
        try:
            return await handle(run_id, **options)
        except UnknownRun:
            if not looked.is_set():
                looked.set()
                await begun.wait()
            raise

    monkeypatch.setattr(agency, "handle", slow)
    async with receiver() as there:
        left = await at_hand(journal.open(f"serving.webhook:{run}"))
        await at_hand(left.append(({"run": run, "url": there.url},), unfinished=True))
        left.release()
        async with served(agency, webhooks=allowed(there)) as it:
            await looked.wait()
            assert (await start(it, {"idempotency-key": "k"}, webhook=there.url))["id"] == run
            begun.set()
            await there.until(1)


async def test_a_run_whose_webhook_was_about_to_be_written_down_by_a_process_that_died_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = open_journal(tmp_path / "journal.db")
    agency = Agency(Agent("A"), model=speaker(), journal=tmp_path / "journal.db")
    run = run_of(Asked("A", NOBODY, "go", {}, "k"))
    await at_hand(other.open(f"serving.webhook:{run}"))
    found = asyncio.Event()

    async def noticing(what: Any) -> Any:
        try:
            return await at_hand(what)
        except StreamOwned:
            found.set()
            raise

    monkeypatch.setattr("callboard.actors.serving.webhooks.at_hand", noticing)
    async with receiver() as there, served(agency, webhooks=allowed(there)) as it:
        asked = asyncio.create_task(start(it, {"idempotency-key": "k"}, webhook=there.url))
        await found.wait()
        other.close()  # as where its lease ends
        assert (await asked)["id"] == run
        await there.until(1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"hosts": "hooks.example.com"},
        {"hosts": []},
        {"hosts": ["*"]},
        {"secret": ""},
        {"secret": "whsec_?"},
        {"attempts": 0},
        {"wait": -1},
        {"private": "yes"},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError):
        Webhooks(**{"hosts": ["hooks.example.com"], "secret": "s", **wrong})


async def written(agency: Agency, run: str, number: int) -> list[Any]:
    """What is written down of a webhook, once there is so much of it."""
    while True:
        events = [record.event for record in await at_hand(agency.journal.read(f"serving.webhook:{run}"))]
        if len(events) >= number:
            return events
        await asyncio.sleep(0.001)


async def test_why_it_was_not_heard_is_written_down() -> None:
    async with receiver("500 Oops") as there:
        refused = Receiver(())
        with socket.create_server(("127.0.0.1", 0)) as free:
            refused.url = f"http://127.0.0.1:{free.getsockname()[1]}/told"
        silent = socket.create_server(("127.0.0.1", 0))
        slow = Receiver(())
        slow.url = f"http://127.0.0.1:{silent.getsockname()[1]}/told"
        for whom, why, options in (
            (there, "status 500", {}),
            (refused, "ConnectError", {}),
            (slow, "no answer in time", {"timeout": 0.01}),
        ):
            agency = Agency(Agent("A"), model=speaker(), journal=MemoryJournal())
            async with served(agency, webhooks=allowed(whom, wait=600.0, **options)) as it:
                run = await start(it, webhook=whom.url)
                about, failed = await written(agency, run["id"], 2)
                assert about["url"] == whom.url
                assert failed == {"failed": why}
                # Nobody waits for it who stops meanwhile.
                await drain(it.app.state.server)
        silent.close()


async def test_a_receiver_says_how_long_to_wait_and_each_wait_is_twice_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float, *args: Any) -> Any:
        if seconds < 0.25 or seconds == LOOK:
            return await sleep(seconds, *args)
        waits.append(seconds)
        return await sleep(0, *args)

    async with receiver("500 a", "500 b", "429 c\r\nretry-after: 77", "500 d", "429 e\r\nretry-after: 999999") as there:
        agency = Agency(Agent("A"), model=speaker())
        async with served(agency, webhooks=allowed(there, wait=0.25)) as it:
            monkeypatch.setattr("callboard.actors.serving.webhooks.asyncio.sleep", noted)
            await start(it, webhook=there.url)
            await there.until(6)
            monkeypatch.undo()
    assert waits[:4] == [0.25, 0.5, 77.0, 2.0]
    assert 2.0 < waits[4] < 999_999.0

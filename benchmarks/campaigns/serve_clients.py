"""The clients of `serve_kills`: some wait for an answer, some read streams, and a third of them leave and come back."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from .served import AGENT, answer_to

KINDS: Final = ("plain", "stream", "run")
LEAVES: Final = 1 / 3
"""The share of clients that leave."""

AGAIN: Final = 0.1
"""Seconds before a client that was cut off asks again."""


class Hangs(Exception):
    """Nothing came for too long."""


@dataclass(slots=True)
class Seen:
    """What the clients have seen.

    Args:
        counts: how often what came about.
        violations: what must not, by sentence, each with its examples.
        runs: the ids of all runs that were accepted.
        told_of: those of which a webhook is to be told.
    """

    counts: Counter[str] = field(default_factory=Counter)
    violations: dict[str, list[str]] = field(default_factory=dict)
    runs: set[str] = field(default_factory=set)
    told_of: set[str] = field(default_factory=set)

    def violated(self, sentence: str, example: str) -> None:
        self.violations.setdefault(sentence, []).append(example)


class Clients:
    """Ask all questions.

    Args:
        url: of the server.
        seed: of who does what.
        patience: seconds in which something must come.
        insist: whether what was cut off is asked for again: where workers are killed. Otherwise what is not answered
            must end by name, with the run's id.
        seen: what they see.
        webhook: the address that runs in the background name.
    """

    def __init__(self, url: str, seed: int, patience: float, insist: bool, seen: Seen, webhook: str) -> None:
        self.webhook = webhook
        self.url = url
        self._seed = seed
        self._patience = patience
        self._insist = insist
        self._seen = seen

    async def ask_all(self, questions: list[str], at_once: int, pace: float) -> None:
        """Ask, so many at once at most, begun at a pace (a second)."""
        room = asyncio.Semaphore(at_once)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=at_once, keepalive_expiry=30.0)
        timeout = httpx.Timeout(self._patience)
        transport = httpx.AsyncHTTPTransport(limits=limits, retries=0)
        async with (
            httpx.AsyncClient(base_url=self.url, timeout=timeout, transport=transport, trust_env=False) as client,
            asyncio.TaskGroup() as group,
        ):
            for question in questions:
                await room.acquire()
                task = group.create_task(self._one(client, question))
                task.add_done_callback(lambda _: room.release())
                await asyncio.sleep(1 / pace)

    async def _one(self, client: httpx.AsyncClient, question: str) -> None:
        rng = random.Random(f"{self._seed} {question}")
        kind = rng.choice(KINDS)
        leaves = rng.random() < LEAVES
        seen = self._seen
        seen.counts[f"{kind}, leaving" if leaves else kind] += 1
        try:
            if kind == "plain":
                said = await self._plain(client, question, rng, leaves)
            else:
                said = await _Reader(self, client, question, kind, rng, leaves).read()
        except (Hangs, httpx.TimeoutException) as error:
            seen.violated("nothing hangs", f"{kind} {question}: {error!r}")
            return
        except (httpx.HTTPError, AssertionError) as error:
            seen.violated("what was accepted is answered, or ends by name", f"{kind} {question}: {error!r}")
            return
        if said is None:
            seen.counts["ended by name, with its run"] += 1
        elif said == answer_to(question):
            seen.counts["answered"] += 1
        else:
            seen.violated("a run answers what it was asked, each piece once", f"{kind} {question}: {said!r}")

    # -- waiting for an answer -----------------------------------------------------------------------------------------

    async def _plain(self, client: httpx.AsyncClient, question: str, rng: random.Random, leaves: bool) -> str | None:
        if leaves:
            try:
                async with asyncio.timeout(rng.uniform(0.0, 0.3)):
                    await self._answer(client, question)
            except (TimeoutError, httpx.HTTPError):
                pass
        while True:
            try:
                answer = await self._answer(client, question)
            except httpx.TransportError:
                if not self._insist and not leaves:
                    raise
                self._seen.counts["cut off"] += 1
                await asyncio.sleep(AGAIN)
                continue
            if answer.status_code == 200:
                self._seen.runs.add(answer.headers["callboard-run"])
                said: str = answer.json()["choices"][0]["message"]["content"]
                return said
            named = answer.json()["error"]["code"]
            run = answer.headers.get("callboard-run", "")
            assert answer.status_code == 503, f"{answer.status_code} {named}"
            self._seen.counts[f"told {named}"] += 1
            if run:
                self._seen.runs.add(run)
            if not self._insist:
                assert run, f"{named} without a run"
                return None
            await asyncio.sleep(AGAIN)

    async def _answer(self, client: httpx.AsyncClient, question: str) -> httpx.Response:
        return await client.post("/v1/chat/completions", json=body(question), headers={"idempotency-key": question})

    def again(self, why: BaseException | str) -> None:
        """A stream ended before its end."""
        self._seen.counts[why if isinstance(why, str) else "cut off"] += 1

    def accepted(self, run: str, *, told: bool = False) -> None:
        self._seen.runs.add(run)
        if told:
            self._seen.told_of.add(run)

    def twice(self, question: str, event: str) -> None:
        self._seen.violated("a stream has each event once", f"{question}: {event}")

    @property
    def insist(self) -> bool:
        return self._insist


def body(question: str, *, stream: bool = False) -> dict[str, Any]:
    """The body of a request for a chat completion."""
    asked = {"model": AGENT, "messages": [{"role": "user", "content": question}]}
    return {**asked, "stream": True} if stream else asked


class _Cut(Exception):
    """A stream ended before its end."""


class _Reader:
    """Reads one stream to its end, over as many connections as it takes."""

    def __init__(
        self, clients: Clients, client: httpx.AsyncClient, question: str, kind: str, rng: random.Random, leaves: bool
    ) -> None:
        self._clients = clients
        self._client = client
        self._question = question
        self._streams = kind == "stream"
        self._rng = rng
        self._leaves = 1 if leaves else 0
        self._ids: set[str] = set()
        self._last = ""
        self._run = ""
        self._said: list[str] = []

    async def read(self) -> str | None:
        """What was said in all; None where it ended by name."""
        while True:
            most = self._rng.randint(1, 12) if self._leaves else None
            self._leaves = 0
            try:
                if not self._streams and not self._run:
                    await self._begin()
                ended = await self._connection(most)
            except (httpx.TransportError, _Cut) as error:
                if isinstance(error, httpx.TimeoutException):
                    raise
                if not self._clients.insist and not (isinstance(error, _Cut)):
                    raise
                self._clients.again(str(error) if isinstance(error, _Cut) else error)
                await asyncio.sleep(AGAIN)
                continue
            if ended == "named":
                return None
            if ended == "over":
                return "".join(self._said)

    async def _begin(self) -> None:
        headers = {"idempotency-key": self._question}
        asked = {"input": self._question, "webhook": self._clients.webhook}
        answer = await self._client.post("/agency/runs", json=asked, headers=headers)
        if answer.status_code == 503 and self._clients.insist:
            raise _Cut("told stopping")
        assert answer.status_code == 202, answer.text
        self._run = answer.json()["id"]
        self._clients.accepted(self._run, told=True)

    async def _connection(self, most: int | None) -> str:
        """Read until the end (``over``, ``named``), or, where the client leaves, so many events (``left``)."""
        headers = {"idempotency-key": self._question}
        if self._last:
            headers["last-event-id"] = self._last
        if self._streams:
            asked = self._client.stream(
                "POST", "/v1/chat/completions", json=body(self._question, stream=True), headers=headers
            )
        else:
            asked = self._client.stream("GET", f"/agency/runs/{self._run}/events", headers=headers)
        async with asked as answer:
            if answer.status_code == 503:
                await answer.aread()
                run = answer.headers.get("callboard-run", "")
                if not self._clients.insist and not self._last and not self._run:
                    assert run, f"503 without a run: {answer.text}"
                    return "named"
                raise _Cut("told stopping")
            assert answer.status_code == 200, f"{answer.status_code} {await answer.aread()!r}"
            if run := answer.headers.get("callboard-run", ""):
                self._clients.accepted(run)
            event: dict[str, str] = {}
            number = 0
            async for line in answer.aiter_lines():
                if line.startswith(":"):
                    continue
                if line:
                    name, _, value = line.partition(": ")
                    event[name] = value
                    continue
                if event and (ended := self._take(event)):
                    return ended
                number += bool(event)
                event = {}
                if most is not None and number >= most:
                    return "left"
        raise _Cut("ended early")

    def _take(self, event: dict[str, str]) -> str:
        if event["data"] == "[DONE]":
            return "over"
        data = json.loads(event["data"])
        if event.get("event") == "problem" or "error" in data:
            code = data["code"] if "code" in data else data["error"]["code"]
            if code == "answer_changed":  # said so: it cannot be gone on with
                self._clients.again("told answer_changed")
                return "named"
            raise _Cut(f"told {code}")
        if event["id"] in self._ids:
            self._clients.twice(self._question, event["id"])
        self._ids.add(event["id"])
        self._last = event["id"]
        if self._streams:
            for choice in data["choices"]:
                self._said.append(choice["delta"].get("content") or "")
            return ""
        if data["type"] == "ended":
            self._said.append(data["data"].get("text", ""))
            return "over"
        return ""

"""What load is put on: an agency in this process, or a server that speaks OpenAI's chat completions."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import aiohttp

from ...providers.errors import ProviderError
from ...providers.wire.sse import Parser
from ..agents.agency import Agency
from ..agents.errors import AgentError, DefinitionError
from ..agents.events import RunFinished, TextDelta
from ..core.base.errors import CallboardError
from .load import Ask, Outcome

KEY: Final = "OPENAI_API_KEY"
"""The variable that has the key for a server, where there is one."""

_MOST: Final = 16 * 1024 * 1024
"""Bytes of an answer that are read; a longer one is an error."""

_CODE: Final = re.compile(r"[\w.-]{1,60}", re.ASCII)
"""What a server may call an error to have it in a report."""

_COUNTS: Final = range(2**53)
"""Tokens of an answer that are believed."""


class NotMeasured(CallboardError):
    """What is to be measured cannot be: it is not there, or its address or settings are wrong."""


def agency_target(agency: Agency, agent: str = "") -> Ask:
    """Asks an agency that runs, each question in a conversation of its own.

    Args:
        agency: it.
        agent: whom; the first agent by default.

    Raises:
        UnknownAgent: nobody has that name.
    """
    agency.describe(agent or None)
    clock = asyncio.get_running_loop().time

    async def ask(question: str) -> Outcome:
        began = clock()
        first: float | None = None
        answer = None
        error = ""
        try:
            async with aclosing(agency.run_streaming(question, agent=agent or None)) as events:
                async for event in events:
                    if first is None and type(event) is TextDelta:
                        first = clock() - began
                    elif isinstance(event, RunFinished) and len(event.chain) == 1:
                        answer = event.answer
        except DefinitionError:
            raise
        except AgentError as ended:
            error, answer = type(ended).__name__, ended.partial
        seconds = clock() - began
        if answer is None:
            return Outcome(seconds, first, error=error or "NoAnswer")
        usage = answer.usage
        return Outcome(seconds, first, usage.input_tokens, usage.output_tokens, answer.cost, error)

    return ask


@asynccontextmanager
async def server_target(url: str, model: str = "", *, key: str | None = None) -> AsyncIterator[Ask]:
    """Asks a server over HTTP, by streams of OpenAI's chat completions. Nothing is tried again.

    Args:
        url: what stands before ``/chat/completions``: ``http://127.0.0.1:8000/Clerk`` of a served agency,
            ``https://api.openai.com/v1``.
        model: the model that requests name; the last part of the address by default.
        key: sent as a bearer token; by default what the variable ``OPENAI_API_KEY`` has, if anything.

    Raises:
        NotMeasured: it is no such address, or has what reports must not show.
    """
    parts = _checked(url)
    model = model or parts.path.rstrip("/").rpartition("/")[2] or "default"
    key = os.environ.get(KEY, "") if key is None else key
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    clock = asyncio.get_running_loop().time
    options = {"stream": True, "stream_options": {"include_usage": True}, "model": model}
    where = f"{url.rstrip('/')}/chat/completions"
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=30.0)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=timeout, headers=headers, trust_env=False
    ) as session:

        async def ask(question: str) -> Outcome:
            began = clock()
            read = _Reading()
            try:
                body = {**options, "messages": [{"role": "user", "content": question}]}
                async with session.post(where, json=body, allow_redirects=False) as response:
                    if response.status != 200:
                        return Outcome(clock() - began, error=f"HTTP{response.status}")
                    async for chunk in response.content.iter_any():
                        read.take(chunk, lambda: clock() - began)
            except _Wrong as error:
                read.error = str(error)
            except (aiohttp.ClientError, OSError, ProviderError) as error:
                read.error = type(error).__name__
            return read.outcome(clock() - began)

        yield ask


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        there = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port beyond 65,535
        there = False
    if not there:
        raise NotMeasured("an address is expected such as http://127.0.0.1:8000/Clerk, with a port from 1 to 65,535")
    if parts.username is not None or parts.query or parts.fragment:
        kept = f"reports show the address: it has no user, password or query; a key is read from {KEY}"
        raise NotMeasured(f"{parts.scheme}://{parts.hostname}: {kept}")
    return parts


class _Wrong(Exception):
    """An answer that is no stream of chat completions; its text is the name that the error has in reports."""


class _Reading:
    """What has come of one stream."""

    def __init__(self) -> None:
        self.error = ""
        self._parser = Parser()
        self._bytes = 0
        self._events = 0
        self._first: float | None = None
        self._done = False
        self._usage: dict[str, Any] = {}

    def take(self, chunk: bytes, now: Callable[[], float]) -> None:
        """Take bytes. Raises `_Wrong` where they are no such stream."""
        self._bytes += len(chunk)
        if self._bytes > _MOST:
            raise _Wrong("TooLong")
        for event in self._parser.feed(chunk):
            self._events += 1
            if event.data == "[DONE]":
                self._done = True
                continue
            try:
                data = json.loads(event.data)
            except (ValueError, RecursionError):
                data = None
            if not isinstance(data, dict):
                raise _Wrong("NotUnderstood")
            if data.get("error"):
                code = data["error"].get("code") if isinstance(data["error"], dict) else None
                self.error = str(code) if _CODE.fullmatch(str(code or "")) else "error"
            if isinstance(data.get("usage"), dict):
                self._usage = data["usage"]
            choices = data.get("choices")
            delta = choices[0].get("delta") if isinstance(choices, list) and choices else None
            if self._first is None and isinstance(delta, dict) and delta.get("content"):
                self._first = now()

    def outcome(self, seconds: float) -> Outcome:
        """What came of it."""
        error = self.error or ("" if self._done else "Cut" if self._events else "NoStream")
        tokens = [self._usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
        read, written = (count if type(count) is int and count in _COUNTS else None for count in tokens)
        return Outcome(seconds, self._first, read, written, None, error)
